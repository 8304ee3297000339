//! An entry as columns: what questions such as "who received this?" are answered from.
//!
//! A projection follows from the entry's bytes alone (but for salt and item hashes), so
//! verification can rebuild it and compare.

use crate::clock::Moment;
use crate::domain::disclosure::Reason;
use crate::domain::field::FieldSet;
use crate::domain::purpose::Purpose;
use crate::id::{PartnerId, PolicyVersion, Thumbprint};
use crate::merkle::Hash;

use super::entry::{Facts, Kind};

/// One row of `ledger_projection`, without its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// `k` of the entry.
    pub kind: Kind,
    /// `aud` of the entry.
    pub partner: Option<PartnerId>,
    /// `pur` of the entry.
    pub purpose: Option<Purpose>,
    /// `op` of the entry.
    pub op: String,
    /// `t` of the entry, whole milliseconds.
    pub at: Moment,
    /// `dec` of the entry: `release`, `withhold` or nothing.
    pub decision: Option<&'static str>,
    /// `why` of the entry.
    pub reason: Option<Reason>,
    /// `cert` of the entry.
    pub certificate: Option<Thumbprint>,
    /// `pol` of the entry.
    pub policy: Option<PolicyVersion>,
    /// `fields` of the entry.
    pub fields: Option<FieldSet>,
    /// `lim` of the entry.
    pub restricting: bool,
    /// Key of `resp`, until erasure. It proves itself: under another salt no response fits.
    pub response_salt: Option<[u8; 16]>,
    /// Leaf hashes of the items in page order; they stay when the items are erased.
    pub item_hashes: Vec<Hash>,
}

impl Projection {
    /// The columns that follow from the facts; salt and item hashes are added by the caller.
    pub fn of(facts: &Facts) -> Self {
        Self {
            kind: facts.kind,
            partner: facts.partner,
            purpose: facts.purpose,
            op: facts.op.clone().into_owned(),
            at: facts.at,
            decision: facts.kind.decision(),
            reason: facts.reason,
            certificate: facts.certificate,
            policy: facts.policy,
            fields: facts.fields,
            restricting: facts.restricting,
            response_salt: None,
            item_hashes: Vec::new(),
        }
    }

    /// Whether the columns are those that follow from the facts. Salt and item hashes are not
    /// compared.
    pub fn says(&self, facts: &Facts) -> bool {
        self.kind == facts.kind
            && self.partner == facts.partner
            && self.purpose == facts.purpose
            && self.op == facts.op
            && self.at == facts.at
            && self.decision == facts.kind.decision()
            && self.reason == facts.reason
            && self.certificate == facts.certificate
            && self.policy == facts.policy
            && self.fields == facts.fields
            && self.restricting == facts.restricting
    }
}
