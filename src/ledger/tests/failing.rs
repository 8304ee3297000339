//! A store that fails at each of its operations in both ways, not done and done but reported as
//! failed: what was promised is there, once, and proved.

use super::*;
use crate::ledger::memory::{Fault, Rows};
use crate::ledger::verify::{self, Plan, verify_receipt};
use crate::ledger::{Appended, Archive, Head, Notary, Prepared, SequencerError, Shelf, ShelfError};
use crate::merkle::Hash;
use crate::merkle::tile::Tile;
use std::sync::{Arc, Mutex};

/// What is true of an operation that reports a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Nothing of it was done.
    NotDone,
    /// All of it was done and, if it writes, persists.
    Done,
}

#[derive(Debug, Clone, Copy)]
struct Strike {
    /// Which operation, counted from the start of the first process.
    at: usize,
    way: Way,
    fault: Fault,
}

/// A shelf that counts its operations and fails one of them.
#[derive(Clone)]
struct Frail {
    shelf: MemoryShelf,
    strike: Option<Strike>,
    done: Arc<Mutex<Vec<&'static str>>>,
}

impl Frail {
    fn operate<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut MemoryShelf) -> Result<T, ShelfError>,
    ) -> Result<T, ShelfError> {
        let mut done = self.done.lock().unwrap();
        let strike = self.strike.filter(|strike| strike.at == done.len());
        done.push(name);
        drop(done);
        let Some(strike) = strike else { return work(&mut self.shelf) };
        if strike.way == Way::Done {
            work(&mut self.shelf)?;
        }
        Err(match strike.fault {
            Fault::Busy => ShelfError::Busy(name.into()),
            Fault::Broken => ShelfError::Broken(name.into()),
        })
    }
}

impl Archive for Frail {
    fn head(&mut self) -> Result<Head, ShelfError> {
        self.operate("head", Archive::head)
    }

    fn bodies(&mut self, from: u64, until: u64) -> Result<Vec<Vec<u8>>, ShelfError> {
        self.operate("bodies", |shelf| shelf.bodies(from, until))
    }

    fn tile(&mut self, level: u8, n: u64) -> Result<Option<Tile>, ShelfError> {
        self.operate("tile", |shelf| shelf.tile(level, n))
    }

    fn tile_roots(&mut self, level: u8, from: u64, until: u64) -> Result<Vec<Hash>, ShelfError> {
        self.operate("tile_roots", |shelf| shelf.tile_roots(level, from, until))
    }
}

impl Shelf for Frail {
    type Effect = MemoryEffect;

    fn append(&mut self, batch: Vec<Prepared<MemoryEffect>>) -> Result<Appended, ShelfError> {
        self.operate("append", |shelf| shelf.append(batch))
    }
}

/// What is to be recorded: enough to fill a tile that has one place left.
fn wanted() -> [Entry; 3] {
    [release(5000, 2), withdraw(5001), withhold(5002)]
}

fn place_of(rows: &Rows, entry: &Entry) -> Vec<u64> {
    let same = rows.bodies.iter().filter(|(_, body)| *body == entry.bytes());
    same.map(|(index, _)| *index).collect()
}

/// One process: goes on with what is not recorded yet, looking before it tries again, until all is
/// recorded or the store breaks. The receipts it hands out.
fn one_process(frail: &Frail) -> Vec<String> {
    let Ok(sequencer) = Sequencer::start(frail.clone(), vec![signer()]) else { return Vec::new() };
    let mut handed_out = Vec::new();
    for (n, entry) in wanted().iter().enumerate() {
        while place_of(&frail.shelf.rows(), entry).is_empty() {
            let again = wanted().into_iter().nth(n).unwrap();
            match sequencer.submit(Draft::new(again)).wait() {
                Ok(receipt) => handed_out.push(receipt.proof().to_string()),
                Err(SequencerError::Busy) => assert!(!sequencer.is_poisoned()),
                Err(error) => {
                    assert_eq!(error, SequencerError::Poisoned);
                    let size = frail.shelf.rows().size;
                    let refused = sequencer.submit(Draft::new(withhold(1))).wait();
                    assert_eq!(refused.unwrap_err(), SequencerError::Poisoned);
                    assert!(sequencer.is_poisoned());
                    assert_eq!(frail.shelf.rows().size, size, "nothing is written after that");
                    return handed_out;
                }
            }
        }
    }
    sequencer.close();
    handed_out
}

/// A ledger that began with these rows lives through the strike; the operations that were asked for.
fn live_through(rows: &Rows, strike: Option<Strike>) -> Vec<&'static str> {
    let (shelf, size) = (MemoryShelf::new(), rows.size);
    shelf.tamper(|empty| *empty = rows.clone());
    let frail = Frail { shelf, strike, done: Arc::default() };
    let mut handed_out = Vec::new();
    for _ in 0..3 {
        handed_out.extend(one_process(&frail));
    }
    let mut shelf = frail.shelf.clone();
    let mut plan = Plan { log: vec![log_key()], ..Plan::default() };
    for receipt in &handed_out {
        let verified = verify_receipt(receipt, &policy()).unwrap();
        let rows = shelf.rows();
        assert_eq!(rows.bodies[&verified.index], verified.bytes, "{strike:?}");
        plan.checkpoints.push(verified.checkpoint.sign(&[signer()]).unwrap());
    }
    assert_eq!(shelf.rows().size, size + 3, "{strike:?}");
    let report = verify::everything(&mut shelf, &plan, |_| ()).unwrap();
    assert!(report.is_sound(), "{strike:?}: {:?}", report.findings);
    let notary = Notary::new(vec![signer()]);
    for entry in wanted() {
        let places = place_of(&shelf.rows(), &entry);
        assert_eq!(places.len(), 1, "{strike:?}: recorded once");
        // Who got no receipt in time gets one now.
        let proof = notary.receipt(&mut shelf, places[0]).unwrap().to_string();
        assert_eq!(verify_receipt(&proof, &policy()).unwrap().bytes, entry.bytes());
    }
    let lost = strike.is_some_and(|strike| {
        strike.way == Way::Done && frail.done.lock().unwrap()[strike.at] == "append"
    });
    assert_eq!(handed_out.len(), if lost { 2 } else { 3 }, "{strike:?}");
    Arc::try_unwrap(frail.done).map(|done| done.into_inner().unwrap()).unwrap_or_default()
}

#[test]
fn a_store_that_fails_at_any_operation_in_either_way_loses_and_doubles_nothing() {
    for size in [0, 255, 256] {
        let rows = filled(size).rows();
        let sunny = live_through(&rows, None);
        let first_process = sunny.iter().rposition(|name| *name == "append").unwrap();
        for at in 0..=first_process {
            for way in [Way::NotDone, Way::Done] {
                for fault in [Fault::Busy, Fault::Broken] {
                    live_through(&rows, Some(Strike { at, way, fault }));
                }
            }
        }
    }
}
