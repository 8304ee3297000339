//! The stories of the product: who does what, in which order.
//!
//! `Gateway` is what every story needs: the store, the key ring, the only writer of the ledger,
//! and a clock. All else is an argument. Whatever changes anything goes through
//! `Gateway::append`: the change is an effect of an entry and commits with it, or not at all.

mod cursor;

mod error;

/// Checkpoints are kept outside the database, and compared.
pub mod anchor;

/// Receipts: find an entry, prove it.
pub mod audit;

/// The newest checkpoint is published.
pub mod checkpoints;

/// A log asks us, as its witness, to cosign.
pub mod cosign;

/// A person's data is shredded, and at last every link to the ledger.
pub mod erase;

/// An answer of the ledger with its proofs.
pub mod evidence;

/// Why a partner would get or not get which fields of a person.
pub mod explain;

/// A person leaves details at a collection point.
pub mod intake;

/// Keys are made and rotated.
pub mod keys;

/// The keys that sign the log come and go.
pub mod log_keys;

/// A partner applies, is approved, bound to a certificate, granted, suspended.
pub mod onboard;

/// Who outside vouches for the ledger, and since when nobody does.
pub mod outside;

/// A policy version is drafted and published.
pub mod publish;

/// Somebody asks the ledger.
pub mod question;

/// What was shared is demanded back, until every partner has answered.
pub mod recall;

/// What the registry says at one moment.
pub mod registry;

/// A partner asks for leads: decide, record, then open.
pub mod release;

/// Who has this person's data.
pub mod report;

/// Old entries lose their bodies under the retention rule.
pub mod retain;

/// A person says yes or no, or closes the account.
pub mod withdraw;

/// Witnesses are asked to cosign.
pub mod witnesses;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::{Clock, Moment};
use crate::id::{RequestId, Thumbprint};
use crate::ledger::{Draft, Entry, Facts, Item, Kind, Notary, Refused, Sequencer, SequencerError};
use crate::secret::random;
use crate::store::release_rows::Mark;
use crate::store::{Effect, ReadTx, Store, StoreError, partner_rows, policy_rows, release_rows};
use crate::vault::keyring::Keyring;

pub use crate::ledger::{Alarm, Receipt};
use log_keys::{LogKeys, MakeNotary};

pub use error::{Error, Fault, Thing, UNWITNESSED};
pub use outside::Outside;
pub use registry::Registry;

/// How often a story reads and decides again when the ledger moved under it.
const ATTEMPTS: usize = 16;

/// Who acts, in a story that staff or the command line tells.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Login or operating system user: a member of staff, never a person of the contacts.
    pub name: String,
    /// The request or command run.
    pub request: RequestId,
}

impl Actor {
    /// The code under which the actor stands in the ledger: a digest, because a login is personal
    /// data too. Who knows the login can find its acts; who does not learns nothing.
    fn code(&self) -> String {
        let digest = Thumbprint::of(self.name.as_bytes()).hex();
        format!("stf_{}", digest.chars().take(32).collect::<String>())
    }
}

/// The handles every story needs. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    store: Store,
    sequencer: Sequencer<Effect>,
    keyring: Arc<ArcSwap<Keyring>>,
    log_keys: Arc<LogKeys>,
    registry: Arc<ArcSwap<Registry>>,
    outside: Arc<Outside>,
    clock: Clock,
}

/// How an append ended that did not fail.
enum Appended {
    /// Durable.
    Done(Receipt),
    /// Something narrowed after the decision was read: read and decide again.
    Stale,
}

impl Gateway {
    /// Puts the handles together.
    pub fn new(
        store: Store,
        sequencer: Sequencer<Effect>,
        (keyring, notary): (Keyring, Notary),
        clock: Clock,
    ) -> Self {
        let empty = Registry::new(-1, Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self {
            store,
            sequencer,
            keyring: Arc::new(ArcSwap::from_pointee(keyring)),
            log_keys: Arc::new(LogKeys::fixed(notary)),
            registry: Arc::new(ArcSwap::from_pointee(empty)),
            outside: Arc::default(),
            clock,
        }
    }

    /// The same, whose notary is made anew of the key ring whenever that has changed.
    #[must_use]
    pub fn following_log_keys(mut self, make: Arc<MakeNotary>) -> Self {
        self.log_keys = Arc::new(self.log_keys.followed(make));
        self
    }

    /// The present moment.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Who vouches for the ledger from outside.
    pub fn outside(&self) -> &Outside {
        &self.outside
    }

    /// The key ring as it is now.
    pub fn keyring(&self) -> Arc<Keyring> {
        self.keyring.load_full()
    }

    /// Takes a key ring that was opened anew after a rotation.
    pub fn swap_keyring(&self, keyring: Keyring) {
        self.keyring.store(Arc::new(keyring));
    }

    /// The registry as it stands in the database now.
    ///
    /// # Errors
    /// `Busy` when the database does not answer.
    pub async fn registry_now(&self) -> Result<Arc<Registry>, Error> {
        let gateway = self.clone();
        let read = move |tx: &mut ReadTx| {
            let mark = release_rows::read_head(tx)?;
            gateway.registry(tx, &mark)
        };
        Ok(self.store.read(read).await?)
    }

    /// The registry of the snapshot: the one at hand if the head row still shows its version,
    /// else read anew in the same snapshot.
    fn registry(&self, tx: &mut ReadTx, mark: &Mark) -> Result<Arc<Registry>, StoreError> {
        let version = mark.registry_version;
        let at_hand = self.registry.load_full();
        if at_hand.version == version {
            return Ok(at_hand);
        }
        let fresh = Arc::new(Registry::new(
            version,
            partner_rows::list_partners(tx)?,
            partner_rows::list_certificates(tx, None)?,
            partner_rows::list_grants(tx, None)?,
            policy_rows::list_policies(tx)?,
        ));
        if version > at_hand.version {
            self.registry.store(Arc::clone(&fresh));
        }
        Ok(fresh)
    }

    /// Makes a draft of an entry: canonical bytes with a fresh nonce.
    fn draft(facts: Facts, items: Vec<Item>) -> Result<Draft<Effect>, Error> {
        let nonce = random().map_err(Error::broken)?;
        Entry::new(facts, items, nonce).map(Draft::new).map_err(Error::broken)
    }

    /// Hands a draft to the sequencer and waits until it is durable.
    async fn append(&self, draft: Draft<Effect>) -> Result<Appended, Error> {
        match self.sequencer.submit(draft).await {
            Ok(receipt) => Ok(Appended::Done(receipt)),
            Err(SequencerError::Refused(Refused::Stale)) => Ok(Appended::Stale),
            Err(error) => Err(error.into()),
        }
    }

    /// Appends an entry of an act that was not decided on a snapshot.
    async fn act(&self, draft: Draft<Effect>) -> Result<Receipt, Error> {
        match self.append(draft).await? {
            Appended::Done(receipt) => Ok(receipt),
            Appended::Stale => Err(Error::Busy { what: "the ledger moved", retry_after_s: 1 }),
        }
    }

    /// The facts every entry of staff or of the command line begins with.
    fn staff_facts(&self, kind: Kind, op: &'static str, actor: &Actor) -> Facts {
        let mut facts = Facts::new(kind, op, actor.request, self.clock.now());
        facts.actor = Some(actor.code().into());
        facts
    }

    /// Stops the ledger: nothing is appended or released until the process starts again. Whoever
    /// finds that somebody outside has seen more than we have, or something else, says so here.
    pub fn alarm(&self, alarm: Alarm) {
        if self.sequencer.alarm().is_none() {
            tracing::error!(%alarm, "the ledger is stopped");
        }
        self.sequencer.stop(alarm);
    }

    /// The alarm that stopped the ledger, if one did.
    pub fn alarm_raised(&self) -> Option<Alarm> {
        self.sequencer.alarm()
    }

    /// Whether the ledger takes entries: readiness.
    pub fn is_ready(&self) -> bool {
        !self.is_broken() && self.alarm_raised().is_none()
    }

    /// Whether the store broke under the ledger: then the process should end.
    pub fn is_broken(&self) -> bool {
        self.sequencer.is_poisoned()
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Busy(_)) {
            tracing::warn!(error = %error, "the database is busy");
            Self::Busy { what: "database", retry_after_s: 1 }
        } else {
            Self::broken(error)
        }
    }
}

impl From<SequencerError> for Error {
    fn from(error: SequencerError) -> Self {
        match error {
            SequencerError::Refused(Refused::Stale) => {
                Self::Busy { what: "the ledger moved", retry_after_s: 1 }
            }
            SequencerError::Refused(Refused::Conflict(what)) => Self::Conflict(Thing::Entry, what),
            SequencerError::Refused(Refused::Invalid(what)) => Self::broken(what),
            SequencerError::Busy => Self::Busy { what: "ledger", retry_after_s: 1 },
            SequencerError::Stopped(alarm) => Self::Stopped(alarm),
            SequencerError::Poisoned | SequencerError::Closed => {
                Self::Busy { what: "ledger is closed", retry_after_s: 30 }
            }
        }
    }
}
