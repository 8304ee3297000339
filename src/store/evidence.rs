//! Writes what changes nothing and is therefore no entry: checkpoints as published, and the
//! lines of those who cosigned them.

use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use diesel::connection::SimpleConnection as _;

use super::connection::{self, Use};
use super::dialect;
use super::error::StoreError;
use super::tx::ReadTx;
use super::url::Url;

/// Writes that may wait; a job writes once a second, so more means that the database is away.
const QUEUE: usize = 32;

/// A write transaction on the evidence tables alone: row functions of other tables take a
/// `WriteTx`, which only an append lends. It reads as well. One at a time, over all replicas.
pub struct EvidenceTx {
    read: ReadTx,
}

impl Deref for EvidenceTx {
    type Target = ReadTx;

    fn deref(&self) -> &ReadTx {
        &self.read
    }
}

impl DerefMut for EvidenceTx {
    fn deref_mut(&mut self) -> &mut ReadTx {
        &mut self.read
    }
}

type Job = Box<dyn FnOnce(&mut Desk) + Send>;

/// The queue in front of the one thread that writes evidence. It ends when this is dropped.
pub(super) struct Evidence {
    queue: SyncSender<Job>,
}

impl Evidence {
    /// Starts the thread; its connection is opened when first needed.
    pub(super) fn start(url: &Url) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel::<Job>(QUEUE);
        let mut desk = Desk { url: url.clone(), tx: None };
        thread::Builder::new()
            .name("store-evidence".to_owned())
            .spawn(move || desk.work(&jobs))
            .map_err(|error| StoreError::Busy(error.to_string()))?;
        Ok(Self { queue })
    }

    /// Hands a closure to the thread; `answer` gets what it returns once that is durable.
    pub(super) fn submit<T: 'static>(
        &self,
        write: impl FnOnce(&mut EvidenceTx) -> Result<T, StoreError> + Send + 'static,
        answer: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        let job: Job = Box::new(move |desk| answer(desk.write(write)));
        self.queue.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::Busy("evidence waits to be written".to_owned()),
            TrySendError::Disconnected(_) => StoreError::Busy("the writer has ended".to_owned()),
        })
    }
}

/// The thread's connection; `None` before the first write and after it was lost.
struct Desk {
    url: Url,
    tx: Option<EvidenceTx>,
}

impl Desk {
    fn work(&mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            if catch_unwind(AssertUnwindSafe(|| job(self))).is_err() {
                self.tx = None;
            }
        }
    }

    fn write<T>(
        &mut self,
        write: impl FnOnce(&mut EvidenceTx) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let at_hand = self.tx.take();
        let begun =
            at_hand.and_then(|mut tx| dialect::begin_evidence(tx.border()).is_ok().then_some(tx));
        let mut tx = match begun {
            Some(tx) => tx,
            // A connection that died while idle, or none yet: nothing was asked of it.
            None => {
                let mut connection = connection::open(&self.url, Use::Write)?;
                dialect::begin_evidence(&mut connection)?;
                EvidenceTx { read: ReadTx::new(connection) }
            }
        };
        // On an error the connection is dropped, and with it the transaction.
        let written = write(&mut tx)?;
        tx.border().batch_execute("COMMIT")?;
        self.tx = Some(tx);
        Ok(written)
    }
}
