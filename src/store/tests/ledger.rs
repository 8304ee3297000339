//! The append: order, refusals, effects, several writers, lost connections.

use std::borrow::Cow;
use std::thread;

use diesel::RunQueryDsl as _;
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::BigInt;

use super::*;
use crate::clock::Moment;
use crate::domain::disclosure::Reason;
use crate::domain::field::{Field, FieldSet};
use crate::domain::purpose::Purpose;
use crate::id::{ContactNo, ContactRef, PartnerId, PolicyVersion, RequestId, Thumbprint};
use crate::ledger::entry::ReadEntry;
use crate::ledger::{
    Appended, Archive as _, Draft, Entry, Facts, Item, Kind, Prepared, Refused, Shelf as _,
    ShelfError, items,
};
use crate::merkle::Hash;
use crate::merkle::tree::Frontier;
use crate::store::connection::{self, Use};
use crate::store::statement::fixed;

pub(super) fn entry(facts: Facts, items: Vec<Item>) -> Entry {
    Entry::new(facts, items, crate::secret::random().unwrap()).unwrap()
}

pub(super) fn facts(kind: Kind) -> Facts {
    Facts::new(kind, "test.run", RequestId::new(), Moment(1_700_000_000_000_000))
}

pub(super) fn draft(kind: Kind) -> Draft<Effect> {
    let restricting = matches!(kind, Kind::Withdraw | Kind::Erase);
    Draft::new(entry(Facts { restricting, ..facts(kind) }, Vec::new()))
}

pub(super) fn append(shelf: &mut SqlShelf, drafts: Vec<Draft<Effect>>) -> Appended {
    shelf.append(drafts.into_iter().map(Prepared::from).collect()).unwrap()
}

pub(super) fn item(no: Option<i64>, reference: u8) -> Item {
    Item {
        contact_no: no.map(ContactNo),
        contact_ref: ContactRef([reference; 16]),
        fields: FieldSet::of(&[Field::Email]),
        salt: [9; 16],
        version: 1,
    }
}

pub(super) fn count(store: &Store, sql: &'static str) -> i64 {
    store.read_blocking(move |tx| Ok(fixed::<BigInt>(sql).get_result(tx.statement())?)).unwrap()
}

#[test]
fn entries_get_contiguous_indices_and_the_head_grows_with_them() {
    on_both(|bed| {
        let store = bed.store();
        let mut shelf = store.shelf();
        let mut frontier = Frontier::new();
        let mut bodies = Vec::new();
        // Over two borders of 256, in batches of odd lengths.
        for length in [1, 254, 1, 3, 300] {
            let drafts: Vec<_> = (0..length).map(|_| draft(Kind::AuditQuery)).collect();
            for one in &drafts {
                frontier.push(one.entry.leaf());
                bodies.push(one.entry.bytes().to_vec());
            }
            let appended = append(&mut shelf, drafts);
            let before = appended.before.size();
            let indices: Vec<u64> = appended.outcomes.into_iter().map(Result::unwrap).collect();
            assert_eq!(indices, (before..before + length).collect::<Vec<_>>());
            assert_eq!(appended.after.frontier, frontier);
            assert_eq!(shelf.head().unwrap(), appended.after);
        }
        assert_eq!(shelf.bodies(0, 1_000).unwrap(), bodies);
        assert_eq!(shelf.bodies(255, 258).unwrap(), bodies[255..258]);
        assert_eq!(shelf.tile(0, 2).unwrap(), None);
        for n in 0..2 {
            let tile = shelf.tile(0, n).unwrap().unwrap();
            let from = usize::try_from(n).unwrap() * 256;
            let leaves: Vec<Hash> =
                bodies[from..from + 256].iter().map(|body| Hash::leaf(body)).collect();
            assert_eq!(tile.hashes(), leaves);
            assert_eq!(shelf.tile_roots(0, n, 9).unwrap()[0], tile.root());
        }
        // A reader sees the same rows.
        let head = store.read_blocking(|tx| Ok(tx.head().unwrap())).unwrap();
        assert_eq!((head.size(), head.frontier), (559, frontier));
    });
}

#[test]
fn a_projection_says_what_the_entry_says() {
    on_both(|bed| {
        let store = bed.store();
        let release = Facts {
            partner: Some(PartnerId::new()),
            certificate: Some(Thumbprint::of(b"certificate")),
            purpose: Some(Purpose::Offers),
            policy: Some(PolicyVersion(3)),
            fields: Some(FieldSet::of(&[Field::Email, Field::Country])),
            op: Cow::Borrowed("leads.list"),
            ..facts(Kind::Release)
        };
        let withhold = Facts { reason: Some(Reason::OptedOut), ..facts(Kind::Withhold) };
        let mut drafts = vec![
            Draft::new(entry(release.clone(), vec![item(Some(4), 4), item(Some(9), 9)])),
            Draft::new(entry(withhold, Vec::new())),
        ];
        drafts[0].response_salt = Some([5; 16]);
        let expected: Vec<_> = drafts.iter().map(|one| one.entry.clone()).collect();
        append(&mut store.shelf(), drafts);

        let find = |tx: &mut ReadTx| -> Result<Vec<_>, StoreError> {
            (0..2).map(|index| audit_rows::find_projection(tx, index)).collect()
        };
        let found = store.read_blocking(find).unwrap();
        for (index, projection) in (0_u64..).zip(&found) {
            let projection = projection.as_ref().unwrap();
            let entry = &expected[usize::try_from(index).unwrap()];
            let mut wanted = crate::ledger::Projection::of(entry.facts());
            wanted.item_hashes = entry.item_hashes().to_vec();
            wanted.response_salt = (index == 0).then_some([5; 16]);
            assert_eq!(*projection, wanted);
            let read = ReadEntry::parse(entry.bytes()).unwrap();
            assert_eq!(read.facts.kind, projection.kind);
        }
        let partner = release.partner.unwrap();
        let (none, disclosures) = store
            .read_blocking(move |tx| {
                let none = audit_rows::find_projection(tx, 7)?;
                Ok((none, audit_rows::list_disclosures(tx, ContactNo(9))?))
            })
            .unwrap();
        assert_eq!(none, None);
        assert_eq!(disclosures.len(), 1);
        assert_eq!((disclosures[0].index, disclosures[0].position), (0, 1));
        assert_eq!(disclosures[0].partner, partner);
        assert_eq!(disclosures[0].item, item(None, 9).bytes());
        assert_eq!(disclosures[0].fields, FieldSet::of(&[Field::Email]));
    });
}

#[test]
fn what_was_decided_before_a_restriction_is_stale() {
    on_both(|bed| {
        let store = bed.store();
        let mut shelf = store.shelf();
        let decided_at = |seen| Draft { decided_at: Some(seen), ..draft(Kind::Release) };
        let outcomes = append(
            &mut shelf,
            vec![decided_at(0), draft(Kind::Withdraw), decided_at(0), decided_at(1), decided_at(2)],
        )
        .outcomes;
        let stale = || Err(Refused::Stale);
        assert_eq!(outcomes, [Ok(0), Ok(1), stale(), stale(), Ok(2)]);
        assert_eq!(shelf.head().unwrap().last_restricting, Some(1));
        let later = append(&mut shelf, vec![decided_at(1), decided_at(3)]).outcomes;
        assert_eq!(later, [stale(), Ok(3)]);
        let all_refused = append(&mut shelf, vec![decided_at(0)]);
        assert_eq!(all_refused.before, all_refused.after);
    });
}

#[test]
fn an_effect_that_fails_refuses_its_own_draft_and_leaves_nothing() {
    on_both(|bed| {
        let store = bed.store();
        let with = |effect| Draft { effect: Some(effect), ..draft(Kind::StaffAct) };
        let note = |byte: u8, fails: bool| {
            with(Effect::new(move |tx| {
                idempotency_rows::insert_answer(tx, &[byte; 32], &[0; 32], Moment(1))?;
                if fails { Err(EffectError::Invalid("no".into())) } else { Ok(()) }
            }))
        };
        let outcomes = append(
            &mut store.shelf(),
            vec![
                note(1, false),
                note(2, true),
                draft(Kind::AuditQuery),
                note(1, false),
                note(3, false),
            ],
        )
        .outcomes;
        assert_eq!((&outcomes[0], &outcomes[2], &outcomes[4]), (&Ok(0), &Ok(1), &Ok(2)));
        assert_eq!(outcomes[1], Err(Refused::Invalid("no".into())));
        assert!(matches!(&outcomes[3], Err(Refused::Conflict(_))), "{outcomes:?}");
        let answers = store
            .read_blocking(|tx| {
                [1, 2, 3]
                    .iter()
                    .map(|byte| idempotency_rows::find_answer(tx, &[*byte; 32]))
                    .collect::<Result<Vec<_>, _>>()
            })
            .unwrap();
        let indices: Vec<_> = answers.iter().map(|one| one.map(|answer| answer.index)).collect();
        assert_eq!(indices, [Some(0), None, Some(2)]);
        assert_eq!(count(&store, "SELECT count(*) FROM ledger_entry"), 3);
    });
}

#[test]
fn two_writers_interleave_without_a_gap() {
    const EACH: u64 = 60;
    on_both(|bed| {
        let store = bed.store();
        let mut indices: Vec<u64> = thread::scope(|scope| {
            let writers: Vec<_> = (0..2)
                .map(|_| {
                    let mut shelf = store.shelf();
                    scope.spawn(move || {
                        let mut indices = Vec::new();
                        while indices.len() < usize::try_from(EACH).unwrap() {
                            match shelf.append(vec![draft(Kind::AuditQuery).into()]) {
                                Ok(appended) => indices.push(appended.outcomes[0].clone().unwrap()),
                                Err(ShelfError::Busy(_)) => {}
                                Err(broken) => panic!("{broken:?}"),
                            }
                        }
                        indices
                    })
                })
                .collect();
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        indices.sort_unstable();
        assert_eq!(indices, (0..2 * EACH).collect::<Vec<_>>());
        let mut shelf = store.shelf();
        let bodies = shelf.bodies(0, 1_000).unwrap();
        let frontier: Frontier = bodies.iter().map(|body| Hash::leaf(body)).collect();
        assert_eq!(shelf.head().unwrap().frontier, frontier);
    });
}

#[test]
fn a_held_lock_is_busy_and_not_for_ever() {
    on_both(|bed| {
        let store = bed.store();
        let mut holder = connection::open(&bed.url, Use::Write).unwrap();
        dialect::begin_locked(&mut holder).unwrap();
        let mut shelf = store.shelf();
        let refused = shelf.append(vec![draft(Kind::AuditQuery).into()]);
        assert!(matches!(refused, Err(ShelfError::Busy(_))), "{refused:?}");
        holder.batch_execute("ROLLBACK").unwrap();
        assert_eq!(append(&mut shelf, vec![draft(Kind::AuditQuery)]).outcomes, [Ok(0)]);
    });
}

#[test]
fn what_is_written_cannot_be_rewritten() {
    on_both(|bed| {
        let store = bed.store();
        let mut drafts: Vec<_> = (0..256).map(|_| draft(Kind::AuditQuery)).collect();
        drafts[0] = Draft {
            response_salt: Some([1; 16]),
            ..Draft::new(entry(facts(Kind::Release), (1..4).map(|n| item(Some(n), 1)).collect()))
        };
        append(&mut store.shelf(), drafts);
        let mut connection = connection::open(&bed.url, Use::Write).unwrap();
        for forbidden in [
            "UPDATE ledger_entry SET body = body WHERE idx = 3",
            "DELETE FROM ledger_entry WHERE idx = 3",
            "UPDATE ledger_tile SET n = 7",
            "DELETE FROM ledger_tile",
            "UPDATE disclosed_item SET pos = 4",
            "UPDATE ledger_items SET idx = 5",
            "UPDATE ledger_items SET items = items",
            "DELETE FROM ledger_items",
            "UPDATE ledger_projection SET kind = 'intake' WHERE idx = 3",
            "UPDATE ledger_projection SET response_salt = item_hashes WHERE idx = 0",
            "DELETE FROM ledger_projection WHERE idx = 3",
            "DELETE FROM ledger_head",
        ] {
            assert!(connection.batch_execute(forbidden).is_err(), "{forbidden}");
        }
        for permitted in [
            "UPDATE ledger_projection SET response_salt = NULL WHERE idx = 0",
            "DELETE FROM disclosed_item WHERE contact_no = 1",
        ] {
            connection.batch_execute(permitted).unwrap();
        }
        assert_eq!(count(&store, "SELECT count(*) FROM ledger_projection"), 256);
    });
}

#[test]
fn of_the_items_of_an_entry_one_can_be_cut_and_nothing_else_changes() {
    on_both(|bed| {
        let store = bed.store();
        let items: Vec<Item> = (1..6).map(|n| item(Some(n), 7)).collect();
        let whole = entry(facts(Kind::Release), items).item_run().to_vec();
        let mut drafts = Vec::new();
        for _ in 0..2 {
            let items = (1..6).map(|n| item(Some(n), 7)).collect();
            drafts.push(Draft::new(entry(facts(Kind::Release), items)));
        }
        append(&mut store.shelf(), drafts);
        let mut connection = connection::open(&bed.url, Use::Write).unwrap();
        let mut write = |run: &[u8]| {
            fixed::<()>("UPDATE ledger_items SET items = $1 WHERE idx = 1")
                .bind::<diesel::sql_types::Binary, _>(run)
                .execute(&mut connection)
        };
        let cut = |run: &[u8], position| items::cut(run, position).unwrap();
        let once = cut(&whole, 2);
        let length = whole.len() / 5;
        let mut altered = once.clone();
        altered[once.len() - 1] ^= 1;
        let mut before = once.clone();
        before[3] ^= 1;
        for forbidden in [
            &[] as &[u8],
            &whole[..length * 4],
            &whole[length..],
            &cut(&once, 3),
            &altered,
            &before,
            &[&once[..], &[0, 0]].concat(),
            &[&whole[..], b"more"].concat(),
            &[&whole[..2 * length + 2], &whole[2 * length + 4..]].concat(),
        ] {
            assert!(write(forbidden).is_err(), "{} of {}", forbidden.len(), whole.len());
        }
        let mut run = whole;
        for position in [2, 0, 4, 3, 1] {
            run = cut(&run, position);
            assert_eq!(write(&run), Ok(1), "{position}");
            assert!(write(&run).is_err(), "the same again");
        }
        assert_eq!(run, [0; 10]);
    });
}

#[test]
fn a_snapshot_shows_head_and_rows_of_one_moment() {
    on_both(|bed| {
        let store = bed.store();
        let url = bed.url.clone();
        let (first, bodies, second) = store
            .read_blocking(move |tx| {
                let first = release_rows::read_head(tx)?.size;
                let mut shelf = SqlShelf::new(url);
                append(&mut shelf, vec![draft(Kind::AuditQuery)]);
                let bodies = tx.bodies(0, 10).unwrap().len();
                Ok((first, bodies, release_rows::read_head(tx)?.size))
            })
            .unwrap();
        assert_eq!((first, bodies, second), (0, 0, 0));
        let now = store.read_blocking(release_rows::read_head).unwrap();
        assert_eq!((now.size, now.last_restricting), (1, None));
    });
}

#[test]
fn a_killed_connection_is_busy_and_then_opened_anew() {
    let Some(server) = postgres::server() else { return };
    let address = server.empty();
    let name = address.rsplit_once('/').unwrap().1.to_owned();
    let url = Url::parse(&address).unwrap();
    migrate(&url).unwrap();
    let store = Store::open(&url, OpenOptions { readers: 1, create: false }).unwrap();
    let mut shelf = store.shelf();
    append(&mut shelf, vec![draft(Kind::AuditQuery)]);

    // In the middle of a read, and in the middle of an append.
    let die = |tx: &mut ReadTx| {
        let suicide = "SELECT pg_terminate_backend(pg_backend_pid())::int::bigint";
        // Whether this row still arrives is chance; the next statement fails.
        let _ = fixed::<BigInt>(suicide).get_result::<i64>(tx.statement());
        release_rows::read_head(tx)
    };
    let lost = store.read_blocking(die);
    assert!(matches!(lost, Err(StoreError::Busy(_))), "{lost:?}");
    assert_eq!(store.read_blocking(release_rows::read_head).unwrap().size, 1);
    let effect = Effect::new(move |tx| Ok(die(tx).map(drop)?));
    let dying = Draft { effect: Some(effect), ..draft(Kind::StaffAct) };
    let lost = shelf.append(vec![dying.into()]);
    assert!(matches!(lost, Err(ShelfError::Busy(_))), "{lost:?}");
    assert_eq!(append(&mut shelf, vec![draft(Kind::AuditQuery)]).outcomes, [Ok(1)]);

    // While idle: nothing was asked yet, so nobody notices.
    server.sql(&format!(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
    ));
    assert_eq!(store.read_blocking(release_rows::read_head).unwrap().size, 2);
    assert_eq!(append(&mut shelf, vec![draft(Kind::AuditQuery)]).outcomes, [Ok(2)]);
}

#[test]
fn a_store_works_from_async_code_and_survives_a_panicking_read() {
    on_both(|bed| {
        let store = bed.store();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut shelf = store.shelf();
            assert_eq!(shelf.head().unwrap().size(), 0);
            for _ in 0..4 {
                let panicked = store.read(|_| -> Result<(), _> { panic!("on purpose") }).await;
                assert!(matches!(panicked, Err(StoreError::Busy(_))), "{panicked:?}");
            }
            assert_eq!(store.read(release_rows::read_head).await.unwrap().size, 0);
            drop(shelf);
        });
    });
}
