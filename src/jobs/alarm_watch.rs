//! After an alarm: both notes and what was said become files, and no gateway starts while they stand.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::flows::anchor::offer;
use crate::flows::{Alarm, Gateway};

use super::anchor::sync_folder;

/// How often the state is looked at: memory alone.
const EVERY: Duration = Duration::from_millis(200);

/// The file that keeps a gateway from starting.
pub const ALARM: &str = "alarm.txt";

/// Waits for an alarm and keeps the evidence in `folder`; then it ends.
pub async fn run(gateway: Gateway, folder: std::path::PathBuf) {
    let mut ticks = tokio::time::interval(EVERY);
    let alarm = loop {
        ticks.tick().await;
        if let Some(alarm) = gateway.alarm_raised() {
            break alarm;
        }
    };
    // The ledger can be read all the same; without our note the other one still tells enough.
    let ours = offer(&gateway).await.ok().map(|offer| offer.note);
    let theirs = gateway.outside().contradiction();
    let at = gateway.now().rfc3339();
    if let Err(error) = keep(&folder, &at, &alarm, (ours.as_deref(), theirs.as_deref())) {
        tracing::error!(%error, folder = %folder.display(), "the evidence could not be kept");
    }
}

/// Writes the evidence: the alarm, our checkpoint, the one that contradicts it. Former evidence
/// is never overwritten.
///
/// # Errors
/// The folder cannot be written.
pub fn keep(
    folder: &Path,
    at: &str,
    alarm: &Alarm,
    (ours, theirs): (Option<&str>, Option<&str>),
) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let stamp: String = at.chars().filter(char::is_ascii_alphanumeric).collect();
    for (name, note) in [("ours", ours), ("theirs", theirs)] {
        if let Some(note) = note {
            write_new(&folder.join(format!("{stamp}-{name}.note")), note)?;
        }
    }
    write_new(&folder.join(ALARM), &format!("{at} {alarm}\n"))?;
    sync_folder(folder)
}

/// What an earlier process found, if it was not settled since.
///
/// # Errors
/// The file is there and cannot be read.
pub fn standing(folder: &Path) -> io::Result<Option<String>> {
    match std::fs::read_to_string(folder.join(ALARM)) {
        Ok(says) => Ok(Some(says.trim_end().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts a settled alarm away under the time at which it was settled; the evidence stays.
///
/// # Errors
/// No alarm stands, or the folder cannot be written.
pub fn settle(folder: &Path, at: &str) -> io::Result<()> {
    let stamp: String = at.chars().filter(char::is_ascii_alphanumeric).collect();
    std::fs::rename(folder.join(ALARM), folder.join(format!("{stamp}-settled.txt")))?;
    sync_folder(folder)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    match std::fs::File::create_new(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).and_then(|()| file.sync_all()),
        // Another process found the same a moment ago.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_kept_until_it_is_settled_and_never_lost() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("evidence");
        assert_eq!(standing(&folder).unwrap(), None);
        let alarm = Alarm::Forked { have: 9, size: 7, by: "git".to_owned() };
        let at = "2026-11-26T10:00:00.000Z";
        keep(&folder, at, &alarm, (Some("ours\n"), Some("theirs\n"))).unwrap();
        let later = Alarm::RolledBack { have: 1, seen: 2, by: "file".to_owned() };
        keep(&folder, at, &later, (Some("others\n"), None)).unwrap();
        let says = standing(&folder).unwrap().unwrap();
        assert!(says.starts_with(at) && says.contains("fork"), "the first one stands: {says}");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(read("20261126T100000000Z-ours.note"), "ours\n");
        assert_eq!(read("20261126T100000000Z-theirs.note"), "theirs\n");
        settle(&folder, at).unwrap();
        assert_eq!(standing(&folder).unwrap(), None);
        assert!(read("20261126T100000000Z-settled.txt").contains("fork"));
        assert!(settle(&folder, at).is_err());
    }
}
