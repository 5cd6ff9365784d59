//! The lock ref on a git remote: fetched, and changed by compare-and-swap. Everything through the `git` command, run where
//! the user's own git would run, with our own bare repository as its repository.

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use crate::error::{Code, Error, Fate, Result};
use crate::git::Git;
use crate::repo::Repo;

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

/// How git's words about sending begin: they are asked for, because they tell whether anything was sent.
const SENDING: &str = "Writing objects";
/// The beginnings of all its words about progress.
const PROGRESS: [&str; 8] = [
    SENDING,
    "Enumerating objects",
    "Counting objects",
    "Compressing objects",
    "Delta compression",
    "Total ",
    "remote: Resolving deltas",
    "remote: Unpacking objects",
];

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

/// A branch that is pushed together with a change of the locks.
#[derive(Clone, Debug)]
pub struct Branch {
    git: Git,
    name: String,
    there: String,
}

impl Branch {
    /// The branch that is checked out, under a ref's full name on the remote.
    #[must_use]
    pub fn new(repo: &Repo, name: &str, there: &str) -> Self {
        Branch {
            git: repo.git(),
            name: name.to_owned(),
            there: there.to_owned(),
        }
    }

    fn refspec(&self) -> String {
        format!("refs/heads/{}:{}", self.name, self.there)
    }

    /// Why the remote, or git, does not let the branch move, if that is what stands against the push.
    fn refusal(&self, told: &str) -> Option<String> {
        let of_ours = |line: &&str| {
            let names = line.split('\t').nth(1);
            names.is_some_and(|names| names.ends_with(&format!(":{}", self.there)))
        };
        let line = told.lines().find(of_ours)?;
        let reason = line.strip_prefix('!')?.split('\t').nth(2)?;
        (!reason.contains("atomic")).then(|| reason.to_owned())
    }
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

/// What was said about a push that did not go through.
#[derive(Clone, Debug)]
pub(super) struct Rejection {
    /// Git's and the remote's words.
    words: String,
    /// Whether anything was sent before it ended.
    was_sent: bool,
    /// The word for why, where the remote's own git-latch rejects it, with its sentence and its next step.
    verdict: Option<(Code, String, Option<String>)>,
}

impl Rejection {
    fn new(reason: &str, output: &Output) -> Self {
        let more = words(output);
        let stderr = String::from_utf8_lossy(&output.stderr);
        Rejection {
            was_sent: stderr.contains(SENDING),
            words: match (reason, more.as_str()) {
                ("", more) => more.to_owned(),
                (reason, "") => reason.to_owned(),
                (reason, more) => format!("{reason}: {more}"),
            },
            verdict: verdict(&stderr),
        }
    }

    /// An error met when asking what became of the push: where it was sent, nobody knows.
    pub(super) fn explain(&self, error: Error) -> Error {
        match error {
            Error::Unreachable {
                remote, problem, ..
            } if self.was_sent => Error::Unreachable {
                remote,
                problem,
                fate: Fate::Unknown,
            },
            other => other,
        }
    }
}

/// What a git-latch on the remote says: sentences, `hint: …`, and lines `git-latch: <code> <path>`.
fn verdict(stderr: &str) -> Option<(Code, String, Option<String>)> {
    let lines = || {
        let told = stderr.lines().filter_map(|l| l.strip_prefix("remote:"));
        told.map(str::trim).filter(|line| !line.is_empty())
    };
    let code = lines().find_map(|line| {
        let (word, _) = line.strip_prefix("git-latch: ")?.split_once(' ')?;
        Code::of(word)
    })?;
    let is_sentence = |line: &&str| !line.starts_with("git-latch: ") && !line.starts_with("hint:");
    let sentences: Vec<&str> = lines().filter(is_sentence).collect();
    let sentences = sentences.join("; ");
    let problem = sentences.strip_prefix("error: ").unwrap_or(&sentences);
    let mut hints = lines().filter_map(|line| line.strip_prefix("hint:"));
    let hint = hints
        .next()
        .map(|hint| crate::path::escaped(hint.trim().as_bytes()));
    Some((code, crate::path::escaped(problem.as_bytes()), hint))
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
                return Ok(Pushed::Not(Rejection {
                    words: problem,
                    was_sent: true,
                    verdict: None,
                }));
            }
            other => other?,
        };
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let of_ours = |line: &&str| {
            line.split('\t')
                .nth(1)
                .is_some_and(|r| r.ends_with(&format!(":{}", self.reference)))
        };
        let flag = told
            .lines()
            .find(of_ours)
            .and_then(|line| line.chars().next());
        Ok(match flag {
            // `=` would be an identical commit, which is no proof that it is ours.
            Some('*' | '+' | ' ') => Pushed::Accepted,
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
        let output = branch.git.run(&["config", "--get-all", &key])?;
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
        Err(self.refused(Rejection::new("", &output), Some(branch)))
    }

    /// The user's git in the user's repository, which runs the user's hooks, with our objects at hand.
    fn users_git(&self, branch: &Branch) -> Git {
        let objects = self.store.join("objects");
        branch
            .git
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

    /// The error of a push that was refused though nobody was faster.
    pub(super) fn refused(&self, rejection: Rejection, branch: Option<&Branch>) -> Error {
        if let Some((code, problem, hint)) = rejection.verdict {
            return Error::Forbidden {
                remote: self.name.clone(),
                code,
                problem,
                hint,
            };
        }
        if let Some(branch) = branch {
            return Error::NotPushed {
                remote: self.name.clone(),
                branch: branch.name.clone(),
                problem: rejection.words,
            };
        }
        Error::Refused {
            remote: self.name.clone(),
            problem: rejection.words,
            hint: Some(
                "a host that takes no refs of its own kind wants a branch in the policy: `[share] ref = \"refs/heads/latch\"`".into(),
            ),
        }
    }
}

/// What git said on stderr, as one line.
fn words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let is_progress = |line: &str| PROGRESS.iter().any(|words| line.starts_with(words));
    let lines: Vec<&str> = text
        .split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("To ") && !is_progress(line))
        .collect();
    crate::path::escaped(lines.join("; ").as_bytes())
}
