//! The OAuth endpoints over real connections: the table of RFC 6749 errors, revocation,
//! introspection.

use crate::clock::{DAY, SECOND};
use crate::domain::partner::{CertificateSource, PartnerState};
use crate::domain::purpose::Purpose;

use super::bench::{Bench, Setup, date};
use super::client::{Answer, Client};

const FORM: &str = "application/x-www-form-urlencoded";

pub(super) fn request(bench: &Bench, extra: &str) -> String {
    format!("grant_type=client_credentials&client_id={}{extra}", bench.partner)
}

fn ask(bench: &Bench, body: &str) -> Answer {
    Client::of(bench).post("/oauth2/token", FORM, body).unwrap()
}

pub(super) fn token(bench: &Bench, extra: &str) -> String {
    let answer = ask(bench, &request(bench, extra));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn is_error(answer: &Answer, status: u16, error: &str) {
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (status, Some(error)),
        "{answer:?}"
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
}

#[test]
fn a_token_is_given_and_works_with_its_certificate() {
    let bench = Bench::open();
    let answer = ask(&bench, &request(&bench, "&scope=offers"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    let json = answer.json();
    assert_eq!(json["token_type"], "Bearer");
    assert_eq!(json["expires_in"], 300);
    assert_eq!(json["scope"], "offers");
    assert!(json.get("refresh_token").is_none());
    let token = json["access_token"].as_str().unwrap();
    assert!(token.len() < 800, "{}", token.len());
    let answer = Client::of(&bench).get_with("/test/offers", &bearer(token)).unwrap();
    assert_eq!((answer.status, answer.body), (200, bench.partner.to_string()));
    let all = ask(&bench, &request(&bench, ""));
    assert_eq!(all.json()["scope"], "offers licensing recalls");
}

#[test]
fn the_table_of_token_errors() {
    let bench = Bench::open();
    let other = crate::id::PartnerId::new();
    let id = bench.partner;
    for (body, status, error) in [
        (format!("grant_type=client_credentials&client_id={other}"), 401, "invalid_client"),
        ("grant_type=client_credentials&client_id=acme".to_owned(), 401, "invalid_client"),
        ("grant_type=client_credentials".to_owned(), 400, "invalid_request"),
        (format!("client_id={id}"), 400, "invalid_request"),
        (format!("grant_type=&client_id={id}"), 400, "invalid_request"),
        (request(&bench, "&client_id=x"), 400, "invalid_request"),
        (request(&bench, "&grant_type=client_credentials"), 400, "invalid_request"),
        (request(&bench, "&scope=offers&scope=offers"), 400, "invalid_request"),
        (request(&bench, "&client_secret=x"), 400, "invalid_request"),
        (request(&bench, "&client_assertion=x"), 400, "invalid_request"),
        (format!("grant_type=password&client_id={id}"), 400, "unsupported_grant_type"),
        (format!("grant_type=refresh_token&client_id={id}"), 400, "unsupported_grant_type"),
        (format!("grant_type=authorization_code&client_id={id}"), 400, "unsupported_grant_type"),
        (request(&bench, "&scope=support"), 400, "invalid_scope"),
        (request(&bench, "&scope=offers+support"), 400, "invalid_scope"),
        (request(&bench, "&scope=intake"), 400, "invalid_scope"),
        (request(&bench, "&scope=everything"), 400, "invalid_scope"),
        (request(&bench, "&scope=offers++licensing"), 400, "invalid_scope"),
        (request(&bench, "&scope=%FF"), 400, "invalid_scope"),
    ] {
        is_error(&ask(&bench, &body), status, error);
    }
    let mut client = Client::of(&bench);
    let json = client.post("/oauth2/token", "application/json", "{}").unwrap();
    is_error(&json, 400, "invalid_request");
    let basic = format!("Content-Type: {FORM}\r\nAuthorization: Basic YTpi\r\n");
    let answer = client.post_with("/oauth2/token", &basic, &request(&bench, "")).unwrap();
    is_error(&answer, 400, "invalid_request");
    let large = request(&bench, &format!("&x={}", "x".repeat(20_000)));
    assert_eq!(ask(&bench, &large).code(), "payload_too_large");
}

#[test]
fn partners_that_may_not_have_tokens_are_told_so() {
    let mut bench = Bench::open_with(Setup { apart: true, ..Setup::default() }, |_, _| {});
    let row = |bench: &mut Bench, state| {
        bench.book.partners.get_mut(&bench.partner).unwrap().state = state;
        bench.publish_at_gate();
    };
    for state in [PartnerState::Applied, PartnerState::Approved, PartnerState::Suspended] {
        row(&mut bench, state);
        is_error(&ask(&bench, &request(&bench, "")), 400, "unauthorized_client");
    }
    row(&mut bench, PartnerState::Active);
    bench.book.partners.get_mut(&bench.partner).unwrap().grants.clear();
    bench.publish_at_gate();
    is_error(&ask(&bench, &request(&bench, "&scope=offers")), 400, "invalid_scope");
    // What it received can be recalled all the same.
    assert_eq!(ask(&bench, &request(&bench, "")).json()["scope"], "recalls");
    bench.book.revoke(&bench.pair.clone());
    bench.publish_at_gate();
    is_error(&ask(&bench, &request(&bench, "")), 401, "invalid_client");
    bench.clock.advance(31 * SECOND);
    let stale = ask(&bench, &request(&bench, ""));
    assert_eq!((stale.status, stale.code().as_str()), (503, "trust_stale"));
}

#[test]
fn a_token_never_outlives_its_certificate() {
    let mut bench = Bench::open();
    let short = bench.ca.issue(|params| params.not_after = date(0) + time::Duration::seconds(90));
    bench.book.register(bench.partner, &short, CertificateSource::Issued);
    bench.publish();
    let body = request(&bench, "");
    let answer = Client::with(&bench, &short).post("/oauth2/token", FORM, &body).unwrap();
    assert_eq!(answer.json()["expires_in"], 90, "{answer:?}");
    bench.pass(91 * SECOND);
    let mut late = Client::with(&bench, &short);
    assert!(late.post("/oauth2/token", FORM, &body).is_err());
}

#[test]
fn a_token_needs_its_own_certificate_scope_and_grant() {
    let mut bench = Bench::open_with(Setup { apart: true, ..Setup::default() }, |_, _| {});
    let token = bearer(&token(&bench, "&scope=licensing"));
    let answer = Client::of(&bench).get_with("/test/offers", &token).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "insufficient_scope"));
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"insufficient_scope\", scope=\"offers\""), "{challenge}");
    let answer = Client::of(&bench).get_with("/test/intake", &token).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "insufficient_scope"));
    // A sibling certificate of the same partner is another certificate (RFC 8705 §6.3).
    let sibling = bench.ca.issue(|_| {});
    bench.book.register(bench.partner, &sibling, CertificateSource::Issued);
    bench.publish();
    bench.publish_at_gate();
    let answer = Client::with(&bench, &sibling).get_with("/test/offers", &token).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_token"));
    bench.book.partners.get_mut(&bench.partner).unwrap().grants.clear();
    bench.publish_at_gate();
    let answer = Client::of(&bench).get_with("/test/offers", &token).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "insufficient_scope"));
}

#[test]
fn our_own_systems_may_hand_in() {
    let mut bench = Bench::open();
    let own = bench.book.partner(|row| {
        row.kind = crate::domain::partner::PartnerKind::InHouse;
        row.grants.clear();
    });
    let pair = bench.ca.issue(|_| {});
    bench.book.register(own, &pair, CertificateSource::Issued);
    bench.publish();
    let mut client = Client::with(&bench, &pair);
    let body = format!("grant_type=client_credentials&client_id={own}");
    let json = client.post("/oauth2/token", FORM, &body).unwrap().json();
    assert_eq!(json["scope"], "intake recalls");
    let token = bearer(json["access_token"].as_str().unwrap());
    assert_eq!(client.get_with("/test/intake", &token).unwrap().status, 200);
    let answer = client.get_with("/test/offers", &token).unwrap();
    assert_eq!(answer.code(), "insufficient_scope");
}

#[test]
fn a1_a_token_comes_once_and_in_the_header() {
    let bench = Bench::open();
    let token = token(&bench, "");
    let good = bearer(&token);
    let mut client = Client::of(&bench);
    let none = client.get("/test/offers").unwrap();
    assert_eq!((none.status, none.code().as_str()), (401, "token_missing"));
    assert_eq!(
        none.header("www-authenticate"),
        Some(
            "Bearer realm=\"fieldgate\", resource_metadata=\
             \"https://gate.example/.well-known/oauth-protected-resource\""
        )
    );
    for headers in [format!("{good}{good}"), format!("Authorization: {token}\r\n"), {
        format!("Authorization: Basic {token}\r\n")
    }] {
        let answer = client.get_with("/test/offers", &headers).unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"), "{headers}");
    }
    let answer = client.get_with(&format!("/test/offers?access_token={token}"), &good).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"));
    let lower = format!("Authorization: bearer {token}\r\n");
    assert_eq!(client.get_with("/test/offers", &lower).unwrap().status, 200);
}

#[test]
fn a_revoked_token_is_void_and_only_its_owner_can_revoke_it() {
    let mut bench = Bench::open();
    let stranger = bench.book.partner(|_| {});
    let pair = bench.ca.issue(|_| {});
    bench.book.register(stranger, &pair, CertificateSource::Issued);
    bench.publish();
    let token = token(&bench, "");
    let used = |bench: &Bench| Client::of(bench).get_with("/test/offers", &bearer(&token)).unwrap();
    let body = format!("token={token}");
    let mut other = Client::with(&bench, &pair);
    assert_eq!(other.post("/oauth2/revoke", FORM, &body).unwrap().status, 200);
    let seen = other.post("/oauth2/introspect", FORM, &body).unwrap();
    assert_eq!(seen.body, "{\"active\":false}", "another's token says nothing");
    assert_eq!(used(&bench).status, 200);
    let mut client = Client::of(&bench);
    let seen = client.post("/oauth2/introspect", FORM, &body).unwrap().json();
    assert_eq!(seen["active"], true);
    assert_eq!(seen["client_id"], bench.partner.to_string());
    assert_eq!(seen["cnf"]["x5t#S256"], bench.pair.thumbprint().to_string());
    assert_eq!(seen["exp"].as_i64().unwrap() - seen["iat"].as_i64().unwrap(), 300);
    assert_eq!(client.post("/oauth2/revoke", FORM, "token=rubbish").unwrap().status, 200);
    is_error(&client.post("/oauth2/revoke", FORM, "x=1").unwrap(), 400, "invalid_request");
    assert_eq!(client.post("/oauth2/revoke", FORM, &body).unwrap().status, 200);
    assert_eq!(used(&bench).code(), "invalid_token");
    let seen = client.post("/oauth2/introspect", FORM, &body).unwrap();
    assert_eq!(seen.body, "{\"active\":false}");
}

#[test]
fn tokens_from_before_a_suspension_stay_void() {
    let mut bench = Bench::open_with(Setup { apart: true, ..Setup::default() }, |_, _| {});
    let before = bearer(&token(&bench, ""));
    bench.clock.advance(SECOND / 2);
    let now = bench.clock.now();
    bench.book.partners.get_mut(&bench.partner).unwrap().tokens_not_before = now;
    bench.publish_at_gate();
    let answer = Client::of(&bench).get_with("/test/offers", &before).unwrap();
    assert_eq!(answer.code(), "invalid_token");
    let after = bearer(&token(&bench, ""));
    assert_eq!(Client::of(&bench).get_with("/test/offers", &after).unwrap().status, 200);
}

#[test]
fn a_token_ends_with_five_seconds_of_grace() {
    let bench = Bench::open();
    let token = bearer(&token(&bench, ""));
    let mut client = Client::of(&bench);
    assert_eq!(client.get_with("/test/offers", &token).unwrap().status, 200);
    bench.pass(305 * SECOND);
    assert_eq!(client.get_with("/test/offers", &token).unwrap().status, 200);
    bench.pass(SECOND);
    assert_eq!(client.get_with("/test/offers", &token).unwrap().code(), "invalid_token");
    bench.pass(DAY);
}

#[test]
fn a_grant_that_ends_takes_its_scope_with_it() {
    let mut bench = Bench::open();
    let end = bench.clock.now().plus(60 * SECOND);
    let row = bench.book.partners.get_mut(&bench.partner).unwrap();
    row.grants.retain(|grant| grant.purpose == Purpose::Offers);
    row.grants[0].until = Some(end);
    bench.publish();
    let token = bearer(&token(&bench, "&scope=offers"));
    let mut client = Client::of(&bench);
    assert_eq!(client.get_with("/test/offers", &token).unwrap().status, 200);
    bench.pass(60 * SECOND);
    assert_eq!(client.get_with("/test/offers", &token).unwrap().code(), "insufficient_scope");
}
