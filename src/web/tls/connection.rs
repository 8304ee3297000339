//! What a request may know of its connection: the leaf, parsed once when it opened.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::dev::Extensions;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::clock::Moment;
use crate::domain::partner::CertificateStatus;
use crate::id::Thumbprint;

use super::live::LiveGuard;
use super::trust::Trust;
use super::verifier::{LeafFacts, ReadLeaf};

/// The client certificate of a connection.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// SHA-256 of the whole DER; also the `x5t#S256` of tokens bound to it.
    pub thumbprint: Thumbprint,
    /// Serial number as lower-case hex.
    pub serial: String,
    /// Valid until.
    pub not_after: Moment,
}

/// One open connection. Handlers read it with `req.conn_data::<Connection>()`.
#[derive(Debug)]
pub struct Connection {
    /// Its number since start-up, for log lines.
    pub number: u64,
    /// The address at the other end.
    pub peer: IpAddr,
    /// The certificate it was opened with; `None` on a door that asks for none.
    pub leaf: Option<Leaf>,
    closes_at: Instant,
    _live: Option<LiveGuard>,
}

impl Connection {
    /// Whether the connection is old enough that its next answer should be its last.
    pub fn is_old(&self) -> bool {
        Instant::now() >= self.closes_at
    }
}

/// Told of each certificate that is pending and has just been used for the first time.
pub type FirstUse = Arc<dyn Fn(Thumbprint) + Send + Sync>;

/// Makes the data of each new connection.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) client: Option<ClientSide>,
    pub(super) age_max: Duration,
    pub(super) numbers: Arc<AtomicU64>,
}

/// What the partner door does with a client certificate once the handshake is done.
#[derive(Clone)]
pub struct ClientSide {
    /// Where live sockets are entered.
    pub trust: Arc<Trust>,
    /// Reads the leaf.
    pub read_leaf: ReadLeaf,
    /// Told of pending certificates.
    pub first_use: FirstUse,
}

impl Connections {
    /// Fills the connection's data. Without data no request passes the gate (G2), so a
    /// connection that cannot be entered in the live table serves nothing.
    pub(super) fn open(&self, stream: &TlsStream<TcpStream>, data: &mut Extensions) {
        let (tcp, tls) = stream.get_ref();
        let Ok(peer) = tcp.peer_addr() else { return };
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let der = tls.peer_certificates().and_then(<[_]>::first);
        let entered = match (&self.client, der) {
            (Some(client), Some(der)) => match client.enter(der, number, tcp) {
                Some((leaf, live)) => (Some(leaf), Some(live)),
                None => return,
            },
            (Some(_), None) => return,
            (None, _) => (None, None),
        };
        let closes_at = Instant::now() + self.age_max;
        let (leaf, live) = entered;
        data.insert(Connection { number, peer: peer.ip(), leaf, closes_at, _live: live });
    }
}

impl ClientSide {
    fn enter(&self, der: &[u8], number: u64, tcp: &TcpStream) -> Option<(Leaf, LiveGuard)> {
        let LeafFacts { thumbprint, serial, not_after, .. } = (self.read_leaf)(der)?;
        let live = self
            .trust
            .live()
            .enter(thumbprint, number, tcp)
            .inspect_err(|error| tracing::error!(%error, "connection not entered: closed"))
            .ok()?;
        // Looked up after entering: a revocation is either seen here or cuts the socket.
        let status = self.trust.load().certificate(&thumbprint).map(|row| row.status);
        if status == Some(CertificateStatus::Pending) {
            (self.first_use)(thumbprint);
        }
        Some((Leaf { thumbprint, serial, not_after }, live))
    }
}
