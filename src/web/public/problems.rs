//! A page for each problem code: what `type` in a problem points to.

use std::fmt::Write as _;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use actix_web::{HttpResponse, web};

use crate::web::caller::Anyone;
use crate::web::problem::{Code, Problem};

/// `GET /problems/{code}`: what happened and what to do about it.
pub async fn show(_: Anyone, code: web::Path<String>) -> Result<HttpResponse, Problem> {
    let row = Code::find(&code).ok_or_else(|| Problem::new(Code::NotFound))?.row();
    Ok(page(
        row.code,
        &format!(
            "<p>Status {}: {}.</p><p><b>What to do:</b> {}.</p>\
             <p><a href=\"/problems\">All problems</a></p>",
            row.status, row.title, row.hint
        ),
    ))
}

/// `GET /problems`: the whole table.
pub async fn list(_: Anyone) -> HttpResponse {
    let mut rows = String::new();
    for code in Code::all() {
        let row = code.row();
        // Writing into a String cannot fail.
        let _ = write!(
            rows,
            "<tr><td><a href=\"/problems/{0}\">{0}</a></td><td>{1}</td><td>{2}</td><td>{3}</td></tr>",
            row.code, row.status, row.title, row.hint
        );
    }
    let head = "<tr><th>code</th><th>status</th><th>what happened</th><th>what to do</th></tr>";
    page("Problems", &format!("<table>{head}{rows}</table>"))
}

/// The texts come from the table of codes alone, so nothing needs escaping.
fn page(title: &str, body: &str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "max-age=3600"))
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .body(format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <title>{title} · fieldgate</title></head><body><h1>{title}</h1>{body}</body></html>"
        ))
}
