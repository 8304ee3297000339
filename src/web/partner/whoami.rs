//! What a partner can learn with its certificate alone: whom the gate takes it for.

use actix_web::HttpResponse;
use serde::Serialize;

use crate::clock::{DAY, Moment};
use crate::domain::field::Field;
use crate::web::tls::trust::GrantTerm;

use super::caller::CertificateCaller;

#[derive(Serialize)]
struct Whoami {
    partner: String,
    code: String,
    kind: &'static str,
    state: &'static str,
    scope: String,
    grants: Vec<GrantOut>,
    thumbprint: String,
    thumbprint_hex: String,
    serial: String,
    not_after: String,
    days_left: i64,
    trust_version: i64,
}

#[derive(Serialize)]
struct GrantOut {
    purpose: &'static str,
    fields: Vec<&'static str>,
    territory: String,
    from: String,
    until: Option<String>,
}

/// `GET /v1/whoami`: partner, grants, certificate, days left, version of the registry.
pub async fn show(caller: CertificateCaller) -> HttpResponse {
    let CertificateCaller { id, partner, leaf, at, trust_version, .. } = caller;
    let not_after = leaf.not_after.rfc3339();
    HttpResponse::Ok().insert_header(("Fieldgate-Certificate-Expires", not_after.clone())).json(
        Whoami {
            partner: id.to_string(),
            scope: super::scope::Scopes::granted(&partner, at).text(),
            grants: partner.grants.iter().map(grant_out).collect(),
            code: partner.code,
            kind: partner.kind.code(),
            state: partner.state.code(),
            thumbprint: leaf.thumbprint.to_string(),
            thumbprint_hex: leaf.thumbprint.hex(),
            serial: leaf.serial,
            not_after,
            days_left: leaf.not_after.0.saturating_sub(at.0).div_euclid(DAY),
            trust_version,
        },
    )
}

fn grant_out(grant: &GrantTerm) -> GrantOut {
    GrantOut {
        purpose: grant.purpose.code(),
        fields: grant.fields.iter().map(Field::code).collect(),
        territory: grant.territory.text(),
        from: grant.from.rfc3339(),
        until: grant.until.map(Moment::rfc3339),
    }
}
