//! Entries and items: canonical bytes, strict reading, and what may not be written.

use super::*;
use crate::ledger::entry::{EntryError, ReadEntry};
use crate::merkle::tree::root_of;
use proptest::prelude::*;

#[test]
fn an_entry_is_written_as_the_format_says() {
    let entry = release(1, 2);
    let root = root_of(entry.item_hashes());
    let root = Thumbprint(root.0).to_string();
    let expected = format!(
        r#"{{"aud":"ptn_0198c0ffee00700080000000000000aa","cert":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk","cnt":2,"dec":"release","fields":["email","country"],"items":"{root}","k":"release","n":"AAAAAAAAAAEAAAAAAAAAAA","op":"leads.list","pol":3,"pur":"offers","req":"req_0198c0ffee00700080000000000000bb","resp":"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU","t":"2026-09-21T14:13:20.001Z","v":1}}"#
    );
    assert_eq!(String::from_utf8(entry.bytes().to_vec()).unwrap(), expected);
    let item = String::from_utf8(item(1).bytes()).unwrap();
    assert_eq!(
        item,
        r#"{"f":129,"ref":"wMDAwMDAwMAAAAAAAAAAAQ","salt":"AQEBAQEBAQEBAQEBAQEBAQ","ver":3}"#
    );
}

/// Facts of every kind with every optional value set or not, by the bits of `mask`.
fn any_facts(kind: Kind, mask: u16, micros: i64) -> Facts {
    let has = |bit: u16| mask & (1 << bit) != 0;
    let refusal = kind == Kind::Withhold;
    Facts {
        partner: has(0).then(partner),
        certificate: has(1).then_some(Thumbprint([1; 32])),
        purpose: has(2).then_some(Purpose::News),
        policy: has(3).then_some(PolicyVersion(i32::MAX)),
        fields: (has(4) && !refusal).then_some(FieldSet::from_bits(u32::from(mask)).unwrap()),
        reason: refusal.then_some(Reason::NoPolicy),
        response: (has(5) && !refusal).then_some([255; 32]),
        actor: has(6).then_some("stf_0a-b.c".into()),
        subject: has(7).then_some("gra_1".into()),
        detail: has(8).then_some("lifted".into()),
        restricting: has(9),
        ..Facts::new(kind, "a.b", request(), Moment(micros))
    }
}

proptest! {
    #[test]
    fn every_entry_is_canonical_and_reads_back(
        kind in 0..Kind::ALL.len(),
        mask in 0_u16..1024,
        micros in 0_i64..253_402_300_799_000_000,
        items in 0_u64..4,
        nonce: [u8; 16],
    ) {
        let facts = any_facts(Kind::ALL[kind], mask, micros);
        let items: Vec<Item> =
            if facts.kind == Kind::Withhold { vec![] } else { (0..items).map(item).collect() };
        let entry = Entry::new(facts, items, nonce).unwrap();
        let read = ReadEntry::parse(entry.bytes()).unwrap();
        prop_assert_eq!(&read.facts, entry.facts());
        prop_assert_eq!(read.nonce, nonce);
        prop_assert_eq!(read.items.map_or(0, |tree| tree.count as usize), entry.items().len());
        // The public implementation of RFC 8785 writes the same bytes.
        let value: serde_json::Value = serde_json::from_slice(entry.bytes()).unwrap();
        prop_assert_eq!(serde_jcs::to_vec(&value).unwrap(), entry.bytes());
    }

    #[test]
    fn every_item_is_canonical_and_reads_back(
        bits in 0_u32..131_072, salt: [u8; 16], contact: [u8; 16], version in 0_i64..=(1 << 53) - 1,
    ) {
        let fields = FieldSet::from_bits(bits).unwrap();
        let contact_ref = ContactRef(contact);
        let item = Item { contact_no: None, contact_ref, fields, salt, version };
        prop_assert_eq!(Item::parse(&item.bytes()).unwrap(), item.clone());
        let value: serde_json::Value = serde_json::from_slice(&item.bytes()).unwrap();
        prop_assert_eq!(serde_jcs::to_vec(&value).unwrap(), item.bytes());
    }

    #[test]
    fn any_bytes_are_an_entry_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(ReadEntry::parse(&bytes).is_err());
        prop_assert!(Item::parse(&bytes).is_err());
    }
}

#[test]
fn another_spelling_of_an_entry_is_refused() {
    let text = String::from_utf8(release(1, 2).bytes().to_vec()).unwrap();
    for (from, to) in [
        ("{\"aud\"", "{ \"aud\""),
        ("\"v\":1}", "\"v\":1}\n"),
        ("\"v\":1}", "\"v\":2}"),
        ("\"v\":1}", "\"v\":1,\"x\":0}"),
        ("\"v\":1}", "\"v\":1.0}"),
        ("\"pol\":3", "\"pol\":\"3\""),
        ("\"pol\":3", "\"pol\":0"),
        ("\"pol\":3", "\"pol\":3,\"pol\":3"),
        ("\"cnt\":2,", ""),
        ("\"cnt\":2,", "\"cnt\":4294967296,"),
        ("\"dec\":\"release\",", ""),
        ("\"dec\":\"release\"", "\"dec\":\"withhold\""),
        ("\"k\":\"release\"", "\"k\":\"released\""),
        ("\"k\":\"release\"", "\"k\":\"withhold\""),
        ("\"email\",\"country\"", "\"country\",\"email\""),
        ("\"email\",\"country\"", "\"email\",\"email\",\"country\""),
        ("\"email\"", "\"e\\u006dail\""),
        ("\"n\":\"AAAAAAAAAAEAAAAAAAAAAA\",", ""),
        ("\"n\":\"AAAAAAAAAAEAAAAAAAAAAA\"", "\"n\":\"AAAAAAAAAAEAAAAAAAAAAB\""),
        (".001Z", ".001000Z"),
        (".001Z", ".001+00:00"),
        ("leads.list", "leads list"),
        ("\"op\"", "\"lim\":false,\"op\""),
        ("\"pur\":\"offers\"", "\"pur\":\"anything\""),
    ] {
        let spoiled = text.replacen(from, to, 1);
        assert_ne!(spoiled, text, "{from}");
        let error = ReadEntry::parse(spoiled.as_bytes());
        assert!(error.is_err(), "{from} -> {to}");
    }
    let deep = "[".repeat(60_000);
    assert!(ReadEntry::parse(deep.as_bytes()).is_err());
    assert!(ReadEntry::parse(&vec![b' '; 70_000]).is_err());
}

#[test]
fn what_no_entry_may_hold_is_refused() {
    let facts = |kind| Facts::new(kind, "op", request(), at(0));
    let fails = |facts: Facts, items: Vec<Item>| Entry::new(facts, items, [0; 16]).unwrap_err();
    for code in ["", "Upper", "with space", "ann@example.com", "\u{e4}", "a\"b", &"a".repeat(65)] {
        let with = Facts { detail: Some(code.to_owned().into()), ..facts(Kind::StaffAct) };
        assert_eq!(fails(with, vec![]), EntryError::Code("detail"), "{code:?}");
    }
    let reason = Some(Reason::NoPolicy);
    assert_eq!(fails(facts(Kind::Withhold), vec![]), EntryError::Reason);
    assert_eq!(fails(Facts { reason, ..facts(Kind::Release) }, vec![]), EntryError::Reason);
    let refusal = Facts { reason, ..facts(Kind::Withhold) };
    assert_eq!(fails(refusal.clone(), vec![item(1)]), EntryError::Withheld);
    let with_fields = Facts { fields: Some(FieldSet::NONE), ..refusal };
    assert_eq!(fails(with_fields, vec![]), EntryError::Withheld);
    let policy = Some(PolicyVersion(0));
    assert_eq!(fails(Facts { policy, ..facts(Kind::Release) }, vec![]), EntryError::Policy);
    let negative = Item { version: -1, ..item(1) };
    assert_eq!(fails(facts(Kind::Release), vec![negative]), EntryError::Items);
    let huge = Item { version: 1 << 53, ..item(1) };
    assert_eq!(fails(facts(Kind::Release), vec![huge]), EntryError::Items);
    let many = (0..10_001).map(item).collect();
    assert_eq!(fails(facts(Kind::Release), many), EntryError::Items);
    let late = Facts { at: Moment(i64::MAX), ..facts(Kind::Intake) };
    assert_eq!(fails(late, vec![]), EntryError::Time);
    let early = Facts { at: Moment(-62_200_000_000_000_000), ..facts(Kind::Intake) };
    assert_eq!(fails(early, vec![]), EntryError::Time);
}

#[test]
fn kinds_have_distinct_codes() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_code(kind.code()), Some(*kind));
    }
    assert_eq!(Kind::from_code("disclosure"), None);
}

#[test]
fn an_entry_stays_small_whatever_the_page() {
    assert!(release(1, 1000).bytes().len() < 512);
}
