//! The pre-commit and pre-merge-commit hooks: every way of editing what another has locked.

use crate::support::{Run, Sandbox, Tree};

/// A protected repository in which Bob holds `hero.psd`, and `scenes/` as a directory.
fn protected(sandbox: &Sandbox) -> Tree<'_> {
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    ada.by("bob@example.com")
        .ok(&["lock", "hero.psd", "scenes", "-m", "night shift"]);
    ada
}

#[track_caller]
fn rejected(tree: &Tree<'_>, arguments: &[&str], path: &str) {
    let run = tree.try_git(arguments);
    assert_ne!(run.code, 0, "{run:?}");
    assert!(run.stderr.contains(&format!("  {path}: locked")), "{run:?}");
}

fn commit<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&["commit", "-q", "-m", "edit"], rest].concat()
}

#[test]
fn a_rejection_says_who_why_since_until_the_next_step_and_the_bypass() {
    let sandbox = Sandbox::new();
    let ada = protected(&sandbox);
    ada.write("hero.psd", "two\n");
    let run = ada.try_git(&commit(&["-a"])).ended(1);
    for words in [
        "hero.psd: locked by bob@example.com on",
        ", just now, until",
        "in 24 h",
        "\"night shift\"",
        "git restore --staged hero.psd",
        "GIT_LATCH_SKIP=1",
    ] {
        assert!(run.stderr.contains(words), "{words}: {run:?}");
    }
    let mut bypass = ada.command("git");
    Run::of(bypass.env("GIT_LATCH_SKIP", "1").args(commit(&["-a"]))).ended(0);
}

#[test]
fn before_the_first_commit_the_next_step_works_too() {
    let sandbox = Sandbox::new();
    let ada = sandbox.init("unborn");
    ada.ok(&["init"]);
    for file in ["a.psd", "b.psd", "notes.txt"] {
        ada.write(file, "one\n");
    }
    ada.by("bob@example.com").ok(&["lock", "a.psd", "b.psd"]);
    ada.git(&["add", "."]);
    ada.try_git(&commit(&[]))
        .ended(1)
        .said("git rm --cached a.psd b.psd)");
    ada.git(&["rm", "-q", "--cached", "a.psd", "b.psd"]);
    ada.git(&commit(&[]));
}

#[test]
fn changed_added_deleted_renamed_from_and_to_and_mode() {
    let sandbox = Sandbox::new();
    let ada = protected(&sandbox);
    let reset = || ada.git(&["reset", "-q", "--hard"]);
    ada.write("hero.psd", "two\n");
    ada.git(&["add", "."]);
    rejected(&ada, &commit(&[]), "hero.psd");
    reset();
    ada.write("scenes/new.tscn", "new\n");
    ada.git(&["add", "."]);
    rejected(&ada, &commit(&[]), "scenes/new.tscn");
    reset();
    ada.git(&["rm", "-q", "hero.psd"]);
    rejected(&ada, &commit(&[]), "hero.psd");
    reset();
    ada.git(&["mv", "hero.psd", "villain.psd"]);
    rejected(&ada, &commit(&[]), "hero.psd");
    reset();
    ada.git(&["mv", "notes.txt", "scenes/notes.txt"]);
    rejected(&ada, &commit(&[]), "scenes/notes.txt");
    reset();
    ada.git(&["update-index", "--chmod=+x", "hero.psd"]);
    rejected(&ada, &commit(&[]), "hero.psd");
}

#[test]
fn a_type_change_and_a_directory_in_a_files_place_are_edits() {
    let sandbox = Sandbox::new();
    let ada = protected(&sandbox);
    std::fs::remove_file(ada.path.join("hero.psd")).unwrap();
    std::os::unix::fs::symlink("notes.txt", ada.path.join("hero.psd")).unwrap();
    rejected(&ada, &commit(&["-a"]), "hero.psd");
    std::fs::remove_file(ada.path.join("hero.psd")).unwrap();
    ada.write("hero.psd/layer", "one\n");
    ada.git(&["add", "-A"]);
    rejected(&ada, &commit(&[]), "hero.psd");
}

#[test]
fn only_what_is_committed_counts() {
    let sandbox = Sandbox::new();
    let ada = protected(&sandbox);
    ada.write("hero.psd", "two\n");
    ada.write("notes.txt", "two\n");
    ada.git(&commit(&["--", "notes.txt"]));
    ada.git(&["add", "hero.psd"]);
    ada.write("notes.txt", "three\n");
    ada.git(&commit(&["--", "notes.txt"]));
    rejected(&ada, &commit(&["--", "hero.psd"]), "hero.psd");
    rejected(&ada, &commit(&["-a"]), "hero.psd");
}

#[test]
fn the_holder_commits_freely_and_so_does_everybody_elsewhere() {
    let sandbox = Sandbox::new();
    let ada = protected(&sandbox);
    let bob = ada.by("bob@example.com");
    ada.write("hero.psd", "two\n");
    ada.write("scenes/town.tscn", "two\n");
    bob.git(&commit(&["-a"]));
    ada.write("notes.txt", "two\n");
    ada.git(&commit(&["-a"]));
}

#[test]
fn the_same_person_elsewhere_is_rejected_too() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    let linked = ada.worktree("linked");
    linked.ok(&["lock", "hero.psd"]);
    ada.write("hero.psd", "two\n");
    rejected(&ada, &commit(&["-a"]), "hero.psd");
}

#[test]
fn putting_back_what_the_upstream_has_is_no_edit() {
    let sandbox = Sandbox::new();
    let origin = sandbox.repo();
    let ada = sandbox.tree("clone");
    origin.git(&["clone", "-q", ".", ada.path.to_str().unwrap()]);
    ada.write("hero.psd", "two\n");
    ada.git(&commit(&["-a"]));
    ada.ok(&["init"]);
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    ada.git(&["checkout", "-q", "@{upstream}", "--", "hero.psd"]);
    ada.git(&commit(&[]));
    ada.write("hero.psd", "three\n");
    rejected(&ada, &commit(&["-a"]), "hero.psd");
    ada.git(&["checkout", "-q", "@{upstream}", "--", "hero.psd"]);
    ada.git(&["commit", "-q", "--amend", "--allow-empty", "--no-edit"]);
}

#[test]
fn names_of_any_bytes_are_found() {
    use std::os::unix::ffi::OsStrExt as _;
    let sandbox = Sandbox::new();
    let ada = protected(&sandbox);
    let names: [&[u8]; 5] = [
        b"a b",
        b"\"q\"",
        b"new\nline",
        b"latin\xe9",
        "e\u{301}".as_bytes(),
    ];
    for name in names {
        let path = ada
            .path
            .join("scenes")
            .join(std::ffi::OsStr::from_bytes(name));
        std::fs::write(path, "one\n").unwrap();
    }
    ada.git(&["add", "."]);
    let run = ada.try_git(&commit(&[])).ended(1);
    for shown in [
        "'scenes/a b':",
        "'scenes/\"q\"':",
        "$'scenes/new\\nline':",
        "$'scenes/latin\\351':",
        "scenes/e\u{301}:",
    ] {
        assert!(run.stderr.contains(shown), "{shown}: {run:?}");
    }
}

#[test]
fn twenty_paths_are_listed_and_the_rest_counted() {
    let sandbox = Sandbox::new();
    let ada = protected(&sandbox);
    for n in 0..30 {
        ada.write(&format!("scenes/{n:02}"), "one\n");
    }
    ada.git(&["add", "."]);
    let run = ada.try_git(&commit(&[])).ended(1);
    assert_eq!(run.stderr.matches(": locked").count(), 20);
    assert!(run.stderr.contains("and 10 more"), "{run:?}");
}

#[test]
fn required_patterns_want_my_lock() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(
        ".latch.toml",
        "[require]\npatterns = [\"*.psd\", \"scenes/**\"]\n",
    );
    ada.ok(&["init"]);
    ada.write("hero.psd", "two\n");
    ada.write("notes.txt", "two\n");
    let run = ada.try_git(&commit(&["-a"])).ended(1);
    assert!(
        run.stderr
            .contains("hero.psd: may only be edited under your lock"),
        "{run:?}"
    );
    assert!(run.stderr.contains("git latch lock hero.psd"), "{run:?}");
    assert!(!run.stderr.contains("notes.txt"), "{run:?}");
    ada.ok(&["lock", "hero.psd"]);
    ada.git(&commit(&["-a"]));
    ada.write("scenes/town.tscn", "two\n");
    ada.ok(&["lock", "scenes"]);
    ada.git(&commit(&["-a"]));
}

#[test]
fn the_policy_may_warn_or_look_away() {
    let sandbox = Sandbox::new();
    let ada = protected(&sandbox);
    ada.write("hero.psd", "two\n");
    ada.write(".latch.toml", "[hooks]\npre_commit = \"warn\"\n");
    let run = ada.try_git(&commit(&["-a"])).ended(0);
    assert!(
        run.stderr
            .contains("note: this commit edits files that others have locked"),
        "{run:?}"
    );
    ada.write("hero.psd", "three\n");
    ada.write(".latch.toml", "[hooks]\npre_commit = \"off\"\n");
    let run = ada.try_git(&commit(&["-a"])).ended(0);
    assert!(!run.stderr.contains("hero.psd"), "{run:?}");
}

#[test]
fn an_unreadable_state_rejects_and_names_the_bypass() {
    let sandbox = Sandbox::new();
    let ada = protected(&sandbox);
    ada.write("notes.txt", "two\n");
    ada.write(".latch.toml", "broken");
    let run = ada.try_git(&commit(&["-a"]));
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains(".latch.toml:1"), "{run:?}");
    assert!(run.stderr.contains("GIT_LATCH_SKIP=1"), "{run:?}");
}

#[test]
fn a_branch_without_policy_keeps_the_last_one_seen() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.git(&["branch", "old"]);
    ada.write(".latch.toml", "[require]\npatterns = [\"*.psd\"]\n");
    ada.ok(&["init"]);
    ada.ok(&["lock", "notes.txt"]);
    ada.git(&["add", ".latch.toml"]);
    ada.git(&commit(&[]));
    ada.git(&["checkout", "-q", "old"]);
    ada.write("hero.psd", "two\n");
    assert_ne!(ada.try_git(&commit(&["-a"])).code, 0);
}

#[test]
fn a_repository_that_uses_no_locks_notices_nothing() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    std::fs::remove_dir_all(ada.path.join(".git/latch")).unwrap();
    std::fs::remove_file(ada.path.join(".latch.toml")).unwrap();
    std::fs::remove_file(ada.path.join(".locks")).unwrap();
    ada.write("hero.psd", "two\n");
    let run = ada.try_git(&commit(&["-a"])).ended(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    assert!(!ada.path.join(".git/latch").exists());
    assert!(ada.path.join(".locks").symlink_metadata().is_err());
}

/// Two branches of which one, `theirs`, has edited `hero.psd`.
fn diverged(sandbox: &Sandbox) -> Tree<'_> {
    let ada = sandbox.repo();
    ada.git(&["checkout", "-q", "-b", "theirs"]);
    ada.write("hero.psd", "theirs\n");
    ada.git(&["commit", "-q", "-am", "theirs"]);
    ada.git(&["checkout", "-q", "main"]);
    ada.write("notes.txt", "ours\n");
    ada.git(&["commit", "-q", "-am", "ours"]);
    ada.ok(&["init"]);
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    ada
}

#[test]
fn a_merge_that_carries_others_edits_accuses_nobody() {
    let sandbox = Sandbox::new();
    let ada = diverged(&sandbox);
    ada.git(&["merge", "-q", "--no-ff", "--no-edit", "theirs"]);
    assert_eq!(ada.read("hero.psd"), "theirs\n");
}

#[test]
fn a_merge_that_throws_a_change_away_is_an_edit() {
    let sandbox = Sandbox::new();
    let ada = diverged(&sandbox);
    rejected(
        &ada,
        &["merge", "-q", "-s", "ours", "--no-edit", "theirs"],
        "hero.psd",
    );
    ada.git(&["merge", "--abort"]);
    ada.git(&["merge", "-q", "--no-ff", "--no-commit", "theirs"]);
    ada.git(&["checkout", "-q", "HEAD", "--", "hero.psd"]);
    rejected(&ada, &commit(&[]), "hero.psd");
}

#[test]
fn a_conflict_resolved_to_something_new_is_an_edit_and_to_one_side_is_none() {
    let sandbox = Sandbox::new();
    let ada = diverged(&sandbox);
    ada.by("bob@example.com").ok(&["unlock", "hero.psd"]);
    ada.write("hero.psd", "ours\n");
    ada.git(&commit(&["-a"]));
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    assert_ne!(ada.try_git(&["merge", "-q", "theirs"]).code, 0);
    ada.write("hero.psd", "both\n");
    ada.git(&["add", "hero.psd"]);
    rejected(&ada, &commit(&[]), "hero.psd");
    ada.write("hero.psd", "theirs\n");
    ada.git(&["add", "hero.psd"]);
    ada.git(&commit(&[]));
}

#[test]
fn an_edit_slipped_into_a_merge_is_found_before_the_merge_commit() {
    let sandbox = Sandbox::new();
    let ada = diverged(&sandbox);
    ada.by("bob@example.com").ok(&["lock", "scenes/town.tscn"]);
    ada.git(&["merge", "-q", "--no-ff", "--no-commit", "theirs"]);
    ada.write("scenes/town.tscn", "slipped in\n");
    ada.git(&["add", "."]);
    rejected(&ada, &["commit", "-q", "--no-edit"], "scenes/town.tscn");
}

#[test]
fn an_octopus_accuses_nobody() {
    let sandbox = Sandbox::new();
    let ada = diverged(&sandbox);
    ada.git(&["checkout", "-q", "-b", "third", "HEAD~1"]);
    ada.write("scenes/cave.tscn", "third\n");
    ada.git(&commit(&["-a"]));
    ada.git(&["checkout", "-q", "main"]);
    ada.by("bob@example.com").ok(&["lock", "scenes/cave.tscn"]);
    ada.git(&["merge", "-q", "--no-edit", "theirs", "third"]);
    assert_eq!(ada.read("scenes/cave.tscn"), "third\n");
}

#[test]
fn the_losses_are_told_at_the_next_commit() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    ada.ok(&["lock", "hero.psd"]);
    ada.by("bob@example.com")
        .ok(&["lock", "--steal", "-m", "due", "hero.psd"]);
    let run = ada.try_git(&commit(&["--allow-empty"])).ended(0);
    assert!(run.stderr.contains("hero.psd was taken over"), "{run:?}");
}
