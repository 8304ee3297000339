//! The real program on a prepared installation: a process that can be killed and started again.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use fieldgate::cli::Client;
use fieldgate::clock::Clock;
use fieldgate::flows::release::Asker;
use fieldgate::ledger::verify::{self, Plan, Report};
use fieldgate::merkle::key::{KeyType, Signer, Verifier};
use fieldgate::merkle::note::Note;
use fieldgate::store::{OpenOptions, ReadTx, Store, StoreError, Url};
use fieldgate::vault::authority::to_pem;
use fieldgate::vault::keyring::KeyUse;
use tempfile::TempDir;

use super::world::ORIGIN;
use super::{Database, World, postgres};

/// Longest wait for anything: tests run beside each other on two cores.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Settings, keys and database of a gateway that is run as a process.
pub struct Installed {
    /// Where the database is.
    pub url: String,
    /// Public key of the log.
    pub log: Verifier,
    /// The authority's certificate in PEM.
    pub authority: String,
    /// Port of the partner door.
    pub port: u16,
    /// Port of the ops door.
    pub ops: u16,
    home: TempDir,
}

/// A running gateway; killed when this is dropped.
pub struct Gate(Child);

impl Installed {
    /// A new installation; `fill` is told what belongs in it before the first process starts.
    pub async fn new<T>(database: Database, fill: impl AsyncFnOnce(&World) -> T) -> (Self, T) {
        let home = tempfile::tempdir().unwrap();
        let url = match database {
            Database::Sqlite => format!("sqlite://{}", home.path().join("gate.db").display()),
            Database::Postgres => postgres::server().unwrap().empty(),
        };
        Self::at(url, home, fill).await
    }

    /// The same on a database of one's own. The world is closed before this returns: from then on
    /// the process is the only one that has the database open.
    pub async fn at<T>(
        url: String,
        home: TempDir,
        fill: impl AsyncFnOnce(&World) -> T,
    ) -> (Self, T) {
        let world = World::at(url.clone(), tempfile::tempdir().unwrap()).await;
        let filled = fill(&world).await;
        let authority = to_pem("CERTIFICATE", world.authority.certificate());
        let seed = world.gateway.keyring().bytes(KeyUse::Checkpoint).unwrap();
        let signer = Signer::from_seed(ORIGIN, KeyType::Log, seed.expose()).unwrap();
        let log = signer.verifier().clone();
        let (port, ops) = (free_port(), free_port());
        let installed = Self { url, log, authority, port, ops, home };
        installed.write(&world);
        world.sequencer.close();
        (installed, filled)
    }

    fn write(&self, world: &World) {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = world.authority.issue_server(&names, Clock::System.now(), 30).unwrap();
        let master: String = world.master.expose().iter().map(|b| format!("{b:02x}")).collect();
        let (partner, public, ops) = (self.port, free_port(), self.ops);
        let settings = format!(
            "[store]\nurl = \"{}\"\n[keys]\nmaster_file = \"master.key\"\n\
             authority_file = \"ca.pem\"\nserver_certificate_file = \"server.pem\"\n\
             server_key_file = \"server.key\"\n[doors]\npartner = \"127.0.0.1:{partner}\"\n\
             public = \"127.0.0.1:{public}\"\nops = \"127.0.0.1:{ops}\"\n\
             partner_url = \"https://localhost:{partner}\"\n\
             public_url = \"https://localhost:{public}\"\n[ledger]\norigin = \"{ORIGIN}\"\n",
            self.url
        );
        for (name, text) in [
            ("fieldgate.toml", settings),
            ("master.key", master),
            ("ca.pem", self.authority.clone()),
            ("server.pem", to_pem("CERTIFICATE", &server.certificate)),
            ("server.key", to_pem("PRIVATE KEY", server.key.expose())),
        ] {
            let path = self.home().join(name);
            std::fs::write(&path, text).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&path, mode).unwrap();
        }
    }

    /// Adds to the settings file.
    pub fn add_settings(&self, text: &str) {
        self.edit_settings(|settings| format!("{settings}{text}"));
    }

    /// Rewrites the settings file.
    pub fn edit_settings(&self, edit: impl FnOnce(String) -> String) {
        let path = self.home().join("fieldgate.toml");
        let settings = edit(std::fs::read_to_string(&path).unwrap());
        std::fs::write(&path, settings).unwrap();
    }

    /// Copies the database as it is now; no process may have it open. The copy's address.
    pub fn copy_database(&self) -> String {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let Some(path) = self.url.strip_prefix("sqlite://") else {
            return postgres::server().unwrap().copy_of(&self.url);
        };
        let copy = format!("{path}.copy{}", NEXT.fetch_add(1, Ordering::Relaxed));
        for ending in ["", "-wal"] {
            let from = format!("{path}{ending}");
            if Path::new(&from).exists() {
                std::fs::copy(from, format!("{copy}{ending}")).unwrap();
            }
        }
        format!("sqlite://{copy}")
    }

    /// From now on the settings name this database.
    pub fn stand_on(&mut self, url: String) {
        self.edit_settings(|settings| settings.replace(&self.url, &url));
        self.url = url;
    }

    /// A second installation with the same keys on another database, at other ports.
    pub fn twin(&self, url: String) -> Self {
        let home = tempfile::tempdir().unwrap();
        for name in ["fieldgate.toml", "master.key", "ca.pem", "server.pem", "server.key"] {
            std::fs::copy(self.home().join(name), home.path().join(name)).unwrap();
        }
        let (log, authority) = (self.log.clone(), self.authority.clone());
        let (port, ops) = (free_port(), free_port());
        let mut twin = Self { url: self.url.clone(), log, authority, port, ops, home };
        twin.edit_settings(|settings| {
            let settings = settings.replace(&format!(":{}", self.port), &format!(":{port}"));
            let settings = settings.replace(&format!(":{}", self.ops), &format!(":{ops}"));
            let public = |line: &str| {
                if line.starts_with("public = ") {
                    format!("public = \"127.0.0.1:{}\"\n", free_port())
                } else {
                    format!("{line}\n")
                }
            };
            settings.lines().map(public).collect()
        });
        twin.stand_on(url);
        twin
    }

    /// The folder of the installation.
    pub fn home(&self) -> PathBuf {
        self.home.path().to_owned()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
        command.arg("--config").arg(self.home().join("fieldgate.toml")).stdin(Stdio::null());
        command
    }

    /// Starts the gateway without waiting for its doors. What it says goes to the file `log`.
    pub fn start(&self) -> Gate {
        self.start_with(&[])
    }

    fn start_with(&self, variables: &[(&str, &Path)]) -> Gate {
        let path = self.home().join("log");
        let log = std::fs::File::options().create(true).append(true).open(path).unwrap();
        let mut command = self.command();
        command.arg("serve").stdout(log.try_clone().unwrap()).stderr(log);
        Gate(command.envs(variables.iter().copied()).spawn().unwrap())
    }

    /// Starts the gateway and returns when its partner door takes connections.
    pub fn serve(&self) -> Gate {
        self.opened(self.start())
    }

    /// The same on a machine that trusts the authorities in this PEM file and no others.
    pub fn serve_trusting(&self, authorities: &Path) -> Gate {
        self.opened(self.start_with(&[("SSL_CERT_FILE", authorities)]))
    }

    fn opened(&self, mut gate: Gate) -> Gate {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = gate.0.try_wait().unwrap();
            assert!(ended.is_none(), "the gateway ended at once: {ended:?}\n{}", self.log_text());
            assert!(begun.elapsed() < PATIENCE, "the door stays shut\n{}", self.log_text());
            std::thread::sleep(Duration::from_millis(5));
        }
        gate
    }

    /// What the gateway has said so far.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.home().join("log")).unwrap_or_default()
    }

    /// Runs another command of the program on this installation.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// The same with a text on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that fails before it reads closes the pipe: what it answers is judged.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// The same command as words, for another program that runs it.
    pub fn words(&self, arguments: &[&str]) -> Vec<String> {
        let command = self.command();
        let own = std::iter::once(command.get_program()).chain(command.get_args());
        let own = own.map(|word| word.to_str().unwrap().to_owned());
        own.chain(arguments.iter().map(|word| (*word).to_owned())).collect()
    }

    /// Starts another command of the program and does not wait for it.
    pub fn spawn(&self, arguments: &[&str]) -> Gate {
        let mut command = self.command();
        Gate(command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// The client of a partner.
    pub fn client(&self, asker: &Asker, pem: &str) -> Client {
        install_provider();
        let base = format!("https://localhost:{}", self.port);
        let (identity, authority) = (pem.as_bytes(), self.authority.as_bytes());
        Client::new(&base, &asker.partner.to_string(), Some(identity), authority).unwrap()
    }

    /// What `/readyz` answers: status and body.
    pub async fn ready(&self) -> (u16, String) {
        install_provider();
        let url = format!("http://127.0.0.1:{}/readyz", self.ops);
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Reads the database as a second process would.
    pub fn look<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut ReadTx) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        let options = OpenOptions { readers: 1, create: false };
        let store = Store::open(&Url::parse(&self.url).unwrap(), options).unwrap();
        store.read_blocking(read).unwrap()
    }

    /// Hashes the whole ledger again; every checkpoint must be a former state of it.
    pub fn verify(&self, checkpoints: Vec<Note>) -> Report {
        let plan = Plan { log: vec![self.log.clone()], checkpoints, ..Plan::default() };
        self.look(move |tx| Ok::<_, StoreError>(verify::everything(tx, &plan, |_| {}))).unwrap()
    }
}

impl Gate {
    /// Ends the process as a crash does: nothing is flushed, nobody is told.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Asks the process to end, and waits until it has.
    pub async fn stop(mut self) -> Option<i32> {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.ended().await
    }

    /// Waits for a process that is expected to end by itself; its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        until("the gateway ends", async || self.0.try_wait().unwrap()).await.code()
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether the process still runs.
    pub fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Clients of this process speak TLS with the provider of the product.
pub fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

/// A port below those that the system gives to outgoing connections: a gateway that is started
/// again must find its own still free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % 200).unwrap() * 50;
    loop {
        let port = 12_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Asks again until the answer is there or patience ends.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs one test of this binary as another process, told by a variable what to do.
pub fn rerun(wrapper: &[&str], test: &str, (variable, value): (&str, &Path)) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match wrapper {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(variable, value);
    command
}
