//! A change: decided on the last tip seen, pushed on condition that it still is the tip, decided again where it was not.
//!
//! It has three outcomes. *Applied* is proven by the push, or by a fetch that shows the commit. *Refused* wants the
//! remote's own word, and a fetch after it. Everything else is *unknown*: the push may still be on its way. Then the same
//! commit is pushed again on the same expectation until the remote's own comparison settles it; a word against that push
//! says nothing about the first one.

use std::time::{Duration, Instant};

use super::SharedStore;
use super::commit::{LONG, TRIED_AGAIN, depth_of};
use super::crowd::Turn;
use super::deadline::Deadline;
use super::limits::MAX_CHANGED;
use super::pending::Pending;
use super::rejection::Rejection;
use super::remote::Pushed;
use crate::git::repo::{Objects, Revision};
use crate::os::fault;
use crate::rules::error::{Error, Result};
use crate::rules::lease::Change;
use crate::rules::time::Clock;
use crate::rules::view::{Entry, View};
use crate::store::{Decide, Decision, Scope, Verdict};

/// How long a change is tried again after others were faster.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first pause before a push whose fate is not known is made again, and the longest.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What became of an attempt to publish a change.
enum Attempt {
    /// It is on the remote. The push took so long; nobody knows where its answer was lost.
    Applied(Option<Duration>),
    /// Somebody was faster: the tip now, and how long the push took.
    Lost(Option<Revision>, Duration),
    /// Nobody knows.
    Unknown(Rejection),
}

impl SharedStore {
    /// Runs `decide` until its changes are pushed.
    ///
    /// A yes is proven by the push; a no, and a change of nothing, are only given on a view fetched by this call.
    pub(super) fn change(
        &self,
        scope: &Scope,
        clock: &dyn Clock,
        decide: &mut Decide<'_>,
    ) -> Result<u64> {
        let objects = self.prepare()?;
        let began = Instant::now();
        let limit = Deadline::new(None);
        let mut tip = self.tips.seen(&objects)?;
        let mut turn = Turn::new(&self.directory, tip.as_ref());
        let mut is_fresh = false;
        loop {
            let view = self.view_of(&objects, tip.as_ref(), scope, clock)?;
            let decision = decide(&view)?;
            let is_nothing = decision.changes.is_empty();
            if !is_fresh && (decision.verdict == Verdict::No || is_nothing) {
                tip = self.fetch(&objects, &limit, clock)?;
                is_fresh = true;
                continue;
            }
            if is_nothing {
                self.show_if_possible(&objects);
                return Ok(view.seq);
            }
            if let Some(wait) = turn.wait(&objects, tip.as_ref(), clock.now())?
                && began.elapsed() < PATIENCE / 2
            {
                std::thread::sleep(wait);
                tip = self.fetch(&objects, &limit, clock)?;
                is_fresh = true;
                continue;
            }
            within_limits(decision.changes.len())?;
            let commit = self.commit(&objects, tip.as_ref(), &view, &decision)?;
            match self.publish(&objects, tip.as_ref(), &commit, &limit, clock)? {
                Attempt::Applied(took) => {
                    turn.note(took);
                    self.maintain(&objects, tip.as_ref(), &commit, clock);
                    return Ok(view.next_seq());
                }
                Attempt::Lost(now, took) => {
                    if began.elapsed() > PATIENCE || limit.left().is_zero() {
                        let remote = self.remote.name.clone();
                        return Err(Error::Contended { remote });
                    }
                    tip = now;
                    is_fresh = true;
                    let pause = turn.pause(took, &objects, tip.as_ref(), clock.now())?;
                    std::thread::sleep(pause);
                }
                Attempt::Unknown(rejection) => {
                    let on = tip.as_ref().map(|tip| tip.commit.as_str());
                    let pending = Pending::new(&commit, on, &decision.changes, &view, clock.now());
                    return Err(self.unknown(pending, &decision, &view, rejection));
                }
            }
        }
    }

    /// Pushes a change on top of `tip`. What the remote says about a push that did not go through decides nothing; what
    /// it has then does.
    fn publish(
        &self,
        objects: &Objects,
        tip: Option<&Revision>,
        commit: &str,
        limit: &Deadline,
        clock: &dyn Clock,
    ) -> Result<Attempt> {
        let old = tip.map(|tip| tip.commit.as_str());
        let mut doubt: Option<Instant> = None;
        let mut pause = PAUSE;
        loop {
            let pushing = Instant::now();
            let is_in_doubt = doubt.is_some();
            let pushed = self.remote.push(old, commit, limit.for_a_push(is_in_doubt));
            let took = pushing.elapsed();
            fault::point("push.returned");
            let rejection = match pushed {
                Ok(Pushed::Accepted) => {
                    self.advance_if_possible(objects, commit);
                    return Ok(Attempt::Applied((!is_in_doubt).then_some(took)));
                }
                Ok(Pushed::Unsent(rejection)) if !is_in_doubt => {
                    return Err(self.remote.unreachable(&rejection.into_words()));
                }
                Ok(Pushed::Unclear(rejection)) => {
                    doubt.get_or_insert_with(|| limit.of_doubt());
                    rejection
                }
                Ok(Pushed::Rejected(rejection) | Pushed::Unsent(rejection)) => rejection,
                Err(error) if is_in_doubt => Rejection::new(&error.to_string(), b""),
                Err(error) => return Err(error),
            };
            match self.fetch(objects, limit, clock) {
                // Somebody may have built on it already.
                Ok(Some(now)) if super::fetching::has_below(objects, &now, commit) => {
                    return Ok(Attempt::Applied(None));
                }
                // Whatever is on its way can only follow on a tip that is none any more.
                Ok(now) if now.as_ref().map(|now| now.commit.as_str()) != old => {
                    return Ok(Attempt::Lost(now, took));
                }
                Ok(_) if doubt.is_none() => return Err(rejection.into_error(&self.remote.name)),
                // It was refused in so many words: nothing is on its way.
                Err(error) if doubt.is_none() => return Err(error),
                Ok(_) | Err(_) => {}
            }
            if doubt.is_some_and(|end| Instant::now() >= end) {
                return Ok(Attempt::Unknown(rejection));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The error of a change of which nobody knows, which is remembered until a fetch shows what became of it.
    fn unknown(
        &self,
        pending: Pending,
        decision: &Decision,
        view: &View,
        rejection: Rejection,
    ) -> Error {
        if let Err(error) = self.pending.note(&self.tips, pending) {
            tracing::warn!(%error, "what became of the change will not be told");
        }
        let ended = decision.changes.iter().filter_map(|change| match change {
            Change::Remove {
                place,
                was_live: true,
                ..
            } => view.at(place).and_then(Entry::lock),
            // What had expired was nobody's to give back.
            Change::Remove { .. } | Change::Acquire(_) | Change::Renew(_) => None,
        });
        Error::Unknown {
            remote: self.remote.name.clone(),
            problem: rejection.into_words(),
            released: ended.map(|lock| lock.lease.to_string()).collect(),
        }
    }

    /// What follows a change that is published. It is done: what fails here is told in the log only.
    fn maintain(
        &self,
        objects: &Objects,
        before: Option<&Revision>,
        commit: &str,
        clock: &dyn Clock,
    ) {
        let done = objects.commit(commit).and_then(|tip| {
            self.tidy(before, &tip);
            self.compact(objects, &tip, clock)
        });
        if let Err(error) = done {
            tracing::info!(%error, "the history of the locks is not dropped");
        }
        self.show_if_possible(objects);
    }

    /// Drops the history once it is long. Where the remote refuses, or somebody is faster, it stays.
    fn compact(&self, objects: &Objects, tip: &Revision, clock: &dyn Clock) -> Result<()> {
        let depth = depth_of(tip);
        if depth < LONG || !(depth - LONG).is_multiple_of(TRIED_AGAIN) {
            return Ok(());
        }
        let view = View::new(super::seq_of(tip), clock.now(), self.terms, Vec::new());
        let root = self.root(objects, tip, &view)?;
        let limit = Deadline::new(None);
        match self
            .remote
            .push(Some(&tip.commit), &root, limit.for_a_push(false))?
        {
            Pushed::Accepted => self.advance(objects, &root),
            Pushed::Rejected(no) => Err(no.into_error(&self.remote.name)),
            // The next fetch shows it.
            Pushed::Unsent(_) | Pushed::Unclear(_) => Ok(()),
        }
    }
}

/// A change that others would not read is not made.
fn within_limits(changes: usize) -> Result<()> {
    if changes <= MAX_CHANGED {
        return Ok(());
    }
    Err(Error::bad_usage(
        format!("one change can affect at most {MAX_CHANGED} shared locks, not {changes}"),
        "lock the directory above, or do it in several steps",
    ))
}
