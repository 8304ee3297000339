//! Rounds of every kind of place on a real ledger, and what nobody's answer does to releases.

use std::sync::Arc;
use std::time::Duration;

use fieldgate::clock::{Clock, Moment, SECOND};
use fieldgate::flows::outside::{self, Reach};
use fieldgate::flows::{Error, Gateway, UNWITNESSED};
use fieldgate::jobs::anchor::{
    Anchor, AnchorFile, AnchorFolder, AnchorRepository, Place, Round, round,
};
use fieldgate::merkle::checkpoint::Checkpoint;
use fieldgate::merkle::note::Note;

use super::page;
use crate::crash::load::Cast;
use crate::harness::process::{Installed, until};
use crate::harness::world::{replica_at, signer};
use crate::harness::{Database, World, databases, wait};

fn anchor(kind: &'static str, place: Place) -> Anchor {
    let every = Duration::from_secs(1);
    Anchor { name: format!("anchor ({kind})"), kind, reach: Reach::Far, place, every }
}

/// The size of a note that the log signed.
fn size_of(note: &str) -> u64 {
    let note = Note::parse(note.as_bytes()).unwrap();
    note.verify(&[signer().verifier().clone()]).unwrap();
    Checkpoint::parse(note.text()).unwrap().size
}

#[test]
fn every_place_gets_the_newest_checkpoint_once() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let git = world.folder().join("evidence");
            let made = std::process::Command::new("git").args(["init", "-q"]).arg(&git).status();
            assert!(made.unwrap().success());
            let shared = tempfile::tempdir().unwrap();
            for anchor in [
                anchor("file", Place::File(Arc::new(AnchorFile::new(shared.path().join("file"))))),
                anchor("folder", Place::Folder(Arc::new(AnchorFolder::new(shared.path())))),
                anchor("git", Place::Git(Arc::new(AnchorRepository::new(git)))),
            ] {
                let gateway = &world.gateway;
                assert_eq!(round(gateway, &anchor, true).await, Round::Added, "{}", anchor.kind);
                assert_eq!(round(gateway, &anchor, true).await, Round::Looked, "{}", anchor.kind);
                let before = size_of(&anchor.place.newest().await.unwrap().unwrap());
                world.people(1).await;
                assert_eq!(round(gateway, &anchor, false).await, Round::Looked, "not due");
                assert_eq!(round(gateway, &anchor, true).await, Round::Added, "{}", anchor.kind);
                let after = size_of(&anchor.place.newest().await.unwrap().unwrap());
                assert_eq!((after, after > before), (world.verify().head.size, true));
            }
            assert!(world.gateway.is_ready());
        });
    }
}

#[test]
fn a_place_out_of_reach_is_counted_and_stops_nothing_at_once() {
    wait(async {
        let world = World::new(Database::Sqlite).await;
        let asker = world.reseller("resale").await;
        world.people(1).await;
        let nowhere = AnchorFolder::new(world.folder().join("not-mounted"));
        let anchor = anchor("folder", Place::Folder(Arc::new(nowhere)));
        world.gateway.outside().expect(&anchor.name, Reach::Far, world.gateway.now());
        world.gateway.outside().accept_silence_of(14_400);
        for _ in 0..3 {
            assert_eq!(round(&world.gateway, &anchor, true).await, Round::Failed);
        }
        let [seen] = world.gateway.outside().list().try_into().unwrap();
        assert_eq!(seen.failures, 3);
        assert!(seen.trouble.unwrap().contains("not-mounted"));
        assert_eq!(world.pull(asker, 1).await.unwrap().leads.len(), 1);
    });
}

#[test]
fn without_anybody_outside_for_too_long_nothing_is_released_and_the_rest_goes_on() {
    wait(async {
        let world = World::new(Database::Sqlite).await;
        let asker = world.reseller("resale").await;
        world.people(1).await;
        let (outside, now) = (world.gateway.outside(), world.gateway.now());
        outside.accept_silence_of(14_400);
        outside.expect("s3", Reach::Far, now.plus(-14_402 * SECOND));
        let size = world.verify().head.size;
        match world.pull(asker, 1).await {
            Err(Error::Busy { what: UNWITNESSED, .. }) => {}
            other => panic!("{:?}", other.map(|released| released.leads.len())),
        }
        assert_eq!(world.verify().head.size, size, "nothing was decided");
        world.people(1).await;
        outside.vouched("s3", now);
        assert!(world.pull(asker, 1).await.is_ok());
    });
}

#[test]
fn a_restart_does_not_shorten_the_silence_of_those_outside() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let began = Moment(1_000_000 * SECOND);
            let process = |seconds: i64| {
                let clock = Clock::fixed(began.plus(seconds * SECOND));
                let (gateway, sequencer) = replica_at(&world.url, &world.master, clock.clone());
                gateway.outside().accept_silence_of(14_400);
                (gateway, sequencer, clock)
            };
            let silent = |gateway: &Gateway| gateway.outside().is_silent_too_long(gateway.now());
            // It is expected for the first time, and never answers: a restart gives no more time.
            let (first, sequencer, clock) = process(0);
            outside::expect(&first, "s3", Reach::Far).await;
            clock.advance(10_000 * SECOND);
            assert!(!silent(&first));
            sequencer.close();
            let (second, sequencer, clock) = process(14_401);
            outside::expect(&second, "s3", Reach::Far).await;
            assert!(silent(&second), "{database:?}");
            // It answers at last, and again; what is kept lags behind by half a minute at most.
            outside::vouched(&second, "s3").await;
            clock.advance(20 * SECOND);
            outside::vouched(&second, "s3").await;
            assert!(!silent(&second));
            sequencer.close();
            let (third, sequencer, _) = process(14_401 + 14_400);
            outside::expect(&third, "s3", Reach::Far).await;
            assert!(!silent(&third));
            sequencer.close();
            let (fourth, sequencer, _) = process(14_401 + 14_431);
            outside::expect(&fourth, "s3", Reach::Far).await;
            assert!(silent(&fourth));
            sequencer.close();
        });
    }
}

#[test]
fn a_note_of_another_log_is_a_failure_of_the_place_and_not_an_alarm() {
    wait(async {
        let (world, folder) = (World::new(Database::Sqlite).await, tempfile::tempdir().unwrap());
        let other = include_str!("../../vectors/log600/checkpoint");
        for text in [other, "not a note"] {
            std::fs::write(folder.path().join("00000000000000000600.note"), text).unwrap();
            let place = Place::Folder(Arc::new(AnchorFolder::new(folder.path())));
            let anchor = anchor("folder", place);
            assert_eq!(round(&world.gateway, &anchor, true).await, Round::Failed);
            assert!(world.gateway.is_ready());
        }
    });
}

#[test]
fn the_limit_of_the_settings_ends_releases_while_the_only_far_anchor_is_out_of_reach() {
    wait(async {
        let (installed, cast) =
            Installed::new(Database::Sqlite, async |world| Cast::enter(world, 3).await).await;
        let place = installed.home().join("not-mounted");
        installed.add_settings(&format!(
            "[[anchors]]\nkind = \"folder\"\nplace = \"{}\"\nevery_s = 1\n",
            place.display()
        ));
        let client = || installed.client(&cast.reseller.0, &cast.reseller.1);
        let silent_s = async || {
            let says = installed.ready().await.1;
            let (_, says) = says.split_once("anchor 1 (folder): silent for ")?;
            says.split(' ').next()?.parse::<u64>().ok()
        };
        let gate = installed.serve();
        let wanted = async || silent_s().await.filter(|seconds| *seconds > 1);
        until("nobody far has vouched for two seconds", wanted).await;
        assert_eq!(page(&mut client()).await.0, 200, "four hours are accepted unless told");
        assert_eq!(gate.stop().await, Some(0), "{}", installed.log_text());

        installed.edit_settings(|settings| {
            settings.replace("\norigin =", "\nacceptable_anchor_failure_s = 1\norigin =")
        });
        let gate = installed.serve();
        let (status, says) = page(&mut client()).await;
        assert_eq!(status, 503, "{says}");
        assert!(says.contains("ledger_unwitnessed") && !says.contains("not-mounted"), "{says}");
        std::fs::create_dir(&place).unwrap();
        let mut client = client();
        until("the folder is there again", async || {
            (page(&mut client).await.0 == 200).then_some(())
        })
        .await;
        assert_eq!(gate.stop().await, Some(0), "{}", installed.log_text());
    });
}
