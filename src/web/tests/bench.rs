//! A partner door on a free port, with a small PKI of its own and a clock that tests move.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use actix_server::ServerHandle;
use actix_web::http::Method;
use arc_swap::ArcSwap;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, SerialNumber,
};

use crate::clock::{Clock, DAY, Moment};
use crate::domain::grant::Territory;
use crate::domain::partner::{CertificateSource, CertificateStatus, PartnerKind, PartnerState};
use crate::domain::purpose::Purpose;
use crate::id::{PartnerId, Thumbprint};
use crate::secret::KeyDocument;
use crate::web::limits::{ConnectionLimits, RequestLimits};
use crate::web::metrics::Metrics;
use crate::web::partner::caller::{CertificateCaller, Gate, PartnerCaller};
use crate::web::partner::token::Tokens;
use crate::web::partner::token_keys::TokenKeys;
use crate::web::partner::{PartnerDoor, open};
use crate::web::problem::Problem;
use crate::web::routes::{Table, table};
use crate::web::tls::connection::ClientSide;
use crate::web::tls::door::TlsDoor;
use crate::web::tls::settings::{ServerCertificate, TlsMin, partner_settings};
use crate::web::tls::trust::{CertificateRow, GrantTerm, PartnerRow, Trust, TrustSnapshot};
use crate::web::tls::verifier::{LeafFacts, RegistryVerifier};

pub(super) const ISSUER: &str = "https://gate.example";
pub(super) const AUDIENCE: &str = "https://api.gate.example";

/// A certificate and its key, as a client holds them.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) der: Vec<u8>,
    pub(super) key: Vec<u8>,
}

impl Pair {
    pub(super) fn thumbprint(&self) -> Thumbprint {
        Thumbprint::of(&self.der)
    }
}

/// A certificate authority.
pub(super) struct Ca {
    pub(super) der: Vec<u8>,
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) key: Vec<u8>,
}

impl Ca {
    pub(super) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let (bytes, params) = (key.serialize_der(), params);
        Self { der, issuer: Issuer::new(params, key), key: bytes }
    }

    pub(super) fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        self.issue_on(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), change)
    }

    pub(super) fn issue_on(
        &self,
        key: &KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let mut params = params("partner");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let der = params.signed_by(key, &self.issuer).unwrap().der().to_vec();
        Pair { der, key: key.serialize_der() }
    }
}

/// A self-signed certificate, CA:TRUE as `openssl req -x509` makes it, or not.
pub(super) fn self_signed(ca: bool, change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let key = KeyPair::generate().unwrap();
    let mut params = params("self-made");
    params.is_ca = if ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    Pair { der: params.self_signed(&key).unwrap().der().to_vec(), key: key.serialize_der() }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let mut dn = DistinguishedName::new();
    dn.push(DnType::CommonName, name);
    params.distinguished_name = dn;
    params.not_before = date(-1);
    params.not_after = date(30);
    params.serial_number = Some(SerialNumber::from(rand_serial()));
    params
}

fn rand_serial() -> Vec<u8> {
    let mut serial = crate::secret::random::<16>().unwrap().to_vec();
    serial[0] &= 0x3f;
    serial[0] |= 0x01;
    serial
}

/// The bench's today, plus days.
pub(super) fn date(days: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(today().seconds() + days * 86_400).unwrap()
}

/// Noon of the day the bench lives in.
pub(super) fn today() -> Moment {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

pub(super) fn read_leaf(der: &[u8]) -> Option<LeafFacts> {
    let facts = crate::vault::certificate::read_leaf(der).ok()?;
    Some(LeafFacts {
        thumbprint: facts.thumbprint,
        serial: facts.serial,
        not_before: facts.not_before,
        not_after: facts.not_after,
        client_auth: facts.client_auth,
        key_kind_ok: facts.key_accepted,
    })
}

/// What is registered; a snapshot is made from it.
#[derive(Clone, Default)]
pub(super) struct Book {
    pub(super) version: i64,
    pub(super) certificates: HashMap<Thumbprint, CertificateRow>,
    pub(super) partners: HashMap<PartnerId, PartnerRow>,
    pub(super) roots: Vec<Vec<u8>>,
}

impl Book {
    pub(super) fn partner(&mut self, change: impl FnOnce(&mut PartnerRow)) -> PartnerId {
        let grant = |purpose: Purpose| GrantTerm {
            purpose,
            fields: purpose.row().fields_usual,
            territory: Territory::Everywhere,
            from: Moment(0),
            until: None,
        };
        let mut row = PartnerRow {
            code: "acme".to_owned(),
            kind: PartnerKind::Reseller,
            state: PartnerState::Active,
            tokens_not_before: Moment(0),
            requests_per_minute: 100_000,
            grants: vec![grant(Purpose::Offers), grant(Purpose::Licensing)],
        };
        change(&mut row);
        let id = PartnerId::new();
        self.partners.insert(id, row);
        id
    }

    pub(super) fn register(&mut self, partner: PartnerId, pair: &Pair, source: CertificateSource) {
        let facts = read_leaf(&pair.der).unwrap();
        let row = CertificateRow {
            partner,
            source,
            status: CertificateStatus::Active,
            not_before: facts.not_before,
            not_after: facts.not_after,
        };
        self.certificates.insert(facts.thumbprint, row);
    }

    pub(super) fn revoke(&mut self, pair: &Pair) {
        self.status(pair, CertificateStatus::Revoked);
    }

    pub(super) fn status(&mut self, pair: &Pair, status: CertificateStatus) {
        self.certificates.get_mut(&pair.thumbprint()).unwrap().status = status;
    }

    pub(super) fn snapshot(&mut self, at: Moment) -> TrustSnapshot {
        self.version += 1;
        let (certificates, partners) = (self.certificates.clone(), self.partners.clone());
        TrustSnapshot::new(self.version, at, certificates, partners, &self.roots).unwrap()
    }
}

/// How a door is set up.
pub(super) struct Setup {
    pub(super) connections: ConnectionLimits,
    pub(super) requests: RequestLimits,
    pub(super) min: TlsMin,
    /// The gate follows another registry than the handshake: only so can a test look at a
    /// revoked certificate on a connection that was not cut.
    pub(super) apart: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let connections = ConnectionLimits {
            workers: 1,
            handshake: Duration::from_millis(700),
            ..ConnectionLimits::default()
        };
        let requests = RequestLimits { deadline: Duration::from_secs(2), ..Default::default() };
        Self { connections, requests, min: TlsMin::V1_2, apart: false }
    }
}

/// An open door.
pub(super) struct Bench {
    pub(super) address: SocketAddr,
    pub(super) ca: Ca,
    pub(super) book: Book,
    pub(super) partner: PartnerId,
    pub(super) pair: Pair,
    pub(super) trust: Arc<Trust>,
    pub(super) gate_trust: Arc<Trust>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) token_key: KeyDocument,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) first_uses: Arc<Mutex<Vec<Thumbprint>>>,
    handle: ServerHandle,
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

impl Bench {
    pub(super) fn open() -> Self {
        Self::open_with(Setup::default(), |_, _| {})
    }

    /// Opens a door; `fill` registers more before the first snapshot.
    pub(super) fn open_with(setup: Setup, fill: impl FnOnce(&mut Book, &Ca)) -> Self {
        let (ca, mut book) = (Ca::new("our authority"), Book::default());
        book.roots.push(ca.der.clone());
        let partner = book.partner(|_| {});
        let pair = ca.issue(|_| {});
        book.register(partner, &pair, CertificateSource::Issued);
        fill(&mut book, &ca);
        let clock = Clock::fixed(today());
        let trust = Arc::new(Trust::new(book.snapshot(today())));
        let gate_trust =
            if setup.apart { Arc::new(Trust::new(book.snapshot(today()))) } else { trust.clone() };
        let token_key = crate::vault::authority::new_signing_key().unwrap();
        let keys = TokenKeys::new(&token_key, &[]).unwrap();
        let tokens = Arc::new(Tokens::new(keys, ISSUER.to_owned(), AUDIENCE.to_owned()));
        let gate = Arc::new(Gate::new(
            gate_trust.clone(),
            tokens.clone(),
            ["Localhost:8443".to_owned()],
            clock.clone(),
        ));
        let metrics = Arc::new(Metrics::new());
        let first_uses: Arc<Mutex<Vec<Thumbprint>>> = Arc::default();
        let told = first_uses.clone();
        let server = ca.issue(|params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        });
        let certificate =
            ServerCertificate::new(vec![server.der], &KeyDocument::new(server.key)).unwrap();
        let verifier = RegistryVerifier::new(trust.clone(), read_leaf);
        let settings =
            partner_settings(verifier, Arc::new(certificate), clock.clone(), setup.min).unwrap();
        let client = ClientSide {
            trust: trust.clone(),
            read_leaf,
            first_use: Arc::new(move |thumbprint| told.lock().unwrap().push(thumbprint)),
        };
        let tls = TlsDoor {
            name: "partner",
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            client: Some(client),
            limits: setup.connections,
            metrics: metrics.clone(),
        };
        let door = PartnerDoor {
            tls,
            gate,
            limits: setup.requests,
            metadata_url: Arc::from("https://gate.example/.well-known/oauth-protected-resource"),
            table: test_table(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let handle = run(move || open(listener, door, |_| {}).unwrap());
        Self {
            address,
            ca,
            book,
            partner,
            pair,
            trust,
            gate_trust,
            tokens,
            token_key,
            clock,
            metrics,
            first_uses,
            handle,
        }
    }

    /// Puts the book in force, as the poll of a replica does.
    pub(super) fn publish(&mut self) -> usize {
        let snapshot = self.book.snapshot(self.clock.now());
        self.trust.replace(snapshot)
    }

    /// Puts the book in force at the gate alone (`Setup::apart`).
    pub(super) fn publish_at_gate(&mut self) {
        let snapshot = self.book.snapshot(self.clock.now());
        self.gate_trust.replace(snapshot);
    }

    /// Lets time pass for everybody, the registry being confirmed all the while.
    pub(super) fn pass(&self, micros: i64) {
        self.clock.advance(micros);
        self.trust.confirm(self.clock.now());
        self.gate_trust.confirm(self.clock.now());
    }

    pub(super) fn handle(&self) -> &ServerHandle {
        &self.handle
    }
}

pub(super) const YEAR: i64 = 400 * DAY;

/// Runs a server on a thread of its own.
pub(super) fn run(start: impl FnOnce() -> actix_server::Server + Send + 'static) -> ServerHandle {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = start();
            sender.send(server.handle()).unwrap();
            let _ = server.await;
        });
    });
    receiver.recv().unwrap()
}

/// The table of the house, and rows that only a test needs.
fn test_table() -> Table {
    table()
        .add(Method::GET, "/test/stream", stream)
        .add(Method::GET, "/test/offers", offers)
        .add(Method::GET, "/test/intake", intake)
        .add(Method::GET, "/test/slow", slow)
        .add(Method::GET, "/test/broken", broken)
        .add(Method::POST, "/test/json", json)
        .add_batch(Method::POST, "/test/batch", json)
}

async fn stream(_: CertificateCaller) -> actix_web::HttpResponse {
    let chunks = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Some((Ok::<_, std::io::Error>(actix_web::web::Bytes::from_static(&[b'x'; 1024])), ()))
    });
    actix_web::HttpResponse::Ok().streaming(chunks)
}

async fn offers(caller: PartnerCaller) -> Result<String, Problem> {
    caller.require(Purpose::Offers)?;
    Ok(caller.partner.to_string())
}

async fn intake(caller: PartnerCaller) -> Result<&'static str, Problem> {
    caller.require_intake()?;
    Ok("in")
}

async fn slow(_: CertificateCaller) -> &'static str {
    tokio::time::sleep(Duration::from_millis(600)).await;
    "slow"
}

async fn broken(_: CertificateCaller) -> Result<&'static str, Problem> {
    Err(Problem::broken(&std::io::Error::other("a secret of the house")))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Echo {
    n: u32,
    #[serde(default)]
    pad: String,
}

async fn json(_: CertificateCaller, body: actix_web::web::Json<Echo>) -> String {
    format!("{} {}", body.n, body.pad.len())
}
