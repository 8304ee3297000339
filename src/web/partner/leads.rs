//! Leads: a page of them, or one. The query becomes a request; the flow decides, records, opens.

use actix_web::http::header::{ACCEPT, HeaderName, LINK};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Deserialize, Serialize, Serializer};

use crate::clock::Moment;
use crate::domain::contact::{CollectionPoint, Country};
use crate::domain::disclosure::Request;
use crate::domain::field::{Field, FieldSet};
use crate::domain::purpose::Purpose;
use crate::flows::Gateway;
use crate::flows::release::{self, LEADS_MAX, LEADS_USUAL, Lead, PageRequest, Released};
use crate::secret::Personal;
use crate::web::problem::{Code, Problem};
use crate::web::recorded::{Recorded, receipt_path};

use super::caller::PartnerCaller;

/// Asks for the whole proof in the body (RFC 7240 §2), and says that it is there.
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const RECEIPT_INLINE: &str = "receipt=inline";

/// The parameters of a page. Unknown and repeated ones are refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    purpose: String,
    fields: Option<String>,
    territory: Option<String>,
    collection_point: Option<String>,
    updated_since: Option<String>,
    limit: Option<u16>,
    cursor: Option<String>,
}

/// The parameters of one lead.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneQuery {
    purpose: String,
    fields: Option<String>,
}

/// `GET /v1/leads`: a page of leads. Short and empty pages are legal; `next` alone says whether
/// there is more.
pub async fn list(
    caller: PartnerCaller,
    request: HttpRequest,
    query: web::Query<PageQuery>,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    check_accept(&request)?;
    let query = query.into_inner();
    let limit = query.limit.unwrap_or(LEADS_USUAL);
    if !(1..=LEADS_MAX).contains(&limit) {
        return Err(bad("limit", "must be between 1 and 1000"));
    }
    let ask = PageRequest {
        what: Request {
            purpose: purpose(&query.purpose)?,
            fields: query.fields.as_deref().map(fields).transpose()?,
            territory: query.territory.as_deref().map(country).transpose()?,
            point: query.collection_point.as_deref().map(point).transpose()?,
        },
        updated_since: query.updated_since.as_deref().map(moment).transpose()?,
        limit,
        cursor: query.cursor,
    };
    caller.require(ask.what.purpose)?;
    let released = release::page(&gateway, caller.asker(), ask).await?;
    let next = released.next.as_ref().map(|cursor| next_link(&request, cursor));
    let proof = inline_proof(&request, &released);
    let body = PageBody(&released, proof.as_deref());
    let mut answer = answer(&released, proof.is_some(), &body);
    if let Some(next) = next {
        answer.headers_mut().append(LINK, next.parse().map_err(|_| Problem::new(Code::Internal))?);
    }
    Ok(answer)
}

/// `GET /v1/leads/{id}`: one lead by the partner's own id. Absent, hidden and another partner's
/// are one and the same 404.
pub async fn one(
    caller: PartnerCaller,
    request: HttpRequest,
    id: web::Path<String>,
    query: web::Query<OneQuery>,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    check_accept(&request)?;
    let purpose = purpose(&query.purpose)?;
    let fields = query.fields.as_deref().map(fields).transpose()?;
    caller.require(purpose)?;
    let what = Request { purpose, fields, territory: None, point: None };
    let released = release::one(&gateway, caller.asker(), what, &id).await?;
    let proof = inline_proof(&request, &released);
    Ok(answer(&released, proof.is_some(), &OneBody(&released, proof.as_deref())))
}

/// The receipt under the checkpoint of the very commit that holds the entry, where the client
/// prefers it in the body: then nothing has to be fetched later.
fn inline_proof(request: &HttpRequest, released: &Released) -> Option<String> {
    let preferences = request.headers().get_all(PREFER).filter_map(|value| value.to_str().ok());
    let inline = preferences
        .flat_map(|value| value.split(','))
        .any(|one| one.trim().eq_ignore_ascii_case(RECEIPT_INLINE));
    inline.then(|| released.receipt.proof().to_string())
}

fn answer(released: &Released, inline: bool, body: &impl Serialize) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    if inline {
        answer.insert_header((PREFERENCE_APPLIED, RECEIPT_INLINE));
    }
    Recorded::from(&released.receipt).tell(&mut answer);
    answer.json(body)
}

/// The same request with the cursor in the place of the former one.
fn next_link(request: &HttpRequest, cursor: &str) -> String {
    let kept: Vec<_> =
        request.query_string().split('&').filter(|pair| !pair.starts_with("cursor=")).collect();
    format!("</v1/leads?{}&cursor={cursor}>; rel=\"next\"", kept.join("&"))
}

fn bad(parameter: &'static str, says: impl std::fmt::Display) -> Problem {
    Problem::new(Code::InvalidQuery).detail(format!("{parameter} {says}"))
}

fn purpose(code: &str) -> Result<Purpose, Problem> {
    Purpose::from_code(code)
        .ok_or_else(|| bad("purpose", "must be one of offers, licensing, support, news"))
}

fn fields(codes: &str) -> Result<FieldSet, Problem> {
    let set = FieldSet::from_codes(codes.split(','));
    set.map_err(|_| bad("fields", "names a field that is unknown or named twice"))
}

fn country(code: &str) -> Result<Country, Problem> {
    Country::parse(code).map_err(|fault| bad("territory", fault))
}

fn point(code: &str) -> Result<CollectionPoint, Problem> {
    CollectionPoint::from_code(code)
        .ok_or_else(|| bad("collection_point", "must be one of trial, support, news"))
}

fn moment(text: &str) -> Result<Moment, Problem> {
    text.parse().map_err(|fault| bad("updated_since", fault))
}

/// Personal data leaves as JSON alone here; other formats are later work.
fn check_accept(request: &HttpRequest) -> Result<(), Problem> {
    let Some(accept) = request.headers().get(ACCEPT) else { return Ok(()) };
    let accept = accept.to_str().unwrap_or_default();
    let fits = |range: &str| {
        let kind = range.split(';').next().unwrap_or_default().trim();
        matches!(kind, "*/*" | "application/*" | "application/json")
    };
    if accept.split(',').any(fits) { Ok(()) } else { Err(Problem::new(Code::NotAcceptable)) }
}

struct PageBody<'a>(&'a Released, Option<&'a str>);

struct OneBody<'a>(&'a Released, Option<&'a str>);

struct Leads<'a>(&'a [Lead]);

struct LeadBody<'a>(&'a Lead);

struct Values<'a>(&'a [(Field, Personal)]);

#[derive(Serialize)]
struct ReceiptBody<'a> {
    index: u64,
    href: String,
    salt: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<&'a str>,
}

impl<'a> ReceiptBody<'a> {
    fn of(released: &Released, proof: Option<&'a str>) -> Self {
        let index = released.receipt.index();
        let salt = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(released.salt);
        Self { index, href: receipt_path(index), salt, proof }
    }
}

impl Serialize for PageBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(6))?;
        map.serialize_entry("leads", &Leads(&self.0.leads))?;
        map.serialize_entry("next", &self.0.next)?;
        frame(&mut map, self.0, self.1)?;
        map.end()
    }
}

impl Serialize for OneBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("lead", &self.0.leads.first().map(LeadBody))?;
        frame(&mut map, self.0, self.1)?;
        map.end()
    }
}

/// What every answer with leads says about them.
fn frame<M: serde::ser::SerializeMap>(
    map: &mut M,
    released: &Released,
    proof: Option<&str>,
) -> Result<(), M::Error> {
    map.serialize_entry("purpose", released.purpose.code())?;
    map.serialize_entry("policy_version", &released.policy.0)?;
    map.serialize_entry("use_until", &released.use_until.day())?;
    map.serialize_entry("receipt", &ReceiptBody::of(released, proof))
}

impl Serialize for Leads<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for lead in self.0 {
            seq.serialize_element(&LeadBody(lead))?;
        }
        seq.end()
    }
}

impl Serialize for LeadBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("lead_id", &self.0.id)?;
        map.serialize_entry("fields", &Values(&self.0.fields))?;
        map.end()
    }
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (field, value) in self.0 {
            map.serialize_entry(field.code(), value.expose())?;
        }
        map.end()
    }
}
