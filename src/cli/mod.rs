//! What an operator types: one file per command family.
//!
//! Every command takes `--json` for machines; logs go to standard error. Exit codes are those of
//! `say::Ending`.

mod audits;

mod anchors;

mod buckets;

mod confirm;

mod contacts;

mod database;

mod demo;

mod doctor;

/// Doors wired to an open store; `serve`, the demonstration and tests open them alike.
pub mod doors;

mod erasure;

mod explain;

mod export;

mod follow;

mod founding;

mod gossip;

mod import;

mod installation;

mod keys;

mod ledgers;

mod log_keys;

mod log_source;

mod partner_list;

mod partners;

mod persons;

mod policies;

mod policy_file;

mod prune;

mod pull;

mod recalls;

mod revocations;

mod say;

mod serve;

mod witness;

mod witnesses;

mod verify;

mod who;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::telemetry::{self, LogForm};

pub use import::survey_contacts;
pub use policies::read_policy;
pub use pull::{Client, ClientError, Pulled};

use say::{Ending, Failure, Voice};

/// Hands approved partners the minimum contact fields their purpose permits, and proves every
/// access.
#[derive(Debug, Parser)]
#[command(name = "fieldgate", version, about, max_term_width = 100, after_help = EXIT_CODES)]
struct Arguments {
    /// Settings file.
    #[arg(long, global = true, env = "FIELDGATE_CONFIG", default_value = "fieldgate.toml")]
    config: PathBuf,

    /// Answer in JSON on standard output.
    #[arg(long, global = true)]
    json: bool,

    /// What to log on standard error, in the language of `RUST_LOG`.
    #[arg(long, global = true, env = "FIELDGATE_LOG", default_value = "warn")]
    log: String,

    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done · 1 checked and found wrong · 2 wrong usage · \
3 settings · 4 not found · 5 conflict or refused · 6 invalid input · 70 our failure · 75 try again";

#[derive(Debug, Subcommand)]
enum Command {
    /// From nothing to everything in one folder: PKI, database, partners, people, a guided tour.
    Demo(demo::DemoArguments),
    /// Open the doors and serve until told to stop.
    Serve,
    /// Make or check the database.
    #[command(subcommand)]
    Database(database::DatabaseCommand),
    /// Bring partners on and off.
    #[command(subcommand)]
    Partner(partners::PartnerCommand),
    /// Draft, publish and show policy versions.
    #[command(subcommand)]
    Policy(policies::PolicyCommand),
    /// Bring contacts in, or find one.
    #[command(subcommand)]
    Contacts(contacts::ContactsCommand),
    /// Act for a person: choices, withdrawal, who has the data.
    #[command(subcommand)]
    Person(persons::PersonCommand),
    /// What was demanded back from partners, and their answers.
    #[command(subcommand)]
    Recall(recalls::RecallCommand),
    /// Verify, prove and export the audit ledger.
    #[command(subcommand)]
    Ledger(ledgers::LedgerCommand),
    /// Be a witness of logs.
    Witness(witness::WitnessArguments),
    /// Ask the ledger, with proofs.
    #[command(subcommand)]
    Audit(audits::AuditCommand),
    /// Check what somebody gave you, without any database.
    #[command(subcommand)]
    Verify(verify::VerifyCommand),
    /// Make and rotate keys.
    #[command(subcommand)]
    Key(keys::KeyCommand),
    /// Why a partner would get, or not get, which fields of a person.
    Explain(explain::ExplainArguments),
    /// Check the set-up; every finding says what to do.
    Doctor,
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let form = match arguments.command {
        Command::Serve => LogForm::Json,
        _ => LogForm::Plain,
    };
    let filter = match (&arguments.command, arguments.log.as_str()) {
        (Command::Serve, "warn") => "info",
        // The tour knocks without a certificate on purpose; the refusal is told in its own words.
        (Command::Demo(_), "warn") => "warn,fieldgate::web::tls::handshake=error",
        (_, filter) => filter,
    };
    telemetry::start(form, filter);
    let voice = Voice::new(arguments.json);
    match install_provider().and_then(|()| dispatch(&arguments, voice)) {
        Ok(ending) => ending.code(),
        Err(failure) => voice.fail(&failure),
    }
}

/// One crypto provider for TLS, tokens and seals, chosen before anything can choose another.
fn install_provider() -> Result<(), Failure> {
    let tls = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let tokens = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    if tls.is_err() || tokens.is_err() {
        return Err(Failure::broken("another crypto provider was installed first"));
    }
    Ok(())
}

fn dispatch(arguments: &Arguments, voice: Voice) -> Result<Ending, Failure> {
    let config = &arguments.config;
    match &arguments.command {
        Command::Demo(demo) => demo::run(demo, voice),
        Command::Serve => serve::run(config, voice),
        Command::Database(command) => database::run(command, config, voice),
        Command::Partner(command) => partners::run(command, config, voice),
        Command::Policy(command) => policies::run(command, config, voice),
        Command::Contacts(command) => contacts::run(command, config, voice),
        Command::Person(command) => persons::run(command, config, voice),
        Command::Recall(command) => recalls::run(command, config, voice),
        Command::Verify(command) => verify::run(command, voice),
        Command::Ledger(command) => ledgers::run(command, config, voice),
        Command::Witness(witness) => witness::run(witness, voice),
        Command::Audit(command) => audits::run(command, config, voice),
        Command::Key(command) => keys::run(command, config, voice),
        Command::Explain(explain) => explain::run(explain, config, voice),
        Command::Doctor => doctor::run(config, voice),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "fieldgate", &mut script);
            Voice::raw(&script);
            Ok(Ending::Done)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_is_base64_and_begins_like_an_option_is_a_value() {
        let thumbprint = "-4fKsC1xVnWQeB7rT0aYk3mJzUoPq9LdHg2sNvXcE8w";
        for command in [
            vec!["partner", "revoke-certificate", thumbprint, "--dry-run"],
            vec!["audit", "find", "--certificate", thumbprint, "--limit", "5"],
            vec!["audit", "find", "--cursor", thumbprint, "--limit", "5"],
        ] {
            let words = std::iter::once("fieldgate").chain(command.iter().copied());
            assert!(Arguments::try_parse_from(words).is_ok(), "{command:?}");
        }
    }
}
