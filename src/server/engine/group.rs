//! Requests for changes, of which those that wait become one change together.
//!
//! Whoever asks while nothing is under way is told to see to it (and may do so on any thread); everybody who asks
//! meanwhile is part of the next change. Within one change a path changes once: who wants it a second time waits for the
//! next one, so that the fencing number of the later holder is the larger one.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::rules::error::{Error, Result};
use crate::rules::event::Author;
use crate::rules::lease::Change;
use crate::rules::path::{Claim, Place};
use crate::rules::time::Clock;
use crate::rules::view::View;
use crate::store::{Decision, LockStore, Scope, Verdict};

/// How many requests become one change at most.
const MOST: usize = 512;

/// What a request decides, on a view: steps, and whether it is refused anything.
type Decide = Box<dyn FnMut(&View) -> Result<(Vec<Change>, Verdict)> + Send>;
/// Whom to tell the number of the change, or why there is none. One error may be many requests'.
type Done = Box<dyn FnOnce(Result<u64, Arc<Error>>) + Send>;

/// A request for a change.
pub(super) struct Job {
    /// What the decision looks at.
    pub(super) claims: Vec<Claim>,
    /// Who asks.
    pub(super) by: Author,
    /// The decision; run again where somebody was faster.
    pub(super) decide: Decide,
    /// Told when it is done, or cannot be.
    pub(super) done: Done,
}

/// The requests that wait.
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    is_under_way: bool,
}

/// Whether somebody is at work on the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "nobody else sees to the queue"]
pub(crate) enum Turn {
    /// Nobody: whoever has asked drains it.
    Mine,
    /// Somebody is.
    Theirs,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.inner.lock()
    }

    pub(super) fn push(&self, job: Job) -> Turn {
        let mut waiting = self.lock();
        waiting.jobs.push_back(job);
        if waiting.is_under_way {
            return Turn::Theirs;
        }
        waiting.is_under_way = true;
        Turn::Mine
    }

    pub(super) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// What becomes one change; `None` where nobody waits, and the next to ask has to see to it.
    pub(super) fn next(&self) -> Option<Vec<Job>> {
        let mut waiting = self.lock();
        if waiting.jobs.is_empty() {
            waiting.is_under_way = false;
            return None;
        }
        let count = waiting.jobs.len().min(MOST);
        Some(waiting.jobs.drain(..count).collect())
    }

    /// Lets somebody else see to the queue if whoever does so now ends by a panic.
    pub(super) fn at_work(&self) -> AtWork<'_> {
        AtWork(self)
    }

    /// Puts requests back, before all others.
    fn put_back(&self, jobs: Vec<Job>) {
        let mut waiting = self.lock();
        for job in jobs.into_iter().rev() {
            waiting.jobs.push_front(job);
        }
    }
}

/// Somebody who sees to the queue.
pub(super) struct AtWork<'a>(&'a Queue);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().is_under_way = false;
        }
    }
}

/// What became of one request in the decision.
enum RequestFate {
    Decided,
    /// Another request of the same change was first at one of its paths.
    Postponed,
    Failed(Error),
}

/// Makes one change of several requests, and calls `published` before anybody is told.
pub(super) fn commit(
    queue: &Queue,
    store: &dyn LockStore,
    clock: &dyn Clock,
    mut jobs: Vec<Job>,
    published: impl FnOnce(),
) {
    let claims: BTreeSet<Claim> = jobs.iter().flat_map(|job| job.claims.clone()).collect();
    let scope = Scope::Claims(claims.into_iter().collect());
    let mut fates = Vec::new();
    let result = store.transact(&scope, clock, &mut |view| {
        let (decision, came_to) = decide(&mut jobs, view);
        fates = came_to;
        Ok(decision)
    });
    published();
    let result = result.map_err(Arc::new);
    let mut postponed = Vec::new();
    for (n, job) in jobs.into_iter().enumerate() {
        let fate = if n < fates.len() {
            std::mem::replace(&mut fates[n], RequestFate::Decided)
        } else {
            RequestFate::Decided
        };
        match (fate, &result) {
            (RequestFate::Postponed, Ok(_)) => postponed.push(job),
            (RequestFate::Failed(error), _) => (job.done)(Err(Arc::new(error))),
            (_, result) => (job.done)(result.clone()),
        }
    }
    queue.put_back(postponed);
}

/// The decisions of all, each on what the ones before leave.
fn decide(jobs: &mut [Job], view: &View) -> (Decision, Vec<RequestFate>) {
    let mut view = view.clone();
    let mut decision = Decision::new(Vec::new(), Verdict::Yes);
    let mut taken: BTreeSet<Place> = BTreeSet::new();
    let mut fates = Vec::with_capacity(jobs.len());
    for job in jobs {
        let (steps, verdict) = match (job.decide)(&view) {
            Ok(decided) => decided,
            Err(error) => {
                fates.push(RequestFate::Failed(error));
                continue;
            }
        };
        let places: Vec<Place> = steps.iter().filter_map(Change::place).collect();
        if places.iter().any(|place| taken.contains(place)) {
            fates.push(RequestFate::Postponed);
            continue;
        }
        fates.push(RequestFate::Decided);
        if verdict == Verdict::No {
            decision.verdict = Verdict::No;
        }
        for (step, place) in steps.iter().zip(&places) {
            step.apply_to(&mut view);
            taken.insert(place.clone());
            decision.on_behalf.push((place.clone(), job.by.clone()));
        }
        decision.changes.extend(steps);
    }
    (decision, fates)
}
