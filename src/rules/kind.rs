//! What a lock is on: one file, or a directory with everything below it.

use serde::{Deserialize, Serialize};

/// A file, or a directory with everything below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One file.
    File,
    /// A directory and everything below it.
    Directory,
}

impl Kind {
    /// The word of the lock file and of JSON.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Directory => "directory",
        }
    }
}
