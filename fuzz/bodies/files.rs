//! Targets of what operators write: settings, policies, exports, values, identifiers.

use std::str::FromStr;

use fieldgate::cli;
use fieldgate::clock::Moment;
use fieldgate::config::Settings;
use fieldgate::domain::field::Field;
use fieldgate::domain::grant::Territory;
use fieldgate::id::{GrantId, KeyId, PartnerId, RequestId, Thumbprint, TokenId};
use fieldgate::jobs::anchor::newest_line;
use fieldgate::merkle::key::Verifier;
use fieldgate::store::Url;

use super::text;

pub fn settings(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let Ok(settings) = Settings::parse("fuzz.toml", text) else { return };
    let written = toml::to_string(&settings).unwrap();
    let again = Settings::parse("again.toml", &written).unwrap();
    assert_eq!(toml::to_string(&again).unwrap(), written);
}

/// What was cut off or spoilt does not hide the whole lines beside it.
pub fn anchor_file(input: &[u8]) {
    let found = newest_line(input);
    let line = b"\n{\"size\":18446744073709551615,\"note\":\"the newest\"}\n";
    let longer = [input, line].concat();
    let newest = newest_line(&longer).unwrap();
    assert!(newest == "the newest" || found.is_some());
}

pub fn policy_file(input: &[u8]) {
    let Ok(policy) = cli::read_policy(input) else { return };
    if policy.check().is_ok() {
        assert!(policy.within(&policy));
    }
}

/// Every line of an export is either readable or refused; lines do not vanish.
pub fn contacts_csv(input: &[u8]) {
    let Ok((readable, refused)) = cli::survey_contacts(input) else { return };
    let lines = u64::try_from(input.iter().filter(|b| matches!(b, b'\n' | b'\r')).count());
    assert!(readable + refused <= lines.unwrap() + 1, "more lines read than there are");
}

pub fn field_values(input: &[u8]) {
    let Some(text) = text(input) else { return };
    for field in Field::ALL {
        let Ok(normal) = field.parse(text) else { continue };
        assert_eq!(field.parse(&normal).as_ref(), Ok(&normal), "{field} has two normal forms");
        assert!(!normal.chars().any(char::is_control), "{field} took a control character");
        assert!(normal.chars().count() <= field.row().chars_max, "{field} grew too long");
    }
}

/// What was read is written so that it is read again as the same.
fn round_trip<T: FromStr + ToString + PartialEq>(text: &str) -> Option<String> {
    let read = text.parse::<T>().ok()?;
    let written = read.to_string();
    assert!(written.parse::<T>().ok() == Some(read), "{text} became {written}");
    Some(written)
}

pub fn identifiers(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let ids = [
        round_trip::<PartnerId>(text),
        round_trip::<GrantId>(text),
        round_trip::<RequestId>(text),
        round_trip::<TokenId>(text),
        round_trip::<KeyId>(text),
    ];
    assert!(ids.iter().flatten().all(|written| written == text), "an id has two spellings");
    assert!(ids.iter().flatten().count() <= 1, "an id is of two kinds");
    round_trip::<Thumbprint>(text);
    if let Ok(moment) = text.parse::<Moment>() {
        let written = moment.rfc3339();
        let again: Moment = written.parse().unwrap();
        assert_eq!(again.rfc3339(), written);
        assert_eq!(again.0, moment.0.div_euclid(1000) * 1000);
        assert_eq!(moment.day(), written.split('T').next().unwrap());
    }
    if let Ok(territory) = Territory::parse(text) {
        assert_eq!(Territory::parse(&territory.text()), Ok(territory));
    }
    if let Ok(key) = Verifier::parse(text) {
        assert_eq!(key.to_string(), text, "a verifier key has two spellings");
    }
}

pub fn database_url(input: &[u8]) {
    let Some(text) = text(input) else { return };
    if let Ok(url) = Url::parse(text) {
        assert_eq!(url.file().is_some(), text.starts_with("sqlite://"));
        let _ = (url.to_string(), format!("{url:?}"));
    }
}
