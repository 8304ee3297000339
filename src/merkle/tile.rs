//! Tiles: runs of 256 hashes, bundles of 256 entries, and the paths under which they are served.
//!
//! `c2sp.org/tlog-tiles`. The path parser reads what strangers send: it allocates nothing and
//! cannot panic.

use std::fmt;

use super::hash::Hash;
use super::text::count;
use super::tree::root_of;

/// Hashes in a full tile, entries in a full bundle.
pub const WIDTH: u16 = 256;

/// The highest tile level: 64 levels cover more leaves than can exist.
pub const MAX_LEVEL: u8 = 63;

/// Longest path that can be right: `entries/`, 7 groups of 5 characters, `.p/255`.
const MAX_PATH: usize = 64;

/// A path names no tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a tile path")]
pub struct BadTilePath;

/// Bytes are not the tile or bundle that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTile {
    /// A tile holds 1 to 256 hashes, a bundle 1 to 256 entries.
    #[error("a tile holds 1 to 256 hashes and a bundle 1 to 256 entries")]
    Width,
    /// The level is above 63.
    #[error("a tile level is at most 63")]
    Level,
    /// An entry is longer than 65 535 bytes, or the bundle ends inside one.
    #[error("an entry is longer than 65,535 bytes or cut off")]
    Entry,
    /// Bytes are left over after the last entry.
    #[error("bytes are left over after the last entry")]
    Trailing,
}

/// Which run: its kind and level, its number, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TilePath {
    /// `None` for a bundle of entries, else the level of a hash tile, 0 to 63.
    pub level: Option<u8>,
    /// Number of the tile in its level.
    pub n: u64,
    /// Hashes or entries asked for: 1 to 256, where 256 is the full tile.
    pub width: u16,
}

impl TilePath {
    /// Reads what follows `tile/`: `<L>/<N>`, `entries/<N>`, each with `.p/<W>` if partial.
    ///
    /// # Errors
    /// Wrong grouping, leading zeros, a level above 63, a width of 0 or above 255, or a number so
    /// large that its entries could not be counted.
    pub fn parse(path: &str) -> Result<Self, BadTilePath> {
        if path.len() > MAX_PATH || !path.is_ascii() {
            return Err(BadTilePath);
        }
        let (kind, rest) = path.split_once('/').ok_or(BadTilePath)?;
        let level = if kind == "entries" { None } else { Some(parse_level(kind)?) };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, parse_width(width)?),
            None => (rest, WIDTH),
        };
        Ok(Self { level, n: parse_number(number)?, width })
    }

    /// Whether it is a full run, which never changes.
    pub fn is_full(&self) -> bool {
        self.width == WIDTH
    }

    /// Whether this run exists in a tree of `size` leaves. Every partial width up to the present
    /// one is served, also once the tile is full.
    pub fn exists_in(&self, size: u64) -> bool {
        let hashes = hashes_at(self.level.unwrap_or(0), size);
        let end =
            self.n.checked_mul(u64::from(WIDTH)).map(|at| at.saturating_add(self.width.into()));
        end.is_some_and(|end| end <= hashes)
    }
}

impl fmt::Display for TilePath {
    /// The path below `tile/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "{level}")?,
            None => f.write_str("entries")?,
        }
        f.write_str("/")?;
        write_number(f, self.n)?;
        if self.width < WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// Every run that makes the static form of a log of `size` entries: hash tiles of each level,
/// then bundles of entries; full ones first, the partial edge last.
pub fn tiles_of(size: u64) -> Vec<TilePath> {
    let runs = |level: Option<u8>, hashes: u64| {
        let full = (0..hashes / u64::from(WIDTH)).map(move |n| TilePath { level, n, width: WIDTH });
        let width = u16::try_from(hashes % u64::from(WIDTH)).unwrap_or(0);
        let edge = TilePath { level, n: hashes / u64::from(WIDTH), width };
        full.chain((width > 0).then_some(edge))
    };
    let levels = (0..64).map(|level| (Some(level), hashes_at(level, size)));
    let levels = levels.take_while(|(_, hashes)| *hashes > 0);
    levels.chain([(None, size)]).flat_map(|(level, hashes)| runs(level, hashes)).collect()
}

/// How many hashes level `level` has in a tree of `size` leaves: ⌊size / 256^level⌋.
pub fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level) * 8).unwrap_or(0)
}

/// How many hashes the unfinished tile of a level has: ⌊size / 256^level⌋ mod 256.
pub fn partial_width(level: u8, size: u64) -> u16 {
    u16::try_from(hashes_at(level, size) % u64::from(WIDTH)).unwrap_or(0)
}

fn parse_level(text: &str) -> Result<u8, BadTilePath> {
    let level = super::text::decimal(text).and_then(|level| u8::try_from(level).ok());
    level.filter(|level| *level <= MAX_LEVEL).ok_or(BadTilePath)
}

fn parse_width(text: &str) -> Result<u16, BadTilePath> {
    let width = super::text::decimal(text).and_then(|width| u16::try_from(width).ok());
    width.filter(|width| (1..WIDTH).contains(width)).ok_or(BadTilePath)
}

/// Three digits to a group, all but the last marked `x`, no empty leading group.
fn parse_number(text: &str) -> Result<u64, BadTilePath> {
    let mut groups = text.split('/').peekable();
    let (mut n, mut first) = (0_u64, true);
    while let Some(group) = groups.next() {
        let last = groups.peek().is_none();
        let digits = if last { Some(group) } else { group.strip_prefix('x') };
        let digits = digits.filter(|d| d.len() == 3 && d.bytes().all(|b| b.is_ascii_digit()));
        let value: u64 = digits.and_then(|d| d.parse().ok()).ok_or(BadTilePath)?;
        if first && !last && value == 0 {
            return Err(BadTilePath);
        }
        n = n.checked_mul(1000).and_then(|n| n.checked_add(value)).ok_or(BadTilePath)?;
        first = false;
    }
    // The end of the run must still be countable: (n + 1) · 256 ≤ 2^64 − 1.
    if n < u64::MAX / u64::from(WIDTH) { Ok(n) } else { Err(BadTilePath) }
}

fn write_number(f: &mut fmt::Formatter<'_>, n: u64) -> fmt::Result {
    let mut divisor = 1_u64;
    while n / divisor >= 1000 {
        divisor *= 1000;
    }
    while divisor > 1 {
        write!(f, "x{:03}/", n / divisor % 1000)?;
        divisor /= 1000;
    }
    write!(f, "{:03}", n % 1000)
}

/// A hash tile: 1 to 256 hashes of one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    level: u8,
    n: u64,
    hashes: Vec<Hash>,
}

impl Tile {
    /// Makes tile `n` of a level from its hashes, left to right.
    ///
    /// # Errors
    /// No hash or more than 256, or a level above 63.
    pub fn new(level: u8, n: u64, hashes: Vec<Hash>) -> Result<Self, BadTile> {
        if level > MAX_LEVEL {
            return Err(BadTile::Level);
        }
        if hashes.is_empty() || hashes.len() > usize::from(WIDTH) {
            return Err(BadTile::Width);
        }
        Ok(Self { level, n, hashes })
    }

    /// Reads the served bytes: 32 for each hash.
    ///
    /// # Errors
    /// The length is not a multiple of 32 between 32 and 8 192.
    pub fn from_bytes(level: u8, n: u64, bytes: &[u8]) -> Result<Self, BadTile> {
        if bytes.len() > usize::from(WIDTH) * Hash::LEN {
            return Err(BadTile::Width);
        }
        Self::new(level, n, Hash::split(bytes).ok_or(BadTile::Width)?)
    }

    /// The bytes as served: 32 for each hash, 8 192 for a full tile.
    pub fn to_bytes(&self) -> Vec<u8> {
        Hash::join(&self.hashes)
    }

    /// Level of the tile, 0 to 63.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Number of the tile in its level.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Its hashes, left to right.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Whether it has all 256 hashes.
    pub fn is_full(&self) -> bool {
        self.hashes.len() == usize::from(WIDTH)
    }

    /// The root over its hashes: the hash that stands for a full tile one level up.
    pub fn root(&self) -> Hash {
        root_of(&self.hashes)
    }
}

/// Writes a bundle: before each entry its length as two bytes, big-endian.
///
/// # Errors
/// No entry or more than 256, or an entry longer than 65 535 bytes.
pub fn encode_bundle<T: AsRef<[u8]>>(entries: &[T]) -> Result<Vec<u8>, BadTile> {
    if entries.is_empty() || entries.len() > usize::from(WIDTH) {
        return Err(BadTile::Width);
    }
    let mut bundle = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        let length = u16::try_from(entry.len()).map_err(|_| BadTile::Entry)?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// Reads a bundle of exactly `width` entries, without copying them.
///
/// # Errors
/// The bytes end inside an entry or hold more than `width` entries.
pub fn decode_bundle(bundle: &[u8], width: u16) -> Result<Vec<&[u8]>, BadTile> {
    if width == 0 || width > WIDTH {
        return Err(BadTile::Width);
    }
    let mut rest = bundle;
    let mut entries = Vec::with_capacity(usize::from(width));
    while count(entries.len()) < u64::from(width) {
        let (length, after) = rest.split_first_chunk::<2>().ok_or(BadTile::Entry)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(BadTile::Entry)?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(BadTile::Trailing) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]
mod tests {
    use super::super::tree::tests::leaves;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_written_in_groups_of_three() {
        for (level, n, width, path) in [
            (Some(0), 0, 256, "0/000"),
            (Some(0), 999, 256, "0/999"),
            (Some(0), 1000, 256, "0/x001/000"),
            (Some(63), 1_234_067, 256, "63/x001/x234/067"),
            (Some(1), 1, 17, "1/001.p/17"),
            (None, 273, 112, "entries/273.p/112"),
            (None, 1_000_000, 1, "entries/x001/x000/000.p/1"),
        ] {
            let tile = TilePath { level, n, width };
            assert_eq!(tile.to_string(), path);
            assert_eq!(TilePath::parse(path), Ok(tile));
        }
    }

    #[test]
    fn other_spellings_of_a_path_are_refused() {
        for path in [
            "",
            "0",
            "0/",
            "/000",
            "0/0",
            "0/00",
            "0/0000",
            "00/000",
            "64/000",
            "-1/000",
            "+1/000",
            "255/000",
            "256/000",
            "0/x000/001",
            "0/001/000",
            "0/x001",
            "0/x001/",
            "0/x001/x000",
            "0/x01/000",
            "0/X001/000",
            "0/000.p",
            "0/000.p/",
            "0/000.p/0",
            "0/000.p/00",
            "0/000.p/01",
            "0/000.p/256",
            "0/000.p/-1",
            "0/000.p/1.p/1",
            "0/000/",
            "0//000",
            " 0/000",
            "0/000 ",
            "entries",
            "entries/0",
            "Entries/000",
            "data/000",
            "0/٠٠٠",
            "0/000.p/1/000",
            "8/0/000.p/0",
            "8/64/000",
            "0/x018/x446/x744/x073/x709/x551/616",
            "0/x072/x057/x594/x037/x927/935",
            "0/x999/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(TilePath::parse(path), Err(BadTilePath), "{path:?}");
        }
        assert!(TilePath::parse("0/x072/x057/x594/x037/x927/934").is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(path in "[0-9a-z/.x+-]{0,70}") {
            if let Ok(tile) = TilePath::parse(&path) {
                prop_assert_eq!(tile.to_string(), path);
            }
        }

        #[test]
        fn any_tile_reads_back(level in 0_u8..=63, n in 0..u64::MAX / 256 - 1, width in 1_u16..=256) {
            let tile = TilePath { level: Some(level), n, width };
            prop_assert_eq!(TilePath::parse(&tile.to_string()), Ok(tile));
        }

        #[test]
        fn any_bytes_are_a_bundle_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            width in 0_u16..300,
        ) {
            if let Ok(entries) = decode_bundle(&bytes, width) {
                prop_assert_eq!(encode_bundle(&entries).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn widths_follow_the_size() {
        assert_eq!((partial_width(0, 256), partial_width(1, 256)), (0, 1));
        let widths: Vec<u16> = (0..4).map(|level| partial_width(level, 70_000)).collect();
        assert_eq!(widths, [112, 17, 1, 0]);
        assert_eq!(partial_width(63, u64::MAX), 0);
        let exists = |path: &str, size| TilePath::parse(path).unwrap().exists_in(size);
        assert!(exists("0/273.p/112", 70_000) && !exists("0/273.p/113", 70_000));
        assert!(exists("0/272", 70_000) && exists("0/272.p/200", 70_000));
        assert!(!exists("0/273", 70_000) && !exists("3/000.p/1", 70_000));
        assert!(exists("entries/273.p/1", 70_000) && !exists("entries/000.p/1", 0));
    }

    #[test]
    fn tiles_and_bundles_have_limits() {
        let full = Tile::new(0, 0, leaves(256)).unwrap();
        assert!(full.is_full());
        assert_eq!(Tile::from_bytes(0, 0, &full.to_bytes()).unwrap(), full);
        assert_eq!(Tile::new(0, 0, leaves(257)), Err(BadTile::Width));
        assert_eq!(Tile::new(0, 0, Vec::new()), Err(BadTile::Width));
        assert_eq!(Tile::new(64, 0, leaves(1)), Err(BadTile::Level));
        assert_eq!(Tile::from_bytes(0, 0, &[0; 33]), Err(BadTile::Width));
        assert_eq!(Tile::from_bytes(0, 0, &[0; 8224]), Err(BadTile::Width));
        assert!(encode_bundle(&[vec![0; 65_535]]).is_ok());
        assert_eq!(encode_bundle(&[vec![0; 65_536]]), Err(BadTile::Entry));
        assert_eq!(encode_bundle::<&[u8]>(&[]), Err(BadTile::Width));
        let bundle = encode_bundle(&["a", "", "ccc"]).unwrap();
        assert_eq!(decode_bundle(&bundle, 3).unwrap(), [&b"a"[..], b"", b"ccc"]);
        assert_eq!(decode_bundle(&bundle, 4), Err(BadTile::Entry));
        assert_eq!(decode_bundle(&bundle, 2), Err(BadTile::Trailing));
        assert_eq!(decode_bundle(&bundle[..9], 3), Err(BadTile::Entry));
        assert_eq!(decode_bundle(&bundle, 0), Err(BadTile::Width));
    }
}
