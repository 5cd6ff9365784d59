//! Fetching shared locks, cleaning up what has expired, write bits.

use std::sync::Arc;
use std::time::Instant;

use super::{Agent, Deed, Done, Notice, edits, pace};
use crate::error::Result;
use crate::lock::Lock;
use crate::lockable;
use crate::path::{Kind, RepoPath};
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

    /// Gives the lockable files that these locks cover their write bits.
    pub(super) fn settle(&self, locks: &[Lock]) {
        if !self.does() {
            return;
        }
        let covered: Vec<(RepoPath, Kind)> = locks
            .iter()
            .map(|lock| (lock.path.clone(), lock.kind))
            .collect();
        let (latch, clock, me) = (
            Arc::clone(self.live.latch()),
            Arc::clone(&self.clock),
            self.me.clone(),
        );
        self.tree.give(move || {
            let covered: Vec<_> = covered.iter().map(|(path, kind)| (path, *kind)).collect();
            Done::Settled(latch.try_settle_bits(&covered, &me, &*clock))
        });
    }

    /// Gives all lockable files their write bits.
    pub(super) fn settle_everything(&self) {
        if !self.does() {
            return;
        }
        let (latch, clock, me) = (
            Arc::clone(self.live.latch()),
            Arc::clone(&self.clock),
            self.me.clone(),
        );
        self.tree.give(move || {
            edits::wait_for_git(&latch);
            let settle = || {
                if latch.has_lockable_files()? {
                    latch.settle(&lockable::all(latch.repo())?, &me, &*clock)
                } else {
                    Ok(())
                }
            };
            Done::Settled(settle())
        });
    }
}
