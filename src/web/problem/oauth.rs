//! Errors of the OAuth endpoints in the form their clients read (RFC 6749 §5.2).

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use super::{Code, Problem, status};

/// What can go wrong at `/oauth2`.
#[derive(Debug, Clone)]
pub enum OauthError {
    /// A parameter is missing, repeated or out of place, or a second way to authenticate.
    InvalidRequest(&'static str),
    /// Certificate and `client_id` prove nobody.
    InvalidClient,
    /// A scope outside the partner's grants.
    InvalidScope,
    /// The partner may not have tokens now.
    UnauthorizedClient,
    /// Not `client_credentials`.
    UnsupportedGrantType,
    /// A failure that the OAuth form has no word for.
    Other(Box<Problem>),
}

#[derive(Serialize)]
struct Body {
    error: &'static str,
    error_description: &'static str,
}

impl OauthError {
    fn body(&self) -> Option<(u16, Body)> {
        let (status, error, error_description) = match self {
            Self::InvalidRequest(why) => (400, "invalid_request", *why),
            Self::InvalidClient => {
                (401, "invalid_client", "the certificate does not prove this client_id")
            }
            Self::InvalidScope => (400, "invalid_scope", "a scope is unknown or not granted"),
            Self::UnauthorizedClient => {
                (400, "unauthorized_client", "this partner may not have tokens at present")
            }
            Self::UnsupportedGrantType => {
                (400, "unsupported_grant_type", "only client_credentials is served")
            }
            Self::Other(_) => return None,
        };
        Some((status, Body { error, error_description }))
    }
}

impl From<Problem> for OauthError {
    /// A gate that refuses a certificate is, at `/oauth2`, a client that is not proved.
    fn from(problem: Problem) -> Self {
        match problem.code() {
            Code::NoClientCertificate | Code::CertificateRevoked | Code::CertificateExpired => {
                Self::InvalidClient
            }
            Code::PartnerSuspended => Self::UnauthorizedClient,
            _ => Self::Other(Box::new(problem)),
        }
    }
}

impl fmt::Display for OauthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.body()) {
            (Self::Other(problem), _) => problem.fmt(f),
            (_, Some((_, body))) => f.write_str(body.error),
            (_, None) => Ok(()),
        }
    }
}

impl ResponseError for OauthError {
    fn status_code(&self) -> StatusCode {
        match (self, self.body()) {
            (Self::Other(problem), _) => problem.status_code(),
            (_, Some((number, _))) => status(number),
            (_, None) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let Some((number, body)) = self.body() else {
            return match self {
                Self::Other(problem) => problem.error_response(),
                _ => HttpResponse::InternalServerError().finish(),
            };
        };
        let mut answer = HttpResponse::build(status(number));
        answer
            .insert_header((CONTENT_TYPE, "application/json"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((PRAGMA, "no-cache"));
        if number == 401 {
            // RFC 9110 §15.5.2 wants a challenge with every 401; no scheme names mutual TLS.
            answer.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"fieldgate\"")).force_close();
        }
        answer.body(serde_json::to_string(&body).unwrap_or_default())
    }
}
