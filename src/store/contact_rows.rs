//! Contacts: sealed values, where they were collected, how they change and how they go.

use diesel::RunQueryDsl as _;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, SmallInt};

use super::connection::AnyConnection;
use super::error::{EffectError, StoreError, read};
use super::partner_rows::{fields_of, one, points_of};
use super::schema::{contact, origin};
use super::statement::fixed;
use super::tx::{ReadTx, WriteTx};
use crate::clock::Moment;
use crate::domain::contact::{CollectionPoint, ContactState, Country, Origin, PointSet, Standing};
use crate::domain::field::FieldSet;
use crate::id::{ContactNo, ContactRef, PolicyVersion};
use crate::vault::blind_index::BlindIndex;
use crate::vault::sealed::{Sealed, WrappedKey};

/// A contact to enter.
#[derive(Clone)]
pub struct NewContact {
    /// Its fresh random reference.
    pub reference: ContactRef,
    /// By which it is found again.
    pub index: BlindIndex,
    /// Its data key, wrapped.
    pub key: WrappedKey,
    /// Its territory.
    pub country: Country,
    /// Where it was collected.
    pub points: PointSet,
    /// The fields it holds.
    pub held: FieldSet,
    /// The policy version that was shown.
    pub policy: PolicyVersion,
    /// When.
    pub at: Moment,
    /// The sealed values of the fields it holds; their version is 1.
    pub fields: Vec<Sealed>,
}

/// What is stored of a contact, but for its fields.
#[derive(Clone)]
pub struct ContactRecord {
    /// Where it stands; without choices.
    pub standing: Standing,
    /// Its data key, wrapped; empty bytes after erasure.
    pub key: WrappedKey,
    /// By which it is found; `None` after erasure.
    pub index: Option<BlindIndex>,
    /// When it was entered.
    pub created_at: Moment,
}

/// How a contact changes. Fields that are no longer held are deleted.
#[derive(Clone)]
pub struct ContactChange {
    /// Its version after the change: above the one before.
    pub version: i64,
    /// Its territory.
    pub country: Country,
    /// Where it was collected.
    pub points: PointSet,
    /// The fields it holds after the change.
    pub held: FieldSet,
    /// The policy version the person is bound to.
    pub policy: PolicyVersion,
    /// When.
    pub at: Moment,
    /// New or replaced values.
    pub fields: Vec<Sealed>,
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = contact)]
struct ContactRow {
    no: i64,
    reference: Vec<u8>,
    blind_index: Option<Vec<u8>>,
    state: String,
    country: String,
    collection_points: i16,
    fields: i64,
    policy_version: i32,
    data_key: Vec<u8>,
    key_id: String,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<ContactRow> for ContactRecord {
    type Error = StoreError;

    fn try_from(row: ContactRow) -> Result<Self, StoreError> {
        let index = row.blind_index.map(|index| read(index.try_into().ok(), "contact.blind_index"));
        Ok(Self {
            standing: Standing {
                no: ContactNo(row.no),
                reference: ContactRef(read(row.reference.try_into().ok(), "contact.ref")?),
                state: read(ContactState::from_code(&row.state), "contact.state")?,
                country: read(Country::from_code(&row.country), "contact.country")?,
                points: read(points_of(row.collection_points), "contact.collection_points")?,
                held: read(fields_of(row.fields), "contact.fields")?,
                policy: PolicyVersion(row.policy_version),
                version: row.version,
                updated_at: Moment(row.updated_at),
                choice_all: None,
                choice_partner: None,
            },
            key: WrappedKey {
                key: read(row.key_id.parse().ok(), "contact.key_id")?,
                bytes: row.data_key,
            },
            index: index.transpose()?.map(BlindIndex),
            created_at: Moment(row.created_at),
        })
    }
}

/// Enters a contact and gives its number: one above the highest ever given. The lock of the
/// ledger's head, which every effect runs under, keeps two intakes from taking the same.
///
/// # Errors
/// `Conflict` when the address is known already.
pub fn insert_contact(tx: &mut WriteTx, of: &NewContact) -> Result<ContactNo, EffectError> {
    let highest: i64 =
        fixed::<BigInt>("SELECT coalesce(max(no), 0) FROM contact").get_result(tx.statement())?;
    let no = ContactNo(highest.saturating_add(1));
    let row = ContactRow {
        no: no.0,
        reference: of.reference.0.to_vec(),
        blind_index: Some(of.index.0.to_vec()),
        state: ContactState::Active.code().to_owned(),
        country: of.country.code().to_owned(),
        collection_points: i16::from(of.points.bits()),
        fields: i64::from(of.held.bits()),
        policy_version: of.policy.0,
        data_key: of.key.bytes.clone(),
        key_id: of.key.key.to_string(),
        version: 1,
        created_at: of.at.0,
        updated_at: of.at.0,
    };
    diesel::insert_into(contact::table).values(row).execute(tx.statement())?;
    store_fields(tx, no, &of.fields)?;
    Ok(no)
}

/// Finds a contact by the blind index of its address.
pub fn find_contact(
    tx: &mut ReadTx,
    index: &BlindIndex,
) -> Result<Option<ContactRecord>, StoreError> {
    let query = contact::table.filter(contact::blind_index.eq(index.0.to_vec()));
    let row: Option<ContactRow> = query.first(tx.statement()).optional()?;
    row.map(ContactRecord::try_from).transpose()
}

/// Finds a contact by its number.
pub fn load_contact(tx: &mut ReadTx, no: ContactNo) -> Result<Option<ContactRecord>, StoreError> {
    let query = contact::table.filter(contact::no.eq(no.0));
    let row: Option<ContactRow> = query.first(tx.statement()).optional()?;
    row.map(ContactRecord::try_from).transpose()
}

/// Changes a contact that still has the version it was read with.
///
/// # Errors
/// `Conflict` when it has another version, or is erased.
pub fn update_contact(
    tx: &mut WriteTx,
    no: ContactNo,
    expected_version: i64,
    change: &ContactChange,
) -> Result<(), EffectError> {
    let unchanged = contact::no
        .eq(no.0)
        .and(contact::version.eq(expected_version))
        .and(contact::state.ne(ContactState::Erased.code()));
    let changed = diesel::update(contact::table.filter(unchanged))
        .set((
            contact::version.eq(change.version),
            contact::country.eq(change.country.code()),
            contact::collection_points.eq(i16::from(change.points.bits())),
            contact::fields.eq(i64::from(change.held.bits())),
            contact::policy_version.eq(change.policy.0),
            contact::updated_at.eq(change.at.0),
        ))
        .execute(tx.statement())?;
    one(changed, "the contact changed in between")?;
    fixed::<()>("DELETE FROM sealed_field WHERE contact_no = $1 AND ($2 >> field) & 1 = 0")
        .bind::<BigInt, _>(no.0)
        .bind::<BigInt, _>(i64::from(change.held.bits()))
        .execute(tx.statement())?;
    store_fields(tx, no, &change.fields)
}

fn store_fields(tx: &mut WriteTx, no: ContactNo, fields: &[Sealed]) -> Result<(), EffectError> {
    match tx.statement() {
        AnyConnection::Sqlite(connection) => {
            for sealed in fields {
                fixed::<()>(
                    "INSERT INTO sealed_field (contact_no, field, version, sealed) \
                     VALUES ($1, $2, $3, $4) ON CONFLICT (contact_no, field) DO UPDATE \
                     SET version = excluded.version, sealed = excluded.sealed",
                )
                .bind::<BigInt, _>(no.0)
                .bind::<SmallInt, _>(i16::from(sealed.field.bit()))
                .bind::<BigInt, _>(sealed.version)
                .bind::<Binary, _>(&sealed.bytes)
                .execute(connection)?;
            }
        }
        AnyConnection::Postgres(connection) => {
            let column = |of: fn(&Sealed) -> i64| fields.iter().map(of).collect::<Vec<_>>();
            let codes: Vec<i16> = fields.iter().map(|one| i16::from(one.field.bit())).collect();
            let bytes: Vec<&[u8]> = fields.iter().map(|one| one.bytes.as_slice()).collect();
            fixed::<()>(
                "INSERT INTO sealed_field (contact_no, field, version, sealed) \
                 SELECT $1, * FROM unnest($2, $3, $4) \
                 ON CONFLICT (contact_no, field) DO UPDATE \
                 SET version = excluded.version, sealed = excluded.sealed",
            )
            .bind::<BigInt, _>(no.0)
            .bind::<Array<SmallInt>, _>(codes)
            .bind::<Array<BigInt>, _>(column(|one| one.version))
            .bind::<Array<Binary>, _>(bytes)
            .execute(connection)?;
        }
    }
    Ok(())
}

/// Moves a contact to another state. Erasure has a function of its own, and no way back.
///
/// # Errors
/// `Conflict` when there is no such contact or it is erased; `Invalid` for the state `Erased`.
pub fn set_contact_state(
    tx: &mut WriteTx,
    no: ContactNo,
    state: ContactState,
    at: Moment,
) -> Result<(), EffectError> {
    if state == ContactState::Erased {
        return Err(EffectError::Invalid("erasing shreds the key as well".to_owned()));
    }
    let present = contact::no.eq(no.0).and(contact::state.ne(ContactState::Erased.code()));
    let changed = diesel::update(contact::table.filter(present))
        .set((contact::state.eq(state.code()), contact::updated_at.eq(at.0)))
        .execute(tx.statement())?;
    one(changed, "there is no such contact, or it is erased")
}

/// Notes an occasion on which the person left details. The same occasion twice is one.
pub fn insert_origin(tx: &mut WriteTx, no: ContactNo, of: &Origin) -> Result<(), EffectError> {
    let known: Option<i64> = origin::table
        .filter(origin::contact_no.eq(no.0))
        .filter(origin::point.eq(of.point.code()))
        .filter(origin::at.eq(of.at.0))
        .select(origin::at)
        .first(tx.statement())
        .optional()?;
    if known.is_none() {
        diesel::insert_into(origin::table)
            .values((
                origin::contact_no.eq(no.0),
                origin::point.eq(of.point.code()),
                origin::at.eq(of.at.0),
                origin::policy_version.eq(of.policy.0),
                origin::wording_hash.eq(of.wording_hash.to_vec()),
            ))
            .execute(tx.statement())?;
    }
    Ok(())
}

/// Where and when a person left details, oldest first.
pub fn list_origins(tx: &mut ReadTx, no: ContactNo) -> Result<Vec<Origin>, StoreError> {
    let rows: Vec<(String, i64, i32, Vec<u8>)> = origin::table
        .filter(origin::contact_no.eq(no.0))
        .order((origin::at, origin::point))
        .select((origin::point, origin::at, origin::policy_version, origin::wording_hash))
        .load(tx.statement())?;
    rows.into_iter()
        .map(|(point, at, policy, wording_hash)| {
            Ok(Origin {
                point: read(CollectionPoint::from_code(&point), "origin.point")?,
                at: Moment(at),
                policy: PolicyVersion(policy),
                wording_hash: read(wording_hash.try_into().ok(), "origin.wording_hash")?,
            })
        })
        .collect()
}
