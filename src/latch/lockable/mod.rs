//! The gitattribute `lockable`: which files have it, and their write bits.
//!
//! A `lockable` file is read-only in the working tree until it is locked, so that an editor warns before work is lost;
//! Git LFS reads the attribute in the same way. The attributes of the working tree count, not those of the index, as
//! Git LFS has it: a line in `.gitattributes` works from the moment it is written, and a hook, an editor and `lock`
//! cannot disagree about a file.
//!
//! Most repositories have no such file: `Attributes` tells them apart without running git. Write bits are a function of
//! two inputs, the attribute and the locks of the working tree, and nothing else: [`Settler`] sets them wherever one of
//! the two may have changed, and remembers what it took.

mod bits;
mod commit;
mod index;
mod record;
mod settle;
mod sources;

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

pub(crate) use bits::{Bits, set};
pub(crate) use commit::InCommit;
pub use settle::Settler;
pub(crate) use sources::Attributes;

use crate::git::command::{Git, split_nul};
use crate::git::repo::Repo;
use crate::os::files;
use crate::os::mode::Sharing;
use crate::rules::error::{Error, Result};
use crate::store::LatchDir;

/// The attribute.
const ATTRIBUTE: &str = "lockable";
/// The files whose attributes are meant.
const ATTRIBUTES_FILE: &str = ".gitattributes";

/// Whether the attribute was met in a working tree of this repository: then there is more to do for hooks.
#[must_use]
pub(crate) fn was_met(repo: &Repo) -> bool {
    marker(repo).exists()
}

/// Notes that the attribute was met; says whether that is new.
pub(crate) fn note_met(repo: &Repo, sharing: Sharing) -> Result<bool> {
    if was_met(repo) {
        return Ok(false);
    }
    LatchDir::of(repo.common_dir()).create(sharing)?;
    files::replace(&marker(repo), b"", sharing)?;
    Ok(true)
}

/// Whether a path is a file of attributes.
#[must_use]
pub(crate) fn is_attributes_file(path: &[u8]) -> bool {
    path.rsplit(|b| *b == b'/').next() == Some(ATTRIBUTES_FILE.as_bytes())
}

/// Those of the paths that are `lockable`.
pub(crate) fn among(repo: &Repo, paths: &[&[u8]]) -> Result<HashSet<Vec<u8>>> {
    if paths.is_empty() {
        return Ok(HashSet::new());
    }
    ask(&repo.git(), &CHECK, paths)
}

/// Asks `check-attr` about paths.
fn ask(git: &Git, check: &[&str], paths: &[&[u8]]) -> Result<HashSet<Vec<u8>>> {
    let input = [&paths.join(&0)[..], b"\0"].concat();
    let output = git.output_with_input(check, input)?;
    Ok(with_attribute(&output).map(<[u8]>::to_vec).collect())
}

/// Every tracked file that is `lockable`, sorted.
///
/// After `git checkout -- PATH`, too, this is the question to ask: git does not tell post-checkout which paths it wrote.
pub fn all(repo: &Repo) -> Result<Vec<Vec<u8>>> {
    let found = by_pathspec(repo, &[":(attr:lockable)", ":(attr:lockable=true)"])?;
    Ok(found.into_iter().collect())
}

/// The `lockable` files that are not the same in two commits, as post-checkout names them: all of them where there was
/// no commit before.
pub fn changed_between(repo: &Repo, old: &str, new: &str) -> Result<Vec<Vec<u8>>> {
    if old.bytes().all(|b| b == b'0') {
        return all(repo);
    }
    changed(&repo.git(), &["diff-tree", "-r"], &[old, new])
}

/// The `lockable` files that a commit changed against its first parent, for post-commit: all where it has none.
pub fn changed_by_commit(repo: &Repo) -> Result<Vec<Vec<u8>>> {
    match changed(&repo.git(), &["diff-tree", "-r"], &["HEAD^", "HEAD"]) {
        Err(Error::Git { .. }) => all(repo),
        other => other,
    }
}

/// What kind of merge is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// `HEAD` has moved.
    Moved,
    /// `git merge --squash`: the changes are in index and working tree only.
    Squashed,
}

/// The `lockable` files that a merge or pull changed, for post-merge: all where git does not say where it began.
pub fn changed_by_merge(repo: &Repo, merge: Merge) -> Result<Vec<Vec<u8>>> {
    let git = repo.git();
    let found = match merge {
        Merge::Moved => changed(&git, &["diff-tree", "-r"], &["ORIG_HEAD", "HEAD"]),
        Merge::Squashed => changed(&git, &["diff-index", "-r", "--cached"], &["HEAD"]),
    };
    match found {
        Err(Error::Git { .. }) => all(repo),
        other => other,
    }
}

/// The question for the attribute of paths on standard input.
const CHECK: [&str; 4] = ["check-attr", "-z", "--stdin", ATTRIBUTE];

/// The `lockable` ones of the files that a comparison names, without those it deletes.
fn changed(git: &Git, compare: &[&str], trees: &[&str]) -> Result<Vec<Vec<u8>>> {
    let names = ["--no-renames", "--diff-filter=d", "--name-only", "-z"];
    let compare = [compare, &names, trees, &["--"]].concat();
    let output = git.pipeline(&compare, Vec::new(), &CHECK)?;
    Ok(with_attribute(&output).map(<[u8]>::to_vec).collect())
}

/// The paths of `check-attr -z` that have the attribute: set, or with the value `true` as Git LFS takes it.
fn with_attribute(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut parts = output.split(|b| *b == 0);
    std::iter::from_fn(move || Some((parts.next()?, parts.next()?, parts.next()?)))
        .filter(|(_, _, value)| matches!(*value, b"set" | b"true"))
        .map(|(path, _, _)| path)
}

/// The tracked files that match, sorted. Magit and others tell their gits to take pathspecs literally; in a hook of a
/// commit of single files git works with an index that lacks what else was added.
fn by_pathspec(repo: &Repo, pathspecs: &[&str]) -> Result<BTreeSet<Vec<u8>>> {
    let git = repo
        .git()
        .with_variable("GIT_LITERAL_PATHSPECS", "0")
        .with_variable("GIT_INDEX_FILE", repo.git_dir().join("index"));
    let arguments = [&["ls-files", "-z", "--"], pathspecs].concat();
    let output = git.output(&arguments)?;
    Ok(split_nul(&output).map(<[u8]>::to_vec).collect())
}

/// The note that the attribute was met.
fn marker(repo: &Repo) -> PathBuf {
    LatchDir::of(repo.common_dir()).lockable()
}

#[cfg(test)]
mod tests;
