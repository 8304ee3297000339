//! The catalogue of contact fields: one row each, from which parsing, JSON and limits derive.

use crate::clock::Moment;

use super::catalogue::catalogue;

/// How the text of a field is checked and normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// ISO 3166-1 alpha-2, upper case.
    Country,
    /// A day, `YYYY-MM-DD`.
    Date,
    /// An e-mail address (RFC 5321), domain and local part lower-cased.
    Email,
    /// A language tag (BCP 47).
    Language,
    /// A telephone number (E.164): `+` and 7 to 15 digits.
    Phone,
    /// One line of text without control characters.
    Text,
}

/// One row of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct FieldRow {
    /// What a person reads.
    pub label: &'static str,
    /// How its text is checked.
    pub kind: FieldKind,
    /// Most characters it may have.
    pub chars_max: usize,
    /// Headings under which a CRM export names it: `HubSpot`, then Salesforce, then plain ones.
    pub headings: &'static [&'static str],
}

const fn row(
    label: &'static str,
    kind: FieldKind,
    chars_max: usize,
    headings: &'static [&'static str],
) -> FieldRow {
    FieldRow { label, kind, chars_max, headings }
}

catalogue! {
    /// One item of a contact. Every field may be shared where a purpose, a policy and a grant say so;
    /// what may never be shared (IP addresses, notes, free text) is not collected and has no row.
    Field,
    /// A set of fields, held as a bit mask.
    FieldSet(u32), row FieldRow;

    /// The address that identifies the person.
    Email = 0, "email" => row("E-mail", FieldKind::Email, 254, &["Email", "E-mail", "Email Address"]);
    /// First name.
    GivenName = 1, "given_name" =>
        row("Given name", FieldKind::Text, 100, &["First Name", "firstname", "FirstName"]);
    /// Last name.
    FamilyName = 2, "family_name" =>
        row("Family name", FieldKind::Text, 100, &["Last Name", "lastname", "LastName"]);
    /// The organisation the person works for.
    Company = 3, "company" =>
        row("Company", FieldKind::Text, 200,
            &["Company Name", "company", "Company", "Account Name", "Company / Account"]);
    /// Role in that organisation.
    JobTitle = 4, "job_title" => row("Job title", FieldKind::Text, 128, &["Job Title", "jobtitle", "Title"]);
    /// Telephone number.
    Phone = 5, "phone" => row("Phone", FieldKind::Phone, 16, &["Phone Number", "phone", "Phone"]);
    /// Preferred language.
    Language = 6, "language" =>
        row("Language", FieldKind::Language, 35, &["Preferred language", "hs_language", "Language__c"]);
    /// Country; also the territory a grant is checked against.
    Country = 7, "country" =>
        row("Country", FieldKind::Country, 2,
            &["Country/Region", "country", "Country", "CountryCode", "MailingCountry", "Mailing Country"]);
    /// State, province or canton.
    Region = 8, "region" =>
        row("Region", FieldKind::Text, 100,
            &["State/Region", "state", "State", "State/Province", "MailingState", "Mailing State/Province"]);
    /// Town.
    City = 9, "city" => row("City", FieldKind::Text, 100, &["City", "city", "MailingCity", "Mailing City"]);
    /// Postal code.
    PostalCode = 10, "postal_code" =>
        row("Postal code", FieldKind::Text, 16,
            &["Postal Code", "zip", "PostalCode", "Zip/Postal Code", "MailingPostalCode", "Mailing Zip/Postal Code"]);
    /// Street and number.
    StreetAddress = 11, "street_address" =>
        row("Street address", FieldKind::Text, 200,
            &["Street Address", "address", "Street", "MailingStreet", "Mailing Street"]);
    /// The product the person tries, owns or asks about.
    Product = 12, "product" => row("Product", FieldKind::Text, 100, &["Product", "Product__c"]);
    /// Its edition.
    Edition = 13, "edition" => row("Edition", FieldKind::Text, 100, &["Edition", "Edition__c"]);
    /// Licence or registration number.
    LicenceNumber = 14, "licence_number" =>
        row("Licence number", FieldKind::Text, 64, &["Licence Number", "License Number", "License_Number__c"]);
    /// Day on which a trial ends.
    TrialEnd = 15, "trial_end" =>
        row("Trial end", FieldKind::Date, 10, &["Trial End", "Trial End Date", "Trial_End__c"]);
    /// The support contract.
    SupportPlan = 16, "support_plan" =>
        row("Support plan", FieldKind::Text, 64, &["Support Plan", "Support_Plan__c"]);
}

/// Why a text is not a value of a field. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldFault {
    /// Nothing but white space.
    #[error("is empty")]
    Empty,
    /// Longer than the catalogue allows.
    #[error("has more than {0} characters")]
    TooLong(usize),
    /// Holds a line break or another control character.
    #[error("holds a control character")]
    Control,
    /// Not of the field's form.
    #[error("is not {0}")]
    Form(&'static str),
}

impl Field {
    /// Checks a text and gives it in the field's one normal form.
    pub fn parse(self, text: &str) -> Result<String, FieldFault> {
        let row = self.row();
        let text = text.trim();
        if text.is_empty() {
            return Err(FieldFault::Empty);
        }
        if row.kind != FieldKind::Country && text.chars().count() > row.chars_max {
            return Err(FieldFault::TooLong(row.chars_max));
        }
        if text.chars().any(char::is_control) {
            return Err(FieldFault::Control);
        }
        match row.kind {
            FieldKind::Country => country(text),
            FieldKind::Date => day(text),
            FieldKind::Email => email(text),
            FieldKind::Language => language(text),
            FieldKind::Phone => phone(text),
            FieldKind::Text => Ok(text.to_owned()),
        }
    }
}

/// A code, or the English short name that CRM exports write.
fn country(text: &str) -> Result<String, FieldFault> {
    let by_code = rust_iso3166::from_alpha2(&text.to_ascii_uppercase());
    let by_name =
        || rust_iso3166::ALL.iter().copied().find(|one| one.name.eq_ignore_ascii_case(text));
    by_code
        .or_else(by_name)
        .map(|country| country.alpha2.to_owned())
        .ok_or(FieldFault::Form("a country code of ISO 3166-1 such as DE, or its English name"))
}

fn day(text: &str) -> Result<String, FieldFault> {
    match (text.len(), text.parse::<Moment>()) {
        (10, Ok(_)) => Ok(text.to_owned()),
        _ => Err(FieldFault::Form("a day such as 2026-11-24")),
    }
}

fn email(text: &str) -> Result<String, FieldFault> {
    if text.is_ascii() && email_address::EmailAddress::is_valid(text) && !text.contains(['"', '<'])
    {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(FieldFault::Form("an e-mail address such as name@example.com"))
    }
}

fn language(text: &str) -> Result<String, FieldFault> {
    oxilangtag::LanguageTag::parse_and_normalize(text)
        .map(oxilangtag::LanguageTag::into_inner)
        .map_err(|_| FieldFault::Form("a language tag of BCP 47 such as de-AT"))
}

fn phone(text: &str) -> Result<String, FieldFault> {
    let form = FieldFault::Form("a telephone number of E.164 such as +4930123456");
    let plain: String =
        text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.' | '/')).collect();
    let digits = plain.strip_prefix('+').ok_or(form)?;
    let right = (7..=15).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    if right { Ok(plain) } else { Err(form) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_own_code_and_place_and_reads_back() {
        for field in Field::ALL {
            assert_eq!(Field::from_code(field.code()), Some(*field));
            assert_eq!(Field::from_bit(field.bit()), Some(*field));
        }
        assert_eq!(FieldSet::EVERY.len(), u32::try_from(Field::ALL.len()).unwrap());
        assert_eq!(FieldSet::from_bits(1 << 31), None);
    }

    #[test]
    fn no_two_fields_claim_the_same_heading() {
        let mut seen = std::collections::BTreeSet::new();
        for field in Field::ALL {
            let mut own: Vec<_> =
                field.row().headings.iter().map(|h| h.to_ascii_lowercase()).collect();
            own.sort();
            own.dedup();
            for heading in own {
                assert!(seen.insert(heading.clone()), "{heading} is claimed twice");
            }
        }
    }

    #[test]
    fn unknown_and_repeated_codes_are_refused() {
        assert_eq!(FieldSet::from_codes(["email", "shoe_size"]), Err("shoe_size"));
        assert_eq!(FieldSet::from_codes(["email", "email"]), Err("email"));
        let set = FieldSet::from_codes(["country", "email"]).unwrap();
        assert_eq!(set.codes(), "email,country");
    }

    #[test]
    fn values_come_out_in_one_normal_form() {
        assert_eq!(Field::Email.parse(" Ann.Roe@Example.COM "), Ok("ann.roe@example.com".into()));
        assert_eq!(Field::Phone.parse("+49 (30) 123-456"), Ok("+4930123456".into()));
        assert_eq!(Field::Country.parse("de"), Ok("DE".into()));
        assert_eq!(Field::Country.parse("Germany"), Ok("DE".into()));
        assert_eq!(Field::Language.parse("DE-at"), Ok("de-AT".into()));
        assert_eq!(Field::TrialEnd.parse("2026-12-31"), Ok("2026-12-31".into()));
    }

    #[test]
    fn values_of_another_form_are_refused() {
        for (field, text) in [
            (Field::Email, "ann"),
            (Field::Email, "\"ann\"@example.com"),
            (Field::Email, "Ann <ann@example.com>"),
            (Field::Phone, "030 123456"),
            (Field::Phone, "+0123456789"),
            (Field::Country, "Deutschland"),
            (Field::Country, "QQ"),
            (Field::Language, "no_such"),
            (Field::TrialEnd, "31.12.2026"),
            (Field::TrialEnd, "2026-02-30"),
            (Field::GivenName, "Ann\r\nBcc: x"),
            (Field::City, "   "),
        ] {
            assert!(field.parse(text).is_err(), "{field} took {text:?}");
        }
        assert_eq!(Field::PostalCode.parse(&"1".repeat(17)), Err(FieldFault::TooLong(16)));
    }
}
