//! `auto`: the files whose locks the daemon took on their first edit, and so gives back by itself, also after a restart.
//!
//! A file is noted before it is locked, with the branch it was edited on: from another one nobody can tell whether the
//! work is out. Who locks it by hand takes it off the list: that lock is theirs to give back.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::latch::Latch;
use crate::os::files;
use crate::os::guard::Guard;
use crate::os::mode::Sharing;
use crate::rules::error::Result;
use crate::rules::path::RepoPath;
use crate::store::TreeDir;

/// The largest list that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// The list of one working tree.
#[derive(Clone, Debug)]
pub struct FirstEdits {
    file: PathBuf,
    sharing: Sharing,
}

/// Files, and the branch each was edited on by its full name; empty where there was none.
pub(crate) type Branches = BTreeMap<RepoPath, String>;

impl FirstEdits {
    /// The list in a working tree's git directory.
    #[must_use]
    pub fn of(latch: &Latch) -> Self {
        FirstEdits {
            file: TreeDir::of(latch.repo().git_dir()).first_edits(),
            sharing: latch.sharing(),
        }
    }

    /// Reads it. A line that is none is passed over.
    pub(crate) fn read(&self) -> Result<Branches> {
        let Some(bytes) = files::read_small(&self.file, LARGEST)? else {
            return Ok(Branches::new());
        };
        let parse = |line: &str| {
            let (branch, path) = line.split_once('\t')?;
            Some((RepoPath::new(path).ok()?, branch.to_owned()))
        };
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().filter_map(parse).collect())
    }

    /// Notes files that are about to be locked.
    pub(crate) fn add(&self, paths: &[RepoPath], branch: &str) -> Result<()> {
        self.update(|branches| {
            branches.extend(paths.iter().map(|path| (path.clone(), branch.to_owned())));
        })
    }

    /// Takes files off the list.
    pub fn strike(&self, is_over: impl Fn(&RepoPath) -> bool) -> Result<()> {
        if self.read()?.keys().any(&is_over) {
            self.update(|branches| branches.retain(|path, _| !is_over(path)))?;
        }
        Ok(())
    }

    fn update(&self, change: impl FnOnce(&mut Branches)) -> Result<()> {
        let directory = self.file.parent().unwrap_or(&self.file);
        files::create_directories(directory, self.sharing)?;
        let _guard = Guard::take(&directory.join("auto.guard"), "")?;
        let mut branches = self.read()?;
        change(&mut branches);
        let line = |(path, branch): (&RepoPath, &String)| format!("{branch}\t{path}\n");
        let lines: Vec<String> = branches.iter().map(line).collect();
        files::replace(&self.file, lines.concat().as_bytes(), self.sharing)
    }
}
