//! A CRM export comes in: headings, wrong lines, a dry run, an import that was cut off.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fieldgate::domain::contact::CollectionPoint;
use fieldgate::flows::withdraw;
use fieldgate::secret::Personal;
use serde_json::Value;

use super::{code, failure, json, said};
use crate::harness::process::{Installed, until};
use crate::harness::world::actor;
use crate::harness::{Database, databases, wait};

const HUBSPOT: &str = "Record ID,First Name,Email,Country/Region,City,Unsubscribed from all email";

fn write(installed: &Installed, name: &str, bytes: &[u8]) -> (PathBuf, String) {
    let path = installed.home().join(name);
    std::fs::write(&path, bytes).unwrap();
    let text = path.display().to_string();
    (path, text)
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", file.display()))
}

/// The rejects file without its headings: line number and reason.
fn rejects(path: &Path) -> Vec<(u64, String)> {
    let mode = std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    let mut csv = csv::ReaderBuilder::new().flexible(true).from_path(path).unwrap();
    assert_eq!(csv.headers().unwrap().iter().take(3).collect::<Vec<_>>()[..2], ["line", "reason"]);
    csv.records()
        .map(|record| {
            let record = record.unwrap();
            (record[0].parse().unwrap(), record[1].to_owned())
        })
        .collect()
}

fn counts(answer: &Value) -> [u64; 5] {
    ["lines", "created", "merged", "suppressed", "rejected"]
        .map(|name| answer[name].as_u64().unwrap())
}

#[test]
fn an_export_is_taken_in_and_wrong_lines_come_back_with_their_reason() {
    for database in databases() {
        let (installed, ()) = wait(Installed::new(database, async |world| {
            let gone = world.submission("gone@example.com", CollectionPoint::Trial, 1);
            world.take(vec![gone]).await.unwrap();
            let gone = Personal::new("gone@example.com".into());
            withdraw::withdraw(&world.gateway, &actor("officer"), &gone).await.unwrap();
        }));
        let mut export = format!("\u{feff}{HUBSPOT}\r\n").into_bytes();
        export.extend_from_slice(b"1,Ann,ann@example.com,Germany,Bonn,false\r\n");
        export.extend_from_slice(b"2,Ben,ben@example.com,DE,\"Ulm\",TRUE\r\n");
        export.extend_from_slice(b"3,Cid,not an address,DE,Ulm,\r\n");
        export.extend_from_slice(b"4,Dora,dora@example.com,DE\r\n");
        export.extend_from_slice(b"5,\xffva,eva@example.com,DE,Ulm,\r\n");
        export.extend_from_slice(b"6,Gus,gone@example.com,DE,Ulm,\r\n");
        export.extend_from_slice(b"7,Hal,hal@example.com,DE,Ulm,perhaps\r\n");
        let (path, file) = write(&installed, "export.csv", &export);
        let import = ["--json", "contacts", "import", &file, "--point", "trial"];

        let dry = json(&installed.run(&[&import[..], &["--dry-run"]].concat()), 6);
        assert_eq!(counts(&dry), [7, 2, 0, 1, 4], "{database:?}");
        assert_eq!(rejects(&beside(&path, ".dry-run.csv")).len(), 5);
        let ann = installed.run_with(&["--json", "contacts", "find"], "ann@example.com");
        assert_eq!(failure(&ann, 4).0, "unknown", "a dry run kept somebody");

        let done = json(&installed.run(&import), 6);
        assert_eq!(counts(&done), [7, 2, 0, 1, 4], "{database:?}");
        let found = rejects(&beside(&path, ".rejects.csv"));
        let expected = [
            (4, "email"),
            (5, "4 cells"),
            (6, "not UTF-8"),
            (7, "withdrew"),
            (8, "neither yes nor no"),
        ];
        // Lines that cannot be read are told before the batch around them is judged.
        for (line, reason) in expected {
            let (_, says) = found.iter().find(|(number, _)| *number == line).unwrap();
            assert!(says.contains(reason), "line {line}: {says}");
        }
        assert_eq!(found.len(), expected.len());
        assert!(!beside(&path, ".progress").exists());

        let ann = json(&installed.run_with(&["--json", "contacts", "find"], "ANN@example.com"), 0);
        assert_eq!(ann["state"], "active");
        let again = json(&installed.run(&import), 6);
        assert_eq!(counts(&again), [7, 0, 2, 1, 4], "nobody is doubled");
        assert_eq!(rejects(&beside(&path, ".rejects.csv")).len(), 5, "the file begins anew");
        assert!(installed.verify(Vec::new()).is_sound());
    }
}

#[test]
fn what_is_wrong_with_a_whole_file_is_said_and_nothing_is_kept() {
    let (installed, ()) = wait(Installed::new(Database::Sqlite, async |_| ()));
    let endless = format!("Email\n\"{}", "x".repeat(200_000));
    for (text, advice) in [
        ("Name,Town\nAnn,Bonn\n", "--map"),
        ("Email,E-mail\na@example.com,b@example.com\n", "--map"),
        (endless.as_str(), ""),
        ("", "--map"),
    ] {
        let (_, file) = write(&installed, "wrong.csv", text.as_bytes());
        let output = installed.run(&["--json", "contacts", "import", &file, "--point", "news"]);
        let (kind, hint) = failure(&output, 6);
        assert!(kind == "invalid" && hint.contains(advice), "{}", said(&output));
    }
    let (_, file) = write(&installed, "right.csv", b"Mail\na@example.com\n");
    let map = ["contacts", "import", &file, "--point", "news", "--map", "Mail=email"];
    for wrong in [["--point", "shop"], ["--policy", "7"], ["--map", "Nobody=city"]] {
        let arguments: Vec<_> = match wrong[0] {
            "--point" => ["contacts", "import", &file, "--map", "Mail=email"].to_vec(),
            _ => map.to_vec(),
        };
        let output = installed.run(&[&arguments[..], &wrong[..]].concat());
        assert_eq!(code(&output), 6, "{wrong:?}: {}", said(&output));
    }
    let output = installed.run(&map);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 created"), "{}", said(&output));
}

/// Lines of the long file, and how often one of them is wrong.
const LINES: u64 = 6_000;
const WRONG_EVERY: u64 = 100;

fn long_export() -> String {
    let mut text = "Email,City\n".to_owned();
    for number in 2..=LINES + 1 {
        match number % WRONG_EVERY {
            0 => text.push_str(&format!("person-{number}@example.com,Ulm,too many cells\n")),
            50 => text.push_str(&format!("nobody {number},Ulm\n")),
            _ => text.push_str(&format!("person-{number}@example.com,Ulm\n")),
        }
    }
    text
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_stopped_and_loses_no_rejected_line() {
    wait(async {
        let (installed, ()) = Installed::new(Database::Sqlite, async |_| ()).await;
        let (path, file) = write(&installed, "long.csv", long_export().as_bytes());
        let import = ["--json", "contacts", "import", &file, "--point", "trial"];
        let mark = beside(&path, ".progress");
        let mut process = installed.spawn(&import);
        until("the first batch is in", async || mark.exists().then_some(())).await;
        assert!(process.runs(), "the import was over before it could be cut off");
        process.kill();

        let reached: u64 =
            std::fs::read_to_string(&mark).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!((500..LINES).contains(&reached), "{reached}");
        let rest = json(&installed.run(&import), 6);
        assert_eq!(rest["skipped"].as_u64().unwrap(), reached);
        assert_eq!(rest["lines"].as_u64().unwrap(), LINES + 1 - reached);
        assert!(!mark.exists());
        let mut found: Vec<_> =
            rejects(&beside(&path, ".rejects.csv")).into_iter().map(|(line, _)| line).collect();
        found.sort_unstable();
        let wrong: Vec<_> =
            (2..=LINES + 1).filter(|line| matches!(line % WRONG_EVERY, 0 | 50)).collect();
        assert_eq!(found, wrong, "each wrong line is told once");

        let again = json(&installed.run(&[&import[..], &["--dry-run"]].concat()), 6);
        let rejected = u64::try_from(wrong.len()).unwrap();
        assert_eq!(counts(&again), [LINES, 0, LINES - rejected, 0, rejected], "nobody is missing");
        assert!(installed.verify(Vec::new()).is_sound());
    });
}

#[test]
fn a_mark_of_another_file_is_not_believed() {
    let (installed, ()) = wait(Installed::new(Database::Sqlite, async |_| ()));
    let (path, file) = write(&installed, "people.csv", b"Email\na@example.com\nb@example.com\n");
    std::fs::write(beside(&path, ".progress"), format!("2 0 {}\n", "0".repeat(64))).unwrap();
    let import = ["--json", "contacts", "import", &file, "--point", "trial"];
    let (kind, hint) = failure(&installed.run(&import), 5);
    assert!(kind == "conflict" && hint.contains("--from-start"), "{kind} {hint}");
    let done = json(&installed.run(&[&import[..], &["--from-start"]].concat()), 0);
    assert_eq!(counts(&done), [2, 2, 0, 0, 0]);
    assert!(!beside(&path, ".progress").exists());
}
