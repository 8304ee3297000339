//! `ledger verify` and `ledger gossip` where the log lives: in the database, and behind its door.

use std::process::Output;

use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use fieldgate::ledger::Archive as _;
use fieldgate::merkle::Hash;
use fieldgate::merkle::key::{KeyType, Signer};
use fieldgate::store::checkpoint_rows;

use super::{json, said};
use crate::harness::process::{Installed, until};
use crate::harness::{Badge, Database, World, databases, forced, wait};

/// More than one full tile.
const ENTRIES: usize = 300;

/// A log that is served, and who may look at it from elsewhere.
struct Served {
    installed: Installed,
    partner: Badge,
    auditor: Badge,
}

async fn served(database: Database) -> Served {
    let fill = async |world: &World| {
        let partner = world.badge("acme", PartnerKind::Reseller).await;
        world.grant(partner.asker.partner, Purpose::Offers, FieldSet::of(&[Field::Email])).await;
        let auditor = world.badge("chamber", PartnerKind::Auditor).await;
        world.people(2).await;
        world.refusals(&partner, ENTRIES).await;
        (partner, auditor)
    };
    let (installed, (partner, auditor)) = Installed::new(database, fill).await;
    Served { installed, partner, auditor }
}

impl Served {
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.installed.home().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.installed.run(&[&["--json"], arguments].concat())
    }

    /// A command on the log behind the door, as this badge, trusting this key.
    fn outside(&self, badge: &Badge, key: &str, arguments: &[&str]) -> Output {
        let url = format!("https://localhost:{}/ledger/v1", self.installed.port);
        let cert = self.file(&format!("{}.pem", badge.code), &badge.pem);
        let ca = self.file("door.pem", &self.installed.authority);
        let id = badge.asker.partner.to_string();
        let place = ["--url", &url, "--cert", &cert, "--ca", &ca, "--client-id", &id];
        self.run(&[&["ledger"], arguments, &place, &["--policy", key]].concat())
    }

    /// Waits until everything that was appended so far is published.
    async fn all_published(&self) -> u64 {
        until("all is published", async || {
            self.installed.look(|tx| {
                let size = tx.head().unwrap().size();
                let newest = checkpoint_rows::newest_checkpoint(tx)?;
                Ok(newest.is_some_and(|newest| newest.size == size).then_some(size))
            })
        })
        .await
    }
}

fn findings(output: &Output) -> Vec<String> {
    let told = json(output, 1);
    assert_eq!(told["sound"], false, "{told}");
    let texts = told["findings"].as_array().unwrap().iter();
    texts.map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_auditor_verifies_the_log_behind_the_door_and_goes_on_where_she_stopped() {
    for database in databases() {
        wait(async {
            let log = served(database).await;
            let gate = log.installed.serve();
            let before = log.all_published().await;
            let key = log.installed.log.to_string();
            let state = log.installed.home().join("state.json").display().to_string();
            let verify = |key: &str, more: &[&str]| {
                log.outside(&log.auditor, key, &[&["verify"], more].concat())
            };
            let told = json(&verify(&key, &["--resume", &state]), 0);
            assert_eq!(told["sound"], true, "{told}");
            assert!(told["size"].as_u64() >= Some(before), "{told}");
            assert_eq!(told["entries"], told["size"]);
            log.all_published().await;
            let again = json(&verify(&key, &["--resume", &state]), 0);
            let (size, entries) = (again["size"].as_u64(), again["entries"].as_u64());
            assert_eq!(entries, size.map(|size| size - 256), "the first tile is not read again");
            // Whom she does not trust does not convince her.
            let stranger = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
            let found = findings(&verify(stranger, &[]));
            assert!(found.iter().any(|text| text.contains("no known key signed")), "{found:?}");
            // Entries are for auditors: a partner is told so, and nothing is said to be wrong.
            let output = log.outside(&log.partner, &key, &["verify"]);
            assert_ne!(output.status.code(), Some(1), "{}", said(&output));
            assert_ne!(output.status.code(), Some(0), "{}", said(&output));
            assert_eq!(gate.stop().await, Some(0));
        });
    }
}

#[test]
fn a_partner_compares_its_receipt_with_the_log_behind_the_door() {
    wait(async {
        let log = served(Database::Sqlite).await;
        let file = log.file("receipt", "");
        let told = log.installed.run(&["ledger", "prove", "5", "--out", &file]);
        assert_eq!(told.status.code(), Some(0), "{}", said(&told));
        let gate = log.installed.serve();
        log.all_published().await;
        let key = log.installed.log.to_string();
        for badge in [&log.partner, &log.auditor] {
            let told = json(&log.outside(badge, &key, &["gossip", &file]), 0);
            assert_eq!(told["agrees"], true, "{told}");
        }
        assert_eq!(gate.stop().await, Some(0));
    });
}

#[test]
fn what_was_published_is_verified_with_the_ledger_it_was_published_of() {
    for database in databases() {
        wait(async {
            let log = served(database).await;
            let gate = log.installed.serve();
            let size = log.all_published().await;
            assert_eq!(gate.stop().await, Some(0));
            let key = log.installed.log.to_string();
            let sound = |output: &Output| assert_eq!(json(output, 0)["sound"], true);
            let verified = log.run(&["ledger", "verify"]);
            sound(&verified);
            sound(&log.run(&["ledger", "verify", "--policy", &key]));
            // A policy that asks for a witness: nobody cosigned.
            let signer = Signer::from_seed("example.com/w", KeyType::Witness, &[8; 32]).unwrap();
            let witness = signer.verifier();
            let policy = format!("log {key}\nwitness w {witness}\nquorum w\n");
            let policy = log.file("policy", &policy);
            let found = findings(&log.run(&["ledger", "verify", "--policy", &policy]));
            let says = format!(
                "no checkpoint published up to size {size} has the signatures that the policy asks for"
            );
            assert_eq!(found, [says]);
            // Somebody who owns the database signs nothing.
            let (root, other) = (json(&verified, 0), Hash([7; 32]).to_base64());
            let altered = format!(
                "UPDATE ledger_checkpoint SET note = replace(note, '{}', '{other}')",
                root["root"].as_str().unwrap()
            );
            assert!(forced(&log.installed.url, &altered), "{database:?}");
            let found = findings(&log.run(&["ledger", "verify"]));
            let says = format!("the checkpoint of size {size} does not belong to these entries");
            assert!(found.contains(&says), "{found:?}");
        });
    }
}
