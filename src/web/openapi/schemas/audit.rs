//! What an auditor asks, and what is answered.

use serde_json::{Value, json};

use crate::domain::disclosure::Reason;
use crate::flows::question::{HITS_MAX, HITS_USUAL, Kind};

use super::{list, object, of, one_of, or_null};

/// What an auditor asks.
pub(super) fn questions() -> Value {
    json!({
        "Question": object(
            [
                ("email", of("Text")),
                ("partner", of("Text")),
                ("certificate", of("Text")),
                ("kind", of("EntryKind")),
                ("decision", one_of(["release", "withhold"].into_iter())),
                ("operation", json!({ "type": "string", "minLength": 1, "maxLength": 64 })),
                ("purpose", of("Purpose")),
                ("reason", of("Reason")),
                ("policy_version", json!({ "type": "integer", "minimum": 1 })),
                ("fields", list("FieldCode")),
                ("from", of("MomentOrDay")),
                ("until", of("MomentOrDay")),
                ("oldest_first", json!({ "type": "boolean" })),
                ("limit", json!({
                    "type": "integer", "minimum": 1, "maximum": HITS_MAX, "default": HITS_USUAL
                })),
                ("cursor", of("Text")),
            ],
            &[
                "email", "partner", "certificate", "kind", "decision", "operation", "purpose",
                "reason", "policy_version", "fields", "from", "until", "oldest_first", "limit",
                "cursor",
            ],
        ),
        "EntryKind": one_of(Kind::ALL.iter().map(|kind| kind.code())),
        "Reason": one_of(Reason::ALL.iter().map(|reason| reason.code())),
        "WhoQuestion": object([("email", of("Text"))], &[]),
    })
}

/// What is answered.
pub(super) fn answers() -> Value {
    let text_or_null = || or_null("string");
    json!({
        "Answer": object(
            [("entry", of("Count")), ("rows", list("EntryRow")), ("next", text_or_null())],
            &[],
        ),
        "EntryRow": object(
            [
                ("index", of("Count")),
                ("time", of("Moment")),
                ("kind", of("EntryKind")),
                ("operation", of("Text")),
                ("partner", text_or_null()),
                ("certificate", text_or_null()),
                ("purpose", text_or_null()),
                ("policy_version", or_null("integer")),
                ("fields", or_null("array")),
                ("decision", text_or_null()),
                ("reason", text_or_null()),
                ("people", or_null("integer")),
                ("person_fields", or_null("array")),
                ("actor", text_or_null()),
                ("subject", text_or_null()),
                ("detail", text_or_null()),
                ("request", of("Text")),
                ("receipt", of("Text")),
                ("items", list("ProvenItem")),
            ],
            &[],
        ),
        "ProvenItem": object(
            [("position", of("Count")), ("item", of("Text")), ("path", list("Text"))],
            &[],
        ),
        "Who": object(
            [("entry", of("Count")), ("state", of("Text")), ("holdings", list("Holding"))],
            &[],
        ),
        "Holding": object(
            [
                ("partner", of("Text")),
                ("legal_name", of("Text")),
                ("purpose", of("Purpose")),
                ("fields", list("FieldCode")),
                ("first", of("Moment")),
                ("last", of("Moment")),
                ("use_until", of("Day")),
                ("policy_version", or_null("integer")),
                ("entries", list("Count")),
                ("receipts", list("Text")),
                ("must_be_told", json!({ "type": "boolean" })),
                ("recall", json!({ "oneOf": [of("RecallStanding"), { "type": "null" }] })),
            ],
            &[],
        ),
    })
}
