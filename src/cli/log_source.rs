//! A published log at the command line: a folder or a bucket with an export, or a door that
//! serves it.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::jobs::bucket::Bucket;
use crate::ledger::Cause;
use crate::ledger::published::{Fetch, Published};

use super::buckets;
use super::installation::{chain, load, read_file};
use super::pull::{Client, ClientError};
use super::say::{Ending, Failure};

/// Requests under way at once: enough to hide the distance.
const AT_ONCE: usize = 8;

/// Longest file of a log: a bundle of 256 entries of 65,535 bytes and their lengths.
const FILE_BYTES_MAX: u64 = 256 * 65_537;

/// Which published log is meant.
#[derive(Debug, Args)]
pub(super) struct LogPlace {
    /// A folder that `ledger export` wrote.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["url", "object_store"])]
    dir: Option<PathBuf>,
    /// What `ledger export` put into an object store: `s3://NAME/FOLDER`, where a section
    /// `[[buckets]]` of the settings has that name.
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    object_store: Option<String>,
    /// A log that is served: the address below which `checkpoint` stands, such as
    /// <https://gate.example:8443/ledger/v1>.
    #[arg(long, requires_all = ["cert", "ca", "client_id"])]
    pub(super) url: Option<String>,
    /// Certificate chain of the partner or auditor in PEM; may hold the private key, too.
    #[arg(long, value_name = "FILE", requires = "url")]
    cert: Option<PathBuf>,
    /// Private key of the partner or auditor in PEM, where it stands in a file of its own.
    #[arg(long, value_name = "FILE", requires = "url")]
    cert_key: Option<PathBuf>,
    /// Authority of the door in PEM.
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
    /// The partner id (`ptn_…`) of whoever asks.
    #[arg(long, value_name = "ID", requires = "url")]
    client_id: Option<String>,
}

/// A folder, a bucket or a door.
pub(super) enum LogSource {
    Bucket(Bucket, tokio::runtime::Runtime),
    Folder(PathBuf),
    Door(Box<LogDoor>),
}

/// A door that serves a log over mutual TLS.
pub(super) struct LogDoor {
    client: Client,
    path: String,
    runtime: tokio::runtime::Runtime,
}

impl LogPlace {
    /// Whether one was named.
    pub(super) fn is_named(&self) -> bool {
        self.dir.is_some() || self.object_store.is_some() || self.url.is_some()
    }

    /// Opens the log that was named; the settings tell where buckets are.
    pub(super) fn open(&self, config: &Path) -> Result<Published<LogSource>, Failure> {
        let source = self.source(config)?;
        Published::open(source).map_err(|error| Failure::new(Ending::Unknown, chain(&error)))
    }

    /// The keys that an export holds beside the log; a door serves none.
    pub(super) fn own_keys(&self, config: &Path) -> Result<Option<String>, Failure> {
        if self.url.is_some() {
            return Ok(None);
        }
        let fetched = self.source(config)?.fetch(&["log.vkey".to_owned()]);
        let found = fetched.map_err(|error| Failure::new(Ending::Unknown, error))?;
        let text = found.into_iter().flatten().next();
        Ok(text.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    fn source(&self, config: &Path) -> Result<LogSource, Failure> {
        match (&self.dir, &self.object_store, &self.url) {
            (Some(dir), ..) => Ok(LogSource::Folder(dir.clone())),
            (None, Some(url), _) => {
                let bucket = buckets::open(&load(config)?, url)?;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                Ok(LogSource::Bucket(bucket, runtime.map_err(Failure::broken)?))
            }
            (None, None, Some(url)) => Ok(LogSource::Door(Box::new(self.door(url)?))),
            (None, None, None) => {
                let failure = Failure::new(Ending::Invalid, "no published log was named");
                Err(failure.hint("--dir DIR, --object-store URL or --url URL"))
            }
        }
    }

    fn door(&self, url: &str) -> Result<LogDoor, Failure> {
        let read = |file: &Option<PathBuf>| file.as_deref().map_or(Ok(Vec::new()), read_file);
        let mut identity = read(&self.cert_key)?;
        identity.extend(read(&self.cert)?);
        let authority = read(&self.ca)?;
        let wrong = || Failure::new(Ending::Invalid, "--url does not begin with https://HOST");
        let (host, path) = url
            .strip_prefix("https://")
            .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
            .ok_or_else(wrong)?;
        let id = self.client_id.as_deref().unwrap_or_default();
        let client = Client::new(&format!("https://{host}"), id, Some(&identity), &authority)
            .map_err(|error| Failure::new(Ending::Settings, chain(&error)))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let path = format!("/{}", path.trim_end_matches('/'));
        Ok(LogDoor { client, path, runtime: runtime.map_err(Failure::broken)? })
    }
}

impl Fetch for LogSource {
    fn fetch(&mut self, paths: &[String]) -> Result<Vec<Option<Vec<u8>>>, Cause> {
        match self {
            Self::Folder(folder) => {
                paths.iter().map(|path| Ok(read_part(&folder.join(path))?)).collect()
            }
            Self::Bucket(bucket, runtime) => {
                let files = paths.iter().map(|path| bucket.get(path));
                let files = stream::iter(files).buffered(AT_ONCE).try_collect();
                Ok(runtime.block_on(files)?)
            }
            Self::Door(door) => door.fetch(paths),
        }
    }
}

fn read_part(file: &Path) -> io::Result<Option<Vec<u8>>> {
    let length = match std::fs::metadata(file) {
        Ok(facts) => facts.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Nothing of a log is longer: then it is as good as missing.
    if length > FILE_BYTES_MAX { Ok(None) } else { std::fs::read(file).map(Some) }
}

impl LogDoor {
    fn fetch(&mut self, paths: &[String]) -> Result<Vec<Option<Vec<u8>>>, Cause> {
        let Self { client, path: base, runtime } = self;
        let fetched = runtime.block_on(async {
            // Hash tiles and checkpoints are for every partner, entries for auditors alone.
            let token = client.token("").await?;
            let (client, token) = (&*client, &token);
            let files = paths.iter().map(|path| {
                let path = format!("{base}/{path}");
                async move { client.file(token, &path, FILE_BYTES_MAX).await }
            });
            stream::iter(files).buffered(AT_ONCE).try_collect().await
        });
        fetched.map_err(|error: ClientError| error.into())
    }
}
