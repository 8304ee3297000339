//! `ledger export` into a real object store: incremental, verified from there, cut off and resumed.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::crash::load::Cast;
use crate::harness::bucket::S3;
use crate::harness::process::{Installed, until};
use crate::harness::{Database, databases, wait};
use crate::strangers::{json, said};

const URL: &str = "s3://evidence/public/log";

/// An installation with a few hundred entries whose settings describe the bucket.
async fn installed(database: Database, s3: &S3) -> Installed {
    let (installed, ()) = Installed::new(database, async |world| {
        let cast = Cast::enter(world, 3).await;
        for _ in 0..300 {
            world.pull(cast.reseller.0, 2).await.unwrap();
        }
    })
    .await;
    installed.add_settings(&s3.settings(&installed.home()));
    installed
}

fn export(installed: &Installed) -> Value {
    let output = installed.run(&["--json", "ledger", "export", "--object-store", URL]);
    assert!(output.status.success(), "{}", said(&output));
    json(&output)
}

fn verify(installed: &Installed) -> Output {
    let key = installed.log.to_string();
    let place = ["--json", "ledger", "verify", "--object-store", URL, "--policy", &key];
    installed.run(&place)
}

fn grow(installed: &Installed) {
    let act = |act: &str| installed.run(&["partner", act, "points"]).status.success();
    assert!(act("suspend") || act("resume"));
}

#[test]
fn an_export_to_an_object_store_grows_and_is_verified_from_there() {
    let Some(s3) = S3::start() else { return };
    for database in databases() {
        wait(async {
            let _ = std::fs::remove_dir_all(s3.file("public"));
            let installed = installed(database, &s3).await;
            let size = installed.verify(Vec::new()).head.size;
            let told = export(&installed);
            assert_eq!((&told["size"], &told["kept"]), (&size.into(), &0.into()), "{told}");
            assert_eq!(told["to"], URL);
            let verdict = verify(&installed);
            assert_eq!(verdict.status.code(), Some(0), "{}", said(&verdict));
            assert_eq!(json(&verdict)["size"], size);

            // The same files as in a folder, byte for byte.
            let dir = installed.home().join("export");
            let folder = dir.display().to_string();
            let output = installed.run(&["ledger", "export", "--dir", &folder]);
            assert!(output.status.success(), "{}", said(&output));
            for name in ["checkpoint", "log.vkey", "tile/0/000", "tile/entries/000"] {
                let object = std::fs::read(s3.file(&format!("public/log/{name}"))).unwrap();
                assert!(object == std::fs::read(dir.join(name)).unwrap(), "{name}");
            }

            grow(&installed);
            let told = export(&installed);
            assert_eq!((&told["size"], &told["kept"]), (&(size + 1).into(), &2.into()), "{told}");
            assert_eq!(json(&verify(&installed))["size"], size + 1);

            // One byte of the object, and the entry is named.
            let bundle = s3.file("public/log/tile/entries/000");
            let mut bytes = std::fs::read(&bundle).unwrap();
            bytes[40] ^= 1;
            std::fs::write(&bundle, bytes).unwrap();
            let verdict = verify(&installed);
            assert_eq!(verdict.status.code(), Some(1), "{}", said(&verdict));
            assert!(said(&verdict).contains("entry 0 was altered or is missing"));
        });
    }
}

#[test]
fn an_older_ledger_does_not_replace_a_newer_export() {
    let Some(s3) = S3::start() else { return };
    wait(async {
        let mut installed = installed(Database::Sqlite, &s3).await;
        let yesterday = installed.copy_database();
        grow(&installed);
        let today = installed.verify(Vec::new()).head.size;
        export(&installed);
        installed.stand_on(yesterday);
        let refused = installed.run(&["ledger", "export", "--object-store", URL]);
        assert_eq!(refused.status.code(), Some(5), "{}", said(&refused));
        let both = format!("{URL} holds {today} entries, this ledger only {}", today - 1);
        assert!(said(&refused).contains(&both), "{}", said(&refused));
        let unknown = installed.run(&["ledger", "export", "--object-store", "s3://other/log"]);
        assert!(said(&unknown).contains("[[buckets]]"), "{}", said(&unknown));
    });
}

/// Carries bytes to the store until so many objects were sent; then it takes and carries nothing.
fn gap_after(objects: usize, store: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, counted) = (client.unwrap(), Arc::clone(&counted));
            std::thread::spawn(move || {
                let mut server = TcpStream::connect(("127.0.0.1", store)).unwrap();
                let (mut answers, mut back) =
                    (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
                let mut bytes = [0; 16 * 1024];
                loop {
                    let length = client.read(&mut bytes).unwrap_or(0);
                    let puts = bytes[..length].windows(5).filter(|at| *at == b"PUT /").count();
                    let sent = counted.fetch_add(puts, Ordering::SeqCst) + puts;
                    if length == 0 {
                        let _ = server.shutdown(Shutdown::Both);
                        return;
                    }
                    if sent <= objects && server.write_all(&bytes[..length]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, seen)
}

#[test]
fn an_export_that_is_killed_leaves_what_holds_and_the_next_one_goes_on() {
    let Some(s3) = S3::start() else { return };
    wait(async {
        let installed = installed(Database::Sqlite, &s3).await;
        let size = installed.verify(Vec::new()).head.size;
        for first in [true, false] {
            let there = s3.endpoint();
            let port = there.rsplit(':').next().unwrap().parse().unwrap();
            let (gap, seen) = gap_after(2, port);
            let here = format!("http://127.0.0.1:{gap}");
            installed.edit_settings(|settings| settings.replace(&there, &here));
            let running = installed.spawn(&["ledger", "export", "--object-store", URL]);
            until("objects are on their way and go no farther", async || {
                (seen.load(Ordering::SeqCst) > 2).then_some(())
            })
            .await;
            drop(running);
            installed.edit_settings(|settings| settings.replace(&here, &there));
            let verdict = verify(&installed);
            if first {
                assert!(!s3.file("public/log/checkpoint").exists(), "nothing was promised");
                assert_eq!(verdict.status.code(), Some(4), "{}", said(&verdict));
            } else {
                assert_eq!(json(&verdict)["size"], size, "what was promised holds");
                assert_eq!(verdict.status.code(), Some(0), "{}", said(&verdict));
            }
            export(&installed);
            let verdict = verify(&installed);
            assert_eq!(verdict.status.code(), Some(0), "{}", said(&verdict));
            if first {
                grow(&installed);
            } else {
                assert_eq!(json(&verdict)["size"], size + 1);
            }
        }
    });
}
