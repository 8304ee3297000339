//! Asks before what cannot be undone: a word typed by hand, or `--yes`.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::say::{Ending, Failure};

/// Goes on only when `yes` was given or the operator types `word`.
pub(super) fn confirm(what: &str, word: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let refused = || {
        Failure::new(
            Ending::Invalid,
            format!("{what}: this cannot be undone, and was not confirmed"),
        )
        .hint("look first with --dry-run, then say --yes")
    };
    if !io::stdin().is_terminal() {
        return Err(refused());
    }
    write!(io::stderr(), "{what}. This cannot be undone. Type {word} to go on: ")
        .map_err(Failure::broken)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(Failure::broken)?;
    if line.trim() == word { Ok(()) } else { Err(refused()) }
}
