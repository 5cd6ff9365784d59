//! The gitattribute `lockable`: which files have it, and their write bits.
//!
//! A `lockable` file is read-only in the working tree until it is locked, so that an editor warns before work is lost;
//! Git LFS reads the attribute in the same way. The attributes of the working tree count, not those of the index, as
//! Git LFS has it: a line in `.gitattributes` works from the moment it is written, and a hook, an editor and `lock`
//! cannot disagree about a file.
//!
//! Most repositories have no such file. [`is_in_use`] tells them apart without running git; it cannot see attributes
//! in directories below the top, for which [`notice`] looks and leaves a note.

mod bits;
mod commit;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub use bits::{Bits, Changed, set};
pub use commit::InCommit;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::git::{Git, split_nul};
use crate::identity::Home;
use crate::path::{Key, bytes_to_path};
use crate::repo::Repo;
use crate::store::{Sharing, files};
use crate::view::{Me, Standing, View};

/// The attribute.
const ATTRIBUTE: &str = "lockable";
/// The files whose attributes are meant.
const ATTRIBUTES_FILE: &str = ".gitattributes";

/// Whether any file can be `lockable` here: the attribute is mentioned at the top of the working tree, in the
/// repository's, the person's or the system's attributes, or was marked as found below.
pub fn is_in_use(repo: &Repo, config: &Config, home: &Home) -> Result<bool> {
    if marker(repo).exists() {
        return Ok(true);
    }
    let mut sources = vec![
        repo.common_dir().join("info").join("attributes"),
        PathBuf::from("/etc/gitattributes"),
    ];
    if !repo.is_bare() {
        sources.push(repo.root()?.join(ATTRIBUTES_FILE));
    }
    match personal(config, home) {
        Personal::At(path) => sources.push(path),
        Personal::None => {}
        Personal::Unclear => return Ok(true),
    }
    for source in sources {
        if mentions(&source)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks through every tracked `.gitattributes` of the working tree for the attribute.
pub fn search(repo: &Repo) -> Result<bool> {
    let root = repo.root()?;
    let tracked = by_pathspec(repo, &[":(glob)**/.gitattributes"])?;
    for path in tracked {
        if mentions(&root.join(bytes_to_path(&path)))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks everywhere for the attribute, and leaves a note for [`is_in_use`], also as it is asked without configuration.
pub fn notice(repo: &Repo, config: &Config, home: &Home, sharing: Sharing) -> Result<bool> {
    if !is_in_use(repo, config, home)? && !search(repo)? {
        return Ok(false);
    }
    let marker = marker(repo);
    if !marker.exists() {
        files::create_directories(&repo.common_dir().join("latch"), sharing)?;
        files::replace(&marker, b"", sharing)?;
    }
    Ok(true)
}

/// Whether a path is one of the files for which [`search`] looks: where one changes, it is time to search again.
#[must_use]
pub fn is_attributes_file(path: &[u8]) -> bool {
    path.rsplit(|b| *b == b'/').next() == Some(ATTRIBUTES_FILE.as_bytes())
}

/// Those of the paths that are `lockable`.
pub fn among(repo: &Repo, paths: &[&[u8]]) -> Result<HashSet<Vec<u8>>> {
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

/// Gives `lockable` files the write bits they should have: writable where I hold the lock in `view`, read-only where not.
pub fn settle(root: &Path, view: &View, me: &Me, paths: &[Vec<u8>]) -> Result<()> {
    for path in paths {
        let key = Key::of(path);
        let mut covering = view.covering(&key);
        let mine = covering.any(|e| me.has(e) && view.standing(e) == Standing::Live);
        let bits = if mine { Bits::Writable } else { Bits::ReadOnly };
        set(root, path, bits)?;
    }
    Ok(())
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

/// The tracked files that match, sorted. Magit and others tell their gits to take pathspecs literally.
fn by_pathspec(repo: &Repo, pathspecs: &[&str]) -> Result<BTreeSet<Vec<u8>>> {
    let git = repo.git().with_variable("GIT_LITERAL_PATHSPECS", "0");
    let arguments = [&["ls-files", "-z", "--"], pathspecs].concat();
    let output = git.output(&arguments)?;
    Ok(split_nul(&output).map(<[u8]>::to_vec).collect())
}

/// The note that the attribute is used somewhere below the top.
fn marker(repo: &Repo) -> PathBuf {
    repo.common_dir().join("latch").join(ATTRIBUTE)
}

/// Whether a file mentions the attribute; one that is not there mentions nothing.
fn mentions(file: &Path) -> Result<bool> {
    match fs::read(file) {
        Ok(text) => Ok(text
            .windows(ATTRIBUTE.len())
            .any(|word| word == ATTRIBUTE.as_bytes())),
        // Git takes no attributes from a directory or from what it may not read.
        Err(e) if files::is_absent(&e) => Ok(false),
        Err(e)
            if matches!(
                e.kind(),
                ErrorKind::IsADirectory | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(false)
        }
        Err(e) => Err(Error::io("read", file)(e)),
    }
}

/// Where a person's attributes lie.
enum Personal {
    At(PathBuf),
    None,
    /// Only git can tell.
    Unclear,
}

fn personal(config: &Config, home: &Home) -> Personal {
    let Some(configured) = config.get("core.attributesfile") else {
        let directory = home
            .xdg_config_home
            .clone()
            .filter(|path| !path.as_os_str().is_empty())
            .or_else(|| home.home.as_ref().map(|home| home.join(".config")));
        return directory.map_or(Personal::None, |directory| {
            Personal::At(directory.join("git").join("attributes"))
        });
    };
    match (configured.strip_prefix("~/"), &home.home) {
        (Some(rest), Some(home)) => Personal::At(home.join(rest)),
        (None, _) if Path::new(configured).is_absolute() => Personal::At(configured.into()),
        // `~user/`, `%(prefix)/`, or relative to wherever git runs.
        _ => Personal::Unclear,
    }
}

#[cfg(test)]
mod tests;
