//! A log asks us, as its witness, to cosign a checkpoint; anybody reads what we cosigned.

use std::sync::Arc;

use crate::clock::Clock;
use crate::ledger::witness::cosigner::Cosigner;
use crate::store::{StoreError, WitnessStore};

use super::Error;

pub use crate::ledger::witness::cosigner::{REQUEST_BYTES_MAX, Refusal};

/// A witness at work: its key, its memory, its clock. Cheap to clone.
#[derive(Clone)]
pub struct Witness {
    cosigner: Arc<Cosigner>,
    memory: WitnessStore,
    clock: Clock,
}

impl Witness {
    /// Puts the parts together.
    pub fn new(cosigner: Cosigner, memory: WitnessStore, clock: Clock) -> Self {
        Self { cosigner: Arc::new(cosigner), memory, clock }
    }

    /// The public key (vkey).
    pub fn vkey(&self) -> String {
        self.cosigner.verifier().to_string()
    }

    /// Cosigns a checkpoint that continues all that was cosigned for its log; gives the line.
    /// Durable before this returns.
    ///
    /// # Errors
    /// Outer: the memory cannot be read or written now. Inner: the request is refused.
    pub async fn add_checkpoint(&self, body: Vec<u8>) -> Result<Result<String, Refusal>, Error> {
        let admitted = match self.cosigner.admit(&body) {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let witness = self.clone();
        blocking(move || {
            witness.memory.replace(admitted.origin(), |latest| {
                let now = witness.clock.now();
                let cosigned = witness.cosigner.cosign(&admitted, latest.as_ref(), now)?;
                Ok((cosigned.kept, cosigned.line))
            })
        })
        .await
    }

    /// The newest cosigned checkpoint of a log, by the lower-case hex SHA-256 of its origin.
    ///
    /// # Errors
    /// The memory cannot be read now.
    pub async fn newest(&self, origin_hash: String) -> Result<Option<String>, Error> {
        let memory = self.memory.clone();
        blocking(move || memory.find_by_hash(&origin_hash)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await.map_err(Error::broken)?;
    Ok(done?)
}
