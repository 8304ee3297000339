//! The auditor's walk names the right place, whichever byte of whichever column was altered.

use super::*;
use crate::ledger::Link;
use crate::ledger::memory::Rows;
use crate::ledger::verify::{Finding, Plan, Report, everything, tree};
use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::note::Note;

const SIZE: u64 = 600;

fn walk(rows: &mut Rows, plan: &Plan) -> Report {
    everything(rows, plan, |_| ()).unwrap()
}

#[test]
fn a_sound_ledger_has_no_findings() {
    for size in [0, 1, 255, 256, 257, SIZE] {
        let mut rows = filled(size).rows();
        let plan = plan(&mut rows);
        let mut heard = Vec::new();
        let report = everything(&mut rows, &plan, |progress| heard.push(progress.done)).unwrap();
        assert_eq!(report.findings, [], "size {size}");
        assert_eq!((report.entries, report.head.size), (size, size));
        assert_eq!(heard.last().copied().unwrap_or(0), size);
        assert!(tree(&mut rows, &plan, |_| ()).unwrap().is_sound());
    }
}

#[test]
fn a_walk_that_goes_on_from_a_later_entry_is_sound_also_where_nothing_is_left() {
    for size in [512, SIZE] {
        let mut rows = filled(size).rows();
        for from in [256, 512] {
            let plan = Plan { from, ..plan(&mut rows) };
            let report = walk(&mut rows, &plan);
            assert_eq!((report.findings, report.entries), (Vec::new(), size - from));
        }
    }
}

/// Alters one byte, walks, undoes.
fn altered(rows: &mut Rows, plan: &Plan, byte: impl Fn(&mut Rows) -> &mut u8) -> Vec<Finding> {
    *byte(rows) ^= 1;
    let report = walk(rows, plan);
    *byte(rows) ^= 1;
    report.findings
}

fn names_entry(findings: &[Finding], index: u64) -> bool {
    findings.iter().any(|finding| match finding {
        Finding::Entry(named) => *named == index,
        Finding::Edge { from, until } => (*from..*until).contains(&index),
        _ => false,
    })
}

#[test]
fn an_altered_byte_of_any_body_is_found() {
    let mut rows = filled(SIZE).rows();
    let plan = plan(&mut rows);
    // Every byte of an entry below a full tile and of one on the right edge.
    for index in [255, 599] {
        for place in 0..rows.bodies[&index].len() {
            rows.bodies.get_mut(&index).unwrap()[place] ^= 1;
            let found = tree(&mut rows, &plan, |_| ()).unwrap().findings;
            rows.bodies.get_mut(&index).unwrap()[place] ^= 1;
            assert!(names_entry(&found, index), "entry {index} byte {place}: {found:?}");
        }
    }
    // One byte of many entries, at a place that wanders.
    for index in (0..SIZE).step_by(7) {
        let place = index as usize * 7 % rows.bodies[&index].len();
        let found = altered(&mut rows, &plan, |r| &mut r.bodies.get_mut(&index).unwrap()[place]);
        assert!(names_entry(&found, index), "entry {index} byte {place}: {found:?}");
        let in_tile = index < 512;
        assert!(!in_tile || found.contains(&Finding::Entry(index)), "{index}: {found:?}");
    }
}

#[test]
fn an_altered_byte_of_any_tile_is_found() {
    let mut rows = filled(SIZE).rows();
    let plan = plan(&mut rows);
    for n in [0, 1] {
        for place in (0..8192).step_by(67) {
            let found =
                altered(&mut rows, &plan, |r| &mut r.tiles.get_mut(&(0, n)).unwrap().1[place]);
            let place = Some((place / 32) as u16);
            assert!(found.contains(&Finding::Tile { level: 0, n, place }), "{found:?}");
            assert!(!found.iter().any(|finding| matches!(finding, Finding::Entry(_))));
        }
        for place in 0..32 {
            let found =
                altered(&mut rows, &plan, |r| &mut r.tiles.get_mut(&(0, n)).unwrap().0[place]);
            assert!(found.contains(&Finding::TileRoot { level: 0, n }), "{found:?}");
        }
    }
}

#[test]
fn an_altered_byte_of_the_head_is_found() {
    let mut rows = filled(SIZE).rows();
    let plan = plan(&mut rows);
    for place in (0..rows.frontier.len()).step_by(3) {
        let found = altered(&mut rows, &plan, |r| &mut r.frontier[place]);
        // The first peak (512 entries) is vouched for by full tiles; the others by entries.
        let named = |finding: &Finding| match finding {
            Finding::Head("frontier") => place < 32,
            Finding::Edge { from, .. } => *from == [0, 512, 576, 592][place / 32],
            _ => false,
        };
        assert!(found.iter().any(named), "byte {place}: {found:?}");
    }
    for bit in 0..16 {
        // A size with another number of peaks does not fit the frontier: unreadable.
        rows.size = SIZE ^ (1 << bit);
        assert!(everything(&mut rows, &plan, |_| ()).is_err());
    }
    // 600 = 512 + 64 + 16 + 8; as many peaks, but more or fewer entries than there are.
    for size in [512 + 128 + 16 + 8, 512 + 64 + 8 + 4] {
        rows.size = size;
        let found = walk(&mut rows, &plan).findings;
        let named = found.contains(&Finding::Head("size")) || found.contains(&Finding::Entry(SIZE));
        assert!(named, "{found:?}");
    }
    rows.size = SIZE;
    for bit in 0..10 {
        rows.last_restricting = rows.last_restricting.map(|index| index ^ (1 << bit));
        assert_eq!(walk(&mut rows, &plan).findings, [Finding::Head("last_restricting")]);
        rows.last_restricting = rows.last_restricting.map(|index| index ^ (1 << bit));
    }
    rows.epoch ^= 1;
    assert_eq!(walk(&mut rows, &plan).findings, [Finding::Head("epoch")]);
}

#[test]
fn an_altered_byte_of_any_item_is_found() {
    let mut rows = filled(SIZE).rows();
    let plan = plan(&mut rows);
    let keys: Vec<u64> = rows.items.keys().copied().collect();
    for (count, index) in keys.into_iter().enumerate().step_by(3) {
        let length = rows.items[&index].len();
        // Every byte of some runs, one byte of the others.
        let places = if count % 150 == 0 { 0..length } else { count % length..count % length + 1 };
        for place in places {
            let found = altered(&mut rows, &plan, |r| &mut r.items.get_mut(&index).unwrap()[place]);
            let (position, in_item) = (place as u32 / 97, place % 97 > 1);
            let expected =
                if in_item { Finding::Item { index, position } } else { Finding::Items(index) };
            // Another length can also leave as many items: then those behind it are named.
            let next = Finding::Item { index, position };
            assert!(found.contains(&expected) || found.contains(&next), "{place}: {found:?}");
            assert!(!in_item || found.len() == 1, "{found:?}");
        }
    }
}

#[test]
fn items_that_are_missing_cut_short_or_too_many_are_found() {
    let mut rows = filled(SIZE).rows();
    let plan = plan(&mut rows);
    let (index, run) = rows.items.iter().next().map(|(index, run)| (*index, run.clone())).unwrap();
    let longer = [run.as_slice(), &[0, 0]].concat();
    for broken in [Vec::new(), run[..run.len() - 1].to_vec(), longer] {
        rows.items.insert(index, broken);
        assert_eq!(walk(&mut rows, &plan).findings, [Finding::Items(index)]);
    }
    rows.items.remove(&index);
    assert_eq!(walk(&mut rows, &plan).findings, [Finding::Items(index)]);
    rows.items.insert(index, run.clone());
    // Below an entry that has none, and behind the last.
    for stray in [7, SIZE, SIZE + 900] {
        rows.items.insert(stray, run.clone());
        assert!(walk(&mut rows, &plan).findings.contains(&Finding::Items(stray)), "{stray}");
        rows.items.remove(&stray);
    }
    assert!(walk(&mut rows, &plan).is_sound());
}

#[test]
fn links_that_are_missing_too_many_or_misplaced_are_found() {
    let mut rows = filled(SIZE).rows();
    let plan = plan(&mut rows);
    for link in rows.links.iter().copied().step_by(40).collect::<Vec<_>>() {
        let Link { contact_no, index, position } = link;
        let unlinked = Finding::Unlinked { index, position };
        assert!(rows.links.remove(&link));
        assert_eq!(walk(&mut rows, &plan).findings, std::slice::from_ref(&unlinked));
        // Led elsewhere: to another contact, known or not, another entry, another place.
        for other in [
            Link { contact_no: ContactNo(contact_no.0 ^ 1), ..link },
            Link { contact_no: ContactNo(1 << 40), ..link },
        ] {
            rows.links.insert(other);
            assert_eq!(walk(&mut rows, &plan).findings, [Finding::Link(other)]);
            rows.links.remove(&other);
        }
        for other in [
            Link { index: index ^ 1, position: 9, ..link },
            Link { index: SIZE + 5, ..link },
            Link { index: 1 << 50, ..link },
            Link { position: 70, ..link },
        ] {
            rows.links.insert(other);
            let found = walk(&mut rows, &plan).findings;
            assert_eq!(found.len(), 2, "{found:?}");
            assert!(found.contains(&Finding::Link(other)) && found.contains(&unlinked));
            rows.links.remove(&other);
        }
        rows.links.insert(link);
    }
    assert!(walk(&mut rows, &plan).is_sound());
}

#[test]
fn erasure_is_no_finding_and_hides_nothing() {
    let mut rows = filled(SIZE).rows();
    let plan = plan(&mut rows);
    let link = rows.links.iter().copied().nth(50).unwrap();
    let known = rows.contacts[&link.contact_no];
    // The contact is gone, its recall is not answered yet.
    rows.contacts.insert(link.contact_no, None);
    assert!(walk(&mut rows, &plan).is_sound());
    // The link of somebody else, led to the number of an erased contact, does not hide there.
    let other = rows.links.iter().copied().nth(90).unwrap();
    let hidden = Link { contact_no: link.contact_no, ..other };
    rows.links.remove(&other);
    rows.links.insert(hidden);
    assert_eq!(walk(&mut rows, &plan).findings, [Finding::Link(hidden)]);
    rows.links.remove(&hidden);
    rows.links.insert(other);
    // The item is cut, with its link; then the link comes back.
    let run = &rows.items[&link.index];
    let cut = crate::ledger::items::cut(run, link.position).unwrap();
    rows.items.insert(link.index, cut);
    rows.links.remove(&link);
    assert!(walk(&mut rows, &plan).is_sound());
    rows.links.insert(link);
    rows.contacts.insert(link.contact_no, known);
    assert_eq!(walk(&mut rows, &plan).findings, [Finding::Link(link)]);
}

type Change = fn(&mut crate::ledger::Projection);

#[test]
fn an_altered_column_of_a_projection_is_found() {
    let mut rows = filled(SIZE).rows();
    let plan = plan(&mut rows);
    let columns: [Change; 11] = [
        |p| p.kind = Kind::Intake,
        |p| p.partner = Some(PartnerId::new()),
        |p| p.purpose = Some(Purpose::Support),
        |p| p.op.push('x'),
        |p| p.at = p.at.plus(1000),
        |p| p.decision = None,
        |p| p.reason = Some(Reason::NoPolicy),
        |p| p.certificate = None,
        |p| p.policy = Some(PolicyVersion(4)),
        |p| p.fields = Some(FieldSet::EVERY),
        |p| p.restricting = true,
    ];
    for index in [0, 300, 598] {
        for (column, change) in columns.iter().enumerate() {
            let stored = rows.projections[&index].clone();
            change(rows.projections.get_mut(&index).unwrap());
            let found = walk(&mut rows, &plan).findings;
            assert_eq!(found, [Finding::Projection(index)], "column {column}");
            rows.projections.insert(index, stored);
        }
    }
    for index in [1, 302, 593] {
        let hashes = rows.projections[&index].item_hashes.len();
        assert!(hashes > 0);
        for place in (0..hashes * 32).step_by(5) {
            let found = altered(&mut rows, &plan, |r| {
                &mut r.projections.get_mut(&index).unwrap().item_hashes[place / 32].0[place % 32]
            });
            assert_eq!(found, [Finding::ItemHashes(index)]);
        }
    }
    let gone = rows.projections.remove(&77).unwrap();
    assert_eq!(walk(&mut rows, &plan).findings, [Finding::Projection(77)]);
    rows.projections.insert(77, gone);
    assert!(walk(&mut rows, &plan).is_sound());
}

#[test]
fn missing_rows_are_found() {
    let mut rows = filled(SIZE).rows();
    let plan = plan(&mut rows);
    rows.tiles.remove(&(0, 1));
    let missing = Finding::Tile { level: 0, n: 1, place: None };
    assert_eq!(tree(&mut rows, &plan, |_| ()).unwrap().findings[0], missing);
    let mut rows = filled(SIZE).rows();
    rows.bodies.remove(&599);
    assert!(names_entry(&walk(&mut rows, &plan).findings, 599));
    let mut rows = filled(SIZE).rows();
    rows.bodies.clear();
    assert!(walk(&mut rows, &plan).findings.contains(&Finding::Head("size")));
    let mut rows = filled(SIZE).rows();
    rows.bodies.insert(SIZE, vec![0]);
    assert_eq!(walk(&mut rows, &plan).findings, [Finding::Head("size")]);
}

#[test]
fn a_rewritten_history_contradicts_its_signed_checkpoints() {
    let mut old = filled(300).rows();
    let signed = checkpoint(&mut old);
    let mut rows = filled(SIZE).rows();
    let plan = Plan { log: vec![log_key()], checkpoints: vec![signed.clone()], ..Plan::default() };
    assert!(walk(&mut rows, &plan).is_sound());
    // A consistent ledger with another entry 3: only the checkpoint can tell.
    let mut forged = rewritten();
    assert_eq!(walk(&mut forged, &plan).findings, [Finding::Checkpoint(300)]);
    // A checkpoint of another key, one from the future, one that is none.
    let stranger = Signer::from_seed(ORIGIN, KeyType::Log, &[8; 32]).unwrap();
    let unsigned = Note::sign(signed.text(), &[stranger]).unwrap();
    let future = Checkpoint { size: 601, ..Checkpoint::parse(signed.text()).unwrap() };
    let future = future.sign(&[signer()]).unwrap();
    let text = Note::sign("no checkpoint\n", &[signer()]).unwrap();
    for (note, size) in [(unsigned, 300), (future, 601), (text, 0)] {
        let plan = Plan { checkpoints: vec![note], ..plan.clone() };
        assert_eq!(walk(&mut rows, &plan).findings, [Finding::Checkpoint(size)]);
    }
}

/// 600 entries of which the fourth is another, all stored hashes fitting.
fn rewritten() -> Rows {
    use crate::ledger::{Prepared, Shelf as _};
    let mut shelf = MemoryShelf::new();
    let entry = |n| if n == 3 { withhold(3) } else { mixed(n) };
    shelf.append((0..SIZE).map(|n| Prepared::from(Draft::new(entry(n)))).collect()).unwrap();
    shelf.rows()
}

#[test]
fn a_pruned_ledger_is_checked_from_its_first_body() {
    let mut rows = filled(SIZE).rows();
    let plan = Plan { from: 256, ..plan(&mut rows) };
    rows.bodies.retain(|index, _| *index >= 256);
    rows.items.retain(|index, _| *index >= 256);
    rows.links.retain(|link| link.index >= 256);
    rows.projections.retain(|index, _| *index >= 256);
    let report = walk(&mut rows, &plan);
    assert_eq!((report.entries, report.findings.as_slice()), (344, [].as_slice()));
    let found = altered(&mut rows, &plan, |r| &mut r.tiles.get_mut(&(0, 0)).unwrap().1[99]);
    assert!(found.contains(&Finding::TileRoot { level: 0, n: 0 }), "{found:?}");
    let found = altered(&mut rows, &plan, |r| &mut r.bodies.get_mut(&300).unwrap()[9]);
    assert!(found.contains(&Finding::Entry(300)), "{found:?}");
}

#[test]
fn a_walk_goes_on_where_another_ended() {
    let whole = filled(SIZE).rows();
    for from in [0, 256, 512] {
        let mut rows = whole.clone();
        let plan = Plan { from, ..plan(&mut rows) };
        let report = walk(&mut rows, &plan);
        assert_eq!((report.findings, report.entries), (Vec::new(), SIZE - from));
        // What is behind is found.
        rows.last_restricting = rows.last_restricting.map(|index| index - 10);
        assert_eq!(walk(&mut rows, &plan).findings, [Finding::Head("last_restricting")]);
        rows.last_restricting = whole.last_restricting;
        let link = rows.links.iter().copied().find(|link| link.index > 520).unwrap();
        rows.links.remove(&link);
        let found = walk(&mut rows, &plan).findings;
        let named = Finding::Unlinked { index: link.index, position: link.position };
        assert_eq!(found, [named], "{from}");
    }
}

#[test]
fn findings_are_sentences() {
    for (finding, text) in [
        (Finding::Entry(7), "entry 7 was altered or is missing"),
        (Finding::Edge { from: 8, until: 16 }, "entries 8 to 15 contradict the head"),
        (
            Finding::Tile { level: 0, n: 2, place: Some(3) },
            "tile 2 of level 0 was altered at hash 3",
        ),
        (Finding::Item { index: 1, position: 2 }, "item 2 of entry 1 was altered"),
        (Finding::Items(9), "the items of entry 9 were altered or are missing"),
        (
            Finding::Link(Link { contact_no: ContactNo(4), index: 1, position: 2 }),
            "the link of contact 4 to item 2 of entry 1 leads nowhere or to another contact's item",
        ),
        (Finding::Unlinked { index: 1, position: 2 }, "the link to item 2 of entry 1 is missing"),
    ] {
        assert_eq!(finding.to_string(), text);
    }
}
