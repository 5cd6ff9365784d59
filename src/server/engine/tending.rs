//! What has to be done now and then for a repository that is served, and what of it is due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use super::{Command, RepoService, me};
use crate::os::fault;
use crate::rules::error::{Error, Result};
use crate::rules::lease::Renewal;
use crate::rules::lock::Lock;
use crate::rules::time::Clock;

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

/// How long the disk is left alone after a failure.
const PAUSE: Duration = Duration::from_secs(60);
/// How often it is said that something still cannot be done.
const AGAIN: Duration = Duration::from_secs(60);
/// How many expired locks are removed at once.
const AT_ONCE: usize = 1_000;

/// When what was done last.
#[derive(Debug, Default)]
pub(super) struct Tending {
    done: Mutex<Done>,
    /// Held while the disk is looked after.
    disk: Mutex<()>,
}

#[derive(Debug, Default)]
struct Done {
    head: Option<String>,
    swept: Option<Instant>,
    fetched: Option<Instant>,
    fetched_head: Option<Instant>,
    sessions: Option<Instant>,
    disk: Option<Instant>,
    /// Until when the disk is left alone.
    pause: Option<Instant>,
    /// What cannot be done at the moment, and when that was said last.
    failing: BTreeMap<&'static str, Instant>,
}

/// Looking after the disk: what fails there keeps nobody from locking.
const DISK_STEP: &str = "look after the disk";
/// Looking whether the repository is where it was.
const THERE: &str = "find the repository";

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

impl RepoService {
    /// Does what is due. Called a few times a second, by one thread at a time.
    pub(crate) fn tend(self: &Arc<Self>, clock: &'static dyn Clock) {
        let due = |pick: fn(&mut Done) -> &mut Option<Instant>, every| {
            is_due_again(pick(&mut self.tending.done.lock()), every)
        };
        let sweep = fault::limit("GIT_LATCH_SWEEP_MS", SWEEP);
        if due(|d| &mut d.fetched, FETCH) {
            self.step("fetch", self.backend.site.fetch(clock));
        }
        if due(|d| &mut d.fetched_head, FETCH_HEAD) {
            self.step("fetch HEAD", self.backend.site.fetch_head());
        }
        self.step(THERE, self.backend.is_there());
        if self.is_away() {
            return;
        }
        self.step("read the policy", self.reread_policy());
        self.step("follow the lock ref", self.follow(clock));
        if due(|d| &mut d.sessions, SESSIONS.min(sweep)) {
            self.end_silent_sessions(clock);
            self.renew_sessions(clock);
        }
        if due(|d| &mut d.swept, sweep) {
            self.step("take the duty over", self.backend.site.take_duty());
            self.sweep(clock);
        }
        // One server does that; and not at once again where it failed.
        let is_ready = |done: &Done| done.pause.is_none_or(|until| Instant::now() >= until);
        let is_ready = is_ready(&self.tending.done.lock());
        if self.backend.site.is_on_duty() && is_ready && due(|d| &mut d.disk, DISK) {
            self.look_after_the_disk(clock);
        }
    }

    /// In a thread of its own: looking what may be removed takes its time in a large repository, and sessions do not wait.
    fn look_after_the_disk(self: &Arc<Self>, clock: &'static dyn Clock) {
        let service = self.clone();
        let work = move || {
            let Some(_alone) = service.tending.disk.try_lock() else {
                return;
            };
            let result = service.backend.site.maintain(clock);
            if result.is_err() {
                service.tending.done.lock().pause = Some(Instant::now() + PAUSE);
            }
            service.step(DISK_STEP, result);
        };
        let thread = std::thread::Builder::new().stack_size(super::STACK);
        self.step(
            "start a thread",
            thread
                .spawn(work)
                .map(drop)
                .map_err(Error::io("start a thread for", self.name())),
        );
    }

    /// Says what could not be done: once, and again every minute for as long as it cannot.
    fn step(&self, what: &'static str, result: Result<()>) {
        let mut done = self.tending.done.lock();
        let Err(error) = result else {
            done.failing.remove(what);
            return;
        };
        let last = done.failing.get(what);
        if last.is_none_or(|last| last.elapsed() >= AGAIN) {
            tracing::warn!(repo = self.name(), what, %error, "not done");
            done.failing.insert(what, Instant::now());
        }
    }

    /// What cannot be done at the moment that those who ask depend on.
    #[must_use]
    pub(crate) fn failing(&self) -> Vec<&'static str> {
        let done = self.tending.done.lock();
        let failing = done.failing.keys().copied();
        failing.filter(|what| *what != DISK_STEP).collect()
    }

    /// Whether the repository is not where it was.
    #[must_use]
    pub(crate) fn is_away(&self) -> bool {
        self.tending.done.lock().failing.contains_key(THERE)
    }

    /// Takes the policy of a new `HEAD`; keeps the last one where the new one is broken.
    fn reread_policy(&self) -> Result<()> {
        let head = self.backend.site.head()?;
        if self.tending.done.lock().head == head {
            return Ok(());
        }
        let policy = self.backend.policy();
        // What is broken stays so until somebody commits something else; a failure may pass.
        if matches!(&policy, Ok(_) | Err(Error::BadPolicy { .. })) {
            self.tending.done.lock().head = head;
        }
        let policy = policy?;
        let terms = policy.terms;
        if policy.share_ref != self.policy().share_ref {
            tracing::warn!(
                repo = self.name(),
                "`[share] ref` has changed: restart the server"
            );
        }
        self.backend.site.set_policy(&policy);
        let mut rules = self.rules.write();
        *rules = policy.into();
        drop(rules);
        let mut table = self.table.write();
        table.set_terms(terms);
        Ok(())
    }

    fn end_silent_sessions(self: &Arc<Self>, clock: &'static dyn Clock) {
        let mut ended = Vec::new();
        for over in self.sessions.end_silent(Instant::now()) {
            let session = over.owner.workspace.as_deref().unwrap_or_default();
            tracing::info!(repo = self.name(), session, "session ended");
            let leases = if over.is_ours || self.backend.site.is_sole() {
                over.leases
            } else {
                self.forsaken(over.leases, clock.now())
            };
            if !leases.is_empty() {
                ended.push((over.owner, leases));
            }
        }
        // In the server's name: another server that has the session tells it what it lost.
        let server = self.server.clone();
        let asks = ended.iter().cloned();
        let asks = asks
            .map(|(owner, leases)| Command::release_all(me(owner), leases, Some(server.clone())));
        let answers = self.ask_all(asks.collect(), clock);
        for ((owner, leases), answer) in ended.into_iter().zip(answers) {
            if let Err(error) = answer {
                let session = owner.workspace.as_deref().unwrap_or_default();
                tracing::warn!(repo = self.name(), session, %error, "its locks are not released; tried again");
                self.sessions.put_back(owner, leases);
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

    fn renew_sessions(self: &Arc<Self>, clock: &'static dyn Clock) {
        let now = clock.now();
        let is_due = |renewal: &Renewal| {
            let entry = self.lease(renewal.lease.as_str(), now);
            entry.and_then(|e| e.lock().map(|lock| is_due(lock, now))) == Some(true)
        };
        let mut asks = Vec::new();
        for (owner, leases) in self.sessions.held() {
            let due: Vec<Renewal> = leases.into_iter().filter(is_due).collect();
            if !due.is_empty() {
                asks.push(Command::renew(me(owner), due, None));
            }
        }
        for answer in self.ask_all(asks, clock) {
            if let Err(error) = answer {
                tracing::warn!(repo = self.name(), %error, "the leases of a session are not renewed");
            }
        }
    }

    fn sweep(self: &Arc<Self>, clock: &'static dyn Clock) {
        let now = clock.now();
        let over = self.table(|table| table.over(now));
        if over.is_empty() {
            return;
        }
        let over = over.into_iter().take(AT_ONCE).collect();
        match self.ask(Command::sweep(self.server.clone(), over), clock) {
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
