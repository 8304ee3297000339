//! `fieldgate witness`: watches logs for others, with a key and a memory of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::clock::Clock;
use crate::flows::cosign::Witness;
use crate::id::Thumbprint;
use crate::ledger::witness::cosigner::Cosigner;
use crate::merkle::key::{KeyType, Signer, Verifier};
use crate::secret::KeyBytes;
use crate::store::WitnessStore;
use crate::vault::certificate::{chain_from_pem, key_from_pem};
use crate::web::witness::{self, Pair};

use super::installation::{chain, read_file, read_master, write_private};
use super::say::{Ending, Failure, Voice};
use super::serve::{on_system, until_told_to_stop};
use super::verify::policy;

/// Cosign the checkpoints of logs, so that none of them can rewrite what it has published. Needs
/// no settings file and no database server; key and memory are made at the first start.
#[derive(Debug, Args)]
pub(super) struct WitnessArguments {
    /// Folder of this witness: its key and its memory. Never restore it from a backup.
    #[arg(long)]
    dir: PathBuf,
    /// The logs to follow: a tlog-policy file, or a vkey. May be repeated.
    #[arg(long = "policy", required = true, value_name = "FILE|VKEY")]
    policies: Vec<String>,
    /// Where to listen. Other addresses than loopback need a certificate.
    #[arg(long, default_value = "127.0.0.1:8446")]
    listen: SocketAddr,
    /// Name of the key, such as witness.example.com; asked for at the first start alone.
    #[arg(long)]
    name: Option<String>,
    /// Certificate chain in PEM; without it the door is plain and on loopback.
    #[arg(long, value_name = "FILE", requires = "certificate_key")]
    certificate: Option<PathBuf>,
    /// Private key of the certificate in PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    certificate_key: Option<PathBuf>,
}

pub(super) fn run(arguments: &WitnessArguments, voice: Voice) -> Result<Ending, Failure> {
    let settings = |fault: String| Failure::new(Ending::Settings, fault);
    if arguments.certificate.is_none() && !arguments.listen.ip().is_loopback() {
        let says = format!("{} can be reached from outside, but has no TLS", arguments.listen);
        return Err(settings(says).hint("give --certificate and --certificate-key"));
    }
    let logs = logs(&arguments.policies)?;
    std::fs::create_dir_all(&arguments.dir)
        .map_err(|error| settings(format!("cannot make {}: {error}", arguments.dir.display())))?;
    let signer = signer(&arguments.dir, arguments.name.as_deref())?;
    let cosigner = Cosigner::new(signer, logs).map_err(|error| settings(error.to_string()))?;
    let memory = WitnessStore::open(&arguments.dir.join("witness.db"))
        .map_err(|error| settings(chain(&error)))?;
    let pair = arguments.certificate.as_deref().zip(arguments.certificate_key.as_deref());
    let pair = pair.map(read_pair).transpose()?;
    let listener = TcpListener::bind(arguments.listen)
        .map_err(|error| settings(format!("cannot listen on {}: {error}", arguments.listen)))?;
    let address = listener.local_addr().map_err(Failure::broken)?;
    let origins: Vec<String> = cosigner.origins().map(str::to_owned).collect();
    let witness = Witness::new(cosigner, memory, Clock::System);
    let scheme = if pair.is_some() { "https" } else { "http" };
    voice.line(format_args!("witness   {}", witness.vkey()));
    voice.line(format_args!("listens   {scheme}://{address}"));
    for origin in origins {
        let hash = Thumbprint::of(origin.as_bytes()).hex();
        voice.line(format_args!(
            "follows   {origin}\n  read    {scheme}://{address}/{hash}/checkpoint"
        ));
    }
    on_system(async {
        let server =
            witness::open(listener, witness, pair).map_err(|error| settings(chain(&error)))?;
        let handle = server.handle();
        actix_web::rt::spawn(server);
        until_told_to_stop().await?;
        handle.stop(true).await;
        Ok(Ending::Done)
    })
}

fn logs(policies: &[String]) -> Result<Vec<Verifier>, Failure> {
    let mut logs: Vec<Verifier> = Vec::new();
    for text in policies {
        for log in policy(text)?.logs() {
            if logs.iter().all(|known| known.public_key() != log.public_key()) {
                logs.push(log.clone());
            }
        }
    }
    Ok(logs)
}

/// The key of the folder; made if there is none. Its name stands beside it and never changes: a
/// key under two names would be two witnesses to a reader.
fn signer(dir: &Path, name: Option<&str>) -> Result<Signer, Failure> {
    let (key_file, name_file) = (dir.join("witness.key"), dir.join("witness.name"));
    let seed = if key_file.exists() {
        read_master(&key_file)?
    } else {
        let seed = KeyBytes::random().map_err(Failure::broken)?;
        let hex = Thumbprint(*seed.expose()).hex();
        let own: String = Thumbprint::of(hex.as_bytes()).hex().chars().take(8).collect();
        let name = name.map_or_else(|| format!("fieldgate-witness/{own}"), str::to_owned);
        Signer::from_seed(&name, KeyType::Witness, seed.expose())
            .map_err(|error| Failure::new(Ending::Settings, error))?;
        super::installation::write_public(&name_file, format!("{name}\n").as_bytes())?;
        write_private(&key_file, format!("{hex}\n").as_bytes())?;
        seed
    };
    let stands = read_file(&name_file)?;
    let stands = String::from_utf8_lossy(&stands).trim().to_owned();
    if name.is_some_and(|name| name != stands) {
        let says = format!("the key in {} is called {stands}", dir.display());
        return Err(
            Failure::new(Ending::Conflict, says).hint("leave --name out, or use another --dir")
        );
    }
    Signer::from_seed(&stands, KeyType::Witness, seed.expose())
        .map_err(|error| Failure::new(Ending::Settings, error))
}

fn read_pair((certificate, key): (&Path, &Path)) -> Result<Pair, Failure> {
    let settings = |fault: &dyn std::fmt::Display| Failure::new(Ending::Settings, fault);
    let chain = chain_from_pem(&read_file(certificate)?).map_err(|fault| settings(&fault))?;
    let key = key_from_pem(&read_file(key)?).map_err(|fault| settings(&fault))?;
    Ok((chain, key))
}
