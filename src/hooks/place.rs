//! Where git looks for hooks, and whose that place is.

use std::path::{Path, PathBuf};

use crate::git::command::split_nul;
use crate::git::config::Config;
use crate::git::repo::Repo;
use crate::os::paths::bytes_to_path;
use crate::rules::error::Result;

/// How our hooks come to run there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As scripts of ours.
    Scripts,
    /// By lines in scripts of the team's, which its repository tracks, in this directory.
    Lines(PathBuf),
}

/// The directory in which git looks for hooks.
pub(super) fn directory(repo: &Repo) -> Result<PathBuf> {
    let root = repo.root().unwrap_or(repo.git_dir());
    let output = repo.git().output(&["rev-parse", "--git-path", "hooks"])?;
    let path = bytes_to_path(output.strip_suffix(b"\n").unwrap_or(&output));
    Ok(root.join(path))
}

/// The same without asking git, where the configuration is known; `None` where only git knows.
pub(super) fn peek(repo: &Repo, config: &Config, home: Option<&Path>) -> Option<PathBuf> {
    let Some(path) = config.get("core.hookspath") else {
        return Some(repo.common_dir().join("hooks"));
    };
    let root = repo.root().unwrap_or(repo.git_dir());
    match path.strip_prefix("~/") {
        Some(rest) => Some(home?.join(rest)),
        None if path.starts_with(['~', '%']) => None,
        None => Some(root.join(path)),
    }
}

/// Whether the place is that of all repositories of a user or a system.
pub(super) fn is_global(repo: &Repo) -> Result<bool> {
    let words = ["config", "--show-scope", "--get", "core.hooksPath"];
    let scope = repo.git().run(&words)?.stdout;
    Ok(scope.starts_with(b"global\t") || scope.starts_with(b"system\t"))
}

/// How our hooks come to run in a directory.
pub(super) fn way(repo: &Repo, directory: &Path) -> Result<Way> {
    Ok(match husky(directory) {
        Some(scripts) => Way::Lines(scripts),
        None if !repo.is_bare() && is_tracked(repo, directory)? => Way::Lines(directory.to_owned()),
        None => Way::Scripts,
    })
}

/// Where husky (9 and later) has the team's scripts: it sends git to a directory of its own, `.husky/_`, which it
/// writes anew at each installation.
pub(super) fn husky(directory: &Path) -> Option<PathBuf> {
    let parent = directory.parent()?;
    let is_its_own = directory.file_name()? == "_"
        && (parent.ends_with(".husky")
            || ["h", "husky.sh"].iter().any(|f| directory.join(f).exists()));
    is_its_own.then(|| parent.to_owned())
}

/// Whether the repository tracks files in its hooks directory.
fn is_tracked(repo: &Repo, directory: &Path) -> Result<bool> {
    // A link in the git directory may lead to where the team keeps its hooks.
    let directory = directory
        .canonicalize()
        .unwrap_or_else(|_| directory.to_owned());
    if directory.starts_with(repo.git_dir()) || directory.starts_with(repo.common_dir()) {
        return Ok(false);
    }
    let inside = directory
        .strip_prefix(repo.root()?)
        .ok()
        .and_then(Path::to_str);
    let Some(inside) = inside.filter(|path| !path.is_empty()) else {
        return Ok(false);
    };
    let words = ["--literal-pathspecs", "ls-files", "-z", "--", inside];
    let listed = repo.git().output(&words)?;
    Ok(split_nul(&listed).next().is_some())
}

/// Whether two paths lead to one directory.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
