//! Anchors as the settings name them: agreement at the start, a job for each, `ledger anchors`.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::{AnchorKind, AnchorSettings, Settings};
use crate::flows::outside::{AMBER_S, Outsider, Reach};
use crate::flows::{Alarm, Gateway};
use crate::jobs::alarm_watch;
use crate::jobs::anchor::{
    self, Anchor, AnchorBucket, AnchorFile, AnchorFolder, AnchorRepository, AnchorTimestamps,
    Place, PlaceFault, Round,
};
use crate::jobs::timestamp::TimestampAuthority;
use crate::ledger::sighting::{Sighting, SightingError, hold_against};
use crate::store::{Store, StoreError};
use crate::vault::certificate::{chain_from_pem, read_leaf};
use crate::web::health::{Check, Condition};
use crate::web::metrics::Metrics;

use super::buckets;
use super::installation::{Installation, Reading, chain, read_file, wait};
use super::say::{Ending, Failure, Say, Voice};

/// The anchor file is looked at, and added to, as often as this.
const FILE_EVERY: Duration = Duration::from_secs(60);

/// A timestamp that takes longer has failed.
const STAMP_PATIENCE: Duration = Duration::from_secs(10);

/// What to do when the ledger is not what others saw of it.
const WAYS_OUT: &str = "two ways lead out: bring back the database that holds those entries, then \
`fieldgate ledger anchors --settle`; or found a new log under a new origin and tell everybody who \
holds receipts. docs/guides/alarms.md says how";

/// Every place of the settings, the anchor file first. Names are those of alarms and problems,
/// which partners read too: they tell no path.
fn places(settings: &Settings) -> Result<Vec<Anchor>, Failure> {
    let mut found = vec![file(settings)];
    for (number, one) in (1..).zip(&settings.anchors) {
        found.push(place(settings, number, one)?);
    }
    Ok(found)
}

fn file(settings: &Settings) -> Anchor {
    Anchor {
        name: "anchor file".to_owned(),
        kind: "file",
        reach: Reach::Near,
        place: Place::File(Arc::new(AnchorFile::new(&settings.ledger.anchor_file))),
        every: FILE_EVERY,
    }
}

fn place(settings: &Settings, number: u32, one: &AnchorSettings) -> Result<Anchor, Failure> {
    let (kind, place) = match one.kind {
        AnchorKind::Bucket => {
            let bucket = buckets::open(settings, &one.place)?;
            ("bucket", Place::Bucket(Arc::new(AnchorBucket::new(bucket))))
        }
        AnchorKind::Folder => ("folder", Place::Folder(Arc::new(AnchorFolder::new(&one.place)))),
        AnchorKind::Git => ("git", Place::Git(Arc::new(AnchorRepository::new(&one.place)))),
        AnchorKind::Timestamp => ("timestamp", Place::Timestamp(Arc::new(stamped(one)?))),
    };
    let every = Duration::from_secs(u64::from(one.every_s()));
    Ok(Anchor { name: format!("anchor {number} ({kind})"), kind, reach: Reach::Far, place, every })
}

/// A folder whose notes are stamped. The settings were checked: both keys are there.
fn stamped(one: &AnchorSettings) -> Result<AnchorTimestamps, Failure> {
    let (Some(url), Some(file)) = (&one.authority_url, &one.authority_file) else {
        return Err(Failure::new(Ending::Settings, "an anchor lacks its timestamp authority"));
    };
    let authority = TimestampAuthority::new(url, timestamp_authority(file)?, STAMP_PATIENCE);
    let authority = authority.map_err(|error| Failure::broken(chain(&error)))?;
    Ok(AnchorTimestamps::new(AnchorFolder::new(&one.place), authority))
}

/// Root certificates of a timestamp authority, in DER.
pub(super) fn timestamp_authority(file: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let found = chain_from_pem(&read_file(file)?).unwrap_or_default();
    if found.is_empty() || found.iter().any(|certificate| read_leaf(certificate).is_err()) {
        let hint = "it takes the root certificate of the timestamp authority in PEM; more than one \
                    may stand there";
        let says = format!("{} does not hold certificates in PEM", file.display());
        return Err(Failure::new(Ending::Settings, says).hint(hint));
    }
    Ok(found)
}

/// How one place and the ledger stand to each other.
enum Stand {
    Empty,
    Agrees(u64),
    Contradicts(Alarm, String),
    Fails(String),
}

/// Reads a place, then the ledger.
fn stand(store: &Store, origin: &str, anchor: &Anchor) -> Result<Stand, Failure> {
    let note = match wait(anchor.place.newest())? {
        Ok(Some(note)) => note,
        Ok(None) => return Ok(Stand::Empty),
        Err(fault) => return Ok(Stand::Fails(fault.to_string())),
    };
    let (origin, kept, by) = (origin.to_owned(), note.clone(), anchor.name.clone());
    let seen =
        store.read_blocking(move |tx| Ok::<_, StoreError>(hold_against(tx, &origin, &kept, &by)));
    Ok(match seen.map_err(|error| Failure::broken(chain(&error)))? {
        Ok(Sighting::Agrees(size)) => Stand::Agrees(size),
        Ok(Sighting::Contradicts(alarm)) => Stand::Contradicts(alarm, note),
        Err(SightingError::Prove(error)) => return Err(Failure::broken(chain(&error))),
        Err(fault) => Stand::Fails(fault.to_string()),
    })
}

/// Refuses where an anchor holds a checkpoint: a log that was founded before is not founded again.
/// A place that cannot be read could hold one.
pub(super) fn demand_empty(settings: &Settings) -> Result<(), Failure> {
    for anchor in places(settings)? {
        let says = match wait(anchor.place.newest())? {
            Ok(None) => continue,
            Ok(Some(_)) => format!("{} holds a checkpoint of a log already", anchor.name),
            Err(fault) => format!("{} cannot be read, and may hold a log: {fault}", anchor.name),
        };
        let hint = "bring back that log's database, or give a new log anchors and an origin of its \
                    own";
        return Err(Failure::new(Ending::Conflict, says).hint(hint));
    }
    Ok(())
}

/// Refuses to open a ledger for writing that an anchor of this machine contradicts, or while an
/// alarm stands. What is out of reach now is looked at again by its job.
pub(super) fn demand_agreement(settings: &Settings, store: &Store) -> Result<(), Failure> {
    let folder = &settings.ledger.evidence_dir;
    let standing = alarm_watch::standing(folder).map_err(|error| {
        Failure::new(Ending::Settings, format!("cannot read {}: {error}", folder.display()))
    })?;
    if let Some(says) = standing {
        let says = format!("an alarm stands since {says} ({})", folder.display());
        return Err(Failure::new(Ending::Conflict, says).hint(WAYS_OUT));
    }
    for anchor in places(settings)? {
        match stand(store, &settings.ledger.origin, &anchor)? {
            Stand::Empty | Stand::Agrees(_) => {}
            Stand::Contradicts(alarm, note) => {
                let at = Clock::System.now().rfc3339();
                let kept = alarm_watch::keep(folder, &at, &alarm, (None, Some(&note)));
                kept.map_err(|error| {
                    Failure::broken(format!("{alarm}; {}: {error}", folder.display()))
                })?;
                return Err(Failure::new(Ending::Conflict, alarm).hint(WAYS_OUT));
            }
            Stand::Fails(says) => tracing::warn!(anchor = anchor.name, says, "an anchor failed"),
        }
    }
    Ok(())
}

/// Starts a job for each place, and the one that keeps evidence. Runs on a runtime.
pub(super) fn start(
    open: &Installation,
    metrics: &Arc<Metrics>,
) -> Result<Vec<JoinHandle<()>>, Failure> {
    let limit = open.settings.ledger.acceptable_anchor_failure_s;
    open.gateway.outside().accept_silence_of(limit);
    let folder = open.settings.ledger.evidence_dir.clone();
    let places = places(&open.settings)?;
    let mut jobs = vec![tokio::spawn(alarm_watch::run(open.gateway.clone(), folder))];
    for anchor in places {
        let (metrics, gateway) = (Arc::clone(metrics), open.gateway.clone());
        let seen = move |kind, round: Round| {
            let agrees = matches!(round, Round::Looked | Round::Added);
            metrics.anchor(kind, round.code(), agrees.then(|| gateway.now().seconds()));
        };
        jobs.push(tokio::spawn(anchor::run(open.gateway.clone(), anchor, seen)));
    }
    Ok(jobs)
}

/// A last checkpoint for the anchor file before the process ends: what is restored tomorrow is
/// compared with it.
pub(super) async fn finish(open: &Installation) {
    let anchor = file(&open.settings);
    if open.gateway.alarm_raised().is_none() {
        open.gateway.outside().expect(&anchor.name, anchor.reach, open.gateway.now());
        anchor::round(&open.gateway, &anchor, true).await;
    }
}

/// What readiness says of everybody who vouches from outside.
pub(super) fn checks(gateway: &Gateway) -> Vec<Check> {
    let now = gateway.now();
    let too_long = gateway.outside().is_silent_too_long(now);
    let check = |one: Outsider| {
        let silent = one.silent_s(now);
        let late = silent > i64::from(AMBER_S);
        let condition = match late {
            true if too_long => Condition::Red,
            true => Condition::Amber,
            false => Condition::Green,
        };
        let says = match one.trouble {
            Some(why) => format!("{}: silent for {silent} s: {why}", one.name),
            None => format!("{}: answered {silent} s ago", one.name),
        };
        Check { part: "outside", condition, says }
    };
    gateway.outside().list().into_iter().map(check).collect()
}

#[derive(Debug, Serialize)]
struct Standing {
    anchor: String,
    agrees: bool,
    says: String,
}

#[derive(Debug, Serialize)]
struct Standings {
    alarm: Option<String>,
    anchors: Vec<Standing>,
}

impl Say for Standings {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        for Standing { anchor, agrees, says } in &self.anchors {
            let word = if *agrees { "ok" } else { "WRONG" };
            writeln!(out, "  {word:<6} {anchor}: {says}")?;
        }
        match &self.alarm {
            Some(alarm) => writeln!(out, "an alarm stands since {alarm}"),
            None => writeln!(out, "no alarm stands"),
        }
    }
}

/// `fieldgate ledger anchors`: compares every place with the ledger; with `settle` it puts away
/// an alarm whose cause is gone.
pub(super) fn show(open: &Reading, settle: bool, voice: Voice) -> Result<Ending, Failure> {
    let (mut anchors, mut sound) = (Vec::new(), true);
    for anchor in places(&open.settings)? {
        let (agrees, says) = match stand(&open.store, &open.settings.ledger.origin, &anchor)? {
            Stand::Empty => (true, "holds nothing yet".to_owned()),
            Stand::Agrees(size) => match wait(anchor.place.vouched())? {
                Ok(None) => (true, format!("agrees at {size} entries")),
                Ok(Some(says)) => (true, format!("agrees at {size} entries, {says}")),
                Err(fault) => (false, fault.to_string()),
            },
            Stand::Contradicts(alarm, _) => (false, alarm.to_string()),
            Stand::Fails(says) => (false, says),
        };
        sound &= agrees;
        anchors.push(Standing { anchor: anchor.name, agrees, says });
    }
    let folder = &open.settings.ledger.evidence_dir;
    let broken = |error: io::Error| Failure::broken(format!("{}: {error}", folder.display()));
    let mut alarm = alarm_watch::standing(folder).map_err(broken)?;
    if settle && sound && alarm.is_some() {
        alarm_watch::settle(folder, &Clock::System.now().rfc3339()).map_err(broken)?;
        alarm = None;
    }
    let ending = if sound && alarm.is_none() { Ending::Done } else { Ending::Wrong };
    voice.tell(&Standings { alarm, anchors });
    Ok(ending)
}

impl From<PlaceFault> for Failure {
    fn from(fault: PlaceFault) -> Self {
        Self::broken(fault)
    }
}
