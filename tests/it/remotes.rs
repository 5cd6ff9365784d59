//! How the remote of the shared locks is found and spoken with: names, settings, deadlines, pushes of the user's own.

use std::fs;
use std::process::Command;

use crate::support::clones::{clone, remote, two};
use crate::support::wire::{Fault, Wire};
use crate::support::{LATCH, Run, Sandbox, Tree, eventually};

/// Runs `git latch` with so many milliseconds for the remote.
fn within(tree: &Tree<'_>, millis: u32, arguments: &[&str]) -> Run {
    let mut command = tree.command(LATCH);
    command.env("GIT_LATCH_DEADLINE_MS", millis.to_string());
    Run::of(command.args(arguments))
}

/// A clone of the remote whose `origin` is reached by a command in place of ssh.
fn by_ssh<'a>(sandbox: &'a Sandbox, script: &str) -> Tree<'a> {
    let ada = clone(sandbox, "ada");
    ada.write_script("../ssh", &format!("#!/bin/sh\n{script}\n"));
    let command = sandbox.path().join("ssh");
    ada.git(&["config", "core.sshCommand", command.to_str().unwrap()]);
    let url = format!("host:{}", sandbox.path().join("remote.git").display());
    ada.git(&["remote", "set-url", "origin", &url]);
    ada
}

#[test]
fn a_helper_of_git_that_keeps_its_output_open_delays_nobody() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let fifo = sandbox.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    // It stays until somebody writes: nobody does before the command has ended.
    let script = format!(
        "cat {} >/dev/null &\nfor last; do :; done; exec sh -c \"$last\"",
        fifo.display()
    );
    let ada = by_ssh(&sandbox, &script);
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["sync"]);
    let mut options = fs::OpenOptions::new();
    drop(options.read(true).write(true).open(&fifo).unwrap());
}

#[test]
fn whom_nobody_answers_is_given_up_with_all_it_has_started() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let pids = sandbox.path().join("pids");
    let script = format!(
        "trap '' TERM\necho $$ >> {0}\nsleep 1000 & echo $! >> {0}\nwait; exec sleep 1000",
        pids.display()
    );
    let ada = by_ssh(&sandbox, &script);
    within(&ada, 400, &["lock", "hero.psd"])
        .ended(4)
        .said("nothing was changed");
    let pids = fs::read_to_string(pids).unwrap();
    assert_eq!(pids.lines().count(), 2, "one connection: {pids}");
    for pid in pids.lines() {
        let process = format!("/proc/{pid}/cmdline");
        eventually("its helpers have gone", || {
            fs::read(&process).unwrap_or_default().is_empty()
        });
    }
}

#[test]
fn a_black_hole_is_asked_once() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    bob.ok(&["lock", "hero.psd"]);
    ada.ok(&["sync"]);
    let wire = Wire::serve(&sandbox, |_, _| Some(Fault::Silent));
    ada.git(&["remote", "set-url", "origin", &wire.url("remote.git")]);
    // For a yes it is pushed to, for a no it is fetched from.
    for (n, path) in ["notes.txt", "hero.psd"].iter().enumerate() {
        let answer = within(&ada, 400, &["--json", "lock", path]).ended(4).json();
        assert_eq!(answer["error"]["code"], "unreachable");
        assert_eq!(wire.connections(), n + 1);
    }
}

#[test]
fn a_remote_that_only_this_working_tree_knows_is_found() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let ada = clone(&sandbox, "ada");
    let bare = ada.git(&["config", "remote.origin.url"]);
    ada.git(&["config", "extensions.worktreeConfig", "true"]);
    ada.git(&["config", "--unset", "remote.origin.url"]);
    ada.latch(&["lock", "hero.psd"]).ended(4);
    ada.git(&["config", "--worktree", "remote.origin.url", bare.trim()]);
    ada.ok(&["lock", "hero.psd"]);
    let linked = ada.worktree("linked");
    // Git gives it a copy.
    linked.git(&["config", "--worktree", "--unset", "remote.origin.url"]);
    linked.latch(&["lock", "notes.txt"]).ended(4);
    linked.git(&["config", "--worktree", "remote.origin.url", bare.trim()]);
    linked.ok(&["lock", "notes.txt"]);
    assert_eq!(ada.locks().len(), 2);
}

#[test]
fn settings_that_are_included_on_a_condition_count() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let ada = clone(&sandbox, "ada");
    let root = sandbox.path();
    let extra = format!("[url \"{}/\"]\n\tinsteadOf = team:\n", root.display());
    fs::write(root.join("extra"), extra).unwrap();
    // This very repository, and nothing in it.
    let config = format!(
        "{}[includeIf \"gitdir:{}\"]\n\tpath = {}\n",
        fs::read_to_string(root.join("gitconfig")).unwrap(),
        root.join("ada/.git").display(),
        root.join("extra").display()
    );
    fs::write(root.join("gitconfig"), config).unwrap();
    ada.git(&["remote", "set-url", "origin", "team:remote.git"]);
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["sync"]);
}

#[test]
fn a_remote_by_another_name_is_told_and_can_be_named() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let ada = clone(&sandbox, "ada");
    ada.git(&["add", ".latch.toml"]);
    ada.git(&["commit", "-qm", "policy"]);
    ada.git(&["push", "-q", "origin", "main"]);
    let bare = sandbox.path().join("remote.git");
    for (name, way) in [
        ("bob", &["git", "config", "latch.remote", "team"][..]),
        ("carol", &[LATCH, "init", "--remote", "team"]),
    ] {
        let tree = sandbox.tree(name).by(&format!("{name}@example.com"));
        let (from, to) = (bare.to_str().unwrap(), tree.path.to_str().unwrap());
        ada.git(&["clone", "-q", "-o", "team", from, to]);
        tree.latch(&["lock", "hero.psd"])
            .ended(4)
            .said("git config latch.remote team");
        // No answer of such a clone passes for "free".
        for arguments in [&["list"][..], &["status", "hero.psd"], &["check"]] {
            tree.latch(arguments)
                .ended(0)
                .said("nothing is checked in this clone")
                .said("git config latch.remote team");
        }
        Run::of(tree.command(way[0]).args(&way[1..])).ended(0);
        tree.ok(&["lock", "hero.psd"]);
        ada.latch(&["lock", "hero.psd"]).ended(1);
        tree.ok(&["unlock", "hero.psd"]);
    }
}

/// A policy is somebody else's word. To git, what is no remote may be an option, or a repository with hooks.
#[test]
fn a_policy_that_names_no_remote_makes_git_run_nothing() {
    for remote in ["--upload-pack=touch ran;git-upload-pack", "evil.git"] {
        let sandbox = Sandbox::new();
        let ada = sandbox.repo();
        ada.git(&["init", "-q", "--bare", "evil.git"]);
        ada.write_script("evil.git/hooks/pre-receive", "#!/bin/sh\ntouch ../ran\n");
        let policy = format!("[share]\nremote = \"{remote}\"\n");
        ada.write(".latch.toml", &policy);
        let refused = ada.latch(&["lock", "hero.psd"]);
        for command in [
            &["list"][..],
            &["status", "hero.psd"],
            &["doctor"],
            &["sync"],
        ] {
            ada.latch(command);
        }
        assert!(!ada.path.join("ran").exists(), "{remote}");
        refused.ended(4).said("git has no remote of this name here");
    }
}

#[test]
fn what_a_mirroring_push_has_deleted_is_put_back() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["lock", "notes.txt"]);
    bob.ok(&["sync"]);
    let refused = bob.try_git(&["push", "-q", "origin", ":refs/latch/locks"]);
    assert_ne!(refused.code, 0);
    assert!(
        refused.stderr.contains("the locks of all clones"),
        "{refused:?}"
    );
    // What this deletes is not among what git tells its hook.
    bob.git(&["push", "-q", "--mirror", "origin"]);
    for arguments in [&["sync"][..], &["lock", "scenes"], &["unlock", "hero.psd"]] {
        ada.latch(arguments)
            .ended(4)
            .said("git latch sync --restore");
    }
    ada.ok(&["sync", "--restore"]);
    bob.ok(&["sync"]);
    let bare = sandbox.tree("remote.git");
    bare.git(&["update-ref", "refs/latch/locks", "refs/latch/locks~1"]);
    ada.latch(&["sync"])
        .ended(4)
        .said("git latch sync --restore");
    ada.ok(&["sync", "--restore"]);
    assert_eq!(ada.locks().len(), 2);
    // Somebody has gone on from the older state: to put the later one back would take their locks.
    bare.git(&["update-ref", "refs/latch/locks", "refs/latch/locks~1"]);
    clone(&sandbox, "eve").ok(&["lock", "--new", "elsewhere"]);
    ada.latch(&["sync", "--restore"])
        .ended(4)
        .said("git latch sync --reset");
    ada.ok(&["sync", "--reset"]);
    assert_eq!(ada.locks().len(), 2);
}

#[test]
fn one_rule_for_how_short_a_shared_lock_may_be() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    ada.ok(&["lock", "notes.txt"]);
    let short = |arguments: &[&str]| {
        ada.latch(arguments)
            .ended(2)
            .said("too short for shared locks");
    };
    short(&["lock", "--ttl", "5s", "hero.psd"]);
    short(&["renew", "--ttl", "5s"]);
    ada.latch(&["run", "--ttl", "5s", "hero.psd", "--", "true"])
        .ended(125)
        .said("too short for shared locks");
    let policy = ada.read(".latch.toml");
    ada.write(".latch.toml", &format!("{policy}\n[lease]\nttl = \"5s\"\n"));
    short(&["lock", "hero.psd"]);
    short(&["checkout", "hero.psd"]);
    ada.ok(&["renew"]);
    ada.ok(&["lock", "--ttl", "1h", "hero.psd"]);
    ada.ok(&["unlock", "--all"]);
}
