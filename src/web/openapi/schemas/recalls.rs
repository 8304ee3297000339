//! What is demanded back, and what a partner answers.

use serde_json::{Value, json};

use crate::domain::recall::{RecallCause, RecallState, RefusalGround};
use crate::flows::recall::{RECALLS_MAX, RECALLS_USUAL};

use super::{list, object, of, one_of};

/// Polls, results, and where a recall stands.
pub(super) fn recalls() -> Value {
    let purpose = json!({ "oneOf": [of("Purpose"), { "type": "null" }] });
    let yes_or_no = || json!({ "type": "boolean" });
    let acknowledged = json!({ "type": "array", "items": of("RecallId"), "maxItems": RECALLS_MAX });
    let limit = json!({
        "type": "integer", "minimum": 1, "maximum": RECALLS_MAX, "default": RECALLS_USUAL
    });
    let answered = RecallState::ALL.iter().filter(|state| state.is_answered());
    json!({
        "RecallId": { "type": "string", "description": "`rcl_` and 32 hex digits." },
        "RecallState": one_of(RecallState::ALL.iter().map(|state| state.code())),
        "RecallCause": one_of(RecallCause::ALL.iter().map(|cause| cause.code())),
        "RefusalGround": one_of(RefusalGround::ALL.iter().map(|ground| ground.code())),
        "RecallPoll": object([("ack", acknowledged), ("limit", limit)], &["ack", "limit"]),
        "Recalls": object(
            [
                ("recalls", list("Recall")),
                ("more", yes_or_no()),
                ("unknown", list("RecallId")),
            ],
            &[],
        ),
        "Recall": object(
            [
                ("recall_id", of("RecallId")),
                ("lead_id", of("LeadId")),
                ("action", one_of(["erase"].into_iter())),
                ("purpose", purpose),
                ("cause", of("RecallCause")),
                ("opened_on", of("Day")),
                ("due_on", of("Day")),
            ],
            &[],
        ),
        "RecallResult": object(
            [("outcome", one_of(answered.map(|state| state.code()))), ("ground", of("RefusalGround"))],
            &["ground"],
        ),
        "RecallRecorded": object(
            [
                ("recall_id", of("RecallId")),
                ("state", of("RecallState")),
                ("ground", of("RefusalGround")),
                ("entry", of("Count")),
                ("replayed", yes_or_no()),
            ],
            &["ground"],
        ),
        "RecallStanding": object(
            [
                ("recall_id", of("RecallId")),
                ("state", of("RecallState")),
                ("ground", of("RefusalGround")),
                ("cause", of("RecallCause")),
                ("due_at", of("Moment")),
                ("overdue", yes_or_no()),
                ("entries", list("Count")),
            ],
            &["ground"],
        ),
    })
}
