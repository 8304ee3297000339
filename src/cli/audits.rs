//! `fieldgate audit`: ask the ledger, page by page or whole, and take the proofs along.

use std::io;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::clock::Moment;
use crate::domain::disclosure::Reason;
use crate::domain::field::FieldSet;
use crate::flows::evidence;
use crate::flows::question::{self, Answer, HITS_MAX, HITS_USUAL, Inquirer, Question, Search};
use crate::flows::{Registry, Thing};
use crate::id::{PartnerId, PolicyVersion};
use crate::ledger::Kind;
use crate::ledger::bundle::Row;

use super::installation::{Installation, actor, wait, write_private};
use super::partners::{fields, invalid, parse_code, purpose};
use super::persons::{self, Whom};
use super::say::{Ending, Failure, Say, Voice};

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Find entries by any of person, partner, purpose, fields, reason, certificate, policy, time.
    Find {
        #[command(flatten)]
        asked: Asked,
        /// Most entries on the page, 1 to 1000.
        #[arg(long, default_value_t = HITS_USUAL)]
        limit: u16,
        /// Where the last page ended, as that page said.
        #[arg(long)]
        cursor: Option<String>,
        /// How the answer is written.
        #[arg(long, value_enum, default_value_t = Form::Table)]
        format: Form,
    },
    /// Who has a person's data: partner, first and last time, fields, purpose, entries.
    Who {
        #[command(flatten)]
        who: Whom,
    },
    /// Write the whole answer with the proof of every entry into one file, checked by
    /// `fieldgate verify bundle`.
    Export {
        #[command(flatten)]
        asked: Asked,
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
pub(super) struct Asked {
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
    #[arg(long, value_name = "THUMBPRINT")]
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

impl Asked {
    fn question(&self, registry: &Registry) -> Result<Question, Failure> {
        let time = |at: &str, text: &Option<String>| {
            let read = text.as_deref().map(str::parse::<Moment>).transpose();
            read.map_err(|fault| invalid(at, fault))
        };
        let certificate = self.certificate.as_deref().map(str::parse).transpose();
        let search = Search {
            contact: None,
            partner: self.partner.as_deref().map(|of| partner(registry, of)).transpose()?,
            certificate: certificate.map_err(|fault| invalid("certificate", fault))?,
            kind: self.kind()?,
            op: self.operation.clone(),
            purpose: self.purpose.as_deref().map(purpose).transpose()?,
            reason: self.reason.as_deref().map(reason).transpose()?,
            policy: self.policy.map(PolicyVersion),
            fields: self.fields.as_deref().map_or(Ok(FieldSet::NONE), fields)?,
            from: time("from", &self.from)?,
            until: time("until", &self.until)?,
        };
        Ok(Question {
            search,
            person: if self.person { Some(self.who.read()?) } else { None },
            newest_first: !self.oldest_first,
            limit: HITS_MAX,
            cursor: None,
        })
    }

    /// A decision is a kind of entry too; the two together must be the same.
    fn kind(&self) -> Result<Option<Kind>, Failure> {
        let find = |at: &str, code: &Option<String>| {
            let kind = code.as_deref().map(|code| parse_code(at, code, Kind::ALL, Kind::code));
            kind.transpose()
        };
        let (kind, decision) = (find("kind", &self.kind)?, find("decision", &self.decision)?);
        match (kind, decision) {
            (Some(kind), Some(decision)) if kind != decision => {
                Err(invalid("decision", "contradicts the kind: leave one of them out"))
            }
            (kind, decision) => Ok(kind.or(decision)),
        }
    }
}

fn partner(registry: &Registry, of: &str) -> Result<PartnerId, Failure> {
    let by_code = registry.partner_by_code(of).map(|partner| partner.id);
    let found = by_code.or_else(|| of.parse().ok().filter(|id| registry.partners.contains_key(id)));
    found.ok_or_else(|| crate::flows::Error::Unknown(Thing::Partner).into())
}

fn reason(code: &str) -> Result<Reason, Failure> {
    parse_code("reason", code, Reason::ALL, Reason::code)
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
        AuditCommand::Who { who } => persons::who(&open, who, voice),
        AuditCommand::Export { asked, bundle } => {
            let question = asked.question(&registry)?;
            voice.note("collecting entries and their proofs");
            let found = wait(evidence::collect(&open.gateway, &by, &question))??;
            let bytes = found.bundle.write().map_err(|error| invalid("question", error))?;
            write_private(bundle, &bytes)?;
            voice.tell(&Exported {
                entries: found.bundle.entries.len(),
                bytes: bytes.len(),
                file: bundle.display().to_string(),
                entry: found.entry,
                cosigned: found.cosigned,
            });
            Ok(Ending::Done)
        }
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
            let lines: String = answer.rows.iter().map(Row::csv).collect();
            Voice::raw(format!("{}{lines}", Row::HEADINGS).as_bytes());
            aside(answer, voice);
        }
        Form::Jsonl => {
            for row in &answer.rows {
                Voice::raw(format!("{}\n", row.json()).as_bytes());
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
            rows: answer.rows.clone(),
            next: answer.next.clone(),
            entry: answer.entry,
            partners: answer.rows.iter().map(code).collect(),
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
