//! A published log is read like any other, and what is wrong with a file is named by its place.

use std::collections::BTreeMap;

use super::*;
use crate::ledger::prove::{prove_consistency, serve};
use crate::ledger::published::{Fetch, Published, PublishedError};
use crate::ledger::verify::{Finding, Plan, Report, published, tree};
use crate::ledger::{Archive, Cause};
use crate::merkle::Hash;
use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::proof::{TreeHead, verify_consistency};
use crate::merkle::tile::{encode_bundle, tiles_of};
use crate::merkle::tree::root_of;

/// Files by path.
type Files = BTreeMap<String, Vec<u8>>;

impl Fetch for &Files {
    fn fetch(&mut self, paths: &[String]) -> Result<Vec<Option<Vec<u8>>>, Cause> {
        Ok(paths.iter().map(|path| self.get(path).cloned()).collect())
    }
}

/// What an export of a log of `size` entries holds.
fn files(size: u64) -> Files {
    let mut rows = filled(size).rows();
    let mut files = Files::new();
    for path in tiles_of(size) {
        files.insert(format!("tile/{path}"), serve(&mut rows, path).unwrap());
    }
    let root = rows.head().unwrap().frontier.root();
    let note = Checkpoint { origin: ORIGIN.to_owned(), size, root }.sign(&[signer()]).unwrap();
    files.insert("checkpoint".to_owned(), note.to_string().into_bytes());
    files
}

fn walk(files: &Files) -> Report {
    let mut log = Published::open(files).unwrap();
    let checkpoints = vec![log.note().clone()];
    let plan = Plan { log: vec![log_key()], checkpoints, ..Plan::default() };
    published(&mut log, &plan, |_| ()).unwrap()
}

#[test]
fn a_sound_log_of_any_size_has_no_findings() {
    for size in [0, 1, 255, 256, 257, 511, 512, 600] {
        let report = walk(&files(size));
        assert_eq!(report.findings, [], "size {size}");
        assert_eq!((report.head.size, report.entries), (size, size));
    }
}

#[test]
fn a_log_with_three_levels_of_tiles_has_none_either() {
    let size = 66_000;
    let bodies: Vec<_> = (0..u32::try_from(size).unwrap()).map(u32::to_be_bytes).collect();
    let mut levels: Vec<Vec<Hash>> = vec![bodies.iter().map(|body| Hash::leaf(body)).collect()];
    for level in 0..2 {
        levels.push(levels[level].chunks_exact(256).map(root_of).collect());
    }
    let root = root_of(&levels[0]);
    let note = Checkpoint { origin: ORIGIN.to_owned(), size, root }.sign(&[signer()]).unwrap();
    let mut files = Files::from([("checkpoint".to_owned(), note.to_string().into_bytes())]);
    for path in tiles_of(size) {
        let from = usize::try_from(path.n).unwrap() * 256;
        let run = from..from + usize::from(path.width);
        let bytes = match path.level {
            Some(level) => Hash::join(&levels[usize::from(level)][run]),
            None => encode_bundle(&bodies[run]).unwrap(),
        };
        files.insert(format!("tile/{path}"), bytes);
    }
    let mut log = Published::open(&files).unwrap();
    let checkpoints = vec![log.note().clone()];
    let plan = Plan { log: vec![log_key()], checkpoints, ..Plan::default() };
    assert_eq!(tree(&mut log, &plan, |_| ()).unwrap().findings, []);
    for path in ["tile/2/000.p/1", "tile/1/001.p/1", "tile/1/000", "tile/0/256", "tile/0/257.p/208"]
    {
        let mut spoilt = files.clone();
        spoilt.get_mut(path).unwrap_or_else(|| panic!("{path}"))[7] ^= 1;
        let mut log = Published::open(&spoilt).unwrap();
        assert!(!tree(&mut log, &plan, |_| ()).unwrap().is_sound(), "{path}");
    }
}

#[test]
fn a_flipped_byte_of_any_file_is_found_and_its_place_named() {
    let sound = files(300);
    for (path, bytes) in &sound {
        let mut entry = 0_u64;
        let mut ends = Vec::new();
        if let Some(number) = path.strip_prefix("tile/entries/") {
            entry = number[..3].parse::<u64>().unwrap() * 256;
            let mut at = 0;
            while at < bytes.len() {
                at += 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
                ends.push(at);
            }
        }
        for place in (0..bytes.len()).step_by(if bytes.len() > 2_000 { 1_499 } else { 7 }) {
            let mut files = sound.clone();
            files.get_mut(path).unwrap()[place] ^= 1;
            let Ok(log) = Published::open(&files) else {
                assert_eq!(path, "checkpoint", "{path} at {place}");
                continue;
            };
            let size = log.checkpoint().size;
            if size != 300 {
                // A flipped digit of the size; the walk would stop at what is not there.
                assert!(!walk(&files).is_sound());
                continue;
            }
            let found = walk(&files).findings;
            assert!(!found.is_empty(), "{path} at {place}");
            if let Some(offset) = ends.iter().position(|end| place < *end) {
                let index = entry + u64::try_from(offset).unwrap();
                let named = found.iter().any(|finding| match finding {
                    Finding::Entry(named) => *named == index,
                    Finding::Edge { from, until } => (*from..*until).contains(&index),
                    _ => false,
                });
                assert!(named, "{path} at {place}, entry {index}: {found:?}");
            }
        }
    }
}

#[test]
fn a_missing_cut_or_longer_file_is_found() {
    let sound = files(300);
    for (path, bytes) in &sound {
        for change in [None, Some(&bytes[..bytes.len() - 1]), Some(&[&bytes[..], b"\0"].concat())] {
            let mut files = sound.clone();
            match change {
                None => files.remove(path),
                Some(changed) => files.insert(path.clone(), changed.to_vec()),
            };
            match Published::open(&files) {
                Ok(_) => assert!(!walk(&files).is_sound(), "{path}"),
                Err(error) => {
                    assert_eq!(path, "checkpoint");
                    let nothing = matches!(error, PublishedError::Nothing);
                    assert_eq!(nothing, change.is_none());
                }
            }
        }
    }
}

#[test]
fn the_full_run_will_do_where_a_partial_one_is_gone() {
    let (mut old, new) = (files(300), files(600));
    old.retain(|path, _| !path.contains(".p/"));
    for (path, bytes) in new {
        if path != "checkpoint" && !path.starts_with("tile/1/") {
            old.entry(path).or_insert(bytes);
        }
    }
    // The one hash of level 1 is asked for as a partial run that no longer stands there.
    let hash = Archive::tile(&mut Published::open(&old).unwrap(), 0, 0).unwrap().unwrap().root();
    old.insert("tile/1/000.p/1".to_owned(), hash.0.to_vec());
    assert_eq!(walk(&old).findings, []);
}

#[test]
fn pruned_bundles_may_be_missing_where_the_plan_says_so() {
    let mut files = files(600);
    files.remove("tile/entries/000");
    assert!(walk(&files).findings.contains(&Finding::Entry(0)));
    let mut log = Published::open(&files).unwrap();
    let plan = Plan { log: vec![log_key()], from: 256, ..Plan::default() };
    assert_eq!(published(&mut log, &plan, |_| ()).unwrap().findings, []);
}

#[test]
fn an_older_head_is_proved_to_begin_a_published_log() {
    let (new, old) = (files(600), files(431));
    let held = Published::open(&old).unwrap().checkpoint().head();
    let mut log = Published::open(&new).unwrap();
    let now = log.checkpoint().head();
    let path = prove_consistency(&mut log, held.size, now.size).unwrap();
    verify_consistency(&held, &now, &path).unwrap();
    let other = TreeHead { root: now.root, ..held };
    assert!(verify_consistency(&other, &now, &path).is_err());
}

#[test]
fn the_golden_log_is_read_from_its_folder() {
    struct Folder;
    impl Fetch for Folder {
        fn fetch(&mut self, paths: &[String]) -> Result<Vec<Option<Vec<u8>>>, Cause> {
            let vectors = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
            let read = |path: &String| Ok(std::fs::read(vectors.join("log600").join(path)).ok());
            paths.iter().map(read).collect()
        }
    }
    let mut log = Published::open(Folder).unwrap();
    let key = include_str!("../../../tests/vectors/log600/log.vkey");
    let plan = Plan {
        log: vec![Verifier::parse(key.trim()).unwrap()],
        checkpoints: vec![log.note().clone()],
        ..Plan::default()
    };
    assert_eq!(tree(&mut log, &plan, |_| ()).unwrap().findings, []);
    // Its entries are sample bytes, none of this ledger's format.
    assert_eq!(published(&mut log, &plan, |_| ()).unwrap().findings.len(), 600);
}
