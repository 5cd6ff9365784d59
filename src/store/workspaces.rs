//! The linked working trees that have taken locks: which of them are proven gone.
//!
//! `git worktree remove` deletes a tree's git directory, and with it whoever could give back what was locked there. Each
//! linked tree is registered below the common directory before its first lock: under the workspace's id, with the place
//! of its git directory and the marks of both. Gone is who is registered here and whose directory is not there any more.
//! Everything else is unknown, and not gone: another clone's workspace, one named by `GIT_LATCH_WORKSPACE`, a copied
//! registry, a directory that cannot be looked at. The main working tree is never gone: this directory is its own.

use std::collections::HashSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::LatchDir;
use crate::os::files;
use crate::os::marks::Marks;
use crate::os::mode::Sharing;
use crate::rules::error::Result;

/// The largest entry of the register, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// How many that are gone are remembered, until somebody sweeps away what they held.
const REMEMBERED: usize = 16;

/// One working tree.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Registered {
    /// Its git directory, from the common directory.
    git_dir: PathBuf,
    common: Marks,
    own: Marks,
}

/// Registers a linked working tree, before it takes its first lock. Not synced: an entry that is lost makes its tree
/// unknown, and its locks end by time.
pub(crate) fn register(
    common_dir: &Path,
    git_dir: &Path,
    workspace: &str,
    sharing: Sharing,
) -> Result<()> {
    let Ok(place) = git_dir.strip_prefix(common_dir) else {
        return Ok(());
    };
    if place.as_os_str().is_empty() || place.to_str().is_none() {
        return Ok(());
    }
    let host = crate::os::marks::host();
    let now = Registered {
        git_dir: place.to_owned(),
        common: Marks::of(common_dir, &host),
        own: Marks::of(git_dir, &host),
    };
    let path = file_of(common_dir, workspace);
    if read(&path).is_some_and(|known| known == now) {
        return Ok(());
    }
    files::create_directories(&directory(common_dir), sharing)?;
    forget_oldest(common_dir)?;
    let text = toml::to_string(&now).expect("strings and numbers are TOML");
    files::replace(&path, text.as_bytes(), sharing)
}

/// The ids of the working trees that are proven gone.
pub(crate) fn gone(common_dir: &Path) -> HashSet<String> {
    let Ok(listing) = fs::read_dir(directory(common_dir)) else {
        return HashSet::new();
    };
    let id = |item: fs::DirEntry| {
        let path = item.path();
        let id = path.file_stem()?.to_str()?.to_owned();
        let is_gone = read(&path)?.is_gone(common_dir);
        is_gone.then_some(id)
    };
    listing.flatten().filter_map(id).collect()
}

/// Forgets the oldest of many that are gone, where nobody sweeps: every reading looks for each.
fn forget_oldest(common_dir: &Path) -> Result<()> {
    let mut gone: Vec<String> = gone(common_dir).into_iter().collect();
    let registered_at =
        |id: &String| fs::metadata(file_of(common_dir, id)).and_then(|m| m.modified());
    gone.sort_by_cached_key(|id| registered_at(id).ok());
    forget(common_dir, gone.iter().rev().skip(REMEMBERED))
}

/// Forgets working trees that are gone and have no lock any more.
pub(crate) fn forget<'a>(
    common_dir: &Path,
    workspaces: impl IntoIterator<Item = &'a String>,
) -> Result<()> {
    let mut all = workspaces.into_iter();
    all.try_for_each(|id| files::remove(&file_of(common_dir, id)))
}

impl Registered {
    fn is_gone(&self, common_dir: &Path) -> bool {
        let is_inside = |c: Component<'_>| matches!(c, Component::Normal(_));
        if !self.git_dir.components().all(is_inside) {
            return false;
        }
        let git_dir = common_dir.join(&self.git_dir);
        let host = crate::os::marks::host();
        let is_missing = || match fs::symlink_metadata(&git_dir) {
            Err(e) => e.kind() == std::io::ErrorKind::NotFound,
            // Another tree was added under the name.
            Ok(_) => self.own.is_surely_another(&Marks::of(&git_dir, &host)),
        };
        // This very directory, before and after: what is looked at through a copy, or while something is mounted over it,
        // proves nothing.
        let is_here = || self.common.is_surely_same(&Marks::of(common_dir, &host));
        is_missing() && is_here() && is_missing()
    }
}

fn directory(common_dir: &Path) -> PathBuf {
    LatchDir::of(common_dir).workspaces()
}

fn file_of(common_dir: &Path, workspace: &str) -> PathBuf {
    directory(common_dir).join(format!("{workspace}.toml"))
}

/// What an entry says; `None` where there is none that can be read, which proves nothing.
fn read(path: &Path) -> Option<Registered> {
    let bytes = files::read_small(path, MAX_BYTES).ok().flatten()?;
    toml::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef";

    /// A common directory with the git directory of one linked tree, registered.
    fn registered() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let common = home.path().join("common");
        let git_dir = common.join("worktrees/linked");
        fs::create_dir_all(&git_dir).unwrap();
        register(&common, &git_dir, ID, Sharing::Umask).unwrap();
        (home, common, git_dir)
    }

    #[test]
    fn a_tree_is_gone_when_its_directory_is_and_not_before() {
        let (_home, common, git_dir) = registered();
        assert!(gone(&common).is_empty());
        fs::remove_dir(&git_dir).unwrap();
        assert_eq!(gone(&common), HashSet::from([ID.to_owned()]));
        forget(&common, [&ID.to_owned()]).unwrap();
        assert!(gone(&common).is_empty());
    }

    #[test]
    fn another_tree_of_the_same_name_is_not_the_one_that_is_gone() {
        let (_home, common, git_dir) = registered();
        let kept = common.join("worktrees/kept");
        fs::rename(&git_dir, &kept).unwrap();
        fs::create_dir(&git_dir).unwrap();
        assert_eq!(gone(&common).len(), 1);
    }

    #[test]
    fn a_copy_of_the_register_proves_nothing() {
        let (home, common, _) = registered();
        let copy = home.path().join("copy");
        fs::create_dir_all(directory(&copy)).unwrap();
        fs::copy(file_of(&common, ID), file_of(&copy, ID)).unwrap();
        assert!(gone(&copy).is_empty());
    }

    #[test]
    fn those_that_are_gone_do_not_pile_up() {
        let (_home, common, _) = registered();
        for n in 0..40 {
            let git_dir = common.join(format!("worktrees/{n}"));
            fs::create_dir(&git_dir).unwrap();
            register(&common, &git_dir, &format!("{n:016}"), Sharing::Umask).unwrap();
            fs::remove_dir(&git_dir).unwrap();
        }
        assert!(gone(&common).len() <= REMEMBERED + 1);
        assert!(gone(&common).contains(&format!("{:016}", 39)));
    }

    #[test]
    fn what_cannot_be_looked_at_or_read_is_unknown() {
        let (_home, common, git_dir) = registered();
        fs::remove_dir(&git_dir).unwrap();
        let path = file_of(&common, ID);
        let text = fs::read_to_string(&path).unwrap();
        for broken in [
            String::new(),
            text.replace("worktrees/linked", "../linked"),
            text.replace("worktrees/linked", "/linked"),
        ] {
            fs::write(&path, broken).unwrap();
            assert!(gone(&common).is_empty());
        }
    }
}
