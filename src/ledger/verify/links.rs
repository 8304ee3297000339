//! Items against the table of links, both ways, without holding either in memory.
//!
//! Items are read by entry, links by contact. Each side of a stride of entries is summed under a
//! keyed hash whose key nobody knows before the walk, so two sums that agree are two equal sets
//! but for one chance in 2^64. Only where sums differ both sides are read again and compared row
//! by row.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};

use crate::id::ContactRef;

use super::super::item::Item;
use super::super::items;
use super::super::{Link, LinkedTo, Records, ShelfError, StoredLink};
use super::{Finding, Report};

/// Links that are read at once: about 3 MB.
const PAGE: u32 = 32_768;

/// What one stride's items have more than its links: zero when both sides agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Over places: index and position.
    places: u64,
    /// Over places with the reference that stands there.
    owners: u64,
}

impl Sums {
    fn plus(self, other: Self) -> Self {
        let places = self.places.wrapping_add(other.places);
        Self { places, owners: self.owners.wrapping_add(other.owners) }
    }

    fn minus(self, other: Self) -> Self {
        let places = self.places.wrapping_sub(other.places);
        Self { places, owners: self.owners.wrapping_sub(other.owners) }
    }
}

/// The hash of this walk.
#[derive(Debug, Clone, Default)]
pub(super) struct Key(RandomState);

impl Key {
    /// What one row counts; an item or link whose owner cannot be told counts its place alone.
    fn of(&self, index: u64, position: u32, owner: Option<ContactRef>) -> Sums {
        let owners = owner.map_or(0, |owner| self.0.hash_one((index, position, owner.0)));
        Sums { places: self.0.hash_one((index, position)), owners }
    }

    /// What an entry's items count.
    pub(super) fn of_run(&self, index: u64, run: &[u8]) -> Sums {
        owners(run).fold(Sums::default(), |sums, (position, owner)| {
            sums.plus(self.of(index, position, owner))
        })
    }
}

/// Places and references of the items that are not erased.
fn owners(run: &[u8]) -> impl Iterator<Item = (u32, Option<ContactRef>)> {
    let present = (0..).zip(items::split(run)).filter(|(_, item)| !item.is_empty());
    present.map(|(position, item)| (position, owner(item)))
}

fn owner(item: &[u8]) -> Option<ContactRef> {
    Item::parse(item).ok().map(|item| item.contact_ref)
}

/// The sums of every stride.
pub(super) struct Tally {
    key: Key,
    stride: u64,
    from: Option<u64>,
    strides: BTreeMap<u64, Sums>,
}

impl Tally {
    /// Sums over so many entries each.
    pub(super) fn new(stride: u64) -> Self {
        Self { key: Key::default(), stride, from: None, strides: BTreeMap::new() }
    }

    /// The hash under which items are counted.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// Takes what the items of an entry count. Entries come in rising order.
    pub(super) fn add(&mut self, index: u64, sums: Sums) {
        self.from.get_or_insert(index);
        let held = self.strides.entry(index / self.stride).or_default();
        *held = held.plus(sums);
    }

    /// Reads all links to the entries that were counted or stand behind them (if none was, behind
    /// the `size` of the ledger), and names what one side has and the other has not.
    pub(super) fn settle<R: Records>(
        mut self,
        records: &mut R,
        size: u64,
        report: &mut Report,
    ) -> Result<(), ShelfError> {
        let from = self.from.unwrap_or(size);
        let mut after = None;
        loop {
            let links = records.links(from, after, PAGE)?;
            let Some((last, _)) = links.last() else { break };
            after = Some(*last);
            for (link, to) in links {
                let sums = self.key.of(link.index, link.position, owner_of(records, link, to)?);
                let held = self.strides.entry(link.index / self.stride).or_default();
                *held = held.minus(sums);
            }
        }
        for (stride, sums) in self.strides {
            if sums == Sums::default() {
                continue;
            }
            if report.is_full() {
                report.more = report.more.saturating_add(1);
                continue;
            }
            let begin = stride.saturating_mul(self.stride);
            compare(records, begin.max(from), begin.saturating_add(self.stride), report)?;
        }
        Ok(())
    }
}

/// The reference that a link vouches for. The link of an erased contact, which waits for a recall
/// to be answered, agrees with its item unless that speaks of somebody who is still there.
fn owner_of<R: Records>(
    records: &mut R,
    link: Link,
    to: LinkedTo,
) -> Result<Option<ContactRef>, ShelfError> {
    match to {
        LinkedTo::Contact(reference) => Ok(Some(reference)),
        LinkedTo::Nobody => Ok(None),
        LinkedTo::Erased => {
            let stored = records.items(link.index, link.index.saturating_add(1))?;
            let run = stored.first().map(|stored| stored.run.as_slice()).unwrap_or_default();
            match items::item_at(run, link.position).and_then(owner) {
                Some(reference) if !records.is_known(reference)? => Ok(Some(reference)),
                _ => Ok(None),
            }
        }
    }
}

/// Compares the items of a range of entries with its links, row by row.
fn compare<R: Records>(
    records: &mut R,
    from: u64,
    until: u64,
    report: &mut Report,
) -> Result<(), ShelfError> {
    let stored = records.items(from, until)?;
    let places: BTreeMap<(u64, u32), Option<ContactRef>> = stored
        .iter()
        .flat_map(|one| owners(&one.run).map(|(position, who)| ((one.index, position), who)))
        .collect();
    let mut unlinked: BTreeSet<(u64, u32)> = places.keys().copied().collect();
    for (link, to) in sorted(records.links_to(from, until)?) {
        let place = (link.index, link.position);
        unlinked.remove(&place);
        let agrees = match places.get(&place) {
            None => false,
            // What cannot be read is named as an altered item.
            Some(None) => true,
            Some(owner) => owner_of(records, link, to)? == *owner,
        };
        if !agrees && !report.names_item(link.index, link.position) {
            report.add(Finding::Link(link));
        }
    }
    for (index, position) in unlinked {
        if !report.names_item(index, position) {
            report.add(Finding::Unlinked { index, position });
        }
    }
    Ok(())
}

fn sorted(mut links: Vec<StoredLink>) -> Vec<StoredLink> {
    links.sort_by_key(|(link, _)| *link);
    links
}

impl Report {
    /// Whether an item is named already, alone or with all items of its entry.
    fn names_item(&self, index: u64, position: u32) -> bool {
        let item = Finding::Item { index, position };
        self.findings.iter().any(|named| *named == item || *named == Finding::Items(index))
    }
}
