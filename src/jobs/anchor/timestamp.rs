//! A folder with one file per checkpoint, and beside each the timestamp of an authority (RFC 3161).
//!
//! The note is written first and its timestamp asked for then: what a crash or a silent authority
//! leaves behind is a note that is compared as any other, and stamped before a newer one is added.
//! Only if another replica adds a newer one in that very moment does it stay unstamped; the newer
//! note holds everything that it holds.

use std::io::Read as _;
use std::sync::Arc;

use crate::clock::Moment;
use crate::jobs::timestamp::{ANSWER_BYTES_MAX, Timestamp, TimestampAuthority};

use super::folder::AnchorFolder;
use super::{Kept, PlaceFault, aside};

/// The folder, and who stamps what is kept in it.
#[derive(Debug)]
pub struct AnchorTimestamps {
    folder: AnchorFolder,
    authority: TimestampAuthority,
}

/// The newest note, and what was found beside it.
struct Newest {
    size: u64,
    note: String,
    timestamp: Option<Timestamp>,
}

impl AnchorTimestamps {
    /// A folder that must exist, and holds the notes of one log.
    pub fn new(folder: AnchorFolder, authority: TimestampAuthority) -> Self {
        Self { folder, authority }
    }

    /// The note of the largest tree, stamped or not: it counts against the ledger in any case.
    ///
    /// # Errors
    /// The folder or the file cannot be read.
    pub fn newest(&self) -> Result<Option<String>, PlaceFault> {
        self.folder.newest()
    }

    /// What the timestamp of the newest note says.
    ///
    /// # Errors
    /// The files cannot be read, or the timestamp is not one of this note.
    pub fn vouched(&self) -> Result<String, PlaceFault> {
        Ok(match self.look()?.map(|newest| newest.timestamp) {
            None => "nothing to stamp".to_owned(),
            Some(None) => "not stamped yet".to_owned(),
            Some(Some(Timestamp { seconds, signer })) => {
                let at = Moment::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
                format!("stamped {at} by {signer}")
            }
        })
    }

    /// Adds the note, then its timestamp; when this returns, both survive the loss of power.
    ///
    /// # Errors
    /// The folder cannot be written, or the authority gives no timestamp that counts.
    pub async fn keep(self: &Arc<Self>, size: u64, note: String) -> Result<Kept, PlaceFault> {
        let (place, text) = (Arc::clone(self), note.clone());
        let kept = aside(move || place.folder.keep(size, &text)).await?;
        if kept == Kept::Added {
            self.stamp(size, &note).await?;
        }
        Ok(kept)
    }

    /// Asks for the newest note's timestamp where it is missing.
    ///
    /// # Errors
    /// As [`AnchorTimestamps::keep`], and where the timestamp that is there does not count.
    pub async fn complete(self: &Arc<Self>) -> Result<(), PlaceFault> {
        let place = Arc::clone(self);
        match aside(move || place.look()).await? {
            Some(Newest { size, note, timestamp: None }) => self.stamp(size, &note).await,
            _ => Ok(()),
        }
    }

    /// Asks and writes. Where another replica was quicker, its answer stays, and the next look
    /// judges it.
    async fn stamp(self: &Arc<Self>, size: u64, note: &str) -> Result<(), PlaceFault> {
        let answer = self.authority.ask(note.as_bytes()).await;
        let answer = answer.map_err(|error| self.folder.fault(error))?;
        let place = Arc::clone(self);
        aside(move || place.folder.add(&answer_name(size), &answer)).await.map(drop)
    }

    fn look(&self) -> Result<Option<Newest>, PlaceFault> {
        let Some(size) = self.folder.newest_size()? else { return Ok(None) };
        let note = self.folder.read(size)?;
        let timestamp = match self.answer(size)? {
            None => None,
            Some(answer) => Some(self.judge(size, &note, &answer)?),
        };
        Ok(Some(Newest { size, note, timestamp }))
    }

    /// What was answered about the note of a size. One byte more than is allowed is read, so that
    /// an answer that is too long is told from one that is cut.
    fn answer(&self, size: u64) -> Result<Option<Vec<u8>>, PlaceFault> {
        let path = self.folder.path(&answer_name(size));
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(PlaceFault::new(path.display(), error)),
        };
        let (mut bytes, most) = (Vec::new(), ANSWER_BYTES_MAX.saturating_add(1));
        let read = file.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes);
        read.map_err(|error| PlaceFault::new(path.display(), error))?;
        Ok(Some(bytes))
    }

    fn judge(&self, size: u64, note: &str, answer: &[u8]) -> Result<Timestamp, PlaceFault> {
        self.authority.check(note.as_bytes(), answer).map_err(|bad| {
            let says = format!(
                "it does not vouch for the note beside it: {bad}; if neither file was altered, see \
                 that authority_file holds the certificate of the authority that stamped it; \
                 otherwise move it elsewhere as evidence, and another one is asked for"
            );
            PlaceFault::new(self.folder.path(&answer_name(size)).display(), says)
        })
    }
}

/// The name of the timestamp beside the note of a size: openssl's ending.
fn answer_name(size: u64) -> String {
    format!("{size:020}.tsr")
}
