//! A partner is brought on and off at the command line; each step can be tried dry.

use std::process::Output;

use fieldgate::vault::authority::{new_client_key, to_pem};
use serde_json::Value;

use super::{failure, json, said};
use crate::harness::process::Installed;
use crate::harness::{Database, wait};

/// An installation without partners, its commands in JSON, and how far its ledger has grown.
struct Desk(Installed);

impl Desk {
    fn run(&self, arguments: &[&str]) -> Output {
        self.0.run(&[&["--json"], arguments].concat())
    }

    fn does(&self, arguments: &[&str]) -> Value {
        json(&self.run(arguments), 0)
    }

    fn refuses(&self, arguments: &[&str], expected: i32) {
        failure(&self.run(arguments), expected);
    }

    fn entries(&self) -> u64 {
        self.0.verify(Vec::new()).entries
    }

    /// The same command dry changes nothing, and then in earnest is an entry.
    fn tries(&self, arguments: &[&str]) -> Value {
        let before = self.entries();
        let dry = self.does(&[arguments, &["--dry-run"]].concat());
        assert!(dry["done"].as_str().unwrap().starts_with("dry run"), "{dry}");
        assert_eq!(self.entries(), before, "{arguments:?}: a dry run is an entry");
        let done = self.does(arguments);
        assert!(self.entries() > before, "{arguments:?} is no entry");
        done
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.home().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn partner(&self) -> Value {
        self.does(&["partner", "list"])["partners"][0].clone()
    }
}

#[test]
fn a_partner_is_added_approved_bound_granted_suspended_and_revoked() {
    let (installed, ()) = wait(Installed::new(Database::Sqlite, async |_| ()));
    let desk = Desk(installed);
    let add = ["partner", "add", "acme", "--kind", "reseller", "--legal-name", "Acme Ltd"];
    desk.tries(&[&add[..], &["--country", "DE", "--as", "ann"]].concat());
    desk.refuses(&[&add[..], &["--country", "DE"]].concat(), 5);
    desk.refuses(&[&add[..], &["--country", "Atlantis"]].concat(), 6);

    let made = new_client_key("acme").unwrap();
    let csr = desk.file("acme.csr", &to_pem("CERTIFICATE REQUEST", &made.certificate));
    let bind = ["partner", "bind-certificate", "acme", "--csr", &csr];
    desk.refuses(&[&bind[..], &["--dry-run"]].concat(), 5);
    desk.refuses(&["partner", "approve", "acme", "--as", "ann"], 5);
    desk.refuses(&["partner", "approve", "acme", "--as", "ann", "--dry-run"], 5);
    desk.tries(&["partner", "approve", "acme", "--as", "ben"]);

    let out = desk.0.home().join("acme.pem").display().to_string();
    let bound = desk.tries(&[&bind[..], &["--out", &out]].concat());
    let thumbprint = bound["id"].as_str().unwrap();
    assert!(std::fs::read_to_string(&out).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    desk.refuses(&[&bind[..], &["--dry-run"]].concat(), 5);
    let broken = desk.file("broken.csr", "no request");
    desk.refuses(&["partner", "bind-certificate", "acme", "--csr", &broken], 6);

    let grant = ["partner", "grant", "acme", "--purpose", "offers", "--territory"];
    desk.tries(&[&grant[..], &["DE,AT", "--fields", "email,country"]].concat());
    desk.refuses(&[&grant[..], &["DE", "--fields", "email,shoe_size"]].concat(), 6);
    desk.refuses(&[&grant[..], &["DE", "--fields", "street_address"]].concat(), 6);
    desk.refuses(&["partner", "grant", "acme", "--purpose", "news", "--territory", "*"], 6);
    desk.refuses(&["partner", "grant", "nobody", "--purpose", "offers", "--territory", "*"], 4);
    assert_eq!(desk.partner()["state"], "active", "{}", desk.partner());

    desk.tries(&["partner", "suspend", "acme"]);
    desk.refuses(&["partner", "suspend", "acme"], 5);
    assert_eq!(desk.partner()["state"], "suspended");
    desk.tries(&["partner", "resume", "acme"]);
    let revoke = ["partner", "revoke-certificate", thumbprint, "--reason", "key_compromise"];
    desk.tries(&revoke);
    desk.refuses(&revoke, 5);
    desk.refuses(&["partner", "revoke-certificate", &"0".repeat(64)], 4);

    let list = desk.0.run(&["partner", "list"]);
    assert!(said(&list).contains("Acme Ltd") || said(&list).contains("acme"), "{}", said(&list));
}

#[test]
fn a_policy_is_drafted_shown_and_published_once() {
    let (installed, ()) = wait(Installed::new(Database::Sqlite, async |_| ()));
    let desk = Desk(installed);
    let policy = "[[purpose]]\ncode = \"offers\"\nfields = [\"email\", \"country\"]\n\
                  recipients = [\"reseller\"]\n[[text]]\nlanguage = \"en\"\ntext = \"Words.\"\n";
    let file = desk.file("policy.toml", policy);
    let drafted = desk.tries(&["policy", "draft", &file]);
    assert_eq!(drafted["id"], "2", "{drafted}");
    let narrower = desk.does(&["policy", "publish", "2", "--dry-run"]);
    assert!(narrower["done"].as_str().unwrap().contains("no longer discloses"), "{narrower}");
    desk.tries(&["policy", "publish", "2"]);
    desk.refuses(&["policy", "publish", "2"], 5);
    desk.refuses(&["policy", "publish", "2", "--dry-run"], 5);
    desk.refuses(&["policy", "publish", "9"], 4);
    desk.refuses(&["policy", "show", "9"], 4);
    let shown = desk.does(&["policy", "show", "2"]);
    assert_eq!(shown["versions"][0]["purposes"][0]["purpose"], "offers", "{shown}");
    for wrong in ["offers", "email", "reseller", "language"] {
        let text = policy.replacen(wrong, "nonsense", 1);
        desk.refuses(&["policy", "draft", &desk.file("wrong.toml", &text)], 6);
    }
    // With two versions nobody is bound to the newer one by leaving the number out.
    let people = desk.file("people.csv", "Email\na@example.com\n");
    let import = ["contacts", "import", &people, "--point", "trial"];
    desk.refuses(&import, 6);
    desk.does(&[&import[..], &["--policy", "1"]].concat());
}
