//! `fieldgate doctor`: looks at the set-up; every finding says what to do.

use std::io;
use std::net::TcpListener;
use std::path::Path;

use serde::Serialize;

use crate::clock::{Clock, DAY};
use crate::config::{DoorSettings, Settings};
use crate::flows::Registry;
use crate::flows::log_keys::{LogKey, signing};
use crate::ledger::prove::is_tail_sound;
use crate::store::{SchemaState, StoreError, schema_state};
use crate::vault::certificate::{chain_from_pem, key_from_pem, leaf_from_pem, read_leaf};
use crate::web::tls::settings::ServerCertificate;

use super::installation::{
    Installation, Reading, chain, load, read_file, read_master, store_url, wait,
};
use super::say::{Ending, Failure, Say, Voice};
use super::witnesses::read_policy;

/// Days before expiry from which a certificate is worth a warning.
const SOON_DAYS: i64 = 14;

const MASTER_FIX: &str = "a new installation: fieldgate ledger init; otherwise bring back the copy \
                          that was kept apart: without it nothing opens";

const AUTHORITY_FIX: &str = "a new installation: fieldgate ledger init; otherwise bring back the file: \
                             partners' certificates are judged by it";

const SERVER_FIX: &str = "fieldgate key server --names NAME,NAME, then restart the gateway";

const RETIRE_FIX: &str = "when witnesses, partners and auditors have the new policy file (fieldgate \
                          ledger policy), and a day has gone by: fieldgate key retire --use \
                          checkpoint";

const POLICY_FIX: &str = "fieldgate ledger policy > NEW, look at it, and put it in the file's place: \
                          whoever else judges by this file refuses every checkpoint";

#[derive(Debug, Serialize)]
struct Finding {
    state: &'static str,
    what: &'static str,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Findings {
    findings: Vec<Finding>,
}

impl Findings {
    fn ok(&mut self, what: &'static str, says: impl Into<String>) {
        self.findings.push(Finding { state: "ok", what, says: says.into(), fix: None });
    }

    fn warn(&mut self, what: &'static str, says: impl Into<String>, fix: impl Into<String>) {
        let fix = Some(fix.into());
        self.findings.push(Finding { state: "warn", what, says: says.into(), fix });
    }

    fn fail(&mut self, what: &'static str, says: impl Into<String>, fix: impl Into<String>) {
        let fix = Some(fix.into());
        self.findings.push(Finding { state: "FAIL", what, says: says.into(), fix });
    }

    /// A failure with the advice it carries itself.
    fn failed(&mut self, what: &'static str, failure: &Failure, fix: &str) {
        self.fail(what, failure.to_string(), failure.advice().unwrap_or(fix));
    }

    fn has_failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.state == "FAIL")
    }
}

impl Say for Findings {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        for Finding { state, what, says, fix } in &self.findings {
            writeln!(out, "{state:<4}  {what:<12} {says}")?;
            if let Some(fix) = fix {
                writeln!(out, "      fix: {fix}")?;
            }
        }
        Ok(())
    }
}

pub(super) fn run(config: &Path, voice: Voice) -> Result<Ending, Failure> {
    let settings = load(config)?;
    let mut findings = Findings::default();
    findings.ok("settings", config.display().to_string());
    keys(&settings, &mut findings);
    doors(&settings.doors, &mut findings);
    if database(&settings, &mut findings)? {
        match Reading::open(config) {
            Ok(open) => ledger(&open, config, &mut findings)?,
            Err(failure) => findings.failed("key ring", &failure, "mend the findings above first"),
        }
    }
    let ending = if findings.has_failed() { Ending::Wrong } else { Ending::Done };
    voice.tell(&findings);
    Ok(ending)
}

fn keys(settings: &Settings, findings: &mut Findings) {
    match read_master(&settings.keys.master_file) {
        Ok(_) => findings.ok("master key", "there, and only its owner may read it"),
        Err(failure) => findings.failed("master key", &failure, MASTER_FIX),
    }
    match server_pair(settings) {
        Ok(()) => findings.ok("server key", "belongs to the server certificate"),
        Err(failure) => findings.failed("server key", &failure, "fieldgate key server"),
    }
    let now = Clock::System.now();
    for (what, file, fix) in [
        ("authority", &settings.keys.authority_file, AUTHORITY_FIX),
        ("server cert", &settings.keys.server_certificate_file, SERVER_FIX),
    ] {
        let leaf = read_file(file)
            .map_err(|failure| failure.to_string())
            .and_then(|pem| leaf_from_pem(&pem).map_err(|fault| fault.to_string()))
            .and_then(|der| read_leaf(&der).map_err(|fault| fault.to_string()));
        match leaf {
            Err(says) => findings.fail(what, says, fix),
            Ok(leaf) if leaf.not_after < now => {
                findings.fail(what, format!("expired {}", leaf.not_after), fix);
            }
            Ok(leaf) if leaf.not_after < now.plus(SOON_DAYS * DAY) => {
                findings.warn(what, format!("expires {}", leaf.not_after), fix);
            }
            Ok(leaf) => findings.ok(what, format!("good until {}", leaf.not_after)),
        }
    }
}

/// Whether certificate and key of the doors are one pair, as the doors will demand.
fn server_pair(settings: &Settings) -> Result<(), Failure> {
    let wrong = |fault: &dyn std::fmt::Display| Failure::new(Ending::Settings, fault);
    let pem = read_file(&settings.keys.server_certificate_file)?;
    let chain = chain_from_pem(&pem).map_err(|fault| wrong(&fault))?;
    let pem = read_file(&settings.keys.server_key_file)?;
    let key = key_from_pem(&pem).map_err(|fault| wrong(&fault))?;
    ServerCertificate::new(chain, &key).map_err(|fault| wrong(&fault))?;
    Ok(())
}

/// Whether the doors can be opened. A gateway that serves here has taken them: no fault then.
fn doors(settings: &DoorSettings, findings: &mut Findings) {
    let all = [settings.partner, settings.public, settings.ops];
    let taken = all.iter().find_map(|at| TcpListener::bind(at).err().map(|error| (at, error)));
    match taken {
        None => findings.ok("doors", "their addresses are free"),
        Some((at, error)) => {
            let fix = "nothing while a gateway serves here; otherwise stop what listens there, or \
                       change [doors] in the settings";
            findings.warn("doors", format!("{at}: {error}"), fix);
        }
    }
}

fn database(settings: &Settings, findings: &mut Findings) -> Result<bool, Failure> {
    let url = store_url(settings)?;
    match schema_state(&url) {
        Ok(SchemaState::Current) => {
            findings.ok("database", "schema of this program");
            Ok(true)
        }
        Ok(SchemaState::Behind(pending)) => {
            let says = format!("{} migrations have not run", pending.len());
            findings.fail("database", says, "fieldgate database migrate");
            Ok(false)
        }
        Ok(SchemaState::Unknown(name)) => {
            let says = format!("migration {name} is of a newer program");
            findings.fail("database", says, "run the newer program");
            Ok(false)
        }
        Err(error @ StoreError::Busy(_)) => {
            let fix = "see that the server of [store] url runs and lets this machine in";
            findings.fail("database", chain(&error), fix);
            Ok(false)
        }
        Err(error @ StoreError::Schema(_)) => {
            let fix = "correct [store] url; in a new installation: fieldgate database migrate";
            findings.fail("database", chain(&error), fix);
            Ok(false)
        }
        Err(error) => {
            let fix = "correct [store] url; if it is right, bring the database back from a backup \
                       and read the guide on it first";
            findings.fail("database", chain(&error), fix);
            Ok(false)
        }
    }
}

fn ledger(open: &Reading, config: &Path, findings: &mut Findings) -> Result<(), Failure> {
    findings.ok("key ring", "opens with this master key");
    match open.store.read_blocking(|tx| Ok::<_, StoreError>(is_tail_sound(tx)))? {
        Ok(true) => {
            findings.ok("ledger", "its newest entries hash to its head");
            let open = Installation::open(config)?;
            let registry = wait(open.gateway.registry_now())??;
            log_keys(&open, findings)?;
            registry_findings(&registry, &open, findings);
        }
        Ok(false) => {
            let fix = "stop serving; fieldgate ledger verify names the place";
            findings.fail("ledger", "its newest entries do not hash to its head", fix);
        }
        Err(error) => findings.fail("ledger", chain(&error), "fieldgate ledger verify"),
    }
    Ok(())
}

/// Whether a rotation of the log's key is under way, and whether the installation's own policy
/// file has followed it.
fn log_keys(open: &Installation, findings: &mut Findings) -> Result<(), Failure> {
    let keys = wait(crate::flows::log_keys::list(&open.gateway))??;
    match signing(&keys).as_slice() {
        [newest, _, ..] => {
            let says = format!("two keys sign, since {}", newest.since);
            findings.warn("log key", says, RETIRE_FIX);
        }
        [only] => findings.ok("log key", format!("one signs, since {}", only.since)),
        [] => {}
    }
    let Some(file) = &open.settings.ledger.policy_file else { return Ok(()) };
    let policy = read_policy(file)?;
    let named = |key: &&LogKey| policy.logs().any(|log| log.to_string() == key.vkey);
    if !signing(&keys).iter().any(named) {
        let says = format!("{} does not name the key that signs now", file.display());
        findings.warn("log key", says, POLICY_FIX);
    }
    Ok(())
}

fn registry_findings(registry: &Registry, open: &Installation, findings: &mut Findings) {
    let now = open.gateway.now();
    match registry.policy_in_force(now) {
        Some(policy) => findings.ok("policy", format!("version {} is in force", policy.version)),
        None => {
            let fix = "fieldgate policy draft FILE, then policy publish";
            findings.warn("policy", "none is in force: nothing is released", fix);
        }
    }
    let expiring = registry.certificates.values().filter(|one| {
        one.not_after > now && one.not_after < now.plus(SOON_DAYS * DAY) && one.revoked_at.is_none()
    });
    let (partners, soon) = (registry.partners.len(), expiring.count());
    if soon > 0 {
        let says = format!("{partners}; {soon} certificates expire within {SOON_DAYS} days");
        findings.warn("partners", says, "fieldgate partner bind-certificate CODE --csr FILE");
    } else {
        findings.ok("partners", partners.to_string());
    }
}
