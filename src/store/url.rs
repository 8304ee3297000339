//! Where the database is: `sqlite://path` or `postgres://…`, read once and never printed whole.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a text is not a database address. Never repeats the text: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// There is no `sqlite://` or `postgres://` in front; a typo must not create a file.
    #[error("a database address starts with sqlite:// or postgres://")]
    Scheme,
    /// `sqlite://` without a path, or `SQLite`'s own in-memory name.
    #[error("sqlite:// needs the path of a file, such as sqlite:///var/lib/fieldgate/gate.db")]
    Path,
    /// A parameter that this gateway or the driver does not know.
    #[error("the database address has a bad parameter: {0}")]
    Parameter(String),
}

/// The address of a database.
#[derive(Clone)]
pub struct Url(Target);

#[derive(Clone)]
pub(super) enum Target {
    Sqlite(PathBuf),
    Postgres(Box<PostgresTarget>),
}

/// Host, user, password and the kind of transport of a `PostgreSQL` server.
#[derive(Clone)]
pub(super) struct PostgresTarget {
    pub(super) config: tokio_postgres::Config,
    pub(super) transport: Transport,
}

/// How the bytes travel to `PostgreSQL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Transport {
    /// In the clear: a Unix socket or this machine, or asked for by `sslmode=disable`.
    Clear,
    /// TLS with the server's chain and name verified against these roots.
    Verified(Roots),
}

/// Which authorities may vouch for the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// Those of the operating system.
    System,
    /// Those of a PEM file.
    File(PathBuf),
}

impl Url {
    /// Reads an address.
    ///
    /// `PostgreSQL` addresses understand libpq's spellings `sslmode=disable|require|verify-ca|
    /// verify-full` and `sslrootcert=FILE|system` (PostgreSQL 17 manual, 32.1.2). Every encrypted
    /// mode verifies chain and name, stricter than libpq's `require`. Without `sslmode` (or with
    /// `allow`, `prefer`) this machine and Unix sockets speak in the clear, all else is verified.
    ///
    /// # Errors
    /// `BadUrl` names the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            if path.is_empty() || path.contains(":memory:") || path.contains('?') {
                return Err(BadUrl::Path);
            }
            return Ok(Self(Target::Sqlite(PathBuf::from(path))));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return postgres(text).map(|target| Self(Target::Postgres(Box::new(target))));
        }
        Err(BadUrl::Scheme)
    }

    /// The address of a `SQLite` file.
    pub fn sqlite(path: &Path) -> Self {
        Self(Target::Sqlite(path.to_owned()))
    }

    /// The file of a `SQLite` database; `None` for a server.
    pub fn file(&self) -> Option<&Path> {
        match &self.0 {
            Target::Sqlite(path) => Some(path),
            Target::Postgres(_) => None,
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.0
    }
}

impl fmt::Display for Url {
    /// The kind and place of the database, without user, password and parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Target::Postgres(target) => {
                let host = target.config.get_hosts().first().map_or_else(String::new, host_name);
                write!(f, "postgres://{host}/{}", target.config.get_dbname().unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

fn host_name(host: &tokio_postgres::config::Host) -> String {
    match host {
        tokio_postgres::config::Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
    }
}

fn postgres(text: &str) -> Result<PostgresTarget, BadUrl> {
    let (base, query) = text.split_once('?').unwrap_or((text, ""));
    let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => roots = Some(percent_decoded(value)?),
            Some(_) => rest.push(pair),
            None => return Err(BadUrl::Parameter(pair.to_owned())),
        }
    }
    let cleaned = if rest.is_empty() { base.into() } else { format!("{base}?{}", rest.join("&")) };
    let mut config: tokio_postgres::Config = cleaned.parse().map_err(|error| {
        // The driver names the option it does not know, never a value.
        BadUrl::Parameter(std::error::Error::source(&error).map_or_else(
            || "it does not read as host, database and options".to_owned(),
            ToString::to_string,
        ))
    })?;
    let roots = match roots.as_deref() {
        None | Some("system") => Roots::System,
        Some(path) => Roots::File(PathBuf::from(path)),
    };
    let transport = match mode.as_deref() {
        Some("disable") => Transport::Clear,
        None | Some("allow" | "prefer") if is_this_machine(&config) => Transport::Clear,
        None | Some("allow" | "prefer" | "require" | "verify-ca" | "verify-full") => {
            Transport::Verified(roots)
        }
        Some(_) => return Err(BadUrl::Parameter("sslmode".to_owned())),
    };
    config.ssl_mode(match transport {
        Transport::Clear => tokio_postgres::config::SslMode::Disable,
        Transport::Verified(_) => tokio_postgres::config::SslMode::Require,
    });
    config.application_name("fieldgate").connect_timeout(std::time::Duration::from_secs(5));
    Ok(PostgresTarget { config, transport })
}

fn is_this_machine(config: &tokio_postgres::Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        tokio_postgres::config::Host::Tcp(name) => {
            name == "localhost"
                || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        tokio_postgres::config::Host::Unix(_) => true,
    })
}

fn percent_decoded(text: &str) -> Result<String, BadUrl> {
    let bad = || BadUrl::Parameter("sslrootcert".to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|hex| char::from(hex).to_digit(16)).ok_or_else(bad);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).map_err(|_| bad())?);
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]
mod tests {
    use super::*;

    fn transport(text: &str) -> Transport {
        match Url::parse(text).unwrap().0 {
            Target::Postgres(target) => target.transport,
            Target::Sqlite(_) => panic!("not PostgreSQL"),
        }
    }

    #[test]
    fn an_address_without_a_scheme_is_refused() {
        for text in ["gate.db", "/var/gate.db", "sqlite:gate.db", "mysql://x", ""] {
            assert_eq!(Url::parse(text).unwrap_err(), BadUrl::Scheme);
        }
        assert_eq!(Url::parse("sqlite://").unwrap_err(), BadUrl::Path);
        assert_eq!(Url::parse("sqlite://:memory:").unwrap_err(), BadUrl::Path);
        assert_eq!(Url::parse("sqlite:///a/b.db").unwrap().file(), Some(Path::new("/a/b.db")));
    }

    #[test]
    fn the_spellings_of_libpq_choose_the_transport() {
        let verified = |roots| Transport::Verified(roots);
        assert_eq!(transport("postgres://u@localhost/d"), Transport::Clear);
        assert_eq!(transport("postgres://u@[::1]/d"), Transport::Clear);
        assert_eq!(transport("postgres://u@%2Frun%2Fpg/d"), Transport::Clear);
        assert_eq!(transport("postgres://u@db.example/d"), verified(Roots::System));
        assert_eq!(transport("postgres://u@db.example/d?sslmode=disable"), Transport::Clear);
        assert_eq!(
            transport("postgres://u@127.0.0.1/d?sslmode=verify-full&sslrootcert=%2Fa%20b.pem"),
            verified(Roots::File("/a b.pem".into()))
        );
        assert!(Url::parse("postgres://u@h/d?sslmode=maybe").is_err());
        assert!(Url::parse("postgres://u@h/d?nonsense=1").is_err());
    }

    #[test]
    fn a_password_is_never_printed() {
        let url = Url::parse("postgres://gate:hunter2@db.example/fieldgate").unwrap();
        assert_eq!(url.to_string(), "postgres://db.example/fieldgate");
        assert!(!format!("{url:?}").contains("hunter2"));
        let error = Url::parse("postgres://gate:hunter2@db.example/x?sslmode=hunter2").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
