//! A tree that has just grown: every node that is new, so that proofs for new leaves read nothing.

use super::hash::Hash;
use super::proof::{Climb, HashSource, ProofError, TreeHead, inclusion_beside};
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
        self.inclusion_beside(index, (0, &[]))
    }

    fn inclusion_beside(&self, index: u64, known: (u64, &[Hash])) -> Result<Vec<Hash>, ProofError> {
        if index < self.old.size() || index >= self.new.size() {
            return Err(ProofError::OutOfRange);
        }
        inclusion_beside(&mut &*self, index, self.new.size(), known)
    }

    /// Proves the leaves that were appended, against the head that was signed.
    pub fn proving(&self, head: TreeHead) -> Proving<'_> {
        Proving { grown: self, head, index: 0, path: Vec::new(), climbs: Vec::new() }
    }
}

/// Proofs for new leaves, one after the other. Of what two neighbours share, which is nearly all,
/// nothing is hashed again: neither to make a path nor to check it.
#[derive(Debug)]
pub struct Proving<'a> {
    grown: &'a Grown,
    head: TreeHead,
    /// The leaf that was proved last, and its path, last hash first.
    index: u64,
    path: Vec<Hash>,
    /// Where that path led, by how many hashes were left.
    climbs: Vec<Climb>,
}

impl Proving<'_> {
    /// The inclusion path of a leaf that was appended, checked as any reader would check it.
    ///
    /// # Errors
    /// The index is not that of an appended leaf, or the path does not lead to the root.
    pub fn inclusion(&mut self, leaf: &Hash, index: u64) -> Result<Vec<Hash>, ProofError> {
        let path = self.grown.inclusion_beside(index, (self.index, &self.path))?;
        self.check(leaf, index, &path)?;
        Ok(path)
    }

    /// Follows a path until it is where the one before was, with the same hashes before it: from
    /// there on it leads to the same root.
    fn check(&mut self, leaf: &Hash, index: u64, path: &[Hash]) -> Result<(), ProofError> {
        let mut climb = Climb::begin(leaf, index, self.head.size)?;
        let (mut rest, mut climbs) = (path, Vec::new());
        while !self.was_at(climb, rest) {
            climbs.push(climb);
            let Some((step, further)) = rest.split_first() else {
                if climb.root()? != self.head.root {
                    return Err(ProofError::WrongRoot);
                }
                break;
            };
            climb = climb.step(step)?;
            rest = further;
        }
        let kept = path.len().saturating_add(1).saturating_sub(climbs.len());
        self.climbs.truncate(kept);
        self.climbs.extend(climbs.into_iter().rev());
        self.path = path.iter().rev().copied().collect();
        self.index = index;
        Ok(())
    }

    fn was_at(&self, climb: Climb, rest: &[Hash]) -> bool {
        self.climbs.get(rest.len()) == Some(&climb)
            && self.path.get(..rest.len()).is_some_and(|path| path.iter().eq(rest.iter().rev()))
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

    fn grown(all: &[Hash], old: usize, new: usize) -> (Grown, TreeHead) {
        let frontier: Frontier = all[..old].iter().copied().collect();
        let head = TreeHead { size: count(new), root: defined(&all[..new]) };
        (Grown::new(frontier, &all[old..new]), head)
    }

    #[test]
    fn every_appended_leaf_is_proved_from_the_old_frontier_alone() {
        let all = leaves(140);
        for old in 0..70_usize {
            for new in old..=all.len().min(old + 70) {
                let (grown, head) = grown(&all, old, new);
                assert_eq!(grown.frontier().root(), head.root);
                assert_eq!(grown.added(), count(new - old));
                let mut proving = grown.proving(head);
                for (index, leaf) in (count(old)..).zip(&all[old..new]) {
                    let path = proving.inclusion(leaf, index).unwrap();
                    assert_eq!(Ok(&path), grown.inclusion(index).as_ref());
                    verify_inclusion(leaf, index, head.size, &path, &head.root).unwrap();
                }
                let any = Hash::of_nothing();
                assert!(proving.inclusion(&any, count(new)).is_err());
                assert!(old == 0 || proving.inclusion(&any, count(old - 1)).is_err());
            }
        }
    }

    #[test]
    fn what_no_reader_accepts_is_refused_whatever_was_proved_before() {
        let all = leaves(45);
        for (old, new) in [(0, 1), (0, 8), (3, 21), (13, 45), (32, 45)] {
            let (grown, head) = grown(&all, old, new);
            let indices = count(old)..count(new);
            for before in indices.clone() {
                for index in indices.clone() {
                    let leaf = all[usize::try_from(index).unwrap()];
                    let path = grown.inclusion(index).unwrap();
                    let mut cases = vec![(leaf, index, path.clone())];
                    cases.push((Hash::of_nothing(), index, path.clone()));
                    cases.push((leaf, index ^ 1, path.clone()));
                    cases.push((leaf, index, [&path[..], &[leaf]].concat()));
                    cases.push((leaf, index, path.iter().skip(1).copied().collect()));
                    for place in 0..path.len() {
                        let mut altered = path.clone();
                        altered[place].0[7] ^= 1;
                        cases.push((leaf, index, altered));
                    }
                    for (leaf, index, path) in cases {
                        let mut proving = grown.proving(head);
                        proving.inclusion(&all[usize::try_from(before).unwrap()], before).unwrap();
                        let reader = verify_inclusion(&leaf, index, head.size, &path, &head.root);
                        assert_eq!(proving.check(&leaf, index, &path), reader);
                    }
                }
            }
            let other = TreeHead { root: Hash::of_nothing(), ..head };
            let refused = grown.proving(other).inclusion(&all[old], count(old));
            assert_eq!(refused, Err(ProofError::WrongRoot));
        }
    }
}
