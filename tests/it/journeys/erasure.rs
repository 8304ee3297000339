//! A person is erased, told about, forgotten: what goes, what stays, what still verifies.

use fieldgate::domain::contact::ContactState;
use fieldgate::domain::erasure::ErasureGround;
use fieldgate::domain::purpose::Purpose;
use fieldgate::flows::audit::Reader;
use fieldgate::flows::intake::Outcome;
use fieldgate::flows::release::Asker;
use fieldgate::flows::{Error, audit, erase, explain, report, withdraw};
use fieldgate::id::ContactNo;
use fieldgate::ledger::verify::verify_receipt;
use fieldgate::ledger::{Kind, Receipt};
use fieldgate::merkle::Hash;
use fieldgate::merkle::grown::Grown;
use fieldgate::merkle::policy::Policy as TlogPolicy;
use fieldgate::merkle::proof::verify_inclusion;
use fieldgate::merkle::tree::{Frontier, root_of};
use fieldgate::secret::Personal;
use fieldgate::store::audit_rows;
use serde_json::Value;

use crate::harness::process::Installed;
use crate::harness::world::{actor, address, signer};
use crate::harness::{Database, World, databases, wait};

fn person(number: usize) -> Personal {
    Personal::new(address(number))
}

async fn gone(world: &World, number: usize) -> erase::Erased {
    erase::erase(&world.gateway, &actor("officer"), &person(number), ErasureGround::Request)
        .await
        .unwrap()
}

#[test]
fn an_erased_person_is_released_to_nobody_found_by_nobody_and_does_not_come_back() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let acme = world.reseller("acme").await;
            world.people(3).await;
            world.pull(acme, 10).await.unwrap();
            let officer = actor("officer");
            let foreseen = erase::foresee(&world.gateway, &officer, &person(1)).await.unwrap();
            assert_eq!(foreseen.to_tell, [acme.partner]);
            assert_eq!((foreseen.traces.origins, foreseen.traces.choices), (1, 0));
            // Intake, release, and the question itself.
            assert_eq!((foreseen.fields, foreseen.traces.items), (17, 3));

            let erased = gone(&world, 1).await;
            let facts = erased.receipt.entry().facts();
            assert_eq!((facts.kind, facts.restricting), (Kind::Erase, true));
            assert_eq!(facts.detail.as_deref(), Some("request"));
            assert_eq!(erased.to_tell, [acme.partner]);
            assert_eq!(world.pull(acme, 10).await.unwrap().leads.len(), 2);

            let again = world.take(vec![world.person(1), world.person(0)]).await.unwrap();
            assert_eq!(again.outcomes, [Outcome::Suppressed, Outcome::Merged]);
            let who = report::who(&world.gateway, &officer, &person(1)).await.unwrap();
            assert_eq!(who.state, ContactState::Erased);
            assert!(who.holdings.is_empty());
            let twice = erase::foresee(&world.gateway, &officer, &person(1)).await;
            assert!(matches!(twice, Err(Error::Conflict(..))), "{twice:?}");
            let left = withdraw::withdraw(&world.gateway, &officer, &person(1)).await;
            assert!(matches!(left, Err(Error::Conflict(..))), "{left:?}");
            let asked = ("acme", Purpose::Offers);
            let why = explain::explain(&world.gateway, &officer, asked, &person(1)).await;
            assert!(matches!(why, Err(Error::Conflict(..))), "{why:?}");
            let stranger = report::who(&world.gateway, &officer, &person(99)).await;
            assert!(matches!(stranger, Err(Error::Unknown(_))));
            // A new person gets a new number: the erased one's is never given again.
            world.take(vec![world.person(7)]).await.unwrap();
            let fourth = gone(&world, 7).await;
            assert_eq!((erased.contact, fourth.contact), (ContactNo(2), ContactNo(4)));
            assert!(world.verify().is_sound(), "{:?}", world.verify().findings);
        });
    }
}

#[test]
fn the_record_of_who_received_stays_until_every_receiver_was_told() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let (acme, other) = (world.reseller("acme").await, world.reseller("other").await);
            world.people(2).await;
            world.pull(acme, 10).await.unwrap();
            world.pull(other, 10).await.unwrap();
            let (gateway, officer) = (&world.gateway, actor("officer"));
            let living = erase::forget(gateway, &officer, ContactNo(1), &[]).await;
            assert!(matches!(living, Err(Error::Conflict(..))), "{living:?}");

            let no = gone(&world, 0).await.contact;
            let early = erase::forget(gateway, &officer, no, &[acme.partner]).await.unwrap_err();
            assert!(early.to_string().contains("not answered their recall: other"), "{early}");
            let waiting = erase::unforgotten(gateway, &officer).await.unwrap();
            assert_eq!(waiting.len(), 1);
            assert_eq!(waiting[0].to_tell.len(), 2);

            let told = [acme.partner, other.partner];
            let forgotten = erase::forget(gateway, &officer, no, &told).await.unwrap();
            // Intake, two releases, the erasure.
            assert_eq!(forgotten.items, 4);
            let facts = forgotten.receipt.entry().facts();
            assert_eq!(facts.detail.as_deref(), Some("items-4.told-2"));
            assert!(!facts.restricting);
            let rows = world.store.read_blocking(move |tx| audit_rows::list_disclosures(tx, no));
            assert_eq!(rows.unwrap(), []);
            assert_eq!(erase::unforgotten(gateway, &officer).await.unwrap(), []);
            let twice = erase::forget(gateway, &officer, no, &told).await;
            assert!(matches!(twice, Err(Error::Conflict(..))), "{twice:?}");
            let nobody = erase::forget(gateway, &officer, ContactNo(99), &[]).await;
            assert!(matches!(nobody, Err(Error::Unknown(_))), "{nobody:?}");
            assert!(world.verify().is_sound(), "{:?}", world.verify().findings);
        });
    }
}

/// A receipt as its holder keeps it, and what it is checked with.
async fn kept(world: &World, acme: Asker, receipt: &Receipt) -> [String; 2] {
    let later = audit::receipt(&world.gateway, Reader::Partner(acme.partner), receipt.index())
        .await
        .unwrap();
    [receipt.proof().to_string(), later]
}

#[test]
fn every_receipt_of_before_still_verifies_and_so_do_the_neighbours_on_the_page() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let acme = world.reseller("acme").await;
            world.people(5).await;
            let page = world.pull(acme, 10).await.unwrap();
            let before = kept(&world, acme, &page.receipt).await;
            let no = gone(&world, 2).await.contact;
            let between = kept(&world, acme, &page.receipt).await;
            let told = [acme.partner];
            erase::forget(&world.gateway, &actor("officer"), no, &told).await.unwrap();
            let after = kept(&world, acme, &page.receipt).await;

            let log = TlogPolicy::of_log(signer().verifier().clone());
            for text in before.iter().chain(&between).chain(&after) {
                assert_eq!(verify_receipt(text, &log).unwrap().index, page.receipt.index());
            }
            let index = page.receipt.index();
            let hashes = world
                .store
                .read_blocking(move |tx| audit_rows::find_projection(tx, index))
                .unwrap()
                .unwrap()
                .item_hashes;
            let root = root_of(&hashes);
            let inner = Grown::new(Frontier::new(), &hashes);
            for number in [1, 2, 4, 5] {
                let contact = ContactNo(number);
                let rows =
                    world.store.read_blocking(move |tx| audit_rows::list_disclosures(tx, contact));
                let row = rows.unwrap().remove(0);
                let place = u64::from(row.position);
                let path = inner.inclusion(place).unwrap();
                let leaf = Hash::leaf(&row.item);
                let size = hashes.len() as u64;
                assert!(verify_inclusion(&leaf, place, size, &path, &root).is_ok(), "{number}");
            }
            assert!(world.verify().is_sound(), "{:?}", world.verify().findings);
        });
    }
}

/// Runs a command of the program and gives its exit code and its JSON.
fn run(installed: &Installed, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = installed.run(&[&["--json"], arguments].concat());
    let text = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    (output.status.code(), serde_json::from_slice(text).unwrap())
}

#[test]
fn the_command_asks_before_it_erases_and_names_whom_to_tell() {
    wait(async {
        let fill = async |world: &World| {
            let acme = world.reseller("acme").await;
            world.people(2).await;
            world.pull(acme, 10).await.unwrap();
        };
        let (installed, ()) = Installed::new(Database::Sqlite, fill).await;
        let file = installed.home().join("address");
        std::fs::write(&file, address(1)).unwrap();
        let erase = ["person", "erase", "--email-file", file.to_str().unwrap()];
        let with = |more: &[&str]| run(&installed, &[&erase, more].concat());

        let (code, asked) = with(&[]);
        assert_eq!(code, Some(6), "{asked}");
        assert!(asked["hint"].as_str().unwrap().contains("--dry-run"), "{asked}");
        let (code, foreseen) = with(&["--dry-run"]);
        assert_eq!((code, &foreseen["must_be_told"][0]), (Some(0), &"acme".into()));
        assert_eq!((&foreseen["fields"], &foreseen["items"]), (&17.into(), &3.into()));
        let (code, wrong) = with(&["--yes", "--ground", "boredom"]);
        assert_eq!(code, Some(6), "{wrong}");

        let (code, gone) = with(&["--yes", "--ground", "obligation"]);
        assert_eq!((code, &gone["contact"]), (Some(0), &2.into()), "{gone}");
        assert_eq!((&gone["must_be_told"][0], &gone["forgotten"]), (&"acme".into(), &Value::Null));
        let (_, waiting) = run(&installed, &["person", "forget"]);
        assert_eq!(waiting["waiting"][0]["contact"], 2);
        let words = String::from_utf8(installed.run(&["person", "forget"]).stdout).unwrap();
        assert_eq!(words, "contact 2: no answer yet from: acme\n");
        let (code, early) = run(&installed, &["person", "forget", "2"]);
        assert_eq!(code, Some(5), "{early}");
        let (code, done) = run(&installed, &["person", "forget", "2", "--told", "acme"]);
        assert_eq!(code, Some(0), "{done}");
        let (_, none) = run(&installed, &["person", "forget"]);
        assert_eq!(none["waiting"], Value::Array(Vec::new()));
        let asks = ["person", "who", "--email-file", file.to_str().unwrap()];
        let (code, who) = run(&installed, &asks);
        assert_eq!((code, &who["state"]), (Some(0), &"erased".into()));

        // In words: whom the gate asks, and what comes when they have answered.
        std::fs::write(&file, address(0)).unwrap();
        let words = installed.run(&[&erase[..], &["--dry-run"]].concat());
        let words = String::from_utf8(words.stdout).unwrap();
        assert!(words.contains("would be recalled from, or asked already: acme"), "{words}");

        // Both at once when everybody was told beforehand.
        let (code, gone) = with(&["--yes", "--told", "acme"]);
        assert_eq!((code, gone["forgotten"].is_u64()), (Some(0), true), "{gone}");
        let (code, sound) = run(&installed, &["ledger", "verify"]);
        assert_eq!(code, Some(0), "{sound}");
    });
}
