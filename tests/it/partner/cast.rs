//! Partners of every kind with grants that differ, and what each of them may have: written out
//! here a second time, so that the rules are not judged by themselves.

use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use fieldgate::flows::publish;

use crate::harness::world::{actor, wide_policy};
use crate::harness::{Badge, World};

/// One partner, and what was granted to it.
pub struct Player {
    pub badge: Badge,
    pub grants: Vec<(Purpose, FieldSet)>,
    /// Where its people live; `*` is everywhere.
    pub territory: &'static str,
    /// Whether its territory holds the people of these tests, who all live in Germany.
    pub sees_people: bool,
}

/// The policy in force leaves these out, although purposes and grants would permit them.
pub const UNDISCLOSED: &[(Purpose, Field)] =
    &[(Purpose::Offers, Field::JobTitle), (Purpose::Support, Field::Phone)];

impl Player {
    /// The fields of the grant for a purpose.
    pub fn granted(&self, purpose: Purpose) -> Option<FieldSet> {
        self.grants.iter().find(|(one, _)| *one == purpose).map(|(_, fields)| *fields)
    }

    /// Grant ∩ policy: what leaves when no fields are named.
    pub fn permitted(&self, purpose: Purpose) -> Vec<Field> {
        let granted = self.granted(purpose).unwrap_or(FieldSet::NONE);
        let disclosed = |field: &Field| !UNDISCLOSED.contains(&(purpose, *field));
        granted.iter().filter(disclosed).collect()
    }

    /// The fields it may have for any purpose.
    pub fn ever(&self) -> Vec<Field> {
        Purpose::ALL.iter().flat_map(|purpose| self.permitted(*purpose)).collect()
    }

    /// Status and code of the answer to a request for the people of one country.
    pub fn answer_in(&self, country: &str) -> &'static str {
        if self.territory == "*" || self.territory == country {
            "200 "
        } else {
            "403 territory_not_granted"
        }
    }

    /// Status and code of the answer to a request for one field, where the person exists.
    pub fn answer_to(&self, purpose: Purpose, field: Field) -> &'static str {
        match self.granted(purpose) {
            None => "403 insufficient_scope",
            Some(_) if !purpose.row().fields_max.contains(field) => "403 field_not_for_purpose",
            Some(granted) if !granted.contains(field) => "403 field_not_granted",
            Some(_) if UNDISCLOSED.contains(&(purpose, field)) => "403 field_not_disclosed",
            Some(_) => "200 ",
        }
    }
}

async fn player(
    world: &World,
    (code, kind): (&str, PartnerKind),
    grants: &[(Purpose, &[Field])],
    territory: &'static str,
) -> Player {
    let badge = world.badge(code, kind).await;
    let mut given = Vec::new();
    for (purpose, fields) in grants {
        let fields = FieldSet::of(fields);
        world.grant_in(badge.asker.partner, *purpose, fields, territory).await;
        given.push((*purpose, fields));
    }
    let sees_people = matches!(territory, "*" | "DE");
    Player { badge, grants: given, territory, sees_people }
}

/// Five partners of all kinds, under a policy that is narrower than purposes and grants.
pub async fn cast(world: &World) -> Vec<Player> {
    use Field::{Company, Email, FamilyName, GivenName, JobTitle, Language, LicenceNumber};
    use Field::{Phone, Product, SupportPlan, TrialEnd};
    use Purpose::{Licensing, News, Offers, Support};
    let players = vec![
        player(
            world,
            ("distributor", PartnerKind::Distributor),
            &[(Offers, &[Email, Company, Field::Country]), (Licensing, &[Email, LicenceNumber])],
            "*",
        )
        .await,
        player(
            world,
            ("reseller", PartnerKind::Reseller),
            &[(Offers, &[Email, Language, JobTitle]), (Support, &[Email, Phone, GivenName])],
            "DE",
        )
        .await,
        player(
            world,
            ("service", PartnerKind::ServicePartner),
            &[(Support, &[Product, SupportPlan, TrialEnd])],
            "*",
        )
        .await,
        player(
            world,
            ("abroad", PartnerKind::Reseller),
            &[(Offers, &[Email, Company, FamilyName]), (Licensing, &[Email, Field::City])],
            "FR",
        )
        .await,
        player(world, ("mailer", PartnerKind::InHouse), &[(News, &[Email, Language])], "*").await,
    ];
    let mut policy = wide_policy(world.wording);
    for terms in &mut policy.terms {
        let hidden = UNDISCLOSED.iter().filter(|(purpose, _)| *purpose == terms.purpose);
        let hidden: FieldSet = hidden.map(|(_, field)| *field).collect();
        terms.fields = terms.fields.without(hidden);
    }
    let version = publish::draft(&world.gateway, &actor("lawyer"), policy).await.unwrap();
    publish::publish(&world.gateway, &actor("lawyer"), version, None).await.unwrap();
    players
}
