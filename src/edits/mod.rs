//! What was edited: staged for the next commit, or in commits that are pushed.
//!
//! Edited = added, changed, deleted, renamed from or to, mode or type changed. Always with `--no-renames`, which keeps
//! the old name of a renamed file and costs a tenth; always NUL-separated, because a path may be any bytes.

mod pushed;
mod staged;

use std::sync::Arc;

pub use pushed::{RefUpdate, pushed, range};
pub use staged::{Staged, unlike_upstream};

/// One edited path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The path, as the index spells it.
    pub path: Vec<u8>,
    /// The commit that edits it; `None` for the one to come.
    pub commit: Option<Arc<Commit>>,
}

/// A commit, as far as it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its object id, in hexadecimal.
    pub oid: String,
    /// Its author's mail address, as `.mailmap` has it.
    pub author: String,
}
