//! What entries say about the keys that sign the log: which one founded it, which came, which went.
//!
//! The public key stands in the entry itself (`sub`, 64 hex digits), so the history of keys is
//! as hard to change as every other entry, and a key that no entry brought in is none of the log.

use crate::id::Thumbprint;
use crate::merkle::key::Verifier;

use super::entry::{Facts, Kind};

/// The operation that founds a log.
pub const FOUNDED: &str = "ledger.init";

/// The operation that brings in a key.
pub const ADDED: &str = "log_key.add";

/// The operation that retires a key.
pub const RETIRED: &str = "log_key.retire";

/// A public key as it stands in an entry (`sub`): 64 hex digits.
pub fn subject(key: &Verifier) -> String {
    Thumbprint(*key.public_key()).hex()
}

/// What an entry says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    subject: String,
    signs: bool,
}

impl KeyChange {
    /// What these facts say, if they are about a key that signs the log. A founding entry that
    /// names no key is one of the time before keys were named: the first key is not known then.
    pub fn of(facts: &Facts) -> Option<Self> {
        let signs = match (facts.kind, facts.op.as_ref()) {
            (Kind::StaffAct, FOUNDED) | (Kind::KeyRotate, ADDED) => true,
            (Kind::KeyRotate, RETIRED) => false,
            _ => return None,
        };
        let subject = facts.subject.as_deref()?.to_owned();
        let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let is_key = subject.len() == 64 && subject.bytes().all(digit);
        is_key.then_some(Self { subject, signs })
    }
}

/// All that the entries of a walk say about keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyHistory {
    /// Index and change, in the order of the log.
    changes: Vec<(u64, KeyChange)>,
}

impl KeyHistory {
    /// Takes in what the entry at an index says; indices rise.
    pub fn take(&mut self, index: u64, change: KeyChange) {
        self.changes.push((index, change));
    }

    /// Whether a log of `size` entries was signed by this key: an entry before that size brought
    /// it in, and none retired it. Of a history that does not begin with the log's founding, a
    /// key that is spoken of only later, or never, is believed unless it came later.
    pub fn is_in_force(&self, key: &Verifier, size: u64) -> bool {
        let subject = subject(key);
        let mut own = self.changes.iter().filter(|(_, change)| change.subject == subject);
        let before = own.clone().take_while(|(index, _)| *index < size.max(1)).last();
        match before {
            Some((_, change)) => change.signs,
            None => !self.is_whole() && own.next().is_none_or(|(_, later)| !later.signs),
        }
    }

    /// The keys that the entries know to sign at the end, as they stand in entries.
    fn signing(&self) -> Vec<&str> {
        let newest =
            |subject: &str| self.changes.iter().rev().find(|(_, change)| change.subject == subject);
        let last = |(index, change): &&(u64, KeyChange)| {
            change.signs && newest(&change.subject).is_some_and(|(newest, _)| newest == index)
        };
        self.changes.iter().filter(last).map(|(_, change)| change.subject.as_str()).collect()
    }

    /// Whether these keys, and no others, are those that sign a log of `size` entries, as far as
    /// the entries tell.
    pub fn agrees(&self, keys: &[Verifier], size: u64) -> bool {
        let own: Vec<String> = keys.iter().map(subject).collect();
        keys.iter().all(|key| self.is_in_force(key, size))
            && self.signing().iter().all(|signs| own.iter().any(|own| own == signs))
    }

    /// Whether the walk saw the log being founded, with its first key.
    fn is_whole(&self) -> bool {
        self.changes.first().is_some_and(|(index, _)| *index == 0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::id::RequestId;
    use crate::merkle::key::{KeyType, Signer};

    fn key(seed: u8) -> Verifier {
        let signer = Signer::from_seed("log.example.com", KeyType::Log, &[seed; 32]).unwrap();
        signer.verifier().clone()
    }

    fn said(kind: Kind, op: &'static str, subject: &str) -> Option<KeyChange> {
        let facts = Facts::new(kind, op, RequestId::new(), Moment(0));
        KeyChange::of(&Facts { subject: Some(subject.to_owned().into()), ..facts })
    }

    fn history(changes: &[(u64, &'static str, u8)]) -> KeyHistory {
        let mut history = KeyHistory::default();
        for (index, op, seed) in changes {
            let kind = if *op == FOUNDED { Kind::StaffAct } else { Kind::KeyRotate };
            history.take(*index, said(kind, op, &subject(&key(*seed))).unwrap());
        }
        history
    }

    #[test]
    fn only_entries_of_their_kind_speak_of_keys_and_in_one_spelling() {
        let one = subject(&key(1));
        assert!(said(Kind::KeyRotate, ADDED, &one).is_some());
        assert_eq!(said(Kind::StaffAct, ADDED, &one), None);
        assert_eq!(said(Kind::KeyRotate, FOUNDED, &one), None);
        assert_eq!(said(Kind::KeyRotate, "key.rotate", &one), None);
        assert_eq!(said(Kind::KeyRotate, ADDED, &one.to_uppercase()), None);
        assert_eq!(said(Kind::KeyRotate, ADDED, "ab"), None);
    }

    #[test]
    fn a_key_signs_behind_the_entry_that_brought_it_and_up_to_the_one_that_retired_it() {
        let told = history(&[(0, FOUNDED, 1), (9, ADDED, 2), (19, RETIRED, 1)]);
        let sizes = |seed| {
            let in_force = |size: &u64| told.is_in_force(&key(seed), *size);
            (0..25).filter(in_force).collect::<Vec<u64>>()
        };
        // Of nothing the founding key speaks.
        assert_eq!(sizes(1), (0..20).collect::<Vec<_>>());
        assert_eq!(sizes(2), (10..25).collect::<Vec<_>>());
        assert_eq!(sizes(3), [0; 0]);
        assert!(told.agrees(&[key(2)], 25));
        for others in [vec![], vec![key(1)], vec![key(2), key(1)], vec![key(2), key(3)]] {
            assert!(!told.agrees(&others, 25));
        }
    }

    #[test]
    fn a_history_without_its_beginning_believes_what_it_cannot_know_and_no_more() {
        let told = history(&[(9, ADDED, 2), (19, RETIRED, 1)]);
        assert!(told.is_in_force(&key(1), 5) && !told.is_in_force(&key(1), 20));
        assert!(!told.is_in_force(&key(2), 5) && told.is_in_force(&key(2), 10));
        assert!(told.agrees(&[key(2)], 25) && !told.agrees(&[key(1)], 25));
        assert!(KeyHistory::default().agrees(&[key(7)], 25));
    }
}
