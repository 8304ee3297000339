//! The door of a witness: logs hand in checkpoints, anybody reads what was cosigned
//! (`c2sp.org/tlog-witness`). A program of its own; no other door stands beside it.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, web};
use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::flows::cosign::{REQUEST_BYTES_MAX, Refusal, Witness};
use crate::secret::KeyDocument;

use super::caller::{Anyone, Door};
use super::limits::{ConnectionLimits, RequestLimits, bound};
use super::metrics::Metrics;
use super::problem::net::{Answering, answer};
use super::problem::witness::refused;
use super::problem::{Code, Problem};
use super::public::NotLoopback;
use super::routes::Table;
use super::tls::door::{TlsDoor, serve};
use super::tls::settings::{ServerCertificate, public_settings};

const TEXT: (actix_web::http::header::HeaderName, &str) =
    (CONTENT_TYPE, "text/plain; charset=utf-8");

/// The routes of a witness.
pub fn table() -> Table {
    Table::default().add(Method::POST, "/add-checkpoint", add_checkpoint).add(
        Method::GET,
        "/{origin}/checkpoint",
        show,
    )
}

/// `POST /add-checkpoint`: the cosignature, or why there is none.
pub async fn add_checkpoint(
    _: Anyone,
    body: web::Payload,
    witness: web::Data<Witness>,
) -> Result<HttpResponse, Problem> {
    let Ok(Ok(body)) = body.to_bytes_limited(REQUEST_BYTES_MAX).await else {
        return Ok(refused(Refusal::Malformed));
    };
    Ok(match witness.add_checkpoint(body.to_vec()).await? {
        Ok(line) => HttpResponse::Ok().insert_header(TEXT).body(line),
        Err(refusal) => refused(refusal),
    })
}

/// `GET /{hash}/checkpoint`: the newest cosigned checkpoint of a log.
pub async fn show(
    _: Anyone,
    origin: web::Path<String>,
    witness: web::Data<Witness>,
) -> Result<HttpResponse, Problem> {
    let note = witness.newest(origin.into_inner()).await?;
    let note = note.ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(HttpResponse::Ok().insert_header(TEXT).body(note))
}

/// Chain (leaf first, DER) and private key (DER) of the server.
pub type Pair = (Vec<Vec<u8>>, KeyDocument);

/// Opens the door: under TLS with a certificate, plain without one.
///
/// # Errors
/// Plain on an address that other machines reach ([`NotLoopback`]); a pair that does not fit; a
/// listener that cannot be used.
pub fn open(
    listener: TcpListener,
    witness: Witness,
    pair: Option<Pair>,
) -> io::Result<actix_server::Server> {
    let metrics = Arc::new(Metrics::new());
    let limits = RequestLimits::default();
    let answering = Answering {
        door: Door::Public.code(),
        metadata_url: Arc::from(""),
        metrics: Arc::clone(&metrics),
    };
    let configure = move |app: &mut web::ServiceConfig| {
        app.app_data(web::ThinData(answering.clone()))
            .app_data(web::ThinData(limits.clone()))
            .app_data(web::Data::new(witness.clone()));
        table().register(Door::Public, &limits, app);
    };
    let Some((chain, key)) = pair else { return plain(listener, configure) };
    let certificate = ServerCertificate::new(chain, &key).map_err(io::Error::other)?;
    let tls = public_settings(Arc::new(certificate), Clock::System).map_err(io::Error::other)?;
    let door = TlsDoor {
        name: "witness",
        settings: Arc::new(ArcSwap::from_pointee(tls)),
        client: None,
        limits: ConnectionLimits::default(),
        metrics,
    };
    serve(listener, door, move || {
        App::new().configure(configure.clone()).wrap(from_fn(bound)).wrap(from_fn(answer))
    })
}

fn plain(
    listener: TcpListener,
    configure: impl Fn(&mut web::ServiceConfig) + Send + Clone + 'static,
) -> io::Result<actix_server::Server> {
    if !listener.local_addr()?.ip().is_loopback() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, NotLoopback));
    }
    let server = HttpServer::new(move || {
        App::new().configure(configure.clone()).wrap(from_fn(bound)).wrap(from_fn(answer))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(5)
    .listen(listener)?;
    Ok(server.run())
}
