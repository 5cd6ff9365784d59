//! Waiting for others' locks, then taking the paths.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Latch;
use super::acquire::LockOptions;
use crate::git::target::Target;
use crate::os::paths::place_path;
use crate::os::watch::Nudge;
use crate::rules::error::{Code, Result};
use crate::rules::lease::{Acquired, Batch, Refusal};
use crate::rules::time::Clock;
use crate::rules::view::Entry;

/// How often to ask whether to give up.
const SLICE: Duration = Duration::from_millis(100);
/// How often to try a guard that somebody keeps.
const GUARDED: Duration = Duration::from_millis(20);
/// How often to look at a lease that ends with a process, whose end makes no event.
const PROCESS: Duration = Duration::from_secs(1);
/// How often to look in any case.
const LONGEST: Duration = Duration::from_secs(5);

/// How to wait.
pub struct Waiting<'a> {
    /// How long at most.
    pub limit: Duration,
    /// Whether to give up now.
    pub is_cancelled: &'a dyn Fn() -> bool,
    /// Is told whom it waits for, whenever that changes.
    pub tell: &'a mut dyn FnMut(&[Refusal]),
}

impl std::fmt::Debug for Waiting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Latch {
    /// Takes paths as soon as they are free: [`Latch::lock`], again and again until it is not refused or the time is up.
    /// What was refused last is the answer then.
    ///
    /// # Errors
    /// As [`Latch::lock`].
    pub fn lock_when_free(
        &self,
        targets: &[Target],
        options: &LockOptions,
        clock: &dyn Clock,
        waiting: &mut Waiting<'_>,
    ) -> Result<Acquired> {
        let end = Instant::now().checked_add(waiting.limit);
        let together = LockOptions {
            batch: Batch::Atomic,
            ..options.clone()
        };
        let mut told: Vec<String> = Vec::new();
        let mut nudge: Option<(BTreeSet<PathBuf>, Nudge)> = None;
        loop {
            // That others are at work says nothing about the locks: it is waited for like these.
            self.await_guard(end, waiting);
            if (waiting.is_cancelled)() {
                return Ok(Acquired::default());
            }
            let acquired = match self.lock(targets, &together, clock) {
                Err(error) if error.code() == Code::Busy && !is_over(end) => continue,
                other => other?,
            };
            if acquired.refused.is_empty() {
                return Ok(acquired);
            }
            if is_over(end) || (waiting.is_cancelled)() {
                return match options.batch {
                    Batch::Atomic => Ok(acquired),
                    Batch::Partial => self.lock(targets, options, clock),
                };
            }
            let whom: Vec<String> = acquired.refused.iter().map(lease_of).collect();
            if whom != told {
                (waiting.tell)(&acquired.refused);
                told = whom;
            }
            let directories = self.directories_of(&acquired.refused);
            match &nudge {
                Some((watched, nudge)) if *watched == directories => {
                    self.pause(nudge, &acquired.refused, clock, end, waiting);
                }
                // Watched from now on: what changed before is seen by the next try.
                _ => nudge = Some((directories.clone(), Nudge::on(&directories))),
            }
        }
    }

    /// Waits until nobody keeps the guard.
    fn await_guard(&self, end: Option<Instant>, waiting: &Waiting<'_>) {
        while !is_over(end) && !(waiting.is_cancelled)() && self.local().is_busy() {
            std::thread::sleep(GUARDED);
        }
    }

    /// Waits until something happens where the locks in the way lie, or one of them is over by time.
    fn pause(
        &self,
        nudge: &Nudge,
        refused: &[Refusal],
        clock: &dyn Clock,
        end: Option<Instant>,
        waiting: &Waiting<'_>,
    ) {
        let now = clock.now();
        let holders = || refused.iter().filter_map(|r| r.holder.as_ref());
        let over = holders().filter_map(|e| e.over_at(now, self.terms()));
        let next = over
            .map(|at| (at - now).to_std().unwrap_or(Duration::ZERO))
            .min();
        let step = if holders().any(Entry::is_bound_to_living) {
            PROCESS
        } else {
            LONGEST
        };
        let left = end.map_or(LONGEST, |end| end.saturating_duration_since(Instant::now()));
        // A little longer than until the end: at the end itself it is not over yet.
        let patience = (next.unwrap_or(LONGEST) + Duration::from_millis(2))
            .min(step)
            .min(left);
        let until = Instant::now() + patience;
        while !(waiting.is_cancelled)() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || nudge.wait(left.min(SLICE)) {
                return;
            }
        }
    }

    /// Where the locks in the way lie.
    fn directories_of(&self, refused: &[Refusal]) -> BTreeSet<PathBuf> {
        let locks = self.local().locks();
        refused
            .iter()
            .filter_map(|r| r.holder.as_ref())
            .filter_map(|e| locks.join(place_path(&e.place)).parent().map(PathBuf::from))
            .collect()
    }
}

fn is_over(end: Option<Instant>) -> bool {
    end.is_some_and(|end| Instant::now() >= end)
}

/// What tells one holder from the next.
fn lease_of(refusal: &Refusal) -> String {
    let lock = refusal.holder.as_ref().and_then(Entry::lock);
    lock.map_or_else(String::new, |lock| lock.lease.to_string())
}
