//! Fetching shared locks, cleaning up what has expired, write bits.

use std::sync::Arc;
use std::time::Instant;

use super::{Agent, Deed, Done, Notice, edits, pace};
use crate::error::Result;
use crate::lockable;
use crate::store::Synced;

impl Agent {
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
        self.edits.forget_locking();
        let remains = self.live.follower().remains();
        if remains == 0 {
            return;
        }
        if !self.does() {
            self.say(std::iter::once(Deed::Sweep(remains)), notices);
            return;
        }
        self.busy.sweeping = true;
        let clock = Arc::clone(&self.clock);
        self.store
            .give(move || Done::Swept(latch.sweep(&*clock).map(drop)));
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
        let all = self.edits.settle_at.is_some_and(|at| now >= at);
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
            let settle_all = || {
                edits::wait_for_git(&latch);
                if latch.has_lockable_files()? {
                    latch.settle(&lockable::all(latch.repo())?, &me, &*clock)
                } else {
                    Ok(())
                }
            };
            Done::Settled(if all {
                settle_all()
            } else {
                latch.try_settle_bits(&covered, &me, &*clock)
            })
        });
    }
}
