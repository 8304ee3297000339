//! The bytes of an entry: keys in sorted order, no space, nothing that needs an escape (RFC 8785).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Moment;
use crate::domain::disclosure::Reason;
use crate::domain::field::{Field, FieldSet};
use crate::domain::purpose::Purpose;
use crate::id::PolicyVersion;
use crate::merkle::Hash;

use super::entry::{EntryError, Facts, ItemTree, Kind, MAX_BYTES, ReadEntry};

/// Version of the format (`v`).
const VERSION: u64 = 1;

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`
const TIME_CHARS: usize = 24;

/// Writes one object. Keys must be given in sorted order; values need no escape.
struct Writer(String);

impl Writer {
    fn raw(&mut self, key: &'static str, value: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
        self.0.push_str(value);
    }

    fn text(&mut self, key: &'static str, value: &str) {
        self.raw(key, &format!("\"{value}\""));
    }

    fn maybe(&mut self, key: &'static str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.text(key, value.as_ref());
        }
    }
}

/// The canonical bytes of an entry.
pub(super) fn write(
    facts: &Facts,
    items: Option<ItemTree>,
    nonce: [u8; 16],
) -> Result<Vec<u8>, EntryError> {
    let at = facts.at.rfc3339();
    if at.len() != TIME_CHARS || at.parse() != Ok(facts.at) {
        return Err(EntryError::Time);
    }
    let mut out = Writer(String::with_capacity(512));
    out.maybe("act", facts.actor.as_ref());
    out.maybe("aud", facts.partner.map(|id| id.to_string()));
    out.maybe("cert", facts.certificate.map(|certificate| certificate.to_string()));
    if let Some(tree) = items {
        out.raw("cnt", &tree.count.to_string());
    }
    out.maybe("dec", facts.kind.decision());
    out.maybe("det", facts.detail.as_ref());
    if let Some(fields) = facts.fields {
        out.raw("fields", &field_names(fields));
    }
    out.maybe("items", items.map(|tree| URL_SAFE_NO_PAD.encode(tree.root.0)));
    out.text("k", facts.kind.code());
    if facts.restricting {
        out.raw("lim", "true");
    }
    out.text("n", &URL_SAFE_NO_PAD.encode(nonce));
    out.text("op", &facts.op);
    if let Some(policy) = facts.policy {
        out.raw("pol", &policy.to_string());
    }
    out.maybe("pur", facts.purpose.map(Purpose::code));
    out.text("req", &facts.request.to_string());
    out.maybe("resp", facts.response.map(|response| URL_SAFE_NO_PAD.encode(response)));
    out.maybe("sub", facts.subject.as_ref());
    out.text("t", &at);
    out.raw("v", &VERSION.to_string());
    out.maybe("why", facts.reason.map(Reason::code));
    out.0.push('}');
    Ok(out.0.into_bytes())
}

fn field_names(fields: FieldSet) -> String {
    let names: Vec<String> = fields.iter().map(|field| format!("\"{}\"", field.code())).collect();
    format!("[{}]", names.join(","))
}

/// Reads an entry. Whether the spelling is the canonical one is for the caller to compare.
pub(super) fn read(bytes: &[u8]) -> Result<ReadEntry, EntryError> {
    const BAD: EntryError = EntryError::NotCanonical("entry");
    if bytes.len() > MAX_BYTES {
        return Err(BAD);
    }
    let object = std::str::from_utf8(bytes).ok().and_then(Reader::split).ok_or(BAD)?;
    let kind = object.needed("k", Kind::from_code)?;
    let facts = Facts {
        kind,
        at: object.needed("t", |time| time.parse::<Moment>().ok())?,
        op: object.needed("op", |op| Some(Cow::Owned(op.to_owned())))?,
        request: object.needed("req", |id| id.parse().ok())?,
        partner: object.text("aud", |id| id.parse().ok())?,
        certificate: object.text("cert", |thumbprint| thumbprint.parse().ok())?,
        purpose: object.text("pur", Purpose::from_code)?,
        policy: object
            .number("pol")?
            .map(|n| i32::try_from(n).map(PolicyVersion))
            .transpose()
            .map_err(|_| BAD)?,
        fields: object.fields()?,
        reason: object.text("why", Reason::from_code)?,
        response: object.text("resp", bytes_of::<32>)?,
        actor: object.text("act", |code| Some(Cow::Owned(code.to_owned())))?,
        subject: object.text("sub", |code| Some(Cow::Owned(code.to_owned())))?,
        detail: object.text("det", |code| Some(Cow::Owned(code.to_owned())))?,
        restricting: object.value("lim").is_some(),
    };
    let root = object.text("items", bytes_of::<32>)?.map(Hash);
    let items = match (object.number("cnt")?, root) {
        (Some(count), Some(root)) => {
            Some(ItemTree { count: u32::try_from(count).map_err(|_| BAD)?, root })
        }
        (None, None) => None,
        _ => return Err(BAD),
    };
    Ok(ReadEntry { facts, items, nonce: object.needed("n", bytes_of::<16>)? })
}

pub(super) fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// The members of one flat object as they stand in the text: key, then value unread.
///
/// It reads no more than canonical bytes need (sorted keys, no escapes, no space, no objects
/// inside) and may take what is not canonical: whoever reads writes again and compares.
pub(super) struct Reader<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Reader<'a> {
    /// Splits `{"key":value,…}`.
    pub(super) fn split(text: &'a str) -> Option<Self> {
        let mut rest = text.strip_prefix('{')?.strip_suffix('}')?;
        let mut members = Vec::with_capacity(20);
        while !rest.is_empty() {
            let (key, after) = rest.strip_prefix('"')?.split_once("\":")?;
            let (value, more) = after.split_at_checked(end_of(after)?)?;
            members.push((key, value));
            rest = if more.is_empty() { more } else { more.strip_prefix(',')? };
        }
        Some(Self(members))
    }

    fn value(&self, key: &str) -> Option<&'a str> {
        let found = self.0.binary_search_by_key(&key, |(key, _)| key).ok()?;
        self.0.get(found).map(|(_, value)| *value)
    }

    /// A text that may be missing, but is not something else.
    fn text<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, EntryError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let value = unquoted(value).and_then(read);
        value.map(Some).ok_or(EntryError::NotCanonical("entry"))
    }

    /// A text that must be there.
    pub(super) fn needed<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, EntryError> {
        self.text(key, read)?.ok_or(EntryError::NotCanonical("entry"))
    }

    /// A number that may be missing, but is not something else.
    pub(super) fn number(&self, key: &'static str) -> Result<Option<u64>, EntryError> {
        let number = self.value(key).map(str::parse).transpose();
        number.map_err(|_| EntryError::NotCanonical("entry"))
    }

    fn fields(&self) -> Result<Option<FieldSet>, EntryError> {
        let Some(value) = self.value("fields") else { return Ok(None) };
        let names = value.strip_prefix('[').and_then(|names| names.strip_suffix(']'));
        let names = names.ok_or(EntryError::NotCanonical("entry"))?;
        let names = names.split(',').filter(|name| !name.is_empty());
        let fields: Option<FieldSet> =
            names.map(|name| unquoted(name).and_then(Field::from_code)).collect();
        fields.map(Some).ok_or(EntryError::NotCanonical("entry"))
    }
}

fn unquoted(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

/// Where the value ends that the text begins with.
fn end_of(text: &str) -> Option<usize> {
    match text.as_bytes().first()? {
        b'"' => text.get(1..)?.find('"').map(|place| place.saturating_add(2)),
        b'[' => text.find(']').map(|place| place.saturating_add(1)),
        _ => Some(text.find(',').unwrap_or(text.len())),
    }
}
