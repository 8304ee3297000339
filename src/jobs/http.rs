//! The HTTP client of every job that talks to somebody outside.

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
