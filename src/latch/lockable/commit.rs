//! The attribute in a commit, where there is no working tree.

use std::collections::HashSet;

use super::{ATTRIBUTE, ask};
use crate::git::repo::Repo;
use crate::rules::error::{Error, Result};

/// A commit some of whose `.gitattributes` mention the attribute.
#[derive(Clone, Debug)]
pub(crate) struct InCommit {
    commit: String,
}

impl InCommit {
    /// Looks for the attribute; `None` where there is no such commit, or no mention of it.
    pub(crate) fn of(repo: &Repo, commit: &str) -> Result<Option<Self>> {
        let Some(commit) = repo.commit_of(commit)? else {
            return Ok(None);
        };
        let found = repo.git().run(&[
            "grep",
            "--quiet",
            "--fixed-strings",
            "-e",
            ATTRIBUTE,
            &commit,
            "--",
            ":(glob)**/.gitattributes",
        ])?;
        Ok(found.status.success().then_some(InCommit { commit }))
    }

    /// Those of the paths that are `lockable`.
    pub(crate) fn among(&self, repo: &Repo, paths: &[&[u8]]) -> Result<HashSet<Vec<u8>>> {
        if paths.is_empty() {
            return Ok(HashSet::new());
        }
        // `check-attr --source` would do without an index, but is younger than the git of many servers.
        let directory = tempfile::tempdir()
            .map_err(Error::io("create a directory in", std::env::temp_dir()))?;
        let index = directory.path().join("index");
        let git = repo.git().with_variable("GIT_INDEX_FILE", index);
        git.output(&["read-tree", &self.commit])?;
        let check = ["check-attr", "--cached", "-z", "--stdin", ATTRIBUTE];
        ask(&git, &check, paths)
    }
}
