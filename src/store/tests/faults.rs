//! Full disks, foreign certificates, two programs that migrate at once.

use std::thread;

use diesel::RunQueryDsl as _;
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::BigInt;

use super::ledger::{append, draft};
use super::*;
use crate::clock::{Clock, Moment};
use crate::ledger::{Archive as _, Draft, Kind, Shelf as _, ShelfError};
use crate::store::statement::fixed;
use crate::vault::authority::{Authority, to_pem};

#[test]
fn a_full_disk_is_busy_and_leaves_nothing_half_written() {
    let bed = sqlite_bed();
    migrate(&bed.url).unwrap();
    let mut shelf = bed.store().shelf();
    let with = |effect| Draft { effect: Some(effect), ..draft(Kind::StaffAct) };
    let limit = |tx: &mut WriteTx, sql: &str| tx.border().batch_execute(sql);
    append(&mut shelf, vec![draft(Kind::AuditQuery)]);
    let before = shelf.head().unwrap();

    let filling = with(Effect::new(move |tx| {
        limit(tx, "PRAGMA max_page_count = 1")?;
        for byte in 0..=255 {
            idempotency_rows::insert_answer(tx, &[byte; 32], &[0; 32], Moment(1))?;
        }
        Ok(())
    }));
    let full = shelf.append(vec![draft(Kind::AuditQuery).into(), filling.into()]);
    assert!(matches!(full, Err(ShelfError::Busy(_))), "{full:?}");
    assert_eq!(shelf.head().unwrap(), before);

    let room = with(Effect::new(move |tx| {
        limit(tx, "PRAGMA max_page_count = 1000000")?;
        assert_eq!(idempotency_rows::find_answer(tx, &[0; 32])?, None);
        Ok(())
    }));
    assert_eq!(append(&mut shelf, vec![room]).outcomes, [Ok(1)]);
}

#[test]
fn two_programs_migrate_a_server_at_once() {
    let Some(server) = postgres::server() else { return };
    let url = Url::parse(&server.empty()).unwrap();
    let ran: Vec<usize> = thread::scope(|scope| {
        let both: Vec<_> = (0..2).map(|_| scope.spawn(|| migrate(&url).unwrap().len())).collect();
        both.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let all = std::fs::read_dir("migrations/postgres").unwrap().count();
    assert_eq!(ran.iter().sum::<usize>(), all, "each migration runs once: {ran:?}");
}

#[test]
fn a_server_is_reached_over_tls_only_with_its_own_name_and_authority() {
    let now = Clock::System.now();
    let authority = |name| {
        let made = Authority::create(name, now).unwrap();
        (
            Authority::open(&made.key, &made.certificate).unwrap(),
            to_pem("CERTIFICATE", &made.certificate),
        )
    };
    let ((ours, root), (_, other_root)) = (authority("ours"), authority("other"));
    let made = ours.issue_server(&["localhost".to_owned()], now, 2).unwrap();
    let certificate = to_pem("CERTIFICATE", &made.certificate);
    let key = to_pem("PRIVATE KEY", made.key.expose());
    let Some((_server, address)) = postgres::server_over_tls(&certificate, &key) else { return };

    let directory = tempfile::tempdir().unwrap();
    let roots = |name: &str, pem: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string().replace('/', "%2F")
    };
    let (right, wrong) = (roots("right.pem", &root), roots("wrong.pem", &other_root));
    let url = |address: &str, mode: &str, roots: &str| {
        let tail = format!("sslmode={mode}&sslrootcert={roots}&channel_binding=require");
        Url::parse(&format!("{address}?{tail}")).unwrap()
    };
    let trusted = url(&address, "verify-full", &right);
    migrate(&trusted).unwrap();
    let store = Store::open(&trusted, OpenOptions::default()).unwrap();
    let encrypted = "SELECT count(*) FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
    let encrypted = store
        .read_blocking(move |tx| Ok(fixed::<BigInt>(encrypted).get_result::<i64>(tx.statement())?));
    assert_eq!(encrypted.unwrap(), 1);

    let by_number = address.replace("localhost", "127.0.0.1");
    for refused in [
        url(&address, "verify-full", &wrong),
        url(&address, "require", &wrong),
        url(&address, "require", "system"),
        url(&by_number, "verify-ca", &right),
    ] {
        let error = schema_state(&refused).unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }
    // Without TLS there is no channel to bind the password to.
    let clear = url(&address, "disable", &right);
    assert!(schema_state(&clear).is_err());
}

#[test]
fn an_idle_log_is_copied_back_and_emptied() {
    let bed = sqlite_bed();
    migrate(&bed.url).unwrap();
    let store = bed.store();
    let mut shelf = store.shelf();
    append(&mut shelf, vec![draft(Kind::AuditQuery)]);
    let log = bed.url.file().unwrap().with_extension("db-wal");
    let bytes = || std::fs::metadata(&log).unwrap().len();
    assert!(bytes() > 0);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while bytes() > 0 {
        assert!(std::time::Instant::now() < until, "the log was never emptied");
        thread::park_timeout(std::time::Duration::from_millis(50));
    }
    assert_eq!(append(&mut shelf, vec![draft(Kind::AuditQuery)]).outcomes, [Ok(1)]);
}
