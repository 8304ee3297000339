//! Where a recall stands, as the answers to auditors and the command line tell it.

use serde::Serialize;

use crate::clock::Moment;
use crate::domain::recall::{Recall, RefusalGround};

/// Where a recall stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecallStanding {
    /// Its identifier.
    pub recall_id: String,
    /// `open`, `told`, `received`, `erased`, `not_held` or `refused`.
    pub state: &'static str,
    /// Why the partner keeps the data; only with `refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ground: Option<&'static str>,
    /// `choice`, `withdrawal`, `erasure` or `staff`.
    pub cause: &'static str,
    /// Until when the partner has to answer, RFC 3339.
    pub due_at: String,
    /// Whether that time is over without an answer.
    pub overdue: bool,
    /// The entries that opened it, noted it as overdue, and took it to its state.
    pub entries: Vec<u64>,
}

impl RecallStanding {
    /// Tells where a recall stands now.
    pub fn of(recall: &Recall, now: Moment) -> Self {
        Self {
            recall_id: recall.id.to_string(),
            state: recall.state.code(),
            ground: recall.ground.map(RefusalGround::code),
            cause: recall.cause.code(),
            due_at: recall.due_at.rfc3339(),
            overdue: recall.is_late(now),
            entries: recall.entries(),
        }
    }
}
