//! Git LFS and our hooks in one repository: whichever comes first, contents reach the remote, once.

use std::path::Path;

use crate::support::{Run, Sandbox, Tree};

/// Whether Git LFS is installed here.
fn is_there(sandbox: &Sandbox) -> bool {
    let runs = Run::of(sandbox.command("git").args(["lfs", "version"])).code == 0;
    if !runs {
        eprintln!("skipped: git-lfs is not installed");
    }
    runs
}

/// A repository with a remote, on a machine with Git LFS.
fn tree(sandbox: &Sandbox) -> Tree<'_> {
    let ada = sandbox.init("tree");
    ada.git(&["lfs", "install", "--skip-repo"]);
    let bare = sandbox.path().join("bare");
    ada.git(&["init", "-q", "--bare", bare.to_str().unwrap()]);
    ada.git(&["remote", "add", "origin", bare.to_str().unwrap()]);
    ada
}

fn use_lfs(ada: &Tree<'_>) {
    ada.git(&["lfs", "track", "*.psd"]);
    ada.write("hero.psd", "contents\n");
    ada.git(&["add", "-A"]);
    ada.git(&["commit", "-q", "-m", "hero"]);
}

fn objects(directory: &Path) -> usize {
    std::fs::read_dir(directory).map_or(0, |entries| {
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .map(|path| if path.is_dir() { objects(&path) } else { 1 })
            .sum()
    })
}

/// Pushes, and says how often Git LFS ran.
#[track_caller]
fn push(ada: &Tree<'_>) -> usize {
    let log = ada.sandbox.path().join("trace");
    let _ = std::fs::remove_file(&log);
    let mut command = ada.command("git");
    command
        .args(["push", "-q", "origin", "HEAD:main"])
        .env("GIT_TRACE", &log);
    Run::of(&mut command).ended(0);
    let there = objects(&ada.sandbox.path().join("bare/lfs/objects"));
    let here = objects(&ada.path.join(".git/lfs/objects"));
    assert_eq!(there, here);
    let text = std::fs::read_to_string(&log).unwrap();
    let runs = text.lines().filter(|l| l.contains("git-lfs: pre-push: "));
    runs.count()
}

#[test]
fn where_ours_stand_first_they_call_git_lfs() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let ada = tree(&sandbox);
    ada.ok(&["init"]);
    use_lfs(&ada);
    assert_eq!(push(&ada), 1);
    ada.ok(&["doctor"]);
    // Also where nothing is judged, and where ours is skipped.
    ada.write("hero.psd", "changed\n");
    ada.git(&["commit", "-qam", "changed"]);
    let mut command = ada.command("git");
    command.args(["push", "-q", "origin", "HEAD:main"]);
    Run::of(command.env("GIT_LATCH_SKIP", "1")).ended(0);
    assert_eq!(objects(&ada.sandbox.path().join("bare/lfs/objects")), 2);
}

#[test]
fn where_git_lfs_stands_first_it_runs_once() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let ada = tree(&sandbox);
    use_lfs(&ada);
    let theirs = ada.read(".git/hooks/pre-push");
    ada.ok(&["init"]);
    assert_eq!(push(&ada), 1);
    // What Git LFS does to its hooks meanwhile harms neither.
    let update = ada.try_git(&["lfs", "update"]);
    update.ended(2).said("Hook already exists");
    ada.git(&["lfs", "update", "--force"]);
    assert_ne!(ada.latch(&["doctor"]).code, 0);
    ada.ok(&["init"]);
    ada.write("hero.psd", "changed\n");
    ada.git(&["commit", "-qam", "changed"]);
    assert_eq!(push(&ada), 1);
    ada.ok(&["doctor"]);
    ada.ok(&["uninstall"]);
    assert_eq!(ada.read(".git/hooks/pre-push"), theirs);
    ada.write("hero.psd", "changed again\n");
    ada.git(&["commit", "-qam", "again"]);
    assert_eq!(push(&ada), 1);
}

#[test]
fn a_store_elsewhere_is_noticed_too() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let ada = tree(&sandbox);
    let store = sandbox.path().join("store");
    ada.git(&["config", "lfs.storage", store.to_str().unwrap()]);
    ada.ok(&["init"]);
    use_lfs(&ada);
    ada.git(&["push", "-q", "origin", "HEAD:main"]);
    assert_eq!(objects(&sandbox.path().join("bare/lfs/objects")), 1);
}

#[test]
fn a_push_that_is_rejected_uploads_nothing() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let ada = tree(&sandbox);
    use_lfs(&ada);
    ada.ok(&["init"]);
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    ada.write("hero.psd", "changed\n");
    ada.git(&["commit", "-qam", "changed", "--no-verify"]);
    ada.try_git(&["push", "-q", "origin", "HEAD:main"]).ended(1);
    assert_eq!(objects(&sandbox.path().join("bare/lfs/objects")), 0);
}

#[test]
fn another_hook_that_was_there_does_not_switch_git_lfs_off() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let ada = tree(&sandbox);
    ada.write_script(".git/hooks/pre-push", "#!/bin/sh\ncat >> ../pushed\n");
    ada.ok(&["init"]);
    use_lfs(&ada);
    assert_eq!(push(&ada), 1);
    assert!(ada.read("../pushed").starts_with("HEAD "));
}

#[test]
fn without_git_lfs_a_push_of_what_it_keeps_is_refused_in_its_words() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bare = sandbox.path().join("bare");
    ada.git(&["init", "-q", "--bare", bare.to_str().unwrap()]);
    ada.git(&["remote", "add", "origin", bare.to_str().unwrap()]);
    ada.ok(&["init"]);
    // A PATH with git, a shell and nothing else.
    let bin = sandbox.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for tool in ["git", "sh"] {
        let path = Run::of(
            ada.command("sh")
                .args(["-c", &format!("command -v {tool}")]),
        );
        std::os::unix::fs::symlink(path.stdout.trim(), bin.join(tool)).unwrap();
    }
    let push = || {
        let mut command = ada.command("git");
        command
            .args(["push", "-q", "origin", "HEAD:main"])
            .env("PATH", &bin);
        Run::of(&mut command)
    };
    std::fs::create_dir(ada.path.join(".git/lfs")).unwrap();
    push().ended(1).said("configured for Git LFS");
    std::fs::remove_dir(ada.path.join(".git/lfs")).unwrap();
    push().ended(0);
}

#[test]
fn a_line_in_the_teams_hook_reads_what_git_lfs_needs_and_hands_it_on() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let ada = tree(&sandbox);
    ada.git(&["config", "core.hooksPath", "githooks"]);
    let line = "git-latch hook pre-push \"$@\" || exit 1\n";
    for lfs in ["", "git lfs pre-push \"$@\"\n"] {
        ada.write_script("githooks/pre-push", &format!("#!/bin/sh\n{line}{lfs}"));
        ada.write(".latch.toml", "");
        use_lfs(&ada);
        assert_eq!(push(&ada), 1);
        ada.write("hero.psd", "changed\n");
        ada.git(&["commit", "-qam", "changed"]);
    }
    ada.write_script(
        "githooks/pre-push",
        &format!("#!/bin/sh\ngit lfs pre-push \"$@\"\n{line}"),
    );
    ada.latch(&["init"])
        .ended(1)
        .said("runs Git LFS before git-latch");
}

#[test]
fn what_git_lfs_forces_into_our_place_is_back_with_the_next_commit() {
    for force in [
        &["lfs", "install", "--force"][..],
        &["lfs", "update", "--force"],
    ] {
        let sandbox = Sandbox::new();
        if !is_there(&sandbox) {
            return;
        }
        let ada = tree(&sandbox);
        ada.ok(&["init"]);
        use_lfs(&ada);
        ada.git(force);
        // Until then what Git LFS keeps reaches the remote all the same.
        assert_eq!(push(&ada), 1, "{force:?}");
        ada.latch(&["list"]).said("git latch init");
        ada.write("hero.psd", "changed\n");
        let commit = ada.try_git(&["commit", "-qam", "changed"]).ended(0);
        commit.said("another tool had replaced git-latch's pre-push hook");
        assert_eq!(push(&ada), 1, "{force:?}");
        ada.ok(&["doctor"]);
        ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
        ada.write("hero.psd", "changed again\n");
        ada.git(&["commit", "-q", "--no-verify", "-am", "again"]);
        ada.try_git(&["push", "-q", "origin", "HEAD:main"]).ended(1);
    }
}

#[test]
fn git_lfs_that_is_uninstalled_leaves_ours_and_what_it_kept() {
    for is_first in [true, false] {
        let sandbox = Sandbox::new();
        if !is_there(&sandbox) {
            return;
        }
        let ada = tree(&sandbox);
        if is_first {
            use_lfs(&ada);
            ada.ok(&["init"]);
        } else {
            ada.ok(&["init"]);
            use_lfs(&ada);
        }
        ada.git(&["lfs", "uninstall"]);
        ada.ok(&["doctor"]);
        assert_eq!(push(&ada), 1, "{is_first}");
        ada.by("bob@example.com")
            .ok(&["lock", "notes.txt", "--new"]);
        ada.write("notes.txt", "mine\n");
        ada.git(&["add", "notes.txt"]);
        ada.try_git(&["commit", "-qm", "notes"]).ended(1);
        ada.git(&["reset", "-q", "--hard"]);
        // And back again.
        ada.try_git(&["lfs", "install"]);
        ada.write("hero.psd", "changed\n");
        ada.git(&["commit", "-qam", "changed"]);
        assert_eq!(push(&ada), 1, "{is_first}");
        assert_eq!(objects(&sandbox.path().join("bare/lfs/objects")), 2);
        ada.ok(&["doctor"]);
    }
}
