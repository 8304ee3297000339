//! The role that the guide makes on `PostgreSQL` serves, and cannot rewrite the ledger.

use fieldgate::flows::release;
use fieldgate::flows::withdraw;
use fieldgate::secret::Personal;

use crate::harness::world::{actor, address, offers, replica};
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
