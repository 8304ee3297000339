//! An object store as an anchor, on a real one: what is kept, and what is refused or found.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fieldgate::flows::Alarm;
use fieldgate::flows::outside::Reach;
use fieldgate::jobs::anchor::{Anchor, AnchorBucket, Place, Round, round};
use fieldgate::jobs::bucket::Bucket;
use fieldgate::merkle::checkpoint::Checkpoint;
use fieldgate::merkle::hash::Hash;
use fieldgate::vault::authority::to_pem;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::crash::load::Cast;
use crate::harness::bucket::{NAME, S3, SECRET, open, open_trusting};
use crate::harness::process::{Installed, until};
use crate::harness::world::{ORIGIN, signer};
use crate::harness::{Database, World, wait};

use super::page;

const FOLDER: &str = "gate/checkpoints";

fn anchor(bucket: Bucket) -> Anchor {
    let place = Place::Bucket(Arc::new(AnchorBucket::new(bucket)));
    let (name, every) = ("anchor 1 (bucket)".to_owned(), Duration::from_secs(1));
    Anchor { name, kind: "bucket", reach: Reach::Far, place, every }
}

/// The name of the object that keeps the checkpoint of a size.
fn key(size: u64) -> String {
    format!("{FOLDER}/{:020}-{size}.note", u64::MAX - size)
}

/// A checkpoint that the log's own key signed over anything.
fn signed(size: u64, root: Hash) -> String {
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root };
    checkpoint.sign(&[signer()]).unwrap().to_string()
}

/// Why the last round failed.
fn trouble(world: &World) -> String {
    let [seen] = world.gateway.outside().list().try_into().unwrap();
    seen.trouble.unwrap()
}

async fn failed(world: &World, anchor: &Anchor) -> String {
    world.gateway.outside().expect(&anchor.name, Reach::Far, world.gateway.now());
    assert_eq!(round(&world.gateway, anchor, true).await, Round::Failed);
    assert!(world.gateway.is_ready(), "nobody's silence is an alarm");
    let says = trouble(world);
    assert!(!says.contains(SECRET) && says.chars().count() < 400, "{says}");
    says
}

#[test]
fn a_bucket_gets_each_checkpoint_once_and_an_older_one_fits() {
    let Some(s3) = S3::start() else { return };
    wait(async {
        let world = World::new(Database::Sqlite).await;
        let first = anchor(s3.bucket(FOLDER));
        assert_eq!(round(&world.gateway, &first, true).await, Round::Added);
        let older = world.verify().head.size;
        assert_eq!(round(&world.gateway, &first, true).await, Round::Looked, "nothing is newer");
        world.people(1).await;
        assert_eq!(round(&world.gateway, &first, false).await, Round::Looked, "not due");
        assert_eq!(round(&world.gateway, &first, true).await, Round::Added);
        let newer = world.verify().head.size;
        let kept = |size| std::fs::read_to_string(s3.file(&key(size))).unwrap();
        assert_ne!(kept(older), kept(newer));
        assert_eq!(first.place.newest().await.unwrap().as_deref(), Some(kept(newer).as_str()));
        // Another process finds it in one look, and what is no checkpoint is passed over.
        s3.bucket(FOLDER).put("0-README", b"hello".to_vec()).await.unwrap();
        let second = anchor(s3.bucket(FOLDER));
        assert_eq!(round(&world.gateway, &second, true).await, Round::Looked);
        // Nobody replaces what is kept.
        let again = s3.bucket("").put_new(&key(newer), b"another".to_vec()).await;
        assert!(!again.unwrap() && kept(newer).starts_with(ORIGIN));
        assert!(world.gateway.is_ready());
    });
}

#[test]
fn a_rollback_and_a_fork_are_found_and_both_sizes_named() {
    let Some(s3) = S3::start() else { return };
    wait(async {
        for forked in [false, true] {
            let world = World::new(Database::Sqlite).await;
            let folder = format!("{FOLDER}{forked}");
            let anchor = anchor(s3.bucket(&folder));
            assert_eq!(round(&world.gateway, &anchor, true).await, Round::Added);
            let have = world.verify().head.size;
            let seen = if forked { have } else { have + 7 };
            let name = format!("{:020}-{seen}.note", u64::MAX - seen);
            let other = signed(seen, Hash([7; 32]));
            std::fs::write(s3.file(&format!("{folder}/{name}")), &other).unwrap();
            assert_eq!(round(&world.gateway, &anchor, true).await, Round::Stopped);
            let by = anchor.name.clone();
            let alarm = if forked {
                Alarm::Forked { have, size: have, by }
            } else {
                Alarm::RolledBack { have, seen, by }
            };
            assert_eq!(world.gateway.alarm_raised(), Some(alarm));
            assert_eq!(world.gateway.outside().contradiction(), Some(other));
        }
    });
}

#[test]
fn a_checkpoint_that_somebody_takes_away_is_missed() {
    let Some(s3) = S3::start() else { return };
    wait(async {
        let world = World::new(Database::Sqlite).await;
        let anchor = anchor(s3.bucket(FOLDER));
        assert_eq!(round(&world.gateway, &anchor, true).await, Round::Added);
        let size = world.verify().head.size;
        std::fs::remove_file(s3.file(&key(size))).unwrap();
        let says = failed(&world, &anchor).await;
        assert!(says.contains(&format!("the checkpoint of {size} entries")), "{says}");
        // What stands there instead is no checkpoint of this log.
        for text in ["not a note", include_str!("../../vectors/log600/checkpoint")] {
            std::fs::write(s3.file(&key(size)), text).unwrap();
            failed(&world, &anchor).await;
        }
        std::fs::write(s3.file(&key(size)), vec![b'x'; 65 * 1024]).unwrap();
        assert!(failed(&world, &anchor).await.contains("too long"));
    });
}

#[test]
fn a_wrong_key_a_missing_bucket_and_a_failing_write_are_told_apart() {
    let Some(s3) = S3::start() else { return };
    wait(async {
        let world = World::new(Database::Sqlite).await;
        let stranger = anchor(open(&s3.endpoint(), NAME, FOLDER, "another secret"));
        let says = failed(&world, &stranger).await;
        assert!(says.contains("s3://evidence/gate/checkpoints") && says.contains("key"), "{says}");
        let nowhere = anchor(open(&s3.endpoint(), "elsewhere", FOLDER, SECRET));
        let says = failed(&world, &nowhere).await;
        assert!(says.contains("no such bucket"), "{says}");
        // The store cannot make the folder: a file of its name stands in the way.
        std::fs::write(s3.file("gate"), "in the way").unwrap();
        let right = anchor(s3.bucket(FOLDER));
        assert!(!failed(&world, &right).await.is_empty());
        std::fs::remove_file(s3.file("gate")).unwrap();
        assert_eq!(round(&world.gateway, &right, true).await, Round::Added);
        assert_eq!(world.gateway.outside().list()[0].failures, 3);
        assert_eq!(world.gateway.outside().list()[0].trouble, None);
    });
}

#[test]
fn a_stopped_or_silent_store_fails_in_time_and_is_used_again() {
    let Some(mut s3) = S3::start() else { return };
    wait(async {
        let world = World::new(Database::Sqlite).await;
        let asker = world.reseller("resale").await;
        world.people(1).await;
        let anchor_there = anchor(s3.bucket(FOLDER));
        s3.stop();
        failed(&world, &anchor_there).await;
        assert_eq!(world.pull(asker, 1).await.unwrap().leads.len(), 1, "releases go on");
        // Takes connections and never answers.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", silent.local_addr().unwrap());
        let begun = Instant::now();
        failed(&world, &anchor(open(&endpoint, NAME, FOLDER, SECRET))).await;
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        s3.start_again();
        assert_eq!(round(&world.gateway, &anchor_there, true).await, Round::Added);
    });
}

/// Speaks TLS as `localhost` and hands everything on to the store; its address.
async fn behind_tls(world: &World, store: &str) -> String {
    let names = ["localhost".to_owned()];
    let issued = world.authority.issue_server(&names, world.gateway.now(), 30).unwrap();
    let key = PrivateKeyDer::Pkcs8(issued.key.expose().to_vec().into());
    let chain = vec![CertificateDer::from(issued.certificate.clone())];
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let store = store.strip_prefix("http://").unwrap().to_owned();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, store) = (acceptor.clone(), store.clone());
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(socket).await else { return };
                let mut inside = TcpStream::connect(store).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    endpoint
}

#[test]
fn over_tls_a_store_is_trusted_by_its_authority_and_by_no_other() {
    let Some(s3) = S3::start() else { return };
    wait(async {
        let (world, other) =
            (World::new(Database::Sqlite).await, World::new(Database::Sqlite).await);
        let endpoint = behind_tls(&world, &s3.endpoint()).await;
        let bucket = |authority: Option<&[u8]>| {
            anchor(open_trusting(&endpoint, (NAME, FOLDER, SECRET), authority))
        };
        let pem = |world: &World| to_pem("CERTIFICATE", world.authority.certificate());
        failed(&world, &bucket(None)).await;
        failed(&world, &bucket(Some(pem(&other).as_bytes()))).await;
        assert!(!s3.file("gate").exists());
        let right = bucket(Some(pem(&world).as_bytes()));
        assert_eq!(round(&world.gateway, &right, true).await, Round::Added);
        assert!(s3.file(&key(world.verify().head.size)).exists());
    });
}

#[test]
fn yesterdays_database_is_found_by_the_bucket_alone() {
    let Some(s3) = S3::start() else { return };
    wait(async {
        let (mut installed, cast) =
            Installed::new(Database::Sqlite, async |world| Cast::enter(world, 3).await).await;
        installed.add_settings(&format!(
            "{}[[anchors]]\nkind = \"bucket\"\nplace = \"s3://{NAME}/{FOLDER}\"\nevery_s = 1\n",
            s3.settings(&installed.home())
        ));
        let yesterday = installed.copy_database();
        let gate = installed.serve();
        let mut client = installed.client(&cast.reseller.0, &cast.reseller.1);
        assert_eq!(page(&mut client).await.0, 200);
        let today = installed.verify(Vec::new()).head.size;
        until("the bucket has today's checkpoint", async || {
            s3.file(&key(today)).exists().then_some(())
        })
        .await;
        assert_eq!(gate.stop().await, Some(0), "{}", installed.log_text());
        let shown = installed.run(&["--json", "ledger", "anchors"]);
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains(&format!("agrees at {today} entries")), "{shown}");

        // Whoever restores the database restores the folder of the settings, too.
        std::fs::remove_file(installed.home().join("anchors.jsonl")).unwrap();
        installed.stand_on(yesterday);
        assert_eq!(installed.start().ended().await, Some(5), "{}", installed.log_text());
        let log = installed.log_text();
        assert!(log.contains(&format!("anchor 1 (bucket) has seen {today}")), "{log}");
        assert!(!log.contains(SECRET));
        let credentials = installed.home().join("bucket.credentials");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&credentials, mode).unwrap();
        let refused = installed.run(&["ledger", "anchors"]);
        let says = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && says.contains("chmod 600"), "{says}");
    });
}
