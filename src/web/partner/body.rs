//! Bodies in JSON, read as strictly as queries are.

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;

use crate::web::problem::{Code, Problem};

/// JSON as it is: another type or a coded body is not even looked at.
pub(super) fn demand_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    let json = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    if json && !headers.contains_key(CONTENT_ENCODING) {
        return Ok(());
    }
    Err(Problem::new(Code::UnsupportedMediaType))
}

/// Reads a body; what is wrong with it is told by its place, never by its text.
pub(super) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Problem::new(Code::InvalidBody).detail(format!("wrong at line {line}, column {column}"))
    })
}
