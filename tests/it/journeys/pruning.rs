//! Old entries lose their bodies: what is gone, what still proves, who may take them away.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use fieldgate::clock::{Clock, DAY, Moment};
use fieldgate::domain::erasure::ErasureGround;
use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use fieldgate::domain::retention::{ALIGNMENT, RetentionRule};
use fieldgate::flows::audit::Reader;
use fieldgate::flows::question::{self, Inquirer, Question, Search};
use fieldgate::flows::release::Asker;
use fieldgate::flows::retain::{self, Before};
use fieldgate::flows::{Error, Gateway, audit, erase, report};
use fieldgate::id::RequestId;
use fieldgate::ledger::prove::{ProveError, prove_consistency, prove_inclusion, root_at, serve};
use fieldgate::ledger::verify::{Finding, verify_receipt};
use fieldgate::ledger::{
    Archive as _, Draft, Entry, Facts, Kind, Notary, NotaryError, Prepared, Records as _,
    Sequencer, Shelf as _,
};
use fieldgate::merkle::Hash;
use fieldgate::merkle::policy::Policy as TlogPolicy;
use fieldgate::merkle::proof::{TreeHead, verify_consistency, verify_inclusion};
use fieldgate::merkle::tile::TilePath;
use fieldgate::secret::Personal;
use fieldgate::store::{ReadTx, StoreError, key_rows};
use fieldgate::vault::keyring::Keyring;

use crate::harness::process::Installed;
use crate::harness::world::{actor, address, signer};
use crate::harness::{Database, Doors, World, databases, forced, wait};

/// The gateway as it will be when the rule's time has run out.
fn in_two_years(world: &World) -> Gateway {
    let rows = world.store.read_blocking(key_rows::list_keys).unwrap();
    let keyring = Keyring::open(&world.master, &rows).unwrap();
    let clock = Clock::fixed(Moment(Clock::System.now().0 + 730 * DAY));
    let handles = (keyring, Notary::new(vec![signer()]));
    Gateway::new(world.store.clone(), world.sequencer.clone(), handles, clock)
}

fn rule() -> RetentionRule {
    RetentionRule::new(365).unwrap()
}

/// Appends entries that say nothing of interest until the ledger has this many: one that is
/// written again and again, straight to the shelf, because 65,536 receipts would take a minute.
fn fill(world: &World, size: u64) {
    let size = size.saturating_sub(look(world, |tx| tx.head().unwrap().size()));
    let facts = Facts::new(Kind::StaffAct, "fill", RequestId::new(), Clock::System.now());
    let entry = Entry::new(facts, Vec::new(), [7; 16]).unwrap();
    let mut shelf = world.store.shelf();
    let prepared = || Prepared::from(Draft::new(entry.clone()));
    let mut left = usize::try_from(size).unwrap();
    while left > 0 {
        let batch: Vec<_> = (0..left.min(512)).map(|_| prepared()).collect();
        left -= batch.len();
        shelf.append(batch).unwrap();
    }
}

fn look<T: Send + 'static>(world: &World, read: impl Fn(&mut ReadTx) -> T + Send + 'static) -> T {
    world.store.read_blocking(move |tx| Ok::<_, StoreError>(read(tx))).unwrap()
}

/// A ledger with a release at its beginning, and everything that was proved of it then.
struct Aged {
    world: World,
    acme: Asker,
    released: u64,
    leaf: Hash,
    receipt: String,
    old: TreeHead,
}

async fn aged(world: World, size: u64) -> Aged {
    let acme = world.reseller("acme").await;
    world.people(3).await;
    let page = world.pull(acme, 10).await.unwrap();
    let released = page.receipt.index();
    let old = look(&world, |tx| {
        let size = tx.head().unwrap().size();
        TreeHead { size, root: root_at(tx, size).unwrap() }
    });
    fill(&world, size);
    world.pull(acme, 10).await.unwrap();
    let leaf = page.receipt.entry().leaf();
    let receipt = page.receipt.proof().to_string();
    Aged { world, acme, released, leaf, receipt, old }
}

/// What holds below the border, after the pruning and after the sweep alike.
async fn proofs_hold(aged: &Aged, border: u64) {
    let Aged { world, acme, released, leaf, receipt, old } = aged;
    let log = TlogPolicy::of_log(signer().verifier().clone());
    assert_eq!(verify_receipt(receipt, &log).unwrap().index, *released);
    let (index, leaf, old) = (*released, *leaf, *old);
    look(world, move |tx| {
        let size = tx.head().unwrap().size();
        let root = root_at(tx, size).unwrap();
        let path = prove_inclusion(tx, index, size).unwrap();
        assert!(verify_inclusion(&leaf, index, size, &path, &root).is_ok());
        let path = prove_consistency(tx, old.size, size).unwrap();
        assert!(verify_consistency(&old, &TreeHead { size, root }, &path).is_ok());
        let at = |path: &str| TilePath::parse(path).unwrap();
        assert!(serve(tx, at("0/000")).is_ok());
        let gone = |error: &ProveError| matches!(error, ProveError::Pruned { min_index } if *min_index == border);
        assert!(gone(&serve(tx, at("entries/000")).unwrap_err()));
        assert!(gone(&serve(tx, at("entries/000.p/7")).unwrap_err()));
        let first_kept = TilePath { level: None, n: border / 256, width: 256 };
        assert!(serve(tx, first_kept).is_ok());
        let notary = Notary::new(vec![signer()]);
        let refused = notary.receipt(tx, index).unwrap_err();
        assert!(matches!(&refused, NotaryError::Prove(error) if gone(error)), "{refused}");
        assert!(notary.receipt(tx, border).is_ok());
    });
    let asked = audit::receipt(&world.gateway, Reader::Partner(acme.partner), index).await;
    assert!(matches!(asked, Err(Error::Gone(_))), "{asked:?}");
    let who = Personal::new(address(1));
    let found = report::who(&world.gateway, &actor("officer"), &who).await.unwrap();
    assert!(found.holdings[0].entries.iter().all(|entry| *entry >= border));
    let everything = Question {
        search: Search::default(),
        person: None,
        newest_first: false,
        limit: 3,
        cursor: None,
    };
    let by = Inquirer::from(&actor("officer"));
    let answer = question::ask(&world.gateway, &by, &everything).await.unwrap();
    let oldest: Vec<u64> = answer.hits.iter().map(|hit| hit.row.index).collect();
    assert_eq!(oldest, [border, border + 1, border + 2]);
    assert!(world.verify().is_sound(), "{:?}", world.verify().findings);
}

#[test]
fn what_is_pruned_is_gone_and_every_proof_holds() {
    for database in databases() {
        wait(async {
            let aged = aged(World::new(database).await, 1100).await;
            let world = &aged.world;
            let (rule, officer) = (rule().in_pieces_of(256), actor("officer"));
            let later = in_two_years(world);
            let young = retain::prune(&world.gateway, &officer, rule, Before::Index(512)).await;
            assert!(matches!(young, Err(Error::Invalid(_))), "{young:?}");
            let beyond = retain::foresee(&later, rule, Before::Index(1100)).await;
            assert!(matches!(beyond, Err(Error::Invalid(_))), "{beyond:?}");

            let before = look(world, |tx| tx.projections(512, 513).unwrap());
            let pruned = retain::prune(&later, &officer, rule, Before::Index(700)).await.unwrap();
            assert_eq!((pruned.what.min_index, pruned.what.border), (0, 512));
            let facts = pruned.receipt.entry().facts();
            assert_eq!(facts.detail.as_deref(), Some("below-512.keep-365d"));
            // Committed, not swept: a crash here leaves rows that nobody is served.
            proofs_hold(&aged, 512).await;
            // One stride, then another crash.
            assert!(world.store.sweeper().stride().unwrap().is_some());
            proofs_hold(&aged, 512).await;
            retain::sweep(&later, |_| {}).unwrap();
            proofs_hold(&aged, 512).await;

            look(world, |tx| {
                assert!(tx.bodies(0, 512).unwrap().is_empty());
                assert!(tx.projections(0, 512).unwrap().is_empty());
                assert!(tx.items(0, 512).unwrap().is_empty());
                assert_eq!(tx.bodies(512, 514).unwrap().len(), 2);
            });
            assert_eq!(look(world, |tx| tx.projections(512, 513).unwrap()), before);
            let again = retain::prune(&later, &officer, rule, Before::Index(512)).await;
            assert!(matches!(again, Err(Error::Invalid(_))), "{again:?}");
            // A process that starts on it finds its newest entries sound and goes on.
            assert!(Sequencer::start(world.store.shelf(), vec![signer()]).is_ok());
            world.pull(aged.acme, 10).await.unwrap();
            let more = retain::prune(&later, &officer, rule, Before::Index(800)).await.unwrap();
            assert_eq!((more.what.min_index, more.what.border), (512, 768));
            retain::sweep(&later, |_| {}).unwrap();
            proofs_hold(&aged, 768).await;
        });
    }
}

#[test]
fn the_database_lets_nothing_else_go_and_a_border_without_an_entry_is_found() {
    for database in databases() {
        wait(async {
            let aged = aged(World::new(database).await, 600).await;
            let world = &aged.world;
            for refused in [
                "DELETE FROM ledger_entry WHERE idx < 256",
                "DELETE FROM ledger_items WHERE idx < 256",
                "DELETE FROM ledger_projection WHERE idx < 256",
                "DELETE FROM ledger_log",
                "UPDATE ledger_log SET min_index = 255",
                "UPDATE ledger_log SET min_index = 65536",
                "UPDATE ledger_log SET min_index = -256",
            ] {
                assert!(!forced(&world.url, refused), "{database:?}: {refused}");
            }
            assert!(world.verify().is_sound());
            // An administrator can raise it, but no entry says so.
            assert!(forced(&world.url, "UPDATE ledger_log SET min_index = 256"));
            assert!(forced(&world.url, "DELETE FROM ledger_entry WHERE idx = 3"));
            assert!(!forced(&world.url, "DELETE FROM ledger_entry WHERE idx = 256"));
            assert!(!forced(&world.url, "UPDATE ledger_log SET min_index = 0"));
            assert_eq!(world.verify().findings, [Finding::Head("min_index")]);
        });
    }
}

#[test]
fn what_is_needed_to_tell_receivers_is_not_pruned() {
    for database in databases() {
        wait(async {
            let aged = aged(World::new(database).await, 600).await;
            let (world, officer) = (&aged.world, actor("officer"));
            let who = Personal::new(address(0));
            let ground = ErasureGround::Request;
            let no = erase::erase(&world.gateway, &officer, &who, ground).await.unwrap().contact;
            let (later, rule) = (in_two_years(world), rule().in_pieces_of(256));
            let refused = retain::prune(&later, &officer, rule, Before::Index(256)).await;
            assert!(matches!(refused, Err(Error::Conflict(..))), "{refused:?}");
            erase::forget(&later, &officer, no, &[aged.acme.partner]).await.unwrap();
            // By time: all that was written before the rule ends.
            let time = Before::Time(Moment(Clock::System.now().0 + DAY));
            let pruned = retain::prune(&later, &officer, rule, time).await;
            assert!(matches!(pruned, Err(Error::Invalid(_))), "the newest tile stays: {pruned:?}");
            retain::prune(&later, &officer, rule, Before::Index(256)).await.unwrap();
            retain::sweep(&later, |_| {}).unwrap();
            proofs_hold(&aged, 256).await;
        });
    }
}

#[test]
fn a_whole_piece_of_65_536_entries_goes_by_the_rule_as_it_is() {
    for database in databases() {
        wait(async {
            let aged = aged(World::new(database).await, ALIGNMENT + 300).await;
            let (later, officer) = (in_two_years(&aged.world), actor("officer"));
            let small = retain::prune(&later, &officer, rule(), Before::Index(ALIGNMENT - 1)).await;
            assert!(matches!(small, Err(Error::Invalid(_))), "{small:?}");
            let before = Before::Index(ALIGNMENT + 10);
            let pruned = retain::prune(&later, &officer, rule(), before).await.unwrap();
            assert_eq!(pruned.what.border, ALIGNMENT);
            let mut left = Vec::new();
            retain::sweep(&later, |entries| left.push(entries)).unwrap();
            assert!(left.is_sorted_by(|one, next| one >= next), "{left:?}");
            assert_eq!(left.last(), Some(&0));
            proofs_hold(&aged, ALIGNMENT).await;
        });
    }
}

#[test]
fn an_export_leaves_pruned_bundles_out_and_keeps_those_it_has() {
    wait(async {
        let prepare = async |world: &World| fill(world, 1100);
        let (installed, ()) = Installed::new(Database::Sqlite, prepare).await;
        let (early, late) = (installed.home().join("early"), installed.home().join("late"));
        let export = |to: &std::path::Path| {
            let output =
                installed.run(&["--json", "ledger", "export", "--dir", to.to_str().unwrap()]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
        };
        assert_eq!(export(&early)["pruned"], 0);
        let unwritten = installed.run(&["ledger", "prune", "--before", "512", "--yes"]);
        let says = String::from_utf8_lossy(&unwritten.stderr).into_owned();
        assert_eq!(unwritten.status.code(), Some(5), "{says}");
        assert!(says.contains("keep_days"), "{says}");

        let url = installed.url.clone();
        let mut connection =
            SqliteConnection::establish(url.strip_prefix("sqlite://").unwrap()).unwrap();
        connection.batch_execute("PRAGMA busy_timeout = 10000").unwrap();
        connection.batch_execute("UPDATE ledger_log SET min_index = 512").unwrap();
        let swept = installed.run(&["ledger", "prune"]);
        assert!(swept.status.success(), "{}", String::from_utf8_lossy(&swept.stderr));
        assert_eq!(installed.look(|tx| Ok(tx.bodies(0, 512).unwrap().len())), 0);

        assert_eq!(export(&late)["pruned"], 2);
        assert!(late.join("tile/0/000").exists() && !late.join("tile/entries/000").exists());
        assert!(late.join("tile/entries/002").exists());
        assert_eq!(export(&early)["pruned"], 0);
        assert!(early.join("tile/entries/000").exists());
        // The number was raised without an entry: that is found.
        let checked = installed.run(&["ledger", "verify"]);
        let says = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert_eq!(checked.status.code(), Some(1), "{says}");
        assert!(says.contains("min_index contradicts the entries"), "{says}");
    });
}

#[test]
fn a_pruned_receipt_or_bundle_answers_410_at_the_door() {
    let world = wait(World::new(Database::Sqlite));
    let (badge, auditor) = wait(async {
        let badge = world.badge("acme", PartnerKind::Reseller).await;
        let fields = Purpose::Offers.row().fields_max;
        world.grant(badge.asker.partner, Purpose::Offers, fields).await;
        world.people(2).await;
        (badge, world.badge("chamber", PartnerKind::Auditor).await)
    });
    let doors = Doors::open(&world);
    let mut wire = doors.wire(&badge);
    let token = wire.token(&badge.asker.partner.to_string(), Some("offers"));
    let page = wire.get(&token, "/v1/leads?purpose=offers");
    let receipt = format!("/v1/receipts/{}", page.header("ledger-index").unwrap());
    assert_eq!(wire.get(&token, &receipt).status, 200);
    fill(&world, 600);
    assert!(forced(&world.url, "UPDATE ledger_log SET min_index = 256"));
    assert_eq!(wire.get(&token, &receipt).says(), "410 gone");
    let mut wire = doors.wire(&auditor);
    let token = wire.token(&auditor.asker.partner.to_string(), None);
    for (run, says) in [
        ("entries/000", "410 gone"),
        ("entries/000.p/9", "410 gone"),
        ("entries/001", "200 "),
        ("0/000", "200 "),
    ] {
        assert_eq!(wire.get(&token, &format!("/ledger/v1/tile/{run}")).says(), says, "{run}");
    }
}
