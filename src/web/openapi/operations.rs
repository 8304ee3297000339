//! What each route takes and gives: one entry per row of the table of routes.

use crate::web::partner::scope::{AUDIT, INTAKE, RECALLS};
use crate::web::routes::Row;

/// What one route says of itself. Door, caller and size of the body come from the table.
pub(super) struct Operation {
    method: &'static str,
    path: &'static str,
    /// A name for generated clients.
    pub(super) id: &'static str,
    /// What it does, in one line.
    pub(super) says: &'static str,
    /// The scope that its token needs, where it is always the same.
    pub(super) scope: Option<&'static str>,
    /// Query, path and header parameters.
    pub(super) parameters: &'static [Parameter],
    /// Media type and schema of the body.
    pub(super) takes: Option<(&'static str, &'static str)>,
    /// Media type and schema of the answer.
    pub(super) gives: Option<(&'static str, &'static str)>,
    /// Headers of the answer beside the usual ones.
    pub(super) headers: &'static [&'static str],
}

/// One parameter.
#[derive(Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// `query`, `path` or `header`.
    pub(super) place: &'static str,
    pub(super) needed: bool,
    pub(super) says: &'static str,
    /// Name of its schema.
    pub(super) schema: &'static str,
}

/// What a row says of itself.
pub(super) fn find(row: &Row) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|one| one.path == row.path && one.method == row.method.as_str())
}

/// How many routes are described.
#[cfg(test)]
pub(super) fn count() -> usize {
    OPERATIONS.len()
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const HTML: &str = "text/html";
const TEXT: &str = "text/plain";
const OCTETS: &str = "application/octet-stream";

const fn query(name: &'static str, schema: &'static str, says: &'static str) -> Parameter {
    Parameter { name, place: "query", needed: false, says, schema }
}

const fn needed(parameter: Parameter) -> Parameter {
    Parameter { needed: true, ..parameter }
}

const fn path(name: &'static str, schema: &'static str, says: &'static str) -> Parameter {
    Parameter { name, place: "path", needed: true, says, schema }
}

const fn header(name: &'static str, schema: &'static str, says: &'static str) -> Parameter {
    Parameter { name, place: "header", needed: false, says, schema }
}

const PURPOSE: Parameter = needed(query("purpose", "Purpose", "What the leads are for."));
const FIELDS: Parameter =
    query("fields", "FieldList", "Codes joined by commas; everything permitted when left out.");

/// Headers of an answer with an entry behind it.
const RECORDED: &[&str] = &["Ledger-Index", "Ledger-Entry", "Link"];

/// The same where the whole proof can be in the body.
const PROVED: &[&str] = &["Ledger-Index", "Ledger-Entry", "Link", "Preference-Applied"];

const PREFER: Parameter =
    header("Prefer", "Text", "`receipt=inline` puts the whole proof into the body (RFC 7240).");

const fn get(path: &'static str, id: &'static str, says: &'static str) -> Operation {
    Operation {
        method: "GET",
        path,
        id,
        says,
        scope: None,
        parameters: &[],
        takes: None,
        gives: None,
        headers: &[],
    }
}

const fn post(path: &'static str, id: &'static str, says: &'static str) -> Operation {
    Operation { method: "POST", ..get(path, id, says) }
}

const OPERATIONS: &[Operation] = &[
    Operation {
        takes: Some((FORM, "TokenForm")),
        gives: Some((JSON, "TokenAnswer")),
        ..post("/oauth2/token", "token", "An access token for up to 300 seconds.")
    },
    Operation {
        takes: Some((FORM, "OwnTokenForm")),
        ..post("/oauth2/revoke", "revokeToken", "Ends one of your own tokens early (RFC 7009).")
    },
    Operation {
        takes: Some((FORM, "OwnTokenForm")),
        gives: Some((JSON, "Introspection")),
        ..post("/oauth2/introspect", "introspectToken", "What one of your own tokens is worth.")
    },
    Operation {
        gives: Some((JSON, "Whoami")),
        headers: &["Fieldgate-Certificate-Expires"],
        ..get("/v1/whoami", "whoami", "Whom the gate takes you for.")
    },
    Operation {
        parameters: &[
            PURPOSE,
            FIELDS,
            query("territory", "CountryCode", "Narrows the grant to one country."),
            query("collection_point", "CollectionPoint", "Narrows the grant to one point."),
            query("updated_since", "MomentOrDay", "People who changed at or after it."),
            query("limit", "Limit", "Most leads of the page."),
            query("cursor", "Text", "`next` of the last page."),
            PREFER,
        ],
        gives: Some((JSON, "Page")),
        headers: PROVED,
        ..get("/v1/leads", "listLeads", "A page of leads; the scope is the purpose.")
    },
    Operation {
        parameters: &[path("id", "LeadId", "Your own id of the person."), PURPOSE, FIELDS, PREFER],
        gives: Some((JSON, "One")),
        headers: PROVED,
        ..get("/v1/leads/{id}", "readLead", "One lead; the scope is the purpose.")
    },
    Operation {
        parameters: &[path("index", "Count", "Index of the entry.")],
        gives: Some((TEXT, "Text")),
        ..get("/v1/receipts/{index}", "readReceipt", "The receipt of an entry, as a tlog-proof.")
    },
    Operation {
        scope: Some(RECALLS),
        takes: Some((JSON, "RecallPoll")),
        gives: Some((JSON, "Recalls")),
        ..post("/v1/recalls/poll", "pollRecalls", "Acknowledges recalls, and gives what waits.")
    },
    Operation {
        scope: Some(RECALLS),
        parameters: &[path("id", "RecallId", "The recall.")],
        takes: Some((JSON, "RecallResult")),
        gives: Some((JSON, "RecallRecorded")),
        headers: RECORDED,
        ..post("/v1/recalls/{id}/result", "answerRecall", "How a recall ended at the partner.")
    },
    Operation {
        scope: Some(AUDIT),
        takes: Some((JSON, "Question")),
        gives: Some((JSON, "Answer")),
        ..post("/v1/audit/find", "findEntries", "Entries by what they say, a page at a time.")
    },
    Operation {
        scope: Some(AUDIT),
        takes: Some((JSON, "WhoQuestion")),
        gives: Some((JSON, "Who")),
        ..post("/v1/audit/who", "whoHasData", "Which partners received anything of a person.")
    },
    Operation {
        gives: Some((TEXT, "Text")),
        ..get(
            "/ledger/v1/checkpoint",
            "publishedCheckpoint",
            "The newest published checkpoint that as many witnesses cosigned as the policy asks for.",
        )
    },
    Operation {
        gives: Some((TEXT, "Text")),
        ..get("/ledger/v1/checkpoint.latest", "latestCheckpoint", "The head, signed by the log.")
    },
    Operation {
        scope: Some(AUDIT),
        parameters: &[path("path", "TileNumber", "`<N>` or `<N>.p/<W>`: slashes are its own.")],
        gives: Some((OCTETS, "Octets")),
        ..get(
            "/ledger/v1/tile/entries/{path:.*}",
            "readBundle",
            "A bundle of entries (c2sp.org/tlog-tiles); gzip where it is accepted.",
        )
    },
    Operation {
        parameters: &[path("path", "TileNumber", "`<L>/<N>` or `<L>/<N>.p/<W>`.")],
        gives: Some((OCTETS, "Octets")),
        ..get("/ledger/v1/tile/{path:.*}", "readTile", "A run of hashes (c2sp.org/tlog-tiles).")
    },
    Operation {
        parameters: &[
            needed(query("index", "Count", "Index of the entry.")),
            needed(query("size", "Count", "Size of the tree.")),
        ],
        gives: Some((TEXT, "Text")),
        ..get(
            "/ledger/v1/proof/inclusion",
            "proveInclusion",
            "The path of an entry, one base64 hash a line, the leaf's sibling first.",
        )
    },
    Operation {
        parameters: &[
            needed(query("from", "Count", "Size of the older tree.")),
            needed(query("to", "Count", "Size of the newer tree.")),
        ],
        gives: Some((TEXT, "Text")),
        ..get(
            "/ledger/v1/proof/consistency",
            "proveConsistency",
            "That the newer tree grew from the older one, one base64 hash a line.",
        )
    },
    Operation {
        scope: Some(INTAKE),
        parameters: &[needed(header(
            "Idempotency-Key",
            "IdempotencyKey",
            "A fresh random key for each new request.",
        ))],
        takes: Some((JSON, "Batch")),
        gives: Some((JSON, "Intake")),
        headers: RECORDED,
        ..post("/v1/contacts", "handIn", "Contacts from our own collection points.")
    },
    Operation {
        gives: Some((JSON, "ServerMetadata")),
        ..get(
            "/.well-known/oauth-authorization-server",
            "serverMetadata",
            "Metadata of the token endpoints (RFC 8414, RFC 8705).",
        )
    },
    Operation {
        gives: Some((JSON, "ResourceMetadata")),
        ..get(
            "/.well-known/oauth-protected-resource",
            "resourceMetadata",
            "Metadata of the API (RFC 9728).",
        )
    },
    Operation {
        gives: Some(("application/jwk-set+json", "KeySet")),
        ..get("/oauth2/jwks.json", "tokenKeys", "The keys that verify tokens (RFC 7517).")
    },
    Operation {
        gives: Some(("application/pem-certificate-chain", "Text")),
        ..get("/pki/ca.pem", "authority", "The certificate of our authority.")
    },
    Operation {
        gives: Some(("application/pkix-crl", "Octets")),
        ..get("/pki/crl.der", "revocations", "Certificates of our authority that were revoked.")
    },
    Operation {
        gives: Some((HTML, "Text")),
        ..get("/problems", "listProblems", "Every problem code.")
    },
    Operation {
        parameters: &[path("code", "ProblemCode", "The code.")],
        gives: Some((HTML, "Text")),
        ..get("/problems/{code}", "readProblem", "What a problem code means and what to do.")
    },
    Operation {
        gives: Some((JSON, "Anything")),
        ..get("/openapi.json", "openapi", "This document.")
    },
];
