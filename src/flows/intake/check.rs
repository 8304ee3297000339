//! Looks at one submission: policy shown, wording, values; names the place, never the value.

use crate::clock::{DAY, Moment};
use crate::domain::contact::Country;
use crate::domain::field::{Field, FieldSet};
use crate::domain::policy::Policy;
use crate::flows::{Fault, Registry};
use crate::secret::Personal;
use crate::vault::blind_index::{BlindIndex, blind_index};
use crate::vault::keyring::Keyring;

use super::Submission;

/// A submission that passed every check: normal values, its blind index.
pub(super) struct Checked {
    pub(super) index: BlindIndex,
    pub(super) country: Country,
    pub(super) values: Vec<(Field, Personal)>,
    pub(super) submission: usize,
}

/// Checks one submission; `position` is its place in the batch.
pub(super) fn check(
    registry: &Registry,
    keyring: &Keyring,
    submission: &Submission,
    (position, now): (usize, Moment),
) -> Result<Checked, Fault> {
    let at = |what: &str| format!("/contacts/{position}/{what}");
    let wrong = |what: &str, says: String| Fault { at: at(what), says };
    let policy = registry.policy(submission.policy).filter(|policy| policy.published_at.is_some());
    let policy = policy
        .ok_or_else(|| wrong("policy_version", "names no published policy version".to_owned()))?;
    check_wording(policy, submission).map_err(|says| wrong("wording_hash", says))?;
    if submission.at > now.plus(DAY) {
        return Err(wrong("collected_at", "lies in the future".to_owned()));
    }
    let mut values = Vec::with_capacity(submission.fields.len());
    let mut seen = FieldSet::NONE;
    for (field, value) in &submission.fields {
        if seen.contains(*field) {
            return Err(wrong(&format!("fields/{field}"), "is given twice".to_owned()));
        }
        seen = seen.or(FieldSet::of(&[*field]));
        let normal = field.parse(value.expose());
        let normal =
            normal.map_err(|fault| wrong(&format!("fields/{field}"), fault.to_string()))?;
        values.push((*field, Personal::new(normal)));
    }
    let value_of = |wanted: Field| values.iter().find(|(field, _)| *field == wanted);
    let (_, address) = value_of(Field::Email)
        .ok_or_else(|| wrong("fields/email", "is missing: every contact needs one".to_owned()))?;
    let index = blind_index(keyring, address);
    let index = index.map_err(|fault| wrong("fields/email", fault.to_string()))?;
    let country = match value_of(Field::Country) {
        None => Country::UNKNOWN,
        Some((_, code)) => Country::parse(code.expose())
            .map_err(|fault| wrong("fields/country", fault.to_string()))?,
    };
    Ok(Checked { index, country, values, submission: position })
}

fn check_wording(policy: &Policy, submission: &Submission) -> Result<(), String> {
    let shown = policy.texts.iter().any(|text| text.wording_hash == submission.wording_hash);
    if shown {
        Ok(())
    } else {
        Err(format!("is not the SHA-256 of a text of policy version {}", policy.version))
    }
}
