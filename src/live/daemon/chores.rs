//! Fetching shared locks, cleaning up what has expired, write bits.

use std::sync::Arc;
use std::time::Instant;

use super::{Action, Daemon, Done, Notice, pace};
use crate::git::edits::is_git_at_work;
use crate::latch::{Latch, Whose};
use crate::rules::error::Result;
use crate::rules::time::Clock;
use crate::store::Synced;

/// Removes what has expired: of shared locks only what is mine. A clock that is wrong must not cost others their locks;
/// theirs go when somebody takes the path, or by their own daemons.
fn sweep(latch: &Latch, clock: &dyn Clock) -> Result<()> {
    let whose = match latch.shared() {
        Some(_) => Whose::Mine,
        None => Whose::Everybodys,
    };
    latch.sweep(whose, clock).map(drop)
}

impl Daemon {
    /// Fetching and cleaning up.
    pub(super) fn tend_locks(&mut self, now: Instant, notices: &mut Vec<Notice>) {
        let latch = Arc::clone(self.live.latch());
        if latch.shared().is_some() && self.sync.is_due(now) && !self.busy.syncing && self.does() {
            self.busy.syncing = true;
            let clock = Arc::clone(&self.clock);
            let latch = Arc::clone(&latch);
            self.store
                .give(move || Done::Synced(latch.sync(None, &*clock)));
        }
        if !self.sweep.is_due(now) || self.busy.sweeping {
            return;
        }
        self.sweep.succeeded(now);
        let is_shared = latch.shared().is_some();
        let remains = self.live.follower().remains();
        let remains = remains
            .filter(|entry| !is_shared || self.me.has(entry))
            .count();
        if remains == 0 {
            return;
        }
        if !self.does() {
            self.say(std::iter::once(Action::Sweep(remains)), notices);
            return;
        }
        self.busy.sweeping = true;
        let clock = Arc::clone(&self.clock);
        self.store.give(move || Done::Swept(sweep(&latch, &*clock)));
    }

    pub(super) fn hear_synced(
        &mut self,
        result: Result<Option<Synced>>,
        now: Instant,
        notices: &mut Vec<Notice>,
    ) {
        self.busy.syncing = false;
        match result {
            Ok(_) => {
                if self.sync.succeeded(now) {
                    notices.push(Notice::InStep);
                }
                if self.leases.is_held_back {
                    self.leases.look_for_losses_at = Some(now);
                }
            }
            Err(error) => {
                let (failures, pause) = self.sync.failed(now, pace::LONGEST);
                if failures == 1 {
                    notices.push(Notice::OutOfStep(error, pause));
                }
            }
        }
    }

    /// Gives lockable files their write bits: all of them after git has written files, else those whose locks have changed.
    pub(super) fn settle(&mut self, now: Instant) {
        let is_time = self.edits.settle_at.is_some_and(|at| now >= at);
        let all = is_time && !is_git_at_work(self.live.latch().repo().git_dir());
        if self.busy.settling || (!all && self.edits.to_settle.is_empty()) {
            return;
        }
        let covered = std::mem::take(&mut self.edits.to_settle);
        if all {
            self.edits.settle_at = None;
        }
        if !self.does() {
            return;
        }
        self.busy.settling = true;
        let (latch, clock, me) = (
            Arc::clone(self.live.latch()),
            Arc::clone(&self.clock),
            self.me.clone(),
        );
        self.tree.give(move || {
            let covered: Vec<_> = covered.iter().map(|(path, kind)| (path, *kind)).collect();
            Done::Settled(if all {
                latch.mind_bits(&*clock).map(drop)
            } else {
                latch.try_settle_bits(&covered, &me, &*clock)
            })
        });
    }
}
