//! The sequencer: receipts, order, refusals, faults at every step, closing.

use super::*;
use crate::ledger::memory::{Fault, Step};
use crate::ledger::sequencer::{BATCH_MAX, QUEUE_MAX};
use crate::ledger::verify::{self, Plan, verify_receipt};
use crate::ledger::{Alarm, Refused, SequencerError};
use crate::merkle::proof::verify_inclusion;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};

fn plan() -> Plan {
    Plan { log: vec![log_key()], ..Plan::default() }
}

#[test]
fn a_receipt_proves_its_entry_to_a_stranger() {
    let sequencer = start(&MemoryShelf::new());
    for n in 0..20 {
        let receipt = sequencer.submit(Draft::new(mixed(n))).wait().unwrap();
        assert_eq!((receipt.index(), receipt.size()), (n, n + 1));
        let proof = receipt.proof().to_string();
        let verified = verify_receipt(&proof, &policy()).unwrap();
        assert_eq!((verified.index, verified.checkpoint.size), (n, n + 1));
        assert_eq!(verified.bytes, mixed(n).bytes());
        assert_eq!(&verified.entry.facts, mixed(n).facts());
        assert_eq!(verified.checkpoint.root, receipt.root());
        assert!(verify_receipt(&proof.replace("extra ", "extra AAAA"), &policy()).is_err());
        let bare = proof.split_inclusive('\n').filter(|line| !line.starts_with("extra "));
        let bare: String = bare.collect();
        assert!(verify_receipt(&bare, &policy()).is_err());
    }
    let newest = sequencer.checkpoint().unwrap();
    assert!(newest.text().starts_with(&format!("{ORIGIN}\n20\n")));
    sequencer.close();
}

#[test]
fn a_receipt_covers_what_its_entry_says_and_no_more() {
    let receipt = start(&MemoryShelf::new()).submit(Draft::new(release(4, 2))).wait().unwrap();
    let both = FieldSet::of(&[Field::Email, Field::Country]);
    assert!(receipt.covers(contact(40), both));
    assert!(receipt.covers(contact(41), FieldSet::of(&[Field::Email])));
    assert!(!receipt.covers(contact(42), FieldSet::of(&[Field::Email])));
    assert!(!receipt.covers(contact(40), both.or(FieldSet::of(&[Field::Phone]))));
    let nothing = start(&MemoryShelf::new()).submit(Draft::new(withhold(1))).wait().unwrap();
    assert!(!nothing.covers(contact(40), FieldSet::NONE));
}

#[test]
fn many_threads_get_contiguous_indices_and_sound_proofs() {
    let shelf = MemoryShelf::new();
    let sequencer = start(&shelf);
    let threads: Vec<_> = (0..8_u64)
        .map(|thread| {
            let sequencer = sequencer.clone();
            std::thread::spawn(move || {
                let draft = |n| Draft::new(release(thread * 1000 + n, 1));
                let pending: Vec<_> = (0..50).map(|n| sequencer.submit(draft(n))).collect();
                pending.into_iter().map(|p| p.wait().unwrap()).collect::<Vec<_>>()
            })
        })
        .collect();
    let receipts: Vec<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
    sequencer.close();
    let mut indices: Vec<u64> = receipts.iter().map(crate::ledger::Receipt::index).collect();
    indices.sort_unstable();
    assert!(indices.into_iter().eq(0..400));
    for receipt in &receipts {
        let (leaf, path) = (receipt.entry().leaf(), receipt.proof().path);
        verify_inclusion(&leaf, receipt.index(), receipt.size(), &path, &receipt.root()).unwrap();
    }
    let checkpoints = receipts.iter().map(|receipt| receipt.checkpoint().clone()).collect();
    let plan = Plan { checkpoints, ..plan() };
    assert!(verify::everything(&mut shelf.clone(), &plan, |_| ()).unwrap().is_sound());
}

/// Holds the sequencer inside a batch until released, so that a queue can build up behind it.
fn hold(sequencer: &Sequencer<MemoryEffect>) -> (Arc<Barrier>, crate::ledger::sequencer::Pending) {
    let gate = Arc::new(Barrier::new(2));
    let inside = Arc::clone(&gate);
    let effect: MemoryEffect = Box::new(move || {
        inside.wait();
        inside.wait();
        Ok(())
    });
    let pending = sequencer.submit(Draft { effect: Some(effect), ..Draft::new(withhold(0)) });
    gate.wait();
    (gate, pending)
}

#[test]
fn what_is_queued_is_committed_together_and_releases_go_before_what_narrows_them() {
    let shelf = MemoryShelf::new();
    let sequencer = start(&shelf);
    let (gate, held) = hold(&sequencer);
    let decided = |entry| Draft { decided_at: Some(0), ..Draft::new(entry) };
    let withdrawal = sequencer.submit(Draft::new(withdraw(1)));
    let release_1 = sequencer.submit(decided(release(2, 1)));
    let release_2 = sequencer.submit(decided(release(3, 1)));
    gate.wait();
    assert_eq!(held.wait().unwrap().size(), 1);
    let (withdrawal, first, second) =
        (withdrawal.wait().unwrap(), release_1.wait().unwrap(), release_2.wait().unwrap());
    assert_eq!((first.index(), second.index(), withdrawal.index()), (1, 2, 3));
    assert_eq!((first.size(), withdrawal.size()), (4, 4));
    // After the withdrawal the same decision is stale, a newer one is not.
    let stale = sequencer.submit(decided(release(4, 1))).wait().unwrap_err();
    assert_eq!(stale, SequencerError::Refused(Refused::Stale));
    let newer = Draft { decided_at: Some(4), ..Draft::new(release(5, 1)) };
    assert_eq!(sequencer.submit(newer).wait().unwrap().index(), 4);
    assert_eq!(shelf.rows().size, 5);
}

#[test]
fn a_failed_effect_refuses_its_draft_and_no_other() {
    let shelf = MemoryShelf::new();
    let sequencer = start(&shelf);
    let (gate, held) = hold(&sequencer);
    let with =
        |n, effect: MemoryEffect| Draft { effect: Some(effect), ..Draft::new(release(n, 1)) };
    let good = sequencer.submit(Draft::new(release(1, 1)));
    let bad = sequencer.submit(with(2, Box::new(|| Err(Refused::Conflict("twice".into())))));
    let done = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&done);
    let last = sequencer.submit(with(
        3,
        Box::new(move || {
            flag.store(true, Ordering::SeqCst);
            Ok(())
        }),
    ));
    gate.wait();
    drop(held);
    assert_eq!(good.wait().unwrap().index(), 1);
    let refused = SequencerError::Refused(Refused::Conflict("twice".into()));
    assert_eq!(bad.wait().unwrap_err(), refused);
    assert_eq!(last.wait().unwrap().index(), 2);
    assert!(done.load(Ordering::SeqCst));
    assert!(verify::everything(&mut shelf.clone(), &plan(), |_| ()).unwrap().is_sound());
}

#[test]
fn a_full_queue_turns_away_at_once_and_keeps_what_it_took() {
    let sequencer = start(&MemoryShelf::new());
    let (gate, held) = hold(&sequencer);
    let queued: Vec<_> =
        (0..QUEUE_MAX as u64).map(|n| sequencer.submit(Draft::new(withhold(n)))).collect();
    let refused = sequencer.submit(Draft::new(withhold(9999))).wait();
    assert_eq!(refused.unwrap_err(), SequencerError::Busy);
    gate.wait();
    assert_eq!(held.wait().unwrap().index(), 0);
    let receipts: Vec<_> = queued.into_iter().map(|pending| pending.wait().unwrap()).collect();
    let first = BATCH_MAX as u64;
    assert!(receipts.iter().zip(1..).all(|(receipt, index)| receipt.index() == index));
    assert_eq!((receipts[0].size(), receipts[BATCH_MAX].size()), (1 + first, 1 + 2 * first));
}

/// Every step × both kinds of error, in a young ledger and at the end of a tile: what the waiter
/// hears, what persists, and that every receipt that was handed out is in the ledger afterwards.
#[test]
fn a_fault_at_any_step_loses_nothing_that_was_promised() {
    for size in [0, 254, 255] {
        for step in Step::ALL {
            for fault in [Fault::Busy, Fault::Broken] {
                strike(size, step, fault);
            }
        }
    }
}

fn strike(size: u64, step: Step, fault: Fault) {
    let shelf = filled(size);
    let sequencer = start(&shelf);
    let before = sequencer.submit(Draft::new(mixed(size))).wait().unwrap();
    shelf.fail_next(step, fault);
    let failed = sequencer.submit(Draft::new(mixed(size + 1))).wait().unwrap_err();
    let left = size + 1 + u64::from(step == Step::Committed);
    assert_eq!(shelf.rows().size, left, "{step:?} {fault:?}");
    let next = sequencer.submit(Draft::new(mixed(size + 2))).wait();
    if fault == Fault::Busy {
        assert_eq!(failed, SequencerError::Busy);
        assert_eq!(next.unwrap().index(), left);
        assert!(!sequencer.is_poisoned());
    } else {
        assert_eq!(failed, SequencerError::Poisoned);
        assert_eq!(next.unwrap_err(), SequencerError::Poisoned);
        assert!(sequencer.is_poisoned());
        assert_eq!(shelf.rows().size, left);
    }
    sequencer.close();
    let plan = Plan { checkpoints: vec![before.checkpoint().clone()], ..plan() };
    let report = verify::everything(&mut shelf.clone(), &plan, |_| ()).unwrap();
    assert!(report.is_sound(), "{step:?} {fault:?}: {:?}", report.findings);
    // A new process goes on from there.
    let again = start(&shelf).submit(Draft::new(mixed(size + 5))).wait().unwrap();
    assert_eq!(again.index(), report.head.size);
}

#[test]
fn a_panic_inside_the_transaction_poisons_and_nobody_waits_forever() {
    let sequencer = start(&MemoryShelf::new());
    let effect: MemoryEffect = Box::new(|| panic!("an effect must not panic"));
    let pending = sequencer.submit(Draft { effect: Some(effect), ..Draft::new(withhold(1)) });
    assert_eq!(pending.wait().unwrap_err(), SequencerError::Poisoned);
    let after = sequencer.submit(Draft::new(withhold(2))).wait();
    assert_eq!(after.unwrap_err(), SequencerError::Poisoned);
    sequencer.close();
}

#[test]
fn a_ledger_that_goes_back_is_never_signed_again() {
    let shelf = MemoryShelf::new();
    let sequencer = start(&shelf);
    let mut old = None;
    for n in 0..5 {
        sequencer.submit(Draft::new(mixed(n))).wait().unwrap();
        if n == 2 {
            old = Some(shelf.rows());
        }
    }
    // Somebody restores yesterday's file below the running process.
    shelf.tamper(|rows| *rows = old.unwrap());
    let error = sequencer.submit(Draft::new(mixed(9))).wait().unwrap_err();
    assert_eq!(error, SequencerError::Poisoned);
}

#[test]
fn closing_answers_everyone_and_takes_no_more() {
    let shelf = MemoryShelf::new();
    let sequencer = start(&shelf);
    let (gate, held) = hold(&sequencer);
    let queued: Vec<_> = (1..100).map(|n| sequencer.submit(Draft::new(mixed(n)))).collect();
    let closer = {
        let sequencer = sequencer.clone();
        std::thread::spawn(move || sequencer.close())
    };
    gate.wait();
    closer.join().unwrap();
    assert!(held.wait().is_ok());
    assert!(queued.into_iter().all(|pending| pending.wait().is_ok()));
    let late = sequencer.submit(Draft::new(mixed(1))).wait();
    assert_eq!(late.unwrap_err(), SequencerError::Closed);
    assert_eq!(shelf.rows().size, 100);
    sequencer.close();
}

#[test]
fn a_receipt_can_be_awaited() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sequencer = start(&MemoryShelf::new());
    let receipt = runtime.block_on(sequencer.submit(Draft::new(mixed(0)))).unwrap();
    assert_eq!(receipt.index(), 0);
    sequencer.close();
    let late = runtime.block_on(sequencer.submit(Draft::new(mixed(1))));
    assert_eq!(late.unwrap_err(), SequencerError::Closed);
}

#[test]
fn the_log_needs_keys_of_one_name() {
    assert!(Sequencer::start(MemoryShelf::new(), vec![]).is_err());
    let other = Signer::from_seed("other.example/log", KeyType::Log, &[8; 32]).unwrap();
    assert!(Sequencer::start(MemoryShelf::new(), vec![signer(), other]).is_err());
    let next = Signer::from_seed(ORIGIN, KeyType::Log, &[8; 32]).unwrap();
    let both = Sequencer::start(MemoryShelf::new(), vec![signer(), next]).unwrap();
    let receipt = both.submit(Draft::new(mixed(0))).wait().unwrap();
    assert_eq!(receipt.checkpoint().signatures().len(), 2);
}

#[test]
fn an_alarm_stops_what_waits_what_comes_and_what_is_being_committed() {
    let shelf = MemoryShelf::new();
    let sequencer = start(&shelf);
    let (gate, held) = hold(&sequencer);
    let waits = sequencer.submit(Draft::new(withhold(1)));
    let alarm = Alarm::RolledBack { have: 1, seen: 7, by: "w1".to_owned() };
    sequencer.stop(alarm.clone());
    sequencer.stop(Alarm::Forked { have: 1, size: 1, by: "later".to_owned() });
    let stopped = SequencerError::Stopped(alarm.clone());
    assert_eq!(sequencer.submit(Draft::new(withhold(2))).wait().unwrap_err(), stopped);
    gate.wait();
    assert_eq!(held.wait().unwrap_err(), stopped);
    assert_eq!(waits.wait().unwrap_err(), stopped);
    assert_eq!(sequencer.alarm(), Some(alarm));
    assert!(!sequencer.is_poisoned());
    sequencer.close();
    // What was being committed stands, what waited was never written.
    assert_eq!(shelf.rows().size, 1);
}
