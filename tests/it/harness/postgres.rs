//! A throw-away `PostgreSQL` server for the tests of one process, where its programs are found.
//!
//! The server starts with the first test that asks, is shared by all, and is stopped and removed
//! when the process ends, however it ends: a watcher waits for the other end of its pipe to close.

#![allow(
    unreachable_pub,
    dead_code,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "shared by test crates"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Set to `1` to fail instead of skipping where `PostgreSQL` is not installed.
pub const REQUIRE: &str = "FIELDGATE_REQUIRE_POSTGRES";

/// A running server.
pub struct Server {
    programs: PathBuf,
    directory: PathBuf,
    port: u16,
    options: String,
    // Ends the server when its pipe closes: when this value is dropped, or the process is gone.
    _watcher: Child,
}

static SERVER: OnceLock<Option<Server>> = OnceLock::new();
static TEMPLATE: OnceLock<()> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The server of this process; `None`, after saying so, where there is no `PostgreSQL`.
pub fn server() -> Option<&'static Server> {
    SERVER
        .get_or_init(|| {
            let Some(programs) = programs() else {
                let required = std::env::var(REQUIRE).is_ok_and(|value| value == "1");
                assert!(!required, "{REQUIRE}=1, but initdb is neither on PATH nor installed");
                eprintln!("PostgreSQL half skipped: its programs are not installed");
                return None;
            };
            Some(start(programs, 5432, ""))
        })
        .as_ref()
}

/// A server of a test's own that speaks TLS on `localhost`, with a password for channel binding.
/// Gives the address of its database, without parameters.
pub fn server_over_tls(certificate: &str, key: &str) -> Option<(Server, String)> {
    let server = start(server()?.programs.clone(), free_port(), "-c listen_addresses=localhost");
    let port = server.port;
    for (name, text) in [("server.crt", certificate), ("server.key", key)] {
        let path = server.directory.join("data").join(name);
        std::fs::write(&path, text).expect("a file in the data directory");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("a private file");
        give_away(&path);
    }
    server.sql("ALTER USER fieldgate PASSWORD 'sesame'");
    server.sql("ALTER SYSTEM SET ssl = on");
    server.sql("SELECT pg_reload_conf()");
    let address = format!("postgres://fieldgate:sesame@localhost:{port}/postgres");
    Some((server, address))
}

/// A server of a test's own, which the test may kill and start again.
pub fn server_to_kill() -> Option<Server> {
    Some(start(server()?.programs.clone(), free_port(), ""))
}

fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("its number").port()
}

impl Server {
    /// Makes an empty database and gives its address.
    pub fn empty(&self) -> String {
        self.create("template0")
    }

    /// Makes a database like the one that `prepare` made, once, from its address.
    pub fn prepared(&self, prepare: impl FnOnce(&str)) -> String {
        TEMPLATE.get_or_init(|| {
            self.sql("CREATE DATABASE prepared TEMPLATE template0");
            prepare(&self.address("prepared"));
            self.sql("ALTER DATABASE prepared ALLOW_CONNECTIONS false");
        });
        self.create("prepared")
    }

    /// Runs one statement as superuser in the database `postgres`.
    pub fn sql(&self, statement: &str) {
        self.sql_in("postgres", statement);
    }

    /// Runs one statement as superuser in a database.
    pub fn sql_in(&self, database: &str, statement: &str) {
        let socket = self.directory.display().to_string();
        let port = self.port.to_string();
        let place = ["-h", &socket, "-p", &port, "-U", "fieldgate", "-d", database];
        run(Command::new(self.programs.join("psql")).args(place).args(["-qXAt", "-c", statement]));
    }

    /// Runs statements as superuser in a database and gives what it answers, a row a line.
    pub fn told(&self, database: &str, statements: &str) -> String {
        let socket = self.directory.display().to_string();
        let port = self.port.to_string();
        let place = ["-h", &socket, "-p", &port, "-U", "fieldgate", "-d", database];
        let mut psql = Command::new(self.programs.join("psql"));
        let output = psql.args(place).args(["-qXAt", "-c", statements]).output();
        let output = output.expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("an answer is text")
    }

    /// Runs one statement as another role, which must be refused; gives what the server says.
    pub fn refused(&self, (role, database): (&str, &str), statement: &str) -> String {
        let socket = self.directory.display().to_string();
        let port = self.port.to_string();
        let place = ["-h", &socket, "-p", &port, "-U", role, "-d", database];
        let mut psql = Command::new(self.programs.join("psql"));
        let output = psql.args(place).args(["-qXAt", "-c", statement]).output();
        let output = output.expect("psql starts");
        assert!(!output.status.success(), "{role} may do this: {statement}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Runs one statement as a role; whether the database let it.
    pub fn permits(&self, (role, database): (&str, &str), statement: &str) -> bool {
        let socket = self.directory.display().to_string();
        let port = self.port.to_string();
        let place = ["-h", &socket, "-p", &port, "-U", role, "-d", database];
        let mut psql = Command::new(self.programs.join("psql"));
        let output = psql.args(place).args(["-qXAt", "-c", statement]).output();
        output.expect("the program starts").status.success()
    }

    /// Every row of a database, as `pg_dump` writes it.
    pub fn dump(&self, database: &str) -> String {
        let socket = self.directory.display().to_string();
        let port = self.port.to_string();
        let place = ["-h", &socket, "-p", &port, "-U", "fieldgate", "--data-only", database];
        let output = Command::new(self.programs.join("pg_dump")).args(place).output();
        let output = output.expect("pg_dump stands beside psql");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a dump is text")
    }

    /// Ends every process of the server at once, as a crash does: nothing is flushed.
    pub fn kill(&self) {
        let data = self.directory.join("data").display().to_string();
        let pg_ctl = self.programs.join("pg_ctl").display().to_string();
        let arguments = ["-D", &data, "-m", "immediate", "-W", "stop"];
        run(command(account(), &pg_ctl).args(arguments));
    }

    /// Starts the server, or starts it again after [`Server::kill`].
    pub fn start_again(&self) {
        let data = self.directory.join("data").display().to_string();
        let log = self.directory.join("log").display().to_string();
        let pg_ctl = self.programs.join("pg_ctl").display().to_string();
        let mut start = command(account(), &pg_ctl);
        // The server would otherwise hold the pipe that `output` reads to its end.
        start.args(["-D", &data, "-w", "-l", &log, "-o", &self.options, "start"]);
        let started = start.stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(started.is_ok_and(|status| status.success()), "pg_ctl start failed; see {log}");
    }

    /// A copy of a database that nobody uses now; its address.
    pub fn copy_of(&self, url: &str) -> String {
        let name = url.rsplit('/').next().unwrap();
        self.sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ));
        self.create(name)
    }

    fn create(&self, template: &str) -> String {
        let name = format!("t{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log"));
        self.address(&name)
    }

    fn address(&self, database: &str) -> String {
        let socket = self.directory.display().to_string().replace('/', "%2F");
        format!("postgres://fieldgate@{socket}:{}/{database}", self.port)
    }
}

/// The newest installed programs, or those on the path.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    found.sort();
    found.reverse();
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let needed = ["initdb", "pg_ctl", "psql"];
    found.into_iter().find(|bin| needed.iter().all(|name| bin.join(name).is_file()))
}

fn start(programs: PathBuf, port: u16, settings: &str) -> Server {
    // Short, because the path of a socket has at most 107 bytes.
    let directory = std::env::temp_dir().join(format!("fg-pg-{}-{port}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir(&directory).expect("a directory for PostgreSQL");
    let account = give_away(&directory);
    let data = directory.join("data").display().to_string();
    let initdb = programs.join("initdb").display().to_string();
    let pg_ctl = programs.join("pg_ctl").display().to_string();
    let arguments = ["--no-sync", "-U", "fieldgate", "-E", "UTF8", "--locale=C", "-D", &data];
    let access = ["--auth-local=trust", "--auth-host=scram-sha-256"];
    run(command(account, &initdb).args(arguments).args(access));

    // The watcher is started first: should the start fail half-way, it still tidies up.
    let stop = "cat; \"$1\" -D \"$2\" -m immediate stop; rm -rf \"$3\"";
    let watcher = command(account, "sh")
        .args(["-c", stop, "watcher", &pg_ctl, &data])
        .arg(&directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a watcher for PostgreSQL");
    let options = format!(
        "-k {} -p {port} -c listen_addresses= -c max_connections=300 -c shared_buffers=32MB \
         -c max_wal_size=256MB {settings}",
        directory.display()
    );
    let server = Server { programs, directory, port, options, _watcher: watcher };
    server.start_again();
    server
}

/// `initdb` refuses root: then the directory goes to an account that may run it.
fn give_away(directory: &Path) -> Option<&'static str> {
    let account = account()?;
    std::os::unix::fs::chown(directory, id(&["-u", account]), id(&["-g", account]))
        .expect("the directory is handed over");
    Some(account)
}

/// The account that runs the server where we are root.
fn account() -> Option<&'static str> {
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let account = ["postgres", "nobody"].into_iter().find(|name| id(&["-u", name]).is_some());
    Some(account.expect("an account other than root for PostgreSQL"))
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn command(account: Option<&str>, program: &str) -> Command {
    let mut command = match account {
        Some(account) => {
            let mut command = Command::new("runuser");
            command.args(["-u", account, "--", program]);
            command
        }
        None => Command::new(program),
    };
    command.current_dir("/");
    command
}

fn run(command: &mut Command) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}\n{stdout}{stderr}");
}
