//! Every byte of every stored column, one flip each, and every row taken away, doubled, moved: the
//! auditor's walk names the place.

use super::*;
use crate::ledger::memory::Rows;
use crate::ledger::verify::{FINDINGS_MAX, Finding, Plan, everything, tree};
use crate::ledger::{Prepared, Shelf as _};
use crate::merkle::note::Note;
use std::collections::BTreeMap;

/// Eight full tiles, and on the right edge one peak of two entries and one of one.
const SIZE: u64 = 2051;

/// Index after the last entry whose leaf hash stands in a full tile.
const TILED: u64 = 2048;

/// Bodies that are flipped in one walk. Each is named by its own index or by none, so one walk
/// judges them all; fewer than the walk lists.
const AT_ONCE: usize = 700;

/// What the walk over bodies, tiles, head and checkpoints finds.
fn found(rows: &mut Rows, plan: &Plan) -> Vec<Finding> {
    tree(rows, plan, |_| ()).unwrap().findings
}

/// What is found in a copy with this change made.
fn after(rows: &Rows, plan: &Plan, change: impl FnOnce(&mut Rows)) -> Vec<Finding> {
    let mut changed = rows.clone();
    change(&mut changed);
    found(&mut changed, plan)
}

/// The same, with all that hangs on the entries.
fn after_all(rows: &Rows, change: impl FnOnce(&mut Rows)) -> Vec<Finding> {
    let mut changed = rows.clone();
    change(&mut changed);
    everything(&mut changed, &Plan::default(), |_| ()).unwrap().findings
}

/// Mostly refusals, whose entries are the shortest: there is a walk for each byte of the longest.
fn mostly_short() -> MemoryShelf {
    let mut shelf = MemoryShelf::new();
    let entry = |n| if n % 8 == 0 { mixed(n) } else { withhold(n) };
    shelf.append((0..SIZE).map(|n| Prepared::from(Draft::new(entry(n)))).collect()).unwrap();
    shelf
}

#[test]
fn every_flipped_byte_of_every_body_below_a_tile_is_named() {
    let mut rows = mostly_short().rows();
    let plan = Plan::default();
    let longest = rows.bodies.values().map(Vec::len).max().unwrap();
    let indices: Vec<u64> = (0..TILED).collect();
    let mut flips = 0;
    for place in 0..longest {
        let long: Vec<u64> =
            indices.iter().copied().filter(|i| rows.bodies[i].len() > place).collect();
        for some in long.chunks(AT_ONCE) {
            let flip = |rows: &mut Rows| {
                for index in some {
                    rows.bodies.get_mut(index).unwrap()[place] ^= 1 << (place % 8);
                }
            };
            flip(&mut rows);
            let mut named = found(&mut rows, &plan);
            flip(&mut rows);
            named.retain(|finding| !matches!(finding, Finding::Head(_) | Finding::Edge { .. }));
            let expected: Vec<Finding> = some.iter().map(|index| Finding::Entry(*index)).collect();
            assert_eq!(named, expected, "byte {place}");
            flips += some.len();
        }
    }
    let stored: usize = indices.iter().map(|index| rows.bodies[index].len()).sum();
    assert_eq!(flips, stored);
    assert_eq!(found(&mut rows, &plan), []);
}

#[test]
fn every_flipped_byte_of_every_body_on_the_right_edge_is_named() {
    let mut rows = filled(SIZE).rows();
    // What stands below full tiles is another test's; here it is taken from the tiles.
    let plan = Plan { from: TILED, ..Plan::default() };
    for index in TILED..SIZE {
        let (from, until) = if index < 2050 { (TILED, 2050) } else { (2050, SIZE) };
        for place in 0..rows.bodies[&index].len() {
            rows.bodies.get_mut(&index).unwrap()[place] ^= 1 << (place % 8);
            let named = found(&mut rows, &plan);
            rows.bodies.get_mut(&index).unwrap()[place] ^= 1 << (place % 8);
            assert_eq!(named, [Finding::Edge { from, until }], "entry {index} byte {place}");
        }
    }
}

#[test]
fn every_flipped_byte_of_the_head_is_named() {
    let mut rows = filled(SIZE).rows();
    let plan = Plan { from: TILED, ..Plan::default() };
    let peaks = [
        Finding::Head("frontier"),
        Finding::Edge { from: TILED, until: 2050 },
        Finding::Edge { from: 2050, until: SIZE },
    ];
    for place in 0..rows.frontier.len() {
        rows.frontier[place] ^= 1 << (place % 8);
        let named = found(&mut rows, &plan);
        rows.frontier[place] ^= 1 << (place % 8);
        assert_eq!(named, [peaks[place / 32].clone()], "byte {place}");
    }
    for bit in 0..64 {
        let named = after_size(&mut rows, &plan, SIZE ^ (1 << bit));
        assert!(named.is_none_or(|named| !named.is_empty()), "bit {bit}");
    }
}

/// What is found under another size; `None` where the head cannot even be read.
fn after_size(rows: &mut Rows, plan: &Plan, size: u64) -> Option<Vec<Finding>> {
    rows.size = size;
    let walked = tree(rows, plan, |_| ());
    rows.size = SIZE;
    walked.ok().map(|report| report.findings)
}

#[test]
fn every_flipped_byte_of_a_checkpoint_is_named() {
    let mut rows = filled(SIZE).rows();
    let note = checkpoint(&mut rows).to_string();
    let mut judged = 0;
    for place in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[place] ^= 1;
        let Ok(altered) = Note::parse(&bytes) else { continue };
        let plan = Plan {
            log: vec![log_key()],
            checkpoints: vec![altered],
            from: TILED,
            ..Plan::default()
        };
        let named = found(&mut rows, &plan);
        assert!(matches!(named[..], [Finding::Checkpoint(_)]), "byte {place}: {named:?}");
        judged += 1;
    }
    assert!(judged > note.len() / 2, "most flips are still notes: {judged}");
}

type Change = fn(&mut crate::ledger::Projection);

/// One change per column that follows from the entry.
const COLUMNS: [Change; 11] = [
    |p| p.kind = Kind::Intake,
    |p| p.partner = Some(PartnerId::new()),
    |p| p.purpose = Some(Purpose::Support),
    |p| p.op.push('x'),
    |p| p.at = p.at.plus(1000),
    |p| p.decision = Some("perhaps"),
    |p| p.reason = Some(Reason::NoPolicy),
    |p| p.certificate = Some(Thumbprint([1; 32])),
    |p| p.policy = Some(PolicyVersion(4)),
    |p| p.fields = Some(FieldSet::EVERY),
    |p| p.restricting = !p.restricting,
];

#[test]
fn every_column_of_every_projection_is_named() {
    let mut rows = filled(SIZE).rows();
    for change in COLUMNS {
        for first in 0..3 {
            let sound = rows.projections.clone();
            let some: Vec<u64> = (first..SIZE).step_by(3).collect();
            for index in &some {
                change(rows.projections.get_mut(index).unwrap());
            }
            let named = everything(&mut rows, &Plan::default(), |_| ()).unwrap().findings;
            let expected: Vec<_> = some.iter().map(|index| Finding::Projection(*index)).collect();
            assert_eq!(named, expected);
            rows.projections = sound;
        }
    }
}

/// Flips a bit of the byte at a place of a column; `false` where the row has no such byte.
type Flip = fn(&mut crate::ledger::Projection, usize) -> bool;

/// The columns that are numbers, bytes or free codes, with as many bytes as the longest has.
const BYTES: [(usize, Flip); 5] = [
    (8, |p, byte| {
        p.at.0 ^= 1 << (8 * byte);
        true
    }),
    (4, |p, byte| p.policy.as_mut().map(|version| version.0 ^= 1 << (8 * byte)).is_some()),
    (4, |p, byte| {
        let flipped = p.fields.and_then(|set| FieldSet::from_bits(set.bits() ^ (1 << (8 * byte))));
        flipped.is_some_and(|set| p.fields.replace(set).is_some())
    }),
    (32, |p, byte| p.certificate.as_mut().map(|one| one.0[byte] ^= 1).is_some()),
    (16, |p, byte| {
        let mut op = std::mem::take(&mut p.op).into_bytes();
        let flipped = op.get_mut(byte).map(|letter| *letter ^= 1).is_some();
        p.op = String::from_utf8(op).unwrap();
        flipped
    }),
];

#[test]
fn every_flipped_byte_of_every_column_of_every_projection_is_named() {
    let mut rows = filled(SIZE).rows();
    let sound = rows.projections.clone();
    let mut flips = 0;
    for (bytes, flip) in BYTES {
        for byte in 0..bytes {
            for first in 0..3 {
                let mut expected = Vec::new();
                for index in (first..SIZE).step_by(3) {
                    if flip(rows.projections.get_mut(&index).unwrap(), byte) {
                        expected.push(Finding::Projection(index));
                    }
                }
                let named = everything(&mut rows, &Plan::default(), |_| ()).unwrap().findings;
                assert_eq!(named, expected, "byte {byte} of {bytes}");
                flips += expected.len();
                rows.projections.clone_from(&sound);
            }
        }
    }
    assert!(flips > 20 * 2_000, "{flips}");
}

#[test]
fn a_time_that_is_said_to_lie_behind_the_wrong_one_is_named() {
    // Every third entry lies behind the one before it, and some lie behind for long.
    let stumble = |n: u64| match n % 3 {
        2 if n % 50 == 2 => 0,
        2 => n * 1_000_000 - 1_500_000,
        _ => n * 1_000_000,
    };
    let shelf = MemoryShelf::new();
    let entry = |n: u64| {
        let at = Moment(i64::try_from(stumble(n)).unwrap());
        let facts = Facts { at, ..Facts::new(Kind::StaffAct, "test.run", request(), at) };
        Prepared::from(Draft::new(Entry::new(facts, Vec::new(), nonce(n)).unwrap()))
    };
    shelf.clone().append((0..SIZE).map(entry).collect()).unwrap();
    let rows = shelf.rows();
    assert_eq!(rows.late.len(), 683, "one in three");
    assert_eq!(after_all(&rows, |_| ()), []);
    for change in [|late: i64| late + 1, |late: i64| late - 1, |late: i64| -late] {
        let named = after_all(&rows, |rows| rows.late.values_mut().for_each(|l| *l = change(*l)));
        let expected: Vec<_> = rows.late.keys().map(|index| Finding::Projection(*index)).collect();
        assert_eq!(named, expected);
    }
    for index in PLACES {
        let named = after_all(&rows, |rows| {
            if rows.late.remove(&index).is_none() {
                rows.late.insert(index, 0);
            }
        });
        assert_eq!(named, [Finding::Projection(index)]);
        // A walk that begins in the middle believes no more than the first row it reads.
        let from = Plan { from: 256, ..Plan::default() };
        let mut changed = rows.clone();
        changed.late.insert(index, -1);
        let named = everything(&mut changed, &from, |_| ()).unwrap().findings;
        let expected = if index < 256 { vec![] } else { vec![Finding::Projection(index)] };
        assert_eq!(named, expected);
    }
}

/// A table without one of its rows, the rows behind it moved up: as a store reads after a careful
/// hand took one away.
fn without<T: Clone>(table: &BTreeMap<u64, T>, index: u64) -> BTreeMap<u64, T> {
    let kept = table.iter().filter(|(at, _)| **at != index).map(|(_, row)| row.clone());
    (0..).zip(kept).collect()
}

/// The lowest index that is named.
fn lowest(named: &[Finding]) -> Option<u64> {
    let places = named.iter().filter_map(|finding| match finding {
        Finding::Entry(index) => Some(*index),
        Finding::Edge { from, .. } => Some(*from),
        _ => None,
    });
    places.min()
}

/// Places that differ in what stands above them: ends of tiles, of peaks, of the log.
const PLACES: [u64; 9] = [0, 1, 255, 256, 1000, 2047, 2048, 2049, 2050];

/// The first index that may be named for a damage at this entry.
fn named_for(index: u64) -> u64 {
    match index {
        2050.. => 2050,
        TILED.. => TILED,
        below => below,
    }
}

#[test]
fn a_row_that_was_taken_away_is_named() {
    let mut rows = filled(SIZE).rows();
    let plan = plan(&mut rows);
    for index in PLACES {
        let named = after(&rows, &plan, |rows| drop(rows.bodies.remove(&index)));
        // Where not even the first row is left, the head counts what is not there.
        let expected = if index == 0 { Finding::Head("size") } else { Finding::Entry(index) };
        assert!(named.contains(&expected), "{index}: {named:?}");
        assert_eq!(lowest(&named).unwrap_or(0), index.min(named_for(index)), "{index}: {named:?}");
        let named = after(&rows, &plan, |rows| rows.bodies = without(&rows.bodies, index));
        assert_eq!(lowest(&named), Some(named_for(index)), "moved up at {index}");
        let named = after_all(&rows, |rows| drop(rows.projections.remove(&index)));
        assert_eq!(named, [Finding::Projection(index)]);
    }
    for n in 0..8 {
        let named = after(&rows, &plan, |rows| drop(rows.tiles.remove(&(0, n))));
        assert_eq!(named.first(), Some(&Finding::Tile { level: 0, n, place: None }));
    }
}

#[test]
fn rows_that_changed_places_are_named() {
    let mut rows = filled(SIZE).rows();
    let plan = plan(&mut rows);
    for (left, right) in PLACES.iter().zip(&PLACES[1..]).map(|(l, r)| (*l, *r)).chain([(0, 2050)]) {
        let named = after(&rows, &plan, |rows| {
            let (one, other) = (rows.bodies[&left].clone(), rows.bodies[&right].clone());
            rows.bodies.extend([(left, other), (right, one)]);
        });
        assert_eq!(lowest(&named), Some(named_for(left)), "bodies {left} and {right}");
        let names_right = |finding: &Finding| match finding {
            Finding::Entry(index) => *index == right,
            Finding::Edge { from, until } => (*from..*until).contains(&right),
            _ => false,
        };
        assert!(named.iter().any(names_right), "bodies {left} and {right}: {named:?}");
        let named = after_all(&rows, |rows| {
            let (one, other) = (rows.projections[&left].clone(), rows.projections[&right].clone());
            rows.projections.extend([(left, other), (right, one)]);
        });
        assert!(named.contains(&Finding::Projection(left)), "projections {left} and {right}");
        assert!(named.contains(&Finding::Projection(right)), "projections {left} and {right}");
    }
    for n in 0..7 {
        let named = after(&rows, &plan, |rows| {
            let (one, other) = (rows.tiles[&(0, n)].clone(), rows.tiles[&(0, n + 1)].clone());
            rows.tiles.extend([((0, n), other), ((0, n + 1), one)]);
        });
        let place = |place: u64| Finding::Entry(place * 256);
        assert!(named.contains(&place(n)) && named.contains(&place(n + 1)), "{n}: {named:?}");
    }
}

#[test]
fn a_row_that_was_doubled_or_reordered_is_named() {
    let mut rows = filled(SIZE).rows();
    let plan = plan(&mut rows);
    for index in PLACES {
        // The same entry twice, all that follow moved down.
        let named = after(&rows, &plan, |rows| {
            let moved = rows.bodies.split_off(&index);
            rows.bodies.insert(index, moved[&index].clone());
            rows.bodies.extend(moved.into_iter().map(|(at, body)| (at + 1, body)));
        });
        // The doubled row itself is right once; the first wrong one is the one behind it.
        let wrong = named_for(index + 1);
        assert!(index == 2050 || lowest(&named) == Some(wrong), "{index}: {named:?}");
        let counted = named.contains(&Finding::Head("size"));
        assert!(counted || named.len() == FINDINGS_MAX, "{index}: {named:?}");
        // The same entry in place of the next one.
        if index + 1 < SIZE {
            let named = after(&rows, &plan, |rows| {
                rows.bodies.insert(index + 1, rows.bodies[&index].clone());
            });
            assert_eq!(lowest(&named), Some(wrong), "{index}: {named:?}");
        }
    }
    let named = after(&rows, &plan, |rows| {
        let reversed = rows.bodies.values().rev().cloned().collect::<Vec<_>>();
        rows.bodies = (0..).zip(reversed).collect();
    });
    assert_eq!(lowest(&named), Some(0));
}

#[test]
fn a_ledger_that_was_cut_or_lengthened_is_named() {
    let mut rows = filled(SIZE).rows();
    let plan = plan(&mut rows);
    for end in PLACES {
        // Bodies alone: the head still counts them.
        let named = after(&rows, &plan, |rows| drop(rows.bodies.split_off(&end)));
        let cut = if end == 0 { Some(Finding::Head("size")) } else { None };
        let cut = cut.unwrap_or(Finding::Entry(end));
        assert!(named.contains(&cut), "{end}: {named:?}");
        // All of it, as a careful hand would: only a checkpoint from before knows.
        let shorter = filled(end).rows();
        let named = after(&shorter, &plan, |_| ());
        assert_eq!(named, [Finding::Checkpoint(SIZE)], "cut to {end}");
    }
    for more in [1, 4, 300] {
        let named = after(&rows, &plan, |rows| {
            let bodies = (SIZE..SIZE + more).map(|n| (n, mixed(n).bytes().to_vec()));
            rows.bodies.extend(bodies);
        });
        assert_eq!(named, [Finding::Head("size")], "{more} more");
    }
}

#[test]
fn rows_beyond_the_end_of_any_table_are_named() {
    let rows = filled(SIZE).rows();
    // The place of the next full tile of each level, one far out, and a level that no tree has.
    let full = SIZE / 256;
    for (level, n) in [(0, full), (0, full + 9), (1, 0), (2, 0), (9, 3)] {
        let named = after_all(&rows, |rows| {
            let tile = rows.tiles.values().next().unwrap().clone();
            rows.tiles.insert((level, n), tile);
        });
        assert_eq!(named, [Finding::SurplusTile { level, n }]);
    }
    let named = after_all(&rows, |rows| {
        let (last, projection) = rows.projections.last_key_value().unwrap();
        let (last, projection) = (*last, projection.clone());
        rows.projections.extend((1..4).map(|more| (last + more, projection.clone())));
    });
    assert_eq!(named, [SIZE, SIZE + 1, SIZE + 2].map(Finding::Projection));
    // Cut short: the last full tile, and the last projections.
    let named = after_all(&rows, |rows| drop(rows.tiles.remove(&(0, full - 1))));
    assert_eq!(named, [Finding::Tile { level: 0, n: full - 1, place: None }]);
    let named = after_all(&rows, |rows| drop(rows.projections.split_off(&(SIZE - 2))));
    assert_eq!(named, [SIZE - 2, SIZE - 1].map(Finding::Projection));
}

#[test]
fn every_flipped_byte_of_the_newest_time_is_named() {
    let rows = filled(SIZE).rows();
    for byte in 0..8 {
        let named = after_all(&rows, |rows| rows.newest ^= 1 << (8 * byte));
        assert_eq!(named, [Finding::Head("updated_at")], "byte {byte}");
    }
}
