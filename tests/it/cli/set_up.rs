//! An installation is made as the guide says, and whatever is wrong with it is said with its remedy.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fieldgate::vault::authority::{new_client_key, to_pem};
use serde_json::Value;
use tempfile::TempDir;

use super::{code, failure, json, said};

/// A folder with settings and nothing else.
struct Bare {
    home: TempDir,
    ports: [u16; 3],
}

impl Bare {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let free = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = free.map(|one| one.local_addr().unwrap().port());
        let bare = Self { home, ports };
        let [partner, public, ops] = ports;
        let settings = format!(
            "[store]\nurl = \"sqlite://gate.db\"\n[keys]\nmaster_file = \"master.key\"\n\
             authority_file = \"ca.pem\"\nserver_certificate_file = \"server.pem\"\n\
             server_key_file = \"server.key\"\n[doors]\npartner = \"127.0.0.1:{partner}\"\n\
             public = \"127.0.0.1:{public}\"\nops = \"127.0.0.1:{ops}\"\n\
             [ledger]\norigin = \"test.example.com/bare\"\n"
        );
        std::fs::write(bare.path("fieldgate.toml"), settings).unwrap();
        bare
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
        command.arg("--json").arg("--config").arg(self.path("fieldgate.toml"));
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    fn does(&self, arguments: &[&str]) -> Value {
        json(&self.run(arguments), 0)
    }

    /// What the doctor says of one part, and that it ends with this code.
    fn diagnosis(&self, what: &str, expected: i32) -> (String, String) {
        let answer = json(&self.run(&["doctor"]), expected);
        let findings = answer["findings"].as_array().unwrap();
        for one in findings {
            let healthy = one["state"] == "ok";
            assert_eq!(one["fix"].is_null(), healthy, "a fault without a remedy: {one}");
        }
        let found = findings.iter().find(|one| one["what"] == what);
        let found = found.unwrap_or_else(|| panic!("nothing about {what} in {answer}"));
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        (text("state"), text("fix"))
    }

    /// Breaks the file `name`, asks the doctor about `what`, and mends it.
    fn without(&self, (name, break_it): (&str, &dyn Fn(&Path)), what: &str, fix: &str) {
        let path = self.path(name);
        let (bytes, mode) =
            (std::fs::read(&path).unwrap(), std::fs::metadata(&path).unwrap().permissions());
        break_it(&path);
        let (state, advice) = self.diagnosis(what, 1);
        assert_eq!(state, "FAIL", "{name}");
        assert!(advice.contains(fix), "{name}: {advice}");
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, mode).unwrap();
    }
}

#[test]
fn an_installation_is_made_step_by_step_and_each_fault_has_its_remedy() {
    let bare = Bare::new();
    let (kind, hint) = failure(&bare.run(&["database", "check"]), 3);
    assert!(kind == "settings" && hint.contains("database"), "{kind} {hint}");
    assert!(bare.diagnosis("database", 1).1.contains("database migrate"));
    failure(&bare.run(&["database", "migrate", "--dry-run"]), 3);
    assert!(!bare.path("gate.db").exists());
    assert_eq!(bare.does(&["database", "migrate"])["state"], "current");
    assert_eq!(bare.does(&["database", "migrate"])["applied"], serde_json::json!([]));
    bare.does(&["database", "check"]);
    assert!(bare.diagnosis("master key", 1).1.contains("ledger init"));
    failure(&bare.run(&["partner", "list"]), 3);

    bare.does(&["ledger", "init", "--names", "localhost"]);
    let mode = std::fs::metadata(bare.path("master.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    failure(&bare.run(&["ledger", "init"]), 5);
    assert_eq!(bare.diagnosis("policy", 0).0, "warn");
    assert_eq!(bare.diagnosis("doors", 0).0, "ok");
    let _taken = TcpListener::bind(("127.0.0.1", bare.ports[0])).unwrap();
    assert_eq!(bare.diagnosis("doors", 0).0, "warn");

    let remove = |path: &Path| std::fs::remove_file(path).unwrap();
    let foreign = |path: &Path| {
        let made = new_client_key("other").unwrap();
        std::fs::write(path, to_pem("PRIVATE KEY", made.key.expose())).unwrap();
    };
    let open = |path: &Path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    };
    let other = |path: &Path| std::fs::write(path, "0".repeat(64)).unwrap();
    let garbage = |path: &Path| std::fs::write(path, "garbage").unwrap();
    let origin = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap().replace("/bare", "/other");
        std::fs::write(path, text).unwrap();
    };
    bare.without(("master.key", &open), "master key", "chmod 600");
    bare.without(("master.key", &remove), "master key", "bring back the copy");
    bare.without(("master.key", &other), "key ring", "mend");
    bare.without(("server.key", &remove), "server key", "key server");
    bare.without(("server.key", &foreign), "server key", "key server");
    bare.without(("server.pem", &garbage), "server cert", "key server");
    bare.without(("ca.pem", &garbage), "authority", "ledger init");
    bare.without(("fieldgate.toml", &origin), "key ring", "origin");
    bare.without(("gate.db", &garbage), "database", "store");
    assert_eq!(bare.diagnosis("ledger", 0).0, "ok", "everything was mended");
}

#[test]
fn a_log_is_founded_once_and_never_where_one_may_have_been() {
    let bare = Bare::new();
    let elsewhere = bare.path("elsewhere");
    let text = std::fs::read_to_string(bare.path("fieldgate.toml")).unwrap();
    let anchor = format!("[[anchors]]\nkind = \"folder\"\nplace = \"{}\"\n", elsewhere.display());
    std::fs::write(bare.path("fieldgate.toml"), format!("{text}{anchor}")).unwrap();
    bare.does(&["database", "migrate"]);
    let refused = || {
        let output = bare.run(&["ledger", "init"]);
        failure(&output, 5);
        assert!(!bare.path("master.key").exists(), "nothing was made");
        String::from_utf8(output.stderr).unwrap()
    };
    // A place that is not there may hold a log; one that holds a checkpoint does, whosever it is.
    assert!(refused().contains("cannot be read"));
    std::fs::create_dir(&elsewhere).unwrap();
    let note = elsewhere.join("00000000000000000600.note");
    std::fs::write(&note, include_str!("../../vectors/log600/checkpoint")).unwrap();
    assert!(refused().contains("holds a checkpoint of a log already"));
    std::fs::remove_file(&note).unwrap();

    let dry = bare.does(&["ledger", "init", "--dry-run"]);
    assert!(dry["done"].as_str().unwrap().starts_with("dry run"), "{dry}");
    assert!(!bare.path("master.key").exists());
    bare.does(&["ledger", "init"]);
    // Keys and files were lost, the entries were not.
    for name in ["ca.pem", "server.pem", "server.key", "master.key"] {
        std::fs::remove_file(bare.path(name)).unwrap();
    }
    let (_, hint) = failure(&bare.run(&["ledger", "init"]), 5);
    assert!(hint.contains("founded once"), "{hint}");
    assert!(!bare.path("master.key").exists());
}

#[test]
fn keys_are_renewed_and_rotated_and_the_former_ones_still_open() {
    let bare = Bare::new();
    bare.does(&["database", "migrate"]);
    bare.does(&["ledger", "init"]);
    let before = std::fs::read(bare.path("server.pem")).unwrap();
    bare.does(&["key", "server", "--names", "gate.example.com"]);
    assert_ne!(std::fs::read(bare.path("server.pem")).unwrap(), before);
    for usage in ["contact", "ticket", "token"] {
        let dry = bare.does(&["key", "rotate", "--use", usage, "--dry-run"]);
        assert!(dry["done"].as_str().unwrap().starts_with("dry run"), "{dry}");
        bare.does(&["key", "rotate", "--use", usage]);
    }
    for usage in ["authority", "blind_index", "nonsense"] {
        failure(&bare.run(&["key", "rotate", "--use", usage]), 6);
        failure(&bare.run(&["key", "rotate", "--use", usage, "--dry-run"]), 6);
    }
    bare.does(&["ledger", "verify"]);
    assert_eq!(bare.diagnosis("key ring", 0).0, "ok");
}

#[test]
fn help_completions_and_wrong_usage_answer_as_the_reference_says() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    };
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert_eq!(code(&output), 0, "{shell}: {}", said(&output));
        let script = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(script.contains("bind-certificate"), "{shell}");
    }
    let help = run(&["--help"]);
    assert!(said(&help).contains("75 try again"), "{}", said(&help));
    for wrong in [&["explode"][..], &["completions", "klingon"], &["person", "choose"], &[]] {
        assert_eq!(code(&run(wrong)), 2, "{wrong:?}");
    }
    let missing = run(&["--json", "--config", "/nowhere/fieldgate.toml", "doctor"]);
    assert_eq!(failure(&missing, 3).0, "settings");
    let words = run(&["--config", "/nowhere/fieldgate.toml", "doctor"]);
    assert!(said(&words).contains("--config"), "{}", said(&words));
}
