//! What partners hold of a person, and what of it was demanded back: read by the stories that
//! demand something, and by no other, because it takes her whole history.

use crate::domain::recall::{Recall, RecallCause, Receivers, Scope, unanswered};
use crate::flows::{Error, Gateway};
use crate::id::{ContactNo, PartnerId};
use crate::store::{ReadTx, StoreError, recall_rows};

/// Receivers and recalls of one person, in one snapshot.
pub(in crate::flows) struct Owed {
    pub(in crate::flows) receivers: Receivers,
    recalls: Vec<Recall>,
}

impl Owed {
    /// Reads them.
    ///
    /// # Errors
    /// `Busy` when the database does not answer.
    pub(in crate::flows) async fn of(gateway: &Gateway, no: ContactNo) -> Result<Self, Error> {
        Ok(gateway.store.read(move |tx| Self::read(tx, no)).await?)
    }

    /// The same within a snapshot.
    pub(in crate::flows) fn read(tx: &mut ReadTx, no: ContactNo) -> Result<Self, StoreError> {
        let receivers = recall_rows::list_receivers(tx, no)?;
        Ok(Self { receivers, recalls: recall_rows::list_recalls_of(tx, no)? })
    }

    /// Every partner that still owes an answer for something it received.
    pub(in crate::flows) fn unanswered(&self) -> Vec<PartnerId> {
        unanswered(&self.receivers.received, &self.recalls)
    }

    /// The partners that a recall would be opened for.
    pub(in crate::flows) fn to_open(&self, scope: Scope, cause: RecallCause) -> Vec<PartnerId> {
        scope.to_open(cause, &self.receivers.received, &self.recalls)
    }
}
