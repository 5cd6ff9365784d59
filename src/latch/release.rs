//! Giving locks back: one's own when the work on them is out, anybody's by force, and what has expired.

use std::collections::{HashMap, HashSet};

use super::Latch;
use super::done::Work;
use super::renew::{piggyback_renewals, scope_of};
use super::selection::{Among, Selection};
use crate::rules::error::{Code, Error, Result};
use crate::rules::lease::{
    self, Acquired, Change, Force, Outcome, Refusal, Release, Released, Renewal, Why,
};
use crate::rules::lock::{Lock, check_reason};
use crate::rules::path::{Claim, Key, Kind, RepoPath};
use crate::rules::time::Clock;
use crate::rules::view::{Entry, Me, View};
use crate::store::{self, Scope, Verdict, workspaces};

/// What to give back.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// My locks on and below these paths; with [`Force::Yes`] everybody's.
    Selected(&'a Selection),
    /// The locks on exactly these paths.
    Paths(&'a [RepoPath]),
    /// Every lock of mine, except those in the hands of another process.
    Mine,
    /// The lock of this lease.
    Lease(&'a str),
}

/// What is known of where my commits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushState {
    /// What was fetched.
    AsFetched,
    /// The remote that shares the locks has just taken the branch that is checked out.
    Landed,
}

/// Whose expired locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// All.
    Everybodys,
    /// Those of this owner in this workspace.
    Mine,
}

/// What giving back came to.
#[derive(Clone, Debug, Default)]
pub struct Unlocked {
    /// Free now.
    pub unlocked: Vec<Entry>,
    /// Still locked, or not mine to give back.
    pub refused: Vec<Refusal>,
}

/// Whoever takes another person's lock away says why, for them to read.
fn wants_reason(me: &Me, released: &[Released]) -> Result<()> {
    let others = released.iter().find_map(|came_to| match came_to {
        Released::Free(entry) => entry
            .lock()
            .filter(|lock| !me.owner.is_person_of(&lock.owner)),
        _ => None,
    });
    match others {
        Some(lock) => Err(Error::ReasonWanted {
            path: lock.path.to_string(),
            owner: lock.owner.to_string(),
        }),
        None => Ok(()),
    }
}

impl Latch {
    /// Gives locks back: each for itself, whatever becomes of the others.
    ///
    /// # Errors
    /// [`Error::NoSuchLease`]; [`Code::BadUsage`] where another person's lock would go without a reason; whatever keeps
    /// the store from changing.
    pub fn unlock(
        &self,
        what: What<'_>,
        force: Force,
        reason: Option<&str>,
        clock: &dyn Clock,
    ) -> Result<Unlocked> {
        check_reason(reason.unwrap_or_default())
            .map_err(|problem| Error::bad_usage(problem, "use one short sentence"))?;
        let reason = reason.filter(|reason| !reason.trim().is_empty());
        self.give_back(what, force, reason, PushState::AsFetched, clock)
    }

    pub(super) fn give_back(
        &self,
        what: What<'_>,
        force: Force,
        reason: Option<&str>,
        known: PushState,
        clock: &dyn Clock,
    ) -> Result<Unlocked> {
        let me = self.me()?;
        self.turn_sharing_on(&me, clock)?;
        let (paths, before) = self.meant(what, force, &me, clock)?;
        let mut answer = Unlocked::default();
        let mut going = Vec::new();
        let unfinished = match force {
            Force::Yes => HashMap::new(),
            Force::No => self.unfinished(&paths, &before, &me, known)?,
        };
        for path in paths {
            match unfinished.get(&path.key()) {
                Some((entry, why)) => answer.refused.push(Refusal {
                    path,
                    code: Code::Unpushed,
                    holder: Some(entry.clone()),
                    why: *why,
                }),
                None => going.push(path),
            }
        }
        if going.is_empty() {
            return Ok(answer);
        }
        let due = self.due(&me, clock.now())?;
        let scope = scope_of(going.iter().map(|p| Claim::new(p, Kind::File)), &due);
        let (_, (released, renewed)) = self.transact(&me, &scope, clock, |view| {
            let (changes, released) = self.release_all(view, &me, &going, force);
            if reason.is_none() {
                wants_reason(&me, &released)?;
            }
            let saying = |change: Change| change.saying(reason);
            let mut changes: Vec<Change> = changes.into_iter().map(saying).collect();
            let renewed = piggyback_renewals(view, &me, &due, &mut changes);
            let all_free = released.iter().all(|r| matches!(r, Released::Free(_)));
            Ok((changes, Verdict::no_if(!all_free), (released, renewed)))
        })?;
        self.remember(renewed.iter());
        self.after_release(going, released, &me, clock, &mut answer)?;
        Ok(answer)
    }

    /// Each path's release.
    pub(super) fn release_all(
        &self,
        view: &View,
        me: &Me,
        paths: &[RepoPath],
        force: Force,
    ) -> (Vec<Change>, Vec<Released>) {
        let mut changes = Vec::new();
        let mut released = Vec::new();
        for path in paths {
            let what = Release::Path(path);
            let (steps, came_to) = lease::release(view, me, &what, force, &self.policy.force);
            changes.extend(steps);
            released.push(came_to);
        }
        (changes, released)
    }

    /// What follows when the store has changed: the answer, the record, the write bits.
    pub(super) fn after_release(
        &self,
        paths: Vec<RepoPath>,
        released: Vec<Released>,
        me: &Me,
        clock: &dyn Clock,
        answer: &mut Unlocked,
    ) -> Result<()> {
        self.tell_released(paths, released, me, answer)?;
        self.after_change();
        let locks = answer.unlocked.iter().filter_map(Entry::lock);
        let free: Vec<_> = locks.map(|lock| (&lock.path, lock.kind)).collect();
        self.settle_bits(&free, me, clock);
        Ok(())
    }

    /// Gives back what an acquisition took, and not what was mine before.
    ///
    /// # Errors
    /// Whatever keeps the store from changing.
    pub fn give_up(&self, acquired: &Acquired, clock: &dyn Clock) -> Result<()> {
        let fresh = acquired
            .locked
            .iter()
            .filter(|taken| taken.outcome != Outcome::Renewed);
        let (paths, leases): (Vec<RepoPath>, Vec<Renewal>) = fresh
            .map(|taken| (taken.lock.path.clone(), Renewal::of(&taken.lock)))
            .unzip();
        let me = self.me()?;
        if paths.is_empty() {
            return Ok(());
        }
        let scope = Scope::Claims(leases.iter().map(|r| r.claim.clone()).collect());
        let (_, released) = self.transact(&me, &scope, clock, |view| {
            let (mut changes, mut released) = (Vec::new(), Vec::new());
            for renewal in &leases {
                let lease = Release::Lease(renewal.lease.as_str());
                let (steps, came_to) =
                    lease::release(view, &me, &lease, Force::No, &self.policy.force);
                changes.extend(steps);
                released.push(came_to);
            }
            Ok((changes, Verdict::Yes, released))
        })?;
        let mut answer = Unlocked::default();
        self.after_release(paths, released, &me, clock, &mut answer)
    }

    /// The paths to give back, and a view of them.
    fn meant(
        &self,
        what: What<'_>,
        force: Force,
        me: &Me,
        clock: &dyn Clock,
    ) -> Result<(Vec<RepoPath>, View)> {
        let scope = match what {
            What::Selected(selection) => selection.scope(),
            What::Paths(paths) => {
                Scope::Claims(paths.iter().map(|p| Claim::new(p, Kind::File)).collect())
            }
            What::Mine | What::Lease(_) => Scope::All,
        };
        let view = self.store().view(&scope, clock)?;
        let paths = match what {
            What::Selected(selection) => {
                let among = match force {
                    Force::No => Among::Mine,
                    Force::Yes => Among::All,
                };
                selection.locked(&view, me, &self.held.read()?, among)?
            }
            What::Paths(paths) => paths.to_vec(),
            What::Mine => view
                .live()
                .filter(|e| me.has(e) && !me.is_in_progress(e))
                .filter_map(|e| e.lock().map(|lock| lock.path.clone()))
                .collect(),
            What::Lease(id) => {
                let mut locks = view.entries().filter_map(Entry::lock);
                let lock = locks.find(|lock| lock.lease.as_str() == id);
                let path = match lock {
                    Some(lock) => Some(lock.path.clone()),
                    None => self.lost_path(id)?,
                };
                vec![path.ok_or_else(|| Error::NoSuchLease {
                    lease: id.to_owned(),
                })?]
            }
        };
        Ok((paths, view))
    }

    /// The path of a lease that was taken here, whatever became of it.
    fn lost_path(&self, lease: &str) -> Result<Option<RepoPath>> {
        let held = self.held.read()?;
        let mut held = held.iter().filter(|h| h.lease.as_str() == lease);
        Ok(held.find_map(|h| RepoPath::new(h.path.as_str()).ok()))
    }

    /// Locks of mine among `paths` on which there is work that nobody else has yet.
    fn unfinished(
        &self,
        paths: &[RepoPath],
        view: &View,
        me: &Me,
        known: PushState,
    ) -> Result<HashMap<Key, (Entry, Why)>> {
        let keys: HashSet<Key> = paths.iter().map(RepoPath::key).collect();
        let mine: Vec<&Entry> = view
            .live()
            .filter(|e| me.has(e) && keys.contains(&e.claim.key))
            .collect();
        if mine.is_empty() {
            return Ok(HashMap::new());
        }
        let work = match known {
            PushState::AsFetched => self.work_left()?,
            PushState::Landed => Work::uncommitted(&self.repo)?,
        };
        Ok(mine
            .into_iter()
            .filter_map(|e| Some((e.claim.key.clone(), (e.clone(), work.left_on(&e.claim)?))))
            .collect())
    }

    pub(super) fn tell_released(
        &self,
        paths: Vec<RepoPath>,
        released: Vec<Released>,
        me: &Me,
        answer: &mut Unlocked,
    ) -> Result<()> {
        let held = self.held.read()?;
        let held: HashSet<Key> = held
            .iter()
            .filter(|h| h.confirmed && h.is_of(me))
            .filter_map(|h| h.claim().map(|claim| claim.key))
            .collect();
        let mut over = HashSet::new();
        for (path, came_to) in paths.into_iter().zip(released) {
            let key = path.key();
            let was_mine = held.contains(&key);
            let (code, holder, why) = match came_to {
                Released::Free(entry) => {
                    over.insert(key);
                    answer.unlocked.push(entry);
                    continue;
                }
                Released::Lost => (Code::Lost, None, Why::Rule),
                Released::NotMine(holder) if was_mine => (Code::Lost, holder, Why::Rule),
                Released::NotMine(Some(holder)) if !me.has(&holder) => {
                    (Code::Held, Some(holder), Why::Rule)
                }
                Released::NotMine(holder) => (Code::NotHeld, holder, Why::Rule),
                Released::InProgress(entry) => (Code::Held, Some(entry), Why::InProgress),
                Released::Forbidden(entry) => (Code::Forbidden, Some(entry), Why::Rule),
            };
            if code == Code::Lost {
                over.insert(key);
            }
            answer.refused.push(Refusal {
                path,
                code,
                holder,
                why,
            });
        }
        self.forget(|h| h.is_of(me) && h.claim().is_none_or(|claim| over.contains(&claim.key)));
        Ok(())
    }

    /// Removes what has expired; gives what was removed.
    pub fn sweep(&self, whose: Whose, clock: &dyn Clock) -> Result<Vec<Entry>> {
        if !self.local.is_begun()? {
            return Ok(Vec::new());
        }
        let me = match whose {
            Whose::Everybodys => None,
            Whose::Mine => Some(self.me()?),
        };
        let gone = workspaces::gone(self.repo.common_dir());
        let (_, swept) = store::transact(self.store(), &Scope::All, clock, |view| {
            let is_meant = |entry: &Entry| me.as_ref().is_none_or(|me| me.has(entry));
            let (changes, swept) = lease::sweep(view, is_meant);
            Ok((changes, Verdict::Yes, swept))
        })?;
        if whose == Whose::Everybodys {
            // Nothing of theirs is left.
            workspaces::forget(self.repo.common_dir(), &gone)?;
        }
        self.after_change();
        Ok(swept)
    }

    /// Gives back locks of mine that are still as they were read; gives the paths that are free now.
    pub(crate) fn give_back_unchanged(
        &self,
        locks: &[Lock],
        me: &Me,
        clock: &dyn Clock,
    ) -> Result<Vec<RepoPath>> {
        if locks.is_empty() {
            return Ok(Vec::new());
        }
        let scope = Scope::Claims(locks.iter().map(Lock::claim).collect());
        let (_, free) = self.transact(me, &scope, clock, |view| {
            let is_there = |lock: &&Lock| view.entries().any(|e| e.lock() == Some(*lock));
            let (mut steps, mut free) = (Vec::new(), Vec::new());
            for lock in locks.iter().filter(is_there) {
                let lease = Release::Lease(lock.lease.as_str());
                let (changes, came_to) =
                    lease::release(view, me, &lease, Force::No, &self.policy.force);
                steps.extend(changes);
                if matches!(came_to, Released::Free(_)) {
                    free.push((lock.path.clone(), lock.kind));
                }
            }
            Ok((steps, Verdict::Yes, free))
        })?;
        // At once: until it is struck off, it looks as if somebody had taken it away.
        let keys: HashSet<Key> = free.iter().map(|(path, _)| path.key()).collect();
        self.forget(|h| h.is_of(me) && h.claim().is_some_and(|claim| keys.contains(&claim.key)));
        self.after_change();
        let paths: Vec<_> = free.iter().map(|(path, kind)| (path, *kind)).collect();
        self.settle_bits(&paths, me, clock);
        Ok(free.into_iter().map(|(path, _)| path).collect())
    }

    /// Gives back what `with_lock` or `run` acquired, and only that: by lease, so that a successor's lock stays. Gives the
    /// paths that were lost before, with whoever has them now.
    pub(crate) fn release_leases(
        &self,
        leases: &[(RepoPath, Renewal)],
        me: &Me,
        clock: &dyn Clock,
    ) -> Result<Vec<(RepoPath, Option<Entry>)>> {
        let scope = Scope::Claims(leases.iter().map(|(_, r)| r.claim.clone()).collect());
        let (_, lost) = self.transact(me, &scope, clock, |view| {
            let (mut steps, mut lost) = (Vec::new(), Vec::new());
            for (path, renewal) in leases {
                let lease = Release::Lease(renewal.lease.as_str());
                // They are bound to this very process: "in progress" is us.
                let (changes, came_to) =
                    lease::release(view, me, &lease, Force::Yes, &self.policy.force);
                steps.extend(changes);
                if !matches!(came_to, Released::Free(_)) {
                    let by = lease::rival(view, &me.owner, &renewal.claim).cloned();
                    lost.push((path.clone(), by));
                }
            }
            Ok((steps, Verdict::no_if(!lost.is_empty()), lost))
        })?;
        self.after_change();
        let free: Vec<_> = leases
            .iter()
            .map(|(path, r)| (path, r.claim.kind))
            .collect();
        self.settle_bits(&free, me, clock);
        Ok(lost)
    }
}
