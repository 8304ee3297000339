//! Yesterday's database and a copied database, with the real program: both are found.

use crate::crash::load::Cast;
use crate::harness::process::{Installed, until};
use crate::harness::{databases, wait};

use super::page;

/// What a command wrote, both streams.
fn said(output: &std::process::Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn yesterdays_database_does_not_start_and_todays_does() {
    for database in databases() {
        wait(async {
            let (mut installed, cast) =
                Installed::new(database, async |world| Cast::enter(world, 3).await).await;
            let today = installed.url.clone();
            let yesterday = installed.copy_database();
            let gate = installed.serve();
            let mut client = installed.client(&cast.reseller.0, &cast.reseller.1);
            assert_eq!(page(&mut client).await.0, 200);
            assert_eq!(gate.stop().await, Some(0), "{}", installed.log_text());
            let today_size = installed.verify(Vec::new()).head.size;

            installed.stand_on(yesterday);
            let size = installed.verify(Vec::new()).head.size;
            assert!(size < today_size);
            let mut gate = installed.start();
            assert_eq!(gate.ended().await, Some(5), "{database:?} {}", installed.log_text());
            let log = installed.log_text();
            let both = format!("holds {size} entries, but anchor file has seen {today_size}");
            assert!(log.contains(&both) && log.contains("two ways"), "{log}");
            // Nothing else may write to it either, today or after a second try.
            let refused = installed.run(&["partner", "suspend", "acme"]);
            assert_eq!(refused.status.code(), Some(5), "{}", said(&refused));
            let shown = installed.run(&["ledger", "anchors", "--settle"]);
            assert_eq!(shown.status.code(), Some(1), "{}", said(&shown));
            let evidence = std::fs::read_dir(installed.home().join("evidence")).unwrap();
            assert_eq!(evidence.count(), 2, "the alarm and the note that contradicts");

            installed.stand_on(today);
            let refused = installed.start().ended().await;
            assert_eq!(refused, Some(5), "an alarm stands until somebody settles it");
            let settled = installed.run(&["ledger", "anchors", "--settle"]);
            assert_eq!(settled.status.code(), Some(0), "{}", said(&settled));
            let _gate = installed.serve();
            assert_eq!(page(&mut client).await.0, 200);
        });
    }
}

#[test]
fn of_two_copies_that_both_write_one_is_stopped() {
    for database in databases() {
        wait(async {
            let (first, cast) =
                Installed::new(database, async |world| Cast::enter(world, 3).await).await;
            let shared = tempfile::tempdir().unwrap();
            first.add_settings(&format!(
                "[[anchors]]\nkind = \"folder\"\nplace = \"{}\"\nevery_s = 1\n",
                shared.path().display()
            ));
            let second = first.twin(first.copy_database());
            let copies = [first, second];
            let _gates = [copies[0].serve(), copies[1].serve()];
            let mut clients =
                copies.each_ref().map(|copy| copy.client(&cast.reseller.0, &cast.reseller.1));
            let found = until("one of them is stopped", async || {
                for (place, client) in clients.iter_mut().enumerate() {
                    let (status, text) = page(client).await;
                    if status == 503 {
                        return Some((place, text));
                    }
                }
                None
            });
            let (place, text) = found.await;
            assert!(text.contains("ledger_stopped"), "{text}");
            let stopped = &copies[place];
            let (status, text) = stopped.ready().await;
            assert_eq!(status, 503);
            assert!(text.contains("rollback") || text.contains("fork"), "{text}");
            until("the evidence is there", async || {
                stopped.home().join("evidence/alarm.txt").exists().then_some(())
            })
            .await;
            let evidence = std::fs::read_dir(stopped.home().join("evidence")).unwrap();
            let names: Vec<_> = evidence.map(|one| one.unwrap().file_name()).collect();
            assert_eq!(names.len(), 3, "the alarm, our note, the other one: {names:?}");
        });
    }
}
