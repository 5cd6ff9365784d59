//! Before an edit: is the working copy the newest there is?

use std::time::Duration;

use super::Latch;
use crate::git::edits::{self, Newer, Others};
use crate::git::target::Target;
use crate::latch::lockable::{self, Bits};
use crate::rules::error::{Error, Result};
use crate::rules::path::Kind;
use crate::store::shared;

/// How long fetching the remote's branches may take.
const LIMIT: Duration = Duration::from_secs(600);

/// How long whoever did not ask waits for the answer.
const QUICK: Duration = Duration::from_millis(200);

/// What of the remote to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// The remote's branches as they were fetched last.
    WhatIsKnown,
    /// The remote's branches, fetched now.
    TheRemote,
}

impl Latch {
    /// Files among the targets of which others have a newer version than my branch: the branches of the remote, and, where
    /// locks are on this machine alone, the branches and linked working trees here.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where the remote does not answer.
    pub fn newer(&self, targets: &[Target], against: Against) -> Result<Vec<Newer>> {
        let others = Others {
            remote: self.remote_of_branches()?,
            here: self.shared().is_none(),
        };
        if let (Against::TheRemote, Some(remote)) = (against, &others.remote) {
            self.fetch_branches(remote)?;
        }
        edits::newer(&self.repo, &others, targets)
    }

    /// The same of what is known here already, for whoever did not ask: nothing where it takes git too long to say.
    #[must_use]
    pub fn known_newer(&self, targets: &[Target]) -> Vec<Newer> {
        let found = match edits::may_be_newer(&self.repo, targets, QUICK) {
            Ok(true) => self.newer(targets, Against::WhatIsKnown),
            other => other.map(|_| Vec::new()),
        };
        found.unwrap_or_else(|error| {
            tracing::debug!(%error, "whether the copy is old is not known");
            Vec::new()
        })
    }

    /// Makes files writable, whether they are `lockable` or read-only for another reason.
    ///
    /// # Errors
    /// [`Error::Io`] with the file whose bit cannot be set.
    pub fn make_writable(&self, targets: &[Target]) -> Result<()> {
        let root = self.repo.root()?;
        for target in targets.iter().filter(|t| t.kind == Kind::File) {
            lockable::set(root, target.path.as_str().as_bytes(), Bits::Writable)?;
        }
        Ok(())
    }

    /// The remote whose branches the team's versions are on: that of the locks, else that of the branch, else `origin`.
    pub(super) fn remote_of_branches(&self) -> Result<Option<String>> {
        if let Some(shared) = self.shared() {
            return Ok(Some(shared.remote().to_owned()));
        }
        let git = self.repo.git();
        if let Some(upstream) = self.upstream()? {
            return Ok(Some(upstream.remote));
        }
        let known = git.output(&["remote"])?;
        let mut names = known.split(|b| *b == b'\n');
        Ok(names
            .any(|name| name == b"origin")
            .then(|| "origin".to_owned()))
    }

    /// The user's own tracking refs are brought up to date, as `git fetch` does it.
    pub(super) fn fetch_branches(&self, remote: &str) -> Result<()> {
        let git = self.repo.git();
        let fetch = [
            "fetch",
            "--quiet",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--",
            remote,
        ];
        let unreachable = |problem: String| Error::Unreachable {
            remote: remote.to_owned(),
            problem,
            hint: None,
        };
        let output = git
            .without_prompt()
            .run_within(&fetch, LIMIT)?
            .ok_or_else(|| unreachable(format!("no answer within {} s", LIMIT.as_secs())))?;
        if output.status.success() {
            return Ok(());
        }
        Err(unreachable(shared::words(&output.stderr)))
    }
}
