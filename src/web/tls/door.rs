//! Accepts connections and hands them to the HTTP service; actix's own acceptor would drop the
//! reason of every failed handshake and share its limit with all doors of the process.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::body::MessageBody;
use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol, Request, Response};
use actix_server::Server;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, fn_factory, fn_service,
    map_config,
};
use actix_web::dev::AppConfig;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use crate::web::limits::ConnectionLimits;
use crate::web::metrics::Metrics;

use super::connection::{ClientSide, Connections};
use super::handshake::{Outcome, log_failure, shake};
use super::seats::Seats;

/// Everything a TLS door needs besides its routes.
#[derive(Clone)]
pub struct TlsDoor {
    /// Its name in metrics and log lines.
    pub name: &'static str,
    /// Its settings; a swap counts for all handshakes to come.
    pub settings: Arc<ArcSwap<ServerConfig>>,
    /// What happens with client certificates; `None` on the public door.
    pub client: Option<ClientSide>,
    /// Its limits.
    pub limits: ConnectionLimits,
    /// Where handshakes and connections are counted.
    pub metrics: Arc<Metrics>,
}

/// The stream and its peer, as the HTTP service wants them.
type Incoming = (TlsStream<TcpStream>, Protocol, Option<SocketAddr>);

/// Starts a TLS door with its own workers. Stop it with `Server::handle().stop(true)`; idle
/// connections then close at once, requests under way are finished.
///
/// # Errors
/// The listener cannot be used.
pub fn serve<F, I, S, B>(listener: TcpListener, door: TlsDoor, app: F) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let builder = Server::build()
        .workers(door.limits.workers)
        .max_concurrent_connections(door.limits.connections_per_worker_max)
        .shutdown_timeout(door.limits.stop.as_secs())
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let seats = Seats::new(door.limits.handshakes_max, door.limits.connections_per_address_max);
    let connections = Connections {
        client: door.client.clone(),
        age_max: door.limits.age_max,
        numbers: Arc::default(),
    };
    let name = door.name;
    let server = builder.listen(name, listener, move || {
        let stopping = stopping.clone();
        let opened = connections.clone();
        let http = HttpService::build()
            .keep_alive(door.limits.keep_alive)
            .client_request_timeout(door.limits.first_head)
            .client_disconnect_timeout(door.limits.disconnect)
            // Closes idle connections on a graceful stop; hidden in the documentation.
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(move |stream, data| opened.open(stream, data))
            .finish(map_config(
                app().into_factory().map_err(|error| error.into().error_response()),
                |(): ()| AppConfig::default(),
            ));
        gatekeeper(door.clone(), seats.clone(), http)
    })?;
    Ok(server.run())
}

/// Wraps the HTTP service: seat, slot, handshake, then HTTP until the connection is too old.
fn gatekeeper<H>(
    door: TlsDoor,
    seats: Seats,
    http: H,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = (), InitError = ()>
where
    H: ServiceFactory<Incoming, Config = (), Response = (), Error = DispatchError, InitError = ()>
        + 'static,
{
    let http = Rc::new(http);
    fn_factory(move || {
        let (door, seats, http) = (door.clone(), seats.clone(), Rc::clone(&http));
        async move {
            let http = Rc::new(http.new_service(()).await?);
            Ok::<_, ()>(fn_service(move |tcp: TcpStream| {
                let (door, seats, http) = (door.clone(), seats.clone(), Rc::clone(&http));
                async move {
                    accept(&door, &seats, &*http, tcp).await;
                    Ok::<(), ()>(())
                }
            }))
        }
    })
}

async fn accept<H>(door: &TlsDoor, seats: &Seats, http: &H, tcp: TcpStream)
where
    H: Service<Incoming, Response = (), Error = DispatchError>,
{
    let Ok(peer) = tcp.peer_addr() else { return };
    let seat = match seats.sit(peer.ip()) {
        Ok(seat) => seat,
        Err(no) => return refuse(door, peer, no.into()),
    };
    let slot = match seats.handshake() {
        Ok(slot) => slot,
        Err(no) => return refuse(door, peer, no.into()),
    };
    let stream = match shake(door.settings.load_full(), tcp, door.limits.handshake).await {
        Ok(stream) => stream,
        Err(outcome) => return refuse(door, peer, outcome),
    };
    drop(slot);
    door.metrics.handshake(door.name, Outcome::Done);
    let _open = door.metrics.open_connection(door.name);
    // From age_max on answers say `Connection: close`. What is still open after the grace (a
    // stream, half a head, a client that never reads) is dropped here, whatever it does.
    let end = door.limits.age_max.saturating_add(AGE_GRACE);
    match timeout(end, http.call((stream, Protocol::Http1, Some(peer)))).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(door = door.name, %error, "connection ended early"),
        Err(_) => tracing::info!(door = door.name, peer = %peer.ip(), "connection too old: cut"),
    }
    drop(seat);
}

/// How long an old connection may take to finish what it is doing.
const AGE_GRACE: Duration = Duration::from_secs(30);

fn refuse(door: &TlsDoor, peer: SocketAddr, outcome: Outcome) {
    door.metrics.handshake(door.name, outcome);
    log_failure(door.name, peer, outcome);
}
