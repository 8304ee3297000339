//! `fieldgate witness` as its protocol asks (c2sp.org/tlog-witness): every answer, and a memory
//! that survives being killed.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fieldgate::clock::Clock;
use fieldgate::flows::cosign::{Refusal, Witness};
use fieldgate::ledger::witness::cosigner::Cosigner;
use fieldgate::merkle::Hash;
use fieldgate::merkle::add_checkpoint::AddCheckpoint;
use fieldgate::merkle::checkpoint::Checkpoint;
use fieldgate::merkle::key::{KeyType, Signer, Verifier};
use fieldgate::merkle::note::Note;
use fieldgate::merkle::policy::Policy;
use fieldgate::merkle::tree::root_of;
use fieldgate::store::WitnessStore;

use crate::harness::process::install_provider;
use crate::harness::wait;

const LOG: &str = include_str!("../../vectors/log600/log.vkey");
const AT_300: &str = include_str!("../../vectors/log600/old-checkpoint");
const AT_600: &str = include_str!("../../vectors/log600/checkpoint.log-only");
const GOLDEN: &str = include_str!("../../vectors/log600/add-checkpoint.request");

/// A running witness; killed when this is dropped.
pub struct Running {
    child: Child,
    pub url: String,
    pub vkey: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(dir: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    command.arg("witness").arg("--dir").arg(dir).args(more).stdin(Stdio::null());
    command
}

impl Running {
    /// Starts a witness of the log with this vkey and waits until it listens.
    pub fn start(dir: &Path, log: &str, listen: &str) -> Self {
        Self::start_with(dir, log, &["--listen", listen])
    }

    /// The same with further options.
    pub fn start_with(dir: &Path, log: &str, more: &[&str]) -> Self {
        let mut command = command(dir, &[&["--policy", log], more].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut word = |name: &str| {
            let line = lines.next().expect("the witness ends at once");
            line.strip_prefix(name).expect(&line).trim().to_owned()
        };
        let (vkey, url) = (word("witness"), word("listens"));
        Self { child, url, vkey }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Status, content type, body.
pub async fn post(url: &str, body: impl Into<String>) -> (u16, String, String) {
    install_provider();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.post(format!("{url}/add-checkpoint")).body(body.into()).send().await.unwrap();
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    (answer.status().as_u16(), kind.unwrap_or_default(), answer.text().await.unwrap())
}

async fn get(url: &str) -> (u16, String) {
    install_provider();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[test]
fn every_check_has_its_status_and_the_memory_survives_a_kill() {
    wait(async {
        let dir = tempfile::tempdir().unwrap();
        let mut witness = Running::start(dir.path(), LOG, "127.0.0.1:0");
        let key = std::fs::metadata(dir.path().join("witness.key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        let own = Verifier::parse(&witness.vkey).unwrap();
        let origin = "ledger.example.com/fieldgate";
        let hash = fieldgate::id::Thumbprint::of(origin.as_bytes()).hex();
        let read = |url: &str| format!("{url}/{hash}/checkpoint");
        assert_eq!(get(&read(&witness.url)).await.0, 404, "nothing was cosigned yet");

        let (status, _, line) = post(&witness.url, format!("old 0\n\n{AT_300}")).await;
        assert_eq!(status, 200, "{line}");
        let mut note = Note::parse(AT_300.as_bytes()).unwrap();
        assert_eq!(line.lines().count(), 1, "only its own line");
        note.add(fieldgate::merkle::note::SignatureLine::parse(line.trim_end()).unwrap());
        assert!(note.verify(std::slice::from_ref(&own)).is_ok());

        let stranger = Signer::from_seed(origin, KeyType::Log, &[9; 32]).unwrap();
        let signed = |signer: &Signer, origin: &str, size: u64| {
            let root = Hash::leaf(b"invented");
            let body = Checkpoint { origin: origin.to_owned(), size, root };
            body.sign(std::slice::from_ref(signer)).unwrap().to_string()
        };
        let elsewhere = Signer::from_seed("else.example.com", KeyType::Log, &[9; 32]).unwrap();
        let forged = GOLDEN.replace("6/mLGVj", "7/mLGVj");
        let unproved = format!("old 300\n\n{AT_600}");
        for (request, expected) in [
            ("x".repeat(16 * 1024 + 1), 400),
            (GOLDEN.replace("old 300", "old +300"), 400),
            (GOLDEN.replace("old 300", "old 0300"), 400),
            (GOLDEN.replace("old 300", "old 601"), 400),
            (format!("old 0\n\n{}", signed(&elsewhere, "else.example.com", 5)), 404),
            (format!("old 0\n\n{}", signed(&stranger, origin, 5)), 403),
            (forged, 403),
            (unproved, 422),
        ] {
            let (status, kind, body) = post(&witness.url, request.clone()).await;
            assert_eq!(status, expected, "{request}: {body}");
            assert!(!kind.starts_with("text/x.tlog.size"), "{kind}");
        }
        let moved = |body: &str| (409, "text/x.tlog.size".to_owned(), body.to_owned());
        assert_eq!(post(&witness.url, format!("old 0\n\n{AT_600}")).await, moved("300\n"));
        assert_eq!(post(&witness.url, GOLDEN).await.0, 200);

        let url = witness.url.clone();
        witness.kill();
        let again = Running::start(dir.path(), LOG, url.strip_prefix("http://").unwrap());
        assert_eq!(again.vkey, witness.vkey);
        assert_eq!(post(&again.url, GOLDEN).await, moved("600\n"));
        // The same size again renews the time.
        assert_eq!(post(&again.url, format!("old 600\n\n{AT_600}")).await.0, 200);
        let (status, note) = get(&read(&again.url)).await;
        assert_eq!(status, 200);
        let policy = format!("log {LOG}\nwitness w {}\nquorum w\n", again.vkey);
        let policy = Policy::parse(policy.as_bytes()).unwrap();
        let note = Note::parse(note.as_bytes()).unwrap();
        assert_eq!(policy.check(&note).unwrap().size, 600);
    });
}

#[test]
fn a_witness_refuses_to_start_where_it_would_be_unsafe() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |more: &[&str], code: i32, word: &str| {
        let output = command(dir.path(), more).output().unwrap();
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{says}");
        assert!(says.contains(word), "{says}");
    };
    refused(&["--policy", LOG, "--listen", "0.0.0.0:0"], 3, "--certificate");
    drop(Running::start(dir.path(), LOG, "127.0.0.1:0"));
    refused(&["--policy", LOG, "--name", "another"], 5, "is called");
    let key = dir.path().join("witness.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    refused(&["--policy", LOG], 3, "chmod 600");
}

/// A request from nothing to a tree of one of two histories.
fn first(log: &Signer, fork: u8, size: usize) -> Vec<u8> {
    let leaves: Vec<Hash> = (0..size).map(|n| Hash::leaf(&[fork, n as u8])).collect();
    let (origin, size) = (log.name().to_owned(), size as u64);
    let checkpoint = Checkpoint { origin, size, root: root_of(&leaves) };
    let note = checkpoint.sign(std::slice::from_ref(log)).unwrap();
    AddCheckpoint { old: 0, proof: Vec::new(), note }.to_string().into_bytes()
}

#[test]
fn of_concurrent_submissions_one_history_is_cosigned() {
    let log = Signer::from_seed("log.example.com/a", KeyType::Log, &[1; 32]).unwrap();
    for round in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("witness.db");
        // Two processes on one memory would be two stores: the step is atomic in the file.
        let witnesses: Vec<_> = (0..2)
            .map(|_| {
                let own = Signer::from_seed("w", KeyType::Witness, &[2; 32]).unwrap();
                let cosigner = Cosigner::new(own, vec![log.verifier().clone()]).unwrap();
                Witness::new(cosigner, WitnessStore::open(&file).unwrap(), Clock::System)
            })
            .collect();
        let threads: Vec<_> = (0..8_u8)
            .map(|number| {
                let witness = witnesses[usize::from(number) % 2].clone();
                let body = first(&log, number, usize::from(number) + 1 + round);
                std::thread::spawn(move || wait(witness.add_checkpoint(body)))
            })
            .collect();
        let mut cosigned = 0;
        for thread in threads {
            match thread.join().unwrap() {
                Ok(Ok(_)) => cosigned += 1,
                Ok(Err(refused)) => assert!(matches!(refused, Refusal::Moved { latest: 1.. })),
                // The other store held the lock for too long: nothing was cosigned.
                Err(error) => assert!(matches!(error, fieldgate::flows::Error::Busy { .. })),
            }
        }
        assert_eq!(cosigned, 1, "several histories were cosigned from nothing");
    }
}
