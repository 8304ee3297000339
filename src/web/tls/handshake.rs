//! One handshake: its deadline, its outcome, and the reason of each failure by name.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{CertificateError, Error, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::seats::NoSeat;

/// How a handshake ended. A closed list: it labels a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The connection is open.
    Done,
    /// The client sent no certificate (alert 116).
    NoCertificate,
    /// The certificate is not in the registry, or not under our CA (alert 48).
    CertificateUnknown,
    /// The certificate was revoked (alert 44).
    CertificateRevoked,
    /// The certificate has ended (alert 45).
    CertificateExpired,
    /// The certificate is not valid yet (alert 45).
    CertificateNotYetValid,
    /// The certificate is not for clients, or its key is of a kind we refuse (alert 43).
    CertificatePurpose,
    /// The certificate cannot be read, or is refused for another reason.
    CertificateUnusable,
    /// The client does not hold the key (alert 51).
    BadProof,
    /// No common version, cipher suite or group (alert 70 or 40).
    Incompatible,
    /// The client wants a protocol other than HTTP/1.1 (alert 120).
    Protocol,
    /// What came is not TLS, or breaks its rules.
    Malformed,
    /// The client gave up with an alert.
    ClientAlert,
    /// The connection ended before the handshake did.
    Closed,
    /// The client took longer than the deadline.
    Timeout,
    /// Too many handshakes were under way.
    NoSlot,
    /// The client's address holds too many connections.
    AddressFull,
}

impl Outcome {
    /// The name in metrics and log lines.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NoCertificate => "no_certificate",
            Self::CertificateUnknown => "certificate_unknown",
            Self::CertificateRevoked => "certificate_revoked",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateNotYetValid => "certificate_not_yet_valid",
            Self::CertificatePurpose => "certificate_purpose",
            Self::CertificateUnusable => "certificate_unusable",
            Self::BadProof => "bad_proof",
            Self::Incompatible => "incompatible",
            Self::Protocol => "protocol",
            Self::Malformed => "malformed",
            Self::ClientAlert => "client_alert",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::NoSlot => "no_slot",
            Self::AddressFull => "address_full",
        }
    }
}

impl From<NoSeat> for Outcome {
    fn from(no: NoSeat) -> Self {
        match no {
            NoSeat::Handshakes => Self::NoSlot,
            NoSeat::Address => Self::AddressFull,
        }
    }
}

/// How long a refused client may take to read its alert.
const LINGER: Duration = Duration::from_millis(250);

/// Shakes hands within the deadline.
pub(super) async fn shake(
    settings: Arc<ServerConfig>,
    tcp: TcpStream,
    deadline: Duration,
) -> Result<TlsStream<TcpStream>, Outcome> {
    // Without tickets a client that lacks it stalls 40 ms per answer (Nagle and delayed ACK).
    let _ = tcp.set_nodelay(true);
    let accept = TlsAcceptor::from(settings).accept(tcp).into_fallible();
    match timeout(deadline, accept).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err((error, tcp))) => {
            // A TLS 1.3 client may have sent its request already. Closing with unread bytes
            // resets the connection and destroys the alert, so they are read and dropped.
            let _ = timeout(LINGER, drain(tcp)).await;
            Err(reason(&error))
        }
        Err(_) => Err(Outcome::Timeout),
    }
}

async fn drain(mut tcp: TcpStream) -> io::Result<()> {
    tcp.shutdown().await?;
    let mut dropped = [0; 2048];
    for _ in 0..16 {
        if tcp.read(&mut dropped).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// The reason sits inside the I/O error.
fn reason(error: &io::Error) -> Outcome {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::NoCertificatesPresented) => Outcome::NoCertificate,
        Some(Error::InvalidCertificate(fault)) => certificate_reason(fault),
        Some(Error::PeerIncompatible(_)) => Outcome::Incompatible,
        Some(Error::NoApplicationProtocol) => Outcome::Protocol,
        Some(Error::AlertReceived(_)) => Outcome::ClientAlert,
        Some(_) => Outcome::Malformed,
        None => Outcome::Closed,
    }
}

fn certificate_reason(fault: &CertificateError) -> Outcome {
    use CertificateError as Fault;
    match fault {
        Fault::UnknownIssuer => Outcome::CertificateUnknown,
        Fault::Revoked => Outcome::CertificateRevoked,
        Fault::Expired | Fault::ExpiredContext { .. } => Outcome::CertificateExpired,
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => Outcome::CertificateNotYetValid,
        Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => Outcome::CertificatePurpose,
        Fault::BadSignature
        | Fault::UnsupportedSignatureAlgorithmContext { .. }
        | Fault::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Outcome::BadProof,
        _ => Outcome::CertificateUnusable,
    }
}

/// One log line for each handshake that failed; never a name from the certificate.
pub(super) fn log_failure(door: &'static str, peer: SocketAddr, outcome: Outcome) {
    tracing::warn!(door, peer = %peer.ip(), reason = outcome.code(), "handshake refused");
}
