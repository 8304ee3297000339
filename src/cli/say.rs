//! How commands answer: plain words or JSON on standard output, one failure on standard error.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use crate::flows;
use crate::ledger::Receipt;
use crate::store::StoreError;

use super::installation::chain;

/// How a command ended; its exit code is part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// 0: done.
    Done,
    /// 1: checked, and something is wrong.
    Wrong,
    /// 3: the settings cannot be used.
    Settings,
    /// 4: not found.
    Unknown,
    /// 5: in conflict, or refused by the rules.
    Conflict,
    /// 6: the input is invalid.
    Invalid,
    /// 70: our failure.
    Broken,
    /// 75: busy, try again.
    Busy,
}

impl Ending {
    /// The exit code.
    pub(super) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Wrong => 1,
            Self::Settings => 3,
            Self::Unknown => 4,
            Self::Conflict => 5,
            Self::Invalid => 6,
            Self::Broken => 70,
            Self::Busy => 75,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Wrong => "wrong",
            Self::Settings => "settings",
            Self::Unknown => "unknown",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::Broken => "broken",
            Self::Busy => "busy",
        }
    }
}

/// Why a command failed, and what to do about it.
#[derive(Debug)]
pub(super) struct Failure {
    ending: Ending,
    says: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure with its ending.
    pub(super) fn new(ending: Ending, says: impl fmt::Display) -> Self {
        Self { ending, says: says.to_string(), hint: None }
    }

    /// Our own failure.
    pub(super) fn broken(says: impl fmt::Display) -> Self {
        Self::new(Ending::Broken, says)
    }

    /// What to do about it, where that is known.
    pub(super) fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What to do about it.
    pub(super) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)
    }
}

impl From<flows::Error> for Failure {
    fn from(error: flows::Error) -> Self {
        match &error {
            flows::Error::Unknown(_) | flows::Error::Gone(_) => Self::new(Ending::Unknown, error),
            flows::Error::Refused(reason, _) => {
                Self::new(Ending::Conflict, &error).hint(reason.row().hint)
            }
            flows::Error::Conflict(..) => Self::new(Ending::Conflict, error),
            flows::Error::Invalid(_) => Self::new(Ending::Invalid, error),
            flows::Error::Busy { .. } => Self::new(Ending::Busy, error),
            flows::Error::Stopped(alarm) => {
                Self::new(Ending::Conflict, format!("{error}: {alarm}"))
            }
            flows::Error::Broken(_) => Self::broken(chain(&error)),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let says = chain(&error);
        match error {
            StoreError::Busy(_) => Self::new(Ending::Busy, says),
            StoreError::Schema(_) => Self::new(Ending::Settings, says)
                .hint("`fieldgate database check` compares it with this program"),
            StoreError::NotDurable(_) => Self::new(Ending::Settings, says)
                .hint("correct the database's settings: acknowledged entries must survive"),
            StoreError::Broken(_) | StoreError::Conflict(_) | StoreError::Row(_) => {
                Self::broken(says).hint("`fieldgate ledger verify` names what is wrong")
            }
        }
    }
}

/// An answer that can be told in words and in JSON.
pub(super) trait Say: Serialize {
    /// Tells it in words.
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()>;
}

/// What an act did.
#[derive(Debug, Serialize)]
pub(super) struct Act {
    pub(super) done: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entry: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) next: Option<String>,
}

impl Act {
    pub(super) fn new(done: impl Into<String>, receipt: &Receipt) -> Self {
        Self { done: done.into(), entry: Some(receipt.index()), id: None, next: None }
    }

    pub(super) fn dry(done: impl Into<String>) -> Self {
        Self {
            done: format!("dry run, nothing changed: {}", done.into()),
            entry: None,
            id: None,
            next: None,
        }
    }

    pub(super) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    pub(super) fn id(mut self, id: &impl ToString) -> Self {
        self.id = Some(id.to_string());
        self
    }
}

impl Say for Act {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        match self.entry {
            Some(entry) => writeln!(out, "{} (ledger entry {entry})", self.done)?,
            None => writeln!(out, "{}", self.done)?,
        }
        if let Some(id) = &self.id {
            writeln!(out, "  id: {id}")?;
        }
        if let Some(next) = &self.next {
            writeln!(out, "  next: {next}")?;
        }
        Ok(())
    }
}

/// Speaks on standard output, in words or in JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Voice {
    json: bool,
}

impl Voice {
    /// A voice of the chosen form.
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether answers are JSON: then nothing else may be written to standard output.
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// Gives an answer. A closed pipe is not an error: the reader has had enough.
    pub(super) fn tell(self, answer: &impl Say) {
        let mut out = io::stdout().lock();
        let written = if self.json {
            serde_json::to_writer(&mut out, answer)
                .map_err(io::Error::from)
                .and_then(|()| writeln!(out))
        } else {
            answer.say(&mut out)
        };
        if let Err(error) = written.and_then(|()| out.flush()) {
            tracing::debug!(%error, "standard output is closed");
        }
    }

    /// Writes a line of a tour or of progress; silent in JSON.
    pub(super) fn line(self, text: impl fmt::Display) {
        if !self.json {
            let mut out = io::stdout().lock();
            if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
                tracing::debug!("standard output is closed");
            }
        }
    }

    /// Says on standard error what does not belong to the answer; silent in JSON.
    pub(super) fn note(self, text: &str) {
        if !self.json && writeln!(io::stderr(), "{text}").is_err() {
            tracing::debug!("standard error is closed");
        }
    }

    /// Writes bytes as they are: a certificate, a receipt, completions.
    pub(super) fn raw(bytes: &[u8]) {
        if io::stdout().lock().write_all(bytes).is_err() {
            tracing::debug!("standard output is closed");
        }
    }

    /// Tells a failure on standard error and gives its exit code.
    pub(super) fn fail(self, failure: &Failure) -> ExitCode {
        let mut out = io::stderr().lock();
        let written = if self.json {
            let body = json!({
                "error": failure.ending.name(),
                "says": failure.says,
                "hint": failure.hint,
            });
            writeln!(out, "{body}")
        } else {
            let hint = failure.hint.as_ref().map(|hint| format!("\n  hint: {hint}"));
            writeln!(
                out,
                "error[{}]: {}{}",
                failure.ending.name(),
                failure.says,
                hint.unwrap_or_default()
            )
        };
        if written.is_err() {
            tracing::debug!("standard error is closed");
        }
        failure.ending.code()
    }
}
