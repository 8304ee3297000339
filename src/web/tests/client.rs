//! A client that shows what happens on the wire: alerts, kinds of handshake, raw answers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Error, HandshakeKind, RootCertStore,
    SignatureScheme, StreamOwned, SupportedProtocolVersion,
};

use super::bench::{Bench, Pair, today};

#[derive(Debug)]
struct Noon;

impl rustls::time_provider::TimeProvider for Noon {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = today().seconds().try_into().ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Presents whatever it is given, fitting key or not.
#[derive(Debug)]
struct Presents(Arc<CertifiedKey>);

impl ResolvesClientCert for Presents {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Settings of a client that trusts the bench's authority.
pub(super) fn settings(
    bench: &Bench,
    version: &'static SupportedProtocolVersion,
    chain: Option<(&[&[u8]], &[u8])>,
) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(bench.ca.der.clone())).unwrap();
    let builder = ClientConfig::builder_with_details(provider.clone(), Arc::new(Noon))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let Some((chain, key)) = chain else { return builder.with_no_client_auth() };
    let key = PrivateKeyDer::try_from(key.to_vec()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let chain = chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let presents = Presents(Arc::new(CertifiedKey::new(chain, key)));
    let mut settings = builder.with_client_cert_resolver(Arc::new(presents));
    settings.resumption = Resumption::in_memory_sessions(8);
    settings
}

pub(super) fn with(
    bench: &Bench,
    version: &'static SupportedProtocolVersion,
    pair: &Pair,
) -> Arc<ClientConfig> {
    Arc::new(settings(bench, version, Some((&[&pair.der], &pair.key))))
}

/// One connection.
pub(super) struct Client {
    pub(super) stream: StreamOwned<ClientConnection, TcpStream>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(super) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    pub(super) fn connect(address: SocketAddr, settings: Arc<ClientConfig>) -> io::Result<Self> {
        let tcp = TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(Duration::from_secs(8)))?;
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(settings, name).unwrap();
        Ok(Self { stream: StreamOwned::new(tls, tcp) })
    }

    pub(super) fn of(bench: &Bench) -> Self {
        Self::with(bench, &bench.pair)
    }

    pub(super) fn with(bench: &Bench, pair: &Pair) -> Self {
        Self::connect(bench.address, with(bench, &rustls::version::TLS13, pair)).unwrap()
    }

    pub(super) fn kind(&self) -> HandshakeKind {
        self.stream.conn.handshake_kind().unwrap()
    }

    pub(super) fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes())?;
        self.stream.flush()
    }

    pub(super) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.get_with(path, "")
    }

    /// `headers`: whole lines, each ended by CR LF.
    pub(super) fn get_with(&mut self, path: &str, headers: &str) -> io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost:8443\r\n{headers}\r\n"))?;
        self.answer()
    }

    pub(super) fn post(&mut self, path: &str, kind: &str, body: &str) -> io::Result<Answer> {
        self.post_with(path, &format!("Content-Type: {kind}\r\n"), body)
    }

    pub(super) fn post_with(
        &mut self,
        path: &str,
        headers: &str,
        body: &str,
    ) -> io::Result<Answer> {
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost:8443\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        ))?;
        self.answer()
    }

    pub(super) fn answer(&mut self) -> io::Result<Answer> {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            if self.stream.read(&mut byte)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.push(byte[0]);
        }
        let head = String::from_utf8(bytes).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        answer.body = String::from_utf8(body).unwrap();
        Ok(answer)
    }

    /// Whether the server has closed the connection.
    pub(super) fn is_closed(&mut self) -> bool {
        let _ = self.stream.sock.set_read_timeout(Some(Duration::from_secs(2)));
        let mut rest = [0; 1024];
        match self.stream.read(&mut rest) {
            Ok(count) => count == 0,
            Err(error) => {
                !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
            }
        }
    }
}

/// The alert by which the other side refused.
pub(super) fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}
