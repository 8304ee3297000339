//! Why a partner would get, or not get, which fields of a person. Opens nothing.

use crate::domain::disclosure::{Decision, Reason, Request, decide, permit};
use crate::domain::field::{Field, FieldSet};
use crate::domain::purpose::Purpose;
use crate::ledger::Kind;
use crate::secret::Personal;
use crate::store::release_rows;

use super::withdraw::{find, personal};
use super::{Actor, Appended, Error, Gateway, Thing};

/// The answer for one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldAnswer {
    /// The field.
    pub field: Field,
    /// `None` when it would be released.
    pub reason: Option<Reason>,
}

/// The whole answer.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// What a pull without a list of fields would give.
    pub decision: Decision,
    /// Every field of the catalogue, asked for alone.
    pub fields: Vec<FieldAnswer>,
    /// Index of the entry this question made.
    pub entry: u64,
}

/// Explains. The question is an entry itself, because it tells about a person.
pub async fn explain(
    gateway: &Gateway,
    actor: &Actor,
    (partner_code, purpose): (&str, Purpose),
    address: &Personal,
) -> Result<Explanation, Error> {
    let registry = gateway.registry_now().await?;
    let partner = registry.partner_by_code(partner_code).ok_or(Error::Unknown(Thing::Partner))?;
    let partner = partner.id;
    for _ in 0..super::ATTEMPTS {
        let found = find(gateway, address).await?;
        let mut facts = gateway.staff_facts(Kind::AuditQuery, "explain", actor);
        facts.partner = Some(partner);
        facts.purpose = Some(purpose);
        let draft = personal(facts, &found)?;
        let Appended::Done(receipt) = gateway.append(draft).await? else { continue };
        let no = found.contact.standing.no;
        let candidate = gateway
            .store
            .read(move |tx| release_rows::find_candidate(tx, partner, purpose, no))
            .await?
            .ok_or(Error::Unknown(Thing::Contact))?;
        let now = gateway.now();
        let terms = registry.terms(partner, purpose, now).ok_or(Error::Unknown(Thing::Partner))?;
        let bound = registry.policy(candidate.standing.policy);
        let answer = |fields: Option<FieldSet>| {
            let request = Request { purpose, fields, territory: None, point: None };
            match permit(&terms, &request) {
                Ok(permit) => decide(&permit, bound, &candidate.standing),
                Err(reason) => Decision::Withhold(reason),
            }
        };
        let fields = Field::ALL.iter().map(|field| FieldAnswer {
            field: *field,
            reason: match answer(Some(FieldSet::of(&[*field]))) {
                Decision::Release(_) => None,
                Decision::Withhold(reason) => Some(reason),
            },
        });
        return Ok(Explanation {
            decision: answer(None),
            fields: fields.collect(),
            entry: receipt.index(),
        });
    }
    Err(Error::Busy { what: "the ledger moved", retry_after_s: 1 })
}
