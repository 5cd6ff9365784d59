//! The lock ref on a git remote: fetched, and changed by compare-and-swap. Everything through the `git` command, run where
//! the user's own git would run, with our own bare repository as its repository.

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use super::branch::Branch;
use super::rejection::{Rejection, words};
use crate::error::{Error, Fate, Result};
use crate::git::Git;

/// How long one exchange with the remote may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// The same where a branch goes with it, with large files perhaps.
const WITH_BRANCH: Duration = Duration::from_secs(60 * 60);

/// How long one exchange may take; tests of the error do not want to wait a minute.
fn deadline() -> Duration {
    #[cfg(debug_assertions)]
    if let Some(millis) = std::env::var("GIT_LATCH_DEADLINE_MS")
        .ok()
        .and_then(|v| v.parse().ok())
    {
        return Duration::from_millis(millis);
    }
    DEADLINE
}

/// A remote's lock ref.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    /// Git, where the user's own would run: remotes may be relative paths.
    git: Git,
    /// Our own bare repository.
    store: PathBuf,
    /// The remote's name.
    pub(super) name: String,
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

/// What became of a push.
#[derive(Clone, Debug)]
pub(super) enum Pushed {
    /// The ref names our commit now.
    Accepted,
    /// It does not, or nobody knows. Only a fetch tells why.
    Not(Rejection),
}

impl Remote {
    pub(super) fn new(git: Git, store: PathBuf, name: &str, reference: &str) -> Self {
        Remote {
            git,
            store,
            name: name.to_owned(),
            reference: reference.to_owned(),
        }
    }

    /// Fetches the ref into `into`. Nothing is transferred where nothing has changed.
    pub(super) fn fetch(&self, into: &str, limit: Option<Duration>) -> Result<Presence> {
        let refspec = format!("+{}:{into}", self.reference);
        let output = self.run(
            &[
                "fetch",
                "--quiet",
                "--no-filter",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--no-recurse-submodules",
                "--refmap=",
                &self.name,
                &refspec,
            ],
            limit,
        )?;
        if output.status.success() {
            return Ok(Presence::Present);
        }
        // A ref that is not there is a failure like any other: asked for by itself, it is exit status 2.
        let asked = self.run(
            &[
                "ls-remote",
                "--quiet",
                "--exit-code",
                &self.name,
                &self.reference,
            ],
            limit,
        )?;
        if asked.status.code() == Some(2) {
            return Ok(Presence::Absent);
        }
        Err(self.unreachable(&words(&output)))
    }

    /// Makes the ref name `new`, if it names `old` (or, for `None`, does not exist); with `branch`, both or neither.
    pub(super) fn push(
        &self,
        old: Option<&str>,
        new: &str,
        branch: Option<&Branch>,
    ) -> Result<Pushed> {
        let lease = format!(
            "--force-with-lease={}:{}",
            self.reference,
            old.unwrap_or_default()
        );
        let refspec = format!("{new}:{}", self.reference);
        let mirror = format!("remote.{}.mirror=false", self.name);
        let begin = ["-c", &mirror, "push", "--porcelain", "--progress"];
        let options = [
            "--no-follow-tags",
            "--no-signed",
            "--recurse-submodules=no",
            &lease,
        ];
        let output = match branch {
            None => {
                let how = ["--no-verify"];
                let what = [self.name.as_str(), &refspec];
                let all = [&begin[..], &how, &options, &what].concat();
                self.run(&all, None)
            }
            Some(branch) => {
                let how = ["--atomic"];
                let what = [self.name.as_str(), &branch.refspec(), &refspec];
                let all = [&begin[..], &how, &options, &what].concat();
                self.run_with(&self.users_git(branch), &all, WITH_BRANCH)
            }
        };
        let output = match output {
            Err(Error::Unreachable { problem, .. }) => {
                return Ok(Pushed::Not(Rejection::unheard(problem)));
            }
            other => other?,
        };
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let of_ours = |line: &&str| {
            line.split('\t')
                .nth(1)
                .is_some_and(|r| r.ends_with(&format!(":{}", self.reference)))
        };
        // With several push URLs there is a line for each.
        let flags: Vec<char> = told
            .lines()
            .filter(of_ours)
            .filter_map(|line| line.chars().next())
            .collect();
        // `=` would be an identical commit, which is no proof that it is ours.
        let is_accepted = flags.iter().all(|flag| matches!(flag, '*' | '+' | ' '));
        Ok(match flags.first() {
            Some(_) if is_accepted && output.status.success() => Pushed::Accepted,
            Some(_) => {
                if let Some(branch) = branch
                    && let Some(reason) = branch.refusal(&told)
                {
                    return Ok(Pushed::Not(Rejection::new(&reason, &output)));
                }
                let line = told.lines().find(of_ours).unwrap_or_default();
                let reason = line.split('\t').nth(2).unwrap_or_default();
                Pushed::Not(Rejection::new(reason, &output))
            }
            None => Pushed::Not(Rejection::new("", &output)),
        })
    }

    /// Whether the user's repository keeps a copy of the ref, as it does of branches: a push from there would make one of
    /// objects that only we have.
    pub(super) fn is_tracked(&self, branch: &Branch) -> Result<bool> {
        let key = format!("remote.{}.fetch", self.name);
        let output = branch.git().run(&["config", "--get-all", &key])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let covers = |refspec: &str| {
            let source = refspec.trim_start_matches('+').split(':').next();
            match source.unwrap_or_default().split_once('*') {
                Some((before, after)) => {
                    self.reference.starts_with(before) && self.reference.ends_with(after)
                }
                None => source == Some(&self.reference),
            }
        };
        Ok(text.lines().any(covers))
    }

    /// Pushes a branch by itself.
    pub(super) fn push_branch(&self, branch: &Branch) -> Result<()> {
        let refspec = branch.refspec();
        let all = ["push", "--porcelain", &self.name, &refspec];
        let output = self.run_with(&self.users_git(branch), &all, WITH_BRANCH)?;
        if output.status.success() {
            return Ok(());
        }
        Err(Rejection::new("", &output).into_error(&self.name, Some(branch)))
    }

    /// The user's git in the user's repository, which runs the user's hooks, with our objects at hand.
    fn users_git(&self, branch: &Branch) -> Git {
        let objects = self.store.join("objects");
        branch
            .git()
            .clone()
            .with_variable("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects)
    }

    fn run(&self, arguments: &[&str], limit: Option<Duration>) -> Result<Output> {
        let store = format!("--git-dir={}", self.store.display());
        let own = [store.as_str(), "-c", "core.hooksPath=/dev/null"];
        let all = [&own[..], arguments].concat();
        self.run_with(&self.git, &all, limit.unwrap_or_else(deadline))
    }

    fn run_with(&self, git: &Git, all: &[&str], limit: Duration) -> Result<Output> {
        git.clone()
            .without_prompt()
            .run_within(all, limit)?
            .ok_or_else(|| {
                self.unreachable(&format!("no answer within {} s", limit.as_secs().max(1)))
            })
    }

    pub(super) fn unreachable(&self, problem: &str) -> Error {
        Error::Unreachable {
            remote: self.name.clone(),
            problem: problem.to_owned(),
            fate: Fate::Unchanged,
        }
    }
}
