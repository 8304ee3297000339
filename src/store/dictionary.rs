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
use crate::domain::disclosure::Reason;
use crate::domain::purpose::Purpose;
use crate::id::{PartnerId, Thumbprint};
use crate::ledger::Projection;

type ShapeColumns = (Integer, Text, Text, Text, Text, Integer, BigInt);
type ShapeRow = (i32, String, String, String, String, i32, i64);
type Asker = (Option<PartnerId>, Option<Thumbprint>);

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
    askers: HashMap<i32, Asker>,
}

impl Dictionary {
    /// Reads the rows of these askers and shapes, as far as they are there and can be read.
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
        let asker = |(id, partner, certificate): (i32, String, Vec<u8>)| {
            Some((id, asker_of(&partner, &certificate)?))
        };
        Ok(Self {
            shapes: shapes.into_iter().map(|row| (row.0, row)).collect(),
            askers: askers.into_iter().filter_map(asker).collect(),
        })
    }

    /// Whether these numbers stand for the asker and the shape of a row with such columns.
    pub(super) fn says(&self, (asker, shape): (i32, i32), of: &Projection) -> bool {
        if self.askers.get(&asker) != Some(&(of.partner, of.certificate)) {
            return false;
        }
        let Some((_, kind, op, purpose, reason, policy, fields)) = self.shapes.get(&shape) else {
            return false;
        };
        kind == of.kind.code()
            && *op == of.op
            && purpose == of.purpose.map_or("", Purpose::code)
            && reason == of.reason.map_or("", Reason::code)
            && *policy == of.policy.map_or(0, |version| version.0)
            && *fields == of.fields.map_or(0, |fields| i64::from(fields.bits()))
    }
}

/// Partner and certificate of a row, which are empty where there is none.
fn asker_of(partner: &str, certificate: &[u8]) -> Option<Asker> {
    let partner = Some(partner).filter(|partner| !partner.is_empty());
    let certificate = Some(certificate).filter(|certificate| !certificate.is_empty());
    Some((
        partner.map(str::parse).transpose().ok()?,
        certificate.map(<[u8; 32]>::try_from).transpose().ok()?.map(Thumbprint),
    ))
}
