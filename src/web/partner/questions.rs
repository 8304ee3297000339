//! Auditors ask the ledger: which entries say something, and who has a person's data. An address
//! stands in the body alone, where no log line and no cache sees it.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Deserializer, Serialize};

use crate::clock::Moment;
use crate::domain::field::Field;
use crate::flows::question::{self, Asked, HITS_USUAL, Hit, Inquirer, ProvenItem, Question, Row};
use crate::flows::report::{self, Holding};
use crate::flows::{Error, Gateway, Registry};
use crate::secret::Personal;
use crate::web::problem::Problem;
use crate::web::recalled::RecallStanding;
use crate::web::recorded::receipt_path;

use super::body::{demand_json, read_json};
use super::caller::AuditorCaller;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FindBody {
    #[serde(default, deserialize_with = "given")]
    email: Option<Personal>,
    partner: Option<String>,
    certificate: Option<String>,
    kind: Option<String>,
    decision: Option<String>,
    operation: Option<String>,
    purpose: Option<String>,
    reason: Option<String>,
    policy_version: Option<i32>,
    #[serde(default)]
    fields: Vec<String>,
    from: Option<String>,
    until: Option<String>,
    #[serde(default)]
    oldest_first: bool,
    limit: Option<u16>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhoBody {
    #[serde(deserialize_with = "address")]
    email: Personal,
}

fn address<'de, D: Deserializer<'de>>(from: D) -> Result<Personal, D::Error> {
    String::deserialize(from).map(Personal::new)
}

fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Personal>, D::Error> {
    address(from).map(Some)
}

#[derive(Serialize)]
struct FoundBody<'a> {
    entry: u64,
    rows: Vec<RowBody<'a>>,
    next: Option<&'a str>,
}

#[derive(Serialize)]
struct RowBody<'a> {
    #[serde(flatten)]
    row: &'a Row,
    receipt: String,
    items: Vec<ItemBody>,
}

/// One person's leaf below an entry, with its path to `items` of the entry.
#[derive(Serialize)]
struct ItemBody {
    position: u32,
    item: String,
    path: Vec<String>,
}

#[derive(Serialize)]
struct WhoAnswer<'a> {
    entry: u64,
    state: &'static str,
    holdings: Vec<HoldingBody<'a>>,
}

#[derive(Serialize)]
struct HoldingBody<'a> {
    partner: String,
    legal_name: &'a str,
    purpose: &'static str,
    fields: Vec<&'static str>,
    first: String,
    last: String,
    use_until: String,
    policy_version: Option<i32>,
    entries: &'a [u64],
    receipts: Vec<String>,
    must_be_told: bool,
    recall: Option<RecallStanding>,
}

/// `POST /v1/audit/find`: the entries of which everything holds that the body asks for, a page at
/// a time. The question is an entry before a row is read.
pub async fn find(
    AuditorCaller(caller): AuditorCaller,
    request: HttpRequest,
    body: web::Bytes,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    demand_json(request.headers())?;
    let body: FindBody = read_json(&body)?;
    let registry = gateway.registry_now().await?;
    let question = body.question(&registry)?;
    let by = Inquirer::Auditor(caller.asker());
    let answer = question::ask(&gateway, &by, &question).await?;
    Ok(HttpResponse::Ok().json(FoundBody {
        entry: answer.entry,
        rows: answer.hits.iter().map(RowBody::of).collect(),
        next: answer.next.as_deref(),
    }))
}

/// `POST /v1/audit/who`: which partners received anything of a person, when, for what, and the
/// entries that say so.
pub async fn who(
    AuditorCaller(caller): AuditorCaller,
    request: HttpRequest,
    body: web::Bytes,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    demand_json(request.headers())?;
    let body: WhoBody = read_json(&body)?;
    let found = report::who(&gateway, caller.asker(), &body.email).await?;
    Ok(HttpResponse::Ok().json(WhoAnswer {
        entry: found.entry,
        state: found.state.code(),
        holdings: found.holdings.iter().map(|one| HoldingBody::of(one, found.at)).collect(),
    }))
}

impl FindBody {
    fn question(self, registry: &Registry) -> Result<Question, Error> {
        let asked = Asked {
            partner: self.partner,
            certificate: self.certificate,
            kind: self.kind,
            decision: self.decision,
            operation: self.operation,
            purpose: self.purpose,
            reason: self.reason,
            policy_version: self.policy_version,
            fields: self.fields,
            from: self.from,
            until: self.until,
        };
        Ok(Question {
            search: asked.read(registry)?,
            person: self.email,
            newest_first: !self.oldest_first,
            limit: self.limit.unwrap_or(HITS_USUAL),
            cursor: self.cursor,
        })
    }
}

impl<'a> RowBody<'a> {
    fn of(hit: &'a Hit) -> Self {
        let item = |one: &ProvenItem| ItemBody {
            position: one.position,
            item: String::from_utf8_lossy(&one.bytes).into_owned(),
            path: one.path.iter().map(|hash| hash.to_base64()).collect(),
        };
        Self {
            row: &hit.row,
            receipt: receipt_path(hit.row.index),
            items: hit.items.iter().map(item).collect(),
        }
    }
}

impl<'a> HoldingBody<'a> {
    fn of(one: &'a Holding, at: Moment) -> Self {
        Self {
            partner: one.partner.to_string(),
            legal_name: &one.legal_name,
            purpose: one.purpose.code(),
            fields: one.fields.iter().map(Field::code).collect(),
            first: one.first.rfc3339(),
            last: one.last.rfc3339(),
            use_until: one.use_until.day(),
            policy_version: one.policy.map(|version| version.0),
            entries: &one.entries,
            receipts: one.entries.iter().copied().map(receipt_path).collect(),
            must_be_told: one.must_be_told,
            recall: one.recall.as_ref().map(|recall| RecallStanding::of(recall, at)),
        }
    }
}
