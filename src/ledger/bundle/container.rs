//! The archive around a bundle: ZIP (PKWARE APPNOTE 6.3), nothing compressed, every date the same.
//!
//! The same parts give the same bytes, so a reader needs no trust in what an archive says about
//! itself: it takes the parts out, writes them again and compares (`Bundle::read`).

use super::{BundleError, MAX_HITS};

/// The parts by name.
pub(super) type Parts = std::collections::BTreeMap<String, Vec<u8>>;

/// Largest archive in bytes: 10,000 entries of a few kilobytes with their proofs.
pub const BYTES_MAX: usize = 128 << 20;

/// Most parts: entry, proof and item for each hit, some items more, six others. Below the 65,535
/// that a ZIP archive without extensions can count.
const PARTS_MAX: usize = 4 * MAX_HITS;

/// Longest name of a part in bytes: `items/` with two numbers is shorter.
const NAME_MAX: usize = 64;

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";

/// Lengths of the three headers without names.
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: usize = 22;

/// Version 1.0 is needed, no flags, stored, at midnight of 1980-01-01.
const STORED: [u8; 10] = [10, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];

/// Made by version 1.0 on a file system without rights.
const MADE_BY: [u8; 2] = [10, 0];

/// Writes the parts in the order of their names.
pub(super) fn pack(parts: &Parts) -> Result<Vec<u8>, BundleError> {
    let large = BundleError::Container("there are too many entries: narrow the question");
    let archive = pack_all(parts).ok_or(large.clone())?;
    let fits = archive.len() <= BYTES_MAX && parts.len() <= PARTS_MAX;
    if fits { Ok(archive) } else { Err(large) }
}

/// `None` where a length does not fit its place.
fn pack_all(parts: &Parts) -> Option<Vec<u8>> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in parts {
        let at = long(archive.len())?;
        let (size, length) = (long(bytes.len())?, short(name.len())?);
        let sum = crc32(bytes).to_le_bytes();
        let about = [&STORED[..], &sum, &size, &size, &length, &[0, 0]].concat();
        // No comment, disk 0, no attributes, then where the part begins.
        let place = [&[0; 10][..], &at].concat();
        directory.extend([CENTRAL, &MADE_BY, &about, &place, name.as_bytes()].concat());
        archive.extend([LOCAL, &about, name.as_bytes(), bytes].concat());
    }
    let (count, size, at) = (short(parts.len())?, long(directory.len())?, long(archive.len())?);
    archive.extend(directory);
    archive.extend([END, &[0; 4], &count, &count, &size, &at, &[0, 0]].concat());
    Some(archive)
}

fn long(number: usize) -> Option<[u8; 4]> {
    u32::try_from(number).ok().map(u32::to_le_bytes)
}

fn short(number: usize) -> Option<[u8; 2]> {
    u16::try_from(number).ok().map(u16::to_le_bytes)
}

/// Takes the parts out. Reads no more than the file has, whatever it says of itself.
pub(super) fn unpack(bytes: &[u8]) -> Result<Parts, BundleError> {
    let refused = |why| Err(BundleError::Container(why));
    if bytes.len() > BYTES_MAX {
        return refused("it is larger than 128 MiB");
    }
    let Some((count, mut rest)) = directory(bytes) else {
        return refused("it is no ZIP archive, or it was cut off");
    };
    if count > PARTS_MAX {
        return refused("it has too many parts");
    }
    let mut parts = Parts::new();
    let mut left = bytes.len();
    for _ in 0..count {
        let Some(part) = Part::read(bytes, rest) else {
            return refused("its directory leads nowhere");
        };
        if part.method != 0 {
            return refused("it is compressed: it must not be unpacked and packed again");
        }
        // Parts that overlap would give more bytes than the file has.
        let Some(fewer) = left.checked_sub(part.content.len()) else {
            return refused("its parts overlap");
        };
        left = fewer;
        let plain = part.name.len() <= NAME_MAX && part.name.bytes().all(|b| b.is_ascii_graphic());
        if !plain {
            return refused("a part has a name that no part has");
        }
        if parts.insert(part.name.to_owned(), part.content.to_vec()).is_some() {
            return refused("a part stands in it twice");
        }
        rest = part.rest;
    }
    Ok(parts)
}

/// How many parts there are, and the directory that lists them.
fn directory(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let end_at = bytes.len().checked_sub(END_BYTES)?;
    let end = bytes.get(end_at..).filter(|end| end.starts_with(END))?;
    let at = number::<4>(end, 16)?;
    Some((number::<2>(end, 10)?, bytes.get(at..end_at)?))
}

/// One row of the directory with what it leads to.
struct Part<'a> {
    name: &'a str,
    method: usize,
    content: &'a [u8],
    /// The directory behind this row.
    rest: &'a [u8],
}

impl<'a> Part<'a> {
    fn read(archive: &'a [u8], directory: &'a [u8]) -> Option<Self> {
        directory.starts_with(CENTRAL).then_some(())?;
        let (method, size) = (number::<2>(directory, 10)?, number::<4>(directory, 24)?);
        let (length, at) = (number::<2>(directory, 28)?, number::<4>(directory, 42)?);
        let (name, rest) = directory.get(CENTRAL_BYTES..)?.split_at_checked(length)?;
        let name = std::str::from_utf8(name).ok()?;
        let begin = at.checked_add(LOCAL_BYTES)?.checked_add(length)?;
        let content = archive.get(begin..)?.get(..size)?;
        Some(Self { name, method, content, rest })
    }
}

/// A little-endian number of so many bytes at a place.
fn number<const WIDTH: usize>(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..)?.first_chunk::<WIDTH>()?;
    Some(field.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

/// CRC-32 as ZIP has it (APPNOTE 4.4.7): the reflected polynomial EDB88320.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        let place = sum.to_le_bytes()[0] ^ byte;
        CRC32.get(usize::from(place)).copied().unwrap_or_default() ^ (sum >> 8)
    })
}

const CRC32: [u32; 256] = crc_table();

#[allow(clippy::indexing_slicing, reason = "evaluated while compiling")]
const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte: u8 = 0;
    let mut place = 0;
    while place < table.len() {
        let mut sum = u32::from_le_bytes([byte, 0, 0, 0]);
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
            bit += 1;
        }
        table[place] = sum;
        place += 1;
        byte = byte.wrapping_add(1);
    }
    table
}
