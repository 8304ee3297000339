//! Roots and proofs of every tree up to 1,025 leaves against the recursive definition, word for word.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "tests fail loudly"
)]

use super::grown::Grown;
use super::hash::Hash;
use super::proof::{TreeHead, consistency, inclusion, verify_consistency, verify_inclusion};
use super::tree::{Frontier, tests::leaves};

/// Largest tree: four full tiles, and one leaf beyond them.
const MOST: usize = 1025;

/// Largest tree of which every consistency proof is made and every proof verified; beyond, some.
const ALL: usize = 130;

/// Largest tree of which every single proof is also spoiled in every way.
const SPOILED: usize = 70;

/// RFC 6962 §2.1 as it is written there; what was computed once is remembered.
struct Definition {
    leaves: Vec<Hash>,
    /// Root over the leaves from one place until another.
    roots: Vec<Vec<Option<Hash>>>,
}

impl Definition {
    fn new(size: usize) -> Self {
        Self { leaves: leaves(size as u64), roots: vec![vec![None; size + 1]; size + 1] }
    }

    /// MTH(D[from:until]), §2.1.
    fn root(&mut self, from: usize, until: usize) -> Hash {
        if let Some(known) = self.roots[from][until] {
            return known;
        }
        let root = match until - from {
            0 => Hash::of_nothing(),
            1 => self.leaves[from],
            n => {
                let middle = from + split(n);
                Hash::node(&self.root(from, middle), &self.root(middle, until))
            }
        };
        self.roots[from][until] = Some(root);
        root
    }

    /// PATH(m, D[from:until]), §2.1.1; `m` counts from `from`.
    fn path(&mut self, m: usize, from: usize, until: usize) -> Vec<Hash> {
        if until - from == 1 {
            return Vec::new();
        }
        let k = split(until - from);
        if m < k {
            let mut path = self.path(m, from, from + k);
            path.push(self.root(from + k, until));
            path
        } else {
            let mut path = self.path(m - k, from + k, until);
            path.push(self.root(from, from + k));
            path
        }
    }

    /// SUBPROOF(m, D[from:until], b), §2.1.2.
    fn subproof(&mut self, m: usize, (from, until): (usize, usize), b: bool) -> Vec<Hash> {
        let n = until - from;
        if m == n {
            return if b { Vec::new() } else { vec![self.root(from, until)] };
        }
        let k = split(n);
        if m <= k {
            let mut path = self.subproof(m, (from, from + k), b);
            path.push(self.root(from + k, until));
            path
        } else {
            let mut path = self.subproof(m - k, (from + k, until), false);
            path.push(self.root(from, from + k));
            path
        }
    }

    fn head(&mut self, size: usize) -> TreeHead {
        TreeHead { size: size as u64, root: self.root(0, size) }
    }
}

/// The largest power of two smaller than `n`.
fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

/// How long an inclusion path is: one hash per level up to where the paths to the leaf and to the
/// last leaf part, then one per complete subtree on the left.
fn length(index: u64, size: u64) -> u32 {
    let inner = (index ^ (size - 1)).checked_ilog2().map_or(0, |bit| bit + 1);
    inner + (index >> inner).count_ones()
}

/// Shares sizes among the cores: sizes are independent of each other.
fn for_every_size(most: usize, check: impl Fn(&mut Definition, usize) + Sync) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for core in 0..cores {
            let check = &check;
            scope.spawn(move || {
                let mut definition = Definition::new(most);
                for size in (1..=most).skip(core).step_by(cores) {
                    check(&mut definition, size);
                }
            });
        }
    });
}

#[test]
fn every_frontier_has_the_root_of_the_definition() {
    let mut definition = Definition::new(MOST);
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root(), definition.root(0, 0));
    for size in 1..=MOST {
        frontier.push(definition.leaves[size - 1]);
        assert_eq!(frontier.root(), definition.root(0, size), "size {size}");
    }
}

#[test]
fn every_inclusion_path_is_that_of_the_definition() {
    for_every_size(MOST, |definition, size| {
        let grown = Grown::new(Frontier::new(), &definition.leaves);
        let TreeHead { size: n, root } = definition.head(size);
        for index in 0..size {
            let path = inclusion(&mut &grown, index as u64, n).unwrap();
            assert_eq!(path, definition.path(index, 0, size), "{index} of {size}");
            assert_eq!(path.len() as u32, length(index as u64, n), "{index} of {size}");
            if size <= ALL || (index + size).is_multiple_of(8) {
                let leaf = definition.leaves[index];
                verify_inclusion(&leaf, index as u64, n, &path, &root).unwrap();
            }
        }
    });
}

#[test]
fn every_consistency_path_is_that_of_the_definition() {
    for_every_size(MOST, |definition, size| {
        let grown = Grown::new(Frontier::new(), &definition.leaves);
        let new = definition.head(size);
        for m in (1..=size).filter(|m| size <= ALL || (m + size).is_multiple_of(16)) {
            let old = definition.head(m);
            let path = consistency(&mut &grown, old.size, new.size).unwrap();
            assert_eq!(path, definition.subproof(m, (0, size), true), "{m} to {size}");
            verify_consistency(&old, &new, &path).unwrap();
        }
        let none = definition.head(0);
        verify_consistency(&none, &new, &[]).unwrap();
    });
}

/// Every way in which a path can be spoiled: flipped, inserted, removed, doubled, swapped, cut,
/// with something before or behind it.
fn spoiled(path: &[Hash]) -> Vec<Vec<Hash>> {
    let stray = Hash::leaf(b"stray");
    let mut all = vec![[path, &[stray]].concat(), [&[stray], path].concat()];
    all.push([path, path].concat());
    for place in 0..path.len() {
        let mut with = |change: &dyn Fn(&mut Vec<Hash>)| {
            let mut changed = path.to_vec();
            change(&mut changed);
            all.push(changed);
        };
        let bit = place * 37 % 256;
        with(&|path| path[place].0[bit / 8] ^= 1 << (bit % 8));
        with(&|path| path[place] = Hash::of_nothing());
        with(&|path| {
            path.remove(place);
        });
        with(&|path| path.insert(place, stray));
        with(&|path| path.insert(place, path[place]));
        with(&|path| path.truncate(place));
        if place > 0 {
            with(&|path| path.swap(place - 1, place));
        }
    }
    all.retain(|changed| changed != path);
    all
}

/// Sizes whose proofs are spoiled: all small ones, and around powers of two and at seeded places
/// beyond.
fn is_spoiled_at(size: usize) -> bool {
    let edge = size.is_power_of_two() || (size + 1).is_power_of_two() || size.count_ones() == 2;
    size <= SPOILED || edge || (size.wrapping_mul(0x9E37_79B9) >> 7).is_multiple_of(32)
}

#[test]
fn every_spoiled_inclusion_proof_is_refused() {
    for_every_size(MOST, |definition, size| {
        if !is_spoiled_at(size) {
            return;
        }
        let TreeHead { size: n, root } = definition.head(size);
        let step = if size <= SPOILED { 1 } else { 53 };
        for index in (0..size).step_by(step).chain([size - 1]) {
            let path = definition.path(index, 0, size);
            let (leaf, index) = (definition.leaves[index], index as u64);
            let holds = |leaf: &Hash, index, size, path: &[Hash], root: &Hash| {
                verify_inclusion(leaf, index, size, path, root).is_ok()
            };
            for bad in spoiled(&path) {
                assert!(!holds(&leaf, index, n, &bad, &root), "{index} of {n}: {bad:?}");
            }
            for other in [index.wrapping_sub(1), index + 1, index ^ 2, index + n, u64::MAX] {
                assert!(!holds(&leaf, other, n, &path, &root), "{other} for {index} of {n}");
            }
            for other in [0, n * 2, n * 2 + 1, u64::MAX] {
                assert!(!holds(&leaf, index, other, &path, &root), "{index} of {other} for {n}");
            }
            assert!(!holds(&leaf, index, n, &path, &Hash::of_nothing()));
            assert!(!holds(&Hash::leaf(b"other"), index, n, &path, &root));
            assert!(path.is_empty() || !holds(&leaf, index, n, &[], &root));
        }
    });
}

#[test]
fn every_spoiled_consistency_proof_is_refused() {
    for_every_size(MOST, |definition, size| {
        if !is_spoiled_at(size) {
            return;
        }
        let new = definition.head(size);
        let step = if size <= SPOILED { 1 } else { 53 };
        for m in (1..size).step_by(step) {
            let old = definition.head(m);
            let path = definition.subproof(m, (0, size), true);
            let holds = |old, new, path: &[Hash]| verify_consistency(&old, &new, path).is_ok();
            for bad in spoiled(&path) {
                assert!(!holds(old, new, &bad), "{m} to {size}: {bad:?}");
            }
            for other in [old.size - 1, old.size + 1, old.size * 2 + new.size, u64::MAX] {
                assert!(!holds(TreeHead { size: other, ..old }, new, &path), "{other} for {m}");
            }
            for other in [0, old.size, new.size * 2, u64::MAX] {
                assert!(!holds(old, TreeHead { size: other, ..new }, &path), "{m} to {other}");
            }
            let empty = Hash::of_nothing();
            assert!(!holds(TreeHead { root: empty, ..old }, new, &path));
            assert!(!holds(old, TreeHead { root: empty, ..new }, &path));
            assert!(!holds(new, old, &path) && !holds(old, new, &[]));
            assert!(!holds(TreeHead { size: old.size, ..new }, new, &path));
        }
        // Nothing and all of it need no path, and bear none.
        let (nothing, stray) = (definition.head(0), [Hash::leaf(b"stray")]);
        assert!(verify_consistency(&nothing, &new, &stray).is_err());
        assert!(verify_consistency(&new, &new, &stray).is_err());
        let forged = TreeHead { root: Hash::of_nothing(), ..new };
        assert!(verify_consistency(&new, &forged, &[]).is_err());
    });
}
