//! Clones of a bare remote that share their locks.

use std::path::PathBuf;

use super::{Sandbox, Tree};

/// A bare remote with one commit, and where it is.
pub(crate) fn remote(sandbox: &Sandbox) -> PathBuf {
    let seed = sandbox.repo();
    let bare = sandbox.path().join("remote.git");
    seed.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    bare
}

/// A clone that shares its locks, used by somebody.
pub(crate) fn clone<'a>(sandbox: &'a Sandbox, name: &str) -> Tree<'a> {
    let tree = sandbox.tree(name);
    let bare = sandbox.path().join("remote.git");
    let cloned = sandbox
        .command("git")
        .args(["clone", "-q"])
        .arg(bare)
        .arg(&tree.path)
        .status();
    assert!(cloned.unwrap().success());
    let tree = tree.by(&format!("{name}@example.com"));
    tree.ok(&["init", "--remote", "origin"]);
    tree
}

/// Two of them.
pub(crate) fn two(sandbox: &Sandbox) -> (Tree<'_>, Tree<'_>) {
    remote(sandbox);
    (clone(sandbox, "ada"), clone(sandbox, "bob"))
}
