//! Git as the user would run it: with their input, their language, their hooks, and its words on their terminal.

use std::ffi::OsStr;
use std::io::{self, Read, Write as _};
use std::process::{ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::{Git, collect, not_started, shown};
use crate::rules::error::{Error, Result};

/// How long the words of a git that has ended are waited for: helpers of it (a connection that ssh keeps) may hold its
/// standard error open for hours.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl Git {
    /// Runs git as the user would, with the terminal: for a command that asks them, or tells them, something.
    ///
    /// # Errors
    /// [`Error::Git`] where it fails; its own words are on the terminal.
    pub(crate) fn run_for_user<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<()> {
        let mut command = self.command(arguments);
        as_users(&mut command);
        // Standard output is for our own result.
        command.stdout(io::stderr()).stderr(Stdio::inherit());
        let status = command.status().map_err(|e| not_started(arguments, &e))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Git {
            command: shown(arguments),
            problem: status.to_string(),
        })
    }

    /// Runs git as the user would, whatever its exit status. What it says on standard error is passed on as it comes, and
    /// kept; standard output is kept only.
    pub(crate) fn run_aloud<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output> {
        let mut command = self.command(arguments);
        as_users(&mut command);
        let failed = |e| not_started(arguments, &e);
        let mut child = command.spawn().map_err(failed)?;
        let stdout = collect(child.stdout.take());
        let words = pass_on(child.stderr.take());
        let status = child.wait().map_err(failed)?;
        let end = Instant::now() + LAST_WORDS;
        let mut stderr = Vec::new();
        while let Ok(some) = words.recv_timeout(end.saturating_duration_since(Instant::now())) {
            stderr.extend(some);
        }
        Ok(Output {
            status,
            stdout: stdout.join().expect("reading a pipe does not panic"),
            stderr,
        })
    }
}

/// Passes words on to our own standard error, and to whoever keeps them.
fn pass_on(pipe: Option<ChildStderr>) -> Receiver<Vec<u8>> {
    let (words, kept) = mpsc::channel();
    std::thread::spawn(move || {
        let Some(mut pipe) = pipe else { return };
        let mut some = [0; 4096];
        while let Ok(length) = pipe.read(&mut some)
            && length > 0
        {
            // Nobody may be listening any more: git goes on all the same.
            let _ = io::stderr().write_all(&some[..length]);
            let _ = words.send(some[..length].to_vec());
        }
    });
    kept
}

/// What the user's own git has: their input and their language, for hooks too, and the index may be written.
fn as_users(command: &mut Command) {
    command
        .stdin(Stdio::inherit())
        .env_remove("GIT_OPTIONAL_LOCKS");
    match std::env::var_os("LC_ALL") {
        Some(language) => command.env("LC_ALL", language),
        None => command.env_remove("LC_ALL"),
    };
}

/// The sentence of git's words on standard error that says what is wrong; a hook's first line where git has none.
pub(crate) fn first_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_last = |line: &&str| line.starts_with("failed to push some refs");
    let said = |line: &str| {
        let said = line
            .strip_prefix("fatal: ")
            .or(line.strip_prefix("error: "));
        said.map(str::to_owned)
    };
    let mut errors = lines()
        .filter_map(said)
        .filter(|line| !is_last(&line.as_str()));
    let first = errors.next().or_else(|| lines().next().map(str::to_owned));
    first.map_or_else(
        || "git says why above".to_owned(),
        |line| crate::rules::spelling::escaped(line.as_bytes()),
    )
}
