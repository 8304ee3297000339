//! Policy versions: drafts that may be replaced, published versions that never change.

use diesel::prelude::*;

use super::error::{EffectError, StoreError, read};
use super::partner_rows::{fields_of, one, raise_registry_version};
use super::schema::{policy, policy_purpose, policy_text};
use super::tx::{ReadTx, WriteTx};
use crate::clock::Moment;
use crate::domain::partner::KindSet;
use crate::domain::policy::{Policy, PolicyText, PurposeTerms};
use crate::domain::purpose::Purpose;
use crate::id::PolicyVersion;

/// Every version, drafts too, lowest first.
pub fn list_policies(tx: &mut ReadTx) -> Result<Vec<Policy>, StoreError> {
    let rows: Vec<(i32, i64, Option<i64>)> =
        policy::table.order(policy::version).load(tx.statement())?;
    let terms: Vec<(i32, String, i64, i16)> = policy_purpose::table
        .order((policy_purpose::version, policy_purpose::purpose))
        .load(tx.statement())?;
    let texts: Vec<(i32, String, String, Vec<u8>)> = policy_text::table
        .order((policy_text::version, policy_text::language))
        .load(tx.statement())?;
    let mut policies: Vec<Policy> = rows
        .into_iter()
        .map(|(version, effective_at, published_at)| Policy {
            version: PolicyVersion(version),
            effective_at: Moment(effective_at),
            published_at: published_at.map(Moment),
            terms: Vec::new(),
            texts: Vec::new(),
        })
        .collect();
    for (version, purpose, fields, kinds) in terms {
        let terms = PurposeTerms {
            purpose: read(Purpose::from_code(&purpose), "policy_purpose.purpose")?,
            fields: read(fields_of(fields), "policy_purpose.fields")?,
            recipients: read(kinds_of(kinds), "policy_purpose.partner_kinds")?,
        };
        of_version(&mut policies, version)?.terms.push(terms);
    }
    for (version, language, text, wording_hash) in texts {
        let wording_hash = read(wording_hash.try_into().ok(), "policy_text.wording_hash")?;
        of_version(&mut policies, version)?.texts.push(PolicyText { language, text, wording_hash });
    }
    for policy in &mut policies {
        policy.terms.sort_by_key(|terms| terms.purpose);
    }
    Ok(policies)
}

fn of_version(policies: &mut [Policy], version: i32) -> Result<&mut Policy, StoreError> {
    read(policies.iter_mut().find(|policy| policy.version.0 == version), "policy.version")
}

fn kinds_of(bits: i16) -> Option<KindSet> {
    u8::try_from(bits).ok().and_then(KindSet::from_bits)
}

/// Saves a draft, in the place of the draft of the same number if there is one.
///
/// # Errors
/// `Conflict` when the version is published.
pub fn save_draft(tx: &mut WriteTx, of: &Policy) -> Result<(), EffectError> {
    let version = of.version.0;
    let stored: Option<Option<i64>> = policy::table
        .filter(policy::version.eq(version))
        .select(policy::published_at)
        .first(tx.statement())
        .optional()?;
    match stored {
        Some(Some(_)) => {
            return Err(EffectError::Conflict("the policy version is published".to_owned()));
        }
        Some(None) => {
            let terms = policy_purpose::table.filter(policy_purpose::version.eq(version));
            diesel::delete(terms).execute(tx.statement())?;
            let texts = policy_text::table.filter(policy_text::version.eq(version));
            diesel::delete(texts).execute(tx.statement())?;
            diesel::update(policy::table.filter(policy::version.eq(version)))
                .set(policy::effective_at.eq(of.effective_at.0))
                .execute(tx.statement())?;
        }
        None => {
            diesel::insert_into(policy::table)
                .values((policy::version.eq(version), policy::effective_at.eq(of.effective_at.0)))
                .execute(tx.statement())?;
        }
    }
    insert_contents(tx, of)
}

fn insert_contents(tx: &mut WriteTx, of: &Policy) -> Result<(), EffectError> {
    for terms in &of.terms {
        diesel::insert_into(policy_purpose::table)
            .values((
                policy_purpose::version.eq(of.version.0),
                policy_purpose::purpose.eq(terms.purpose.code()),
                policy_purpose::fields.eq(i64::from(terms.fields.bits())),
                policy_purpose::partner_kinds.eq(i16::from(terms.recipients.bits())),
            ))
            .execute(tx.statement())?;
    }
    for text in &of.texts {
        diesel::insert_into(policy_text::table)
            .values((
                policy_text::version.eq(of.version.0),
                policy_text::language.eq(&text.language),
                policy_text::text.eq(&text.text),
                policy_text::wording_hash.eq(text.wording_hash.to_vec()),
            ))
            .execute(tx.statement())?;
    }
    raise_registry_version(tx)
}

/// Publishes a draft.
///
/// # Errors
/// `Conflict` when there is no such draft, or it is published already.
pub fn publish(
    tx: &mut WriteTx,
    version: PolicyVersion,
    published_at: Moment,
    effective_at: Moment,
) -> Result<(), EffectError> {
    let draft = policy::version.eq(version.0).and(policy::published_at.is_null());
    let changed = diesel::update(policy::table.filter(draft))
        .set((
            policy::published_at.eq(Some(published_at.0)),
            policy::effective_at.eq(effective_at.0),
        ))
        .execute(tx.statement())?;
    one(changed, "there is no such draft")?;
    raise_registry_version(tx)
}
