//! Checkpoints stamped by a stranger: what is kept, what is refused, and what is found.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fieldgate::flows::Alarm;
use fieldgate::flows::outside::Reach;
use fieldgate::jobs::anchor::{Anchor, AnchorFolder, AnchorTimestamps, Place, Round, round};
use fieldgate::merkle::checkpoint::Checkpoint;
use fieldgate::merkle::hash::Hash;
use serde_json::Value;
use tempfile::TempDir;

use crate::crash::load::Cast;
use crate::harness::process::{Installed, PATIENCE, until};
use crate::harness::stamps::{Manner, RIGHT, Stamps};
use crate::harness::world::{ORIGIN, signer};
use crate::harness::{Database, World, wait};

use super::page;

/// A folder, and an authority that stamps what is kept there.
struct Evidence {
    stamps: Stamps,
    folder: TempDir,
}

impl Evidence {
    fn new() -> Self {
        Self { stamps: Stamps::start(), folder: tempfile::tempdir().unwrap() }
    }

    fn anchor(&self) -> Anchor {
        self.hasty(PATIENCE)
    }

    /// An anchor that waits so long for an answer.
    fn hasty(&self, patience: Duration) -> Anchor {
        let folder = AnchorFolder::new(self.folder.path());
        let place = AnchorTimestamps::new(folder, self.stamps.client(patience));
        let (name, every) = ("anchor 1 (timestamp)".to_owned(), Duration::from_secs(1));
        let place = Place::Timestamp(Arc::new(place));
        Anchor { name, kind: "timestamp", reach: Reach::Far, place, every }
    }

    fn note(&self, size: u64) -> PathBuf {
        self.folder.path().join(format!("{size:020}.note"))
    }

    fn stamp(&self, size: u64) -> PathBuf {
        self.folder.path().join(format!("{size:020}.tsr"))
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path()).unwrap().count()
    }

    fn openssl_accepts(&self, size: u64) -> bool {
        self.stamps.openssl.accepts(&self.note(size), &self.stamp(size))
    }
}

async fn failed(world: &World, anchor: &Anchor) -> String {
    world.gateway.outside().expect(&anchor.name, Reach::Far, world.gateway.now());
    assert_eq!(round(&world.gateway, anchor, true).await, Round::Failed);
    assert!(world.gateway.is_ready(), "nobody's silence is an alarm");
    let [seen] = world.gateway.outside().list().try_into().unwrap();
    seen.trouble.unwrap()
}

#[test]
fn each_checkpoint_is_stamped_once_and_openssl_accepts_what_is_kept() {
    wait(async {
        let evidence = Evidence::new();
        let world = World::new(Database::Sqlite).await;
        let first = evidence.anchor();
        assert_eq!(round(&world.gateway, &first, true).await, Round::Added);
        let older = world.verify().head.size;
        assert!(evidence.openssl_accepts(older));
        assert_eq!(round(&world.gateway, &first, true).await, Round::Looked, "nothing is newer");
        world.people(1).await;
        assert_eq!(round(&world.gateway, &first, false).await, Round::Looked, "not due");
        // A second replica finds the first one's note, and adds the next.
        let second = evidence.anchor();
        assert_eq!(round(&world.gateway, &second, true).await, Round::Added);
        let newer = world.verify().head.size;
        assert_eq!(round(&world.gateway, &first, true).await, Round::Looked);
        assert!(evidence.openssl_accepts(older) && evidence.openssl_accepts(newer));
        assert_eq!((evidence.stamps.asked(), evidence.files()), (2, 4));
        let says = first.place.vouched().await.unwrap().unwrap();
        assert!(says.starts_with("stamped 20") && says.ends_with("CN=good,O=Stamps"), "{says}");
        // openssl is a judge that can say no.
        std::fs::copy(evidence.stamp(older), evidence.stamp(newer)).unwrap();
        assert!(!evidence.openssl_accepts(newer));
        let mut bytes = std::fs::read(evidence.stamp(older)).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(evidence.stamp(older), bytes).unwrap();
        assert!(!evidence.openssl_accepts(older));
    });
}

#[test]
fn no_other_answer_is_kept_and_the_note_waits_for_its_timestamp() {
    wait(async {
        let evidence = Evidence::new();
        let world = World::new(Database::Sqlite).await;
        let anchor = evidence.anchor();
        let size = world.verify().head.size;
        for (manner, says) in [
            (Manner::OtherNonce, "another query"),
            (Manner::OtherData, "of something else"),
            (Manner::Stamps("by_sha256", "foreign"), "not vouched for"),
            (Manner::Stamps("by_sha256", "expired"), "not vouched for"),
            (Manner::Stamps("refuses", "good"), "refused (status 2)"),
            (Manner::Stamps("weak", "good"), "SHA-256"),
            (Manner::Page, "no timestamp authority"),
            (Manner::Says(200, "content-type: application/timestamp-query"), "content type"),
            (Manner::Says(200, "x: y"), "content type"),
            (Manner::Says(302, "location: http://127.0.0.1:1/"), "status 302"),
            (Manner::Says(403, "content-type: application/timestamp-reply"), "status 403"),
            (Manner::Endless, "longer than"),
        ] {
            evidence.stamps.behave(manner);
            let trouble = failed(&world, &anchor).await;
            assert!(trouble.contains(says), "{manner:?}: {trouble}");
            assert!(!trouble.contains(&evidence.stamps.url), "{trouble}");
            assert!(evidence.note(size).exists() && evidence.files() == 1, "{manner:?}");
            // The ledger grows, and nothing newer is kept as long as this one waits.
            world.people(1).await;
        }
        let says = anchor.place.vouched().await.unwrap();
        assert_eq!(says.as_deref(), Some("not stamped yet"));
        let waiting = std::fs::read(evidence.note(size)).unwrap();
        evidence.stamps.behave(RIGHT);
        // Another replica does as well as the one that left it unfinished.
        assert_eq!(round(&world.gateway, &evidence.anchor(), false).await, Round::Looked);
        assert_eq!(std::fs::read(evidence.note(size)).unwrap(), waiting);
        assert!(evidence.openssl_accepts(size));
        assert_eq!(round(&world.gateway, &anchor, true).await, Round::Added);
        assert!(evidence.openssl_accepts(world.verify().head.size));
        assert_eq!(world.gateway.outside().list()[0].trouble, None);
    });
}

#[test]
fn a_silent_authority_fails_in_time_and_hides_no_alarm() {
    wait(async {
        let evidence = Evidence::new();
        let world = World::new(Database::Sqlite).await;
        evidence.stamps.behave(Manner::Silent);
        let hasty = evidence.hasty(Duration::from_millis(100));
        let begun = Instant::now();
        assert!(failed(&world, &hasty).await.contains("in time"));
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        // Whoever starts, or looks on the command line, asks nobody and waits for nobody.
        let asked = evidence.stamps.asked();
        assert!(hasty.place.newest().await.unwrap().is_some());
        assert!(hasty.place.vouched().await.unwrap().is_some());
        assert_eq!(evidence.stamps.asked(), asked);

        let have = world.verify().head.size;
        let (seen, root) = (have + 7, Hash([7; 32]));
        let other = Checkpoint { origin: ORIGIN.to_owned(), size: seen, root };
        let other = other.sign(&[signer()]).unwrap().to_string();
        std::fs::write(evidence.note(seen), &other).unwrap();
        assert_eq!(round(&world.gateway, &hasty, true).await, Round::Stopped);
        let by = hasty.name.clone();
        assert_eq!(world.gateway.alarm_raised(), Some(Alarm::RolledBack { have, seen, by }));
        assert_eq!(world.gateway.outside().contradiction(), Some(other));
    });
}

#[test]
fn what_was_exchanged_in_the_folder_is_named() {
    wait(async {
        let evidence = Evidence::new();
        let world = World::new(Database::Sqlite).await;
        let anchor = evidence.anchor();
        assert_eq!(round(&world.gateway, &anchor, true).await, Round::Added);
        let older = world.verify().head.size;
        world.people(1).await;
        assert_eq!(round(&world.gateway, &anchor, true).await, Round::Added);
        let newer = world.verify().head.size;
        let right = std::fs::read(evidence.stamp(newer)).unwrap();
        let of_another = std::fs::read(evidence.stamp(older)).unwrap();
        let mut altered = right.clone();
        let last = altered.len() - 1;
        altered[last] ^= 1;
        for (bytes, says) in [
            (of_another, "something else"),
            (altered, "signature is wrong"),
            (b"<html>".to_vec(), "no RFC 3161"),
            (vec![0x30; 1_000_000], "longer than"),
        ] {
            std::fs::write(evidence.stamp(newer), bytes).unwrap();
            let trouble = failed(&world, &anchor).await;
            assert!(trouble.contains(says) && trouble.contains("evidence"), "{trouble}");
            assert!(trouble.contains(&evidence.stamp(newer).display().to_string()), "{trouble}");
        }
        assert_eq!(evidence.stamps.asked(), 2, "what is there is not replaced");
        // Taken away, it is asked for again.
        std::fs::remove_file(evidence.stamp(newer)).unwrap();
        assert_eq!(round(&world.gateway, &anchor, true).await, Round::Looked);
        assert!(evidence.openssl_accepts(newer));
        // The note of another log, or none, is no word about this ledger.
        for text in ["not a note", include_str!("../../vectors/log600/checkpoint")] {
            std::fs::write(evidence.note(newer), text).unwrap();
            failed(&world, &anchor).await;
        }
    });
}

/// The exit code of a command, and all that it said.
fn told(output: &std::process::Output) -> (Option<i32>, String) {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    (output.status.code(), format!("{out}{err}"))
}

fn settings(evidence: &Evidence) -> String {
    let (place, url) = (evidence.folder.path().display(), &evidence.stamps.url);
    let file = evidence.stamps.openssl.path("ca.pem");
    format!(
        "[[anchors]]\nkind = \"timestamp\"\nplace = \"{place}\"\nevery_s = 1\n\
         authority_url = \"{url}\"\nauthority_file = \"{}\"\n",
        file.display()
    )
}

/// `verify timestamp` on two files, with an authority of the court.
fn verified(
    installed: &Installed,
    files: (&Path, &Path),
    authority: &Path,
) -> (Option<i32>, String) {
    let [note, answer, authority] =
        [files.0, files.1, authority].map(|path| path.display().to_string());
    let words = ["--json", "verify", "timestamp", &note, &answer, "--authority", &authority];
    told(&installed.run(&words))
}

#[test]
fn yesterdays_database_is_found_by_its_timestamps_alone() {
    let evidence = Evidence::new();
    wait(async {
        let (mut installed, cast) =
            Installed::new(Database::Sqlite, async |world| Cast::enter(world, 3).await).await;
        installed.add_settings(&settings(&evidence));
        let yesterday = installed.copy_database();
        let gate = installed.serve();
        let mut client = installed.client(&cast.reseller.0, &cast.reseller.1);
        assert_eq!(page(&mut client).await.0, 200);
        let today = installed.verify(Vec::new()).head.size;
        until("today's checkpoint is stamped", async || {
            evidence.stamp(today).exists().then_some(())
        })
        .await;
        assert_eq!(gate.stop().await, Some(0), "{}", installed.log_text());
        assert!(evidence.openssl_accepts(today));
        let asked = evidence.stamps.asked();
        let shown = installed.run(&["--json", "ledger", "anchors"]);
        let (code, shown) = told(&shown);
        let says = format!("agrees at {today} entries, stamped 20");
        assert!(code == Some(0) && shown.contains(&says), "{shown}");
        assert_eq!(evidence.stamps.asked(), asked);

        // Whoever restores the database restores the folder of the settings, too.
        std::fs::remove_file(installed.home().join("anchors.jsonl")).unwrap();
        installed.stand_on(yesterday);
        assert_eq!(installed.start().ended().await, Some(5), "{}", installed.log_text());
        let log = installed.log_text();
        assert!(log.contains(&format!("anchor 1 (timestamp) has seen {today}")), "{log}");
    });
}

#[test]
fn a_stranger_checks_one_timestamp_with_our_program_and_the_settings_are_checked() {
    let evidence = Evidence::new();
    wait(async {
        let world = World::new(Database::Sqlite).await;
        assert_eq!(round(&world.gateway, &evidence.anchor(), true).await, Round::Added);
        let size = world.verify().head.size;
        let (installed, ()) = Installed::new(Database::Sqlite, async |_: &World| ()).await;
        let (note, stamp) = (evidence.note(size), evidence.stamp(size));
        let ca = evidence.stamps.openssl.path("ca.pem");
        let (code, says) = verified(&installed, (&note, &stamp), &ca);
        let verdict: Value = serde_json::from_str(&says).unwrap();
        assert_eq!(code, Some(0), "{says}");
        assert_eq!(verdict["verified"], true);
        assert_eq!((&verdict["origin"], &verdict["size"]), (&ORIGIN.into(), &size.into()));
        assert_eq!(verdict["signer"], "CN=good,O=Stamps");
        let other = evidence.stamps.openssl.path("other.pem");
        let (code, says) = verified(&installed, (&note, &stamp), &other);
        assert!(code == Some(1) && says.contains("NOT VERIFIED"), "{says}");
        let (code, says) = verified(&installed, (&note, &note), &ca);
        assert!(code == Some(1) && says.contains("no RFC 3161 timestamp"), "{says}");
        let (code, says) = verified(&installed, (&stamp, &stamp), &ca);
        assert_eq!(code, Some(6), "{says}");
        let (code, says) = verified(&installed, (&note, &stamp), &note);
        assert!(code == Some(3) && says.contains("does not hold certificates"), "{says}");
        // For people, with what it does not prove.
        let [note, stamp, ca] = [&note, &stamp, &ca].map(|path| path.display().to_string());
        let words = ["verify", "timestamp", &note, &stamp, "--authority", &ca];
        let (code, says) = told(&installed.run(&words));
        assert_eq!(code, Some(0), "{says}");
        assert!(says.starts_with("VERIFIED: this checkpoint existed at 20"), "{says}");
        assert!(says.contains("does not prove") && says.contains(ORIGIN), "{says}");

        installed.add_settings(&settings(&evidence).replace("ca.pem", "c.cnf"));
        for command in [&["ledger", "anchors"][..], &["doctor"]] {
            let (code, says) = told(&installed.run(command));
            assert!(code == Some(3) && says.contains("c.cnf"), "{says}");
        }
    });
}
