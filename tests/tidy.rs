//! Keeps the order of the house: reads the sources as text and complains with file and line.
//!
//! Every rule is a function from texts to complaints, and every rule has a test that it can
//! complain.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Which rooms, or which parts of a room, a room may use; itself and nothing else beside these.
const EDGES: &[(&str, &[&str])] = &[
    ("cli", &["web", "jobs", "flows", "store", "vault", "ledger", "domain", "merkle", "ground"]),
    ("web", &["flows", "domain", "ground"]),
    ("jobs", &["flows", "domain", "ground"]),
    ("flows", &["store", "vault", "ledger", "domain", "ground"]),
    (
        "store",
        &[
            "vault::sealed",
            "vault::blind_index::BlindIndex",
            "ledger",
            "domain",
            "merkle",
            "ground",
        ],
    ),
    ("vault", &["ledger::Receipt", "domain", "ground"]),
    ("ledger", &["merkle", "domain", "ground"]),
    ("domain", &["id", "clock::Moment"]),
    ("merkle", &[]),
];

/// The ground files; they use nothing above.
const GROUND: &[&str] = &["config", "telemetry", "clock", "secret", "id"];

/// Foreign crates and the only places that may name them.
const HOMES: &[(&str, &[&str])] = &[
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("indicatif", &["cli/"]),
    ("comfy_table", &["cli/"]),
    ("csv", &["cli/"]),
    ("reqwest", &["cli/", "jobs/"]),
    ("object_store", &["jobs/bucket/"]),
    ("http_body_util", &["jobs/bucket/"]),
    ("actix_web", &["web/", "cli/serve", "cli/doors", "cli/witness"]),
    ("actix_http", &["web/"]),
    ("actix_server", &["web/", "cli/serve", "cli/doors"]),
    ("actix_service", &["web/"]),
    ("tokio_rustls", &["web/tls/", "store/connection/"]),
    ("rustls", &["web/tls/", "store/connection/", "cli/"]),
    ("socket2", &["web/tls/"]),
    ("governor", &["web/"]),
    ("prometheus_client", &["web/"]),
    ("lru", &["web/"]),
    ("flate2", &["web/"]),
    ("jsonwebtoken", &["web/partner/", "cli/mod"]),
    ("diesel", &["store/"]),
    ("diesel_async", &["store/"]),
    ("diesel_migrations", &["store/"]),
    ("libsqlite3_sys", &["store/"]),
    ("tokio_postgres", &["store/"]),
    ("tokio_postgres_rustls", &["store/"]),
    ("aws_lc_rs", &["vault/", "secret", "jobs/timestamp/"]),
    ("cms", &["jobs/timestamp/"]),
    ("der", &["jobs/timestamp/"]),
    ("webpki", &["jobs/timestamp/"]),
    ("rcgen", &["vault/"]),
    ("x509_parser", &["vault/"]),
    ("ed25519_dalek", &["merkle/"]),
    ("sha2", &["merkle/", "vault/", "id"]),
    ("tracing_subscriber", &["telemetry"]),
    ("jiff", &["clock"]),
    ("toml", &["config", "cli/"]),
];

/// Names that say nothing.
const VAGUE: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "manager", "service", "impls"];

struct Source {
    path: String,
    text: String,
}

fn read(folder: &Path, ending: &str, into: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read(&path, ending, into);
        } else if path.to_string_lossy().ends_with(ending) {
            let text = fs::read_to_string(&path).unwrap();
            into.push(Source { path: path.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    read(Path::new(folder), ".rs", &mut found);
    found
}

/// The lines of a file that ship: without the test module at its end.
fn shipped(source: &Source) -> Vec<&str> {
    if is_test_file(&source.path) {
        return Vec::new();
    }
    let lines: Vec<_> = source.text.lines().collect();
    let tests = lines.iter().enumerate().position(|(at, line)| {
        line.trim() == "#[cfg(test)]"
            && lines[at..].iter().take(9).any(|line| line.trim_start().starts_with("mod tests {"))
    });
    lines[..tests.unwrap_or(lines.len())].to_vec()
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.ends_with("/contract.rs")
}

fn room_of(path: &str) -> String {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs").to_owned()
}

fn order_in(lib: &str) -> Vec<String> {
    lib.lines()
        .filter_map(|line| line.strip_prefix("pub mod "))
        .map(|rest| rest.trim_end_matches(';').to_owned())
        .collect()
}

/// Uses of `crate::room::...` in a line.
fn uses(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    code.split("crate::")
        .skip(1)
        .map(|rest| {
            rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect()
        })
        .collect()
}

fn edges(found: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in found {
        let room = room_of(&source.path);
        if room == "lib" || room == "main" {
            continue;
        }
        let allowed = EDGES.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, to)| to);
        for (at, line) in shipped(source).iter().enumerate() {
            for path in uses(line) {
                let target = path.split("::").next().unwrap_or_default();
                let fits = |entry: &&str| {
                    (*entry == "ground" && GROUND.contains(&target))
                        || path.as_str() == *entry
                        || path.starts_with(&format!("{entry}::"))
                        || entry.starts_with(path.trim_end_matches("::")) && path.ends_with("::")
                };
                if target != room && !allowed.iter().any(fits) {
                    complaints.push(format!(
                        "{}:{}: {room} may not use {path}",
                        source.path,
                        at + 1
                    ));
                }
            }
        }
    }
    complaints
}

fn homes(found: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in found {
        let inner = source.path.strip_prefix("src/").unwrap_or(&source.path);
        for (at, line) in shipped(source).iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for (name, places) in HOMES {
                let named = code.match_indices(&format!("{name}::")).any(|(start, _)| {
                    let before = code[..start].chars().next_back();
                    before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
                });
                if named && !places.iter().any(|place| inner.starts_with(place)) {
                    complaints.push(format!(
                        "{}:{}: {name} is not at home here",
                        source.path,
                        at + 1
                    ));
                }
            }
        }
    }
    complaints
}

fn sizes(found: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in found {
        let lines = shipped(source);
        if lines.len() > 400 {
            complaints.push(format!("{}: {} lines, more than 400", source.path, lines.len()));
        }
        let mut open: Option<(usize, usize)> = None;
        for (at, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start();
            let begins = [
                "fn ",
                "pub fn ",
                "pub(super) fn ",
                "pub(crate) fn ",
                "async fn ",
                "pub async fn ",
                "pub(super) async fn ",
            ]
            .iter()
            .any(|start| head.starts_with(start));
            if begins && open.is_none() {
                open = Some((at, indent));
            }
            if let Some((start, depth)) = open
                && indent == depth
                && (head == "}" || (head.ends_with('}') && start == at) || head.ends_with(';'))
            {
                if at + 1 - start > 70 {
                    let length = at + 1 - start;
                    complaints.push(format!(
                        "{}:{}: function of {length} lines",
                        source.path,
                        start + 1
                    ));
                }
                open = None;
            }
        }
    }
    complaints
}

fn first_sentences(found: &[Source]) -> Vec<String> {
    let missing = |source: &&Source| !source.text.starts_with("//! ");
    found
        .iter()
        .filter(missing)
        .map(|source| format!("{}:1: begins without a sentence on what it is", source.path))
        .collect()
}

fn vague_names(found: &[Source]) -> Vec<String> {
    found
        .iter()
        .filter(|source| {
            source.path.trim_end_matches(".rs").split('/').any(|part| VAGUE.contains(&part))
        })
        .map(|source| format!("{}: a name that says nothing", source.path))
        .collect()
}

/// Migrations as (database, name, file, text).
fn twins(found: &[(String, String, String, String)]) -> Vec<String> {
    let names = |database: &str| -> BTreeSet<_> {
        found.iter().filter(|row| row.0 == database).map(|row| (&row.1, &row.2)).collect()
    };
    let (sqlite, postgres) = (names("sqlite"), names("postgres"));
    let mut complaints: Vec<_> = sqlite
        .symmetric_difference(&postgres)
        .map(|(name, file)| format!("migrations: {name}/{file} has no twin"))
        .collect();
    for (database, name, file, text) in found {
        let says = text.lines().any(|line| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with("--")
        });
        if !says {
            complaints.push(format!("migrations/{database}/{name}/{file}: says nothing"));
        }
    }
    complaints
}

fn migrations() -> Vec<(String, String, String, String)> {
    let mut found = Vec::new();
    read(Path::new("migrations"), ".sql", &mut found);
    found
        .into_iter()
        .map(|source| {
            let parts: Vec<_> = source.path.split('/').map(str::to_owned).collect();
            (parts[1].clone(), parts[2].clone(), parts[3].clone(), source.text)
        })
        .collect()
}

/// Every ban of the lint file gives its reason.
fn bans(text: &str) -> Vec<String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.contains("path = ") && !line.contains("reason = "))
        .map(|(at, _)| format!(".clippy.toml:{}: a ban without a reason", at + 1))
        .collect()
}

/// Every word stands in the page.
fn named<'a>(page: &str, text: &str, words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words
        .into_iter()
        .filter(|word| !text.contains(&format!("`{word}`")))
        .map(|word| format!("{page}: does not name `{word}`"))
        .collect()
}

fn expect_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn rooms_stand_in_one_downward_order() {
    let lib = fs::read_to_string("src/lib.rs").unwrap();
    let order = order_in(&lib);
    let expected: Vec<_> =
        EDGES.iter().map(|(room, _)| *room).chain(GROUND.iter().copied()).collect();
    assert_eq!(order, expected, "src/lib.rs lists the rooms in another order");
    for (at, (room, targets)) in EDGES.iter().enumerate() {
        for target in *targets {
            let target = target.split("::").next().unwrap();
            let below = EDGES.iter().position(|(name, _)| *name == target);
            assert!(below.is_none_or(|below| below > at), "{room} would use {target} above it");
        }
    }
}

#[test]
fn every_room_uses_only_what_it_may() {
    expect_none(&edges(&sources("src")));
}

#[test]
fn foreign_crates_stay_at_home() {
    expect_none(&homes(&sources("src")));
}

#[test]
fn files_and_functions_stay_short() {
    expect_none(&sizes(&sources("src")));
}

#[test]
fn every_file_begins_with_a_sentence_and_has_a_telling_name() {
    let mut found = sources("src");
    found.extend(sources("tests"));
    found.extend(sources("benches"));
    expect_none(&first_sentences(&found));
    expect_none(&vague_names(&found));
}

#[test]
fn migrations_are_twins_with_a_way_back() {
    let found = migrations();
    assert!(found.iter().any(|row| row.2 == "down.sql"));
    expect_none(&twins(&found));
}

#[test]
fn bans_give_their_reason() {
    expect_none(&bans(&fs::read_to_string(".clippy.toml").unwrap()));
}

#[test]
fn the_manual_names_every_room_and_every_field() {
    let architecture = fs::read_to_string("docs/architecture.md").unwrap();
    let rooms = EDGES.iter().map(|(room, _)| *room).chain(GROUND.iter().copied());
    expect_none(&named("docs/architecture.md", &architecture, rooms));
    let page = fs::read_to_string("docs/reference/fields.md").unwrap();
    let fields = fieldgate::domain::field::Field::ALL.iter().map(|field| field.code());
    expect_none(&named("docs/reference/fields.md", &page, fields));
}

mod can_complain {
    use super::*;

    fn one(path: &str, text: &str) -> Vec<Source> {
        vec![Source { path: path.to_owned(), text: text.to_owned() }]
    }

    #[test]
    fn about_a_room_that_reaches_up_or_aside() {
        assert_eq!(edges(&one("src/domain/x.rs", "use crate::store::Store;")).len(), 1);
        assert_eq!(edges(&one("src/store/x.rs", "use crate::vault::keyring::Keyring;")).len(), 1);
        assert_eq!(edges(&one("src/web/x.rs", "use crate::vault::open;")).len(), 1);
        assert_eq!(edges(&one("src/clock.rs", "use crate::id::PartnerId;")).len(), 1);
        assert!(edges(&one("src/store/x.rs", "use crate::vault::sealed::Sealed;")).is_empty());
        assert!(edges(&one("src/store/x.rs", "// crate::web is above")).is_empty());
        let tests = "#[cfg(test)]\nmod tests {\n use crate::store::Store;\n}";
        assert!(edges(&one("src/domain/x.rs", tests)).is_empty());
    }

    #[test]
    fn about_a_crate_outside_its_home() {
        assert_eq!(homes(&one("src/flows/x.rs", "use diesel::prelude::*;")).len(), 1);
        assert!(homes(&one("src/store/x.rs", "use diesel::prelude::*;")).is_empty());
        assert!(homes(&one("src/flows/x.rs", "crate::store::diesel::x()")).is_empty());
    }

    #[test]
    fn about_a_long_file_and_a_long_function() {
        assert_eq!(sizes(&one("src/flows/x.rs", &"//\n".repeat(401))).len(), 1);
        let body = "    let x = 1;\n".repeat(70);
        assert_eq!(sizes(&one("src/x.rs", &format!("fn long() {{\n{body}}}\n"))).len(), 1);
        let body = "    let x = 1;\n".repeat(60);
        assert!(sizes(&one("src/x.rs", &format!("fn fine() {{\n{body}}}\n"))).is_empty());
    }

    #[test]
    fn about_a_file_without_a_sentence_and_a_vague_name() {
        assert_eq!(first_sentences(&one("src/x.rs", "use std::fs;")).len(), 1);
        assert_eq!(vague_names(&one("src/web/utils.rs", "")).len(), 1);
        assert_eq!(vague_names(&one("src/helpers/x.rs", "")).len(), 1);
    }

    #[test]
    fn about_migrations_without_twin_or_way_back() {
        let row = |database: &str, file: &str, text: &str| {
            (database.to_owned(), "0001_a".to_owned(), file.to_owned(), text.to_owned())
        };
        assert_eq!(twins(&[row("sqlite", "up.sql", "SELECT 1;")]).len(), 1);
        let empty =
            [row("sqlite", "down.sql", "-- later\n"), row("postgres", "down.sql", "SELECT 1;")];
        assert_eq!(twins(&empty).len(), 1);
    }

    #[test]
    fn about_a_ban_without_reason_and_a_page_without_a_name() {
        assert_eq!(bans("{ path = \"std::env::var\" },").len(), 1);
        assert_eq!(named("page", "knows `email`", ["email", "phone"]).len(), 1);
    }
}
