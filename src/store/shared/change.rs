//! A change: decided on the last tip seen, pushed on condition that it still is the tip, decided again where it was not.

use std::time::{Duration, Instant};

use super::branch::Branch;
use super::commit::depth_of;
use super::crowd::Turn;
use super::remote::Pushed;
use super::{SharedStore, TIP};
use crate::error::{Error, Result};
use crate::repo::{Objects, Revision};
use crate::store::{Decide, Decision, Scope, Verdict};
use crate::time::Clock;
use crate::view::View;

/// How long a change is tried again after others were faster.
const PATIENCE: Duration = Duration::from_secs(30);
/// From how many commits on the history is dropped.
const LONG: u64 = 10_000;
/// How many changes go by before that is tried again, where the remote does not have it.
const TRIED_AGAIN: u64 = 1_000;

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
        let turn = Turn::new(&self.directory, tip.as_ref());
        let mut is_fresh = false;
        for round in 1.. {
            tip = self.wait_for(&turn, &objects, tip, began, clock)?;
            let view = self.view_of(&objects, tip.as_ref(), scope, clock)?;
            let Decision { changes, verdict } = decide(&view)?;
            if !is_fresh && (verdict == Verdict::No || changes.is_empty()) {
                tip = self.fetch(&objects, None, clock)?;
                is_fresh = true;
                continue;
            }
            if changes.is_empty() {
                self.show(&objects)?;
                return Ok(view.seq);
            }
            let commit = self.commit(&objects, tip.as_ref(), &view, &changes)?;
            let pushing = Instant::now();
            let old = tip.as_ref().map(|tip| tip.commit.as_str());
            crate::fault::point("shared.push");
            let pushed = self.remote.push(old, &commit, branch)?;
            let took = pushing.elapsed();
            if let Pushed::Not(rejection) = pushed {
                let now = self.fetch(&objects, None, clock);
                let now = now.map_err(|error| rejection.explain(error))?;
                // Accepted after all, though the answer was lost; somebody may have built on it already.
                let is_there = match &now {
                    Some(now) => objects.contains(&now.commit, &commit)?,
                    None => false,
                };
                if is_there {
                    self.show_if_possible(&objects);
                    return Ok(view.next_seq());
                }
                if now.as_ref().map(|now| now.commit.as_str()) == old {
                    return Err(rejection.into_error(&self.remote.name, branch));
                }
                if began.elapsed() > PATIENCE {
                    return Err(Error::Contended {
                        remote: self.remote.name.clone(),
                    });
                }
                tip = now;
                is_fresh = true;
                let pause = turn.pause(round, took, &objects, tip.as_ref(), clock.now())?;
                std::thread::sleep(pause);
                continue;
            }
            Self::advance(&objects, &commit)?;
            turn.note(took);
            self.compact(&objects, &commit, clock);
            self.show_if_possible(&objects);
            return Ok(view.next_seq());
        }
        unreachable!("the loop ends by returning")
    }

    /// Waits while others' turn comes before ours; gives the tip seen last.
    fn wait_for(
        &self,
        turn: &Turn,
        objects: &Objects,
        mut tip: Option<Revision>,
        began: Instant,
        clock: &dyn Clock,
    ) -> Result<Option<Revision>> {
        while let Some(pause) = turn.wait(objects, tip.as_ref(), clock.now())? {
            if began.elapsed() > PATIENCE / 2 {
                break;
            }
            std::thread::sleep(pause);
            let now = self.fetch(objects, None, clock)?;
            let name = |tip: &Option<Revision>| tip.as_ref().map(|tip| tip.commit.clone());
            // Nobody is at it any more.
            let is_quiet = name(&now) == name(&tip);
            tip = now;
            if is_quiet {
                break;
            }
        }
        Ok(tip)
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

    /// Drops the history once it is long. Where the remote refuses, or somebody is faster, it stays.
    fn compact(&self, objects: &Objects, commit: &str, clock: &dyn Clock) {
        let dropped = objects.commit(commit).and_then(|tip| {
            let depth = depth_of(&tip);
            if depth < LONG || !(depth - LONG).is_multiple_of(TRIED_AGAIN) {
                return Ok(());
            }
            self.drop_history(objects, &tip, clock)
        });
        if let Err(error) = dropped {
            tracing::info!(%error, "the history of the locks is not dropped");
        }
    }

    fn drop_history(&self, objects: &Objects, tip: &Revision, clock: &dyn Clock) -> Result<()> {
        let view = View::new(super::seq_of(tip), clock.now(), self.terms, Vec::new());
        let root = self.root(objects, tip, &view)?;
        match self.remote.push(Some(&tip.commit), &root, None)? {
            Pushed::Accepted => Self::advance(objects, &root),
            Pushed::Not(rejection) => Err(rejection.into_error(&self.remote.name, None)),
        }
    }
}
