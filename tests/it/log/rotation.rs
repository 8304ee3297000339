//! The log's key is rotated under load: both keys sign every size between the two entries, nobody
//! signs with a key that no entry brought in, and what was signed before still verifies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fieldgate::clock::{Clock, DAY, Moment, SECOND};
use fieldgate::flows::audit::{self, Reader};
use fieldgate::flows::log_keys::{self, Changed, LogKey};
use fieldgate::flows::release::{self, Asker};
use fieldgate::flows::{Error, Gateway, anchor, checkpoints};
use fieldgate::id::RequestId;
use fieldgate::ledger::log_key::{KeyChange, subject};
use fieldgate::ledger::publishing::Published;
use fieldgate::ledger::verify::{self, Finding, Plan, Report, Witnessed, verify_receipt};
use fieldgate::ledger::{Draft, Entry, Facts, Kind, Receipt, Sequencer, SequencerError};
use fieldgate::merkle::key::{KeyType, Signer, Verifier};
use fieldgate::merkle::note::Note;
use fieldgate::merkle::policy::Policy;
use fieldgate::secret::random;
use fieldgate::store::{Effect, Store, StoreError, checkpoint_rows, witness_rows};

use super::witness_server::Running;
use crate::harness::process::{Installed, until};
use crate::harness::world::{ORIGIN, actor, offers, replica_at, signer};
use crate::harness::{Database, World, databases, forced, wait};

fn entry() -> Entry {
    let facts = Facts::new(Kind::StaffAct, "log.test", RequestId::new(), Moment(SECOND));
    Entry::new(facts, Vec::new(), random().unwrap()).unwrap()
}

fn append(sequencer: &Sequencer<Effect>) -> Receipt {
    loop {
        match sequencer.submit(Draft::new(entry())).wait() {
            Ok(receipt) => return receipt,
            Err(SequencerError::Busy) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn verifier(key: &LogKey) -> Verifier {
    Verifier::parse(&key.vkey).unwrap()
}

fn done(changed: Changed) -> (LogKey, u64) {
    match changed {
        Changed::Done(key, receipt) => (key, receipt.index()),
        Changed::Already(key) => panic!("nothing was done: {key:?}"),
    }
}

/// The same under load: while others append, the database may be busy, and is asked again.
fn done_under_load(act: impl AsyncFn() -> Result<Changed, Error>) -> (LogKey, u64) {
    loop {
        match wait(act()) {
            Err(Error::Busy { .. }) => {}
            changed => return done(changed.unwrap()),
        }
    }
}

/// Which of these keys signed; every line of the note must be one of theirs.
fn signed_by(note: &Note, keys: &[&Verifier]) -> Vec<bool> {
    let seen: Vec<bool> =
        keys.iter().map(|key| note.verify(std::slice::from_ref(*key)).is_ok()).collect();
    assert_eq!(note.signatures().len(), seen.iter().filter(|seen| **seen).count(), "{note}");
    seen
}

fn published(store: &Store) -> Vec<Published> {
    store.read_blocking(|tx| checkpoint_rows::list_checkpoints(tx, 0, u16::MAX)).unwrap()
}

/// The walk of an auditor who trusts these keys, over all that was published.
fn audit_with(store: &Store, keys: &[&Verifier], signing: &[&Verifier]) -> Report {
    let policy = Policy::of_logs(keys.iter().map(|key| (*key).clone()).collect());
    let signing = signing.iter().map(|key| (*key).clone()).collect();
    let plan = Plan { signing, ..Plan::default() };
    let walk = move |tx: &mut fieldgate::store::ReadTx| {
        tx.take_time()?;
        let mut report = verify::everything(tx, &plan, |_| {}).unwrap();
        let page = |tx: &mut fieldgate::store::ReadTx, from| {
            let rows = checkpoint_rows::list_checkpoints(tx, from, 100)?;
            let bare = |published| Witnessed { published, lines: Vec::new() };
            Ok(rows.into_iter().map(bare).collect())
        };
        verify::kept(tx, (&policy, 0), page, &mut report).unwrap();
        Ok::<_, StoreError>(report)
    };
    store.read_blocking(walk).unwrap()
}

#[test]
fn three_replicas_sign_every_size_with_the_keys_of_the_entries_below_it() {
    for database in databases() {
        let world = wait(World::new(database));
        rotate_under_load(&world);
    }
}

fn rotate_under_load(world: &World) {
    let asker = wait(async {
        world.people(5).await;
        world.reseller("acme").await
    });
    let clock = Clock::System;
    let replicas: Vec<_> =
        (0..3).map(|_| replica_at(&world.url, &world.master, clock.clone())).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = replicas
        .iter()
        .map(|(gateway, _)| {
            let (gateway, stop) = (gateway.clone(), Arc::clone(&stop));
            std::thread::spawn(move || load(&gateway, asker, &stop))
        })
        .collect();
    let (admin, _) = &replicas[0];
    let old = signer().verifier().clone();
    let add = async || log_keys::add(admin, &actor("admin"), &world.master).await;
    let (new, added) = done_under_load(add);
    let both_signed = append(&replicas[1].1);
    assert!(both_signed.index() > added);
    let early = wait(log_keys::retire(admin, &actor("admin"), false)).unwrap_err();
    assert!(matches!(early, Error::Conflict(..)), "{early:?}");
    let retire = async || log_keys::retire(admin, &actor("admin"), true).await;
    let (gone, retired) = done_under_load(retire);
    assert_eq!(verifier(&gone), old);
    append(&replicas[2].1);
    stop.store(true, Ordering::Release);
    let receipts: Vec<Receipt> =
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();

    let new = verifier(&new);
    let expect = |size: u64| [size <= retired, size > added];
    for receipt in &receipts {
        let seen = signed_by(receipt.checkpoint(), &[&old, &new]);
        assert_eq!(seen, expect(receipt.size()), "at size {}", receipt.size());
    }
    for row in published(&world.store) {
        let note = Note::parse(row.note.as_bytes()).unwrap();
        assert_eq!(signed_by(&note, &[&old, &new]), expect(row.size), "at size {}", row.size);
    }
    let last = wait(anchor::offer(&replicas[1].0)).unwrap();
    let note = Note::parse(last.note.as_bytes()).unwrap();
    assert_eq!(signed_by(&note, &[&old, &new]), [false, true]);
    let report = audit_with(&world.store, &[&old, &new], &[&new]);
    assert_eq!(report.findings, []);
    for (_, sequencer) in &replicas {
        sequencer.close();
    }
    world.sequencer.close();
}

/// Releases and publishes until told to stop; the receipts of what was released.
fn load(gateway: &Gateway, asker: Asker, stop: &AtomicBool) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    while !stop.load(Ordering::Acquire) {
        match wait(release::page(gateway, asker, offers(3))) {
            Ok(released) => receipts.push(released.receipt),
            Err(Error::Busy { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        match wait(checkpoints::publish(gateway)) {
            Ok(_) | Err(Error::Busy { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    receipts
}

#[test]
fn a_key_that_no_entry_brought_in_and_one_that_was_retired_are_refused() {
    for database in databases() {
        let world = wait(World::new(database));
        let clock = Clock::fixed(Moment(Clock::System.now().0));
        let (gateway, sequencer) = replica_at(&world.url, &world.master, clock.clone());
        let publish = || {
            clock.advance(SECOND);
            assert!(wait(checkpoints::publish(&gateway)).unwrap().published);
        };
        let old = signer().verifier().clone();
        publish();
        let (new, _) = done(wait(log_keys::add(&gateway, &actor("admin"), &world.master)).unwrap());
        let new = verifier(&new);
        publish();
        clock.advance(DAY);
        done(wait(log_keys::retire(&gateway, &actor("admin"), false)).unwrap());
        publish();
        let sizes: Vec<u64> = published(&world.store).iter().map(|row| row.size).collect();
        let all = [&old, &new];
        assert_eq!(audit_with(&world.store, &all, &[&new]).findings, []);
        // Whoever holds one key alone checks what that key signed.
        assert_eq!(
            audit_with(&world.store, &[&new], &[]).findings,
            [Finding::Checkpoint(sizes[0])]
        );
        // The database says that other keys sign than the entries do.
        assert_eq!(audit_with(&world.store, &all, &[&new, &old]).findings, [Finding::Signers]);

        // Somebody with a stolen key signs the present root, and puts it in the place of ours.
        let stranger = Signer::from_seed(ORIGIN, KeyType::Log, &[99; 32]).unwrap();
        for thief in [signer(), stranger] {
            let row = published(&world.store).pop().unwrap();
            let text = Note::parse(row.note.as_bytes()).unwrap().text().to_owned();
            let forged = Note::sign(&text, std::slice::from_ref(&thief)).unwrap().to_string();
            let put =
                format!("UPDATE ledger_checkpoint SET note = '{forged}' WHERE size = {}", row.size);
            assert!(forced(&world.url, &put), "{put}");
            let trusting = [&old, &new, thief.verifier()];
            let trusting = if thief.verifier() == &old { &trusting[..2] } else { &trusting[..] };
            let report = audit_with(&world.store, trusting, &[&new]);
            assert_eq!(report.findings, [Finding::LogKey(row.size)]);
        }
        sequencer.close();
        world.sequencer.close();
    }
}

#[test]
fn each_step_is_whole_or_not_there_and_can_be_repeated() {
    for database in databases() {
        let world = wait(World::new(database));
        let (gateway, sequencer) = replica_at(&world.url, &world.master, Clock::System);
        let by = actor("admin");
        let already = |changed: Changed| match changed {
            Changed::Already(key) => key,
            Changed::Done(key, _) => panic!("done twice: {key:?}"),
        };
        let only = already(wait(log_keys::retire(&gateway, &by, true)).unwrap());
        assert_eq!(verifier(&only), *signer().verifier());
        // Two people at once: one adds, the other finds it done or is told to look again.
        let race = || {
            let (gateway, master) = (gateway.clone(), world.master.clone());
            std::thread::spawn(move || wait(log_keys::add(&gateway, &actor("admin"), &master)))
        };
        let outcomes = [race(), race()].map(|thread| thread.join().unwrap());
        let count = outcomes.iter().filter(|one| matches!(one, Ok(Changed::Done(..)))).count();
        assert_eq!(count, 1, "{outcomes:?}");
        // The process ends here, without telling anybody: another one finds both keys.
        drop((gateway, sequencer));
        let (gateway, sequencer) = replica_at(&world.url, &world.master, Clock::System);
        let newest = already(wait(log_keys::add(&gateway, &by, &world.master)).unwrap());
        let keys = wait(log_keys::list(&gateway)).unwrap();
        assert_eq!(keys.len(), 2);
        let note = append(&sequencer).checkpoint().clone();
        let both = [signer().verifier().clone(), verifier(&newest)];
        assert_eq!(signed_by(&note, &[&both[0], &both[1]]), [true, true]);
        sequencer.close();
        world.sequencer.close();
        // A gateway whose appender is gone changes nothing.
        assert!(wait(log_keys::retire(&gateway, &by, true)).is_err());
        assert_eq!(wait(log_keys::list(&gateway)).unwrap(), keys);
    }
}

#[test]
fn an_entry_names_the_key_itself() {
    let world = wait(World::new(Database::Sqlite));
    let (gateway, sequencer) = replica_at(&world.url, &world.master, Clock::System);
    let (new, index) = done(wait(log_keys::add(&gateway, &actor("admin"), &world.master)).unwrap());
    let text = wait(audit::receipt(&gateway, Reader::Auditor, index)).unwrap();
    let key = verifier(&new);
    let receipt = verify_receipt(&text, &Policy::of_log(key.clone())).unwrap();
    assert!(KeyChange::of(&receipt.entry.facts).is_some());
    assert_eq!(receipt.entry.facts.subject.unwrap(), subject(&key));
    sequencer.close();
    world.sequencer.close();
}

#[test]
fn the_commands_rotate_under_a_serving_gateway_while_a_witness_cosigns() {
    for database in databases() {
        wait(by_command(database));
    }
}

/// The newest checkpoint of at least this size below which the witness has put its line.
fn newest_cosigned(installed: &Installed, size: u64) -> Option<String> {
    installed.look(move |tx| {
        for row in checkpoint_rows::list_checkpoints(tx, size, 1000)?.into_iter().rev() {
            let lines = witness_rows::list_cosignatures(tx, row.size)?;
            let lines: String = lines.into_iter().map(|one| one.line).collect();
            if !lines.is_empty() {
                return Ok(Some(row.note + &lines));
            }
        }
        Ok::<_, StoreError>(None)
    })
}

async fn by_command(database: Database) {
    let (installed, ()) = Installed::new(database, async |_: &World| ()).await;
    let dir = tempfile::tempdir().unwrap();
    let witness = Running::start(dir.path(), &installed.log.to_string(), "127.0.0.1:0");
    let policy = |logs: &[&str]| {
        let mut text: String = logs.iter().map(|log| format!("log {log}\n")).collect();
        text.push_str(&format!("witness w {} {}\nquorum w\n", witness.vkey, witness.url));
        std::fs::write(installed.home().join("policy.txt"), text).unwrap();
    };
    policy(&[&installed.log.to_string()]);
    installed.add_settings("policy_file = \"policy.txt\"\n");
    let _gate = installed.serve();
    let said = |arguments: &[&str]| {
        let output = installed.run(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
    };
    let cosigned = async |size: u64| {
        until("the witness has cosigned", async || newest_cosigned(&installed, size)).await
    };
    let before = cosigned(1).await;
    let path_of = |name: &str| installed.home().join(name).display().to_string();
    let prove = |name: &str| said(&["ledger", "prove", "0", "--out", &path_of(name)]).0;
    assert_eq!(prove("old.tlog-proof"), Some(0));
    let dry = said(&["--json", "key", "rotate", "--use", "checkpoint", "--dry-run"]);
    assert_eq!(dry.0, Some(0), "{}", dry.1);
    assert_eq!(said(&["ledger", "key"]).1.lines().count(), 1, "a dry run changes nothing");

    let (code, told) = said(&["--json", "key", "rotate", "--use", "checkpoint"]);
    assert_eq!(code, Some(0), "{told}");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let (new, entry) = (told["vkey"].as_str().unwrap(), told["entry"].as_u64().unwrap());
    let again: serde_json::Value =
        serde_json::from_str(&said(&["--json", "key", "rotate", "--use", "checkpoint"]).1).unwrap();
    assert_eq!((&again["changed"], &again["vkey"]), (&false.into(), &told["vkey"]));
    let during = cosigned(entry + 1).await;
    let old = installed.log.clone();
    let new = Verifier::parse(new).unwrap();
    let keys = [&old, &new];
    let by = |note: &str| {
        let note = Note::parse(note.as_bytes()).unwrap();
        keys.map(|key| note.verify(std::slice::from_ref(key)).is_ok())
    };
    assert_eq!((by(&before), by(&during)), ([true, false], [true, true]));

    let (code, refused) = said(&["key", "retire", "--use", "checkpoint"]);
    assert_eq!(code, Some(5), "{refused}");
    assert!(refused.contains("--early"), "{refused}");
    let (_, doctor) = said(&["doctor"]);
    assert!(doctor.contains("two keys sign"), "{doctor}");
    // The witness is told of the new key before the old one goes.
    let listen = witness.url.strip_prefix("http://").unwrap().to_owned();
    drop(witness);
    let file = dir.path().join("logs");
    std::fs::write(&file, format!("{old}\n{new}\n")).unwrap();
    let _witness = Running::start(dir.path(), &file.display().to_string(), &listen);
    let (code, told) = said(&["--json", "key", "retire", "--use", "checkpoint", "--early"]);
    assert_eq!(code, Some(0), "{told}");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let after = cosigned(told["entry"].as_u64().unwrap() + 1).await;
    assert_eq!(by(&after), [false, true]);
    let (code, told) = said(&["ledger", "verify"]);
    assert_eq!(code, Some(0), "{told}");

    // Both keys check receipts of all times, each one those of its own.
    assert_eq!(prove("new.tlog-proof"), Some(0));
    std::fs::write(path_of("both"), format!("{old}\n{new}\n")).unwrap();
    let check = |name: &str, policy: &str| {
        said(&["verify", "receipt", &path_of(name), "--policy", policy]).0
    };
    let (both, old, new) = (path_of("both"), old.to_string(), new.to_string());
    for (policy, expected) in [(&both, [0, 0]), (&old, [0, 1]), (&new, [1, 0])] {
        let seen = ["old.tlog-proof", "new.tlog-proof"].map(|name| check(name, policy));
        assert_eq!(seen, expected.map(Some), "{policy}");
    }
    // The file that is given to everybody judges checkpoints of all times, with the witness.
    let (code, printed) = said(&["ledger", "policy"]);
    assert_eq!(code, Some(0), "{printed}");
    let printed = Policy::parse(printed.as_bytes()).unwrap();
    for note in [&before, &during, &after] {
        let note = Note::parse(note.as_bytes()).unwrap();
        printed.check(&note).unwrap();
        let alone = Note::parse(
            note.to_string()
                .lines()
                .take(5)
                .fold(String::new(), |text, line| text + line + "\n")
                .as_bytes(),
        );
        assert!(printed.check(&alone.unwrap()).is_err(), "the log alone is no quorum");
    }
    // The installation's own file was not changed, and the doctor says so.
    let (_, doctor) = said(&["doctor"]);
    assert!(doctor.contains("does not name the key that signs now"), "{doctor}");
}
