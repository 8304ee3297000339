//! What somebody without the database can check with the program: an export, receipts, both together.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::crash::load::Cast;
use crate::harness::process::Installed;
use crate::harness::{Database, databases, wait};

/// Runs the program where there is neither a settings file nor a database.
fn offline(arguments: &[&str]) -> Output {
    let nowhere = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_fieldgate"))
        .args(arguments)
        .current_dir(nowhere.path())
        .output()
        .unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    let (out, error) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{error}")
}

pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)))
}

/// An installation with a few hundred entries, its export, and the log's key.
struct Exported {
    installed: Installed,
    dir: PathBuf,
    key: String,
}

impl Exported {
    async fn new(database: Database) -> Self {
        let (installed, ()) = Installed::new(database, async |world| {
            let cast = Cast::enter(world, 3).await;
            for _ in 0..300 {
                world.pull(cast.reseller.0, 2).await.unwrap();
            }
        })
        .await;
        let (dir, key) = (installed.home().join("export"), installed.log.to_string());
        let exported = Self { installed, dir, key };
        exported.export();
        exported
    }

    fn export(&self) -> Value {
        let dir = self.dir.display().to_string();
        let output = self.installed.run(&["--json", "ledger", "export", "--dir", &dir]);
        assert!(output.status.success(), "{}", said(&output));
        json(&output)
    }

    fn verify(&self, more: &[&str]) -> Output {
        let dir = self.dir.display().to_string();
        let mut arguments = vec!["--json", "ledger", "verify", "--dir", &dir];
        arguments.extend(more);
        offline(&arguments)
    }

    fn receipt(&self, index: u64) -> PathBuf {
        let file = self.installed.home().join(format!("{index}.tlog-proof"));
        let (index, out) = (index.to_string(), file.display().to_string());
        let output = self.installed.run(&["ledger", "prove", &index, "--out", &out]);
        assert!(output.status.success(), "{}", said(&output));
        file
    }

    /// One more act of staff: the ledger grows.
    fn grow(&self) {
        let act = |act: &str| self.installed.run(&["partner", act, "points"]).status.success();
        assert!(act("suspend") || act("resume"));
    }

    fn size(&self) -> u64 {
        self.installed.verify(Vec::new()).head.size
    }
}

fn flip(file: &Path, place: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[place] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn an_export_is_verified_by_somebody_who_has_nothing_else() {
    for database in databases() {
        wait(async {
            let log = Exported::new(database).await;
            let size = log.size();
            let output = log.verify(&["--policy", &log.key]);
            assert_eq!(output.status.code(), Some(0), "{}", said(&output));
            let verdict = json(&output);
            assert_eq!((&verdict["size"], &verdict["sound"]), (&size.into(), &true.into()));

            // One byte of entry 17, behind its two bytes of length and some more.
            let bundle = log.dir.join("tile/entries/000");
            let bytes = std::fs::read(&bundle).unwrap();
            let mut at = 0;
            for _ in 0..17 {
                at += 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
            }
            flip(&bundle, at + 40);
            let output = log.verify(&["--policy", &log.key]);
            assert_eq!(output.status.code(), Some(1), "{}", said(&output));
            let findings = json(&output)["findings"].clone();
            assert_eq!(findings, serde_json::json!(["entry 17 was altered or is missing"]));
            flip(&bundle, at + 40);

            // Another key is not believed, and without any key it is said whose word was taken.
            let stranger = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
            assert_eq!(log.verify(&["--policy", stranger]).status.code(), Some(1));
            let own = json(&log.verify(&[]));
            assert!(own["remark"].as_str().unwrap().contains("key in the folder itself"));
        });
    }
}

#[test]
fn a_second_export_writes_what_is_new_and_nothing_else() {
    wait(async {
        let log = Exported::new(Database::Sqlite).await;
        let full = log.dir.join("tile/entries/000");
        let before = std::fs::metadata(&full).unwrap().modified().unwrap();
        let old = std::fs::read_to_string(log.dir.join("checkpoint")).unwrap();
        log.grow();
        let told = log.export();
        assert_eq!((&told["size"], &told["kept"]), (&log.size().into(), &2.into()), "{told}");
        assert_eq!(std::fs::metadata(&full).unwrap().modified().unwrap(), before);
        assert_ne!(std::fs::read_to_string(log.dir.join("checkpoint")).unwrap(), old);
        assert_eq!(log.verify(&["--policy", &log.key]).status.code(), Some(0));
        // A run that was cut off: the old checkpoint stands over newer files, and holds.
        std::fs::write(log.dir.join("checkpoint"), old).unwrap();
        assert_eq!(log.verify(&["--policy", &log.key]).status.code(), Some(0));
    });
}

#[test]
fn a_second_verification_reads_only_what_is_new_and_notices_another_log() {
    wait(async {
        let log = Exported::new(Database::Sqlite).await;
        let state = log.installed.home().join("checked.json").display().to_string();
        let resumed = ["--policy", log.key.as_str(), "--resume", state.as_str()];
        let size = log.size();
        let first = json(&log.verify(&resumed));
        assert_eq!((&first["sound"], &first["entries"]), (&true.into(), &size.into()));
        log.grow();
        log.export();
        let second = json(&log.verify(&resumed));
        let read = size + 1 - size / 256 * 256;
        assert_eq!(
            (&second["sound"], &second["entries"]),
            (&true.into(), &read.into()),
            "{second}"
        );
        // An export does not show the rows of the database: it is read once, and then goes on from
        // the same file.
        let live = ["--json", "ledger", "verify", "--resume", state.as_str()];
        for read in [size + 1, read] {
            let live = json(&log.installed.run(&live));
            assert_eq!((&live["sound"], &live["entries"]), (&true.into(), &read.into()), "{live}");
        }

        // A hash below what was read before still counts: it leads to the root.
        let tile = log.dir.join("tile/0/000");
        flip(&tile, 70);
        assert_eq!(log.verify(&resumed).status.code(), Some(1));
        flip(&tile, 70);
        let other = std::fs::read_to_string(&state).unwrap();
        std::fs::write(
            &state,
            other
                .replace(&format!("\"size\":{}", size + 1), "\"size\":9")
                .replace(&format!("\"done\":{}", size + 1), "\"done\":9"),
        )
        .unwrap();
        let told = json(&log.verify(&resumed));
        assert_eq!(
            told["findings"],
            serde_json::json!(["the first 9 entries are not those that were verified before"])
        );
    });
}

#[test]
fn a_receipt_tells_what_was_disclosed_and_what_it_does_not_prove() {
    wait(async {
        let log = Exported::new(Database::Sqlite).await;
        let last = log.size() - 1;
        let receipt = log.receipt(last);
        let file = receipt.display().to_string();
        let output = offline(&["verify", "receipt", &file, "--policy", &log.key]);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        for part in [
            "this receipt is genuine",
            "personal data of 2 persons was disclosed",
            "Offers on our behalf (offers)",
            "version 1 of the privacy policy",
            &format!("this is entry {last} of it"),
            "rests on the log's signature alone",
            "What it does not prove",
            "that the partner received the answer",
        ] {
            assert!(text.contains(part), "lacks {part:?}: {text}");
        }
        // The older spelling of the same question.
        let same = offline(&["ledger", "verify", "--receipt", &file, "--key", &log.key]);
        assert_eq!(said(&same), text);

        let genuine = std::fs::read_to_string(&receipt).unwrap();
        let other = log.receipt(last - 1);
        let other = std::fs::read_to_string(other).unwrap();
        let line = |text: &str, start: &str| {
            text.lines().find(|line| line.starts_with(start)).unwrap().to_owned()
        };
        let swapped = genuine.replace(&line(&genuine, "extra "), &line(&other, "extra "));
        let witness = include_str!("../vectors/log600/witness.vkey");
        let policy = log.installed.home().join("policy.txt");
        let demanding = format!("log {}\nwitness w {witness}\nquorum w\n", log.key);
        std::fs::write(&policy, demanding).unwrap();
        let policy = policy.display().to_string();
        let stranger = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        for (text, policy, reason) in [
            (swapped.as_str(), log.key.as_str(), "not what was signed"),
            (&genuine, stranger, "NOT VERIFIED"),
            (&genuine, &policy, "fewer witnesses confirmed it"),
            (&genuine[..genuine.len() / 3], &log.key, "no receipt"),
        ] {
            std::fs::write(&receipt, text).unwrap();
            let output = offline(&["verify", "receipt", &file, "--policy", policy]);
            assert_eq!(output.status.code(), Some(1), "{reason}: {}", said(&output));
            assert!(said(&output).contains(reason), "{reason}: {}", said(&output));
        }
    });
}

#[test]
fn gossip_finds_a_second_history_and_shows_it() {
    wait(async {
        let log = Exported::new(Database::Sqlite).await;
        let twin = log.installed.twin(log.installed.copy_database());
        let early = log.receipt(5);
        // Both copies go on; each is consistent in itself.
        log.grow();
        let ours = log.receipt(log.size() - 1);
        log.grow();
        log.export();
        let other =
            Exported { dir: twin.home().join("export"), key: log.key.clone(), installed: twin };
        other.grow();
        let theirs = other.receipt(other.size() - 1);

        let dir = log.dir.display().to_string();
        let name = |file: &PathBuf| file.display().to_string();
        let gossip = |receipts: &[&PathBuf]| {
            let receipts: Vec<_> = receipts.iter().map(|file| name(file)).collect();
            let mut arguments = vec!["--json", "ledger", "gossip", "--dir", &dir];
            arguments.extend(["--policy", log.key.as_str()]);
            arguments.extend(receipts.iter().map(String::as_str));
            offline(&arguments)
        };
        let output = gossip(&[&early, &ours]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));

        let output = gossip(&[&early, &ours, &theirs]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let told = json(&output);
        let agrees: Vec<_> =
            told["receipts"].as_array().unwrap().iter().map(|r| &r["agrees"]).collect();
        assert_eq!(agrees, [true, true, false]);
        assert!(told["receipts"][2]["says"].as_str().unwrap().contains("SPLIT VIEW"), "{told}");
        assert!(told["checkpoint"].as_str().unwrap().contains(log.installed.log.name()));

        // Going back shows too, and a checkpoint of somebody else is no evidence.
        let golden = log.installed.home().join("golden");
        std::fs::write(&golden, include_str!("../vectors/log600/checkpoint")).unwrap();
        let told = json(&gossip(&[&golden]));
        assert!(told["receipts"][0]["says"].as_str().unwrap().contains("no evidence"), "{told}");
        log.grow();
        let newer = log.receipt(log.size() - 1);
        let told = json(&gossip(&[&newer]));
        assert!(told["receipts"][0]["says"].as_str().unwrap().contains("went back"), "{told}");
    });
}
