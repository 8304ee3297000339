//! An entry: what happened, as canonical bytes that are stored, hashed and never rewritten.
//!
//! JSON in the form of RFC 8785 with the keys of the reference page §11. Every value is fixed in
//! width or drawn from a closed list: an entry holds no personal data and cannot be made to.

use std::borrow::Cow;

use crate::clock::Moment;
use crate::domain::disclosure::Reason;
use crate::domain::field::FieldSet;
use crate::domain::purpose::Purpose;
use crate::id::{PartnerId, PolicyVersion, RequestId, Thumbprint};
use crate::merkle::{Hash, tree};

use super::canonical;
use super::item::Item;
use super::items;
pub use super::kind::Kind;

/// Longest entry in bytes: a bundle writes lengths in two bytes.
pub const MAX_BYTES: usize = 65_535;

/// Most items below one entry.
pub const MAX_ITEMS: usize = 10_000;

/// Bytes of an item in a run as far as memory is set aside: 95 of JSON, 2 of length.
const ITEM_BYTES: usize = 97;

/// Largest integer that every JSON reader keeps exactly: 2^53 − 1.
pub(super) const INTEGER_MAX: i64 = (1 << 53) - 1;

/// Why facts cannot become an entry, or bytes are not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// An operation, detail, actor or subject is not a code.
    #[error("{0} is not a code of 1 to 64 characters a-z 0-9 . _ -")]
    Code(&'static str),
    /// A time outside the years 0 to 9999.
    #[error("the time lies outside the years 0 to 9999")]
    Time,
    /// Only a refusal has a reason, and it has one always.
    #[error("a reason belongs to a withhold entry, and only there")]
    Reason,
    /// A refusal discloses nothing.
    #[error("a withhold entry has no items, fields or response")]
    Withheld,
    /// More than 10 000 items, or a version that JSON cannot hold.
    #[error("an entry has at most 10,000 items, with versions from 0 to 2^53 - 1")]
    Items,
    /// A policy version below 1.
    #[error("a policy version is at least 1")]
    Policy,
    /// Bytes that this program would not have written.
    #[error("the {0} is not in canonical form")]
    NotCanonical(&'static str),
}

/// What happened, in the words of the domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What kind of thing happened (`k`).
    pub kind: Kind,
    /// When, kept to the millisecond (`t`).
    pub at: Moment,
    /// Which operation of which door, such as `leads.list` (`op`).
    pub op: Cow<'static, str>,
    /// The request it belongs to (`req`).
    pub request: RequestId,
    /// The partner concerned (`aud`).
    pub partner: Option<PartnerId>,
    /// The certificate the partner showed (`cert`).
    pub certificate: Option<Thumbprint>,
    /// The purpose (`pur`).
    pub purpose: Option<Purpose>,
    /// The policy version in force (`pol`).
    pub policy: Option<PolicyVersion>,
    /// The fields concerned, over all items (`fields`, as names).
    pub fields: Option<FieldSet>,
    /// Why nothing was released (`why`).
    pub reason: Option<Reason>,
    /// HMAC-SHA-256 under a salt over the sealed values as released (`resp`). Over the *sealed*
    /// values because plaintext cannot be opened before the entry exists.
    pub response: Option<[u8; 32]>,
    /// Who acted, as an opaque code such as a staff number (`act`).
    pub actor: Option<Cow<'static, str>>,
    /// What was acted upon, as an identifier such as `gra_…` (`sub`).
    pub subject: Option<Cow<'static, str>>,
    /// A closed code that tells more, such as `lifted` (`det`).
    pub detail: Option<Cow<'static, str>>,
    /// Whether this entry narrows what may be released (`lim`): releases that were decided on an
    /// older state of the ledger are stale after it.
    pub restricting: bool,
}

impl Facts {
    /// The facts that every entry has; the others are set with `..Facts::new(…)`.
    pub fn new(kind: Kind, op: &'static str, request: RequestId, at: Moment) -> Self {
        Self {
            kind,
            at,
            op: Cow::Borrowed(op),
            request,
            partner: None,
            certificate: None,
            purpose: None,
            policy: None,
            fields: None,
            reason: None,
            response: None,
            actor: None,
            subject: None,
            detail: None,
            restricting: false,
        }
    }

    fn check(&self) -> Result<(), EntryError> {
        let codes = [("op", Some(&self.op)), ("actor", self.actor.as_ref())];
        let more = [("subject", self.subject.as_ref()), ("detail", self.detail.as_ref())];
        for (name, code) in codes.into_iter().chain(more) {
            if !code.is_none_or(|code| is_code(code)) {
                return Err(EntryError::Code(name));
            }
        }
        if self.policy.is_some_and(|policy| policy.0 < 1) {
            return Err(EntryError::Policy);
        }
        let refusal = self.kind == Kind::Withhold;
        if refusal != self.reason.is_some() {
            return Err(EntryError::Reason);
        }
        if refusal && (self.fields.is_some() || self.response.is_some()) {
            return Err(EntryError::Withheld);
        }
        Ok(())
    }
}

/// Lower-case letters, digits, dot, underscore, hyphen: nothing a person writes about a person.
fn is_code(code: &str) -> bool {
    let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    (1..=64).contains(&code.len()) && code.bytes().all(allowed)
}

/// The root over an entry's items and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemTree {
    /// Number of items (`cnt`).
    pub count: u32,
    /// Root over the leaf hashes of their bytes, in page order (`items`).
    pub root: Hash,
}

/// An entry about to be appended: immutable, with its bytes, its leaf hash and its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    facts: Facts,
    items: Vec<Item>,
    item_run: Vec<u8>,
    item_hashes: Vec<Hash>,
    bytes: Vec<u8>,
    leaf: Hash,
}

impl Entry {
    /// Fixes the facts and items as bytes. The nonce is 16 fresh random bytes: hash tiles are
    /// served more widely than entries, and without it a guessed entry could be confirmed.
    ///
    /// # Errors
    /// Facts that contradict each other or cannot be written canonically.
    pub fn new(facts: Facts, items: Vec<Item>, nonce: [u8; 16]) -> Result<Self, EntryError> {
        let mut facts = facts;
        facts.at = Moment(facts.at.0.div_euclid(1000).saturating_mul(1000));
        facts.check()?;
        if facts.kind == Kind::Withhold && !items.is_empty() {
            return Err(EntryError::Withheld);
        }
        if items.len() > MAX_ITEMS || !items.iter().all(Item::is_sound) {
            return Err(EntryError::Items);
        }
        let mut item_run = Vec::with_capacity(items.len().saturating_mul(ITEM_BYTES));
        let mut item_hashes = Vec::with_capacity(items.len());
        for item in &items {
            let bytes = item.bytes();
            item_hashes.push(Hash::leaf(&bytes));
            items::push(&mut item_run, &bytes).ok_or(EntryError::Items)?;
        }
        let count = u32::try_from(items.len()).map_err(|_| EntryError::Items)?;
        let has_tree = facts.kind == Kind::Release || count > 0;
        let tree = has_tree.then(|| ItemTree { count, root: tree::root_of(&item_hashes) });
        let bytes = canonical::write(&facts, tree, nonce)?;
        let leaf = Hash::leaf(&bytes);
        Ok(Self { facts, items, item_run, item_hashes, bytes, leaf })
    }

    /// What happened.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The contacts it touched, in page order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The leaf hashes of the items, in page order.
    pub fn item_hashes(&self) -> &[Hash] {
        &self.item_hashes
    }

    /// The canonical bytes of the items, in page order, as one run (see [`items`]).
    pub fn item_run(&self) -> &[u8] {
        &self.item_run
    }

    /// The canonical bytes, at most 65 535.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256(0x00 ‖ bytes).
    pub fn leaf(&self) -> Hash {
        self.leaf
    }
}

/// An entry read back from its bytes, for checking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadEntry {
    /// What happened.
    pub facts: Facts,
    /// The tree of items below it, if it has one.
    pub items: Option<ItemTree>,
    /// Its 16 random bytes.
    pub nonce: [u8; 16],
}

impl ReadEntry {
    /// Reads canonical bytes and refuses any other spelling, unknown key or missing value.
    ///
    /// # Errors
    /// The bytes are not an entry as this program writes it.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let read = canonical::read(bytes)?;
        read.facts.check()?;
        Ok(read)
    }
}
