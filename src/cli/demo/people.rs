//! Invented people: the same ones every time, visibly fake, all at `example.com`.

use serde_json::{Value, json};

const GIVEN: [&str; 20] = [
    "Ann", "Ben", "Carla", "David", "Eva", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Klara",
    "Liam", "Mara", "Nils", "Olga", "Paul", "Rosa", "Simon", "Tessa", "Viktor",
];
const FAMILY: [&str; 25] = [
    "Adler", "Berg", "Conti", "Dahl", "Ebner", "Frey", "Gruber", "Holm", "Imhof", "Jansen",
    "Keller", "Lang", "Moser", "Novak", "Olsen", "Peters", "Quist", "Roth", "Sommer", "Thaler",
    "Unger", "Vogel", "Weber", "Young", "Zeller",
];
const PLACES: [(&str, &str, &str, &str, &str); 8] = [
    ("DE", "de", "Berlin", "10115", "+4930"),
    ("DE", "de", "Köln", "50667", "+49221"),
    ("AT", "de-AT", "Wien", "1010", "+431"),
    ("CH", "de-CH", "Zürich", "8001", "+4144"),
    ("DK", "da", "Aarhus", "8000", "+4586"),
    ("SE", "sv", "Malmö", "21119", "+4640"),
    ("FR", "fr", "Lyon", "69001", "+33472"),
    ("IT", "it", "Torino", "10121", "+39011"),
];
const PRODUCTS: [&str; 3] = ["Atlas Backup", "Atlas Mail", "Atlas Monitor"];
const COMPANIES: [&str; 6] =
    ["Nordlicht", "Hafenbau", "Bergwerk", "Seewind", "Steinweg", "Kornfeld"];

/// One invented person.
#[derive(Debug, Clone)]
pub(super) struct Invented {
    number: usize,
}

impl Invented {
    /// Person `number` of the demonstration.
    pub(super) fn new(number: usize) -> Self {
        Self { number }
    }

    fn pick<'a, T: ?Sized>(&self, from: &[&'a T], step: usize) -> &'a T
    where
        &'a T: Default,
    {
        let at = (self.number / step.max(1)) % from.len().max(1);
        from.get(at).copied().unwrap_or_default()
    }

    /// The address: unique, and never anybody's.
    pub(super) fn email(&self) -> String {
        let given = self.pick(&GIVEN, 1).to_lowercase();
        let family = self.pick(&FAMILY, 20).to_lowercase();
        format!("{given}.{family}.{}@example.com", self.number)
    }

    /// The submission of this person at a collection point.
    pub(super) fn submission(
        &self,
        point: &str,
        at: &str,
        (version, wording): (i32, &str),
    ) -> Value {
        let (country, language, city, postal, dial) =
            PLACES.get(self.number % PLACES.len()).copied().unwrap_or_default();
        let mut fields = json!({"email": self.email(), "country": country, "language": language});
        let mut add = |name: &str, value: String| {
            if let Some(fields) = fields.as_object_mut() {
                fields.insert(name.to_owned(), Value::String(value));
            }
        };
        if point != "news" {
            add("given_name", self.pick(&GIVEN, 1).to_owned());
            add("family_name", self.pick(&FAMILY, 20).to_owned());
            add("company", format!("{} GmbH", self.pick(&COMPANIES, 3)));
            add("product", self.pick(&PRODUCTS, 1).to_owned());
            add("edition", "Professional".to_owned());
        }
        if point == "trial" {
            add("city", city.to_owned());
            add("postal_code", postal.to_owned());
            add("trial_end", format!("2027-01-{:02}", self.number % 28 + 1));
        }
        if point == "support" {
            add("phone", format!("{dial}{:06}", 100_000 + self.number));
            add("licence_number", format!("AT-{:06}", self.number));
            add("support_plan", "Standard".to_owned());
        }
        json!({
            "collection_point": point,
            "collected_at": at,
            "policy_version": version,
            "wording_hash": wording,
            "fields": fields,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_people_have_addresses_of_their_own() {
        let addresses: std::collections::BTreeSet<_> =
            (0..1_000).map(|number| Invented::new(number).email()).collect();
        assert_eq!(addresses.len(), 1_000);
        assert!(addresses.iter().all(|address| address.ends_with("@example.com")));
    }
}
