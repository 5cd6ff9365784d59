//! `checkout` and `checkin`: the newest version under a lock, and back in one step.

use crate::support::clones::{remote, two};
use crate::support::{Run, Sandbox, Tree};

fn push(tree: &Tree<'_>, file: &str, text: &str) {
    tree.write(file, text);
    tree.git(&["commit", "-q", "--no-verify", "-am", "edit"]);
    tree.git(&["push", "-q", "--no-verify", "origin", "HEAD"]);
}

/// The people who hold locks, as the remote has it.
fn holders(tree: &Tree<'_>) -> Vec<(String, String)> {
    tree.ok(&["sync"]);
    tree.locks()
}

#[test]
fn a_stale_copy_is_refused_with_branch_and_commit_and_nothing_stays_locked() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    push(&ada, "hero.psd", "two\n");
    let commit = ada.git(&["rev-parse", "HEAD"]);
    for _ in 0..2 {
        let refused = bob
            .latch(&["--json", "checkout", "hero.psd", "notes.txt"])
            .ended(1)
            .json();
        assert_eq!(refused["error"]["code"], "stale");
        assert_eq!(refused["error"]["hint"], "git pull origin main");
        assert_eq!(refused["stale"][0]["path"], "hero.psd");
        assert_eq!(refused["stale"][0]["branch"], "origin/main");
        assert_eq!(refused["stale"][0]["commit"], commit.trim());
        assert_eq!(holders(&bob), []);
    }
    bob.ok(&["checkout", "notes.txt"]);
    bob.ok(&["checkout", "--stale-ok", "hero.psd"]);
    bob.ok(&["unlock", "--all"]);
    bob.git(&["pull", "-q"]);
    bob.ok(&["checkout", "hero.psd", "-m", "colours"]);
    assert_eq!(holders(&ada).len(), 1);
}

#[test]
fn the_same_version_and_one_left_behind_are_not_newer() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.git(&["switch", "-q", "-c", "side"]);
    ada.write("hero.psd", "two\n");
    let mut later = ada.command("git");
    later.env("GIT_COMMITTER_DATE", "2026-01-15T00:00:00Z");
    Run::of(later.args(["commit", "-q", "-am", "later"])).ended(0);
    ada.git(&["push", "-q", "origin", "side"]);
    ada.git(&["switch", "-q", "main"]);
    // The same contents in another commit, as after a squashed merge.
    bob.write("hero.psd", "two\n");
    bob.git(&["commit", "-q", "-am", "squashed"]);
    bob.git(&["push", "-q", "origin", "main"]);
    bob.ok(&["checkout", "hero.psd"]);
    bob.ok(&["unlock", "hero.psd"]);
    bob.write("hero.psd", "three\n");
    let later = Run::of(
        bob.command("git")
            .env("GIT_COMMITTER_DATE", "2026-02-01T00:00:00Z")
            .args(["commit", "-q", "-am", "three"]),
    );
    assert_eq!(later.code, 0);
    bob.git(&["push", "-q", "origin", "main"]);
    bob.ok(&["checkout", "hero.psd"]);
    bob.ok(&["unlock", "hero.psd"]);
    // Somebody who has only the branch that was left behind.
    ada.git(&["switch", "-q", "side"]);
    ada.latch(&["checkout", "hero.psd"])
        .ended(1)
        .said("origin/main");
}

#[test]
fn checkout_makes_writable_and_tells_who_has_it() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let path = ada.path.join("hero.psd");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
    std::fs::set_permissions(&path, mode).unwrap();
    ada.ok(&["checkout", "hero.psd"]);
    assert!(!std::fs::metadata(&path).unwrap().permissions().readonly());
    bob.latch(&["checkout", "hero.psd"])
        .ended(1)
        .said("locked by Ada");
}

#[test]
fn checkin_commits_pushes_as_the_user_would_and_unlocks() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["checkout", "hero.psd", "scenes"]);
    ada.write("hero.psd", "two\n");
    ada.write("scenes/new.tscn", "new\n");
    ada.write("notes.txt", "not meant\n");
    let log = sandbox.path().join("pushes");
    ada.write_script(
        ".git/hooks.before-git-latch/pre-push",
        &format!("#!/bin/sh\ncat >> {0}; echo -- >> {0}\n", log.display()),
    );
    let done = ada.json(&["checkin", "-m", "retopology", "hero.psd", "scenes"]);
    assert_eq!(done["commit"], ada.git(&["rev-parse", "HEAD"]).trim());
    assert_eq!(done["unlocked"].as_array().unwrap().len(), 2);
    let pushes = std::fs::read_to_string(log).unwrap();
    assert_eq!(pushes.matches("--").count(), 1, "{pushes}");
    assert!(pushes.contains("refs/heads/main") && !pushes.contains("refs/latch/locks"));
    assert_eq!(
        ada.git(&["status", "--porcelain", "-uno"]),
        " M notes.txt\n"
    );
    assert_eq!(
        ada.git(&["rev-parse", "origin/main"]),
        ada.git(&["rev-parse", "main"])
    );
    bob.git(&["pull", "-q"]);
    assert_eq!(bob.read("scenes/new.tscn"), "new\n");
    bob.ok(&["checkout", "hero.psd"]);
    let nothing = bob.json(&["checkin", "-m", "nothing", "hero.psd"]);
    assert_eq!(nothing["commit"], serde_json::Value::Null);
    assert_eq!(holders(&ada), []);
}

#[test]
fn a_refused_branch_leaves_the_lock() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["checkout", "hero.psd"]);
    push(&bob, "notes.txt", "two\n");
    ada.write("hero.psd", "two\n");
    let refused = ada
        .latch(&["--json", "checkin", "-m", "two", "hero.psd"])
        .ended(4)
        .json();
    assert_eq!(refused["error"]["code"], "refused");
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("`main` was not pushed to `origin`")
    );
    assert!(
        refused["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("git pull")
    );
    assert_eq!(holders(&bob).len(), 1);
    ada.git(&["pull", "-q", "--rebase"]);
    ada.ok(&["checkin", "hero.psd"]);
    assert_eq!(holders(&bob), []);
}

#[test]
fn what_is_not_mine_is_not_checked_in() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    bob.ok(&["lock", "hero.psd"]);
    ada.ok(&["lock", "notes.txt"]);
    ada.write("hero.psd", "two\n");
    ada.write("notes.txt", "two\n");
    ada.ok(&["sync"]);
    let before = ada.git(&["rev-parse", "HEAD"]);
    ada.latch(&["checkin", "-m", "x", "notes.txt", "hero.psd"])
        .ended(1);
    assert_eq!(ada.git(&["rev-parse", "HEAD"]), before);
    // Taken over meanwhile: the branch is not pushed either.
    bob.ok(&["lock", "--steal", "-m", "due", "notes.txt"]);
    ada.latch(&["checkin", "-m", "x", "notes.txt"]).ended(3);
    assert_eq!(ada.git(&["rev-parse", "origin/main"]), before);
    assert_eq!(holders(&ada).len(), 2);
}

#[test]
fn a_remote_without_atomic_pushes_gets_the_branch_first() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    sandbox
        .tree("remote.git")
        .git(&["config", "receive.advertiseAtomic", "false"]);
    ada.ok(&["checkout", "hero.psd"]);
    ada.write("hero.psd", "two\n");
    ada.ok(&["checkin", "-m", "two", "hero.psd"]);
    assert_eq!(
        ada.git(&["rev-parse", "origin/main"]),
        ada.git(&["rev-parse", "main"])
    );
    assert_eq!(holders(&ada), []);
}

#[test]
fn on_one_machine_they_work_with_and_without_a_remote() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let seed = sandbox.tree("repo");
    seed.ok(&["checkout", "hero.psd"]);
    seed.write("hero.psd", "two\n");
    seed.ok(&["checkin", "-m", "two", "hero.psd"]);
    assert_eq!(seed.locks(), []);
    assert_eq!(seed.git(&["log", "-1", "--format=%s"]), "two\n");
    let bare = sandbox.path().join("remote.git");
    let work = sandbox.tree("work");
    seed.git(&[
        "clone",
        "-q",
        bare.to_str().unwrap(),
        work.path.to_str().unwrap(),
    ]);
    work.ok(&["checkout", "hero.psd"]);
    work.write("hero.psd", "three\n");
    work.ok(&["checkin", "-m", "three", "hero.psd"]);
    assert_eq!(
        work.git(&["rev-parse", "origin/main"]),
        work.git(&["rev-parse", "main"])
    );
    work.git(&["switch", "-q", "--detach"]);
    work.ok(&["lock", "notes.txt"]);
    work.latch(&["checkin", "notes.txt"])
        .ended(2)
        .said("no branch is checked out");
    std::fs::rename(&bare, sandbox.path().join("away.git")).unwrap();
    work.latch(&["checkout", "hero.psd"])
        .ended(4)
        .said("--stale-ok");
    assert_eq!(work.locks().len(), 1);
    work.ok(&["checkout", "--stale-ok", "hero.psd"]);
}

#[test]
fn on_one_machine_branches_and_working_trees_are_compared_too() {
    let sandbox = Sandbox::new();
    let seed = sandbox.repo();
    let (one, two) = (seed.worktree("one"), seed.worktree("two"));
    one.ok(&["checkout", "hero.psd"]);
    one.write("hero.psd", "two\n");
    one.ok(&["checkin", "-m", "two", "hero.psd"]);
    let commit = one.git(&["rev-parse", "HEAD"]);
    let refused = two
        .latch(&["--json", "checkout", "hero.psd"])
        .ended(1)
        .json();
    assert_eq!(refused["error"]["code"], "stale");
    assert_eq!(refused["error"]["hint"], "git merge one");
    assert_eq!(refused["stale"][0]["branch"], "one");
    assert_eq!(refused["stale"][0]["commit"], commit.trim());
    assert_eq!(two.locks(), []);
    // Who does not ask is told, and may.
    two.ok(&["lock", "hero.psd"])
        .said("hero.psd is newer on one")
        .said("git merge one");
    assert_eq!(two.ok(&["lock", "notes.txt"]).stderr, "");
    two.ok(&["unlock", "--all"]);
    two.git(&["merge", "-q", "one"]);
    two.ok(&["checkout", "hero.psd"]);
    assert_eq!(two.ok(&["lock", "hero.psd"]).stderr, "");
    two.ok(&["unlock", "--all"]);
    // One that is on no branch.
    one.git(&["switch", "-q", "--detach"]);
    one.ok(&["lock", "hero.psd"]);
    one.write("hero.psd", "three\n");
    one.git(&["commit", "-qam", "three"]);
    one.ok(&["unlock", "hero.psd"]);
    let commit = one.git(&["rev-parse", "HEAD"]);
    two.latch(&["checkout", "hero.psd"])
        .ended(1)
        .said(commit.trim());
    two.ok(&["checkout", "--stale-ok", "hero.psd"]);
}

#[test]
fn a_lock_on_a_copy_that_is_known_to_be_old_says_so() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    push(&ada, "hero.psd", "two\n");
    // What was not fetched is not known.
    assert_eq!(bob.ok(&["lock", "hero.psd"]).stderr, "");
    bob.ok(&["unlock", "hero.psd"]);
    bob.git(&["fetch", "-q"]);
    bob.ok(&["lock", "hero.psd"])
        .said("hero.psd is newer on origin/main")
        .said("git pull origin main");
    bob.git(&["pull", "-q"]);
    assert_eq!(bob.ok(&["lock", "hero.psd"]).stderr, "");
}
