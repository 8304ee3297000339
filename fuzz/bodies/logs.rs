//! Targets of the transparency log: notes, tiles, proofs, entries.

use fieldgate::ledger::bundle::Bundle;
use fieldgate::ledger::entry::ReadEntry;
use fieldgate::ledger::memory::MemoryShelf;
use fieldgate::ledger::serve::Run;
use fieldgate::ledger::{Entry, Item, items};
use fieldgate::merkle::add_checkpoint::AddCheckpoint;
use fieldgate::merkle::checkpoint::Checkpoint;
use fieldgate::merkle::key::{KeyType, Signer};
use fieldgate::merkle::note::Note;
use fieldgate::merkle::policy::Policy;
use fieldgate::merkle::proof::{TreeHead, verify_consistency, verify_inclusion};
use fieldgate::merkle::tile::{Tile, TilePath, decode_bundle, encode_bundle};
use fieldgate::merkle::tlog_proof::TlogProof;
use fieldgate::merkle::tree::root_of;
use fieldgate::merkle::{Frontier, Hash};

use super::text;

pub fn note(input: &[u8]) {
    let Ok(note) = Note::parse(input) else { return };
    assert_eq!(note.to_string().as_bytes(), input, "a note is written as it was read");
    assert!(note.text().ends_with('\n') && !note.signatures().is_empty());
    let stranger = Signer::from_seed("example.com/log", KeyType::Log, &[7; 32]).unwrap();
    let known = [stranger.verifier().clone()];
    assert!(note.verify(&known).is_err(), "a key that never signed verified");
    if let Ok(signed) = Note::sign(note.text(), &[stranger]) {
        assert_eq!(Note::parse(signed.to_string().as_bytes()).as_ref(), Ok(&signed));
        assert!(signed.verify(&known).is_ok());
    }
}

pub fn checkpoint(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let Ok(read) = Checkpoint::parse(text) else { return };
    let written = read.to_string();
    assert!(text.starts_with(&written), "only extension lines are dropped");
    assert_eq!(Checkpoint::parse(&written), Ok(read));
}

pub fn tile_path(input: &[u8]) {
    let Some(text) = text(input) else { return };
    // What the door reads: hashes and entries are not reached by each other's names.
    let (hashes, entries) = (Run::of_hashes(text), Run::of_entries(text));
    assert!(hashes.is_none() || entries.is_none(), "a path names two things");
    if let Some(run) = entries {
        assert_eq!(run.is_full(), !text.contains(".p/"), "a bundle's width");
        assert!(run.read(&mut MemoryShelf::new()).is_err(), "a bundle of an empty ledger");
    }
    let Ok(path) = TilePath::parse(text) else { return };
    let hash_tile = path.level.is_some();
    assert_eq!(hashes.is_some(), hash_tile, "the door and the parser read differently");
    assert_eq!(path.to_string(), text, "a path has one spelling");
    assert!(!text.contains("..") && !text.starts_with('/'), "a path leads outside");
    assert!(path.exists_in(u64::MAX) || path.level.unwrap_or(0) > 0 || path.n > u64::MAX / 257);
}

/// The first byte is the width (0: 256 entries), the rest is the bundle; the same bytes are read
/// as a hash tile.
pub fn entry_bundle(input: &[u8]) {
    let Some((width, bundle)) = input.split_first() else { return };
    let width = if *width == 0 { 256 } else { u16::from(*width) };
    if let Ok(entries) = decode_bundle(bundle, width) {
        assert_eq!(encode_bundle(&entries).unwrap(), bundle);
    }
    if let Ok(tile) = Tile::from_bytes(0, 0, bundle) {
        assert_eq!(tile.to_bytes(), bundle);
    }
}

pub fn tlog_policy(input: &[u8]) {
    let Ok(policy) = Policy::parse(input) else { return };
    assert!(policy.logs().count() > 0, "a policy without a log");
    let forged = Signer::from_seed("example.com/log", KeyType::Log, &[9; 32]).unwrap();
    let head = Checkpoint { origin: "example.com/log".into(), size: 1, root: Hash::leaf(b"x") };
    assert!(policy.check(&head.sign(&[forged]).unwrap()).is_err(), "an unknown key convinced");
}

pub fn add_checkpoint(input: &[u8]) {
    let Ok(request) = AddCheckpoint::parse(input) else { return };
    assert_eq!(request.to_string().as_bytes(), input, "a request has one spelling");
    let ours = Signer::from_seed("example.com/log", KeyType::Log, &[7; 32]).unwrap();
    assert!(request.admit(&[ours.verifier().clone()]).is_err(), "a log that never signed");
}

pub fn tlog_proof(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let Ok(proof) = TlogProof::parse(text) else { return };
    assert_eq!(proof.to_string(), text, "a proof is written as it was read");
    let ours = Signer::from_seed("example.com/log", KeyType::Log, &[7; 32]).unwrap();
    let policy = Policy::of_log(ours.verifier().clone());
    assert!(proof.verify(b"entry", &policy).is_err(), "a proof without our signature convinced");
}

pub fn proof_bundle(input: &[u8]) {
    let Ok(bundle) = Bundle::read(input) else { return };
    assert_eq!(bundle.write().unwrap(), input, "a bundle is written as it was read");
    let stranger = Signer::from_seed("example.com/log", KeyType::Log, &[7; 32]).unwrap();
    let policy = Policy::of_log(stranger.verifier().clone());
    assert!(bundle.verify(&policy).is_err(), "a bundle without our signature convinced");
}

pub fn entry(input: &[u8]) {
    let Ok(read) = ReadEntry::parse(input) else { return };
    let value: serde_json::Value = serde_json::from_slice(input).unwrap();
    assert_eq!(serde_jcs::to_vec(&value).unwrap(), input, "RFC 8785 has another spelling");
    if read.items.is_none() {
        let again = Entry::new(read.facts, Vec::new(), read.nonce).unwrap();
        assert_eq!(again.bytes(), input);
    }
}

pub fn item(input: &[u8]) {
    let Ok(item) = Item::parse(input) else { return };
    assert_eq!(item.bytes(), input);
    let value: serde_json::Value = serde_json::from_slice(input).unwrap();
    assert_eq!(serde_jcs::to_vec(&value).unwrap(), input);
}

pub fn item_run(input: &[u8]) {
    let Some(found) = items::read(input) else { return };
    assert!(found.len() <= 10_000);
    let written: Vec<u8> = found
        .iter()
        .flat_map(|item| [&u16::try_from(item.len()).unwrap().to_be_bytes()[..], item].concat())
        .collect();
    assert_eq!(written, input, "a run is written as it was read");
    for (position, item) in (0..).zip(&found).take(40) {
        let cut = items::cut(input, position);
        assert_eq!(cut.is_none(), item.is_empty(), "an item is cut once");
        let Some(cut) = cut else { continue };
        assert_eq!(cut.len() + item.len(), input.len());
        assert_eq!(items::read(&cut).unwrap().len(), found.len(), "places stay");
        assert_eq!(items::item_at(&cut, position), None);
    }
}

/// RFC 6962 §2.1, as it is written there.
fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of_nothing(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            Hash::node(&naive_root(left), &naive_root(right))
        }
    }
}

/// The largest power of two smaller than `n`.
fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

/// RFC 6962 §2.1.1.
fn naive_path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if index < left.len() {
        (naive_path(index, left), naive_root(right))
    } else {
        (naive_path(index - left.len(), right), naive_root(left))
    };
    path.push(sibling);
    path
}

/// RFC 6962 §2.1.2, SUBPROOF.
fn naive_subproof(old: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if known { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if old <= left.len() {
        (naive_subproof(old, left, known), naive_root(right))
    } else {
        (naive_subproof(old - left.len(), right, false), naive_root(left))
    };
    path.push(sibling);
    path
}

/// Changes a path as the input says: one bit, one hash too few, one too many.
fn bent(path: &[Hash], how: &[u8]) -> Option<Vec<Hash>> {
    let mut path = path.to_vec();
    match (how.first()? % 3, usize::from(*how.get(1)?), usize::from(*how.get(2)?)) {
        (0, place, bit) if !path.is_empty() => {
            let place = place % path.len();
            path[place].0[bit / 8] ^= 1 << (bit % 8);
        }
        (1, place, _) if !path.is_empty() => {
            path.remove(place % path.len());
        }
        (_, place, byte) => {
            let place = place % (path.len() + 1);
            path.insert(place, Hash([u8::try_from(byte).unwrap(); 32]));
        }
    }
    Some(path)
}

/// Size, index and old size from the first three bytes; how the path is bent from the rest.
pub fn proofs(input: &[u8]) {
    let Some(([size, index, old], how)) = input.split_first_chunk() else { return };
    let size = usize::from(*size % 70) + 1;
    let (index, old) = (usize::from(*index) % size, usize::from(*old) % size + 1);
    let leaves: Vec<Hash> = (0..size).map(|n| Hash::leaf(&n.to_be_bytes())).collect();
    let (root, old_root) = (naive_root(&leaves), naive_root(&leaves[..old]));
    let mut grown = Frontier::new();
    for leaf in &leaves {
        grown.push(*leaf);
    }
    assert_eq!((root_of(&leaves), grown.root()), (root, root));
    let number = |n: usize| u64::try_from(n).unwrap();
    let (size, at) = (number(size), number(index));
    let path = naive_path(index, &leaves);
    verify_inclusion(&leaves[index], at, size, &path, &root).unwrap();
    let (was, is) = (TreeHead { size: number(old), root: old_root }, TreeHead { size, root });
    let growth = naive_subproof(old, &leaves, true);
    verify_consistency(&was, &is, &growth).unwrap();
    if let Some(bent) = bent(&path, how) {
        assert!(verify_inclusion(&leaves[index], at, size, &bent, &root).is_err());
    }
    if let Some(bent) = bent(&growth, how) {
        assert!(verify_consistency(&was, &is, &bent).is_err());
    }
    hostile(how, &leaves[index], &root);
}

/// Numbers and hashes as they come: no root that was not built from them is ever reached.
fn hostile(input: &[u8], leaf: &Hash, root: &Hash) {
    let Some((index, rest)) = input.split_first_chunk::<8>() else { return };
    let Some((size, rest)) = rest.split_first_chunk::<8>() else { return };
    let (index, size) = (u64::from_be_bytes(*index), u64::from_be_bytes(*size));
    let path: Vec<Hash> = rest.chunks_exact(32).filter_map(Hash::from_slice).collect();
    let _ = verify_inclusion(leaf, index, size, &path, root);
    let (was, is) = (TreeHead { size: index, root: *leaf }, TreeHead { size, root: *root });
    if verify_consistency(&was, &is, &path).is_ok() {
        let same = index == size && leaf == root;
        assert!(path.is_empty() && (index == 0 || same), "an invented history was believed");
    }
}
