//! The one error of the library.
//!
//! Every variant names the path, the file or the holder it is about; advice is separate data ([`Error::hint`]), and so
//! is the word that scripts read ([`Error::code`]). Text is lower case, without a full stop, user's data in backticks.

use std::io;
use std::path::{Path, PathBuf};

use crate::rules::spelling::{Here, quoted};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The word for what went wrong, as it stands in `error.code` and in refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// Another holder has the path.
    Held,
    /// The path may only be edited under a lock of one's own.
    Required,
    /// The policy does not let this person do it.
    Forbidden,
    /// The path has changes that nobody else has yet.
    Unpushed,
    /// The working copy is older than what the remote has.
    Stale,
    /// Wrong arguments.
    BadUsage,
    /// A path that cannot be locked or does not exist.
    BadPath,
    /// The policy file does not parse.
    BadPolicy,
    /// Nobody said who "I" am.
    NoIdentity,
    /// Not inside a git repository.
    NotARepository,
    /// This repository, file system or platform cannot do it.
    Unsupported,
    /// The lease was mine and is gone.
    Lost,
    /// The path is not locked by me.
    NotHeld,
    /// Remote or server cannot be reached.
    Unreachable,
    /// Remote or server said no.
    Refused,
    /// Nobody knows whether the remote has made the change.
    Unknown,
    /// Input, output or corrupt state.
    Io,
    /// The guard is taken or the race was lost too often; nothing changed.
    Busy,
}

impl Code {
    /// Every word.
    const ALL: [Code; 18] = [
        Code::Held,
        Code::Required,
        Code::Forbidden,
        Code::Unpushed,
        Code::Stale,
        Code::BadUsage,
        Code::BadPath,
        Code::BadPolicy,
        Code::NoIdentity,
        Code::NotARepository,
        Code::Unsupported,
        Code::Lost,
        Code::NotHeld,
        Code::Unreachable,
        Code::Refused,
        Code::Unknown,
        Code::Io,
        Code::Busy,
    ];

    /// The code of a word.
    #[must_use]
    pub(crate) fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }

    /// The word as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Held => "held",
            Code::Required => "required",
            Code::Forbidden => "forbidden",
            Code::Unpushed => "unpushed",
            Code::Stale => "stale",
            Code::BadUsage => "bad_usage",
            Code::BadPath => "bad_path",
            Code::BadPolicy => "bad_policy",
            Code::NoIdentity => "no_identity",
            Code::NotARepository => "not_a_repository",
            Code::Unsupported => "unsupported",
            Code::Lost => "lost",
            Code::NotHeld => "not_held",
            Code::Unreachable => "unreachable",
            Code::Refused => "refused",
            Code::Unknown => "unknown",
            Code::Io => "io",
            Code::Busy => "busy",
        }
    }
}

/// Who does not let a branch go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The remote, or git because of what the remote has.
    Remote,
    /// The remote's own git-latch, with its word for why.
    Policy(Code),
    /// Git by its configuration here, or a hook here.
    Git,
    /// Nobody: the remote does not answer.
    Nobody,
}

impl By {
    fn code(self) -> Code {
        match self {
            By::Remote => Code::Refused,
            By::Policy(code) => code,
            By::Git => Code::Unpushed,
            By::Nobody => Code::Unreachable,
        }
    }

    fn advice(self) -> &'static str {
        match self {
            By::Remote => "you keep your locks; run git pull, then git latch checkin again",
            By::Policy(_) => {
                "the commit exists here and you keep your locks; remove from the branch what the remote rejected, or wait until it is free"
            }
            By::Git => {
                "the commit exists here and you keep your locks; run git push as git says above, then git latch checkin again"
            }
            By::Nobody => {
                "the commit exists here and you keep your locks; run git latch checkin again once the remote answers"
            }
        }
    }
}

/// What can go wrong. Refusals ("held by another") are not errors but outcomes of the operations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call makes no sense.
    #[error("{problem}")]
    BadUsage {
        /// What is wrong with it.
        problem: String,
        /// The next step.
        hint: Option<String>,
    },
    /// A path that cannot be locked, or that names nothing.
    #[error("cannot use path {}: {problem}", quoted(path.as_bytes()))]
    BadPath {
        /// The path as it was given.
        path: String,
        /// Why it cannot be used.
        problem: String,
        /// The next step.
        hint: Option<String>,
    },
    /// The policy file is broken.
    #[error("{}:{line}: {problem}", file.display())]
    BadPolicy {
        /// The policy file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The server's file of users is broken.
    #[error("{}:{line}: {problem}", file.display())]
    BadUsers {
        /// The file of users.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// Neither `--as` nor environment nor configuration says who I am.
    #[error("no identity is set: neither `latch.owner` nor `user.email` is set")]
    NoIdentity,
    /// There is no git repository here.
    #[error("not in a git repository: {}", quoted_path(path))]
    NotARepository {
        /// Where it was looked for.
        path: PathBuf,
        /// Git's own words.
        detail: String,
    },
    /// This place cannot do it.
    #[error("{problem}")]
    Unsupported {
        /// What cannot be done, and where.
        problem: String,
        /// The next step.
        hint: Option<String>,
    },
    /// Something else stands where `.locks` or the lock directory belongs.
    #[error("{} is in the way: {problem}", quoted_path(path))]
    InTheWay {
        /// What stands there.
        path: PathBuf,
        /// What it is instead.
        problem: String,
    },
    /// Locks are to be shared, and somebody else holds one of this machine: they would not know.
    #[error("{}", self.told(Here::root()))]
    HeldHere {
        /// The path, from the root.
        path: String,
        /// The remote's name.
        remote: String,
    },
    /// A lock of mine is to be shared, and somebody has its path there.
    #[error("{}", self.told(Here::root()))]
    HeldThere {
        /// The path, from the root.
        path: String,
        /// The remote's name.
        remote: String,
    },
    /// Another person's lock would be taken away without a word.
    #[error("{}", self.told(Here::root()))]
    ReasonWanted {
        /// The path, from the root.
        path: String,
        /// Whose lock it is.
        owner: String,
    },
    /// There is no lock of that lease.
    #[error("no lock has the lease {}", quoted(lease.as_bytes()))]
    NoSuchLease {
        /// The lease's id, as it was given.
        lease: String,
    },
    /// Nothing that an argument matches is locked.
    #[error("no locks match {}", quoted(argument.as_bytes()))]
    NoneHeld {
        /// The argument, as it was given.
        argument: String,
    },
    /// The guard stayed taken.
    #[error("another git-latch command keeps the lock directory busy: {holder}")]
    Busy {
        /// What the guard's holder wrote into it: `pid host command since`.
        holder: String,
        /// The guard file.
        guard: PathBuf,
    },
    /// The working tree has a daemon already.
    #[error("a daemon is already running in this working tree: {holder}")]
    DaemonRuns {
        /// What it wrote into its guard: process, host, since when.
        holder: String,
    },
    /// The remote does not answer.
    #[error("the remote `{remote}` cannot be reached: {problem}")]
    Unreachable {
        /// The remote's name.
        remote: String,
        /// Git's words.
        problem: String,
        /// The next step, where it is not to see whether git itself reaches the remote.
        hint: Option<String>,
    },
    /// A change was sent, and nobody knows whether it has arrived.
    ///
    /// Nothing that it was to take counts as taken. What it was to give back counts as given back: its holder may not rely
    /// on it any more.
    #[error("cannot tell whether the change reached the remote `{remote}`: {problem}")]
    Unknown {
        /// The remote's name.
        remote: String,
        /// Git's words.
        problem: String,
        /// The leases that it was to end.
        released: Vec<String>,
    },
    /// The remote says no, and not because somebody was faster.
    #[error("the remote `{remote}` rejected the lock ref: {problem}")]
    Refused {
        /// The remote's name.
        remote: String,
        /// Git's words.
        problem: String,
        /// The next step.
        hint: Option<String>,
    },
    /// A branch that was to be pushed together with a change of the locks was not.
    #[error("`{branch}` was not pushed to `{remote}`: {problem}")]
    NotPushed {
        /// The remote's name.
        remote: String,
        /// The branch.
        branch: String,
        /// Git's words.
        problem: String,
        /// Who says no.
        by: By,
    },
    /// Git, or a hook of the user's, does not commit.
    #[error("nothing was committed: {problem}")]
    NotCommitted {
        /// Its words.
        problem: String,
        /// The next step.
        hint: Option<String>,
    },
    /// The remote's own git-latch says no to a change of the locks.
    #[error("the remote `{remote}` denied the change: {problem}")]
    Forbidden {
        /// The remote's name.
        remote: String,
        /// Its word for why.
        code: Code,
        /// Its words.
        problem: String,
        /// Its next step.
        hint: Option<String>,
    },
    /// Others were faster for too long.
    #[error("the locks on `{remote}` keep changing; nothing was changed")]
    Contended {
        /// The remote's name.
        remote: String,
    },
    /// An operating system error, with what was being done to which path.
    #[error("cannot {action} {}", quoted_path(path))]
    Io {
        /// The verb.
        action: &'static str,
        /// The path it was done to.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// State of ours that does not parse.
    #[error("{} is damaged: {problem}", quoted_path(path))]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The `git` command failed.
    #[error("`git {command}` failed: {problem}")]
    Git {
        /// The subcommand and its first arguments.
        command: String,
        /// Its own words, or its exit status.
        problem: String,
    },
}

/// A file's path between backticks, safe to print.
fn quoted_path(path: &Path) -> String {
    quoted(path.as_os_str().as_encoded_bytes())
}

impl Error {
    /// An I/O error with its path; `action` completes "cannot … `path`".
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Error::Io {
            action,
            path,
            source,
        }
    }

    /// A path that cannot be used, without a hint.
    pub(crate) fn bad_path(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Error::BadPath {
            path: path.into(),
            problem: problem.into(),
            hint: None,
        }
    }

    /// Wrong use with a next step.
    pub(crate) fn bad_usage(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Error::BadUsage {
            problem: problem.into(),
            hint: Some(hint.into()),
        }
    }

    /// What went wrong; paths of the repository are called as they are from there.
    #[must_use]
    pub fn told(&self, here: &Here) -> String {
        let path = |path: &String| here.path(path.as_bytes());
        match self {
            Error::HeldHere { path: held, remote } => format!(
                "cannot share locks through `{remote}` yet: another holder still has a local lock on {}",
                path(held)
            ),
            Error::HeldThere { path: held, remote } => format!(
                "your lock on {} cannot move to `{remote}`: another holder has locked it there",
                path(held)
            ),
            Error::ReasonWanted { path: held, owner } => format!(
                "removing the lock on {}, held by {owner}, needs a reason",
                path(held)
            ),
            other => other.to_string(),
        }
    }

    /// The next step as a command that works there, where there is one to name.
    #[must_use]
    pub fn advice(&self, here: &Here) -> Option<String> {
        match self {
            Error::HeldThere { path, .. } => Some(format!(
                "remove `[share] remote` from the policy, then unlock it: git latch unlock {}",
                here.path(path.as_bytes())
            )),
            Error::ReasonWanted { path, .. } => Some(format!(
                "give a reason for its holder to read: git latch unlock --force -m WHY {}",
                here.path(path.as_bytes())
            )),
            other => other.hint(),
        }
    }

    /// The word for scripts.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Error::BadUsage { .. } | Error::BadUsers { .. } | Error::ReasonWanted { .. } => {
                Code::BadUsage
            }
            Error::BadPath { .. } => Code::BadPath,
            Error::BadPolicy { .. } => Code::BadPolicy,
            Error::NoIdentity => Code::NoIdentity,
            Error::NotARepository { .. } => Code::NotARepository,
            Error::Unsupported { .. }
            | Error::InTheWay { .. }
            | Error::HeldHere { .. }
            | Error::HeldThere { .. } => Code::Unsupported,
            Error::NoSuchLease { .. } | Error::NoneHeld { .. } => Code::NotHeld,
            Error::DaemonRuns { .. } => Code::Held,
            Error::Busy { .. } | Error::Contended { .. } => Code::Busy,
            Error::Unreachable { .. } => Code::Unreachable,
            Error::Refused { .. } => Code::Refused,
            Error::NotPushed { by, .. } => by.code(),
            Error::NotCommitted { .. } => Code::Unpushed,
            Error::Unknown { .. } => Code::Unknown,
            Error::Forbidden { code, .. } => *code,
            Error::Io { .. } | Error::Corrupt { .. } | Error::Git { .. } => Code::Io,
        }
    }

    /// The next step, where there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::BadUsage { hint, .. }
            | Error::BadPath { hint, .. }
            | Error::Unsupported { hint, .. }
            | Error::Refused { hint, .. }
            | Error::NotCommitted { hint, .. }
            | Error::Forbidden { hint, .. } => hint.clone(),
            Error::Unreachable { remote, hint, .. } => {
                let usual =
                    || format!("nothing was changed; check that `git ls-remote {remote}` works");
                Some(hint.clone().unwrap_or_else(usual))
            }
            Error::Unknown { released, .. } => Some(unknown_hint(!released.is_empty()).into()),
            Error::NotPushed { by, .. } => Some(by.advice().into()),
            Error::Contended { .. } => Some("try again".into()),
            Error::BadPolicy { .. } => Some(
                "fix or remove that line; the file that `git latch init` writes lists every key"
                    .into(),
            ),
            Error::BadUsers { .. } => Some(
                "fix it by hand: git-latch does not overwrite a file that it cannot parse".into(),
            ),
            Error::NoIdentity => Some("git config --global user.email you@example.com".into()),
            Error::NotARepository { .. } => {
                Some("change into a repository, or name one with `-C DIR`".into())
            }
            Error::InTheWay { .. } => Some("move it away, then run `git latch init`".into()),
            Error::DaemonRuns { .. } => {
                Some("only one can run at a time; to start another, end that process first".into())
            }
            Error::Busy { guard, .. } => Some(format!(
                "nothing was changed; try again, or see who holds {}",
                quoted_path(guard)
            )),
            Error::Io { source, path, .. } => io_hint(source, path),
            Error::Corrupt { .. } => {
                Some("`git latch doctor` shows what is wrong and how to fix it".into())
            }
            Error::NoneHeld { .. } => Some("`git latch list` shows what is locked".into()),
            Error::NoSuchLease { .. } => {
                Some("`git latch list --mine --json` shows the leases that are yours".into())
            }
            Error::HeldHere { .. } => Some("wait until it is unlocked: git latch list".into()),
            Error::HeldThere { .. } | Error::ReasonWanted { .. } => self.advice(Here::root()),
            Error::Git { .. } => None,
        }
    }
}

/// What a change counts as of which nothing is known.
fn unknown_hint(has_released: bool) -> &'static str {
    if has_released {
        "the lock counts as released: do not rely on it; once the remote answers, see what happened: git latch sync"
    } else {
        "the change counts as not done; once the remote answers, see what happened: git latch sync"
    }
}

/// What helps against the system errors people really meet.
fn io_hint(source: &io::Error, path: &Path) -> Option<String> {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some(format!("free some space on the file system of {}", quoted_path(path)))
        }
        io::ErrorKind::PermissionDenied => {
            Some("fix its permissions; a repository shared by several accounts needs `core.sharedRepository`".into())
        }
        io::ErrorKind::ReadOnlyFilesystem => Some("the file system is mounted read-only".into()),
        _ => None,
    }
}
