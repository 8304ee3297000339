//! Checkpoints that were signed, held against the entries: signatures, roots, cosignatures.

use crate::clock::Moment;
use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::key::Verifier;
use crate::merkle::note::{Note, SignatureLine};
use crate::merkle::policy::Policy;

use super::super::log_key::KeyHistory;
use super::super::prove::{ProveError, root_at};
use super::super::publishing::Published;
use super::super::{Archive, ShelfError};
use super::{Finding, Plan, Report};

/// A checkpoint as it was published, with what witnesses put below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// The checkpoint with the log's signatures.
    pub published: Published,
    /// The lines below it, as they are kept.
    pub lines: Vec<KeptLine>,
}

/// A witness's line as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLine {
    /// The witness: `<name>+<key id>`.
    pub witness: String,
    /// The line, with its newline.
    pub line: String,
    /// When the witness cosigned, as the row says.
    pub at: Moment,
}

/// The notes of a plan: each signed by a known key of the log, each with the ledger's root.
pub(super) fn named<A: Archive>(
    archive: &mut A,
    plan: &Plan,
    report: &mut Report,
) -> Result<(), ShelfError> {
    for note in &plan.checkpoints {
        let size = Checkpoint::parse(note.text()).map_or(0, |checkpoint| checkpoint.size);
        if let Some(wrong) = fault_of(archive, (&plan.log, &report.keys), note, size)? {
            report.add(wrong);
        }
    }
    Ok(())
}

/// Checks all published checkpoints from a size on, as they are kept: signatures by keys that the
/// entries of the report had in force, roots, and every line of a witness that the policy names.
/// `page` reads the next ones, smallest first, and none behind the last.
///
/// That the newest lack cosignatures is no finding: they may be on their way. That of a whole
/// ledger not one satisfies the policy is.
///
/// # Errors
/// The store could not be read at all.
pub fn kept<A: Archive>(
    archive: &mut A,
    (policy, from): (&Policy, u64),
    mut page: impl FnMut(&mut A, u64) -> Result<Vec<Witnessed>, ShelfError>,
    report: &mut Report,
) -> Result<(), ShelfError> {
    let keys = (policy.logs().cloned().collect(), policy.witnesses().cloned().collect());
    let (mut next, mut convinced) = (from, false);
    loop {
        let checkpoints = page(archive, next)?;
        let Some(last) = checkpoints.last().map(|last| last.published.size) else { break };
        for one in &checkpoints {
            convinced |= convinces(archive, (policy, &keys), one, report)?;
        }
        next = last.saturating_add(1);
    }
    if from == 0 && next > 0 && !convinced {
        report.add(Finding::Unconvincing(next.saturating_sub(1)));
    }
    Ok(())
}

/// Names what is wrong with a kept checkpoint; whether it satisfies the policy.
fn convinces<A: Archive>(
    archive: &mut A,
    (policy, (log, witnesses)): (&Policy, &(Vec<Verifier>, Vec<Verifier>)),
    Witnessed { published, lines }: &Witnessed,
    report: &mut Report,
) -> Result<bool, ShelfError> {
    let size = published.size;
    let Ok(mut note) = published.read() else {
        report.add(Finding::Checkpoint(size));
        return Ok(false);
    };
    if let Some(wrong) = fault_of(archive, (log, &report.keys), &note, size)? {
        report.add(wrong);
    }
    let unsigned = note.clone();
    for kept in lines {
        match cosignature(&unsigned, kept, witnesses) {
            Some(line) => note.add(line),
            None => report.add(Finding::Cosignature { size, witness: kept.witness.clone() }),
        }
    }
    Ok(policy.check(&note).is_ok())
}

/// What is wrong with a note that should be a checkpoint of this log and size: another root, no
/// good signature of a key that is known, or only such of keys that were not in force.
fn fault_of<A: Archive>(
    archive: &mut A,
    (log, keys): (&[Verifier], &KeyHistory),
    note: &Note,
    size: u64,
) -> Result<Option<Finding>, ShelfError> {
    let alien = Some(Finding::Checkpoint(size));
    let Ok(checkpoint) = Checkpoint::parse(note.text()) else { return Ok(alien) };
    let signatures = note.verify(log).unwrap_or_default();
    let signed = signatures.iter().filter_map(|seen| log.get(seen.key));
    let mut signed = signed.filter(|key| key.name() == checkpoint.origin).peekable();
    if signed.peek().is_none() || checkpoint.size != size {
        return Ok(alien);
    }
    let in_force = signed.any(|key| keys.is_in_force(key, size));
    match root_at(archive, size) {
        Ok(root) if root == checkpoint.root => Ok((!in_force).then_some(Finding::LogKey(size))),
        Err(ProveError::Shelf(error)) => Err(error),
        Ok(_)
        | Err(ProveError::Beyond | ProveError::Pruned { .. } | ProveError::Missing { .. }) => {
            Ok(alien)
        }
    }
}

/// A kept line, if it is what its row says. Whether a witness that the policy does not name
/// signed it cannot be told: without a key there is nothing to check it with.
fn cosignature(note: &Note, kept: &KeptLine, known: &[Verifier]) -> Option<SignatureLine> {
    let line = SignatureLine::parse(kept.line.strip_suffix('\n')?).ok()?;
    if format!("{}+{}", line.name, line.id) != kept.witness {
        return None;
    }
    let key = known.iter().find(|key| key.name() == line.name && key.id() == line.id);
    let Some(key) = key else { return Some(line) };
    let mut cosigned = note.clone();
    cosigned.add(line.clone());
    let seen = cosigned.verify(std::slice::from_ref(key)).ok()?;
    let time = seen.iter().find_map(|seen| seen.time)?;
    (Moment::from_seconds(i64::try_from(time).ok()?) == kept.at).then_some(line)
}
