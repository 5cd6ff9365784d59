//! Who may change the lock ref, and how. Pure.
//!
//! A change is one commit on top of the ref, or a root commit with the same tree, which drops the history. Path by path
//! it may take what is free, renew and release what is the pusher's own, remove what has expired by the server's clock,
//! and use force where the policy lets the pusher.

use chrono::{DateTime, TimeDelta, Utc};

use super::shown;
use crate::git::repo::Revision;
use crate::latch::policy::Policy;
use crate::rules::error::Code;
use crate::rules::lock::{LeaseId, Lock, is_or_below};
use crate::rules::path::Place;
use crate::rules::view::{Entry, Standing, View};
use crate::store::shared::limits::{self, Limits, Made};

/// How long a push may be on its way where the policy says that clocks do not differ at all.
const ON_THE_WAY: TimeDelta = TimeDelta::seconds(5);

/// One path's change in the lock ref's tree.
#[derive(Debug)]
pub(super) struct Step {
    /// Where it lies.
    pub(super) place: Place,
    /// Whether that is where a lock can lie.
    pub(super) is_place: bool,
    /// What lay there.
    pub(super) old: Option<Entry>,
    /// What lies there.
    pub(super) new: Option<Entry>,
}

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The path, or `.` where it is the change as a whole.
    pub path: String,
    /// The word that the client turns into its own exit code.
    pub code: Code,
    /// The sentence.
    pub problem: String,
}

impl Objection {
    /// To the change as a whole.
    #[must_use]
    pub(crate) fn of_all(code: Code, problem: impl Into<String>) -> Self {
        Objection {
            path: ".".into(),
            code,
            problem: problem.into(),
        }
    }
}

/// What a change is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    /// The team's rules, as they were before the push.
    pub(super) policy: &'a Policy,
    /// The pusher's owner id.
    pub(super) pusher: &'a str,
    /// The change's number.
    pub(super) seq: u64,
    /// The server's clock.
    pub(super) now: DateTime<Utc>,
}

impl Rules<'_> {
    /// Whether a commit may follow on the ref's tip.
    pub(super) fn on_succession(
        &self,
        old: Option<&Revision>,
        new: &Revision,
    ) -> Option<Objection> {
        let follows = match old {
            Some(old) if new.parents.is_empty() => new.tree == old.tree,
            Some(old) => new.parents == [old.commit.clone()],
            None => new.parents.is_empty(),
        };
        if !follows {
            let problem = "expected one commit on top of the lock ref";
            return Some(Objection::of_all(Code::BadUsage, problem));
        }
        self.on_moment(new.at, "the commit")
            .map(|problem| Objection::of_all(Code::Refused, problem))
    }

    /// Whether the change's number follows on the last one's.
    pub(super) fn on_number(&self, last: u64) -> Option<Objection> {
        let skew = self.policy.terms.clock_skew.as_delta();
        let latest = u64::try_from((self.now + skew).timestamp_millis()).unwrap_or_default();
        let is_next = self.seq > last && (self.seq <= latest || self.seq == last + 1);
        (!is_next).then(|| {
            let problem = format!("the change's number {} does not follow {last}", self.seq);
            Objection::of_all(Code::BadUsage, problem)
        })
    }

    /// Whether a change as a whole is within the limits for what the lock ref may bring.
    pub(super) fn on_extent(&self, new: &Revision, changed: usize) -> Option<Objection> {
        let is_trusted = |_: &str| self.is_trusted();
        let beyond = self
            .limits(&is_trusted)
            .on_change(&Made::from(new), changed);
        let (code, problem) = beyond.err()?;
        Some(Objection::of_all(code, problem))
    }

    /// The locks that are not within them. `is_known` tells the lease ids of other locks.
    pub(super) fn on_locks(
        &self,
        new: &Revision,
        steps: &[Step],
        is_known: &dyn Fn(&LeaseId) -> bool,
    ) -> Vec<Objection> {
        let is_trusted = |_: &str| self.is_trusted();
        let limits = self.limits(&is_trusted);
        let on_step = |step: &Step| {
            let lock = step.new.as_ref()?.lock()?;
            let was = step.old.as_ref().and_then(Entry::lock);
            let was = was.filter(|was| was.lease == lock.lease);
            let beyond = limits.on_lock(&Made::from(new), was, lock, is_known);
            let (code, problem) = beyond.err()?;
            Some(Objection {
                path: shown(step.new.as_ref(), &step.place),
                code,
                problem,
            })
        };
        steps.iter().filter_map(on_step).collect()
    }

    fn limits<'a>(&self, is_trusted: &'a dyn Fn(&str) -> bool) -> Limits<'a> {
        Limits {
            skew: self.policy.terms.clock_skew,
            is_trusted,
        }
    }

    /// What is wrong with a change, path by path. `after` shows what bears on the new locks once it is done.
    pub(super) fn on_steps(&self, steps: &[Step], after: &View) -> Vec<Objection> {
        steps
            .iter()
            .filter_map(|step| {
                let (code, problem) = self.on_step(step, after)?;
                Some(Objection {
                    path: shown(step.new.as_ref().or(step.old.as_ref()), &step.place),
                    code,
                    problem,
                })
            })
            .collect()
    }

    fn on_step(&self, step: &Step, after: &View) -> Option<(Code, String)> {
        match (&step.old, &step.new) {
            (_, Some(_)) if !step.is_place => {
                Some((Code::BadPath, "no lock can be stored there".to_owned()))
            }
            (Some(old), Some(new)) => match (old.lock(), new.lock()) {
                (Some(was), Some(is)) if was.lease == is.lease => {
                    self.on_renewal(old, was, is, after)
                }
                _ => self
                    .on_removal(old, after)
                    .or_else(|| self.on_new(new, after)),
            },
            (None, Some(new)) => self.on_new(new, after),
            (Some(old), None) => self.on_removal(old, after),
            (None, None) => None,
        }
    }

    fn on_new(&self, entry: &Entry, after: &View) -> Option<(Code, String)> {
        let Some(lock) = entry.lock() else {
            let problem = "its content is not a lock that this version can read";
            return Some((Code::BadUsage, problem.to_owned()));
        };
        if lock.seq != self.seq {
            let problem = format!("its number {} is not that of the change", lock.seq);
            return Some((Code::BadUsage, problem));
        }
        if !self.is_own(lock) && !self.is_trusted() {
            return Some((Code::Forbidden, self.in_the_name_of(lock)));
        }
        self.on_life(lock, None)
            .or_else(|| Self::on_conflict(entry, lock, after))
    }

    /// Another's lock that stands beside a new one; expired ones are removed in the same change.
    fn on_conflict(entry: &Entry, lock: &Lock, after: &View) -> Option<(Code, String)> {
        let stands_against = |other: &&Entry| {
            let is_of_same = other.lock().is_some_and(|l| lock.owner.is(&l.owner));
            other.place != entry.place && !(is_of_same && other.claim.key != entry.claim.key)
        };
        let claim = lock.claim();
        let other = after.overlapping(&claim).find(stands_against)?;
        let problem = match other.lock() {
            Some(holder) => format!("`{}` is locked by {}", holder.path, holder.owner),
            None => format!("the unreadable lock of `{}` blocks it", other.shown_path()),
        };
        Some((Code::Held, problem))
    }

    fn on_renewal(
        &self,
        entry: &Entry,
        was: &Lock,
        is: &Lock,
        after: &View,
    ) -> Option<(Code, String)> {
        let same = Lock {
            heartbeat_at: is.heartbeat_at,
            ttl: is.ttl,
            reason: is.reason.clone(),
            ..was.clone()
        };
        let is_shorter = match (was.expires_at(), is.expires_at()) {
            (Some(was), Some(is)) => is < was,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if same != *is {
            let problem = "a renewal changes heartbeat, ttl and reason only";
            return Some((Code::BadUsage, problem.to_owned()));
        }
        if !self.is_own(was) && !self.is_trusted() {
            return Some((Code::Forbidden, self.in_the_name_of(was)));
        }
        if after.standing(entry) == Standing::Expired {
            let problem = "it has expired: lock it again instead of renewing it";
            return Some((Code::Lost, problem.to_owned()));
        }
        if is.heartbeat_at < was.heartbeat_at || is_shorter {
            let problem = "a renewal does not shorten a lease";
            return Some((Code::BadUsage, problem.to_owned()));
        }
        self.on_life(is, Some(was))
    }

    fn on_removal(&self, entry: &Entry, after: &View) -> Option<(Code, String)> {
        let is_own = entry.lock().is_some_and(|lock| self.is_own(lock));
        let may = is_own
            || after.standing(entry) == Standing::Expired
            || self.is_trusted()
            || self.policy.force.allows(self.pusher);
        (!may).then(|| {
            let problem = match entry.lock() {
                Some(lock) => format!(
                    "it is locked by {}, and the policy's `[force] who` does not name {}",
                    lock.owner, self.pusher
                ),
                None => format!(
                    "the policy's `[force] who` does not allow {} to remove an unreadable lock",
                    self.pusher
                ),
            };
            (Code::Forbidden, problem)
        })
    }

    /// Whether a new lock, or one renewed, lives from now on, and no longer than it may.
    fn on_life(&self, lock: &Lock, was: Option<&Lock>) -> Option<(Code, String)> {
        let max = self.policy.terms.max_ttl;
        if lock.ttl > max && was.is_none_or(|was| was.ttl != lock.ttl) {
            let problem = format!(
                "its ttl of {} exceeds the policy's max_ttl, {max}",
                lock.ttl
            );
            return Some((Code::BadUsage, problem));
        }
        self.on_moment(lock.heartbeat_at, "its heartbeat")
            .map(|problem| (Code::Refused, problem))
    }

    /// A lock whose maker's clock is wrong would end for its holder when it does not for others, or the other way round.
    fn on_moment(&self, moment: DateTime<Utc>, what: &str) -> Option<String> {
        let allowed = self.policy.terms.clock_skew.as_delta();
        let difference = moment - self.now;
        let is_near = difference <= allowed && -difference <= allowed.max(ON_THE_WAY);
        (!is_near).then(|| {
            let direction = if difference > TimeDelta::zero() {
                "ahead of"
            } else {
                "behind"
            };
            format!(
                "{what} is {} s {direction} the server's clock; the policy allows a clock_skew of {}",
                difference.num_seconds().abs(),
                self.policy.terms.clock_skew
            )
        })
    }

    fn is_own(&self, lock: &Lock) -> bool {
        is_or_below(&lock.owner.id, self.pusher)
    }

    /// Whether the commit says who pushes it: the history tells who did what.
    pub(super) fn on_signature(&self, new: &Revision) -> Option<Objection> {
        let pusher = limits::signed(self.pusher);
        let is_signed = is_or_below(&new.committer, &pusher) || self.is_trusted();
        if crate::store::shared::is_for_others(&new.message) && !self.is_trusted() {
            let problem = "the change claims to be made for others";
            return Some(Objection::of_all(Code::Forbidden, problem));
        }
        (!is_signed).then(|| {
            let problem = format!(
                "the change is signed `{}`, but pushed by `{}`",
                new.committer, self.pusher
            );
            Objection::of_all(Code::Forbidden, problem)
        })
    }

    pub(super) fn is_trusted(&self) -> bool {
        let mut trusted = self.policy.trusted.iter();
        trusted.any(|id| is_or_below(self.pusher, id))
    }

    fn in_the_name_of(&self, lock: &Lock) -> String {
        format!(
            "it is in the name of `{}`, but pushed by `{}`; the policy's `[server.pushers]` can map one to the other",
            lock.owner.id, self.pusher
        )
    }
}

#[cfg(test)]
mod tests;
