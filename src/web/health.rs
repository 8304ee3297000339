//! The ops door: alive, ready, metrics.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, web};
use serde::Serialize;

use super::caller::{Door, Operator};
use super::limits::{RequestLimits, bound};
use super::metrics::Metrics;
use super::problem::net::{Answering, Spoken, answer};
use super::routes::Table;

/// How one part of the house is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Works.
    Green,
    /// Works, but somebody should look.
    Amber,
    /// Does not work: send no traffic.
    Red,
}

impl Condition {
    /// The word in the answer.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Amber => "amber",
            Self::Red => "red",
        }
    }
}

/// One part of the house and how it is.
#[derive(Debug, Clone)]
pub struct Check {
    /// The part: `ledger`, `database`, `trust`, `witness` ...
    pub part: &'static str,
    /// How it is.
    pub condition: Condition,
    /// One sentence: what is wrong and what to do. Never a personal value.
    pub says: String,
}

/// Looks at every part, quickly and without waiting.
pub type Checks = Arc<dyn Fn() -> Vec<Check> + Send + Sync>;

/// What the pages of this door read.
#[derive(Clone)]
pub struct Health {
    /// Looks at every part.
    pub checks: Checks,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

#[derive(Serialize)]
struct CheckOut {
    part: &'static str,
    condition: &'static str,
    says: String,
}

#[derive(Serialize)]
struct ReadyOut {
    ready: bool,
    checks: Vec<CheckOut>,
}

/// `GET /healthz`: the process answers.
pub async fn live(_: Operator) -> &'static str {
    "alive\n"
}

/// `GET /readyz`: 200 while no part is red, else 503; either way which part is how.
pub async fn ready(_: Operator, health: web::ThinData<Health>) -> HttpResponse {
    let checks = (health.checks)();
    let ready = checks.iter().all(|check| check.condition != Condition::Red);
    let checks = checks
        .into_iter()
        .map(|Check { part, condition, says }| CheckOut { part, condition: condition.code(), says })
        .collect();
    let mut answer = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    let mut answer = answer.json(ReadyOut { ready, checks });
    answer.extensions_mut().insert(Spoken);
    answer
}

/// `GET /metrics`: `OpenMetrics` text.
pub async fn metrics(_: Operator, health: web::ThinData<Health>) -> HttpResponse {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    HttpResponse::Ok().insert_header((CONTENT_TYPE, TYPE)).body(health.metrics.text())
}

/// Opens the ops door on a listener that the caller has bound to loopback.
///
/// # Errors
/// The listener cannot be used.
pub fn open(listener: TcpListener, table: Table, health: Health) -> io::Result<Server> {
    let answering = Answering {
        door: Door::Ops.code(),
        metadata_url: Arc::from(""),
        metrics: Arc::clone(&health.metrics),
    };
    let limits = RequestLimits::default();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::ThinData(answering.clone()))
            .app_data(web::ThinData(limits.clone()))
            .app_data(web::ThinData(health.clone()))
            .configure(|app| table.register(Door::Ops, &limits, app))
            .wrap(from_fn(bound))
            .wrap(from_fn(answer))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)?;
    Ok(server.run())
}
