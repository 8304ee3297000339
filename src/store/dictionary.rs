//! What the numbers of entries stand for: the rows of `ledger_shape` and `ledger_asker` that a
//! stretch of the ledger uses.
//!
//! A stretch of thousands uses few, so each is read once and held against the columns of every
//! entry that carries its number.

use std::collections::{HashMap, HashSet};

use diesel::RunQueryDsl as _;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Text};

use super::connection::AnyConnection;
use super::error::StoreError;
use super::statement::fixed;
use super::tx::ReadTx;

type ShapeColumns = (Integer, Text, Text, Text, Text, Integer, BigInt);
type ShapeRow = (i32, String, String, String, String, i32, i64);

/// Kind, operation, purpose, reason, policy and fields, as the columns have them.
pub(super) type ShapeText<'a> = (&'a str, &'a str, &'a str, &'a str, i32, i64);

/// Rows of the numbers that are given: as an array, or as a list in JSON.
macro_rules! of_numbers {
    ($tx:expr, $columns:ty, $text:literal, $numbers:expr) => {{
        let numbers: Vec<i32> = $numbers.into_iter().collect();
        match $tx.statement() {
            AnyConnection::Sqlite(connection) => {
                let text = concat!($text, " IN (SELECT value FROM json_each($1))");
                let list = numbers.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
                fixed::<$columns>(text).bind::<Text, _>(format!("[{list}]")).load(connection)?
            }
            AnyConnection::Postgres(connection) => {
                let text = concat!($text, " = ANY ($1)");
                fixed::<$columns>(text).bind::<Array<Integer>, _>(numbers).load(connection)?
            }
        }
    }};
}

/// See the [module](self).
pub(super) struct Dictionary {
    shapes: HashMap<i32, ShapeRow>,
    askers: HashMap<i32, (String, Vec<u8>)>,
}

impl Dictionary {
    /// Reads the rows of these askers and shapes, as far as they are there.
    pub(super) fn read(
        tx: &mut ReadTx,
        askers: HashSet<i32>,
        shapes: HashSet<i32>,
    ) -> Result<Self, StoreError> {
        let shapes: Vec<ShapeRow> = of_numbers!(
            tx,
            ShapeColumns,
            "SELECT id, kind, op, purpose, reason, policy, fields FROM ledger_shape WHERE id",
            shapes
        );
        let askers: Vec<(i32, String, Vec<u8>)> = of_numbers!(
            tx,
            (Integer, Text, Binary),
            "SELECT id, partner, certificate FROM ledger_asker WHERE id",
            askers
        );
        Ok(Self {
            shapes: shapes.into_iter().map(|row| (row.0, row)).collect(),
            askers: askers.into_iter().map(|(id, partner, one)| (id, (partner, one))).collect(),
        })
    }

    /// Whether the number stands for this partner and certificate; empty where there is none.
    pub(super) fn is_asker(&self, number: i32, (partner, certificate): (&str, &[u8])) -> bool {
        let found = self.askers.get(&number);
        found.is_some_and(|(one, other)| one == partner && other == certificate)
    }

    /// Whether the number stands for this shape.
    pub(super) fn is_shape(&self, number: i32, shape: ShapeText<'_>) -> bool {
        let found = self.shapes.get(&number);
        found.is_some_and(|(_, kind, op, purpose, reason, policy, fields)| {
            (&**kind, &**op, &**purpose, &**reason, *policy, *fields) == shape
        })
    }
}
