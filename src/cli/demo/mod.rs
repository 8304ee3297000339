//! `fieldgate demo`: from nothing to everything in one folder, then a tour as a partner.

mod people;

mod stage;

mod tour;

use std::io;
use std::path::PathBuf;

use serde::Serialize;

use crate::clock::{Clock, Moment};
use crate::ledger::Archive as _;
use crate::ledger::verify::{self, Plan};
use crate::store::StoreError;

use super::installation::{Installation, chain};
use super::say::{Ending, Failure, Say, Voice};
use super::{anchors, serve};

use stage::Folder;
use tour::Tour;

#[derive(Debug, clap::Args)]
pub(super) struct DemoArguments {
    /// Folder for everything the demonstration makes; remove it to begin anew.
    #[arg(long, default_value = "./fieldgate-demo")]
    dir: PathBuf,
    /// Leave after the tour instead of serving on.
    #[arg(long)]
    once: bool,
    /// How many people are invented.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    people: u32,
}

/// Tells how long each step took.
struct Steps {
    voice: Voice,
    last: Moment,
}

impl Steps {
    fn done(&mut self, text: impl std::fmt::Display) {
        let now = Clock::System.now();
        let tenths = now.0.saturating_sub(self.last.0) / 100_000;
        self.last = now;
        let text = text.to_string();
        self.voice.line(format_args!("  ok  {text:<62} {}.{} s", tenths / 10, tenths % 10));
    }
}

pub(super) fn run(arguments: &DemoArguments, voice: Voice) -> Result<Ending, Failure> {
    let folder = Folder::take(&arguments.dir)?;
    voice.line(format_args!(
        "DEMO  invented people, throw-away keys, loopback only, all of it in {}",
        folder.dir.display()
    ));
    let mut steps = Steps { voice, last: Clock::System.now() };
    let (settings, listeners) = stage::settings(&folder)?;
    if folder.reused {
        steps.done("the folder of an earlier run, as it was left");
    } else {
        let migrations = stage::foundation(&settings)?;
        steps
            .done(format_args!("SQLite, {migrations} migrations; keys, authority, ledger founded"));
    }
    let open = Installation::open(&folder.config())?;
    serve::on_system(async {
        if !folder.reused {
            stage::cast(&open, &folder).await?;
            steps.done("policy version 1, 3 partners, 2 systems of our own, 5 certificates");
        }
        let doors = serve::open_doors(&open, listeners).await?;
        steps.done("doors open: partner, public, ops");
        let tour = Tour { open: &open, folder: &folder, voice };
        if !folder.reused {
            let people = usize::try_from(arguments.people).unwrap_or(1_000);
            voice.line("\nThe three collection points hand in what people left, over mutual TLS:");
            tour.collect(people).await?;
            steps.done(format_args!("{people} invented people"));
            folder.ready()?;
        }
        voice.line("\nA reseller's system, over real mutual TLS:");
        tour.run().await?;
        steps.done("tour");
        let entries = check_ledger(&open, &mut steps)?;
        tour.next_steps().await?;
        if voice.is_json() {
            voice.tell(&Shown::of(&folder, &open, entries));
        }
        if !arguments.once {
            voice.line("\nCtrl-C stops. Nothing left this computer.");
            serve::until_told_to_stop().await?;
        }
        doors.close().await;
        anchors::finish(&open).await;
        open.sequencer.close();
        Ok(Ending::Done)
    })
}

/// What stands after the tour, for machines: in words the tour tells it itself.
#[derive(Debug, Serialize)]
struct Shown {
    dir: String,
    partner_url: String,
    public_url: String,
    ops: String,
    entries: u64,
}

impl Shown {
    fn of(folder: &Folder, open: &Installation, entries: u64) -> Self {
        let doors = &open.settings.doors;
        Self {
            dir: folder.dir.display().to_string(),
            partner_url: doors.partner_url.clone(),
            public_url: doors.public_url.clone(),
            ops: doors.ops.to_string(),
            entries,
        }
    }
}

impl Say for Shown {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "{} holds {} entries", self.dir, self.entries)
    }
}

fn check_ledger(open: &Installation, steps: &mut Steps) -> Result<u64, Failure> {
    let verified = open.store.read_blocking(|tx| {
        let size = tx.head().map(|head| head.size());
        let report = verify::everything(tx, &Plan::default(), |_| {});
        Ok::<_, StoreError>(size.and_then(|size| report.map(|report| (size, report))))
    });
    let (size, report) = verified?.map_err(|error| Failure::broken(chain(&error)))?;
    if let Some(finding) = report.findings.first() {
        return Err(Failure::new(Ending::Wrong, finding));
    }
    steps.done(format_args!("the whole ledger verified: {size} entries"));
    Ok(size)
}
