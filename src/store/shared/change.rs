//! A change: decided on the last tip seen, pushed on condition that it still is the tip, decided again where it was not.

use std::time::{Duration, Instant};

use super::branch::Branch;
use super::commit::{LONG, TRIED_AGAIN, depth_of};
use super::crowd::Turn;
use super::remote::Pushed;
use super::{SharedStore, TIP};
use crate::error::{Error, Result};
use crate::repo::{Objects, Revision};
use crate::store::{Decide, Scope, Verdict};
use crate::time::Clock;
use crate::view::View;

/// How long a change is tried again after others were faster.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of an attempt to publish a change.
enum Attempt {
    /// It is on the remote. The push took so long; nobody knows where its answer was lost.
    Published(Option<Duration>),
    /// Somebody was faster: the tip now, and how long the push took.
    Lost(Option<Revision>, Duration),
}

impl SharedStore {
    /// Runs `decide` until its changes are pushed, in one push with `branch` where there is one.
    ///
    /// A yes is proven by the push; a no, and a change of nothing, are only given on a view fetched by this call.
    pub(crate) fn change(
        &self,
        scope: &Scope,
        clock: &dyn Clock,
        decide: &mut Decide<'_>,
        branch: Option<&Branch>,
    ) -> Result<u64> {
        let objects = self.prepare()?;
        let began = Instant::now();
        let mut tip = objects.revision(TIP)?;
        let mut turn = Turn::new(&self.directory, tip.as_ref());
        let mut is_fresh = false;
        loop {
            let view = self.view_of(&objects, tip.as_ref(), scope, clock)?;
            let decision = decide(&view)?;
            let is_nothing = decision.changes.is_empty();
            if !is_fresh && (decision.verdict == Verdict::No || is_nothing) {
                tip = self.fetch(&objects, None, clock)?;
                is_fresh = true;
                continue;
            }
            if is_nothing {
                self.show(&objects)?;
                return Ok(view.seq);
            }
            if let Some(wait) = turn.wait(&objects, tip.as_ref(), clock.now())?
                && began.elapsed() < PATIENCE / 2
            {
                std::thread::sleep(wait);
                tip = self.fetch(&objects, None, clock)?;
                is_fresh = true;
                continue;
            }
            let commit = self.commit(&objects, tip.as_ref(), &view, &decision)?;
            match self.publish(&objects, tip.as_ref(), &commit, branch, clock)? {
                Attempt::Published(took) => {
                    turn.note(took);
                    self.look_after(&objects, tip.as_ref(), &commit, clock);
                    return Ok(view.next_seq());
                }
                Attempt::Lost(now, took) => {
                    if began.elapsed() > PATIENCE {
                        let remote = self.remote.name.clone();
                        return Err(Error::Contended { remote });
                    }
                    tip = now;
                    is_fresh = true;
                    let pause = turn.pause(took, &objects, tip.as_ref(), clock.now())?;
                    std::thread::sleep(pause);
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
        branch: Option<&Branch>,
        clock: &dyn Clock,
    ) -> Result<Attempt> {
        let old = tip.map(|tip| tip.commit.as_str());
        let pushing = Instant::now();
        let pushed = self.remote.push(old, commit, branch)?;
        let took = pushing.elapsed();
        let Pushed::Not(rejection) = pushed else {
            Self::advance(objects, commit)?;
            return Ok(Attempt::Published(Some(took)));
        };
        let now = self.fetch(objects, None, clock);
        let now = now.map_err(|error| rejection.explain(error))?;
        // Accepted after all, though the answer was lost; somebody may have built on it already.
        if let Some(now) = &now
            && objects.contains(&now.commit, commit)?
        {
            return Ok(Attempt::Published(None));
        }
        if now.as_ref().map(|now| now.commit.as_str()) == old {
            return Err(rejection.into_error(&self.remote.name, branch));
        }
        Ok(Attempt::Lost(now, took))
    }

    /// The same with a branch. A remote that does not take both in one push gets the branch first.
    pub(crate) fn change_with(
        &self,
        scope: &Scope,
        clock: &dyn Clock,
        branch: &Branch,
        decide: &mut Decide<'_>,
    ) -> Result<u64> {
        if self.remote.is_tracked(branch)? {
            self.remote.push_branch(branch)?;
            return self.change(scope, clock, decide, None);
        }
        match self.change(scope, clock, decide, Some(branch)) {
            Err(Error::NotPushed { problem, .. }) if problem.contains("not support --atomic") => {
                self.remote.push_branch(branch)?;
                self.change(scope, clock, decide, None)
            }
            other => other,
        }
    }

    /// What follows a change that is published. It is done: what fails here is told in the log only.
    fn look_after(
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
        match self.remote.push(Some(&tip.commit), &root, None)? {
            Pushed::Accepted => Self::advance(objects, &root),
            Pushed::Not(rejection) => Err(rejection.into_error(&self.remote.name, None)),
        }
    }
}
