//! A partner asks for leads: read, decide, record, and only then open.
//!
//! The turning point of the house. Everything is read in one snapshot together with the size of
//! the ledger; the sequencer takes the entry only if nothing narrowed what may be released since,
//! otherwise we read and decide again. Plaintext appears in the last step, against the receipt.

use crate::clock::{DAY, Moment};
use crate::domain::disclosure::{Decision, Permit, Reason, Request, decide, permit as permit_of};
use crate::domain::field::{Field, FieldSet};
use crate::domain::purpose::Purpose;
use crate::id::{ContactNo, PartnerId, PolicyVersion, RequestId, Thumbprint};
use crate::ledger::{Draft, Facts, Item, Kind, Receipt};
use crate::secret::{Personal, random};
use crate::store::release_rows::{self, Candidate, CandidateQuery};
use crate::store::{ReadTx, StoreError};
use crate::vault::sealed::{Sealed, SealedContact};
use crate::vault::{self, ticket};

use super::cursor::Cursor;
use super::registry::Registry;
use super::{Appended, Error, Gateway, Thing};

/// Most leads on one page.
pub const LEADS_MAX: u16 = 1_000;

/// Leads on a page when the partner names no number.
pub const LEADS_USUAL: u16 = 100;

/// Which partner asks, over which certificate, in which request.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// The partner.
    pub partner: PartnerId,
    /// The certificate of the connection.
    pub certificate: Thumbprint,
    /// The request.
    pub request: RequestId,
}

/// A page of leads that is asked for.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// Purpose, fields, territory, collection point.
    pub what: Request,
    /// Only contacts that changed at or after this moment.
    pub updated_since: Option<Moment>,
    /// Most leads, 1 to [`LEADS_MAX`].
    pub limit: u16,
    /// Where the last page ended.
    pub cursor: Option<String>,
}

/// One lead, opened.
pub struct Lead {
    /// The partner's own id of the contact.
    pub id: String,
    /// The values that were released, in the order of the catalogue.
    pub fields: Vec<(Field, Personal)>,
}

/// What leaves: leads, and the proof that they were recorded before.
pub struct Released {
    /// The leads.
    pub leads: Vec<Lead>,
    /// What they may be used for.
    pub purpose: Purpose,
    /// The policy version in force.
    pub policy: PolicyVersion,
    /// Until when they may be kept without renewal.
    pub use_until: Moment,
    /// Where the next page begins; `None` on the last page.
    pub next: Option<String>,
    /// The receipt of the entry.
    pub receipt: Receipt,
    /// The salt of the commitment in the entry.
    pub salt: [u8; 16],
}

/// One person who is to be released: decided, still sealed.
struct Chosen {
    candidate: Candidate,
    fields: FieldSet,
    sealed: Vec<Sealed>,
}

/// What one snapshot gave.
struct Read {
    size: u64,
    policy: Option<PolicyVersion>,
    outcome: Result<Page, Reason>,
}

struct Page {
    chosen: Vec<Chosen>,
    /// The last contact looked at, where there may be more behind it.
    last: Option<ContactNo>,
}

/// Releases a page of leads.
///
/// # Errors
/// `Refused` when the request as a whole is refused (recorded as an entry), `Invalid` for a
/// cursor that is not this partner's for this query, `Busy`, `Broken`.
pub async fn page(gateway: &Gateway, asker: Asker, ask: PageRequest) -> Result<Released, Error> {
    let cursor = Cursor::of(asker.partner, &ask);
    let now = gateway.clock.now();
    let after = cursor.open(gateway, ask.cursor.as_deref(), now)?;
    let limit = ask.limit.clamp(1, LEADS_MAX);
    let reading = gateway.clone();
    let (what, since) = (ask.what, ask.updated_since);
    let read = move |tx: &mut ReadTx, now: Moment| {
        let mark = release_rows::read_head(tx)?;
        let registry = reading.registry(tx, &mark)?;
        let scene = Scene { size: mark.size, registry: &registry, asker, what: &what, now };
        read_page(tx, &scene, (since, after, limit))
    };
    let (page, policy, recorded) = record(gateway, asker, "leads.list", ask.what, read).await?;
    let next = page.last.map(|last| cursor.seal(gateway, last, recorded.at)).transpose()?;
    open(gateway, asker, ask.what.purpose, page, (policy, recorded), next)
}

/// Releases one lead.
///
/// # Errors
/// `Unknown` for an id of nobody, of another partner, or of a person who is withheld: the three
/// cannot be told apart. The refusal is recorded as an entry with its reason.
pub async fn one(
    gateway: &Gateway,
    asker: Asker,
    what: Request,
    lead_id: &str,
) -> Result<Released, Error> {
    let number = ticket::read_lead_id(&gateway.keyring(), asker.partner, lead_id).ok();
    let reading = gateway.clone();
    let read = move |tx: &mut ReadTx, now: Moment| {
        let mark = release_rows::read_head(tx)?;
        let registry = reading.registry(tx, &mark)?;
        let scene = Scene { size: mark.size, registry: &registry, asker, what: &what, now };
        read_one(tx, &scene, number)
    };
    match record(gateway, asker, "leads.read", what, read).await {
        Ok((page, policy, recorded)) => {
            open(gateway, asker, what.purpose, page, (policy, recorded), None)
        }
        Err(Error::Refused(reason, _)) if reason.is_about_a_person() => {
            Err(Error::Unknown(Thing::Contact))
        }
        Err(error) => Err(error),
    }
}

/// Records that a door turned an authenticated partner away before anything was decided; gives
/// the receipt of that entry.
///
/// # Errors
/// `Busy` when nothing can be recorded now: then the door must say that instead.
pub async fn refuse(
    gateway: &Gateway,
    asker: Asker,
    purpose: Option<Purpose>,
    reason: Reason,
) -> Result<Receipt, Error> {
    let mut facts = Facts::new(Kind::Withhold, "door.refuse", asker.request, gateway.now());
    facts.partner = Some(asker.partner);
    facts.certificate = Some(asker.certificate);
    facts.purpose = purpose;
    facts.reason = Some(reason);
    gateway.act(Gateway::draft(facts, Vec::new())?).await
}

/// Reads and decides in one snapshot, appends the entry, and begins again when something narrowed
/// in between. A refusal is recorded too, and comes back as `Refused`.
async fn record<F>(
    gateway: &Gateway,
    asker: Asker,
    op: &'static str,
    what: Request,
    read: F,
) -> Result<(Page, PolicyVersion, Recorded), Error>
where
    F: Fn(&mut ReadTx, Moment) -> Result<Read, StoreError> + Clone + Send + Sync + 'static,
{
    if gateway.outside.is_silent_too_long(gateway.clock.now()) {
        return Err(Error::Busy { what: super::error::UNWITNESSED, retry_after_s: 60 });
    }
    for _ in 0..super::ATTEMPTS {
        let now = gateway.clock.now();
        let again = read.clone();
        let read = gateway.store.read(move |tx| again(tx, now)).await?;
        let salt = random::<16>().map_err(Error::broken)?;
        let draft = draft(asker, op, what, &read, (now, salt))?;
        match gateway.append(draft).await? {
            Appended::Stale => {}
            Appended::Done(receipt) => {
                let page = match read.outcome {
                    Ok(page) => page,
                    Err(reason) => return Err(Error::Refused(reason, Box::new(receipt))),
                };
                let policy = read.policy.ok_or_else(|| Error::broken("released without policy"))?;
                return Ok((page, policy, Recorded { receipt, salt, at: now }));
            }
        }
    }
    Err(Error::Busy { what: "withdrawals keep arriving", retry_after_s: 1 })
}

/// What `record` hands on: the receipt, the salt it was committed under, the moment of decision.
struct Recorded {
    receipt: Receipt,
    salt: [u8; 16],
    at: Moment,
}

/// What a decision looks at besides the people: all of one snapshot, at one moment.
struct Scene<'a> {
    size: u64,
    registry: &'a Registry,
    asker: Asker,
    what: &'a Request,
    now: Moment,
}

impl Scene<'_> {
    /// Step one of the decision, and the policy version in force.
    fn permit(&self) -> (Result<Permit, Reason>, Option<PolicyVersion>) {
        let terms = self.registry.terms(self.asker.partner, self.what.purpose, self.now);
        let policy = self.registry.policy_in_force(self.now).map(|policy| policy.version);
        let permit = terms.ok_or(Reason::PartnerNotActive);
        (permit.and_then(|terms| permit_of(&terms, self.what)), policy)
    }
}

fn read_page(
    tx: &mut ReadTx,
    scene: &Scene<'_>,
    (since, after, limit): (Option<Moment>, ContactNo, u16),
) -> Result<Read, StoreError> {
    let (size, registry) = (scene.size, scene.registry);
    let (permit, policy) = scene.permit();
    let permit = match permit {
        Ok(permit) => permit,
        Err(reason) => return Ok(Read { size, policy, outcome: Err(reason) }),
    };
    let policies: Vec<_> = registry
        .policies()
        .iter()
        .filter(|policy| !permit.fields_under(policy).is_empty())
        .map(|policy| policy.version)
        .collect();
    let query = CandidateQuery {
        partner: scene.asker.partner,
        purpose: scene.what.purpose,
        territory: permit.territory(),
        points: permit.points(),
        policies: &policies,
        after,
        updated_since: since,
        limit,
    };
    let candidates = release_rows::list_candidates(tx, &query)?;
    let full = candidates.len() == usize::from(limit);
    let last = candidates.last().filter(|_| full).map(|candidate| candidate.standing.no);
    let chosen = candidates
        .into_iter()
        .filter_map(|candidate| match decide_one(registry, &permit, &candidate) {
            Decision::Release(fields) => Some(Chosen { candidate, fields, sealed: Vec::new() }),
            Decision::Withhold(_) => None,
        })
        .collect();
    let chosen = fetch_sealed(tx, chosen)?;
    Ok(Read { size, policy, outcome: Ok(Page { chosen, last }) })
}

fn read_one(
    tx: &mut ReadTx,
    scene: &Scene<'_>,
    number: Option<ContactNo>,
) -> Result<Read, StoreError> {
    let Scene { size, registry, asker, what, .. } = *scene;
    let (permit, policy) = scene.permit();
    let found = match number {
        Some(no) => release_rows::find_candidate(tx, asker.partner, what.purpose, no)?,
        None => None,
    };
    let decided = permit.and_then(|permit| {
        let candidate = found.ok_or(Reason::UnknownContact)?;
        match decide_one(registry, &permit, &candidate) {
            Decision::Release(fields) => Ok(Chosen { candidate, fields, sealed: Vec::new() }),
            Decision::Withhold(reason) => Err(reason),
        }
    });
    let outcome = match decided {
        Ok(chosen) => Ok(Page { chosen: fetch_sealed(tx, vec![chosen])?, last: None }),
        Err(reason) => Err(reason),
    };
    Ok(Read { size, policy, outcome })
}

fn decide_one(registry: &Registry, permit: &Permit, candidate: &Candidate) -> Decision {
    let bound = registry.policy(candidate.standing.policy);
    decide(permit, bound, &candidate.standing)
}

/// Selects the sealed values of exactly the fields that were decided: what is not released is
/// never selected.
fn fetch_sealed(tx: &mut ReadTx, mut chosen: Vec<Chosen>) -> Result<Vec<Chosen>, StoreError> {
    if chosen.is_empty() {
        return Ok(chosen);
    }
    let wanted: Vec<_> = chosen.iter().map(|one| (one.candidate.standing.no, one.fields)).collect();
    let mut rows = release_rows::list_sealed(tx, &wanted)?.into_iter().peekable();
    for one in &mut chosen {
        let no = one.candidate.standing.no;
        while let Some((_, sealed)) = rows.next_if(|(owner, _)| *owner == no) {
            one.sealed.push(sealed);
        }
    }
    Ok(chosen)
}

fn draft(
    asker: Asker,
    op: &'static str,
    what: Request,
    read: &Read,
    (now, salt): (Moment, [u8; 16]),
) -> Result<Draft<crate::store::Effect>, Error> {
    let mut facts = Facts::new(Kind::Withhold, op, asker.request, now);
    facts.partner = Some(asker.partner);
    facts.certificate = Some(asker.certificate);
    facts.purpose = Some(what.purpose);
    facts.policy = read.policy;
    let mut items = Vec::new();
    let mut response_salt = None;
    match &read.outcome {
        Err(reason) => facts.reason = Some(*reason),
        Ok(page) => {
            facts.kind = Kind::Release;
            facts.fields =
                Some(page.chosen.iter().fold(FieldSet::NONE, |all, one| all.or(one.fields)));
            for one in &page.chosen {
                items.push(Item {
                    contact_no: Some(one.candidate.standing.no),
                    contact_ref: one.candidate.standing.reference,
                    fields: one.fields,
                    salt: random().map_err(Error::broken)?,
                    version: one.candidate.standing.version,
                });
            }
            let sealed = page.chosen.iter().flat_map(|one| &one.sealed);
            facts.response = Some(vault::commitment(&salt, sealed));
            response_salt = Some(salt);
        }
    }
    let mut draft = Gateway::draft(facts, items)?;
    draft.response_salt = response_salt;
    draft.decided_at = Some(read.size);
    Ok(draft)
}

fn open(
    gateway: &Gateway,
    asker: Asker,
    purpose: Purpose,
    page: Page,
    (policy, recorded): (PolicyVersion, Recorded),
    next: Option<String>,
) -> Result<Released, Error> {
    let keyring = gateway.keyring();
    let Recorded { receipt, salt, at } = recorded;
    let mut leads = Vec::with_capacity(page.chosen.len());
    for one in page.chosen {
        let standing = one.candidate.standing;
        let contact = SealedContact {
            reference: standing.reference,
            key: one.candidate.key,
            fields: one.sealed,
        };
        let fields =
            vault::open(&keyring, &contact, one.fields, &receipt).map_err(Error::broken)?;
        let id = ticket::lead_id(&keyring, asker.partner, standing.no).map_err(Error::broken)?;
        leads.push(Lead { id, fields });
    }
    let lease = i64::from(purpose.row().lease_days).saturating_mul(DAY);
    Ok(Released { leads, purpose, policy, use_until: at.plus(lease), next, receipt, salt })
}
