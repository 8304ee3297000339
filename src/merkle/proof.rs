//! Proofs that an entry is in the tree, and that one tree is the beginning of another.
//!
//! Verification is that of RFC 9162 §2.1.3.2 and §2.1.4.2; the order of checks is normative.

use super::hash::Hash;
use super::text::count;

/// Why a proof is no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index is not below the size, or the older size is above the newer.
    #[error("the position lies outside the tree")]
    OutOfRange,
    /// The path has too few or too many hashes.
    #[error("the path has the wrong length")]
    WrongLength,
    /// The path leads to another root.
    #[error("the path leads to another root")]
    WrongRoot,
}

/// Hashes of complete subtrees, from wherever they are kept.
pub trait HashSource {
    /// Why a hash could not be given.
    type Error;

    /// The hash over the 2^`level` leaves that begin at `index` · 2^`level`.
    /// It is asked only for subtrees that are complete.
    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// Checks that `leaf` stands at `index` in the tree of `size` leaves and this root.
///
/// # Errors
/// The position is outside, or the path is too short, too long or leads elsewhere.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if implied_root(leaf, index, size, path)? == *root {
        Ok(())
    } else {
        Err(ProofError::WrongRoot)
    }
}

/// The root to which an inclusion path leads.
///
/// # Errors
/// The position is outside, or the path has the wrong length.
pub fn implied_root(leaf: &Hash, index: u64, size: u64, path: &[Hash]) -> Result<Hash, ProofError> {
    path.iter().try_fold(Climb::begin(leaf, index, size)?, Climb::step)?.root()
}

/// How far an inclusion path has led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Climb {
    place: u64,
    last: u64,
    hash: Hash,
}

impl Climb {
    /// At the leaf.
    pub(super) fn begin(leaf: &Hash, index: u64, size: u64) -> Result<Self, ProofError> {
        let last = size.checked_sub(1).filter(|last| index <= *last);
        let last = last.ok_or(ProofError::OutOfRange)?;
        Ok(Self { place: index, last, hash: *leaf })
    }

    /// One hash of the path further up.
    pub(super) fn step(self, step: &Hash) -> Result<Self, ProofError> {
        let Self { mut place, mut last, mut hash } = self;
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if place & 1 == 1 || place == last {
            hash = Hash::node(step, &hash);
            skip_to_odd(&mut place, &mut last);
        } else {
            hash = Hash::node(&hash, step);
        }
        Ok(Self { place: place >> 1, last: last >> 1, hash })
    }

    /// At the end of the path.
    pub(super) fn root(self) -> Result<Hash, ProofError> {
        if self.last == 0 { Ok(self.hash) } else { Err(ProofError::WrongLength) }
    }
}

/// On the right edge a node without sibling moves up unchanged: skip those levels.
fn skip_to_odd(place: &mut u64, last: &mut u64) {
    while *place & 1 == 0 && *place != 0 {
        *place >>= 1;
        *last >>= 1;
    }
}

/// One tree head: how many leaves, and their root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// Number of leaves.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

/// Checks that `new` begins with all of `old`.
///
/// # Errors
/// `old` is larger, or the path is too short, too long or leads elsewhere.
pub fn verify_consistency(old: &TreeHead, new: &TreeHead, path: &[Hash]) -> Result<(), ProofError> {
    if old.size > new.size {
        return Err(ProofError::OutOfRange);
    }
    if old.size == new.size || old.size == 0 {
        let roots_agree = old.size != new.size || old.root == new.root;
        return match (path.is_empty(), roots_agree) {
            (false, _) => Err(ProofError::WrongLength),
            (true, false) => Err(ProofError::WrongRoot),
            (true, true) => Ok(()),
        };
    }
    if path.is_empty() {
        return Err(ProofError::WrongLength);
    }
    let (old_root, new_root) = implied_roots(old, new.size, path)?;
    if old_root == old.root && new_root == new.root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// The two roots to which a consistency path leads, for 0 < old size < new size.
fn implied_roots(old: &TreeHead, new_size: u64, path: &[Hash]) -> Result<(Hash, Hash), ProofError> {
    // The root of a complete old tree is a node of the new one; RFC 9162 leaves it out of the path.
    let implied = old.size.is_power_of_two().then_some(&old.root);
    let mut steps = implied.into_iter().chain(path);
    let mut place = old.size - 1;
    let mut last = new_size - 1;
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let first = *steps.next().ok_or(ProofError::WrongLength)?;
    let (mut old_root, mut new_root) = (first, first);
    for step in steps {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if place & 1 == 1 || place == last {
            old_root = Hash::node(step, &old_root);
            new_root = Hash::node(step, &new_root);
            skip_to_odd(&mut place, &mut last);
        } else {
            new_root = Hash::node(&new_root, step);
        }
        place >>= 1;
        last >>= 1;
    }
    if last == 0 { Ok((old_root, new_root)) } else { Err(ProofError::WrongLength) }
}

/// The path from leaf `index` to the root of the tree of `size` leaves; leaf's sibling first.
/// Empty if the index is outside (which no verifier then accepts).
///
/// # Errors
/// The source could not give a hash.
pub fn inclusion<S: HashSource>(
    source: &mut S,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, S::Error> {
    inclusion_beside(source, index, size, (0, &[]))
}

/// The same where the path of another leaf of this tree is known, its last hash first: what the two
/// paths share is taken from there.
pub(super) fn inclusion_beside<S: HashSource>(
    source: &mut S,
    index: u64,
    size: u64,
    (other, known): (u64, &[Hash]),
) -> Result<Vec<Hash>, S::Error> {
    let mut path = Vec::new();
    let (mut from, mut until) = (0, size);
    while index < size && until - from > 1 {
        let middle = from + largest_power_below(until - from);
        let is_left = index < middle;
        let shared = (from..until).contains(&other) && (other < middle) == is_left;
        let (begin, end) = if is_left { (middle, until) } else { (from, middle) };
        path.push(match known.get(path.len()).filter(|_| shared) {
            Some(hash) => *hash,
            None => range_root(source, begin, end)?,
        });
        (from, until) = if is_left { (from, middle) } else { (middle, until) };
    }
    path.reverse();
    Ok(path)
}

/// The path that leads from the tree of `old` leaves to that of `new`. Empty if there is nothing
/// to show (`old` is 0 or equals `new`) or nothing that could be shown (`old` is above `new`).
///
/// # Errors
/// The source could not give a hash.
pub fn consistency<S: HashSource>(
    source: &mut S,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, S::Error> {
    let mut path = Vec::new();
    let (mut from, mut until) = (0, new);
    if old == 0 || old > new {
        return Ok(path);
    }
    while old != until {
        let middle = from + largest_power_below(until - from);
        if old <= middle {
            path.push(range_root(source, middle, until)?);
            until = middle;
        } else {
            path.push(range_root(source, from, middle)?);
            from = middle;
        }
    }
    // A node that is the whole old tree is known to the reader already.
    if from > 0 {
        path.push(range_root(source, from, until)?);
    }
    path.reverse();
    Ok(path)
}

/// The root of the first `size` leaves.
///
/// # Errors
/// The source could not give a hash.
pub fn root<S: HashSource>(source: &mut S, size: u64) -> Result<Hash, S::Error> {
    if size == 0 { Ok(Hash::of_nothing()) } else { range_root(source, 0, size) }
}

/// The root over the leaves `from..until`, where `from` is a multiple of a power of two not below
/// their number: as every subtree of the definition is.
fn range_root<S: HashSource>(source: &mut S, from: u64, until: u64) -> Result<Hash, S::Error> {
    let mut end = until;
    let mut root: Option<Hash> = None;
    while end > from {
        // The rightmost complete subtree is the lowest set bit of the number of leaves.
        let level = (end - from).trailing_zeros();
        let width = 1 << level;
        let left = source.hash(u8::try_from(level).unwrap_or(u8::MAX), (end - width) >> level)?;
        root = Some(root.map_or(left, |right| Hash::node(&left, &right)));
        end -= width;
    }
    Ok(root.unwrap_or_else(Hash::of_nothing))
}

/// The largest power of two below `n`, for n > 1 (RFC 6962 §2.1).
fn largest_power_below(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Leaf hashes in memory: small trees, such as the items below one entry.
impl HashSource for &[Hash] {
    type Error = ProofError;

    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, ProofError> {
        let width = 1_u64.checked_shl(u32::from(level)).ok_or(ProofError::OutOfRange)?;
        let from = index.checked_mul(width).ok_or(ProofError::OutOfRange)?;
        let until = from.checked_add(width).filter(|end| *end <= count(self.len()));
        let from = usize::try_from(from).map_err(|_| ProofError::OutOfRange)?;
        let until = usize::try_from(until.ok_or(ProofError::OutOfRange)?);
        let range = self.get(from..until.map_err(|_| ProofError::OutOfRange)?);
        Ok(super::tree::root_of(range.ok_or(ProofError::OutOfRange)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::super::tree::tests::{defined, reference_leaves};
    use super::*;

    const A: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
    const B: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
    const C: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
    const D: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
    const E: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
    const F: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
    const R4: &str = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7";

    fn hex(path: &[Hash]) -> Vec<String> {
        path.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_reference_tree_has_its_known_paths() {
        let leaves = reference_leaves();
        let mut tree = leaves.as_slice();
        assert_eq!(hex(&inclusion(&mut tree, 0, 8).unwrap()), [A, B, C]);
        assert_eq!(hex(&inclusion(&mut tree, 5, 8).unwrap()), [D, E, R4]);
        assert_eq!(hex(&consistency(&mut tree, 1, 8).unwrap()), [A, B, C]);
        assert_eq!(hex(&consistency(&mut tree, 6, 8).unwrap()), [F, E, R4]);
        assert_eq!(hex(&consistency(&mut tree, 2, 5).unwrap()), [B, D]);
        assert_eq!(root(&mut tree, 8).unwrap(), defined(&leaves));
    }
}
