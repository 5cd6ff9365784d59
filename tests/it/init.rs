//! `git latch init` and `git latch uninstall`: hooks installed, chained, upgraded, removed.

use crate::support::{Run, Sandbox, Tree};

fn hook(tree: &Tree<'_>, path: &str, text: &str) {
    tree.write_script(path, text);
}

fn outcomes(answer: &serde_json::Value) -> Vec<&str> {
    let hooks = answer["hooks"].as_array().unwrap();
    hooks
        .iter()
        .map(|h| h["outcome"].as_str().unwrap())
        .collect()
}

#[test]
fn it_sets_up_and_may_be_repeated() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let first = ada.json(&["init"]);
    assert_eq!(first["policy"]["outcome"], "created");
    // After a commit there is nothing to do where no file is `lockable`.
    assert_eq!(outcomes(&first), ["installed"; 5]);
    let again = ada.json(&["init"]);
    assert_eq!(again["policy"]["outcome"], "kept");
    assert_eq!(outcomes(&again), ["unchanged"; 5]);
    assert!(ada.path.join(".locks").is_dir());
    assert_eq!(ada.git(&["status", "--porcelain"]), "?? .latch.toml\n");
    assert!(
        ada.read(".latch.toml")
            .lines()
            .all(|l| l.is_empty() || l.starts_with('#'))
    );
}

#[test]
fn a_foreign_hook_still_runs_and_its_refusal_counts() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    hook(
        &ada,
        ".git/hooks/pre-commit",
        "#!/bin/sh\necho theirs >> ran\nexit 0\n",
    );
    let answer = ada.json(&["init"]);
    assert_eq!(outcomes(&answer)[0], "chained");
    ada.git(&["commit", "-q", "--allow-empty", "-m", "two"]);
    assert_eq!(ada.read("ran"), "theirs\n");
    let kept = ".git/hooks.before-git-latch/pre-commit";
    hook(&ada, kept, "#!/bin/sh\nexit 5\n");
    assert_ne!(
        ada.try_git(&["commit", "--allow-empty", "-m", "three"])
            .code,
        0
    );
    ada.ok(&["uninstall"]);
    assert!(ada.read(".git/hooks/pre-commit").contains("exit 5"));
    assert!(!ada.path.join(".git/hooks.before-git-latch").exists());
}

#[test]
fn a_foreign_pre_push_gets_its_input_and_arguments() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bare = sandbox.path().join("bare");
    ada.git(&["init", "-q", "--bare", bare.to_str().unwrap()]);
    ada.git(&["remote", "add", "origin", bare.to_str().unwrap()]);
    hook(
        &ada,
        ".git/hooks/pre-push",
        "#!/bin/sh\necho \"$1\" > pushed\ncat >> pushed\n",
    );
    ada.ok(&["init"]);
    ada.git(&["push", "-q", "origin", "main"]);
    let head = ada.git(&["rev-parse", "HEAD"]);
    let pushed = ada.read("pushed");
    assert!(pushed.starts_with("origin\nrefs/heads/main "), "{pushed}");
    assert!(pushed.contains(head.trim()), "{pushed}");
}

#[test]
fn an_older_hook_of_ours_is_upgraded_in_place() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    hook(
        &ada,
        ".git/hooks/pre-commit",
        "#!/bin/sh\n# git-latch hook, version 0\nexit 1\n",
    );
    let answer = ada.json(&["init"]);
    assert_eq!(outcomes(&answer)[0], "upgraded");
    assert!(!ada.path.join(".git/hooks/pre-commit.legacy").exists());
    ada.git(&["commit", "-q", "--allow-empty", "-m", "two"]);
}

#[test]
fn a_hook_that_is_a_link_is_moved_and_not_written_through() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    hook(&ada, "tools/check", "#!/bin/sh\necho checked >> ran\n");
    std::os::unix::fs::symlink("../../tools/check", ada.path.join(".git/hooks/pre-commit"))
        .unwrap();
    ada.ok(&["init"]);
    assert_eq!(ada.read("tools/check"), "#!/bin/sh\necho checked >> ran\n");
    ada.git(&["commit", "-q", "--allow-empty", "-m", "two"]);
    assert_eq!(ada.read("ran"), "checked\n");
}

#[test]
fn another_tool_that_takes_our_place_loses_nothing() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    hook(&ada, ".git/hooks/pre-commit", "#!/bin/sh\n# first\n");
    ada.ok(&["init"]);
    hook(&ada, ".git/hooks/pre-commit", "#!/bin/sh\n# second\n");
    let doctor = ada.latch(&["doctor"]);
    assert_ne!(doctor.code, 0);
    assert!(
        doctor
            .stdout
            .contains("pre-commit was replaced by another tool")
    );
    ada.ok(&["init"]);
    let kept = ada.read(".git/hooks.before-git-latch/pre-commit");
    assert!(kept.contains("second"));
    let aside = ada.read(".git/hooks/pre-commit.before-git-latch.1");
    assert!(aside.contains("first"));
    ada.ok(&["doctor"]);
}

#[test]
fn a_tool_that_keeps_ours_as_we_keep_theirs_is_fine() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    let hooks = ada.path.join(".git/hooks");
    std::fs::rename(hooks.join("pre-commit"), hooks.join("pre-commit.legacy")).unwrap();
    hook(
        &ada,
        ".git/hooks/pre-commit",
        "#!/bin/sh\nexec \"$0.legacy\" \"$@\"\n",
    );
    ada.ok(&["doctor"]);
    assert_eq!(outcomes(&ada.json(&["init"]))[0], "unchanged");
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    ada.write("hero.psd", "two\n");
    assert_ne!(ada.try_git(&["commit", "-qam", "two"]).code, 0);
}

#[test]
fn a_hooks_path_of_the_repository_is_used() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.git(&["config", "core.hooksPath", "my hooks"]);
    ada.write("my hooks/README", "not a hook\n");
    ada.ok(&["init"]);
    assert!(
        ada.read("my hooks/pre-commit")
            .contains("# git-latch hook, version")
    );
    assert!(!ada.path.join(".git/hooks/pre-commit").exists());
}

#[test]
fn a_hooks_path_of_all_repositories_is_refused_unless_forced() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let hooks = sandbox.path().join("all hooks");
    ada.git(&[
        "config",
        "--global",
        "core.hooksPath",
        hooks.to_str().unwrap(),
    ]);
    ada.latch(&["init"])
        .ended(2)
        .said("core.hooksPath")
        .said("--force");
    assert!(!ada.path.join(".latch.toml").exists());
    ada.ok(&["init", "--force"]);
    assert!(hooks.join("pre-commit").exists());
}

#[test]
fn tracked_hooks_are_left_alone_and_the_line_to_add_is_told() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.git(&["config", "core.hooksPath", ".husky"]);
    hook(&ada, ".husky/pre-commit", "#!/bin/sh\nnpm test\n");
    ada.git(&["add", ".husky"]);
    let line = "git-latch hook pre-commit \"$@\" || exit 1";
    let run = ada.latch(&["init"]).ended(1).said(line);
    assert!(!run.stdout.contains("is protected"), "{run:?}");
    assert_eq!(ada.read(".husky/pre-commit"), "#!/bin/sh\nnpm test\n");
    assert!(!ada.path.join(".husky/pre-push").exists());
    hook(
        &ada,
        ".husky/pre-commit",
        "#!/bin/sh\ngit-latch hook pre-commit \"$@\" || exit 1\n",
    );
    assert_eq!(outcomes(&ada.json(&["init"]))[0], "unchanged");
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    ada.write("hero.psd", "two\n");
    assert_ne!(ada.try_git(&["commit", "-qam", "two"]).code, 0);
}

#[test]
fn the_binary_is_found_where_it_was_when_it_is_not_on_the_path() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    ada.write("hero.psd", "two\n");
    let mut commit = ada.command("git");
    commit
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .args(["commit", "-qam", "two"]);
    Run::of(&mut commit)
        .ended(1)
        .said("hero.psd: locked by bob@example.com");
}

#[test]
fn without_the_binary_commits_are_stopped_with_the_fix_and_the_bypass() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    let text = ada
        .read(".git/hooks/pre-commit")
        .replace(crate::support::LATCH, "/gone/git-latch");
    hook(&ada, ".git/hooks/pre-commit", &text);
    let mut commit = ada.command("git");
    commit.env("PATH", "/usr/local/bin:/usr/bin:/bin").args([
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "two",
    ]);
    Run::of(&mut commit)
        .ended(1)
        .said("git-latch is not installed")
        .said("GIT_LATCH_SKIP=1");
    Run::of(commit.env("GIT_LATCH_SKIP", "1")).ended(0);
}

#[test]
fn uninstall_leaves_nothing_of_ours() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let before = ada.git(&["config", "--list", "--local"]);
    let linked = ada.worktree("linked");
    ada.ok(&["init"]);
    linked.ok(&["lock", "hero.psd"]);
    ada.latch(&["uninstall"])
        .ended(1)
        .said("hero.psd is held by");
    linked.ok(&["unlock", "hero.psd"]);
    ada.ok(&["uninstall"]);
    for left in [
        ".locks",
        ".git/latch",
        ".git/hooks/pre-commit",
        "../linked/.locks",
        ".git/worktrees/linked/latch",
    ] {
        assert!(ada.path.join(left).symlink_metadata().is_err(), "{left}");
    }
    assert!(!ada.read(".git/info/exclude").contains("/.locks"));
    assert_eq!(ada.git(&["config", "--list", "--local"]), before);
}

#[test]
fn without_an_identity_it_says_what_the_first_lock_will_want() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.git(&["config", "--global", "--unset", "user.email"]);
    let step = "git config --global user.email you@example.com";
    let told = ada.ok(&["init"]);
    assert!(told.stdout.contains("is protected"), "{told:?}");
    told.said("no identity is set").said(step);
    ada.latch(&["lock", "hero.psd"]).ended(2).said(step);
    ada.git(&["config", "--global", "user.email", "ada@example.com"]);
    assert!(!ada.ok(&["init"]).stderr.contains("identity"));
}
