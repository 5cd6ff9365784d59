//! What a daemon has to tell.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::rules::error::Error;
use crate::rules::event::Event;
use crate::rules::lock::Lock;
use crate::rules::loss::Loss;
use crate::rules::path::RepoPath;

/// What a daemon has to tell.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// Something happened to a lock, or somebody edited here what another has locked.
    Event(Box<Event>),
    /// The clock jumped: the machine slept, or somebody set it.
    Jumped(TimeDelta),
    /// A lease of mine is lost.
    Lost(Box<Loss>),
    /// Nobody works on the file of a lease of mine: it is not renewed, and ends then.
    Ending(Box<Lock>, Option<DateTime<Utc>>),
    /// Leases of mine could not be renewed, more than once; the first of them ends then.
    NotRenewed(Error, Vec<Lock>, Option<DateTime<Utc>>),
    /// They are renewed again.
    RenewedAgain,
    /// The shared locks could not be fetched; tried again after that long.
    OutOfStep(Error, Duration),
    /// They were fetched again.
    InStep,
    /// Something else failed; it is tried again.
    Failed(&'static str, Error),
    /// So many folders are not watched, for that reason: edits in them are noticed by looking.
    NotWatched(String, usize),
    /// The system does not tell of changes of the locks, for that reason; or it does again.
    Polling(Option<String>),
    /// What would be done.
    Would(Action),
}

/// Something that would be done.
#[derive(Debug)]
pub enum Action {
    /// A lease would be renewed.
    Renew(Box<Lock>),
    /// A file would be locked on its first edit.
    Lock(RepoPath),
    /// A lock that was taken on the first edit would be given back.
    Unlock(RepoPath),
    /// So many expired locks would be cleaned up.
    Sweep(usize),
}

impl Action {
    /// What tells it from others.
    pub(super) fn name(&self) -> String {
        match self {
            Action::Renew(lock) => format!("renew {}", lock.lease),
            Action::Lock(path) => format!("lock {path}"),
            Action::Unlock(path) => format!("unlock {path}"),
            Action::Sweep(count) => format!("sweep {count}"),
        }
    }
}
