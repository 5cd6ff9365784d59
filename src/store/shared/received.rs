//! The lock ref where pushes arrive: to look at. Locks are changed in clones.

use std::path::PathBuf;

use super::history;
use super::tree::{self, SeenBefore};
use crate::git::repo::{Objects, Repo, Revision};
use crate::rules::error::{Error, Result};
use crate::rules::event::Event;
use crate::rules::time::Clock;
use crate::rules::view::{LeaseLimits, View};
use crate::store::{Decide, LockStore, Scope};

/// The locks of a bare repository, as they were pushed into it.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedStore {
    repo: Repo,
    objects: PathBuf,
    reference: String,
    terms: LeaseLimits,
}

impl ReceivedStore {
    /// The locks that lie in a ref of a bare repository. Touches nothing.
    #[must_use]
    pub(crate) fn new(repo: &Repo, reference: &str, terms: LeaseLimits) -> Self {
        ReceivedStore {
            objects: repo.common_dir().join("objects"),
            repo: repo.clone(),
            reference: reference.to_owned(),
            terms,
        }
    }

    fn tip(&self) -> Result<Option<(Objects, Revision)>> {
        let Some(commit) = self.repo.commit_of(&self.reference)? else {
            return Ok(None);
        };
        let objects = Objects::at(std::slice::from_ref(&self.objects))?;
        let tip = objects.commit(&commit)?;
        Ok(Some((objects, tip)))
    }

    /// Every change in the ref's history, newest first.
    pub(crate) fn history(&self) -> Result<Vec<Event>> {
        match self.tip()? {
            Some((objects, tip)) => history::of(&objects, &tip, &self.terms),
            None => Ok(Vec::new()),
        }
    }
}

impl LockStore for ReceivedStore {
    fn view(&self, scope: &Scope, clock: &dyn Clock) -> Result<View> {
        let when = (self.terms, clock.now());
        match self.tip()? {
            Some((objects, tip)) => {
                tree::view(&objects, Some(&tip), scope, SeenBefore::Nothing, when)
            }
            None => Ok(View::new(0, when.1, self.terms, Vec::new())),
        }
    }

    fn peek(&self, _limit: usize, clock: &dyn Clock) -> Result<(View, bool)> {
        Ok((self.view(&Scope::All, clock)?, true))
    }

    fn transact(&self, _: &Scope, _: &dyn Clock, _: &mut Decide<'_>) -> Result<u64> {
        Err(Error::Unsupported {
            problem: "this repository receives pushed locks: change them in a clone".into(),
            hint: Some("in a clone: git latch unlock --force PATH".into()),
        })
    }
}
