//! The public door: what anybody may read.

/// OAuth metadata, token keys, our CA.
pub mod metadata;

/// A page for each problem code.
pub mod problems;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};

use super::caller::Door;
use super::limits::{RequestLimits, bound};
use super::metrics::Metrics;
use super::openapi::Document;
use super::problem::net::{Answering, answer};
use super::routes::Table;
use super::tls::door::{TlsDoor, serve};

use metadata::Published;

/// Everything the public door needs.
#[derive(Clone)]
pub struct PublicDoor {
    /// What it publishes.
    pub published: Arc<Published>,
    /// What a request may cost.
    pub limits: RequestLimits,
    /// The routes.
    pub table: Table,
    /// Where answers are counted.
    pub metrics: Arc<Metrics>,
}

impl PublicDoor {
    fn configure(&self, app: &mut web::ServiceConfig) {
        app.app_data(web::ThinData(Answering {
            door: Door::Public.code(),
            metadata_url: Arc::from(self.published.resource_metadata_url()),
            metrics: Arc::clone(&self.metrics),
        }))
        .app_data(web::ThinData(self.limits.clone()))
        .app_data(web::Data::from(Arc::clone(&self.published)))
        .app_data(web::Data::new(Document::new(
            &self.table,
            self.published.partner_url(),
            self.published.public_url(),
        )));
        self.table.register(Door::Public, &self.limits, app);
    }
}

/// Opens the public door under TLS. `extra` adds the data that handlers ask for.
///
/// # Errors
/// The listener cannot be used.
pub fn open_tls<F>(
    listener: TcpListener,
    door: PublicDoor,
    tls: TlsDoor,
    extra: F,
) -> io::Result<actix_server::Server>
where
    F: Fn(&mut web::ServiceConfig) + Send + Clone + 'static,
{
    serve(listener, tls, move || {
        App::new()
            .configure(|app| door.configure(app))
            .configure(extra.clone())
            .wrap(from_fn(bound))
            .wrap(from_fn(answer))
    })
}

/// A plain listener on an address that other machines can reach.
#[derive(Debug, thiserror::Error)]
#[error("plain http is for loopback only: set a server certificate, or listen on 127.0.0.1")]
pub struct NotLoopback;

/// Opens the public door without TLS, for a trial on loopback. `extra` adds the data that
/// handlers ask for.
///
/// # Errors
/// The listener is not on loopback ([`NotLoopback`]) or cannot be used.
pub fn open_plain<F>(
    listener: TcpListener,
    door: PublicDoor,
    extra: F,
) -> io::Result<actix_server::Server>
where
    F: Fn(&mut web::ServiceConfig) + Send + Clone + 'static,
{
    if !listener.local_addr()?.ip().is_loopback() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, NotLoopback));
    }
    let server = HttpServer::new(move || {
        App::new()
            .configure(|app| door.configure(app))
            .configure(extra.clone())
            .wrap(from_fn(bound))
            .wrap(from_fn(answer))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(5)
    .listen(listener)?;
    Ok(server.run())
}
