//! Receipts: the proof of an entry, for the partner it names.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};

use crate::flows::{Gateway, audit};
use crate::web::problem::{Code, Problem};

use super::caller::PartnerCaller;

/// `GET /v1/receipts/{index}`: a tlog-proof (c2sp.org/tlog-proof) whose `extra` line is the entry.
/// An index beyond the ledger and an entry of somebody else are one and the same 404.
pub async fn show(
    caller: PartnerCaller,
    index: web::Path<String>,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    let plain = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    let index = index.parse::<u64>().ok().filter(|_| plain);
    let index = index.ok_or_else(|| Problem::new(Code::NotFound))?;
    let proof = audit::receipt(&gateway, caller.partner, index).await?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; charset=utf-8")).body(proof))
}
