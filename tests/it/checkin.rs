//! `checkin`: commit what is named and mine, push as the user's own git would, then give back.

use crate::support::clones::two;
use crate::support::{Run, Sandbox, Tree};

/// The people who hold locks, as the remote has it.
fn holders(tree: &Tree<'_>) -> Vec<String> {
    tree.ok(&["sync"]);
    tree.locks().into_iter().map(|(path, _)| path).collect()
}

/// What the remote's main branch has.
fn on_main(tree: &Tree<'_>) -> String {
    tree.git(&["fetch", "-q", "origin"]);
    tree.git(&["ls-tree", "-r", "--name-only", "origin/main"])
}

#[test]
fn renames_and_deletions_are_checked_in_staged_or_not() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    ada.ok(&["lock", "hero.psd", "scenes", "notes.txt"]);
    ada.git(&["mv", "hero.psd", "villain.psd"]);
    ada.ok(&["checkin", "-m", "renamed", "hero.psd", "villain.psd"]);
    ada.git(&["rm", "-q", "scenes/town.tscn"]);
    std::fs::remove_file(ada.path.join("scenes/cave.tscn")).unwrap();
    ada.write("scenes/hill.tscn", "new\n");
    ada.ok(&["checkin", "-m", "gone", "scenes"]);
    ada.git(&["rm", "-q", "notes.txt"]);
    ada.ok(&["checkin", "-m", "gone", "notes.txt"]);
    assert_eq!(on_main(&ada), "scenes/hill.tscn\nvillain.psd\n");
    assert_eq!(holders(&ada).len(), 0);
    assert_eq!(ada.git(&["status", "--porcelain", "-uno"]), "");
}

#[test]
fn directories_and_patterns_mean_what_i_hold_in_them() {
    let sandbox = Sandbox::new();
    for (nth, argument) in [".", "scenes", "scenes/", "scenes/*", "*.tscn"]
        .into_iter()
        .enumerate()
    {
        let home = Sandbox::new();
        let (ada, bob) = two(&home);
        ada.ok(&["lock", "scenes/town.tscn"]);
        bob.ok(&["lock", "hero.psd"]);
        ada.git(&["mv", "scenes/town.tscn", "scenes/city.tscn"]);
        for file in [
            "scenes/cave.tscn",
            "notes.txt",
            "scenes/untracked",
            "staged",
        ] {
            ada.write(file, "not meant\n");
        }
        ada.git(&["add", "notes.txt"]);
        let done = ada.ok(&["checkin", "-m", "city", argument]);
        if nth == 1 {
            assert!(done.stderr.contains("left out"), "{done:?}");
        }
        assert_eq!(
            ada.git(&[
                "show",
                "--format=",
                "--name-only",
                "--no-renames",
                "origin/main"
            ]),
            "scenes/city.tscn\nscenes/town.tscn\n",
            "{argument}"
        );
        let left = ada.git(&["status", "--porcelain", "-uno"]);
        assert_eq!(left, "M  notes.txt\n M scenes/cave.tscn\n");
        assert_eq!(holders(&ada), ["hero.psd"]);
    }
    let (ada, _) = two(&sandbox);
    ada.ok(&["lock", "scenes/town.tscn"]);
    ada.write("scenes/town.tscn", "two\n");
    ada.inside("scenes").ok(&["checkin", "-m", "two", "."]);
    assert_eq!(holders(&ada).len(), 0);
}

#[test]
fn what_is_named_and_neither_mine_nor_new_is_refused_before_anything_is_done() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    bob.ok(&["lock", "scenes"]);
    ada.ok(&["sync"]);
    for file in ["hero.psd", "notes.txt", "scenes/new.tscn"] {
        ada.write(file, "two\n");
    }
    let before = ada.git(&["rev-parse", "HEAD"]);
    for (file, code, words) in [
        ("notes.txt", 3, "notes.txt is not locked"),
        ("scenes/new.tscn", 1, "locked by bob@example.com"),
        ("scenes", 1, "locked by bob@example.com"),
    ] {
        let refused = ada.latch(&["checkin", "-m", "x", "hero.psd", file]);
        refused.ended(code).said(words);
    }
    assert_eq!(ada.git(&["rev-parse", "HEAD"]), before);
    // New, and nobody's.
    ada.write("art/new.psd", "one\n");
    ada.ok(&["checkin", "-m", "new", "art/new.psd", "hero.psd"]);
    assert_eq!(holders(&ada), ["scenes"]);
    assert!(on_main(&ada).contains("art/new.psd"));
}

#[test]
fn a_file_in_a_directory_of_mine_is_checked_in_and_the_directory_stays_mine() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    ada.ok(&["lock", "scenes"]);
    ada.write("scenes/town.tscn", "two\n");
    ada.write("scenes/cave.tscn", "half done\n");
    ada.ok(&["checkin", "-m", "town", "scenes/town.tscn"]);
    assert_eq!(
        ada.git(&["status", "--porcelain", "-uno"]),
        " M scenes/cave.tscn\n"
    );
    assert_eq!(holders(&ada), ["scenes"]);
}

#[test]
fn what_is_new_below_a_directory_of_mine_goes_along_and_is_said_but_nothing_ignored() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    ada.write(".gitignore", "*~\n");
    ada.ok(&["lock", "scenes"]);
    for new in ["scenes/town.tscn~", "scenes/new"] {
        ada.write(new, "new\n");
    }
    ada.ok(&["checkin", "-m", "x", "scenes"])
        .said("new in this commit:\n  scenes/new\n");
    let committed = ada.git(&["show", "--name-only", "--format=", "HEAD"]);
    assert_eq!(committed, "scenes/new\n");
    assert!(ada.path.join("scenes/town.tscn~").exists());
}

#[test]
fn with_keep_the_lock_stays() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    ada.write("hero.psd", "two\n");
    ada.ok(&["checkin", "--keep", "-m", "two", "hero.psd"]);
    assert_eq!(holders(&ada), ["hero.psd"]);
    assert_eq!(
        ada.git(&["rev-parse", "HEAD"]),
        ada.git(&["rev-parse", "origin/main"])
    );
    ada.ok(&["checkin", "hero.psd"]);
    assert_eq!(holders(&ada).len(), 0);
}

/// A checkin whose branch git does not push: committed, locked, nothing on the remote.
#[track_caller]
fn git_does_not_push(ada: &Tree<'_>, words: &str) {
    let before = ada.git(&["ls-remote", "--heads", "origin"]);
    ada.write("hero.psd", words);
    let refused = ada
        .latch(&["--json", "checkin", "-m", "two", "hero.psd"])
        .ended(1);
    assert!(refused.stderr.contains(words), "{refused:?}");
    let error = &refused.json()["error"];
    assert_eq!(error["code"], "unpushed");
    assert!(
        error["message"].as_str().unwrap().contains(words),
        "{error}"
    );
    assert!(
        error["hint"].as_str().unwrap().contains("git push"),
        "{error}"
    );
    assert_eq!(ada.git(&["status", "--porcelain", "-uno"]), "");
    assert_eq!(ada.git(&["ls-remote", "--heads", "origin"]), before);
    assert_eq!(holders(ada), ["hero.psd"]);
}

#[test]
fn what_git_push_refuses_checkin_refuses_in_the_same_words() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    ada.git(&["switch", "-q", "-c", "topic", "--track", "origin/main"]);
    git_does_not_push(&ada, "does not match");
    ada.git(&["switch", "-q", "-c", "alone", "--no-track", "topic"]);
    git_does_not_push(&ada, "has no upstream branch");
    ada.git(&["config", "push.default", "nothing"]);
    git_does_not_push(&ada, "push.default is \"nothing\"");
    ada.git(&["config", "push.default", "current"]);
    ada.ok(&["checkin", "hero.psd"]);
    assert!(
        ada.git(&["ls-remote", "--heads", "origin"])
            .contains("heads/alone")
    );
    assert_eq!(holders(&ada).len(), 0);
}

#[test]
fn what_goes_to_a_fork_is_not_where_the_locks_are_shared() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let fork = sandbox.path().join("fork.git");
    ada.git(&["clone", "-q", "--bare", ".", fork.to_str().unwrap()]);
    ada.git(&["remote", "add", "fork", fork.to_str().unwrap()]);
    ada.git(&["config", "remote.pushDefault", "fork"]);
    let before = on_main(&ada);
    ada.ok(&["lock", "hero.psd"]);
    ada.git(&["mv", "hero.psd", "villain.psd"]);
    let kept = ada.latch(&["checkin", "-m", "renamed", "hero.psd", "villain.psd"]);
    kept.ended(1).said("not pushed").said("it went to fork");
    assert_eq!(on_main(&ada), before);
    assert!(
        ada.git(&["ls-tree", "--name-only", "fork/main"])
            .contains("villain")
    );
    assert_eq!(holders(&ada), ["hero.psd"]);
    // Merged by somebody who may.
    bob.git(&["pull", "-q", fork.to_str().unwrap(), "main"]);
    bob.git(&["push", "-q", "--no-verify"]);
    ada.git(&["fetch", "-q", "origin"]);
    ada.ok(&["unlock", "hero.psd"]);
}

#[test]
fn what_git_does_not_commit_is_a_clear_no_and_leaves_everything_as_it_was() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    ada.ok(&["lock", "hero.psd", "scenes"]);
    ada.write("hero.psd", "two\n");
    ada.write("scenes/new.tscn", "new\n");
    let state = |ada: &Tree<'_>| {
        let status = ada.git(&["status", "--porcelain"]);
        (ada.git(&["rev-parse", "HEAD"]), status, holders(ada))
    };
    let before = state(&ada);
    let no = |run: Run, words: &str| {
        let run = run.ended(1);
        assert!(run.stderr.contains(words), "{words}: {run:?}");
        assert_eq!(run.json()["error"]["code"], "unpushed");
        assert_eq!(state(&ada), before);
    };
    let checkin = ["--json", "checkin", "-m", "two", "."];
    ada.write_script(
        ".git/hooks/commit-msg",
        "#!/bin/sh\necho colours are wrong >&2; exit 3\n",
    );
    no(ada.latch(&checkin), "colours are wrong");
    std::fs::remove_file(ada.path.join(".git/hooks/commit-msg")).unwrap();
    let mut editor = ada.command(crate::support::LATCH);
    editor.env("GIT_EDITOR", "true");
    no(
        Run::of(editor.args(["--json", "checkin", "."])),
        "empty commit message",
    );
    no(
        ada.latch(&["--json", "checkin", "-m", "", "."]),
        "empty commit message",
    );
    ada.git(&["branch", "side", "HEAD"]);
    ada.write(".git/MERGE_HEAD", &before.0);
    no(ada.latch(&checkin), "partial commit during a merge");
    std::fs::remove_file(ada.path.join(".git/MERGE_HEAD")).unwrap();
    ada.ok(&checkin);
}

#[test]
fn outside_a_sparse_checkout_what_is_tracked_is_checked_in_and_what_is_new_is_refused() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    ada.git(&["sparse-checkout", "set", "--cone", "art"]);
    ada.ok(&["lock", "scenes/town.tscn", "--new", "scenes/new.tscn"]);
    ada.write("scenes/town.tscn", "two\n");
    ada.ok(&["checkin", "-m", "two", "scenes/town.tscn"]);
    ada.write("scenes/new.tscn", "new\n");
    ada.latch(&["checkin", "-m", "new", "scenes/new.tscn"])
        .ended(1)
        .said("outside of your sparse-checkout");
    assert_eq!(holders(&ada), ["scenes/new.tscn"]);
}

#[test]
fn what_was_interrupted_before_the_push_goes_on_where_it_stopped() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    ada.write("hero.psd", "two\n");
    let hook = ada.path.join(".git/hooks.before-git-latch/pre-push");
    ada.write_script(
        ".git/hooks.before-git-latch/pre-push",
        "#!/bin/sh\necho not today >&2; exit 1\n",
    );
    ada.latch(&["checkin", "-m", "two", "hero.psd"])
        .ended(1)
        .said("not today")
        .said("git latch checkin again");
    assert_eq!(holders(&ada), ["hero.psd"]);
    std::fs::remove_file(hook).unwrap();
    let done = ada.json(&["checkin", "hero.psd"]);
    assert_eq!(done["commit"], serde_json::Value::Null);
    assert_eq!(done["unlocked"][0]["path"], "hero.psd");
    assert_eq!(
        ada.git(&["rev-parse", "HEAD"]),
        ada.git(&["rev-parse", "origin/main"])
    );
    // Pushed by hand meanwhile: nothing is left to push.
    ada.ok(&["lock", "hero.psd"]);
    ada.write("hero.psd", "three\n");
    ada.git(&["commit", "-qam", "three"]);
    ada.git(&["push", "-q"]);
    ada.git(&["config", "push.default", "nothing"]);
    ada.ok(&["checkin", "hero.psd"]);
    assert_eq!(holders(&ada).len(), 0);
}

#[test]
fn anothers_file_on_the_branch_is_named_with_its_holder_and_no_advice_to_pull() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    ada.write("notes.txt", "slipped\n");
    ada.git(&["commit", "-q", "--no-verify", "-am", "slipped"]);
    bob.ok(&["lock", "notes.txt"]);
    ada.write("hero.psd", "two\n");
    let checkin = ["--json", "checkin", "-m", "two", "hero.psd"];
    let refused = ada.latch(&checkin).ended(1).json();
    assert_eq!(refused["error"]["code"], "held");
    let text = |key: &str| refused["error"][key].as_str().unwrap().to_owned();
    assert!(text("message").contains("bob@example.com"), "{refused}");
    assert!(text("hint").contains("ask the holder"), "{refused}");
    // Where pushes are judged, too.
    let remote = sandbox.tree("remote.git");
    remote.ok(&["init", "--bare"]);
    let mut command = ada.command(crate::support::LATCH);
    let run = Run::of(command.env("GIT_LATCH_SKIP", "1").args(checkin)).ended(1);
    assert_eq!(run.json()["error"]["code"], "held", "{run:?}");
    assert!(!run.stderr.contains("git pull"), "{run:?}");
    assert_eq!(holders(&ada), ["hero.psd", "notes.txt"]);
}
