//! The compact range of a tree: enough to append and to know the root, 64 hashes at most.

use super::hash::Hash;
use super::text::count;

/// The right edge of a tree of `size` leaves: one hash per set bit of the size, left to right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

/// Stored bytes are not a frontier of the stored size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves has {expected} frontier bytes, found {found}")]
pub struct BadFrontier {
    /// Leaves according to the head.
    pub size: u64,
    /// 32 bytes for each set bit of the size.
    pub expected: u64,
    /// Bytes found.
    pub found: u64,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the bytes of a head row.
    ///
    /// # Errors
    /// The bytes are not 32 for each set bit of `size`.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Result<Self, BadFrontier> {
        let expected = u64::from(size.count_ones()) * 32;
        let bad = BadFrontier { size, expected, found: count(bytes.len()) };
        let peaks = Hash::split(bytes).ok_or(bad)?;
        if bad.found != expected {
            return Err(bad);
        }
        Ok(Self { size, peaks })
    }

    /// The bytes for a head row: the hashes, left to right.
    pub fn to_bytes(&self) -> Vec<u8> {
        Hash::join(&self.peaks)
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds one leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        assert!(self.size < u64::MAX, "a log has fewer than 2^64 entries");
        let mut hash = leaf;
        let mut carry = self.size;
        while carry & 1 == 1 {
            if let Some(left) = self.peaks.pop() {
                hash = Hash::node(&left, &hash);
            }
            carry >>= 1;
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root: the peaks folded from the right, or the hash of nothing.
    pub fn root(&self) -> Hash {
        let folded =
            self.peaks.iter().rev().copied().reduce(|right, left| Hash::node(&left, &right));
        folded.unwrap_or_else(Hash::of_nothing)
    }

    /// The peak of 2^`level` leaves, if the size has that bit.
    pub fn peak(&self, level: u8) -> Option<Hash> {
        let above = self.size.checked_shr(u32::from(level)).filter(|rest| rest & 1 == 1)?;
        let place = usize::try_from(above.count_ones().checked_sub(1)?).ok()?;
        self.peaks.get(place).copied()
    }
}

impl FromIterator<Hash> for Frontier {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut frontier = Self::new();
        leaves.into_iter().for_each(|leaf| frontier.push(leaf));
        frontier
    }
}

/// The root over leaf hashes (RFC 6962 §2.1).
pub fn root_of(leaves: &[Hash]) -> Hash {
    leaves.iter().copied().collect::<Frontier>().root()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]
pub(super) mod tests {
    use super::*;

    /// The recursive definition of RFC 6962 §2.1: the yardstick of all tests.
    pub(in crate::merkle) fn defined(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of_nothing(),
            [leaf] => *leaf,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                Hash::node(&defined(&leaves[..k]), &defined(&leaves[k..]))
            }
        }
    }

    /// Distinct leaf hashes.
    pub(in crate::merkle) fn leaves(n: u64) -> Vec<Hash> {
        (0..n).map(|i| Hash::leaf(&i.to_be_bytes())).collect()
    }

    /// The eight leaves of the CT reference tree, reference page §10.
    pub(in crate::merkle) fn reference_leaves() -> Vec<Hash> {
        let entries: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        entries.iter().map(|entry| Hash::leaf(entry)).collect()
    }

    #[test]
    fn the_reference_tree_has_its_nine_roots() {
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut frontier = Frontier::new();
        for (size, root) in roots.iter().enumerate() {
            assert_eq!(frontier.root().to_string(), *root, "size {size}");
            if let Some(leaf) = reference_leaves().get(size) {
                frontier.push(*leaf);
            }
        }
    }

    #[test]
    fn a_frontier_has_the_root_of_the_definition_and_reads_back() {
        let leaves = leaves(1025);
        let mut frontier = Frontier::new();
        for size in 0..=leaves.len() {
            assert_eq!(frontier.root(), defined(&leaves[..size]), "size {size}");
            let read = Frontier::from_bytes(frontier.size(), &frontier.to_bytes()).unwrap();
            assert_eq!(read, frontier);
            if let Some(leaf) = leaves.get(size) {
                frontier.push(*leaf);
            }
        }
    }

    #[test]
    fn a_peak_is_found_by_its_level() {
        let leaves = leaves(22);
        let frontier: Frontier = leaves.iter().copied().collect();
        assert_eq!(frontier.peak(4).unwrap(), defined(&leaves[..16]));
        assert_eq!(frontier.peak(2).unwrap(), defined(&leaves[16..20]));
        assert_eq!(frontier.peak(1).unwrap(), defined(&leaves[20..22]));
        assert!([0, 3, 5, 63, 64, 255].iter().all(|level| frontier.peak(*level).is_none()));
    }

    #[test]
    fn frontier_bytes_of_another_size_are_refused() {
        let bytes = leaves(7).into_iter().collect::<Frontier>().to_bytes();
        assert!(Frontier::from_bytes(7, &bytes).is_ok());
        assert!(Frontier::from_bytes(8, &bytes).is_err());
        assert!(Frontier::from_bytes(7, &bytes[1..]).is_err());
        assert!(Frontier::from_bytes(0, &[]).is_ok());
    }
}
