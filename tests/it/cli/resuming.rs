//! `ledger verify` is killed in the middle, and goes on; and how far it is can be seen on a terminal.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fieldgate::domain::partner::PartnerKind;

use super::{code, json, said};
use crate::harness::process::{Gate, Installed, until};
use crate::harness::{Database, World, databases, forced, wait};

/// More than two strides of a walk (4096 entries each): one is settled while the next was read and
/// the one behind it is waited for.
const ENTRIES: usize = 9_000;

/// Where the second stride begins.
const BETWEEN: u64 = 4_096;

/// An installation with that many entries, and two persons whose data was released at the start.
async fn installed(database: Database) -> Installed {
    let fill = async |world: &World| {
        let asker = world.reseller("acme").await;
        world.people(2).await;
        world.pull(asker, 2).await.unwrap();
        let badge = world.badge("chamber", PartnerKind::Auditor).await;
        for _ in 0..ENTRIES / 500 {
            world.refusals(&badge, 500).await;
        }
    };
    Installed::new(database, fill).await.0
}

/// A ledger in a folder, and the state of its verification in a file.
struct Exported {
    installed: Installed,
    dir: PathBuf,
    state: PathBuf,
    size: u64,
}

impl Exported {
    async fn new() -> Self {
        let installed = installed(Database::Sqlite).await;
        let (dir, state) = (installed.home().join("export"), installed.home().join("state"));
        let told = installed.run(&["--json", "ledger", "export", "--dir", dir.to_str().unwrap()]);
        let size = json(&told, 0)["size"].as_u64().unwrap();
        Self { installed, dir, state, size }
    }

    fn arguments(&self) -> [&str; 7] {
        let (dir, state) = (self.dir.to_str().unwrap(), self.state.to_str().unwrap());
        ["--json", "ledger", "verify", "--dir", dir, "--resume", state]
    }

    fn verify(&self) -> Output {
        self.installed.run(&self.arguments())
    }
}

/// How far a kept state says everything is sound.
fn done(state: &Path) -> Option<u64> {
    let text = std::fs::read(state).ok()?;
    let state: serde_json::Value = serde_json::from_slice(&text).unwrap();
    state["done"].as_u64()
}

fn flip(file: &Path, place: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[place] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_killed_verification_goes_on_where_it_was_and_finds_what_is_altered_behind() {
    wait(async {
        let log = Exported::new().await;
        // A pipe that nobody writes to in place of the first file of the third stride: the walk
        // waits there, in its middle, for as long as we like.
        let bundle = |index: u64| log.dir.join(format!("tile/entries/{:03}", index / 256));
        let next = bundle(2 * BETWEEN);
        let aside = log.dir.join("aside");
        std::fs::rename(&next, &aside).unwrap();
        assert!(Command::new("mkfifo").arg(&next).status().unwrap().success());
        let mut walk = log.installed.spawn(&log.arguments());
        until("a state is kept", async || {
            assert!(walk.runs(), "the walk has ended");
            done(&log.state)
        })
        .await;
        walk.kill();
        assert_eq!(done(&log.state), Some(BETWEEN));
        std::fs::remove_file(&next).unwrap();
        std::fs::rename(&aside, &next).unwrap();

        // Behind the two bytes of length: the first bytes of entry 4096.
        flip(&bundle(BETWEEN), 40);
        let told = json(&log.verify(), 1);
        let wrong = format!("entry {BETWEEN} was altered or is missing");
        assert_eq!(told["findings"], serde_json::json!([wrong]));
        assert_eq!(done(&log.state), Some(BETWEEN), "what was found is not vouched for");
        flip(&bundle(BETWEEN), 40);

        let told = json(&log.verify(), 0);
        assert_eq!(told["entries"], log.size - BETWEEN, "{told}");
        assert_eq!(done(&log.state), Some(log.size));
    });
}

#[test]
fn a_killed_verification_of_the_database_vouches_for_no_row_that_it_did_not_compare() {
    for database in databases() {
        wait(async {
            let installed = installed(database).await;
            let state = installed.home().join("state");
            // Nobody would find this person's release any more. Links are compared at the end.
            assert!(forced(&installed.url, "DELETE FROM disclosed_item"));
            let arguments = ["--json", "ledger", "verify", "--resume", state.to_str().unwrap()];
            let mut walk = installed.spawn(&arguments);
            let over = |walk: &mut Gate| (state.exists() || !walk.runs()).then_some(());
            until("the walk is under way", async || over(&mut walk)).await;
            walk.kill();
            let told = json(&installed.run(&arguments), 1);
            let findings = told["findings"].to_string();
            assert!(findings.contains("the link to item 0 of entry"), "{database:?}: {told}");
        });
    }
}

#[test]
fn progress_moves_on_a_terminal_and_nowhere_else() {
    let terminal = Command::new("script").arg("--version").stdout(Stdio::null()).status();
    if !terminal.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: a pseudo terminal needs `script` of util-linux");
        return;
    }
    wait(async {
        let installed = installed(Database::Sqlite).await;
        let plain = installed.run(&["ledger", "verify"]);
        assert_eq!((code(&plain), plain.stderr.len()), (0, 0), "{}", said(&plain));
        assert!(!said(&plain).contains(" left"), "{}", said(&plain));

        let words = installed.words(&["ledger", "verify"]);
        let words: String = words.iter().map(|word| format!("'{word}' ")).collect();
        let mut command = Command::new("script");
        command.args(["-qec", &words, "/dev/null"]).env("TERM", "xterm").stdin(Stdio::null());
        let shown = command.output().unwrap();
        assert_eq!(code(&shown), 0, "{}", said(&shown));
        let told = said(&shown);
        let frames = told.split('\r').filter(|frame| frame.contains(" left"));
        let places = frames.filter_map(|frame| frame.split_once(" of ").map(|(place, _)| place));
        assert!(places.collect::<HashSet<_>>().len() > 1, "it does not move: {told:?}");
        // It is gone before the verdict stands there.
        let last = told.rsplit('\r').nth(1).unwrap();
        assert!(last.contains("\u{1b}[2KVERIFIED"), "{told:?}");
    });
}
