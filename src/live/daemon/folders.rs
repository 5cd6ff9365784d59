//! The folders of the working tree in which an edit matters: those of files that others have locked, and of files that
//! are locked on their first edit. So the number of watches follows the locks, not the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::git::command::split_nul;
use crate::git::repo::Repo;
use crate::os::paths::bytes_to_path;
use crate::os::watch::{Directories, Identity, Unwatched, identity};
use crate::rules::error::Result;
use crate::rules::lock::Lock;
use crate::rules::path::{Key, Kind};

/// How many folders of one locked directory are watched; in more than that edits are found by looking.
const MOST: usize = 4096;

/// The folders that are watched, and which directory each was then.
#[derive(Debug, Default)]
pub(super) struct Folders {
    watched: BTreeMap<PathBuf, Identity>,
}

impl Folders {
    /// Whether one of them is this.
    pub(super) fn contains(&self, path: &Path) -> bool {
        self.watched.contains_key(path)
    }

    /// Watches these folders and no others; gives those that are watched from now on.
    ///
    /// # Errors
    /// Why not all of them can be, and how many are left out.
    pub(super) fn watch(
        &mut self,
        directories: &mut Directories,
        wanted: &BTreeSet<PathBuf>,
    ) -> (Vec<PathBuf>, Result<(), (String, usize)>) {
        // One that another has come in the place of, by a rename of something above it, say, is watched anew.
        let is_over =
            |folder: &PathBuf, was: &Identity| !wanted.contains(folder) || identity(folder) != *was;
        self.watched.retain(|folder, was| {
            let goes = is_over(folder, was);
            if goes {
                directories.remove(folder);
            }
            !goes
        });
        let missing: Vec<&PathBuf> = wanted
            .iter()
            .filter(|folder| !self.watched.contains_key(*folder))
            .collect();
        let mut new = Vec::new();
        for (n, folder) in missing.iter().enumerate() {
            let is = identity(folder);
            match directories.add(folder) {
                Ok(()) => {
                    self.watched.insert((*folder).clone(), is);
                    new.push((*folder).clone());
                }
                // Its parent's watch tells when it comes back.
                Err(Unwatched::Gone) => {}
                Err(Unwatched::NoEvents(why)) => return (new, Err((why, missing.len() - n))),
            }
        }
        (new, Ok(()))
    }

    /// Watches a folder that was touched itself, and all below it, anew: others may have come in their place.
    pub(super) fn forget(&mut self, directories: &mut Directories, folder: &Path) {
        self.watched.retain(|path, _| {
            let goes = path.starts_with(folder);
            if goes {
                directories.remove(path);
            }
            !goes
        });
    }
}

/// The folders in which it is worth looking for edits, and how many were too many.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) folders: BTreeSet<PathBuf>,
    /// Locked directories with more folders than are watched.
    pub(super) too_large: usize,
}

/// The folders in which edits of what these locks cover show.
pub(super) fn of_locks<'a>(root: &Path, locks: impl Iterator<Item = &'a Lock>) -> Wanted {
    let mut wanted = Wanted::default();
    let mut parents = BTreeSet::new();
    for lock in locks {
        let path = Path::new(lock.path.as_str());
        let directory = match lock.kind {
            Kind::Directory if lock.path.is_root() => Some(root.to_owned()),
            Kind::Directory => Some(root.join(path)),
            Kind::File => None,
        };
        if !lock.path.is_root() {
            parents.insert(path.parent().unwrap_or(path));
        }
        if let Some(directory) = directory {
            let mut inside = BTreeSet::new();
            below(&directory, &mut inside);
            if inside.len() > MOST {
                wanted.too_large += 1;
            } else {
                wanted.folders.extend(inside);
            }
        }
    }
    let parents = parents.into_iter().map(|parent| existing(root, parent));
    wanted.folders.extend(parents);
    wanted
}

/// The folders of the tracked files that `is_wanted`.
pub(super) fn of_tracked(
    repo: &Repo,
    is_wanted: impl Fn(&Key) -> bool,
) -> Result<BTreeSet<PathBuf>> {
    let root = repo.root()?;
    let output = repo.git().output(&["ls-files", "-z"])?;
    let wanted = split_nul(&output).filter(|path| is_wanted(&Key::of(path)));
    let parent = |path: &[u8]| bytes_to_path(path).parent().map(Path::to_owned);
    let parents: BTreeSet<PathBuf> = wanted.filter_map(parent).collect();
    Ok(parents
        .iter()
        .map(|parent| existing(root, parent))
        .collect())
}

/// The nearest directory above that is there.
fn existing(root: &Path, folder: &Path) -> PathBuf {
    let mut above = folder.ancestors().map(|folder| root.join(folder));
    above
        .find(|folder| folder.is_dir())
        .unwrap_or_else(|| root.to_owned())
}

/// A directory and all directories below it, without those of git.
fn below(directory: &Path, folders: &mut BTreeSet<PathBuf>) {
    let is_directory = identity(directory).is_some();
    if !is_directory || folders.len() > MOST || !folders.insert(directory.to_owned()) {
        return;
    }
    let Ok(listing) = fs::read_dir(directory) else {
        return;
    };
    for item in listing.flatten() {
        if item.file_name() != ".git" && item.file_type().is_ok_and(|kind| kind.is_dir()) {
            below(&item.path(), folders);
        }
    }
}
