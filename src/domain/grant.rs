//! A grant: what one partner may receive for one purpose, where, of whom and until when.

use crate::clock::Moment;
use crate::id::{GrantId, PartnerId};

use super::contact::{Country, PointSet};
use super::field::{FieldFault, FieldSet};
use super::purpose::Purpose;

/// Most countries a grant may list; ISO 3166-1 has 249.
const COUNTRIES_MAX: usize = 249;

/// Where the people of a grant live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Territory {
    /// Anywhere.
    Everywhere,
    /// In these countries; sorted, no repeats.
    Countries(Vec<Country>),
}

impl Territory {
    /// Reads `*`, or country codes joined by commas.
    pub fn parse(text: &str) -> Result<Self, FieldFault> {
        if text.trim() == "*" {
            return Ok(Self::Everywhere);
        }
        let mut countries = text.split(',').map(Country::parse).collect::<Result<Vec<_>, _>>()?;
        countries.sort_unstable();
        countries.dedup();
        if countries.len() > COUNTRIES_MAX {
            return Err(FieldFault::TooLong(COUNTRIES_MAX));
        }
        Ok(Self::Countries(countries))
    }

    /// The text that `parse` reads.
    pub fn text(&self) -> String {
        match self {
            Self::Everywhere => "*".to_owned(),
            Self::Countries(countries) => {
                countries.iter().map(Country::code).collect::<Vec<_>>().join(",")
            }
        }
    }

    /// Whether a country lies in it.
    pub fn contains(&self, country: Country) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Countries(countries) => countries.binary_search(&country).is_ok(),
        }
    }

    /// Whether all of it lies in the other.
    pub fn within(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Everywhere) => true,
            (Self::Everywhere, Self::Countries(_)) => false,
            (Self::Countries(countries), _) => {
                countries.iter().all(|country| other.contains(*country))
            }
        }
    }
}

/// What one partner may receive for one purpose. At most one grant per partner and purpose is in
/// force: setting a new one ends the former.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its identifier.
    pub id: GrantId,
    /// Who receives.
    pub partner: PartnerId,
    /// What for.
    pub purpose: Purpose,
    /// Which fields.
    pub fields: FieldSet,
    /// Of people who live where.
    pub territory: Territory,
    /// Of people collected where.
    pub points: PointSet,
    /// From when.
    pub from: Moment,
    /// Until when (exclusive); open when `None`.
    pub until: Option<Moment>,
}

/// Why a grant is refused when it is saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantFault {
    /// Nothing to release.
    #[error("a grant names at least one field, one territory and one collection point")]
    Empty,
    /// Fields that the purpose can never have.
    #[error("{purpose} can never include: {fields}")]
    Fields {
        /// The purpose asked for.
        purpose: Purpose,
        /// The field codes beyond its maximum.
        fields: String,
    },
    /// It would end before it begins.
    #[error("a grant ends after it begins")]
    Span,
}

impl Grant {
    /// Checks a grant before it is saved. A grant beyond the purpose's maximum is refused, so
    /// that nothing stands in the registry that could never be released.
    pub fn check(&self) -> Result<(), GrantFault> {
        let nowhere = self.territory == Territory::Countries(Vec::new());
        if self.fields.is_empty() || self.points.is_empty() || nowhere {
            return Err(GrantFault::Empty);
        }
        let beyond = self.fields.without(self.purpose.row().fields_max);
        if !beyond.is_empty() {
            return Err(GrantFault::Fields { purpose: self.purpose, fields: beyond.codes() });
        }
        if self.until.is_some_and(|until| until <= self.from) {
            return Err(GrantFault::Span);
        }
        Ok(())
    }

    /// Whether it holds at `now`.
    pub fn in_force(&self, now: Moment) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }

    /// Whether nothing is released under this grant that the other would not release.
    pub fn within(&self, other: &Self) -> bool {
        self.fields.within(other.fields)
            && self.territory.within(&other.territory)
            && self.points.within(other.points)
            && self.from >= other.from
            && match (self.until, other.until) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(mine), Some(theirs)) => mine <= theirs,
            }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_territory_reads_back_sorted_and_without_repeats() {
        let territory = Territory::parse("de, AT,DE").unwrap();
        assert_eq!(territory.text(), "AT,DE");
        assert!(territory.contains(Country::parse("AT").unwrap()));
        assert!(!territory.contains(Country::parse("CH").unwrap()));
        assert!(territory.within(&Territory::Everywhere));
        assert!(!Territory::Everywhere.within(&territory));
        assert!(Territory::parse("DE,Atlantis").is_err());
        assert!(Territory::parse("").is_err());
    }
}
