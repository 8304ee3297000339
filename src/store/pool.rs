//! The readers: a fixed number of plain threads, each with a connection of its own.
//!
//! `SQLite` calls block and `PostgreSQL` connections own their runtime, so neither belongs on an
//! async worker (performance.md §3). The queue is bounded: more work than that is refused as busy.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use diesel::connection::SimpleConnection as _;

use super::connection::{self, AnyConnection, Use};
use super::error::StoreError;
use super::tx::ReadTx;
use super::url::Url;

/// Work waiting per reader before more is refused.
const QUEUE_PER_READER: usize = 64;

type Job = Box<dyn FnOnce(&mut Reader) + Send>;

/// The queue in front of the reader threads. They end when it is dropped.
pub(super) struct Pool {
    queue: SyncSender<Job>,
    statements: Arc<AtomicU64>,
}

impl Pool {
    /// Starts `readers` threads; each opens its connection before this returns.
    pub(super) fn start(url: &Url, readers: usize) -> Result<Self, StoreError> {
        let readers = readers.max(1);
        let (queue, jobs) = sync_channel::<Job>(readers.saturating_mul(QUEUE_PER_READER));
        let jobs = Arc::new(Mutex::new(jobs));
        let statements = Arc::new(AtomicU64::new(0));
        let (opened, outcomes) = sync_channel(readers);
        for number in 0..readers {
            let (url, jobs, opened) = (url.clone(), Arc::clone(&jobs), opened.clone());
            let statements = Arc::clone(&statements);
            thread::Builder::new()
                .name(format!("store-read-{number}"))
                .spawn(move || {
                    let mut reader = Reader { url, tx: None, statements };
                    let outcome = reader.reopen();
                    let usable = outcome.is_ok();
                    if opened.send(outcome).is_ok() && usable {
                        drop(opened);
                        reader.work(&jobs);
                    }
                })
                .map_err(|error| StoreError::Busy(error.to_string()))?;
        }
        drop(opened);
        outcomes.into_iter().collect::<Result<(), StoreError>>()?;
        Ok(Self { queue, statements })
    }

    /// Statements that ran in all snapshots so far.
    pub(super) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Hands a closure to the next free reader; `answer` gets what it returns.
    pub(super) fn submit<T, F>(
        &self,
        read: F,
        answer: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError>
    where
        F: FnOnce(&mut ReadTx) -> Result<T, StoreError> + Send + 'static,
        T: 'static,
    {
        let job: Job = Box::new(move |reader| reader.snapshot(read, answer));
        self.queue.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::Busy("the readers' queue is full".to_owned()),
            TrySendError::Disconnected(_) => StoreError::Busy("the readers have ended".to_owned()),
        })
    }
}

/// One thread's connection; `None` after it was lost.
pub(super) struct Reader {
    url: Url,
    tx: Option<ReadTx>,
    statements: Arc<AtomicU64>,
}

impl Reader {
    fn work(&mut self, jobs: &Mutex<Receiver<Job>>) {
        loop {
            let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = next else { return };
            // A panic in a read must not take the thread with it; its connection goes, because
            // nobody knows what state it is in.
            if catch_unwind(AssertUnwindSafe(|| job(self))).is_err() {
                self.tx = None;
            }
        }
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        self.tx = None;
        self.tx = Some(ReadTx::new(connection::open(&self.url, Use::Read)?));
        Ok(())
    }

    /// Begins a snapshot. A connection that died while idle is opened anew, once: nothing was
    /// asked of it yet.
    fn begin(&mut self) -> Result<&mut ReadTx, StoreError> {
        if self.tx.as_mut().is_none_or(|tx| begin(tx.border()).is_err()) {
            self.reopen()?;
            if let Some(tx) = &mut self.tx {
                begin(tx.border())?;
            }
        }
        let lost = || StoreError::Busy("the connection was lost".to_owned());
        let tx = self.tx.as_mut().ok_or_else(lost)?;
        tx.restart_count();
        Ok(tx)
    }

    fn snapshot<T>(
        &mut self,
        read: impl FnOnce(&mut ReadTx) -> Result<T, StoreError>,
        answer: impl FnOnce(Result<T, StoreError>),
    ) {
        let counter = Arc::clone(&self.statements);
        let tx = match self.begin() {
            Ok(tx) => tx,
            Err(error) => return answer(Err(error)),
        };
        let result = read(tx);
        counter.fetch_add(tx.statements(), Ordering::Relaxed);
        // The answer goes out before the transaction ends: a snapshot has nothing to commit.
        answer(result);
        if tx.border().batch_execute("ROLLBACK").is_err() {
            self.tx = None;
        }
    }
}

fn begin(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let sql = match connection {
        AnyConnection::Sqlite(_) => "BEGIN DEFERRED",
        AnyConnection::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    };
    Ok(connection.batch_execute(sql)?)
}
