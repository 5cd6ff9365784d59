//! Where I am: one working tree under several names is one workspace, and a copy is another.

use std::path::Path;

use crate::support::{LATCH, Run, Sandbox, Tree, clones};

fn record(tree: &Tree<'_>) -> String {
    tree.read(".git/latch/workspace.toml")
}

fn copy(sandbox: &Sandbox, from: &Path, to: &str) {
    let mut copy = sandbox.command("cp");
    copy.arg("-a").arg(from).arg(sandbox.path().join(to));
    assert!(copy.status().unwrap().success());
}

/// Runs a script where the tree lies in another place, on a machine of another name, as in a container.
fn contained(tree: &Tree<'_>, script: &str) -> Option<Run> {
    let inside = tree.sandbox.path().join("inside");
    std::fs::create_dir_all(&inside).unwrap();
    let enter = format!(
        "hostname box && mount --bind '{}' '{}' && cd '{}' && {script}",
        tree.path.display(),
        inside.display(),
        inside.display(),
    );
    let mut command = tree.command("unshare");
    let run = Run::of(command.args(["--uts", "--mount", "sh", "-c", &enter]));
    let is_forbidden = run.stderr.contains("unshare failed") || run.stderr.contains("hostname:");
    if is_forbidden {
        eprintln!("skipped: no namespaces here");
    }
    (!is_forbidden).then_some(run)
}

#[test]
fn a_tree_seen_from_a_container_is_one_workspace_with_that_of_the_host() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    ada.ok(&["lock", "hero.psd"]);
    let before = record(&ada);
    let Some(listed) = contained(&ada, &format!("{LATCH} --json list")) else {
        return;
    };
    assert_eq!(listed.json()["locks"][0]["mine"], true, "{listed:?}");
    assert_eq!(record(&ada), before, "reading has written");
    // Both sides change things, again and again.
    for _ in 0..2 {
        let script = format!(
            "{LATCH} renew hero.psd && {LATCH} lock notes.txt && echo two >>hero.psd && git commit -qam two"
        );
        contained(&ada, &script).unwrap().ended(0);
        ada.ok(&["unlock", "notes.txt"]);
        ada.ok(&["renew", "hero.psd"]);
        assert_eq!(ada.json(&["status"])["lost"], serde_json::json!([]));
    }
}

#[test]
fn a_moved_tree_keeps_its_locks_and_a_copy_in_its_old_place_has_none() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    let moved = sandbox.tree("moved");
    std::fs::rename(&ada.path, &moved.path).unwrap();
    assert_eq!(moved.json(&["list"])["locks"][0]["mine"], true);
    copy(&sandbox, &moved.path, "repo");
    let mine = |tree: &Tree<'_>| tree.json(&["list"])["locks"][0]["mine"] == true;
    assert!(!mine(&ada) && mine(&moved));
    // Not even where the original was never used again, and the copy changes first.
    ada.latch(&["renew", "hero.psd"])
        .ended(3)
        .said("was copied from workspace");
    ada.latch(&["unlock", "hero.psd"]).ended(1);
    assert!(!mine(&ada) && mine(&moved));
}

#[test]
fn reading_makes_and_changes_no_workspace() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let read = |tree: &Tree<'_>| {
        for arguments in [
            &["list"][..],
            &["status"],
            &["status", "hero.psd"],
            &["check"],
            &["check", "hero.psd"],
            &["log"],
            &["doctor"],
        ] {
            tree.latch(arguments);
        }
    };
    read(&ada);
    assert!(!ada.path.join(".git/latch/workspace.toml").exists());
    ada.ok(&["lock", "hero.psd"]);
    copy(&sandbox, &ada.path, "copy");
    let copied = sandbox.tree("copy");
    read(&copied);
    assert_eq!(record(&copied), record(&ada));
    copied.ok(&["lock", "notes.txt"]);
    assert_ne!(record(&copied), record(&ada));
    assert!(copied.ok(&["list"]).stderr.is_empty());
}

#[test]
fn a_linked_working_tree_that_moves_keeps_its_locks() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let linked = ada.worktree("linked");
    linked.ok(&["lock", "hero.psd"]);
    let moved = sandbox.tree("elsewhere");
    ada.git(&["worktree", "move", "../linked", "../elsewhere"]);
    assert_eq!(moved.json(&["list"])["locks"][0]["mine"], true);
    moved.ok(&["unlock", "hero.psd"]);
}

#[test]
fn the_locks_of_a_removed_working_tree_end_at_once() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    let linked = ada.worktree("linked");
    linked.ok(&["lock", "hero.psd", "scenes/"]);
    ada.ok(&["lock", "notes.txt"]);
    // The directory alone may be on a disk that is not there.
    std::fs::remove_dir_all(&linked.path).unwrap();
    assert_eq!(ada.locks().len(), 3);
    ada.git(&["worktree", "prune"]);
    assert_eq!(
        ada.locks(),
        [("notes.txt".into(), "ada@example.com".into())]
    );
    ada.ok(&["check", "hero.psd"]);
    ada.write("hero.psd", "two\n");
    ada.git(&["commit", "-q", "-m", "two", "hero.psd"]);
    let bob = ada.by("bob@example.com");
    bob.ok(&["lock", "hero.psd"]);
    let swept = ada.json(&["sweep"]);
    assert_eq!(swept["swept"].as_array().map(Vec::len), Some(1), "{swept}");
    let left = std::fs::read_dir(ada.path.join(".git/latch/workspaces")).unwrap();
    assert_eq!(left.count(), 0);
    assert_eq!(ada.locks().len(), 2);
}

#[test]
fn a_working_tree_that_is_only_unknown_keeps_its_locks() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let linked = ada.worktree("linked");
    let mut named = linked.command(LATCH);
    named
        .env("GIT_LATCH_WORKSPACE", "anywhere")
        .args(["lock", "notes.txt"]);
    Run::of(&mut named).ended(0);
    linked.ok(&["lock", "hero.psd"]);
    // Seen from a copy, which has no such working tree any more, it is another repository's.
    copy(&sandbox, &ada.path, "copy");
    let copied = sandbox.tree("copy");
    std::fs::remove_dir_all(copied.path.join(".git/worktrees")).unwrap();
    assert_eq!(copied.locks().len(), 2);
    ada.git(&["worktree", "remove", "../linked"]);
    assert_eq!(ada.locks().len(), 1);
    assert_eq!(ada.locks()[0].0, "notes.txt");
}

#[test]
fn a_working_tree_added_under_the_name_of_a_removed_one_is_another() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let linked = ada.worktree("linked");
    linked.ok(&["lock", "hero.psd"]);
    ada.git(&["worktree", "remove", "../linked"]);
    ada.git(&["worktree", "add", "-q", "../linked", "linked"]);
    assert_eq!(ada.locks(), []);
    let again = linked.json(&["lock", "hero.psd"]);
    assert_eq!(again["locked"][0]["outcome"], "acquired");
    assert_eq!(ada.locks().len(), 1);
}

#[test]
fn a_shared_lock_of_a_removed_working_tree_is_free_in_its_clone_and_for_all_after_the_next_change()
{
    let sandbox = Sandbox::new();
    let (ada, bob) = clones::two(&sandbox);
    let linked = ada.worktree("linked");
    linked.ok(&["lock", "hero.psd"]);
    bob.ok(&["sync"]);
    ada.git(&["worktree", "remove", "../linked"]);
    assert_eq!(ada.locks(), []);
    // Nobody else can know.
    bob.latch(&["lock", "hero.psd"]).ended(1);
    ada.ok(&["sweep"]);
    bob.ok(&["lock", "hero.psd"]);
    assert_eq!(bob.locks(), [("hero.psd".into(), "bob@example.com".into())]);
}

#[test]
fn another_working_tree_is_told_by_its_path() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    let linked = ada.worktree("linked");
    linked.ok(&["lock", "hero.psd"]);
    ada.by("bob@example.com").ok(&["lock", "notes.txt"]);
    let path = format!("in another working tree ({})", linked.path.display());
    ada.latch(&["lock", "hero.psd"]).ended(1).said(&path);
    ada.latch(&["unlock", "hero.psd"]).ended(1).said(&path);
    assert!(ada.ok(&["list"]).stdout.contains(&path));
    assert!(ada.ok(&["status", "hero.psd"]).stdout.contains(&path));
    ada.write("hero.psd", "two\n");
    let commit = ada
        .try_git(&["commit", "-q", "-m", "two", "hero.psd"])
        .ended(1);
    assert!(commit.stderr.contains(&path), "{commit:?}");
    let of_bob = format!("bob@example.com on {}", hostname());
    let here = format!("({})", ada.path.display());
    let refused = linked.latch(&["lock", "notes.txt"]).ended(1);
    assert!(
        refused.stderr.contains(&format!("{of_bob} {here}")),
        "{refused:?}"
    );
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .unwrap()
        .trim()
        .to_owned()
}
