//! Wires the doors to an open store and starts them with the job that watches the registry.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use arc_swap::ArcSwap;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::DoorSettings;
use crate::flows::{Gateway, onboard};
use crate::jobs::publisher::{self, Publishing};
use crate::jobs::{chaser, registry_watch};
use crate::secret::KeyBytes;
use crate::store::Store;
use crate::vault::certificate::{chain_from_pem, key_from_pem, leaf_from_pem};
use crate::vault::keyring::Keyring;
use crate::web::health::{self, Check, Condition, Health};
use crate::web::limits::{ConnectionLimits, RequestLimits};
use crate::web::metrics::Metrics;
use crate::web::partner::caller::Gate;
use crate::web::partner::token::Tokens;
use crate::web::partner::{self, PartnerDoor};
use crate::web::public::metadata::Published;
use crate::web::public::{self, PublicDoor};
use crate::web::routes::table;
use crate::web::tls::connection::ClientSide;
use crate::web::tls::door::TlsDoor;
use crate::web::tls::registry::snapshot_of;
use crate::web::tls::settings::{ServerCertificate, TlsMin, partner_settings, public_settings};
use crate::web::tls::trust::Trust;
use crate::web::tls::verifier::{LeafFacts, RegistryVerifier};

use super::anchors;
use super::follow::{Follow, token_keys};
use super::installation::{chain, open_authority};
use super::revocations::Revocations;

/// Everything that doors are opened with.
pub struct Opening {
    /// Where the partner door listens.
    pub partner: TcpListener,
    /// Where the public door listens.
    pub public: TcpListener,
    /// Where the ops door listens: on loopback.
    pub ops: TcpListener,
    /// Under which names the doors are reached, and the oldest TLS version.
    pub settings: DoorSettings,
    /// The server's certificate chain in PEM, leaf first.
    pub certificate_pem: Vec<u8>,
    /// Its private key in PEM.
    pub key_pem: Vec<u8>,
    /// The certificate of the authority that partners' certificates are judged by, in PEM.
    pub authority_pem: String,
    /// What the handlers act through.
    pub gateway: Gateway,
    /// Where rotated keys are read again.
    pub store: Store,
    /// What opens them.
    pub master: KeyBytes,
}

/// Why doors do not open.
#[derive(Debug, thiserror::Error)]
pub enum DoorFault {
    /// A key, certificate or name cannot be used.
    #[error("{0}")]
    Settings(String),
    /// Something of ours failed.
    #[error("{0}")]
    Broken(String),
}

impl DoorFault {
    pub(super) fn settings(fault: impl std::fmt::Display) -> Self {
        Self::Settings(fault.to_string())
    }

    fn broken(error: impl std::error::Error) -> Self {
        Self::Broken(chain(&error))
    }
}

/// Doors that are open, and the jobs that run while they are.
pub struct Doors {
    handles: Vec<ServerHandle>,
    jobs: Vec<JoinHandle<()>>,
    metrics: Arc<Metrics>,
    publishing: Publishing,
}

impl Doors {
    /// Closes the doors in the order public, partner, ops: requests under way are finished.
    pub async fn close(self) {
        for handle in &self.handles {
            handle.stop(true).await;
        }
        for job in &self.jobs {
            job.abort();
        }
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What the publisher tells.
    pub fn publishing(&self) -> &Publishing {
        &self.publishing
    }

    /// Jobs that end when the doors close.
    pub fn run_beside(&mut self, jobs: Vec<JoinHandle<()>>) {
        self.jobs.extend(jobs);
    }
}

/// Opens the three doors and starts the watch of the registry. Runs on an actix system.
///
/// # Errors
/// A key or certificate that cannot be used, a registry that cannot be read.
pub async fn open(opening: Opening) -> Result<Doors, DoorFault> {
    let listener = |one: &TcpListener| one.try_clone().map_err(DoorFault::broken);
    let registry = opening.gateway.registry_now().await.map_err(DoorFault::broken)?;
    let root = leaf_from_pem(opening.authority_pem.as_bytes()).map_err(DoorFault::settings)?;
    let roots = vec![root];
    let at = opening.gateway.now();
    let snapshot = snapshot_of(&registry, at, &roots).map_err(DoorFault::broken)?;
    let shared = Shared {
        trust: Arc::new(Trust::new(snapshot)),
        tokens: Arc::new(tokens(&opening.settings, &opening.gateway.keyring())?),
        certificate: Arc::new(server_certificate(&opening)?),
        metrics: Arc::new(Metrics::new()),
        publishing: Publishing::new(),
    };
    let published = Arc::new(published(&opening, &shared));
    let revocations = revocations(&opening, &published)?;
    revocations.see(&registry, at);
    let health = checks(&opening.gateway, &shared);
    let ops = health::open(listener(&opening.ops)?, table(), health).map_err(DoorFault::broken)?;
    let partner = partner_door(listener(&opening.partner)?, &opening, &shared)?;
    let public = public_door(listener(&opening.public)?, published, &opening, &shared)?;
    let handles = vec![public.handle(), partner.handle(), ops.handle()];
    for server in [public, partner, ops] {
        actix_web::rt::spawn(server);
    }
    let Shared { trust, tokens, publishing, metrics, .. } = shared;
    let Opening { gateway, store, master, .. } = opening;
    let keys = (store, Arc::new(master));
    let follow = Follow::new(gateway.clone(), keys, (trust, tokens), roots);
    let publish = publisher::run(gateway.clone(), publishing.clone());
    let chase = chaser::run(gateway.clone());
    let watch = registry_watch::run(gateway, move |registry, at| {
        follow.see(&registry, at);
        revocations.see(&registry, at);
    });
    let jobs = vec![
        actix_web::rt::spawn(watch),
        actix_web::rt::spawn(publish),
        actix_web::rt::spawn(chase),
    ];
    Ok(Doors { handles, jobs, metrics, publishing })
}

/// What the doors have in common.
struct Shared {
    trust: Arc<Trust>,
    tokens: Arc<Tokens>,
    certificate: Arc<ServerCertificate>,
    metrics: Arc<Metrics>,
    publishing: Publishing,
}

fn tokens(settings: &DoorSettings, keyring: &Keyring) -> Result<Tokens, DoorFault> {
    let (issuer, audience) = (settings.public_url.clone(), settings.partner_url.clone());
    Ok(Tokens::new(token_keys(keyring, Clock::System.now())?, issuer, audience))
}

fn server_certificate(opening: &Opening) -> Result<ServerCertificate, DoorFault> {
    let chain = chain_from_pem(&opening.certificate_pem).map_err(DoorFault::settings)?;
    let key = key_from_pem(&opening.key_pem).map_err(DoorFault::settings)?;
    ServerCertificate::new(chain, &key).map_err(DoorFault::settings)
}

/// Reads a leaf for the doors, which may not reach into the vault.
pub fn read_leaf(der: &[u8]) -> Option<LeafFacts> {
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

fn partner_door(
    listener: TcpListener,
    opening: &Opening,
    shared: &Shared,
) -> Result<actix_web::dev::Server, DoorFault> {
    let settings = &opening.settings;
    let min = if settings.tls_min == "1.2" { TlsMin::V1_2 } else { TlsMin::V1_3 };
    let (trust, tokens) = (&shared.trust, &shared.tokens);
    let verifier = RegistryVerifier::new(Arc::clone(trust), read_leaf);
    let tls = partner_settings(verifier, Arc::clone(&shared.certificate), Clock::System, min)
        .map_err(DoorFault::broken)?;
    let host = settings.partner_url.trim_start_matches("https://").to_owned();
    let metadata_url = format!("{}/.well-known/oauth-protected-resource", settings.public_url);
    let gate = Gate::new(Arc::clone(trust), Arc::clone(tokens), [host], Clock::System);
    let door = PartnerDoor {
        tls: TlsDoor {
            name: "partner",
            settings: Arc::new(ArcSwap::from_pointee(tls)),
            client: Some(ClientSide {
                trust: Arc::clone(trust),
                read_leaf,
                first_use: Arc::new(|_| {}),
            }),
            limits: ConnectionLimits::default(),
            metrics: Arc::clone(&shared.metrics),
        },
        gate: Arc::new(gate),
        limits: RequestLimits::default(),
        metadata_url: Arc::from(metadata_url),
        table: table(),
    };
    let gateway = Data::new(opening.gateway.clone());
    partner::open(listener, door, move |app| {
        app.app_data(gateway.clone());
    })
    .map_err(DoorFault::broken)
}

/// What the public door tells everybody.
fn published(opening: &Opening, shared: &Shared) -> Published {
    Published::new(
        opening.settings.public_url.clone(),
        opening.settings.partner_url.clone(),
        Arc::clone(&shared.tokens),
        opening.authority_pem.clone(),
    )
}

fn revocations(opening: &Opening, to: &Arc<Published>) -> Result<Revocations, DoorFault> {
    let keyring = opening.gateway.keyring();
    let authority = open_authority(&keyring, opening.authority_pem.as_bytes());
    Ok(Revocations::new(authority.map_err(DoorFault::settings)?, Arc::clone(to)))
}

fn public_door(
    listener: TcpListener,
    published: Arc<Published>,
    opening: &Opening,
    shared: &Shared,
) -> Result<actix_web::dev::Server, DoorFault> {
    let tls = public_settings(Arc::clone(&shared.certificate), Clock::System)
        .map_err(DoorFault::broken)?;
    let door = PublicDoor {
        published,
        limits: RequestLimits::default(),
        table: table(),
        metrics: Arc::clone(&shared.metrics),
    };
    let tls = TlsDoor {
        name: "public",
        settings: Arc::new(ArcSwap::from_pointee(tls)),
        client: None,
        limits: ConnectionLimits::default(),
        metrics: Arc::clone(&shared.metrics),
    };
    let gateway = Data::new(opening.gateway.clone());
    public::open_tls(listener, door, tls, move |app| {
        app.app_data(gateway.clone());
    })
    .map_err(DoorFault::broken)
}

fn checks(gateway: &Gateway, shared: &Shared) -> Health {
    let (gateway, trust) = (gateway.clone(), Arc::clone(&shared.trust));
    let publishing = shared.publishing.clone();
    let look = move || {
        let check = |part, good: bool, fine: &str, wrong: &str| Check {
            part,
            condition: if good { Condition::Green } else { Condition::Red },
            says: if good { fine } else { wrong }.to_owned(),
        };
        let fresh = trust.is_fresh(gateway.now());
        let mut clock = check("clock", true, "runs forward", "");
        if publishing.was_clock_turned_back(gateway.now()) {
            clock.condition = Condition::Amber;
            "was turned back behind a published checkpoint in the last 15 minutes: is it set right?"
                .clone_into(&mut clock.says);
        }
        let stopped = gateway.alarm_raised().map(|alarm| alarm.to_string());
        let wrong = stopped.as_deref().unwrap_or("broken: restart after a check");
        let mut checks = vec![
            check("ledger", gateway.is_ready(), "takes entries", wrong),
            check("registry", fresh, "read within 30 s", "not read for 30 s: is the database up?"),
            clock,
        ];
        checks.extend(anchors::checks(&gateway));
        checks
    };
    Health { checks: Arc::new(look), metrics: Arc::clone(&shared.metrics) }
}
