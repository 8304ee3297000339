//! A partner that is turned away by its token is an entry of the ledger too.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, web};

use crate::domain::disclosure::Reason;
use crate::domain::purpose::Purpose;
use crate::flows::Gateway;
use crate::flows::release::{self, Asker};
use crate::web::problem::{Code, Problem};

/// Middleware: a refused token, and a scope that does not cover the request, are recorded before
/// they are answered, and the answer names the entry. Only who passed the gates can cause one, at the rate its quota permits.
pub async fn record<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let gateway = request.app_data::<web::Data<Gateway>>().cloned();
    let purpose = purpose_of(request.query_string());
    let answer = next.call(request).await?;
    let problem = answer.response().error().and_then(|error| error.as_error::<Problem>());
    let refused = problem.and_then(|problem| match problem.code() {
        Code::InvalidToken => Some((problem.clone(), Reason::TokenNotValid)),
        Code::InsufficientScope => Some((problem.clone(), Reason::ScopeMissing)),
        _ => None,
    });
    let asker = answer.request().extensions().get::<Asker>().copied();
    if let (Some((problem, reason)), Some(asker), Some(gateway)) = (refused, asker, gateway) {
        let recorded = release::refuse(&gateway, asker, purpose, reason).await;
        let problem = problem.recorded(&recorded.map_err(Problem::from)?);
        return Ok(answer.into_response(HttpResponse::from_error(problem)).map_into_right_body());
    }
    Ok(answer.map_into_left_body())
}

/// The purpose that was asked for, where the query names one.
fn purpose_of(query: &str) -> Option<Purpose> {
    query.split('&').find_map(|pair| pair.strip_prefix("purpose=")).and_then(Purpose::from_code)
}
