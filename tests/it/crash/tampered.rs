//! One byte of one entry is changed behind the gateway's back, its guard removed: it is named.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use fieldgate::clock::Clock;
use fieldgate::id::RequestId;
use fieldgate::ledger::{Archive as _, Draft, Entry, Facts, Kind};
use serde_json::Value;

use crate::harness::process::Installed;
use crate::harness::{World, databases, postgres, wait};

/// Appends entries that say nothing of interest until the ledger has this many.
async fn fill(world: &World, size: u64) {
    while world.verify().head.size < size {
        let pending: Vec<_> = (0..100)
            .map(|n| {
                let facts =
                    Facts::new(Kind::StaffAct, "fill", RequestId::new(), Clock::System.now());
                world.sequencer.submit(Draft::new(Entry::new(facts, Vec::new(), [n; 16]).unwrap()))
            })
            .collect();
        for one in pending {
            one.await.unwrap();
        }
    }
}

/// Changes the last hex digit of the request in an entry: the body stays a well-formed entry, and
/// no column beside it says otherwise.
fn alter(installed: &Installed, index: u64) {
    let body = installed.look(move |tx| Ok(tx.bodies(index, index + 1).unwrap().remove(0)));
    let text = String::from_utf8(body).unwrap();
    let entry: Value = serde_json::from_str(&text).unwrap();
    let request = entry["req"].as_str().unwrap();
    let (kept, last) = request.split_at(request.len() - 1);
    let other = format!("{kept}{}", if last == "0" { "1" } else { "0" });
    let altered = text.replace(request, &other);
    assert_eq!(altered.len(), text.len());
    let hex: String = altered.bytes().map(|byte| format!("{byte:02x}")).collect();
    if let Some(file) = installed.url.strip_prefix("sqlite://") {
        let statement = format!("UPDATE ledger_entry SET body = x'{hex}' WHERE idx = {index}");
        let mut connection = SqliteConnection::establish(file).unwrap();
        // The store that was just looked into closes on threads of its own.
        connection.batch_execute("PRAGMA busy_timeout = 10000").unwrap();
        assert!(connection.batch_execute(&statement).is_err(), "the trigger refuses");
        connection.batch_execute("DROP TRIGGER ledger_entry_keeps").unwrap();
        connection.batch_execute(&statement).unwrap();
    } else {
        let database = installed.url.rsplit('/').next().unwrap();
        let server = postgres::server().unwrap();
        server.sql_in(database, "DROP TRIGGER ledger_entry_keeps ON ledger_entry");
        let statement =
            format!("UPDATE ledger_entry SET body = decode('{hex}', 'hex') WHERE idx = {index}");
        server.sql_in(database, &statement);
    }
}

/// What `fieldgate ledger verify` says: its exit code and its findings.
fn verdict(installed: &Installed) -> (Option<i32>, Vec<String>) {
    let output = installed.run(&["--json", "ledger", "verify"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| {
        panic!("{:?}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr))
    });
    let findings = answer["findings"].as_array().unwrap();
    let findings = findings.iter().map(|one| one.as_str().unwrap().to_owned()).collect();
    (output.status.code(), findings)
}

#[test]
fn an_altered_entry_is_named_by_its_index() {
    for database in databases() {
        wait(async {
            let (installed, ()) =
                Installed::new(database, async |world| fill(world, 400).await).await;
            assert_eq!(verdict(&installed), (Some(0), Vec::new()), "{database:?}");
            alter(&installed, 123);
            let (code, findings) = verdict(&installed);
            assert_eq!(code, Some(1), "{database:?}");
            assert!(findings.contains(&"entry 123 was altered or is missing".to_owned()));
        });
    }
}

#[test]
fn an_altered_entry_among_the_newest_is_found_and_the_gateway_does_not_start_on_it() {
    for database in databases() {
        wait(async {
            let (installed, ()) =
                Installed::new(database, async |world| fill(world, 300).await).await;
            alter(&installed, 290);
            let (code, findings) = verdict(&installed);
            assert_eq!(code, Some(1), "{database:?} {findings:?}");
            // No full tile holds their hashes yet: the head's frontier narrows it down to 16.
            assert_eq!(findings, ["entries 288 to 303 contradict the head"]);
            let mut gate = installed.start();
            assert_eq!(gate.ended().await, Some(70));
            assert!(installed.log_text().contains("contradict"), "{}", installed.log_text());
        });
    }
}
