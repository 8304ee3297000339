//! Asking the ledger at the command line, and checking what it gives without any database.

use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use serde_json::Value;

use super::{code, failure, json, said};
use crate::harness::process::Installed;
use crate::harness::world::address;
use crate::harness::{databases, wait};

fn indices(answer: &Value) -> Vec<u64> {
    answer["rows"].as_array().unwrap().iter().map(|row| row["index"].as_u64().unwrap()).collect()
}

#[test]
fn the_ledger_answers_page_by_page_and_records_each_question() {
    for database in databases() {
        let (installed, ()) = wait(Installed::new(database, async |world| {
            let acme = world.reseller("acme").await;
            let (other, _) = world.partner("other", PartnerKind::Reseller).await;
            let all = Purpose::Offers.row().fields_max;
            world.grant_in(other.partner, Purpose::Offers, all, "AT").await;
            world.people(3).await;
            for _ in 0..5 {
                world.pull(acme, 10).await.unwrap();
            }
        }));
        let find = |arguments: &[&str], email: &str| {
            let whole = [&["--json", "audit", "find"], arguments].concat();
            json(&installed.run_with(&whole, email), 0)
        };
        let releases = find(&["--partner", "acme", "--decision", "release"], "");
        assert_eq!(indices(&releases).len(), 5, "{releases}");
        assert!(releases["rows"][0]["fields"].as_array().unwrap().len() > 2);

        // Page by page, and each page is of the ledger as the first one saw it.
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut question = vec!["--kind", "release", "--limit", "2", "--oldest-first"];
            if let Some(cursor) = &cursor {
                question.extend(["--cursor", cursor.as_str()]);
            }
            let page = find(&question, "");
            seen.extend(indices(&page));
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        let mut newest = seen.clone();
        newest.reverse();
        assert_eq!(newest, indices(&releases));
        let stolen = cursor.unwrap();
        let other = ["--json", "audit", "find", "--kind", "withhold", "--cursor", stolen.as_str()];
        failure(&installed.run(&other), 6);

        // A person, by address; the question is the newest entry about her, and names no address.
        let ann = find(&["--person", "--fields", "email"], &address(0));
        assert_eq!(indices(&ann), indices(&releases));
        assert_eq!(ann["rows"][0]["people"], 3);
        let asked = find(&["--person", "--kind", "audit.query"], &address(0));
        let told = asked["rows"][0].to_string();
        assert!(told.contains("fields.ref") && !told.contains("example.com"), "{told}");
        assert_eq!(indices(&find(&["--from", "2999-01-01"], "")), [0_u64; 0]);
        failure(&installed.run_with(&["--json", "audit", "find", "--person"], "no@example.com"), 4);
        failure(&installed.run(&["--json", "audit", "find", "--partner", "nobody"]), 4);
        failure(&installed.run(&["--json", "audit", "find", "--limit", "1001"]), 6);
        let both = ["--json", "audit", "find", "--kind", "choice", "--decision", "release"];
        failure(&installed.run(&both), 6);

        let csv = installed.run(&["audit", "find", "--kind", "release", "--format", "csv"]);
        let csv = String::from_utf8(csv.stdout).unwrap();
        assert!(csv.starts_with("index,time,kind,") && csv.lines().count() == 6, "{csv}");
        let lines = installed.run(&["audit", "find", "--kind", "release", "--format", "jsonl"]);
        for line in String::from_utf8(lines.stdout).unwrap().lines() {
            assert_eq!(serde_json::from_str::<Value>(line).unwrap()["kind"], "release");
        }
        let who = json(&installed.run_with(&["--json", "audit", "who"], &address(0)), 0);
        assert_eq!(who["holdings"][0]["recall"], serde_json::Value::Null);
        assert!(installed.verify(Vec::new()).is_sound());
    }
}

/// Each flag, a value that some entries have, and the member of a row that says so.
const FLAGS: [(&str, &str); 9] = [
    ("--partner", "partner"),
    ("--certificate", "certificate"),
    ("--kind", "kind"),
    ("--decision", "decision"),
    ("--operation", "operation"),
    ("--purpose", "purpose"),
    ("--reason", "reason"),
    ("--policy", "policy_version"),
    ("--fields", "fields"),
];

#[test]
fn each_flag_finds_the_entries_that_say_so_and_no_others() {
    for database in databases() {
        let (installed, codes) = wait(Installed::new(database, async |world| {
            let (acme, other) = (world.reseller("acme").await, world.reseller("other").await);
            world.people(3).await;
            for partner in [acme, other, acme] {
                world.pull(partner, 10).await.unwrap();
            }
            let badge = world.badge("third", PartnerKind::Reseller).await;
            world.refusals(&badge, 2).await;
            [(acme.partner, "acme"), (other.partner, "other"), (badge.asker.partner, "third")]
        }));
        let find = |arguments: &[&str]| -> Vec<Value> {
            let whole = [&["--json", "audit", "find", "--limit", "1000"], arguments].concat();
            json(&installed.run(&whole), 0)["rows"].as_array().unwrap().clone()
        };
        let all = find(&[]);
        let known = all.len() as u64;
        let index = |row: &Value| row["index"].as_u64().unwrap();
        for (flag, member) in FLAGS {
            let said = |row: &Value| row[member].clone();
            let mut values: Vec<Value> =
                all.iter().map(said).filter(|one| !one.is_null()).collect();
            values.sort_by_key(Value::to_string);
            values.dedup();
            assert!(!values.is_empty(), "{member}");
            for value in values {
                let text = match &value {
                    Value::Array(names) => names[0].as_str().unwrap().to_owned(),
                    Value::String(id) if member == "partner" => {
                        let code = codes.iter().find(|(one, _)| one.to_string() == *id);
                        code.unwrap().1.to_owned()
                    }
                    Value::String(text) => text.clone(),
                    number => number.to_string(),
                };
                let says = |row: &&Value| match &row[member] {
                    Value::Array(names) => names.contains(&Value::from(text.clone())),
                    other => *other == value,
                };
                let expected: Vec<u64> = all.iter().filter(says).map(index).collect();
                let found = find(&[flag, &text]);
                let found: Vec<u64> = found.iter().map(index).filter(|one| *one < known).collect();
                assert_eq!(found, expected, "{flag} {text}");
            }
        }
        // Times: from is part of the answer, until is not.
        let middle = &all[all.len() / 2]["time"].as_str().unwrap();
        let at = |row: &Value| row["time"].as_str().unwrap().to_owned();
        let early = find(&["--until", middle]);
        let late = find(&["--from", middle]);
        let early: Vec<u64> = early.iter().map(index).collect();
        let late: Vec<u64> = late.iter().map(index).filter(|one| *one < known).collect();
        let before = |row: &&Value| at(row).as_str() < *middle;
        assert_eq!(early, all.iter().filter(before).map(index).collect::<Vec<_>>());
        assert_eq!(early.len() + late.len(), all.len(), "{database:?}");
    }
}

#[test]
fn a_bundle_is_accepted_offline_and_refused_once_it_is_touched() {
    for database in databases() {
        let (installed, ()) = wait(Installed::new(database, async |world| {
            let acme = world.reseller("acme").await;
            world.people(4).await;
            world.pull(acme, 10).await.unwrap();
        }));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ann.zip");
        let name = file.to_str().unwrap();
        let export = ["--json", "audit", "export", "--person", "--bundle", name];
        let written = json(&installed.run_with(&export, &address(1)), 0);
        assert!(written["entries"].as_u64().unwrap() >= 2, "{written}");
        let key = installed.log.to_string();
        let check = ["--json", "verify", "bundle", name, "--policy", key.as_str()];
        let verdict = json(&installed.run(&check), 0);
        assert_eq!(
            (&verdict["verified"], &verdict["entries"]),
            (&true.into(), &written["entries"])
        );
        let plain = installed.run(&["verify", "bundle", name, "--policy", key.as_str()]);
        assert!(said(&plain).contains("VERIFIED offline"), "{}", said(&plain));

        let proved = folder.path().join("who.zip");
        let proved = proved.to_str().unwrap();
        let who = ["--json", "audit", "who", "--bundle", proved];
        let who = json(&installed.run_with(&who, &address(1)), 0);
        assert_eq!(who["bundle"]["entries"], 1, "one release");
        assert_eq!(who["holdings"][0]["entries"].as_array().unwrap().len(), 1);
        let check = ["--json", "verify", "bundle", proved, "--policy", key.as_str()];
        assert_eq!(json(&installed.run(&check), 0)["entries"], 1);

        let mut bytes = std::fs::read(&file).unwrap();
        let place = bytes.len() / 2;
        bytes[place] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let check = ["--json", "verify", "bundle", name, "--policy", key.as_str()];
        failure(&installed.run(&check), 1);
        assert_eq!(code(&installed.run(&["verify", "bundle", name, "--policy", "missing"])), 3);
    }
}
