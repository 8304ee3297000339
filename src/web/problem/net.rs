//! The outermost middleware: every answer gets a request id, its headers, and every failure,
//! whoever made it, the form of a problem.

use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::{JsonPayloadError, QueryPayloadError};
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, ResponseError as _, web};

use crate::id::RequestId;
use crate::web::limits::Allowance;
use crate::web::metrics::Metrics;
use crate::web::tls::connection::Connection;

use super::oauth::OauthError;
use super::{Code, Frame, Problem};

/// What the middleware knows of the door it stands in.
#[derive(Clone)]
pub struct Answering {
    /// The door's name in metrics.
    pub door: &'static str,
    /// Absolute URL of the protected-resource metadata (RFC 9728 §5.1), from configuration.
    pub metadata_url: Arc<str>,
    /// Where answers are counted.
    pub metrics: Arc<Metrics>,
}

/// Middleware: see the module.
pub async fn answer<B: MessageBody + 'static>(
    answering: web::ThinData<Answering>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let id = RequestId::new();
    request.extensions_mut().insert(id);
    let old = request.conn_data::<Connection>().is_some_and(Connection::is_old);
    let frame = Frame { request: id, metadata_url: Arc::clone(&answering.metadata_url) };
    let answer: Result<_, Error> = match next.call(request).await {
        Ok(answer) => Ok(dress(answer.map_into_boxed_body(), &frame, &answering, old)),
        Err(error) => Err(framed(&error, &frame, &answering).into()),
    };
    let status = match &answer {
        Ok(answer) => answer.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    answering.metrics.answer(answering.door, class(status), started.elapsed().as_secs_f64());
    answer
}

fn class(status: actix_web::http::StatusCode) -> &'static str {
    match status.as_u16() {
        0..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// The problem in an error, with its frame; a broken one is logged here, once.
fn framed(error: &Error, frame: &Frame, answering: &Answering) -> Problem {
    let mut problem = match (error.as_error::<Problem>(), error.as_error::<OauthError>()) {
        (Some(problem), _) => problem.clone(),
        (None, Some(OauthError::Other(problem))) => problem.as_ref().clone(),
        _ => Problem::for_status(error.as_response_error().status_code()),
    };
    answering.metrics.refusal(problem.code.row().code);
    if problem.code == Code::Internal {
        let cause = problem.cause.take().map_or_else(|| error.to_string(), String::from);
        tracing::error!(request = %frame.request, door = answering.door, cause, "request broke");
    }
    problem.frame = Some(frame.clone());
    problem
}

/// Turns a bare failure into a problem and sets the headers that every answer carries.
fn dress(
    answer: ServiceResponse<BoxBody>,
    frame: &Frame,
    answering: &Answering,
    old: bool,
) -> ServiceResponse<BoxBody> {
    let failed = answer.status().is_client_error() || answer.status().is_server_error();
    let spoken = answer.response().error().is_some_and(|error| {
        error.as_error::<OauthError>().is_some_and(|e| !matches!(e, OauthError::Other(_)))
    });
    let mut answer = if failed && !spoken && !answer.response().extensions().contains::<Spoken>() {
        with_problem(answer, frame, answering)
    } else {
        answer
    };
    let allowance = answer.request().extensions().get::<Allowance>().copied();
    if old {
        answer.response_mut().head_mut().set_connection_type(actix_http::ConnectionType::Close);
    }
    set_headers(answer.headers_mut(), frame, allowance);
    answer
}

/// A handler's own mark on an answer with a failing status whose body must stay as it is.
#[derive(Debug, Clone, Copy)]
pub struct Spoken;

fn with_problem(
    answer: ServiceResponse<BoxBody>,
    frame: &Frame,
    answering: &Answering,
) -> ServiceResponse<BoxBody> {
    let problem = match answer.response().error() {
        Some(error) => framed(error, frame, answering),
        None => {
            let bare: Error = Problem::for_status(answer.status()).into();
            framed(&bare, frame, answering)
        }
    };
    let allow = answer.headers().get(ALLOW).cloned();
    let mut answer = answer.into_response(problem.error_response());
    if let Some(allow) = allow {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

fn set_headers(headers: &mut HeaderMap, frame: &Frame, allowance: Option<Allowance>) {
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let mut put = |name: &'static str, text: String| {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("fieldgate-request", frame.request.to_string());
    if let Some(Allowance { quota, left, reset_s }) = allowance {
        put("ratelimit-policy", format!("\"partner\";q={quota};w=60"));
        put("ratelimit", format!("\"partner\";r={left};t={reset_s}"));
    }
}

/// For `JsonConfig::error_handler`: says where, never what.
pub fn json_error(error: JsonPayloadError, _: &HttpRequest) -> Error {
    match error {
        JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => {
            Problem::new(Code::PayloadTooLarge)
        }
        JsonPayloadError::ContentType => Problem::new(Code::UnsupportedMediaType),
        JsonPayloadError::Deserialize(fault) if fault.is_data() || fault.is_syntax() => {
            let (line, column) = (fault.line(), fault.column());
            Problem::new(Code::InvalidBody).detail(format!("see line {line}, column {column}"))
        }
        _ => Problem::new(Code::InvalidBody),
    }
    .into()
}

/// For `QueryConfig::error_handler`: serde's sentence could repeat a value, so it is not passed on.
pub fn query_error(_: QueryPayloadError, _: &HttpRequest) -> Error {
    Problem::new(Code::InvalidQuery).into()
}

/// For `PathConfig::error_handler`: an identifier of another form names nothing.
pub fn path_error(_: actix_web::error::PathError, _: &HttpRequest) -> Error {
    Problem::new(Code::NotFound).into()
}
