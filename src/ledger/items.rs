//! All items of one entry as one run of bytes: how they are stored, split, and cut at erasure.
//!
//! The encoding is that of an entry bundle (C2SP tlog-tiles): before each item its length as two
//! bytes, big-endian. An erased item has length 0 and keeps its place.

use super::entry::MAX_ITEMS;

/// Writes one item at the end of a run. Canonical items are far shorter than 65,535 bytes.
///
/// # Errors
/// Gives nothing and leaves the run as it was when the item is longer than that.
pub(super) fn push(run: &mut Vec<u8>, item: &[u8]) -> Option<()> {
    let length = u16::try_from(item.len()).ok()?;
    run.extend_from_slice(&length.to_be_bytes());
    run.extend_from_slice(item);
    Some(())
}

/// The items of a run in page order, without copying them; an erased item is empty.
pub fn split(run: &[u8]) -> Split<'_> {
    Split { rest: run, whole: true }
}

/// See [`split`].
#[derive(Debug, Clone)]
pub struct Split<'a> {
    rest: &'a [u8],
    whole: bool,
}

impl Split<'_> {
    /// Whether all bytes so far belonged to an item. Ask it at the end.
    pub fn is_whole(&self) -> bool {
        self.whole
    }
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let next = self.rest.split_first_chunk::<2>().and_then(|(length, after)| {
            after.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        });
        let Some((item, rest)) = next else {
            (self.rest, self.whole) = (&[], false);
            return None;
        };
        self.rest = rest;
        Some(item)
    }
}

/// Reads a run from the store or an archive: its items, at most 10,000.
///
/// # Errors
/// `None` if the run ends inside an item or holds more.
pub fn read(run: &[u8]) -> Option<Vec<&[u8]>> {
    let mut split = split(run);
    let items: Vec<&[u8]> = split.by_ref().take(MAX_ITEMS).collect();
    (split.is_whole() && split.next().is_none() && split.is_whole()).then_some(items)
}

/// The item at a place; `None` if the run has no such place or the item is erased.
pub fn item_at(run: &[u8], position: u32) -> Option<&[u8]> {
    let place = usize::try_from(position).ok()?;
    split(run).nth(place).filter(|item| !item.is_empty())
}

/// The run with one item erased: its bytes go, its place stays. `None` as for [`item_at`].
pub fn cut(run: &[u8], position: u32) -> Option<Vec<u8>> {
    let place = usize::try_from(position).ok()?;
    let before: usize = split(run).take(place).map(|item| item.len().saturating_add(2)).sum();
    let item = item_at(run, position)?;
    let after = before.checked_add(2)?.checked_add(item.len())?;
    Some([run.get(..before)?, &[0, 0], run.get(after..)?].concat())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;
    use crate::merkle::tile::encode_bundle;
    use proptest::prelude::*;

    fn run(items: &[&[u8]]) -> Vec<u8> {
        let mut run = Vec::new();
        for item in items {
            push(&mut run, item).unwrap();
        }
        run
    }

    #[test]
    fn a_run_is_encoded_like_a_bundle() {
        let items: [&[u8]; 3] = [b"a", b"", b"ccc"];
        assert_eq!(run(&items), encode_bundle(&items).unwrap());
        assert_eq!(read(&run(&items)).unwrap(), items);
        assert_eq!(read(&[]).unwrap(), Vec::<&[u8]>::new());
        assert_eq!(push(&mut Vec::new(), &vec![0; 65_536]), None);
    }

    #[test]
    fn a_run_that_ends_inside_an_item_or_holds_too_many_is_refused() {
        let whole = run(&[b"a", b"ccc"]);
        let readable: Vec<usize> =
            (0..=whole.len()).filter(|end| read(whole.get(..*end).unwrap()).is_some()).collect();
        assert_eq!(readable, [0, 3, 8]);
        assert!(read(&vec![0; 2 * MAX_ITEMS]).is_some());
        assert!(read(&vec![0; 2 * MAX_ITEMS + 2]).is_none());
        assert!(read(&vec![0; 2 * MAX_ITEMS + 1]).is_none());
    }

    #[test]
    fn a_cut_item_is_gone_and_its_neighbours_keep_their_places() {
        let whole = run(&[b"a", b"bb", b"ccc"]);
        let once = cut(&whole, 1).unwrap();
        assert_eq!(once, run(&[b"a", b"", b"ccc"]));
        assert_eq!((item_at(&once, 1), item_at(&once, 2)), (None, Some(&b"ccc"[..])));
        assert_eq!((cut(&once, 1), cut(&once, 3)), (None, None));
        assert_eq!(cut(&cut(&once, 0).unwrap(), 2).unwrap(), [0; 6]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_run_or_refused(bytes in proptest::collection::vec(0_u8..4, 0..60)) {
            if let Some(items) = read(&bytes) {
                prop_assert_eq!(run(&items), bytes);
            }
        }
    }
}
