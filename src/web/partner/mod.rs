//! The partner door: mutual TLS, every request judged anew.

mod body;

/// Who a request is from: certificate, then token.
pub mod caller;

/// What a token may be asked for.
pub mod scope;

/// Tokens bound to a certificate: made and judged.
pub mod token;

/// Which keys sign and verify tokens.
pub mod token_keys;

/// Tokens that are void before their time.
pub mod revoked;

/// The OAuth endpoints.
pub mod oauth;

/// Leads: a page, or one.
pub mod leads;

/// Checkpoints, tiles and proofs of the log.
pub mod log;

/// Auditors ask the ledger.
pub mod questions;

/// What a partner must delete, and its answers.
pub mod recalls;

/// The proof of an entry.
pub mod receipts;

/// Our collection points hand in what people left.
pub mod intake;

/// Who is turned away by its token is recorded.
pub mod refusals;

/// What a partner can learn with its certificate alone.
pub mod whoami;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_server::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, web};

use super::caller::Door;
use super::limits::{RequestLimits, bound};
use super::problem::net::{Answering, answer};
use super::problem::{Code, Problem};
use super::routes::Table;
use super::tls::door::{TlsDoor, serve};

use caller::{CertificateCaller, Gate};

/// Everything the partner door needs.
#[derive(Clone)]
pub struct PartnerDoor {
    /// The transport.
    pub tls: TlsDoor,
    /// Who may pass.
    pub gate: Arc<Gate>,
    /// What a request may cost.
    pub limits: RequestLimits,
    /// Absolute URL of the protected-resource metadata, from configuration.
    pub metadata_url: Arc<str>,
    /// The routes.
    pub table: Table,
}

async fn nothing_here(_: CertificateCaller) -> Result<String, Problem> {
    Err(Problem::new(Code::NotFound))
}

/// Opens the partner door. `extra` adds the data that handlers ask for (`flows::Gateway`).
///
/// # Errors
/// The listener cannot be used.
pub fn open<F>(listener: TcpListener, door: PartnerDoor, extra: F) -> io::Result<Server>
where
    F: Fn(&mut web::ServiceConfig) + Send + Clone + 'static,
{
    let PartnerDoor { tls, gate, limits, metadata_url, table } = door;
    let metrics = Arc::clone(&tls.metrics);
    let tiles = web::Data::new(log::Tiles::default());
    let answering = Answering { door: Door::Partner.code(), metadata_url, metrics };
    serve(listener, tls, move || {
        App::new()
            .app_data(web::ThinData(answering.clone()))
            .app_data(web::ThinData(limits.clone()))
            .app_data(web::Data::from(Arc::clone(&gate)))
            .app_data(tiles.clone())
            .configure(|app| table.register(Door::Partner, &limits, app))
            .configure(extra.clone())
            .default_service(web::to(nothing_here))
            .wrap(from_fn(refusals::record))
            .wrap(from_fn(bound))
            .wrap(from_fn(answer))
    })
}
