//! A real S3-compatible server of a test's own, where its program (`s3s-fs`) is found. It checks
//! every signature, and keeps its objects as files, so that a test can do what a store's owner
//! could: take objects away, or put others in their place.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fieldgate::jobs::bucket::{Access, Bucket, BucketPlace};
use tempfile::TempDir;

use super::process::{PATIENCE, free_port, install_provider};

/// Set to `1` to fail instead of skipping where the server is not installed.
const REQUIRE: &str = "FIELDGATE_REQUIRE_S3";

/// The bucket that every server holds.
pub const NAME: &str = "evidence";

const KEY_ID: &str = "AKIATESTFIELDGATE";

/// A secret that must never be seen anywhere.
pub const SECRET: &str = "s3cr3t/of+the/bucket==";

/// A running server; it is stopped and its objects are removed when this is dropped.
pub struct S3 {
    program: PathBuf,
    root: TempDir,
    port: u16,
    running: Option<Child>,
}

impl S3 {
    /// Starts a server with one empty bucket; `None`, after saying so, where there is no program.
    pub fn start() -> Option<Self> {
        install_provider();
        let Some(program) = program() else {
            let required = std::env::var(REQUIRE).is_ok_and(|value| value == "1");
            assert!(!required, "{REQUIRE}=1, but s3s-fs is neither on PATH nor in target/s3/bin");
            eprintln!("object store half skipped: s3s-fs is not installed");
            return None;
        };
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(NAME)).unwrap();
        let mut server = Self { program, root, port: free_port(), running: None };
        server.start_again();
        Some(server)
    }

    /// Starts the server, or starts it again after [`S3::stop`].
    pub fn start_again(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new(&self.program);
        command.args(["--host", "127.0.0.1", "--port", &port, "--access-key", KEY_ID]);
        command.args(["--secret-key", SECRET]).arg(self.root.path());
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.running = Some(quiet.spawn().unwrap());
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "the object store stays shut");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops the server; its objects stay.
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill().unwrap();
            running.wait().unwrap();
        }
    }

    /// The file that holds an object.
    pub fn file(&self, key: &str) -> PathBuf {
        self.root.path().join(NAME).join(key)
    }

    /// A folder in the bucket, opened with the right key.
    pub fn bucket(&self, folder: &str) -> Bucket {
        open(&self.endpoint(), NAME, folder, SECRET)
    }

    /// Address of the server.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The section of the settings that describes the bucket, and the file with the key.
    pub fn settings(&self, home: &Path) -> String {
        let file = home.join("bucket.credentials");
        let key = format!("[default]\naws_access_key_id = {KEY_ID}\n");
        std::fs::write(&file, format!("{key}aws_secret_access_key = {SECRET}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, mode).unwrap();
        format!(
            "[[buckets]]\nname = \"{NAME}\"\nendpoint = \"{}\"\n\
             credentials_file = \"bucket.credentials\"\n",
            self.endpoint()
        )
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Opens a bucket anywhere; a request may take one second.
pub fn open(endpoint: &str, name: &str, folder: &str, secret: &str) -> Bucket {
    open_trusting(endpoint, (name, folder, secret), None)
}

/// The same, where the store's certificate must come from an authority in PEM.
pub fn open_trusting(
    endpoint: &str,
    (name, folder, secret): (&str, &str, &str),
    authority: Option<&[u8]>,
) -> Bucket {
    let key = format!("aws_access_key_id={KEY_ID}\naws_secret_access_key={secret}\n");
    let at = BucketPlace {
        endpoint,
        name,
        region: "us-east-1",
        folder,
        access: Access::parse(&key).ok().unwrap(),
        authority,
        patience: Duration::from_secs(1),
    };
    Bucket::open(&at).unwrap()
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/s3/bin"));
    folders.into_iter().map(|folder| folder.join("s3s-fs")).find(|program| program.is_file())
}
