//! The access matrix: every row of the table of routes against every wrong caller and door.

use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use fieldgate::flows::onboard;
use fieldgate::web::caller::Door;
use fieldgate::web::routes::{Row, table};

use crate::harness::wire::Wire;
use crate::harness::world::actor;
use crate::harness::{Badge, Database, Doors, World, wait};

/// The rows as they were agreed. `FIELDGATE_BLESS=1` writes them anew; look at the difference.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/access-matrix.txt");

#[test]
fn the_access_matrix_is_the_one_that_was_agreed() {
    let mut now = String::new();
    for row in table().rows() {
        let Row { method, path, door, caller, .. } = row;
        now.push_str(&format!("{:<4} {path:<44} {:<8} {caller}\n", method.as_str(), door.code()));
    }
    if std::env::var("FIELDGATE_BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(GOLDEN, &now).unwrap();
    }
    let agreed = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    assert_eq!(now, agreed, "the doors changed; FIELDGATE_BLESS=1 accepts it");
}

/// The row's path with something in the place of each name, and what it cannot do without.
fn path_of(row: &Row) -> String {
    let path = row.path.replace("{id}", "x").replace("{index}", "0").replace("{code}", "busy");
    let tile = if path.contains("entries") { "000.p/1" } else { "0/000.p/1" };
    let path = path.replace("{path:.*}", tile);
    if row.path.starts_with("/v1/leads") { format!("{path}?purpose=offers") } else { path }
}

/// Status and code of a call without any body; `handshake` where not even TLS was finished.
fn ask(wire: &mut Wire, row: &Row, token: Option<&str>) -> String {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|text| ("authorization", text.as_str())).collect();
    let path = path_of(row);
    let answer = wire.try_call(row.method.as_str(), &path, &headers, b"");
    answer.map_or_else(|_| "handshake".to_owned(), |answer| answer.says())
}

/// What the documentation promises a wrong caller at a row of the partner door.
fn promised(row: &Row, wrong: &str) -> Option<&'static str> {
    let oauth = row.path.starts_with("/oauth2/");
    let audit = row.caller == "certificate+token+audit";
    let caller = if audit { "certificate+token" } else { row.caller };
    // The log and one's own receipts are for every partner, whatever its token is for.
    let any_scope = !audit && ["/v1/receipts", "/ledger"].iter().any(|of| row.path.starts_with(of));
    let recalls = row.path.starts_with("/v1/recalls");
    match (wrong, caller) {
        ("no certificate" | "unregistered" | "revoked", _) => Some("handshake"),
        ("suspended", _) if oauth => Some("400 unauthorized_client"),
        ("suspended", _) => Some("403 partner_suspended"),
        // A recall reaches whoever has nothing else left.
        ("no grant", "certificate+token") if any_scope || recalls => None,
        ("no grant", "certificate+token") => Some("403 insufficient_scope"),
        ("no token", "certificate+token") => Some("401 token_missing"),
        ("garbage token" | "foreign token", "certificate+token") => Some("401 invalid_token"),
        ("wrong scope", "certificate+token") if !any_scope => Some("403 insufficient_scope"),
        _ => None,
    }
}

struct Cast {
    world: World,
    good: Badge,
    other: Badge,
    suspended: Badge,
    revoked: Badge,
    bare: Badge,
}

/// Partners in every state that must not pass.
fn cast() -> Cast {
    wait(async {
        let world = World::new(Database::Sqlite).await;
        let email = FieldSet::of(&[Field::Email]);
        let good = world.badge("good", PartnerKind::Reseller).await;
        let other = world.badge("other", PartnerKind::Reseller).await;
        let suspended = world.badge("suspended", PartnerKind::Reseller).await;
        let revoked = world.badge("revoked", PartnerKind::Reseller).await;
        let bare = world.badge("bare", PartnerKind::Reseller).await;
        for badge in [&good, &other, &suspended, &revoked] {
            for purpose in [Purpose::Offers, Purpose::Support] {
                world.grant(badge.asker.partner, purpose, email).await;
            }
        }
        let officer = actor("officer");
        onboard::suspend(&world.gateway, &officer, "suspended").await.unwrap();
        let thumbprint = revoked.asker.certificate;
        let why = "key_compromise";
        onboard::revoke_certificate(&world.gateway, &officer, thumbprint, why).await.unwrap();
        Cast { world, good, other, suspended, revoked, bare }
    })
}

#[test]
fn every_wrong_caller_at_every_row_gets_the_refusal_that_is_documented() {
    let Cast { world, good, other, suspended, revoked, bare } = cast();
    let doors = Doors::open(&world);
    let stranger = {
        // A certificate of our own authority that was never registered.
        let key = fieldgate::vault::authority::new_client_key("stranger").unwrap();
        let now = fieldgate::clock::Clock::System.now();
        let id = good.asker.partner;
        let leaf = world.authority.issue_client(&key.certificate, id, now, 30).unwrap();
        let mut pem = fieldgate::vault::authority::to_pem("PRIVATE KEY", key.key.expose());
        pem.push_str(&fieldgate::vault::authority::to_pem("CERTIFICATE", &leaf));
        pem
    };
    let id = |badge: &Badge| badge.asker.partner.to_string();
    let foreign = doors.wire(&other).token(&id(&other), None);
    let own = doors.wire(&bare).token(&id(&bare), None);
    let support = doors.wire(&good).token(&id(&good), Some("support"));
    let mut asked = 0;
    for row in table().rows().iter().filter(|row| row.door == Door::Partner) {
        let wire = |pem: Option<&str>| doors.trusted.wire(&doors.partner_url, pem);
        let callers = [
            ("no certificate", wire(None), None),
            ("unregistered", wire(Some(&stranger)), None),
            ("revoked", doors.wire(&revoked), None),
            ("suspended", doors.wire(&suspended), None),
            ("no grant", doors.wire(&bare), Some(own.as_str())),
            ("no token", doors.wire(&good), None),
            ("garbage token", doors.wire(&good), Some("e30.e30.AAAA")),
            ("foreign token", doors.wire(&good), Some(foreign.as_str())),
            ("wrong scope", doors.wire(&good), Some(support.as_str())),
        ];
        for (wrong, mut wire, token) in callers {
            let Some(promised) = promised(row, wrong) else { continue };
            assert_eq!(ask(&mut wire, row, token), promised, "{wrong}: {row:?}");
            asked += 1;
        }
    }
    assert!(asked >= 40, "only {asked} wrong callers were tried");
}

#[test]
fn a_row_answers_at_its_own_door_alone() {
    let Cast { world, good, .. } = cast();
    let doors = Doors::open(&world);
    for row in table().rows() {
        let at = [
            (Door::Partner, doors.wire(&good)),
            (Door::Public, doors.public_wire()),
            (Door::Ops, doors.ops_wire()),
        ];
        for (door, mut wire) in at {
            let says = ask(&mut wire, row, None);
            if door != row.door {
                assert_eq!(says, "404 not_found", "{} at {row:?}", door.code());
            } else if matches!(row.caller, "anyone" | "operator") {
                assert_eq!(says, "200 ", "{row:?}");
            }
        }
    }
}

#[test]
fn every_row_answers_another_method_with_405_and_every_answer_has_its_headers() {
    let Cast { world, good, .. } = cast();
    let doors = Doors::open(&world);
    for row in table().rows() {
        let mut wire = match row.door {
            Door::Partner => doors.wire(&good),
            Door::Public => doors.public_wire(),
            _ => doors.ops_wire(),
        };
        let others = ["DELETE", "PATCH", "PUT", "OPTIONS", "TRACE"];
        for method in others.into_iter().chain([row.method.as_str()]) {
            let answer = wire.call(method, &path_of(row), &[], b"");
            let place = format!("{method} {row:?}");
            if others.contains(&method) {
                assert_eq!(answer.says(), "405 method_not_allowed", "{place}");
                let allow = answer.header("allow").unwrap_or_default();
                assert!(allow.contains(row.method.as_str()), "{place}: {allow}");
            }
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{place}");
            assert_eq!(answer.header("server"), None, "{place}");
            assert!(answer.header("fieldgate-request").is_some(), "{place}");
            let cache = answer.header("cache-control");
            let public = row.door == Door::Public && answer.status == 200;
            assert!(public || cache == Some("no-store"), "{place}: {cache:?}");
        }
    }
}
