//! `fieldgate recall`: what was demanded back, and what partners without a system of their own say.

use std::io;
use std::path::Path;

use clap::Subcommand;
use serde::Serialize;

use crate::domain::purpose::Purpose;
use crate::domain::recall::RecallAnswer;
use crate::flows::Registry;
use crate::flows::recall::{self, Demand, Mover, RECALLS_MAX, RecallQuery, Step};
use crate::id::RecallId;
use crate::web::recalled::RecallStanding;

use super::installation::{Installation, actor, wait};
use super::partners::invalid;
use super::persons::partner_of;
use super::say::{Ending, Failure, Say, Voice};

#[derive(Debug, Subcommand)]
pub(super) enum RecallCommand {
    /// What waits for an answer, oldest first, with the partners' own ids of the people.
    List {
        /// Of this partner (its code); of all when left out.
        #[arg(long, value_name = "CODE")]
        partner: Option<String>,
        /// Those that were answered too.
        #[arg(long)]
        all: bool,
        /// Behind this recall, where the last page ended.
        #[arg(long, value_name = "RECALL")]
        after: Option<RecallId>,
        /// Most recalls of the page.
        #[arg(long, default_value_t = RECALLS_MAX, value_parser = clap::value_parser!(u16).range(1..=250))]
        limit: u16,
    },
    /// Record that a partner was told by mail or telephone, or that it confirmed receipt.
    Tell {
        /// The recall.
        recall: RecallId,
        /// The partner confirmed that it has the demand.
        #[arg(long)]
        received: bool,
    },
    /// Record what a partner answered by mail or telephone.
    Answer {
        /// The recall.
        recall: RecallId,
        /// One of `erased`, `not_held` and `refused`.
        #[arg(long)]
        outcome: String,
        /// Why it refused: `legal_obligation`, `legal_claim` or `own_customer`.
        #[arg(long)]
        ground: Option<String>,
    },
}

pub(super) fn run(command: &RecallCommand, config: &Path, voice: Voice) -> Result<Ending, Failure> {
    let open = Installation::open(config)?;
    let who = actor(None);
    match command {
        RecallCommand::List { partner, all, after, limit } => {
            let partner = partner_of(&open, partner.as_deref())?;
            let after = after.map(|id| place_of(&open, id)).transpose()?;
            let of = RecallQuery { partner, answered: *all, after, limit: *limit };
            let (entry, demands) = wait(recall::list(&open.gateway, &who, of))??;
            let registry = wait(open.gateway.registry_now())??;
            let line = |demand| RecallLine::of(demand, &registry, &open);
            let next = demands.last().filter(|_| demands.len() == usize::from(*limit));
            voice.tell(&Recalls {
                next: next.map(|last| last.recall.id.to_string()),
                recalls: demands.iter().map(line).collect(),
                entry,
            });
        }
        RecallCommand::Tell { recall, received } => {
            let step = wait(recall::tell(&open.gateway, &who, *recall, *received))??;
            voice.tell(&Moved::of(&step));
        }
        RecallCommand::Answer { recall, outcome, ground } => {
            let answer = RecallAnswer::read(outcome, ground.as_deref());
            let answer = answer.map_err(|fault| invalid("outcome", fault))?;
            let by = Mover::Staff(&who);
            let step = wait(recall::answer(&open.gateway, by, *recall, answer))??;
            voice.tell(&Moved::of(&step));
        }
    }
    Ok(Ending::Done)
}

fn place_of(open: &Installation, id: RecallId) -> Result<(u64, RecallId), Failure> {
    Ok((wait(recall::show(&open.gateway, id))??.opened, id))
}

#[derive(Debug, Serialize)]
struct Recalls {
    recalls: Vec<RecallLine>,
    next: Option<String>,
    entry: u64,
}

#[derive(Debug, Serialize)]
struct RecallLine {
    partner: String,
    privacy_contact: String,
    lead_id: String,
    purpose: Option<&'static str>,
    #[serde(flatten)]
    standing: RecallStanding,
}

impl RecallLine {
    fn of(demand: &Demand, registry: &Registry, open: &Installation) -> Self {
        let partner = registry.partners.get(&demand.recall.partner);
        Self {
            partner: partner.map(|one| one.code.clone()).unwrap_or_default(),
            privacy_contact: partner.map(|one| one.privacy_contact.clone()).unwrap_or_default(),
            lead_id: demand.lead_id.clone(),
            purpose: demand.recall.purpose.map(Purpose::code),
            standing: RecallStanding::of(&demand.recall, open.gateway.now()),
        }
    }
}

impl Say for Recalls {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["recall", "partner", "its id of the person", "purpose", "due", "state"]);
        for one in &self.recalls {
            let RecallStanding { recall_id, state, due_at, overdue, .. } = &one.standing;
            table.add_row([
                recall_id.clone(),
                one.partner.clone(),
                one.lead_id.clone(),
                one.purpose.unwrap_or("everything").to_owned(),
                due_at.clone(),
                if *overdue { format!("{state}, OVERDUE") } else { (*state).to_owned() },
            ]);
        }
        if self.recalls.is_empty() {
            writeln!(out, "no recall waits for an answer")?;
        } else {
            writeln!(out, "{table}")?;
        }
        writeln!(out, "this question is ledger entry {}", self.entry)?;
        self.next.as_ref().map_or(Ok(()), |next| writeln!(out, "more: --after {next}"))
    }
}

#[derive(Debug, Serialize)]
struct Moved {
    recall_id: String,
    state: &'static str,
    entry: u64,
    replayed: bool,
}

impl Moved {
    fn of(step: &Step) -> Self {
        Self {
            recall_id: step.recall.id.to_string(),
            state: step.recall.state.code(),
            entry: step.recall.last,
            replayed: step.receipt.is_none(),
        }
    }
}

impl Say for Moved {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self { recall_id, state, entry, replayed } = self;
        let how = if *replayed { "was already" } else { "is now" };
        writeln!(out, "recall {recall_id} {how} {state} (ledger entry {entry})")
    }
}
