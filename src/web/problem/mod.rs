//! Every failure as a problem (RFC 9457): the only place that knows status codes.

/// The table of codes: status, title, hint.
pub mod code;

/// How a story's bad end becomes a problem.
mod story;

/// Errors of the OAuth endpoints in their own form (RFC 6749 §5.2).
pub mod oauth;

/// Refusals of a witness in the form of its protocol.
pub mod witness;

/// Middleware that gives every answer its request id, its headers and its form.
pub mod net;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use crate::domain::disclosure::Reason;
use crate::flows::Receipt;
use crate::id::RequestId;
use crate::web::recorded::Recorded;

pub use code::Code;

/// What a 401 or 403 says in `WWW-Authenticate` (RFC 6750 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// No token was sent: nothing to complain about yet.
    Bare,
    /// The token is bad; why is told to the log alone.
    InvalidToken,
    /// The token does not cover this scope.
    InsufficientScope(&'static str),
}

/// What only the running server knows of an answer.
#[derive(Debug, Clone)]
struct Frame {
    request: RequestId,
    metadata_url: Arc<str>,
}

/// A failure on its way to the client. It never carries a value that the client sent.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: Option<Cow<'static, str>>,
    challenge: Option<Challenge>,
    retry_after_s: Option<u32>,
    closes: bool,
    cause: Option<Box<str>>,
    recorded: Option<Box<Recorded>>,
    frame: Option<Frame>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    hint: &'a str,
}

impl Problem {
    /// A problem of this code; challenge, waiting time and closing follow from the table.
    pub fn new(code: Code) -> Self {
        let row = code.row();
        let challenge = match code {
            Code::InvalidToken => Some(Challenge::InvalidToken),
            _ if row.status == 401 => Some(Challenge::Bare),
            _ => None,
        };
        Self {
            code,
            detail: None,
            challenge,
            retry_after_s: row.retry_after_s,
            closes: row.closes,
            cause: None,
            recorded: None,
            frame: None,
        }
    }

    /// A request refused as a whole for a reason of the domain (403).
    pub fn refused(reason: Reason) -> Self {
        Self::new(Code::Refused(reason))
    }

    /// A token that does not cover what was asked (check A7).
    pub fn insufficient_scope(scope: &'static str) -> Self {
        let mut problem = Self::new(Code::InsufficientScope);
        problem.challenge = Some(Challenge::InsufficientScope(scope));
        problem.detail(format!("this needs a token with scope={scope}"))
    }

    /// Something broke inside. The client sees the request id alone; the log gets the chain.
    pub fn broken(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut chain = error.to_string();
        let mut next = error.source();
        while let Some(source) = next {
            chain.push_str(": ");
            chain.push_str(&source.to_string());
            next = source.source();
        }
        let mut problem = Self::new(Code::Internal);
        problem.cause = Some(chain.into());
        problem
    }

    /// Adds a sentence about this case. Never a value that the client sent.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Names the entry that recorded the refusal.
    #[must_use]
    pub fn recorded(mut self, receipt: &Receipt) -> Self {
        self.recorded = Some(Box::new(receipt.into()));
        self
    }

    /// Says when to come back, in seconds.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Closes the connection after the answer.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.code
    }

    fn for_status(status: StatusCode) -> Self {
        Self::new(match status.as_u16() {
            401 => Code::TokenMissing,
            403 => Code::Forbidden,
            404 => Code::NotFound,
            405 => Code::MethodNotAllowed,
            406 => Code::NotAcceptable,
            408 => Code::RequestTimeout,
            409 => Code::Conflict,
            413 => Code::PayloadTooLarge,
            414 | 431 => Code::HeadTooLarge,
            415 => Code::UnsupportedMediaType,
            422 => Code::InvalidContent,
            429 => Code::RateLimited,
            503 => Code::Busy,
            400..=499 => Code::InvalidRequest,
            _ => Code::Internal,
        })
    }

    fn challenge_text(&self) -> Option<String> {
        let mut text = "Bearer realm=\"fieldgate\"".to_owned();
        match self.challenge.as_ref()? {
            Challenge::Bare => {}
            Challenge::InvalidToken => text.push_str(", error=\"invalid_token\""),
            Challenge::InsufficientScope(scope) => {
                text.push_str(", error=\"insufficient_scope\", scope=\"");
                text.push_str(scope);
                text.push('"');
            }
        }
        if let Some(frame) = &self.frame {
            text.push_str(", resource_metadata=\"");
            text.push_str(&frame.metadata_url);
            text.push('"');
        }
        Some(text)
    }

    fn body(&self) -> String {
        let row = self.code.row();
        let body = Body {
            r#type: format!("/problems/{}", row.code),
            title: row.title,
            status: row.status,
            detail: self.detail.as_deref().unwrap_or(row.title),
            code: row.code,
            instance: self.frame.as_ref().map(|frame| frame.request.to_string()),
            hint: row.hint,
        };
        serde_json::to_string(&body).unwrap_or_default()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.row().code)
    }
}

fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        status(self.code.row().status)
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        answer
            .insert_header((CONTENT_TYPE, "application/problem+json"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
        // Said here as well as in `net`: what a middleware refuses never passes there again.
        if let Some(frame) = &self.frame {
            answer.insert_header(("fieldgate-request", frame.request.to_string()));
        }
        if let Some(recorded) = &self.recorded {
            recorded.tell(&mut answer);
        }
        if let Some(text) = self.challenge_text() {
            answer.insert_header((WWW_AUTHENTICATE, text));
        }
        if let Some(seconds) = self.retry_after_s {
            answer.insert_header((RETRY_AFTER, HeaderValue::from(seconds)));
        }
        if self.closes {
            answer.force_close();
        }
        answer.body(self.body())
    }
}
