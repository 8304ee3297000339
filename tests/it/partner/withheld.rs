//! A refusal names the entry that recorded it; a lead that is not for the partner names nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fieldgate::domain::disclosure::Reason;
use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use fieldgate::ledger::Kind;
use fieldgate::ledger::entry::ReadEntry;

use crate::harness::{Database, Doors, World, wait};

#[test]
fn a_refusal_names_its_entry_and_a_lead_that_is_not_yours_names_none() {
    let (world, badge) = wait(async {
        let world = World::new(Database::Sqlite).await;
        let badge = world.badge("acme", PartnerKind::Reseller).await;
        for purpose in [Purpose::Offers, Purpose::Support] {
            world.grant(badge.asker.partner, purpose, FieldSet::of(&[Field::Email])).await;
        }
        (world, badge)
    });
    let doors = Doors::open(&world);
    let mut wire = doors.wire(&badge);
    let id = badge.asker.partner.to_string();
    let (all, support) = (wire.token(&id, None), wire.token(&id, Some("support")));
    for (token, path, says, reason) in [
        (
            &all,
            "/v1/leads?purpose=offers&fields=city",
            "403 field_not_for_purpose",
            Reason::FieldNotForPurpose,
        ),
        (
            &all,
            "/v1/leads?purpose=offers&fields=company",
            "403 field_not_granted",
            Reason::FieldNotGranted,
        ),
        (&support, "/v1/leads?purpose=offers", "403 insufficient_scope", Reason::ScopeMissing),
        (
            &"e30.e30.AAAA".to_owned(),
            "/v1/leads?purpose=offers",
            "401 invalid_token",
            Reason::TokenNotValid,
        ),
    ] {
        let refused = wire.get(token, path);
        assert_eq!(refused.says(), says, "{path}");
        for name in ["fieldgate-request", "ratelimit", "cache-control", "www-authenticate"] {
            let challenge = name == "www-authenticate";
            let wanted = !challenge || says.ends_with("scope") || says.ends_with("token");
            assert_eq!(refused.header(name).is_some(), wanted, "{path}: {name}");
        }
        let index = refused.header("ledger-index").unwrap();
        let receipt = format!("/v1/receipts/{index}");
        assert_eq!(
            refused.header("link"),
            Some(&*format!("<{receipt}>; rel=\"receipt\"")),
            "{path}"
        );
        let entry = refused.header("ledger-entry").unwrap();
        let read = ReadEntry::parse(&STANDARD.decode(entry).unwrap()).unwrap();
        assert_eq!((read.facts.kind, read.facts.reason), (Kind::Withhold, Some(reason)), "{path}");
        assert_eq!(read.facts.partner, Some(badge.asker.partner), "{path}");
        let proof = String::from_utf8(wire.get(&all, &receipt).body).unwrap();
        assert!(proof.contains(&format!("\nextra {entry}\nindex {index}\n")), "{path}: {proof}");
    }
    let absent = wire.get(&all, "/v1/leads/led_nobody?purpose=offers");
    assert_eq!(absent.says(), "404 not_found");
    for name in ["ledger-index", "ledger-entry", "link"] {
        assert_eq!(absent.header(name), None, "{name} would tell absent and hidden people apart");
    }
}
