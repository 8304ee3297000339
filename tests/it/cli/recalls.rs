//! Recalls at the command line: open one, list what waits, record what a partner says by mail.

use serde_json::Value;

use super::{failure, json, said};
use crate::harness::process::Installed;
use crate::harness::world::address;
use crate::harness::{databases, wait};

#[test]
fn staff_recall_list_tell_and_answer() {
    for database in databases() {
        let (installed, ()) = wait(Installed::new(database, async |world| {
            let (acme, other) = (world.reseller("acme").await, world.reseller("other").await);
            world.people(2).await;
            world.pull(acme, 10).await.unwrap();
            world.pull(other, 10).await.unwrap();
        }));
        let run = |arguments: &[&str], email: &str, code: i32| -> Value {
            let output = installed.run_with(&[&["--json"], arguments].concat(), email);
            if code == 0 {
                json(&output, 0)
            } else {
                failure(&output, code);
                Value::Null
            }
        };
        let she = address(0);
        let only = ["person", "recall", "--partner", "acme"];
        let foreseen = run(&[&only[..], &["--dry-run"]].concat(), &she, 0);
        assert_eq!(foreseen["must_be_told"], serde_json::json!(["acme Ltd"]));
        assert_eq!(run(&["recall", "list"], "", 0)["recalls"], serde_json::json!([]));
        let opened = run(&only, &she, 0);
        assert_eq!(opened["recalls"][0]["cause"], "staff", "{opened}");
        run(&only, &she, 6);
        run(&["person", "recall", "--partner", "nobody"], &she, 4);
        let left = run(&["person", "withdraw"], &she, 0);
        assert_eq!(left["must_be_told"], serde_json::json!(["other Ltd"]), "acme was asked");

        let page = run(&["recall", "list", "--limit", "1"], "", 0);
        let first = page["recalls"][0]["recall_id"].as_str().unwrap().to_owned();
        assert_eq!(page["next"], first.as_str());
        let rest = run(&["recall", "list", "--after", &first], "", 0);
        let second = rest["recalls"][0]["recall_id"].as_str().unwrap().to_owned();
        assert_eq!(rest["recalls"][0]["partner"], "other");
        assert_eq!(rest["recalls"].as_array().unwrap().len(), 1);

        assert_eq!(run(&["recall", "tell", &first], "", 0)["state"], "told");
        assert_eq!(run(&["recall", "tell", &first, "--received"], "", 0)["state"], "received");
        run(&["recall", "answer", &first, "--outcome", "gone"], "", 6);
        run(&["recall", "answer", &first, "--outcome", "refused"], "", 6);
        let answer = ["recall", "answer", first.as_str(), "--outcome", "erased"];
        assert_eq!(run(&answer, "", 0)["replayed"], false);
        assert_eq!(run(&answer, "", 0)["replayed"], true);
        run(&["recall", "answer", &first, "--outcome", "not_held"], "", 5);
        let strange = ["recall", "tell", "rcl_00000000000000000000000000000000"];
        run(&strange, "", 4);
        assert_eq!(installed.run(&["recall", "tell", "rcl_1"]).status.code(), Some(2));

        let refused = ["recall", "answer", second.as_str(), "--outcome", "refused"];
        let refused = [&refused[..], &["--ground", "legal_claim"]].concat();
        assert_eq!(run(&refused, "", 0)["state"], "refused");
        assert_eq!(run(&["recall", "list"], "", 0)["recalls"], serde_json::json!([]));
        let acme = run(&["recall", "list", "--all", "--partner", "acme"], "", 0);
        assert_eq!(acme["recalls"].as_array().unwrap().len(), 1);

        // The same in words, for people.
        let who = installed.run_with(&["person", "who"], &she);
        let words = said(&who);
        assert!(words.contains("erased") && words.contains("refused: legal_claim"), "{words}");
        let list = said(&installed.run(&["recall", "list", "--all"]));
        assert!(list.contains("led_") && list.contains("acme"), "{list}");
        let report = installed.verify(Vec::new());
        assert!(report.is_sound(), "{database:?}: {:?}", report.findings);
    }
}
