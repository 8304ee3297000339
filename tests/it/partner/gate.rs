//! The gates G1 to G7 in their order, on one live connection: the first failure answers.
//!
//! The connection belongs to a trust that holds throughout, so that it is not cut; the gate
//! judges by another, which each test moves.

use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use fieldgate::cli::doors::read_leaf;
use fieldgate::clock::{Clock, Moment, SECOND};
use fieldgate::domain::grant::Territory;
use fieldgate::domain::partner::{CertificateSource, CertificateStatus, PartnerKind, PartnerState};
use fieldgate::domain::purpose::Purpose;
use fieldgate::id::{PartnerId, Thumbprint};
use fieldgate::vault::authority::{Authority, new_client_key, new_signing_key, to_pem};
use fieldgate::web::limits::{ConnectionLimits, RequestLimits};
use fieldgate::web::metrics::Metrics;
use fieldgate::web::partner::caller::Gate;
use fieldgate::web::partner::token::Tokens;
use fieldgate::web::partner::token_keys::TokenKeys;
use fieldgate::web::partner::{self, PartnerDoor};
use fieldgate::web::routes::table;
use fieldgate::web::tls::connection::ClientSide;
use fieldgate::web::tls::door::TlsDoor;
use fieldgate::web::tls::settings::{ServerCertificate, TlsMin, partner_settings};
use fieldgate::web::tls::trust::{CertificateRow, GrantTerm, PartnerRow, Trust, TrustSnapshot};
use fieldgate::web::tls::verifier::RegistryVerifier;
use tokio::sync::oneshot;

use super::forms::assert_problem;
use crate::harness::doors::install_crypto;
use crate::harness::wire::{Answer, Trusted, Wire};

/// A registry of one partner with one certificate, as a test wants it.
#[derive(Clone, Copy)]
struct Facts {
    status: CertificateStatus,
    not_after: Moment,
    state: PartnerState,
    per_minute: u32,
}

struct Stage {
    clock: Clock,
    trust: Arc<Trust>,
    partner: PartnerId,
    thumbprint: Thumbprint,
    root: Vec<u8>,
    good: Facts,
    wire: Wire,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stage {
    fn set() -> Self {
        install_crypto();
        let now = Clock::System.now();
        let clock = Clock::fixed(now);
        let made = Authority::create("test authority", now).unwrap();
        let authority = Authority::open(&made.key, &made.certificate).unwrap();
        let partner = PartnerId::new();
        let key = new_client_key("acme").unwrap();
        let leaf = authority.issue_client(&key.certificate, partner, now, 30).unwrap();
        let thumbprint = Thumbprint::of(&leaf);
        let not_after = read_leaf(&leaf).unwrap().not_after;
        let good = Facts {
            status: CertificateStatus::Active,
            not_after,
            state: PartnerState::Active,
            per_minute: 100_000,
        };
        let root = made.certificate.clone();
        let first = || snapshot((1, now), (partner, thumbprint), good, &root);
        let (steady, trust) = (Arc::new(Trust::new(first())), Arc::new(Trust::new(first())));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let door = door(&authority, &url, (steady, Arc::clone(&trust)), clock.clone());
        let mut pem = to_pem("PRIVATE KEY", key.key.expose());
        pem.push_str(&to_pem("CERTIFICATE", &leaf));
        let wire = Trusted::new(&root).wire(&url, Some(&pem));
        let (stop, stopped) = oneshot::channel();
        let (opened, wait) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let server = partner::open(listener, door, |_| ()).unwrap();
                let handle = server.handle();
                actix_web::rt::spawn(server);
                opened.send(()).unwrap();
                let _ = stopped.await;
                handle.stop(true).await;
            });
        });
        wait.recv().unwrap();
        let (stop, thread) = (Some(stop), Some(thread));
        Self { clock, trust, partner, thumbprint, root, good, wire, stop, thread }
    }

    /// Puts other facts in force for the gate, and leaves the connection alone.
    fn judge_by(&self, version: i64, facts: Facts) {
        let whom = (self.partner, self.thumbprint);
        let at = (version, self.clock.now());
        self.trust.replace(snapshot(at, whom, facts, &self.root));
    }

    fn whoami(&mut self) -> Answer {
        self.wire.call("GET", "/v1/whoami", &[], b"")
    }

    fn whoami_at(&mut self, host: &str) -> Answer {
        self.wire.call("GET", "/v1/whoami", &[("host", host)], b"")
    }

    fn token(&mut self) -> Answer {
        let id = self.partner;
        self.wire.form("/oauth2/token", &format!("grant_type=client_credentials&client_id={id}"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn snapshot(
    (version, at): (i64, Moment),
    (partner, thumbprint): (PartnerId, Thumbprint),
    facts: Facts,
    root: &[u8],
) -> TrustSnapshot {
    let certificate = CertificateRow {
        partner,
        source: CertificateSource::Issued,
        status: facts.status,
        not_before: Moment(0),
        not_after: facts.not_after,
    };
    let row = PartnerRow {
        code: "acme".into(),
        kind: PartnerKind::Reseller,
        state: facts.state,
        tokens_not_before: Moment(0),
        requests_per_minute: facts.per_minute,
        grants: vec![GrantTerm {
            purpose: Purpose::Offers,
            fields: Purpose::Offers.row().fields_usual,
            territory: Territory::Everywhere,
            from: Moment(0),
            until: None,
        }],
    };
    let certificates = [(thumbprint, certificate)].into();
    TrustSnapshot::new(version, at, certificates, [(partner, row)].into(), &[root.to_vec()])
        .unwrap()
}

fn door(
    authority: &Authority,
    url: &str,
    (steady, moved): (Arc<Trust>, Arc<Trust>),
    clock: Clock,
) -> PartnerDoor {
    let server = authority.issue_server(&["localhost".into()], Clock::System.now(), 30).unwrap();
    let certificate = ServerCertificate::new(vec![server.certificate], &server.key).unwrap();
    let verifier = RegistryVerifier::new(Arc::clone(&steady), read_leaf);
    let tls = partner_settings(verifier, Arc::new(certificate), Clock::System, TlsMin::V1_3);
    let keys = TokenKeys::new(&new_signing_key().unwrap(), &[]).unwrap();
    let tokens = Tokens::new(keys, "https://issuer.example".into(), url.into());
    let host = url.trim_start_matches("https://").to_owned();
    PartnerDoor {
        tls: TlsDoor {
            name: "partner",
            settings: Arc::new(ArcSwap::from_pointee(tls.unwrap())),
            client: Some(ClientSide { trust: steady, read_leaf, first_use: Arc::new(|_| {}) }),
            limits: ConnectionLimits::default(),
            metrics: Arc::new(Metrics::new()),
        },
        gate: Arc::new(Gate::new(moved, Arc::new(tokens), [host], clock)),
        limits: RequestLimits::default(),
        metadata_url: Arc::from("https://issuer.example/.well-known/oauth-protected-resource"),
        table: table(),
    }
}

fn assert_closes(answer: &Answer) {
    assert_eq!(answer.header("connection"), Some("close"), "{}", answer.says());
}

#[test]
fn another_host_is_misdirected_whatever_else_is_wrong() {
    let mut stage = Stage::set();
    assert_eq!(stage.whoami().status, 200);
    let port = stage.wire.host.rsplit(':').next().unwrap().to_owned();
    let upper = format!("LOCALHOST:{port}");
    assert_eq!(stage.whoami_at(&upper).status, 200);
    stage.clock.advance(31 * SECOND);
    for host in ["evil.example", "localhost", "localhost:1", "127.0.0.1", "localhost.:8443"] {
        assert_problem(&stage.whoami_at(host), "421 misdirected_request", host);
    }
}

#[test]
fn a_registry_that_nobody_confirmed_for_30_seconds_stops_everybody() {
    let mut stage = Stage::set();
    stage.clock.advance(30 * SECOND);
    assert_eq!(stage.whoami().status, 200);
    stage.clock.advance(1);
    let answer = stage.whoami();
    assert_problem(&answer, "503 trust_stale", "whoami");
    assert!(answer.header("retry-after").is_some());
    assert_problem(&stage.token(), "503 trust_stale", "token");
    stage.trust.confirm(stage.clock.now());
    assert_eq!(stage.whoami().status, 200);
}

#[test]
fn a_revoked_certificate_is_refused_on_an_open_connection_which_closes() {
    let mut stage = Stage::set();
    let revoked = Facts { status: CertificateStatus::Revoked, ..stage.good };
    // Revoked comes before expired and suspended.
    let worse = Facts { not_after: Moment(0), state: PartnerState::Suspended, ..revoked };
    for (version, facts) in [(2, revoked), (3, worse)] {
        assert_ne!(stage.wire.call("GET", "/", &[], b"").status, 500);
        stage.judge_by(version, facts);
        let answer = stage.whoami();
        assert_problem(&answer, "401 certificate_revoked", "whoami");
        assert_closes(&answer);
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer realm=\"fieldgate\""), "{challenge}");
        let answer = stage.token();
        assert_eq!(answer.says(), "401 invalid_client");
        assert_closes(&answer);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[test]
fn an_expired_certificate_is_refused_on_an_open_connection_which_closes() {
    let mut stage = Stage::set();
    let soon = stage.clock.now().plus(5 * SECOND);
    stage.judge_by(2, Facts { not_after: soon, state: PartnerState::Suspended, ..stage.good });
    assert_problem(&stage.whoami(), "403 partner_suspended", "before its end");
    stage.clock.advance(6 * SECOND);
    let answer = stage.whoami();
    assert_problem(&answer, "401 certificate_expired", "after its end");
    assert_closes(&answer);
    assert_eq!(stage.token().says(), "401 invalid_client");
}

#[test]
fn a_partner_that_is_not_active_gets_neither_answers_nor_tokens() {
    let mut stage = Stage::set();
    let states = [PartnerState::Applied, PartnerState::Suspended, PartnerState::Offboarded];
    for (state, version) in states.into_iter().zip(2..) {
        stage.judge_by(version, Facts { state, per_minute: 0, ..stage.good });
        assert_problem(&stage.whoami(), "403 partner_suspended", state.code());
        assert_eq!(stage.token().says(), "400 unauthorized_client", "{}", state.code());
    }
    stage.judge_by(9, stage.good);
    assert_eq!(stage.whoami().status, 200);
}

#[test]
fn who_asks_too_often_is_told_when_to_come_back() {
    let mut stage = Stage::set();
    stage.judge_by(2, Facts { per_minute: 3, ..stage.good });
    for left in ["2", "1", "0"] {
        let answer = stage.whoami();
        assert_eq!(answer.status, 200);
        let said = answer.header("ratelimit").unwrap();
        assert!(said.starts_with(&format!("\"partner\";r={left};t=")), "{said}");
        assert_eq!(answer.header("ratelimit-policy"), Some("\"partner\";q=3;w=60"));
    }
    for _ in 0..3 {
        let answer = stage.whoami();
        assert_problem(&answer, "429 rate_limited", "whoami");
        let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=21).contains(&wait), "{wait}");
    }
    assert_problem(&stage.token(), "429 rate_limited", "token");
}
