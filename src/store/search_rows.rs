//! Finds entries by what they say: partner, certificate, shape, time, person; in pages.
//!
//! A search never reads more than it answers, however common or rare what it asks for is. The
//! shapes and askers that fit are looked up by number; each of their *tracks* is a run of an
//! index in the order of entries, and the runs are merged. Times become indices by halving,
//! because `at + late` never falls.

use std::collections::HashSet;

use diesel::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Binary, Integer, Text};

use super::error::StoreError;
use super::ledger_rows::unsigned;
use super::statement::fixed;
use super::track_rows::{Fitting, Run, Track, read_met};
use super::tx::ReadTx;
use crate::clock::Moment;
use crate::domain::disclosure::Reason;
use crate::domain::field::FieldSet;
use crate::domain::purpose::Purpose;
use crate::id::{ContactNo, PartnerId, PolicyVersion, Thumbprint};
use crate::ledger::Kind;

pub use super::track_texts::{Statement, statements};

/// What is asked for; everything that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// Entries that touch this contact.
    pub contact: Option<ContactNo>,
    /// Entries that name this partner.
    pub partner: Option<PartnerId>,
    /// Entries that name this certificate.
    pub certificate: Option<Thumbprint>,
    /// Entries of this kind.
    pub kind: Option<Kind>,
    /// Entries of this operation.
    pub op: Option<String>,
    /// Entries for this purpose.
    pub purpose: Option<Purpose>,
    /// Refusals for this reason.
    pub reason: Option<Reason>,
    /// Entries under this policy version.
    pub policy: Option<PolicyVersion>,
    /// Entries that speak of all these fields.
    pub fields: FieldSet,
    /// Entries of this time or later.
    pub from: Option<Moment>,
    /// Entries before this time.
    pub until: Option<Moment>,
}

/// Which part of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Only entries below this index: the size of the ledger as the question sees it.
    pub horizon: u64,
    /// Only entries behind this index in the direction of the page; the beginning without.
    pub after: Option<u64>,
    /// Whether the newest come first.
    pub newest_first: bool,
    /// Most entries on the page.
    pub limit: u16,
}

/// The indices of a page, in its order.
pub fn find_entries(tx: &mut ReadTx, search: &Search, page: &Page) -> Result<Vec<u64>, StoreError> {
    let Some(run) = Run::of(tx, (search.from, search.until), page)? else {
        return Ok(Vec::new());
    };
    let found = match search.contact {
        Some(contact) => {
            let (shapes, askers) = (shapes(tx, search)?, askers(tx, search)?);
            let askers = askers.map(|askers| askers.into_iter().collect());
            run.read_person(tx, contact, &Fitting { shapes, askers })?
        }
        None => match tracks(tx, run, search)? {
            None => run.read_every(tx)?,
            Some(tracks) => run.merge(tx, &tracks)?,
        },
    };
    found.into_iter().map(unsigned).collect()
}

/// The shapes that fit, by number; `None` when every shape does.
fn shapes(tx: &mut ReadTx, of: &Search) -> Result<Option<HashSet<i32>>, StoreError> {
    let everything = Search {
        contact: of.contact,
        partner: of.partner,
        certificate: of.certificate,
        from: of.from,
        until: of.until,
        ..Search::default()
    };
    if *of == everything {
        return Ok(None);
    }
    let found: Vec<i32> = fixed::<Integer>(
        "SELECT id FROM ledger_shape WHERE ($1 = '' OR kind = $1) AND ($2 = '' OR op = $2) \
         AND ($3 = '' OR purpose = $3) AND ($4 = '' OR reason = $4) \
         AND ($5 = 0 OR policy = $5) AND (fields & $6) = $6",
    )
    .bind::<Text, _>(of.kind.map_or("", Kind::code))
    .bind::<Text, _>(of.op.as_deref().unwrap_or_default())
    .bind::<Text, _>(of.purpose.map_or("", Purpose::code))
    .bind::<Text, _>(of.reason.map_or("", Reason::code))
    .bind::<Integer, _>(of.policy.map_or(0, |version| version.0))
    .bind::<BigInt, _>(i64::from(of.fields.bits()))
    .load(tx.statement())?;
    Ok(Some(found.into_iter().collect()))
}

/// The askers that fit, by number; `None` when every asker does.
fn askers(tx: &mut ReadTx, of: &Search) -> Result<Option<Vec<i32>>, StoreError> {
    if of.partner.is_none() && of.certificate.is_none() {
        return Ok(None);
    }
    let certificate = of.certificate.as_ref().map_or(&[][..], |one| one.0.as_slice());
    let found: Vec<i32> = fixed::<Integer>(
        "SELECT id FROM ledger_asker WHERE ($1 = '' OR partner = $1) \
         AND (length($2) = 0 OR certificate = $2)",
    )
    .bind::<Text, _>(of.partner.map(|id| id.to_string()).unwrap_or_default())
    .bind::<Binary, _>(certificate)
    .load(tx.statement())?;
    Ok(Some(found))
}

/// The tracks that hold the answer; `None` when every entry is in it.
fn tracks(tx: &mut ReadTx, run: Run, search: &Search) -> Result<Option<Vec<Track>>, StoreError> {
    let shapes = shapes(tx, search)?;
    let Some(askers) = askers(tx, search)? else {
        let tracks = shapes.map(|shapes| shapes.into_iter().map(Track::of_shape).collect());
        return Ok(tracks);
    };
    let mut tracks = Vec::new();
    for asker in askers {
        let met = read_met(tx, run, asker)?.into_iter();
        let shapes = shapes.as_ref();
        tracks.extend(met.filter(|track| shapes.is_none_or(|all| all.contains(&track.shape))));
    }
    Ok(Some(tracks))
}
