//! The doors of a world, open on ports of their own, and what its partners connect with.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, Once, OnceLock, mpsc};
use std::thread::JoinHandle;

use fieldgate::cli::Client;
use fieldgate::cli::doors::{self, Opening};
use fieldgate::clock::Clock;
use fieldgate::config::DoorSettings;
use fieldgate::domain::partner::PartnerKind;
use fieldgate::flows::release::Asker;
use fieldgate::jobs::publisher::Publishing;
use fieldgate::vault::authority::to_pem;
use tokio::sync::oneshot;

use super::World;
use super::wire::{Trusted, Wire};

/// Open doors; closed when dropped.
pub struct Doors {
    pub partner_url: String,
    pub public_url: String,
    pub ops: String,
    pub trusted: Trusted,
    /// What their publisher tells.
    pub publishing: Publishing,
    authority_pem: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A partner with what it connects with.
#[derive(Clone)]
pub struct Badge {
    pub code: String,
    pub asker: Asker,
    /// Private key and certificate in PEM.
    pub pem: String,
}

/// One crypto provider for the whole test binary.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    });
}

/// Everything that was logged by this test binary since the first doors were opened: a copy, so
/// that a long search does not hold up the doors of other tests, which log through the same lock.
pub fn logged() -> Vec<u8> {
    log().lock().unwrap().clone()
}

fn log() -> Arc<Mutex<Vec<u8>>> {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        tracing_subscriber::fmt()
            .json()
            .with_env_filter("trace,rustls=debug,h2=off,mio=off,hyper_util=off")
            .with_writer(move || Sink(Arc::clone(&kept)))
            .try_init()
            .expect("nobody else listens to the log of the test binary");
        log
    });
    Arc::clone(log)
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Doors {
    /// Opens the doors of a world.
    pub fn open(world: &World) -> Self {
        install_crypto();
        log();
        let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (partner, public, ops) = (bind(), bind(), bind());
        let url = |one: &TcpListener| format!("https://localhost:{}", port(one));
        let names = ["localhost".to_owned()];
        let server = world.authority.issue_server(&names, Clock::System.now(), 30).unwrap();
        let settings = DoorSettings {
            partner_url: url(&partner),
            public_url: url(&public),
            ..DoorSettings::default()
        };
        let authority_pem = to_pem("CERTIFICATE", world.authority.certificate());
        let (partner_url, public_url) = (settings.partner_url.clone(), settings.public_url.clone());
        let ops_address = ops.local_addr().unwrap().to_string();
        let opening = Opening {
            partner,
            public,
            ops,
            settings,
            certificate_pem: to_pem("CERTIFICATE", &server.certificate).into_bytes(),
            key_pem: to_pem("PRIVATE KEY", server.key.expose()).into_bytes(),
            authority_pem: authority_pem.clone(),
            gateway: world.gateway.clone(),
            store: world.store.clone(),
            master: world.master.clone(),
        };
        let (stop, stopped) = oneshot::channel();
        let (opened, wait) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let doors = doors::open(opening).await.unwrap();
                opened.send(doors.publishing().clone()).unwrap();
                let _ = stopped.await;
                doors.close().await;
            });
        });
        let publishing = wait.recv().expect("the doors open");
        Self {
            partner_url,
            public_url,
            ops: ops_address,
            trusted: Trusted::new(world.authority.certificate()),
            publishing,
            authority_pem,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The partner's client that ships with the product.
    pub fn client(&self, badge: &Badge) -> Client {
        let id = badge.asker.partner.to_string();
        let authority = self.authority_pem.as_bytes();
        Client::new(&self.partner_url, &id, Some(badge.pem.as_bytes()), authority).unwrap()
    }

    /// A connection of a partner that keeps every byte it receives.
    pub fn wire(&self, badge: &Badge) -> Wire {
        self.trusted.wire(&self.partner_url, Some(&badge.pem))
    }

    /// A connection to the public door.
    pub fn public_wire(&self) -> Wire {
        self.trusted.wire(&self.public_url, None)
    }

    /// A connection to the ops door, which speaks no TLS.
    pub fn ops_wire(&self) -> Wire {
        Wire::plain(&self.ops)
    }

    /// Waits until the doors judge by the registry as it is now.
    pub fn settle(&self, badge: &Badge, until: impl Fn(u16) -> bool) {
        for _ in 0..400 {
            let answer = self.wire(badge).try_call("GET", "/v1/whoami", &[], b"");
            if until(answer.map_or(0, |answer| answer.status)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        panic!("the doors never followed the registry");
    }
}

impl World {
    /// A partner with a certificate, before the doors open.
    pub async fn badge(&self, code: &str, kind: PartnerKind) -> Badge {
        let (asker, pem) = self.partner(code, kind).await;
        Badge { code: code.to_owned(), asker, pem }
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the doors panicked");
        }
    }
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}
