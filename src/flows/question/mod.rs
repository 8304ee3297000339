//! Somebody asks the ledger: by person, partner, purpose, field, reason, certificate, policy
//! version, time, in any combination. Each question is an entry itself, written first.

mod asked;

use serde_json::{Map, Value, json};

use crate::clock::DAY;
use crate::domain::field::Field;
use crate::id::{ContactNo, Thumbprint, digest};
use crate::ledger::bundle::fields_of;
use crate::ledger::entry::ReadEntry;
use crate::ledger::{Facts, prove};
use crate::secret::Personal;
use crate::store::audit_rows;
use crate::store::search_rows::{self, Page};
use crate::store::{Effect, ReadTx, StoreError};

use super::cursor::{open_place, seal_place};
use super::release::Asker;
use super::withdraw::{Trace, personal, trace};
use super::{Actor, Appended, Error, Gateway, Thing};

pub use asked::Asked;

pub use crate::ledger::Kind;
pub use crate::ledger::bundle::{ProvenItem, Row};
pub use crate::store::search_rows::Search;

/// Entries on a page unless asked otherwise.
pub const HITS_USUAL: u16 = 100;

/// Most entries on a page.
pub const HITS_MAX: u16 = 1_000;

/// A cursor is good for a day: an answer is a matter of one sitting.
const GOOD_FOR: i64 = DAY;

/// Who asks.
#[derive(Debug, Clone)]
pub enum Inquirer {
    /// Our own staff, at the command line.
    Staff(Actor),
    /// An auditor at the partner door.
    Auditor(Asker),
}

impl From<&Actor> for Inquirer {
    fn from(actor: &Actor) -> Self {
        Self::Staff(actor.clone())
    }
}

impl From<Asker> for Inquirer {
    fn from(asker: Asker) -> Self {
        Self::Auditor(asker)
    }
}

impl Inquirer {
    /// The facts of the entry that records the question.
    pub(super) fn facts(&self, gateway: &Gateway, op: &'static str) -> Facts {
        match self {
            Self::Staff(actor) => gateway.staff_facts(Kind::AuditQuery, op, actor),
            Self::Auditor(asker) => {
                let mut facts = Facts::new(Kind::AuditQuery, op, asker.request, gateway.now());
                facts.partner = Some(asker.partner);
                facts.certificate = Some(asker.certificate);
                facts
            }
        }
    }
}

/// A question.
pub struct Question {
    /// What must hold of an entry; its contact is filled in from `person`.
    pub search: Search,
    /// E-mail address of the person asked about.
    pub person: Option<Personal>,
    /// Whether the newest come first.
    pub newest_first: bool,
    /// Most entries on the page.
    pub limit: u16,
    /// Where the last page ended; the beginning without.
    pub cursor: Option<String>,
}

impl Question {
    /// What is asked, as JSON with sorted keys. The person is not in it: her item says whom.
    pub(super) fn asked(&self) -> Value {
        let Search { partner, certificate, kind, op, purpose, reason, policy, .. } = &self.search;
        let fields: Vec<_> = self.search.fields.iter().map(Field::code).collect();
        let mut asked = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                asked.insert(key.to_owned(), value);
            }
        };
        put("certificate", certificate.map(|one| json!(one.to_string())));
        put("fields", Some(json!(fields)).filter(|_| !fields.is_empty()));
        put("from", self.search.from.map(|at| json!(at.rfc3339())));
        put("kind", kind.map(|kind| json!(kind.code())));
        put("newest_first", Some(json!(self.newest_first)));
        put("operation", op.as_ref().map(|op| json!(op)));
        put("partner", partner.map(|id| json!(id.to_string())));
        put("person", self.person.as_ref().map(|_| json!(true)));
        put("policy_version", policy.map(|version| json!(version.0)));
        put("purpose", purpose.map(|purpose| json!(purpose.code())));
        put("reason", reason.map(|reason| json!(reason.code())));
        put("until", self.search.until.map(|at| json!(at.rfc3339())));
        Value::Object(asked)
    }

    /// The keys of what is asked, for the entry: `certificate.from.kind`, shortened to fit.
    fn detail(&self) -> String {
        let asked = self.asked();
        let keys = asked.as_object().into_iter().flat_map(Map::keys);
        let short = keys.filter_map(|key| match key.as_str() {
            "certificate" => Some("cert"),
            "newest_first" => None,
            "operation" => Some("op"),
            "partner" => Some("aud"),
            "person" => Some("ref"),
            "policy_version" => Some("pol"),
            "purpose" => Some("pur"),
            "reason" => Some("why"),
            "fields" => Some("fields"),
            "from" => Some("from"),
            "kind" => Some("k"),
            _ => Some("until"),
        });
        let short: Vec<_> = short.collect();
        if short.is_empty() { "all".to_owned() } else { short.join(".") }
    }

    /// Writes the question down: codes of what is asked, a digest of the values, and the person
    /// as her salted item.
    pub(super) async fn record(
        &self,
        gateway: &Gateway,
        by: &Inquirer,
        op: &'static str,
    ) -> Result<Recorded, Error> {
        for _ in 0..super::ATTEMPTS {
            let mut facts = by.facts(gateway, op);
            if facts.partner.is_none() {
                facts.partner = self.search.partner;
            }
            facts.purpose = self.search.purpose;
            facts.policy = self.search.policy;
            facts.fields = Some(self.search.fields).filter(|fields| !fields.is_empty());
            facts.detail = Some(self.detail().into());
            facts.subject = Some(self.code().into());
            let found = match &self.person {
                None => None,
                Some(address) => Some(trace(gateway, address).await?),
            };
            let (draft, contact): (crate::ledger::Draft<Effect>, _) = match &found {
                Some(Trace::Contact(found)) => {
                    (personal(facts, found)?, Ok(Some(found.contact.standing.no)))
                }
                // Whether somebody is here is an answer as well: no address is tried unrecorded.
                Some(Trace::Nobody) => {
                    (Gateway::draft(facts, Vec::new())?, Err(Error::Unknown(Thing::Contact)))
                }
                Some(Trace::Erased) => {
                    let erased = Error::Conflict(Thing::Contact, "it is erased".to_owned());
                    (Gateway::draft(facts, Vec::new())?, Err(erased))
                }
                None => (Gateway::draft(facts, Vec::new())?, Ok(None)),
            };
            if let Appended::Done(receipt) = gateway.append(draft).await? {
                return Ok(Recorded { entry: receipt.index(), contact: contact? });
            }
        }
        Err(Error::Busy { what: "the ledger moved", retry_after_s: 1 })
    }

    /// `qst_` and half a SHA-256 of what is asked: who has the question can find its entry.
    fn code(&self) -> String {
        let digest = Thumbprint(digest(self.asked().to_string().as_bytes())).hex();
        format!("qst_{}", digest.chars().take(32).collect::<String>())
    }
}

/// A question that is in the ledger.
pub(super) struct Recorded {
    /// Its index; the answer looks at the entries in front of it.
    pub(super) entry: u64,
    pub(super) contact: Option<ContactNo>,
}

/// One entry of an answer.
#[derive(Debug, Clone)]
pub struct Hit {
    /// What it says.
    pub row: Row,
    /// The person that was asked about, with the path to the entry; nothing where nobody was.
    pub items: Vec<ProvenItem>,
}

/// One page of an answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was found, in the order asked for.
    pub hits: Vec<Hit>,
    /// Cursor of the next page, if there may be one.
    pub next: Option<String>,
    /// Index of the entry this question made.
    pub entry: u64,
}

/// Answers a question, page by page. All pages see the ledger as the first one saw it.
///
/// # Errors
/// `Unknown` for a person that is not here, `Conflict` for one that is erased: both are recorded
/// first. `Invalid` for a limit or cursor that cannot be.
pub async fn ask(gateway: &Gateway, by: &Inquirer, of: &Question) -> Result<Answer, Error> {
    if !(1..=HITS_MAX).contains(&of.limit) {
        return Err(Error::invalid("limit", "must be between 1 and 1000"));
    }
    let place = of.cursor.as_deref().map(|text| open(gateway, of, text)).transpose()?;
    let recorded = of.record(gateway, by, "audit.find").await?;
    let (after, horizon) = place.map_or((None, recorded.entry), |place| (Some(place.0), place.1));
    let page = Page { horizon, after, newest_first: of.newest_first, limit: of.limit };
    let search = Search { contact: recorded.contact, ..of.search.clone() };
    let read = gateway.store.read(move |tx| Ok::<_, StoreError>(hits(tx, &search, &page)));
    let hits = read.await??;
    let last = hits.last().map(|hit| hit.row.index);
    let last = last.filter(|_| hits.len() == usize::from(of.limit));
    let next = last.map(|last| seal(gateway, of, (last, horizon))).transpose()?;
    Ok(Answer { hits, next, entry: recorded.entry })
}

fn hits(tx: &mut ReadTx, search: &Search, page: &Page) -> Result<Vec<Hit>, Error> {
    let indices = search_rows::find_entries(tx, search, page)?;
    let mut hits = Vec::with_capacity(indices.len());
    for (index, body) in audit_rows::read_entries(tx, &indices)? {
        let items = match search.contact {
            None => Vec::new(),
            Some(contact) => items(tx, contact, index)?,
        };
        let entry = ReadEntry::parse(&body).map_err(Error::broken)?;
        hits.push(Hit { row: Row::of(index, &entry, fields_of(&items)), items });
    }
    Ok(hits)
}

/// A person's items below an entry, each with its inner path.
pub(super) fn items(
    tx: &mut ReadTx,
    contact: ContactNo,
    index: u64,
) -> Result<Vec<ProvenItem>, Error> {
    let found = audit_rows::find_items(tx, contact, index)?;
    let projection = audit_rows::find_projection(tx, index)?;
    let hashes = projection.map(|projection| projection.item_hashes).unwrap_or_default();
    let item = |(position, bytes)| {
        let path = prove::inner_path(&hashes, position);
        let path = path.ok_or_else(|| Error::broken("an item stands outside its entry"))?;
        Ok(ProvenItem { position, bytes, path })
    };
    found.into_iter().map(item).collect()
}

/// What a cursor is bound to: the question, and the person without naming her.
fn context(gateway: &Gateway, of: &Question) -> Result<Vec<u8>, Error> {
    let mut context = format!("audit 1 {}", of.asked()).into_bytes();
    if let Some(address) = &of.person {
        let index = crate::vault::blind_index::blind_index(&gateway.keyring(), address);
        context.extend_from_slice(&index.map_err(|_| bad_email())?.0);
    }
    Ok(context)
}

fn bad_email() -> Error {
    Error::invalid("email", "is not an e-mail address")
}

fn seal(gateway: &Gateway, of: &Question, (last, horizon): (u64, u64)) -> Result<String, Error> {
    let until = gateway.now().plus(GOOD_FOR);
    seal_place(gateway, &context(gateway, of)?, [last, horizon], until)
}

fn open(gateway: &Gateway, of: &Question, text: &str) -> Result<(u64, u64), Error> {
    let opened = open_place(gateway, &context(gateway, of)?, text);
    let ([last, horizon], until) = opened.ok_or_else(|| {
        let says = "not a cursor of this question: repeat the question it came from, or begin \
                    without";
        Error::invalid("cursor", says)
    })?;
    if gateway.now() > until {
        return Err(Error::invalid("cursor", "older than a day: begin again without it"));
    }
    Ok((last, horizon))
}
