//! One daemon for each working tree: a file lock that the kernel releases when its holder ends.

use chrono::{DateTime, Utc};

use crate::latch::Latch;
use crate::os::guard::{self, Guard};
use crate::rules::error::{Error, Result};
use crate::rules::time::rfc3339;
use crate::store::TreeDir;

/// The right to be a working tree's daemon, until it is dropped.
#[must_use = "another daemon may begin as soon as it is dropped"]
#[derive(Debug)]
pub(super) struct Instance {
    guard: Guard,
}

impl Instance {
    /// Whether it still keeps others from beginning.
    pub(super) fn is_current(&self) -> bool {
        self.guard.is_current()
    }

    /// Begins to be the daemon.
    ///
    /// # Errors
    /// [`Error::DaemonRuns`] with who is it already.
    pub(super) fn begin(latch: &Latch, host: &str, now: DateTime<Utc>) -> Result<Self> {
        let directory = TreeDir::of(latch.repo().git_dir());
        directory.create(latch.sharing())?;
        let path = directory.daemon();
        let note = format!("{} on {host} since {}\n", std::process::id(), rfc3339(now));
        match Guard::try_take(&path, &note)? {
            Some(guard) => Ok(Instance { guard }),
            None => Err(Error::DaemonRuns {
                holder: guard::noted(&path)
                    .map_or(guard::NAMELESS.into(), |note| format!("process {note}")),
            }),
        }
    }
}
