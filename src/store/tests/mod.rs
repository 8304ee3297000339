//! The contract of the store, run on both databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail loudly"
)]

mod faults;
mod ledger;
mod numbering;
mod partitions;
mod recalls;
mod rows;
mod schema;
mod search;

#[path = "../../../tests/it/harness/postgres.rs"]
mod postgres;

use super::*;

/// A database of a test's own.
pub(super) struct Bed {
    pub(super) url: Url,
    _directory: Option<tempfile::TempDir>,
}

impl Bed {
    pub(super) fn is_postgres(&self) -> bool {
        self.url.file().is_none()
    }

    pub(super) fn store(&self) -> Store {
        Store::open(&self.url, OpenOptions { readers: 2, create: false }).unwrap()
    }
}

/// Runs a test on a migrated database of each kind.
pub(super) fn on_both(test: impl Fn(&Bed)) {
    let bed = sqlite_bed();
    migrate(&bed.url).unwrap();
    test(&bed);
    if let Some(server) = postgres::server() {
        let address = server.prepared(|address| {
            migrate(&Url::parse(address).unwrap()).unwrap();
        });
        test(&Bed { url: Url::parse(&address).unwrap(), _directory: None });
    }
}

/// Runs a test on an empty database of each kind.
pub(super) fn on_both_empty(test: impl Fn(&Bed)) {
    test(&sqlite_bed());
    if let Some(server) = postgres::server() {
        test(&Bed { url: Url::parse(&server.empty()).unwrap(), _directory: None });
    }
}

fn sqlite_bed() -> Bed {
    let directory = tempfile::tempdir().unwrap();
    let url = Url::sqlite(&directory.path().join("gate.db"));
    Bed { url, _directory: Some(directory) }
}
