//! `fieldgate person erase` and `person forget`: shred a person's data, then the last traces.

use std::io;

use serde::Serialize;

use crate::domain::erasure::ErasureGround;
use crate::flows::erase::{self, Erased, Foreseen, Unforgotten};
use crate::flows::{Actor, Registry, onboard};
use crate::id::{ContactNo, PartnerId};

use super::confirm::confirm;
use super::installation::{Installation, wait};
use super::partners::parse_code;
use super::persons::Whom;
use super::say::{Act, Failure, Say, Voice};

/// How a person is erased.
#[derive(Debug, clap::Args)]
pub(super) struct EraseArgs {
    #[command(flatten)]
    who: Whom,
    /// On which ground: request, outlived, unlawful or obligation (GDPR Art. 17 (1)).
    #[arg(long, default_value = "request")]
    ground: String,
    /// A partner (its code) that will never answer and that you vouch was told; may be repeated.
    #[arg(long, value_name = "CODE")]
    told: Vec<String>,
    /// Say what would go and who would have to answer; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Which erased contact is forgotten.
#[derive(Debug, clap::Args)]
pub(super) struct ForgetArgs {
    /// Number of the contact, as `person erase` told it; left out, all that wait are listed.
    contact: Option<i64>,
    /// A partner (its code) that will never answer and that you vouch was told; may be repeated.
    #[arg(long, value_name = "CODE", requires = "contact")]
    told: Vec<String>,
}

/// Erases a person, and forgets her at once when nobody is left to tell.
pub(super) fn erase(
    open: &Installation,
    who: &Actor,
    args: &EraseArgs,
    voice: Voice,
) -> Result<(), Failure> {
    let ground = parse_code("ground", &args.ground, ErasureGround::ALL, ErasureGround::code)?;
    let told = partners(open, &args.told)?;
    let address = args.who.read()?;
    if args.dry_run {
        let foreseen = wait(erase::foresee(&open.gateway, who, &address))??;
        voice.tell(&WouldGo::of(&foreseen, &*wait(open.gateway.registry_now())??));
        return Ok(());
    }
    confirm("The person's data is shredded", "erase", args.yes)?;
    let erased = wait(erase::erase(&open.gateway, who, &address, ground))??;
    let registry = wait(open.gateway.registry_now())??;
    let mut answer = Gone::of(&erased, &registry);
    if erased.to_tell.iter().all(|partner| told.contains(partner)) {
        let forgotten = wait(erase::forget(&open.gateway, who, erased.contact, &told))??;
        answer.forgotten = Some(forgotten.receipt.index());
    }
    voice.tell(&answer);
    Ok(())
}

/// Forgets an erased contact, or lists those that wait for it.
pub(super) fn forget(
    open: &Installation,
    who: &Actor,
    args: &ForgetArgs,
    voice: Voice,
) -> Result<(), Failure> {
    let Some(contact) = args.contact else {
        let waiting = wait(erase::unforgotten(&open.gateway, who))??;
        let registry = wait(open.gateway.registry_now())??;
        let line = |one: &Unforgotten| WaitingLine {
            contact: one.contact.0,
            must_be_told: codes(&one.to_tell, &registry),
        };
        voice.tell(&Waiting { waiting: waiting.iter().map(line).collect() });
        return Ok(());
    };
    let told = partners(open, &args.told)?;
    let forgotten = wait(erase::forget(&open.gateway, who, ContactNo(contact), &told))??;
    let done = format!("contact {contact} is forgotten: {} items deleted", forgotten.items);
    voice.tell(&Act::new(done, &forgotten.receipt));
    Ok(())
}

fn partners(open: &Installation, codes: &[String]) -> Result<Vec<PartnerId>, Failure> {
    codes.iter().map(|code| Ok(wait(onboard::find(&open.gateway, code))??.id)).collect()
}

fn codes(partners: &[PartnerId], registry: &Registry) -> Vec<String> {
    let code = |id| registry.partners.get(id).map(|one| one.code.clone());
    partners.iter().filter_map(code).collect()
}

#[derive(Debug, Serialize)]
struct WouldGo {
    fields: u32,
    origins: u64,
    choices: u64,
    items: u64,
    must_be_told: Vec<String>,
    entry: u64,
}

impl WouldGo {
    fn of(foreseen: &Foreseen, registry: &Registry) -> Self {
        Self {
            fields: foreseen.fields,
            origins: foreseen.traces.origins,
            choices: foreseen.traces.choices,
            items: foreseen.traces.items,
            must_be_told: codes(&foreseen.to_tell, registry),
            entry: foreseen.entry,
        }
    }
}

impl Say for WouldGo {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self { fields, origins, choices, items, must_be_told, entry } = self;
        writeln!(out, "dry run, nothing erased (the question is ledger entry {entry})")?;
        writeln!(out, "  would be shredded: {fields} fields and their key")?;
        writeln!(out, "  would be deleted:  {origins} origins, {choices} choices")?;
        writeln!(out, "  would be deleted when all have answered: {items} items of the ledger")?;
        owing(out, "would be recalled from, or asked already", must_be_told)
    }
}

fn owing(out: &mut dyn io::Write, how: &str, partners: &[String]) -> io::Result<()> {
    match partners {
        [] => writeln!(out, "  no partner owes an answer for this person's data"),
        some => writeln!(out, "  {how}: {}", some.join(", ")),
    }
}

#[derive(Debug, Serialize)]
struct Gone {
    contact: i64,
    entry: u64,
    must_be_told: Vec<String>,
    forgotten: Option<u64>,
}

impl Gone {
    fn of(erased: &Erased, registry: &Registry) -> Self {
        Self {
            contact: erased.contact.0,
            entry: erased.receipt.index(),
            must_be_told: codes(&erased.to_tell, registry),
            forgotten: None,
        }
    }
}

impl Say for Gone {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self { contact, entry, must_be_told, forgotten } = self;
        writeln!(out, "erased; releases stopped (ledger entry {entry})")?;
        if let Some(index) = forgotten {
            return writeln!(out, "  forgotten: nothing leads to her (ledger entry {index})");
        }
        owing(out, "recalled from", must_be_told)?;
        writeln!(out, "  when all have answered: fieldgate person forget {contact}")
    }
}

#[derive(Debug, Serialize)]
struct Waiting {
    waiting: Vec<WaitingLine>,
}

#[derive(Debug, Serialize)]
struct WaitingLine {
    contact: i64,
    must_be_told: Vec<String>,
}

impl Say for Waiting {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        if self.waiting.is_empty() {
            return writeln!(out, "nothing waits: every erased contact is forgotten");
        }
        self.waiting.iter().try_for_each(|one| {
            let says = if one.must_be_told.is_empty() {
                format!("all have answered: fieldgate person forget {}", one.contact)
            } else {
                format!("no answer yet from: {}", one.must_be_told.join(", "))
            };
            writeln!(out, "contact {}: {says}", one.contact)
        })
    }
}
