//! What is served of the log: tiles, bundles and proofs, by the names that clients send.
//!
//! The text of a path is a client's; nothing but the names of C2SP `tlog-tiles` gets through.

use crate::merkle::Hash;
use crate::merkle::tile::TilePath;

use super::Archive;
use super::prove::{ProveError, serve};

/// A run of hashes or of entries, named by a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run(TilePath);

impl Run {
    /// A hash tile: what follows `tile/`, as `<L>/<N>` or `<L>/<N>.p/<W>`. `None` for any other
    /// text, a bundle's name too.
    pub fn of_hashes(path: &str) -> Option<Self> {
        TilePath::parse(path).ok().filter(|path| path.level.is_some()).map(Self)
    }

    /// A bundle of entries: what follows `tile/entries/`, as `<N>` or `<N>.p/<W>`.
    pub fn of_entries(number: &str) -> Option<Self> {
        TilePath::parse(&format!("entries/{number}")).ok().map(Self)
    }

    /// Whether it is a full run, which never changes.
    pub fn is_full(self) -> bool {
        self.0.is_full()
    }

    /// Its bytes. Call it within one read transaction.
    ///
    /// # Errors
    /// `Beyond` for a run that the tree does not have yet, `Pruned` for a bundle whose bodies went;
    /// rows are missing.
    pub fn read<A: Archive>(self, archive: &mut A) -> Result<Vec<u8>, ProveError> {
        serve(archive, self.0)
    }
}

/// Hashes of a proof as text: base64 (RFC 4648 §4), one a line, the leaf's side first, as in
/// `c2sp.org/tlog-proof`. Empty for an empty proof.
pub fn lines_of(path: &[Hash]) -> String {
    path.iter().fold(String::new(), |mut text, hash| {
        text.push_str(&hash.to_base64());
        text.push('\n');
        text
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn hashes_and_entries_are_not_reached_by_each_others_names() {
        assert!(Run::of_hashes("0/000").is_some_and(Run::is_full));
        assert!(Run::of_hashes("1/x001/000.p/7").is_some_and(|run| !run.is_full()));
        assert_eq!(Run::of_hashes("entries/000"), None);
        assert!(Run::of_entries("000.p/255").is_some());
        for bad in
            ["", "0/000", "00", "0000", "x01/000", "000.p/0", "000.p/256", "000.p/01", "../000"]
        {
            assert_eq!(Run::of_entries(bad), None, "{bad}");
        }
    }
}
