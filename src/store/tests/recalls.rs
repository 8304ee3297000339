//! Rows of recalls: opened from what the ledger says, moved on once, gone with the person.

use super::ledger::{append, count, entry, facts, item};
use super::rows::{change, contact, enter, partner};
use super::*;
use crate::clock::{DAY, Moment};
use crate::domain::purpose::Purpose;
use crate::domain::recall::{Recall, RecallCause, RecallState, Receivers, RefusalGround, Scope};
use crate::id::{ContactNo, PartnerId, RecallId};
use crate::ledger::{Draft, Facts, Kind, Refused};
use crate::store::recall_rows::RecallQuery;

const SHE: ContactNo = ContactNo(1);
const NOW: Moment = Moment(1_700_000_000_000_000);

fn release(store: &Store, partner: PartnerId, purpose: Purpose, no: i64) {
    let byte = u8::try_from(no).unwrap();
    let facts = Facts { partner: Some(partner), purpose: Some(purpose), ..facts(Kind::Release) };
    let draft = Draft {
        response_salt: Some([2; 16]),
        ..Draft::new(entry(facts, vec![item(Some(no), byte)]))
    };
    assert!(append(&mut store.shelf(), vec![draft]).outcomes[0].is_ok());
}

fn open(store: &Store, scope: Scope, cause: RecallCause, at: Moment) -> u64 {
    let known = Receivers::default();
    let open =
        move |tx: &mut WriteTx| recall_rows::open_recalls(tx, SHE, known, (scope, cause), at);
    change(store, open).unwrap()
}

fn of_her(store: &Store) -> Vec<Recall> {
    store.read_blocking(|tx| recall_rows::list_recalls_of(tx, SHE)).unwrap()
}

#[test]
fn a_recall_is_opened_for_each_receiver_and_moves_on_once() {
    on_both(|bed| {
        let store = bed.store();
        let (acme, bravo) = (partner("acme"), partner("bravo"));
        let (one, two) = (acme.id, bravo.id);
        change(&store, move |tx| {
            partner_rows::insert_partner(tx, &acme)?;
            partner_rows::insert_partner(tx, &bravo)
        })
        .unwrap();
        enter(&store, vec![contact(1, "DE"), contact(2, "DE")]);
        open(&store, Scope::ALL, RecallCause::Staff, NOW);
        assert_eq!(of_her(&store), [], "nobody received anything");

        release(&store, one, Purpose::Offers, 1);
        release(&store, one, Purpose::Support, 1);
        release(&store, two, Purpose::Support, 1);
        release(&store, two, Purpose::Offers, 2);
        let offers = Scope { purpose: Some(Purpose::Offers), partner: None };
        let index = open(&store, offers, RecallCause::Choice, NOW);
        let opened = of_her(&store);
        assert_eq!(opened.len(), 1, "the other received offers of somebody else");
        let first = opened[0].clone();
        assert_eq!((first.partner, first.purpose), (one, Some(Purpose::Offers)));
        assert_eq!((first.opened, first.last, first.state), (index, index, RecallState::Open));
        assert_eq!(first.due_at, NOW.plus(8 * DAY).day_start().plus(-1), "to the end of the day");
        open(&store, Scope::ALL, RecallCause::Withdrawal, NOW);
        assert_eq!(of_her(&store).len(), 3, "support is still with both");
        open(&store, Scope::ALL, RecallCause::Erasure, NOW);
        assert_eq!(of_her(&store).len(), 3, "all of it was demanded back");

        let of = first.clone();
        let told =
            change(&store, move |tx| recall_rows::move_recall(tx, &of, RecallState::Told, None));
        let moved = store.read_blocking(move |tx| recall_rows::find_recall(tx, first.id));
        let moved = moved.unwrap().unwrap();
        assert_eq!((moved.state, moved.last), (RecallState::Told, told.unwrap()));
        let of = first.clone();
        let twice =
            change(&store, move |tx| recall_rows::move_recall(tx, &of, RecallState::Told, None));
        assert!(matches!(twice, Err(Refused::Conflict(_))), "{twice:?}");
        let ground = Some(RefusalGround::LegalClaim);
        change(&store, move |tx| {
            recall_rows::move_recall(tx, &moved, RecallState::Refused, ground)
        })
        .unwrap();
        let refused = of_her(&store)[0].clone();
        assert_eq!((refused.state, refused.ground), (RecallState::Refused, ground));
        waiting(&store, (one, two), &refused);
    });
}

fn waiting(store: &Store, (one, two): (PartnerId, PartnerId), refused: &Recall) {
    let undelivered = |partner, limit| {
        store.read_blocking(move |tx| recall_rows::list_undelivered(tx, partner, limit)).unwrap()
    };
    assert_eq!(undelivered(one, 10).len(), 1, "what was refused is not told again");
    assert_eq!(undelivered(two, 0).len(), 0);
    let list = |of| store.read_blocking(move |tx| recall_rows::list_recalls(tx, of)).unwrap();
    let all = RecallQuery { answered: true, limit: 10, ..RecallQuery::default() };
    assert_eq!(list(all), of_her(store));
    let mut paged = Vec::new();
    let mut page = RecallQuery { limit: 1, ..all };
    while let Some(last) = list(page).pop() {
        page.after = Some((last.opened, last.id));
        paged.push(last);
    }
    assert_eq!(paged, of_her(store), "page by page, none twice and none left out");
    assert_eq!(list(RecallQuery { partner: Some(two), ..all }).len(), 1);
    assert_eq!(list(RecallQuery { answered: false, ..all }).len(), 2);

    let late = |now| store.read_blocking(move |tx| recall_rows::list_late(tx, now, 10)).unwrap();
    assert_eq!(late(refused.due_at), [], "the last moment counts");
    let after = refused.due_at.plus(1);
    assert_eq!(late(after).len(), 2);
    let id = late(after)[0].id;
    let noted = change(store, move |tx| recall_rows::note_overdue(tx, id)).unwrap();
    assert_eq!(late(after).len(), 1);
    let found = store.read_blocking(move |tx| recall_rows::find_recall(tx, id)).unwrap();
    assert_eq!(found.unwrap().overdue, Some(noted));
    let refused = refused.id;
    for id in [id, refused, RecallId::new()] {
        let again = change(store, move |tx| recall_rows::note_overdue(tx, id));
        assert!(matches!(again, Err(Refused::Conflict(_))), "{again:?}");
    }
    change(store, |tx| recall_rows::delete_recalls(tx, SHE)).unwrap();
    assert_eq!(count(store, "SELECT count(*) FROM recall"), 0);
}
