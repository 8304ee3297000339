//! The demonstration, as a newcomer meets it: twice in one folder, and the lines it prints.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::{code, json, said};

fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    // A name that a shell must have quoted.
    command.current_dir(home).args(["demo", "--dir", "a demo", "--people", "60"]);
    command.stdin(Stdio::null());
    command
}

/// What the tour must have shown, run after run.
const SHOWN: [&str; 10] = [
    "3 leads, each with",
    "country, email, language, product",
    "403 field_not_granted",
    "401 invalid_token",
    "without a certificate: the handshake is refused",
    "receipt verified offline",
    "without that person",
    "is told to erase one lead",
    "recall: erased",
    "the whole ledger verified",
];

fn assert_shown(output: &Output) {
    assert_eq!(code(output), 0, "{}", said(output));
    for shown in SHOWN {
        assert!(said(output).contains(shown), "{shown}: {}", said(output));
    }
    assert!(output.stderr.is_empty(), "{}", said(output));
}

#[test]
fn the_demonstration_runs_from_nothing_and_again_and_tells_machines_too() {
    let home = tempfile::tempdir().unwrap();
    let first = program(home.path()).arg("--once").output().unwrap();
    assert_shown(&first);
    assert!(said(&first).contains("60 invented people"), "{}", said(&first));
    let again = program(home.path()).arg("--once").output().unwrap();
    assert_shown(&again);
    assert!(said(&again).contains("the folder of an earlier run"), "{}", said(&again));
    let machine = json(&program(home.path()).args(["--once", "--json"]).output().unwrap(), 0);
    assert!(machine["entries"].as_u64().unwrap() > 20, "{machine}");
    let foreign = tempfile::tempdir().unwrap();
    std::fs::create_dir(foreign.path().join("a demo")).unwrap();
    std::fs::write(foreign.path().join("a demo/diary.txt"), "mine").unwrap();
    let refused = program(foreign.path()).arg("--once").output().unwrap();
    assert_eq!(code(&refused), 5, "{}", said(&refused));
    assert!(foreign.path().join("a demo/diary.txt").exists());
}

/// A demonstration that keeps serving, and the lines it printed as things to try.
struct Serving(Child, Vec<String>);

impl Serving {
    fn start(home: &Path) -> Self {
        let mut child = program(home).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let found = lines.find(|line| line.starts_with("Next, in another terminal"));
        assert!(found.is_some(), "the demonstration ended before it printed what to try");
        let tries = lines.take_while(|line| !line.starts_with("Ctrl-C")).collect();
        Self(child, tries)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_lines_it_prints_work_as_they_are_and_an_interrupt_ends_it_well() {
    if !Command::new("curl").arg("--version").output().is_ok_and(|one| one.status.success()) {
        let required = std::env::var("FIELDGATE_REQUIRE_POSTGRES").is_ok_and(|one| one == "1");
        assert!(!required, "curl is not installed");
        eprintln!("the printed lines were not tried: curl is not installed");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(home.path());
    let lines: Vec<_> =
        serving.1.iter().map(|line| line.trim()).filter(|l| !l.is_empty()).collect();
    assert!(lines.len() >= 7, "{lines:?}");
    // One shell for all, so that TOKEN is there for the next line; each line must succeed, and
    // says after itself where its answer ends.
    let script = format!("set -e\n{}\n", lines.join("\necho; echo ------\n"));
    let mut shell = Command::new("sh");
    let output = shell.current_dir(home.path()).args(["-c", &script]).output().unwrap();
    assert_eq!(code(&output), 0, "{script}\n{}", said(&output));
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let answers: Vec<_> = out.split("------").collect();
    let expected = [
        "\"code\":\"rhein-resale\"",
        "",
        "\"leads\":[{\"lead_id\"",
        "rhein-resale",
        "this question is ledger entry",
        "VERIFIED",
        "VERIFIED: this receipt is genuine",
    ];
    assert_eq!(answers.len(), expected.len(), "{out}");
    for (answer, expected) in answers.iter().zip(expected) {
        assert!(answer.contains(expected), "{expected}: {answer}");
    }
    let pid = serving.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(serving.0.wait().unwrap().code(), Some(0));
}
