//! The log itself, served as C2SP `tlog-tiles` and RFC 9162 proofs (ledger.md §14): checkpoints,
//! hash tiles and proofs for every partner, bundles of entries for auditors.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY,
};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use flate2::Compression;
use flate2::write::GzEncoder;
use lru::LruCache;
use serde::Deserialize;

use crate::flows::audit::{self, Run};
use crate::flows::{Gateway, witnesses};
use crate::web::problem::{Code, Problem};

use super::caller::{AuditorCaller, PartnerCaller};
use super::receipts::number;

const TEXT: &str = "text/plain; charset=utf-8";

/// A full run never changes: caches may keep it for 7 days without asking again.
const FOR_EVER: &str = "public, max-age=604800, immutable";

/// Entries are for auditors alone, so only their own cache may keep them.
const FOR_ONE: &str = "private, max-age=604800, immutable";

/// Full hash tiles kept at hand: 512 × 8 KiB = 4 MiB, the hashes of 131,072 entries.
const TILES_MAX: NonZeroUsize = NonZeroUsize::new(512).unwrap();

/// Full hash tiles at hand, so that a reader who walks the log does not compete with the writer.
/// They are immutable and stay when entries are pruned: nothing here can be out of date.
pub struct Tiles(Mutex<LruCache<String, Bytes>>);

impl Default for Tiles {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(TILES_MAX)))
    }
}

impl Tiles {
    fn find(&self, path: &str) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    fn keep(&self, path: &str, bytes: &Bytes) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.put(path.to_owned(), bytes.clone());
    }
}

/// `GET /ledger/v1/checkpoint`: the newest published checkpoint that as many witnesses cosigned as
/// the policy asks for. 404 before the first was published, or cosigned.
pub async fn published(
    _: PartnerCaller,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    let note = witnesses::published(&gateway).await?;
    note.map(text).ok_or_else(|| Problem::new(Code::NotFound))
}

/// `GET /ledger/v1/checkpoint.latest`: the head as it is committed now, signed by the log.
pub async fn latest(
    _: PartnerCaller,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    Ok(text(audit::checkpoint(&gateway).await?))
}

/// `GET /ledger/v1/tile/<L>/<N>[.p/<W>]`: a run of hashes.
pub async fn hashes(
    _: PartnerCaller,
    path: web::Path<String>,
    gateway: web::Data<Gateway>,
    tiles: web::Data<Tiles>,
) -> Result<HttpResponse, Problem> {
    if let Some(bytes) = tiles.find(&path) {
        return Ok(octets(bytes, FOR_EVER));
    }
    let run = Run::of_hashes(&path).ok_or_else(not_a_path)?;
    let bytes = Bytes::from(audit::run(&gateway, run).await?);
    if run.is_full() {
        tiles.keep(&path, &bytes);
    }
    Ok(octets(bytes, FOR_EVER))
}

/// `GET /ledger/v1/tile/entries/<N>[.p/<W>]`: a bundle of entries. Entries show what other
/// partners do, so this is for auditors alone.
pub async fn entries(
    _: AuditorCaller,
    request: HttpRequest,
    path: web::Path<String>,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    let run = Run::of_entries(&path).ok_or_else(not_a_path)?;
    let bytes = audit::run(&gateway, run).await?;
    let mut answer = if takes_gzip(&request) {
        let packed = gzip(&bytes).map_err(|error| Problem::broken(&error))?;
        let mut answer = octets(packed.into(), FOR_ONE);
        let gzip = actix_web::http::header::HeaderValue::from_static("gzip");
        answer.headers_mut().insert(CONTENT_ENCODING, gzip);
        answer
    } else {
        octets(bytes.into(), FOR_ONE)
    };
    let varies = actix_web::http::header::HeaderValue::from_static("accept-encoding");
    answer.headers_mut().insert(VARY, varies);
    Ok(answer)
}

/// The place of an entry in the tree of a size. Unknown and repeated parameters are refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InclusionQuery {
    index: String,
    size: String,
}

/// `GET /ledger/v1/proof/inclusion?index=&size=`: the path of an entry, one base64 hash a line,
/// the leaf's sibling first (RFC 9162 §2.1.3).
pub async fn inclusion(
    _: PartnerCaller,
    query: web::Query<InclusionQuery>,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    let (index, size) = (decimal("index", &query.index)?, decimal("size", &query.size)?);
    if index >= size {
        return Err(wrong("index", "must be below size"));
    }
    Ok(text(audit::inclusion(&gateway, index, size).await?))
}

/// Two sizes of the tree. Unknown and repeated parameters are refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyQuery {
    from: String,
    to: String,
}

/// `GET /ledger/v1/proof/consistency?from=&to=`: that the tree of `to` entries grew from that of
/// `from`, one base64 hash a line (RFC 9162 §2.1.4); nothing where the sizes are equal or `from`
/// is 0.
pub async fn consistency(
    _: PartnerCaller,
    query: web::Query<ConsistencyQuery>,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    let (from, to) = (decimal("from", &query.from)?, decimal("to", &query.to)?);
    if from > to {
        return Err(wrong("from", "must not be above to"));
    }
    Ok(text(audit::consistency(&gateway, from, to).await?))
}

fn text(body: String) -> HttpResponse {
    // `no-store` is what every answer says that does not say otherwise.
    HttpResponse::Ok().insert_header((CONTENT_TYPE, TEXT)).body(body)
}

fn octets(bytes: Bytes, cache: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/octet-stream"))
        .insert_header((CACHE_CONTROL, cache))
        .body(bytes)
}

fn takes_gzip(request: &HttpRequest) -> bool {
    let accepted = request.headers().get_all(ACCEPT_ENCODING);
    let mut codings = accepted.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    codings.any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(quality.trim(), "q=0" | "q=0.0")
    })
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes)?;
    packer.finish()
}

fn decimal(parameter: &'static str, text: &str) -> Result<u64, Problem> {
    number(text).ok_or_else(|| wrong(parameter, "must be a decimal without sign or leading zeros"))
}

fn wrong(parameter: &'static str, says: &'static str) -> Problem {
    Problem::new(Code::InvalidQuery).detail(format!("{parameter} {says}"))
}

fn not_a_path() -> Problem {
    Problem::new(Code::InvalidRequest)
        .detail("not the path of a tile: see c2sp.org/tlog-tiles; levels 0 to 63, widths 1 to 255")
}
