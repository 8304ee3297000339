//! `fieldgate policy`: draft a version from a file, publish it, show what versions say.

use std::io;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::domain::partner::{KindSet, PartnerKind};
use crate::domain::policy::{Policy, PolicyText, PurposeTerms};
use crate::flows::publish;
use crate::id::{PolicyVersion, digest};

use super::installation::{Installation, actor, read_file, wait};
use super::partners::{fields, invalid, purpose};
use super::say::{Act, Ending, Failure, Say, Voice};

/// Largest policy file that is read, in bytes.
const FILE_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Save a draft from a TOML file; the next free number is given.
    Draft {
        /// The file: `[[purpose]]` with code, fields, recipients; `[[text]]` with language, text.
        file: PathBuf,
        /// Check and tell, change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Publish a draft; published versions never change.
    Publish {
        /// Its number.
        version: i32,
        /// From when it holds; at once when left out.
        #[arg(long)]
        effective: Option<Moment>,
        /// Check and tell, change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Show every version, or one.
    Show {
        /// Its number.
        version: Option<i32>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    purpose: Vec<PurposeFile>,
    text: Vec<TextFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PurposeFile {
    code: String,
    fields: Vec<String>,
    recipients: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextFile {
    language: String,
    text: String,
}

pub(super) fn run(command: &PolicyCommand, config: &Path, voice: Voice) -> Result<Ending, Failure> {
    match command {
        PolicyCommand::Draft { file, dry_run } => {
            let bytes = read_file(file)?;
            let policy = parse(&bytes)?;
            policy.check().map_err(|fault| invalid("policy", fault))?;
            if *dry_run {
                voice.tell(&Act::dry("the file is a valid policy version"));
                return Ok(Ending::Done);
            }
            let open = Installation::open(config)?;
            let version = wait(publish::draft(&open.gateway, &actor(None), policy))??;
            voice.tell(&Act {
                done: format!("version {version} drafted"),
                entry: None,
                id: Some(version.to_string()),
                next: Some(format!("fieldgate policy publish {version}")),
            });
        }
        PolicyCommand::Publish { version, effective, dry_run } => {
            let open = Installation::open(config)?;
            voice.tell(&publish(&open, PolicyVersion(*version), *effective, *dry_run)?);
        }
        PolicyCommand::Show { version } => {
            let open = Installation::open(config)?;
            let registry = wait(open.gateway.registry_now())??;
            let now = open.gateway.now();
            let in_force = registry.policy_in_force(now).map(|policy| policy.version);
            let versions: Vec<_> = registry
                .policies()
                .iter()
                .filter(|policy| version.is_none_or(|wanted| policy.version.0 == wanted))
                .map(|policy| VersionLine::of(policy, in_force))
                .collect();
            if versions.is_empty() && version.is_some() {
                return Err(Failure::new(Ending::Unknown, "no such policy version"));
            }
            voice.tell(&Versions { versions });
        }
    }
    Ok(Ending::Done)
}

fn publish(
    open: &Installation,
    version: PolicyVersion,
    effective: Option<Moment>,
    dry_run: bool,
) -> Result<Act, Failure> {
    if dry_run {
        let narrower = wait(publish::check_publishing(&open.gateway, version))??;
        let reach = if narrower {
            "what it no longer discloses ends for everybody at once"
        } else {
            "what it adds reaches only people who are shown it"
        };
        return Ok(Act::dry(format!("version {version} can be published; {reach}")));
    }
    let receipt = wait(publish::publish(&open.gateway, &actor(None), version, effective))??;
    Ok(Act::new(format!("version {version} published"), &receipt))
}

/// Reads a policy file as `fieldgate policy draft` does.
///
/// # Errors
/// What is wrong with it, as the operator reads it.
pub fn read_policy(bytes: &[u8]) -> Result<Policy, String> {
    parse(bytes).map_err(|failure| failure.to_string())
}

/// Reads a policy file. Unknown keys, fields, purposes and recipients are refused by name.
pub(super) fn parse(bytes: &[u8]) -> Result<Policy, Failure> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(invalid("policy", format!("is larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("policy", "is not UTF-8"))?;
    let file: PolicyFile = toml::from_str(text).map_err(|error| invalid("policy", error))?;
    let mut terms = Vec::with_capacity(file.purpose.len());
    for one in &file.purpose {
        let recipients =
            KindSet::from_codes(one.recipients.iter().map(String::as_str)).map_err(|code| {
                let known: Vec<_> = PartnerKind::ALL.iter().map(|kind| kind.code()).collect();
                invalid("recipients", format!("{code} is not one of {}", known.join(", ")))
            })?;
        terms.push(PurposeTerms {
            purpose: purpose(&one.code)?,
            fields: fields(&one.fields.join(","))?,
            recipients,
        });
    }
    let texts = file.text.into_iter().map(|one| PolicyText {
        wording_hash: digest(one.text.as_bytes()),
        language: one.language,
        text: one.text,
    });
    Ok(Policy {
        version: PolicyVersion(0),
        effective_at: Moment(0),
        published_at: None,
        terms,
        texts: texts.collect(),
    })
}

#[derive(Debug, Serialize)]
struct Versions {
    versions: Vec<VersionLine>,
}

#[derive(Debug, Serialize)]
struct VersionLine {
    version: i32,
    state: &'static str,
    effective_at: Option<String>,
    purposes: Vec<PurposeLine>,
    texts: Vec<TextLine>,
}

#[derive(Debug, Serialize)]
struct PurposeLine {
    purpose: &'static str,
    basis: &'static str,
    fields: Vec<&'static str>,
    recipients: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct TextLine {
    language: String,
    wording_hash: String,
    text: String,
}

impl VersionLine {
    fn of(policy: &Policy, in_force: Option<PolicyVersion>) -> Self {
        let state = match policy.published_at {
            None => "draft",
            Some(_) if Some(policy.version) == in_force => "in force",
            Some(_) => "published",
        };
        let purposes = policy.terms.iter().map(|terms| PurposeLine {
            purpose: terms.purpose.code(),
            basis: terms.purpose.row().basis.code(),
            fields: terms.fields.iter().map(crate::domain::field::Field::code).collect(),
            recipients: terms.recipients.iter().map(PartnerKind::code).collect(),
        });
        let texts = policy.texts.iter().map(|text| TextLine {
            language: text.language.clone(),
            wording_hash: crate::id::Thumbprint(text.wording_hash).hex(),
            text: text.text.clone(),
        });
        Self {
            version: policy.version.0,
            state,
            effective_at: policy.published_at.map(|_| policy.effective_at.rfc3339()),
            purposes: purposes.collect(),
            texts: texts.collect(),
        }
    }
}

impl Say for Versions {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        for one in &self.versions {
            let from = one.effective_at.as_deref().map(|at| format!(", from {at}"));
            writeln!(out, "version {} ({}{})", one.version, one.state, from.unwrap_or_default())?;
            for line in &one.purposes {
                let recipients = line.recipients.join(", ");
                let fields = line.fields.join(" ");
                writeln!(out, "  {} ({}) to {recipients}: {fields}", line.purpose, line.basis)?;
            }
            for text in &one.texts {
                writeln!(out, "  text {} wording_hash {}", text.language, text.wording_hash)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    const GOOD: &str = "
        [[purpose]]
        code = \"offers\"
        fields = [\"email\", \"country\"]
        recipients = [\"reseller\"]
        [[text]]
        language = \"en\"
        text = \"We share your e-mail address with resellers.\"
    ";

    #[test]
    fn a_policy_file_reads_and_unknown_words_are_refused() {
        assert!(parse(GOOD.as_bytes()).unwrap().check().is_ok());
        for (good, bad) in [
            ("offers", "spam"),
            ("email", "shoe_size"),
            ("reseller", "friend"),
            ("text =", "txt ="),
        ] {
            assert!(parse(GOOD.replacen(good, bad, 1).as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(&[0xff]).is_err());
    }
}
