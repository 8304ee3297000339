//! The HTTP client of every job that talks to somebody outside, and how much it listens to.

use std::time::Duration;

/// A client that asks whom it was told to ask and nobody else, and gives up after `patience`.
/// Redirects lead elsewhere, and so would a proxy of the environment.
pub(super) fn client(patience: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .timeout(patience)
        .no_proxy()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
}

/// The body of an answer; `None` where it is longer than `most` bytes, of which no more are read.
///
/// # Errors
/// It breaks off, or takes too long.
pub(super) async fn body(
    answer: &mut reqwest::Response,
    most: usize,
) -> reqwest::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await? {
        if bytes.len().saturating_add(part.len()) > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&part);
    }
    Ok(Some(bytes))
}
