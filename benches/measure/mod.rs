//! How benches measure: interleaved rounds, median and range, the machine's own limits beside.

use std::fmt::Write as _;
use std::fs::File;
use std::hint::black_box;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use fieldgate::merkle::Hash;

/// How much a run may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Everything, five rounds.
    Full,
    /// The same cells, shorter and twice: under 20 seconds.
    Quick,
    /// Whether it runs at all: about a second. This is what `cargo test --benches` gets.
    Smoke,
}

impl Effort {
    /// `cargo bench` says `--bench`; whoever does not gets the smoke run.
    pub fn from_arguments() -> Self {
        let given = |name: &str| std::env::args().any(|argument| argument == name);
        match (given("--bench") && !given("--test"), given("--quick")) {
            (false, _) => Self::Smoke,
            (true, true) => Self::Quick,
            (true, false) => Self::Full,
        }
    }

    /// How often every variant is measured.
    pub fn rounds(self) -> usize {
        match self {
            Self::Full => 5,
            Self::Quick => 2,
            Self::Smoke => 1,
        }
    }

    /// One of three: full, quick, smoke.
    pub fn pick<T>(self, full: T, quick: T, smoke: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
            Self::Smoke => smoke,
        }
    }
}

/// Measured values of one variant, one per round.
#[derive(Clone, Default)]
pub struct Rounds(pub Vec<f64>);

impl Rounds {
    /// The middle value.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            even if even % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        }
    }

    /// This variant in units of another, round by round.
    pub fn against(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(this, that)| this / that).collect())
    }

    /// `median (least-most)`.
    pub fn show(&self) -> String {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(0.0, f64::max);
        format!("{} ({}-{})", number(self.median()), number(least), number(most))
    }
}

/// Three significant digits are all that such a machine can tell.
pub fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => "-".to_owned(),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 0.1 => format!("{v:.2}"),
        v => format!("{v:.4}"),
    }
}

/// A plain table: the first column left, the others right.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with its heads.
    pub fn new(heads: &[&str]) -> Self {
        Self { rows: vec![heads.iter().map(|head| (*head).to_owned()).collect()] }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Prints it.
    pub fn print(&self) {
        let width = |place: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(place));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        for row in &self.rows {
            let mut line = String::new();
            for (place, cell) in row.iter().enumerate() {
                let width = width(place);
                let _ = match place {
                    0 => write!(line, "{cell:<width$}"),
                    _ => write!(line, "  {cell:>width$}"),
                };
            }
            println!("{line}");
        }
        println!();
    }
}

/// Says what must be and what is.
pub fn at_least(what: &str, target: f64, got: &Rounds) {
    let verdict = if got.median() >= target { "ok" } else { "MISSED" };
    println!("{verdict:<6}  {what}: target >= {target:.2}, got {}", got.show());
}

/// The same where less is better.
pub fn at_most(what: &str, target: f64, got: &Rounds) {
    let verdict = if got.median() <= target { "ok" } else { "MISSED" };
    println!("{verdict:<6}  {what}: target <= {target:.2}, got {}", got.show());
}

/// The value below which this share of the sorted times lies, in milliseconds.
pub fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |at| millis(*at))
}

/// Milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The median time of appending 4 KiB to a file in `folder` and flushing it, in milliseconds.
pub fn flush_ms(folder: &Path, times: usize) -> f64 {
    let path = folder.join("flush.bin");
    let mut file = File::create(&path).unwrap();
    let block = [7_u8; 4096];
    let mut taken: Vec<Duration> = (0..times)
        .map(|_| {
            let begun = Instant::now();
            file.seek(SeekFrom::End(0)).unwrap();
            file.write_all(&block).unwrap();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    drop(file);
    std::fs::remove_file(&path).unwrap();
    taken.sort();
    quantile(&taken, 0.5)
}

/// Leaf hashes of all bodies on two threads: entries per second. The limit of any walk.
pub fn hashes_per_s(bodies: &[Vec<u8>]) -> f64 {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for share in bodies.chunks(bodies.len().div_ceil(2)) {
            scope.spawn(move || {
                for body in share {
                    black_box(Hash::leaf(body));
                }
            });
        }
    });
    bodies.len() as f64 / begun.elapsed().as_secs_f64()
}

/// User and system time that this process has used, in milliseconds (10 ms steps).
pub fn cpu_ms() -> f64 {
    stat("self").map_or(0.0, |(_, ticks)| ticks * 10.0)
}

/// The same of a process and its children: of `PostgreSQL` and its sessions.
pub fn cpu_ms_of_family(parent: u32) -> f64 {
    let processes = std::fs::read_dir("/proc").unwrap();
    let names = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let members = names.filter_map(|name| {
        let (of, ticks) = stat(&name)?;
        (of == parent || name == parent.to_string()).then_some(ticks * 10.0)
    });
    members.sum()
}

/// Parent and ticks (of 10 ms) of a process.
fn stat(process: &str) -> Option<(u32, f64)> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |place: usize| fields.get(place).and_then(|ticks| ticks.parse::<f64>().ok());
    Some((fields.get(1)?.parse().ok()?, ticks(11)? + ticks(12)?))
}

/// What else is known of the machine, for the head of a table.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let profile =
        if cfg!(debug_assertions) { "debug build: figures mean nothing" } else { "release" };
    format!("{cores} cores, load {load} before the run, {profile}")
}
