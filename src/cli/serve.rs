//! `fieldgate serve`: opens every room, starts doors and jobs, stops them in order.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use arc_swap::ArcSwap;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::Settings;
use crate::flows::{Gateway, onboard};
use crate::jobs::registry_watch;
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

use super::follow::{Follow, token_keys};
use super::installation::{Installation, chain, read_file};
use super::say::{Ending, Failure, Voice};

/// Doors that are open, and the job that watches the registry for them.
pub(super) struct Doors {
    handles: Vec<ServerHandle>,
    watch: JoinHandle<()>,
}

impl Doors {
    /// Closes the doors in the order public, partner, ops: requests under way are finished.
    pub(super) async fn close(self) {
        for handle in &self.handles {
            handle.stop(true).await;
        }
        self.watch.abort();
    }
}

pub(super) fn run(config: &Path, voice: Voice) -> Result<Ending, Failure> {
    let open = Installation::open(config)?;
    on_system(async {
        let doors = open_doors(&open).await?;
        let settings = &open.settings.doors;
        voice.line(format_args!("partner door  {} ({})", settings.partner_url, settings.partner));
        voice.line(format_args!("public door   {} ({})", settings.public_url, settings.public));
        voice.line(format_args!("ops door      http://{}", settings.ops));
        let ending = tokio::select! {
            stopped = until_told_to_stop() => stopped.map(|()| Ending::Done),
            () = until_poisoned(&open.gateway) => Err(Failure::broken(
                "the ledger's store failed; nothing is appended or released any more",
            )
            .hint("check the disk, then `fieldgate ledger verify`, then start again")),
        };
        doors.close().await;
        open.sequencer.close();
        ending
    })
}

/// Runs a story on the runtime that the doors need.
pub(super) fn on_system<T>(story: impl Future<Output = T>) -> T {
    actix_web::rt::System::new().block_on(story)
}

/// Waits for an interrupt or a termination signal.
pub(super) async fn until_told_to_stop() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::broken)?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Failure::broken),
        _ = terminate.recv() => Ok(()),
    }
}

/// After an I/O error in the write path the process ends: a later commit could seem to succeed.
async fn until_poisoned(gateway: &Gateway) {
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(200));
    while gateway.is_ready() {
        ticks.tick().await;
    }
}

/// Opens the three doors and starts the watch of the registry.
pub(super) async fn open_doors(open: &Installation) -> Result<Doors, Failure> {
    let settings = &open.settings;
    let at = open.gateway.now();
    let registry = open.gateway.registry_now().await?;
    let roots = vec![open.authority()?.certificate().to_vec()];
    let snapshot = snapshot_of(&registry, at, &roots).map_err(Failure::broken)?;
    let trust = Arc::new(Trust::new(snapshot));
    let tokens = Arc::new(tokens(settings, &open.gateway.keyring())?);
    let metrics = Arc::new(Metrics::new());
    let certificate = Arc::new(server_certificate(settings)?);

    let ops = health::open(bind(settings.doors.ops)?, table(), checks(open, &trust, &metrics))
        .map_err(Failure::broken)?;
    let partner = partner_door(open, &trust, &tokens, (&certificate, &metrics))?;
    let public = public_door(open, &tokens, (&certificate, &metrics))?;
    let handles = vec![public.handle(), partner.handle(), ops.handle()];
    for server in [public, partner, ops] {
        actix_web::rt::spawn(server);
    }
    let follow = Follow::new(open, (trust, tokens), roots);
    let watch = registry_watch::run(open.gateway.clone(), move |registry, at| {
        follow.see(&registry, at);
    });
    Ok(Doors { handles, watch: actix_web::rt::spawn(watch) })
}

fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        Failure::new(Ending::Settings, format!("cannot listen on {address}: {error}"))
            .hint("stop what listens there, or change [doors] in the settings")
    })
}

fn tokens(settings: &Settings, keyring: &Keyring) -> Result<Tokens, Failure> {
    let (issuer, audience) = (&settings.doors.public_url, &settings.doors.partner_url);
    Ok(Tokens::new(token_keys(keyring, Clock::System.now())?, issuer.clone(), audience.clone()))
}

fn server_certificate(settings: &Settings) -> Result<ServerCertificate, Failure> {
    let wrong = |fault: &dyn std::fmt::Display| Failure::new(Ending::Settings, fault);
    let files = &settings.keys;
    let chain =
        crate::vault::certificate::chain_from_pem(&read_file(&files.server_certificate_file)?)
            .map_err(|fault| wrong(&fault))?;
    let key = crate::vault::certificate::key_from_pem(&read_file(&files.server_key_file)?)
        .map_err(|fault| wrong(&fault))?;
    ServerCertificate::new(chain, &key).map_err(|fault| wrong(&fault))
}

/// Reads a leaf for the doors, which may not reach into the vault.
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

type Shared<'a> = (&'a Arc<ServerCertificate>, &'a Arc<Metrics>);

fn partner_door(
    open: &Installation,
    trust: &Arc<Trust>,
    tokens: &Arc<Tokens>,
    (certificate, metrics): Shared<'_>,
) -> Result<actix_web::dev::Server, Failure> {
    let doors = &open.settings.doors;
    let min = if doors.tls_min == "1.2" { TlsMin::V1_2 } else { TlsMin::V1_3 };
    let verifier = RegistryVerifier::new(Arc::clone(trust), read_leaf);
    let tls = partner_settings(verifier, Arc::clone(certificate), Clock::System, min)
        .map_err(|error| Failure::broken(chain(&error)))?;
    let host = doors.partner_url.trim_start_matches("https://").to_owned();
    let metadata_url = format!("{}/.well-known/oauth-protected-resource", doors.public_url);
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
            metrics: Arc::clone(metrics),
        },
        gate: Arc::new(Gate::new(Arc::clone(trust), Arc::clone(tokens), [host], Clock::System)),
        limits: RequestLimits::default(),
        metadata_url: Arc::from(metadata_url),
        table: table(),
    };
    let gateway = Data::new(open.gateway.clone());
    partner::open(bind(doors.partner)?, door, move |app| {
        app.app_data(gateway.clone());
    })
    .map_err(Failure::broken)
}

fn public_door(
    open: &Installation,
    tokens: &Arc<Tokens>,
    (certificate, metrics): Shared<'_>,
) -> Result<actix_web::dev::Server, Failure> {
    let doors = &open.settings.doors;
    let authority = String::from_utf8(read_file(&open.settings.keys.authority_file)?)
        .map_err(|_| Failure::new(Ending::Settings, "the authority's certificate is not PEM"))?;
    let settings = public_settings(Arc::clone(certificate), Clock::System)
        .map_err(|error| Failure::broken(chain(&error)))?;
    let published = Published::new(
        doors.public_url.clone(),
        doors.partner_url.clone(),
        Arc::clone(tokens),
        authority,
    );
    let door = PublicDoor {
        published: Arc::new(published),
        limits: RequestLimits::default(),
        table: table(),
        metrics: Arc::clone(metrics),
    };
    let tls = TlsDoor {
        name: "public",
        settings: Arc::new(ArcSwap::from_pointee(settings)),
        client: None,
        limits: ConnectionLimits::default(),
        metrics: Arc::clone(metrics),
    };
    let gateway = Data::new(open.gateway.clone());
    public::open_tls(bind(doors.public)?, door, tls, move |app| {
        app.app_data(gateway.clone());
    })
    .map_err(Failure::broken)
}

fn checks(open: &Installation, trust: &Arc<Trust>, metrics: &Arc<Metrics>) -> Health {
    let (gateway, trust) = (open.gateway.clone(), Arc::clone(trust));
    let look = move || {
        let check = |part, good: bool, fine: &str, wrong: &str| Check {
            part,
            condition: if good { Condition::Green } else { Condition::Red },
            says: if good { fine } else { wrong }.to_owned(),
        };
        let fresh = trust.is_fresh(gateway.now());
        vec![
            check("ledger", gateway.is_ready(), "takes entries", "broken: restart after a check"),
            check("registry", fresh, "read within 30 s", "not read for 30 s: is the database up?"),
        ]
    };
    Health { checks: Arc::new(look), metrics: Arc::clone(metrics) }
}
