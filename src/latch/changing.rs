//! A change of the locks, and the working tree's record of its leases beside it.
//!
//! What is to be taken is entered into the record, and what is to be given back is noted there, before the store is
//! asked: under its guard nothing else is waited for. What that will be is learned from a view; where the store decides
//! otherwise, the record is written again first.

use std::collections::HashSet;

use super::Latch;
use crate::latch::held::Held;
use crate::rules::error::{Error, Result};
use crate::rules::lease::Change;
use crate::rules::lock::{LeaseId, Lock};
use crate::rules::time::Clock;
use crate::rules::view::{Me, View};
use crate::store::{self, Scope, Verdict};

/// What a decision came to: its steps, whether it says no to anything, and the answer.
type Decided<T> = Result<(Vec<Change>, Verdict, T)>;

impl Latch {
    /// [`store::transact`] where the locks are kept, with the record of mine. `decide` must come to the same where it
    /// sees the same; it is asked once more than the store asks it. What a change was to give back of which nobody knows
    /// whether it has arrived counts as given back here.
    ///
    /// # Errors
    /// As [`store::transact`]; where what is taken cannot be entered into the record. Nothing is changed then.
    pub(super) fn transact<T>(
        &self,
        me: &Me,
        scope: &Scope,
        clock: &dyn Clock,
        mut decide: impl FnMut(&View) -> Decided<T>,
    ) -> Result<(u64, T)> {
        let view = self.store().view(scope, clock)?;
        // An error is for the store's own view to make.
        let expected = decide(&view).map_or_else(|_| Vec::new(), |(changes, ..)| changes);
        let announced = self.announce_releases(me, &view, &expected);
        let mut entered = HashSet::new();
        let mut next = taken(&expected, &entered);
        loop {
            self.held.enter(&next.iter().collect::<Vec<_>>())?;
            entered.extend(next.drain(..).map(|lock| lock.lease));
            let changed = store::transact(self.store(), scope, clock, |view| {
                let (changes, verdict, answer) = decide(view)?;
                next = taken(&changes, &entered);
                Ok(if next.is_empty() {
                    (changes, verdict, answer)
                } else {
                    // Nobody remembers taking it, and it could be lost in silence: it is entered first.
                    (Vec::new(), Verdict::Yes, answer)
                })
            });
            if changed.is_err() || next.is_empty() {
                self.after_transact(&changed, &announced);
                return changed;
            }
        }
    }

    /// Notes which of my leases these steps give back; where that cannot be, they can be given back all the same.
    fn announce_releases(&self, me: &Me, view: &View, changes: &[Change]) -> Vec<LeaseId> {
        let released: HashSet<&LeaseId> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Remove {
                    place,
                    was_live: true,
                    ..
                } => view.at(place)?.lock().map(|lock| &lock.lease),
                _ => None,
            })
            .collect();
        if released.is_empty() {
            return Vec::new();
        }
        let is_meant = |held: &Held| held.is_of(me) && released.contains(&held.lease);
        let announced = self.held.announce_release(is_meant);
        announced.unwrap_or_else(|error| {
            tracing::warn!(%error, "that locks are given back is not noted");
            Vec::new()
        })
    }

    /// Corrects the record after a change that came to nothing, or to nobody knows what.
    fn after_transact<T>(&self, changed: &Result<T>, announced: &[LeaseId]) {
        let corrected = match changed {
            Ok(_) => Ok(()),
            Err(Error::Unknown { released, .. }) => {
                let is_over = |h: &Held| released.iter().any(|lease| lease == h.lease.as_str());
                self.held.strike(is_over)
            }
            Err(_) if announced.is_empty() => Ok(()),
            Err(_) => self.held.withdraw_release(announced),
        };
        if let Err(error) = corrected {
            tracing::warn!(%error, "the working tree's record of its leases is not written");
        }
    }

    /// Strikes leases off the record that are over. They are: that the record cannot be written is no reason to say
    /// otherwise.
    pub(super) fn forget(&self, is_over: impl Fn(&Held) -> bool) {
        if let Err(error) = self.held.strike(is_over) {
            tracing::warn!(%error, "the working tree's record of its leases is not written");
        }
    }
}

/// The locks that these steps take and that are not entered yet.
fn taken(changes: &[Change], entered: &HashSet<LeaseId>) -> Vec<Lock> {
    let locks = changes.iter().filter_map(|change| match change {
        Change::Acquire(lock) => Some(lock),
        _ => None,
    });
    locks
        .filter(|lock| lock.process.is_none() && !entered.contains(&lock.lease))
        .map(|lock| (**lock).clone())
        .collect()
}
