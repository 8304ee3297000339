//! One byte of one entry is changed behind the gateway's back, its guard removed: it is named.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use fieldgate::ledger::Archive as _;
use serde_json::Value;

use super::load::{Cast, PAGE};
use crate::harness::process::Installed;
use crate::harness::{Database, databases, postgres, wait};

/// Changes the last letter of an entry's operation: the body stays readable JSON.
const ALTER: &str = "UPDATE ledger_entry SET body = ";

fn alter(installed: &Installed, statement: &str) {
    if let Some(file) = installed.url.strip_prefix("sqlite://") {
        let mut connection = SqliteConnection::establish(file).unwrap();
        assert!(connection.batch_execute(statement).is_err(), "the trigger refuses");
        let triggers = "DROP TRIGGER ledger_entry_keeps";
        connection.batch_execute(triggers).unwrap();
        connection.batch_execute(statement).unwrap();
    } else {
        let name = installed.url.rsplit('/').next().unwrap();
        let server = postgres::server().unwrap();
        server.sql_in(name, "DROP TRIGGER ledger_entry_keeps ON ledger_entry");
        server.sql_in(name, statement);
    }
}
