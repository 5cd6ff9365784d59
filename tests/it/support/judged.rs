//! A remote that judges the pushes that arrive.

use super::clones::two;
use super::{Run, Sandbox, Tree};

/// Two clones of a remote that judges pushes, with a policy on its main branch.
pub(crate) fn judged<'a>(sandbox: &'a Sandbox, policy: &str) -> (Tree<'a>, Tree<'a>, Tree<'a>) {
    let (ada, bob) = two(sandbox);
    let bare = sandbox.tree("remote.git");
    let text = format!("[share]\nremote = \"origin\"\n{policy}");
    for tree in [&ada, &bob] {
        tree.write(".latch.toml", &text);
    }
    ada.git(&["add", ".latch.toml"]);
    ada.git(&["commit", "-q", "-m", "policy"]);
    ada.git(&["push", "-q", "origin", "main"]);
    std::fs::remove_file(bob.path.join(".latch.toml")).unwrap();
    bob.git(&["pull", "-q"]);
    bare.ok(&["init", "--bare"]);
    (ada, bob, bare)
}

/// Pushes, as somebody whom the host knows.
pub(crate) fn push(tree: &Tree<'_>, pusher: &str, arguments: &[&str]) -> Run {
    let mut command = tree.command("git");
    command.arg("push").args(arguments);
    Run::of(command.env("REMOTE_USER", pusher))
}

/// Runs `git latch`, as somebody whom the host knows.
pub(crate) fn latch(tree: &Tree<'_>, pusher: &str, arguments: &[&str]) -> Run {
    let mut command = tree.command(super::LATCH);
    Run::of(command.args(arguments).env("REMOTE_USER", pusher))
}

pub(crate) fn commit(tree: &Tree<'_>, file: &str, text: &str) {
    tree.write(file, text);
    tree.git(&["add", file]);
    tree.git(&["commit", "-q", "--no-verify", "-m", "edit"]);
}
