//! Locks that are taken on the first edit and given back when the work is out.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::{Action, Daemon, Done, Notice, SWEEP};
use crate::git::edits::{is_combining, is_git_at_work};
use crate::git::target::Target;
use crate::latch::{Latch, LockOptions};
use crate::live::first_edits::{Branches, FirstEdits};
use crate::os::files;
use crate::rules::error::Result;
use crate::rules::lease::Acquired;
use crate::rules::lock::Lock;
use crate::rules::path::{Claim, Key, Kind, RepoPath};
use crate::rules::time::Clock;
use crate::rules::view::{Entry, Me, Standing};
use crate::store::Scope;

/// What others read as the reason.
const REASON: &str = "first edit";

/// What is known of locks on first edits.
#[derive(Debug)]
pub(super) struct AutoLocks {
    list: FirstEdits,
    /// What was on the list when it was looked at last.
    noted: Branches,
    /// Files whose lock is under way, or was taken and not seen yet; with the number of the change once that is known.
    locking: BTreeMap<RepoPath, Option<u64>>,
    /// When to look whose work is out.
    pub(super) give_back_at: Instant,
}

impl AutoLocks {
    pub(super) fn of(latch: &Latch, now: Instant) -> Result<Self> {
        let list = FirstEdits::of(latch);
        Ok(AutoLocks {
            noted: list.read()?,
            list,
            locking: BTreeMap::new(),
            give_back_at: now,
        })
    }

    /// These files are locked, or given back: their locks are not under way any more.
    pub(super) fn seen<'a>(&mut self, paths: impl Iterator<Item = &'a RepoPath>) {
        for path in paths {
            self.locking.remove(path);
        }
    }
}

impl Daemon {
    pub(super) fn lock_first_edits(&mut self, paths: Vec<RepoPath>, notices: &mut Vec<Notice>) {
        if !self.does() {
            self.say(paths.into_iter().map(Action::Lock), notices);
            return;
        }
        let paths: Vec<RepoPath> = paths
            .into_iter()
            .filter(|path| self.auto_locks.locking.insert(path.clone(), None).is_none())
            .collect();
        if paths.is_empty() {
            return;
        }
        let (latch, clock) = (Arc::clone(self.live.latch()), Arc::clone(&self.clock));
        self.store.give(move || {
            let result = lock(&latch, &paths, &*clock);
            Done::Locked(paths, result)
        });
    }

    pub(super) fn hear_locked(
        &mut self,
        paths: &[RepoPath],
        result: Result<(Acquired, Branches)>,
        notices: &mut Vec<Notice>,
    ) {
        let what = "locking on the first edit";
        let (acquired, noted) = match result {
            Ok(answer) => answer,
            Err(error) => {
                self.auto_locks.seen(paths.iter());
                return self.note_failure(what, Err(error), notices);
            }
        };
        self.note_failure(what, Ok(()), notices);
        self.auto_locks.noted = noted;
        // What was acquired is under way until it is seen; what was mine already is seen.
        self.auto_locks.seen(paths.iter());
        for taken in &acquired.locked {
            let path = taken.lock.path.clone();
            self.auto_locks.locking.insert(path, Some(taken.lock.seq));
        }
        for refusal in acquired.refused {
            self.auto_locks.locking.remove(&refusal.path);
            let path = refusal.path.to_string();
            if let Some(holder) = refusal.holder.filter(|entry| self.is_foreign(entry)) {
                self.tell_edited(path.as_bytes(), holder, notices);
            }
        }
        self.strike_first_edits();
    }

    /// Gives back what was locked on the first edit, where the work is out.
    pub(super) fn give_back_finished(&mut self, now: Instant) {
        if self.auto_locks.noted.is_empty()
            || self.busy.giving_back
            || now < self.auto_locks.give_back_at
        {
            return;
        }
        self.auto_locks.give_back_at = now + SWEEP;
        let with_branch = |lock: &Lock| {
            let branch = self.auto_locks.noted.get(&lock.path)?;
            is_automatic(lock).then(|| (lock.clone(), branch.clone()))
        };
        let locks: Vec<(Lock, String)> = self.mine().filter_map(with_branch).collect();
        if locks.is_empty() {
            return;
        }
        self.busy.giving_back = true;
        let (latch, clock) = (Arc::clone(self.live.latch()), Arc::clone(&self.clock));
        if self.does() {
            let me = self.me.clone();
            self.store
                .give(move || Done::GivenBack(give_back(&latch, &me, &locks, &*clock)));
        } else {
            self.tree
                .give(move || Done::Finished(finished(&latch, &locks)));
        }
    }

    /// Takes files off the list of first edits that are locked by me no more.
    pub(super) fn strike_first_edits(&mut self) {
        let seq = self.live.follower().seq();
        let is_unseen = |at: &Option<u64>| at.is_none_or(|at| at > seq);
        self.auto_locks.locking.retain(|_, at| is_unseen(at));
        let mine = mine(self.live.follower().live(), &self.me);
        let mine: HashSet<&RepoPath> = mine.map(|lock| &lock.path).collect();
        let locking = &self.auto_locks.locking;
        let is_over = |path: &RepoPath| !mine.contains(path) && !locking.contains_key(path);
        let over: HashSet<RepoPath> = self
            .auto_locks
            .noted
            .keys()
            .filter(|path| is_over(path))
            .cloned()
            .collect();
        if over.is_empty() || self.busy.striking {
            return;
        }
        self.busy.striking = true;
        let list = self.auto_locks.list.clone();
        self.store.give(move || {
            let struck = list.strike(|path| over.contains(path));
            Done::Struck(struck.and_then(|()| list.read()))
        });
    }

    pub(super) fn hear_list(&mut self, result: Result<Branches>, notices: &mut Vec<Notice>) {
        self.busy.striking = false;
        let heard = result.map(|noted| self.auto_locks.noted = noted);
        self.note_failure("noting the locks of first edits", heard, notices);
    }
}

/// The branch that a working tree is on, by its full name, also while that is rebased; empty where it is on none.
pub(super) fn branch(latch: &Latch) -> Result<String> {
    for rebase in ["rebase-merge", "rebase-apply"] {
        let head = latch.repo().git_dir().join(rebase).join("head-name");
        if let Ok(Some(name)) = files::read_small(&head, 4096) {
            return Ok(String::from_utf8_lossy(&name).trim().to_owned());
        }
    }
    Ok(latch.repo().head_ref()?.unwrap_or_default())
}

/// Locks files in my name; what is refused is told. Gives the list as it is then, too.
fn lock(latch: &Latch, paths: &[RepoPath], clock: &dyn Clock) -> Result<(Acquired, Branches)> {
    let options = LockOptions {
        reason: Some(REASON.into()),
        batch: crate::rules::lease::Batch::Partial,
        ..LockOptions::default()
    };
    let list = FirstEdits::of(latch);
    // What was locked by hand meanwhile keeps its reason, and is not given back.
    let paths = &not_mine(latch, paths, clock)?;
    if paths.is_empty() {
        return Ok((Acquired::default(), list.read()?));
    }
    let targets: Vec<Target> = paths.iter().map(target).collect();
    // Noted before it is locked: a lock that nobody remembers taking would not be given back.
    list.add(paths, &branch(latch)?)?;
    let acquired = latch.lock(&targets, &options, clock)?;
    Ok((acquired, list.read()?))
}

/// The paths that no lock of mine covers.
fn not_mine(latch: &Latch, paths: &[RepoPath], clock: &dyn Clock) -> Result<Vec<RepoPath>> {
    let me = latch.me()?;
    let claims = paths.iter().map(|path| Claim::new(path, Kind::File));
    let view = latch.view(&Scope::Claims(claims.collect()), clock)?;
    let is_mine = |e: &Entry| me.holds(e) && view.standing(e) == Standing::Live;
    let is_free = |path: &&RepoPath| !view.covering(&path.key()).any(is_mine);
    Ok(paths.iter().filter(is_free).cloned().collect())
}

/// Gives back those of the locks on which there is no work any more, as they were judged: one that was renewed, stolen or
/// taken anew meanwhile stays. Each comes with the branch it was taken on. Gives the paths that are free now.
fn give_back(
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
    let finished: Vec<Lock> = locks
        .into_iter()
        .map(|(lock, _)| lock)
        .filter(|lock| finished.contains(&lock.path))
        .collect();
    latch.give_back_unchanged(&finished, me, clock)
}

/// The paths of those of the locks on which there is no work any more.
pub(super) fn finished(latch: &Latch, locks: &[(Lock, String)]) -> Result<Vec<RepoPath>> {
    if is_git_at_work(latch.repo().git_dir()) || is_combining(latch.repo().git_dir()) {
        // Half a stash or rebase looks like no work at all.
        return Ok(Vec::new());
    }
    let (branch, work) = (branch(latch)?, latch.work_left()?);
    let is_done = |lock: &Lock| work.left_on(&lock.claim()).is_none();
    let done = locks
        .iter()
        .filter(|(lock, on)| (on.is_empty() || *on == branch) && is_done(lock));
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
