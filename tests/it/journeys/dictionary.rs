//! The dictionary attack: with the true list of people, the whole database and the whole log,
//! nothing links an erased person to any entry. The same attack finds her before.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fieldgate::clock::DAY;
use fieldgate::domain::erasure::ErasureGround;
use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::purpose::Purpose;
use fieldgate::flows::intake::{self, Bringer, Manner, Once};
use fieldgate::flows::release::Asker;
use fieldgate::flows::{erase, report};
use fieldgate::id::{ContactNo, ContactRef, RequestId, digest};
use fieldgate::ledger::prove::serve;
use fieldgate::ledger::{Archive as _, Item};
use fieldgate::merkle::Hash;
use fieldgate::merkle::tile::tiles_of;
use fieldgate::secret::Personal;
use fieldgate::store::{StoreError, contact_rows};
use fieldgate::vault::blind_index::blind_index;
use fieldgate::vault::ticket::lead_id;

use crate::harness::dump::{Row, dump, residue};
use crate::harness::world::{actor, address, value};
use crate::harness::{World, databases, wait};

const VICTIM: usize = 2;

/// What the attacker knows of a person before opening the database.
struct Known {
    reference: ContactRef,
    number: ContactNo,
    /// Address, values, and the request in which she once came, byte for byte.
    texts: Vec<Vec<u8>>,
}

/// What the attacker holds: all rows, and all that is published or exported of the log.
struct Loot {
    rows: Vec<Row>,
    files: Vec<Vec<u8>>,
}

fn loot(world: &World) -> Loot {
    let files = world.store.read_blocking(|tx| {
        let size = tx.head().unwrap().size();
        let tiles = tiles_of(size);
        Ok::<_, StoreError>(tiles.into_iter().map(|path| serve(tx, path).unwrap()).collect())
    });
    Loot { rows: dump(&world.url), files: files.unwrap() }
}

impl Loot {
    /// Every value that may be a salt, a nonce or a key: a cell, or a text in an entry or item.
    fn keys(&self) -> BTreeSet<Vec<u8>> {
        let cells = || self.rows.iter().flat_map(|row| &row.cells);
        let texts = cells().chain(&self.files).map(|bytes| String::from_utf8_lossy(bytes));
        let mut keys: BTreeSet<Vec<u8>> = cells().cloned().collect();
        for text in texts {
            keys.extend(text.split('"').filter_map(|word| URL_SAFE_NO_PAD.decode(word).ok()));
        }
        keys.retain(|key| matches!(key.len(), 16 | 32));
        keys
    }

    /// Every value that may be a hash: those, and each 32 bytes of tiles and lists of hashes.
    fn hashes(&self) -> BTreeSet<Vec<u8>> {
        let cells = self.rows.iter().flat_map(|row| &row.cells).chain(&self.files);
        let mut hashes: BTreeSet<_> =
            cells.flat_map(|cell| cell.chunks_exact(32)).map(<[u8]>::to_vec).collect();
        hashes.extend(self.keys());
        hashes
    }

    /// The ways that lead to the person.
    fn links(&self, who: &Known) -> BTreeSet<String> {
        let mut links = BTreeSet::new();
        let mut messages = who.texts.clone();
        messages.push(who.reference.0.to_vec());
        let written = messages.iter().flat_map(|bytes| spellings(bytes));
        for text in written.collect::<BTreeSet<_>>() {
            let row = self.rows.iter().find(|row| row.cells.iter().any(|cell| has(cell, &text)));
            links.extend(row.map(|row| format!("stands in {}", row.table)));
            if self.files.iter().any(|file| has(file, &text)) {
                links.insert("stands in the log".to_owned());
            }
        }
        let number = who.number.0.to_string().into_bytes();
        for row in &self.rows {
            let cell = row.cell("contact_no");
            links.extend((cell == Some(&number)).then(|| format!("number in {}", row.table)));
        }
        let (keys, hashes) = (self.keys(), self.hashes());
        let hit = |guess: [u8; 32]| hashes.contains(guess.as_slice());
        for message in &messages {
            if hit(digest(message)) || hit(Hash::leaf(message).0) {
                links.insert("plain hash".to_owned());
            }
        }
        for key in &keys {
            if messages.iter().any(|message| keyed(key, message).into_iter().any(hit)) {
                links.insert("keyed hash".to_owned());
            }
            let Ok(salt) = key.as_slice().try_into() else { continue };
            if items(who, salt).any(|item| hit(item.hash().0)) {
                links.insert("item hash".to_owned());
            }
        }
        links
    }
}

/// The item of the person under a guessed salt: every version, every set of fields in use.
fn items(who: &Known, salt: [u8; 16]) -> impl Iterator<Item = Item> {
    let offers = Purpose::Offers.row();
    let sets = [FieldSet::NONE, FieldSet::EVERY, offers.fields_max, offers.fields_usual];
    let reference = who.reference;
    sets.into_iter().flat_map(move |fields| {
        (0..4).map(move |version| Item {
            contact_no: None,
            contact_ref: reference,
            fields,
            salt,
            version,
        })
    })
}

/// Every keyed construction in the product, and the ones that it avoids.
fn keyed(key: &[u8], message: &[u8]) -> [[u8; 32]; 5] {
    let mut block = key.to_vec();
    block.resize(64, 0);
    let pad = |byte: u8| block.iter().map(|b| b ^ byte).collect::<Vec<_>>();
    let inner = digest(&[pad(0x36), message.to_vec()].concat());
    let length = u64::try_from(message.len()).unwrap().to_be_bytes();
    let framed = digest(&[pad(0x36), length.to_vec(), message.to_vec()].concat());
    [
        digest(&[pad(0x5c), inner.to_vec()].concat()),
        digest(&[pad(0x5c), framed.to_vec()].concat()),
        digest(&[key, message].concat()),
        digest(&[message, key].concat()),
        Hash::leaf(&[key, message].concat()).0,
    ]
}

fn spellings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let texts = [hex, STANDARD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)];
    texts.into_iter().map(String::into_bytes).chain([bytes.to_vec()]).collect()
}

fn has(cell: &[u8], text: &[u8]) -> bool {
    cell.len() >= text.len() && cell.windows(text.len()).any(|window| window == text)
}

/// Person `number` as she handed in her details over the wire, in a request of her own.
async fn hand_in(world: &World, number: usize) -> Known {
    let body = format!(r#"{{"contacts":[{{"email":"{}"}}]}}"#, address(number)).into_bytes();
    let once = Once { key: digest(&number.to_be_bytes()), body: digest(&body) };
    let manner = Manner {
        request: RequestId::new(),
        bringer: Bringer::Staff(actor("clerk")),
        dry_run: false,
        once: Some(once),
    };
    intake::hand_in(&world.gateway, manner, vec![world.person(number)]).await.unwrap();
    let index = blind_index(&world.gateway.keyring(), &Personal::new(address(number))).unwrap();
    let contact = world.store.read_blocking(move |tx| contact_rows::find_contact(tx, &index));
    let standing = contact.unwrap().unwrap().standing;
    // Values that many share (country, language, a date) point at nobody.
    let own = Field::ALL.iter().map(|field| value(*field, number).into_bytes());
    let mut texts: Vec<_> = own.filter(|value| value.len() > 6).collect();
    texts.retain(|text| *text != value(Field::TrialEnd, number).into_bytes());
    texts.push(body);
    Known { reference: standing.reference, number: standing.no, texts }
}

async fn furnished(world: &World) -> (Asker, Vec<Known>) {
    let acme = world.reseller("acme").await;
    let mut people = Vec::new();
    for number in 0..5 {
        people.push(hand_in(world, number).await);
    }
    for limit in [2, 5, 3] {
        world.pull(acme, limit).await.unwrap();
    }
    let who = Personal::new(address(VICTIM));
    report::who(&world.gateway, &actor("officer"), &who).await.unwrap();
    (acme, people)
}

#[test]
fn the_true_list_of_people_finds_an_erased_person_nowhere() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let (acme, people) = furnished(&world).await;
            let victim = &people[VICTIM];
            // The control: in the same hands the attack works while her items are there.
            let before = loot(&world).links(victim);
            for way in ["item hash", "plain hash", "stands in contact"] {
                assert!(before.contains(way), "{database:?}: {before:?}");
            }
            let salts = residue::secrets_of(&world, victim.number);

            let who = Personal::new(address(VICTIM));
            let by = actor("officer");
            let erased = erase::erase(&world.gateway, &by, &who, ErasureGround::Request).await;
            let no = erased.unwrap().contact;
            let between = loot(&world).links(victim);
            assert!(between.contains("item hash"), "{database:?}: {between:?}");
            assert!(!between.contains("plain hash"), "{database:?}: {between:?}");

            erase::forget(&world.gateway, &by, no, &[acme.partner]).await.unwrap();
            let loot = loot(&world);
            assert_eq!(loot.links(victim), BTreeSet::new(), "{database:?}");
            for (number, other) in people.iter().enumerate().filter(|(n, _)| *n != VICTIM) {
                assert!(loot.links(other).contains("item hash"), "{database:?}: person {number}");
            }
            residue::gone_from_the_file(&world, &salts);
            holders_of_keys(&world, &loot, no);
            assert!(world.verify().is_sound());
        });
    }
}

/// Who holds the keys as well learns that the address was here and left on some day, and comes
/// to a row that leads no further.
fn holders_of_keys(world: &World, loot: &Loot, no: ContactNo) {
    let keyring = world.gateway.keyring();
    let index = blind_index(&keyring, &Personal::new(address(VICTIM))).unwrap();
    let rows = |what: &[u8]| {
        let holds = |row: &&Row| row.cells.iter().any(|cell| has(cell, what));
        loot.rows.iter().filter(holds).collect::<Vec<_>>()
    };
    let found = rows(&index.0);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].table, "suppression");
    let since = found[0].cell("since").unwrap();
    let day: i64 = String::from_utf8_lossy(since).parse().unwrap();
    assert_eq!(day % DAY, 0);
    assert!(rows(since).iter().all(|row| row.table == "suppression"));

    let shell = loot.rows.iter().find(|row| {
        row.table == "contact" && row.cell("no") == Some(&no.0.to_string().into_bytes())
    });
    let shell = shell.unwrap();
    for empty in ["created_at", "updated_at", "version", "fields", "collection_points"] {
        assert_eq!(shell.cell(empty), Some(&b"0".to_vec()), "{empty}");
    }
    assert_eq!(shell.cell("country"), Some(&b"ZZ".to_vec()));
    // The partner's own id for her stands nowhere on our side.
    let partner = loot.rows.iter().find(|row| row.table == "partner").unwrap();
    let partner = String::from_utf8_lossy(partner.cell("id").unwrap()).parse().unwrap();
    let lead = lead_id(&keyring, partner, no).unwrap();
    assert!(rows(lead.as_bytes()).is_empty());
}
