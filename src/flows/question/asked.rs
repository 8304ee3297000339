//! A question as somebody wrote it, at a prompt or in a body: codes and times as text, read into
//! what is searched for.

use crate::clock::Moment;
use crate::domain::disclosure::Reason;
use crate::domain::field::FieldSet;
use crate::domain::find_code;
use crate::domain::purpose::Purpose;
use crate::flows::{Error, Registry, Thing};
use crate::id::{PartnerId, PolicyVersion};
use crate::ledger::Kind;

use super::Search;

/// Longest name of an operation that is looked for, in bytes.
const OPERATION_MAX: usize = 64;

/// What must hold of an entry, as it was written; what is not given holds of every entry.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Partner, by code or id.
    pub partner: Option<String>,
    /// Thumbprint of the partner's certificate, base64url or hex.
    pub certificate: Option<String>,
    /// Kind of entry.
    pub kind: Option<String>,
    /// `release` or `withhold`: a kind too, so both together must be the same.
    pub decision: Option<String>,
    /// Operation.
    pub operation: Option<String>,
    /// Purpose.
    pub purpose: Option<String>,
    /// Why nothing was released.
    pub reason: Option<String>,
    /// Policy version in force.
    pub policy_version: Option<i32>,
    /// Fields, all of which the entry speaks of.
    pub fields: Vec<String>,
    /// Entries of this time or later (RFC 3339 or a day).
    pub from: Option<String>,
    /// Entries before this time.
    pub until: Option<String>,
}

impl Asked {
    /// What is searched for.
    ///
    /// # Errors
    /// `Invalid` for a code or time that is none; `Unknown` for a partner that is not here.
    pub fn read(&self, registry: &Registry) -> Result<Search, Error> {
        let fields = FieldSet::from_codes(self.fields.iter().map(|code| code.trim()));
        let certificate = self.certificate.as_deref().map(str::parse).transpose();
        Ok(Search {
            contact: None,
            partner: self.partner.as_deref().map(|of| partner(registry, of)).transpose()?,
            certificate: certificate.map_err(|fault| Error::invalid("certificate", fault))?,
            kind: self.kind()?,
            op: self.operation.as_deref().map(operation).transpose()?,
            purpose: code("purpose", self.purpose.as_deref(), Purpose::ALL, Purpose::code)?,
            reason: code("reason", self.reason.as_deref(), Reason::ALL, Reason::code)?,
            policy: self.policy_version.map(version).transpose()?,
            fields: fields.map_err(|_| Error::invalid("fields", "unknown or named twice"))?,
            from: time("from", self.from.as_deref())?,
            until: time("until", self.until.as_deref())?,
        })
    }

    fn kind(&self) -> Result<Option<Kind>, Error> {
        let kind = code("kind", self.kind.as_deref(), Kind::ALL, Kind::code)?;
        let decisions = [Kind::Release, Kind::Withhold];
        let decision = code("decision", self.decision.as_deref(), &decisions, Kind::code)?;
        match (kind, decision) {
            (Some(kind), Some(decision)) if kind != decision => {
                Err(Error::invalid("decision", "contradicts the kind: leave one of them out"))
            }
            (kind, decision) => Ok(kind.or(decision)),
        }
    }
}

fn partner(registry: &Registry, of: &str) -> Result<PartnerId, Error> {
    let by_code = registry.partner_by_code(of).map(|partner| partner.id);
    let found = by_code.or_else(|| of.parse().ok().filter(|id| registry.partners.contains_key(id)));
    found.ok_or(Error::Unknown(Thing::Partner))
}

fn operation(name: &str) -> Result<String, Error> {
    let length = 1..=OPERATION_MAX;
    if length.contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(name.to_owned());
    }
    Err(Error::invalid("operation", "is 1 to 64 visible ASCII characters, such as leads.list"))
}

fn version(number: i32) -> Result<PolicyVersion, Error> {
    let version = Some(PolicyVersion(number)).filter(|_| number > 0);
    version.ok_or_else(|| Error::invalid("policy_version", "must be 1 or more"))
}

fn time(at: &'static str, text: Option<&str>) -> Result<Option<Moment>, Error> {
    let read = text.map(str::parse::<Moment>).transpose();
    read.map_err(|_| Error::invalid(at, "must be an RFC 3339 time or a day"))
}

fn code<T: Copy>(
    at: &'static str,
    code: Option<&str>,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<Option<T>, Error> {
    let found = code.map(|code| find_code(code, all, name)).transpose();
    found.map_err(|fault| Error::invalid(at, fault))
}
