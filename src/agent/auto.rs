//! Locks that are taken on the first edit and given back when the work is out.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::leases::differs;
use crate::edits::work_in_progress;
use crate::error::{Error, Result};
use crate::latch::{Latch, LockOptions, Unlocked, What};
use crate::lease::{Acquired, Insist};
use crate::lock::Lock;
use crate::path::{Key, Kind, RepoPath};
use crate::store::{Sharing, files};
use crate::target::Target;
use crate::time::Clock;
use crate::view::{Entry, Me};

/// What others read as the reason.
const REASON: &str = "first edit";

/// The files that the agent locks by itself: their locks are its to give back, also after a restart.
///
/// A path is noted before it is locked. Whose lock on it has another reason was taken by hand.
#[derive(Debug)]
pub(super) struct Taken {
    file: PathBuf,
    sharing: Sharing,
    paths: BTreeSet<RepoPath>,
}

impl Taken {
    /// Those noted in a working tree's git directory.
    pub(super) fn read(latch: &Latch) -> Result<Self> {
        let file = latch.repo().git_dir().join("latch").join("auto");
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) if files::is_absent(&e) => String::new(),
            Err(e) => return Err(Error::io("read", file)(e)),
        };
        Ok(Taken {
            file,
            sharing: latch.sharing(),
            paths: text
                .lines()
                .filter_map(|line| RepoPath::new(line).ok())
                .collect(),
        })
    }

    pub(super) fn contains(&self, lock: &Lock) -> bool {
        lock.reason.as_deref() == Some(REASON) && self.paths.contains(&lock.path)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Notes files that are about to be locked.
    pub(super) fn add(&mut self, paths: &[RepoPath]) -> Result<()> {
        let before = self.paths.len();
        self.paths.extend(paths.iter().cloned());
        self.write_unless(self.paths.len() == before)
    }

    /// Forgets the others: they are locked by me no more.
    pub(super) fn keep_only(&mut self, is_mine: impl Fn(&RepoPath) -> bool) -> Result<()> {
        let before = self.paths.len();
        self.paths.retain(is_mine);
        self.write_unless(self.paths.len() == before)
    }

    fn write_unless(&self, is_same: bool) -> Result<()> {
        if is_same {
            return Ok(());
        }
        let lines: Vec<&str> = self.paths.iter().map(RepoPath::as_str).collect();
        files::replace(&self.file, lines.join("\n").as_bytes(), self.sharing)
    }
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

/// Gives back those of the locks on which there is no work any more.
pub(super) fn give_back(latch: &Latch, locks: &[Lock], clock: &dyn Clock) -> Result<Unlocked> {
    let finished = finished(latch, locks)?;
    if finished.is_empty() {
        return Ok(Unlocked::default());
    }
    let targets: Vec<Target> = finished.iter().map(target).collect();
    latch.unlock(What::Targets(&targets), Insist::No, clock)
}

/// The paths of those of the locks on which there is no work any more.
pub(super) fn finished(latch: &Latch, locks: &[Lock]) -> Result<Vec<RepoPath>> {
    if latch.repo().git_dir().join("index.lock").exists() {
        // Git is at work: half a stash looks like none.
        return Ok(Vec::new());
    }
    let remote = latch.shared().map(crate::store::SharedStore::remote);
    let work = work_in_progress(latch.repo(), remote)?;
    let done = locks.iter().filter(|lock| !differs(lock, &work));
    Ok(done.map(|lock| lock.path.clone()).collect())
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

/// My locks that end by time and with no process.
pub(super) fn mine<'a>(
    live: impl Iterator<Item = &'a Entry>,
    me: &Me,
) -> impl Iterator<Item = &'a Lock> {
    live.filter_map(Entry::lock)
        .filter(|lock| me.owns(lock) && lock.process.is_none())
}
