//! The role that the guide makes on `PostgreSQL` serves, and cannot rewrite the ledger.

use fieldgate::clock::{Clock, Moment, SECOND};
use fieldgate::flows::outside::{self, Reach};
use fieldgate::flows::{checkpoints, release, withdraw};
use fieldgate::secret::Personal;
use fieldgate::store::witness_rows::{self, Cosignature};
use fieldgate::store::{EvidenceTx, OpenOptions, Store, StoreError, Url, outsider_rows};

use crate::harness::world::{actor, address, offers, replica, replica_at};
use crate::harness::{Database, World, postgres, wait};

const GUIDE: &str = include_str!("../../../docs/guides/run.md");
const RETAIN: &str = include_str!("../../../docs/guides/retain.md");

/// The statements of the guide that make the serving role, for a database of this name.
fn statements(database: &str) -> String {
    let blocks = GUIDE.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let role = blocks.filter(|block| block.contains("CREATE ROLE fieldgate_gate"));
    let text: String = role.collect();
    assert!(text.contains("ON DATABASE fieldgate TO"), "the guide no longer makes the role");
    text.replace("ON DATABASE fieldgate TO", &format!("ON DATABASE {database} TO"))
}

#[test]
fn the_role_of_the_guide_serves_and_cannot_rewrite_the_ledger() {
    let Some(server) = postgres::server() else { return };
    wait(async {
        let world = World::new(Database::Postgres).await;
        let acme = world.reseller("acme").await;
        world.people(3).await;
        let database = world.url.rsplit('/').next().unwrap().to_owned();
        server.sql_in(&database, &statements(&database));

        let url = world.url.replace("//fieldgate@", "//fieldgate_gate@");
        let (gateway, sequencer) = replica(&url, &world.master);
        let page = release::page(&gateway, acme, offers(10)).await.unwrap();
        assert_eq!(page.leads.len(), 3);
        let who = Personal::new(address(1));
        withdraw::withdraw(&gateway, &actor("officer"), &who).await.unwrap();
        let page = release::page(&gateway, acme, offers(10)).await.unwrap();
        assert_eq!(page.leads.len(), 2);
        sequencer.close();
        publishes_and_keeps_what_outsiders_say(&url, &world).await;

        for statement in [
            "UPDATE ledger_entry SET body = body",
            "DELETE FROM ledger_entry",
            "TRUNCATE ledger_entry CASCADE",
            "UPDATE ledger_tile SET root = root",
            "DELETE FROM ledger_tile",
            "DELETE FROM ledger_projection",
            "UPDATE ledger_items SET idx = idx",
            "UPDATE disclosed_item SET pos = pos",
            "DROP TABLE ledger_entry_0",
            "ALTER TABLE ledger_entry DETACH PARTITION ledger_entry_0",
            "DELETE FROM ledger_head",
            "UPDATE ledger_log SET origin = 'other'",
            "ALTER TABLE ledger_entry DISABLE TRIGGER ALL",
            "UPDATE ledger_log SET min_index = 0",
            "DELETE FROM ledger_items",
            "DROP TABLE ledger_entry CASCADE",
            "CREATE TABLE mine (id int)",
        ] {
            let says = server.refused(("fieldgate_gate", &database), statement);
            let denied = says.contains("permission denied") || says.contains("must be owner");
            assert!(denied, "{statement}: {says}");
        }
        prunes_and_no_more(server, &database);
        assert!(world.verify().is_sound());
    });
}

/// What jobs write beside entries: checkpoints, renewed each minute, and who vouched for them.
async fn publishes_and_keeps_what_outsiders_say(url: &str, world: &World) {
    let clock = Clock::fixed(Clock::System.now());
    let (gateway, sequencer) = replica_at(url, &world.master, clock.clone());
    let published = checkpoints::publish(&gateway).await.unwrap();
    outside::expect(&gateway, "witness", Reach::Far).await;
    for time in 1..3 {
        clock.advance(60 * SECOND);
        let turn = checkpoints::publish(&gateway).await.unwrap();
        assert_eq!((turn.size, turn.published), (published.size, true), "a heartbeat");
        outside::vouched(&gateway, "witness").await;
        let line = Cosignature {
            size: turn.size,
            witness: "w.example.com+00000001".to_owned(),
            line: "— w.example.com AAAAAQ==\n".to_owned(),
            at: Moment(time),
        };
        let keep = move |tx: &mut EvidenceTx| witness_rows::keep_cosignature(tx, &line);
        gateway_store(url).keep(keep).await.unwrap();
    }
    let (size, now) = (published.size, gateway.now());
    let kept = world.store.read_blocking(move |tx| {
        let lines = witness_rows::list_cosignatures(tx, size)?;
        Ok::<_, StoreError>((lines, outsider_rows::find_outsider(tx, "witness")?))
    });
    let (lines, vouched) = kept.unwrap();
    assert_eq!((lines.len(), lines[0].at, vouched), (1, Moment(2), Some(now)));
    sequencer.close();
}

fn gateway_store(url: &str) -> Store {
    Store::open(&Url::parse(url).unwrap(), OpenOptions::default()).unwrap()
}

/// The third role, which prunes: it may raise the number and delete what lies below, no more.
fn prunes_and_no_more(server: &postgres::Server, database: &str) {
    let block = RETAIN.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    server.sql_in(database, block);
    let role = ("fieldgate_prune", database);
    for permitted in [
        "UPDATE ledger_log SET min_index = 0",
        "DELETE FROM ledger_entry WHERE idx < 0",
        "DELETE FROM ledger_items WHERE idx < 0",
        "DELETE FROM ledger_projection WHERE idx < 0",
        "DELETE FROM disclosed_item WHERE idx < 0",
        "DELETE FROM idempotency WHERE idx < 0",
    ] {
        assert!(server.permits(role, permitted), "{permitted}");
    }
    for refused in [
        "DELETE FROM ledger_entry WHERE idx = 0",
        "DELETE FROM ledger_tile",
        "UPDATE ledger_log SET min_index = 256",
        "UPDATE ledger_log SET origin = 'other'",
        "ALTER TABLE ledger_entry DISABLE TRIGGER ALL",
    ] {
        assert!(!server.permits(role, refused), "{refused}");
    }
}
