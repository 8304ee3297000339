//! Every byte of the columns beside the bodies, one flip each: hash tiles and their roots, items,
//! hashes of items.

use super::*;
use crate::ledger::memory::Rows;
use crate::ledger::verify::{Finding, Plan, everything, tree};
use crate::ledger::{Prepared, Shelf as _};
use crate::merkle::Hash;
use crate::merkle::tree::{Frontier, root_of};

/// Eight full tiles and some entries on the right edge.
const SIZE: u64 = 2051;

/// Bytes in the column of hashes of a full tile.
const TILE_BYTES: usize = 256 * 32;

/// A ledger of bodies so short that it can be hashed once for every byte of a tile: what stands
/// in tiles does not depend on what stands in entries.
fn short(size: u64) -> Rows {
    let bodies: Vec<[u8; 8]> = (0..size).map(u64::to_be_bytes).collect();
    let leaves: Vec<Hash> = bodies.iter().map(|body| Hash::leaf(body)).collect();
    let mut frontier = Frontier::default();
    for leaf in &leaves {
        frontier.push(*leaf);
    }
    let tile = |hashes: &[Hash]| (root_of(hashes).0.to_vec(), Hash::join(hashes));
    let tiles = (0..).zip(leaves.chunks_exact(256)).map(|(n, hashes)| ((0, n), tile(hashes)));
    Rows {
        size,
        frontier: frontier.to_bytes(),
        bodies: (0..).zip(bodies.iter().map(|body| body.to_vec())).collect(),
        tiles: tiles.collect(),
        ..Rows::default()
    }
}

/// Flips one byte in every tile, in each at another place from this one on; each must be named.
fn flip_tiles(rows: &mut Rows, byte: usize) {
    let place = |n: u64| (byte + usize::try_from(n).unwrap() * 1027) % TILE_BYTES;
    let flip = |rows: &mut Rows| {
        for ((_, n), (_, hashes)) in &mut rows.tiles {
            hashes[place(*n)] ^= 1 << (byte % 8);
        }
    };
    flip(rows);
    let named = tree(rows, &Plan::default(), |_| ()).unwrap().findings;
    flip(rows);
    let hash = |n| Some(u16::try_from(place(n) / 32).unwrap());
    let numbers = rows.tiles.keys().map(|(_, n)| *n);
    let expected = numbers.map(|n| Finding::Tile { level: 0, n, place: hash(n) });
    assert_eq!(named, expected.collect::<Vec<_>>(), "byte {byte}");
}

#[test]
fn every_flipped_byte_of_a_hash_tile_is_named() {
    let mut rows = short(257);
    for byte in 0..TILE_BYTES {
        flip_tiles(&mut rows, byte);
    }
    assert_eq!(tree(&mut rows, &Plan::default(), |_| ()).unwrap().findings, []);
}

#[test]
fn a_flipped_byte_of_every_hash_of_every_tile_is_named() {
    let mut rows = short(SIZE);
    // Steps of 31 bytes come to every hash, each time at another of its bytes.
    for byte in (0..TILE_BYTES).step_by(31) {
        flip_tiles(&mut rows, byte);
    }
    assert_eq!(tree(&mut rows, &Plan::default(), |_| ()).unwrap().findings, []);
}

#[test]
fn every_flipped_byte_of_every_root_beside_a_tile_is_named() {
    let mut rows = short(SIZE);
    for byte in 0..32 {
        for (root, _) in rows.tiles.values_mut() {
            root[byte] ^= 1 << (byte % 8);
        }
        let named = tree(&mut rows, &Plan::default(), |_| ()).unwrap().findings;
        for (root, _) in rows.tiles.values_mut() {
            root[byte] ^= 1 << (byte % 8);
        }
        let expected = (0..8).map(|n| Finding::TileRoot { level: 0, n });
        assert_eq!(named, expected.collect::<Vec<_>>(), "byte {byte}");
    }
}

/// As many entries, of which every fourth may have items: so few that one walk judges all.
fn with_items() -> Rows {
    let mut shelf = MemoryShelf::new();
    let entry = |n| if n % 4 == 0 { mixed(n) } else { withhold(n) };
    shelf.append((0..SIZE).map(|n| Prepared::from(Draft::new(entry(n)))).collect()).unwrap();
    shelf.rows()
}

/// What is found where these entries are altered and no others; put right again.
fn flipped(rows: &mut Rows, some: &[u64], flip: impl Fn(&mut Rows, u64)) -> Vec<Finding> {
    let flip_all = |rows: &mut Rows| {
        for index in some {
            flip(rows, *index);
        }
    };
    flip_all(rows);
    let named = everything(rows, &Plan::default(), |_| ()).unwrap().findings;
    flip_all(rows);
    named
}

#[test]
fn every_flipped_byte_of_every_run_of_items_is_named() {
    let mut rows = with_items();
    let longest = rows.items.values().map(Vec::len).max().unwrap();
    for place in 0..longest {
        let long = rows.items.iter().filter(|(_, run)| run.len() > place);
        let long: Vec<u64> = long.map(|(index, _)| *index).collect();
        let named = flipped(&mut rows, &long, |rows, index| {
            rows.items.get_mut(&index).unwrap()[place] ^= 1 << (place % 8);
        });
        let mut indices: Vec<u64> = named.iter().filter_map(item_of).collect();
        assert_eq!(indices.len(), named.len(), "byte {place}: {named:?}");
        indices.dedup();
        assert_eq!(indices, long, "byte {place}");
    }
    assert_eq!(flipped(&mut rows, &[], |_, _| ()), []);
}

/// The entry whose items a finding names.
fn item_of(finding: &Finding) -> Option<u64> {
    match finding {
        Finding::Items(index) | Finding::Item { index, .. } => Some(*index),
        _ => None,
    }
}

#[test]
fn every_flipped_byte_of_every_hash_of_an_item_is_named() {
    let mut rows = with_items();
    let most = rows.projections.values().map(|row| row.item_hashes.len()).max().unwrap();
    for byte in 0..most * 32 {
        let with = rows.projections.iter().filter(|(_, row)| row.item_hashes.len() > byte / 32);
        let with: Vec<u64> = with.map(|(index, _)| *index).collect();
        let named = flipped(&mut rows, &with, |rows, index| {
            let hash = &mut rows.projections.get_mut(&index).unwrap().item_hashes[byte / 32];
            hash.0[byte % 32] ^= 1 << (byte % 8);
        });
        let expected: Vec<_> = with.iter().map(|index| Finding::ItemHashes(*index)).collect();
        assert_eq!(named, expected, "byte {byte}");
    }
}
