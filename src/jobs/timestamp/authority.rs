//! Asks a timestamp authority over HTTP (RFC 3161 §3.4), and takes no answer that does not count.

use std::time::Duration;

use crate::jobs::http;
use crate::secret::{self, NoRandomness};

use super::answer::{ANSWER_BYTES_MAX, BadAnswer, Query, Timestamp};

const QUERY_TYPE: &str = "application/timestamp-query";
const ANSWER_TYPE: &str = "application/timestamp-reply";

/// Why there is no timestamp, in words for whoever named the authority. None of them repeats its
/// address: some hold the customer's key.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Nothing came, or not in time.
    #[error(
        "the timestamp authority {0}: see that authority_url is right and that this machine may \
         reach it"
    )]
    Silent(&'static str),
    /// An answer of HTTP, and no timestamp.
    #[error(
        "the timestamp authority answers with status {0}: compare authority_url with what it \
         publishes"
    )]
    Status(u16),
    /// A page, or what a proxy says.
    #[error(
        "what answers is no timestamp authority: its content type is not {ANSWER_TYPE}; compare \
         authority_url with what it publishes"
    )]
    Kind,
    /// An answer that does not count.
    #[error("the answer of the timestamp authority does not count: {0}")]
    Bad(#[from] BadAnswer),
    /// The system gives no random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// An authority by its address, and whose word about it counts.
#[derive(Debug)]
pub struct TimestampAuthority {
    url: String,
    certificates: Vec<Vec<u8>>,
    http: reqwest::Client,
}

impl TimestampAuthority {
    /// Trusts answers whose signer one of these certificates (DER) leads to. Each question may take
    /// so long.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(
        url: &str,
        certificates: Vec<Vec<u8>>,
        patience: Duration,
    ) -> Result<Self, reqwest::Error> {
        let http = http::client(patience).build()?;
        Ok(Self { url: url.to_owned(), certificates, http })
    }

    /// Asks for a timestamp of these bytes; the answer in DER, which counts.
    ///
    /// # Errors
    /// There is none.
    pub async fn ask(&self, data: &[u8]) -> Result<Vec<u8>, Unanswered> {
        let query = Query::about(data, Some(secret::random()?));
        let answer = self.post(query.to_der()?).await?;
        query.check(&answer, &self.certificates)?;
        Ok(answer)
    }

    /// What a kept answer says about these bytes.
    ///
    /// # Errors
    /// It does not count.
    pub fn check(&self, data: &[u8], answer: &[u8]) -> Result<Timestamp, BadAnswer> {
        Query::about(data, None).check(answer, &self.certificates)
    }

    async fn post(&self, query: Vec<u8>) -> Result<Vec<u8>, Unanswered> {
        let request = self.http.post(&self.url).header("content-type", QUERY_TYPE).body(query);
        let mut answer = request.send().await.map_err(|error| silent(&error))?;
        if answer.status().as_u16() != 200 {
            return Err(Unanswered::Status(answer.status().as_u16()));
        }
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case(ANSWER_TYPE)) {
            return Err(Unanswered::Kind);
        }
        let bytes = http::body(&mut answer, ANSWER_BYTES_MAX).await;
        Ok(bytes.map_err(|error| silent(&error))?.ok_or(BadAnswer::TooLong)?)
    }
}

fn silent(error: &reqwest::Error) -> Unanswered {
    Unanswered::Silent(if error.is_timeout() {
        "does not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "breaks off its answer"
    })
}
