//! Values and bodies as JSON Schema (2020-12): closed lists come from the catalogues, so that a
//! new field, purpose or problem stands in the document without anybody writing it there.

mod audit;

mod recalls;

use serde_json::{Map, Value, json};

use crate::domain::contact::CollectionPoint;
use crate::domain::field::{Field, FieldKind};
use crate::domain::partner::{PartnerKind, PartnerState};
use crate::domain::purpose::Purpose;
use crate::flows::release::{LEADS_MAX, LEADS_USUAL};
use crate::web::problem::Code;

/// Every schema by its name.
pub(super) fn all() -> Value {
    let parts = [
        values(),
        tokens(),
        partner(),
        leads(),
        intake(),
        published(),
        failures(),
        audit::questions(),
        audit::answers(),
        recalls::recalls(),
    ];
    let all: Map<String, Value> = parts
        .into_iter()
        .filter_map(|part| match part {
            Value::Object(part) => Some(part),
            _ => None,
        })
        .flatten()
        .collect();
    Value::Object(all)
}

fn of(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn list(schema: &str) -> Value {
    json!({ "type": "array", "items": of(schema) })
}

fn or_null(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

/// An object of exactly these members; all but the optional ones are there.
fn object<const N: usize>(members: [(&str, Value); N], optional: &[&str]) -> Value {
    let names = members.each_ref().map(|(name, _)| *name);
    let needed: Vec<_> = names.iter().filter(|name| !optional.contains(name)).collect();
    let members: Map<String, Value> =
        members.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({
        "type": "object",
        "properties": members,
        "required": needed,
        "additionalProperties": false,
    })
}

/// One of these codes.
fn one_of<'a>(codes: impl Iterator<Item = &'a str>) -> Value {
    json!({ "type": "string", "enum": codes.collect::<Vec<_>>() })
}

fn values() -> Value {
    json!({
        "Anything": { "type": "object" },
        "CollectionPoint": one_of(CollectionPoint::ALL.iter().map(|point| point.code())),
        "Count": { "type": "integer", "minimum": 0 },
        "CountryCode": { "type": "string", "description": "ISO 3166-1 alpha-2." },
        "FieldCode": one_of(Field::ALL.iter().map(|field| field.code())),
        "FieldList": { "type": "string", "description": "Field codes joined by commas." },
        "IdempotencyKey": { "type": "string", "minLength": 1, "maxLength": 128 },
        "LeadId": { "type": "string", "description": "`led_…`: stable for you, unrelated to others'." },
        "Limit": { "type": "integer", "minimum": 1, "maximum": LEADS_MAX, "default": LEADS_USUAL },
        "Moment": { "type": "string", "format": "date-time" },
        "MomentOrDay": { "type": "string", "description": "RFC 3339, or a day as YYYY-MM-DD." },
        "Day": { "type": "string", "format": "date" },
        "ProblemCode": one_of(Code::all().map(|code| code.row().code)),
        "Octets": { "type": "string", "contentMediaType": "application/octet-stream" },
        "Purpose": one_of(Purpose::ALL.iter().map(|purpose| purpose.code())),
        "Text": { "type": "string" },
        "TileNumber": { "type": "string", "description": "As c2sp.org/tlog-tiles writes it." },
    })
}

fn tokens() -> Value {
    json!({
        "TokenForm": object(
            [
                ("grant_type", json!({ "type": "string", "enum": ["client_credentials"] })),
                ("client_id", of("Text")),
                ("scope", of("Text")),
            ],
            &["scope"],
        ),
        "OwnTokenForm": object([("token", of("Text")), ("client_id", of("Text"))], &["client_id"]),
        "TokenAnswer": object(
            [
                ("access_token", of("Text")),
                ("token_type", of("Text")),
                ("expires_in", of("Count")),
                ("scope", of("Text")),
            ],
            &[],
        ),
        "Introspection": object(
            [
                ("active", json!({ "type": "boolean" })),
                ("iss", of("Text")),
                ("aud", of("Text")),
                ("sub", of("Text")),
                ("client_id", of("Text")),
                ("scope", of("Text")),
                ("token_type", of("Text")),
                ("iat", of("Count")),
                ("nbf", of("Count")),
                ("exp", of("Count")),
                ("jti", of("Text")),
                ("cnf", object([("x5t#S256", of("Text"))], &[])),
            ],
            &[
                "iss", "aud", "sub", "client_id", "scope", "token_type", "iat", "nbf", "exp", "jti",
                "cnf",
            ],
        ),
    })
}

fn partner() -> Value {
    json!({
        "Whoami": object(
            [
                ("partner", of("Text")),
                ("code", of("Text")),
                ("kind", one_of(PartnerKind::ALL.iter().map(|kind| kind.code()))),
                ("state", one_of(PartnerState::ALL.iter().map(|state| state.code()))),
                ("scope", of("Text")),
                ("grants", list("Grant")),
                ("thumbprint", of("Text")),
                ("thumbprint_hex", of("Text")),
                ("serial", of("Text")),
                ("not_after", of("Moment")),
                ("days_left", json!({ "type": "integer" })),
                ("trust_version", of("Count")),
            ],
            &[],
        ),
        "Grant": object(
            [
                ("purpose", of("Purpose")),
                ("fields", list("FieldCode")),
                ("territory", of("Text")),
                ("from", of("Moment")),
                ("until", or_null("string")),
            ],
            &[],
        ),
    })
}

/// The values of one person: a member for each field of the catalogue, none of them certain.
fn fields() -> Value {
    let value = |field: &Field| {
        let row = field.row();
        let mut value = json!({ "description": row.label, "maxLength": row.chars_max });
        if let Some(object) = value.as_object_mut() {
            object.insert("type".to_owned(), json!("string"));
            let format = match row.kind {
                FieldKind::Date => Some("date"),
                FieldKind::Email => Some("email"),
                FieldKind::Country | FieldKind::Language | FieldKind::Phone | FieldKind::Text => {
                    None
                }
            };
            object.extend(format.map(|format| ("format".to_owned(), json!(format))));
        }
        (field.code().to_owned(), value)
    };
    let fields: Map<String, Value> = Field::ALL.iter().map(value).collect();
    json!({ "type": "object", "properties": fields, "additionalProperties": false })
}

fn leads() -> Value {
    let frame = [
        ("purpose", of("Purpose")),
        ("policy_version", of("Count")),
        ("use_until", of("Day")),
        ("receipt", of("ReceiptLink")),
    ];
    let [purpose, policy, until, receipt] = frame;
    let page = [("leads", list("Lead")), ("next", or_null("string"))];
    let [leads, next] = page;
    let one =
        [("lead", of("Lead")), purpose.clone(), policy.clone(), until.clone(), receipt.clone()];
    json!({
        "Page": object([leads, next, purpose, policy, until, receipt], &[]),
        "One": object(one, &[]),
        "Lead": object([("lead_id", of("LeadId")), ("fields", of("Fields"))], &[]),
        "Fields": fields(),
        "ReceiptLink": object(
            [
                ("index", of("Count")),
                ("href", of("Text")),
                ("salt", of("Text")),
                ("proof", of("Text")),
            ],
            &["proof"],
        ),
    })
}

fn intake() -> Value {
    let purposes: Map<String, Value> = Purpose::ALL
        .iter()
        .map(|purpose| (purpose.code().to_owned(), json!({ "type": "boolean" })))
        .collect();
    let submissions =
        json!({ "type": "array", "items": of("Submission"), "minItems": 1, "maxItems": 500 });
    let outcomes = ["created", "invalid", "merged", "suppressed"].into_iter();
    json!({
        "Batch": object([("contacts", submissions)], &[]),
        "Submission": object(
            [
                ("collection_point", of("CollectionPoint")),
                ("collected_at", of("Moment")),
                ("policy_version", of("Count")),
                ("wording_hash", of("Text")),
                ("fields", of("Fields")),
                ("choices", of("Choices")),
            ],
            &["choices"],
        ),
        "Choices": { "type": "object", "properties": purposes, "additionalProperties": false },
        "Intake": { "oneOf": [of("Taken"), of("Replay")] },
        "Taken": object(
            [
                ("created", of("Count")),
                ("merged", of("Count")),
                ("suppressed", of("Count")),
                ("invalid", of("Count")),
                ("outcomes", list("Outcome")),
                ("entry", or_null("integer")),
            ],
            &[],
        ),
        "Outcome": object(
            [("outcome", one_of(outcomes)), ("at", of("Text")), ("says", of("Text"))],
            &["at", "says"],
        ),
        "Replay": object([("replayed", json!({ "type": "boolean" })), ("entry", of("Count"))], &[]),
    })
}

/// What the public door publishes by rules of others, who may add members.
fn published() -> Value {
    let open = |needed: &[&str]| {
        let members: Map<String, Value> =
            needed.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        json!({ "type": "object", "properties": members, "required": needed })
    };
    json!({
        "ServerMetadata": open(&[
            "issuer", "token_endpoint", "jwks_uri", "scopes_supported", "grant_types_supported",
            "tls_client_certificate_bound_access_tokens", "mtls_endpoint_aliases",
        ]),
        "ResourceMetadata": open(&["resource", "authorization_servers", "scopes_supported"]),
        "KeySet": open(&["keys"]),
    })
}

fn failures() -> Value {
    json!({
        "Problem": object(
            [
                ("type", of("Text")),
                ("title", of("Text")),
                ("status", json!({ "type": "integer", "minimum": 400, "maximum": 599 })),
                ("detail", of("Text")),
                ("code", of("ProblemCode")),
                ("instance", of("Text")),
                ("hint", of("Text")),
            ],
            &["instance"],
        ),
        "OauthError": object([("error", of("Text")), ("error_description", of("Text"))], &[]),
    })
}
