//! How `fieldgate partner list` shows partners, their grants and their certificates.

use std::io;

use serde::Serialize;

use crate::clock::{DAY, Moment};
use crate::domain::partner::Partner;
use crate::domain::purpose::Purpose;
use crate::flows::Registry;

use super::say::Say;

#[derive(Debug, Serialize)]
/// Every partner, by code.
pub(super) struct Listing {
    partners: Vec<PartnerLine>,
}

#[derive(Debug, Serialize)]
struct PartnerLine {
    code: String,
    id: String,
    kind: &'static str,
    state: &'static str,
    legal_name: String,
    grants: Vec<GrantLine>,
    certificates: Vec<CertificateLine>,
}

#[derive(Debug, Serialize)]
struct GrantLine {
    purpose: &'static str,
    fields: Vec<&'static str>,
    territory: String,
    points: String,
    in_force: bool,
}

#[derive(Debug, Serialize)]
struct CertificateLine {
    thumbprint: String,
    status: &'static str,
    source: &'static str,
    not_after: String,
    days_left: i64,
}

impl Listing {
    /// Puts the registry into words.
    pub(super) fn of(registry: &Registry, now: Moment) -> Self {
        let mut partners: Vec<_> =
            registry.partners.values().map(|one| PartnerLine::of(registry, one, now)).collect();
        partners.sort_by(|a, b| a.code.cmp(&b.code));
        Self { partners }
    }
}

impl PartnerLine {
    fn of(registry: &Registry, partner: &Partner, now: Moment) -> Self {
        let grants = Purpose::ALL.iter().filter_map(|purpose| registry.grant(partner.id, *purpose));
        let certificates = registry.certificates.values().filter(|one| one.partner == partner.id);
        Self {
            code: partner.code.clone(),
            id: partner.id.to_string(),
            kind: partner.kind.code(),
            state: partner.state.code(),
            legal_name: partner.legal_name.clone(),
            grants: grants
                .map(|grant| GrantLine {
                    purpose: grant.purpose.code(),
                    fields: grant.fields.iter().map(crate::domain::field::Field::code).collect(),
                    territory: grant.territory.text(),
                    points: grant.points.codes(),
                    in_force: grant.in_force(now),
                })
                .collect(),
            certificates: certificates
                .map(|one| CertificateLine {
                    thumbprint: one.thumbprint.to_string(),
                    status: one.status.code(),
                    source: one.source.code(),
                    not_after: one.not_after.rfc3339(),
                    days_left: one.not_after.0.saturating_sub(now.0).div_euclid(DAY),
                })
                .collect(),
        }
    }
}

impl Say for Listing {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["partner", "kind", "state", "grants", "certificates"]);
        for partner in &self.partners {
            let grants: Vec<_> = partner
                .grants
                .iter()
                .map(|one| {
                    format!("{} in {}: {}", one.purpose, one.territory, one.fields.join(" "))
                })
                .collect();
            let certificates: Vec<_> = partner
                .certificates
                .iter()
                .map(|one| format!("{} {}, {} days left", one.status, one.source, one.days_left))
                .collect();
            table.add_row([
                partner.code.clone(),
                partner.kind.to_owned(),
                partner.state.to_owned(),
                grants.join("\n"),
                certificates.join("\n"),
            ]);
        }
        writeln!(out, "{table}")
    }
}
