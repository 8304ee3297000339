//! The sockets of open partner connections, by certificate, so that a revocation cuts them.
//!
//! A gate on every request cannot stop an answer that already streams; shutting the socket can.

use std::collections::HashMap;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::{SockRef, Socket};
use tokio::net::TcpStream;

use crate::id::Thumbprint;

type Sockets = HashMap<Thumbprint, HashMap<u64, Socket>>;

/// Duplicates of the sockets of all open connections. Clones share one table.
#[derive(Debug, Clone, Default)]
pub struct LiveSockets {
    sockets: Arc<Mutex<Sockets>>,
}

impl LiveSockets {
    fn table(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a connection; it leaves the table when the guard is dropped.
    ///
    /// # Errors
    /// The socket cannot be duplicated (too many open files). Serve no request then: a
    /// connection that cannot be cut must not live.
    pub(super) fn enter(
        &self,
        thumbprint: Thumbprint,
        number: u64,
        stream: &TcpStream,
    ) -> std::io::Result<LiveGuard> {
        let socket = SockRef::from(stream).try_clone()?;
        self.table().entry(thumbprint).or_default().insert(number, socket);
        Ok(LiveGuard { live: self.clone(), thumbprint, number })
    }

    /// Cuts every connection of one certificate, whatever it is doing. Answers how many.
    pub fn cut(&self, thumbprint: &Thumbprint) -> usize {
        self.cut_unless(|other| other != thumbprint)
    }

    /// Cuts every connection. Answers how many.
    pub fn cut_all(&self) -> usize {
        self.cut_unless(|_| false)
    }

    /// Cuts the connections of every certificate that may not stay. Answers how many.
    pub fn cut_unless(&self, may_stay: impl Fn(&Thumbprint) -> bool) -> usize {
        let mut cut: usize = 0;
        self.table().retain(|thumbprint, sockets| {
            if may_stay(thumbprint) {
                return true;
            }
            for socket in sockets.values() {
                // A peer that has gone already answers with an error; it is gone all the same.
                let _ = socket.shutdown(Shutdown::Both);
                cut = cut.saturating_add(1);
            }
            false
        });
        cut
    }

    /// How many connections are open.
    pub fn count(&self) -> usize {
        self.table().values().map(HashMap::len).sum()
    }
}

/// Takes a connection out of the table when it closes.
#[derive(Debug)]
pub(super) struct LiveGuard {
    live: LiveSockets,
    thumbprint: Thumbprint,
    number: u64,
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        let mut table = self.live.table();
        if let Some(sockets) = table.get_mut(&self.thumbprint) {
            sockets.remove(&self.number);
            if sockets.is_empty() {
                table.remove(&self.thumbprint);
            }
        }
    }
}
