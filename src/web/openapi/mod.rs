//! The API as an `OpenAPI` 3.1 document: doors, callers and limits come from the table of routes,
//! closed lists from the catalogues, and only what each route says of itself is written down.
//!
//! The ops door is the operator's own; strangers are told nothing about it.

/// What each route takes and gives.
mod operations;

/// The bodies and values, with the closed lists of the catalogues.
mod schemas;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::domain::purpose::Purpose;

use super::caller::{Anyone, Door};
use super::limits::RequestLimits;
use super::partner::scope::{INTAKE, RECALLS, Scopes};
use super::routes::{BodySize, Row, Table};

use operations::{Operation, Parameter};

/// The document as it is served. URLs come from configuration, never from `Host`.
pub struct Document(web::Bytes);

impl Document {
    /// Writes the document once, when the door opens.
    pub fn new(table: &Table, partner_url: &str, public_url: &str) -> Self {
        Self(web::Bytes::from(document(table, partner_url, public_url).to_string()))
    }
}

/// `GET /openapi.json`: this document.
pub async fn show(_: Anyone, document: web::Data<Document>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "max-age=300"))
        .insert_header((CONTENT_TYPE, "application/json"))
        .body(document.0.clone())
}

/// The document for doors that are reached at these URLs, without a slash at the end.
pub fn document(table: &Table, partner_url: &str, public_url: &str) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for row in table.rows() {
        let server = match row.door {
            Door::Partner => partner_url,
            Door::Public => public_url,
            Door::Console | Door::Ops => continue,
        };
        let Some(operation) = operations::find(row) else { continue };
        let path = paths.entry(template(row.path)).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert("servers".to_owned(), json!([{ "url": server }]));
            path.insert(row.method.as_str().to_ascii_lowercase(), described(row, operation));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Fieldgate",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
            "description": "Hands an approved partner the fewest fields of a contact that its \
                purpose permits, and records every access in a ledger before a byte leaves. \
                Failures are problems (RFC 9457); what is checked, in which order, stands in \
                the manual.",
        },
        "servers": [{ "url": partner_url }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "headers": headers(),
            "responses": responses(),
            "securitySchemes": schemes(partner_url),
        },
    })
}

/// A path of the table without the patterns of its names: `{path:.*}` becomes `{path}`.
fn template(path: &str) -> String {
    path.replace(":.*}", "}")
}

fn described(row: &Row, operation: &Operation) -> Value {
    let failure = if row.path.starts_with("/oauth2/") && row.door == Door::Partner {
        json!({ "$ref": "#/components/responses/OauthError" })
    } else {
        json!({ "$ref": "#/components/responses/Problem" })
    };
    let parameters: Vec<_> = operation.parameters.iter().map(parameter).collect();
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.says,
        "security": security(row.caller, operation.scope),
        "responses": {
            "200": success(row.door, operation),
            "4XX": failure,
            "5XX": { "$ref": "#/components/responses/Problem" },
        },
    });
    if let Some(object) = described.as_object_mut() {
        if !parameters.is_empty() {
            object.insert("parameters".to_owned(), Value::Array(parameters));
        }
        if let Some((media, schema)) = operation.takes {
            let limits = RequestLimits::default();
            let bytes = match row.body {
                BodySize::Usual => limits.body_bytes_max,
                BodySize::Batch => limits.batch_bytes_max,
            };
            let body = json!({
                "required": true,
                "description": format!("At most {bytes} bytes."),
                "content": { media: { "schema": reference(schema) } },
            });
            object.insert("requestBody".to_owned(), body);
        }
    }
    described
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.needed,
        "description": parameter.says,
        "schema": reference(parameter.schema),
    })
}

fn success(door: Door, operation: &Operation) -> Value {
    let usual: &[&str] = match door {
        Door::Partner => &["Fieldgate-Request", "RateLimit", "RateLimit-Policy"],
        Door::Public | Door::Console | Door::Ops => &["Fieldgate-Request"],
    };
    let names = usual.iter().chain(operation.headers);
    let headers: Map<String, Value> = names
        .map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })))
        .collect();
    let mut success = json!({ "description": operation.says, "headers": headers });
    if let (Some((media, schema)), Some(object)) = (operation.gives, success.as_object_mut()) {
        object.insert("content".to_owned(), json!({ media: { "schema": reference(schema) } }));
    }
    success
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// What must be shown, from the caller's kind in the table.
fn security(caller: &str, scope: Option<&str>) -> Value {
    let scopes: Vec<_> = scope.into_iter().collect();
    match caller {
        "certificate" => json!([{ "certificate": [] }]),
        "anyone" => json!([]),
        _ => json!([{ "certificate": [], "token": scopes }]),
    }
}

fn schemes(partner_url: &str) -> Value {
    let says = |code: &str| match Purpose::from_code(code) {
        Some(purpose) => purpose.row().label,
        None if code == INTAKE => "Contacts handed in by our own systems",
        None if code == RECALLS => "What must be deleted, and the partner's answers",
        None => "The ledger, read by auditors",
    };
    let scopes: Map<String, Value> =
        Scopes::every().into_iter().map(|code| (code.to_owned(), json!(says(code)))).collect();
    json!({
        "certificate": {
            "type": "mutualTLS",
            "description": "A registered client certificate, known by the SHA-256 of the whole.",
        },
        "token": {
            "type": "oauth2",
            "description": "A bearer token bound to that certificate (RFC 8705, RFC 9068).",
            "flows": { "clientCredentials": {
                "tokenUrl": format!("{partner_url}/oauth2/token"),
                "scopes": scopes,
            } },
        },
    })
}

fn responses() -> Value {
    let failure = |says: &str, media: &str, schema: &str| json!({ "description": says, "content": { media: { "schema": reference(schema) } } });
    json!({
        "OauthError": failure("A failure in the form of RFC 6749.", "application/json", "OauthError"),
        "Problem": failure("What is wrong and what to do.", "application/problem+json", "Problem"),
    })
}

fn headers() -> Value {
    let header =
        |says: &str, schema: &str| json!({ "description": says, "schema": reference(schema) });
    json!({
        "Fieldgate-Request": header("The id of the request, for questions about it.", "Text"),
        "Fieldgate-Certificate-Expires":
            header("When the certificate of this connection ends.", "Moment"),
        "Ledger-Entry": header("The bytes of the entry, base64.", "Text"),
        "Ledger-Index": header("Index of the entry that recorded this answer.", "Count"),
        "Link": header("The receipt (`rel=\"receipt\"`), and the next page (`rel=\"next\"`).", "Text"),
        "Preference-Applied": header("The preference that was followed (RFC 7240).", "Text"),
        "RateLimit": header("Requests left, and seconds until the quota is whole.", "Text"),
        "RateLimit-Policy": header("Requests per minute.", "Text"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;
    use crate::web::routes::table;

    #[test]
    fn every_route_that_strangers_meet_is_described_once_and_no_other_is() {
        let rows = table();
        let met = |row: &&Row| matches!(row.door, Door::Partner | Door::Public);
        let rows: Vec<_> = rows.rows().iter().filter(met).collect();
        for row in &rows {
            assert!(operations::find(row).is_some(), "{row:?} is not described");
        }
        assert_eq!(operations::count(), rows.len(), "a description has no route, or stands twice");
        let document = document(&table(), "https://a", "https://b");
        let paths = document["paths"].as_object().unwrap();
        let verbs = |path: &Value| path.as_object().unwrap().len() - 1;
        assert_eq!(paths.values().map(verbs).sum::<usize>(), rows.len());
    }

    /// Every `$ref` below a value.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                let own = object.get("$ref").and_then(Value::as_str);
                found.extend(own.map(str::to_owned));
                object.values().for_each(|one| references(one, found));
            }
            Value::Array(list) => list.iter().for_each(|one| references(one, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_part_is_used() {
        let document = document(&table(), "https://a", "https://b");
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in &found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        for kind in ["schemas", "headers", "responses"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                let reference = format!("#/components/{kind}/{name}");
                assert!(found.contains(&reference), "{reference} is used nowhere");
            }
        }
    }

    #[test]
    fn names_in_a_path_are_its_parameters() {
        let document = document(&table(), "https://a", "https://b");
        for (path, item) in document["paths"].as_object().unwrap() {
            let named: Vec<_> = path.split(['{', '}']).skip(1).step_by(2).collect();
            for (verb, operation) in item.as_object().unwrap() {
                let all = operation["parameters"].as_array().into_iter().flatten();
                let own = all.filter(|one| one["in"] == "path");
                let own: Vec<_> = own.map(|one| one["name"].as_str().unwrap()).collect();
                assert!(verb == "servers" || own == named, "{verb} {path}: {own:?}");
            }
        }
    }
}
