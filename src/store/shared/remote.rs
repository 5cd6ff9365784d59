//! The lock ref on a git remote: fetched, and changed by compare-and-swap. Everything through the `git` command, run where
//! the user's own git would run, with our own bare repository as its repository.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::deadline::Deadline;
use super::rejection::{Rejection, told_of, words};
use super::settings;
use crate::git::command::{Exchange, Git};
use crate::rules::error::{Error, Result};

/// A remote's lock ref.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    /// Git, where the user's own would run: remotes may be relative paths.
    git: Git,
    /// Our own bare repository.
    store: PathBuf,
    /// Git in the user's repository, where that sees more of the configuration than ours.
    theirs: Option<Git>,
    /// What it sees more, once that was asked.
    settings: Arc<OnceLock<Vec<(String, String)>>>,
    /// The remote's name.
    pub(super) name: String,
    /// Whether git has been told of a remote of this name.
    is_known: bool,
    /// The ref on the remote.
    reference: String,
}

/// Whether the remote has the ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It was fetched.
    Present,
    /// There is no such ref.
    Absent,
}

/// What is known of a push.
#[derive(Clone, Debug)]
pub(super) enum Pushed {
    /// The remote says that the ref names our commit now.
    Accepted,
    /// The remote says no, or git has seen that the ref is not what was expected. Only a fetch tells why.
    Rejected(Rejection),
    /// It ended before anything was sent.
    Unsent(Rejection),
    /// It was sent, and nobody has said what became of it: it may still arrive.
    Unclear(Rejection),
}

impl Remote {
    pub(super) fn new(git: Git, store: PathBuf, name: &str, reference: &str) -> Self {
        Remote {
            git,
            store,
            theirs: None,
            settings: Arc::default(),
            name: name.to_owned(),
            is_known: true,
            reference: reference.to_owned(),
        }
    }

    /// Nothing is asked of git: it would take the name for something else.
    pub(super) fn unknown(self) -> Self {
        Remote {
            is_known: false,
            ..self
        }
    }

    /// Whose settings are to be looked up besides those that our own repository includes.
    pub(super) fn with_settings_of(self, theirs: Git) -> Self {
        Remote {
            theirs: Some(theirs),
            ..self
        }
    }

    /// Git with all that the user's own would go by.
    fn git(&self) -> Result<Git> {
        let git = self.git.clone().without_prompt();
        let Some(theirs) = &self.theirs else {
            return Ok(git);
        };
        if let Some(settings) = self.settings.get() {
            return Ok(git.with_settings(settings));
        }
        let store = format!("--git-dir={}", self.store.display());
        let settings = settings::missing(theirs, &self.git, &store)?;
        Ok(git.with_settings(self.settings.get_or_init(|| settings)))
    }

    /// The ref's name on the remote.
    pub(super) fn reference(&self) -> &str {
        &self.reference
    }

    /// Fetches the ref into `into`. Nothing is transferred where nothing has changed.
    pub(super) fn fetch(&self, into: &str, limit: &Deadline) -> Result<Presence> {
        // Somebody may take the first lock between the two questions: then it is there.
        self.fetch_once(into, limit)
            .or_else(|| self.fetch_once(into, limit))
            .unwrap_or_else(|| Err(self.unreachable("it lists its lock ref but does not send it")))
    }

    /// `None` where the remote has the ref and has not given it.
    fn fetch_once(&self, into: &str, limit: &Deadline) -> Option<Result<Presence>> {
        let refspec = format!("+{}:{into}", self.reference);
        let fetched = self.ask(
            &[
                "fetch",
                "--quiet",
                "--no-filter",
                "--no-tags",
                "--no-prune",
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--no-recurse-submodules",
                "--refmap=",
                &self.name,
                &refspec,
            ],
            limit,
        );
        let output = match fetched {
            Ok(output) if output.status.success() => return Some(Ok(Presence::Present)),
            Ok(output) => output,
            Err(error) => return Some(Err(error)),
        };
        // A ref that is not there is a failure like any other: asked for by itself, it is exit status 2.
        let asked = self.ask(
            &[
                "ls-remote",
                "--quiet",
                "--exit-code",
                &self.name,
                &self.reference,
            ],
            limit,
        );
        match asked.map(|asked| asked.status.code()) {
            Ok(Some(2)) => Some(Ok(Presence::Absent)),
            Ok(Some(0)) => None,
            Ok(_) => Some(Err(self.unreachable(&words(&output.stderr)))),
            Err(error) => Some(Err(error)),
        }
    }

    /// Makes the ref name `new`, if it names `old` (or, for `None`, does not exist).
    pub(super) fn push(&self, old: Option<&str>, new: &str, limit: Duration) -> Result<Pushed> {
        let lease = format!(
            "--force-with-lease={}:{}",
            self.reference,
            old.unwrap_or_default()
        );
        let refspec = format!("{new}:{}", self.reference);
        let mirror = format!("remote.{}.mirror=false", self.name);
        let exchange = self.run(
            &[
                "-c",
                &mirror,
                "push",
                "--porcelain",
                "--progress",
                "--no-verify",
                "--no-follow-tags",
                "--no-signed",
                "--recurse-submodules=no",
                &lease,
                &self.name,
                &refspec,
            ],
            limit,
        )?;
        Ok(self.outcome(&exchange, limit))
    }

    /// What an exchange tells of a push: a line for each URL that is pushed to.
    fn outcome(&self, exchange: &Exchange, limit: Duration) -> Pushed {
        let told = String::from_utf8_lossy(&exchange.stdout);
        let of_ours: Vec<(char, &str)> = told_of(&told, &self.reference).collect();
        let is_word = |(flag, reason): &(char, &str)| match flag {
            '*' | '+' | ' ' => true,
            // Any other reason is git's own, where it has heard nothing.
            '!' => reason.starts_with("[rejected]") || reason.starts_with("[remote rejected]"),
            // The very commit is there already: by an earlier push, perhaps. A fetch shows it.
            _ => false,
        };
        let refused = of_ours.iter().find(|(flag, _)| *flag == '!');
        let reason = refused.or(of_ours.first()).map_or("", |(_, reason)| reason);
        let mut rejection = Rejection::new(reason, &exchange.stderr);
        if exchange.status.is_none() {
            rejection.add(&format!("no answer within {} s", limit.as_secs().max(1)));
        }
        if of_ours.is_empty() && !rejection.was_sent() {
            return Pushed::Unsent(rejection);
        }
        match exchange.status {
            Some(status) if !of_ours.is_empty() && of_ours.iter().all(is_word) => {
                if refused.is_some() {
                    Pushed::Rejected(rejection)
                } else if status.success() {
                    Pushed::Accepted
                } else {
                    Pushed::Unclear(rejection)
                }
            }
            _ => Pushed::Unclear(rejection),
        }
    }

    /// Runs a git that must end by itself.
    fn ask(&self, arguments: &[&str], limit: &Deadline) -> Result<std::process::Output> {
        let exchange = self.run(arguments, limit.for_a_look())?;
        let late = || self.unreachable(&format!("no answer within {} s", limit.seconds()));
        exchange.ended().ok_or_else(late)
    }

    fn run(&self, arguments: &[&str], limit: Duration) -> Result<Exchange> {
        if !self.is_known {
            return Err(self.unreachable("git has no remote of this name here"));
        }
        let store = format!("--git-dir={}", self.store.display());
        let own = [store.as_str(), "-c", "core.hooksPath=/dev/null"];
        let all = [&own[..], arguments].concat();
        self.git()?.exchange(&all, limit)
    }

    pub(super) fn unreachable(&self, problem: &str) -> Error {
        Error::Unreachable {
            remote: self.name.clone(),
            problem: problem.to_owned(),
            hint: self.under_another_name(),
        }
    }

    /// The next step where the repository does not know a remote of this name: a clone may call it something else.
    pub(super) fn under_another_name(&self) -> Option<String> {
        let output = self
            .theirs
            .as_ref()
            .unwrap_or(&self.git)
            .output(&["remote"])
            .ok()?;
        let text = String::from_utf8_lossy(&output).into_owned();
        let names: Vec<&str> = text.lines().collect();
        if names.contains(&self.name.as_str()) {
            return None;
        }
        // Words of others are never in a command to paste: they may be an option, or a command of their own.
        let is_plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        if self.name.starts_with('-') || !self.name.chars().all(is_plain) {
            return Some("name a remote of this repository: git config latch.remote NAME".into());
        }
        Some(match names.as_slice() {
            [] => format!("there is no remote here: git remote add {} URL", self.name),
            [name] => format!(
                "there is no remote `{}` here; if it is called `{name}` in this clone: git config latch.remote {name}",
                self.name
            ),
            names => format!(
                "there is no remote `{}` here; if it has another name in this clone ({}): git config latch.remote NAME",
                self.name,
                names.join(", ")
            ),
        })
    }
}
