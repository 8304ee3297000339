//! The bytes of an entry: keys in sorted order, no space, nothing that needs an escape (RFC 8785).

use std::borrow::Cow;
use std::fmt::{Display, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Moment;
use crate::domain::disclosure::Reason;
use crate::domain::field::{Field, FieldSet};
use crate::domain::purpose::Purpose;
use crate::id::{PolicyVersion, Thumbprint};
use crate::merkle::Hash;

use super::entry::{EntryError, Facts, ItemTree, Kind, MAX_BYTES, ReadEntry};

/// Version of the format (`v`).
const VERSION: u64 = 1;

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`
const TIME_CHARS: usize = 24;

/// Writes one object. Keys must be given in sorted order; values need no escape.
struct Writer(String);

impl Writer {
    fn key(&mut self, key: &'static str) -> &mut String {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
        &mut self.0
    }

    fn number(&mut self, key: &'static str, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.key(key), "{value}");
    }

    fn text(&mut self, key: &'static str, value: impl Display) {
        let _ = write!(self.key(key), "\"{value}\"");
    }

    fn bytes(&mut self, key: &'static str, value: &[u8]) {
        let out = self.key(key);
        out.push('"');
        URL_SAFE_NO_PAD.encode_string(value, out);
        out.push('"');
    }

    fn fields(&mut self, key: &'static str, fields: FieldSet) {
        let out = self.key(key);
        out.push('[');
        for (place, field) in fields.iter().enumerate() {
            out.push_str(if place == 0 { "\"" } else { ",\"" });
            out.push_str(field.code());
            out.push('"');
        }
        out.push(']');
    }

    fn maybe<V>(
        &mut self,
        key: &'static str,
        value: Option<V>,
        write: impl FnOnce(&mut Self, &'static str, V),
    ) {
        if let Some(value) = value {
            write(self, key, value);
        }
    }
}

/// The canonical bytes of an entry.
pub(super) fn write(
    facts: &Facts,
    items: Option<ItemTree>,
    nonce: [u8; 16],
) -> Result<Vec<u8>, EntryError> {
    if facts.at.rfc3339().parse() != Ok(facts.at) {
        return Err(EntryError::Time);
    }
    spell(facts, items, nonce)
}

/// The same for a time that was read: that it is written as it was read is left to the caller,
/// who compares all bytes.
fn spell(facts: &Facts, items: Option<ItemTree>, nonce: [u8; 16]) -> Result<Vec<u8>, EntryError> {
    let at = facts.at.rfc3339();
    if at.len() != TIME_CHARS {
        return Err(EntryError::Time);
    }
    let mut out = Writer(String::with_capacity(512));
    out.maybe("act", facts.actor.as_ref(), Writer::text);
    out.maybe("aud", facts.partner, Writer::text);
    out.maybe("cert", facts.certificate.as_ref().map(|one| &one.0[..]), Writer::bytes);
    out.maybe("cnt", items.map(|tree| tree.count), Writer::number);
    out.maybe("dec", facts.kind.decision(), Writer::text);
    out.maybe("det", facts.detail.as_ref(), Writer::text);
    out.maybe("fields", facts.fields, Writer::fields);
    out.maybe("items", items.as_ref().map(|tree| &tree.root.0[..]), Writer::bytes);
    out.text("k", facts.kind.code());
    out.maybe("lim", facts.restricting.then_some(true), Writer::number);
    out.bytes("n", &nonce);
    out.text("op", &facts.op);
    out.maybe("pol", facts.policy, Writer::number);
    out.maybe("pur", facts.purpose.map(Purpose::code), Writer::text);
    out.text("req", facts.request);
    out.maybe("resp", facts.response.as_ref().map(|one| &one[..]), Writer::bytes);
    out.maybe("sub", facts.subject.as_ref(), Writer::text);
    out.text("t", &at);
    out.number("v", VERSION);
    out.maybe("why", facts.reason.map(Reason::code), Writer::text);
    out.0.push('}');
    Ok(out.0.into_bytes())
}

/// Reads an entry: its canonical bytes, and no other spelling of it.
pub(super) fn read(bytes: &[u8]) -> Result<ReadEntry, EntryError> {
    let read = read_members(bytes)?;
    if spell(&read.facts, read.items, read.nonce)? == bytes { Ok(read) } else { Err(BAD) }
}

const BAD: EntryError = EntryError::NotCanonical("entry");

/// Reads the members in their order. Whether the spelling is the canonical one is for the caller
/// to compare.
fn read_members(bytes: &[u8]) -> Result<ReadEntry, EntryError> {
    if bytes.len() > MAX_BYTES {
        return Err(BAD);
    }
    let code = |code: &str| Some(Cow::Owned(code.to_owned()));
    let mut object = std::str::from_utf8(bytes).ok().and_then(Reader::open).ok_or(BAD)?;
    let actor = object.text("act", code)?;
    let partner = object.text("aud", |id| id.parse().ok())?;
    let certificate = object.text("cert", bytes_of::<32>)?.map(Thumbprint);
    let count = object.number("cnt")?;
    // It follows from the kind.
    object.value("dec");
    let detail = object.text("det", code)?;
    let fields = object.fields("fields")?;
    let root = object.text("items", bytes_of::<32>)?.map(Hash);
    let kind = object.needed("k", Kind::from_code)?;
    let restricting = object.value("lim").is_some();
    let nonce = object.needed("n", bytes_of::<16>)?;
    let op = object.needed("op", code)?;
    let policy = object.number("pol")?.map(i32::try_from).transpose().map_err(|_| BAD)?;
    let purpose = object.text("pur", Purpose::from_code)?;
    let request = object.needed("req", |id| id.parse().ok())?;
    let response = object.text("resp", bytes_of::<32>)?;
    let subject = object.text("sub", code)?;
    let at = object.needed("t", |time| time.parse::<Moment>().ok())?;
    object.value("v");
    let reason = object.text("why", Reason::from_code)?;
    let items = match (count, root) {
        (Some(count), Some(root)) => {
            Some(ItemTree { count: u32::try_from(count).map_err(|_| BAD)?, root })
        }
        (None, None) => None,
        _ => return Err(BAD),
    };
    let facts = Facts {
        kind,
        at,
        op,
        request,
        partner,
        certificate,
        purpose,
        policy: policy.map(PolicyVersion),
        fields,
        reason,
        response,
        actor,
        subject,
        detail,
        restricting,
    };
    Ok(ReadEntry { facts, items, nonce })
}

/// Reads base64url of so many bytes, at most 45.
pub(super) fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; 48];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    bytes.get(..length)?.try_into().ok()
}

/// The members of one flat object in sorted order: each is read where it stands, or not at all.
///
/// It reads no more than canonical bytes need (sorted keys, no escapes, no space, no objects
/// inside) and may take what is not canonical: whoever reads writes again and compares. Asked for
/// all keys in their order it sees every member of canonical bytes; another spelling stops it.
pub(super) struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    /// Begins `{"key":value,…}`.
    pub(super) fn open(text: &'a str) -> Option<Self> {
        text.strip_prefix('{')?.strip_suffix('}').map(Self)
    }

    /// The value of the next member, unread, if that is its key.
    fn value(&mut self, key: &str) -> Option<&'a str> {
        let after = self.0.strip_prefix('"')?.strip_prefix(key)?.strip_prefix("\":")?;
        let (value, more) = after.split_at_checked(end_of(after)?)?;
        self.0 = more.strip_prefix(',').unwrap_or(more);
        Some(value)
    }

    /// A text that may be missing, but is not something else.
    fn text<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, EntryError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        unquoted(value).and_then(read).map(Some).ok_or(BAD)
    }

    /// A text that must be there.
    pub(super) fn needed<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, EntryError> {
        self.text(key, read)?.ok_or(BAD)
    }

    /// A number that may be missing, but is not something else.
    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<u64>, EntryError> {
        self.value(key).map(str::parse).transpose().map_err(|_| BAD)
    }

    fn fields(&mut self, key: &'static str) -> Result<Option<FieldSet>, EntryError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let names = value.strip_prefix('[').and_then(|names| names.strip_suffix(']'));
        let names = names.ok_or(BAD)?.split(',').filter(|name| !name.is_empty());
        let fields: Option<FieldSet> =
            names.map(|name| unquoted(name).and_then(Field::from_code)).collect();
        fields.map(Some).ok_or(BAD)
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
