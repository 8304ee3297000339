//! What the doors answer is what `/openapi.json` says: every described answer is fetched, and its
//! type, headers and body are held against the description.

use std::collections::BTreeSet;

use fieldgate::clock::Clock;
use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use serde_json::{Value, json};

use crate::harness::process::until;
use crate::harness::wire::{Answer, Wire};
use crate::harness::{Badge, Database, Doors, World, wait};

/// The words of JSON Schema that the document uses; another one must be added to `fits` first.
const WORDS: &[&str] = &[
    "$ref",
    "additionalProperties",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "oneOf",
    "properties",
    "required",
    "type",
];

/// Headers that some answers of an operation have and others do not: a batch that is answered a
/// second time names its entry in the body alone.
const PERHAPS: &[&str] = &["Ledger-Entry", "Ledger-Index", "Link", "Preference-Applied"];

/// Why a value is not what a schema says; nothing if it is.
fn complaints(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in schema.as_object().unwrap().keys() {
        assert!(WORDS.contains(&word.as_str()), "{word} is not understood here");
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let meant = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return complaints(document, meant, value, at);
    }
    let mut wrong = |why: &str| found.push(format!("{at} {why}: {value}"));
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        Value::Null => Vec::new(),
        kind => vec![kind.clone()],
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| kind == kind_of(value)) {
        wrong("has another type");
    }
    if schema["enum"].as_array().is_some_and(|codes| !codes.contains(value)) {
        wrong("is not one of the codes");
    }
    let number = value.as_i64();
    if number.is_some_and(|n| schema["minimum"].as_i64().is_some_and(|least| n < least)) {
        wrong("is too small");
    }
    if number.is_some_and(|n| schema["maximum"].as_i64().is_some_and(|most| n > most)) {
        wrong("is too large");
    }
    if let Some(ways) = schema["oneOf"].as_array() {
        let fitting = ways.iter().filter(|way| complaints(document, way, value, at).is_empty());
        if fitting.count() != 1 {
            wrong("is not exactly one of the forms");
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            found.push(format!("{at} lacks {name}"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let below = format!("{at}/{name}");
        match schema["properties"].get(name) {
            Some(schema) => found.extend(complaints(document, schema, member, &below)),
            None if schema["additionalProperties"] == json!(false) => {
                found.push(format!("{below} is not described"));
            }
            None => {}
        }
    }
    if let Some(schema) = schema.get("items") {
        for (place, item) in value.as_array().into_iter().flatten().enumerate() {
            found.extend(complaints(document, schema, item, &format!("{at}/{place}")));
        }
    }
    found
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The document, and which operations were seen to keep to it.
struct Description {
    document: Value,
    seen: BTreeSet<String>,
}

impl Description {
    fn read(doors: &Doors) -> Self {
        let answer = doors.public_wire().call("GET", "/openapi.json", &[], b"");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        Self { document: answer.json(), seen: BTreeSet::new() }
    }

    /// Holds an answer against what is said of this operation.
    fn check(&mut self, method: &str, path: &str, answer: &Answer) {
        let place = format!("{method} {path}");
        let operation = &self.document["paths"][path][method.to_ascii_lowercase()];
        let mut said = &operation["responses"][match answer.status {
            200 => "200",
            400..500 => "4XX",
            _ => "5XX",
        }];
        if let Some(reference) = said["$ref"].as_str() {
            said = self.document.pointer(&reference[1..]).unwrap();
        }
        assert!(said.is_object(), "{place} does not tell of {}", answer.status);
        if answer.status == 200 {
            for name in said["headers"].as_object().unwrap().keys() {
                let there = answer.header(&name.to_ascii_lowercase()).is_some();
                let may_lack = PERHAPS.contains(&name.as_str());
                assert!(there || may_lack, "{place} lacks {name}");
            }
            self.seen.insert(place.clone());
        }
        let Some(content) = said["content"].as_object() else {
            assert!(answer.body.is_empty(), "{place} has a body that nobody told of");
            return;
        };
        let (media, told) = content.iter().next().unwrap();
        let kind = answer.header("content-type").unwrap_or_default();
        assert_eq!(kind.split(';').next(), Some(media.as_str()), "{place}");
        if media.ends_with("json") {
            let wrong = complaints(&self.document, &told["schema"], &answer.json(), "");
            assert_eq!(wrong, Vec::<String>::new(), "{place} {}", answer.status);
        }
    }

    /// Everything described that was never seen.
    fn unseen(&self) -> Vec<String> {
        let paths = self.document["paths"].as_object().unwrap();
        let all = paths.iter().flat_map(|(path, item)| {
            let verbs = item.as_object().unwrap().keys().filter(|verb| *verb != "servers");
            verbs.map(move |verb| format!("{} {path}", verb.to_ascii_uppercase()))
        });
        all.filter(|one| !self.seen.contains(one)).collect()
    }
}

/// A partner at the door.
struct Guest {
    id: String,
    wire: Wire,
    token: String,
}

impl Guest {
    fn enter(doors: &Doors, badge: &Badge) -> Self {
        let id = badge.asker.partner.to_string();
        let mut wire = doors.wire(badge);
        let token = wire.token(&id, None);
        Self { id, wire, token }
    }

    fn get(&mut self, path: &str) -> Answer {
        self.wire.get(&self.token, path)
    }
}

fn check_public(said: &mut Description, doors: &Doors) {
    let mut public = doors.public_wire();
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource",
        "/oauth2/jwks.json",
        "/pki/ca.pem",
        "/pki/crl.der",
        "/problems",
        "/openapi.json",
    ] {
        said.check("GET", path, &public.call("GET", path, &[], b""));
    }
    for code in ["busy", "nothing"] {
        let answer = public.call("GET", &format!("/problems/{code}"), &[], b"");
        said.check("GET", "/problems/{code}", &answer);
    }
}

fn check_tokens(said: &mut Description, guest: &mut Guest) {
    let own = format!("client_id={}&token={}", guest.id, guest.token);
    let form = format!("grant_type=client_credentials&client_id={}", guest.id);
    let another = "grant_type=client_credentials&client_id=x";
    for form in [form.as_str(), "grant_type=password", another] {
        said.check("POST", "/oauth2/token", &guest.wire.form("/oauth2/token", form));
    }
    for form in [own.as_str(), "token=nonsense", ""] {
        let answer = guest.wire.form("/oauth2/introspect", form);
        said.check("POST", "/oauth2/introspect", &answer);
    }
    said.check("POST", "/oauth2/revoke", &guest.wire.form("/oauth2/revoke", "token=nonsense"));
    said.check("GET", "/v1/whoami", &guest.get("/v1/whoami"));
}

fn check_leads(said: &mut Description, guest: &mut Guest) {
    let page = guest.get("/v1/leads?purpose=offers&limit=1");
    said.check("GET", "/v1/leads", &page);
    let lead = page.json()["leads"][0]["lead_id"].as_str().unwrap().to_owned();
    let one = guest.get(&format!("/v1/leads/{lead}?purpose=offers"));
    said.check("GET", "/v1/leads/{id}", &one);
    let bearer = format!("Bearer {}", guest.token);
    let headers = [("authorization", bearer.as_str()), ("prefer", "receipt=inline")];
    let proved = guest.wire.call("GET", "/v1/leads?purpose=offers", &headers, b"");
    said.check("GET", "/v1/leads", &proved);
    let receipt = guest.get(page.json()["receipt"]["href"].as_str().unwrap());
    said.check("GET", "/v1/receipts/{index}", &receipt);
    for wrong in ["", "?purpose=offers&limit=0", "?purpose=news", "?purpose=offers&cursor=x"] {
        said.check("GET", "/v1/leads", &guest.get(&format!("/v1/leads{wrong}")));
    }
    said.check("GET", "/v1/receipts/{index}", &guest.get("/v1/receipts/999999"));
}

fn check_log(said: &mut Description, guest: &mut Guest) {
    let published = wait(until("a checkpoint is published", async || {
        let answer = guest.get("/ledger/v1/checkpoint");
        (answer.status == 200).then_some(answer)
    }));
    said.check("GET", "/ledger/v1/checkpoint", &published);
    said.check("GET", "/ledger/v1/checkpoint.latest", &guest.get("/ledger/v1/checkpoint.latest"));
    for (path, asked) in [
        ("/ledger/v1/tile/{path}", ["tile/0/000.p/1", "tile/0/0", "tile/9/999"]),
        (
            "/ledger/v1/tile/entries/{path}",
            ["tile/entries/000.p/2", "tile/entries/x", "tile/entries/999"],
        ),
        (
            "/ledger/v1/proof/inclusion",
            [
                "proof/inclusion?index=0&size=3",
                "proof/inclusion",
                "proof/inclusion?index=1&size=99999",
            ],
        ),
        (
            "/ledger/v1/proof/consistency",
            [
                "proof/consistency?from=1&to=3",
                "proof/consistency?from=x&to=3",
                "proof/consistency?from=3&to=1",
            ],
        ),
    ] {
        for asked in asked {
            said.check("GET", path, &guest.get(&format!("/ledger/v1/{asked}")));
        }
    }
}

fn check_intake(said: &mut Description, guest: &mut Guest) {
    let contact = json!({
        "collection_point": "trial",
        "collected_at": Clock::System.now().rfc3339(),
        "policy_version": 1,
        "wording_hash": "03".repeat(32),
        "fields": { "email": "new@example.com", "country": "DE" },
    });
    let body = json!({ "contacts": [contact] });
    let schema = &said.document["components"]["schemas"]["Batch"];
    assert_eq!(complaints(&said.document, schema, &body, ""), Vec::<String>::new());
    let body = body.to_string();
    let bearer = format!("Bearer {}", guest.token);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", "once"),
    ];
    let first = guest.wire.call("POST", "/v1/contacts", &headers, body.as_bytes());
    assert_eq!(first.header("ledger-index"), Some(&*first.json()["entry"].to_string()));
    for answer in [
        first,
        guest.wire.call("POST", "/v1/contacts", &headers, body.as_bytes()),
        guest.wire.call("POST", "/v1/contacts", &headers, b"{}"),
    ] {
        said.check("POST", "/v1/contacts", &answer);
    }
}

/// The person of the questions says no, and the partner is told and answers.
fn check_recalls(said: &mut Description, world: &World, guest: &mut Guest) {
    wait(world.says_to_offers(0, false));
    let poll = "/v1/recalls/poll";
    let mut ask = |path: &str, body: &str| guest.wire.post(&guest.token, path, body.as_bytes());
    let told = ask(poll, "{}");
    let id = told.json()["recalls"][0]["recall_id"].as_str().unwrap().to_owned();
    said.check("POST", poll, &told);
    said.check("POST", poll, &ask(poll, r#"{"limit":0}"#));
    let path = format!("/v1/recalls/{id}/result");
    for body in [r#"{"outcome":"refused","ground":"legal_claim"}"#, r#"{"outcome":"gone"}"#] {
        said.check("POST", "/v1/recalls/{id}/result", &ask(&path, body));
    }
}

fn check_questions(said: &mut Description, guest: &mut Guest) {
    let email = crate::harness::world::address(0);
    for (path, schema, question) in [
        ("/v1/audit/who", "WhoQuestion", json!({ "email": email })),
        (
            "/v1/audit/find",
            "Question",
            json!({ "email": email, "kind": "release", "limit": 1, "fields": ["email"] }),
        ),
        ("/v1/audit/find", "Question", json!({ "decision": "withhold", "oldest_first": true })),
    ] {
        let schema = &said.document["components"]["schemas"][schema];
        assert_eq!(complaints(&said.document, schema, &question, ""), Vec::<String>::new());
        let body = question.to_string();
        let answer = guest.wire.post(&guest.token, path, body.as_bytes());
        assert_eq!(answer.says(), "200 ", "{question}");
        said.check("POST", path, &answer);
        said.check("POST", path, &guest.wire.post(&guest.token, path, b"{]"));
    }
}

#[test]
fn every_answer_is_what_the_description_for_programs_says() {
    let (world, reseller, own, auditor) = wait(async {
        let world = World::new(Database::Sqlite).await;
        let reseller = world.badge("reseller", PartnerKind::Reseller).await;
        let own = world.badge("own", PartnerKind::InHouse).await;
        let fields = FieldSet::of(&[Field::Email, Field::Country, Field::Product]);
        world.grant(reseller.asker.partner, Purpose::Offers, fields).await;
        world.people(3).await;
        let auditor = world.badge("auditor", PartnerKind::Auditor).await;
        (world, reseller, own, auditor)
    });
    let doors = Doors::open(&world);
    let mut said = Description::read(&doors);
    check_public(&mut said, &doors);
    let mut guest = Guest::enter(&doors, &reseller);
    check_tokens(&mut said, &mut guest);
    check_leads(&mut said, &mut guest);
    check_recalls(&mut said, &world, &mut guest);
    check_intake(&mut said, &mut Guest::enter(&doors, &own));
    let mut auditor = Guest::enter(&doors, &auditor);
    check_log(&mut said, &mut auditor);
    check_questions(&mut said, &mut auditor);
    assert_eq!(said.unseen(), Vec::<String>::new(), "these were never called");
}

#[test]
fn an_answer_that_is_not_as_described_is_found() {
    let count = json!({ "type": "integer", "minimum": 0 });
    let document = json!({ "components": { "schemas": { "Count": count } } });
    let schema = json!({
        "type": "object",
        "properties": { "n": { "$ref": "#/components/schemas/Count" },
            "l": { "type": "array", "items": { "type": "string", "enum": ["a"] } } },
        "required": ["n"],
        "additionalProperties": false,
    });
    let wrong = |value: Value| complaints(&document, &schema, &value, "").len();
    assert_eq!(wrong(json!({ "n": 1, "l": ["a"] })), 0);
    for bad in [
        json!({}),
        json!({ "n": -1 }),
        json!({ "n": "1" }),
        json!({ "n": 1, "m": 1 }),
        json!({ "n": 1, "l": ["b"] }),
        json!([]),
    ] {
        assert!(wrong(bad.clone()) > 0, "{bad}");
    }
}
