//! A recall: the demand to one partner to delete what it received of one person, until it answered.
//!
//! `open → told → received → erased | not_held | refused`. A partner may answer before it said
//! that it received anything; an answer stands, but for a refusal, which it may take back by
//! deleting after all. Overdue is no state: whoever is late can still answer.

use crate::clock::Moment;
use crate::id::{ContactNo, PartnerId, RecallId};

use super::catalogue::codes;
use super::purpose::Purpose;

codes! {
    /// Why a recall was opened.
    RecallCause {
        /// The person said no to a purpose.
        Choice = "choice",
        /// The person closed the account.
        Withdrawal = "withdrawal",
        /// The person was erased.
        Erasure = "erasure",
        /// Staff found that the partner should not have it, or no longer.
        Staff = "staff",
    }
}

codes! {
    /// How far a recall is.
    RecallState {
        /// Nobody told the partner yet.
        Open = "open",
        /// The demand left towards the partner.
        Told = "told",
        /// The partner says that it has the demand.
        Received = "received",
        /// The partner says that it deleted the data.
        Erased = "erased",
        /// The partner says that it holds no such data.
        NotHeld = "not_held",
        /// The partner keeps the data and says why.
        Refused = "refused",
    }
}

codes! {
    /// Why a partner may keep what is recalled (GDPR Art. 17 (3), and its own relation to the person).
    RefusalGround {
        /// A law obliges it to keep the data (b).
        LegalObligation = "legal_obligation",
        /// It needs the data for a legal claim (e).
        LegalClaim = "legal_claim",
        /// The person is its own customer by now: it has the data from her.
        OwnCustomer = "own_customer",
    }
}

/// What a partner answers in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecallAnswer {
    /// Deleted.
    Erased,
    /// Never had it, or no longer.
    NotHeld,
    /// Kept, and why.
    Refused(RefusalGround),
}

impl RecallAnswer {
    /// Reads an outcome and, with `refused` alone, its ground.
    ///
    /// # Errors
    /// What is wrong, in a sentence that names both members.
    pub fn read(outcome: &str, ground: Option<&str>) -> Result<Self, RecallFault> {
        match (outcome, ground) {
            ("erased", None) => Ok(Self::Erased),
            ("not_held", None) => Ok(Self::NotHeld),
            ("refused", Some(code)) => {
                RefusalGround::from_code(code).map(Self::Refused).ok_or(RecallFault::Ground)
            }
            ("refused", None) => Err(RecallFault::Ground),
            ("erased" | "not_held", Some(_)) => Err(RecallFault::NoGround),
            _ => Err(RecallFault::Outcome),
        }
    }

    /// The state that the answer leads to.
    pub const fn state(self) -> RecallState {
        match self {
            Self::Erased => RecallState::Erased,
            Self::NotHeld => RecallState::NotHeld,
            Self::Refused(_) => RecallState::Refused,
        }
    }

    /// The ground of a refusal.
    pub const fn ground(self) -> Option<RefusalGround> {
        match self {
            Self::Refused(ground) => Some(ground),
            Self::Erased | Self::NotHeld => None,
        }
    }
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecallFault {
    /// An outcome that is none.
    #[error("must be erased, not_held or refused")]
    Outcome,
    /// A refusal without a ground, or with one that is none.
    #[error("refused needs a ground: legal_obligation, legal_claim or own_customer")]
    Ground,
    /// A ground without a refusal.
    #[error("a ground goes with refused alone")]
    NoGround,
    /// It was answered before, otherwise.
    #[error("it was answered before: {}", .0.code())]
    Answered(RecallState),
}

impl RecallState {
    /// Whether the partner has answered.
    pub const fn is_answered(self) -> bool {
        matches!(self, Self::Erased | Self::NotHeld | Self::Refused)
    }

    /// Whether a recall goes on to `next`; `false` where it is there or beyond already, so that
    /// whoever says a thing twice is answered alike.
    ///
    /// # Errors
    /// `Answered` where another answer stands.
    pub fn goes_on_to(self, next: Self) -> Result<bool, RecallFault> {
        match (self, next) {
            (Self::Refused, Self::Erased | Self::NotHeld) => Ok(true),
            (now, next) if now == next => Ok(false),
            (now, next) if now.is_answered() && next.is_answered() => {
                Err(RecallFault::Answered(now))
            }
            (now, next) => Ok(now < next),
        }
    }
}

/// One demand to one partner about one contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// Its identifier, which the partner knows it by.
    pub id: RecallId,
    /// Who must delete.
    pub partner: PartnerId,
    /// Whose data.
    pub contact: ContactNo,
    /// What was received for this purpose; `None` for all of it.
    pub purpose: Option<Purpose>,
    /// Why.
    pub cause: RecallCause,
    /// Index of the entry that opened it.
    pub opened: u64,
    /// When.
    pub opened_at: Moment,
    /// Until when the partner has to answer.
    pub due_at: Moment,
    /// How far it is.
    pub state: RecallState,
    /// Why the partner keeps the data.
    pub ground: Option<RefusalGround>,
    /// Index of the entry of the last step, `opened` before the first.
    pub last: u64,
    /// Index of the entry that says that it is overdue.
    pub overdue: Option<u64>,
}

impl Recall {
    /// The entries that opened it, said that it was overdue, and took it to its state; in order.
    pub fn entries(&self) -> Vec<u64> {
        let mut entries: Vec<_> =
            [Some(self.opened), self.overdue, Some(self.last)].into_iter().flatten().collect();
        entries.sort_unstable();
        entries.dedup();
        entries
    }

    /// Whether it is late: not answered, and the time to answer is over.
    pub fn is_late(&self, now: Moment) -> bool {
        !self.state.is_answered() && now > self.due_at
    }

    /// Whether the partner answered a later recall that demands at least as much.
    fn is_overtaken(&self, recalls: &[Self]) -> bool {
        recalls.iter().any(|other| {
            other.partner == self.partner
                && other.opened > self.opened
                && (other.purpose.is_none() || other.purpose == self.purpose)
                && other.state.is_answered()
        })
    }

    /// Whether it demands back what this partner received for this purpose, last with the entry
    /// `last`: a release behind a recall is a new matter.
    pub fn covers(&self, partner: PartnerId, purpose: Purpose, last: u64) -> bool {
        self.partner == partner
            && self.purpose.is_none_or(|one| one == purpose)
            && last < self.opened
    }
}

/// What a partner received of a person for a purpose, last with this entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Who.
    pub partner: PartnerId,
    /// For what.
    pub purpose: Purpose,
    /// Index of the newest release.
    pub last: u64,
}

/// What partners received of a person, as of a size of the ledger. Entries only come behind it, so
/// whoever knows this needs to read no more than what came since.
#[derive(Debug, Clone, Default)]
pub struct Receivers {
    /// What each partner received, once per purpose.
    pub received: Vec<Received>,
    /// Entries that were looked at: all below this index.
    pub size: u64,
}

impl Receivers {
    /// Adds what came since; the later release of the two counts.
    pub fn add(&mut self, newer: Vec<Received>) {
        for one in newer {
            let same =
                |old: &&mut Received| old.partner == one.partner && old.purpose == one.purpose;
            match self.received.iter_mut().find(same) {
                Some(old) => old.last = old.last.max(one.last),
                None => self.received.push(one),
            }
        }
    }
}

/// What a recall is to be opened for: one purpose or all, one partner or all that received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The purpose.
    pub purpose: Option<Purpose>,
    /// The partner.
    pub partner: Option<PartnerId>,
}

impl Scope {
    /// Everything, from everybody.
    pub const ALL: Self = Self { purpose: None, partner: None };

    fn concerns(self, received: &Received) -> bool {
        self.purpose.is_none_or(|one| one == received.purpose)
            && self.partner.is_none_or(|one| one == received.partner)
    }

    /// The partners to open a recall for: those that received something in this scope which no
    /// former recall has demanded back. One that was refused stands against the same cause again (a
    /// no that is only repeated), but not against a new one, nor against staff.
    pub fn to_open(
        self,
        cause: RecallCause,
        received: &[Received],
        former: &[Recall],
    ) -> Vec<PartnerId> {
        let settled = |recall: &Recall| {
            recall.state != RecallState::Refused
                || (recall.cause == cause && cause != RecallCause::Staff)
        };
        let stands = |one: &Received| {
            former
                .iter()
                .any(|recall| settled(recall) && recall.covers(one.partner, one.purpose, one.last))
        };
        let mut partners: Vec<_> = received
            .iter()
            .filter(|one| self.concerns(one) && !stands(one))
            .map(|one| one.partner)
            .collect();
        partners.sort_unstable();
        partners.dedup();
        partners
    }
}

/// The partners that still owe an answer: for something they received that no answered recall
/// demanded back, or to a recall that waits, though the entries of what it is about may be pruned by
/// now. A refusal is an answer.
pub fn unanswered(received: &[Received], recalls: &[Recall]) -> Vec<PartnerId> {
    let answered = |one: &Received| {
        let recall = recall_of(recalls, one.partner, one.purpose, one.last);
        recall.is_some_and(|recall| recall.state.is_answered())
    };
    let open = received.iter().filter(|one| !answered(one)).map(|one| one.partner);
    let waits = |one: &&Recall| !one.state.is_answered() && !one.is_overtaken(recalls);
    let waiting = recalls.iter().filter(waits).map(|one| one.partner);
    let mut partners: Vec<_> = open.chain(waiting).collect();
    partners.sort_unstable();
    partners.dedup();
    partners
}

/// The recall that a holding stands under: of those that cover it the newest.
pub fn recall_of(
    recalls: &[Recall],
    partner: PartnerId,
    purpose: Purpose,
    last: u64,
) -> Option<&Recall> {
    let covering = recalls.iter().filter(|one| one.covers(partner, purpose, last));
    covering.max_by_key(|one| (one.opened, one.id))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    fn recall(of: Received, purpose: Option<Purpose>, opened: u64, state: RecallState) -> Recall {
        Recall {
            id: RecallId::new(),
            partner: of.partner,
            contact: ContactNo(1),
            purpose,
            cause: RecallCause::Choice,
            opened,
            opened_at: Moment(0),
            due_at: Moment(10),
            state,
            ground: None,
            last: opened,
            overdue: None,
        }
    }

    #[test]
    fn a_recall_goes_forward_only_and_an_answer_stands() {
        use RecallState::{Erased, NotHeld, Open, Received, Refused, Told};
        for (from, to, goes) in [
            (Open, Told, Ok(true)),
            (Open, Erased, Ok(true)),
            (Told, Told, Ok(false)),
            (Received, Told, Ok(false)),
            (Received, Refused, Ok(true)),
            (Erased, Received, Ok(false)),
            (Erased, Erased, Ok(false)),
            (Erased, NotHeld, Err(RecallFault::Answered(Erased))),
            (NotHeld, Refused, Err(RecallFault::Answered(NotHeld))),
            (Refused, Refused, Ok(false)),
            (Refused, Erased, Ok(true)),
            (Refused, Told, Ok(false)),
        ] {
            assert_eq!(from.goes_on_to(to), goes, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn every_code_is_found_and_nothing_else() {
        for state in RecallState::ALL {
            assert_eq!(RecallState::from_code(state.code()), Some(*state));
        }
        for cause in RecallCause::ALL {
            assert_eq!(RecallCause::from_code(cause.code()), Some(*cause));
        }
        assert_eq!(RecallState::from_code("Open"), None);
        let read = RecallAnswer::read;
        assert_eq!(read("erased", None), Ok(RecallAnswer::Erased));
        assert_eq!(read("erased", Some("legal_claim")), Err(RecallFault::NoGround));
        assert_eq!(read("not_held", None).unwrap().state(), RecallState::NotHeld);
        assert_eq!(read("refused", None), Err(RecallFault::Ground));
        assert_eq!(read("refused", Some("whim")), Err(RecallFault::Ground));
        assert_eq!(read("lost", None), Err(RecallFault::Outcome));
        for ground in RefusalGround::ALL {
            let answer = read("refused", Some(ground.code())).unwrap();
            assert_eq!((answer.ground(), answer.state()), (Some(*ground), RecallState::Refused));
        }
    }

    #[test]
    fn whoever_received_is_told_once_for_each_release_that_nobody_demanded_back() {
        let (one, two) = (PartnerId::new(), PartnerId::new());
        let offers = Received { partner: one, purpose: Purpose::Offers, last: 5 };
        let support = Received { partner: one, purpose: Purpose::Support, last: 6 };
        let other = Received { partner: two, purpose: Purpose::Offers, last: 7 };
        let received = [offers, support, other];
        let mut both = vec![one, two];
        both.sort_unstable();
        let no_offers = Scope { purpose: Some(Purpose::Offers), partner: None };
        assert_eq!(Scope::ALL.to_open(RecallCause::Withdrawal, &received, &[]), both);
        assert_eq!(no_offers.to_open(RecallCause::Choice, &received, &[]), both);
        assert_eq!(
            Scope { partner: Some(two), ..no_offers }.to_open(RecallCause::Choice, &received, &[]),
            [two]
        );
        assert_eq!(Scope::ALL.to_open(RecallCause::Withdrawal, &[], &[]), []);

        // Offers were demanded back from both; a withdrawal then concerns what is left.
        let asked = |of, opened, state| recall(of, Some(Purpose::Offers), opened, state);
        let former = [asked(offers, 8, RecallState::Told), asked(other, 8, RecallState::Erased)];
        assert_eq!(no_offers.to_open(RecallCause::Choice, &received, &former), []);
        assert_eq!(
            Scope::ALL.to_open(RecallCause::Withdrawal, &received, &former),
            [one],
            "support is still there"
        );
        // What was refused is not demanded again by a no that is only repeated.
        let refused = [asked(other, 8, RecallState::Refused)];
        assert_eq!(no_offers.to_open(RecallCause::Choice, &[other], &refused), []);
        assert_eq!(Scope::ALL.to_open(RecallCause::Erasure, &[other], &refused), [two]);
        assert_eq!(Scope::ALL.to_open(RecallCause::Staff, &[other], &refused), [two]);
        // Released again behind the recall: told anew.
        let again = Received { last: 9, ..other };
        assert_eq!(no_offers.to_open(RecallCause::Choice, &[again], &former), [two]);
    }

    #[test]
    fn a_holding_stands_under_the_newest_recall_behind_its_last_release() {
        let partner = PartnerId::new();
        let of = Received { partner, purpose: Purpose::Offers, last: 5 };
        let old = recall(of, Some(Purpose::Offers), 3, RecallState::Erased);
        let choice = recall(of, Some(Purpose::Offers), 8, RecallState::Refused);
        let all = recall(of, None, 9, RecallState::Open);
        let support = recall(of, Some(Purpose::Support), 10, RecallState::Told);
        let recalls = [old, all.clone(), choice.clone(), support];
        let found = |last| recall_of(&recalls, partner, Purpose::Offers, last);
        assert_eq!(found(5), Some(&all));
        assert_eq!(found(9), None, "released again since");
        assert_eq!(recall_of(&recalls, PartnerId::new(), Purpose::Offers, 5), None);
        assert_eq!(unanswered(&[of], &recalls), [partner]);
        assert_eq!(unanswered(&[of], std::slice::from_ref(&choice)), [], "a refusal is an answer");
        assert_eq!(
            unanswered(&[Received { last: 9, ..of }], std::slice::from_ref(&choice)),
            [partner]
        );
        // What was pruned is owed all the same, until a later demand for as much is answered.
        assert_eq!(unanswered(&[], std::slice::from_ref(&all)), [partner]);
        let narrower = recall(of, Some(Purpose::Offers), 10, RecallState::Erased);
        assert_eq!(unanswered(&[], &[all.clone(), narrower]), [partner]);
        let later = recall(of, None, 10, RecallState::Erased);
        assert_eq!(unanswered(&[], &[all.clone(), later]), []);
        assert!(all.is_late(Moment(11)) && !all.is_late(Moment(10)) && !choice.is_late(Moment(11)));
    }
}
