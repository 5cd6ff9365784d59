//! Where the working trees of a repository are, told by their workspaces: only looked for where somebody asks.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::Workspace;
use crate::rules::report::Trees;

/// The working trees of one repository that have taken locks.
#[derive(Debug)]
pub struct WorkingTrees {
    common_dir: PathBuf,
    known: OnceLock<HashMap<String, PathBuf>>,
}

impl WorkingTrees {
    /// The trees of a common directory.
    #[must_use]
    pub(crate) fn of(common_dir: &Path) -> Self {
        WorkingTrees {
            common_dir: common_dir.to_owned(),
            known: OnceLock::new(),
        }
    }

    fn look(&self) -> HashMap<String, PathBuf> {
        let listing = fs::read_dir(self.common_dir.join("worktrees"));
        let linked = listing
            .into_iter()
            .flatten()
            .flatten()
            .map(|item| item.path());
        let all = std::iter::once(self.common_dir.clone()).chain(linked);
        let named = |git_dir: PathBuf| {
            // What was copied with the repository is not here.
            match Workspace::of(&git_dir, &crate::os::marks::host()) {
                Ok(Workspace::Known(id)) => Some((id, self.root_of(&git_dir)?)),
                _ => None,
            }
        };
        all.filter_map(named).collect()
    }

    /// The top of the tree of a git directory, as `git worktree list` names it: what `.git` lies in.
    fn root_of(&self, git_dir: &Path) -> Option<PathBuf> {
        let of_git = |git: &Path| match git.file_name() {
            Some(name) if name == ".git" => git.parent().map(Path::to_owned),
            _ => Some(git.to_owned()),
        };
        if git_dir == self.common_dir {
            return of_git(git_dir);
        }
        let text = fs::read(git_dir.join("gitdir")).ok()?;
        let named = crate::os::paths::bytes_to_path(text.trim_ascii_end());
        // Relative since git 2.48, where that is asked for.
        let git = git_dir.join(named);
        of_git(&git.canonicalize().unwrap_or(git))
    }
}

impl Trees for WorkingTrees {
    fn path_of(&self, workspace: &str) -> Option<PathBuf> {
        self.known
            .get_or_init(|| self.look())
            .get(workspace)
            .cloned()
    }
}
