//! Where I am: one working tree under several names is one workspace, and a copy is another.

use std::path::Path;

use crate::support::{LATCH, Run, Sandbox, Tree};

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
