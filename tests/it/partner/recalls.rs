//! A partner's system fetches what it must delete and answers, over real mutual TLS.

use std::collections::BTreeSet;

use fieldgate::clock::Moment;
use fieldgate::domain::contact::PointSet;
use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::grant::{Grant, Territory};
use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use fieldgate::flows::onboard;
use fieldgate::flows::recall::RECALLS_MAX;
use fieldgate::id::{GrantId, RecallId};
use fieldgate::ledger::Kind;
use fieldgate::ledger::verify::verify_receipt;
use fieldgate::merkle::key::Verifier;
use fieldgate::merkle::policy::Policy;
use serde_json::{Value, json};

use super::forms::assert_problem;
use crate::harness::wire::{Answer, Wire};
use crate::harness::world::{actor, address};
use crate::harness::{Badge, Doors, World, databases, wait};

/// A partner's system with a token.
struct System {
    wire: Wire,
    token: String,
}

impl System {
    fn enter(doors: &Doors, badge: &Badge) -> Self {
        let mut wire = doors.wire(badge);
        let token = wire.token(&badge.asker.partner.to_string(), None);
        Self { wire, token }
    }

    fn post(&mut self, path: &str, body: &str) -> Answer {
        self.wire.post(&self.token, path, body.as_bytes())
    }

    fn poll(&mut self, body: &Value) -> Value {
        let answer = self.post("/v1/recalls/poll", &body.to_string());
        assert_eq!(answer.says(), "200 ", "{body}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(!answer.body.contains(&b'@'), "no address leaves with a recall");
        answer.json()
    }

    fn answer(&mut self, id: &str, body: &Value) -> Answer {
        self.post(&format!("/v1/recalls/{id}/result"), &body.to_string())
    }
}

/// People who were released to acme, and to nobody else.
async fn shared(world: &World, people: usize) -> Badge {
    let acme = world.badge("acme", PartnerKind::Reseller).await;
    let most = Purpose::Offers.row().fields_max;
    world.grant(acme.asker.partner, Purpose::Offers, most).await;
    world.people(people).await;
    world.pull(acme.asker, 100).await.unwrap();
    acme
}

/// The partner's grant ends.
async fn end_grant(world: &World, badge: &Badge) {
    let ended = Grant {
        id: GrantId::new(),
        partner: badge.asker.partner,
        purpose: Purpose::Offers,
        fields: FieldSet::of(&[Field::Email]),
        territory: Territory::parse("*").unwrap(),
        points: PointSet::EVERY,
        from: Moment(0),
        until: Some(Moment(1)),
    };
    onboard::grant(&world.gateway, &actor("officer"), ended).await.unwrap();
}

#[test]
fn a_partner_polls_deletes_and_answers_and_each_step_has_a_receipt() {
    for database in databases() {
        let (world, acme) = wait(async {
            let world = World::new(database).await;
            let acme = shared(&world, 3).await;
            for number in 0..3 {
                world.says_to_offers(number, false).await;
            }
            (world, acme)
        });
        let key = fieldgate::flows::audit::log_key(&world.gateway);
        let log = Policy::of_log(Verifier::parse(&key).unwrap());
        let doors = Doors::open(&world);
        let mut system = System::enter(&doors, &acme);

        let first = system.poll(&json!({ "limit": 2 }));
        let recalls = first["recalls"].as_array().unwrap();
        assert_eq!((recalls.len(), &first["more"]), (2, &true.into()));
        let demand = &recalls[0];
        assert_eq!((&demand["action"], &demand["purpose"]), (&"erase".into(), &"offers".into()));
        assert_eq!(demand["cause"], "choice");
        let lead = demand["lead_id"].as_str().unwrap();
        let gone = system.wire.get(&system.token, &format!("/v1/leads/{lead}?purpose=offers"));
        assert_eq!(gone.status, 404, "the id is one of its leads, whom it gets no more");

        let ids: Vec<&Value> = recalls.iter().map(|one| &one["recall_id"]).collect();
        let rest = system.poll(&json!({ "ack": ids }));
        assert_eq!((rest["recalls"].as_array().unwrap().len(), &rest["more"]), (1, &false.into()));

        let id = demand["recall_id"].as_str().unwrap();
        let answer = system.answer(id, &json!({ "outcome": "erased" }));
        assert_eq!(answer.says(), "200 ");
        let answered = answer.json();
        assert_eq!(answer.header("ledger-index"), Some(&*answered["entry"].to_string()));
        assert_eq!((&answered["state"], &answered["replayed"]), (&"erased".into(), &false.into()));
        let receipt =
            system.wire.get(&system.token, &format!("/v1/receipts/{}", answered["entry"]));
        let proved = verify_receipt(&String::from_utf8(receipt.body).unwrap(), &log).unwrap();
        let facts = proved.entry.facts;
        assert_eq!((facts.kind, facts.subject.as_deref()), (Kind::RecallErased, Some(id)));
        assert_eq!(facts.partner, Some(acme.asker.partner));
        assert_eq!(facts.certificate, Some(acme.asker.certificate));

        let again = system.answer(id, &json!({ "outcome": "erased" })).json();
        assert_eq!((&again["entry"], &again["replayed"]), (&answered["entry"], &true.into()));
        let other = system.answer(id, &json!({ "outcome": "not_held" }));
        assert_problem(&other, "409 conflict", "another answer");
        let third = rest["recalls"][0]["recall_id"].as_str().unwrap();
        let refused = json!({ "outcome": "refused", "ground": "own_customer" });
        let refused = system.answer(third, &refused).json();
        assert_eq!(
            (&refused["state"], &refused["ground"]),
            (&"refused".into(), &"own_customer".into())
        );
        assert!(world.verify().is_sound(), "{:?}", world.verify().findings);
    }
}

#[test]
fn nobody_sees_or_answers_the_recalls_of_another_and_whoever_has_no_grant_is_told_all_the_same() {
    for database in databases() {
        let (world, acme, other, auditor) = wait(async {
            let world = World::new(database).await;
            let acme = shared(&world, 1).await;
            let other = world.badge("other", PartnerKind::Reseller).await;
            let auditor = world.badge("chamber", PartnerKind::Auditor).await;
            world.says_to_offers(0, false).await;
            end_grant(&world, &acme).await;
            (world, acme, other, auditor)
        });
        let doors = Doors::open(&world);
        // Nothing is granted to acme any more; what it received is demanded all the same.
        let mut owner = System::enter(&doors, &acme);
        let leads = owner.wire.get(&owner.token, "/v1/leads?purpose=offers");
        assert_problem(&leads, "403 insufficient_scope", "no grant");
        let owned = owner.poll(&json!({}));
        let id = owned["recalls"][0]["recall_id"].as_str().unwrap();

        // Other never got a grant; its token is good for recalls alone.
        let mut stranger = System::enter(&doors, &other);
        let leads = stranger.wire.get(&stranger.token, "/v1/leads?purpose=offers");
        assert_problem(&leads, "403 insufficient_scope", "leads");
        let polled = stranger.poll(&json!({ "ack": [id] }));
        assert_eq!((&polled["recalls"], &polled["unknown"]), (&json!([]), &json!([id])));
        let answer = stranger.answer(id, &json!({ "outcome": "not_held" }));
        assert_problem(&answer, "404 not_found", "another's recall");
        let polled = owner.poll(&json!({}));
        assert_eq!(polled["recalls"][0]["recall_id"], id, "nothing was acknowledged");

        let mut reader = System::enter(&doors, &auditor);
        let refused = reader.post("/v1/recalls/poll", "{}");
        assert_problem(&refused, "403 insufficient_scope", "an auditor receives nothing");
        let who = reader.post("/v1/audit/who", &json!({ "email": address(0) }).to_string()).json();
        let recall = &who["holdings"][0]["recall"];
        assert_eq!((&recall["recall_id"], &recall["state"]), (&id.into(), &"told".into()));
        assert_eq!(recall["overdue"], false);
    }
}

#[test]
fn what_is_wrong_with_a_recall_request_is_told_and_loses_nothing() {
    let (world, acme) = wait(async {
        let world = World::new(crate::harness::Database::Sqlite).await;
        let acme = shared(&world, 1).await;
        world.says_to_offers(0, false).await;
        (world, acme)
    });
    let doors = Doors::open(&world);
    let mut system = System::enter(&doors, &acme);
    let ids = |count: u16| {
        let ids = (0..count).map(|_| RecallId::new().to_string());
        json!({ "ack": ids.collect::<Vec<_>>() })
    };
    let most = system.poll(&ids(RECALLS_MAX));
    assert_eq!(most["unknown"].as_array().unwrap().len(), usize::from(RECALLS_MAX));
    let many = ids(RECALLS_MAX + 1).to_string();
    let answer = system.post("/v1/recalls/poll", &many);
    assert_problem(&answer, "422 invalid_content", "one id too many");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail, format!("/ack holds at most {RECALLS_MAX} ids"));
    for (body, says) in [
        ("", "400 invalid_body"),
        ("[]", "400 invalid_body"),
        (r#"{"ack":"rcl_1"}"#, "400 invalid_body"),
        (r#"{"ack":[],"ack":[]}"#, "400 invalid_body"),
        (r#"{"all":true}"#, "400 invalid_body"),
        (r#"{"ack":["led_1"]}"#, "422 invalid_content"),
        (r#"{"limit":0}"#, "422 invalid_content"),
        (r#"{"limit":251}"#, "422 invalid_content"),
    ] {
        let answer = system.post("/v1/recalls/poll", body);
        assert_problem(&answer, says, body.get(..40).unwrap_or(body));
    }
    let id = system.poll(&json!({}))["recalls"][0]["recall_id"].as_str().unwrap().to_owned();
    for (body, says) in [
        ("{}", "400 invalid_body"),
        (r#"{"outcome":"deleted"}"#, "422 invalid_content"),
        (r#"{"outcome":"refused"}"#, "422 invalid_content"),
        (r#"{"outcome":"refused","ground":"whim"}"#, "422 invalid_content"),
        (r#"{"outcome":"erased","ground":"legal_claim"}"#, "422 invalid_content"),
        (r#"{"outcome":"erased","note":"done"}"#, "400 invalid_body"),
    ] {
        let answer = system.post(&format!("/v1/recalls/{id}/result"), body);
        assert_problem(&answer, says, body);
    }
    let nobody = system.answer("rcl_1", &json!({ "outcome": "erased" }));
    assert_problem(&nobody, "404 not_found", "no id");
    assert_eq!(system.poll(&json!({}))["recalls"][0]["recall_id"], id.as_str());
}

#[test]
fn two_partners_cannot_join_their_lists_by_what_a_recall_tells_them() {
    for database in databases() {
        let (world, acme, other) = wait(async {
            let world = World::new(database).await;
            let acme = shared(&world, 2).await;
            let other = world.badge("other", PartnerKind::Reseller).await;
            let most = Purpose::Offers.row().fields_max;
            world.grant(other.asker.partner, Purpose::Offers, most).await;
            world.pull(other.asker, 10).await.unwrap();
            world.says_to_offers(0, false).await;
            (world, acme, other)
        });
        let doors = Doors::open(&world);
        let told = |badge: &Badge| {
            let told = System::enter(&doors, badge).poll(&json!({}));
            let demand = told["recalls"][0].as_object().unwrap().clone();
            assert_eq!(told["recalls"].as_array().unwrap().len(), 1);
            // A time would join them as well as an id; a day says as much as the calendar.
            for day in ["opened_on", "due_on"] {
                assert_eq!(demand[day].as_str().unwrap().len(), "2026-11-27".len());
            }
            demand
        };
        let (mine, theirs) = (told(&acme), told(&other));
        let same = mine.iter().filter(|(name, value)| theirs[*name] == **value);
        let same: BTreeSet<_> = same.map(|(name, _)| name.as_str()).collect();
        let days_and_codes = ["action", "cause", "due_on", "opened_on", "purpose"];
        assert_eq!(same, days_and_codes.into());
        let id = |one: &serde_json::Map<String, Value>| {
            one["recall_id"].as_str().unwrap()[4..].to_owned()
        };
        assert_ne!(id(&mine)[..8], id(&theirs)[..8], "nor do the ids tell the time");
    }
}
