//! Published checkpoints as they are kept: what was altered in them, or below them, is named.

use super::*;
use crate::ledger::memory::Rows;
use crate::ledger::publishing::Published;
use crate::ledger::verify::{Finding, KeptLine, Plan, Report, Witnessed, kept, tree};
use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::cosignature;
use crate::merkle::note::Note;
use crate::merkle::policy::Policy;

const SIZE: u64 = 600;

fn witness(seed: u8) -> Signer {
    Signer::from_seed(&format!("w{seed}.example.com"), KeyType::Witness, &[seed; 32]).unwrap()
}

/// The log, two witnesses of it, and one of both is enough.
fn policy() -> Policy {
    let [one, two] = [1, 2].map(|seed| witness(seed).verifier().to_string());
    let text = format!(
        "log {}\nwitness one {one}\nwitness two {two}\ngroup any 1 one two\nquorum any\n",
        log_key()
    );
    Policy::parse(text.as_bytes()).unwrap()
}

fn line(note: &str, seed: u8) -> KeptLine {
    let text = Note::parse(note.as_bytes()).unwrap().text().to_owned();
    let (signer, at) = (witness(seed), 1_800_000_000);
    let line = cosignature::sign(&text, &signer, at).unwrap().to_line();
    let witness = format!("{}+{}", signer.name(), signer.verifier().id());
    KeptLine { witness, line, at: Moment::from_seconds(1_800_000_000) }
}

/// What was published of a ledger at these sizes, cosigned by the first witness.
fn published(rows: &mut Rows, sizes: &[u64]) -> Vec<Witnessed> {
    let mut one = |size: &u64| {
        let root = crate::ledger::prove::root_at(rows, *size).unwrap();
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: *size, root };
        let note = checkpoint.sign(&[signer()]).unwrap().to_string();
        let lines = vec![line(&note, 1)];
        Witnessed { published: Published { size: *size, note, at: at(*size) }, lines }
    };
    sizes.iter().map(&mut one).collect()
}

fn check(rows: &mut Rows, policy: &Policy, from: u64, checkpoints: &[Witnessed]) -> Report {
    let mut report = tree(rows, &Plan { from: 256, ..Plan::default() }, |_| ()).unwrap();
    // Two at a time: what follows a page is read as well.
    let page = |_: &mut Rows, from: u64| {
        let next = checkpoints.iter().filter(|one| one.published.size >= from).take(2);
        Ok(next.cloned().collect())
    };
    kept(rows, (policy, from), page, &mut report).unwrap();
    report
}

#[test]
fn what_was_published_and_cosigned_is_sound() {
    let mut rows = filled(SIZE).rows();
    let mut checkpoints = published(&mut rows, &[0, 1, 255, 256, 300, 599, SIZE]);
    assert_eq!(check(&mut rows, &policy(), 0, &checkpoints).findings, []);
    // The newest may still wait for its witnesses, and strangers may cosign, too.
    checkpoints[6].lines.clear();
    let note = checkpoints[5].published.note.clone();
    checkpoints[5].lines.push(line(&note, 9));
    assert_eq!(check(&mut rows, &policy(), 0, &checkpoints).findings, []);
    assert_eq!(check(&mut rows, &policy(), 0, &[]).findings, []);
}

#[test]
fn any_altered_byte_of_a_checkpoint_or_a_line_is_named() {
    let mut rows = filled(300).rows();
    let sound = published(&mut rows, &[7, 256, 300]);
    let witness = sound[1].lines[0].witness.clone();
    for place in 0..sound[1].published.note.len() {
        let mut checkpoints = sound.clone();
        let mut note = checkpoints[1].published.note.clone().into_bytes();
        note[place] ^= 1;
        let Ok(note) = String::from_utf8(note) else { continue };
        checkpoints[1].published.note = note;
        let found = check(&mut rows, &policy(), 0, &checkpoints).findings;
        assert_eq!(found.first(), Some(&Finding::Checkpoint(256)), "byte {place} of the note");
    }
    for place in 0..sound[1].lines[0].line.len() {
        let mut checkpoints = sound.clone();
        let mut line = checkpoints[1].lines[0].line.clone().into_bytes();
        line[place] ^= 1;
        let Ok(line) = String::from_utf8(line) else { continue };
        checkpoints[1].lines[0].line = line;
        let found = check(&mut rows, &policy(), 0, &checkpoints).findings;
        let named = Finding::Cosignature { size: 256, witness: witness.clone() };
        assert_eq!(found, [named], "byte {place} of the line");
    }
}

#[test]
fn a_row_that_says_another_size_or_witness_is_named() {
    let mut rows = filled(300).rows();
    let sound = published(&mut rows, &[7, 256, 300]);
    let mut moved = sound.clone();
    moved[1].published.size = 257;
    assert_eq!(check(&mut rows, &policy(), 0, &moved).findings, [Finding::Checkpoint(257)]);
    let mut renamed = sound.clone();
    renamed[2].lines[0].witness = "w2.example.com+00000000".to_owned();
    let witness = renamed[2].lines[0].witness.clone();
    let named = Finding::Cosignature { size: 300, witness };
    assert_eq!(check(&mut rows, &policy(), 0, &renamed).findings, [named]);
    // Each byte of the column: a time in the future would keep every newer line out.
    let witness = sound[1].lines[0].witness.clone();
    for byte in 0..8 {
        let mut later = sound.clone();
        later[1].lines[0].at.0 ^= 1 << (8 * byte);
        let named = Finding::Cosignature { size: 256, witness: witness.clone() };
        assert_eq!(check(&mut rows, &policy(), 0, &later).findings, [named], "byte {byte}");
    }
    let mut swapped = sound;
    let first = swapped[0].lines.clone();
    swapped[2].lines.clone_from(&first);
    let named = Finding::Cosignature { size: 300, witness: first[0].witness.clone() };
    assert_eq!(check(&mut rows, &policy(), 0, &swapped).findings, [named]);
}

#[test]
fn checkpoints_that_convince_nobody_are_a_finding_of_the_whole_ledger() {
    let mut rows = filled(300).rows();
    let mut checkpoints = published(&mut rows, &[7, 256, 300]);
    for one in &mut checkpoints {
        one.lines.clear();
    }
    let found = check(&mut rows, &policy(), 0, &checkpoints).findings;
    assert_eq!(found, [Finding::Unconvincing(300)]);
    // Whoever looks at the last ones alone cannot tell: cosignatures may be on their way.
    assert_eq!(check(&mut rows, &policy(), 256, &checkpoints).findings, []);
    // The log's own key is enough for whoever asks for no more.
    let log = Policy::of_log(log_key());
    assert_eq!(check(&mut rows, &log, 0, &checkpoints).findings, []);
}
