//! Who has this person's data: every partner that ever received a field, when, for what.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::domain::contact::ContactState;
use crate::domain::field::FieldSet;
use crate::domain::purpose::Purpose;
use crate::id::{PartnerId, PolicyVersion};
use crate::ledger::Kind;
use crate::secret::Personal;
use crate::store::audit_rows;

use super::withdraw::{find, personal};
use super::{Actor, Appended, Error, Gateway};

/// What one partner received of a person for one purpose.
#[derive(Debug, Clone)]
pub struct Holding {
    /// The partner.
    pub partner: PartnerId,
    /// Its legal name today.
    pub legal_name: String,
    /// For what.
    pub purpose: Purpose,
    /// Every field it ever received for it.
    pub fields: FieldSet,
    /// The first time.
    pub first: Moment,
    /// The last time.
    pub last: Moment,
    /// Until when the last release may be kept.
    pub use_until: Moment,
    /// The newest policy version it was released under.
    pub policy: Option<PolicyVersion>,
    /// Indices of the entries, oldest first: each has a receipt.
    pub entries: Vec<u64>,
    /// Whether the partner must be told to delete: the person withdrew, or said no to this.
    pub must_be_told: bool,
}

/// The report.
#[derive(Debug, Clone)]
pub struct Report {
    /// Where the contact stands.
    pub state: ContactState,
    /// One row per partner and purpose.
    pub holdings: Vec<Holding>,
    /// Index of the entry this question made.
    pub entry: u64,
}

/// Answers who has a person's data. The question is an entry itself.
pub async fn who(gateway: &Gateway, actor: &Actor, address: &Personal) -> Result<Report, Error> {
    for _ in 0..super::ATTEMPTS {
        let found = find(gateway, address).await?;
        let facts = gateway.staff_facts(Kind::AuditQuery, "person.who", actor);
        let draft = personal(facts, &found)?;
        let Appended::Done(receipt) = gateway.append(draft).await? else { continue };
        let no = found.contact.standing.no;
        let rows = gateway.store.read(move |tx| audit_rows::list_disclosures(tx, no)).await?;
        let registry = gateway.registry_now().await?;
        let state = found.contact.standing.state;
        let mut holdings: BTreeMap<(PartnerId, u8), Holding> = BTreeMap::new();
        for row in rows {
            let told = state != ContactState::Active
                || found.choices.iter().any(|(purpose, partner, given)| {
                    *purpose == row.purpose
                        && !given
                        && partner.is_none_or(|partner| partner == row.partner)
                });
            let partner = registry.partners.get(&row.partner);
            let lease = i64::from(row.purpose.row().lease_days);
            let until = row.at.plus(lease.saturating_mul(crate::clock::DAY));
            let holding =
                holdings.entry((row.partner, row.purpose.bit())).or_insert_with(|| Holding {
                    partner: row.partner,
                    legal_name: partner.map(|one| one.legal_name.clone()).unwrap_or_default(),
                    purpose: row.purpose,
                    fields: FieldSet::NONE,
                    first: row.at,
                    last: row.at,
                    use_until: until,
                    policy: None,
                    entries: Vec::new(),
                    must_be_told: told,
                });
            holding.fields = holding.fields.or(row.fields);
            holding.first = holding.first.min(row.at);
            holding.last = holding.last.max(row.at);
            holding.use_until = holding.use_until.max(until);
            holding.policy = holding.policy.max(row.policy);
            holding.entries.push(row.index);
        }
        return Ok(Report {
            state,
            holdings: holdings.into_values().collect(),
            entry: receipt.index(),
        });
    }
    Err(Error::Busy { what: "the ledger moved", retry_after_s: 1 })
}
