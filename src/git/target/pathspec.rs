//! A pattern in an argument, where git's index does not know what it matches: locks on files to come.

use super::Target;
use crate::rules::error::Result;
use crate::rules::path::{Key, Kind, RepoPath};

/// A pattern in an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pathspec {
    pub(super) argument: String,
    /// From the root.
    pub(super) relative: Vec<u8>,
}

impl Pathspec {
    /// Whether it matches a path, also one that git does not track, as git's plain pathspec would: `*` crosses
    /// directories. Of git's long forms (`:(…)`) only git itself knows what they match.
    #[must_use]
    pub(crate) fn matches(&self, path: &Key) -> bool {
        !self.argument.starts_with(':') && crate::rules::pattern::is_match(&self.relative, path)
    }

    /// The argument as the name of a path to come.
    pub(super) fn as_path(&self) -> Result<Target> {
        let is_directory = self.argument.ends_with('/');
        let path = String::from_utf8_lossy(&self.relative).into_owned();
        Ok(Target {
            path: RepoPath::new(path)?,
            kind: if is_directory {
                Kind::Directory
            } else {
                Kind::File
            },
        })
    }
}
