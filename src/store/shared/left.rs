//! The lock file of a ref that a git has left which died: nobody can move the ref while it is there.
//!
//! A git that only sleeps, in a hook or because somebody has stopped it, renames it to the ref when it wakes up, whatever
//! file it is by then. So it is removed only where its maker cannot be alive, as far as this machine can tell: it has been
//! the same file for ten minutes of this process's own time, and no git on this machine works in the repository.

use std::path::Path;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::os::files::Stamp;
use crate::os::{fault, process};

/// How long it has to be there.
const LEFT: Duration = Duration::from_secs(600);

/// A lock file that was met.
#[derive(Debug, Default)]
pub(super) struct Left(Mutex<Option<(Stamp, Instant)>>);

impl Left {
    /// Looks at the lock file of a ref in a repository, and removes it if it is left.
    pub(super) fn look(&self, lock: &Path, repository: &Path) {
        let mut met = self.0.lock();
        let Some(stamp) = Stamp::at(lock) else {
            *met = None;
            return;
        };
        let since = match *met {
            Some((before, since)) if before == stamp => since,
            _ => Instant::now(),
        };
        *met = Some((stamp, since));
        if since.elapsed() < fault::limit("GIT_LATCH_LEFT_MS", LEFT) || process::may_use(repository)
        {
            return;
        }
        // Once more: it may have been moved meanwhile, and another one made.
        if Stamp::at(lock) == Some(stamp) {
            let removed = std::fs::remove_file(lock);
            tracing::warn!(lock = %lock.display(), ?removed, "a lock file that a dead git has left");
            *met = None;
        }
    }
}
