//! Targets of the partner door: tokens, queries, bodies.

use std::sync::OnceLock;

use actix_web::web::Query;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fieldgate::clock::{DAY, Moment};
use fieldgate::domain::contact::Country;
use fieldgate::domain::field::FieldSet;
use fieldgate::domain::purpose::PurposeSet;
use fieldgate::id::{PartnerId, Thumbprint};
use fieldgate::vault::authority::new_signing_key;
use fieldgate::web::partner::leads::{OneQuery, PageQuery};
use fieldgate::web::partner::scope::Scopes;
use fieldgate::web::partner::token::{Tokens, Wanted};
use fieldgate::web::partner::token_keys::TokenKeys;
use fieldgate::web::partner::{intake, recalls};

use super::{edited, text};

const NOW: Moment = Moment(1_800_000_000_000_000);

/// Tokens under a key made once for each process, and one token of it.
fn minted() -> &'static (Tokens, String) {
    static MINTED: OnceLock<(Tokens, String)> = OnceLock::new();
    MINTED.get_or_init(|| {
        let keys = TokenKeys::new(&new_signing_key().unwrap(), &[]).unwrap();
        let (issuer, audience) = ("https://gate.example", "https://api.gate.example");
        let tokens = Tokens::new(keys, issuer.to_owned(), audience.to_owned());
        let wanted = Wanted {
            partner: PartnerId::new(),
            scopes: Scopes {
                purposes: PurposeSet::EVERY,
                intake: true,
                audit: true,
                recalls: true,
            },
            certificate: Thumbprint([5; 32]),
            certificate_ends_at: NOW.plus(DAY),
            tokens_not_before: Moment(0),
        };
        let text = tokens.mint(&wanted, NOW).unwrap().text;
        (tokens, text)
    })
}

/// The first byte says what the rest is: a token, edits of a right one, or one of its parts.
pub fn access_token(input: &[u8]) {
    let Some((how, input)) = input.split_first() else { return };
    let (tokens, right) = minted();
    let candidate = match usize::from(*how % 5) {
        0 => text(input).map(str::to_owned),
        1 => Some(edited(right, input)),
        part => {
            let coded = URL_SAFE_NO_PAD.encode(input);
            let mut parts: Vec<_> = right.split('.').collect();
            parts[part - 2] = &coded;
            Some(parts.join("."))
        }
    };
    let Some(candidate) = candidate else { return };
    assert_eq!(tokens.judge(&candidate, NOW).is_ok(), candidate == *right, "{candidate}");
}

/// The query of `/v1/leads`, and its parameters one by one.
pub fn leads_query(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let page = Query::<PageQuery>::from_query(text);
    if page.is_ok() {
        let names = text.split('&').filter_map(|pair| pair.split('=').next());
        let mut names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "a parameter stands there twice");
    }
    if Query::<OneQuery>::from_query(text).is_ok() {
        assert!(page.is_ok(), "one lead takes a parameter that a page does not");
    }
    if let Some(scopes) = Scopes::read(text) {
        assert_eq!(Scopes::read(&scopes.text()), Some(scopes));
    }
    if let Ok(fields) = FieldSet::from_codes(text.split(',')) {
        assert_eq!(FieldSet::from_codes(fields.codes().split(',')), Ok(fields));
        assert_eq!(usize::try_from(fields.len()).unwrap(), text.split(',').count());
    }
    if let Ok(country) = Country::parse(text) {
        assert_eq!(Country::from_code(country.code()), Some(country));
    }
}

/// A batch of contacts: no member stands there twice, and none is unknown.
pub fn intake_body(input: &[u8]) {
    let Ok(batch) = intake::read(input) else { return };
    let plain: serde_json::Value = serde_json::from_slice(input).unwrap();
    // `Value` keeps the last of two members of one name: a count that differs is a repeat.
    let contacts = plain["contacts"].as_array().unwrap();
    assert_eq!((plain.as_object().unwrap().len(), contacts.len()), (1, batch.len()));
    for (plain, read) in contacts.iter().zip(&batch) {
        assert_eq!(plain["fields"].as_object().unwrap().len(), read.fields.len());
        for (field, value) in &read.fields {
            assert_eq!(plain["fields"][field.code()], value.expose());
        }
        let choices = plain.get("choices").map_or(0, |all| all.as_object().unwrap().len());
        assert_eq!(choices, read.choices.len());
    }
}

/// Polls and results of recalls: what is read is what stands there, and one body is never both.
pub fn recall_body(input: &[u8]) {
    let (poll, result) = (recalls::read_poll(input), recalls::read_result(input));
    assert!(poll.is_err() || result.is_err());
    let Ok(plain) = serde_json::from_slice::<serde_json::Value>(input) else {
        assert!(poll.is_err() && result.is_err());
        return;
    };
    if let Ok((acknowledged, limit)) = poll {
        let ids: Vec<_> = acknowledged.iter().map(|id| serde_json::json!(id.to_string())).collect();
        assert_eq!(
            plain.get("ack").cloned().unwrap_or_else(|| serde_json::json!([])),
            serde_json::json!(ids)
        );
        assert_eq!(
            plain.get("limit").and_then(serde_json::Value::as_u64).unwrap_or(100),
            u64::from(limit)
        );
    }
    if let Ok(answer) = result {
        assert_eq!(plain["outcome"], answer.state().code());
        let ground = answer.ground().map(|ground| serde_json::json!(ground.code()));
        assert_eq!(plain.get("ground").cloned().filter(|one| !one.is_null()), ground);
    }
}
