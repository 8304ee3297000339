//! A cosignature (`cosignature/v1`) that a running `fieldgate witness` made, judged by the `sigsum` crate.
//!
//! That crate knows Sigsum logs alone, whose checkpoints carry an origin of their own form and
//! whose leaves are signed. So the log here is one of that kind, grown with our tree and signed
//! by our signer; the witness follows it as it follows any other.

use ed25519_dalek::{Signer as _, SigningKey};
use fieldgate::merkle::Hash;
use fieldgate::merkle::checkpoint::Checkpoint;
use fieldgate::merkle::key::{KeyType, Signer, Verifier};
use fieldgate::merkle::note::SignatureLine;
use fieldgate::merkle::proof::inclusion;
use fieldgate::merkle::tree::root_of;
use sigsum::{Policy, PolicyBuilder, PublicKey, SigsumSignature};

use crate::harness::wait;
use crate::log::witness_server::{Running, post};

/// Leaves of the log, and which of them is proved.
const LEAVES: u8 = 11;
const PROVED: u8 = 6;

/// Who submits to the log.
fn submitter() -> SigningKey {
    SigningKey::from_bytes(&[6; 32])
}

fn message(number: u8) -> sigsum::Hash {
    sigsum::Hash::new([number])
}

fn checksum(number: u8) -> sigsum::Hash {
    sigsum::Hash::new(message(number))
}

fn leaf_signature(number: u8) -> [u8; 64] {
    let signed = [b"sigsum.org/v1/tree-leaf\0".as_slice(), checksum(number).as_ref()].concat();
    submitter().sign(&signed).to_bytes()
}

fn key_hash(key: &[u8]) -> sigsum::Hash {
    sigsum::Hash::new(key)
}

fn leaf(number: u8) -> Hash {
    let (key, signature) = (submitter().verifying_key().to_bytes(), leaf_signature(number));
    let parts = [checksum(number).as_ref(), &signature, key_hash(&key).as_ref()].concat();
    Hash::leaf(&parts)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A log with its checkpoint, and what a witness said of it.
struct Cosigned {
    log: [u8; 32],
    witness: [u8; 32],
    checkpoint: Checkpoint,
    own: SignatureLine,
    line: SignatureLine,
}

impl Cosigned {
    fn new() -> Self {
        let key = SigningKey::from_bytes(&[5; 32]).verifying_key().to_bytes();
        let origin = format!("sigsum.org/v1/tree/{:x}", key_hash(&key));
        let log = Signer::from_seed(&origin, KeyType::Log, &[5; 32]).unwrap();
        let leaves: Vec<Hash> = (0..LEAVES).map(leaf).collect();
        let checkpoint = Checkpoint { origin, size: LEAVES.into(), root: root_of(&leaves) };
        let note = checkpoint.sign(std::slice::from_ref(&log)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let witness = Running::start(dir.path(), &log.verifier().to_string(), "127.0.0.1:0");
        let (status, _, line) = wait(post(&witness.url, format!("old 0\n\n{note}")));
        assert_eq!(status, 200, "{line}");
        let line = SignatureLine::parse(line.trim_end()).unwrap();
        let witness = *Verifier::parse(&witness.vkey).unwrap().public_key();
        let own = note.signatures()[0].clone();
        Self { log: key, witness, checkpoint, own, line }
    }

    /// In the form that the crate reads.
    fn text(&self) -> String {
        let leaves: Vec<Hash> = (0..LEAVES).map(leaf).collect();
        let path = inclusion(&mut leaves.as_slice(), PROVED.into(), LEAVES.into()).unwrap();
        let path: String = path.iter().map(|hash| format!("node_hash={hash}\n")).collect();
        let (time, cosignature) = self.line.payload.split_first_chunk::<8>().unwrap();
        format!(
            "version=2\nlog={:x}\nleaf={:x} {}\n\nsize={}\nroot_hash={}\nsignature={}\n\
             cosignature={:x} {} {}\n\nleaf_index={PROVED}\n{path}",
            key_hash(&self.log),
            key_hash(&submitter().verifying_key().to_bytes()),
            hex(&leaf_signature(PROVED)),
            self.checkpoint.size,
            self.checkpoint.root,
            hex(&self.own.payload),
            key_hash(&self.witness),
            u64::from_be_bytes(*time),
            hex(cosignature),
        )
    }

    /// Asks for the witness's word.
    fn policy(&self) -> Policy {
        let mut policy = PolicyBuilder::new();
        policy.add_log(PublicKey::from(self.log), None).unwrap();
        policy.add_witness("w".to_owned(), PublicKey::from(self.witness), None).unwrap();
        policy.set_quorum("w".to_owned()).unwrap();
        policy.build()
    }
}

#[test]
fn a_sigsum_verifier_accepts_our_cosignature_and_refuses_each_flipped_byte() {
    let cosigned = Cosigned::new();
    let (text, policy) = (cosigned.text(), cosigned.policy());
    let signers = [PublicKey::from(submitter().verifying_key().to_bytes())];
    let accepts = |text: &str| {
        SigsumSignature::from_ascii(text)
            .is_ok_and(|read| sigsum::verify(&message(PROVED), &read, &signers, &policy).is_ok())
    };
    assert!(accepts(&text), "{text}");
    for place in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[place] ^= 1;
        let damaged = String::from_utf8(bytes).unwrap();
        assert!(!accepts(&damaged), "byte {place}:\n{damaged}");
    }
    // The quorum is asked for: without the witness's line nothing is accepted.
    let (before, after) = text.split_once("cosignature=").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    assert!(!accepts(&format!("{before}{after}")));
}
