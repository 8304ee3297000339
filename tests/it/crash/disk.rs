//! The disk under `SQLite` is full. The story runs as a process of its own in a
//! private mount namespace: the small disk is seen by nobody else and goes when the process goes.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use super::load::{Cast, PAGE, Pullers, Received, assert_refusal, try_page};
use crate::harness::process::{Installed, rerun, until};
use crate::harness::wait;

/// Tells a process that it may mount: the folder to mount on.
const ORDERS: &str = "FIELDGATE_TEST_SMALL_DISK";

/// Set to `1` to fail instead of skipping where no namespace may be made.
const REQUIRE: &str = "FIELDGATE_REQUIRE_MOUNT";

#[test]
fn a_full_disk_means_503_and_the_gateway_recovers_by_itself() {
    let wrappers: [&[&str]; 2] = [&["unshare", "-m"], &["unshare", "-rm"]];
    let works = |wrapper: &&[&str]| {
        let mut command = Command::new(wrapper[0]);
        let mount = ["sh", "-c", "mount -t tmpfs none /mnt"];
        command.args(&wrapper[1..]).args(mount).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let Some(wrapper) = wrappers.into_iter().find(works) else {
        let required = std::env::var(REQUIRE).is_ok_and(|value| value == "1");
        assert!(!required, "{REQUIRE}=1, but `unshare -m` and `unshare -rm` are refused here");
        eprintln!("full disk skipped: it needs a private mount namespace, which is refused here");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let story = "crash::disk::the_story_of_the_small_disk";
    let status = rerun(wrapper, story, (ORDERS, folder.path())).status().unwrap();
    assert!(status.success());
}

/// Not a test by itself: the story in its namespace; returns at once in a usual run.
#[test]
fn the_story_of_the_small_disk() {
    let Ok(disk) = std::env::var(ORDERS) else { return };
    mount(&disk, &["-t", "tmpfs", "-o", "size=6m", "none"]);
    wait(async {
        let home = tempfile::tempdir_in(&disk).unwrap();
        let url = format!("sqlite://{}", home.path().join("gate.db").display());
        let fill = async |world: &_| Cast::enter(world, 12).await;
        let (installed, cast) = Installed::at(url, home, fill).await;
        full(&installed, &cast, Path::new(&disk)).await;
    });
}

fn mount(disk: &str, arguments: &[&str]) {
    let status = Command::new("mount").args(arguments).arg(disk).status().unwrap();
    assert!(status.success());
}

async fn full(installed: &Installed, cast: &Cast, disk: &Path) {
    let mut gate = installed.serve();
    let received = Arc::new(Received::default());
    let new = || installed.client(&cast.reseller.0, &cast.reseller.1);
    let mut client = new();
    until("a page comes", async || try_page(&mut client).await).await;
    let pullers = Pullers::start(2, new, &received);

    received.until_pages(10).await;

    let ballast = disk.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    until("a page is refused", async || try_page(&mut client).await.is_none().then_some(())).await;
    let mut refused = 0;
    for _ in 0..30 {
        // What still finds room in the log is released, and must be as durable as all else.
        match client.get("offers", PAGE).await.unwrap() {
            answer if answer.status == 200 => received.keep(&answer),
            answer => {
                assert_refusal(&answer);
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    assert_eq!(client.get_plain("/v1/whoami").await.unwrap().status, 200);

    std::fs::remove_file(&ballast).unwrap();
    drop(file);
    let begun = Instant::now();
    until("a page comes again", async || try_page(&mut client).await).await;
    let spent = begun.elapsed();
    pullers.stop().await;
    assert!(gate.runs(), "{}", installed.log_text());
    let report = received.assert_whole(installed);
    eprintln!(
        "disk full: served again after {spent:.1?}; {} pages, {refused} of 30 refused, \
         {} entries verified",
        received.pages.lock().unwrap().len(),
        report.entries,
    );
}
