//! A log as it is published: checkpoint, tiles and bundles under paths (`c2sp.org/tlog-tiles`),
//! in a folder or behind a server, read as an archive.
//!
//! Nothing of it is believed: what is missing or malformed becomes what no entry can be, so that
//! the walk names its place and goes on.

use std::collections::HashMap;

use crate::merkle::Hash;
use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::note::Note;
use crate::merkle::tile::{Tile, TilePath, WIDTH, decode_bundle, hashes_at, partial_width};
use crate::merkle::tree::{Frontier, root_of};

use super::{Archive, Cause, Head, ShelfError};

/// Tiles that are kept while the walk goes on; 8 KiB each.
const TILES_MAX: usize = 1_024;

/// Where the files of a log come from.
pub trait Fetch {
    /// The files under these paths, in their order; `None` where there is none.
    ///
    /// # Errors
    /// The place cannot be read at all.
    fn fetch(&mut self, paths: &[String]) -> Result<Vec<Option<Vec<u8>>>, Cause>;
}

/// Why a published log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PublishedError {
    /// The place cannot be read.
    #[error("the published log cannot be read")]
    Fetch(#[source] Cause),
    /// There is no checkpoint.
    #[error("there is no checkpoint: nothing is published there")]
    Nothing,
    /// What stands in its place is none.
    #[error("what is published as checkpoint is not one")]
    NotACheckpoint,
}

/// A published log at the size of its checkpoint.
pub struct Published<F> {
    source: F,
    note: Note,
    checkpoint: Checkpoint,
    frontier: Option<Frontier>,
    tiles: HashMap<(u8, u64), Vec<Hash>>,
}

impl<F: Fetch> Published<F> {
    /// Reads the checkpoint. Whether it is signed as it should be is for the caller's policy.
    ///
    /// # Errors
    /// The place cannot be read, or holds no checkpoint.
    pub fn open(mut source: F) -> Result<Self, PublishedError> {
        let files = source.fetch(&["checkpoint".to_owned()]).map_err(PublishedError::Fetch)?;
        let bytes = files.into_iter().next().flatten().ok_or(PublishedError::Nothing)?;
        let note = Note::parse(&bytes).map_err(|_| PublishedError::NotACheckpoint)?;
        let checkpoint =
            Checkpoint::parse(note.text()).map_err(|_| PublishedError::NotACheckpoint)?;
        Ok(Self { source, note, checkpoint, frontier: None, tiles: HashMap::new() })
    }

    /// The checkpoint with its signatures.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// What it says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Files by tile path. Where a partial run is gone, the full one that followed it will do.
    fn files(&mut self, paths: &[TilePath]) -> Result<Vec<Option<Vec<u8>>>, ShelfError> {
        let name = |path: &TilePath| format!("tile/{path}");
        let broken = ShelfError::Broken;
        let mut found =
            self.source.fetch(&paths.iter().map(name).collect::<Vec<_>>()).map_err(broken)?;
        for (path, file) in paths.iter().zip(&mut found) {
            if file.is_none() && !path.is_full() {
                let full = name(&TilePath { width: WIDTH, ..*path });
                *file = self.source.fetch(&[full]).map_err(broken)?.pop().flatten();
            }
        }
        Ok(found)
    }

    /// Width of a run in the tree of the checkpoint: 256, less at the edge, 0 beyond.
    fn width(&self, level: u8, n: u64) -> u16 {
        match n.cmp(&hashes_at(level.saturating_add(1), self.checkpoint.size)) {
            std::cmp::Ordering::Less => WIDTH,
            std::cmp::Ordering::Equal => partial_width(level, self.checkpoint.size),
            std::cmp::Ordering::Greater => 0,
        }
    }

    /// Reads hash tiles into memory. One that is missing or of another length stays out.
    fn load(&mut self, level: u8, numbers: impl Iterator<Item = u64>) -> Result<(), ShelfError> {
        let wanted: Vec<TilePath> = numbers
            .filter(|n| !self.tiles.contains_key(&(level, *n)))
            .map(|n| TilePath { level: Some(level), n, width: self.width(level, n) })
            .filter(|path| path.width > 0)
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        if self.tiles.len().saturating_add(wanted.len()) > TILES_MAX {
            self.tiles.clear();
        }
        let files = self.files(&wanted)?;
        for (path, bytes) in wanted.into_iter().zip(files) {
            let hashes = bytes.and_then(|bytes| Hash::split(&bytes));
            let Some(mut hashes) = hashes else { continue };
            if [path.width.into(), usize::from(WIDTH)].contains(&hashes.len()) {
                hashes.truncate(path.width.into());
                self.tiles.insert((level, path.n), hashes);
            }
        }
        Ok(())
    }

    fn hashes(&mut self, level: u8, n: u64) -> Result<Option<&[Hash]>, ShelfError> {
        self.load(level, std::iter::once(n))?;
        Ok(self.tiles.get(&(level, n)).map(Vec::as_slice))
    }

    /// The right edge as the partial tiles show it: one hash per set bit of the size.
    fn edge(&mut self) -> Result<Frontier, ShelfError> {
        let size = self.checkpoint.size;
        let mut peaks = Vec::new();
        for level in (0..8).rev() {
            let width = partial_width(level, size);
            let n = hashes_at(level + 1, size);
            let hashes = if width > 0 { self.hashes(level, n)?.unwrap_or_default() } else { &[] };
            let mut rest = hashes;
            for bit in (0..8).rev().filter(|bit| width >> bit & 1 == 1) {
                let (run, after) = rest.split_at_checked(1 << bit).unwrap_or((&[], &[]));
                peaks.push(if run.is_empty() { Hash::of_nothing() } else { root_of(run) });
                rest = after;
            }
        }
        Frontier::from_bytes(size, &Hash::join(&peaks))
            .map_err(|error| ShelfError::Broken(error.into()))
    }
}

impl<F: Fetch> Archive for Published<F> {
    fn head(&mut self) -> Result<Head, ShelfError> {
        let frontier = match &self.frontier {
            Some(frontier) => frontier.clone(),
            None => self.edge()?,
        };
        self.frontier = Some(frontier.clone());
        Ok(Head { frontier, ..Head::default() })
    }

    fn bodies(&mut self, from: u64, until: u64) -> Result<Vec<Vec<u8>>, ShelfError> {
        let (width, until) = (u64::from(WIDTH), until.min(self.checkpoint.size));
        if from >= until {
            return Ok(Vec::new());
        }
        let numbers = from / width..until.div_ceil(width);
        let paths: Vec<TilePath> =
            numbers.clone().map(|n| TilePath { level: None, n, width: self.width(0, n) }).collect();
        let bundles = self.files(&paths)?;
        if until - from > width {
            // A walk: the hashes of these entries are asked for next.
            self.load(0, numbers)?;
        }
        let mut bodies = Vec::new();
        for (path, bundle) in paths.iter().zip(bundles) {
            bodies.extend(entries_of(&bundle.unwrap_or_default(), path.width));
        }
        let skip = usize::try_from(from % width).unwrap_or(usize::MAX);
        let take = usize::try_from(until - from).unwrap_or(usize::MAX);
        Ok(bodies.into_iter().skip(skip).take(take).collect())
    }

    fn tile(&mut self, level: u8, n: u64) -> Result<Option<Tile>, ShelfError> {
        if self.width(level, n) < WIDTH {
            return Ok(None);
        }
        let hashes = self.hashes(level, n)?;
        Ok(hashes.and_then(|hashes| Tile::new(level, n, hashes.to_vec()).ok()))
    }

    /// The roots of full tiles are the hashes of the level above.
    fn tile_roots(&mut self, level: u8, from: u64, until: u64) -> Result<Vec<Hash>, ShelfError> {
        let (above, width) = (level.saturating_add(1), u64::from(WIDTH));
        let mut roots = Vec::new();
        for at in from..until.min(hashes_at(above, self.checkpoint.size)) {
            let place = usize::try_from(at % width).unwrap_or(usize::MAX);
            let hashes = self.hashes(above, at / width)?;
            roots.push(hashes.and_then(|hashes| hashes.get(place)).copied());
        }
        // A gap is no end: what follows would stand at the wrong place.
        Ok(roots.into_iter().map(|root| root.unwrap_or_else(Hash::of_nothing)).collect())
    }
}

/// The first `width` entries of a bundle of just so many, or of a full one. What cannot be read
/// becomes an empty body, which no entry is, and what is left over spoils the last one: so the
/// entry is named, and those beside it are judged for themselves.
fn entries_of(bundle: &[u8], width: u16) -> Vec<Vec<u8>> {
    let read = decode_bundle(bundle, width).or_else(|_| decode_bundle(bundle, WIDTH));
    if let Ok(entries) = read {
        return entries.into_iter().take(width.into()).map(<[u8]>::to_vec).collect();
    }
    let mut entries = Vec::with_capacity(width.into());
    let mut rest = bundle;
    while entries.len() < usize::from(width) {
        let entry = rest.split_at_checked(2).and_then(|(length, after)| {
            let length = <[u8; 2]>::try_from(length).map(u16::from_be_bytes).ok()?;
            after.split_at_checked(length.into())
        });
        let (entry, after) = entry.unwrap_or((rest, &[]));
        entries.push(entry.to_vec());
        rest = after;
    }
    if let Some(last) = entries.last_mut() {
        last.extend_from_slice(rest);
    }
    entries
}
