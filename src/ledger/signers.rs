//! The keys with which the sequencer signs, read anew as soon as a commit shows that they may have
//! changed: every replica signs with the keys that the entries up to that commit brought in.

use crate::merkle::key::Signer;

use super::{Cause, Head};

/// Reads the keys, with the registry version at which they were read.
type Read = dyn Fn() -> Result<(i64, Vec<Signer>), Cause> + Send;

/// The log's keys: one, or two while one is replaced. Has no printable form.
pub struct Signers {
    at_hand: Vec<Signer>,
    version: i64,
    read: Option<Box<Read>>,
}

impl Signers {
    /// Keys that are read anew when the registry moved.
    ///
    /// # Errors
    /// They cannot be read now.
    pub fn read_by(
        read: impl Fn() -> Result<(i64, Vec<Signer>), Cause> + Send + 'static,
    ) -> Result<Self, Cause> {
        let (version, at_hand) = read()?;
        Ok(Self { at_hand, version, read: Some(Box::new(read)) })
    }

    /// The name of the first key: the log's origin.
    pub(super) fn origin(&self) -> Option<&str> {
        self.at_hand.first().map(Signer::name)
    }

    /// The keys that sign this head.
    ///
    /// # Errors
    /// The registry moved, and the keys cannot be read.
    pub(super) fn at(&mut self, head: &Head) -> Result<&[Signer], Cause> {
        if let Some(read) = self.read.as_ref().filter(|_| self.version < head.registry_version) {
            (self.version, self.at_hand) = read()?;
        }
        Ok(&self.at_hand)
    }
}

/// Keys that never change.
impl From<Vec<Signer>> for Signers {
    fn from(at_hand: Vec<Signer>) -> Self {
        Self { at_hand, version: 0, read: None }
    }
}
