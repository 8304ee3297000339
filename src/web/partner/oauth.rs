//! The OAuth endpoints: a token for a certificate, its early end, and what it is worth.

use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::flows::release::Asker;
use crate::flows::{Gateway, audit};
use crate::id::Thumbprint;
use crate::web::problem::Problem;
use crate::web::problem::oauth::OauthError;

use super::caller::{CertificateCaller, Gate, OauthCaller};
use super::scope::Scopes;
use super::token::{Token, Wanted};

/// The parameters of a form, each at most once.
struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form, and refuses every second way to authenticate (RFC 6749 §2.3).
    fn read(request: &HttpRequest, body: &web::Bytes) -> Result<Self, OauthError> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
        {
            return Err(OauthError::InvalidRequest("send application/x-www-form-urlencoded"));
        }
        if request.headers().contains_key(AUTHORIZATION) {
            return Err(OauthError::InvalidRequest("the certificate is the only authentication"));
        }
        let bad = |_| OauthError::InvalidRequest("the form cannot be read");
        let text = std::str::from_utf8(body)
            .map_err(|_| OauthError::InvalidRequest("the form is not UTF-8"))?;
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text).map_err(bad)?;
        let form = Self(pairs.into_inner());
        let names: std::collections::HashSet<_> = form.0.iter().map(|(name, _)| name).collect();
        if names.len() != form.0.len() {
            return Err(OauthError::InvalidRequest("a parameter is repeated"));
        }
        if ["client_secret", "client_assertion", "client_assertion_type"]
            .iter()
            .any(|name| form.find(name).is_some())
        {
            return Err(OauthError::InvalidRequest("the certificate is the only authentication"));
        }
        Ok(form)
    }

    /// A parameter; an empty one counts as absent (RFC 6749 §3.2).
    fn find(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The `client_id` must be the owner of the certificate (RFC 8705 §2).
    fn check_client(&self, caller: &CertificateCaller) -> Result<(), OauthError> {
        match self.find("client_id") {
            None => Err(OauthError::InvalidRequest("client_id is missing")),
            Some(id) if id == caller.id.to_string() => Ok(()),
            Some(_) => Err(OauthError::InvalidClient),
        }
    }
}

#[derive(Serialize)]
struct TokenAnswer {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    scope: String,
}

/// `POST /oauth2/token` (RFC 6749 §4.4, RFC 8705 §2 and §3). Without `scope`, all that is
/// granted.
pub async fn token(
    OauthCaller(caller): OauthCaller,
    gate: web::Data<Gate>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, OauthError> {
    let form = Form::read(&request, &body)?;
    match form.find("grant_type") {
        None => return Err(OauthError::InvalidRequest("grant_type is missing")),
        Some("client_credentials") => {}
        Some(_) => return Err(OauthError::UnsupportedGrantType),
    }
    form.check_client(&caller)?;
    let granted = Scopes::granted(&caller.partner, caller.at);
    let scopes = match form.find("scope") {
        None => granted,
        Some(text) => Scopes::read(text).ok_or(OauthError::InvalidScope)?,
    };
    if !scopes.within(granted) {
        return Err(OauthError::InvalidScope);
    }
    if scopes.audit {
        let_auditor_in(&request, &caller).await?;
    }
    let wanted = Wanted {
        partner: caller.id,
        scopes,
        certificate: caller.leaf.thumbprint,
        certificate_ends_at: caller.leaf.not_after,
        tokens_not_before: caller.partner.tokens_not_before,
    };
    let minted = gate.tokens().mint(&wanted, caller.at).map_err(|e| Problem::broken(&e))?;
    Ok(HttpResponse::Ok().insert_header(("Pragma", "no-cache")).json(TokenAnswer {
        access_token: minted.text,
        token_type: "Bearer",
        expires_in: minted.expires_in_s,
        scope: scopes.text(),
    }))
}

/// What an auditor reads until its token ends stands behind one entry, made before the token.
async fn let_auditor_in(request: &HttpRequest, caller: &CertificateCaller) -> Result<(), Problem> {
    let missing =
        || Problem::broken(&std::io::Error::other("the door was opened without a gateway"));
    let gateway = request.app_data::<web::Data<Gateway>>().ok_or_else(missing)?;
    let asker =
        Asker { partner: caller.id, certificate: caller.leaf.thumbprint, request: caller.request };
    Ok(audit::let_in(gateway, asker).await?)
}

/// The token of a form, if it is one of the caller's own and still holds.
fn own_token(
    caller: &CertificateCaller,
    gate: &Gate,
    form: &Form,
) -> Result<Option<Token>, OauthError> {
    if form.find("client_id").is_some() {
        form.check_client(caller)?;
    }
    let text = form.find("token").ok_or(OauthError::InvalidRequest("token is missing"))?;
    let own = gate.tokens().judge(text, caller.at).ok().filter(|token| {
        let since = caller.partner.tokens_not_before;
        gate.tokens().admit(token, token.certificate, caller.id, since).is_ok()
    });
    Ok(own)
}

/// `POST /oauth2/revoke` (RFC 7009). An unknown, foreign or ended token answers 200 as well.
pub async fn revoke(
    OauthCaller(caller): OauthCaller,
    gate: web::Data<Gate>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, OauthError> {
    let form = Form::read(&request, &body)?;
    if let Some(token) = own_token(&caller, &gate, &form)? {
        // A replica whose clock is behind takes the token a little longer.
        let forget_at = token.ends_at.plus(60 * crate::clock::SECOND);
        gate.tokens().revoked().revoke(token.id, token.partner, forget_at, caller.at);
    }
    Ok(HttpResponse::Ok().finish())
}

#[derive(Serialize)]
struct Binding {
    #[serde(rename = "x5t#S256")]
    x5t_s256: String,
}

#[derive(Serialize)]
struct Introspection<'a> {
    active: bool,
    iss: &'a str,
    aud: &'a str,
    sub: String,
    client_id: String,
    scope: String,
    token_type: &'static str,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    cnf: Binding,
}

#[derive(Serialize)]
struct Inactive {
    active: bool,
}

/// `POST /oauth2/introspect` (RFC 7662, RFC 8705 §3.2). Own tokens only; of any other it says
/// no more than `{"active":false}`.
pub async fn introspect(
    OauthCaller(caller): OauthCaller,
    gate: web::Data<Gate>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, OauthError> {
    let form = Form::read(&request, &body)?;
    let token = own_token(&caller, &gate, &form)?
        .filter(|token| certificate_holds(&gate, &token.certificate, &caller));
    let Some(token) = token else {
        return Ok(HttpResponse::Ok().json(Inactive { active: false }));
    };
    Ok(HttpResponse::Ok().json(Introspection {
        active: true,
        iss: gate.tokens().issuer(),
        aud: gate.tokens().audience(),
        sub: token.partner.to_string(),
        client_id: token.partner.to_string(),
        scope: token.scopes.text(),
        token_type: "Bearer",
        iat: token.issued_at.seconds(),
        nbf: token.begins_at.seconds(),
        exp: token.ends_at.seconds(),
        jti: token.id.to_string(),
        cnf: Binding { x5t_s256: token.certificate.to_string() },
    }))
}

/// A token is worth nothing once its certificate is not.
fn certificate_holds(gate: &Gate, bound: &Thumbprint, caller: &CertificateCaller) -> bool {
    use crate::domain::partner::CertificateStatus;
    gate.trust().load().certificate(bound).is_some_and(|row| {
        row.partner == caller.id
            && row.status != CertificateStatus::Revoked
            && caller.at <= row.not_after
    })
}
