//! What is served while too few witnesses answer: the newest checkpoint that enough have cosigned.

use fieldgate::clock::{Clock, SECOND};
use fieldgate::domain::partner::PartnerKind;
use fieldgate::flows::witnesses::{self, Answer, Next};
use fieldgate::flows::{Gateway, checkpoints};
use fieldgate::ledger::{Notary, Sequencer};
use fieldgate::merkle::checkpoint::Checkpoint;
use fieldgate::merkle::cosignature;
use fieldgate::merkle::key::{KeyType, Signer};
use fieldgate::merkle::note::Note;
use fieldgate::merkle::policy::Policy;
use fieldgate::store::{Effect, checkpoint_rows, key_rows};
use fieldgate::vault::keyring::Keyring;

use crate::harness::world::signer;
use crate::harness::{World, databases, wait};

/// Publications that one witness alone cosigns: more than anybody would look back through.
const ALONE: u64 = 300;

fn cosigner(seed: u8) -> Signer {
    Signer::from_seed(&format!("w{seed}.example.com"), KeyType::Witness, &[seed; 32]).unwrap()
}

/// A policy of two witnesses, of which so many must have cosigned.
fn policy(quorum: &str) -> Policy {
    let [one, two] = [1, 2].map(|seed| cosigner(seed).verifier().clone());
    let text = format!(
        "log {}\nwitness w1 {one} http://127.0.0.1:1\nwitness w2 {two} http://127.0.0.1:2\n\
         group some {quorum} w1 w2\nquorum some\n",
        signer().verifier(),
    );
    Policy::parse(text.as_bytes()).unwrap()
}

fn gateway(world: &World, quorum: &str, clock: Clock) -> (Gateway, Sequencer<Effect>) {
    let rows = world.store.read_blocking(key_rows::list_keys).unwrap();
    let keyring = Keyring::open(&world.master, &rows).unwrap();
    let sequencer = Sequencer::start(world.store.shelf(), vec![signer()]).unwrap();
    let notary = Notary::new(vec![signer()]).judged_by(policy(quorum));
    (Gateway::new(world.store.clone(), sequencer.clone(), (keyring, notary), clock), sequencer)
}

/// The witness of this number cosigns what was published last.
async fn cosign(world: &World, gateway: &Gateway, number: u8) {
    let witness = witnesses::list(gateway).remove(usize::from(number) - 1);
    let question = witnesses::question(gateway, 0).await.unwrap().unwrap();
    let time = u64::try_from(gateway.now().seconds()).unwrap();
    let newest = world.store.read_blocking(checkpoint_rows::newest_checkpoint).unwrap().unwrap();
    let text = Note::parse(newest.note.as_bytes()).unwrap().text().to_owned();
    let line = cosignature::sign(&text, &cosigner(number), time).unwrap().to_line();
    let answer = Answer { status: 200, content_type: None, body: line.into_bytes() };
    let next = witnesses::settle(gateway, &witness, &question, &answer).await.unwrap();
    assert!(matches!(next, Next::Cosigned(_)), "{next:?}");
}

/// The size of the note that is served.
async fn served(gateway: &Gateway) -> Option<u64> {
    let note = witnesses::published(gateway).await.unwrap()?;
    let note = Note::parse(note.as_bytes()).unwrap();
    Some(Checkpoint::parse(note.text()).unwrap().size)
}

#[test]
fn the_last_note_with_its_quorum_is_served_however_long_one_witness_is_away() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let badge = world.badge("acme", PartnerKind::Reseller).await;
            let clock = Clock::fixed(world.gateway.now());
            let (gate, sequencer) = gateway(&world, "all", clock.clone());
            let both = checkpoints::publish(&gate).await.unwrap().size;
            cosign(&world, &gate, 1).await;
            assert_eq!(served(&gate).await, None);
            cosign(&world, &gate, 2).await;
            assert_eq!(served(&gate).await, Some(both));

            let mut newest = both;
            for _ in 0..ALONE {
                world.refusals(&badge, 1).await;
                clock.advance(2 * SECOND);
                newest = checkpoints::publish(&gate).await.unwrap().size;
                cosign(&world, &gate, 1).await;
            }
            assert_eq!(newest, both + ALONE);
            assert_eq!(served(&gate).await, Some(both), "{database:?}");

            // A policy that asks for less is served what meets it with the next line.
            let (looser, other) = gateway(&world, "any", clock.clone());
            assert_eq!(served(&looser).await, Some(newest));
            // Back again, the quorum meets at the newest.
            cosign(&world, &gate, 2).await;
            assert_eq!(served(&gate).await, Some(newest));
            other.close();
            sequencer.close();
        });
    }
}
