//! Which of the hooks have anything to do in a repository. One that has not is not installed: it would only cost.
//!
//! What is staged is judged before a commit, and a commit writes no file of the working tree: after it there are write
//! bits to set only where files are `lockable`. A commit that brings that attribute is met by pre-commit, and what writes
//! files by post-checkout and post-merge.

use super::lfs;
use crate::git::repo::Repo;
use crate::latch::lockable;
use crate::rules::error::Result;

/// The hook that may have something to do later, and nothing now.
const LATER: &str = "post-commit";

/// Whether a hook of a repository that somebody works in has anything to do there.
#[expect(
    clippy::unnecessary_wraps,
    reason = "what a repository uses is read from its files"
)]
pub(super) fn is_needed(name: &str, repo: &Repo) -> Result<bool> {
    Ok(name != LATER || lockable::was_met(repo) || lfs::is_used(repo.common_dir()))
}

/// Whether a hook that is missing beside others of ours may have come to be needed since they were installed.
pub(super) fn comes_later(name: &str) -> bool {
    name == LATER
}
