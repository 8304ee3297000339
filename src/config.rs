//! Every setting of the gateway, its default and its meaning; read by `cli` alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Settings as the file holds them. Unknown keys are refused, with line and column.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the database is.
    pub store: StoreSettings,
    /// Where the keys are.
    pub keys: KeySettings,
    /// Where the doors listen, and under which names they are reached.
    #[serde(default)]
    pub doors: DoorSettings,
    /// The audit ledger.
    pub ledger: LedgerSettings,
    /// Where checkpoints are kept besides the anchor file; a section each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<AnchorSettings>,
    /// Buckets of S3-compatible stores that anchors and exports name; a section each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<BucketSettings>,
}

/// `[store]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// `sqlite:///path/fieldgate.db` or `postgres://user@host/database`. A relative `SQLite` path
    /// counts from the folder of this file.
    pub url: String,
    /// Threads that read, each with a connection of its own. Four serve two cores.
    #[serde(default = "readers_default")]
    pub readers: usize,
}

/// `[keys]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// File with the master key: 64 hex digits, readable by its owner alone (mode 0600).
    pub master_file: PathBuf,
    /// The authority's certificate in PEM: partners trust the doors by it.
    pub authority_file: PathBuf,
    /// The doors' certificate chain in PEM.
    pub server_certificate_file: PathBuf,
    /// The doors' private key in PEM (PKCS#8).
    pub server_key_file: PathBuf,
}

/// `[doors]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DoorSettings {
    /// Partner door: mutual TLS.
    pub partner: SocketAddr,
    /// Public door: server TLS.
    pub public: SocketAddr,
    /// Ops door: plain; keep it on loopback.
    pub ops: SocketAddr,
    /// How partners reach the partner door; also the audience of access tokens.
    pub partner_url: String,
    /// How everybody reaches the public door; also the issuer of access tokens.
    pub public_url: String,
    /// Oldest TLS version of the partner door: `1.3`, or `1.2` for old clients.
    pub tls_min: String,
    /// Whether this is the folder of a demonstration, which `fieldgate demo` may use again.
    pub demo: bool,
}

/// `[ledger]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerSettings {
    /// Name of the log: a URL without scheme and without slash at its end. Never changes.
    pub origin: String,
    /// For how many days entries keep their bodies: what your retention policy says, at least 365,
    /// the longest lease. Without it nothing can be pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u32>,
    /// The append-only file of checkpoints beside the settings; always kept.
    #[serde(default = "anchor_file_default")]
    pub anchor_file: PathBuf,
    /// File in the form of tlog-policy: how readers judge this log, and which witnesses it asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_file: Option<PathBuf>,
    /// Folder that gets both notes when an anchor or witness contradicts the ledger. While an
    /// alarm stands in it, no gateway starts.
    #[serde(default = "evidence_dir_default")]
    pub evidence_dir: PathBuf,
    /// For how many seconds releases go on while no anchor and no witness answers; 0 for ever.
    #[serde(default = "acceptable_anchor_failure_default")]
    pub acceptable_anchor_failure_s: u32,
}

impl LedgerSettings {
    /// The settings of a log of this name; all else as usual.
    pub fn of(origin: String) -> Self {
        Self {
            origin,
            keep_days: None,
            anchor_file: anchor_file_default(),
            policy_file: None,
            evidence_dir: evidence_dir_default(),
            acceptable_anchor_failure_s: acceptable_anchor_failure_default(),
        }
    }
}

/// A kind of place where checkpoints are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnchorKind {
    /// A folder of a bucket with one object per checkpoint.
    Bucket,
    /// A folder with one file per checkpoint.
    Folder,
    /// A local git repository with one commit per checkpoint.
    Git,
    /// A folder with one file per checkpoint, each stamped by a timestamp authority (RFC 3161).
    Timestamp,
}

/// `[[anchors]]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorSettings {
    /// What kind of place.
    pub kind: AnchorKind,
    /// Where: a folder, or `s3://BUCKET/FOLDER`.
    pub place: String,
    /// A checkpoint is added at most so often, in seconds; [`Self::every_s`] where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_s: Option<u32>,
    /// Address of the timestamp authority, `http://` or `https://`: its answers are signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_url: Option<String>,
    /// Root certificate of the timestamp authority in PEM, one or more: its own leads to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_file: Option<PathBuf>,
}

impl AnchorSettings {
    /// How often a checkpoint is added at most, in seconds: five minutes, but an hour where each one
    /// is a question to somebody else's authority.
    pub fn every_s(&self) -> u32 {
        self.every_s.unwrap_or(if self.kind == AnchorKind::Timestamp { 3_600 } else { 300 })
    }

    /// Which key is wrong, and what would be right.
    fn fault(&self) -> Option<(&'static str, &'static str)> {
        if self.every_s == Some(0) {
            return Some(("every_s", "must be at least 1"));
        }
        if (self.kind == AnchorKind::Bucket) != self.place.starts_with("s3://") {
            return Some((
                "place",
                "must be s3://BUCKET/FOLDER where kind is \"bucket\", and a folder elsewhere",
            ));
        }
        let stamps = self.kind == AnchorKind::Timestamp;
        let (needed, not_here) = (
            "must be given where kind is \"timestamp\"",
            "is for anchors whose kind is \"timestamp\" alone",
        );
        let says = if stamps { needed } else { not_here };
        if self.authority_file.is_some() != stamps {
            return Some(("authority_file", says));
        }
        let Some(url) = &self.authority_url else {
            return stamps.then_some(("authority_url", says));
        };
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
        match host {
            _ if !stamps => Some(("authority_url", says)),
            "" => Some(("authority_url", "must begin with http:// or https:// and name a host")),
            _ if host.contains('@') => Some(("authority_url", "must hold no user and no password")),
            _ => None,
        }
    }
}

/// `[[buckets]]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BucketSettings {
    /// Name of the bucket in its store; `s3://NAME/FOLDER` means a folder in it.
    pub name: String,
    /// Address of the store: `https://HOST`, or `http://127.0.0.1:PORT` on this machine.
    pub endpoint: String,
    /// Region that signatures name.
    #[serde(default = "region_default")]
    pub region: String,
    /// File with the access key, in the form of `~/.aws/credentials` (mode 0600).
    pub credentials_file: PathBuf,
    /// Authority of the store's certificate in PEM; left out, those of the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_file: Option<PathBuf>,
}

impl BucketSettings {
    /// Whether requests are protected on their way: TLS, or a way that stays on this machine.
    fn is_protected(&self) -> bool {
        let Some(rest) = self.endpoint.strip_prefix("http://") else {
            return self.endpoint.starts_with("https://");
        };
        let host = rest.split('/').next().unwrap_or_default();
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        matches!(host, "127.0.0.1" | "localhost" | "[::1]")
    }
}

impl Default for DoorSettings {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            partner: loopback(8443),
            public: loopback(8444),
            ops: loopback(9464),
            partner_url: "https://localhost:8443".to_owned(),
            public_url: "https://localhost:8444".to_owned(),
            tls_min: "1.3".to_owned(),
            demo: false,
        }
    }
}

const fn readers_default() -> usize {
    4
}

fn anchor_file_default() -> PathBuf {
    "anchors.jsonl".into()
}

fn evidence_dir_default() -> PathBuf {
    "evidence".into()
}

/// 4 × 60 × 60 seconds: long enough for a night's repair, short enough to be noticed.
const fn acceptable_anchor_failure_default() -> u32 {
    14_400
}

fn region_default() -> String {
    "us-east-1".to_owned()
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or cannot be read.
    #[error("cannot read {path}: {says}; name another with --config, or run `fieldgate demo`")]
    File {
        /// The file.
        path: String,
        /// What the operating system says.
        says: String,
    },
    /// The text is not valid; shows line, column and a caret.
    #[error("{path} is not valid:\n{says}")]
    Text {
        /// The file.
        path: String,
        /// The reader's message with the place.
        says: String,
    },
    /// A value is out of range.
    #[error("{path}: {key} {says}")]
    Value {
        /// The file.
        path: String,
        /// Which setting.
        key: String,
        /// What would be right.
        says: &'static str,
    },
}

impl Settings {
    /// Reads a settings file. Relative paths in it count from its folder.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let path = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::File { path: path.clone(), says: error.to_string() })?;
        let settings = Self::parse(&path, &text)?;
        let folder = file.parent().unwrap_or(Path::new("."));
        Ok(settings.beside(folder))
    }

    /// Reads settings from a text; `path` is named in errors.
    pub fn parse(path: &str, text: &str) -> Result<Self, ConfigError> {
        let settings: Self = toml::from_str(text).map_err(|error| ConfigError::Text {
            path: path.to_owned(),
            says: error.to_string(),
        })?;
        settings.check(path)?;
        Ok(settings)
    }

    fn check(&self, path: &str) -> Result<(), ConfigError> {
        let wrong = |key: &str, says| {
            Err(ConfigError::Value { path: path.to_owned(), key: key.to_owned(), says })
        };
        if !(1..=64).contains(&self.store.readers) {
            return wrong("store.readers", "must be between 1 and 64");
        }
        if !matches!(self.doors.tls_min.as_str(), "1.2" | "1.3") {
            return wrong("doors.tls_min", "must be \"1.2\" or \"1.3\"");
        }
        if !self.doors.ops.ip().is_loopback() {
            return wrong("doors.ops", "must be a loopback address: the ops door is plain");
        }
        for (key, url) in [
            ("doors.partner_url", &self.doors.partner_url),
            ("doors.public_url", &self.doors.public_url),
        ] {
            if !url.starts_with("https://") || url.ends_with('/') {
                return wrong(key, "must begin with https:// and have no slash at its end");
            }
        }
        if self.ledger.origin.is_empty() || self.ledger.origin.contains([' ', '+', '\n']) {
            return wrong("ledger.origin", "must be a name without spaces and plus signs");
        }
        for (number, anchor) in (1_u32..).zip(&self.anchors) {
            if let Some((key, says)) = anchor.fault() {
                return wrong(&format!("anchor {number}: {key}"), says);
            }
        }
        if !self.buckets.iter().all(BucketSettings::is_protected) {
            return wrong(
                "buckets.endpoint",
                "must begin with https:// (http:// on loopback only)",
            );
        }
        Ok(())
    }

    fn beside(mut self, folder: &Path) -> Self {
        for path in [
            &mut self.keys.master_file,
            &mut self.keys.authority_file,
            &mut self.keys.server_certificate_file,
            &mut self.keys.server_key_file,
            &mut self.ledger.anchor_file,
            &mut self.ledger.evidence_dir,
        ] {
            if path.is_relative() {
                *path = folder.join(&*path);
            }
        }
        if let Some(policy) = &mut self.ledger.policy_file
            && policy.is_relative()
        {
            *policy = folder.join(&*policy);
        }
        for bucket in &mut self.buckets {
            let files = [Some(&mut bucket.credentials_file), bucket.authority_file.as_mut()];
            for file in files.into_iter().flatten().filter(|file| file.is_relative()) {
                *file = folder.join(&*file);
            }
        }
        for anchor in &mut self.anchors {
            if anchor.kind != AnchorKind::Bucket && Path::new(&anchor.place).is_relative() {
                anchor.place = folder.join(&anchor.place).display().to_string();
            }
            if let Some(file) = anchor.authority_file.as_mut().filter(|file| file.is_relative()) {
                *file = folder.join(&*file);
            }
        }
        if let Some(database) = self.store.url.strip_prefix("sqlite://")
            && Path::new(database).is_relative()
        {
            self.store.url = format!("sqlite://{}", folder.join(database).display());
        }
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]
mod tests {
    use super::*;

    const GOOD: &str = "
        [store]
        url = \"sqlite://fieldgate.db\"
        [keys]
        master_file = \"master.key\"
        authority_file = \"ca.pem\"
        server_certificate_file = \"server.pem\"
        server_key_file = \"server.key\"
        [ledger]
        origin = \"ledger.example.com/fieldgate\"
    ";

    #[test]
    fn settings_have_defaults_and_paths_count_from_the_file() {
        let settings = Settings::parse("x.toml", GOOD).unwrap().beside(Path::new("/etc/fieldgate"));
        assert_eq!(settings.doors.partner.port(), 8443);
        assert_eq!(settings.store.url, "sqlite:///etc/fieldgate/fieldgate.db");
        assert_eq!(settings.keys.master_file, Path::new("/etc/fieldgate/master.key"));
        assert_eq!(settings.ledger.anchor_file, Path::new("/etc/fieldgate/anchors.jsonl"));
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        let unknown = GOOD.replace("url =", "ulr =");
        let says = Settings::parse("x.toml", &unknown).unwrap_err().to_string();
        assert!(says.contains("ulr") && says.contains("line 3"), "{says}");
        let plain = format!("{GOOD}\n[doors]\nops = \"0.0.0.0:9464\"");
        assert!(Settings::parse("x.toml", &plain).unwrap_err().to_string().contains("loopback"));
        let http = format!("{GOOD}\n[doors]\npublic_url = \"http://localhost\"");
        assert!(Settings::parse("x.toml", &http).unwrap_err().to_string().contains("https://"));
    }

    #[test]
    fn a_bucket_is_reached_over_tls_or_on_this_machine() {
        let parse = |endpoint: &str| {
            let bucket = format!(
                "{GOOD}\n[[buckets]]\nname = \"b\"\nendpoint = \"{endpoint}\"\n\
                 credentials_file = \"key\"\n[[anchors]]\nkind = \"bucket\"\nplace = \"s3://b/c\""
            );
            Settings::parse("x.toml", &bucket)
        };
        for good in ["https://s3.example", "http://127.0.0.1:9000", "http://[::1]:9000"] {
            let settings = parse(good).unwrap().beside(Path::new("/etc/fieldgate"));
            assert_eq!(settings.buckets[0].credentials_file, Path::new("/etc/fieldgate/key"));
            assert_eq!(settings.anchors[0].place, "s3://b/c");
        }
        for bad in ["http://s3.example", "http://127.0.0.1.example", "ftp://x", "s3.example"] {
            assert!(parse(bad).unwrap_err().to_string().contains("buckets.endpoint"), "{bad}");
        }
    }

    #[test]
    fn an_authority_is_asked_for_a_timestamp_each_hour_unless_another_pace_is_given() {
        let every = |anchor: &str| {
            let text = format!("{GOOD}\n[[anchors]]\nplace = \"a\"\n{anchor}");
            Settings::parse("x.toml", &text).unwrap().anchors[0].every_s()
        };
        let stamps =
            "kind = \"timestamp\"\nauthority_url = \"http://tsa/\"\nauthority_file = \"t\"\n";
        assert_eq!(every("kind = \"folder\""), 300);
        assert_eq!(every("kind = \"folder\"\nevery_s = 7"), 7);
        assert_eq!(every(stamps), 3_600);
        assert_eq!(every(&format!("{stamps}every_s = 60")), 60);
    }

    #[test]
    fn only_an_anchor_of_timestamps_names_a_timestamp_authority() {
        let parse = |anchor: &str| Settings::parse("x.toml", &format!("{GOOD}\n{anchor}"));
        let stamps = |url: &str| {
            parse(&format!(
                "[[anchors]]\nkind = \"folder\"\nplace = \"a\"\n[[anchors]]\n\
                 kind = \"timestamp\"\nplace = \"stamps\"\nauthority_file = \"tsa.pem\"\n{url}"
            ))
        };
        for good in ["http://time.example/tsr?key=a@b", "https://time.example"] {
            let settings = stamps(&format!("authority_url = \"{good}\"")).unwrap();
            let settings = settings.beside(Path::new("/etc/fieldgate"));
            let file = settings.anchors[1].authority_file.as_deref();
            assert_eq!(file, Some(Path::new("/etc/fieldgate/tsa.pem")));
            assert_eq!(settings.anchors[1].place, "/etc/fieldgate/stamps");
        }
        for bad in ["", "ftp://time.example", "http://", "https://me:secret@time.example/", "x"] {
            let line = format!("authority_url = \"{bad}\"");
            let says = stamps(if bad.is_empty() { "" } else { &line }).unwrap_err().to_string();
            assert!(says.contains("anchor 2: authority_url must"), "{says}");
            assert!(!says.contains("secret"), "{says}");
        }
        let folder = "[[anchors]]\nkind = \"folder\"\nplace = \"a\"\n";
        for key in ["authority_url", "authority_file"] {
            let says = parse(&format!("{folder}{key} = \"http://x\"")).unwrap_err().to_string();
            assert!(says.contains(&format!("anchor 1: {key} is for")), "{says}");
        }
        let unnamed = "[[anchors]]\nkind = \"timestamp\"\nplace = \"a\"\n";
        let says = parse(unnamed).unwrap_err().to_string();
        assert!(says.contains("anchor 1: authority_file must be given"), "{says}");
    }
}
