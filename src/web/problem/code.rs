//! The table of problem codes; `/problems/{code}` and the reference page come from it.

use crate::domain::disclosure::Reason;

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct CodeRow {
    /// The stable code.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened, in one line.
    pub title: &'static str,
    /// What to do about it.
    pub hint: &'static str,
    /// Seconds after which to try again.
    pub retry_after_s: Option<u32>,
    /// Whether the connection is closed after the answer.
    pub closes: bool,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal $code:literal $title:literal, $hint:literal
        $(, $retry:literal)? $(, $closes:ident)?;)*) => {
        /// What can go wrong for a client: a closed list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $name,)*
            /// The domain refuses the request as a whole.
            Refused(Reason),
        }

        const PLAIN: &[Code] = &[$(Code::$name,)*];

        impl Code {
            /// Its row.
            pub fn row(self) -> CodeRow {
                match self {
                    $(Self::$name => CodeRow {
                        code: $code,
                        status: $status,
                        title: $title,
                        hint: $hint,
                        retry_after_s: None $(.or(Some($retry)))?,
                        closes: !stringify!($($closes)?).is_empty(),
                    },)*
                    Self::Refused(reason) => CodeRow {
                        code: reason.code(),
                        status: 403,
                        title: reason.row().label,
                        hint: reason.row().hint,
                        retry_after_s: None,
                        closes: false,
                    },
                }
            }
        }
    };
}

codes! {
    /// A request that cannot be understood.
    InvalidRequest = 400 "invalid_request" "the request cannot be understood",
        "compare the request with the reference of this endpoint";
    /// A query parameter is unknown, repeated or malformed.
    InvalidQuery = 400 "invalid_query" "a query parameter is unknown, repeated or malformed",
        "send only documented parameters, each once";
    /// The body is not the JSON expected.
    InvalidBody = 400 "invalid_body" "the body is not the JSON that this endpoint expects",
        "compare the body with the reference of this endpoint";
    /// A cursor that was not given out for this request.
    InvalidCursor = 400 "invalid_cursor" "the cursor was not given out for this request",
        "begin again without a cursor";
    /// An effect without the header that makes it repeatable.
    IdempotencyKeyMissing = 400 "idempotency_key_missing" "the Idempotency-Key header is missing",
        "send a fresh random Idempotency-Key with each new request";
    /// No client certificate on the connection.
    NoClientCertificate = 401 "no_client_certificate" "no client certificate on this connection",
        "connect with the certificate that is registered for you", closes;
    /// The certificate was revoked or is not registered any more.
    CertificateRevoked = 401 "certificate_revoked" "this certificate has been revoked",
        "use another registered certificate, or ask for an invite", closes;
    /// The certificate has ended.
    CertificateExpired = 401 "certificate_expired" "this certificate has expired",
        "ask for an invite to enrol a new certificate", closes;
    /// No access token.
    TokenMissing = 401 "token_missing" "this endpoint needs an access token",
        "POST /oauth2/token, then send Authorization: Bearer";
    /// A token that does not hold here and now.
    InvalidToken = 401 "invalid_token" "the access token is not valid on this connection",
        "fetch a new token over the certificate you use now";
    /// The partner is not active.
    PartnerSuspended = 403 "partner_suspended" "this partner may not use the gate at present",
        "ask your contact at the company";
    /// The token does not cover this purpose.
    InsufficientScope = 403 "insufficient_scope" "the access token does not cover this",
        "fetch a token with the scope named in WWW-Authenticate";
    /// Not for this caller.
    Forbidden = 403 "forbidden" "this is not open to you",
        "ask your contact at the company";
    /// Nothing here, or nothing that this caller may know of.
    NotFound = 404 "not_found" "there is nothing here for you",
        "check the path and the identifier";
    /// Another method.
    MethodNotAllowed = 405 "method_not_allowed" "this path does not know the method",
        "use a method named in the Allow header";
    /// No representation that the client accepts.
    NotAcceptable = 406 "not_acceptable" "none of the accepted types is available",
        "accept application/json";
    /// The client took too long.
    RequestTimeout = 408 "request_timeout" "the request took too long to arrive or to answer",
        "send the whole request at once; ask for smaller pages", closes;
    /// The state does not permit it.
    Conflict = 409 "conflict" "the present state does not permit this",
        "read the present state and decide again";
    /// The key was used for another request.
    IdempotencyConflict = 409 "idempotency_conflict"
        "this Idempotency-Key was used for a different request",
        "use a fresh key for each new request";
    /// It was here once.
    Gone = 410 "gone" "this is no longer available",
        "an entry below the ledger's minimum index was pruned; its receipt and all hashes still hold";
    /// The body is too large.
    PayloadTooLarge = 413 "payload_too_large" "the body is larger than this endpoint accepts",
        "send smaller batches", closes;
    /// Not a type this endpoint reads.
    UnsupportedMediaType = 415 "unsupported_media_type" "this endpoint reads another content type",
        "send application/json";
    /// Another host's request.
    MisdirectedRequest = 421 "misdirected_request" "this door does not serve that host",
        "connect to the address given in the metadata";
    /// Well-formed, but against the rules.
    InvalidContent = 422 "invalid_content" "the content breaks a rule of this endpoint",
        "correct the fields named in the detail";
    /// Too many requests.
    RateLimited = 429 "rate_limited" "too many requests",
        "wait as long as Retry-After says; watch the RateLimit headers", 1;
    /// Head too large.
    HeadTooLarge = 431 "head_too_large" "the request head is too large",
        "send fewer or smaller headers", closes;
    /// Something broke on our side.
    Internal = 500 "internal" "something broke on our side",
        "tell us the instance; trying again is safe";
    /// Too much to do just now.
    Busy = 503 "busy" "the gate is busy",
        "try again after the time in Retry-After", 1;
    /// Nothing can be recorded, so nothing leaves.
    LedgerUnavailable = 503 "ledger_unavailable" "nothing can be recorded now, so nothing leaves",
        "try again after the time in Retry-After", 2;
    /// An alarm stopped the ledger.
    LedgerStopped = 503 "ledger_stopped"
        "the ledger contradicts what was seen of it before, so nothing leaves",
        "waiting does not help: the operator has been alarmed and must settle it";
    /// Nobody outside vouches for the ledger.
    LedgerUnwitnessed = 503 "ledger_unwitnessed"
        "no anchor and no witness has seen the ledger for too long, so nothing leaves",
        "try again after the time in Retry-After; the company sees which anchors fail", 60;
    /// The registry cannot be confirmed.
    TrustStale = 503 "trust_stale" "the registry of certificates cannot be confirmed now",
        "try again after the time in Retry-After", 2;
}

impl Code {
    /// Every code, those of the domain's reasons last.
    pub fn all() -> impl Iterator<Item = Self> {
        PLAIN.iter().copied().chain(Reason::ALL.iter().copied().map(Self::Refused))
    }

    /// Finds a code by its text.
    pub fn find(code: &str) -> Option<Self> {
        Self::all().find(|row| row.row().code == code)
    }
}
