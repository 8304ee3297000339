//! Recalls: a partner fetches what it must delete, acknowledges, and answers.
//!
//! The poll is that of RFC 8936: one request acknowledges what came before and brings what waits.
//! An answer names the recall and is good for the partner of the connection alone.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use crate::domain::purpose::Purpose;
use crate::domain::recall::{RecallAnswer, RefusalGround};
use crate::flows::Gateway;
use crate::flows::recall::{self, Demand, Mover, RECALLS_MAX, RECALLS_USUAL, Step};
use crate::id::RecallId;
use crate::web::problem::{Code, Problem};
use crate::web::recorded::Recorded;

use super::body::{demand_json, read_json};
use super::caller::PartnerCaller;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PollBody {
    #[serde(default)]
    ack: Vec<String>,
    limit: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultBody {
    outcome: String,
    ground: Option<String>,
}

#[derive(Serialize)]
struct PollAnswer<'a> {
    recalls: Vec<DemandBody<'a>>,
    more: bool,
    unknown: Vec<String>,
}

#[derive(Serialize)]
struct DemandBody<'a> {
    recall_id: String,
    lead_id: &'a str,
    /// What to do: the only demand there is today.
    action: &'static str,
    purpose: Option<&'static str>,
    cause: &'static str,
    /// Days, as everything a partner learns of a person's acts: two partners must not find out by
    /// equal times that they were told about one person.
    opened_on: String,
    due_on: String,
}

#[derive(Serialize)]
struct ResultAnswer {
    recall_id: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ground: Option<&'static str>,
    entry: u64,
    replayed: bool,
}

/// `POST /v1/recalls/poll`: acknowledges recalls that came before, and gives what waits, oldest
/// first. What is not acknowledged, or not answered in time, comes again.
pub async fn poll(
    caller: PartnerCaller,
    request: HttpRequest,
    body: web::Bytes,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    caller.require_recalls()?;
    demand_json(request.headers())?;
    let (acknowledged, limit) = read_poll(&body)?;
    let polled = recall::poll(&gateway, caller.asker(), &acknowledged, limit).await?;
    Ok(HttpResponse::Ok().json(PollAnswer {
        recalls: polled.demands.iter().map(DemandBody::of).collect(),
        more: polled.more,
        unknown: polled.unknown.iter().map(RecallId::to_string).collect(),
    }))
}

/// `POST /v1/recalls/{id}/result`: how a recall ended at the partner. The same answer again is
/// answered with the entry of the first, so it needs no `Idempotency-Key`; another is refused.
pub async fn answer(
    caller: PartnerCaller,
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    caller.require_recalls()?;
    demand_json(request.headers())?;
    let id = id.parse::<RecallId>().map_err(|_| Problem::new(Code::NotFound))?;
    let answer = read_result(&body)?;
    let step = recall::answer(&gateway, Mover::Partner(caller.asker()), id, answer).await?;
    let mut answer = HttpResponse::Ok();
    if let Some(receipt) = &step.receipt {
        Recorded::from(receipt).tell(&mut answer);
    }
    Ok(answer.json(ResultAnswer::of(&step)))
}

/// Reads the body of a poll: what is acknowledged, and how much is wanted.
///
/// # Errors
/// Not JSON of this form, too many ids, something that is no id, or a limit out of range.
pub fn read_poll(body: &[u8]) -> Result<(Vec<RecallId>, u16), Problem> {
    let body: PollBody = read_json(body)?;
    let acknowledged = body.acknowledged()?;
    let limit = body.limit.unwrap_or(RECALLS_USUAL);
    if !(1..=RECALLS_MAX).contains(&limit) {
        return Err(wrong("/limit", format!("must be between 1 and {RECALLS_MAX}")));
    }
    Ok((acknowledged, limit))
}

/// Reads the body of a result.
///
/// # Errors
/// Not JSON of this form, or an outcome or ground that is none.
pub fn read_result(body: &[u8]) -> Result<RecallAnswer, Problem> {
    let body: ResultBody = read_json(body)?;
    RecallAnswer::read(&body.outcome, body.ground.as_deref())
        .map_err(|fault| wrong("/outcome", fault))
}

fn wrong(place: &str, says: impl std::fmt::Display) -> Problem {
    Problem::new(Code::InvalidContent).detail(format!("{place} {says}"))
}

impl PollBody {
    fn acknowledged(&self) -> Result<Vec<RecallId>, Problem> {
        if self.ack.len() > usize::from(RECALLS_MAX) {
            return Err(wrong("/ack", format!("holds at most {RECALLS_MAX} ids")));
        }
        let id = |(at, text): (usize, &String)| {
            text.parse().map_err(|_| wrong(&format!("/ack/{at}"), "is no recall id"))
        };
        self.ack.iter().enumerate().map(id).collect()
    }
}

impl<'a> DemandBody<'a> {
    fn of(demand: &'a Demand) -> Self {
        let recall = &demand.recall;
        Self {
            recall_id: recall.id.to_string(),
            lead_id: &demand.lead_id,
            action: "erase",
            purpose: recall.purpose.map(Purpose::code),
            cause: recall.cause.code(),
            opened_on: recall.opened_at.day(),
            due_on: recall.due_at.day(),
        }
    }
}

impl ResultAnswer {
    fn of(step: &Step) -> Self {
        Self {
            recall_id: step.recall.id.to_string(),
            state: step.recall.state.code(),
            ground: step.recall.ground.map(RefusalGround::code),
            entry: step.recall.last,
            replayed: step.receipt.is_none(),
        }
    }
}
