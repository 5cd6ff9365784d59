//! Which of the hooks have anything to do in a repository. One that has not is not installed: it would only cost.

use crate::error::Result;
use crate::repo::Repo;

/// Whether a hook of a repository that somebody works in has anything to do there.
#[expect(
    clippy::unnecessary_wraps,
    reason = "what a repository uses is read from its files"
)]
pub(super) fn is_needed(_name: &str, _repo: &Repo) -> Result<bool> {
    Ok(true)
}
