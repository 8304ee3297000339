//! One binary for every fuzz target: `FUZZ_TARGET` names the one to run.

#![no_main]

#[path = "bodies/mod.rs"]
mod bodies;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fn chosen() -> fn(&[u8]) {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    let found = bodies::TARGETS.iter().find(|(one, _)| *one == name);
    found.unwrap_or_else(|| panic!("no fuzz target is called {name}")).1
}

fuzz_target!(|input: &[u8]| TARGET.get_or_init(chosen)(input));
