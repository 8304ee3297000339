//! Batches: who is admitted, which indices they get, which tiles become full.

use super::*;
use crate::ledger::growth::{Batch, Growth, GrowthError};
use crate::ledger::{Head, Prepared, Refused};
use crate::merkle::Hash;
use crate::merkle::tile::{Tile, WIDTH};
use crate::merkle::tree::Frontier;

fn prepared(entry: Entry, decided_at: Option<u64>) -> Prepared<()> {
    Prepared::from(Draft { decided_at, ..Draft::new(entry) })
}

#[test]
fn a_release_is_stale_after_a_restriction_and_only_then() {
    let shelf = filled(60);
    // The newest restricting entry of `mixed` below 60 stands at 59.
    let head = Head { last_restricting: Some(40), ..head(&shelf) };
    let mut batch = Batch::begin(head);
    let stale = |batch: &Batch, seen| batch.admit(&prepared(release(1, 1), seen));
    assert_eq!(stale(&batch, Some(40)), Err(Refused::Stale));
    assert_eq!(stale(&batch, Some(0)), Err(Refused::Stale));
    assert_eq!(stale(&batch, Some(41)), Ok(60));
    assert_eq!(stale(&batch, None), Ok(60));
    // A restriction earlier in the same batch counts too.
    assert_eq!(batch.accept(&prepared(withdraw(1), None)), 60);
    assert_eq!(stale(&batch, Some(60)), Err(Refused::Stale));
    assert_eq!(stale(&batch, Some(61)), Ok(61));
    let growth: Growth = batch.finish(|_, _| Err::<Vec<Hash>, ()>(())).unwrap();
    assert_eq!(growth.after.last_restricting, Some(60));
    assert_eq!(growth.after.size(), 61);
    assert!(growth.tiles.is_empty());
}

fn head(shelf: &MemoryShelf) -> Head {
    use crate::ledger::Archive as _;
    shelf.clone().head().unwrap()
}

#[test]
fn a_restore_raises_the_epoch() {
    let mut batch = Batch::begin(Head::default());
    let facts = Facts::new(Kind::Restore, "ledger.restore", request(), at(0));
    batch.accept(&prepared(Entry::new(facts, vec![], [0; 16]).unwrap(), None));
    let growth = batch.finish(|_, _| Err::<Vec<Hash>, ()>(())).unwrap();
    assert_eq!(growth.after.epoch, 1);
}

/// Tiles of every level, straight from the definition.
fn defined_tiles(leaves: &[Hash]) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let (mut row, mut level) = (leaves.to_vec(), 0);
    while row.len() >= usize::from(WIDTH) {
        let full: Vec<Tile> = (0..)
            .zip(row.chunks_exact(usize::from(WIDTH)))
            .map(|(n, chunk)| Tile::new(level, n, chunk.to_vec()).unwrap())
            .collect();
        row = full.iter().map(Tile::root).collect();
        tiles.extend(full);
        level += 1;
    }
    tiles
}

/// Appends `leaves` in batches of `step` through `Batch`, keeping rows as a store would.
fn grow(leaves: &[Hash], step: usize) -> (Head, Vec<Tile>) {
    let (mut head, mut tiles) = (Head::default(), Vec::<Tile>::new());
    let template = prepared(withhold(0), None);
    for (start, chunk) in leaves.chunks(step).enumerate().map(|(i, chunk)| (i * step, chunk)) {
        let mut batch = Batch::begin(head);
        for leaf in chunk {
            let draft = Prepared::<()> {
                leaf: *leaf,
                body: vec![],
                items: vec![],
                owners: vec![],
                projection: template.projection.clone(),
                decided_at: None,
                effect: None,
            };
            batch.accept(&draft);
        }
        let edge = |level: u8, n: u64| -> Result<Vec<Hash>, ()> {
            let from = n as usize * 256;
            Ok(match level.checked_sub(1) {
                None => leaves[from..start].to_vec(),
                Some(below) => {
                    let at = |tile: &&Tile| tile.level() == below && tile.n() as usize >= from;
                    tiles.iter().filter(at).map(Tile::root).collect()
                }
            })
        };
        let growth = batch.finish(edge).unwrap();
        head = growth.after;
        tiles.extend(growth.tiles);
    }
    tiles.sort_by_key(|tile| (tile.level(), tile.n()));
    (head, tiles)
}

#[test]
fn tiles_become_full_as_the_definition_says_in_batches_of_any_size() {
    let leaves: Vec<Hash> = (0..66_200_u64).map(|n| Hash::leaf(&n.to_be_bytes())).collect();
    let frontier: Frontier = leaves.iter().copied().collect();
    // 65 536 entries fill the first tile of level 1.
    let expected = defined_tiles(&leaves);
    assert!(expected.iter().any(|tile| tile.level() == 1));
    for step in [97, 256, 300, 512, 5000, 66_200] {
        let (head, tiles) = grow(&leaves, step);
        assert_eq!(head.frontier, frontier, "batches of {step}");
        assert_eq!(tiles, expected, "batches of {step}");
    }
}

#[test]
fn an_edge_that_contradicts_the_head_stops_the_batch() {
    let shelf = filled(255);
    let mut batch = Batch::begin(head(&shelf));
    batch.accept(&prepared(withhold(1), None));
    let mut leaves: Vec<Hash> = shelf.rows().bodies.values().map(|body| Hash::leaf(body)).collect();
    let finished = |leaves: &[Hash]| batch.clone().finish(|_, _| Ok::<_, ()>(leaves.to_vec()));
    assert_eq!(finished(&leaves).unwrap().tiles.len(), 1);
    let contradiction = GrowthError::Contradiction { level: 0, n: 0 };
    assert_eq!(finished(&leaves[1..]).unwrap_err(), contradiction);
    leaves[254].0[0] ^= 1;
    assert_eq!(finished(&leaves).unwrap_err(), contradiction);
    let unreadable = batch.clone().finish(|_, _| Err("gone"));
    assert_eq!(unreadable.unwrap_err(), GrowthError::Edge("gone"));
}
