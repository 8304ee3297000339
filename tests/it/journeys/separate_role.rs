//! The role that the guide makes on `PostgreSQL` serves, and cannot rewrite the ledger.

use fieldgate::flows::release;
use fieldgate::flows::withdraw;
use fieldgate::secret::Personal;

use crate::harness::world::{actor, address, offers, replica};
use crate::harness::{Database, World, postgres, wait};

const GUIDE: &str = include_str!("../../../docs/guides/run.md");

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
            "DELETE FROM ledger_items",
            "UPDATE disclosed_item SET pos = pos",
            "DROP TABLE ledger_entry_0",
            "ALTER TABLE ledger_entry DETACH PARTITION ledger_entry_0",
            "DELETE FROM ledger_head",
            "UPDATE ledger_log SET origin = 'other'",
            "ALTER TABLE ledger_entry DISABLE TRIGGER ALL",
            "DROP TABLE ledger_entry CASCADE",
            "CREATE TABLE mine (id int)",
        ] {
            let says = server.refused(("fieldgate_gate", &database), statement);
            let denied = says.contains("permission denied") || says.contains("must be owner");
            assert!(denied, "{statement}: {says}");
        }
        assert!(world.verify().is_sound());
    });
}
