//! Asks one witness for its line below each published checkpoint. One task each, so a slow or
//! broken one holds up nobody, and never has more than one request to answer.

use std::time::Duration;

use tokio::sync::watch;

use crate::flows::outside::{self, Reach};
use crate::flows::witnesses::{self, Answer, Next, Question, Witness};
use crate::flows::{Error, Gateway};
use crate::jobs::http;

/// A witness that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(1);

/// First pause after a failure; it doubles up to `PAUSE_MAX`.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Requests in one turn: the question, once more from the size that the witness named, and once
/// more if another replica was quicker.
const ASKS: usize = 3;

/// Bytes of an answer that are read: a hundred lines are less.
const ANSWER_BYTES_MAX: usize = 32 * 1024;

/// Why a turn did not end with a line.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The witness cannot be reached in time, or its answer not be read.
    #[error("it does not answer, or not over a connection that this machine trusts")]
    Silent(#[from] reqwest::Error),
    /// Its answer asks us to wait.
    #[error("{0}")]
    Waits(String),
    /// Our side failed, or the ledger is stopped.
    #[error(transparent)]
    Story(#[from] Error),
}

/// A client of witnesses.
///
/// # Errors
/// TLS cannot be set up.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    http::client(TIMEOUT).build()
}

/// Runs until an alarm stops the ledger: one turn after each publication.
pub async fn run(
    gateway: Gateway,
    witness: Witness,
    http: reqwest::Client,
    mut news: watch::Receiver<(u64, u64)>,
) {
    let name = format!("witness {}", witness.name);
    outside::expect(&gateway, &name, Reach::Far).await;
    let (mut seen, mut pause) = (0, PAUSE_FIRST);
    while gateway.alarm_raised().is_none() {
        news.mark_unchanged();
        match turn(&gateway, &witness, &http, &mut seen).await {
            Ok(()) => {
                outside::vouched(&gateway, &name).await;
                pause = PAUSE_FIRST;
                if news.changed().await.is_err() {
                    return;
                }
            }
            Err(trouble) => {
                if pause == PAUSE_FIRST {
                    tracing::warn!(witness = witness.name, %trouble, "a witness failed");
                }
                gateway.outside().failed(&name, &trouble.to_string());
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(PAUSE_MAX);
            }
        }
    }
}

/// Asks until the newest published checkpoint is cosigned. `seen` is the size that the witness
/// is believed to have seen; at first 0, and then it tells.
///
/// # Errors
/// The witness fails, or contradicts the ledger: then the alarm is raised.
pub async fn turn(
    gateway: &Gateway,
    witness: &Witness,
    http: &reqwest::Client,
    seen: &mut u64,
) -> Result<(), Trouble> {
    for _ in 0..ASKS {
        let Some(question) = witnesses::question(gateway, *seen).await? else { return Ok(()) };
        let answer = post(http, witness, &question).await?;
        match witnesses::settle(gateway, witness, &question, &answer).await? {
            Next::Cosigned(size) => {
                *seen = size;
                return Ok(());
            }
            Next::AskFrom(size) => *seen = size,
            Next::Wait(why) => return Err(Trouble::Waits(why)),
        }
    }
    Err(Trouble::Waits("it names another size each time".to_owned()))
}

async fn post(
    http: &reqwest::Client,
    witness: &Witness,
    question: &Question,
) -> Result<Answer, reqwest::Error> {
    let request = http.post(witness.submission_url()).body(question.body.clone());
    let mut answer = request.send().await?;
    let content_type = answer.headers().get("content-type");
    let content_type = content_type.and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    let (status, mut body) = (answer.status().as_u16(), Vec::new());
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            body.truncate(ANSWER_BYTES_MAX);
            break;
        }
    }
    Ok(Answer { status, content_type, body })
}
