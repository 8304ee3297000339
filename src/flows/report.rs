//! Who has this person's data: every partner that ever received a field, when, for what, and
//! whether it is demanded back.

use std::collections::BTreeMap;

use crate::clock::{DAY, Moment};
use crate::domain::contact::ContactState;
use crate::domain::field::FieldSet;
use crate::domain::purpose::Purpose;
use crate::domain::recall::{Recall, recall_of};
use crate::id::{PartnerId, PolicyVersion};
use crate::secret::Personal;
use crate::store::audit_rows::{self, Disclosure};
use crate::store::{StoreError, recall_rows};

use super::question::Inquirer;
use super::withdraw::{Found, Trace, personal, trace};
use super::{Appended, Error, Gateway, Registry, Thing};

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
    /// Whether the partner must delete it: the person withdrew, or said no to this.
    pub must_be_told: bool,
    /// The recall that demands it back; `None` where nobody does.
    pub recall: Option<Recall>,
}

/// The report.
#[derive(Debug, Clone)]
pub struct Report {
    /// Where the contact stands.
    pub state: ContactState,
    /// One row per partner and purpose.
    pub holdings: Vec<Holding>,
    /// When: what is overdue is so at this moment.
    pub at: Moment,
    /// Index of the entry this question made.
    pub entry: u64,
}

/// Answers who has a person's data. The question is an entry itself. Of an erased person the
/// report says so and lists nothing.
///
/// # Errors
/// `Unknown` for an address that is not here; recorded first.
pub async fn who(
    gateway: &Gateway,
    by: impl Into<Inquirer>,
    address: &Personal,
) -> Result<Report, Error> {
    let by = by.into();
    for _ in 0..super::ATTEMPTS {
        let mut facts = by.facts(gateway, "person.who");
        let found = match trace(gateway, address).await? {
            Trace::Contact(found) => found,
            // Whether somebody is here is an answer as well: no address is tried unrecorded.
            Trace::Nobody => {
                facts.detail = Some("nobody".into());
                gateway.act(Gateway::draft(facts, Vec::new())?).await?;
                return Err(Error::Unknown(Thing::Contact));
            }
            Trace::Erased => {
                facts.detail = Some(ContactState::Erased.code().into());
                let receipt = gateway.act(Gateway::draft(facts, Vec::new())?).await?;
                let (state, holdings) = (ContactState::Erased, Vec::new());
                return Ok(Report { state, holdings, at: gateway.now(), entry: receipt.index() });
            }
        };
        let draft = personal(facts, &found)?;
        let Appended::Done(receipt) = gateway.append(draft).await? else { continue };
        let no = found.contact.standing.no;
        let read = gateway.store.read(move |tx| {
            let rows = audit_rows::list_disclosures(tx, no)?;
            Ok::<_, StoreError>((rows, recall_rows::list_recalls_of(tx, no)?))
        });
        let (rows, recalls) = read.await?;
        let registry = gateway.registry_now().await?;
        let mut holdings = join(&rows, &registry, &found);
        for holding in &mut holdings {
            holding.recall = holding.recall_among(&recalls).cloned();
        }
        let state = found.contact.standing.state;
        return Ok(Report { state, holdings, at: gateway.now(), entry: receipt.index() });
    }
    Err(Error::Busy { what: "the ledger moved", retry_after_s: 1 })
}

/// Joins the releases of a person per partner and purpose.
fn join(rows: &[Disclosure], registry: &Registry, found: &Found) -> Vec<Holding> {
    let mut holdings: BTreeMap<(PartnerId, u8), Holding> = BTreeMap::new();
    for row in rows {
        let holding = holdings
            .entry((row.partner, row.purpose.bit()))
            .or_insert_with(|| Holding::new(row, registry, must_be_told(found, row)));
        holding.add(row);
    }
    holdings.into_values().collect()
}

/// Whether she has left, or said no to this purpose for this partner.
fn must_be_told(found: &Found, row: &Disclosure) -> bool {
    let said_no = |(purpose, partner, given): &(Purpose, Option<PartnerId>, bool)| {
        *purpose == row.purpose && !given && partner.is_none_or(|partner| partner == row.partner)
    };
    found.contact.standing.state != ContactState::Active || found.choices.iter().any(said_no)
}

/// Until when what was released then may be kept.
fn lease_end(row: &Disclosure) -> Moment {
    row.at.plus(i64::from(row.purpose.row().lease_days).saturating_mul(DAY))
}

impl Holding {
    fn new(row: &Disclosure, registry: &Registry, must_be_told: bool) -> Self {
        let partner = registry.partners.get(&row.partner);
        Self {
            partner: row.partner,
            legal_name: partner.map(|one| one.legal_name.clone()).unwrap_or_default(),
            purpose: row.purpose,
            fields: FieldSet::NONE,
            first: row.at,
            last: row.at,
            use_until: lease_end(row),
            policy: None,
            entries: Vec::new(),
            must_be_told,
            recall: None,
        }
    }

    fn recall_among<'a>(&self, recalls: &'a [Recall]) -> Option<&'a Recall> {
        recall_of(recalls, self.partner, self.purpose, *self.entries.last()?)
    }

    fn add(&mut self, row: &Disclosure) {
        self.fields = self.fields.or(row.fields);
        self.first = self.first.min(row.at);
        self.last = self.last.max(row.at);
        self.use_until = self.use_until.max(lease_end(row));
        self.policy = self.policy.max(row.policy);
        self.entries.push(row.index);
    }
}
