//! My leases: renewed while they are worked on, let go when not, missed when they are lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::leases::{due_at, is_ending, is_nearly_due, pause_after, worked_on};
use super::pace::{LONGEST, Pace};
use super::{Action, Daemon, Done, Notice, SETTLING};
use crate::latch::RenewOutcome;
use crate::live::TICK;
use crate::rules::error::Result;
use crate::rules::lease::Renewal;
use crate::rules::lock::{LeaseId, Lock};
use crate::rules::loss::Loss;

/// The first pause after a renewal that failed.
const RETRY: Duration = Duration::from_secs(1);

/// What is known of the life of my leases.
#[derive(Debug)]
pub(super) struct Leases {
    seed: u64,
    pub(super) judge_at: Instant,
    /// When the first of my leases is due.
    next_due: Option<DateTime<Utc>>,
    /// When to look whether git takes too long to say what is worked on.
    doubt_at: Option<Instant>,
    retry: Pace,
    is_failing: bool,
    /// Leases whose end was told.
    warned: HashSet<LeaseId>,
    /// Leases of which it was told late in their life that they cannot be renewed.
    told_failing: HashSet<LeaseId>,
    pub(super) look_for_losses_at: Option<Instant>,
    /// When something happened first that may have been a loss and was not looked into.
    pub(super) losses_since: Option<Instant>,
    /// After a sleep nothing is renewed before it is known what was lost.
    pub(super) is_held_back: bool,
}

impl Leases {
    pub(super) fn new(seed: u64, now: Instant) -> Self {
        Leases {
            seed,
            judge_at: now,
            next_due: None,
            doubt_at: None,
            retry: Pace::new(RETRY, seed, now),
            is_failing: false,
            warned: HashSet::new(),
            told_failing: HashSet::new(),
            look_for_losses_at: Some(now),
            losses_since: None,
            is_held_back: false,
        }
    }

    /// Whoever renewed it: its end is to be told anew.
    pub(super) fn was_renewed(&mut self, lease: &LeaseId) {
        self.warned.remove(lease);
        self.told_failing.remove(lease);
    }
}

impl Daemon {
    pub(super) fn tend_leases(&mut self, now: Instant, notices: &mut Vec<Notice>) {
        self.look_for_losses(now);
        self.judge_leases(now, notices);
        self.give_back_finished(now);
    }

    fn look_for_losses(&mut self, now: Instant) {
        let is_due = self.leases.look_for_losses_at.is_some_and(|at| now >= at);
        // After a sleep what the remote knows comes first.
        let waits_for_remote =
            self.leases.is_held_back && self.busy.syncing || self.must_sync_first(now);
        if !is_due || self.busy.looking_for_losses || waits_for_remote || !self.does() {
            return;
        }
        self.leases.look_for_losses_at = None;
        self.leases.losses_since = None;
        self.busy.looking_for_losses = true;
        let (latch, clock) = (Arc::clone(self.live.latch()), Arc::clone(&self.clock));
        self.store.give(move || Done::Losses(latch.losses(&*clock)));
    }

    fn must_sync_first(&self, now: Instant) -> bool {
        let is_shared = self.live.latch().shared().is_some();
        self.leases.is_held_back && is_shared && self.sync.is_due(now)
    }

    pub(super) fn hear_losses(&mut self, result: Result<Vec<Loss>>, notices: &mut Vec<Notice>) {
        self.busy.looking_for_losses = false;
        match result {
            Ok(losses) => {
                self.leases.is_held_back = false;
                let news = losses.into_iter().filter(|loss| loss.is_news);
                notices.extend(news.map(|loss| Notice::Lost(Box::new(loss))));
                self.note_failure("looking for lost leases", Ok(()), notices);
            }
            Err(error) => {
                // A renewal finds out by itself what is lost.
                self.leases.is_held_back = false;
                self.leases.look_for_losses_at = Some(Instant::now() + Duration::from_secs(5));
                self.note_failure("looking for lost leases", Err(error), notices);
            }
        }
    }

    /// Notes when the next lease is due, after leases have come, gone or been renewed.
    pub(super) fn note_due(&mut self, now: Instant) {
        let seed = self.leases.seed;
        let next = self.mine().filter_map(|lock| due_at(lock, seed)).min();
        let mine: HashSet<LeaseId> = self.mine().map(|lock| lock.lease.clone()).collect();
        self.leases.next_due = next;
        self.leases.warned.retain(|lease| mine.contains(lease));
        self.leases
            .told_failing
            .retain(|lease| mine.contains(lease));
        // A new one may be shorter than those that were judged.
        self.leases.judge_at = self.leases.judge_at.min(now + pause_after(self.mine()));
    }

    /// When a lease is to be judged.
    pub(super) fn next_judging(&self, now: Instant) -> Option<Instant> {
        let until = self.leases.next_due? - self.clock.now();
        let due = now + until.to_std().unwrap_or_default();
        Some(due.max(self.leases.judge_at))
    }

    /// Has git asked about the leases that are due.
    fn judge_leases(&mut self, now: Instant, notices: &mut Vec<Notice>) {
        self.renew_on_doubt(now);
        let is_busy = self.busy.judging || self.busy.renewing || self.leases.is_held_back;
        let is_backing_off = self.leases.retry.is_failing() && !self.leases.retry.is_due(now);
        let wall = self.clock.now();
        let is_due = self.leases.next_due.is_some_and(|at| wall >= at);
        if is_busy || is_backing_off || !is_due || now < self.leases.judge_at {
            return;
        }
        let due: Vec<Lock> = self
            .mine()
            .filter(|lock| is_nearly_due(lock, wall))
            .cloned()
            .collect();
        self.leases.judge_at = now + pause_after(self.mine());
        self.warn_of_failing(&due, notices);
        self.busy.judging = true;
        self.leases.doubt_at = Some(now + TICK);
        let latch = Arc::clone(self.live.latch());
        self.judge
            .give(move || Done::Judged(worked_on(&latch, due, wall)));
    }

    /// Renews what is late in its life while git has not answered yet: rather once too often than losing work.
    fn renew_on_doubt(&mut self, now: Instant) {
        let may = !self.busy.renewing && !self.leases.is_held_back;
        let is_time = self.leases.doubt_at.is_some_and(|at| now >= at);
        if !may || !is_time || !self.does() {
            return;
        }
        self.leases.doubt_at = Some(now + TICK);
        let wall = self.clock.now();
        let late = self.mine().filter(|lock| is_ending(lock, wall));
        let late: Vec<Lock> = late.cloned().collect();
        if !late.is_empty() {
            self.renew(late);
        }
    }

    fn renew(&mut self, locks: Vec<Lock>) {
        self.busy.renewing = true;
        let (latch, clock, me) = (
            Arc::clone(self.live.latch()),
            Arc::clone(&self.clock),
            self.me.clone(),
        );
        self.store.give(move || {
            let leases = locks
                .iter()
                .map(|lock| (lock.path.clone(), Renewal::of(lock)));
            let leases: Vec<_> = leases.collect();
            let result = latch.renew_leases(&leases, &me, None, &*clock);
            Done::Renewed(locks, result)
        });
    }

    /// While renewing fails its holder hears of it again when two thirds of a life are over.
    fn warn_of_failing(&mut self, due: &[Lock], notices: &mut Vec<Notice>) {
        if !self.leases.is_failing {
            return;
        }
        let wall = self.clock.now();
        let told = &mut self.leases.told_failing;
        let late: Vec<Lock> = due
            .iter()
            .filter(|lock| is_ending(lock, wall) && told.insert(lock.lease.clone()))
            .cloned()
            .collect();
        for lock in late {
            let end = lock.expires_at();
            notices.push(Notice::Ending(Box::new(lock), end));
        }
    }

    pub(super) fn hear_judged(
        &mut self,
        result: Result<(Vec<Lock>, Vec<Lock>)>,
        now: Instant,
        notices: &mut Vec<Notice>,
    ) {
        self.busy.judging = false;
        self.leases.doubt_at = None;
        let (kept, left) = match result {
            Ok(judged) => {
                self.note_failure("asking git what is worked on", Ok(()), notices);
                judged
            }
            Err(error) => {
                // Asked again before a life is over; meanwhile what is late in its life is renewed on doubt.
                self.leases.judge_at = now + pause_after(self.mine());
                self.leases.doubt_at = Some(now);
                self.note_failure("asking git what is worked on", Err(error), notices);
                return;
            }
        };
        let wall = self.clock.now();
        for lock in left {
            if is_ending(&lock, wall) && self.leases.warned.insert(lock.lease.clone()) {
                let end = lock.expires_at();
                notices.push(Notice::Ending(Box::new(lock), end));
            }
        }
        if kept.is_empty() {
            return;
        }
        if !self.does() {
            let actions = kept.into_iter().map(|lock| Action::Renew(Box::new(lock)));
            self.say(actions, notices);
            return;
        }
        if !self.busy.renewing {
            self.renew(kept);
        }
    }

    pub(super) fn hear_renewed(
        &mut self,
        locks: Vec<Lock>,
        result: Result<RenewOutcome>,
        now: Instant,
        notices: &mut Vec<Notice>,
    ) {
        self.busy.renewing = false;
        match result {
            Ok(prolonged) => {
                self.leases.retry.succeeded(now);
                if std::mem::take(&mut self.leases.is_failing) {
                    self.leases.told_failing.clear();
                    notices.push(Notice::RenewedAgain);
                }
                for lock in &prolonged.renewed {
                    self.leases.was_renewed(&lock.lease);
                }
                if !prolonged.lost.is_empty() {
                    self.leases.look_for_losses_at = Some(now + SETTLING);
                }
            }
            Err(error) => {
                let longest = pause_after(locks.iter()).min(LONGEST);
                let (failures, _) = self.leases.retry.failed(now, longest);
                self.leases.judge_at = now;
                // Once may be a network that wakes up.
                if failures > 1 && !self.leases.is_failing {
                    self.leases.is_failing = true;
                    let first = locks.iter().filter_map(Lock::expires_at).min();
                    notices.push(Notice::NotRenewed(error, locks, first));
                }
            }
        }
    }
}
