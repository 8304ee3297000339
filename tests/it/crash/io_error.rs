//! The disk answers with I/O errors under a served gateway: it releases nothing more and ends by
//! itself; what it had answered is in the ledger.
//!
//! The error comes from the kernel's side of the call: `strace` holds the running program and
//! makes its calls fail. Nothing in the program knows that it is tested.

use std::sync::Arc;

use super::load::{Cast, Dying, Received, pull, try_page};
use crate::harness::fault::Fault;
use crate::harness::process::{Installed, until};
use crate::harness::{Database, wait};
use crate::strangers::said;

/// Clients that pull at the same time.
const PULLERS: usize = 3;

#[test]
fn a_flush_that_fails_ends_the_gateway_and_no_answer_is_lost() {
    wait(failing("fsync,fdatasync"));
}

#[test]
fn a_write_that_fails_ends_the_gateway_and_no_answer_is_lost() {
    wait(failing("pwrite64"));
}

async fn failing(calls: &str) {
    let fill = async |world: &_| Cast::enter(world, 12).await;
    let (installed, cast) = Installed::new(Database::Sqlite, fill).await;
    let new = || installed.client(&cast.reseller.0, &cast.reseller.1);
    let mut gate = installed.serve();
    let (received, dying) = (Arc::new(Received::default()), Arc::new(Dying::default()));
    let start = |_| tokio::spawn(pull(new(), Arc::clone(&received), Arc::clone(&dying)));
    let pullers: Vec<_> = (0..PULLERS).map(start).collect();
    received.until_pages(20).await;

    // From here on a connection may break, because the process ends; every answer that still
    // comes is a page that is kept and proved below, or a refusal without personal data.
    dying.set();
    let Some(fault) = Fault::strike(gate.id(), calls) else { return };
    assert_eq!(gate.ended().await, Some(70), "{}", installed.log_text());
    drop(fault);
    for puller in pullers {
        puller.await.unwrap();
    }
    let log = installed.log_text();
    assert!(log.contains("the ledger's store failed"), "{log}");

    // Before anybody repairs or starts anything: what was answered is there, and all is sound.
    let pages = received.pages.lock().unwrap().len();
    let report = received.assert_whole(&installed);
    let output = installed.run(&["ledger", "verify"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));

    let _gate = installed.serve();
    let mut client = new();
    let page = until("a page comes again", async || try_page(&mut client).await).await;
    received.keep(&page);
    let after = received.assert_whole(&installed);
    assert!(after.head.size > report.head.size);
    eprintln!(
        "{calls} failed: {pages} pages and {} refusals before the end; {} entries verified",
        received.busy.lock().unwrap(),
        after.entries,
    );
}
