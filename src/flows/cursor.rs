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
        seal_place(gateway, &self.0, [after.0.cast_unsigned()], now.plus(GOOD_FOR))
    }

    /// Opens a cursor; the beginning when there is none.
    pub(super) fn open(
        &self,
        gateway: &Gateway,
        text: Option<&str>,
        now: Moment,
    ) -> Result<ContactNo, Error> {
        let Some(text) = text else { return Ok(ContactNo(0)) };
        let ([after], until) = open_place(gateway, &self.0, text).ok_or_else(|| {
            Error::invalid(
                "cursor",
                "not a cursor of this query: repeat the query it came from, or begin without",
            )
        })?;
        if now > until {
            return Err(Error::invalid("cursor", "older than 90 days: begin again without it"));
        }
        Ok(ContactNo(after.cast_signed()))
    }
}

/// Seals where a page ended, and until when that is good, bound to what was asked.
pub(super) fn seal_place<const N: usize>(
    gateway: &Gateway,
    context: &[u8],
    place: [u64; N],
    until: Moment,
) -> Result<String, Error> {
    let numbers = place.into_iter().chain([until.0.cast_unsigned()]);
    let body: Vec<u8> = numbers.flat_map(u64::to_be_bytes).collect();
    ticket::seal_ticket(&gateway.keyring(), context, &body).map_err(Error::broken)
}

/// Opens what [`seal_place`] sealed; `None` for anything else, or if something else was asked.
pub(super) fn open_place<const N: usize>(
    gateway: &Gateway,
    context: &[u8],
    text: &str,
) -> Option<([u64; N], Moment)> {
    let body = ticket::open_ticket(&gateway.keyring(), context, text).ok()?;
    let (numbers, rest) = body.as_chunks::<8>();
    let (until, place) = numbers.split_last().filter(|_| rest.is_empty())?;
    let place: [[u8; 8]; N] = place.try_into().ok()?;
    Some((place.map(u64::from_be_bytes), Moment(i64::from_be_bytes(*until))))
}
