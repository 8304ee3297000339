//! Our own systems hand in contacts: once each, whole, or not at all, and nobody else may.

use fieldgate::clock::{Clock, DAY};
use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use serde_json::{Value, json};

use super::forms::assert_problem;
use crate::harness::wire::{Answer, Wire};
use crate::harness::{Badge, Database, Doors, World, databases, wait};

struct Desk {
    world: World,
    doors: Doors,
    badge: Badge,
    wire: Wire,
    token: String,
}

impl Desk {
    fn open(database: Database) -> Self {
        let (world, badge) = wait(async {
            let world = World::new(database).await;
            let badge = world.badge("website", PartnerKind::InHouse).await;
            let news = FieldSet::of(&[Field::Email]);
            world.grant(badge.asker.partner, Purpose::News, news).await;
            (world, badge)
        });
        let doors = Doors::open(&world);
        let mut wire = doors.wire(&badge);
        let token = wire.token(&badge.asker.partner.to_string(), Some("intake"));
        Self { world, doors, badge, wire, token }
    }

    fn post(&mut self, key: &str, body: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        self.wire.call("POST", "/v1/contacts", &headers, body)
    }

    fn send(&mut self, key: &str, body: &Value) -> Answer {
        self.post(key, body.to_string().as_bytes())
    }

    fn entries(&self) -> u64 {
        self.world.verify().entries
    }
}

fn contact(number: usize) -> Value {
    json!({
        "collection_point": "trial",
        "collected_at": Clock::System.now().rfc3339(),
        "policy_version": 1,
        "wording_hash": "03".repeat(32),
        "fields": { "email": format!("person-{number}@example.com"), "country": "DE" },
        "choices": { "offers": true },
    })
}

fn batch(numbers: std::ops::Range<usize>) -> Value {
    json!({ "contacts": numbers.map(contact).collect::<Vec<_>>() })
}

/// One contact with one member changed.
fn with(member: &str, value: Value) -> Value {
    let mut one = contact(1);
    one[member] = value;
    json!({ "contacts": [one] })
}

#[test]
fn a_batch_of_500_is_taken_once_and_its_replay_changes_nothing() {
    for database in databases() {
        let mut desk = Desk::open(database);
        let whole = batch(0..500);
        let begun = std::time::Instant::now();
        let mut answer = desk.send("first", &whole);
        // A machine under load may need longer than a request may take: the client sends the
        // same again under the same key, and it is never done twice.
        for _ in 0..20 {
            if matches!(answer.status, 408 | 503) {
                answer = desk.send("first", &whole);
            }
        }
        assert_eq!(answer.status, 200, "{}", answer.says());
        println!("{database:?}: 500 contacts in {:?}", begun.elapsed());
        let body = answer.json();
        if body["replayed"] != json!(true) {
            assert_eq!((&body["created"], &body["merged"]), (&json!(500), &json!(0)));
            assert_eq!(body["outcomes"].as_array().unwrap().len(), 500);
        }
        let entry = body["entry"].as_u64().unwrap();
        let before = desk.entries();

        let again = desk.send("first", &whole);
        assert_eq!(again.json(), json!({ "replayed": true, "entry": entry }));
        assert_problem(&desk.send("first", &batch(0..499)), "409 idempotency_conflict", "body");
        assert_problem(&desk.send("second", &batch(0..501)), "422 invalid_content", "501");
        assert_problem(&desk.send("third", &batch(0..0)), "422 invalid_content", "0");
        assert_eq!(desk.entries(), before, "{database:?}");

        let merged = desk.send("fourth", &batch(0..2));
        assert_eq!(merged.json()["merged"], 2);
        let receipt = desk.wire.get(&desk.token, &format!("/v1/receipts/{entry}"));
        assert_eq!(receipt.status, 200);
        assert!(desk.world.verify().is_sound());
    }
}

#[test]
fn a_submission_that_breaks_a_rule_is_named_and_nothing_of_it_is_kept() {
    let mut desk = Desk::open(Database::Sqlite);
    let email = |text: &str| json!({ "email": text });
    let tomorrow = Clock::System.now().plus(2 * DAY).rfc3339();
    let cases = [
        ("wording_hash", json!("04".repeat(32)), "/contacts/0/wording_hash"),
        ("policy_version", json!(2), "/contacts/0/policy_version"),
        ("policy_version", json!(0), "/contacts/0/policy_version"),
        ("policy_version", json!(-1), "/contacts/0/policy_version"),
        ("collected_at", json!(tomorrow), "/contacts/0/collected_at"),
        ("fields", json!({}), "/contacts/0/fields/email"),
        ("fields", json!({ "country": "DE" }), "/contacts/0/fields/email"),
        ("fields", email("nobody"), "/contacts/0/fields/email"),
        ("fields", email(""), "/contacts/0/fields/email"),
        ("fields", email("a@b.example\r\nbcc: c@d.example"), "/contacts/0/fields/email"),
        ("fields", email("a\0@b.example"), "/contacts/0/fields/email"),
        ("fields", json!({"email": "a@b.example", "country": "XX"}), "/contacts/0/fields/country"),
        ("fields", json!({"email": "a@b.example", "phone": "0"}), "/contacts/0/fields/phone"),
        (
            "fields",
            json!({"email": "a@b.example", "city": "x".repeat(500)}),
            "/contacts/0/fields/city",
        ),
        (
            "fields",
            json!({"email": "a@b.example", "trial_end": "soon"}),
            "/contacts/0/fields/trial_end",
        ),
    ];
    let before = desk.entries();
    for (at, (member, value, place)) in cases.into_iter().enumerate() {
        let answer = desk.send(&format!("key-{at}"), &with(member, value.clone()));
        assert_eq!(answer.status, 200, "{member} {value}: {}", answer.says());
        let body = answer.json();
        assert_eq!(body["invalid"], 1, "{member} {value}");
        assert_eq!(body["outcomes"][0]["at"], place, "{member} {value}");
        assert_eq!(body["entry"], Value::Null);
        assert!(!String::from_utf8(answer.body).unwrap().contains("b.example"), "echoed");
    }
    assert_eq!(desk.entries(), before);
    let mut mixed = batch(0..3);
    mixed["contacts"][1]["wording_hash"] = json!("04".repeat(32));
    let body = desk.send("mixed", &mixed).json();
    assert_eq!((&body["created"], &body["invalid"]), (&json!(2), &json!(1)));
}

#[test]
fn a_body_that_is_not_a_batch_is_a_clear_problem_and_leaves_no_entry() {
    let mut desk = Desk::open(Database::Sqlite);
    let before = desk.entries();
    let one = contact(1).to_string();
    let repeated = |from: &str, to: &str| {
        format!("{{\"contacts\":[{}]}}", one.replacen(from, to, 1)).into_bytes()
    };
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let malformed: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        b"\"contacts\"".to_vec(),
        b"{\"contacts\":{}}".to_vec(),
        b"{\"contacts\":[null]}".to_vec(),
        b"{\"contacts\":[{}]}".to_vec(),
        b"{\"contacts\":[],\"x\":1}".to_vec(),
        b"{\"contacts\":[],\"contacts\":[]}".to_vec(),
        b"{\"contacts\":[]} trailing".to_vec(),
        b"\xff\xfe{\"contacts\":[]}".to_vec(),
        b"{\"contacts\":[\"\xff\"]}".to_vec(),
        b"{\"contacts\":[\"\\ud800\"]}".to_vec(),
        vec![0; 100],
        deep.into_bytes(),
        with("fields", json!({"email": "a@b.example", "ip_address": "192.0.2.1"}))
            .to_string()
            .into(),
        with("fields", json!({"Email": "a@b.example"})).to_string().into(),
        with("fields", json!({"email": 7})).to_string().into(),
        with("fields", json!([])).to_string().into(),
        with("choices", json!({"offers": "yes"})).to_string().into(),
        with("choices", json!({"everything": true})).to_string().into(),
        with("policy_version", json!(1.5)).to_string().into(),
        with("policy_version", json!(99_999_999_999_u64)).to_string().into(),
        with("contact_no", json!(1)).to_string().into(),
        with("origin", json!("crm")).to_string().into(),
        repeated("\"country\":\"DE\"", "\"email\":\"x@y.example\""),
        repeated("\"offers\":true", "\"offers\":true,\"offers\":false"),
        repeated("\"policy_version\":1", "\"policy_version\":1,\"policy_version\":1"),
    ];
    for (at, body) in malformed.into_iter().enumerate() {
        let answer = desk.post(&format!("key-{at}"), &body);
        let place = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        assert_problem(&answer, "400 invalid_body", &place);
    }
    let wrong = [
        ("collection_point", json!("shop")),
        ("collected_at", json!("yesterday")),
        ("wording_hash", json!("03")),
    ];
    for (member, value) in wrong {
        let answer = desk.send("key", &with(member, value));
        assert_problem(&answer, "422 invalid_content", member);
    }
    assert_eq!(desk.entries(), before);
}

#[test]
fn headers_of_intake_are_checked_and_nobody_but_our_own_systems_hands_in() {
    let mut desk = Desk::open(Database::Sqlite);
    let body = batch(0..1).to_string();
    let bearer = format!("Bearer {}", desk.token);
    let json = ("content-type", "application/json");
    let token = ("authorization", bearer.as_str());
    let long = "k".repeat(129);
    let cases = [
        (vec![token, json], "400 idempotency_key_missing"),
        (
            vec![token, json, ("idempotency-key", "a"), ("idempotency-key", "a")],
            "400 idempotency_key_missing",
        ),
        (vec![token, json, ("idempotency-key", "")], "400 invalid_request"),
        (vec![token, json, ("idempotency-key", "a b")], "400 invalid_request"),
        (vec![token, json, ("idempotency-key", &long)], "400 invalid_request"),
        (vec![token, ("idempotency-key", "a")], "415 unsupported_media_type"),
        (
            vec![token, ("content-type", "text/csv"), ("idempotency-key", "a")],
            "415 unsupported_media_type",
        ),
        (
            vec![token, json, ("content-encoding", "gzip"), ("idempotency-key", "a")],
            "415 unsupported_media_type",
        ),
        (vec![json, ("idempotency-key", "a")], "401 token_missing"),
    ];
    for (headers, says) in cases {
        let answer = desk.wire.call("POST", "/v1/contacts", &headers, body.as_bytes());
        assert_problem(&answer, says, &format!("{headers:?}"));
    }
    let large = vec![b' '; 2 * 1024 * 1024 + 1];
    assert_problem(&desk.post("large", &large), "413 payload_too_large", "2 MiB");
    let charset =
        [token, ("content-type", "application/json; charset=utf-8"), ("idempotency-key", "b")];
    assert_eq!(desk.wire.call("POST", "/v1/contacts", &charset, body.as_bytes()).status, 200);

    let id = desk.badge.asker.partner.to_string();
    desk.token = desk.wire.token(&id, Some("news"));
    assert_problem(&desk.send("c", &batch(0..1)), "403 insufficient_scope", "scope news");
    let reseller = wait(async {
        let badge = desk.world.badge("reseller", PartnerKind::Reseller).await;
        let email = FieldSet::of(&[Field::Email]);
        desk.world.grant(badge.asker.partner, Purpose::Offers, email).await;
        badge
    });
    desk.doors.settle(&reseller, |status| status == 200);
    desk.wire = desk.doors.wire(&reseller);
    let id = reseller.asker.partner.to_string();
    let form = format!("grant_type=client_credentials&client_id={id}&scope=intake");
    assert_eq!(desk.wire.form("/oauth2/token", &form).says(), "400 invalid_scope");
    desk.token = desk.wire.token(&id, None);
    assert_problem(&desk.send("d", &batch(0..1)), "403 insufficient_scope", "a reseller");
}

#[test]
fn the_same_request_sent_eight_times_at_once_is_done_once() {
    for database in databases() {
        let desk = Desk::open(database);
        let before = desk.entries();
        let bearer = format!("Bearer {}", desk.token);
        let body = batch(0..20).to_string();
        let answers: Vec<_> = std::thread::scope(|scope| {
            let send = |_| {
                let mut wire = desk.doors.wire(&desk.badge);
                let (bearer, body) = (&bearer, &body);
                scope.spawn(move || {
                    let headers = [
                        ("authorization", bearer.as_str()),
                        ("content-type", "application/json"),
                        ("idempotency-key", "once"),
                    ];
                    wire.call("POST", "/v1/contacts", &headers, body.as_bytes())
                })
            };
            let sent: Vec<_> = (0..8).map(send).collect();
            sent.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let done = answers.iter().filter(|answer| answer.json()["created"] == 20).count();
        assert_eq!(done, 1, "{database:?}");
        for answer in &answers {
            let body = answer.json();
            let fine = match answer.status {
                200 => body["created"] == 20 || body["replayed"] == true,
                503 => answer.header("retry-after").is_some(),
                _ => false,
            };
            assert!(fine, "{database:?}: {} {body}", answer.says());
        }
        assert_eq!(desk.entries(), before + 1, "{database:?}");
    }
}
