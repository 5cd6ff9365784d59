//! The lock ref on a git remote: fetched, and changed by compare-and-swap. Everything through the `git` command, run where
//! the user's own git would run, with our own bare repository as its repository.

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use super::branch::Branch;
use super::rejection::{Rejection, told_of, words};
use crate::error::{Error, Fate, Result};
use crate::fault;
use crate::git::Git;

/// How long one exchange with the remote may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// The same where a branch goes with it, with large files perhaps.
const WITH_BRANCH: Duration = Duration::from_secs(60 * 60);

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
        self.fetch_in(into, limit, 2)
    }

    fn fetch_in(&self, into: &str, limit: Option<Duration>, tries: u32) -> Result<Presence> {
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
        match asked.status.code() {
            Some(2) => Ok(Presence::Absent),
            // It is there: somebody took the first lock in between.
            Some(0) if tries > 1 => self.fetch_in(into, limit, tries - 1),
            _ => Err(self.unreachable(&words(&output))),
        }
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
        let of_ours: Vec<(char, &str)> = told_of(&told, &self.reference).collect();
        // `=` would be an identical commit, which is no proof that it is ours.
        let is_accepted = |(flag, _): &(char, &str)| matches!(flag, '*' | '+' | ' ');
        let Some((_, reason)) = of_ours.first() else {
            return Ok(Pushed::Not(Rejection::new("", &output)));
        };
        if output.status.success() && of_ours.iter().all(is_accepted) {
            return Ok(Pushed::Accepted);
        }
        let of_branch = branch.and_then(|branch| branch.refusal(&told));
        let reason = of_branch.unwrap_or(reason);
        Ok(Pushed::Not(Rejection::new(reason, &output)))
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
        self.run_with(
            &self.git,
            &all,
            limit.unwrap_or_else(|| fault::limit("GIT_LATCH_DEADLINE_MS", DEADLINE)),
        )
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
