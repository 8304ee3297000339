//! An auditor asks the ledger over mutual TLS, and believes nothing: every answer is proved with
//! the log's key alone.

use fieldgate::clock::DAY;
use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use fieldgate::ledger::entry::ReadEntry;
use fieldgate::ledger::verify::verify_receipt;
use fieldgate::ledger::{Item, Kind};
use fieldgate::merkle::Hash;
use fieldgate::merkle::key::Verifier;
use fieldgate::merkle::policy::Policy;
use fieldgate::merkle::proof::verify_inclusion;
use serde_json::{Value, json};

use super::forms::assert_problem;
use crate::harness::wire::{Answer, Wire};
use crate::harness::world::address;
use crate::harness::{Badge, Database, Doors, World, databases, wait};

/// Somebody at the door with a token.
struct Guest {
    wire: Wire,
    token: String,
}

impl Guest {
    fn enter(doors: &Doors, badge: &Badge) -> Self {
        let mut wire = doors.wire(badge);
        let token = wire.token(&badge.asker.partner.to_string(), None);
        Self { wire, token }
    }

    fn post(&mut self, path: &str, kind: &str, body: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
        self.wire.call("POST", path, &headers, body)
    }

    fn ask(&mut self, path: &str, question: &Value) -> Answer {
        self.post(path, "application/json", question.to_string().as_bytes())
    }

    fn answer(&mut self, path: &str, question: &Value) -> Value {
        let answer = self.ask(path, question);
        assert_eq!(answer.says(), "200 ", "{question}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.json()
    }

    /// The entry of an index, proved offline by its receipt.
    fn prove(&mut self, index: u64, log: &Policy) -> ReadEntry {
        let receipt = self.wire.get(&self.token, &format!("/v1/receipts/{index}"));
        let text = String::from_utf8(receipt.body).unwrap();
        let proved = verify_receipt(&text, log).unwrap();
        assert_eq!(proved.index, index);
        assert!(!proved.bytes.contains(&b'@'), "no entry holds an address");
        proved.entry
    }
}

struct House {
    world: World,
    doors: Doors,
    reseller: Badge,
    auditor: Badge,
    log: Policy,
}

/// Three people; a reseller pulled them five times, and a distributor who may not asked once.
fn house(database: Database) -> House {
    let (world, reseller, auditor) = wait(async {
        let world = World::new(database).await;
        let reseller = world.badge("acme", PartnerKind::Reseller).await;
        let fields = Purpose::Offers.row().fields_max;
        world.grant(reseller.asker.partner, Purpose::Offers, fields).await;
        let auditor = world.badge("chamber", PartnerKind::Auditor).await;
        world.people(3).await;
        for _ in 0..5 {
            world.pull(reseller.asker, 10).await.unwrap();
        }
        world.refusals(&reseller, 2).await;
        (world, reseller, auditor)
    });
    let key = fieldgate::flows::audit::log_key(&world.gateway);
    let log = Policy::of_log(Verifier::parse(&key).unwrap());
    let doors = Doors::open(&world);
    House { world, doors, reseller, auditor, log }
}

/// Checks that the person's items hang below the entry, and gives their fields.
fn person_below(entry: &ReadEntry, row: &Value) -> FieldSet {
    let tree = entry.items.unwrap();
    let mut fields = FieldSet::NONE;
    for item in row["items"].as_array().unwrap() {
        let path = item["path"].as_array().unwrap();
        let path: Vec<Hash> =
            path.iter().map(|hash| Hash::from_base64(hash.as_str().unwrap()).unwrap()).collect();
        let bytes = item["item"].as_str().unwrap().as_bytes();
        let position = item["position"].as_u64().unwrap();
        let count = u64::from(tree.count);
        verify_inclusion(&Hash::leaf(bytes), position, count, &path, &tree.root).unwrap();
        fields = fields.or(Item::parse(bytes).unwrap().fields);
    }
    fields
}

#[test]
fn an_auditor_asks_who_has_a_persons_data_and_proves_every_hit_offline() {
    for database in databases() {
        let House { world, doors, reseller, auditor, log } = house(database);
        let mut guest = Guest::enter(&doors, &auditor);
        let who = guest.answer("/v1/audit/who", &json!({ "email": address(1) }));
        let holding = &who["holdings"][0];
        assert_eq!(who["holdings"].as_array().unwrap().len(), 1, "{who}");
        assert_eq!(holding["partner"], reseller.asker.partner.to_string());
        assert_eq!(
            (&holding["legal_name"], &holding["recall"]),
            (&"acme Ltd".into(), &Value::Null)
        );
        let entries = holding["entries"].as_array().unwrap();
        assert_eq!(entries.len(), 5);
        // Each value is the one that the entries tell.
        let facts: Vec<_> =
            entries.iter().map(|index| guest.prove(index.as_u64().unwrap(), &log).facts).collect();
        assert_eq!(holding["purpose"], facts[0].purpose.unwrap().code());
        assert_eq!(holding["policy_version"], facts[4].policy.unwrap().0);
        assert_eq!(holding["first"], facts[0].at.rfc3339());
        assert_eq!(holding["last"], facts[4].at.rfc3339());
        let lease = i64::from(Purpose::Offers.row().lease_days) * DAY;
        assert_eq!(holding["use_until"], facts[4].at.plus(lease).day());
        let fields: Vec<_> = facts[0].fields.unwrap().iter().map(Field::code).collect();
        assert_eq!(holding["fields"], json!(fields));
        assert_eq!((&holding["must_be_told"], &who["state"]), (&false.into(), &"active".into()));
        for (index, receipt) in entries.iter().zip(holding["receipts"].as_array().unwrap()) {
            assert_eq!(*receipt, format!("/v1/receipts/{index}"));
            let facts = guest.prove(index.as_u64().unwrap(), &log).facts;
            assert_eq!(facts.kind, Kind::Release);
            assert_eq!(facts.partner, Some(reseller.asker.partner));
        }

        // The same people by another way: page by page, each with the path to the person.
        let mut question = json!({
            "email": address(1), "kind": "release", "partner": "acme", "purpose": "offers",
            "fields": ["email"], "limit": 2, "oldest_first": true,
        });
        let mut found = Vec::new();
        loop {
            let page = guest.answer("/v1/audit/find", &question);
            for row in page["rows"].as_array().unwrap() {
                let index = row["index"].as_u64().unwrap();
                let entry = guest.prove(index, &log);
                let fields = person_below(&entry, row);
                let named: Vec<_> = fields.iter().map(Field::code).collect();
                assert_eq!(row["person_fields"], json!(named));
                assert_eq!(row["certificate"], reseller.asker.certificate.to_string());
                found.push(Value::from(index));
            }
            match page["next"].as_str() {
                Some(next) => question["cursor"] = next.into(),
                None => break,
            }
        }
        assert_eq!(&found, entries);

        // Each question is an entry that names the auditor and the person's reference.
        let asked =
            guest.answer("/v1/audit/find", &json!({ "kind": "audit.query", "email": address(1) }));
        let asked = asked["rows"].as_array().unwrap();
        assert_eq!(asked.len(), 4, "who, and three pages");
        let oldest = asked.last().unwrap()["index"].as_u64().unwrap();
        assert_eq!(oldest, who["entry"].as_u64().unwrap());
        for row in asked {
            let entry = guest.prove(row["index"].as_u64().unwrap(), &log);
            assert_eq!(entry.facts.partner, Some(auditor.asker.partner));
            assert_eq!(entry.items.unwrap().count, 1);
            person_below(&entry, row);
        }
        let report = world.verify();
        assert!(report.is_sound(), "{:?}", report.findings);
    }
}

#[test]
fn each_member_of_a_question_finds_the_entries_that_say_so_and_no_others() {
    for database in databases() {
        let House { world, doors, reseller, auditor, .. } = house(database);
        let mut guest = Guest::enter(&doors, &auditor);
        let mut find = |question: Value| -> Vec<Value> {
            guest.answer("/v1/audit/find", &question)["rows"].as_array().unwrap().clone()
        };
        let all = find(json!({ "limit": 1000 }));
        let known = all.len() as u64;
        let index = |row: &Value| row["index"].as_u64().unwrap();
        for member in
            ["certificate", "kind", "decision", "operation", "purpose", "reason", "policy_version"]
        {
            let mut values: Vec<Value> =
                all.iter().map(|row| row[member].clone()).filter(|one| !one.is_null()).collect();
            values.sort_by_key(Value::to_string);
            values.dedup();
            assert!(!values.is_empty(), "{member}");
            for value in values {
                let expected: Vec<u64> =
                    all.iter().filter(|row| row[member] == value).map(index).collect();
                let found = find(json!({ (member): value, "limit": 1000 }));
                let found: Vec<u64> = found.iter().map(index).filter(|one| *one < known).collect();
                assert_eq!(found, expected, "{member} {value}");
            }
        }
        let partner = reseller.asker.partner.to_string();
        let expected: Vec<u64> =
            all.iter().filter(|row| row["partner"] == partner.as_str()).map(index).collect();
        let found = find(json!({ "partner": "acme", "limit": 1000 }));
        assert_eq!(found.iter().map(index).collect::<Vec<_>>(), expected);
        drop(world);
    }
}

#[test]
fn refusals_are_found_by_their_reason_and_a_stranger_is_not_tried_unrecorded() {
    for database in databases() {
        let House { world, doors, auditor, log, .. } = house(database);
        let mut guest = Guest::enter(&doors, &auditor);
        let refused = guest.answer("/v1/audit/find", &json!({ "decision": "withhold" }));
        let rows = refused["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 2);
        let reason = rows[0]["reason"].as_str().unwrap();
        let same =
            guest.answer("/v1/audit/find", &json!({ "reason": reason, "from": "2026-01-01" }));
        assert_eq!(same["rows"], refused["rows"]);
        assert_eq!(
            guest.prove(rows[1]["index"].as_u64().unwrap(), &log).facts.kind,
            Kind::Withhold
        );
        let none = guest.answer("/v1/audit/find", &json!({ "until": "2020-01-01T00:00:00+01:00" }));
        assert_eq!((&none["rows"], &none["next"]), (&json!([]), &Value::Null));

        for (place, path) in (0..).zip(["/v1/audit/who", "/v1/audit/find"]) {
            let before = world.verify().head.size;
            let stranger = guest.ask(path, &json!({ "email": "stranger@example.com" }));
            assert_problem(&stranger, "404 not_found", path);
            assert_eq!(world.verify().head.size, before + 1, "{place}: the question is an entry");
            let entry = guest.prove(before, &log);
            assert_eq!(entry.facts.kind, Kind::AuditQuery);
            assert_eq!((entry.facts.partner, entry.items), (Some(auditor.asker.partner), None));
        }
    }
}

#[test]
fn questions_are_for_auditors_and_what_is_no_question_is_refused_before_it_is_recorded() {
    let House { world, doors, reseller, auditor, .. } = house(Database::Sqlite);
    let mut partner = Guest::enter(&doors, &reseller);
    for (path, question) in
        [("/v1/audit/find", json!({})), ("/v1/audit/who", json!({ "email": address(0) }))]
    {
        let refused = partner.ask(path, &question);
        assert_problem(&refused, "403 insufficient_scope", path);
    }
    let mut guest = Guest::enter(&doors, &auditor);
    let other = guest.answer("/v1/audit/find", &json!({ "limit": 1 }))["next"].clone();
    let before = world.verify().head.size;
    for (question, says) in [
        (json!({ "emial": "x@example.com" }), "400 invalid_body"),
        (json!({ "email": 7 }), "400 invalid_body"),
        (json!([]), "400 invalid_body"),
        (json!({ "limit": 65536 }), "400 invalid_body"),
        (json!({ "email": "not an address" }), "422 invalid_content"),
        (json!({ "limit": 0 }), "422 invalid_content"),
        (json!({ "limit": 1001 }), "422 invalid_content"),
        (json!({ "kind": "secret" }), "422 invalid_content"),
        (json!({ "kind": "choice", "decision": "release" }), "422 invalid_content"),
        (json!({ "decision": "choice" }), "422 invalid_content"),
        (json!({ "operation": "" }), "422 invalid_content"),
        (json!({ "operation": "a b" }), "422 invalid_content"),
        (json!({ "policy_version": 0 }), "422 invalid_content"),
        (json!({ "fields": ["email", "email"] }), "422 invalid_content"),
        (json!({ "fields": ["shoe_size"] }), "422 invalid_content"),
        (json!({ "from": "yesterday" }), "422 invalid_content"),
        (json!({ "certificate": "ab" }), "422 invalid_content"),
        (json!({ "partner": "nobody" }), "404 not_found"),
        (json!({ "cursor": "x" }), "400 invalid_cursor"),
        (json!({ "cursor": other, "kind": "release" }), "400 invalid_cursor"),
    ] {
        assert_problem(&guest.ask("/v1/audit/find", &question), says, &question.to_string());
    }
    let twice = br#"{"kind":"release","kind":"release"}"#;
    let twice = guest.post("/v1/audit/find", "application/json", twice);
    assert_problem(&twice, "400 invalid_body", "a member twice");
    for path in ["/v1/audit/find", "/v1/audit/who"] {
        let form = guest.post(path, "application/x-www-form-urlencoded", b"email=x");
        assert_problem(&form, "415 unsupported_media_type", path);
    }
    for question in
        [json!({}), json!({ "email": null }), json!({ "email": "x", "kind": "release" })]
    {
        let refused = guest.ask("/v1/audit/who", &question);
        assert_problem(&refused, "400 invalid_body", &question.to_string());
    }
    assert_eq!(world.verify().head.size, before, "none of these was a question");
}
