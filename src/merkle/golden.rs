//! The golden log, file by file, and what public implementations say of our trees and proofs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "tests fail loudly"
)]

use super::checkpoint::Checkpoint;
use super::cosignature;
use super::grown::Grown;
use super::hash::Hash;
use super::key::tests::{log_signer, witness_signer};
use super::note::Note;
use super::proof::{TreeHead, consistency, inclusion, verify_consistency, verify_inclusion};
use super::tile::{Tile, TilePath, decode_bundle, encode_bundle};
use super::tlog_proof::TlogProof;
use super::tree::{Frontier, root_of, tests::leaves};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/log600/");

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{DIRECTORY}{name}")).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(file(name)).unwrap()
}

const BUNDLES: [&str; 3] = ["entries/000", "entries/001", "entries/002.p/88"];

/// The 600 entries, read through our bundle parser.
fn entries() -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    for name in BUNDLES {
        let bundle = file(&format!("tile/{name}"));
        let width = TilePath::parse(name).unwrap().width;
        let read = decode_bundle(&bundle, width).unwrap();
        assert_eq!(encode_bundle(&read).unwrap(), bundle);
        entries.extend(read.into_iter().map(<[u8]>::to_vec));
    }
    entries
}

fn log_leaves() -> Vec<Hash> {
    entries().iter().map(|entry| Hash::leaf(entry)).collect()
}

#[test]
fn bundles_and_tiles_come_out_byte_for_byte() {
    let leaves = log_leaves();
    assert_eq!(leaves.len(), 600);
    let tiles: Vec<Tile> = (0..)
        .zip(leaves.chunks(256))
        .map(|(n, chunk)| Tile::new(0, n, chunk.to_vec()).unwrap())
        .collect();
    for (tile, name) in tiles.iter().zip(["0/000", "0/001", "0/002.p/88"]) {
        assert_eq!(tile.to_bytes(), file(&format!("tile/{name}")), "{name}");
        let path = TilePath::parse(name).unwrap();
        assert_eq!(usize::from(path.width), tile.hashes().len());
        assert!(path.exists_in(600));
    }
    let above: Vec<Hash> = tiles.iter().filter(|tile| tile.is_full()).map(Tile::root).collect();
    assert_eq!(Hash::join(&above), file("tile/1/000.p/2"));
}

#[test]
fn checkpoints_come_out_byte_for_byte() {
    let leaves = log_leaves();
    for (size, name) in [(600, "checkpoint.log-only"), (300, "old-checkpoint")] {
        let root = root_of(&leaves[..size]);
        let origin = "ledger.example.com/fieldgate".to_owned();
        let checkpoint = Checkpoint { origin, size: size as u64, root };
        let mut note = checkpoint.sign(&[log_signer()]).unwrap();
        assert_eq!(note.to_string(), text(name));
        if size == 600 {
            note.add(cosignature::sign(note.text(), &witness_signer(), 1_750_000_000).unwrap());
            assert_eq!(note.to_string(), text("checkpoint"));
        }
    }
}

#[test]
fn proofs_come_out_byte_for_byte() {
    let (entries, leaves) = (entries(), log_leaves());
    let vectors: serde_json::Value = serde_json::from_slice(&file("vectors.json")).unwrap();
    let listed = |key: &str| -> Vec<String> {
        let hashes = vectors[key].as_array().unwrap();
        hashes.iter().map(|hash| hash.as_str().unwrap().to_owned()).collect()
    };
    let hex = |path: &[Hash]| path.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(vectors["entry0"].as_str().unwrap().as_bytes(), entries[0]);
    assert_eq!(vectors["leaf0_hash"], leaves[0].to_string());
    assert_eq!(vectors["root_hex"], root_of(&leaves).to_string());
    assert_eq!(vectors["old_root"], root_of(&leaves[..300]).to_string());
    let path = inclusion(&mut leaves.as_slice(), 400, 600).unwrap();
    assert_eq!(hex(&path), listed("inclusion"));
    assert_eq!(entries[400], file("sample.entry"));
    let checkpoint = Note::parse(&file("checkpoint")).unwrap();
    let proof = TlogProof { extra: None, index: 400, path, checkpoint };
    assert_eq!(proof.to_string(), text("sample.tlog-proof"));

    let path = consistency(&mut leaves.as_slice(), 300, 600).unwrap();
    assert_eq!(hex(&path), listed("consistency"));
    let hashes: String = path.iter().map(|hash| hash.to_base64() + "\n").collect();
    let request = format!("old 300\n{hashes}\n{}", text("checkpoint.log-only"));
    assert_eq!(request, text("add-checkpoint.request"));
}

#[test]
fn growing_the_golden_log_in_any_steps_gives_the_same_tree() {
    let leaves = log_leaves();
    for step in [1, 7, 88, 255, 256, 257, 600] {
        let mut frontier = Frontier::new();
        for batch in leaves.chunks(step) {
            frontier = Grown::new(frontier, batch).frontier().clone();
        }
        assert_eq!(frontier.root(), root_of(&leaves), "steps of {step}");
    }
}

#[test]
fn ct_merkle_accepts_our_roots_and_proofs() {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use ct_merkle::{ConsistencyProof, InclusionProof};
    type Theirs = MemoryBackedTree<sha2::Sha256, Vec<u8>>;
    let entries = &entries()[..130];
    let leaves = &log_leaves()[..130];
    let mut tree = Theirs::new();
    let mut roots = vec![tree.root()];
    for (size, entry) in entries.iter().enumerate() {
        tree.push(entry.clone());
        roots.push(tree.root());
        assert_eq!(tree.root().as_bytes().as_slice(), root_of(&leaves[..=size]).0);
    }
    for size in [1_u64, 2, 3, 64, 65, 127, 128, 129, 130] {
        let (root, mut ours) = (&roots[size as usize], &leaves[..size as usize]);
        for index in 0..size {
            let path = Hash::join(&inclusion(&mut ours, index, size).unwrap());
            let proof = InclusionProof::try_from_bytes(path).unwrap();
            root.verify_inclusion(&entries[index as usize], index, &proof).unwrap();
        }
        for old in 1..=size {
            let path = Hash::join(&consistency(&mut ours, old, size).unwrap());
            let proof = ConsistencyProof::try_from_bytes(path).unwrap();
            root.verify_consistency(&roots[old as usize], &proof).unwrap();
        }
    }
}

#[test]
fn tlog_tiles_accepts_our_proofs_and_paths() {
    use tlog_tiles::tlog::{Hash as Theirs, check_record, check_tree};
    let leaves = leaves(130);
    let theirs = |hashes: &[Hash]| hashes.iter().map(|hash| Theirs(hash.0)).collect::<Vec<_>>();
    for size in 1..=130_u64 {
        let mut tree = &leaves[..size as usize];
        let root = Theirs(root_of(tree).0);
        for index in (0..size).step_by(3) {
            let path = theirs(&inclusion(&mut tree, index, size).unwrap());
            let leaf = Theirs(leaves[index as usize].0);
            check_record(&path, size, root, index, leaf).unwrap();
        }
        for old in (1..=size).step_by(5) {
            let path = theirs(&consistency(&mut tree, old, size).unwrap());
            let old_root = Theirs(root_of(&leaves[..old as usize]).0);
            check_tree(&path, size, root, old, old_root).unwrap();
        }
    }
    for path in ["0/000", "1/x001/234.p/7", "63/x001/x234/067"] {
        let theirs = tlog_tiles::Tile::from_path(&format!("tile/8/{path}")).unwrap();
        let ours = TilePath::parse(path).unwrap();
        assert_eq!((Some(theirs.level()), theirs.level_index()), (ours.level, ours.n));
        assert_eq!(theirs.width(), u32::from(ours.width));
    }
}

#[test]
fn the_golden_proofs_verify() {
    let leaves = log_leaves();
    let head = |size: usize| TreeHead { size: size as u64, root: root_of(&leaves[..size]) };
    let path = consistency(&mut leaves.as_slice(), 300, 600).unwrap();
    verify_consistency(&head(300), &head(600), &path).unwrap();
    let proof = TlogProof::parse(&text("sample.tlog-proof")).unwrap();
    verify_inclusion(&leaves[400], 400, 600, &proof.path, &head(600).root).unwrap();
}
