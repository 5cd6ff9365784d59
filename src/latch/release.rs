//! Giving locks back: one's own when the work on them is out, anybody's by force.

use std::collections::{HashMap, HashSet};

use super::Latch;
use crate::edits::changed_files;
use crate::error::{Code, Error, Result};
use crate::lease::{self, Insist, Refusal, Release, Released, Renewal};
use crate::path::{Claim, Key, Kind, RepoPath};
use crate::store::{self, Scope, Verdict};
use crate::target::Target;
use crate::time::Clock;
use crate::view::{Entry, Me, View};

/// What to give back.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// The locks on these paths.
    Targets(&'a [Target]),
    /// Every lock of mine, except those in the hands of another living process.
    Mine,
    /// The lock of this lease.
    Lease(&'a str),
}

/// What giving back came to.
#[derive(Clone, Debug, Default)]
pub struct Unlocked {
    /// Free now.
    pub unlocked: Vec<Entry>,
    /// Still locked, or not mine to give back.
    pub refused: Vec<Refusal>,
}

impl Latch {
    /// Gives locks back: each for itself, whatever becomes of the others.
    ///
    /// # Errors
    /// [`Error::NoSuchLease`]; whatever keeps the store from changing.
    pub fn unlock(&self, what: What<'_>, insist: Insist, clock: &dyn Clock) -> Result<Unlocked> {
        let me = self.me()?;
        self.turn_sharing_on(&me, clock)?;
        let (paths, before) = self.meant(what, &me, clock)?;
        let mut answer = Unlocked::default();
        let mut going = Vec::new();
        let unfinished = match insist {
            Insist::Yes => HashMap::new(),
            Insist::No => self.unfinished(&paths, &before, &me)?,
        };
        for path in paths {
            match unfinished.get(&path.key()) {
                Some(entry) => answer.refused.push(Refusal {
                    path,
                    code: Code::Unpushed,
                    holder: Some(entry.clone()),
                    in_progress: false,
                }),
                None => going.push(path),
            }
        }
        if going.is_empty() {
            return Ok(answer);
        }
        let claims = going.iter().map(|p| Claim::new(p, Kind::File));
        let scope = Scope::Claims(claims.collect());
        let (_, released) = store::transact(self.store(), &scope, clock, |view| {
            let mut changes = Vec::new();
            let mut released = Vec::new();
            for path in &going {
                let (steps, came_to) =
                    lease::release(view, &me, &Release::Path(path), insist, &self.policy.force);
                changes.extend(steps);
                released.push(came_to);
            }
            let all_free = released.iter().all(|r| matches!(r, Released::Free(_)));
            Ok((changes, Verdict::no_if(!all_free), released))
        })?;
        self.tell_released(going, released, &me, &mut answer)?;
        self.after_change();
        let locks = answer.unlocked.iter().filter_map(Entry::lock);
        let free: Vec<_> = locks.map(|lock| (&lock.path, lock.kind)).collect();
        self.settle_bits(&free, &me, clock);
        Ok(answer)
    }

    /// The paths to give back, and a view of them.
    fn meant(&self, what: What<'_>, me: &Me, clock: &dyn Clock) -> Result<(Vec<RepoPath>, View)> {
        let scope = match what {
            What::Targets(targets) => Scope::Claims(targets.iter().map(Target::claim).collect()),
            What::Mine | What::Lease(_) => Scope::All,
        };
        let view = self.store().view(&scope, clock)?;
        let paths = match what {
            What::Targets(targets) => targets.iter().map(|t| t.path.clone()).collect(),
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
    fn unfinished(&self, paths: &[RepoPath], view: &View, me: &Me) -> Result<HashMap<Key, Entry>> {
        let keys: HashSet<Key> = paths.iter().map(RepoPath::key).collect();
        let mine: Vec<&Entry> = view
            .live()
            .filter(|e| me.has(e) && keys.contains(&e.claim.key))
            .collect();
        if mine.is_empty() {
            return Ok(HashMap::new());
        }
        let changed = changed_files(&self.repo)?;
        let has_changes = |entry: &Entry| changed.iter().any(|(key, _)| entry.claim.covers(key));
        Ok(mine
            .into_iter()
            .filter(|e| has_changes(e))
            .map(|e| (e.claim.key.clone(), e.clone()))
            .collect())
    }

    fn tell_released(
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
            let (code, holder, in_progress) = match came_to {
                Released::Free(entry) => {
                    over.insert(key);
                    answer.unlocked.push(entry);
                    continue;
                }
                Released::Lost(_) => (Code::Lost, None, false),
                Released::NotMine(holder) if was_mine => (Code::Lost, holder, false),
                Released::NotMine(Some(holder)) if !me.has(&holder) => {
                    (Code::Held, Some(holder), false)
                }
                Released::NotMine(holder) => (Code::NotHeld, holder, false),
                Released::InProgress(entry) => (Code::Held, Some(entry), true),
                Released::Forbidden(entry) => (Code::Forbidden, Some(entry), false),
            };
            if code == Code::Lost {
                over.insert(key);
            }
            answer.refused.push(Refusal {
                path,
                code,
                holder,
                in_progress,
            });
        }
        self.held
            .strike(|h| h.is_of(me) && h.claim().is_none_or(|claim| over.contains(&claim.key)))
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
        let (_, lost) = store::transact(self.store(), &scope, clock, |view| {
            let (mut steps, mut lost) = (Vec::new(), Vec::new());
            for (path, renewal) in leases {
                let lease = Release::Lease(renewal.lease.as_str());
                // They are bound to this very process: "in progress" is us.
                let (changes, came_to) =
                    lease::release(view, me, &lease, Insist::Yes, &self.policy.force);
                steps.extend(changes);
                if !matches!(came_to, Released::Free(_)) {
                    let by = lease::rival(view, me, &renewal.claim).cloned();
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
