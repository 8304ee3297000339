//! A folder in a bucket with one object per checkpoint, made once and never replaced.
//!
//! Names begin with the size counted from the other end, so that the newest checkpoint is the
//! first in the list: one look is one request, however many years of checkpoints lie there.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::jobs::bucket::{Bucket, BucketFault};

use super::{Kept, PlaceFault};

/// Longest checkpoint that is taken for one.
const NOTE_BYTES_MAX: usize = 64 * 1024;

/// The folder; it remembers the largest size that it held, for as long as the process runs.
#[derive(Debug)]
pub struct AnchorBucket {
    bucket: Bucket,
    seen: AtomicU64,
}

impl AnchorBucket {
    /// A folder that holds checkpoints and nothing else.
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket, seen: AtomicU64::new(0) }
    }

    /// The note of the largest tree.
    ///
    /// # Errors
    /// The store cannot be used, or it no longer holds what it held.
    pub async fn newest(&self) -> Result<Option<String>, PlaceFault> {
        let newest = self.bucket.first(size_of_key).await?;
        let (size, seen) = (newest.unwrap_or(0), self.seen.load(Ordering::Relaxed));
        if size < seen {
            let says = format!("the checkpoint of {seen} entries that was kept here is gone");
            return Err(self.fault(says));
        }
        let Some(size) = newest else { return Ok(None) };
        let note = self.read(size).await?;
        self.seen.fetch_max(size, Ordering::Relaxed);
        Ok(Some(note))
    }

    /// Adds an object, if none of this size is there.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn keep(&self, size: u64, note: &str) -> Result<Kept, PlaceFault> {
        if self.bucket.put_new(&key_of(size), note.as_bytes().to_vec()).await? {
            self.seen.fetch_max(size, Ordering::Relaxed);
            return Ok(Kept::Added);
        }
        self.read(size).await.map(Kept::Present)
    }

    async fn read(&self, size: u64) -> Result<String, PlaceFault> {
        let gone = || self.fault(format!("the checkpoint of {size} entries is listed, not kept"));
        let bytes = self.bucket.get(&key_of(size)).await?.ok_or_else(gone)?;
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(self.fault(format!("{} is no checkpoint: too long", key_of(size))));
        }
        String::from_utf8(bytes).map_err(|error| self.fault(error))
    }

    fn fault(&self, says: impl std::fmt::Display) -> PlaceFault {
        PlaceFault::new(self.bucket.place(), says)
    }
}

impl From<BucketFault> for PlaceFault {
    fn from(BucketFault { place, says }: BucketFault) -> Self {
        Self { place, says }
    }
}

/// `18446744073709550615-1000.note` for 1,000 entries: the first number and the size add up to
/// the largest number of 64 bits.
fn key_of(size: u64) -> String {
    format!("{:020}-{size}.note", u64::MAX.saturating_sub(size))
}

/// The size in a name that [`key_of`] gave.
fn size_of_key(name: &str) -> Option<u64> {
    let (_, size) = name.strip_suffix(".note")?.split_once('-')?;
    size.parse().ok().filter(|size| key_of(*size) == name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn the_newest_checkpoint_has_the_first_name() {
        let mut names: Vec<_> = [0, 9, 10, 11, 255, 256, 10_000_000, u64::MAX].map(key_of).into();
        names.sort_unstable();
        let sizes: Vec<_> = names.iter().map(|name| size_of_key(name).unwrap()).collect();
        assert_eq!(sizes, [u64::MAX, 10_000_000, 256, 255, 11, 10, 9, 0]);
        assert_eq!(key_of(1_000), "18446744073709550615-1000.note");
        for other in [
            "18446744073709550615-1001.note",
            "18446744073709550615-01000.note",
            "18446744073709550615-+1000.note",
            "18446744073709550615-1000",
            "00000000000000001000.note",
            "README",
            "",
        ] {
            assert_eq!(size_of_key(other), None, "{other}");
        }
    }
}
