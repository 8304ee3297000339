//! A proof bundle: an answer of the ledger with the proof of every entry in it, as one file.
//!
//! A compliance officer opens it like any ZIP archive; a stranger checks it without our database,
//! our network or our word. What the parts hold stands in `docs/ledger-format.md`; each follows
//! from entries, items and checkpoint, so a bundle whose parts disagree is refused.

mod container;

mod row;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::field::FieldSet;
use crate::merkle::Hash;
use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::note::Note;
use crate::merkle::policy::{Policy, Unconvinced};
use crate::merkle::proof::verify_inclusion;
use crate::merkle::tlog_proof::TlogProof;

use super::entry::{MAX_ITEMS, ReadEntry};
use super::item::Item;
use container::Parts;

pub use container::BYTES_MAX;
pub use row::Row;

/// The format that this program writes and reads; another one where a part changes its meaning.
pub const FORMAT: u32 = 1;

/// Most entries in one bundle.
pub const MAX_HITS: usize = 10_000;

/// Why a bundle proves nothing; names the first part that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not a ZIP archive as this program writes it, or too large.
    #[error("this is not a proof bundle as fieldgate writes it: {0}")]
    Container(&'static str),
    /// Another format than this program reads.
    #[error("this is a proof bundle of format {0}, and this program reads format {FORMAT}")]
    Format(u32),
    /// A part is missing, or malformed, or says something else than the entries.
    #[error("{0} is missing, malformed, or says something else than the entries do")]
    Part(String),
    /// The checkpoint does not convince.
    #[error("the checkpoint is not signed as the policy asks")]
    Checkpoint(#[source] Unconvinced),
    /// An entry is not in the log.
    #[error("entry {0} is not what the log holds at this index")]
    Entry(u64),
    /// An item does not hang below its entry.
    #[error("item {position} does not belong to entry {index}")]
    Item {
        /// Index of the entry.
        index: u64,
        /// Place of the item on the page, from 0.
        position: u32,
    },
}

/// One person's leaf below an entry, with its path to the root in the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenItem {
    /// Place on the page, from 0.
    pub position: u32,
    /// Canonical bytes of the item.
    pub bytes: Vec<u8>,
    /// Inner path, the leaf's sibling first (RFC 9162 §2.1.3.1).
    pub path: Vec<Hash>,
}

/// One entry of the answer with its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenEntry {
    /// Index of the entry.
    pub index: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its path under the bundle's checkpoint, the leaf's sibling first.
    pub path: Vec<Hash>,
    /// The person that was asked about, where the question was about one.
    pub items: Vec<ProvenItem>,
}

/// A whole bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The checkpoint that all proofs lead to.
    pub checkpoint: Note,
    /// The entries, in the order of the answer.
    pub entries: Vec<ProvenEntry>,
    /// What was asked; for the reader, not proved.
    pub question: Value,
    /// The keys of the log as a tlog-policy, for convenience; a reader trusts his own copy.
    pub policy: Vec<u8>,
    /// How to check it, in words; [`README`] when this version writes it.
    pub readme: Vec<u8>,
}

/// What a bundle proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBundle {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// What the entries say, in the order of the answer.
    pub rows: Vec<Row>,
}

/// `manifest.json`: which format the parts have, and what was asked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    question: Value,
}

/// What is read of a manifest first, whatever else a later format puts into it.
#[derive(Deserialize)]
struct Heading {
    format: u32,
}

impl Bundle {
    /// Reads the bytes of a file and refuses whatever this program would not have written: each
    /// part must follow from the entries, and the archive from its parts.
    ///
    /// # Errors
    /// Names the part that is wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        let bundle = Self::from_parts(&container::unpack(bytes)?)?;
        if bundle.write()? == bytes {
            return Ok(bundle);
        }
        Err(BundleError::Container("the archive was changed"))
    }

    /// Reads the parts, and refuses those it would have written otherwise.
    fn from_parts(parts: &Parts) -> Result<Self, BundleError> {
        let bundle = Self::of_parts(parts)?;
        let again = bundle.parts();
        let differs = |name: &&String| again.get(*name) != parts.get(*name);
        match again.keys().find(differs).or_else(|| parts.keys().find(differs)) {
            Some(name) => Err(BundleError::Part(name.clone())),
            None => Ok(bundle),
        }
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// The bundle is too large.
    pub fn write(&self) -> Result<Vec<u8>, BundleError> {
        container::pack(&self.parts())
    }

    /// Checks signatures, every entry and every item against what the reader trusts.
    ///
    /// # Errors
    /// Names the first entry or item that is wrong.
    pub fn verify(&self, policy: &Policy) -> Result<VerifiedBundle, BundleError> {
        let checkpoint = policy.check(&self.checkpoint).map_err(BundleError::Checkpoint)?;
        let mut rows = Vec::with_capacity(self.entries.len());
        for one in &self.entries {
            let wrong = || BundleError::Entry(one.index);
            let leaf = Hash::leaf(&one.bytes);
            let (size, root) = (checkpoint.size, &checkpoint.root);
            verify_inclusion(&leaf, one.index, size, &one.path, root).map_err(|_| wrong())?;
            let entry = ReadEntry::parse(&one.bytes).map_err(|_| wrong())?;
            let person = one.verify_items(&entry)?;
            rows.push(Row::of(one.index, &entry, person));
        }
        Ok(VerifiedBundle { checkpoint, rows })
    }

    fn of_parts(parts: &Parts) -> Result<Self, BundleError> {
        let part =
            |name: &str| parts.get(name).cloned().ok_or_else(|| BundleError::Part(name.to_owned()));
        let bad = |name: &str| BundleError::Part(name.to_owned());
        let manifest = part("manifest.json")?;
        let manifest = read_manifest(&manifest)?.ok_or_else(|| bad("manifest.json"))?;
        let checkpoint = Note::parse(&part("checkpoint")?).map_err(|_| bad("checkpoint"))?;
        let order = String::from_utf8(part("answer.csv")?).map_err(|_| bad("answer.csv"))?;
        let mut entries = Vec::new();
        for line in order.lines().skip(1).take(MAX_HITS + 1) {
            let index = line.split(',').next().and_then(|index| index.parse::<u64>().ok());
            let index = index.filter(|_| entries.len() < MAX_HITS);
            let index = index.ok_or_else(|| bad("answer.csv"))?;
            let name = proof_name(index);
            let proof = String::from_utf8(part(&name)?).map_err(|_| bad(&name))?;
            let proof = TlogProof::parse(&proof).map_err(|_| bad(&name))?;
            let items = parts
                .range(format!("items/{index}-")..)
                .take_while(|(name, _)| name.starts_with(&format!("items/{index}-")));
            let items = items.map(|(name, text)| read_item(text).ok_or_else(|| bad(name)));
            let items: Result<Vec<_>, _> = items.collect();
            let bytes = part(&entry_name(index))?;
            entries.push(ProvenEntry { index, bytes, path: proof.path, items: items? });
        }
        let (policy, readme) = (part("policy.txt")?, part("README.txt")?);
        Ok(Self { checkpoint, entries, question: manifest.question, policy, readme })
    }

    /// The parts by name; all follow from what is proved, but for the README, the question and
    /// the policy.
    fn parts(&self) -> Parts {
        let mut parts = Parts::new();
        let (mut csv, mut json) = (Row::HEADINGS.to_owned(), String::new());
        for one in &self.entries {
            if let Ok(entry) = ReadEntry::parse(&one.bytes) {
                let row = Row::of(one.index, &entry, one.person());
                csv.push_str(&row.csv());
                json.push_str(&row.json());
                json.push('\n');
            }
            let proof = TlogProof {
                extra: None,
                index: one.index,
                path: one.path.clone(),
                checkpoint: self.checkpoint.clone(),
            };
            parts.insert(entry_name(one.index), one.bytes.clone());
            parts.insert(proof_name(one.index), proof.to_string().into_bytes());
            for item in &one.items {
                let name = format!("items/{}-{}.txt", one.index, item.position);
                parts.insert(name, write_item(item));
            }
        }
        let manifest = Manifest { format: FORMAT, question: self.question.clone() };
        let manifest = serde_json::to_string_pretty(&manifest).unwrap_or_default();
        for (name, bytes) in [
            ("README.txt", self.readme.as_slice()),
            ("answer.csv", csv.as_bytes()),
            ("answer.jsonl", json.as_bytes()),
            ("checkpoint", self.checkpoint.to_string().as_bytes()),
            ("manifest.json", manifest.as_bytes()),
            ("policy.txt", &self.policy),
        ] {
            parts.insert(name.to_owned(), bytes.to_vec());
        }
        parts
    }
}

impl ProvenEntry {
    /// The fields of the items; `None` where the question was about nobody.
    fn person(&self) -> Option<FieldSet> {
        fields_of(&self.items)
    }

    fn verify_items(&self, entry: &ReadEntry) -> Result<Option<FieldSet>, BundleError> {
        for item in &self.items {
            let position = item.position;
            let wrong = || BundleError::Item { index: self.index, position };
            let tree = entry.items.ok_or_else(wrong)?;
            let (at, count) = (u64::from(position), u64::from(tree.count));
            let leaf = Hash::leaf(&item.bytes);
            verify_inclusion(&leaf, at, count, &item.path, &tree.root).map_err(|_| wrong())?;
            Item::parse(&item.bytes).map_err(|_| wrong())?;
        }
        Ok(self.person())
    }
}

/// The manifest of this format; `None` where it is malformed.
fn read_manifest(bytes: &[u8]) -> Result<Option<Manifest>, BundleError> {
    match serde_json::from_slice::<Heading>(bytes) {
        Ok(heading) if heading.format != FORMAT => Err(BundleError::Format(heading.format)),
        _ => Ok(serde_json::from_slice(bytes).ok()),
    }
}

/// The fields of a person's items; `None` where there are none.
pub fn fields_of(items: &[ProvenItem]) -> Option<FieldSet> {
    let items = items.iter().filter_map(|item| Item::parse(&item.bytes).ok());
    items.map(|item| item.fields).reduce(FieldSet::or)
}

fn entry_name(index: u64) -> String {
    format!("entries/{index}.json")
}

fn proof_name(index: u64) -> String {
    format!("proofs/{index}.tlog-proof")
}

/// `position N`, one hash per line, an empty line, the item.
fn write_item(item: &ProvenItem) -> Vec<u8> {
    let mut text = format!("position {}\n", item.position);
    for hash in &item.path {
        let _ = writeln!(text, "{}", hash.to_base64());
    }
    text.push('\n');
    [text.as_bytes(), &item.bytes].concat()
}

fn read_item(text: &[u8]) -> Option<ProvenItem> {
    let (head, item) = std::str::from_utf8(text).ok()?.split_once("\n\n")?;
    let mut lines = head.split('\n');
    let position = lines.next()?.strip_prefix("position ")?.parse().ok()?;
    let depth = usize::try_from(MAX_ITEMS.next_power_of_two().trailing_zeros()).ok()?;
    let path: Option<Vec<Hash>> = lines.take(depth + 1).map(Hash::from_base64).collect();
    let path = path.filter(|path| path.len() <= depth)?;
    Some(ProvenItem { position, bytes: item.as_bytes().to_vec(), path })
}

/// How to check a bundle with public tools.
pub const README: &str = include_str!("README.txt");

#[cfg(test)]
mod tests;
