//! Each gate in order, on live connections: status, code, and whether the connection stays.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::clock::{DAY, SECOND};
use crate::domain::partner::PartnerState;

use super::bench::{Bench, Setup};
use super::client::{Answer, Client};

fn apart() -> Bench {
    Bench::open_with(Setup { apart: true, ..Setup::default() }, |_, _| {})
}

fn is_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("server"), None);
    let json = answer.json();
    assert_eq!(json["type"], format!("/problems/{code}"));
    assert_eq!(json["status"], status);
    for member in ["title", "detail", "hint"] {
        assert!(json[member].as_str().is_some_and(|text| !text.is_empty()), "{member}");
    }
    assert!(json["instance"].as_str().unwrap().starts_with("req_"), "{answer:?}");
}

#[test]
fn whoami_says_whom_the_gate_takes_it_for() {
    let bench = Bench::open();
    let answer = Client::of(&bench).get("/v1/whoami").unwrap();
    let json = answer.json();
    assert_eq!(json["partner"], bench.partner.to_string());
    assert_eq!(json["thumbprint"], bench.pair.thumbprint().to_string());
    assert_eq!(json["days_left"], 30);
    assert_eq!(json["scope"], "offers licensing recalls");
    assert_eq!(json["trust_version"], 1);
    assert_eq!(answer.header("fieldgate-certificate-expires"), json["not_after"].as_str());
    assert!(answer.header("fieldgate-request").unwrap().starts_with("req_"));
    assert!(answer.header("ratelimit").unwrap().starts_with("\"partner\";r="));
    assert_eq!(answer.header("ratelimit-policy"), Some("\"partner\";q=100000;w=60"));
}

#[test]
fn g1_another_host_is_misdirected() {
    let bench = Bench::open();
    let mut client = Client::of(&bench);
    for host in ["evil.example", "localhost", "localhost:8444", "localhost:8443.evil.example"] {
        client.send(&format!("GET /v1/whoami HTTP/1.1\r\nHost: {host}\r\n\r\n")).unwrap();
        is_problem(&client.answer().unwrap(), 421, "misdirected_request");
    }
    client.send("GET /v1/whoami HTTP/1.1\r\nHost: LOCALHOST:8443\r\n\r\n").unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
    let absolute = "GET https://evil.example/v1/whoami HTTP/1.1\r\nHost: localhost:8443\r\n\r\n";
    client.send(absolute).unwrap();
    assert_ne!(client.answer().unwrap().status, 200);
}

#[test]
fn g3_a_registry_nobody_confirms_answers_503() {
    let bench = Bench::open();
    let mut client = Client::of(&bench);
    bench.clock.advance(30 * SECOND);
    assert_eq!(client.get("/v1/whoami").unwrap().status, 200);
    bench.clock.advance(SECOND);
    let answer = client.get("/v1/whoami").unwrap();
    is_problem(&answer, 503, "trust_stale");
    assert_eq!(answer.header("retry-after"), Some("2"));
    bench.trust.confirm(bench.clock.now());
    assert_eq!(client.get("/v1/whoami").unwrap().status, 200);
}

#[test]
fn g4_a_revoked_certificate_is_refused_on_a_connection_that_lives() {
    let mut bench = apart();
    let mut client = Client::of(&bench);
    assert_eq!(client.get("/v1/whoami").unwrap().status, 200);
    bench.book.revoke(&bench.pair.clone());
    bench.publish_at_gate();
    let answer = client.get("/v1/whoami").unwrap();
    is_problem(&answer, 401, "certificate_revoked");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.is_closed());
    // Whoever is not in the registry at all is treated alike.
    bench.book.certificates.clear();
    bench.publish_at_gate();
    is_problem(&Client::of(&bench).get("/v1/whoami").unwrap(), 401, "certificate_revoked");
    is_problem(&Client::of(&bench).get("/nowhere").unwrap(), 401, "certificate_revoked");
}

#[test]
fn g5_a_certificate_that_ends_is_refused_on_a_connection_that_lives() {
    let bench = Bench::open_with(Setup { apart: true, ..Setup::default() }, |_, _| {});
    let mut client = Client::of(&bench);
    assert_eq!(client.get("/v1/whoami").unwrap().json()["days_left"], 30);
    bench.clock.advance(30 * DAY);
    bench.gate_trust.confirm(bench.clock.now());
    assert_eq!(client.get("/v1/whoami").unwrap().status, 200, "the last second counts");
    bench.clock.advance(SECOND);
    let answer = client.get("/v1/whoami").unwrap();
    is_problem(&answer, 401, "certificate_expired");
    assert!(client.is_closed());
}

#[test]
fn g6_only_an_active_partner_passes() {
    let mut bench = apart();
    let mut client = Client::of(&bench);
    for state in PartnerState::ALL {
        bench.book.partners.get_mut(&bench.partner).unwrap().state = *state;
        bench.publish_at_gate();
        let answer = client.get("/v1/whoami").unwrap();
        match state {
            PartnerState::Active => assert_eq!(answer.status, 200),
            _ => is_problem(&answer, 403, "partner_suspended"),
        }
    }
}

#[test]
fn g7_a_quota_is_kept_and_said() {
    let mut bench = apart();
    bench.book.partners.get_mut(&bench.partner).unwrap().requests_per_minute = 3;
    bench.publish_at_gate();
    let mut client = Client::of(&bench);
    for left in ["2", "1", "0"] {
        let answer = client.get("/v1/whoami").unwrap();
        let allowance = answer.header("ratelimit").unwrap().to_owned();
        assert!(allowance.starts_with(&format!("\"partner\";r={left};t=")), "{allowance}");
    }
    let answer = client.get("/v1/whoami").unwrap();
    is_problem(&answer, 429, "rate_limited");
    let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=21).contains(&wait), "{wait}");
    // A second connection draws on the same quota; another quota begins anew.
    is_problem(&Client::of(&bench).get("/v1/whoami").unwrap(), 429, "rate_limited");
    bench.book.partners.get_mut(&bench.partner).unwrap().requests_per_minute = 60;
    bench.publish_at_gate();
    assert_eq!(client.get("/v1/whoami").unwrap().status, 200);
}

#[test]
fn g8_bodies_are_bounded_in_size() {
    let bench = Bench::open();
    let body = |pad: usize| format!("{{\"n\":1,\"pad\":\"{}\"}}", "x".repeat(pad));
    let post =
        |path: &str, pad| Client::of(&bench).post(path, "application/json", &body(pad)).unwrap();
    assert_eq!(post("/test/json", 16_000).status, 200);
    is_problem(&post("/test/json", 17_000), 413, "payload_too_large");
    assert_eq!(post("/test/batch", 1_000_000).status, 200);
    is_problem(&post("/test/batch", 2_200_000), 413, "payload_too_large");
}

#[test]
fn g8_a_stalled_body_is_answered_408_and_closed() {
    let bench = Bench::open();
    let mut client = Client::of(&bench);
    let started = Instant::now();
    client
        .send(
            "POST /test/json HTTP/1.1\r\nHost: localhost:8443\r\n\
             Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"n\":",
        )
        .unwrap();
    let answer = client.answer().unwrap();
    is_problem(&answer, 408, "request_timeout");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn heads_are_bounded_and_malformed_ones_refused() {
    let bench = Bench::open();
    let long = format!("X-Long: {}\r\n", "x".repeat(17_000));
    let answer = Client::of(&bench).get_with("/v1/whoami", &long).unwrap();
    is_problem(&answer, 431, "head_too_large");
    let bad = [
        "GET /v1/whoami HTTP/1.1\r\n\r\n",
        "GET /v1/whoami HTTP/1.1\r\nHost: localhost:8443\r\nHost: localhost:8443\r\n\r\n",
        "POST /test/json HTTP/1.1\r\nHost: localhost:8443\r\nContent-Length: 2\r\n\
         Transfer-Encoding: chunked\r\n\r\n{}",
        "POST /test/json HTTP/1.1\r\nHost: localhost:8443\r\nContent-Length: 2\r\n\
         Content-Length: 3\r\n\r\n{}",
        "GET /v1/who\0ami HTTP/1.1\r\nHost: localhost:8443\r\n\r\n",
        "\x16\x03\x01 HTTP/1.1\r\n\r\n",
    ];
    for head in bad {
        let mut client = Client::of(&bench);
        client.stream.write_all(head.as_bytes()).unwrap();
        // Refused by the HTTP parser (400, empty) or by the gate (421): never served.
        let status = client.answer().map_or(400, |answer| answer.status);
        assert!([400, 421].contains(&status), "{head:?}: {status}");
    }
}

#[test]
fn every_failure_is_a_problem_whoever_made_it() {
    let bench = Bench::open();
    let mut client = Client::of(&bench);
    is_problem(&client.get("/nowhere").unwrap(), 404, "not_found");
    let answer = client.get("/oauth2/token").unwrap();
    is_problem(&answer, 405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    let broken = client.get("/test/broken").unwrap();
    is_problem(&broken, 500, "internal");
    assert!(!broken.body.contains("secret"), "{}", broken.body);
    let secret = "{\"n\":\"jane@example.org\"}";
    for (kind, body, status, code) in [
        ("text/plain", "{}", 415, "unsupported_media_type"),
        ("application/json", "{", 400, "invalid_body"),
        ("application/json", "{\"n\":1,\"m\":2}", 400, "invalid_body"),
        ("application/json", secret, 400, "invalid_body"),
    ] {
        let answer = Client::of(&bench).post("/test/json", kind, body).unwrap();
        is_problem(&answer, status, code);
        assert!(!answer.body.contains("jane"), "a value came back: {}", answer.body);
    }
}

#[test]
fn metrics_count_without_names() {
    let bench = Bench::open();
    let mut client = Client::of(&bench);
    client.get("/v1/whoami").unwrap();
    client.get("/nowhere").unwrap();
    let text = bench.metrics.text();
    for line in [
        "fieldgate_tls_handshakes_total{door=\"partner\",outcome=\"done\"} 1",
        "fieldgate_connections_open{door=\"partner\"} 1",
        "fieldgate_answers_total{door=\"partner\",status=\"2xx\"} 1",
        "fieldgate_refusals_total{code=\"not_found\"} 1",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("ptn_") && !text.contains("127.0.0.1"), "{text}");
}
