//! Locks that are taken on the first edit and given back when the work is out.

use std::collections::HashSet;

use super::leases::{differs, renewal_of};
use crate::edits::{is_combining, work_in_progress};
use crate::error::Result;
use crate::first_edits::FirstEdits;
use crate::latch::{Latch, LockOptions};
use crate::lease::Acquired;
use crate::lock::{LeaseId, Lock};
use crate::path::{Key, Kind, RepoPath};
use crate::store::files;
use crate::target::Target;
use crate::time::Clock;
use crate::view::{Entry, Me};

/// What others read as the reason.
const REASON: &str = "first edit";

/// The branch that a working tree is on, by its full name, also while that is rebased; empty where it is on none.
pub(super) fn branch(latch: &Latch) -> Result<String> {
    for rebase in ["rebase-merge", "rebase-apply"] {
        let head = latch.repo().git_dir().join(rebase).join("head-name");
        if let Ok(name) = files::read_small(&head, 4096) {
            return Ok(String::from_utf8_lossy(&name).trim().to_owned());
        }
    }
    Ok(latch.repo().head_ref()?.unwrap_or_default())
}

/// Locks files in my name; what is refused is told.
pub(super) fn lock(latch: &Latch, paths: &[RepoPath], clock: &dyn Clock) -> Result<Acquired> {
    let options = LockOptions {
        reason: Some(REASON.into()),
        several: crate::lease::Several::Partial,
        ..LockOptions::default()
    };
    let targets: Vec<Target> = paths.iter().map(target).collect();
    latch.lock(&targets, &options, clock)
}

/// Gives back those of the locks on which there is no work any more: these leases, whatever became of their paths
/// meanwhile. Each comes with the branch it was taken on. Gives the paths that are free now.
pub(super) fn give_back(
    latch: &Latch,
    me: &Me,
    locks: &[(Lock, String)],
    clock: &dyn Clock,
) -> Result<Vec<RepoPath>> {
    // Who has locked one of them by hand since has taken it off the list.
    let noted = FirstEdits::of(latch).read()?;
    let locks = locks
        .iter()
        .filter(|(lock, _)| noted.contains_key(&lock.path));
    let locks: Vec<_> = locks.cloned().collect();
    let finished = finished(latch, &locks)?;
    if finished.is_empty() {
        return Ok(finished);
    }
    let leases: Vec<_> = locks
        .iter()
        .filter(|(lock, _)| finished.contains(&lock.path))
        .map(|(lock, _)| renewal_of(lock))
        .collect();
    latch.release_leases(&leases, me, clock)?;
    let released: HashSet<&LeaseId> = leases.iter().map(|(_, r)| &r.lease).collect();
    latch.held().strike(|held| released.contains(&held.lease))?;
    Ok(finished)
}

/// The paths of those of the locks on which there is no work any more.
pub(super) fn finished(latch: &Latch, locks: &[(Lock, String)]) -> Result<Vec<RepoPath>> {
    let git_dir = latch.repo().git_dir();
    if git_dir.join("index.lock").exists() || is_combining(git_dir) {
        // Half a stash or rebase looks like no work at all.
        return Ok(Vec::new());
    }
    let remote = latch.shared().map(crate::store::SharedStore::remote);
    let (branch, work) = (branch(latch)?, work_in_progress(latch.repo(), remote)?);
    let done = locks
        .iter()
        .filter(|(lock, on)| (on.is_empty() || *on == branch) && !differs(lock, &work));
    Ok(done.map(|(lock, _)| lock.path.clone()).collect())
}

fn target(path: &RepoPath) -> Target {
    Target {
        path: path.clone(),
        kind: Kind::File,
    }
}

/// Whether a file is locked on its first edit: by the policy's patterns, and where nobody has it.
pub(super) fn wants(latch: &Latch, path: &[u8], holder: Option<&Entry>) -> Option<RepoPath> {
    let is_wanted = holder.is_none() && latch.policy().auto_lock.matches(&Key::of(path));
    let text = std::str::from_utf8(path).ok().filter(|_| is_wanted)?;
    RepoPath::new(text).ok()
}

/// Whether a lock was taken on a first edit, by the word of its reason.
pub(super) fn is_automatic(lock: &Lock) -> bool {
    lock.reason.as_deref() == Some(REASON)
}

/// My locks that end by time and with no process.
pub(super) fn mine<'a>(
    live: impl Iterator<Item = &'a Entry>,
    me: &Me,
) -> impl Iterator<Item = &'a Lock> {
    live.filter_map(Entry::lock)
        .filter(|lock| me.owns(lock) && lock.process.is_none())
}
