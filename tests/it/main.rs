//! The integration tests: one binary whose folders follow the doors and the journeys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::cast_possible_truncation,
    clippy::similar_names,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::type_complexity,
    clippy::cast_precision_loss,
    clippy::inconsistent_struct_constructor,
    missing_docs,
    unreachable_pub,
    reason = "tests fail loudly"
)]

mod anchors;

mod fuzz_seeds;

mod harness;

mod cli;

mod crash;

mod doors;

mod exported;

mod journeys;

mod log;

mod oracles;

mod partner;

mod strangers;
