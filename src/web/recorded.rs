//! What an answer says of the entry behind it: index, bytes, and where its receipt is.

use actix_web::HttpResponseBuilder;
use actix_web::http::header::LINK;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::flows::Receipt;

/// Where a caller fetches the receipt of an entry.
pub fn receipt_path(index: u64) -> String {
    format!("/v1/receipts/{index}")
}

/// The entry that recorded an answer (ledger reference, §17). It names its partner alone, so it
/// goes to nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    index: u64,
    entry: String,
}

impl Recorded {
    /// Sets `Ledger-Index`, `Ledger-Entry` (base64) and `Link` with `rel="receipt"`.
    pub fn tell(&self, answer: &mut HttpResponseBuilder) {
        let Self { index, entry } = self;
        answer
            .insert_header(("ledger-index", index.to_string()))
            .insert_header(("ledger-entry", entry.as_str()))
            .append_header((LINK, format!("<{}>; rel=\"receipt\"", receipt_path(*index))));
    }
}

impl From<&Receipt> for Recorded {
    fn from(receipt: &Receipt) -> Self {
        Self { index: receipt.index(), entry: STANDARD.encode(receipt.entry_bytes()) }
    }
}
