//! Refusals of a witness with the status codes of its protocol (`c2sp.org/tlog-witness`).

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;

use crate::flows::cosign::Refusal;

use super::net::Spoken;
use super::status;

/// The content type by which a log knows that a 409 names a size.
const SIZE: &str = "text/x.tlog.size";

/// The answer to a request that is not cosigned.
pub fn refused(refusal: Refusal) -> HttpResponse {
    let number = match refusal {
        Refusal::Malformed | Refusal::OldBeyondSize => 400,
        Refusal::UnknownLog => 404,
        Refusal::Untrusted => 403,
        Refusal::Moved { .. } => 409,
        Refusal::Inconsistent => 422,
    };
    let mut answer = HttpResponse::build(status(number));
    let mut answer = match refusal {
        Refusal::Moved { latest } => {
            answer.insert_header((CONTENT_TYPE, SIZE)).body(format!("{latest}\n"))
        }
        _ => answer
            .insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"))
            .body(format!("{refusal}\n")),
    };
    answer.extensions_mut().insert(Spoken);
    answer
}
