//! The TLS settings of a door, built from scratch each time: a clone would share its sessions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{
    ClientHello, NoClientAuth, NoServerSessionStorage, ResolvesServerCert, ServerConfig,
};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};

use crate::clock::Clock;
use crate::secret::KeyDocument;

use super::verifier::RegistryVerifier;

/// The one crypto provider of all doors: AWS-LC, X25519MLKEM768 first.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The oldest TLS version a door speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMin {
    /// TLS 1.2, for old .NET and Java; shows the client certificate in clear.
    V1_2,
    /// TLS 1.3.
    #[default]
    V1_3,
}

/// Why a server certificate or the settings are refused. What is in force stays.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// The private key cannot be read.
    #[error("the server key is not PKCS#8, SEC1 or PKCS#1 in DER")]
    Key,
    /// Key and certificate do not belong together, or one is unusable.
    #[error("the server certificate and its key do not fit: {0}")]
    Pair(#[source] rustls::Error),
    /// The provider does not speak the versions wanted.
    #[error("the TLS settings are refused: {0}")]
    Settings(#[source] rustls::Error),
}

/// The server's certificate and key, replaceable while the door is open.
pub struct ServerCertificate {
    pair: ArcSwap<CertifiedKey>,
}

impl ServerCertificate {
    /// From a chain (leaf first, DER) and its private key (DER).
    ///
    /// # Errors
    /// The pair is unreadable or does not fit together.
    pub fn new(chain: Vec<Vec<u8>>, key: &KeyDocument) -> Result<Self, TlsFault> {
        Ok(Self { pair: ArcSwap::from_pointee(Self::check(chain, key)?) })
    }

    /// Takes a new pair for all handshakes to come; the old one stays if this fails.
    ///
    /// # Errors
    /// The pair is unreadable or does not fit together.
    pub fn replace(&self, chain: Vec<Vec<u8>>, key: &KeyDocument) -> Result<(), TlsFault> {
        self.pair.store(Arc::new(Self::check(chain, key)?));
        Ok(())
    }

    fn check(chain: Vec<Vec<u8>>, key: &KeyDocument) -> Result<CertifiedKey, TlsFault> {
        let key = PrivateKeyDer::try_from(key.expose().to_vec()).map_err(|_| TlsFault::Key)?;
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        CertifiedKey::from_der(chain, key, &provider()).map_err(TlsFault::Pair)
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerCertificate")
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair.load_full())
    }
}

/// Lets rustls ask our clock, so that a test can let a year pass.
#[derive(Debug)]
struct DoorTime(Clock);

impl TimeProvider for DoorTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().seconds()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// The settings of the partner door: mutual TLS, no resumption of any kind, HTTP/1.1 only.
///
/// # Errors
/// The provider does not speak the versions wanted.
pub fn partner_settings(
    verifier: RegistryVerifier,
    certificate: Arc<ServerCertificate>,
    clock: Clock,
    min: TlsMin,
) -> Result<ServerConfig, TlsFault> {
    const OLD: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    const NEW: &[&SupportedProtocolVersion] = &[&TLS13];
    let versions = if min == TlsMin::V1_2 { OLD } else { NEW };
    let settings = ServerConfig::builder_with_details(provider(), Arc::new(DoorTime(clock)))
        .with_protocol_versions(versions)
        .map_err(TlsFault::Settings)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(certificate);
    Ok(without_sessions(settings))
}

/// The settings of the public door: server TLS, TLS 1.2 for old browsers, nobody is asked for a
/// certificate. It shares nothing with the partner door, above all no session.
///
/// # Errors
/// The provider does not speak the versions wanted.
pub fn public_settings(
    certificate: Arc<ServerCertificate>,
    clock: Clock,
) -> Result<ServerConfig, TlsFault> {
    let settings = ServerConfig::builder_with_details(provider(), Arc::new(DoorTime(clock)))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsFault::Settings)?
        .with_client_cert_verifier(Arc::new(NoClientAuth))
        .with_cert_resolver(certificate);
    Ok(without_sessions(settings))
}

fn without_sessions(mut settings: ServerConfig) -> ServerConfig {
    settings.session_storage = Arc::new(NoServerSessionStorage {});
    settings.send_tls13_tickets = 0;
    settings.max_early_data_size = 0;
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    settings
}
