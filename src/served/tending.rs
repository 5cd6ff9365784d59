//! What has to be done now and then for a repository that is served, and what of it is due.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Ask, Served, me};
use crate::error::Result;
use crate::fault;
use crate::lease::Renewal;
use crate::lock::Lock;
use crate::time::Clock;

/// How often what has expired is removed: only for events to be prompt.
const SWEEP: Duration = Duration::from_secs(30);
/// How often a remote is asked what is new.
const FETCH: Duration = Duration::from_secs(5);
/// How often a remote's `HEAD` is.
const FETCH_HEAD: Duration = Duration::from_secs(300);
/// How often sessions are looked at.
const SESSIONS: Duration = Duration::from_secs(1);
/// How often the disk is looked after.
const DISK: Duration = Duration::from_millis(500);

/// When what was done last.
#[derive(Debug, Default)]
pub(super) struct Tending {
    done: Mutex<Done>,
}

#[derive(Debug, Default)]
struct Done {
    head: Option<String>,
    swept: Option<Instant>,
    fetched: Option<Instant>,
    fetched_head: Option<Instant>,
    sessions: Option<Instant>,
    disk: Option<Instant>,
}

/// Whether something is due again; it counts as done then.
fn is_due_again(last: &mut Option<Instant>, every: Duration) -> bool {
    let now = Instant::now();
    let is_due = last.is_none_or(|last| now.duration_since(last) >= every);
    if is_due {
        *last = Some(now);
    }
    is_due
}

/// Whether a third of a lock's life is over.
pub(super) fn is_due(lock: &Lock, now: DateTime<Utc>) -> bool {
    let third =
        |seconds: u64| TimeDelta::seconds(i64::try_from(seconds / 3).unwrap_or(i64::MAX / 1000));
    let due = lock.ttl.as_secs().map(|s| lock.heartbeat_at + third(s));
    due.is_some_and(|due| now >= due)
}

impl Served {
    /// Does what is due. Called a few times a second, by one thread at a time.
    pub fn tend(&self, clock: &dyn Clock) {
        let step = |what: &'static str, result: Result<()>| {
            if let Err(error) = result {
                tracing::warn!(repo = self.name(), what, %error, "not done");
            }
        };
        let due = |pick: fn(&mut Done) -> &mut Option<Instant>, every| {
            is_due_again(pick(&mut super::guard(&self.tending.done)), every)
        };
        let sweep = fault::limit("GIT_LATCH_SWEEP_MS", SWEEP);
        if self.backend.is_remote() && due(|d| &mut d.fetched, FETCH) {
            step("fetch", self.backend.fetch(clock));
        }
        if self.backend.is_remote() && due(|d| &mut d.fetched_head, FETCH_HEAD) {
            step("fetch HEAD", self.backend.fetch_head());
        }
        step("read the policy", self.reread_policy());
        step("follow the lock ref", self.follow(clock));
        if due(|d| &mut d.sessions, SESSIONS.min(sweep)) {
            self.end_silent_sessions(clock);
            self.renew_sessions(clock);
        }
        if due(|d| &mut d.swept, sweep) {
            self.sweep(clock);
        }
        if due(|d| &mut d.disk, DISK) {
            step("look after the disk", self.backend.look_after(clock));
        }
    }

    /// Takes the policy of a new `HEAD`; keeps the last one where the new one is broken.
    fn reread_policy(&self) -> Result<()> {
        let head = self.backend.head()?;
        if super::guard(&self.tending.done).head == head {
            return Ok(());
        }
        super::guard(&self.tending.done).head = head;
        let policy = self.backend.policy()?;
        let terms = policy.terms;
        if policy.share_ref != self.policy().share_ref {
            tracing::warn!(
                repo = self.name(),
                "`[share] ref` has changed: start the server again"
            );
        }
        let mut rules = self
            .rules
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *rules = policy.into();
        drop(rules);
        self.backend.set_terms(terms);
        let mut table = self
            .table
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        table.set_terms(terms);
        Ok(())
    }

    fn end_silent_sessions(&self, clock: &dyn Clock) {
        for over in self.sessions.end_silent(Instant::now()) {
            let id = over.owner.workspace.clone().unwrap_or_default();
            tracing::info!(
                repo = self.name(),
                session = id,
                "session ended: it is silent"
            );
            let leases = if over.is_ours || self.backend.is_sole() {
                over.leases
            } else {
                self.forsaken(over.leases, clock.now())
            };
            if leases.is_empty() {
                continue;
            }
            let ask = Ask::release_all(me(over.owner.clone()), leases.clone());
            if let Err(error) = self.ask(ask, clock) {
                tracing::warn!(repo = self.name(), session = id, %error, "its locks are not released; tried again");
                self.sessions.put_back(over.owner, leases);
            }
        }
    }

    /// What a silent session leaves behind that another server may be serving: that one would have renewed it.
    fn forsaken(&self, leases: Vec<Renewal>, now: DateTime<Utc>) -> Vec<Renewal> {
        let is_stale = |renewal: &Renewal| {
            let entry = self.lease(renewal.lease.as_str(), now);
            let lock = entry.as_ref().and_then(|entry| entry.lock());
            lock.is_some_and(|lock| {
                let half = lock.ttl.as_secs().unwrap_or_default() / 2;
                let half = TimeDelta::seconds(i64::try_from(half).unwrap_or(i64::MAX / 1000));
                now - lock.heartbeat_at > half
            })
        };
        leases.into_iter().filter(is_stale).collect()
    }

    fn renew_sessions(&self, clock: &dyn Clock) {
        let now = clock.now();
        for (owner, leases) in self.sessions.held() {
            let is_due = |renewal: &Renewal| {
                let entry = self.lease(renewal.lease.as_str(), now);
                entry.and_then(|e| e.lock().map(|lock| is_due(lock, now))) == Some(true)
            };
            let due: Vec<Renewal> = leases.into_iter().filter(is_due).collect();
            if due.is_empty() {
                continue;
            }
            let id = owner.workspace.clone().unwrap_or_default();
            if let Err(error) = self.ask(Ask::renew(me(owner), due, None), clock) {
                tracing::warn!(repo = self.name(), session = id, %error, "leases are not renewed");
            }
        }
    }

    fn sweep(&self, clock: &dyn Clock) {
        let now = clock.now();
        let over = self.table(|table| table.over(now));
        if over.is_empty() {
            return;
        }
        match self.ask(Ask::sweep(self.server.clone(), over), clock) {
            Ok((_, swept)) => {
                for entry in &swept {
                    tracing::info!(repo = self.name(), path = entry.shown_path(), "expired");
                }
            }
            Err(error) => {
                tracing::warn!(repo = self.name(), %error, "expired locks are not removed");
            }
        }
    }
}
