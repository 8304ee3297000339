//! The catalogue of purposes: what a partner may receive fields for, and under which rules.

use super::catalogue::catalogue;
use super::contact::{CollectionPoint, PointSet};
use super::field::{Field, FieldSet};
use super::partner::{KindSet, PartnerKind};

/// The legal ground a purpose stands on (GDPR Art. 6 (1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Needed for a contract with the person (b).
    Contract,
    /// Legitimate interest, ended by an objection (f, Art. 21 (2)).
    Interest,
}

impl Basis {
    /// The code in policy pages.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::Interest => "legitimate_interest",
        }
    }
}

/// What a person's yes or no does to a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChoiceEffect {
    /// A no ends the purpose at once and absolutely.
    OptOut,
    /// Part of a contract: ended by withdrawal, restriction or erasure, not by a choice.
    None,
}

/// One row of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct PurposeRow {
    /// What a person reads.
    pub label: &'static str,
    /// The most a policy version or a grant can ever give for it.
    pub fields_max: FieldSet,
    /// The fields a grant gets when none are named.
    pub fields_usual: FieldSet,
    /// Its legal ground.
    pub basis: Basis,
    /// What a person's choice does.
    pub choice: ChoiceEffect,
    /// Kinds of partner that may ever receive fields for it.
    pub recipients: KindSet,
    /// Collection points whose people it can ever concern: a newsletter subscriber has no licence.
    pub points: PointSet,
    /// Days after which a released lead must be renewed or deleted.
    pub lease_days: u16,
}

const PLACE: FieldSet = FieldSet::of(&[Field::Country, Field::Region, Field::Language]);
const NAME: FieldSet = FieldSet::of(&[Field::GivenName, Field::FamilyName, Field::Company]);
const LICENCE: FieldSet = FieldSet::of(&[Field::Product, Field::Edition, Field::TrialEnd]);
const ADDRESS: FieldSet = FieldSet::of(&[Field::StreetAddress, Field::PostalCode, Field::City]);
const CUSTOMERS: PointSet = PointSet::of(&[CollectionPoint::Trial, CollectionPoint::Support]);
const EMAIL: FieldSet = FieldSet::of(&[Field::Email]);

catalogue! {
    /// What fields are released for. A purpose is also the scope of an access token.
    Purpose,
    /// A set of purposes, held as a bit mask.
    PurposeSet(u8), row PurposeRow;

    /// Offers made on the company's behalf (policy: "offers on its behalf").
    Offers = 0, "offers" => PurposeRow {
        label: "Offers on our behalf",
        fields_max: EMAIL.or(PLACE).or(NAME).or(FieldSet::of(&[Field::JobTitle, Field::Product])),
        fields_usual: EMAIL.or(PLACE).or(FieldSet::of(&[Field::Product])),
        basis: Basis::Interest,
        choice: ChoiceEffect::OptOut,
        recipients: KindSet::of(&[PartnerKind::Distributor, PartnerKind::Reseller]),
        points: PointSet::EVERY,
        lease_days: 180,
    };
    /// Licensing and service terms.
    Licensing = 1, "licensing" => PurposeRow {
        label: "Licensing and service terms",
        fields_max: EMAIL.or(PLACE).or(NAME).or(LICENCE).or(ADDRESS)
            .or(FieldSet::of(&[Field::LicenceNumber])),
        fields_usual: EMAIL.or(PLACE).or(NAME).or(LICENCE)
            .or(FieldSet::of(&[Field::LicenceNumber])),
        basis: Basis::Contract,
        choice: ChoiceEffect::None,
        recipients: KindSet::of(&[PartnerKind::Distributor, PartnerKind::Reseller]),
        points: CUSTOMERS,
        lease_days: 365,
    };
    /// Local technical and customer support.
    Support = 2, "support" => PurposeRow {
        label: "Local technical and customer support",
        fields_max: EMAIL.or(PLACE).or(NAME).or(LICENCE)
            .or(FieldSet::of(&[Field::Phone, Field::SupportPlan, Field::LicenceNumber])),
        fields_usual: EMAIL.or(PLACE).or(LICENCE)
            .or(FieldSet::of(&[Field::GivenName, Field::FamilyName, Field::SupportPlan])),
        basis: Basis::Contract,
        choice: ChoiceEffect::None,
        recipients: KindSet::of(&[
            PartnerKind::Distributor, PartnerKind::Reseller, PartnerKind::ServicePartner,
        ]),
        points: CUSTOMERS,
        lease_days: 365,
    };
    /// The company's own announcements, sent by its own mailing system behind the same gate.
    News = 3, "news" => PurposeRow {
        label: "News about our products and events",
        fields_max: EMAIL
            .or(FieldSet::of(&[Field::Language, Field::GivenName, Field::FamilyName, Field::Product])),
        fields_usual: EMAIL.or(FieldSet::of(&[Field::Language])),
        basis: Basis::Interest,
        choice: ChoiceEffect::OptOut,
        recipients: KindSet::of(&[PartnerKind::InHouse]),
        points: PointSet::EVERY,
        lease_days: 30,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_never_more_than_the_most() {
        for purpose in Purpose::ALL {
            let row = purpose.row();
            assert!(row.fields_usual.within(row.fields_max), "{purpose}");
            assert!(row.fields_usual.contains(Field::Email), "{purpose} cannot reach anyone");
            assert!(!row.recipients.is_empty(), "{purpose} has no recipient");
        }
    }

    #[test]
    fn partners_never_get_news_and_the_mailer_gets_nothing_else() {
        for purpose in Purpose::ALL {
            let own = purpose.row().recipients.contains(PartnerKind::InHouse);
            assert_eq!(own, *purpose == Purpose::News);
        }
    }
}
