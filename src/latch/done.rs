//! When work is done: the one rule for `unlock`, `checkin`, the daemon and the hooks.
//!
//! On one machine it is done once it is committed: whoever comes next finds the commit. Where locks are shared it is done
//! once it is pushed: on a branch of the remote that shares them, under whatever commit. What is done may be given back,
//! and no hook refuses it afterwards (for locks of one machine see [`crate::latch::check`]).

use std::collections::HashSet;

use super::Latch;
use crate::git::edits::{changed_files, unpushed_files};
use crate::git::repo::Repo;
use crate::rules::error::Result;
use crate::rules::lease::Why;
use crate::rules::path::{Claim, Key, Kind};

/// The work of a working tree that is not done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    uncommitted: HashSet<Key>,
    unpushed: HashSet<Key>,
}

impl Work {
    /// What is not committed.
    pub(super) fn uncommitted(repo: &Repo) -> Result<Self> {
        let changed = changed_files(repo)?;
        Ok(Work {
            uncommitted: changed.into_iter().map(|(key, _)| key).collect(),
            unpushed: HashSet::new(),
        })
    }

    /// What is committed and not pushed to a remote.
    pub(super) fn unpushed(repo: &Repo, remote: &str) -> Result<Self> {
        Ok(Work {
            uncommitted: HashSet::new(),
            unpushed: unpushed_files(repo, remote)?.into_iter().collect(),
        })
    }

    /// Why the work under a lock is not done; `None` where it is.
    pub(crate) fn left_on(&self, claim: &Claim) -> Option<Why> {
        let covers = |keys: &HashSet<Key>| match claim.kind {
            Kind::File => keys.contains(&claim.key),
            Kind::Directory => keys.iter().any(|key| claim.covers(key)),
        };
        if covers(&self.uncommitted) {
            Some(Why::Uncommitted)
        } else {
            covers(&self.unpushed).then_some(Why::Unpushed)
        }
    }
}

impl Latch {
    /// The work that is not done, as far as was fetched.
    ///
    /// # Errors
    /// Where git cannot tell.
    pub(crate) fn work_left(&self) -> Result<Work> {
        let work = Work::uncommitted(&self.repo)?;
        let Some(shared) = self.shared() else {
            return Ok(work);
        };
        let Work { unpushed, .. } = Work::unpushed(&self.repo, shared.remote())?;
        Ok(Work { unpushed, ..work })
    }
}
