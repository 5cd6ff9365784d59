//! The folders of the working tree in which an edit matters: those of files that others have locked, and of files that
//! are locked on their first edit. So the number of watches follows the locks, not the tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::git::split_nul;
use crate::lock::Lock;
use crate::path::{Key, Kind, bytes_to_path};
use crate::repo::Repo;
use crate::watch::{Directories, Unwatched};

/// The folders that are watched.
#[derive(Clone, Debug, Default)]
pub(super) struct Folders {
    watched: BTreeSet<PathBuf>,
}

impl Folders {
    /// Whether one of them is this.
    pub(super) fn contains(&self, path: &Path) -> bool {
        self.watched.contains(path)
    }

    /// Those that were not among others.
    pub(super) fn since<'a>(&'a self, before: &'a Folders) -> impl Iterator<Item = &'a Path> {
        self.watched
            .difference(&before.watched)
            .map(PathBuf::as_path)
    }

    /// Watches these folders and no others.
    ///
    /// # Errors
    /// Why not all of them can be, and how many are left out.
    pub(super) fn watch(
        &mut self,
        directories: &mut Directories,
        wanted: BTreeSet<PathBuf>,
    ) -> Result<(), (String, usize)> {
        for left in self.watched.difference(&wanted) {
            directories.remove(left);
        }
        self.watched.retain(|folder| wanted.contains(folder));
        let mut left_out = None;
        for folder in wanted {
            if self.watched.contains(&folder) && directories.contains(&folder) {
                continue;
            }
            self.watched.remove(&folder);
            if let Some((_, count)) = &mut left_out {
                *count += 1;
                continue;
            }
            match directories.add(&folder) {
                Ok(()) => drop(self.watched.insert(folder)),
                // Its parent's watch tells when it comes back.
                Err(Unwatched::Gone) => {}
                Err(Unwatched::NoEvents(why)) => left_out = Some((why, 1)),
            }
        }
        left_out.map_or(Ok(()), Err)
    }

    /// Watches a folder anew that was touched itself: another may have come in its place.
    pub(super) fn forget(&mut self, directories: &mut Directories, folder: &Path) {
        if self.watched.remove(folder) {
            directories.remove(folder);
        }
    }
}

/// The folders in which edits of what these locks cover show.
pub(super) fn of_locks<'a>(
    root: &Path,
    locks: impl Iterator<Item = &'a Lock>,
) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut parents = BTreeSet::new();
    for lock in locks {
        let path = Path::new(lock.path.as_str());
        match lock.kind {
            Kind::File => drop(parents.insert(path.parent().unwrap_or(path))),
            Kind::Directory if lock.path.is_root() => below(root, &mut folders),
            Kind::Directory => {
                parents.insert(path.parent().unwrap_or(path));
                below(&root.join(path), &mut folders);
            }
        }
    }
    folders.extend(parents.into_iter().map(|parent| existing(root, parent)));
    folders
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
    let is_directory = fs::symlink_metadata(directory).is_ok_and(|meta| meta.is_dir());
    if !is_directory || !folders.insert(directory.to_owned()) {
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
