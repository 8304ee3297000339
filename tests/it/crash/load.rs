//! Clients that pull and hand in without pause, and remember every answer they received.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fieldgate::cli::{Client, ClientError, Pulled};
use fieldgate::domain::field::Field;
use fieldgate::domain::partner::PartnerKind;
use fieldgate::flows::release::Asker;
use fieldgate::ledger::Archive as _;
use fieldgate::ledger::verify::{Report, verify_receipt};
use fieldgate::merkle::note::Note;
use fieldgate::merkle::policy::Policy;
use fieldgate::merkle::tlog_proof::TlogProof;
use serde_json::{Value, json};

use crate::harness::World;
use crate::harness::process::{Installed, until};
use crate::harness::world::{address, value};

/// The path of a page of offers.
pub const PAGE: &str = "/v1/leads?purpose=offers&limit=5";

/// Who speaks to the gateway: a reseller and our own collection points.
pub struct Cast {
    pub reseller: (Asker, String),
    pub points: (Asker, String),
}

impl Cast {
    /// A reseller who may have all of offers, the points, and people.
    pub async fn enter(world: &World, people: usize) -> Self {
        use fieldgate::domain::purpose::Purpose;
        let reseller = world.partner("acme", PartnerKind::Reseller).await;
        let every = Purpose::Offers.row().fields_max;
        world.grant(reseller.0.partner, Purpose::Offers, every).await;
        let points = world.partner("points", PartnerKind::InHouse).await;
        world.people(people).await;
        Self { reseller, points }
    }
}

/// What clients received, over all rounds.
#[derive(Default)]
pub struct Received {
    /// Index and bytes of the entry of every answer with leads.
    pub pages: Mutex<BTreeMap<u64, Vec<u8>>>,
    /// Receipts, each with a signed checkpoint.
    pub receipts: Mutex<Vec<String>>,
    /// Answers 503.
    pub busy: Mutex<u64>,
    /// Pullers whose newest answer was a refusal.
    turned_away: Mutex<HashSet<tokio::task::Id>>,
}

/// Set once the gateway may be gone: only then may a connection break.
#[derive(Default)]
pub struct Dying(AtomicBool);

impl Dying {
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Received {
    /// Keeps what an answer proves: 200 with leads says that an entry is durable.
    pub fn keep(&self, answer: &Pulled) {
        let leads = answer.json()["leads"].as_array().map_or(0, Vec::len);
        assert!(leads > 0, "an answer without leads: {}", answer.text);
        let (index, entry) = proof_of(answer);
        let former = self.pages.lock().unwrap().insert(index, entry);
        assert!(former.is_none(), "two answers name entry {index}");
    }

    /// Waits until this many more pages have come than now.
    pub async fn until_pages(&self, more: usize) {
        let count = || self.pages.lock().unwrap().len();
        let wanted = count() + more;
        until("more pages come", async || (count() >= wanted).then_some(())).await;
    }

    /// Waits until the newest answer of so many pullers is a refusal: whatever was on its way to
    /// them when the fault struck has arrived.
    pub async fn until_turned_away(&self, pullers: usize) {
        let all = || self.turned_away.lock().unwrap().len() >= pullers;
        until("every puller is refused", async || all().then_some(())).await;
    }

    /// Asserts that every answer's entry stands in the ledger, byte for byte.
    pub fn assert_durable(&self, installed: &Installed) {
        let last = self.pages.lock().unwrap().last_key_value().map_or(0, |(last, _)| *last);
        let bodies = installed.look(move |tx| Ok(tx.bodies(0, last + 1)));
        let bodies = bodies.unwrap();
        for (index, entry) in self.pages.lock().unwrap().iter() {
            let stored = bodies.get(usize::try_from(*index).unwrap());
            assert_eq!(stored, Some(entry), "an answer names entry {index}");
        }
    }

    /// Asserts that every answer is durable, every receipt holds and the ledger is whole.
    pub fn assert_whole(&self, installed: &Installed) -> Report {
        self.assert_durable(installed);
        let report = installed.verify(self.checkpoints(installed));
        assert!(report.is_sound(), "{:?}", report.findings);
        report
    }

    /// The checkpoints of all receipts, after each receipt was verified.
    pub fn checkpoints(&self, installed: &Installed) -> Vec<Note> {
        let policy = Policy::of_log(installed.log.clone());
        let receipts = self.receipts.lock().unwrap();
        let notes = receipts.iter().map(|receipt| {
            verify_receipt(receipt, &policy).unwrap();
            TlogProof::parse(receipt).unwrap().checkpoint
        });
        notes.collect()
    }
}

/// Index and bytes of the entry that an answer names.
pub fn proof_of(answer: &Pulled) -> (u64, Vec<u8>) {
    let index = answer.headers["ledger-index"].parse().unwrap();
    (index, STANDARD.decode(&answer.headers["ledger-entry"]).unwrap())
}

/// Pulls pages until the gateway dies; every 16th answer's receipt is fetched too.
pub async fn pull(mut client: Client, received: Arc<Received>, dying: Arc<Dying>) {
    let (mut last, me) = (None, tokio::task::id());
    for turn in 0_u32.. {
        let outcome = match last.filter(|_| turn % 16 == 1) {
            Some(index) => client.get("offers", &format!("/v1/receipts/{index}")).await,
            None => client.get("offers", PAGE).await,
        };
        match outcome {
            Ok(answer) if answer.status == 200 && answer.headers.contains_key("ledger-index") => {
                last = Some(proof_of(&answer).0);
                received.turned_away.lock().unwrap().remove(&me);
                received.keep(&answer);
            }
            Ok(answer) if answer.status == 200 => {
                received.receipts.lock().unwrap().push(answer.text);
            }
            Ok(answer) => {
                assert_refusal(&answer);
                *received.busy.lock().unwrap() += 1;
                received.turned_away.lock().unwrap().insert(me);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => {
                assert!(dying.is_set(), "a connection broke under a live gateway: {error:?}");
                return;
            }
        }
    }
}

/// Pullers against a gateway that lives: a broken connection or a wrong answer fails the test.
pub struct Pullers(Vec<tokio::task::JoinHandle<()>>);

impl Pullers {
    /// Starts some.
    pub fn start(count: usize, new: impl Fn() -> Client, received: &Arc<Received>) -> Self {
        let start = |_| tokio::spawn(pull(new(), Arc::clone(received), Arc::default()));
        Self((0..count).map(start).collect())
    }

    /// Stops them; a panic of one of them is ours.
    pub async fn stop(self) {
        for puller in self.0 {
            puller.abort();
            if let Err(error) = puller.await
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}

/// Hands in one batch after the other until the gateway dies. Gives the batch that was not
/// answered; it is handed in again under the same key in the next round.
pub async fn hand_in(mut client: Client, world: Batches, dying: Arc<Dying>) -> Batches {
    let mut batches = world;
    loop {
        let (key, body) = batches.current();
        match client.post("intake", ("/v1/contacts", &key), &body).await {
            Ok(answer) if answer.status == 200 => batches.done(&answer.json()),
            Ok(answer) => assert_refusal(&answer),
            Err(error) => {
                assert!(dying.is_set(), "a connection broke under a live gateway: {error:?}");
                return batches;
            }
        }
    }
}

/// Batches of two people each, numbered; the number is the idempotency key.
pub struct Batches {
    next: usize,
    /// For each answered batch the index of its entry.
    pub entries: Vec<u64>,
    /// Answers that said: this was done before.
    pub replayed: usize,
}

/// Numbers of handed-in people begin here.
pub const HANDED_IN: usize = 1_000_000;

impl Batches {
    pub fn new() -> Self {
        Self { next: 0, entries: Vec::new(), replayed: 0 }
    }

    fn current(&self) -> (String, Value) {
        let people: Vec<Value> = (0..2)
            .map(|place| {
                let number = HANDED_IN + self.next * 2 + place;
                json!({
                    "collection_point": "trial",
                    "collected_at": "2026-01-01T00:00:00Z",
                    "policy_version": 1,
                    "wording_hash": "03".repeat(32),
                    "fields": { "email": address(number), "country": "DE",
                        "company": value(Field::Company, number) },
                })
            })
            .collect();
        (format!("batch-{}", self.next), json!({ "contacts": people }))
    }

    fn done(&mut self, answer: &Value) {
        self.entries.push(answer["entry"].as_u64().unwrap());
        if answer["replayed"] == true {
            self.replayed += 1;
        } else {
            assert_eq!(answer["created"], 2, "{answer}");
        }
        self.next += 1;
    }
}

/// Asserts that an answer is a 503 problem without one byte of personal data.
pub fn assert_refusal(answer: &Pulled) {
    assert_eq!(answer.status, 503, "{}", answer.text);
    let kind = answer.headers.get("content-type").map(String::as_str);
    assert_eq!(kind, Some("application/problem+json"), "{}", answer.text);
    assert!(!answer.headers.contains_key("ledger-entry"));
    let headers = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
    let all = headers.collect::<String>() + &answer.text;
    for canary in ["person-", "canary-", "@example", "+4930", "PC0", "2031-07-09"] {
        assert!(!all.contains(canary), "{canary} in {all}");
    }
}

/// A page, or nothing when no page came: a refusal is looked through for personal data.
pub async fn try_page(client: &mut Client) -> Option<Pulled> {
    match client.get("offers", PAGE).await {
        Ok(answer) if answer.status == 200 => Some(answer),
        Ok(answer) => {
            assert_refusal(&answer);
            None
        }
        // The token endpoint refuses in its own form.
        Err(ClientError::Token(_) | ClientError::Transport(_)) => None,
        Err(error) => panic!("{error:?}"),
    }
}
