//! An edit of a path, as whoever judges it is told.

use std::sync::Arc;

/// One path that was edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    /// The path, in git's bytes, from the repository's root.
    pub path: Vec<u8>,
    /// The commit that edits it; `None` for what is staged.
    pub commit: Option<Arc<Commit>>,
}

/// The commit behind an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its object id.
    pub oid: String,
    /// Its author's mail address.
    pub author: String,
}
