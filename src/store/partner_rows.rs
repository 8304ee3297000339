//! Partners, their certificates and grants. Every write raises the registry's version.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::error::{EffectError, StoreError, read};
use super::schema::{certificate, partner, partner_grant};
use super::statement::fixed;
use super::tx::{ReadTx, WriteTx};
use crate::clock::Moment;
use crate::domain::contact::{Country, PointSet};
use crate::domain::field::FieldSet;
use crate::domain::grant::{Grant, Territory};
use crate::domain::partner::{
    Certificate, CertificateSource, CertificateStatus, Partner, PartnerKind, PartnerState,
};
use crate::domain::purpose::Purpose;
use crate::id::{GrantId, PartnerId, Thumbprint};

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = partner, treat_none_as_null = true)]
struct PartnerRow {
    id: String,
    code: String,
    kind: String,
    state: String,
    legal_name: String,
    country: String,
    contract_ref: String,
    contract_version: String,
    privacy_contact: String,
    recall_days: i32,
    requests_per_minute: i64,
    applied_by: String,
    approved_by: Option<String>,
    tokens_not_before: i64,
    created_at: i64,
}

impl From<&Partner> for PartnerRow {
    fn from(of: &Partner) -> Self {
        Self {
            id: of.id.to_string(),
            code: of.code.clone(),
            kind: of.kind.code().to_owned(),
            state: of.state.code().to_owned(),
            legal_name: of.legal_name.clone(),
            country: of.country.code().to_owned(),
            contract_ref: of.contract_ref.clone(),
            contract_version: of.contract_version.clone(),
            privacy_contact: of.privacy_contact.clone(),
            recall_days: i32::from(of.recall_days),
            requests_per_minute: i64::from(of.requests_per_minute),
            applied_by: of.applied_by.clone(),
            approved_by: of.approved_by.clone(),
            tokens_not_before: of.tokens_not_before.0,
            created_at: of.created_at.0,
        }
    }
}

impl TryFrom<PartnerRow> for Partner {
    type Error = StoreError;

    fn try_from(row: PartnerRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: read(row.id.parse().ok(), "partner.id")?,
            code: row.code,
            kind: read(PartnerKind::from_code(&row.kind), "partner.kind")?,
            state: read(PartnerState::from_code(&row.state), "partner.state")?,
            legal_name: row.legal_name,
            country: read(Country::parse(&row.country).ok(), "partner.country")?,
            contract_ref: row.contract_ref,
            contract_version: row.contract_version,
            privacy_contact: row.privacy_contact,
            recall_days: read(row.recall_days.try_into().ok(), "partner.recall_days")?,
            requests_per_minute: read(row.requests_per_minute.try_into().ok(), "partner.requests")?,
            applied_by: row.applied_by,
            approved_by: row.approved_by,
            tokens_not_before: Moment(row.tokens_not_before),
            created_at: Moment(row.created_at),
        })
    }
}

/// Finds a partner.
pub fn find_partner(tx: &mut ReadTx, id: PartnerId) -> Result<Option<Partner>, StoreError> {
    let query = partner::table.filter(partner::id.eq(id.to_string()));
    let row: Option<PartnerRow> = query.first(tx.statement()).optional()?;
    row.map(Partner::try_from).transpose()
}

/// Finds a partner by the short name operators type.
pub fn find_partner_by_code(tx: &mut ReadTx, code: &str) -> Result<Option<Partner>, StoreError> {
    let query = partner::table.filter(partner::code.eq(code));
    let row: Option<PartnerRow> = query.first(tx.statement()).optional()?;
    row.map(Partner::try_from).transpose()
}

/// Every partner, in the order of their short names.
pub fn list_partners(tx: &mut ReadTx) -> Result<Vec<Partner>, StoreError> {
    let rows: Vec<PartnerRow> = partner::table.order(partner::code).load(tx.statement())?;
    rows.into_iter().map(Partner::try_from).collect()
}

/// Enters a partner.
///
/// # Errors
/// `Conflict` when the id or the short name is taken.
pub fn insert_partner(tx: &mut WriteTx, of: &Partner) -> Result<(), EffectError> {
    diesel::insert_into(partner::table).values(PartnerRow::from(of)).execute(tx.statement())?;
    raise_registry_version(tx)
}

/// Replaces everything about a partner but its id.
///
/// # Errors
/// `Conflict` when it does not exist, or the new short name is taken.
pub fn update_partner(tx: &mut WriteTx, of: &Partner) -> Result<(), EffectError> {
    let row = PartnerRow::from(of);
    let target = partner::table.filter(partner::id.eq(of.id.to_string()));
    let changed = diesel::update(target).set(row).execute(tx.statement())?;
    one(changed, "the partner does not exist")?;
    raise_registry_version(tx)
}

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = certificate, treat_none_as_null = true)]
struct CertificateRow {
    thumbprint: Vec<u8>,
    partner_id: String,
    source: String,
    status: String,
    serial: String,
    key_hash: Vec<u8>,
    not_before: i64,
    not_after: i64,
    der: Vec<u8>,
    bound_at: i64,
    revoked_at: Option<i64>,
    revoked_reason: Option<String>,
}

impl From<&Certificate> for CertificateRow {
    fn from(of: &Certificate) -> Self {
        Self {
            thumbprint: of.thumbprint.0.to_vec(),
            partner_id: of.partner.to_string(),
            source: of.source.code().to_owned(),
            status: of.status.code().to_owned(),
            serial: of.serial.clone(),
            key_hash: of.key_hash.to_vec(),
            not_before: of.not_before.0,
            not_after: of.not_after.0,
            der: of.der.clone(),
            bound_at: of.bound_at.0,
            revoked_at: of.revoked_at.map(|at| at.0),
            revoked_reason: of.revoked_reason.clone(),
        }
    }
}

impl TryFrom<CertificateRow> for Certificate {
    type Error = StoreError;

    fn try_from(row: CertificateRow) -> Result<Self, StoreError> {
        let thumbprint = row.thumbprint.try_into().ok().map(Thumbprint);
        Ok(Self {
            thumbprint: read(thumbprint, "certificate.thumbprint")?,
            partner: read(row.partner_id.parse().ok(), "certificate.partner_id")?,
            source: read(CertificateSource::from_code(&row.source), "certificate.source")?,
            status: read(CertificateStatus::from_code(&row.status), "certificate.status")?,
            serial: row.serial,
            key_hash: read(row.key_hash.try_into().ok(), "certificate.key_hash")?,
            not_before: Moment(row.not_before),
            not_after: Moment(row.not_after),
            der: row.der,
            bound_at: Moment(row.bound_at),
            revoked_at: row.revoked_at.map(Moment),
            revoked_reason: row.revoked_reason,
        })
    }
}

/// Finds a certificate.
pub fn find_certificate(
    tx: &mut ReadTx,
    thumbprint: Thumbprint,
) -> Result<Option<Certificate>, StoreError> {
    let query = certificate::table.filter(certificate::thumbprint.eq(thumbprint.0.to_vec()));
    let row: Option<CertificateRow> = query.first(tx.statement()).optional()?;
    row.map(Certificate::try_from).transpose()
}

/// The certificates of one partner, or of all, oldest first; revoked ones too.
pub fn list_certificates(
    tx: &mut ReadTx,
    of: Option<PartnerId>,
) -> Result<Vec<Certificate>, StoreError> {
    let order = (certificate::bound_at, certificate::thumbprint);
    let rows: Vec<CertificateRow> = match of {
        None => certificate::table.order(order).load(tx.statement())?,
        Some(of) => certificate::table
            .filter(certificate::partner_id.eq(of.to_string()))
            .order(order)
            .load(tx.statement())?,
    };
    rows.into_iter().map(Certificate::try_from).collect()
}

/// Whether any certificate ever held this public key (SHA-256 of its SPKI).
pub fn key_is_known(tx: &mut ReadTx, key_hash: &[u8; 32]) -> Result<bool, StoreError> {
    let query = certificate::table
        .filter(certificate::key_hash.eq(key_hash.to_vec()))
        .select(certificate::serial)
        .limit(1);
    let found: Option<String> = query.first(tx.statement()).optional()?;
    Ok(found.is_some())
}

/// Registers a certificate.
///
/// # Errors
/// `Conflict` when it is registered already, or its partner does not exist.
pub fn insert_certificate(tx: &mut WriteTx, of: &Certificate) -> Result<(), EffectError> {
    let row = CertificateRow::from(of);
    diesel::insert_into(certificate::table).values(row).execute(tx.statement())?;
    raise_registry_version(tx)
}

/// Replaces everything about a certificate but its thumbprint.
///
/// # Errors
/// `Conflict` when it is not registered.
pub fn update_certificate(tx: &mut WriteTx, of: &Certificate) -> Result<(), EffectError> {
    let row = CertificateRow::from(of);
    let target = certificate::table.filter(certificate::thumbprint.eq(of.thumbprint.0.to_vec()));
    let changed = diesel::update(target).set(row).execute(tx.statement())?;
    one(changed, "the certificate is not registered")?;
    raise_registry_version(tx)
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = partner_grant)]
struct GrantRow {
    id: String,
    partner_id: String,
    purpose: String,
    fields: i64,
    territory: String,
    collection_points: i16,
    from_at: i64,
    until_at: Option<i64>,
}

impl TryFrom<GrantRow> for Grant {
    type Error = StoreError;

    fn try_from(row: GrantRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: read(row.id.parse().ok(), "partner_grant.id")?,
            partner: read(row.partner_id.parse().ok(), "partner_grant.partner_id")?,
            purpose: read(Purpose::from_code(&row.purpose), "partner_grant.purpose")?,
            fields: read(fields_of(row.fields), "partner_grant.fields")?,
            territory: read(Territory::parse(&row.territory).ok(), "partner_grant.territory")?,
            points: read(points_of(row.collection_points), "partner_grant.collection_points")?,
            from: Moment(row.from_at),
            until: row.until_at.map(Moment),
        })
    }
}

/// The grants of one partner, or of all; ended ones too, oldest first.
pub fn list_grants(tx: &mut ReadTx, of: Option<PartnerId>) -> Result<Vec<Grant>, StoreError> {
    let order = (partner_grant::from_at, partner_grant::id);
    let rows: Vec<GrantRow> = match of {
        None => partner_grant::table.order(order).load(tx.statement())?,
        Some(of) => partner_grant::table
            .filter(partner_grant::partner_id.eq(of.to_string()))
            .order(order)
            .load(tx.statement())?,
    };
    rows.into_iter().map(Grant::try_from).collect()
}

/// Saves a grant; the former ones of the same partner and purpose end where it begins.
///
/// # Errors
/// `Conflict` when the id is taken or the partner does not exist.
pub fn set_grant(tx: &mut WriteTx, of: &Grant) -> Result<(), EffectError> {
    fixed::<()>(
        "UPDATE partner_grant SET until_at = CASE WHEN from_at > $1 THEN from_at ELSE $1 END \
         WHERE partner_id = $2 AND purpose = $3 \
         AND (until_at IS NULL OR until_at > CASE WHEN from_at > $1 THEN from_at ELSE $1 END)",
    )
    .bind::<BigInt, _>(of.from.0)
    .bind::<Text, _>(of.partner.to_string())
    .bind::<Text, _>(of.purpose.code())
    .execute(tx.statement())?;
    let row = GrantRow {
        id: of.id.to_string(),
        partner_id: of.partner.to_string(),
        purpose: of.purpose.code().to_owned(),
        fields: i64::from(of.fields.bits()),
        territory: of.territory.text(),
        collection_points: i16::from(of.points.bits()),
        from_at: of.from.0,
        until_at: of.until.map(|until| until.0),
    };
    diesel::insert_into(partner_grant::table).values(row).execute(tx.statement())?;
    raise_registry_version(tx)
}

/// Ends a grant at `at`, if it would last longer.
///
/// # Errors
/// `Conflict` when there is no such grant, or it has ended before.
pub fn end_grant(tx: &mut WriteTx, id: GrantId, at: Moment) -> Result<(), EffectError> {
    let changed = fixed::<()>(
        "UPDATE partner_grant SET until_at = CASE WHEN from_at > $1 THEN from_at ELSE $1 END \
         WHERE id = $2 \
         AND (until_at IS NULL OR until_at > CASE WHEN from_at > $1 THEN from_at ELSE $1 END)",
    )
    .bind::<BigInt, _>(at.0)
    .bind::<Text, _>(id.to_string())
    .execute(tx.statement())?;
    one(changed, "the grant does not exist or has ended")?;
    raise_registry_version(tx)
}

/// Whatever caches the registry compares this version on each request.
pub(super) fn raise_registry_version(tx: &mut WriteTx) -> Result<(), EffectError> {
    fixed::<()>("UPDATE ledger_head SET registry_version = registry_version + 1 WHERE id = 1")
        .execute(tx.statement())?;
    Ok(())
}

/// An update that was to change exactly one row.
pub(super) fn one(changed: usize, otherwise: &str) -> Result<(), EffectError> {
    if changed == 1 { Ok(()) } else { Err(EffectError::Conflict(otherwise.to_owned())) }
}

pub(super) fn fields_of(bits: i64) -> Option<FieldSet> {
    u32::try_from(bits).ok().and_then(FieldSet::from_bits)
}

pub(super) fn points_of(bits: i16) -> Option<PointSet> {
    u8::try_from(bits).ok().and_then(PointSet::from_bits)
}
