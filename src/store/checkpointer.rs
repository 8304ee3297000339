//! Copies `SQLite`'s write-ahead log back into the file each second, off the commit path.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::connection::{self, AnyConnection, Checkpoint, Use, checkpoint};
use super::error::StoreError;
use super::url::Url;

/// Above this the log is emptied even under load: it would fill the disk.
const LOG_BYTES_MAX: u64 = 256 * 1024 * 1024;

const PERIOD: Duration = Duration::from_secs(1);

/// The thread; it ends when this is dropped.
pub(super) struct Checkpointer {
    _stop: Sender<()>,
}

impl Checkpointer {
    /// Starts the thread for a file; `None` for a server, which has its own.
    pub(super) fn start(url: &Url) -> Result<Option<Self>, StoreError> {
        let Some(path) = url.file() else { return Ok(None) };
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let log = PathBuf::from(log);
        let mut connection = connection::open(url, Use::Write)?;
        let (stop, stopped) = channel();
        thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || run(&mut connection, &log, &stopped))
            .map_err(|error| StoreError::Busy(error.to_string()))?;
        Ok(Some(Self { _stop: stop }))
    }
}

fn run(connection: &mut AnyConnection, log: &Path, stopped: &Receiver<()>) {
    let mut before = None;
    while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
        let AnyConnection::Sqlite(connection) = connection else { return };
        let Ok(now) = std::fs::metadata(log) else { continue };
        if now.len() == 0 {
            continue;
        }
        let written = now.modified().ok();
        let how = match now.len() {
            bytes if bytes > LOG_BYTES_MAX => Checkpoint::Force,
            _ if written == before => Checkpoint::Empty,
            _ => Checkpoint::Passive,
        };
        before = written;
        if let Err(error) = checkpoint(connection, how) {
            // A reader in the way is usual; the next second tries again. A failing disk shows
            // itself at the next commit, which is where it must be acted on.
            tracing::debug!(%error, "the write-ahead log was not copied back");
        }
    }
}
