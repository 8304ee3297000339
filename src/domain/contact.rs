//! A contact: where it was collected, where it stands, what is known of it without opening it.

use std::fmt;

use crate::clock::Moment;
use crate::id::{ContactNo, ContactRef, PolicyVersion};

use super::catalogue::catalogue;
use super::field::{Field, FieldFault, FieldSet};

/// One row of the catalogue of collection points.
#[derive(Debug, Clone, Copy)]
pub struct PointRow {
    /// What a person reads.
    pub label: &'static str,
}

catalogue! {
    /// Where a person leaves details.
    CollectionPoint,
    /// A set of collection points, held as a bit mask.
    PointSet(u8), row PointRow;

    /// Ordering a free trial.
    Trial = 0, "trial" => PointRow { label: "Free trial order" };
    /// Registering for support online.
    Support = 1, "support" => PointRow { label: "Online support registration" };
    /// Subscribing to the newsletter.
    News = 2, "news" => PointRow { label: "Newsletter subscription" };
}

/// Where a contact stands. Only `Active` is ever released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContactState {
    /// In use.
    Active,
    /// Kept, but not used (GDPR Art. 18).
    Restricted,
    /// The person closed the account.
    Withdrawn,
    /// The data key is shredded.
    Erased,
}

impl ContactState {
    /// Every state.
    pub const ALL: &'static [Self] =
        &[Self::Active, Self::Restricted, Self::Withdrawn, Self::Erased];

    /// The code in tables and answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Restricted => "restricted",
            Self::Withdrawn => "withdrawn",
            Self::Erased => "erased",
        }
    }

    /// Finds a state by its code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.code() == code)
    }
}

/// A country by its ISO 3166-1 alpha-2 code, upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// A person who named no country: lies in no territory that lists countries. `ZZ` is a code
    /// that ISO 3166-1 leaves to its users.
    pub const UNKNOWN: Self = Self(*b"ZZ");

    /// Reads the two letters of a country or of `UNKNOWN` back from a table.
    pub fn from_code(code: &str) -> Option<Self> {
        if code == "ZZ" { Some(Self::UNKNOWN) } else { Self::parse(code).ok() }
    }

    /// Reads a country code in either case; names are for files alone.
    pub fn parse(text: &str) -> Result<Self, FieldFault> {
        if text.trim().len() != 2 {
            return Err(FieldFault::Form("a country code of ISO 3166-1 such as DE"));
        }
        let normal = Field::Country.parse(text)?;
        let bytes = normal.as_bytes().try_into();
        bytes.map(Self).map_err(|_| FieldFault::Form("a country code of two letters"))
    }

    /// Its two letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Country({self})")
    }
}

/// One occasion on which a person left details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The collection point.
    pub point: CollectionPoint,
    /// When.
    pub at: Moment,
    /// The policy version that was shown.
    pub policy: PolicyVersion,
    /// SHA-256 of the wording that was shown.
    pub wording_hash: [u8; 32],
}

/// What is known of a contact without opening a field: all that `decide` looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Number given at intake.
    pub no: ContactNo,
    /// Random reference in the ledger.
    pub reference: ContactRef,
    /// Where it stands.
    pub state: ContactState,
    /// Territory: the country the person named.
    pub country: Country,
    /// Where it was collected.
    pub points: PointSet,
    /// Fields it holds a value for.
    pub held: FieldSet,
    /// The policy version the person is bound to.
    pub policy: PolicyVersion,
    /// Raised at each change of a field.
    pub version: i64,
    /// When a field or the standing last changed.
    pub updated_at: Moment,
    /// The person's word on the purpose asked for, to all partners.
    pub choice_all: Option<bool>,
    /// The person's word on it to this partner.
    pub choice_partner: Option<bool>,
}
