//! The log over mutual TLS, walked as an outsider would: checkpoint, tiles, bundles, proofs.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use fieldgate::ledger::Kind;
use fieldgate::ledger::entry::ReadEntry;
use fieldgate::ledger::verify::verify_receipt;
use fieldgate::merkle::Hash;
use fieldgate::merkle::checkpoint::Checkpoint;
use fieldgate::merkle::key::Verifier;
use fieldgate::merkle::note::Note;
use fieldgate::merkle::policy::Policy;
use fieldgate::merkle::proof::{TreeHead, verify_consistency, verify_inclusion};
use fieldgate::merkle::tile::{decode_bundle, tiles_of};
use fieldgate::merkle::tree::root_of;

use super::forms::assert_problem;
use crate::harness::wire::{Answer, Wire};
use crate::harness::{Badge, Database, Doors, World, databases, wait};

/// So many refusals make more than one full tile, and a second level.
const ENTRIES: usize = 530;

struct Log {
    world: World,
    doors: Doors,
    partner: Badge,
    auditor: Badge,
}

fn log(database: Database) -> Log {
    let (world, partner, auditor) = wait(async {
        let world = World::new(database).await;
        let partner = world.badge("acme", PartnerKind::Reseller).await;
        world.grant(partner.asker.partner, Purpose::Offers, FieldSet::of(&[Field::Email])).await;
        let auditor = world.badge("chamber", PartnerKind::Auditor).await;
        world.people(2).await;
        world.refusals(&partner, ENTRIES).await;
        (world, partner, auditor)
    });
    let doors = Doors::open(&world);
    Log { world, doors, partner, auditor }
}

impl Log {
    fn enter(&self, badge: &Badge) -> (Wire, String) {
        let mut wire = self.doors.wire(badge);
        let token = wire.token(&badge.asker.partner.to_string(), None);
        (wire, token)
    }

    fn key(&self) -> Verifier {
        Verifier::parse(&fieldgate::flows::audit::log_key(&self.world.gateway)).unwrap()
    }

    /// A checkpoint as an outsider takes it: parsed, its signature checked against the pinned key.
    fn checkpoint(&self, answer: &Answer) -> Checkpoint {
        assert_eq!(answer.says(), "200 ");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let note = Note::parse(&answer.body).unwrap();
        Policy::of_log(self.key()).check(&note).unwrap()
    }
}

fn hashes_of(answer: &Answer) -> Vec<Hash> {
    assert_eq!(answer.says(), "200 ");
    let text = String::from_utf8(answer.body.clone()).unwrap();
    text.lines().map(|line| Hash::from_slice(&STANDARD.decode(line).unwrap()).unwrap()).collect()
}

#[test]
fn an_auditor_walks_the_whole_log_and_arrives_at_the_signed_root() {
    for database in databases() {
        let log = log(database);
        let (mut wire, token) = log.enter(&log.auditor);
        let signed = log.checkpoint(&wire.get(&token, "/ledger/v1/checkpoint.latest"));
        assert!(signed.size > 512);
        let mut leaves = Vec::new();
        for path in tiles_of(signed.size) {
            let answer = wire.get(&token, &format!("/ledger/v1/tile/{path}"));
            assert_eq!(answer.says(), "200 ", "{path}");
            assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
            let whose = if path.level.is_none() { "private" } else { "public" };
            let cache = format!("{whose}, max-age=604800, immutable");
            assert_eq!(answer.header("cache-control"), Some(&*cache), "{path}");
            if path.level == Some(0) {
                leaves.extend(Hash::split(&answer.body).unwrap());
            } else if path.level.is_none() {
                let from = usize::try_from(path.n * 256).unwrap();
                for (place, body) in
                    decode_bundle(&answer.body, path.width).unwrap().iter().enumerate()
                {
                    assert_eq!(Hash::leaf(body), leaves[from + place], "{path}");
                    ReadEntry::parse(body).unwrap();
                }
            }
        }
        assert_eq!(root_of(&leaves), signed.root, "{database:?}");
        let proof =
            wire.get(&token, &format!("/ledger/v1/proof/inclusion?index=7&size={}", signed.size));
        verify_inclusion(&leaves[7], 7, signed.size, &hashes_of(&proof), &signed.root).unwrap();
        let old = TreeHead { size: 300, root: root_of(&leaves[..300]) };
        let new = TreeHead { size: signed.size, root: signed.root };
        let proof =
            wire.get(&token, &format!("/ledger/v1/proof/consistency?from=300&to={}", new.size));
        verify_consistency(&old, &new, &hashes_of(&proof)).unwrap();
    }
}

#[test]
fn what_is_published_is_an_earlier_head_of_the_same_log() {
    let log = log(Database::Sqlite);
    let (mut wire, token) = log.enter(&log.auditor);
    let published = wait(crate::harness::process::until("a checkpoint is published", async || {
        let answer = wire.get(&token, "/ledger/v1/checkpoint");
        (answer.status == 200).then(|| log.checkpoint(&answer))
    }));
    let latest = log.checkpoint(&wire.get(&token, "/ledger/v1/checkpoint.latest"));
    let path = format!("/ledger/v1/proof/consistency?from={}&to={}", published.size, latest.size);
    let proof = hashes_of(&wire.get(&token, &path));
    verify_consistency(&published.head(), &latest.head(), &proof).unwrap();
}

#[test]
fn every_width_up_to_the_present_one_is_served_and_nothing_beyond() {
    let log = log(Database::Sqlite);
    let (mut wire, token) = log.enter(&log.auditor);
    let size = log.checkpoint(&wire.get(&token, "/ledger/v1/checkpoint.latest")).size;
    let full = wire.get(&token, "/ledger/v1/tile/0/001").body;
    for width in [1, 2, 100, 255] {
        let part = wire.get(&token, &format!("/ledger/v1/tile/0/001.p/{width}"));
        assert_eq!(part.body, full[..width * 32], "a full tile still has its parts");
    }
    let edge = size % 256;
    for (path, says) in [
        (format!("0/002.p/{edge}"), "200 "),
        (format!("entries/002.p/{edge}"), "200 "),
        ("1/000.p/2".to_owned(), "200 "),
        (format!("0/002.p/{}", edge + 1), "404 not_found"),
        (format!("entries/002.p/{}", edge + 1), "404 not_found"),
        ("0/002".to_owned(), "404 not_found"),
        ("1/000.p/3".to_owned(), "404 not_found"),
        ("1/000".to_owned(), "404 not_found"),
        ("2/000.p/1".to_owned(), "404 not_found"),
        ("63/000".to_owned(), "404 not_found"),
        ("0/x999/x999/x999/x999/999".to_owned(), "404 not_found"),
    ] {
        assert_eq!(wire.get(&token, &format!("/ledger/v1/tile/{path}")).says(), says, "{path}");
    }
}

#[test]
fn a_path_that_is_not_exactly_one_is_400_and_no_path_breaks_anything() {
    let log = log(Database::Sqlite);
    let (mut wire, token) = log.enter(&log.auditor);
    for path in [
        "",
        "0",
        "0/",
        "/000",
        "0/0",
        "0/00",
        "0/0000",
        "0/000/",
        "00/000",
        "64/000",
        "-1/000",
        "+0/000",
        "0/x000",
        "0/x001",
        "0/001/000",
        "0/x000/000",
        "0/x001/x000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/00",
        "0/000.p/01",
        "0/000.p/",
        "0/000.p/1/",
        "0/000.p/-1",
        "0/000.q/1",
        "8/0/000",
        "0/X001/000",
        "data/000",
        "entries",
        "entries/",
        "entries/0",
        "entries/000.p/0",
        "entries/000.p/256",
        "entries/x000",
        "ENTRIES/000",
        "0/%30%30%30.p/0",
        "0/000%2f",
        "0/..%2f000",
        "256/000",
        "0/00a",
        "0/%C3%A9",
        "0/000.p/1.p/1",
        "0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        let answer = wire.get(&token, &format!("/ledger/v1/tile/{path}"));
        assert_problem(&answer, "400 invalid_request", path);
    }
    for (query, says) in [
        ("inclusion", "400 invalid_query"),
        ("inclusion?index=0", "400 invalid_query"),
        ("inclusion?index=0&size=", "400 invalid_query"),
        ("inclusion?index=1&size=1", "400 invalid_query"),
        ("inclusion?index=+0&size=1", "400 invalid_query"),
        ("inclusion?index=00&size=1", "400 invalid_query"),
        ("inclusion?index=-1&size=1", "400 invalid_query"),
        ("inclusion?index=0&size=1&size=2", "400 invalid_query"),
        ("inclusion?index=0&size=1&x=2", "400 invalid_query"),
        ("inclusion?index=0&size=18446744073709551616", "400 invalid_query"),
        ("inclusion?index=0&size=18446744073709551615", "404 not_found"),
        ("consistency?from=2&to=1", "400 invalid_query"),
        ("consistency?from=0x1&to=2", "400 invalid_query"),
        ("consistency?from=1&to=99999999", "404 not_found"),
        ("consistency?from=0&to=5", "200 "),
        ("consistency?from=5&to=5", "200 "),
        ("inclusion?index=0&size=1", "200 "),
    ] {
        assert_eq!(wire.get(&token, &format!("/ledger/v1/proof/{query}")).says(), says, "{query}");
    }
}

#[test]
fn entries_are_for_auditors_alone_and_letting_one_in_is_an_entry() {
    let log = log(Database::Sqlite);
    let (mut partner, token) = log.enter(&log.partner);
    assert_eq!(partner.get(&token, "/ledger/v1/tile/0/000").says(), "200 ");
    let refused = partner.get(&token, "/ledger/v1/tile/entries/000");
    assert_problem(&refused, "403 insufficient_scope", "a partner");
    assert_eq!(partner.get(&token, "/v1/receipts/0").says(), "404 not_found");
    let form = format!(
        "grant_type=client_credentials&client_id={}&scope=audit",
        log.partner.asker.partner
    );
    assert_eq!(partner.form("/oauth2/token", &form).says(), "400 invalid_scope");

    let before = log.checkpoint(&partner.get(&token, "/ledger/v1/checkpoint.latest")).size;
    let (mut auditor, token) = log.enter(&log.auditor);
    let after = log.checkpoint(&auditor.get(&token, "/ledger/v1/checkpoint.latest")).size;
    assert_eq!(after, before + 1, "letting an auditor in is one entry");
    let receipt = auditor.get(&token, &format!("/v1/receipts/{before}"));
    let text = String::from_utf8(receipt.body).unwrap();
    let proved = verify_receipt(&text, &Policy::of_log(log.key())).unwrap();
    let facts = &proved.entry.facts;
    assert_eq!(facts.kind, Kind::AuditQuery);
    assert_eq!(facts.partner, Some(log.auditor.asker.partner));
    assert_eq!(auditor.get(&token, "/v1/leads?purpose=offers").says(), "403 insufficient_scope");

    let plain = auditor.get(&token, "/ledger/v1/tile/entries/000");
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("accept-encoding", "br, gzip;q=0.5")];
    let packed = auditor.call("GET", "/ledger/v1/tile/entries/000", &headers, b"");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("vary"), Some("accept-encoding"));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    assert!(packed.body.len() * 2 < plain.body.len(), "{} bytes", packed.body.len());
}

#[test]
fn a_page_carries_its_receipt_under_the_checkpoint_of_its_own_commit() {
    let log = log(Database::Sqlite);
    let (mut wire, token) = log.enter(&log.partner);
    let plain = wire.get(&token, "/v1/leads?purpose=offers");
    assert_eq!(plain.header("preference-applied"), None);
    assert!(plain.json()["receipt"].get("proof").is_none());
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("prefer", "respond-async, receipt=inline")];
    let mut paths = vec!["/v1/leads?purpose=offers".to_owned()];
    let lead = plain.json()["leads"][0]["lead_id"].as_str().unwrap().to_owned();
    paths.push(format!("/v1/leads/{lead}?purpose=offers"));
    for path in paths {
        let answer = wire.call("GET", &path, &headers, b"");
        assert_eq!(answer.header("preference-applied"), Some("receipt=inline"));
        let index: u64 = answer.header("ledger-index").unwrap().parse().unwrap();
        let links: Vec<_> =
            answer.headers.iter().filter(|(name, _)| name == "link").map(|(_, v)| v).collect();
        assert!(links.contains(&&format!("</v1/receipts/{index}>; rel=\"receipt\"")), "{links:?}");
        let body = answer.json();
        let text = body["receipt"]["proof"].as_str().unwrap();
        let proved = verify_receipt(text, &Policy::of_log(log.key())).unwrap();
        assert_eq!(proved.index, index);
        assert_eq!(proved.checkpoint.size, index + 1, "the checkpoint of that very commit");
        let entry = STANDARD.decode(answer.header("ledger-entry").unwrap()).unwrap();
        assert_eq!(proved.bytes, entry);
    }
}
