//! What is demanded back from partners, and how far each demand is.
//!
//! A recall is opened beside the entry that causes it, from what the ledger says that partners
//! received: never from a list that somebody keeps.

use diesel::RunQueryDsl as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::error::{EffectError, StoreError, read};
use super::ledger_rows::{signed, unsigned};
use super::partner_rows::{find_partner, one};
use super::release_rows::read_head;
use super::schema::recall;
use super::statement::fixed;
use super::tx::{ReadTx, WriteTx};
use crate::clock::{DAY, Moment};
use crate::domain::purpose::Purpose;
use crate::domain::recall::{
    Recall, RecallCause, RecallState, Received, Receivers, RefusalGround, Scope,
};
use crate::id::{ContactNo, PartnerId, RecallId};

/// What stands for "everything" in the column.
const EVERYTHING: &str = "";

/// Columns of a row, in the order of the table.
type RecallColumns = (
    Text,
    Text,
    BigInt,
    Text,
    Text,
    BigInt,
    BigInt,
    BigInt,
    Text,
    Nullable<Text>,
    BigInt,
    Nullable<BigInt>,
);

/// All recalls of which the rest holds.
macro_rules! every {
    ($rest:expr) => {
        concat!(
            "SELECT id, partner_id, contact_no, purpose, cause, opened, opened_at, due_at, state, \
             ground, last, overdue FROM recall WHERE opened >= 0 ",
            $rest
        )
    };
}

/// Those that wait for their partner, word for word as the partial indexes have it: a bound value
/// would keep both databases from using them.
macro_rules! waiting {
    ($rest:expr) => {
        every!(concat!("AND state IN ('open', 'told', 'received') ", $rest))
    };
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = recall)]
struct RecallRow {
    id: String,
    partner_id: String,
    contact_no: i64,
    purpose: String,
    cause: String,
    opened: i64,
    opened_at: i64,
    due_at: i64,
    state: String,
    ground: Option<String>,
    last: i64,
    overdue: Option<i64>,
}

impl From<&Recall> for RecallRow {
    fn from(of: &Recall) -> Self {
        Self {
            id: of.id.to_string(),
            partner_id: of.partner.to_string(),
            contact_no: of.contact.0,
            purpose: of.purpose.map_or(EVERYTHING, Purpose::code).to_owned(),
            cause: of.cause.code().to_owned(),
            opened: signed(of.opened),
            opened_at: of.opened_at.0,
            due_at: of.due_at.0,
            state: of.state.code().to_owned(),
            ground: of.ground.map(|ground| ground.code().to_owned()),
            last: signed(of.last),
            overdue: of.overdue.map(signed),
        }
    }
}

impl TryFrom<RecallRow> for Recall {
    type Error = StoreError;

    fn try_from(row: RecallRow) -> Result<Self, StoreError> {
        let purpose = match row.purpose.as_str() {
            EVERYTHING => None,
            code => Some(read(Purpose::from_code(code), "recall.purpose")?),
        };
        let ground = row.ground.as_deref();
        let ground = ground.map(|code| read(RefusalGround::from_code(code), "recall.ground"));
        Ok(Self {
            id: read(row.id.parse().ok(), "recall.id")?,
            partner: read(row.partner_id.parse().ok(), "recall.partner_id")?,
            contact: ContactNo(row.contact_no),
            purpose,
            cause: read(RecallCause::from_code(&row.cause), "recall.cause")?,
            opened: unsigned(row.opened)?,
            opened_at: Moment(row.opened_at),
            due_at: Moment(row.due_at),
            state: read(RecallState::from_code(&row.state), "recall.state")?,
            ground: ground.transpose()?,
            last: unsigned(row.last)?,
            overdue: row.overdue.map(unsigned).transpose()?,
        })
    }
}

/// What each partner received of a contact, as of this snapshot.
pub fn list_receivers(tx: &mut ReadTx, no: ContactNo) -> Result<Receivers, StoreError> {
    let size = read_head(tx)?.size;
    Ok(Receivers { received: list_received(tx, no, 0)?, size })
}

/// What each partner received of a contact in the entries from `from` on, with the newest release
/// for each purpose.
fn list_received(tx: &mut ReadTx, no: ContactNo, from: u64) -> Result<Vec<Received>, StoreError> {
    let rows: Vec<(String, String, i64)> = fixed::<(Text, Text, BigInt)>(
        "SELECT p.partner, p.purpose, max(d.idx) \
         FROM disclosed_item d JOIN ledger_projection p ON p.idx = d.idx \
         WHERE d.contact_no = $1 AND d.idx >= $2 AND p.kind = 'release' \
         AND d.idx >= coalesce((SELECT min_index FROM ledger_log WHERE id = 1), 0) \
         GROUP BY p.partner, p.purpose ORDER BY p.partner, p.purpose",
    )
    .bind::<BigInt, _>(no.0)
    .bind::<BigInt, _>(signed(from))
    .load(tx.statement())?;
    let received = |(partner, purpose, last): (String, String, i64)| {
        Ok(Received {
            partner: read(partner.parse().ok(), "ledger_projection.partner")?,
            purpose: read(Purpose::from_code(&purpose), "ledger_projection.purpose")?,
            last: unsigned(last)?,
        })
    };
    rows.into_iter().map(received).collect()
}

/// Opens a recall for every partner that received something of a contact in this scope which
/// nobody demanded back since. What came behind `known` is read under the lock of the ledger's
/// head, where the entry of the effect ends all releases: nobody is left out, and a long history
/// keeps nobody waiting.
///
/// # Errors
/// Those of the database.
pub fn open_recalls(
    tx: &mut WriteTx,
    no: ContactNo,
    mut known: Receivers,
    (scope, cause): (Scope, RecallCause),
    at: Moment,
) -> Result<(), EffectError> {
    let since = list_received(tx, no, known.size)?;
    known.add(since);
    if known.received.is_empty() {
        return Ok(());
    }
    let former = list_recalls_of(tx, no)?;
    for partner in scope.to_open(cause, &known.received, &former) {
        let days = find_partner(tx, partner)?.map_or(0, |partner| partner.recall_days);
        let recall = Recall {
            id: RecallId::new(),
            partner,
            contact: no,
            purpose: scope.purpose,
            cause,
            opened: tx.index(),
            opened_at: at,
            // The partner learns days only, so the last one counts to its end.
            due_at: at.plus(i64::from(days).saturating_mul(DAY)).day_start().plus(DAY - 1),
            state: RecallState::Open,
            ground: None,
            last: tx.index(),
            overdue: None,
        };
        diesel::insert_into(recall::table)
            .values(RecallRow::from(&recall))
            .execute(tx.statement())?;
    }
    Ok(())
}

/// Finds a recall.
pub fn find_recall(tx: &mut ReadTx, id: RecallId) -> Result<Option<Recall>, StoreError> {
    let query = recall::table.filter(recall::id.eq(id.to_string()));
    let row: Option<RecallRow> = query.first(tx.statement()).optional()?;
    row.map(Recall::try_from).transpose()
}

/// Every recall about a contact, oldest first.
pub fn list_recalls_of(tx: &mut ReadTx, no: ContactNo) -> Result<Vec<Recall>, StoreError> {
    let query = recall::table.filter(recall::contact_no.eq(no.0));
    let rows: Vec<RecallRow> = query.order((recall::opened, recall::id)).load(tx.statement())?;
    rows.into_iter().map(Recall::try_from).collect()
}

/// What a partner has not said that it received, oldest first, at most so many.
pub fn list_undelivered(
    tx: &mut ReadTx,
    partner: PartnerId,
    limit: u16,
) -> Result<Vec<Recall>, StoreError> {
    let sql = waiting!("AND partner_id = $1 AND state <> 'received' ORDER BY opened, id LIMIT $2");
    list_waiting(tx, sql, partner, limit)
}

/// What a partner said that it received and did not answer in time, oldest first: it may have lost
/// the demand.
pub fn list_reminders(
    tx: &mut ReadTx,
    partner: PartnerId,
    limit: u16,
) -> Result<Vec<Recall>, StoreError> {
    let sql = waiting!(
        "AND partner_id = $1 AND state = 'received' AND overdue IS NOT NULL \
         ORDER BY opened, id LIMIT $2"
    );
    list_waiting(tx, sql, partner, limit)
}

fn list_waiting(
    tx: &mut ReadTx,
    sql: &'static str,
    partner: PartnerId,
    limit: u16,
) -> Result<Vec<Recall>, StoreError> {
    let rows: Vec<RecallRow> = fixed::<RecallColumns>(sql)
        .bind::<Text, _>(partner.to_string())
        .bind::<BigInt, _>(i64::from(limit))
        .load(tx.statement())?;
    rows.into_iter().map(Recall::try_from).collect()
}

/// Which recalls staff ask for.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecallQuery {
    /// Of this partner; of all when left out.
    pub partner: Option<PartnerId>,
    /// Those that were answered too.
    pub answered: bool,
    /// Behind this one, where the last page ended: when it was opened, and its id.
    pub after: Option<(u64, RecallId)>,
    /// At most so many.
    pub limit: u16,
}

/// Recalls, oldest first.
pub fn list_recalls(tx: &mut ReadTx, of: RecallQuery) -> Result<Vec<Recall>, StoreError> {
    macro_rules! page {
        ($select:expr) => {
            concat!(
                $select,
                "AND (opened, id) > ($1, $2) AND ($3 = '' OR partner_id = $3) \
                 ORDER BY opened, id LIMIT $4"
            )
        };
    }
    let (opened, id) =
        of.after.map_or((-1, String::new()), |(opened, id)| (signed(opened), id.to_string()));
    let sql = if of.answered { page!(every!("")) } else { page!(waiting!("")) };
    let rows: Vec<RecallRow> = fixed::<RecallColumns>(sql)
        .bind::<BigInt, _>(opened)
        .bind::<Text, _>(id)
        .bind::<Text, _>(of.partner.map(|partner| partner.to_string()).unwrap_or_default())
        .bind::<BigInt, _>(i64::from(of.limit))
        .load(tx.statement())?;
    rows.into_iter().map(Recall::try_from).collect()
}

/// Recalls whose time to answer is over and of which no entry says so yet.
pub fn list_late(tx: &mut ReadTx, now: Moment, limit: u16) -> Result<Vec<Recall>, StoreError> {
    let sql = waiting!("AND overdue IS NULL AND due_at < $1 ORDER BY due_at LIMIT $2");
    let rows: Vec<RecallRow> = fixed::<RecallColumns>(sql)
        .bind::<BigInt, _>(now.0)
        .bind::<BigInt, _>(i64::from(limit))
        .load(tx.statement())?;
    rows.into_iter().map(Recall::try_from).collect()
}

/// Moves a recall on from the state in which it was read.
///
/// # Errors
/// `Conflict` when it is not in that state any more.
pub fn move_recall(
    tx: &mut WriteTx,
    of: &Recall,
    to: RecallState,
    ground: Option<RefusalGround>,
) -> Result<(), EffectError> {
    let target = recall::id.eq(of.id.to_string()).and(recall::state.eq(of.state.code()));
    let index = signed(tx.index());
    let changed = diesel::update(recall::table.filter(target))
        .set((
            recall::state.eq(to.code()),
            recall::ground.eq(ground.map(RefusalGround::code)),
            recall::last.eq(index),
        ))
        .execute(tx.statement())?;
    one(changed, "the recall moved on in between")
}

/// Notes which entry says that a recall is overdue.
///
/// # Errors
/// `Conflict` when it was answered or noted in between.
pub fn note_overdue(tx: &mut WriteTx, id: RecallId) -> Result<(), EffectError> {
    let index = signed(tx.index());
    let changed = fixed::<()>(
        "UPDATE recall SET overdue = $1 \
         WHERE id = $2 AND state IN ('open', 'told', 'received') AND overdue IS NULL",
    )
    .bind::<BigInt, _>(index)
    .bind::<Text, _>(id.to_string())
    .execute(tx.statement())?;
    one(changed, "the recall was answered or noted in between")
}

/// Deletes the recalls about a contact that is forgotten: they lead from its number to entries.
pub fn delete_recalls(tx: &mut WriteTx, no: ContactNo) -> Result<(), EffectError> {
    diesel::delete(recall::table.filter(recall::contact_no.eq(no.0))).execute(tx.statement())?;
    Ok(())
}
