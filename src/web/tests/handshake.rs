//! The handshake matrix: who gets in, who is refused, and with which alert (T1 to T7).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{
    ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519,
    PKCS_RSA_SHA256, SerialNumber,
};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription as Alert, HandshakeKind, SupportedProtocolVersion};

use crate::domain::partner::CertificateSource::{Issued, Pinned};
use crate::domain::partner::CertificateStatus;
use crate::web::tls::handshake::Outcome;
use crate::web::tls::settings::TlsMin;

use super::bench::{Bench, Book, Ca, Pair, Setup, YEAR, date, self_signed};
use super::client::{Client, alert, settings, with};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// What a client presents and what must come of it.
struct Case {
    name: &'static str,
    chain: Vec<Vec<u8>>,
    key: Vec<u8>,
    refused: Option<(Alert, Outcome)>,
}

fn case(name: &'static str, pair: &Pair, refused: Option<(Alert, Outcome)>) -> Case {
    Case { name, chain: vec![pair.der.clone()], key: pair.key.clone(), refused }
}

const UNKNOWN: Option<(Alert, Outcome)> = Some((Alert::UnknownCA, Outcome::CertificateUnknown));
const REVOKED: Option<(Alert, Outcome)> =
    Some((Alert::CertificateRevoked, Outcome::CertificateRevoked));
const EXPIRED: Option<(Alert, Outcome)> =
    Some((Alert::CertificateExpired, Outcome::CertificateExpired));
const NOT_YET: Option<(Alert, Outcome)> =
    Some((Alert::CertificateExpired, Outcome::CertificateNotYetValid));
const PURPOSE: Option<(Alert, Outcome)> =
    Some((Alert::UnsupportedCertificate, Outcome::CertificatePurpose));

/// Registers and collects.
struct Matrix<'a> {
    book: &'a mut Book,
    ca: &'a Ca,
    cases: Vec<Case>,
}

impl Matrix<'_> {
    fn issued(&mut self, name: &'static str, pair: &Pair, refused: Option<(Alert, Outcome)>) {
        let partner = self.book.partner(|_| {});
        self.book.register(partner, pair, Issued);
        self.cases.push(case(name, pair, refused));
    }

    fn pinned(&mut self, name: &'static str, pair: &Pair, refused: Option<(Alert, Outcome)>) {
        let partner = self.book.partner(|_| {});
        self.book.register(partner, pair, Pinned);
        self.cases.push(case(name, pair, refused));
    }

    fn keys(&mut self) {
        let kinds = [
            ("P-384", &PKCS_ECDSA_P384_SHA384, None),
            ("Ed25519", &PKCS_ED25519, None),
            ("RSA-2048", &PKCS_RSA_SHA256, None),
            ("P-521", &PKCS_ECDSA_P521_SHA512, PURPOSE),
        ];
        for (name, kind, refused) in kinds {
            let key = KeyPair::generate_for(kind).unwrap();
            self.issued(name, &self.ca.issue_on(&key, |_| {}), refused);
        }
    }

    fn times(&mut self) {
        let past = |params: &mut rcgen::CertificateParams| {
            (params.not_before, params.not_after) = (date(-30), date(-1));
        };
        let future = |params: &mut rcgen::CertificateParams| {
            (params.not_before, params.not_after) = (date(1), date(30));
        };
        self.issued("expired", &self.ca.issue(past), EXPIRED);
        self.issued("not yet valid", &self.ca.issue(future), NOT_YET);
        self.pinned("pinned, expired", &self_signed(true, past), EXPIRED);
        self.pinned("pinned, not yet valid", &self_signed(true, future), NOT_YET);
        let cut = self.ca.issue(|_| {});
        self.issued("cut short in the registry", &cut, EXPIRED);
        let row = self.book.certificates.get_mut(&cut.thumbprint()).unwrap();
        row.not_after = super::bench::today().plus(-crate::clock::DAY);
    }

    fn purposes(&mut self) {
        let none = |params: &mut rcgen::CertificateParams| params.extended_key_usages.clear();
        let server = |params: &mut rcgen::CertificateParams| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        };
        self.issued("no EKU", &self.ca.issue(none), PURPOSE);
        self.issued("serverAuth only", &self.ca.issue(server), PURPOSE);
        self.pinned("pinned, no EKU", &self_signed(true, none), PURPOSE);
        self.pinned("pinned, serverAuth only", &self_signed(false, server), PURPOSE);
    }

    fn strangers(&mut self) {
        let other = Ca::new("our authority");
        self.issued("registered, but another CA of our name", &other.issue(|_| {}), UNKNOWN);
        self.cases.push(case("another CA", &other.issue(|_| {}), UNKNOWN));
        self.cases.push(case("our CA, not registered", &self.ca.issue(|_| {}), UNKNOWN));
        self.cases.push(case("self-signed, not registered", &self_signed(true, |_| {}), UNKNOWN));
        let authority = Pair { der: self.ca.der.clone(), key: self.ca.key.clone() };
        self.cases.push(case("the CA itself", &authority, UNKNOWN));
        let key = KeyPair::generate().unwrap();
        let serial = |params: &mut rcgen::CertificateParams| {
            params.serial_number = Some(SerialNumber::from(vec![7; 16]));
        };
        self.issued("the registered one", &self.ca.issue_on(&key, serial), None);
        let twin = self.ca.issue(serial);
        self.cases.push(case("same serial, name and issuer, other key", &twin, UNKNOWN));
        let renewed = self.ca.issue_on(&key, |_| {});
        self.cases.push(case("same key, another certificate", &renewed, UNKNOWN));
    }

    fn states(&mut self) {
        let revoked = self.ca.issue(|_| {});
        self.issued("revoked", &revoked, REVOKED);
        self.book.revoke(&revoked);
        let pinned = self_signed(true, |_| {});
        self.pinned("pinned, revoked", &pinned, REVOKED);
        self.book.revoke(&pinned);
        let pending = self.ca.issue(|_| {});
        self.issued("pending", &pending, None);
        self.book.status(&pending, CertificateStatus::Pending);
        self.pinned("pinned, CA:TRUE", &self_signed(true, |_| {}), None);
        self.pinned("pinned, CA:FALSE", &self_signed(false, |_| {}), None);
    }

    fn proofs(&mut self) {
        let stolen = self.ca.issue(|_| {});
        let proof = Some((Alert::DecryptError, Outcome::BadProof));
        self.issued("a certificate without its key", &stolen, proof);
        self.cases.last_mut().unwrap().key = self.ca.issue(|_| {}).key;
        let copied = self_signed(true, |_| {});
        self.pinned("a pinned certificate without its key", &copied, proof);
        self.cases.last_mut().unwrap().key = self.ca.issue(|_| {}).key;
        let padded = self.ca.issue(|_| {});
        self.issued("with certificates that prove nothing", &padded, None);
        self.cases.last_mut().unwrap().chain.push(Ca::new("other").der);
    }
}

fn matrix() -> (Bench, Vec<Case>) {
    let mut cases = Vec::new();
    let bench = Bench::open_with(Setup::default(), |book, ca| {
        let mut matrix = Matrix { book, ca, cases: Vec::new() };
        matrix.keys();
        matrix.times();
        matrix.purposes();
        matrix.strangers();
        matrix.states();
        matrix.proofs();
        cases = matrix.cases;
    });
    cases.insert(0, case("the plain case", &bench.pair, None));
    (bench, cases)
}

fn run(bench: &Bench, version: &'static SupportedProtocolVersion, case: &Case) {
    let name = format!("{} ({version:?})", case.name);
    let chain: Vec<&[u8]> = case.chain.iter().map(Vec::as_slice).collect();
    let settings = Arc::new(settings(bench, version, Some((&chain, &case.key))));
    let count = |outcome| bench.metrics.handshakes("partner", outcome);
    let before = case.refused.map(|(_, outcome)| count(outcome));
    let mut client = Client::connect(bench.address, settings).unwrap();
    match (client.get("/v1/whoami"), case.refused) {
        (Ok(answer), None) => {
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
            assert_eq!(client.kind(), HandshakeKind::Full, "{name}");
        }
        (Err(error), Some((expected, outcome))) => {
            assert_eq!(alert(&error), Some(expected), "{name}: {error:?}");
            // The metric follows the alert once the refused client has gone.
            drop(client);
            let deadline = Instant::now() + Duration::from_secs(2);
            while Some(count(outcome)) == before && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert_eq!(Some(count(outcome)), before.map(|n| n + 1), "{name}");
        }
        (other, _) => panic!("{name}: {other:?}"),
    }
}

#[test]
fn each_certificate_gets_in_or_its_own_alert() {
    let (bench, cases) = matrix();
    assert!(cases.len() * BOTH.len() >= 50, "{}", cases.len());
    for version in BOTH {
        for case in &cases {
            run(&bench, version, case);
        }
    }
    assert_eq!(bench.first_uses.lock().unwrap().len(), 2, "one pending certificate, seen twice");
}

#[test]
fn nobody_gets_in_without_a_certificate() {
    let bench = Bench::open();
    for version in BOTH {
        let settings = Arc::new(settings(&bench, version, None));
        let mut client = Client::connect(bench.address, settings).unwrap();
        let error = client.get("/v1/whoami").unwrap_err();
        assert_eq!(alert(&error), Some(Alert::CertificateRequired), "{version:?}");
    }
    assert_eq!(bench.metrics.handshakes("partner", Outcome::Done), 0);
}

#[test]
fn only_http_1_1_is_spoken() {
    let bench = Bench::open();
    for version in BOTH {
        for (offer, fits) in [(&b"h2"[..], false), (b"http/1.0", false), (b"http/1.1", true)] {
            let mut settings =
                settings(&bench, version, Some((&[&bench.pair.der], &bench.pair.key)));
            settings.alpn_protocols = vec![offer.to_vec()];
            let mut client = Client::connect(bench.address, Arc::new(settings)).unwrap();
            match client.get("/v1/whoami") {
                Ok(answer) => assert!(fits && answer.status == 200, "{offer:?}"),
                Err(error) => {
                    assert!(!fits, "{offer:?}: {error}");
                    assert_eq!(alert(&error), Some(Alert::NoApplicationProtocol));
                }
            }
        }
    }
}

#[test]
fn tls_1_2_is_refused_where_it_is_not_wanted() {
    let bench = Bench::open_with(Setup { min: TlsMin::V1_3, ..Setup::default() }, |_, _| {});
    let mut old = Client::connect(bench.address, with(&bench, &TLS12, &bench.pair)).unwrap();
    let error = old.get("/v1/whoami").unwrap_err();
    assert_eq!(alert(&error), Some(Alert::ProtocolVersion));
    assert_eq!(Client::of(&bench).get("/v1/whoami").unwrap().status, 200);
}

#[test]
fn nothing_is_resumed_and_a_revoked_client_does_not_come_back() {
    for version in BOTH {
        let mut bench = Bench::open();
        let settings = with(&bench, version, &bench.pair);
        for _ in 0..3 {
            let mut client = Client::connect(bench.address, settings.clone()).unwrap();
            assert_eq!(client.get("/v1/whoami").unwrap().status, 200);
            assert_eq!(client.kind(), HandshakeKind::Full, "{version:?}");
            assert_eq!(client.stream.conn.tls13_tickets_received(), 0);
        }
        bench.book.revoke(&bench.pair.clone());
        bench.publish();
        let mut client = Client::connect(bench.address, settings).unwrap();
        let error = client.get("/v1/whoami").unwrap_err();
        assert_eq!(alert(&error), Some(Alert::CertificateRevoked), "{version:?}");
    }
}

#[test]
fn a_client_that_comes_back_after_400_days_has_expired() {
    for version in BOTH {
        let bench = Bench::open();
        let settings = with(&bench, version, &bench.pair);
        let mut client = Client::connect(bench.address, settings.clone()).unwrap();
        assert_eq!(client.get("/v1/whoami").unwrap().status, 200);
        bench.pass(YEAR);
        let mut client = Client::connect(bench.address, settings).unwrap();
        let error = client.get("/v1/whoami").unwrap_err();
        assert_eq!(alert(&error), Some(Alert::CertificateExpired), "{version:?}");
    }
}

#[test]
fn a_new_ca_and_a_new_certificate_count_from_the_next_handshake() {
    let mut bench = Bench::open();
    let other = Ca::new("next authority");
    let pair = other.issue(|_| {});
    bench.book.register(bench.partner, &pair, Issued);
    bench.publish();
    assert!(Client::with(&bench, &pair).get("/v1/whoami").is_err());
    bench.book.roots.push(other.der.clone());
    bench.publish();
    assert_eq!(Client::with(&bench, &pair).get("/v1/whoami").unwrap().status, 200);
    assert_eq!(Client::of(&bench).get("/v1/whoami").unwrap().status, 200);
}

#[test]
fn a_silent_client_is_dropped_and_good_ones_do_not_wait_for_it() {
    let bench = Bench::open();
    let started = Instant::now();
    let silent: Vec<_> = (0..20).map(|_| TcpStream::connect(bench.address).unwrap()).collect();
    assert_eq!(Client::of(&bench).get("/v1/whoami").unwrap().status, 200);
    assert!(started.elapsed() < Duration::from_millis(600));
    for mut tcp in silent {
        tcp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(tcp.read(&mut [0; 16]).unwrap_or(0), 0);
    }
    assert!(started.elapsed() < Duration::from_secs(3));
    // The count follows the close.
    while bench.metrics.handshakes("partner", Outcome::Timeout) != 20 {
        assert!(started.elapsed() < Duration::from_secs(5), "{}", bench.metrics.text());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_not_tls_is_refused_by_name() {
    let bench = Bench::open();
    let mut tcp = TcpStream::connect(bench.address).unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut rest = Vec::new();
    let _ = tcp.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP"), "no plain text answer");
    drop(TcpStream::connect(bench.address).unwrap());
    let deadline = Instant::now() + Duration::from_secs(2);
    let seen = |outcome| bench.metrics.handshakes("partner", outcome);
    while (seen(Outcome::Malformed), seen(Outcome::Closed)) != (1, 1) {
        assert!(Instant::now() < deadline, "{}", bench.metrics.text());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn slots_and_addresses_are_bounded() {
    let mut setup = Setup::default();
    setup.connections.handshakes_max = 2;
    let bench = Bench::open_with(setup, |_, _| {});
    let _silent = [TcpStream::connect(bench.address), TcpStream::connect(bench.address)];
    std::thread::sleep(Duration::from_millis(100));
    assert!(Client::of(&bench).get("/v1/whoami").is_err());
    assert_eq!(bench.metrics.handshakes("partner", Outcome::NoSlot), 1);
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(Client::of(&bench).get("/v1/whoami").unwrap().status, 200);

    let mut setup = Setup::default();
    setup.connections.connections_per_address_max = 1;
    let bench = Bench::open_with(setup, |_, _| {});
    let mut first = Client::of(&bench);
    assert_eq!(first.get("/v1/whoami").unwrap().status, 200);
    assert!(Client::of(&bench).get("/v1/whoami").is_err());
    assert_eq!(bench.metrics.handshakes("partner", Outcome::AddressFull), 1);
}
