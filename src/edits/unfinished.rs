//! What is changed in the working tree, staged or not.

use crate::error::Result;
use crate::git::split_nul;
use crate::path::Key;
use crate::repo::Repo;

/// The files of the working tree that differ from the last commit, staged or not, tracked or not; with their keys.
pub fn changed_files(repo: &Repo) -> Result<Vec<(Key, Vec<u8>)>> {
    // `git status` and not the plumbing: it looks into files whose time stamps alone have changed.
    let output = repo.git().output(&[
        "status",
        "--porcelain=v1",
        "-z",
        "--no-renames",
        "--untracked-files=all",
        "--ignore-submodules=none",
    ])?;
    // Two letters, a blank, the path.
    let paths = split_nul(&output).filter_map(|line| line.get(3..));
    Ok(paths.map(|path| (Key::of(path), path.to_vec())).collect())
}
