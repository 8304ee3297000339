//! A tree that has just grown: every node that is new, so that proofs for new leaves read nothing.

use super::hash::Hash;
use super::proof::{HashSource, ProofError, inclusion};
use super::text::count;
use super::tree::Frontier;

/// The old frontier and all complete nodes above the leaves that were appended to it.
///
/// On the path of a new leaf every left sibling that lies wholly in the old tree is one of the old
/// peaks (its parent would contain the leaf), so the frontier and the new leaves suffice.
#[derive(Debug, Clone)]
pub struct Grown {
    old: Frontier,
    new: Frontier,
    /// Per level: the new complete nodes, from position `old size >> level`.
    levels: Vec<Vec<Hash>>,
}

impl Grown {
    /// Appends `leaves` to a tree with the frontier `old`. About two hashes per leaf.
    pub fn new(old: Frontier, leaves: &[Hash]) -> Self {
        let mut new = old.clone();
        for leaf in leaves {
            new.push(*leaf);
        }
        let mut levels = Vec::new();
        let mut row = leaves.to_vec();
        let mut level = 0;
        while !row.is_empty() {
            let above = row_above(&old, level, &row);
            levels.push(row);
            row = above;
            level += 1;
        }
        Self { old, new, levels }
    }

    /// The frontier after the append.
    pub fn frontier(&self) -> &Frontier {
        &self.new
    }

    /// Number of leaves appended.
    pub fn added(&self) -> u64 {
        count(self.levels.first().map_or(0, Vec::len))
    }

    /// The inclusion path of a leaf that was appended, in the tree after the append.
    ///
    /// # Errors
    /// The index is not that of an appended leaf.
    pub fn inclusion(&self, index: u64) -> Result<Vec<Hash>, ProofError> {
        if index < self.old.size() || index >= self.new.size() {
            return Err(ProofError::OutOfRange);
        }
        inclusion(&mut &*self, index, self.new.size())
    }
}

/// The new nodes one level up. The first of them may take its left child from the old tree, where
/// it is the peak of this level.
fn row_above(old: &Frontier, level: u8, row: &[Hash]) -> Vec<Hash> {
    let nodes: Vec<Hash> = old.peak(level).into_iter().chain(row.iter().copied()).collect();
    let (pairs, _) = nodes.as_chunks::<2>();
    pairs.iter().map(|[left, right]| Hash::node(left, right)).collect()
}

impl HashSource for &Grown {
    type Error = ProofError;

    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, ProofError> {
        let first = self.old.size().checked_shr(u32::from(level)).unwrap_or(0);
        let held = match index.checked_sub(first) {
            Some(place) => usize::try_from(place)
                .ok()
                .and_then(|place| self.levels.get(usize::from(level))?.get(place)),
            None if index + 1 == first => {
                return self.old.peak(level).ok_or(ProofError::OutOfRange);
            }
            None => None,
        };
        held.copied().ok_or(ProofError::OutOfRange)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]
mod tests {
    use super::super::proof::verify_inclusion;
    use super::super::tree::tests::{defined, leaves};
    use super::*;

    #[test]
    fn every_appended_leaf_is_proved_from_the_old_frontier_alone() {
        let all = leaves(140);
        for old in 0..70_usize {
            let frontier: Frontier = all[..old].iter().copied().collect();
            for new in old..=all.len().min(old + 70) {
                let grown = Grown::new(frontier.clone(), &all[old..new]);
                let root = defined(&all[..new]);
                assert_eq!(grown.frontier().root(), root);
                assert_eq!(grown.added(), count(new - old));
                for (index, leaf) in (count(old)..).zip(&all[old..new]) {
                    let path = grown.inclusion(index).unwrap();
                    verify_inclusion(leaf, index, count(new), &path, &root).unwrap();
                }
                assert!(grown.inclusion(count(new)).is_err());
                assert!(old == 0 || grown.inclusion(count(old - 1)).is_err());
            }
        }
    }
}
