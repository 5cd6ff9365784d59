//! Locks that are taken on the first edit and given back when the work is out.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::leases::differs;
use crate::edits::{is_combining, work_in_progress};
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
/// A path is noted before it is locked, with the branch it was edited on: from another one nobody can tell whether the
/// work is out. Whose lock on it has another reason was taken by hand.
#[derive(Debug)]
pub(super) struct Taken {
    file: PathBuf,
    sharing: Sharing,
    /// The branch by its full name; empty where there was none.
    branches: BTreeMap<RepoPath, String>,
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
        let parse = |line: &str| {
            let (branch, path) = line.split_once('\t')?;
            Some((RepoPath::new(path).ok()?, branch.to_owned()))
        };
        Ok(Taken {
            file,
            sharing: latch.sharing(),
            branches: text.lines().filter_map(parse).collect(),
        })
    }

    /// The branch on which a lock was taken, if it was taken on a first edit.
    pub(super) fn branch_of(&self, lock: &Lock) -> Option<&str> {
        let is_automatic = lock.reason.as_deref() == Some(REASON);
        let branch = self.branches.get(&lock.path).filter(|_| is_automatic)?;
        Some(branch)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.branches.is_empty()
    }

    /// Notes files that are about to be locked.
    pub(super) fn add(&mut self, paths: &[RepoPath], branch: &str) -> Result<()> {
        let before = self.branches.clone();
        let noted = paths.iter().map(|path| (path.clone(), branch.to_owned()));
        self.branches.extend(noted);
        self.write_unless(self.branches == before)
    }

    /// Forgets the others: they are locked by me no more.
    pub(super) fn keep_only(&mut self, is_mine: impl Fn(&RepoPath) -> bool) -> Result<()> {
        let before = self.branches.len();
        self.branches.retain(|path, _| is_mine(path));
        self.write_unless(self.branches.len() == before)
    }

    fn write_unless(&self, is_same: bool) -> Result<()> {
        if is_same {
            return Ok(());
        }
        let line = |(path, branch): (&RepoPath, &String)| format!("{branch}\t{path}");
        let lines: Vec<String> = self.branches.iter().map(line).collect();
        files::replace(&self.file, lines.join("\n").as_bytes(), self.sharing)
    }
}

/// The branch that a working tree is on, by its full name; empty where it is on none.
pub(super) fn branch(latch: &Latch) -> Result<String> {
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

/// Gives back those of the locks on which there is no work any more. Each comes with the branch it was taken on.
pub(super) fn give_back(
    latch: &Latch,
    locks: &[(Lock, String)],
    clock: &dyn Clock,
) -> Result<Unlocked> {
    let finished = finished(latch, locks)?;
    if finished.is_empty() {
        return Ok(Unlocked::default());
    }
    let targets: Vec<Target> = finished.iter().map(target).collect();
    latch.unlock(What::Targets(&targets), Insist::No, clock)
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
        .filter(|(lock, on)| *on == branch && !differs(lock, &work));
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

/// My locks that end by time and with no process.
pub(super) fn mine<'a>(
    live: impl Iterator<Item = &'a Entry>,
    me: &Me,
) -> impl Iterator<Item = &'a Lock> {
    live.filter_map(Entry::lock)
        .filter(|lock| me.owns(lock) && lock.process.is_none())
}
