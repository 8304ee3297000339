//! Small numbers for what an entry says: its *shape*, and its *asker*.
//!
//! Of millions of entries only a few hundred say different things apart from time, person and
//! nonce. Each such shape (kind, operation, purpose, reason, policy version, fields) and each
//! asker (partner and certificate) is written once and gets a number; an entry's row carries two
//! numbers, and two narrow indexes answer every question an auditor asks (`search_rows`).

use std::collections::HashMap;

use diesel::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Binary, Integer, Text};

use super::error::StoreError;
use super::statement::fixed;
use super::tx::ReadTx;
use crate::domain::disclosure::Reason;
use crate::domain::purpose::Purpose;
use crate::id::{PartnerId, Thumbprint};
use crate::ledger::{Kind, Projection};

/// What an entry says besides who, whom and when, as the columns of `ledger_shape`.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Shape {
    kind: Kind,
    op: String,
    purpose: &'static str,
    reason: &'static str,
    policy: i32,
    fields: i64,
}

impl Shape {
    fn of(projection: &Projection) -> Self {
        Self {
            kind: projection.kind,
            op: projection.op.clone(),
            purpose: projection.purpose.map_or("", Purpose::code),
            reason: projection.reason.map_or("", Reason::code),
            policy: projection.policy.map_or(0, |version| version.0),
            fields: projection.fields.map_or(0, |fields| i64::from(fields.bits())),
        }
    }
}

type Asker = (Option<PartnerId>, Option<Thumbprint>);

/// The numbers one write connection has met. A number never changes once it is committed; after
/// a rollback they are forgotten, because some may never have been.
#[derive(Default)]
pub(super) struct Numbers {
    shapes: HashMap<Shape, i32>,
    askers: HashMap<Asker, i32>,
}

impl Numbers {
    /// The numbers of asker and shape; new ones are given under the lock of the ledger's head,
    /// which keeps two writers from giving the same.
    pub(super) fn of(
        &mut self,
        tx: &mut ReadTx,
        projection: &Projection,
    ) -> Result<(i32, i32), StoreError> {
        let shape = Shape::of(projection);
        let shape = match self.shapes.get(&shape) {
            Some(number) => *number,
            None => {
                let number = number_shape(tx, &shape)?;
                self.shapes.insert(shape, number);
                number
            }
        };
        let asker = (projection.partner, projection.certificate);
        let asker = match self.askers.get(&asker) {
            Some(number) => *number,
            None => {
                let number = number_asker(tx, asker)?;
                self.askers.insert(asker, number);
                number
            }
        };
        Ok((asker, shape))
    }
}

fn number_shape(tx: &mut ReadTx, of: &Shape) -> Result<i32, StoreError> {
    macro_rules! bound {
        ($statement:expr) => {
            $statement
                .bind::<Text, _>(of.kind.code())
                .bind::<Text, _>(&of.op)
                .bind::<Text, _>(of.purpose)
                .bind::<Text, _>(of.reason)
                .bind::<Integer, _>(of.policy)
                .bind::<BigInt, _>(of.fields)
        };
    }
    let find = fixed::<Integer>(
        "SELECT id FROM ledger_shape WHERE kind = $1 AND op = $2 AND purpose = $3 \
         AND reason = $4 AND policy = $5 AND fields = $6",
    );
    let found: Vec<i32> = bound!(find).load(tx.statement())?;
    if let Some(number) = found.first() {
        return Ok(*number);
    }
    let insert = fixed::<Integer>(
        "INSERT INTO ledger_shape (id, kind, op, purpose, reason, policy, fields) \
         SELECT coalesce(max(id), 0) + 1, $1, $2, $3, $4, $5, $6 FROM ledger_shape RETURNING id",
    );
    Ok(bound!(insert).get_result(tx.statement())?)
}

fn number_asker(tx: &mut ReadTx, (partner, certificate): Asker) -> Result<i32, StoreError> {
    let partner = partner.map(|id| id.to_string()).unwrap_or_default();
    let certificate = certificate.as_ref().map_or(&[][..], |one| one.0.as_slice());
    let found: Vec<i32> =
        fixed::<Integer>("SELECT id FROM ledger_asker WHERE partner = $1 AND certificate = $2")
            .bind::<Text, _>(&partner)
            .bind::<Binary, _>(certificate)
            .load(tx.statement())?;
    if let Some(number) = found.first() {
        return Ok(*number);
    }
    Ok(fixed::<Integer>(
        "INSERT INTO ledger_asker (id, partner, certificate) \
         SELECT coalesce(max(id), 0) + 1, $1, $2 FROM ledger_asker RETURNING id",
    )
    .bind::<Text, _>(&partner)
    .bind::<Binary, _>(certificate)
    .get_result(tx.statement())?)
}
