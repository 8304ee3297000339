//! Where a page ended: sealed, bound to partner, purpose and query; it carries no authority.

use crate::clock::{DAY, Moment};
use crate::domain::field::FieldSet;
use crate::id::{ContactNo, PartnerId};
use crate::vault::ticket;

use super::release::PageRequest;
use super::{Error, Gateway};

/// A cursor is good for 90 days; then the partner begins again.
const GOOD_FOR: i64 = 90 * DAY;

/// The context that every cursor of one query is bound to.
pub(super) struct Cursor(Vec<u8>);

impl Cursor {
    /// The context of a query. The limit is not part of it: a partner may change its page size.
    pub(super) fn of(partner: PartnerId, ask: &PageRequest) -> Self {
        let fields = ask.what.fields.map(FieldSet::bits);
        let territory = ask.what.territory.map(|country| country.code().to_owned());
        let point = ask.what.point.map(crate::domain::contact::CollectionPoint::code);
        let purpose = ask.what.purpose.code();
        let since = ask.updated_since;
        let text =
            format!("cursor 1 {partner} {purpose} {fields:?} {territory:?} {point:?} {since:?}");
        Self(text.into_bytes())
    }

    /// Seals the number after which the next page begins.
    pub(super) fn seal(
        &self,
        gateway: &Gateway,
        after: ContactNo,
        now: Moment,
    ) -> Result<String, Error> {
        let mut body = after.0.to_be_bytes().to_vec();
        body.extend_from_slice(&now.plus(GOOD_FOR).0.to_be_bytes());
        ticket::seal_ticket(&gateway.keyring(), &self.0, &body).map_err(Error::broken)
    }

    /// Opens a cursor; the beginning when there is none.
    pub(super) fn open(
        &self,
        gateway: &Gateway,
        text: Option<&str>,
        now: Moment,
    ) -> Result<ContactNo, Error> {
        let Some(text) = text else { return Ok(ContactNo(0)) };
        let bad = || {
            Error::invalid(
                "cursor",
                "not a cursor of this query: repeat the query it came from, or begin without",
            )
        };
        let body = ticket::open_ticket(&gateway.keyring(), &self.0, text).map_err(|_| bad())?;
        let (after, until) = body.split_at_checked(8).ok_or_else(bad)?;
        let number = |bytes: &[u8]| bytes.try_into().map(i64::from_be_bytes).map_err(|_| bad());
        if now > Moment(number(until)?) {
            return Err(Error::invalid("cursor", "older than 90 days: begin again without it"));
        }
        Ok(ContactNo(number(after)?))
    }
}
