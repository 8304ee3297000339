//! Carries requests of the object store over the HTTP client and the TLS of the whole program.

use std::pin::Pin;
use std::time::Duration;

use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};

use crate::jobs::http;

/// Longest answer that is read: a bundle of 256 entries of 64 KiB is the longest object that is
/// ever put, and a list of a thousand names is far less.
const ANSWER_BYTES_MAX: usize = 17 * 1024 * 1024;

/// A client with a deadline.
#[derive(Debug, Clone)]
pub(super) struct Connector(reqwest::Client);

/// Why an answer is none that the store's client should look into, in words for whoever set it up.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum Refusal {
    /// 404 to a question that is not about one object.
    #[error("the store knows no such bucket")]
    Bucket,
    /// 401 or 403.
    #[error(
        "the store refuses this key: compare the credentials file with the store, and let the key \
         list, get and put objects"
    )]
    Key,
    /// No request of ours asks for so much.
    #[error("the answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
}

impl Connector {
    /// Trusts this authority in PEM, or those of the operating system.
    ///
    /// # Errors
    /// The authority is no certificate.
    pub(super) fn new(authority: Option<&[u8]>, patience: Duration) -> reqwest::Result<Self> {
        let mut builder = http::client(patience);
        if let Some(pem) = authority {
            builder = builder.tls_certs_only([reqwest::Certificate::from_pem(pem)?]);
        }
        builder.build().map(Self)
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let lists = parts.uri.query().is_some_and(|query| query.contains("list-type"));
        let body = body.collect().await?.to_bytes();
        let request = self.0.request(parts.method, parts.uri.to_string());
        let mut answer = request.headers(parts.headers).body(body).send().await.map_err(failed)?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        match status.as_u16() {
            401 | 403 => return Err(HttpError::new(HttpErrorKind::Decode, Refusal::Key)),
            404 if lists => return Err(HttpError::new(HttpErrorKind::Decode, Refusal::Bucket)),
            _ => {}
        }
        let bytes = http::body(&mut answer, ANSWER_BYTES_MAX).await.map_err(failed)?;
        let too_long = || HttpError::new(HttpErrorKind::Decode, Refusal::TooLong);
        let bytes = bytes.ok_or_else(too_long)?;
        let mut response = HttpResponse::new(HttpResponseBody::from(bytes));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;

impl HttpService for Connector {
    fn call<'life, 'answer>(&'life self, request: HttpRequest) -> Answer<'answer>
    where
        'life: 'answer,
        Self: 'answer,
    {
        Box::pin(self.clone().send(request))
    }
}

/// Which faults pass by themselves. The address is left out: the store names it.
fn failed(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else {
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, error.without_url())
}
