//! Live connections: cut on revocation, closed with age, finished on a graceful stop.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::clock::SECOND;
use crate::domain::partner::{CertificateSource, PartnerState};

use super::bench::{Bench, Setup, YEAR};
use super::client::Client;

fn streaming(bench: &Bench) -> Client {
    let mut client = Client::of(bench);
    client.send("GET /test/stream HTTP/1.1\r\nHost: localhost:8443\r\n\r\n").unwrap();
    let mut some = [0; 4096];
    assert!(client.stream.read(&mut some).unwrap() > 0);
    client
}

/// Reads until the connection ends; fails after a second.
fn ends_within_a_second(mut client: Client) {
    let started = Instant::now();
    client.stream.sock.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut some = [0; 4096];
    while client.stream.read(&mut some).is_ok_and(|count| count > 0) {
        assert!(started.elapsed() < Duration::from_secs(1), "still streaming");
    }
    assert!(started.elapsed() < Duration::from_secs(1), "ended too late");
}

#[test]
fn a_revocation_cuts_every_live_connection_even_mid_stream() {
    let mut bench = Bench::open();
    let other = bench.ca.issue(|_| {});
    bench.book.register(bench.partner, &other, CertificateSource::Issued);
    bench.publish();
    let mut bystander = Client::with(&bench, &other);
    assert_eq!(bystander.get("/v1/whoami").unwrap().status, 200);
    let mut idle = Client::of(&bench);
    assert_eq!(idle.get("/v1/whoami").unwrap().status, 200);
    let (first, second) = (streaming(&bench), streaming(&bench));
    assert_eq!(bench.trust.live().count(), 4);
    bench.book.revoke(&bench.pair.clone());
    assert_eq!(bench.publish(), 3);
    ends_within_a_second(first);
    ends_within_a_second(second);
    assert!(idle.is_closed());
    assert_eq!(bystander.get("/v1/whoami").unwrap().status, 200);
}

#[test]
fn suspension_and_expiry_cut_too() {
    let mut bench = Bench::open();
    let client = streaming(&bench);
    bench.book.partners.get_mut(&bench.partner).unwrap().state = PartnerState::Suspended;
    assert_eq!(bench.publish(), 1);
    ends_within_a_second(client);

    let bench = Bench::open();
    let client = streaming(&bench);
    bench.pass(YEAR);
    ends_within_a_second(client);
}

#[test]
fn one_certificate_or_all_can_be_cut_by_hand() {
    let bench = Bench::open();
    let client = streaming(&bench);
    assert_eq!(bench.trust.live().cut(&bench.pair.thumbprint()), 1);
    ends_within_a_second(client);
    let client = streaming(&bench);
    assert_eq!(bench.trust.live().cut_all(), 1);
    ends_within_a_second(client);
}

#[test]
fn a_closed_connection_leaves_the_table() {
    let bench = Bench::open();
    let mut client = Client::of(&bench);
    client.get("/v1/whoami").unwrap();
    assert_eq!(bench.trust.live().count(), 1);
    drop(client);
    let deadline = Instant::now() + Duration::from_secs(2);
    while bench.trust.live().count() > 0 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_older_snapshot_never_replaces_a_newer_one() {
    let mut bench = Bench::open();
    let old = bench.book.snapshot(bench.clock.now());
    bench.book.revoke(&bench.pair.clone());
    bench.publish();
    bench.trust.replace(old);
    assert!(Client::of(&bench).get("/v1/whoami").is_err());
}

#[test]
fn a_garbage_ca_leaves_the_old_snapshot_in_force() {
    let mut bench = Bench::open();
    bench.book.roots.push(b"not a certificate".to_vec());
    let (certificates, partners) = (bench.book.certificates.clone(), bench.book.partners.clone());
    let built = crate::web::tls::trust::TrustSnapshot::new(
        9,
        bench.clock.now(),
        certificates,
        partners,
        &bench.book.roots,
    );
    assert!(built.unwrap_err().to_string().contains("number 2"));
    assert_eq!(Client::of(&bench).get("/v1/whoami").unwrap().status, 200);
}

#[test]
fn an_old_connection_is_closed_with_its_next_answer() {
    let mut setup = Setup::default();
    setup.connections.age_max = Duration::from_millis(200);
    let bench = Bench::open_with(setup, |_, _| {});
    let mut client = Client::of(&bench);
    assert_eq!(client.get("/v1/whoami").unwrap().header("connection"), None);
    std::thread::sleep(Duration::from_millis(250));
    let answer = client.get("/v1/whoami").unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(client.is_closed());
}

#[test]
fn a_graceful_stop_finishes_what_runs_and_closes_what_idles() {
    let bench = Bench::open();
    let mut idle = Client::of(&bench);
    idle.get("/v1/whoami").unwrap();
    let mut busy = Client::of(&bench);
    busy.send("GET /test/slow HTTP/1.1\r\nHost: localhost:8443\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    drop(bench.handle().stop(true));
    assert!(idle.is_closed());
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    let answer = busy.answer().unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "slow"));
    assert!(busy.is_closed());
    bench.clock.advance(SECOND);
}
