//! What runs beside our own part of a hook: the hook that was there before, and Git LFS where it is left to us.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use git_latch::git::repo::Repo;
use git_latch::hooks;
use git_latch::os::child;
use git_latch::rules::error::{Error, Result};

/// Our scripts say here what they are called.
pub(super) const SCRIPT: &str = "GIT_LATCH_HOOK";
/// Counts hooks that call each other.
const NESTED: &str = "GIT_LATCH_NESTED";
/// So deep nobody nests hooks, unless two tools call each other for ever.
const TOO_DEEP: usize = 8;
/// The exit code of Git LFS's own hooks where it is not installed.
const NO_LFS: u8 = 2;

/// A hook as git called it.
#[derive(Debug)]
pub(super) struct Called<'a> {
    pub(super) name: &'a str,
    /// Our script; `None` where a line in a script of the team's called us.
    pub(super) script: Option<PathBuf>,
    pub(super) arguments: &'a [OsString],
    /// What git said on standard input, where it says something.
    pub(super) input: Option<&'a [u8]>,
}

impl Called<'_> {
    /// Runs the hook that was there before ours; gives its exit code, 0 where there is none.
    pub(super) fn run_earlier(&self) -> Result<u8> {
        let Some(path) = self.earlier()? else {
            return Ok(0);
        };
        let depth = self.depth();
        if depth >= TOO_DEEP {
            return Err(Error::Unsupported {
                problem: format!("the {} hooks call each other in a loop", self.name),
                hint: Some(format!(
                    "the one that calls git-latch again is {}",
                    path.display()
                )),
            });
        }
        let nested = format!("{}:{}", self.name, depth + 1);
        let start = |program: &OsStr, first: Option<&Path>| {
            let mut command = Command::new(program);
            command.args(first).args(self.arguments);
            self.run(command.env(NESTED, &nested).env_remove(SCRIPT))
        };
        let outcome = match start(path.as_os_str(), None) {
            // As git does with a script that does not say what it is for.
            Err(e) if child::is_no_program(&e) => start("sh".as_ref(), Some(&path)),
            other => other,
        };
        let status = outcome.map_err(Error::io("run the hook", &path))?;
        Ok(child::exit_code(status))
    }

    fn earlier(&self) -> Result<Option<PathBuf>> {
        let script = self.script.as_deref();
        script.map_or(Ok(None), |script| hooks::callable(script, self.name))
    }

    /// How many times this hook has called itself.
    fn depth(&self) -> usize {
        let nested = std::env::var(NESTED).unwrap_or_default();
        let depth = nested
            .split_once(':')
            .filter(|(name, _)| *name == self.name);
        depth.and_then(|(_, depth)| depth.parse().ok()).unwrap_or(0)
    }

    /// Runs Git LFS where the repository uses it and nobody else does; gives the exit code for git.
    pub(super) fn run_lfs(&self, repo: &Repo) -> Result<u8> {
        let (script, earlier) = (self.script.as_deref(), self.earlier()?);
        if !hooks::is_left_to_us(repo, self.name, script, earlier.as_deref())? {
            return Ok(0);
        }
        let mut command = Command::new("git-lfs");
        match self.run(
            command
                .arg(self.name)
                .args(self.arguments)
                .env_remove(SCRIPT),
        ) {
            Ok(status) => Ok(child::exit_code(status)),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                super::output::eprint(
                    "This repository is configured for Git LFS but 'git-lfs' was not found on your path. \
                     If you no longer wish to use Git LFS, remove the directory 'lfs' from the repository's git directory \
                     and the section [lfs] from its configuration.",
                );
                Ok(NO_LFS)
            }
            Err(e) => Err(Error::io("run", "git-lfs")(e)),
        }
    }

    /// Runs a program on what git said, wherever it said something.
    fn run(&self, command: &mut Command) -> std::io::Result<ExitStatus> {
        let Some(input) = self.input else {
            return command.status();
        };
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A hook need not read its input.
            let _ = stdin.write_all(input);
        }
        child.wait()
    }
}
