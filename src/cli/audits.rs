//! `fieldgate audit`: ask the ledger, page by page or whole, and take the proofs along.

use std::io;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::flows::question::{
    self, Answer, Asked, HITS_MAX, HITS_USUAL, Inquirer, Question, Search,
};
use crate::flows::{Registry, evidence};
use crate::ledger::Kind;
use crate::ledger::bundle::Row;

use super::installation::{Installation, actor, wait, write_private};
use super::partners::invalid;
use super::persons::Whom;
use super::say::{Ending, Failure, Say, Voice};
use super::who::{self, WhoAnswer};

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Find entries by any of person, partner, purpose, fields, reason, certificate, policy, time.
    Find {
        #[command(flatten)]
        asked: Args,
        /// Most entries on the page, 1 to 1000.
        #[arg(long, default_value_t = HITS_USUAL)]
        limit: u16,
        /// Where the last page ended, as that page said.
        #[arg(long, allow_hyphen_values = true)]
        cursor: Option<String>,
        /// How the answer is written.
        #[arg(long, value_enum, default_value_t = Form::Table)]
        format: Form,
    },
    /// Who has a person's data: partner, first and last time, fields, purpose, entries.
    Who {
        #[command(flatten)]
        who: Whom,
        /// Also write every release of this person's data with its proof into this file, checked
        /// by `fieldgate verify bundle`.
        #[arg(long, value_name = "FILE.zip")]
        bundle: Option<PathBuf>,
    },
    /// Write the whole answer with the proof of every entry into one file, checked by
    /// `fieldgate verify bundle`.
    Export {
        #[command(flatten)]
        asked: Args,
        /// The file; only its owner may read it.
        #[arg(long, value_name = "FILE.zip")]
        bundle: PathBuf,
    },
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Form {
    /// For people.
    Table,
    /// One JSON object per line.
    Jsonl,
    /// For spreadsheets (RFC 4180), with headings.
    Csv,
}

/// What is asked; everything given must hold.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// About the person whose e-mail address comes from --email-file or standard input.
    #[arg(long)]
    person: bool,
    #[command(flatten)]
    who: Whom,
    /// Partner, by code or id.
    #[arg(long)]
    partner: Option<String>,
    /// offers, licensing, support or news.
    #[arg(long)]
    purpose: Option<String>,
    /// Fields joined by commas, all of which the entry speaks of.
    #[arg(long)]
    fields: Option<String>,
    /// Kind of entry, such as withhold.
    #[arg(long)]
    kind: Option<String>,
    /// release or withhold.
    #[arg(long, value_parser = ["release", "withhold"])]
    decision: Option<String>,
    /// Why nothing was released.
    #[arg(long)]
    reason: Option<String>,
    /// Thumbprint of the partner's certificate, base64url or hex.
    #[arg(long, value_name = "THUMBPRINT", allow_hyphen_values = true)]
    certificate: Option<String>,
    /// Policy version in force.
    #[arg(long, value_name = "VERSION")]
    policy: Option<i32>,
    /// Operation, such as leads.list.
    #[arg(long)]
    operation: Option<String>,
    /// Entries of this time or later (RFC 3339 or a day).
    #[arg(long)]
    from: Option<String>,
    /// Entries before this time.
    #[arg(long)]
    until: Option<String>,
    /// The oldest first; else the newest.
    #[arg(long)]
    oldest_first: bool,
}

impl Args {
    fn question(&self, registry: &Registry) -> Result<Question, Failure> {
        let fields = self.fields.as_deref().map(|codes| codes.split(',').map(str::to_owned));
        let asked = Asked {
            partner: self.partner.clone(),
            certificate: self.certificate.clone(),
            kind: self.kind.clone(),
            decision: self.decision.clone(),
            operation: self.operation.clone(),
            purpose: self.purpose.clone(),
            reason: self.reason.clone(),
            policy_version: self.policy,
            fields: fields.into_iter().flatten().collect(),
            from: self.from.clone(),
            until: self.until.clone(),
        };
        Ok(Question {
            search: asked.read(registry)?,
            person: if self.person { Some(self.who.read()?) } else { None },
            newest_first: !self.oldest_first,
            limit: HITS_MAX,
            cursor: None,
        })
    }
}

pub(super) fn run(command: &AuditCommand, config: &Path, voice: Voice) -> Result<Ending, Failure> {
    let open = Installation::open(config)?;
    let by = Inquirer::Staff(actor(None));
    let registry = wait(open.gateway.registry_now())??;
    match command {
        AuditCommand::Find { asked, limit, cursor, format } => {
            let question =
                Question { limit: *limit, cursor: cursor.clone(), ..asked.question(&registry)? };
            let answer = wait(question::ask(&open.gateway, &by, &question))??;
            tell(&answer, *format, &registry, voice);
            Ok(Ending::Done)
        }
        AuditCommand::Who { who, bundle: None } => who::who(&open, who, voice),
        AuditCommand::Who { who, bundle: Some(file) } => who_with_proofs(&open, who, file, voice),
        AuditCommand::Export { asked, bundle } => {
            let question = asked.question(&registry)?;
            voice.tell(&export(&open, &by, &question, bundle, voice)?);
            Ok(Ending::Done)
        }
    }
}

fn export(
    open: &Installation,
    by: &Inquirer,
    question: &Question,
    file: &Path,
    voice: Voice,
) -> Result<Exported, Failure> {
    voice.note("collecting entries and their proofs");
    let found = wait(evidence::collect(&open.gateway, by, question))??;
    let bytes = found.bundle.write().map_err(|error| invalid("question", error))?;
    write_private(file, &bytes)?;
    Ok(Exported {
        entries: found.bundle.entries.len(),
        bytes: bytes.len(),
        file: file.display().to_string(),
        entry: found.entry,
        cosigned: found.cosigned,
    })
}

/// Who has a person's data, and the proof of every time it left.
fn who_with_proofs(
    open: &Installation,
    whom: &Whom,
    file: &Path,
    voice: Voice,
) -> Result<Ending, Failure> {
    let address = whom.read()?;
    let who = who::who_of(open, &address)?;
    let releases = Question {
        search: Search { kind: Some(Kind::Release), ..Search::default() },
        person: Some(address),
        newest_first: false,
        limit: HITS_MAX,
        cursor: None,
    };
    let bundle = export(open, &Inquirer::Staff(actor(None)), &releases, file, voice)?;
    voice.tell(&WhoProved { who, bundle });
    Ok(Ending::Done)
}

#[derive(Debug, Serialize)]
struct WhoProved {
    #[serde(flatten)]
    who: WhoAnswer,
    bundle: Exported,
}

impl Say for WhoProved {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        self.who.say(out)?;
        self.bundle.say(out)
    }
}

#[derive(Debug, Serialize)]
struct Exported {
    entries: usize,
    bytes: usize,
    file: String,
    entry: u64,
    cosigned: Option<bool>,
}

impl Say for Exported {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self { entries, bytes, file, entry, cosigned } = self;
        writeln!(out, "{entries} entries with proofs, {bytes} bytes, in {file}")?;
        writeln!(out, "  this question is ledger entry {entry}")?;
        if *cosigned == Some(false) {
            writeln!(
                out,
                "  not cosigned: the witnesses have not seen the newest of these entries;"
            )?;
            writeln!(out, "  for a reader who asks for witnesses export it again in a minute")?;
        }
        writeln!(out, "  next: fieldgate verify bundle {file} --policy log.vkey")
    }
}

fn tell(answer: &Answer, form: Form, registry: &Registry, voice: Voice) {
    match form {
        Form::Table => voice.tell(&Found::of(answer, registry)),
        Form::Csv => {
            let lines: String = answer.hits.iter().map(|hit| hit.row.csv()).collect();
            Voice::raw(format!("{}{lines}", Row::HEADINGS).as_bytes());
            aside(answer, voice);
        }
        Form::Jsonl => {
            for hit in &answer.hits {
                Voice::raw(format!("{}\n", hit.row.json()).as_bytes());
            }
            aside(answer, voice);
        }
    }
}

/// What is not part of a file stands on standard error.
fn aside(answer: &Answer, voice: Voice) {
    voice.note(&format!("this question is ledger entry {}", answer.entry));
    if let Some(next) = &answer.next {
        voice.note(&format!("more: --cursor {next}"));
    }
}

/// An answer for people; in JSON with every member of every row.
#[derive(Debug, Serialize)]
struct Found {
    rows: Vec<Row>,
    next: Option<String>,
    entry: u64,
    #[serde(skip)]
    partners: Vec<String>,
}

impl Found {
    fn of(answer: &Answer, registry: &Registry) -> Self {
        let code = |row: &Row| {
            let id = row.partner.as_deref().and_then(|id| id.parse().ok());
            let partner = id.and_then(|id| registry.partners.get(&id));
            partner.map_or_else(|| row.partner.clone().unwrap_or_default(), |one| one.code.clone())
        };
        Self {
            rows: answer.hits.iter().map(|hit| hit.row.clone()).collect(),
            next: answer.next.clone(),
            entry: answer.entry,
            partners: answer.hits.iter().map(|hit| code(&hit.row)).collect(),
        }
    }
}

impl Say for Found {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table
            .set_header(["entry", "time", "kind", "partner", "purpose", "fields", "why", "people"]);
        for (row, partner) in self.rows.iter().zip(&self.partners) {
            let fields = row.person_fields.as_ref().or(row.fields.as_ref());
            table.add_row([
                row.index.to_string(),
                row.time.clone(),
                row.kind.to_owned(),
                partner.clone(),
                row.purpose.unwrap_or_default().to_owned(),
                fields.map(|fields| fields.join(" ")).unwrap_or_default(),
                row.reason.unwrap_or_default().to_owned(),
                row.people.map(|people| people.to_string()).unwrap_or_default(),
            ]);
        }
        if self.rows.is_empty() {
            writeln!(out, "no entry says this")?;
        } else {
            writeln!(out, "{table}")?;
        }
        writeln!(out, "this question is ledger entry {}", self.entry)?;
        self.next.as_ref().map_or(Ok(()), |next| writeln!(out, "more: --cursor {next}"))
    }
}
