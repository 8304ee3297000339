//! The table of routes: method, path, who may enter, what answers. The doors register from it.
//!
//! A row without a caller does not compile:
//!
//! ```compile_fail
//! use actix_web::http::Method;
//! async fn open_to_all() -> &'static str { "oops" }
//! fieldgate::web::routes::Table::default().add(Method::GET, "/v1/leads", open_to_all);
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::{Handler, Resource, Responder, Route, web};

use super::caller::{Caller, Door, Entrance};
use super::health;
use super::limits::RequestLimits;
use super::openapi;
use super::partner::{intake, leads, log, oauth, questions, recalls, receipts, whoami};
use super::problem::net::{json_error, path_error, query_error};
use super::public;

/// How much a body may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodySize {
    /// One request: `RequestLimits::body_bytes_max`.
    Usual,
    /// A batch: `RequestLimits::batch_bytes_max`.
    Batch,
}

/// One row of the table.
#[derive(Clone)]
pub struct Row {
    /// The method.
    pub method: Method,
    /// The path, with `{names}`.
    pub path: &'static str,
    /// The door, from the caller's type.
    pub door: Door,
    /// What the caller had to show, from its type.
    pub caller: &'static str,
    /// How much its body may hold.
    pub body: BodySize,
    route: Arc<dyn Fn() -> Route + Send + Sync>,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.method, self.path, self.door.code(), self.caller)
    }
}

/// The table of routes.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a row. The handler's first argument is a `Caller`; its type fills door and caller.
    #[must_use]
    pub fn add<H, Args>(self, method: Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<Args> + Send + Sync,
        H::Output: Responder + 'static,
        Args: Entrance,
    {
        self.push(method, path, BodySize::Usual, handler)
    }

    /// Adds a row whose body is a batch.
    #[must_use]
    pub fn add_batch<H, Args>(self, method: Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<Args> + Send + Sync,
        H::Output: Responder + 'static,
        Args: Entrance,
    {
        self.push(method, path, BodySize::Batch, handler)
    }

    fn push<H, Args>(
        mut self,
        method: Method,
        path: &'static str,
        body: BodySize,
        handler: H,
    ) -> Self
    where
        H: Handler<Args> + Send + Sync,
        H::Output: Responder + 'static,
        Args: Entrance,
    {
        let (door, caller) = (Args::Caller::DOOR, Args::Caller::KIND);
        let verb = method.clone();
        let route = Arc::new(move || web::method(verb.clone()).to(handler.clone()));
        self.rows.push(Row { method, path, door, caller, body, route });
        self
    }

    /// Every row.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Registers the rows of one door. Each path is one resource, so that another method is
    /// answered 405 with `Allow`.
    pub fn register(&self, door: Door, limits: &RequestLimits, app: &mut web::ServiceConfig) {
        app.app_data(web::PayloadConfig::new(limits.body_bytes_max))
            .app_data(json_limit(limits.body_bytes_max))
            .app_data(web::QueryConfig::default().error_handler(query_error))
            .app_data(web::PathConfig::default().error_handler(path_error));
        let mut paths: BTreeMap<&'static str, Vec<&Row>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.door == door) {
            paths.entry(row.path).or_default().push(row);
        }
        for (path, rows) in paths {
            app.service(resource(path, &rows, limits));
        }
    }
}

fn resource(path: &'static str, rows: &[&Row], limits: &RequestLimits) -> Resource {
    let mut resource = web::resource(path);
    if rows.iter().any(|row| row.body == BodySize::Batch) {
        resource = resource
            .app_data(web::PayloadConfig::new(limits.batch_bytes_max))
            .app_data(json_limit(limits.batch_bytes_max));
    }
    rows.iter().fold(resource, |resource, row| resource.route((row.route)()))
}

fn json_limit(bytes: usize) -> web::JsonConfig {
    web::JsonConfig::default().limit(bytes).error_handler(json_error)
}

/// The routes of the house.
pub fn table() -> Table {
    Table::default()
        .add(Method::POST, "/oauth2/token", oauth::token)
        .add(Method::POST, "/oauth2/revoke", oauth::revoke)
        .add(Method::POST, "/oauth2/introspect", oauth::introspect)
        .add(Method::GET, "/v1/whoami", whoami::show)
        .add(Method::GET, "/v1/leads", leads::list)
        .add(Method::GET, "/v1/leads/{id}", leads::one)
        .add(Method::POST, "/v1/recalls/poll", recalls::poll)
        .add(Method::POST, "/v1/recalls/{id}/result", recalls::answer)
        .add(Method::GET, "/v1/receipts/{index}", receipts::show)
        .add(Method::POST, "/v1/audit/find", questions::find)
        .add(Method::POST, "/v1/audit/who", questions::who)
        .add(Method::GET, "/ledger/v1/checkpoint", log::published)
        .add(Method::GET, "/ledger/v1/checkpoint.latest", log::latest)
        .add(Method::GET, "/ledger/v1/tile/entries/{path:.*}", log::entries)
        .add(Method::GET, "/ledger/v1/tile/{path:.*}", log::hashes)
        .add(Method::GET, "/ledger/v1/proof/inclusion", log::inclusion)
        .add(Method::GET, "/ledger/v1/proof/consistency", log::consistency)
        .add_batch(Method::POST, "/v1/contacts", intake::hand_in)
        .add(Method::GET, "/.well-known/oauth-authorization-server", public::metadata::server)
        .add(Method::GET, "/.well-known/oauth-protected-resource", public::metadata::resource)
        .add(Method::GET, "/oauth2/jwks.json", public::metadata::jwks)
        .add(Method::GET, "/pki/ca.pem", public::metadata::ca)
        .add(Method::GET, "/openapi.json", openapi::show)
        .add(Method::GET, "/pki/crl.der", public::metadata::revocations)
        .add(Method::GET, "/problems/{code}", public::problems::show)
        .add(Method::GET, "/problems", public::problems::list)
        .add(Method::GET, "/healthz", health::live)
        .add(Method::GET, "/readyz", health::ready)
        .add(Method::GET, "/metrics", health::metrics)
}
