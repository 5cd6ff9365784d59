//! The pre-push hook.

use crate::support::{Run, Sandbox, Tree};

/// A protected clone of a bare repository; Bob holds `hero.psd`.
fn cloned(sandbox: &Sandbox) -> Tree<'_> {
    let seed = sandbox.repo();
    let bare = sandbox.path().join("bare");
    seed.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let ada = sandbox.tree("ada");
    seed.git(&[
        "clone",
        "-q",
        bare.to_str().unwrap(),
        ada.path.to_str().unwrap(),
    ]);
    ada.ok(&["init"]);
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    ada
}

/// A commit that no pre-commit hook has seen.
fn slip(tree: &Tree<'_>, author: &str, file: &str, text: &str) {
    tree.write(file, text);
    tree.git(&["add", file]);
    let author = format!("Somebody <{author}>");
    tree.git(&[
        "commit",
        "-q",
        "--no-verify",
        "--author",
        &author,
        "-m",
        "slipped",
    ]);
}

#[track_caller]
fn rejected(tree: &Tree<'_>, arguments: &[&str], path: &str) -> Run {
    let run = tree.try_git(&[&["push", "-q"], arguments].concat());
    assert_ne!(run.code, 0, "{run:?}");
    assert!(
        run.stderr.contains(&format!("  {path} (commit ")),
        "{run:?}"
    );
    run
}

#[test]
fn commits_that_edit_others_paths_are_not_pushed() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    slip(&ada, "ada@example.com", "notes.txt", "two\n");
    ada.git(&["push", "-q", "origin", "main"]);
    slip(&ada, "ada@example.com", "hero.psd", "two\n");
    let run = rejected(&ada, &["origin", "main"], "hero.psd");
    assert!(run.stderr.contains("GIT_LATCH_SKIP=1"), "{run:?}");
    rejected(&ada, &["origin", "main:refs/heads/topic"], "hero.psd");
    ada.git(&["tag", "-a", "-m", "tag", "v1"]);
    rejected(&ada, &["origin", "v1"], "hero.psd");
    let mut bypass = ada.command("git");
    Run::of(
        bypass
            .env("GIT_LATCH_SKIP", "1")
            .args(["push", "-q", "origin", "main"]),
    )
    .ended(0);
}

#[test]
fn the_owners_own_work_may_be_pushed_by_others() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    slip(&ada, "bob@example.com", "hero.psd", "bob's\n");
    ada.git(&["push", "-q", "origin", "main"]);
}

#[test]
fn my_own_lock_elsewhere_counts_against_me() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    let linked = ada.worktree("linked");
    linked.ok(&["lock", "notes.txt"]);
    slip(&ada, "ada@example.com", "notes.txt", "two\n");
    rejected(&ada, &["origin", "main"], "notes.txt");
    linked.git(&["merge", "-q", "main"]);
    let pushed = linked.try_git(&["push", "-q", "origin", "linked"]);
    assert_eq!(pushed.code, 0, "{pushed:?}");
}

#[test]
fn what_the_remote_has_already_is_not_judged_again() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    ada.by("bob@example.com").ok(&["unlock", "hero.psd"]);
    slip(&ada, "ada@example.com", "hero.psd", "two\n");
    ada.git(&["push", "-q", "origin", "main"]);
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    ada.git(&["push", "-q", "origin", "main:refs/heads/copy"]);
    let url = sandbox.path().join("bare");
    ada.git(&["update-ref", "-d", "refs/remotes/origin/main"]);
    ada.git(&[
        "push",
        "-q",
        url.to_str().unwrap(),
        "main:refs/heads/by-url",
    ]);
}

#[test]
fn what_was_put_back_before_the_push_is_no_edit() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    slip(&ada, "ada@example.com", "hero.psd", "two\n");
    slip(&ada, "ada@example.com", "hero.psd", "one\n");
    ada.git(&["push", "-q", "origin", "main"]);
}

#[test]
fn merges_accuse_only_of_what_they_change_themselves() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    ada.git(&["checkout", "-q", "-b", "bobs"]);
    slip(&ada, "bob@example.com", "hero.psd", "bob's\n");
    ada.git(&["checkout", "-q", "main"]);
    slip(&ada, "ada@example.com", "notes.txt", "two\n");
    ada.git(&["merge", "-q", "--no-edit", "bobs"]);
    ada.git(&["push", "-q", "origin", "main"]);
    ada.git(&["checkout", "-q", "-b", "more"]);
    slip(&ada, "bob@example.com", "scenes/town.tscn", "two\n");
    ada.git(&["checkout", "-q", "main"]);
    ada.git(&["merge", "-q", "--no-ff", "--no-commit", "more"]);
    ada.write("hero.psd", "evil\n");
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "--no-verify", "-m", "evil"]);
    rejected(&ada, &["origin", "main"], "hero.psd");
}

#[test]
fn a_revert_and_a_cherry_pick_are_edits_that_only_the_push_sees() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    ada.by("bob@example.com").ok(&["unlock", "hero.psd"]);
    slip(&ada, "ada@example.com", "hero.psd", "two\n");
    ada.git(&["push", "-q", "origin", "main"]);
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    ada.git(&["revert", "--no-edit", "HEAD"]);
    rejected(&ada, &["origin", "main"], "hero.psd");
}

#[test]
fn deletions_notes_and_new_branches_of_known_commits_are_let_through() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    ada.git(&["push", "-q", "origin", "main:refs/heads/gone"]);
    ada.git(&["push", "-q", "origin", ":gone"]);
    ada.git(&["notes", "add", "-m", "a note"]);
    ada.git(&["push", "-q", "origin", "refs/notes/commits"]);
}

#[test]
fn the_boundary_of_a_shallow_clone_accuses_nobody() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    slip(&ada, "ada@example.com", "notes.txt", "two\n");
    ada.git(&["push", "-q", "origin", "main"]);
    let shallow = sandbox.tree("shallow");
    let url = format!("file://{}", sandbox.path().join("bare").display());
    ada.git(&[
        "clone",
        "-q",
        "--depth=1",
        &url,
        shallow.path.to_str().unwrap(),
    ]);
    shallow.ok(&["init"]);
    shallow.by("bob@example.com").ok(&["lock", "hero.psd"]);
    let other = sandbox.path().join("other");
    ada.git(&["clone", "-q", "--bare", &url, other.to_str().unwrap()]);
    slip(&shallow, "ada@example.com", "notes.txt", "three\n");
    shallow.git(&[
        "push",
        "-q",
        other.to_str().unwrap(),
        "HEAD:refs/heads/topic",
    ]);
    slip(&shallow, "ada@example.com", "hero.psd", "two\n");
    rejected(&shallow, &["origin", "HEAD"], "hero.psd");
}

#[test]
fn required_paths_are_asked_of_my_own_commits_only() {
    let sandbox = Sandbox::new();
    let ada = cloned(&sandbox);
    ada.write(".latch.toml", "[require]\npatterns = [\"*.tscn\"]\n");
    slip(&ada, "carol@example.com", "scenes/cave.tscn", "carol's\n");
    ada.git(&["push", "-q", "origin", "main"]);
    slip(&ada, "ada@example.com", "scenes/cave.tscn", "ada's\n");
    rejected(&ada, &["origin", "main"], "scenes/cave.tscn");
    ada.ok(&["lock", "scenes/cave.tscn"]);
    ada.git(&["push", "-q", "origin", "main"]);
}
