//! What a transaction lends: reads inside one snapshot, writes beside an entry.

use std::ops::{Deref, DerefMut};

use diesel::connection::SimpleConnection as _;

use super::connection::AnyConnection;
use super::error::StoreError;
use super::numbers::Numbers;
use crate::ledger::Projection;

/// A snapshot of the database. Row functions take it; only the store makes one.
pub struct ReadTx {
    connection: AnyConnection,
    statements: u64,
}

impl ReadTx {
    pub(super) fn new(connection: AnyConnection) -> Self {
        Self { connection, statements: 0 }
    }

    /// The connection for one statement, which is counted.
    pub(super) fn statement(&mut self) -> &mut AnyConnection {
        self.statements += 1;
        &mut self.connection
    }

    /// The connection for what is not counted: the borders of the transaction.
    pub(super) fn border(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }

    /// How many statements ran since the transaction began, its borders not counted.
    pub fn statements(&self) -> u64 {
        self.statements
    }

    /// Lets this snapshot stay open for as long as an auditor's walk takes: it computes longer
    /// between two statements than a server allows a door to idle in a transaction.
    pub fn take_time(&mut self) -> Result<(), StoreError> {
        match self.border() {
            AnyConnection::Sqlite(_) => Ok(()),
            AnyConnection::Postgres(connection) => {
                Ok(connection.batch_execute("SET LOCAL idle_in_transaction_session_timeout = 0")?)
            }
        }
    }

    /// Ends what is lent, and gives the connection back.
    pub(super) fn into_connection(self) -> AnyConnection {
        self.connection
    }

    pub(super) fn restart_count(&mut self) {
        self.statements = 0;
    }
}

/// The write transaction of an append, lent to an [`super::Effect`]. It reads as well.
pub struct WriteTx {
    read: ReadTx,
    index: u64,
    numbers: Numbers,
}

impl WriteTx {
    pub(super) fn new(connection: AnyConnection) -> Self {
        Self { read: ReadTx::new(connection), index: 0, numbers: Numbers::default() }
    }

    /// The index of the entry beside which this effect commits.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The numbers of asker and shape of an entry that is about to be written.
    pub(super) fn number(&mut self, projection: &Projection) -> Result<(i32, i32), StoreError> {
        self.numbers.of(&mut self.read, projection)
    }

    /// Forgets numbers that a rollback may have taken back.
    pub(super) fn forget_numbers(&mut self) {
        self.numbers = Numbers::default();
    }

    pub(super) fn set_index(&mut self, index: u64) {
        self.index = index;
    }
}

impl Deref for WriteTx {
    type Target = ReadTx;

    fn deref(&self) -> &ReadTx {
        &self.read
    }
}

impl DerefMut for WriteTx {
    fn deref_mut(&mut self) -> &mut ReadTx {
        &mut self.read
    }
}
