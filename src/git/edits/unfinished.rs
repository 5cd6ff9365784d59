//! What is changed in the working tree, staged or not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::git::command::{Git, split_nul};
use crate::git::repo::Repo;
use crate::os::clock::age_of;
use crate::os::paths::bytes_to_path;
use crate::rules::error::Result;
use crate::rules::path::Key;

/// What `git status` says of paths, or of all. It and not the plumbing: it looks into files whose time stamps alone have
/// changed.
fn status(git: &Git, among: &[Vec<u8>]) -> Result<Vec<u8>> {
    let question = [
        "status",
        "--porcelain=v1",
        "-z",
        "--no-renames",
        "--untracked-files=all",
        "--ignore-submodules=none",
        "--",
    ];
    let question = question.iter().map(PathBuf::from);
    let arguments: Vec<PathBuf> = question
        .chain(among.iter().map(|path| bytes_to_path(path)))
        .collect();
    git.output(&arguments)
}

/// A file of the working tree that differs from the last commit.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    /// Its path's key.
    pub key: Key,
    /// Its path, in git's bytes.
    pub path: Vec<u8>,
    /// Whether the last commit has it.
    pub state: State,
    /// Where it differs.
    pub saved: Saved,
}

/// Whether the last commit has a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Neither it nor the index.
    Untracked,
    /// The index has it.
    Added,
    /// It has; or a merge makes that a question.
    Other,
}

/// The files of the working tree that differ from the last commit, staged or not, tracked or not.
pub(crate) fn changed(repo: &Repo) -> Result<Vec<Changed>> {
    let output = status(&repo.git(), &[])?;
    // Two letters, a blank, the path.
    let parse = |line: &[u8]| {
        let (letters, path) = (line.get(..2)?, line.get(3..)?);
        Some(Changed {
            key: Key::of(path),
            path: path.to_vec(),
            state: match letters {
                b"??" => State::Untracked,
                [b'A', b' ' | b'M' | b'T'] | b" A" => State::Added,
                _ => State::Other,
            },
            saved: saved_where(letters),
        })
    };
    Ok(split_nul(&output).filter_map(parse).collect())
}

/// The same, by keys and paths.
pub(crate) fn changed_files(repo: &Repo) -> Result<Vec<(Key, Vec<u8>)>> {
    let changed = changed(repo)?.into_iter();
    Ok(changed.map(|change| (change.key, change.path)).collect())
}

/// How a file differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saved {
    /// In the working tree: somebody saved it.
    Here,
    /// In the index only: somebody saved and staged it, or git is about to move `HEAD`.
    Staged,
}

/// From how many paths on git is asked for all that differs.
const MANY: usize = 200;

/// From what age on a lock of git's index counts for nothing: the git that held it was killed.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

/// Whether git is writing files right now: it holds the index meanwhile, and what the files differ from is not settled.
#[must_use]
pub(crate) fn is_git_at_work(git_dir: &Path) -> bool {
    let meta = std::fs::symlink_metadata(git_dir.join("index.lock")).ok();
    meta.as_ref()
        .and_then(age_of)
        .is_some_and(|age| age < LEFT_BEHIND)
}

/// Whether git is between two steps of a merge, rebase, cherry-pick or revert: what is staged then is others' work, too,
/// and the branch is not where it will be.
#[must_use]
pub(crate) fn is_combining(git_dir: &Path) -> bool {
    [
        "MERGE_HEAD",
        "CHERRY_PICK_HEAD",
        "REVERT_HEAD",
        "SQUASH_MSG",
        "rebase-merge",
        "rebase-apply",
    ]
    .iter()
    .any(|name| git_dir.join(name).exists())
}

/// Those of the paths that differ from the last commit, or lie in a directory that is new. While git combines histories
/// only those that were written besides.
pub(crate) fn saved(repo: &Repo, among: &[Vec<u8>]) -> Result<Vec<(Vec<u8>, Saved)>> {
    if among.is_empty() {
        return Ok(Vec::new());
    }
    let output = if among.len() > MANY {
        status(&repo.git(), &[])?
    } else {
        let git = repo.git().with_variable("GIT_LITERAL_PATHSPECS", "1");
        status(&git, among)?
    };
    let is_combining = is_combining(repo.git_dir());
    let found = split_nul(&output).filter_map(parse);
    Ok(found
        .filter(|(_, saved)| *saved == Saved::Here || !is_combining)
        .collect())
}

/// Two letters, index and working tree, a blank, the path.
fn parse(line: &[u8]) -> Option<(Vec<u8>, Saved)> {
    let saved = saved_where(line.get(..2)?);
    Some((line.get(3..)?.to_vec(), saved))
}

fn saved_where(letters: &[u8]) -> Saved {
    match letters {
        [_, b' '] => Saved::Staged,
        _ => Saved::Here,
    }
}
