//! Work that is not out yet: what the working tree and its branch have and their upstream does not; and files just saved.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use super::versions::unpushed_files;
use super::{NAMES, changed_files, paths};
use crate::error::{Error, Result};
use crate::git::split_nul;
use crate::path::Key;
use crate::repo::Repo;

/// The files, by their keys, on which there is work that the branch's upstream does not have: changed in the working
/// tree, or by commits of the branch, and not the same there. Without an upstream every branch of `remote` counts, and
/// without a remote only what is not committed.
pub fn work_in_progress(repo: &Repo, remote: Option<&str>) -> Result<HashSet<Key>> {
    let mut found: HashSet<Key> = changed_files(repo)?
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    match (ahead_of_upstream(repo)?, remote) {
        (Some(ahead), _) => found.extend(ahead.iter().map(|path| Key::of(path))),
        (None, Some(remote)) => found.extend(unpushed_files(repo, remote)?),
        (None, None) => {}
    }
    Ok(found)
}

/// What commits of the branch changed and its upstream has otherwise; `None` where it has no upstream. What came there by
/// another way (squashed, picked) is the same; what others changed there meanwhile is not ours.
fn ahead_of_upstream(repo: &Repo) -> Result<Option<BTreeSet<Vec<u8>>>> {
    let differing = |range: &str| -> Result<BTreeSet<Vec<u8>>> {
        let arguments = [&["diff", "--no-ext-diff"], &NAMES[..], &[range, "--"]].concat();
        Ok(paths(&repo.git().output(&arguments)?))
    };
    match differing("@{upstream}...HEAD") {
        Ok(ours) if ours.is_empty() => Ok(Some(ours)),
        Ok(ours) => {
            let differs = differing("@{upstream}..HEAD")?;
            Ok(Some(ours.intersection(&differs).cloned().collect()))
        }
        Err(error @ Error::Git { .. }) => {
            tracing::debug!(%error, "there is no upstream to compare with");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// How a file differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// In the working tree: somebody saved it.
    Here,
    /// In the index only: somebody saved and staged it, or git is about to move `HEAD`.
    Staged,
}

/// From how many paths on git is asked for all that differs.
const MANY: usize = 200;

/// Whether git is between two steps of a merge, rebase, cherry-pick or revert: what is staged then is others' work, too,
/// and the branch is not where it will be.
#[must_use]
pub fn is_combining(git_dir: &Path) -> bool {
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
pub fn saved(repo: &Repo, among: &[Vec<u8>]) -> Result<Vec<(Vec<u8>, Saved)>> {
    if among.is_empty() {
        return Ok(Vec::new());
    }
    let git = repo.git().with_variable("GIT_LITERAL_PATHSPECS", "1");
    let mut arguments: Vec<Vec<u8>> = [
        "status",
        "--porcelain=v1",
        "-z",
        "--no-renames",
        "--untracked-files=all",
        "--ignore-submodules=none",
        "--",
    ]
    .map(|word| word.as_bytes().to_vec())
    .to_vec();
    if among.len() <= MANY {
        arguments.extend(among.iter().cloned());
    }
    let arguments: Vec<_> = arguments
        .iter()
        .map(|word| crate::path::bytes_to_path(word))
        .collect();
    let output = git.output(&arguments)?;
    let is_combining = is_combining(repo.git_dir());
    let found = split_nul(&output).filter_map(parse);
    Ok(found
        .filter(|(_, saved)| *saved == Saved::Here || !is_combining)
        .collect())
}

/// Two letters, index and working tree, a blank, the path.
fn parse(line: &[u8]) -> Option<(Vec<u8>, Saved)> {
    let saved = match line.get(..2)? {
        [_, b' '] => Saved::Staged,
        _ => Saved::Here,
    };
    Some((line.get(3..)?.to_vec(), saved))
}
