//! Searches: every question against a plain filter over all entries, on both databases.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use diesel::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Integer, Nullable, Text};

use super::ledger::{append, entry, facts, item};
use super::*;
use crate::clock::{DAY, Moment, SECOND};
use crate::domain::disclosure::Reason;
use crate::domain::field::{Field, FieldSet};
use crate::domain::purpose::Purpose;
use crate::id::{ContactNo, PartnerId, PolicyVersion, Thumbprint};
use crate::ledger::{Draft, Facts, Kind};
use crate::store::connection::{self, AnyConnection, Use};
use crate::store::search_rows::{self, Page, Search, Statement, find_entries};
use crate::store::statement::fixed;

const BEGIN: i64 = 1_700_000_000 * SECOND;

/// What one entry of the tests says.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) facts: Facts,
    pub(super) contact: Option<i64>,
}

/// 700 entries in an order that a fixed rule makes: common and rare things, clocks that stumble,
/// and one clock that is two days behind.
pub(super) fn story(partners: &[PartnerId]) -> Vec<Told> {
    let reasons = [Reason::OptedOut, Reason::FieldNotGranted];
    let mut chance = 7_u32;
    let mut roll = move |sides: u32| {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (chance >> 16) % sides
    };
    (0..700_i64)
        .map(|n| {
            let stumble = i64::from(roll(5)) * SECOND - if n == 400 { 2 * DAY } else { 0 };
            let at = Moment(BEGIN + n * SECOND + stumble);
            let kind =
                [Kind::Release, Kind::Release, Kind::Withhold, Kind::AuditQuery][roll(4) as usize];
            let mut facts = Facts { at, ..facts(kind) };
            if n == 333 {
                facts.op = Cow::Borrowed("test.rare");
            }
            if kind != Kind::AuditQuery {
                let partner = roll(20).min(roll(20)) as usize % partners.len();
                facts.partner = Some(partners[partner]);
                facts.certificate = Some(Thumbprint([u8::try_from(roll(3)).unwrap(); 32]));
                facts.purpose = Some([Purpose::Offers, Purpose::Support][roll(2) as usize]);
                facts.policy = Some(PolicyVersion(if n < 300 { 1 } else { 2 }));
            }
            match kind {
                Kind::Release => {
                    let all = [Field::Email, Field::Country, Field::Phone];
                    facts.fields = Some(FieldSet::of(&all[..=roll(3) as usize]));
                }
                Kind::Withhold => facts.reason = Some(reasons[usize::from(roll(30) == 0)]),
                _ => {}
            }
            let contact = (kind == Kind::Release).then(|| i64::from(roll(9)));
            Told { facts, contact }
        })
        .collect()
}

fn fits(search: &Search, told: &Told) -> bool {
    let facts = &told.facts;
    let fields = facts.fields.unwrap_or(FieldSet::NONE);
    search.contact.is_none_or(|contact| told.contact == Some(contact.0))
        && search.partner.is_none_or(|partner| facts.partner == Some(partner))
        && search.certificate.is_none_or(|one| facts.certificate == Some(one))
        && search.kind.is_none_or(|kind| facts.kind == kind)
        && search.op.as_ref().is_none_or(|op| facts.op == *op)
        && search.purpose.is_none_or(|purpose| facts.purpose == Some(purpose))
        && search.reason.is_none_or(|reason| facts.reason == Some(reason))
        && search.policy.is_none_or(|policy| facts.policy == Some(policy))
        && search.fields.bits() & fields.bits() == search.fields.bits()
        && search.from.is_none_or(|from| facts.at >= from)
        && search.until.is_none_or(|until| facts.at < until)
}

fn searches(partners: &[PartnerId]) -> Vec<Search> {
    let plain = Search::default;
    let at = |n: i64| Some(Moment(BEGIN + n * SECOND));
    let by_partner = Search { partner: Some(partners[0]), ..plain() };
    vec![
        plain(),
        by_partner.clone(),
        Search { partner: Some(PartnerId::new()), ..plain() },
        Search { certificate: Some(Thumbprint([1; 32])), ..plain() },
        Search {
            certificate: Some(Thumbprint([2; 32])),
            reason: Some(Reason::OptedOut),
            ..by_partner.clone()
        },
        Search { kind: Some(Kind::Withhold), ..plain() },
        Search { kind: Some(Kind::Erase), ..plain() },
        Search { op: Some("test.rare".into()), ..plain() },
        Search { purpose: Some(Purpose::Offers), policy: Some(PolicyVersion(2)), ..plain() },
        Search { reason: Some(Reason::FieldNotGranted), ..plain() },
        Search { fields: FieldSet::of(&[Field::Phone]), ..by_partner },
        Search { contact: Some(ContactNo(3)), ..plain() },
        Search {
            contact: Some(ContactNo(3)),
            purpose: Some(Purpose::Support),
            partner: Some(partners[1]),
            ..plain()
        },
        Search { from: at(100), until: at(200), ..plain() },
        Search { from: at(-DAY / SECOND * 3), until: at(-10), ..plain() },
        Search { from: at(398), until: at(403), ..plain() },
        Search { until: at(2), kind: Some(Kind::Release), ..plain() },
        Search { from: at(690), purpose: Some(Purpose::Support), ..plain() },
        Search { from: at(300), until: at(200), ..plain() },
        Search { from: at(9_000), ..plain() },
    ]
}

/// Appends the story in batches of odd lengths by two writers in turn.
pub(super) fn write(store: &Store, told: &[Told]) {
    let mut shelves = [store.shelf(), store.shelf()];
    for (turn, batch) in told.chunks(37).enumerate() {
        let draft = |one: &Told| {
            let items = one.contact.map(|no| item(Some(no), 1)).into_iter().collect();
            Draft::new(entry(one.facts.clone(), items))
        };
        append(&mut shelves[turn % 2], batch.iter().map(draft).collect());
    }
}

#[test]
fn a_search_finds_what_a_walk_over_all_entries_finds_page_by_page() {
    on_both(|bed| {
        let store = bed.store();
        let partners: Vec<_> = (0..12).map(|_| PartnerId::new()).collect();
        let told = story(&partners);
        write(&store, &told);
        let mut hits = 0;
        for search in searches(&partners) {
            for (newest_first, limit, horizon) in [(true, 7, 700), (false, 100, 650)] {
                let mut wanted: Vec<u64> = (0..horizon)
                    .filter(|n| fits(&search, &told[usize::try_from(*n).unwrap()]))
                    .collect();
                if newest_first {
                    wanted.reverse();
                }
                let (mut found, mut after) = (Vec::new(), None);
                loop {
                    let page = Page { horizon, after, newest_first, limit };
                    let asked = search.clone();
                    let some =
                        store.read_blocking(move |tx| find_entries(tx, &asked, &page)).unwrap();
                    after = some.last().copied();
                    found.extend_from_slice(&some);
                    if some.len() < usize::from(limit) {
                        break;
                    }
                }
                assert_eq!(found, wanted, "{search:?} newest first: {newest_first}");
                hits += found.len();
            }
        }
        // The story follows from a fixed rule, so what all searches find together does as well.
        assert_eq!(hits, 2813);
    });
}

/// How many entries ask under each combination of partner and certificate, and how many of those
/// combinations and shapes a search has to look through.
fn tracks(search: &Search, told: &[Told]) -> (usize, usize) {
    let shape = |facts: &Facts| {
        let (kind, op, purpose) = (facts.kind, facts.op.clone(), facts.purpose);
        (
            kind.code(),
            op,
            purpose.map(Purpose::code),
            facts.reason.map(Reason::code),
            facts.policy,
            facts.fields.map(FieldSet::bits),
        )
    };
    let asker = |facts: &Facts| (facts.partner, facts.certificate);
    let of_shape = Search {
        partner: None,
        certificate: None,
        contact: None,
        from: None,
        until: None,
        ..search.clone()
    };
    let of_asker =
        Search { partner: search.partner, certificate: search.certificate, ..Search::default() };
    let fitting = |search: &Search| told.iter().filter(|one| fits(search, one)).collect::<Vec<_>>();
    let askers: BTreeSet<_> = fitting(&of_asker).iter().map(|one| asker(&one.facts)).collect();
    if of_asker == Search::default() {
        let shapes: BTreeSet<_> = fitting(&of_shape).iter().map(|one| shape(&one.facts)).collect();
        return (0, shapes.len());
    }
    let both = Search { partner: search.partner, certificate: search.certificate, ..of_shape };
    let tracks: BTreeSet<_> =
        fitting(&both).iter().map(|one| (asker(&one.facts), shape(&one.facts))).collect();
    (askers.len(), tracks.len())
}

/// The least and the most statements of a search: where the ledger begins, the places of its two
/// times, the shapes, the askers, the shapes of each asker, then all tracks together in `ROUNDS`
/// at most.
fn statements(search: &Search, told: &[Told]) -> RangeInclusive<usize> {
    let times = usize::from(search.from.is_some()) + 2 * usize::from(search.until.is_some());
    let timeless = Search { from: None, until: None, ..search.clone() };
    let plain = timeless == Search::default();
    let (askers, tracks) = tracks(search, told);
    let by_asker = search.partner.is_some() || search.certificate.is_some();
    let by_shape =
        Search { partner: None, certificate: None, contact: None, ..timeless } != Search::default();
    // Nothing can lie in it: known as soon as its times are places.
    let beyond = Some(Moment(BEGIN + 2 * 700 * SECOND));
    if search.from > beyond || search.until.is_some_and(|until| search.from > Some(until)) {
        return 1 + times..=1 + times;
    }
    let before = 1 + times + usize::from(by_asker) + usize::from(by_shape);
    match search.contact {
        Some(_) => before + 1..=before + 1,
        None if plain => before + 1..=before + 1,
        None => {
            let rounds = if search.until.is_some() { ROUNDS_BACK } else { ROUNDS };
            // That no track lies in the run is known from where they begin, on a server.
            let least = usize::from(tracks > 0 && search.until.is_none());
            before + askers + least..=before + askers + rounds * tracks.min(1)
        }
    }
}

/// Most rounds until a page is certain.
const ROUNDS: usize = 3;

/// The same before a time, behind a clock that was set back: as often as a piece of one row has to
/// double to hold the 700 entries whose time may or may not fit.
const ROUNDS_BACK: usize = 10;

#[test]
fn a_search_takes_a_few_rounds_over_its_tracks_however_long_the_ledger() {
    on_both(|bed| {
        let store = bed.store();
        let partners: Vec<_> = (0..12).map(|_| PartnerId::new()).collect();
        let told = story(&partners);
        write(&store, &told);
        let mut all = 0;
        for (search, limit) in searches(&partners)
            .into_iter()
            .flat_map(|one| [1, 7, 100].map(move |limit| (one.clone(), limit)))
        {
            let page = Page { horizon: 700, after: None, newest_first: true, limit };
            let expected = statements(&search, &told);
            let asked = search.clone();
            let counted = store
                .read_blocking(move |tx| find_entries(tx, &asked, &page).map(|_| tx.statements()))
                .unwrap();
            let counted = usize::try_from(counted).unwrap();
            assert!(expected.contains(&counted), "{counted} of {expected:?}: {limit} {search:?}");
            all += counted;
        }
        // The story follows from a fixed rule, so what all searches read together does as well.
        assert_eq!(all, if bed.is_postgres() { 280 } else { 276 });
    });
}

type StepColumns = (Nullable<BigInt>, Nullable<BigInt>, Nullable<BigInt>, Text);
type Step = (Option<i64>, Option<i64>, Option<i64>, String);

/// The places of a text filled in with what the story has: the statistics of a server speak of
/// these values as they do of those of a real question.
fn filled(text: &str, (asker, shape): (i32, i32)) -> String {
    let stretch = ["-1", "700", "0", "9223372036854775807"].map(str::to_owned);
    let (asker, shape) = (asker.to_string(), shape.to_string());
    let page = "100".to_owned();
    let values = if text.contains("unnest") {
        let array = |number: &str, of: &str| format!("'{{{number},{number}}}'::{of}[]");
        let [low, high, times @ ..] = stretch;
        let (end, beyond) = if text.contains("> $4") { (low, high) } else { (high, low) };
        let track = vec![array(&asker, "int"), array(&shape, "int"), array(&beyond, "bigint")];
        [track, vec![end], times.to_vec(), vec![page]].concat()
    } else if text.contains("json_each") {
        let [low, high, from, until] = stretch;
        vec![low, high, format!("'[[{asker},{shape}]]'"), page, from, until]
    } else if text.contains("disclosed_item") {
        [vec!["3".to_owned()], stretch.to_vec(), vec![page]].concat()
    } else if text.contains("met") {
        vec![asker]
    } else if text.contains("half") {
        [700, BEGIN].map(|value| format!("CAST({value} AS BIGINT)")).to_vec()
    } else {
        let by_asker = text.contains("asker").then_some(asker);
        let by_shape = text.contains("shape").then_some(shape);
        let numbers = by_asker.into_iter().chain(by_shape).chain([page]);
        stretch.into_iter().chain(numbers).collect()
    };
    let places = (1..).zip(values).collect::<Vec<_>>();
    places
        .into_iter()
        .rev()
        .fold(text.to_owned(), |text, (place, value)| text.replace(&format!("${place}"), &value))
}

/// How the database would do it, in one line.
fn plan(connection: &mut AnyConnection, text: &str) -> String {
    match connection {
        AnyConnection::Sqlite(_) => {
            let text = format!("EXPLAIN QUERY PLAN {text}").leak();
            let rows: Vec<Step> = fixed::<StepColumns>(text).load(connection).unwrap();
            rows.into_iter().map(|row| row.3).collect::<Vec<_>>().join("; ")
        }
        AnyConnection::Postgres(_) => {
            let rows: Vec<String> = fixed::<Text>(format!("EXPLAIN (COSTS OFF) {text}").leak())
                .load(connection)
                .unwrap();
            rows.join("; ")
        }
    }
}

/// What the plan calls the index. On `PostgreSQL` it is that of the first partition, and the
/// server names it after table and columns.
fn named(index: &str, postgres: bool) -> &str {
    match (index, postgres) {
        ("primary", false) => "PRIMARY KEY",
        ("primary", true) => "_0_pkey",
        ("ledger_projection_asker", true) => "ledger_projection_0_asker_shape_idx_idx",
        ("ledger_projection_shape", true) => "ledger_projection_0_shape_idx_idx",
        ("ledger_projection_late", true) => "ledger_projection_0_late_idx",
        (index, _) => index,
    }
}

#[test]
fn no_search_scans_or_sorts_the_ledger() {
    on_both(|bed| {
        let store = bed.store();
        let partners: Vec<_> = (0..12).map(|_| PartnerId::new()).collect();
        write(&store, &story(&partners));
        let mut connection = connection::open(&bed.url, Use::Write).unwrap();
        let postgres = bed.is_postgres();
        if postgres {
            // Seven hundred rows are quicker to scan than to look up; ten million are not.
            diesel::connection::SimpleConnection::batch_execute(
                &mut connection,
                "SET enable_seqscan = off; SET enable_bitmapscan = off; ANALYZE ledger_projection",
            )
            .unwrap();
        }
        // The partner who asks most, and what it is most often told.
        let common: Vec<(i32, i32)> = fixed::<(Integer, Integer)>(
            "SELECT asker, shape FROM ledger_projection WHERE purpose IS NOT NULL \
             GROUP BY asker, shape ORDER BY count(*) DESC, asker, shape LIMIT 1",
        )
        .load(&mut connection)
        .unwrap();
        for Statement { index, postgres: only, texts } in search_rows::statements() {
            if only.is_some_and(|only| only != postgres) {
                continue;
            }
            for text in texts {
                let plan = plan(&mut connection, &filled(text, common[0]));
                assert!(plan.contains(named(index, postgres)), "{index}: {text}\n{plan}");
                let scans =
                    ["Seq Scan on ledger", "SCAN p", "SCAN ledger", "TEMP B-TREE", "->  Sort"];
                assert!(!scans.iter().any(|scan| plan.contains(scan)), "{text}\n{plan}");
            }
        }
    });
}
