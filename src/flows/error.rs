//! The eight ways a story can end badly, because a caller can do only eight things about it.

use std::fmt;

use crate::domain::disclosure::Reason;
use crate::ledger::{Alarm, Receipt};

/// What was looked for and is not there, or stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A certificate of the registry.
    Certificate,
    /// A contact, named by e-mail address or lead id.
    Contact,
    /// An entry of the ledger.
    Entry,
    /// A grant.
    Grant,
    /// The `Idempotency-Key` of another request body.
    IdempotencyKey,
    /// A key of the key ring.
    Key,
    /// A partner of the registry.
    Partner,
    /// A policy version.
    Policy,
    /// A recall, or what there would be to recall.
    Recall,
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Contact => "contact",
            Self::Entry => "ledger entry",
            Self::Grant => "grant",
            Self::IdempotencyKey => "idempotency key",
            Self::Key => "key",
            Self::Partner => "partner",
            Self::Policy => "policy version",
            Self::Recall => "recall",
        })
    }
}

/// What is wrong with the input, in a sentence that names the place and never the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: a parameter name or a JSON pointer.
    pub at: String,
    /// What is wrong and what would be right.
    pub says: String,
}

/// What is missing when neither an anchor nor a witness has answered for too long.
pub const UNWITNESSED: &str = "ledger without anchor and witness";

/// How a story ends badly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there, or the caller may not know of it.
    #[error("no such {0}")]
    Unknown(Thing),
    /// It was here and was removed by a rule of retention.
    #[error("this {0} was removed by a rule of retention")]
    Gone(Thing),
    /// The rules say no. The refusal is an entry of the ledger already, and this is its receipt.
    #[error("refused: {}", .0.row().label)]
    Refused(Reason, Box<Receipt>),
    /// Another act came first.
    #[error("this {0} is in the way: {1}")]
    Conflict(Thing, String),
    /// The input is wrong.
    #[error("{}: {}", .0.at, .0.says)]
    Invalid(Fault),
    /// Not now: try again after so many seconds. Nothing was released.
    #[error("not now: {what}; try again in {retry_after_s} s")]
    Busy {
        /// What is busy, for the log.
        what: &'static str,
        /// Seconds to wait.
        retry_after_s: u32,
    },
    /// An alarm stopped the ledger: waiting does not help, people must settle it.
    #[error("nothing can be recorded, so nothing leaves")]
    Stopped(#[source] Alarm),
    /// Something of ours failed; the caller learns the request id alone.
    #[error("the gateway failed")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Bad input at a named place.
    pub fn invalid(at: impl Into<String>, says: impl fmt::Display) -> Self {
        Self::Invalid(Fault { at: at.into(), says: says.to_string() })
    }

    /// A failure of ours.
    pub fn broken(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Broken(source.into())
    }
}
