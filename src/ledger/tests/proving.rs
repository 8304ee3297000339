//! Proofs and served tiles from stored rows agree with those from leaves in memory.

use super::*;
use crate::ledger::prove::{
    ProveError, is_tail_sound, prove_consistency, prove_inclusion, root_at, serve,
};
use crate::ledger::serve::Run;
use crate::merkle::Hash;
use crate::merkle::proof::{consistency, inclusion};
use crate::merkle::tile::{TilePath, decode_bundle};
use crate::merkle::tree::root_of;

fn leaves(shelf: &MemoryShelf) -> Vec<Hash> {
    shelf.rows().bodies.values().map(|body| Hash::leaf(body)).collect()
}

#[test]
fn proofs_from_rows_are_those_of_the_tree() {
    let mut shelf = filled(600);
    let leaves = leaves(&shelf);
    for size in [1, 2, 255, 256, 257, 511, 512, 513, 599, 600_u64] {
        let mut tree = &leaves[..size as usize];
        assert_eq!(root_at(&mut shelf, size).unwrap(), root_of(tree));
        for index in (0..size).step_by(41).chain([size - 1]) {
            let ours = prove_inclusion(&mut shelf, index, size).unwrap();
            assert_eq!(ours, inclusion(&mut tree, index, size).unwrap());
        }
        for old in (0..size).step_by(53).chain([size]) {
            let ours = prove_consistency(&mut shelf, old, size).unwrap();
            assert_eq!(ours, consistency(&mut tree, old, size).unwrap());
        }
    }
    assert!(matches!(prove_inclusion(&mut shelf, 600, 600), Err(ProveError::Beyond)));
    assert!(matches!(prove_inclusion(&mut shelf, 0, 601), Err(ProveError::Beyond)));
    assert!(matches!(prove_consistency(&mut shelf, 5, 4), Err(ProveError::Beyond)));
    assert!(matches!(prove_consistency(&mut shelf, 5, 601), Err(ProveError::Beyond)));
    assert!(matches!(root_at(&mut shelf, 601), Err(ProveError::Beyond)));
}

#[test]
fn every_prefix_of_a_tile_and_bundle_is_served() {
    let mut shelf = filled(600);
    let leaves = leaves(&shelf);
    let mut get = |path: &str| serve(&mut shelf, TilePath::parse(path).unwrap());
    assert_eq!(get("0/000").unwrap(), Hash::join(&leaves[..256]));
    assert_eq!(get("0/000.p/9").unwrap(), Hash::join(&leaves[..9]));
    assert_eq!(get("0/002.p/88").unwrap(), Hash::join(&leaves[512..]));
    let roots = [root_of(&leaves[..256]), root_of(&leaves[256..512])];
    assert_eq!(get("1/000.p/2").unwrap(), Hash::join(&roots));
    assert_eq!(get("1/000.p/1").unwrap(), roots[0].0);
    for beyond in ["0/002", "0/002.p/89", "1/000", "1/000.p/3", "2/000.p/1", "entries/003.p/1"] {
        assert!(matches!(get(beyond), Err(ProveError::Beyond)), "{beyond}");
    }
    for (path, from, width) in [("entries/001", 256, 256), ("entries/002.p/80", 512, 80)] {
        let bundle = get(path).unwrap();
        let entries = decode_bundle(&bundle, width).unwrap();
        let hashes: Vec<Hash> = entries.into_iter().map(Hash::leaf).collect();
        assert_eq!(hashes, leaves[from..from + usize::from(width)]);
    }
}

#[test]
fn pruned_bodies_leave_all_proofs_intact() {
    let mut shelf = filled(600);
    let leaves = leaves(&shelf);
    shelf.tamper(|rows| rows.bodies.retain(|index, _| *index >= 512));
    let path = prove_inclusion(&mut shelf, 3, 600).unwrap();
    assert_eq!(path, inclusion(&mut leaves.as_slice(), 3, 600).unwrap());
    let bundle = serve(&mut shelf, TilePath::parse("entries/000").unwrap());
    assert!(matches!(bundle, Err(ProveError::Missing { level: 0, n: 0 })));
}

#[test]
fn a_proof_under_the_head_hashes_no_entry_of_another_tile() {
    let mut shelf = filled(600);
    let leaves = leaves(&shelf);
    shelf.tamper(|rows| rows.bodies.clear());
    for index in (0..512).step_by(7) {
        let path = prove_inclusion(&mut shelf, index, 600).unwrap();
        assert_eq!(path, inclusion(&mut leaves.as_slice(), index, 600).unwrap());
    }
    let within = prove_inclusion(&mut shelf, 512, 600);
    assert!(matches!(within, Err(ProveError::Missing { level: 0, n: 2 })));
    let before = prove_inclusion(&mut shelf, 3, 599);
    assert!(matches!(before, Err(ProveError::Missing { level: 0, n: 2 })), "not the head's size");
    let old = prove_consistency(&mut shelf, 256, 600).unwrap();
    assert_eq!(old, consistency(&mut leaves.as_slice(), 256, 600).unwrap());
}

#[test]
fn a_bundle_is_pruned_when_its_last_entry_is_and_hashes_stay() {
    let mut shelf = filled(600);
    let read = |shelf: &mut MemoryShelf, run: Option<Run>| run.unwrap().read(shelf);
    for (min_index, gone) in [(0, false), (256, false), (512, true)] {
        shelf.tamper(|rows| rows.min_index = min_index);
        let bundle = read(&mut shelf, Run::of_entries("001"));
        let pruned =
            matches!(bundle, Err(ProveError::Pruned { min_index: told }) if told == min_index);
        assert_eq!((pruned, bundle.is_ok()), (gone, !gone), "{min_index}");
    }
    assert!(read(&mut shelf, Run::of_entries("002.p/88")).is_ok());
    shelf.tamper(|rows| rows.min_index = u64::MAX);
    assert!(read(&mut shelf, Run::of_hashes("0/000")).is_ok(), "hashes stay");
}

#[test]
fn start_up_notices_a_damaged_tail() {
    for size in [0, 1, 255, 256, 257, 600] {
        assert!(is_tail_sound(&mut filled(size)).unwrap(), "size {size}");
    }
    let damaged = |change: fn(&mut crate::ledger::memory::Rows)| {
        let mut shelf = filled(600);
        shelf.tamper(change);
        is_tail_sound(&mut shelf).unwrap()
    };
    assert!(!damaged(|rows| rows.frontier[0] ^= 1));
    assert!(!damaged(|rows| rows.bodies.get_mut(&599).unwrap()[9] ^= 1));
    assert!(!damaged(|rows| drop(rows.bodies.remove(&520))));
    assert!(!damaged(|rows| rows.tiles.get_mut(&(0, 1)).unwrap().1[5] ^= 1));
    assert!(!damaged(|rows| rows.tiles.get_mut(&(0, 0)).unwrap().0[5] ^= 1));
    let shelf = filled(600);
    shelf.tamper(|rows| rows.frontier[40] ^= 1);
    assert!(Sequencer::start(shelf, vec![signer()]).is_err());
}
