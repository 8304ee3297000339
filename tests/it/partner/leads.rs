//! Every partner, route, field, purpose and pair of partners: what leaves is exactly grant ∩
//! policy ∩ purpose ∩ request, what is another's does not exist, and no value leaks elsewhere.

use fieldgate::domain::field::Field;
use fieldgate::domain::purpose::Purpose;
use fieldgate::store::StoreError;
use serde_json::Value;

use super::cast::{Player, cast};
use crate::harness::doors::logged;
use crate::harness::wire::{Answer, Wire};
use crate::harness::world::value;
use crate::harness::{Database, Doors, World, databases, wait};

/// People in each world.
const PEOPLE: usize = 3;

/// A player at the door: its connection, a token for all it may, and what it was given.
struct Guest<'a> {
    player: &'a Player,
    wire: Wire,
    token: String,
    lead: Option<String>,
    cursor: Option<(Purpose, String)>,
    receipt: Option<String>,
}

impl<'a> Guest<'a> {
    fn enter(doors: &Doors, player: &'a Player) -> Self {
        let mut wire = doors.wire(&player.badge);
        let token = wire.token(&player.badge.asker.partner.to_string(), None);
        Self { player, wire, token, lead: None, cursor: None, receipt: None }
    }

    fn get(&mut self, path: &str) -> Answer {
        self.wire.get(&self.token, path)
    }

    /// Pulls everything permitted, page by page, and remembers ids for others to try.
    fn pull_all(&mut self, purpose: Purpose) {
        let mut path = format!("/v1/leads?purpose={purpose}&limit=2");
        let mut people = 0;
        loop {
            let answer = self.get(&path);
            assert_eq!(answer.status, 200, "{}", answer.says());
            let body = answer.json();
            for lead in body["leads"].as_array().unwrap() {
                assert_fields(lead, &self.player.permitted(purpose), purpose);
                self.lead = lead["lead_id"].as_str().map(str::to_owned);
                people += 1;
            }
            self.receipt = body["receipt"]["href"].as_str().map(str::to_owned);
            let Some(next) = body["next"].as_str() else { break };
            self.cursor = Some((purpose, next.to_owned()));
            path = format!("/v1/leads?purpose={purpose}&limit=2&cursor={next}");
        }
        assert_eq!(people, if self.player.sees_people { PEOPLE } else { 0 });
    }
}

/// A lead holds these fields and nothing else, each with the value of one and the same person.
fn assert_fields(lead: &Value, expected: &[Field], purpose: Purpose) {
    let keys: Vec<_> = lead.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["fields", "lead_id"], "{purpose}");
    let fields = lead["fields"].as_object().unwrap();
    let mut names: Vec<_> = fields.keys().map(String::as_str).collect();
    let mut codes: Vec<_> = expected.iter().map(|field| field.code()).collect();
    names.sort_unstable();
    codes.sort_unstable();
    assert_eq!(names, codes, "{purpose}");
    let whole = |number: &usize| {
        expected.iter().all(|field| fields[field.code()] == value(*field, *number).as_str())
    };
    assert!((0..PEOPLE).any(|number| whole(&number)), "{purpose}: values of several people");
}

/// Every field for every purpose, in a page and in one lead.
fn try_every_field(guest: &mut Guest<'_>) {
    let own = guest.lead.clone();
    for purpose in Purpose::ALL {
        for field in Field::ALL {
            let expected = guest.player.answer_to(*purpose, *field);
            let ask = format!("purpose={purpose}&fields={field}");
            let page = guest.get(&format!("/v1/leads?{ask}"));
            assert_eq!(page.says(), expected, "{}: page {ask}", guest.player.badge.code);
            for lead in page.json()["leads"].as_array().into_iter().flatten() {
                assert_fields(lead, &[*field], *purpose);
            }
            let Some(own) = &own else { continue };
            let one = guest.get(&format!("/v1/leads/{own}?{ask}"));
            assert_eq!(one.says(), expected, "{}: lead {ask}", guest.player.badge.code);
            if one.status == 200 {
                assert_fields(&one.json()["lead"], &[*field], *purpose);
            }
        }
    }
}

/// A place outside the grant is refused with the reason; inside it only its people come.
fn try_every_place(guest: &mut Guest<'_>) {
    for (purpose, _) in &guest.player.grants {
        let sees = guest.player.sees_people;
        for (place, expected, people) in [
            ("territory=DE", if sees { "200 " } else { "403 territory_not_granted" }, PEOPLE),
            ("territory=ES", guest.player.answer_in("ES"), 0),
            ("territory=FR", guest.player.answer_in("FR"), 0),
            ("collection_point=trial", "200 ", if sees { PEOPLE } else { 0 }),
            ("collection_point=support", "200 ", 0),
            ("updated_since=2999-01-01", "200 ", 0),
        ] {
            let answer = guest.get(&format!("/v1/leads?purpose={purpose}&{place}"));
            let name = format!("{}: {purpose} {place}", guest.player.badge.code);
            assert_eq!(answer.says(), expected, "{name}");
            if answer.status == 200 {
                assert_eq!(answer.json()["leads"].as_array().unwrap().len(), people, "{name}");
            }
        }
    }
    let receipt = guest.receipt.clone().unwrap();
    let own = guest.get(&receipt);
    assert_eq!(own.status, 200, "{receipt}");
    assert!(own.body.starts_with(b"c2sp.org/tlog-proof@v1\n"), "{receipt}");
}

/// What belongs to another partner is of no use: id, cursor, receipt and token.
fn try_what_is_foreign(guest: &mut Guest<'_>, other: &Guest<'_>) {
    let pair = format!("{} with what is {}'s", guest.player.badge.code, other.player.badge.code);
    if let Some(lead) = &other.lead {
        for purpose in Purpose::ALL {
            for field in Field::ALL {
                let path = format!("/v1/leads/{lead}?purpose={purpose}&fields={field}");
                let expected = match guest.player.answer_to(*purpose, *field) {
                    "200 " => "404 not_found",
                    refused => refused,
                };
                assert_eq!(guest.get(&path).says(), expected, "{pair}: {path}");
            }
        }
    }
    for purpose in Purpose::ALL {
        if let Some((of, cursor)) = &other.cursor {
            let path = format!("/v1/leads?purpose={purpose}&limit=2&cursor={cursor}");
            let expected = match guest.player.granted(*purpose) {
                None => "403 insufficient_scope",
                Some(_) => "400 invalid_cursor",
            };
            assert_eq!(guest.get(&path).says(), expected, "{pair}: cursor of {of} at {purpose}");
        }
    }
    if let Some(receipt) = &other.receipt {
        assert_eq!(guest.get(receipt).says(), "404 not_found", "{pair}: {receipt}");
    }
    for path in ["/v1/leads?purpose=offers", "/v1/leads/x?purpose=offers", "/v1/receipts/0"] {
        let answer = guest.wire.get(&other.token, path);
        assert_eq!(answer.says(), "401 invalid_token", "{pair}: token at {path}");
    }
}

/// Values that are unmistakable: a country or a language of two letters is not.
fn canaries(fields: impl Fn(Field) -> bool) -> Vec<String> {
    let plain = |field: &Field| !matches!(field, Field::Country | Field::Language);
    let fields: Vec<_> = Field::ALL.iter().copied().filter(|f| plain(f) && fields(*f)).collect();
    let all = (0..PEOPLE).flat_map(|number| fields.iter().map(move |f| value(*f, number)));
    all.collect()
}

fn assert_absent(place: &str, bytes: &[u8], canaries: &[String]) {
    assert!(!bytes.is_empty(), "nothing was searched in {place}");
    for canary in canaries {
        let found = memchr::memmem::find(bytes, canary.as_bytes());
        assert_eq!(found, None, "{canary} stands in {place}");
    }
}

/// Beside the partners' answers no value stands anywhere in clear.
fn search_everywhere(world: &World, doors: &Doors, database: Database) {
    let all = canaries(|_| true);
    let metrics = doors.ops_wire().call("GET", "/metrics", &[], b"");
    assert_absent("metrics", &metrics.body, &all);
    assert_absent("logs", &logged(), &all);
    let bodies = world.store.read_blocking(|tx| {
        use fieldgate::ledger::Archive as _;
        let size = tx.head().map(|head| head.size()).unwrap();
        Ok::<_, StoreError>(tx.bodies(0, size).unwrap())
    });
    assert_absent("ledger", &bodies.unwrap().concat(), &all);
    if database == Database::Sqlite {
        let files = ["world.db", "world.db-wal"].map(|name| world.folder().join(name));
        let bytes: Vec<u8> = files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect();
        assert_absent("database files", &bytes, &all);
    }
}

#[test]
fn a_partner_gets_what_was_granted_and_nothing_that_is_not_or_is_anothers() {
    for database in databases() {
        let (world, players) = wait(async {
            let world = World::new(database).await;
            let players = cast(&world).await;
            world.people(PEOPLE).await;
            (world, players)
        });
        let doors = Doors::open(&world);
        let mut guests: Vec<_> = players.iter().map(|one| Guest::enter(&doors, one)).collect();
        for guest in &mut guests {
            for (purpose, _) in &guest.player.grants {
                guest.pull_all(*purpose);
            }
            try_every_field(guest);
            try_every_place(guest);
        }
        for at in 0..guests.len() {
            let mut guest = guests.remove(at);
            for other in &guests {
                try_what_is_foreign(&mut guest, other);
            }
            guests.insert(at, guest);
        }
        for guest in &guests {
            let ever = guest.player.ever();
            let place = format!("what {} received", guest.player.badge.code);
            let hidden = |field| !guest.player.sees_people || !ever.contains(&field);
            assert_absent(&place, &guest.wire.received, &canaries(hidden));
        }
        search_everywhere(&world, &doors, database);
        drop(doors);
        assert!(world.verify().is_sound(), "{database:?}");
    }
}
