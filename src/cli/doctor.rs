//! `fieldgate doctor`: looks at the set-up; every finding says what to do.

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::clock::{Clock, DAY};
use crate::config::Settings;
use crate::flows::Registry;
use crate::ledger::prove::is_tail_sound;
use crate::store::{SchemaState, StoreError, schema_state};
use crate::vault::certificate::{leaf_from_pem, read_leaf};

use super::installation::{
    Installation, Reading, chain, load, read_file, read_master, store_url, wait,
};
use super::say::{Ending, Failure, Say, Voice};

/// Days before expiry from which a certificate is worth a warning.
const SOON_DAYS: i64 = 14;

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
    if database(&settings, &mut findings)? {
        match Reading::open(config) {
            Ok(open) => ledger(&open, config, &mut findings)?,
            Err(failure) => findings.fail("open", failure.to_string(), "see the findings above"),
        }
    }
    let ending = if findings.has_failed() { Ending::Wrong } else { Ending::Done };
    voice.tell(&findings);
    Ok(ending)
}

fn keys(settings: &Settings, findings: &mut Findings) {
    match read_master(&settings.keys.master_file) {
        Ok(_) => findings.ok("master key", "there, and only its owner may read it"),
        Err(failure) => findings.fail("master key", failure.to_string(), "fieldgate key new"),
    }
    let now = Clock::System.now();
    for (what, file) in [
        ("authority", &settings.keys.authority_file),
        ("server cert", &settings.keys.server_certificate_file),
    ] {
        let leaf = read_file(file)
            .map_err(|failure| failure.to_string())
            .and_then(|pem| leaf_from_pem(&pem).map_err(|fault| fault.to_string()))
            .and_then(|der| read_leaf(&der).map_err(|fault| fault.to_string()));
        match leaf {
            Err(says) => findings.fail(what, says, "fieldgate key new"),
            Ok(leaf) if leaf.not_after < now => {
                findings.fail(what, format!("expired {}", leaf.not_after), "fieldgate key server");
            }
            Ok(leaf) if leaf.not_after < now.plus(SOON_DAYS * DAY) => {
                let fix = "fieldgate key server, then restart the doors";
                findings.warn(what, format!("expires {}", leaf.not_after), fix);
            }
            Ok(leaf) => findings.ok(what, format!("good until {}", leaf.not_after)),
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
        Err(error) => {
            findings.fail("database", chain(&error), "check [store] url and that it runs");
            Ok(false)
        }
    }
}

fn ledger(open: &Reading, config: &Path, findings: &mut Findings) -> Result<(), Failure> {
    findings.ok("key ring", "opens with this master key");
    let sound = open
        .store
        .read_blocking(|tx| Ok::<_, StoreError>(is_tail_sound(tx)))
        .map_err(|error| Failure::broken(chain(&error)))?;
    match sound {
        Ok(true) => {
            findings.ok("ledger", "its newest entries hash to its head");
            let open = Installation::open(config)?;
            let registry = wait(open.gateway.registry_now())??;
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
