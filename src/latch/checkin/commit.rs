//! The commit of a checkin: `git commit --only`, as the user would run it.

use std::fs;
use std::path::PathBuf;

use super::super::Latch;
use crate::git::command::Git;
use crate::git::edits;
use crate::rules::error::{Error, Result};
use crate::store::TreeDir;

impl Latch {
    /// Commits these files, and nothing else that may be staged; gives the commit. Those that git does not know yet are
    /// made known to it, and forgotten again where it does not commit.
    ///
    /// # Errors
    /// [`Error::NotCommitted`] with git's words.
    pub(super) fn commit(
        &self,
        files: &[Vec<u8>],
        unknown: &[Vec<u8>],
        message: Option<&str>,
    ) -> Result<Option<String>> {
        if files.is_empty() {
            return Ok(None);
        }
        let git = self.repo.git().with_variable("GIT_LITERAL_PATHSPECS", "0");
        let before = self.repo.commit_of("HEAD")?;
        let list = PathList::write(self, "commit", files)?;
        if !unknown.is_empty() {
            let unknown = PathList::write(self, "add", unknown)?;
            self.run(&git, &["add", "--intent-to-add", &unknown.option(), NUL])?;
        }
        let mut commit = vec!["commit", "--quiet", "--only"];
        if let Some(message) = message {
            commit.extend(["-m", message]);
        }
        let option = list.option();
        commit.extend([&option, NUL]);
        let committed = match message {
            Some(_) => self.run(&git, &commit),
            // The editor has the terminal.
            None => git
                .run_for_user(&commit)
                .map_err(|_| self.not_committed(None)),
        };
        let now = self.repo.commit_of("HEAD")?;
        if now != before {
            return Ok(now);
        }
        if !unknown.is_empty() {
            let unknown = PathList::write(self, "forget", unknown)?;
            let forget = ["reset", "--quiet", &unknown.option(), NUL];
            if let Err(error) = git.output(&forget) {
                tracing::info!(%error, "the index keeps names of new files");
            }
        }
        committed.map(|()| None)
    }

    fn run(&self, git: &Git, arguments: &[&str]) -> Result<()> {
        let output = git.run_aloud(arguments)?;
        if output.status.success() {
            return Ok(());
        }
        Err(self.not_committed(Some(&output.stderr)))
    }

    fn not_committed(&self, stderr: Option<&[u8]>) -> Error {
        Error::NotCommitted {
            problem: stderr.map_or_else(
                || "git says why above".into(),
                crate::git::command::first_words,
            ),
            hint: edits::is_combining(self.repo.git_dir())
                .then(|| "end the merge, rebase or pick first: git status".into()),
        }
    }
}

const NUL: &str = "--pathspec-file-nul";

/// A list of paths for git, which may be longer than a command line.
struct PathList(PathBuf);

impl PathList {
    fn write(latch: &Latch, what: &str, files: &[Vec<u8>]) -> Result<Self> {
        let spec = |path: &Vec<u8>| [b":(top,literal)", path.as_slice(), b"\0"].concat();
        let text: Vec<u8> = files.iter().flat_map(spec).collect();
        let directory = TreeDir::of(latch.repo.git_dir());
        directory.create(latch.sharing)?;
        let file = directory
            .path()
            .join(format!("{what}.{}.paths", std::process::id()));
        fs::write(&file, text).map_err(Error::io("write", &file))?;
        Ok(PathList(file))
    }

    fn option(&self) -> String {
        format!("--pathspec-from-file={}", self.0.display())
    }
}

impl Drop for PathList {
    fn drop(&mut self) {
        // It is only a copy; what stays is a small file in the git directory.
        let _ = fs::remove_file(&self.0);
    }
}
