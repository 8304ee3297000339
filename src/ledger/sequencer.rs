//! The one thread of this process that appends: it takes what is queued, commits it as one batch,
//! signs the new head and hands out receipts.
//!
//! No timer: while one batch commits the next one gathers, so batches grow with the load and a
//! lone entry waits for nobody.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::grown::{Grown, Proving};
use crate::merkle::note::Note;
use crate::merkle::proof::TreeHead;

use super::prove::is_tail_sound;
use super::receipt::Commit;
use super::{
    Alarm, Appended, Draft, Entry, Head, Prepared, Receipt, Refused, Shelf, ShelfError, Signers,
};

/// Drafts that may wait; more are turned away at once.
pub const QUEUE_MAX: usize = 1024;

/// Most drafts in one transaction: 7 ms of lock on `PostgreSQL`.
pub const BATCH_MAX: usize = 512;

/// Why a draft got no receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SequencerError {
    /// The draft was refused; nothing of it was written.
    #[error("the draft was refused")]
    Refused(#[source] Refused),
    /// The queue is full or the store cannot be written now. The entry may exist all the same
    /// (a connection was lost at the commit), but nothing may be released on it.
    #[error("the ledger is busy, try again")]
    Busy,
    /// The store is broken; this process appends nothing any more.
    #[error("the ledger is broken; appending has stopped until the process starts again")]
    Poisoned,
    /// An alarm stopped the ledger; what contradicts it must be settled by people.
    #[error("the ledger was stopped")]
    Stopped(#[source] Alarm),
    /// The process is shutting down.
    #[error("the ledger is closed")]
    Closed,
}

const OPEN: u8 = 0;
const CLOSING: u8 = 1;
const POISONED: u8 = 2;
const STOPPED: u8 = 3;

type Answer = Result<Receipt, SequencerError>;

struct Waiter {
    entry: Arc<Entry>,
    answer: oneshot::Sender<Answer>,
}

enum Message<E> {
    Draft(Box<(Prepared<E>, Waiter)>),
    Close,
}

#[derive(Default)]
struct Shared {
    state: AtomicU8,
    newest: Mutex<Option<Arc<Note>>>,
    alarm: Mutex<Option<Alarm>>,
}

impl Shared {
    /// Why nothing is appended any more, other than closing.
    fn ended(&self) -> Option<SequencerError> {
        match self.state.load(Ordering::Acquire) {
            POISONED => Some(SequencerError::Poisoned),
            STOPPED => {
                let alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner).clone();
                alarm.map(SequencerError::Stopped)
            }
            _ => None,
        }
    }
}

/// A handle to the sequencer; clones speak to the same thread.
pub struct Sequencer<E> {
    queue: SyncSender<Message<E>>,
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl<E> Clone for Sequencer<E> {
    fn clone(&self) -> Self {
        let (shared, thread) = (Arc::clone(&self.shared), Arc::clone(&self.thread));
        Self { queue: self.queue.clone(), shared, thread }
    }
}

/// A receipt on its way: await it, or `wait` on a thread that may block.
#[must_use = "the entry is durable only once the receipt is here"]
pub struct Pending(Result<oneshot::Receiver<Answer>, SequencerError>);

impl Pending {
    /// Blocks until the answer is here. Not for async tasks.
    pub fn wait(self) -> Answer {
        self.0.and_then(|answer| answer.blocking_recv().unwrap_or(Err(SequencerError::Closed)))
    }
}

impl Future for Pending {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        match &mut self.0 {
            Err(refused) => Poll::Ready(Err(refused.clone())),
            Ok(answer) => Pin::new(answer)
                .poll(context)
                .map(|answer| answer.unwrap_or(Err(SequencerError::Closed))),
        }
    }
}

impl<E: Send + 'static> Sequencer<E> {
    /// Starts the thread on a shelf. `signers` are the log's keys; their common name is the log's
    /// origin.
    ///
    /// # Errors
    /// No signer, signers of different names, no thread to be had, or a store whose newest
    /// entries and tiles do not lead to its head.
    pub fn start(
        shelf: impl Shelf<Effect = E>,
        signers: impl Into<Signers>,
    ) -> Result<Self, ShelfError> {
        let broken = |text: &str| ShelfError::Broken(text.into());
        let signers = signers.into();
        let origin = signers.origin().map(str::to_owned);
        let origin = origin.ok_or_else(|| broken("no key signs the ledger"))?;
        let (queue, drafts) = sync_channel(QUEUE_MAX);
        let shared = Arc::new(Shared::default());
        let mut desk = Desk { shelf, signers, origin, shared: Arc::clone(&shared), last: None };
        if !is_tail_sound(&mut desk.shelf)? {
            return Err(broken("the newest entries and tiles contradict the head"));
        }
        let head = desk.shelf.head()?;
        desk.sign(&head).map_err(|unsigned| match unsigned {
            Unsigned::Unread => ShelfError::Busy("the ledger's keys cannot be read".into()),
            Unsigned::Contradiction => broken("the ledger's keys have different names"),
        })?;
        desk.last = Some(head);
        let thread = std::thread::Builder::new()
            .name("sequencer".to_owned())
            .spawn(move || desk.run(&drafts))
            .map_err(|error| ShelfError::Busy(error.into()))?;
        Ok(Self { queue, shared, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Queues a draft. Its place is taken at once or not at all.
    pub fn submit(&self, draft: Draft<E>) -> Pending {
        if let Some(ended) = self.shared.ended() {
            return Pending(Err(ended));
        }
        if self.shared.state.load(Ordering::Acquire) == CLOSING {
            return Pending(Err(SequencerError::Closed));
        }
        let Draft { entry, response_salt, decided_at, effect } = draft;
        let prepared = Prepared::of(&entry, response_salt, decided_at, effect);
        let (answer, receiver) = oneshot::channel();
        let waiter = Waiter { entry: Arc::new(entry), answer };
        let message = Message::Draft(Box::new((prepared, waiter)));
        match self.queue.try_send(message) {
            Ok(()) => Pending(Ok(receiver)),
            Err(TrySendError::Full(_)) => Pending(Err(SequencerError::Busy)),
            Err(TrySendError::Disconnected(_)) => Pending(Err(SequencerError::Closed)),
        }
    }

    /// Whether the store broke: the process should end.
    pub fn is_poisoned(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) == POISONED
    }

    /// Stops appending for good: drafts that wait and drafts to come get no receipt, nor does the
    /// batch that is being committed. The first alarm stands.
    pub fn stop(&self, alarm: Alarm) {
        self.shared.alarm.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(alarm);
        let state = &self.shared.state;
        let unbroken = |now| (now != POISONED).then_some(STOPPED);
        // A store that broke stays broken: that is the worse of the two.
        let _ = state.fetch_update(Ordering::AcqRel, Ordering::Acquire, unbroken);
    }

    /// The alarm that stopped the ledger, if one did.
    pub fn alarm(&self) -> Option<Alarm> {
        self.shared.alarm.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest checkpoint that this process signed.
    pub fn checkpoint(&self) -> Option<Arc<Note>> {
        self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes no more drafts, appends what is queued, and returns when all are answered. Blocks.
    pub fn close(&self) {
        let closing = (Ordering::AcqRel, Ordering::Acquire);
        let _ = self.shared.state.compare_exchange(OPEN, CLOSING, closing.0, closing.1);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A thread that has ended already has answered everything.
            let _ = self.queue.send(Message::Close);
            let _ = thread.join();
        }
    }
}

/// Why a head that was committed is not signed.
enum Unsigned {
    /// The keys cannot be read now: the entries stand, and nothing is released on them.
    Unread,
    /// The report contradicts itself or what was signed before: nothing more may be signed.
    Contradiction,
}

/// What the thread owns.
struct Desk<S> {
    shelf: S,
    signers: Signers,
    origin: String,
    shared: Arc<Shared>,
    last: Option<Head>,
}

impl<S: Shelf> Desk<S> {
    fn run(mut self, drafts: &Receiver<Message<S::Effect>>) {
        let mut open = true;
        while open {
            let Ok(first) = drafts.recv() else { return };
            let (batch, more) = gather(first, drafts);
            open = more;
            self.handle(batch);
        }
        // Drafts that slipped in beside the closing message.
        while let Ok(first) = drafts.try_recv() {
            let (batch, _) = gather(first, drafts);
            self.handle(batch);
        }
    }

    /// Appends one batch and answers everyone in it.
    fn handle(&mut self, batch: Vec<(Prepared<S::Effect>, Waiter)>) {
        if batch.is_empty() {
            return;
        }
        if let Some(ended) = self.shared.ended() {
            return answer_all(batch.into_iter().map(|(_, waiter)| waiter), &ended);
        }
        // Releases before what narrows them: fewer drafts are stale.
        let mut batch = batch;
        batch.sort_by_key(|(prepared, _)| prepared.projection.restricting);
        let (prepared, waiters): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        match catch_unwind(AssertUnwindSafe(|| self.shelf.append(prepared))) {
            Ok(Ok(appended)) => match self.receipts(&waiters, appended) {
                Ok(answers) => match self.shared.ended() {
                    // An alarm came while this batch was committed: its entries stand, and
                    // nothing is released on them.
                    Some(ended) => answer_all(waiters, &ended),
                    None => waiters.into_iter().zip(answers).for_each(|(waiter, answer)| {
                        // Nobody may be waiting any more: the entry stands all the same.
                        let _ = waiter.answer.send(answer);
                    }),
                },
                Err(Unsigned::Unread) => answer_all(waiters, &SequencerError::Busy),
                Err(Unsigned::Contradiction) => self.poison(waiters),
            },
            Ok(Err(ShelfError::Busy(_))) => answer_all(waiters, &SequencerError::Busy),
            Ok(Err(ShelfError::Broken(_))) | Err(_) => self.poison(waiters),
        }
    }

    fn poison(&self, waiters: Vec<Waiter>) {
        self.shared.state.store(POISONED, Ordering::Release);
        answer_all(waiters, &SequencerError::Poisoned);
    }

    /// Checks what the shelf reports, signs the new head and proves each entry.
    fn receipts(
        &mut self,
        waiters: &[Waiter],
        appended: Appended,
    ) -> Result<Vec<Answer>, Unsigned> {
        let Appended { before, after, outcomes } = appended;
        let indices = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok());
        let follows = self
            .last
            .as_ref()
            .is_none_or(|last| before.size() > last.size() || before.frontier == last.frontier);
        if outcomes.len() != waiters.len() || !indices.copied().eq(before.size()..after.size()) {
            return Err(Unsigned::Contradiction);
        }
        let admitted = waiters.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
        let leaves: Vec<_> = admitted.map(|(waiter, _)| waiter.entry.leaf()).collect();
        let grown = Grown::new(before.frontier, &leaves);
        if !follows || *grown.frontier() != after.frontier {
            return Err(Unsigned::Contradiction);
        }
        let commit = self.sign(&after);
        self.last = Some(after);
        let commit = commit?;
        let mut proving = grown.proving(TreeHead { size: commit.size, root: commit.root });
        let answers: Option<Vec<Answer>> = waiters
            .iter()
            .zip(outcomes)
            .map(|(waiter, outcome)| match outcome {
                Ok(index) => prove(&mut proving, index, waiter, &commit).map(Ok),
                Err(refused) => Some(Err(SequencerError::Refused(refused))),
            })
            .collect();
        answers.ok_or(Unsigned::Contradiction)
    }

    fn sign(&mut self, head: &Head) -> Result<Commit, Unsigned> {
        let (size, root) = (head.size(), head.frontier.root());
        let checkpoint = Checkpoint { origin: self.origin.clone(), size, root };
        let signers = self.signers.at(head).map_err(|error| {
            tracing::error!(%error, "the ledger's keys cannot be read");
            Unsigned::Unread
        })?;
        let signed = checkpoint.sign(signers).map_err(|_| Unsigned::Contradiction)?;
        let checkpoint = Arc::new(signed);
        let mut newest = self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = Some(Arc::clone(&checkpoint));
        Ok(Commit { size, root, checkpoint })
    }
}

/// A receipt, once its proof has been checked as any reader would check it.
fn prove(
    proving: &mut Proving<'_>,
    index: u64,
    waiter: &Waiter,
    commit: &Commit,
) -> Option<Receipt> {
    let path = proving.inclusion(&waiter.entry.leaf(), index).ok()?;
    Some(Receipt::issue(index, Arc::clone(&waiter.entry), path, commit))
}

/// Everything that is queued, up to the most that one transaction takes. `false` after a request
/// to close.
fn gather<E>(
    first: Message<E>,
    drafts: &Receiver<Message<E>>,
) -> (Vec<(Prepared<E>, Waiter)>, bool) {
    let mut batch = Vec::new();
    let mut next = Ok(first);
    while let Ok(message) = next {
        match message {
            Message::Draft(draft) => batch.push(*draft),
            Message::Close => return (batch, false),
        }
        let room = batch.len() < BATCH_MAX;
        next = if room { drafts.try_recv() } else { Err(TryRecvError::Empty) };
    }
    (batch, true)
}

fn answer_all(waiters: impl IntoIterator<Item = Waiter>, error: &SequencerError) {
    for waiter in waiters {
        let _ = waiter.answer.send(Err(error.clone()));
    }
}
