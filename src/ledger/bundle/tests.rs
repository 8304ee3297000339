//! Bundles: what is written reads back, and nothing else does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use super::container::{pack, unpack};
use super::*;
use crate::clock::Moment;
use crate::domain::field::Field;
use crate::id::{ContactRef, RequestId};
use crate::ledger::{Entry, Facts, Kind};
use crate::merkle::cosignature;
use crate::merkle::key::{KeyType, Signer};
use crate::merkle::proof::inclusion;
use crate::merkle::tree::root_of;

fn entry(n: u8) -> Entry {
    let facts = Facts {
        fields: Some(FieldSet::of(&[Field::Email, Field::Country])),
        ..Facts::new(Kind::Release, "leads.list", RequestId::new(), Moment(i64::from(n)))
    };
    let item = |place: u8| Item {
        contact_no: None,
        contact_ref: ContactRef([place; 16]),
        fields: FieldSet::of(&[Field::Email]),
        salt: [n; 16],
        version: 1,
    };
    Entry::new(facts, (0..5).map(item).collect(), [n; 16]).unwrap()
}

fn signer() -> Signer {
    Signer::from_seed("example.com/log", KeyType::Log, &[3; 32]).unwrap()
}

fn trusted() -> Policy {
    Policy::of_log(signer().verifier().clone())
}

/// Seven entries; numbers 5 and 2 are in the answer, with the person at place 3.
fn bundle() -> Bundle {
    let entries: Vec<Entry> = (0..7).map(entry).collect();
    let leaves: Vec<Hash> = entries.iter().map(Entry::leaf).collect();
    let head = Checkpoint { origin: "example.com/log".into(), size: 7, root: root_of(&leaves) };
    let proven = |index: u64| {
        let entry = &entries[usize::try_from(index).unwrap()];
        let hashes = entry.item_hashes();
        ProvenEntry {
            index,
            bytes: entry.bytes().to_vec(),
            path: inclusion(&mut leaves.as_slice(), index, 7).unwrap(),
            items: vec![ProvenItem {
                position: 3,
                bytes: entry.items()[3].bytes(),
                path: inclusion(&mut { hashes }, 3, 5).unwrap(),
            }],
        }
    };
    Bundle {
        checkpoint: head.sign(&[signer()]).unwrap(),
        entries: vec![proven(5), proven(2)],
        question: serde_json::json!({"kind": "release"}),
        policy: b"log x\n".to_vec(),
        readme: README.as_bytes().to_vec(),
    }
}

fn check(bytes: &[u8]) -> Result<VerifiedBundle, BundleError> {
    Bundle::read(bytes)?.verify(&trusted())
}

#[test]
fn a_bundle_reads_back_and_proves_its_rows() {
    let bundle = bundle();
    let bytes = bundle.write().unwrap();
    assert_eq!(Bundle::read(&bytes).unwrap(), bundle);
    let proved = check(&bytes).unwrap();
    assert_eq!(proved.checkpoint.size, 7);
    assert_eq!(proved.rows.iter().map(|row| row.index).collect::<Vec<_>>(), [5, 2]);
    assert_eq!(proved.rows[0].person_fields, Some(vec!["email"]));
    let stranger = Signer::from_seed("example.com/log", KeyType::Log, &[4; 32]).unwrap();
    let other = Policy::of_log(stranger.verifier().clone());
    assert!(matches!(bundle.verify(&other), Err(BundleError::Checkpoint(_))));
}

#[test]
fn every_flipped_byte_of_a_file_is_refused() {
    let bytes = bundle().write().unwrap();
    for place in 0..bytes.len() {
        let mut spoiled = bytes.clone();
        spoiled[place] ^= 1 << (place % 8);
        assert!(check(&spoiled).is_err(), "byte {place} of {}", bytes.len());
    }
    for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(check(&bytes[..length]).is_err());
    }
    assert!(check(&[&bytes[..], b"x"].concat()).is_err());
}

/// The archive of changed parts, made anew: its sums are right, what it says is not.
fn repacked(change: impl Fn(&mut Parts)) -> Result<VerifiedBundle, BundleError> {
    let mut parts = bundle().parts();
    change(&mut parts);
    check(&pack(&parts).unwrap())
}

#[test]
fn every_flipped_byte_of_a_proof_carrying_part_is_refused_whatever_the_archive_says() {
    let (parts, trusted) = (bundle().parts(), trusted());
    for (name, bytes) in &parts {
        if ["README.txt", "policy.txt"].contains(&name.as_str()) {
            continue;
        }
        // What was asked is the reader's, not the log's: only the format is checked.
        let most = if name == "manifest.json" { 16 } else { bytes.len() };
        for place in 0..most {
            let mut spoiled = parts.clone();
            spoiled.get_mut(name).unwrap()[place] ^= 1;
            let read = Bundle::from_parts(&spoiled);
            let refused = read.and_then(|bundle| bundle.verify(&trusted)).is_err();
            assert!(refused, "byte {place} of {name}");
        }
    }
}

#[test]
fn the_first_wrong_part_is_named() {
    let gone = |name: &'static str| repacked(move |parts| drop(parts.remove(name)));
    let part = |name: &str| Err(BundleError::Part(name.to_owned()));
    assert_eq!(gone("checkpoint"), part("checkpoint"));
    assert_eq!(gone("entries/2.json"), part("entries/2.json"));
    assert_eq!(gone("proofs/5.tlog-proof"), part("proofs/5.tlog-proof"));
    assert_eq!(gone("README.txt"), part("README.txt"));
    let extra = |parts: &mut Parts| drop(parts.insert("more".into(), Vec::new()));
    assert_eq!(repacked(extra), part("more"));
    let mut other = bundle();
    other.entries[1].bytes = entry(3).bytes().to_vec();
    assert_eq!(check(&other.write().unwrap()), Err(BundleError::Entry(2)));
    let mut other = bundle();
    other.entries[0].items[0].position = 2;
    let wrong = BundleError::Item { index: 5, position: 2 };
    assert_eq!(check(&other.write().unwrap()), Err(wrong));
}

/// Any bytes at a place of the bundle's archive.
fn put(place: usize, bytes: &[u8]) -> Result<Parts, BundleError> {
    let mut archive = pack(&small()).unwrap();
    archive[place..place + bytes.len()].copy_from_slice(bytes);
    unpack(&archive)
}

fn small() -> Parts {
    [("a", "first"), ("b", "second")]
        .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
        .into()
}

#[test]
fn an_archive_that_says_more_of_itself_than_it_holds_is_refused() {
    let archive = pack(&small()).unwrap();
    assert_eq!(unpack(&archive).unwrap(), small());
    let end = archive.len() - 22;
    let (first, second) = (end - 2 * 47, end - 47);
    let refused = |why| Err(BundleError::Container(why));
    let nowhere = "its directory leads nowhere";
    for (place, bytes, why) in [
        (end, &[0][..], "it is no ZIP archive, or it was cut off"),
        (end + 16, &[0xff; 4], "it is no ZIP archive, or it was cut off"),
        (end + 10, &[0x41, 0x9c], "it has too many parts"),
        (end + 10, &[3], nowhere),
        (first + 10, &[8], "it is compressed: it must not be unpacked and packed again"),
        (first + 24, &[0xff, 0xff, 0xff, 0xff], nowhere),
        (first + 42, &[0xff, 0xff, 0xff, 0xff], nowhere),
        (first + 28, &[0xff, 0xff], nowhere),
        (second + 46, b"a", "a part stands in it twice"),
        (second + 46, b"\x1b", "a part has a name that no part has"),
        (second + 46, b"\xff", nowhere),
        (second + 46, b" ", "a part has a name that no part has"),
    ] {
        assert_eq!(put(place, bytes), refused(why), "{place} {bytes:?}");
    }
    // Both rows of the directory lead to the same bytes, again and again.
    let long = Parts::from([("a".to_owned(), vec![7; 400]), ("b".to_owned(), vec![8; 400])]);
    let mut archive = pack(&long).unwrap();
    let end = archive.len() - 22;
    let row = archive[end - 94..end - 47].to_vec();
    for (copy, name) in (0..).zip(b'c'..b'z') {
        let mut row = row.clone();
        row[46] = name;
        let at = end - 47 + copy * 47;
        archive.splice(at..at, row);
        let count = archive.len() - 12;
        archive[count] += 1;
    }
    assert_eq!(unpack(&archive), refused("its parts overlap"));
    assert_eq!(unpack(&vec![0; BYTES_MAX + 1]), refused("it is larger than 128 MiB"));
    let long = Parts::from([("n".repeat(65), Vec::new())]);
    assert_eq!(unpack(&pack(&long).unwrap()), refused("a part has a name that no part has"));
    let many: Parts = (0..=40_000).map(|n| (n.to_string(), Vec::new())).collect();
    assert!(pack(&many).is_err());
}

#[test]
fn another_program_reads_the_same_parts() {
    let parts = bundle().parts();
    let bytes = pack(&parts).unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut seen = Parts::new();
    for place in 0..archive.len() {
        // Reading to the end compares the sum as well.
        let mut file = archive.by_index(place).unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut content).unwrap();
        seen.insert(file.name().unwrap().into_owned(), content);
    }
    assert_eq!(seen, parts);
}

#[test]
fn a_bundle_of_another_format_says_which() {
    let later = br#"{"format": 2, "question": {}, "more": [1.0]}"#;
    let other = repacked(|parts| drop(parts.insert("manifest.json".into(), later.to_vec())));
    assert_eq!(other, Err(BundleError::Format(2)));
    for malformed in [&b"{}"[..], b"", br#"{"format":1,"question":{}}"#, br#"{"format":"1"}"#] {
        let bytes = malformed.to_vec();
        let other = repacked(|parts| drop(parts.insert("manifest.json".into(), bytes.clone())));
        assert_eq!(other, Err(BundleError::Part("manifest.json".to_owned())));
    }
}

#[test]
fn a_bundle_without_enough_cosignatures_is_refused_for_that() {
    let witness = |n: u8| {
        let name = format!("example.com/w{n}");
        Signer::from_seed(&name, KeyType::Witness, &[n; 32]).unwrap()
    };
    let key = signer().verifier().to_string();
    let names = [10, 11].map(|n| format!("witness w{n} {}\n", witness(n).verifier()));
    let policy = format!("log {key}\n{}group both all w10 w11\nquorum both\n", names.concat());
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let mut bundle = bundle();
    let refused = Err(BundleError::Checkpoint(Unconvinced::Quorum));
    assert_eq!(Bundle::read(&bundle.write().unwrap()).unwrap().verify(&policy), refused);
    for n in [10, 11] {
        assert_eq!(bundle.verify(&policy), refused);
        let text = bundle.checkpoint.text().to_owned();
        bundle.checkpoint.add(cosignature::sign(&text, &witness(n), 1_750_000_000).unwrap());
    }
    let read = Bundle::read(&bundle.write().unwrap()).unwrap();
    assert_eq!(read.verify(&policy).unwrap().rows.len(), 2);
    assert!(read.verify(&trusted()).is_ok(), "whoever asks for no witness needs none");
}
