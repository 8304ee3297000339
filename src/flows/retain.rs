//! Old entries lose their bodies under the written retention rule; every proof goes on holding.
//!
//! One entry raises the ledger's minimum index, and commits with it: from then on what lies below
//! is gone for everybody. The rows are swept away afterwards in short strides, which can be
//! interrupted at any point and go on later.

use crate::clock::Moment;
use crate::domain::retention::{Extent, RetentionFault, RetentionRule};
use crate::id::ContactNo;
use crate::ledger::{Kind, Receipt, pruning};
use crate::store::{Effect, EffectError, StoreError, ledger_rows, prune_rows, release_rows};

use super::{Actor, Error, Gateway, Thing};

/// How often a stride is tried again when the ledger is busy: each try waits 250 ms for the lock.
const PATIENCE: usize = 40;

/// Up to where the ledger is to be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Entries below this index.
    Index(u64),
    /// Entries written before the first one of this time or later.
    Time(Moment),
}

/// What a pruning would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreseen {
    /// Entries below are gone already.
    pub min_index: u64,
    /// Entries below would be.
    pub border: u64,
}

/// What a pruning did.
#[derive(Debug)]
pub struct Pruned {
    /// The receipt of the entry.
    pub receipt: Receipt,
    /// As foreseen.
    pub what: Foreseen,
}

/// Says what would go. Changes nothing, and tells about nobody.
///
/// # Errors
/// `Invalid` when the rule keeps some of it, or no whole piece is left; `Conflict` while items of
/// an erased person are needed, because a receiver has not been told.
pub async fn foresee(
    gateway: &Gateway,
    rule: RetentionRule,
    before: Before,
) -> Result<Foreseen, Error> {
    let kept_since = rule.keeps_since(gateway.now());
    let read = gateway.store.read(move |tx| {
        let min_index = ledger_rows::min_index(tx)?;
        let size = release_rows::read_head(tx)?.size;
        let first_kept = prune_rows::find_first_since(tx, min_index, kept_since)?;
        let asked = match before {
            Before::Index(index) => index,
            Before::Time(time) => {
                prune_rows::find_first_since(tx, min_index, time)?.unwrap_or(size)
            }
        };
        let border = rule.border(Extent { min_index, size, first_kept }, asked);
        let needed = match border {
            Ok(border) => prune_rows::find_unforgotten_below(tx, border)?,
            Err(_) => None,
        };
        Ok::<_, StoreError>((min_index, border, needed))
    });
    let (min_index, border, needed) = read.await?;
    let border = border.map_err(|fault: RetentionFault| Error::invalid("before", fault))?;
    match needed {
        Some(contact) => Err(Error::Conflict(Thing::Contact, still_needed(contact))),
        None => Ok(Foreseen { min_index, border }),
    }
}

/// The index below which entries are gone; 0 before the first pruning.
pub async fn min_index(gateway: &Gateway) -> Result<u64, Error> {
    Ok(gateway.store.read(ledger_rows::min_index).await?)
}

/// Takes old entries away, all but their hashes. The rows go with [`sweep`].
///
/// # Errors
/// As [`foresee`].
pub async fn prune(
    gateway: &Gateway,
    actor: &Actor,
    rule: RetentionRule,
    before: Before,
) -> Result<Pruned, Error> {
    let what = foresee(gateway, rule, before).await?;
    let mut facts = gateway.staff_facts(Kind::Prune, "ledger.prune", actor);
    facts.detail = Some(pruning::detail(what.border, rule.keep_days()).into());
    let mut draft = Gateway::draft(facts, Vec::new())?;
    draft.effect = Some(Effect::new(move |tx| {
        // Asked again under the lock: somebody may have been erased in between.
        if let Some(contact) = prune_rows::find_unforgotten_below(tx, what.border)? {
            return Err(EffectError::Conflict(still_needed(contact)));
        }
        prune_rows::raise_min_index(tx, what.border)
    }));
    Ok(Pruned { receipt: gateway.act(draft).await?, what })
}

fn still_needed(contact: ContactNo) -> String {
    format!(
        "contact {} is erased, and not everybody who received the data has answered its recall; \
         `fieldgate person forget` lists all such contacts",
        contact.0
    )
}

/// Deletes the rows below the minimum index; `progress` hears how many entries are left. For a
/// thread that may block.
///
/// # Errors
/// `Busy` when the ledger stays busy: call it again, it goes on where it stopped.
pub fn sweep(gateway: &Gateway, mut progress: impl FnMut(u64)) -> Result<(), Error> {
    let mut sweeper = gateway.store.sweeper();
    let mut patience = PATIENCE;
    loop {
        match sweeper.stride() {
            Ok(None) => return Ok(()),
            Ok(Some(left)) => {
                patience = PATIENCE;
                progress(left);
            }
            Err(StoreError::Busy(_)) if patience > 0 => patience -= 1,
            Err(error) => return Err(error.into()),
        }
    }
}
