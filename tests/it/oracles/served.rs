//! A log over its real doors: checkpoints, tiles, entries, a receipt and a consistency proof.
//!
//! What a crate cannot read (the frame of a bundle or of a receipt) is taken apart here, with no
//! code of the product.

use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use sha2::Sha256;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::tlog::{self, HashReader as _};
use tlog_tiles::{Checkpoint, Tile, TileHashReader, TileReader};

use super::places;
use crate::harness::wire::Wire;
use crate::harness::{Badge, Database, Doors, World, databases, wait};

/// So many entries make two full tiles, a part of a third, and a tile of level 1.
const ENTRIES: usize = 530;

/// What was served, by name; a tile by its path.
type Files = BTreeMap<String, Vec<u8>>;

/// One crate's judgement of all that it can see.
type Judge = (&'static str, fn(&Files) -> Option<()>);

const NOTE: &str = "signed_note";
const TILES: &str = "tlog_tiles";
const TREE: &str = "ct-merkle";

const JUDGES: [Judge; 3] = [(NOTE, by_signed_note), (TILES, by_tlog_tiles), (TREE, by_ct_merkle)];

/// What is damaged: its name, the file, the bytes in it, and who must refuse. All others must not
/// notice: a crate that sees more than is written here makes the table wrong.
type Damage = (&'static str, &'static str, fn(&[u8]) -> Range<usize>, &'static [&'static str]);

const DAMAGES: &[Damage] = &[
    ("the log's key", "vkey", |bytes| 0..bytes.len(), &[NOTE]),
    ("the checkpoint's origin", "checkpoint", |bytes| line(bytes, 0), &[NOTE]),
    ("the checkpoint's size", "checkpoint", |bytes| line(bytes, 1), &[NOTE, TILES, TREE]),
    ("the checkpoint's root", "checkpoint", |bytes| line(bytes, 2), &[NOTE, TILES, TREE]),
    ("the checkpoint's signature", "checkpoint", signature, &[NOTE]),
    ("the older checkpoint's origin", "older", |bytes| line(bytes, 0), &[NOTE]),
    ("the older checkpoint's size", "older", |bytes| line(bytes, 1), &[NOTE, TILES, TREE]),
    ("the older checkpoint's root", "older", |bytes| line(bytes, 2), &[NOTE, TILES, TREE]),
    ("the older checkpoint's signature", "older", signature, &[NOTE]),
    (
        "the first hash of a consistency proof",
        "consistency",
        |bytes| line(bytes, 0),
        &[TILES, TREE],
    ),
    ("the second hash of a consistency proof", "consistency", |b| line(b, 1), &[TILES, TREE]),
    ("a full tile", "tile/8/0/000", |bytes| 0..bytes.len(), &[TILES]),
    ("another full tile", "tile/8/0/001", |bytes| 0..bytes.len(), &[TILES]),
    ("the tile at the edge", "tile/8/0/002.p/", |bytes| 0..bytes.len(), &[TILES]),
    ("a tile of level 1", "tile/8/1/000.p/2", |bytes| 0..bytes.len(), &[TILES]),
    ("a bundle of entries", "tile/8/data/000", |bytes| 0..bytes.len(), &[TILES, TREE]),
    ("the bundle at the edge", "tile/8/data/002.p/", |bytes| 0..bytes.len(), &[TILES, TREE]),
    ("the receipt's entry", "receipt", |bytes| behind(line(bytes, 1), 6), &[TILES, TREE]),
    ("the receipt's index", "receipt", |bytes| behind(line(bytes, 2), 6), &[TILES, TREE]),
    ("the receipt's first hash", "receipt", |bytes| line(bytes, 3), &[TILES, TREE]),
    ("the receipt's second hash", "receipt", |bytes| line(bytes, 4), &[TILES, TREE]),
    ("the receipt's origin", "receipt", |bytes| noted(bytes, 0), &[NOTE]),
    ("the receipt's size", "receipt", |bytes| noted(bytes, 1), &[NOTE, TILES, TREE]),
    ("the receipt's root", "receipt", |bytes| noted(bytes, 2), &[NOTE, TILES, TREE]),
    ("the receipt's signature", "receipt", signature, &[NOTE]),
];

#[test]
fn three_crates_accept_a_served_log_and_refuse_each_flipped_byte_that_they_can_see() {
    for database in databases() {
        let files = served(database);
        for (name, judge) in JUDGES {
            assert!(judge(&files).is_some(), "{database:?}: {name} refuses what is sound");
        }
        for (what, file, range, sees) in DAMAGES {
            let (file, sound) = files.iter().find(|(name, _)| name.starts_with(file)).unwrap();
            for place in places(&range(sound)) {
                let mut damaged = files.clone();
                damaged.get_mut(file).unwrap()[place] ^= 1;
                for (name, judge) in JUDGES {
                    let refused = judge(&damaged).is_none();
                    assert_eq!(refused, sees.contains(&name), "{what}, byte {place}: {name}");
                }
            }
        }
    }
}

/// Everything of a log with releases, as a partner and an auditor get it.
fn served(database: Database) -> Files {
    let (world, partner, auditor) = wait(async {
        let world = World::new(database).await;
        let partner = world.badge("acme", PartnerKind::Reseller).await;
        let every = Purpose::Offers.row().fields_max;
        world.grant(partner.asker.partner, Purpose::Offers, every).await;
        let auditor = world.badge("chamber", PartnerKind::Auditor).await;
        world.people(3).await;
        world.refusals(&partner, ENTRIES).await;
        (world, partner, auditor)
    });
    let doors = Doors::open(&world);
    let enter = |badge: &Badge| {
        let mut wire = doors.wire(badge);
        let token = wire.token(&badge.asker.partner.to_string(), None);
        (wire, token)
    };
    let (mut partner, partner_token) = enter(&partner);
    let (mut auditor, token) = enter(&auditor);
    let older = get(&mut auditor, &token, "/ledger/v1/checkpoint.latest");
    let page = partner.get(&partner_token, "/v1/leads?purpose=offers");
    assert_eq!(page.json()["leads"].as_array().unwrap().len(), 3);
    let receipt = format!("/v1/receipts/{}", page.header("ledger-index").unwrap());
    let receipt = get(&mut partner, &partner_token, &receipt);
    let checkpoint = get(&mut auditor, &token, "/ledger/v1/checkpoint.latest");
    let (from, to) = (size(&older), size(&checkpoint));
    assert!(from > 512 && from < to);
    let consistency = format!("/ledger/v1/proof/consistency?from={from}&to={to}");
    let consistency = get(&mut auditor, &token, &consistency);
    let vkey = fieldgate::flows::audit::log_key(&world.gateway).into_bytes();
    let mut files: Files = [
        ("vkey", vkey),
        ("older", older),
        ("receipt", receipt),
        ("checkpoint", checkpoint),
        ("consistency", consistency),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into();
    // Which tiles there are, by somebody else's count.
    for tile in Tile::new_tiles(8, 0, to) {
        let path = tile.path();
        let ours = path.replace("tile/8/", "/ledger/v1/tile/");
        files.insert(path, get(&mut auditor, &token, &ours));
        if tile.level() == 0 {
            let mut bundle = tile;
            bundle.set_is_data();
            let ours = bundle.path().replace("tile/8/data/", "/ledger/v1/tile/entries/");
            files.insert(bundle.path(), get(&mut auditor, &token, &ours));
        }
    }
    files
}

fn get(wire: &mut Wire, token: &str, path: &str) -> Vec<u8> {
    let answer = wire.get(token, path);
    assert_eq!(answer.says(), "200 ", "{path}");
    answer.body
}

/// The size that a checkpoint states.
fn size(checkpoint: &[u8]) -> u64 {
    std::str::from_utf8(&checkpoint[line(checkpoint, 1)]).unwrap().parse().unwrap()
}

/// The bytes of a line, without its end.
fn line(bytes: &[u8], number: usize) -> Range<usize> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let begin = lines.by_ref().take(number).map(|line| line.len() + 1).sum();
    begin..begin + lines.next().unwrap().len()
}

/// The same without its first bytes.
fn behind(line: Range<usize>, skipped: usize) -> Range<usize> {
    line.start + skipped..line.end
}

/// A line of the note at the end of a receipt.
fn noted(receipt: &[u8], number: usize) -> Range<usize> {
    let note = receipt.windows(2).position(|two| two == b"\n\n").unwrap() + 2;
    let found = line(&receipt[note..], number);
    note + found.start..note + found.end
}

/// Key id and signature of the last line.
fn signature(note: &[u8]) -> Range<usize> {
    note.iter().rposition(|byte| *byte == b' ').unwrap() + 1..note.len() - 1
}

/// A receipt taken apart.
struct Receipt {
    entry: Vec<u8>,
    index: u64,
    path: Vec<[u8; 32]>,
    note: Vec<u8>,
}

fn receipt(files: &Files) -> Option<Receipt> {
    let text = std::str::from_utf8(&files["receipt"]).ok()?;
    let (head, note) = text.split_once("\n\n")?;
    let mut lines = head.lines().skip(1);
    let entry = STANDARD.decode(lines.next()?.strip_prefix("extra ")?).ok()?;
    let index = lines.next()?.strip_prefix("index ")?.parse().ok()?;
    let path = lines.map(hash).collect::<Option<_>>()?;
    Some(Receipt { entry, index, path, note: note.into() })
}

fn hash(line: &str) -> Option<[u8; 32]> {
    STANDARD.decode(line).ok()?.try_into().ok()
}

fn consistency(files: &Files) -> Option<Vec<[u8; 32]>> {
    std::str::from_utf8(&files["consistency"]).ok()?.lines().map(hash).collect()
}

/// All entries: two bytes of length before each.
fn entries(files: &Files) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for (_, bundle) in files.iter().filter(|(path, _)| path.starts_with("tile/8/data/")) {
        let mut rest = bundle.as_slice();
        while let Some((length, behind)) = rest.split_first_chunk::<2>() {
            let (entry, after) = behind.split_at_checked(u16::from_be_bytes(*length).into())?;
            found.push(entry.to_vec());
            rest = after;
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Some(found)
}

fn by_signed_note(files: &Files) -> Option<()> {
    let verifier = StandardVerifier::new(std::str::from_utf8(&files["vkey"]).ok()?).ok()?;
    let known = VerifierList::new(vec![Box::new(verifier)]);
    let receipt = receipt(files).map(|receipt| receipt.note);
    // A receipt that cannot be taken apart any more still holds its note.
    let receipt = receipt.unwrap_or_else(|| {
        let bytes = &files["receipt"];
        bytes[noted(bytes, 0).start..].to_vec()
    });
    for note in [&files["checkpoint"], &files["older"], &receipt] {
        let note = Note::from_bytes(note).ok()?;
        let (good, _) = note.verify(&known).ok()?;
        (good.len() == 1).then_some(())?;
    }
    Some(())
}

struct Shelf<'a>(&'a Files);

impl TileReader for Shelf<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog::Error> {
        let read = |tile: &Tile| self.0.get(&tile.path()).cloned();
        tiles.iter().map(read).collect::<Option<_>>().ok_or(tlog::Error::InvalidTile)
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

fn by_tlog_tiles(files: &Files) -> Option<()> {
    let head = |note: &[u8]| {
        let text = note.windows(2).position(|two| two == b"\n\n")? + 1;
        Checkpoint::from_bytes(&note[..text]).ok()
    };
    let theirs = |path: Vec<[u8; 32]>| path.into_iter().map(tlog::Hash).collect::<Vec<_>>();
    let (new, old) = (head(&files["checkpoint"])?, head(&files["older"])?);
    let (size, root) = (new.size(), *new.hash());

    let shelf = Shelf(files);
    let wanted: Vec<u64> = (0..size).map(|index| tlog::stored_hash_index(0, index)).collect();
    let leaves = TileHashReader::new(size, root, &shelf).read_hashes(&wanted).ok()?;
    let entries = entries(files)?;
    let hashes: Vec<_> = entries.iter().map(|entry| tlog::record_hash(entry)).collect();
    (hashes == leaves).then_some(())?;

    let proof = theirs(consistency(files)?);
    tlog::check_tree(&proof, size, root, old.size(), *old.hash()).ok()?;

    let Receipt { entry, index, path, note } = receipt(files)?;
    let (under, entry) = (head(&note)?, tlog::record_hash(&entry));
    tlog::check_record(&theirs(path), under.size(), *under.hash(), index, entry).ok()
}

fn by_ct_merkle(files: &Files) -> Option<()> {
    let head = |note: &[u8]| {
        let mut lines = std::str::from_utf8(note).ok()?.lines().skip(1);
        let size = lines.next()?.parse().ok()?;
        Some(RootHash::<Sha256>::new(hash(lines.next()?)?.into(), size))
    };
    let (new, old) = (head(&files["checkpoint"])?, head(&files["older"])?);
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    entries(files)?.into_iter().for_each(|entry| tree.push(entry));
    (tree.root() == new).then_some(())?;

    let proof = ConsistencyProof::try_from_bytes(consistency(files)?.concat()).ok()?;
    new.verify_consistency(&old, &proof).ok()?;

    let Receipt { entry, index, path, note } = receipt(files)?;
    let proof = InclusionProof::try_from_bytes(path.concat()).ok()?;
    head(&note)?.verify_inclusion(&entry, index, &proof).ok()
}
