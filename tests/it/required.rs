//! Paths that may only be edited under a lock: nobody is accused who edited as the rule wants, or before it, or what
//! nobody else could have edited.

use crate::support::clones::{remote, two};
use crate::support::{Run, Sandbox, Tree};

/// A protected clone of a bare remote whose rule wants a lock on `*.psd`; locks are on this machine alone.
fn cloned(sandbox: &Sandbox) -> Tree<'_> {
    let bare = remote(sandbox);
    let ada = sandbox.tree("ada");
    let url = bare.to_str().unwrap();
    let seed = sandbox.tree("repo");
    seed.git(&["clone", "-q", url, ada.path.to_str().unwrap()]);
    ada.ok(&["init"]);
    ada.write(".latch.toml", "[require]\npatterns = [\"*.psd\"]\n");
    ada
}

fn commit(tree: &Tree<'_>, file: &str, text: &str) -> Run {
    tree.write(file, text);
    tree.git(&["add", file]);
    tree.try_git(&["commit", "-q", "-m", text.trim(), "--", file])
}

/// A commit that no hook has seen, written at another time.
fn slip(tree: &Tree<'_>, file: &str, date: &str) {
    tree.write(file, date);
    let date = format!("--date={date}");
    tree.git(&[
        "commit",
        "-q",
        "--no-verify",
        &date,
        "-m",
        "slip",
        "--",
        file,
    ]);
}

#[test]
fn what_unlock_accepts_on_one_machine_no_push_refuses() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    commit(&ada, "hero.psd", "two\n").ended(0);
    ada.ok(&["unlock", "hero.psd"]);
    // Also after somebody else's work went below it.
    let bob = sandbox.tree("repo");
    let url = sandbox.path().join("remote.git");
    commit(&bob, "notes.txt", "bob\n").ended(0);
    bob.git(&["push", "-q", url.to_str().unwrap(), "main"]);
    ada.git(&["pull", "-q", "--rebase"]);
    ada.git(&["push", "-q"]);
    // Under a directory's lock, which ended by time.
    let clock = sandbox.clock();
    let at = |arguments: &[&str]| {
        let mut command = ada.command("git");
        Run::of(clock.of(command.args(arguments)))
    };
    at(&["latch", "lock", ".", "--ttl", "1h"]).ended(0);
    ada.write("hero.psd", "three\n");
    at(&["commit", "-qam", "three"]).ended(0);
    clock.set(3 * 3600);
    at(&["push", "-q"]).ended(0);
}

#[test]
fn what_was_written_without_a_lock_is_refused_at_the_push() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["unlock", "hero.psd"]);
    slip(&ada, "hero.psd", "2090-01-01T00:00:00Z");
    let refused = ada.try_git(&["push", "-q"]);
    assert!(
        refused.stderr.contains("  hero.psd (commit "),
        "{refused:?}"
    );
    ada.ok(&["lock", "hero.psd"]);
    ada.git(&["push", "-q"]);
}

#[test]
fn the_first_push_of_a_repository_asks_for_no_locks() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    slip(&ada, "hero.psd", "2020-01-01T00:00:00Z");
    ada.ok(&["init"]);
    ada.write(".latch.toml", "[require]\npatterns = [\"*.psd\"]\n");
    ada.write(".gitattributes", "*.tscn lockable\n");
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "-m", "rules"]);
    let empty = sandbox.init("empty");
    empty.git(&["config", "receive.denyCurrentBranch", "ignore"]);
    ada.git(&["push", "-q", empty.path.to_str().unwrap(), "main"]);
}

#[test]
fn what_is_older_than_the_rule_is_not_judged_by_it() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    std::fs::remove_file(ada.path.join(".latch.toml")).unwrap();
    commit(&ada, "hero.psd", "two\n").ended(0);
    ada.write(".latch.toml", "[require]\npatterns = [\"*.psd\"]\n");
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "-m", "rule"]);
    ada.git(&["push", "-q"]);
    slip(&ada, "hero.psd", "2090-01-01T00:00:00Z");
    assert_ne!(ada.try_git(&["push", "-q"]).code, 0);
}

#[test]
fn a_new_file_needs_no_lock_of_mine_and_respects_those_of_others() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    ada.write(".gitattributes", "*.tscn lockable\n");
    commit(&ada, "villain.psd", "one\n").ended(0);
    commit(&ada, "scenes/new.tscn", "one\n").ended(0);
    ada.write("third.psd", "one\n");
    ada.ok(&["check", "third.psd"]);
    // Once it is there, it is like any other.
    let refused = commit(&ada, "villain.psd", "two\n");
    assert_ne!(refused.code, 0, "{refused:?}");
    ada.git(&["restore", "--staged", "--worktree", "villain.psd"]);
    ada.git(&["push", "-q"]);
    ada.by("bob@example.com")
        .ok(&["lock", "--new", "art/", "fourth.psd"]);
    for file in ["art/new.psd", "fourth.psd"] {
        let refused = commit(&ada, file, "one\n");
        assert!(refused.stderr.contains("bob@example.com"), "{refused:?}");
        ada.git(&["rm", "-q", "--cached", file]);
    }
}

#[test]
fn a_merge_that_brings_a_file_does_not_make_it_new() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    ada.git(&["switch", "-q", "-c", "topic"]);
    commit(&ada, "villain.psd", "one\n").ended(0);
    ada.git(&["switch", "-q", "main"]);
    commit(&ada, "notes.txt", "two\n").ended(0);
    ada.git(&["merge", "-q", "--no-commit", "--no-ff", "topic"]);
    ada.write("villain.psd", "evil\n");
    ada.git(&["add", "."]);
    let refused = ada.try_git(&["commit", "-q", "-m", "evil"]);
    assert!(refused.stderr.contains("villain.psd"), "{refused:?}");
}

#[test]
fn what_is_staged_to_go_can_be_locked_as_the_hook_says() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    ada.write("art/a.psd", "one\n");
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "-m", "art"]);
    ada.git(&["rm", "-rq", "hero.psd", "art"]);
    let refused = ada.try_git(&["commit", "-q", "-m", "gone"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("git latch lock"), "{refused:?}");
    for argument in ["hero.psd", "HERO.psd", "*.psd", "art", "art/a.psd"] {
        ada.ok(&["lock", argument]);
        ada.ok(&["unlock", "--all", "--force"]);
    }
    ada.ok(&["lock", "hero.psd", "art"]);
    ada.git(&["commit", "-q", "-m", "gone"]);
    ada.ok(&["unlock", "hero.psd", "art"]);
    ada.git(&["push", "-q"]);
}

#[test]
fn where_locks_are_shared_what_stands_on_the_main_branch_is_pushed_under_any_commit() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.git(&["switch", "-q", "-c", "topic"]);
    ada.ok(&["lock", "hero.psd"]);
    commit(&ada, "hero.psd", "two\n").ended(0);
    ada.latch(&["unlock", "hero.psd"])
        .ended(1)
        .said("not pushed");
    // Squashed elsewhere.
    let squash = |text: &str| {
        bob.write("hero.psd", text);
        bob.git(&["commit", "-q", "--no-verify", "-am", "squashed"]);
        bob.git(&["push", "-q", "--no-verify"]);
        ada.git(&["fetch", "-q"]);
    };
    squash("other\n");
    ada.latch(&["unlock", "hero.psd"]).ended(1);
    squash("two\n");
    ada.ok(&["unlock", "hero.psd"]);
}
