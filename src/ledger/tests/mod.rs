//! Tests of the ledger over a shelf in memory.

mod entries;
mod failing;
mod flipping;
mod flipping_rows;
mod growing;
mod kept;
mod proving;
mod published;
mod sequencing;
mod verifying;

use crate::clock::Moment;
use crate::domain::disclosure::Reason;
use crate::domain::field::{Field, FieldSet};
use crate::domain::purpose::Purpose;
use crate::id::{ContactNo, ContactRef, PartnerId, PolicyVersion, RequestId, Thumbprint};
use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::key::{KeyType, Signer, Verifier};
use crate::merkle::note::Note;
use crate::merkle::policy::Policy;

use super::memory::{MemoryEffect, MemoryShelf, Rows};
use super::verify::Plan;
use super::{Archive as _, Draft, Entry, Facts, Item, Kind, Sequencer};

const ORIGIN: &str = "ledger.example.com/fieldgate";

fn signer() -> Signer {
    Signer::from_seed(ORIGIN, KeyType::Log, &[7; 32]).unwrap()
}

fn log_key() -> Verifier {
    signer().verifier().clone()
}

fn policy() -> Policy {
    Policy::of_log(log_key())
}

/// A checkpoint over the present head.
fn checkpoint(rows: &mut Rows) -> Note {
    let head = rows.head().unwrap();
    let (size, root) = (head.size(), head.frontier.root());
    Checkpoint { origin: ORIGIN.to_owned(), size, root }.sign(&[signer()]).unwrap()
}

/// What the auditor knows: the key, and that checkpoint.
fn plan(rows: &mut Rows) -> Plan {
    Plan { log: vec![log_key()], checkpoints: vec![checkpoint(rows)], ..Plan::default() }
}

fn partner() -> PartnerId {
    "ptn_0198c0ffee00700080000000000000aa".parse().unwrap()
}

fn request() -> RequestId {
    "req_0198c0ffee00700080000000000000bb".parse().unwrap()
}

fn at(n: u64) -> Moment {
    Moment(1_790_000_000_000_000 + n.cast_signed() * 1_000)
}

fn contact(n: u64) -> ContactRef {
    let mut bytes = [0xc0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    ContactRef(bytes)
}

fn item(n: u64) -> Item {
    Item {
        contact_no: Some(ContactNo(n.cast_signed())),
        contact_ref: contact(n),
        fields: FieldSet::of(&[Field::Email, Field::Country]),
        salt: [n as u8; 16],
        version: 3,
    }
}

/// A release of `count` contacts, number `n`.
fn release(n: u64, count: u64) -> Entry {
    let facts = Facts {
        partner: Some(partner()),
        certificate: Some(Thumbprint([9; 32])),
        purpose: Some(Purpose::Offers),
        policy: Some(PolicyVersion(3)),
        fields: Some(FieldSet::of(&[Field::Email, Field::Country])),
        response: Some([5; 32]),
        ..Facts::new(Kind::Release, "leads.list", request(), at(n))
    };
    Entry::new(facts, (0..count).map(|i| item(n * 10 + i)).collect(), nonce(n)).unwrap()
}

fn withhold(n: u64) -> Entry {
    let facts = Facts {
        partner: Some(partner()),
        reason: Some(Reason::PartnerNotActive),
        ..Facts::new(Kind::Withhold, "leads.get", request(), at(n))
    };
    Entry::new(facts, Vec::new(), nonce(n)).unwrap()
}

fn withdraw(n: u64) -> Entry {
    let facts = Facts {
        restricting: true,
        ..Facts::new(Kind::Withdraw, "self.withdraw", request(), at(n))
    };
    Entry::new(facts, vec![item(n)], nonce(n)).unwrap()
}

fn nonce(n: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    bytes
}

/// A mix of everything: releases of 0 to 3 contacts, refusals, withdrawals.
fn mixed(n: u64) -> Entry {
    match n % 10 {
        7 => withhold(n),
        9 => withdraw(n),
        other => release(n, other % 4),
    }
}

fn start(shelf: &MemoryShelf) -> Sequencer<MemoryEffect> {
    Sequencer::start(shelf.clone(), vec![signer()]).unwrap()
}

/// A ledger of `size` mixed entries in batches of one to a hundred.
fn filled(size: u64) -> MemoryShelf {
    use super::{Prepared, Shelf as _};
    let mut shelf = MemoryShelf::new();
    let (mut n, mut step) = (0, 1);
    while n < size {
        let until = (n + step).min(size);
        let salted = |n| Draft { response_salt: Some([n as u8; 16]), ..Draft::new(mixed(n)) };
        let batch = (n..until).map(|n| Prepared::from(salted(n))).collect();
        shelf.append(batch).unwrap();
        (n, step) = (until, step % 100 + 37);
    }
    shelf
}
