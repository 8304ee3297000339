//! Requests that are wrong in form: each gets a problem that says what to do, and no panic.

use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;

use crate::harness::wire::{Answer, Wire};
use crate::harness::{Badge, Database, Doors, World, wait};

/// A world with an open door, a reseller with all of offers, and three people.
pub fn shop() -> (World, Doors, Badge) {
    let (world, badge) = wait(async {
        let world = World::new(Database::Sqlite).await;
        let badge = world.badge("acme", PartnerKind::Reseller).await;
        let most = Purpose::Offers.row().fields_max;
        world.grant(badge.asker.partner, Purpose::Offers, most).await;
        world.people(3).await;
        (world, badge)
    });
    let doors = Doors::open(&world);
    (world, doors, badge)
}

/// Every refusal is a problem (RFC 9457) with all its members and headers.
pub fn assert_problem(answer: &Answer, says: &str, place: &str) {
    assert_eq!(answer.says(), says, "{place}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{place}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{place}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{place}");
    let body = answer.json();
    for member in ["type", "title", "detail", "code", "instance", "hint"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{place}: {member}");
    }
    assert_eq!(body["status"], answer.status, "{place}");
    assert_eq!(body["instance"].as_str(), answer.header("fieldgate-request"), "{place}");
}

fn enter(doors: &Doors, badge: &Badge) -> (Wire, String) {
    let mut wire = doors.wire(badge);
    let token = wire.token(&badge.asker.partner.to_string(), None);
    (wire, token)
}

#[test]
fn a_wrong_query_is_a_clear_problem() {
    let (_world, doors, badge) = shop();
    let (mut wire, token) = enter(&doors, &badge);
    let long = format!("purpose=offers&cursor={}", "A".repeat(10_000));
    let cases = [
        ("", "400 invalid_query"),
        ("purpose=", "400 invalid_query"),
        ("purpose=everything", "400 invalid_query"),
        ("purpose=Offers", "400 invalid_query"),
        ("purpose=offers&purpose=offers", "400 invalid_query"),
        ("purpose=offers&sort=email", "400 invalid_query"),
        ("purpose=offers&email=person-1@example.com", "400 invalid_query"),
        ("purpose=offers&offset=1", "400 invalid_query"),
        ("purpose=offers&fields=", "400 invalid_query"),
        ("purpose=offers&fields=email,email", "400 invalid_query"),
        ("purpose=offers&fields=email&fields=company", "400 invalid_query"),
        ("purpose=offers&fields=ip_address", "400 invalid_query"),
        ("purpose=offers&fields=*", "400 invalid_query"),
        ("purpose=offers&fields=email,", "400 invalid_query"),
        ("purpose=offers&fields=email%00", "400 invalid_query"),
        ("purpose=offers&fields=%ff%fe", "400 invalid_query"),
        ("purpose=offers&territory=Germany", "400 invalid_query"),
        ("purpose=offers&territory=DE&territory=FR", "400 invalid_query"),
        ("purpose=offers&collection_point=shop", "400 invalid_query"),
        ("purpose=offers&updated_since=yesterday", "400 invalid_query"),
        ("purpose=offers&updated_since=99999999999999999999", "400 invalid_query"),
        ("purpose=offers&limit=0", "400 invalid_query"),
        ("purpose=offers&limit=-1", "400 invalid_query"),
        ("purpose=offers&limit=1001", "400 invalid_query"),
        ("purpose=offers&limit=99999999999999999999", "400 invalid_query"),
        ("purpose=offers&limit=ten", "400 invalid_query"),
        ("purpose=offers&limit=1&limit=2", "400 invalid_query"),
        ("purpose=offers&cursor=", "400 invalid_cursor"),
        ("purpose=offers&cursor=AAAA", "400 invalid_cursor"),
        ("purpose=offers&cursor=%00", "400 invalid_cursor"),
        (&long, "400 invalid_cursor"),
        ("purpose=offers&access_token=x", "400 invalid_request"),
        ("purpose=licensing", "403 insufficient_scope"),
    ];
    for (query, says) in cases {
        let answer = wire.get(&token, &format!("/v1/leads?{query}"));
        assert_problem(&answer, says, query);
        let text = String::from_utf8(answer.body).unwrap();
        assert!(!text.contains("person-1") && !text.contains("yesterday"), "{query} is echoed");
    }
    for path in ["/v1/leads/x", "/v1/leads/x?purpose=offers&limit=1", "/v1/leads/x?fields=email"] {
        assert_problem(&wire.get(&token, path), "400 invalid_query", path);
    }
}

#[test]
fn a_cursor_with_one_character_changed_or_for_another_query_is_refused() {
    let (_world, doors, badge) = shop();
    let (mut wire, token) = enter(&doors, &badge);
    let page = wire.get(&token, "/v1/leads?purpose=offers&limit=1");
    let cursor = page.json()["next"].as_str().unwrap().to_owned();
    let path = |cursor: &str| format!("/v1/leads?purpose=offers&limit=1&cursor={cursor}");
    assert_eq!(wire.get(&token, &path(&cursor)).status, 200);
    for at in 0..cursor.len() {
        let mut changed = cursor.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let answer = wire.get(&token, &path(std::str::from_utf8(&changed).unwrap()));
        // The last character may carry bits that stand for nothing; even then it is refused.
        assert_problem(&answer, "400 invalid_cursor", &format!("character {at}"));
    }
    for other in ["&fields=email", "&territory=DE", "&collection_point=trial"] {
        let answer = wire.get(&token, &format!("{}{other}", path(&cursor)));
        assert_problem(&answer, "400 invalid_cursor", other);
    }
}

#[test]
fn what_is_not_there_and_what_is_not_served_is_a_problem_too() {
    let (_world, doors, badge) = shop();
    let (mut wire, token) = enter(&doors, &badge);
    let missing = [
        "/",
        "/v1",
        "/v1/",
        "/v1/lead",
        "/v1/leads/",
        "/v1/leads/x/y?purpose=offers",
        "/V1/leads",
        "/v1//leads?purpose=offers",
        "/v1/leads/../whoami",
        "/.env",
        "/v1/receipts/",
        "/metrics",
        "/v1/receipts/-1",
        "/v1/receipts/+0",
        "/v1/receipts/00x",
        "/v1/receipts/0",
        "/v1/receipts/18446744073709551616",
        "/v1/receipts/9999999",
        "/v1/receipts/%00",
        "/v1/leads/%00?purpose=offers",
        "/v1/leads/%ff?purpose=offers",
        "/v1/leads/led_0?purpose=offers",
    ];
    for path in missing {
        assert_problem(&wire.get(&token, path), "404 not_found", path);
    }
    let bearer = format!("Bearer {token}");
    for path in ["/v1/leads?purpose=offers", "/v1/leads/x?purpose=offers"] {
        for accept in ["text/html", "text/csv", "application/xml, text/*;q=0.5"] {
            let headers = [("authorization", bearer.as_str()), ("accept", accept)];
            let answer = wire.call("GET", path, &headers, b"");
            assert_problem(&answer, "406 not_acceptable", &format!("{path} {accept}"));
        }
    }
    for accept in ["*/*", "application/json", "text/html, application/json;q=0.1"] {
        let headers = [("authorization", bearer.as_str()), ("accept", accept)];
        assert_eq!(wire.call("GET", "/v1/leads?purpose=offers", &headers, b"").status, 200);
    }
}

#[test]
fn the_client_that_ships_pulls_one_page_and_reads_a_refusal() {
    let (_world, doors, badge) = shop();
    let mut client = doors.client(&badge);
    let (page, refused) = wait(async {
        let page = client.get("offers", "/v1/leads?purpose=offers").await.unwrap();
        let refused = client.get("offers", "/v1/leads?purpose=offers&fields=phone").await.unwrap();
        (page, refused)
    });
    assert_eq!((page.status, page.json()["leads"].as_array().unwrap().len()), (200, 3));
    assert_eq!((refused.status, refused.code().as_str()), (403, "field_not_for_purpose"));
}
