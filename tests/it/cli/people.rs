//! Acting for a person at the command line: find, explain, choose, withdraw, who has the data.

use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use serde_json::Value;

use super::{failure, json, said};
use crate::harness::process::Installed;
use crate::harness::world::address;
use crate::harness::{databases, wait};

/// The commands that read an address.
fn ask(installed: &Installed, arguments: &[&str], email: &str, expected: i32) -> Value {
    let output = installed.run_with(&[&["--json"], arguments].concat(), email);
    if expected != 0 {
        failure(&output, expected);
        return Value::Null;
    }
    json(&output, 0)
}

fn explained<'a>(answer: &'a Value, field: &str) -> &'a Value {
    let fields = answer["fields"].as_array().unwrap();
    fields.iter().find(|one| one["field"] == field).unwrap()
}

#[test]
fn a_person_is_explained_opted_out_and_withdrawn_and_every_question_is_an_entry() {
    for database in databases() {
        let (installed, ()) = wait(Installed::new(database, async |world| {
            let acme = world.reseller("acme").await;
            let (other, _) = world.partner("other", PartnerKind::Reseller).await;
            let all = Purpose::Offers.row().fields_max;
            world.grant_in(other.partner, Purpose::Offers, all, "AT").await;
            world.people(2).await;
            world.pull(acme, 10).await.unwrap();
        }));
        let explain = |partner: &str, purpose: &str, expected: i32| {
            let question = ["explain", "--partner", partner, "--purpose", purpose];
            ask(&installed, &question, &address(0), expected)
        };
        let released = explain("acme", "offers", 0);
        assert_eq!(released["decision"], "release", "{released}");
        assert_eq!(explained(&released, "email")["released"], true);
        assert_eq!(explained(&released, "street_address")["reason"], "field_not_for_purpose");
        assert_eq!(explain("other", "offers", 0)["reason"], "outside_territory");
        assert_eq!(explain("acme", "support", 0)["reason"], "purpose_not_granted");
        explain("nobody", "offers", 4);
        explain("acme", "gossip", 6);

        let choose = ["person", "choose", "--purpose", "offers", "--no"];
        let foreseen = ask(&installed, &[&choose[..], &["--dry-run"]].concat(), &address(0), 0);
        assert_eq!(foreseen["must_be_told"], serde_json::json!(["acme Ltd"]), "{foreseen}");
        assert_eq!(explain("acme", "offers", 0)["decision"], "release", "a dry run changed it");
        let done = ask(&installed, &choose, &address(0), 0);
        assert_eq!(done["must_be_told"], serde_json::json!(["acme Ltd"]));
        assert_eq!(explain("acme", "offers", 0)["reason"], "opted_out");
        // A contract purpose knows no choice; a dry run says so too.
        let contract = ["person", "choose", "--purpose", "licensing", "--no"];
        ask(&installed, &contract, &address(0), 6);
        ask(&installed, &[&contract[..], &["--dry-run"]].concat(), &address(0), 6);

        let withdraw = ["person", "withdraw"];
        ask(&installed, &[&withdraw[..], &["--dry-run"]].concat(), &address(0), 0);
        let who = ask(&installed, &["person", "who"], &address(0), 0);
        assert_eq!(who["state"], "active");
        ask(&installed, &withdraw, &address(0), 0);
        ask(&installed, &withdraw, &address(0), 5);
        let who = ask(&installed, &["person", "who"], &address(0), 0);
        assert_eq!(who["state"], "withdrawn");
        let held = &who["holdings"][0];
        assert_eq!((&held["partner"], &held["must_be_told"]), (&"acme Ltd".into(), &true.into()));
        // Whoever must prove the disclosure gets its receipt by the entry the report names.
        let entry = held["entries"][0].to_string();
        let receipt = installed.run(&["ledger", "prove", &entry]);
        assert!(receipt.stdout.starts_with(b"c2sp.org/tlog-proof@v1\n"), "{}", said(&receipt));

        ask(&installed, &["person", "who"], "stranger@example.com", 4);
        ask(&installed, &["contacts", "find"], "no address", 6);
        ask(&installed, &["contacts", "find"], "", 6);
        let report = installed.verify(Vec::new());
        assert!(report.is_sound(), "{database:?}: {:?}", report.findings);
    }
}
