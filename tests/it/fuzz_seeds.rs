//! Replays the fuzzer's seeds, findings of old among them, through the same targets.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/bodies/mod.rs"]
mod bodies;

fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|_| panic!("no {}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

/// What a mutation may do to a seed first: cut it, double it, change a byte.
fn neighbours(seed: &[u8]) -> Vec<Vec<u8>> {
    let step = seed.len() / 64 + 1;
    let cut = (0..seed.len()).step_by(step).map(|at| seed[..at].to_vec());
    let changed = (0..seed.len()).step_by(step).flat_map(|at| {
        [b'\0', b'\n', b'"', 0x80, 0xff, seed[at] ^ 1].map(|byte| {
            let mut changed = seed.to_vec();
            changed[at] = byte;
            changed
        })
    });
    cut.chain(changed).chain([[seed, seed].concat()]).collect()
}

#[test]
fn every_seed_and_its_neighbours_pass_through_their_target() {
    for (name, target) in bodies::TARGETS {
        let seeds = inputs(name);
        assert!(!seeds.is_empty(), "{name} has no seed");
        for (path, seed) in seeds {
            let replay = std::panic::catch_unwind(|| target(&seed));
            assert!(replay.is_ok(), "{name} fails on {path}");
            for input in neighbours(&seed) {
                let replay = std::panic::catch_unwind(|| target(&input));
                assert!(replay.is_ok(), "{name} fails near {path}: {input:?}");
            }
        }
    }
}

#[test]
fn every_folder_of_seeds_has_its_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut folders: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders, bodies::TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}
