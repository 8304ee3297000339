//! A person's yes and no: the history, what is in force, and addresses that must not come back.

use diesel::RunQueryDsl as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Text};

use super::error::{EffectError, StoreError, read};
use super::partner_rows::one;
use super::schema::{choice, contact};
use super::statement::fixed;
use super::tx::{ReadTx, WriteTx};
use crate::clock::Moment;
use crate::domain::consent::{Choice, ChoiceOrigin};
use crate::domain::contact::ContactState;
use crate::domain::purpose::Purpose;
use crate::id::{ContactNo, PartnerId, PolicyVersion};
use crate::vault::blind_index::BlindIndex;

/// What stands for "all partners" in the column.
const ALL: &str = "";

/// Adds a choice to the history; it comes into force if it is not older than the one in force.
/// Of two in the same microsecond the later call wins.
///
/// # Errors
/// `Conflict` when there is no such contact, or it is erased.
pub fn insert_choice(tx: &mut WriteTx, no: ContactNo, of: &Choice) -> Result<(), EffectError> {
    let partner = of.partner.map_or_else(|| ALL.to_owned(), |partner| partner.to_string());
    fixed::<()>(
        "INSERT INTO choice (contact_no, purpose, partner_id, at, given, origin, policy_version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (contact_no, purpose, partner_id, at) DO UPDATE SET given = excluded.given, \
         origin = excluded.origin, policy_version = excluded.policy_version",
    )
    .bind::<BigInt, _>(no.0)
    .bind::<Text, _>(of.purpose.code())
    .bind::<Text, _>(&partner)
    .bind::<BigInt, _>(of.at.0)
    .bind::<Bool, _>(of.given)
    .bind::<Text, _>(of.origin.code())
    .bind::<Integer, _>(of.policy.0)
    .execute(tx.statement())?;
    fixed::<()>(
        "INSERT INTO choice_now (contact_no, purpose, partner_id, given, at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (contact_no, purpose, partner_id) DO UPDATE \
         SET given = excluded.given, at = excluded.at WHERE excluded.at >= choice_now.at",
    )
    .bind::<BigInt, _>(no.0)
    .bind::<Text, _>(of.purpose.code())
    .bind::<Text, _>(&partner)
    .bind::<Bool, _>(of.given)
    .bind::<BigInt, _>(of.at.0)
    .execute(tx.statement())?;
    // A yes brings the contact back into what partners ask for by time.
    let present = contact::no.eq(no.0).and(contact::state.ne(ContactState::Erased.code()));
    let changed = diesel::update(contact::table.filter(present))
        .set(contact::updated_at.eq(of.at.0))
        .execute(tx.statement())?;
    one(changed, "there is no such contact, or it is erased")
}

/// Every choice of a person, oldest first.
pub fn list_choices(tx: &mut ReadTx, no: ContactNo) -> Result<Vec<Choice>, StoreError> {
    let rows: Vec<(String, String, i64, bool, String, i32)> = choice::table
        .filter(choice::contact_no.eq(no.0))
        .order((choice::at, choice::purpose, choice::partner_id))
        .select((
            choice::purpose,
            choice::partner_id,
            choice::at,
            choice::given,
            choice::origin,
            choice::policy_version,
        ))
        .load(tx.statement())?;
    rows.into_iter()
        .map(|(purpose, partner, at, given, origin, policy)| {
            Ok(Choice {
                purpose: read(Purpose::from_code(&purpose), "choice.purpose")?,
                partner: partner_of(&partner)?,
                given,
                at: Moment(at),
                origin: read(ChoiceOrigin::from_code(&origin), "choice.origin")?,
                policy: PolicyVersion(policy),
            })
        })
        .collect()
}

/// What is in force: purpose, one partner or all, yes or no.
pub fn current_choices(
    tx: &mut ReadTx,
    no: ContactNo,
) -> Result<Vec<(Purpose, Option<PartnerId>, bool)>, StoreError> {
    let rows: Vec<(String, String, bool)> = fixed::<(Text, Text, Bool)>(
        "SELECT purpose, partner_id, given FROM choice_now WHERE contact_no = $1 \
         ORDER BY purpose, partner_id",
    )
    .bind::<BigInt, _>(no.0)
    .load(tx.statement())?;
    rows.into_iter()
        .map(|(purpose, partner, given)| {
            let purpose = read(Purpose::from_code(&purpose), "choice_now.purpose")?;
            Ok((purpose, partner_of(&partner)?, given))
        })
        .collect()
}

fn partner_of(text: &str) -> Result<Option<PartnerId>, StoreError> {
    if text == ALL {
        return Ok(None);
    }
    read(text.parse().ok().map(Some), "choice.partner_id")
}

/// Notes that an address must not come back, for one purpose or (`None`) for anything. The first
/// time it was noted is kept.
pub fn suppress(
    tx: &mut WriteTx,
    index: &BlindIndex,
    purpose: Option<Purpose>,
    since: Moment,
) -> Result<(), EffectError> {
    fixed::<()>(
        "INSERT INTO suppression (blind_index, purpose, since) VALUES ($1, $2, $3) \
         ON CONFLICT (blind_index, purpose) DO NOTHING",
    )
    .bind::<Binary, _>(index.0.as_slice())
    .bind::<Text, _>(purpose.map_or(ALL, Purpose::code))
    .bind::<BigInt, _>(since.0)
    .execute(tx.statement())?;
    Ok(())
}

/// Takes a suppression back: the person, and nobody else, asked for it.
pub fn lift_suppression(
    tx: &mut WriteTx,
    index: &BlindIndex,
    purpose: Option<Purpose>,
) -> Result<(), EffectError> {
    fixed::<()>("DELETE FROM suppression WHERE blind_index = $1 AND purpose = $2")
        .bind::<Binary, _>(index.0.as_slice())
        .bind::<Text, _>(purpose.map_or(ALL, Purpose::code))
        .execute(tx.statement())?;
    Ok(())
}

/// Which of these addresses must not come back, and for what.
pub fn list_suppressions(
    tx: &mut ReadTx,
    indices: &[BlindIndex],
) -> Result<Vec<(BlindIndex, Option<Purpose>)>, StoreError> {
    let mut found = Vec::new();
    for index in indices {
        let purposes: Vec<String> = fixed::<Text>(
            "SELECT purpose FROM suppression WHERE blind_index = $1 ORDER BY purpose",
        )
        .bind::<Binary, _>(index.0.as_slice())
        .load(tx.statement())?;
        for purpose in purposes {
            let purpose = match purpose.as_str() {
                ALL => None,
                code => Some(read(Purpose::from_code(code), "suppression.purpose")?),
            };
            found.push((*index, purpose));
        }
    }
    Ok(found)
}
