//! A git repository with one commit per checkpoint: push it wherever evidence is kept.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::{Kept, PlaceFault, folder_of, sync_folder};

/// The file in the repository.
const NAME: &str = "checkpoint";

/// A local repository, worked on through the `git` program; no network is needed.
#[derive(Debug)]
pub struct AnchorRepository {
    folder: PathBuf,
}

impl AnchorRepository {
    /// A repository with a working tree, made by `git init`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The note of the newest commit.
    ///
    /// # Errors
    /// There is no `git`, or no repository.
    pub fn newest(&self) -> Result<Option<String>, PlaceFault> {
        self.run(&["rev-parse", "--git-dir"])?;
        let shown = self.output(&["show", &format!("HEAD:{NAME}")])?;
        if !shown.status.success() {
            // No commit yet, or none with a checkpoint.
            return Ok(None);
        }
        String::from_utf8(shown.stdout).map(Some).map_err(|error| self.fault(&error))
    }

    /// Commits the note.
    ///
    /// # Errors
    /// The file cannot be written, or the commit fails.
    pub fn keep(&self, size: u64, note: &str) -> Result<Kept, PlaceFault> {
        let file = self.folder.join(NAME);
        std::fs::write(&file, note)
            .and_then(|()| sync_folder(&folder_of(&file)))
            .map_err(|error| self.fault(&error))?;
        self.run(&["add", "--", NAME])?;
        // The author is the gateway; hooks and signatures of whoever owns the repository stay out.
        let commit = [
            "-c",
            "user.name=fieldgate",
            "-c",
            "user.email=fieldgate@localhost",
            "-c",
            "commit.gpgSign=false",
            "-c",
            "core.fsync=all",
            "commit",
            "--quiet",
            "--no-verify",
            "--message",
            &format!("{size} entries"),
            "--",
            NAME,
        ];
        self.run(&commit)?;
        Ok(Kept::Added)
    }

    fn output(&self, arguments: &[&str]) -> Result<Output, PlaceFault> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.folder).args(arguments).stdin(Stdio::null());
        git.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        git.output().map_err(|error| self.fault(&format_args!("cannot run git: {error}")))
    }

    fn run(&self, arguments: &[&str]) -> Result<(), PlaceFault> {
        let output = self.output(arguments)?;
        if output.status.success() {
            return Ok(());
        }
        let says = String::from_utf8_lossy(&output.stderr);
        Err(self.fault(&says.lines().next().unwrap_or("git failed without a word")))
    }

    fn fault(&self, says: &dyn std::fmt::Display) -> PlaceFault {
        PlaceFault::new(self.folder.display(), says)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    fn git(folder: &std::path::Path, arguments: &[&str]) -> String {
        let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn every_note_is_a_commit_of_its_own() {
        let home = tempfile::tempdir().unwrap();
        git(home.path(), &["init", "--quiet"]);
        let repository = AnchorRepository::new(home.path());
        assert_eq!(repository.newest().unwrap(), None);
        assert_eq!(repository.keep(5, "five\n").unwrap(), Kept::Added);
        assert_eq!(repository.keep(6, "six\n").unwrap(), Kept::Added);
        assert_eq!(repository.newest().unwrap().as_deref(), Some("six\n"));
        assert_eq!(git(home.path(), &["log", "--format=%s"]), "6 entries\n5 entries\n");
        assert_eq!(git(home.path(), &["show", "HEAD~1:checkpoint"]), "five\n");
    }

    #[test]
    fn a_folder_without_a_repository_is_named() {
        let home = tempfile::tempdir().unwrap();
        let repository = AnchorRepository::new(home.path().join("none"));
        assert!(repository.newest().unwrap_err().to_string().contains("none"));
        assert!(repository.keep(1, "one\n").is_err());
    }
}
