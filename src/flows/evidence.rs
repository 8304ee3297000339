//! An answer as a proof bundle: every entry with its path under one signed checkpoint.

use std::sync::Arc;

use crate::id::ContactNo;
use crate::ledger::bundle::{Bundle, MAX_HITS, ProvenEntry, README};
use crate::ledger::prove::{ProveError, prove_inclusion};
use crate::ledger::publishing::Published;
use crate::ledger::{Notary, NotaryError};
use crate::store::search_rows::{self, Page};
use crate::store::{ReadTx, StoreError, audit_rows};

use super::question::{self, Inquirer, Question, Search};
use super::{Error, Gateway, witnesses};

/// A bundle and what it answers.
#[derive(Debug)]
pub struct Evidence {
    /// The bundle.
    pub bundle: Bundle,
    /// Index of the entry this question made.
    pub entry: u64,
    /// Whether the witnesses this log asks have cosigned the checkpoint; `None` where it asks none.
    pub cosigned: Option<bool>,
}

/// Answers a question whole, with proofs, from one snapshot.
///
/// # Errors
/// `Invalid` for an answer of more than 10,000 entries; else as `question::ask`.
pub async fn collect(gateway: &Gateway, by: &Inquirer, of: &Question) -> Result<Evidence, Error> {
    let recorded = of.record(gateway, by, "audit.export").await?;
    let most = u16::try_from(MAX_HITS + 1).unwrap_or(u16::MAX);
    let page =
        Page { horizon: recorded.entry, after: None, newest_first: of.newest_first, limit: most };
    let search = Search { contact: recorded.contact, ..of.search.clone() };
    let keys = Arc::clone(&gateway.log_keys);
    let asked = of.asked();
    let read = gateway.store.read(move |tx| {
        tx.take_time()?;
        let indices = search_rows::find_entries(tx, &search, &page)?;
        if indices.len() > MAX_HITS {
            return Ok(Err(too_many()));
        }
        let entries = audit_rows::read_entries(tx, &indices)?;
        let notary = keys.within(tx)?;
        Ok::<_, StoreError>(proven(tx, &notary, (entries, search.contact), asked))
    });
    let (bundle, cosigned) = read.await??;
    let cosigned = gateway.log_keys.at_hand().has_policy().then_some(cosigned);
    Ok(Evidence { bundle, entry: recorded.entry, cosigned })
}

fn too_many() -> Error {
    let says = format!("finds more than {MAX_HITS} entries: narrow it, for example by time");
    Error::invalid("question", says)
}

/// The bundle, and whether its checkpoint is cosigned.
fn proven(
    tx: &mut ReadTx,
    notary: &Notary,
    (found, contact): (Vec<(u64, Vec<u8>)>, Option<ContactNo>),
    question: serde_json::Value,
) -> Result<(Bundle, bool), Error> {
    let failed = |error: ProveError| Error::broken(NotaryError::Prove(error));
    let above = found.iter().map(|(index, _)| index.saturating_add(1)).max().unwrap_or(0);
    let cosigned = cosigned(tx, notary, above)?;
    let is_cosigned = cosigned.is_some();
    let (size, checkpoint) = match cosigned {
        Some(cosigned) => (cosigned.size, cosigned.read().map_err(Error::broken)?),
        None => notary.present(tx).map_err(Error::broken)?,
    };
    let mut entries = Vec::with_capacity(found.len());
    for (index, bytes) in found {
        let path = prove_inclusion(tx, index, size).map_err(failed)?;
        let items = match contact {
            None => Vec::new(),
            Some(contact) => question::items(tx, contact, index)?,
        };
        entries.push(ProvenEntry { index, bytes, path, items });
    }
    let policy = notary.policy();
    let signed = |key: &&_| checkpoint.verify(std::slice::from_ref(*key)).is_ok();
    let logs = policy.logs().filter(signed).map(|key| format!("log {key}"));
    let mut policy: Vec<String> = logs.collect();
    policy.push("quorum none\n".to_owned());
    let policy = policy.join("\n").into_bytes();
    let readme = README.as_bytes().to_vec();
    Ok((Bundle { checkpoint, entries, question, policy, readme }, is_cosigned))
}

/// The newest checkpoint that the witnesses of the policy cosigned, if it has all of so many
/// entries. Newer entries can be proved under the log's own signature alone.
fn cosigned(tx: &mut ReadTx, notary: &Notary, above: u64) -> Result<Option<Published>, StoreError> {
    if !notary.has_policy() {
        return Ok(None);
    }
    let newest = witnesses::newest_convincing(tx, notary)?;
    Ok(newest.filter(|newest| newest.size >= above))
}
