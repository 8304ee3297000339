//! `fieldgate serve`: opens every room, starts doors and jobs, stops them in order.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use crate::config::DoorSettings;
use crate::flows::Gateway;

use super::anchors;
use super::doors::{self, DoorFault, Doors, Opening};
use super::installation::{Installation, read_file};
use super::say::{Ending, Failure, Voice};
use super::witnesses;

pub(super) fn run(config: &Path, voice: Voice) -> Result<Ending, Failure> {
    let open = Installation::open(config)?;
    on_system(async {
        let settings = &open.settings.doors;
        let doors = open_doors(&open, Listeners::bind(settings)?).await?;
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
        anchors::finish(&open).await;
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
    while !gateway.is_broken() {
        ticks.tick().await;
    }
}

/// The addresses of the doors, taken.
pub(super) struct Listeners {
    pub(super) partner: TcpListener,
    pub(super) public: TcpListener,
    pub(super) ops: TcpListener,
}

impl Listeners {
    /// Takes the addresses that the settings name.
    fn bind(settings: &DoorSettings) -> Result<Self, Failure> {
        Ok(Self {
            partner: bind(settings.partner)?,
            public: bind(settings.public)?,
            ops: bind(settings.ops)?,
        })
    }
}

/// Opens the doors of an installation on addresses that are taken for them.
pub(super) async fn open_doors(
    open: &Installation,
    listeners: Listeners,
) -> Result<Doors, Failure> {
    let files = &open.settings.keys;
    let authority = String::from_utf8(read_file(&files.authority_file)?)
        .map_err(|_| Failure::new(Ending::Settings, "the authority's certificate is not PEM"))?;
    let Listeners { partner, public, ops } = listeners;
    let opening = Opening {
        partner,
        public,
        ops,
        settings: open.settings.doors.clone(),
        certificate_pem: read_file(&files.server_certificate_file)?,
        key_pem: read_file(&files.server_key_file)?,
        authority_pem: authority,
        gateway: open.gateway.clone(),
        store: open.store.clone(),
        master: open.master.clone(),
    };
    let mut doors = doors::open(opening).await?;
    let jobs = anchors::start(open, doors.metrics())?;
    doors.run_beside(jobs);
    let asking = witnesses::start(&open.gateway, doors.publishing())?;
    doors.run_beside(asking);
    Ok(doors)
}

fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        Failure::new(Ending::Settings, format!("cannot listen on {address}: {error}"))
            .hint("stop what listens there, or change [doors] in the settings")
    })
}

impl From<DoorFault> for Failure {
    fn from(fault: DoorFault) -> Self {
        match fault {
            DoorFault::Settings(_) => Self::new(Ending::Settings, fault),
            DoorFault::Broken(_) => Self::broken(fault),
        }
    }
}
