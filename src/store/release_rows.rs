//! The hot path: whom a page may concern, and exactly the sealed values that were decided.
//!
//! A page is three statements in one snapshot: `read_head`, `list_candidates`,
//! `list_sealed`. The SQL withholds all that `domain::disclosure::decide` would, so that a page
//! is full; `decide` still has the last word on each.

use diesel::RunQueryDsl as _;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, SmallInt, Text};

use super::connection::AnyConnection;
use super::error::{StoreError, read};
use super::ledger_rows::unsigned;
use super::partner_rows::{fields_of, points_of};
use super::statement::fixed;
use super::tx::ReadTx;
use crate::clock::Moment;
use crate::domain::contact::{ContactState, Country, PointSet, Standing};
use crate::domain::field::{Field, FieldSet};
use crate::domain::grant::Territory;
use crate::domain::purpose::{ChoiceEffect, Purpose};
use crate::id::{ContactNo, ContactRef, PartnerId, PolicyVersion};
use crate::vault::sealed::{Sealed, WrappedKey};

/// The moment that a snapshot shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Entries in the ledger: what a draft says it was decided at.
    pub size: u64,
    /// Index of the newest restricting entry.
    pub last_restricting: Option<u64>,
    /// Version of the registry, to compare with what is cached.
    pub registry_version: i64,
}

/// Reads the mark of this snapshot.
pub fn read_head(tx: &mut ReadTx) -> Result<Mark, StoreError> {
    let (size, last_restricting, registry_version): (i64, i64, i64) =
        fixed::<(BigInt, BigInt, BigInt)>(
            "SELECT size, last_restricting, registry_version FROM ledger_head WHERE id = 1",
        )
        .get_result(tx.statement())?;
    let last_restricting = u64::try_from(last_restricting).ok();
    Ok(Mark { size: unsigned(size)?, last_restricting, registry_version })
}

/// A contact that may be released, without its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// All that `decide` looks at.
    pub standing: Standing,
    /// Its data key, wrapped.
    pub key: WrappedKey,
}

/// Whom a page may concern.
#[derive(Debug, Clone, Copy)]
pub struct CandidateQuery<'a> {
    /// Who asks.
    pub partner: PartnerId,
    /// What for.
    pub purpose: Purpose,
    /// People who live here.
    pub territory: &'a Territory,
    /// People who were collected at any of these.
    pub points: PointSet,
    /// People bound to one of these policy versions.
    pub policies: &'a [PolicyVersion],
    /// People with a higher number: the cursor.
    pub after: ContactNo,
    /// People whose standing or fields changed at or after this.
    pub updated_since: Option<Moment>,
    /// At most so many.
    pub limit: u16,
}

type CandidateColumns = (
    BigInt,
    Binary,
    Text,
    Text,
    SmallInt,
    BigInt,
    Integer,
    BigInt,
    BigInt,
    Binary,
    Text,
    Nullable<Bool>,
    Nullable<Bool>,
);

type CandidateRow = (
    i64,
    Vec<u8>,
    String,
    String,
    i16,
    i64,
    i32,
    i64,
    i64,
    Vec<u8>,
    String,
    Option<bool>,
    Option<bool>,
);

/// Columns and joins of a candidate; `$1` is the purpose, `$2` the partner.
macro_rules! candidate {
    ($where:literal) => {
        concat!(
            "SELECT c.no, c.ref, c.state, c.country, c.collection_points, c.fields, \
             c.policy_version, c.version, c.updated_at, c.data_key, c.key_id, a.given, p.given \
             FROM contact c \
             LEFT JOIN choice_now a ON a.contact_no = c.no AND a.purpose = $1 \
             AND a.partner_id = '' \
             LEFT JOIN choice_now p ON p.contact_no = c.no AND p.purpose = $1 \
             AND p.partner_id = $2 WHERE ",
            $where
        )
    };
}

const LIST_SQLITE: &str = candidate!(
    "c.no > $3 AND c.state = 'active' AND c.collection_points & $4 <> 0 \
     AND c.updated_at >= $5 \
     AND ($6 OR c.country IN (SELECT value FROM json_each($7))) \
     AND c.policy_version IN (SELECT value FROM json_each($8)) \
     AND ($9 OR (coalesce(a.given, TRUE) AND coalesce(p.given, TRUE))) \
     ORDER BY c.no LIMIT $10"
);

const LIST_POSTGRES: &str = candidate!(
    "c.no > $3 AND c.state = 'active' AND c.collection_points & $4 <> 0 \
     AND c.updated_at >= $5 \
     AND ($6 OR c.country = ANY ($7)) \
     AND c.policy_version = ANY ($8) \
     AND ($9 OR (coalesce(a.given, TRUE) AND coalesce(p.given, TRUE))) \
     ORDER BY c.no LIMIT $10"
);

/// The next contacts that may be released, in the order of their numbers.
pub fn list_candidates(
    tx: &mut ReadTx,
    query: &CandidateQuery<'_>,
) -> Result<Vec<Candidate>, StoreError> {
    let countries: Vec<&str> = match query.territory {
        Territory::Everywhere => Vec::new(),
        Territory::Countries(countries) => countries.iter().map(Country::code).collect(),
    };
    let everywhere = *query.territory == Territory::Everywhere;
    let versions = query.policies.iter().map(|version| version.0);
    let since = query.updated_since.map_or(i64::MIN, |since| since.0);
    // A contract purpose knows no choice.
    let no_choice = query.purpose.row().choice == ChoiceEffect::None;
    let sql = match tx.border() {
        AnyConnection::Sqlite(_) => LIST_SQLITE,
        AnyConnection::Postgres(_) => LIST_POSTGRES,
    };
    let common = fixed::<CandidateColumns>(sql)
        .bind::<Text, _>(query.purpose.code())
        .bind::<Text, _>(query.partner.to_string())
        .bind::<BigInt, _>(query.after.0)
        .bind::<SmallInt, _>(i16::from(query.points.bits()))
        .bind::<BigInt, _>(since)
        .bind::<Bool, _>(everywhere);
    let limit = i64::from(query.limit);
    let rows: Vec<CandidateRow> = match tx.statement() {
        AnyConnection::Sqlite(connection) => common
            .bind::<Text, _>(json_list(countries.iter().map(|code| format!("\"{code}\""))))
            .bind::<Text, _>(json_list(versions))
            .bind::<Bool, _>(no_choice)
            .bind::<BigInt, _>(limit)
            .load(connection)?,
        AnyConnection::Postgres(connection) => common
            .bind::<Array<Text>, _>(countries)
            .bind::<Array<Integer>, _>(versions.collect::<Vec<_>>())
            .bind::<Bool, _>(no_choice)
            .bind::<BigInt, _>(limit)
            .load(connection)?,
    };
    rows.into_iter().map(candidate_of).collect()
}

/// One contact in any state, with the person's word on the purpose: `decide` gives the reason.
pub fn find_candidate(
    tx: &mut ReadTx,
    partner: PartnerId,
    purpose: Purpose,
    no: ContactNo,
) -> Result<Option<Candidate>, StoreError> {
    let rows: Vec<CandidateRow> = fixed::<CandidateColumns>(candidate!("c.no = $3"))
        .bind::<Text, _>(purpose.code())
        .bind::<Text, _>(partner.to_string())
        .bind::<BigInt, _>(no.0)
        .load(tx.statement())?;
    rows.into_iter().next().map(candidate_of).transpose()
}

fn candidate_of(row: CandidateRow) -> Result<Candidate, StoreError> {
    let (
        no,
        reference,
        state,
        country,
        points,
        held,
        policy,
        version,
        updated_at,
        key,
        ring,
        all,
        one,
    ) = row;
    Ok(Candidate {
        standing: Standing {
            no: ContactNo(no),
            reference: ContactRef(read(reference.try_into().ok(), "contact.ref")?),
            state: read(ContactState::from_code(&state), "contact.state")?,
            country: read(Country::from_code(&country), "contact.country")?,
            points: read(points_of(points), "contact.collection_points")?,
            held: read(fields_of(held), "contact.fields")?,
            policy: PolicyVersion(policy),
            version,
            updated_at: Moment(updated_at),
            choice_all: all,
            choice_partner: one,
        },
        key: WrappedKey { key: read(ring.parse().ok(), "contact.key_id")?, bytes: key },
    })
}

/// The sealed values of exactly these fields of these contacts, in the order of number and field.
/// A value that was not decided is not read. Numbers must not repeat.
pub fn list_sealed(
    tx: &mut ReadTx,
    decided: &[(ContactNo, FieldSet)],
) -> Result<Vec<(ContactNo, Sealed)>, StoreError> {
    type Columns = (BigInt, SmallInt, BigInt, Binary);
    let mut rows: Vec<(i64, i16, i64, Vec<u8>)> = match tx.statement() {
        AnyConnection::Sqlite(connection) => {
            // The keys of a JSON object are the numbers, its values the masks: parsed once.
            let pairs =
                decided.iter().map(|(no, fields)| format!("\"{}\":{}", no.0, fields.bits()));
            let object = format!("{{{}}}", pairs.collect::<Vec<_>>().join(","));
            fixed::<Columns>(
                "SELECT s.contact_no, s.field, s.version, s.sealed FROM json_each($1) d \
                 CROSS JOIN sealed_field s ON s.contact_no = CAST(d.key AS INTEGER) \
                 AND (d.value >> s.field) & 1 = 1",
            )
            .bind::<Text, _>(object)
            .load(connection)?
        }
        AnyConnection::Postgres(connection) => {
            let numbers: Vec<i64> = decided.iter().map(|(no, _)| no.0).collect();
            let masks: Vec<i64> = decided.iter().map(|(_, of)| i64::from(of.bits())).collect();
            fixed::<Columns>(
                "SELECT s.contact_no, s.field, s.version, s.sealed \
                 FROM unnest($1, $2) AS d (no, mask) \
                 JOIN sealed_field s ON s.contact_no = d.no AND (d.mask >> s.field) & 1 = 1",
            )
            .bind::<Array<BigInt>, _>(numbers)
            .bind::<Array<BigInt>, _>(masks)
            .load(connection)?
        }
    };
    // Here and not in SQL: they arrive all but sorted, and a database would copy every sealed value
    // into a sorter to find that out.
    rows.sort_unstable_by_key(|(no, field, _, _)| (*no, *field));
    rows.into_iter()
        .map(|(no, field, version, bytes)| {
            let field = u8::try_from(field).ok().and_then(Field::from_bit);
            let field = read(field, "sealed_field.field")?;
            Ok((ContactNo(no), Sealed { field, version, bytes }))
        })
        .collect()
}

/// A JSON array of values that need no escaping.
fn json_list<T: ToString>(values: impl Iterator<Item = T>) -> String {
    format!("[{}]", values.map(|value| value.to_string()).collect::<Vec<_>>().join(","))
}
