//! Who a request is from: the gates G1 to G7 on every request, then the token (A1 to A6).
//!
//! The order is the table of `docs/partner-api.md`; the first failure answers.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HOST};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};

use crate::clock::{Clock, Moment};
use crate::domain::partner::{CertificateStatus, PartnerState};
use crate::domain::purpose::Purpose;
use crate::flows::release::Asker;
use crate::id::{PartnerId, RequestId, Thumbprint, TokenId};
use crate::web::caller::{Caller, Door};
use crate::web::limits::Rates;
use crate::web::problem::oauth::OauthError;
use crate::web::problem::{Code, Problem};
use crate::web::tls::connection::{Connection, Leaf};
use crate::web::tls::trust::{PartnerRow, Trust};

use super::scope::{AUDIT, INTAKE, RECALLS, Scopes};
use super::token::{TokenFault, Tokens};

/// Everything a request is measured against.
pub struct Gate {
    trust: Arc<Trust>,
    tokens: Arc<Tokens>,
    hosts: Vec<String>,
    clock: Clock,
    rates: Rates,
}

impl Gate {
    /// `hosts` are the values of `Host` that this door serves, with the port where it is not 443.
    pub fn new(
        trust: Arc<Trust>,
        tokens: Arc<Tokens>,
        hosts: impl IntoIterator<Item = String>,
        clock: Clock,
    ) -> Self {
        let hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
        Self { trust, tokens, hosts, clock, rates: Rates::default() }
    }

    /// Makes and judges tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// What is trusted now.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The present moment.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Gates G1 to G7.
    fn pass(&self, request: &HttpRequest) -> Result<CertificateCaller, Problem> {
        if !self.serves_host(request) {
            return Err(Problem::new(Code::MisdirectedRequest));
        }
        let leaf =
            request.conn_data::<Connection>().and_then(|connection| connection.leaf.as_ref());
        let leaf = leaf.ok_or_else(|| Problem::new(Code::NoClientCertificate))?;
        let now = self.clock.now();
        if !self.trust.is_fresh(now) {
            return Err(Problem::new(Code::TrustStale));
        }
        let snapshot = self.trust.load();
        let row = snapshot
            .certificate(&leaf.thumbprint)
            .filter(|row| row.status != CertificateStatus::Revoked)
            .ok_or_else(|| Problem::new(Code::CertificateRevoked))?;
        if now > row.not_after.min(leaf.not_after) {
            return Err(Problem::new(Code::CertificateExpired));
        }
        let partner = snapshot
            .partner(&row.partner)
            .filter(|partner| partner.state == PartnerState::Active)
            .ok_or_else(|| Problem::new(Code::PartnerSuspended))?;
        let allowance = self.rates.take(row.partner, partner.requests_per_minute)?;
        let number = request_id(request);
        let asker = Asker { partner: row.partner, certificate: leaf.thumbprint, request: number };
        request.extensions_mut().insert(allowance);
        request.extensions_mut().insert(asker);
        Ok(CertificateCaller {
            id: row.partner,
            partner: partner.clone(),
            leaf: leaf.clone(),
            request: number,
            at: now,
            trust_version: snapshot.version,
        })
    }

    /// `Host`, and the target where it is absolute; both are what the client believes to talk to.
    fn serves_host(&self, request: &HttpRequest) -> bool {
        let ours = |name: &str| self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name));
        let header = request.headers().get(HOST).and_then(|value| value.to_str().ok());
        let target = request.uri().authority();
        header.is_some_and(ours) && target.is_none_or(|authority| ours(authority.as_str()))
    }

    /// Checks A1 to A6 on top of the gates.
    fn admit(&self, request: &HttpRequest) -> Result<PartnerCaller, Problem> {
        let CertificateCaller { id, partner, leaf, request: number, at, .. } =
            self.pass(request)?;
        let token = bearer(request)?;
        let judged = self.tokens.judge(token, at).and_then(|token| {
            self.tokens.admit(&token, leaf.thumbprint, id, partner.tokens_not_before)?;
            Ok(token)
        });
        let token = judged.map_err(|fault: TokenFault| {
            tracing::info!(request = %number, reason = fault.code(), "token refused");
            Problem::new(Code::InvalidToken)
        })?;
        Ok(PartnerCaller {
            partner: id,
            certificate: leaf.thumbprint,
            request: number,
            token: token.id,
            at,
            // A grant that ended a moment ago takes its scope with it.
            scopes: token.scopes.and(Scopes::granted(&partner, at)),
        })
    }
}

fn request_id(request: &HttpRequest) -> RequestId {
    request.extensions().get::<RequestId>().copied().unwrap_or_default()
}

/// Check A1: exactly one Authorization header of scheme Bearer, and no token anywhere else.
fn bearer(request: &HttpRequest) -> Result<&str, Problem> {
    let wrong = |why: &'static str| Problem::new(Code::InvalidRequest).detail(why);
    let in_query = request.query_string().split('&').any(|pair| {
        pair.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case("access_token"))
    });
    if in_query {
        return Err(wrong("send the token in the Authorization header, not in the query"));
    }
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let first = headers.next().ok_or_else(|| Problem::new(Code::TokenMissing))?;
    if headers.next().is_some() {
        return Err(wrong("send exactly one Authorization header"));
    }
    let text = first.to_str().map_err(|_| wrong("the Authorization header is not plain text"))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token),
        _ => Err(wrong("the Authorization scheme is Bearer")),
    }
}

fn gate(request: &HttpRequest) -> Result<&web::Data<Gate>, Problem> {
    let missing = || Problem::broken(&std::io::Error::other("the door was opened without a gate"));
    request.app_data::<web::Data<Gate>>().ok_or_else(missing)
}

/// A partner proved by its certificate alone.
#[derive(Debug, Clone)]
pub struct CertificateCaller {
    /// Whose certificate it is.
    pub id: PartnerId,
    /// What the registry says of the partner.
    pub partner: PartnerRow,
    /// The certificate.
    pub leaf: Leaf,
    /// The request, for entries and log lines.
    pub request: RequestId,
    /// When the gates were passed.
    pub at: Moment,
    /// Version of the registry it was judged by.
    pub trust_version: i64,
}

impl FromRequest for CertificateCaller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(gate(request).and_then(|gate| gate.pass(request)))
    }
}

impl Caller for CertificateCaller {
    const DOOR: Door = Door::Partner;
    const KIND: &'static str = "certificate";
}

/// The same at the OAuth endpoints, whose clients read another form of error.
#[derive(Debug, Clone)]
pub struct OauthCaller(pub CertificateCaller);

impl FromRequest for OauthCaller {
    type Error = OauthError;
    type Future = Ready<Result<Self, OauthError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let passed = gate(request).and_then(|gate| gate.pass(request));
        ready(passed.map(Self).map_err(OauthError::from))
    }
}

impl Caller for OauthCaller {
    const DOOR: Door = Door::Partner;
    const KIND: &'static str = "certificate";
}

/// A partner proved by its certificate and by a token bound to it.
#[derive(Debug, Clone)]
pub struct PartnerCaller {
    /// Who it is.
    pub partner: PartnerId,
    /// The certificate of the connection, which is also the token's.
    pub certificate: Thumbprint,
    /// The request, for entries and log lines.
    pub request: RequestId,
    /// The token.
    pub token: TokenId,
    /// When the gates were passed.
    pub at: Moment,
    scopes: Scopes,
}

impl PartnerCaller {
    /// Check A7: the token covers this purpose.
    ///
    /// # Errors
    /// 403 `insufficient_scope`, naming the scope.
    pub fn require(&self, purpose: Purpose) -> Result<(), Problem> {
        if self.scopes.purposes.contains(purpose) {
            return Ok(());
        }
        Err(Problem::insufficient_scope(purpose.code()))
    }

    /// Check A7 for handing in contacts.
    ///
    /// # Errors
    /// 403 `insufficient_scope`, naming the scope.
    pub fn require_intake(&self) -> Result<(), Problem> {
        if self.scopes.intake { Ok(()) } else { Err(Problem::insufficient_scope(INTAKE)) }
    }

    /// Check A7 for fetching and answering recalls.
    ///
    /// # Errors
    /// 403 `insufficient_scope`, naming the scope.
    pub fn require_recalls(&self) -> Result<(), Problem> {
        if self.scopes.recalls { Ok(()) } else { Err(Problem::insufficient_scope(RECALLS)) }
    }

    /// Who asks, for the stories.
    pub fn asker(&self) -> Asker {
        Asker { partner: self.partner, certificate: self.certificate, request: self.request }
    }

    /// Whether it is an auditor, who may read entries of everybody.
    pub fn audits(&self) -> bool {
        self.scopes.audit
    }
}

impl FromRequest for PartnerCaller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(gate(request).and_then(|gate| gate.admit(request)))
    }
}

impl Caller for PartnerCaller {
    const DOOR: Door = Door::Partner;
    const KIND: &'static str = "certificate+token";
}

/// An auditor: a partner whose token has the scope `audit`, which is granted to that kind alone.
#[derive(Debug, Clone)]
pub struct AuditorCaller(pub PartnerCaller);

impl FromRequest for AuditorCaller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let passed = gate(request).and_then(|gate| gate.admit(request));
        let scoped = passed.and_then(|caller| {
            if caller.audits() { Ok(Self(caller)) } else { Err(Problem::insufficient_scope(AUDIT)) }
        });
        ready(scoped)
    }
}

impl Caller for AuditorCaller {
    const DOOR: Door = Door::Partner;
    const KIND: &'static str = "certificate+token+audit";
}
