//! Published checkpoints in the database: all that were ever signed, and who cosigned them.

use crate::ledger::ShelfError;
use crate::ledger::verify::{KeptLine, Witnessed};
use crate::store::witness_rows::{self, Cosignature};
use crate::store::{ReadTx, StoreError, checkpoint_rows};

/// Rows that are read at once.
const PAGE: u16 = 1000;

/// The next checkpoints from a size on, each with the lines below it.
pub(super) fn page(tx: &mut ReadTx, from: u64) -> Result<Vec<Witnessed>, ShelfError> {
    let broken = |error: StoreError| ShelfError::Broken(error.into());
    let rows = checkpoint_rows::list_checkpoints(tx, from, PAGE).map_err(broken)?;
    let Some(last) = rows.last().map(|row| row.size) else { return Ok(Vec::new()) };
    let lines = witness_rows::list_cosignatures_between(tx, from, last).map_err(broken)?;
    let mut lines = lines.into_iter().peekable();
    let with_lines = rows.into_iter().map(|published| {
        // A line below no checkpoint is named below the next one: it cannot be its signature.
        let own = std::iter::from_fn(|| lines.next_if(|line| line.size <= published.size));
        let kept = |Cosignature { witness, line, at, .. }| KeptLine { witness, line, at };
        let lines = own.map(kept).collect();
        Witnessed { published, lines }
    });
    Ok(with_lines.collect())
}
