//! Witnesses over time: rolled back, outrun by another replica, slow, failing, asked at each beat.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fieldgate::clock::{Clock, SECOND};
use fieldgate::domain::partner::PartnerKind;
use fieldgate::flows::outside::Outsider;
use fieldgate::flows::{Gateway, checkpoints, cosign, witnesses};
use fieldgate::jobs::publisher::{self, Publishing};
use fieldgate::jobs::witness::{client, run};
use fieldgate::ledger::witness::cosigner::Cosigner;
use fieldgate::merkle::add_checkpoint::AddCheckpoint;
use fieldgate::merkle::cosignature;
use fieldgate::merkle::note::Note;
use fieldgate::merkle::policy::Policy;
use fieldgate::store::WitnessStore;
use fieldgate::store::witness_rows::{self, Cosignature};
use tokio::sync::watch;

use super::witness_client::{Fake, Reply, ask, cosigner, gateway_at, line, ok, sized};
use crate::harness::process::{install_provider, until};
use crate::harness::world::{replica_at, signer};
use crate::harness::{Database, Doors, World, databases, wait};

/// A witness with a memory in a file, as `fieldgate witness` is one.
fn honest(file: &std::path::Path) -> cosign::Witness {
    let cosigner = Cosigner::new(cosigner(1), vec![signer().verifier().clone()]).unwrap();
    cosign::Witness::new(cosigner, WitnessStore::open(file).unwrap(), Clock::System)
}

fn reply(witness: &cosign::Witness, request: &AddCheckpoint) -> Reply {
    match wait(witness.add_checkpoint(request.to_string().into_bytes())).unwrap() {
        Ok(line) => ok(line),
        Err(cosign::Refusal::Moved { latest }) => sized(latest),
        Err(refused) => Reply::Text(422, "text/plain", refused.to_string()),
    }
}

/// The lines that are kept below the checkpoint of a size.
fn kept(world: &World, size: u64) -> Vec<Cosignature> {
    world.store.read_blocking(move |tx| witness_rows::list_cosignatures(tx, size)).unwrap()
}

#[test]
fn a_witness_that_was_rolled_back_is_led_on_from_where_it_stands() {
    for database in databases() {
        wait(async {
            let (world, dir) = (World::new(database).await, tempfile::tempdir().unwrap());
            // What it remembers today, what its backup of yesterday does, and nothing at all.
            let memories =
                ["today", "yesterday", "lost"].map(|name| honest(&dir.path().join(name)));
            let stands_on = Arc::new(AtomicUsize::new(0));
            let on = Arc::clone(&stands_on);
            let fake =
                Fake::start(move |request| reply(&memories[on.load(Ordering::SeqCst)], request));
            let clock = Clock::fixed(Clock::System.now());
            let (gateway, _) = gateway_at(&world, &[&fake.url], clock.clone());
            let witness = witnesses::list(&gateway).remove(0);
            let grow = async || {
                world.people(1).await;
                clock.advance(SECOND);
                checkpoints::publish(&gateway).await.unwrap().size
            };
            let first = grow().await;
            let mut seen = 0;
            ask(&gateway, &witness, &mut seen).await.unwrap();
            stands_on.store(1, Ordering::SeqCst);
            ask(&gateway, &witness, &mut 0).await.unwrap();
            stands_on.store(0, Ordering::SeqCst);
            let second = grow().await;
            ask(&gateway, &witness, &mut seen).await.unwrap();
            assert_eq!((seen, kept(&world, second).len()), (second, 1));
            assert!(first < second);

            stands_on.store(1, Ordering::SeqCst);
            let third = grow().await;
            fake.forget();
            ask(&gateway, &witness, &mut seen).await.unwrap();
            assert_eq!(fake.olds(), [second, first], "it names the size that it went back to");
            assert_eq!((seen, kept(&world, third).len()), (third, 1));
            let served = witnesses::published(&gateway).await.unwrap().unwrap();
            let note = Note::parse(served.as_bytes()).unwrap();
            assert_eq!(policy_of_one().check(&note).unwrap().size, third);

            stands_on.store(2, Ordering::SeqCst);
            let fourth = grow().await;
            fake.forget();
            ask(&gateway, &witness, &mut seen).await.unwrap();
            assert_eq!((fake.olds(), kept(&world, fourth).len()), (vec![third, 0], 1));
            assert_eq!(gateway.alarm_raised(), None, "what a witness forgets is its own affair");
        });
    }
}

fn policy_of_one() -> Policy {
    let (log, witness) = (signer(), cosigner(1));
    let text = format!("log {}\nwitness w1 {}\nquorum w1\n", log.verifier(), witness.verifier());
    Policy::parse(text.as_bytes()).unwrap()
}

#[test]
fn a_witness_to_whom_another_replica_showed_more_is_asked_from_there() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let clock = Clock::fixed(Clock::System.now());
            let (other, others) = replica_at(&world.url, &world.master, clock.clone());
            // While our request is on its way the other replica publishes, and is quicker.
            let (quick, hand) = (other.clone(), clock.clone());
            let mut shown = None;
            let fake = Fake::start(move |request| {
                let known = *shown.get_or_insert_with(|| {
                    hand.advance(SECOND);
                    wait(checkpoints::publish(&quick)).unwrap().size
                });
                if request.old == known { ok(line(1, request)) } else { sized(known) }
            });
            let (gateway, _) = gateway_at(&world, &[&fake.url], clock.clone());
            let size = checkpoints::publish(&gateway).await.unwrap().size;
            world.people(1).await;
            let witness = witnesses::list(&gateway).remove(0);
            let mut seen = 0;
            ask(&gateway, &witness, &mut seen).await.unwrap();
            assert_eq!((seen, fake.olds()), (size + 1, vec![0, size + 1]));
            assert_eq!((kept(&world, size).len(), kept(&world, size + 1).len()), (0, 1));
            assert_eq!(gateway.alarm_raised(), None);
            others.close();
        });
    }
}

/// What the gateway says of one of its witnesses.
fn outsider(gateway: &Gateway, name: &str) -> Option<Outsider> {
    gateway.outside().list().into_iter().find(|one| one.name == format!("witness {name}"))
}

#[test]
fn a_silent_witness_holds_up_no_other() {
    wait(async {
        install_provider();
        let world = World::new(Database::Sqlite).await;
        let silent = Fake::start(|_| Reply::Silence);
        let quick = Fake::start(|request| ok(line(2, request)));
        let (gateway, _) = gateway_at(&world, &[&silent.url, &quick.url], Clock::System);
        // Nobody's patience ends: the first request to the silent one is never over.
        let endless = reqwest::Client::builder().no_proxy().build().unwrap();
        let publishing = Publishing::new();
        let all = witnesses::list(&gateway)
            .into_iter()
            .map(|witness| run(gateway.clone(), witness, endless.clone(), publishing.subscribe()));
        let mut jobs: Vec<_> = all.map(tokio::spawn).collect();
        jobs.push(tokio::spawn(publisher::run(gateway.clone(), publishing.clone())));
        for _ in 0..3 {
            world.people(1).await;
            let size = world.verify().head.size;
            let lines = until("the quick one has cosigned", async || {
                let lines = kept(&world, size);
                (!lines.is_empty()).then_some(lines)
            })
            .await;
            assert_eq!(lines.len(), 1, "the quorum of two is not there");
            assert!(lines[0].witness.starts_with("w2.example.com+"));
        }
        until("the silent one was asked", async || (!silent.olds().is_empty()).then_some(())).await;
        assert_eq!(silent.olds().len(), 1, "it has one request to answer, not more");
        for job in jobs {
            job.abort();
        }
    });
}

#[test]
fn the_pauses_between_attempts_at_a_failing_witness_grow() {
    wait(async {
        install_provider();
        let world = World::new(Database::Sqlite).await;
        let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let times = Arc::clone(&asked);
        let fake = Fake::start(move |request| {
            let mut times = times.lock().unwrap();
            times.push(Instant::now());
            if times.len() > 4 { ok(line(1, request)) } else { Reply::Text(500, "", String::new()) }
        });
        let (gateway, _) = gateway_at(&world, &[&fake.url], Clock::System);
        checkpoints::publish(&gateway).await.unwrap();
        let witness = witnesses::list(&gateway).remove(0);
        // Nothing is published any more: it ends when the line is there.
        let news = watch::Sender::new((0, 0)).subscribe();
        // Its own patience does not end: each attempt ends with an answer of the witness.
        let endless = reqwest::Client::builder().no_proxy().build().unwrap();
        run(gateway.clone(), witness, endless, news).await;
        let asked = asked.lock().unwrap();
        let pauses: Vec<_> = asked.windows(2).map(|two| two[1] - two[0]).collect();
        // A machine under load makes them longer, never shorter.
        let least = [500, 1_000, 2_000, 4_000].map(Duration::from_millis);
        assert_eq!(pauses.len(), least.len());
        assert!(pauses.iter().zip(least).all(|(pause, least)| *pause >= least), "{pauses:?}");
        let one = outsider(&gateway, "w1").unwrap();
        assert_eq!((one.failures, one.trouble), (4, None));
    });
}

#[test]
fn each_heartbeat_is_cosigned_and_seen_at_the_door() {
    let (mut world, partner) = wait(async {
        let world = World::new(Database::Sqlite).await;
        let partner = world.badge("acme", PartnerKind::Reseller).await;
        (world, partner)
    });
    install_provider();
    let clock = Clock::fixed(Clock::System.now());
    let by = clock.clone();
    let fake = Fake::start(move |request| {
        let now = u64::try_from(by.now().seconds()).unwrap();
        ok(cosignature::sign(request.note.text(), &cosigner(1), now).unwrap().to_line())
    });
    let (gateway, sequencer) = gateway_at(&world, &[&fake.url], clock.clone());
    (world.gateway, world.sequencer) = (gateway.clone(), sequencer);
    let doors = Doors::open(&world);
    let mut wire = doors.wire(&partner);
    let token = wire.token(&partner.asker.partner.to_string(), None);
    wait(async {
        let witness = witnesses::list(&gateway).remove(0);
        let news = doors.publishing.subscribe();
        let asks = tokio::spawn(run(gateway.clone(), witness, client().unwrap(), news));
        let mut served = async |seconds: i64| {
            until("the door serves a line of this time", async || {
                let answer = wire.get(&token, "/ledger/v1/checkpoint");
                let note = Note::parse(&answer.body).ok().filter(|_| answer.status == 200)?;
                let seen = note.verify(&[cosigner(1).verifier().clone()]).unwrap();
                (seen[0].time == Some(u64::try_from(seconds).unwrap())).then(|| note.to_string())
            })
            .await
        };
        let began = clock.now().seconds();
        let before = served(began).await;
        let size = world.verify().head.size;
        clock.advance(60 * SECOND);
        let after = served(began + 60).await;
        assert_ne!(before, after);
        assert_eq!(world.verify().head.size, size, "nothing was appended");
        let lines = kept(&world, size);
        assert_eq!(lines.len(), 1, "the newer line stands for the older one");
        assert_eq!(lines[0].at.seconds(), began + 60);
        assert_eq!(*fake.olds().last().unwrap(), size);
        asks.abort();
    });
}
