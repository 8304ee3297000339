//! Receipts: the proof of an entry, for the partner it names and for auditors.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};

use crate::flows::Gateway;
use crate::flows::audit::{self, Reader};
use crate::web::problem::{Code, Problem};

use super::caller::PartnerCaller;

/// `GET /v1/receipts/{index}`: a tlog-proof (c2sp.org/tlog-proof) whose `extra` line is the entry.
/// An index beyond the ledger and an entry of somebody else are one and the same 404.
pub async fn show(
    caller: PartnerCaller,
    index: web::Path<String>,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    let index = number(&index).ok_or_else(|| Problem::new(Code::NotFound))?;
    let reader = if caller.audits() { Reader::Auditor } else { Reader::Partner(caller.partner) };
    let proof = audit::receipt(&gateway, reader, index).await?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; charset=utf-8")).body(proof))
}

/// A decimal as the ledger writes it: digits, no sign, no leading zero except `0`.
pub(super) fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = plain && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}
