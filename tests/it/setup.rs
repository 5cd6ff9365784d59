//! `git latch setup`, and what a clone says that has the policy but not the hooks.

use std::path::Path;

use crate::support::{Run, Sandbox, Tree};

const NOTE: &str = "nothing checks commits and pushes: git latch init";

/// A repository with a policy, and one without, to be cloned.
fn origins(sandbox: &Sandbox) {
    let ada = sandbox.repo();
    ada.git(&["clone", "-q", ".", "../plain"]);
    ada.write(".latch.toml", "");
    ada.write(".gitattributes", "*.psd lockable\n");
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "-m", "policy"]);
}

fn clone<'a>(sandbox: &'a Sandbox, from: &str, to: &str) -> (Tree<'a>, Run) {
    let mut command = sandbox.command("git");
    command
        .current_dir(sandbox.path())
        .args(["clone", "-q", from, to]);
    (sandbox.tree(to), Run::of(&mut command).ended(0))
}

fn ours_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let ours = paths.filter(|path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.contains("# git-latch hook")
    });
    ours.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_later_clone_with_a_policy_is_protected_without_a_command() {
    let sandbox = Sandbox::new();
    origins(&sandbox);
    sandbox.tree("repo").ok(&["setup"]);
    let (bob, cloned) = clone(&sandbox, "repo", "bob");
    assert!(
        cloned.stderr.contains("git-latch has set it up"),
        "{cloned:?}"
    );
    assert_eq!(bob.git(&["status", "--porcelain"]), "");
    bob.ok(&["doctor"]);
    assert!(
        bob.path
            .join("hero.psd")
            .metadata()
            .unwrap()
            .permissions()
            .readonly()
    );
    bob.by("eve@example.com").ok(&["lock", "notes.txt"]);
    bob.write("notes.txt", "mine\n");
    bob.try_git(&["commit", "-qam", "x"])
        .ended(1)
        .said("locked by eve");
    assert!(!ours_in(&bob.path.join(".git/hooks")).contains(&"post-index-change".to_owned()));
}

#[test]
fn a_clone_without_policy_keeps_nothing_of_ours() {
    let sandbox = Sandbox::new();
    origins(&sandbox);
    sandbox.tree("repo").ok(&["setup"]);
    let (bob, cloned) = clone(&sandbox, "plain", "bob");
    assert_eq!(cloned.stderr, "");
    assert_eq!(ours_in(&bob.path.join(".git/hooks")), [""; 0]);
    assert!(!bob.path.join(".git/latch").exists());
    // What git's own template has is there as before.
    assert!(bob.path.join(".git/info/exclude").exists());
    // A repository that begins empty loses it with its first file.
    let new = sandbox.init("new");
    new.write("file", "");
    new.git(&["add", "."]);
    assert_eq!(ours_in(&new.path.join(".git/hooks")), [""; 0]);
}

#[test]
fn it_is_undone_without_a_trace() {
    let sandbox = Sandbox::new();
    origins(&sandbox);
    let ada = sandbox.tree("repo");
    let before = std::fs::read_to_string(sandbox.path().join("gitconfig")).unwrap();
    assert_eq!(ada.json(&["setup"])["outcome"], "installed");
    assert_eq!(ada.json(&["setup"])["outcome"], "unchanged");
    assert_eq!(ada.json(&["setup", "--undo"])["outcome"], "removed");
    assert_eq!(ada.json(&["setup", "--undo"])["outcome"], "absent");
    let after = std::fs::read_to_string(sandbox.path().join("gitconfig")).unwrap();
    assert_eq!(after, before);
    assert!(!sandbox.path().join(".local/share/git-latch").exists());
    let (bob, _) = clone(&sandbox, "repo", "bob");
    assert_eq!(ours_in(&bob.path.join(".git/hooks")), [""; 0]);
}

#[test]
fn a_template_of_the_users_own_is_kept() {
    let sandbox = Sandbox::new();
    origins(&sandbox);
    let ada = sandbox.tree("repo");
    let own = sandbox.path().join("my template");
    std::fs::create_dir_all(own.join("hooks")).unwrap();
    std::fs::write(own.join("hooks/commit-msg"), "#!/bin/sh\n").unwrap();
    ada.git(&["config", "--global", "init.templateDir", "~/my template"]);
    ada.ok(&["setup"]);
    let (bob, _) = clone(&sandbox, "repo", "bob");
    bob.ok(&["doctor"]);
    assert_eq!(bob.read(".git/hooks/commit-msg"), "#!/bin/sh\n");
    ada.ok(&["setup", "--undo"]);
    assert_eq!(
        ada.git(&["config", "--global", "init.templateDir"]),
        "~/my template\n"
    );
    assert_eq!(ours_in(&own.join("hooks")), [""; 0]);
    std::fs::write(own.join("hooks/post-index-change"), "#!/bin/sh\n").unwrap();
    ada.latch(&["setup"]).ended(2).said("post-index-change");
}

#[test]
fn git_lfs_finds_its_place_free_in_a_new_repository() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    if Run::of(sandbox.command("git").args(["lfs", "version"])).code != 0 {
        eprintln!("skipped: git-lfs is not installed");
        return;
    }
    ada.ok(&["setup"]);
    let new = sandbox.init("new");
    new.git(&["lfs", "install", "--local"]);
    assert!(new.read(".git/hooks/pre-push").contains("git lfs pre-push"));
}

#[test]
fn a_clone_that_has_the_policy_but_not_the_hooks_says_so_once_a_command() {
    let sandbox = Sandbox::new();
    origins(&sandbox);
    let (bob, _) = clone(&sandbox, "repo", "bob");
    for command in [
        &["lock", "hero.psd"][..],
        &["status"],
        &["list"],
        &["check", "hero.psd"],
        &["unlock", "hero.psd"],
    ] {
        let run = bob.ok(command);
        assert_eq!(run.stderr.matches(NOTE).count(), 1, "{run:?}");
        assert!(!run.stdout.contains(NOTE));
    }
    bob.latch(&["--json", "list"]).ended(0).json();
    bob.ok(&["init"]);
    let run = bob.ok(&["status"]);
    assert!(!run.stderr.contains(NOTE), "{run:?}");
    // Neither where there is no policy.
    let (eve, _) = clone(&sandbox, "plain", "eve");
    let run = eve.ok(&["lock", "hero.psd"]);
    assert!(!run.stderr.contains(NOTE), "{run:?}");
}

#[test]
fn hooks_that_git_looks_for_elsewhere_do_not_count() {
    let sandbox = Sandbox::new();
    origins(&sandbox);
    let (bob, _) = clone(&sandbox, "repo", "bob");
    bob.ok(&["init"]);
    let linked = bob.worktree("linked");
    assert!(!linked.ok(&["list"]).stderr.contains(NOTE));
    bob.git(&["config", "core.hooksPath", ".husky/_"]);
    assert!(bob.ok(&["list"]).stderr.contains(NOTE));
    for name in ["pre-commit", "pre-merge-commit", "pre-push"] {
        bob.write(
            &format!(".husky/{name}"),
            &format!("git-latch hook {name} \"$@\" || exit 1\n"),
        );
    }
    let run = bob.ok(&["list"]);
    assert!(!run.stderr.contains(NOTE), "{run:?}");
}
