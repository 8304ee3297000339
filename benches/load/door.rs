//! The partner door over a world of the tests, with one more route that touches no database.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::Method;
use actix_web::web::Data;
use actix_web::{HttpResponse, rt};
use arc_swap::ArcSwap;
use fieldgate::clock::Clock;
use fieldgate::flows::onboard;
use fieldgate::vault::authority::to_pem;
use fieldgate::vault::keyring::KeyUse;
use fieldgate::web::limits::{ConnectionLimits, RequestLimits};
use fieldgate::web::metrics::Metrics;
use fieldgate::web::partner::caller::{Gate, PartnerCaller};
use fieldgate::web::partner::token::Tokens;
use fieldgate::web::partner::token_keys::TokenKeys;
use fieldgate::web::partner::{self, PartnerDoor};
use fieldgate::web::routes::table;
use fieldgate::web::tls::connection::ClientSide;
use fieldgate::web::tls::door::TlsDoor;
use fieldgate::web::tls::registry::snapshot_of;
use fieldgate::web::tls::settings::{ServerCertificate, TlsMin, partner_settings};
use fieldgate::web::tls::trust::Trust;
use fieldgate::web::tls::verifier::{LeafFacts, RegistryVerifier};
use serde::Serialize;

use crate::harness::{World, wait};

/// An open door and the threads behind it.
pub struct OpenDoor {
    pub base: String,
    pub authority: String,
    handle: ServerHandle,
    threads: Vec<JoinHandle<()>>,
    closing: Arc<AtomicBool>,
}

impl OpenDoor {
    /// Closes it and waits for its threads.
    pub fn close(self) {
        self.closing.store(true, Ordering::Release);
        wait(self.handle.stop(false));
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

#[derive(Serialize)]
struct BareFields {
    email: String,
    country: String,
    language: String,
}

#[derive(Serialize)]
struct BareLead {
    lead_id: String,
    fields: BareFields,
}

/// The same page from memory: passes the same gates, is serialised anew, touches nothing else.
#[derive(Serialize)]
struct BarePage {
    leads: Vec<BareLead>,
    next: String,
    purpose: &'static str,
    policy_version: i32,
}

impl BarePage {
    fn new() -> Self {
        let lead = |number| BareLead {
            lead_id: format!("led_{number:032}"),
            fields: BareFields {
                email: crate::harness::world::address(number),
                country: "DE".to_owned(),
                language: "de".to_owned(),
            },
        };
        let leads = (0..100).map(lead).collect();
        Self { leads, next: "x".repeat(80), purpose: "offers", policy_version: 1 }
    }
}

async fn bare(_: PartnerCaller, page: Data<BarePage>) -> HttpResponse {
    HttpResponse::Ok().json(&**page)
}

fn read_leaf(der: &[u8]) -> Option<LeafFacts> {
    let facts = onboard::read_certificate(der).ok()?;
    Some(LeafFacts {
        thumbprint: facts.thumbprint,
        serial: facts.serial,
        not_before: facts.not_before,
        not_after: facts.not_after,
        client_auth: facts.client_auth,
        key_kind_ok: facts.key_accepted,
    })
}

/// Opens the partner door of a world on a free port of the loopback.
pub fn open(world: &World) -> OpenDoor {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("localhost:{}", listener.local_addr().unwrap().port());
    let base = format!("https://{host}");
    let now = world.gateway.now();
    let roots = vec![world.authority.certificate().to_vec()];
    let registry = wait(world.gateway.registry_now()).unwrap();
    let trust = Arc::new(Trust::new(snapshot_of(&registry, now, &roots).unwrap()));
    let keyring = world.gateway.keyring();
    let signing = keyring.document(keyring.current(KeyUse::Token).unwrap()).unwrap();
    let keys = TokenKeys::new(&signing, &[]).unwrap();
    let tokens = Arc::new(Tokens::new(keys, base.clone(), base.clone()));
    let made = world.authority.issue_server(&["localhost".to_owned()], now, 30).unwrap();
    let certificate = Arc::new(ServerCertificate::new(vec![made.certificate], &made.key).unwrap());
    let verifier = RegistryVerifier::new(Arc::clone(&trust), read_leaf);
    let tls = partner_settings(verifier, certificate, Clock::System, TlsMin::V1_3).unwrap();
    let door = PartnerDoor {
        tls: TlsDoor {
            name: "partner",
            settings: Arc::new(ArcSwap::from_pointee(tls)),
            client: Some(ClientSide {
                trust: Arc::clone(&trust),
                read_leaf,
                first_use: Arc::new(|_| {}),
            }),
            limits: ConnectionLimits::default(),
            metrics: Arc::new(Metrics::new()),
        },
        gate: Arc::new(Gate::new(Arc::clone(&trust), tokens, [host], Clock::System)),
        limits: RequestLimits::default(),
        metadata_url: Arc::from(format!("{base}/.well-known/oauth-protected-resource")),
        table: table().add(Method::GET, "/v1/bare", bare),
    };
    let (gateway, page) = (Data::new(world.gateway.clone()), Data::new(BarePage::new()));
    let (send, receive) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        rt::System::new().block_on(async move {
            let server = partner::open(listener, door, move |app| {
                app.app_data(gateway.clone()).app_data(page.clone());
            });
            let server = server.unwrap();
            send.send(server.handle()).unwrap();
            server.await.unwrap();
        });
    });
    let handle = receive.recv().unwrap();
    let closing = Arc::new(AtomicBool::new(false));
    let watch = keep_fresh(trust, Arc::clone(&closing));
    let authority = to_pem("CERTIFICATE", world.authority.certificate());
    OpenDoor { base, authority, handle, threads: vec![server, watch], closing }
}

/// Stands in for the job that watches the registry: nothing changes here.
fn keep_fresh(trust: Arc<Trust>, closing: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while !closing.load(Ordering::Acquire) {
            trust.confirm(Clock::System.now());
            std::thread::sleep(Duration::from_millis(200));
        }
    })
}
