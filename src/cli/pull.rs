//! A partner's client over real mutual TLS: token, pull, receipts. Used by the demonstration, by
//! tests and by the load client; partners write theirs in any language.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use crate::clock::{Clock, Moment};

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a call failed before an answer was there.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The key or certificate is not what TLS wants.
    #[error("the key and certificate cannot be used")]
    Identity(#[source] reqwest::Error),
    /// The connection or the handshake failed.
    #[error("no answer")]
    Transport(#[source] reqwest::Error),
    /// The answer is larger than 4 MiB or not JSON.
    #[error("the answer cannot be read")]
    Answer,
    /// No token was given.
    #[error("no token: {0}")]
    Token(String),
    /// Another status than 200 and 404.
    #[error("the door answered {0}")]
    Status(u16),
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: HashMap<String, String>,
    /// The body as text.
    pub text: String,
}

impl Pulled {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The `code` of a problem, or the `error` of an OAuth answer.
    pub fn code(&self) -> String {
        let body = self.json();
        let code = body.get("code").or_else(|| body.get("error"));
        code.and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// A partner system: one key, one certificate, connections kept alive.
pub struct Client {
    http: reqwest::Client,
    base: String,
    client_id: String,
    tokens: HashMap<String, (String, Moment)>,
}

impl Client {
    /// Makes a client. `identity` is PEM with the private key and the certificate, `authority`
    /// the CA of the doors in PEM.
    pub fn new(
        base: &str,
        client_id: &str,
        identity: Option<&[u8]>,
        authority: &[u8],
    ) -> Result<Self, ClientError> {
        let root = reqwest::Certificate::from_pem(authority).map_err(ClientError::Identity)?;
        let mut http = reqwest::Client::builder()
            .tls_certs_only([root])
            .https_only(true)
            .http1_only()
            .tcp_nodelay(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(15));
        if let Some(identity) = identity {
            let identity = reqwest::Identity::from_pem(identity).map_err(ClientError::Identity)?;
            http = http.identity(identity);
        }
        Ok(Self {
            http: http.build().map_err(ClientError::Identity)?,
            base: base.to_owned(),
            client_id: client_id.to_owned(),
            tokens: HashMap::new(),
        })
    }

    /// Fetches a token for a scope, or gives the one at hand while it is good. An empty scope asks
    /// for all that is granted.
    pub async fn token(&mut self, scope: &str) -> Result<String, ClientError> {
        let now = Clock::System.now();
        if let Some((token, until)) = self.tokens.get(scope)
            && now < *until
        {
            return Ok(token.clone());
        }
        let wanted = if scope.is_empty() { String::new() } else { format!("&scope={scope}") };
        let form = format!("grant_type=client_credentials&client_id={}{wanted}", self.client_id);
        let request = self
            .http
            .post(format!("{}/oauth2/token", self.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = read(request).await?;
        let body = answer.json();
        let token = body.get("access_token").and_then(Value::as_str);
        let token = token.ok_or_else(|| ClientError::Token(answer.code()))?.to_owned();
        let seconds = body.get("expires_in").and_then(Value::as_i64).unwrap_or(60);
        let until = now.plus(seconds.saturating_sub(20).saturating_mul(crate::clock::SECOND));
        self.tokens.insert(scope.to_owned(), (token.clone(), until));
        Ok(token)
    }

    /// GET with a token for the scope; `path` begins with `/`.
    pub async fn get(&mut self, scope: &str, path: &str) -> Result<Pulled, ClientError> {
        let token = self.token(scope).await?;
        read(self.http.get(format!("{}{path}", self.base)).bearer_auth(token)).await
    }

    /// GET with the certificate alone.
    pub async fn get_plain(&self, path: &str) -> Result<Pulled, ClientError> {
        read(self.http.get(format!("{}{path}", self.base))).await
    }

    /// GET with any text in the place of a token.
    pub async fn get_bearer(&self, token: &str, path: &str) -> Result<Pulled, ClientError> {
        read(self.http.get(format!("{}{path}", self.base)).bearer_auth(token)).await
    }

    /// GET of bytes with a token that was fetched before; `None` where there is nothing.
    ///
    /// # Errors
    /// No answer, another status than 200, 404 and 410 (pruned), or more bytes than `most`.
    pub async fn file(
        &self,
        token: &str,
        path: &str,
        most: u64,
    ) -> Result<Option<Vec<u8>>, ClientError> {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(token);
        let mut answer = request.send().await.map_err(ClientError::Transport)?;
        match answer.status().as_u16() {
            200 => {}
            404 | 410 => return Ok(None),
            status => return Err(ClientError::Status(status)),
        }
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(ClientError::Transport)? {
            bytes.extend_from_slice(&part);
            if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
                return Err(ClientError::Answer);
            }
        }
        Ok(Some(bytes))
    }

    /// POST of JSON with a token for the scope and an idempotency key.
    pub async fn post(
        &mut self,
        scope: &str,
        (path, key): (&str, &str),
        body: &Value,
    ) -> Result<Pulled, ClientError> {
        let token = self.token(scope).await?;
        let url = format!("{}{path}", self.base);
        let request = self.http.post(url).bearer_auth(token).header("idempotency-key", key);
        read(request.json(body)).await
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<Pulled, ClientError> {
    let answer = request.send().await.map_err(ClientError::Transport)?;
    let status = answer.status().as_u16();
    let headers = answer
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    let body = answer.bytes().await.map_err(ClientError::Transport)?;
    if body.len() > ANSWER_BYTES_MAX {
        return Err(ClientError::Answer);
    }
    let text = String::from_utf8(body.to_vec()).map_err(|_| ClientError::Answer)?;
    Ok(Pulled { status, headers, text })
}
