//! A right that is taken away by another process ends live connections within two seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fieldgate::ledger::Archive as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::load::Cast;
use crate::harness::process::{Installed, install_provider};
use crate::harness::{databases, wait};

/// Longest life of a connection after its right has gone.
const LIMIT: Duration = Duration::from_secs(2);

/// One connection that stays open between requests.
struct Line(TlsStream<TcpStream>, String);

impl Line {
    async fn open(installed: &Installed, pem: &str) -> std::io::Result<Self> {
        install_provider();
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(installed.authority.as_bytes()).unwrap();
        roots.add(authority).unwrap();
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let settings = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        let stream = TcpStream::connect(("127.0.0.1", installed.port)).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(settings)).connect(name, stream).await?;
        Ok(Self(stream, format!("localhost:{}", installed.port)))
    }

    /// The status of `GET /v1/whoami`, or the failure of the connection.
    async fn whoami(&mut self) -> std::io::Result<u16> {
        let request = format!("GET /v1/whoami HTTP/1.1\r\nHost: {}\r\n\r\n", self.1);
        self.0.write_all(request.as_bytes()).await?;
        let mut text = String::new();
        while !text.contains("\r\n\r\n") || !text.ends_with('}') {
            let mut bytes = [0; 4096];
            let read = self.0.read(&mut bytes).await?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        Ok(text.split(' ').nth(1).unwrap().parse().unwrap())
    }

    /// How long the idle connection still lives.
    async fn lives(mut self) -> Duration {
        let begun = Instant::now();
        let mut byte = [0; 1];
        let end = tokio::time::timeout(LIMIT, self.0.read(&mut byte)).await;
        let end = end.expect("the connection outlived its right by two seconds");
        assert!(matches!(end, Ok(0) | Err(_)), "a byte came unasked");
        begun.elapsed()
    }
}

/// Bodies of all entries of a kind.
fn entries(installed: &Installed, kind: &str) -> Vec<Value> {
    let bodies = installed.look(|tx| {
        let size = tx.head().unwrap().size();
        Ok(tx.bodies(0, size).unwrap())
    });
    let entries = bodies.iter().map(|body| serde_json::from_slice::<Value>(body).unwrap());
    entries.filter(|entry| entry["k"] == kind).collect()
}

#[test]
fn what_another_process_takes_away_is_gone_from_live_connections_within_two_seconds() {
    for database in databases() {
        wait(async {
            let fill = async |world: &crate::harness::World| {
                let cast = Cast::enter(world, 2).await;
                (cast, world.certificate("acme").await)
            };
            let (installed, (cast, second)) = Installed::new(database, fill).await;
            let _gate = installed.serve();
            let (asker, pem) = &cast.reseller;

            // A revoked certificate: the partner's other certificate goes on.
            let mut line = Line::open(&installed, pem).await.unwrap();
            assert_eq!(line.whoami().await.unwrap(), 200);
            let mut other = Line::open(&installed, &second.1).await.unwrap();
            assert_eq!(other.whoami().await.unwrap(), 200);
            let thumbprint = asker.certificate.to_string();
            let done = installed.run(&["partner", "revoke-certificate", &thumbprint]);
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            let revoked = line.lives().await;
            assert_eq!(anew(&installed, pem).await, None, "the handshake is refused");
            assert_eq!(other.whoami().await.unwrap(), 200);
            let named = entries(&installed, "certificate.revoke");
            assert_eq!(named.len(), 1);
            assert_eq!(named[0]["aud"], asker.partner.to_string());
            assert!(named[0].to_string().contains(&thumbprint), "{}", named[0]);

            // A suspended partner: nothing of it goes on, another partner does.
            let mut points = Line::open(&installed, &cast.points.1).await.unwrap();
            let done = installed.run(&["partner", "suspend", "acme"]);
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            let suspended = other.lives().await;
            assert_eq!(anew(&installed, &second.1).await, Some(403), "G6 of the access table");
            assert_eq!(points.whoami().await.unwrap(), 200);
            let named = entries(&installed, "partner.suspend");
            assert_eq!(named.len(), 1);
            assert_eq!(named[0]["aud"], asker.partner.to_string());
            eprintln!(
                "{database:?}: connections cut {revoked:.1?} after the revocation and \
                 {suspended:.1?} after the suspension were told"
            );
        });
    }
}

/// What a new connection with this certificate is told; `None` when there is no connection.
async fn anew(installed: &Installed, pem: &str) -> Option<u16> {
    Line::open(installed, pem).await.ok()?.whoami().await.ok()
}
