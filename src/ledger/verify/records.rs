//! The rows that hang on the entries: projections, item hashes, items, the head's other columns.

use std::collections::BTreeMap;

use crate::merkle::Hash;
use crate::merkle::tree::root_of;

use super::super::entry::{Kind, ReadEntry};
use super::super::item::Item;
use super::super::{Head, Projection, Records, ShelfError, StoredItem};
use super::tree::on_all_cores;
use super::{Finding, Report};

/// What the head must say, as far as the entries that were read can tell.
#[derive(Default)]
pub(super) struct Seen {
    last_restricting: Option<u64>,
    restores: u32,
}

impl Seen {
    /// Compares the head's columns with what the entries say.
    pub(super) fn compare(&self, head: &Head, report: &mut Report) {
        if head.last_restricting != self.last_restricting {
            report.add(Finding::Head("last_restricting"));
        }
        if head.epoch != self.restores {
            report.add(Finding::Head("epoch"));
        }
    }
}

/// Checks the rows of the entries whose bodies begin at `from`.
pub(super) fn check<R: Records>(
    records: &mut R,
    from: u64,
    bodies: &[Vec<u8>],
    seen: &mut Seen,
    report: &mut Report,
) -> Result<(), ShelfError> {
    let until = from.saturating_add(u64::try_from(bodies.len()).unwrap_or(u64::MAX));
    let mut projections: BTreeMap<u64, Option<Projection>> = records
        .projections(from, until)?
        .into_iter()
        .map(|stored| (stored.index, stored.projection))
        .collect();
    let mut items: BTreeMap<u64, Vec<StoredItem>> = BTreeMap::new();
    for item in records.items(from, until)? {
        items.entry(item.index).or_default().push(item);
    }
    let entries = on_all_cores(bodies, |body| ReadEntry::parse(body).ok());
    for (index, entry) in (from..until).zip(entries) {
        let Some(entry) = entry else {
            report.add(Finding::Entry(index));
            continue;
        };
        if entry.facts.restricting {
            seen.last_restricting = Some(index);
        }
        if entry.facts.kind == Kind::Restore {
            seen.restores = seen.restores.saturating_add(1);
        }
        let stored = projections.remove(&index).flatten();
        let items = items.remove(&index).unwrap_or_default();
        report.check_entry(index, &entry, stored, &items);
    }
    Ok(())
}

impl Report {
    fn check_entry(
        &mut self,
        index: u64,
        entry: &ReadEntry,
        stored: Option<Projection>,
        items: &[StoredItem],
    ) {
        let Some(stored) = stored else { return self.add(Finding::Projection(index)) };
        let expected = Projection {
            response_salt: stored.response_salt,
            item_hashes: stored.item_hashes.clone(),
            ..Projection::of(&entry.facts)
        };
        // An altered entry is named already; that its projection differs is no second finding.
        if stored != expected && !self.findings.contains(&Finding::Entry(index)) {
            self.add(Finding::Projection(index));
        }
        let hashes = &stored.item_hashes;
        let sound = entry.items.map_or(hashes.is_empty(), |tree| {
            u32::try_from(hashes.len()) == Ok(tree.count) && root_of(hashes) == tree.root
        });
        if !sound {
            return self.add(Finding::ItemHashes(index));
        }
        for item in items {
            if !is_sound(item, hashes) {
                self.add(Finding::Item { index, position: item.position });
            }
        }
    }
}

/// Whether a stored item is the one that was hashed, and hangs on the contact it names.
fn is_sound(stored: &StoredItem, hashes: &[Hash]) -> bool {
    let hash = usize::try_from(stored.position).ok().and_then(|place| hashes.get(place));
    let names_contact = Item::parse(&stored.bytes)
        .is_ok_and(|item| stored.contact_ref.is_none_or(|contact| contact == item.contact_ref));
    hash == Some(&Hash::leaf(&stored.bytes)) && names_contact
}
