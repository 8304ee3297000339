//! Keeps the reference pages equal to the code: what can be rendered is rendered and compared.
//!
//! `FIELDGATE_BLESS=1 cargo test --test reference` writes the pages anew.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail loudly"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fieldgate::config::Settings;
use fieldgate::domain::consent::ChoiceOrigin;
use fieldgate::domain::contact::CollectionPoint;
use fieldgate::domain::disclosure::Reason;
use fieldgate::domain::field::{Field, FieldKind, FieldSet};
use fieldgate::domain::partner::{PartnerKind, PartnerState};
use fieldgate::domain::purpose::{ChoiceEffect, Purpose};
use fieldgate::web::problem::Code;
use fieldgate::web::{openapi, routes};

/// The line that tells a reader where a page comes from.
const FROM: &str = "<!-- Written by tests/reference.rs; FIELDGATE_BLESS=1 cargo test --test reference writes it anew. -->";

#[allow(
    clippy::disallowed_methods,
    reason = "a test is told by its environment to write the pages"
)]
fn blessing() -> bool {
    std::env::var("FIELDGATE_BLESS").is_ok_and(|value| value == "1")
}

/// Breaks long lines of prose at 118 characters; rows of tables stay whole.
fn wrapped(page: &str) -> String {
    let mut out = String::new();
    for line in page.lines() {
        let mut width = 0;
        let words =
            if line.starts_with(['|', '<']) { vec![line] } else { line.split(' ').collect() };
        for word in words {
            let chars = word.chars().count();
            if width > 0 {
                out.push(if width + 1 + chars > 118 { '\n' } else { ' ' });
                width = if width + 1 + chars > 118 { 0 } else { width + 1 };
            }
            out.push_str(word);
            width += chars;
        }
        out.push('\n');
    }
    out
}

/// Compares a page with its rendering, or writes it.
fn check(page: &str, rendered: &str) {
    let rendered = &wrapped(rendered);
    let path = Path::new("docs/reference").join(page);
    if blessing() {
        fs::write(&path, rendered).unwrap();
    }
    let stands = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stands == *rendered,
        "{} differs from the code: run FIELDGATE_BLESS=1 cargo test --test reference, then read \
         what changed",
        path.display()
    );
}

/// Codes in backticks, separated by spaces; a dash for none.
fn ticked<'a>(codes: impl IntoIterator<Item = &'a str>) -> String {
    let codes: Vec<_> = codes.into_iter().map(|code| format!("`{code}`")).collect();
    if codes.is_empty() { "-".to_owned() } else { codes.join(" ") }
}

fn ticked_fields(fields: FieldSet) -> String {
    ticked(fields.iter().map(Field::code))
}

fn form(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Country => {
            "country code, ISO 3166-1 alpha-2; an English country name is turned into its code"
        }
        FieldKind::Date => "day, `YYYY-MM-DD`",
        FieldKind::Email => "e-mail address, lower-cased",
        FieldKind::Language => "language tag, BCP 47",
        FieldKind::Phone => "telephone number, E.164",
        FieldKind::Text => "one line of text",
    }
}

fn fields_page() -> String {
    let mut page = format!(
        "# Fields\n\n{FROM}\n\nEvery item of a contact. The catalogue is `src/domain/field.rs`: one \
         row there is one row here.\n\nA value is checked when it is taken in and kept in one normal \
         form. A field is released only where a purpose, the policy in force, the policy the person \
         is bound to, and the partner's grant all allow it. What may never be shared (network \
         addresses, notes, free text) is not collected and has no row.\n\n## Form\n\n\
         | field | label | form | characters, at most | bit |\n|---|---|---|---|---|\n"
    );
    for field in Field::ALL {
        let row = field.row();
        let (code, label, max, bit) = (field.code(), row.label, row.chars_max, field.bit());
        writeln!(page, "| `{code}` | {label} | {} | {max} | {bit} |", form(row.kind)).unwrap();
    }
    page.push_str(
        "\n`bit` is the field's place in the mask `f` of a ledger item and in the tables. It is \
         never reused.\n\n## Purposes\n\nThe purposes that can ever include a field (`max`), and \
         those whose grant has it when no fields are named (`usual`).\n\n",
    );
    let purposes: Vec<_> = Purpose::ALL.iter().map(|purpose| purpose.code()).collect();
    writeln!(page, "| field | {} |", purposes.join(" | ")).unwrap();
    writeln!(page, "|---|{}", "---|".repeat(purposes.len())).unwrap();
    for field in Field::ALL {
        let cells = Purpose::ALL.iter().map(|purpose| {
            let row = purpose.row();
            match (row.fields_usual.contains(*field), row.fields_max.contains(*field)) {
                (true, _) => "usual",
                (false, true) => "max",
                (false, false) => "never",
            }
        });
        writeln!(page, "| `{field}` | {} |", cells.collect::<Vec<_>>().join(" | ")).unwrap();
    }
    page.push_str(
        "\n## Headings\n\n`fieldgate contacts import` knows these column headings, in any case, \
         besides the field's code itself. Name others with `--map 'Heading=field'`.\n\n\
         | field | headings |\n|---|---|\n",
    );
    for field in Field::ALL {
        writeln!(page, "| `{field}` | {} |", ticked(field.row().headings.iter().copied())).unwrap();
    }
    page
}

fn purposes_page() -> String {
    let mut page = format!(
        "# Purposes, partners, choices\n\n{FROM}\n\nWhat fields are released for. The catalogue is \
         `src/domain/purpose.rs`. A purpose is also the scope of an access token.\n\n\
         | purpose | label | basis | a person's no | recipients | collection points | lease, days |\n\
         |---|---|---|---|---|---|---|\n"
    );
    for purpose in Purpose::ALL {
        let row = purpose.row();
        let choice = match row.choice {
            ChoiceEffect::OptOut => "ends it at once",
            ChoiceEffect::None => "not possible: a contract, ended by withdrawal",
        };
        let recipients = ticked(row.recipients.iter().map(PartnerKind::code));
        let points = ticked(row.points.iter().map(CollectionPoint::code));
        let (label, basis, days) = (row.label, row.basis.code(), row.lease_days);
        writeln!(
            page,
            "| `{purpose}` | {label} | `{basis}` | {choice} | {recipients} | {points} | {days} |"
        )
        .unwrap();
    }
    page.push_str(
        "\n## Fields\n\n| purpose | the most it can ever include | usual |\n|---|---|---|\n",
    );
    for purpose in Purpose::ALL {
        let row = purpose.row();
        let (most, usual) = (ticked_fields(row.fields_max), ticked_fields(row.fields_usual));
        writeln!(page, "| `{purpose}` | {most} | {usual} |").unwrap();
    }
    page.push_str(
        "\nA policy version or a grant that names a field beyond the most is refused when it is \
         saved. `--fields` left out of `fieldgate partner grant` means the usual ones.\n\n\
         ## Kinds of partner\n\n| kind | label |\n|---|---|\n",
    );
    for kind in PartnerKind::ALL {
        writeln!(page, "| `{kind}` | {} |", kind.row().label).unwrap();
    }
    page.push_str("\n## States of a partner\n\n| state | may become |\n|---|---|\n");
    for state in PartnerState::ALL {
        let next = PartnerState::ALL.iter().filter(|next| state.may_become(**next));
        writeln!(page, "| `{}` | {} |", state.code(), ticked(next.map(|one| one.code()))).unwrap();
    }
    page.push_str(
        "\nOnly an `active` partner receives anything.\n\n## Collection points\n\n\
         | point | label |\n|---|---|\n",
    );
    for point in CollectionPoint::ALL {
        writeln!(page, "| `{point}` | {} |", point.row().label).unwrap();
    }
    let origins = ticked(ChoiceOrigin::ALL.iter().map(|origin| origin.code()));
    writeln!(
        page,
        "\n## Choices\n\nA choice is a yes or no to a purpose, to all partners or to one. Its origin \
         is one of {origins}. The newest act counts; an `import` can say no, and can never turn a no \
         into a yes."
    )
    .unwrap();
    page
}

fn reasons_page() -> String {
    let mut page = format!(
        "# Reasons\n\n{FROM}\n\nWhy something is withheld: a closed list in \
         `src/domain/disclosure/mod.rs`. The code stands in the problem a partner receives, in the \
         entry (`why`) and in what `fieldgate explain` says.\n"
    );
    let about_request = |reason: &Reason| reason.bit() < Reason::Withdrawn.bit();
    for (title, says, whole) in [
        (
            "The request as a whole",
            "Answered with 403 and this code. The refusal is an entry of kind `withhold`.",
            true,
        ),
        (
            "One person",
            "The person is left out of a page. `GET /v1/leads/{id}` answers 404 `not_found` for all \
             of them alike, so that a partner cannot learn which; the entry holds the reason.",
            false,
        ),
    ] {
        write!(page, "\n## {title}\n\n{says}\n\n| code | what | what to do |\n|---|---|---|\n")
            .unwrap();
        for reason in Reason::ALL.iter().filter(|reason| about_request(reason) == whole) {
            let row = reason.row();
            writeln!(page, "| `{}` | {} | {} |", reason.code(), row.label, row.hint).unwrap();
        }
    }
    page
}

fn problems_page() -> String {
    let mut page = format!(
        "# Problems\n\n{FROM}\n\nEvery failure is `application/problem+json` (RFC 9457) with `type` \
         (`/problems/<code>`), `title`, `status`, `detail`, `code`, `instance` (the request id) and \
         `hint`. The codes are stable; the sentences may change. A problem never repeats a value \
         that was sent.\n\n`retry` is the `Retry-After` in seconds where it has a usual value. \
         `closes` means that the connection is closed after the answer.\n\n\
         | code | status | what | what to do | retry | closes |\n|---|---|---|---|---|---|\n"
    );
    let reasons: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    for code in Code::all() {
        let row = code.row();
        if reasons.contains(row.code) {
            continue;
        }
        let retry = row.retry_after_s.map_or_else(|| "-".to_owned(), |s| s.to_string());
        let closes = if row.closes { "yes" } else { "-" };
        writeln!(
            page,
            "| `{}` | {} | {} | {} | {retry} | {closes} |",
            row.code, row.status, row.title, row.hint
        )
        .unwrap();
    }
    page.push_str(
        "\nBesides these, every [reason](reasons.md) is a problem with status 403 when it refuses a \
         request as a whole.\n\n401 and `insufficient_scope` carry `WWW-Authenticate: Bearer` (RFC \
         6750) with the address of the metadata (RFC 9728).\n\n## At `/oauth2`\n\nThe OAuth endpoints \
         answer as their clients expect (RFC 6749 section 5.2): `error` and `error_description`.\n\n\
         | error | status | when |\n|---|---|---|\n\
         | `invalid_request` | 400 | a parameter is missing, repeated or out of place, or a second way \
         to authenticate was tried |\n\
         | `invalid_client` | 401 | the certificate does not prove this `client_id`; the connection is \
         closed |\n\
         | `invalid_scope` | 400 | a scope is unknown or not granted |\n\
         | `unauthorized_client` | 400 | this partner may not have tokens at present |\n\
         | `unsupported_grant_type` | 400 | anything but `client_credentials` |\n\n\
         A failure for which OAuth has no word (429, 503) is a problem there too.\n",
    );
    page
}

#[test]
fn the_page_of_fields_equals_the_catalogue() {
    check("fields.md", &fields_page());
}

#[test]
fn the_page_of_purposes_equals_the_catalogue() {
    check("purposes.md", &purposes_page());
}

#[test]
fn the_page_of_reasons_equals_the_catalogue() {
    check("reasons.md", &reasons_page());
}

#[test]
fn the_page_of_problems_equals_the_table() {
    check("problems.md", &problems_page());
}

/// Routes as a page tells them: door, method, path, caller.
fn told_routes(page: &str) -> BTreeSet<String> {
    let mut door = "";
    let mut told = BTreeSet::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            door = title.split(' ').next().unwrap_or_default();
        }
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        if let [_, method, path, caller, _, _] = cells.as_slice()
            && path.starts_with('/')
        {
            told.insert(format!("{} {method} {path} {caller}", door.to_lowercase()));
        }
    }
    told
}

#[test]
fn the_page_of_endpoints_tells_every_route_and_no_other() {
    let page = fs::read_to_string("docs/reference/endpoints.md").unwrap();
    let table = routes::table();
    let real: BTreeSet<_> = table
        .rows()
        .iter()
        .map(|row| format!("{} {} {} {}", row.door.code(), row.method, row.path, row.caller))
        .collect();
    assert_eq!(told_routes(&page), real, "docs/reference/endpoints.md differs from the routes");
}

#[test]
fn the_description_for_programs_is_the_one_that_was_agreed() {
    let urls = ["https://partners.example.com", "https://people.example.com"];
    let document = openapi::document(&routes::table(), urls[0], urls[1]);
    let now = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
    let golden = "tests/golden/openapi.json";
    if blessing() {
        fs::write(golden, &now).unwrap();
    }
    let agreed = fs::read_to_string(golden).unwrap_or_default();
    assert_eq!(
        now, agreed,
        "{golden} differs; FIELDGATE_BLESS=1 accepts it: look at the difference"
    );
}

/// What `fieldgate … --help` says.
fn help(of: &[&str]) -> String {
    let program = Command::new(env!("CARGO_BIN_EXE_fieldgate")).args(of).arg("--help").output();
    String::from_utf8(program.unwrap().stdout).unwrap()
}

/// The commands that a help text lists, without `help` itself.
fn commands_in(help: &str) -> Vec<&str> {
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    let names = list.lines().take_while(|line| !line.is_empty());
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

/// The long options that a help text explains.
fn options_in(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let option = |line: &str| {
        let (_, rest) = line.split_once("--")?;
        Some(rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect())
    };
    lines.filter_map(option).collect()
}

#[test]
fn the_page_of_commands_names_every_command_and_option() {
    let page = fs::read_to_string("docs/reference/commands.md").unwrap();
    let mut lacks = Vec::new();
    let mut look = |of: &[&str]| {
        let says = help(of);
        let options = options_in(&says).into_iter().filter(|one| one != "help" && one != "version");
        for option in options.filter(|option| !page.contains(&format!("--{option}"))) {
            lacks.push(format!("{} --{option}", of.join(" ")));
        }
        let name = of.join(" ");
        let told = ["", " "].iter().any(|end| page.contains(&format!("`{name}{end}")));
        if !told {
            lacks.push(name);
        }
        says
    };
    let whole = look(&[]);
    for command in commands_in(&whole) {
        let says = look(&[command]);
        for inner in commands_in(&says) {
            look(&[command, inner]);
        }
    }
    lacks.retain(|name| {
        !["audit", "database", "partner", "policy", "contacts", "person", "ledger", "key", "verify"]
            .contains(&name.as_str())
    });
    assert!(lacks.is_empty(), "docs/reference/commands.md lacks: {}", lacks.join(", "));
}

/// The first TOML example of a page.
fn example(page: &str) -> &str {
    let (_, rest) = page.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// Every key of the settings as `section.key`.
fn keys(settings: &Settings) -> Vec<String> {
    let whole = serde_json::to_value(settings).unwrap();
    let sections = whole.as_object().unwrap();
    let of = |(section, inner): (&String, &serde_json::Value)| {
        let section = section.clone();
        // A section that may stand several times is a list; the page's example shows one.
        let inner = inner.as_array().map_or(inner, |list| &list[0]);
        let inner: Vec<_> = inner.as_object().unwrap().keys().cloned().collect();
        inner.into_iter().map(move |key| format!("{section}.{key}"))
    };
    sections.iter().flat_map(of).collect()
}

#[test]
fn the_page_of_settings_names_every_setting_and_its_example_is_valid() {
    let page = fs::read_to_string("docs/reference/settings.md").unwrap();
    let settings = Settings::parse("docs/reference/settings.md", example(&page)).unwrap();
    for key in keys(&settings) {
        assert!(page.contains(&format!("`{key}`")), "docs/reference/settings.md lacks `{key}`");
    }
}

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
}

/// Targets of `](…)` that are files of ours.
fn links(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or_default().to_owned())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

#[test]
fn every_link_of_the_manual_leads_to_a_file() {
    if blessing() {
        return; // other tests are writing pages just now
    }
    let mut found = vec![PathBuf::from("README.md"), PathBuf::from("certs/README.md")];
    pages(Path::new("docs"), &mut found);
    let mut dead = Vec::new();
    for page in found {
        let text = fs::read_to_string(&page).unwrap();
        let folder = page.parent().unwrap();
        for target in links(&text).into_iter().filter(|target| !folder.join(target).exists()) {
            dead.push(format!("{}: {target}", page.display()));
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
    assert_eq!(links("see [a](b.md#c), [d](https://e)"), ["b.md"]);
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest: toml::Table = fs::read_to_string("Cargo.toml").unwrap().parse().unwrap();
    let page = fs::read_to_string("docs/dependencies.md").unwrap();
    for section in ["dependencies", "dev-dependencies"] {
        for name in manifest[section].as_table().unwrap().keys() {
            assert!(page.contains(&format!("`{name}`")), "docs/dependencies.md lacks `{name}`");
        }
    }
}
