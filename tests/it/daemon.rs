//! `git latch daemon`: leases stay alive while somebody works, and heal when they don't.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::support::clones::{clone, remote, two};
use crate::support::stream::Stream;
use crate::support::{LATCH, Sandbox, Tree, eventually};

/// A daemon that has begun.
pub(crate) fn daemon(tree: &Tree<'_>, arguments: &[&str]) -> Stream {
    begun(command(tree, arguments))
}

fn command(tree: &Tree<'_>, arguments: &[&str]) -> Command {
    let mut command = tree.command(LATCH);
    command.args(["--json", "daemon"]).args(arguments);
    command
}

pub(crate) fn begun(mut command: Command) -> Stream {
    let mut daemon = Stream::start(&mut command);
    assert_eq!(daemon.event().0, "started");
    daemon
}

/// Nobody is honoured for longer than a lease lives, and no file was written lately.
fn quiet(tree: &Tree<'_>) {
    tree.write(".latch.toml", "[lease]\nclock_skew = \"0s\"\n");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for file in [
        "hero.psd",
        "notes.txt",
        "scenes/town.tscn",
        "scenes/cave.tscn",
    ] {
        let file = File::options().write(true).open(tree.path.join(file));
        file.unwrap().set_modified(long_ago).unwrap();
    }
}

#[test]
fn there_is_one_for_each_working_tree() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let first = daemon(&ada, &[]);
    let pid = first.pid().as_raw_nonzero().to_string();
    ada.latch(&["daemon"])
        .ended(1)
        .said("a daemon is already running in this working tree")
        .said(&format!("process {pid} on"));
    daemon(&ada.worktree("other"), &[]);
    first.signal(Signal::KILL);
    drop(first);
    daemon(&ada, &[]);
}

#[test]
fn it_stops_cleanly_and_leaves_the_locks() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = daemon(&ada, &[]);
        daemon.signal(signal);
        daemon.tells_in_the_end("stopped", "");
        assert_eq!(daemon.ended(), 0);
    }
    assert_eq!(ada.locks().len(), 1);
}

#[test]
fn without_a_name_nobody_can_be_served() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    fs::write(sandbox.path().join("gitconfig"), "").unwrap();
    ada.latch(&["daemon"]).ended(2).said("no identity is set");
}

#[test]
fn what_is_worked_on_lives_and_what_is_not_ends_with_a_warning() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    quiet(&ada);
    ada.write("hero.psd", "two\n");
    let mut daemon = daemon(&ada, &[]);
    ada.ok(&["lock", "hero.psd", "notes.txt", "--ttl", "3s"]);
    let ending = daemon.tells_in_the_end("ending", "notes.txt");
    assert_eq!(ending["lock"]["mine"], true);
    daemon.tells_in_the_end("expired", "notes.txt");
    let lost = daemon.tells_in_the_end("lost", "notes.txt");
    assert_eq!(lost["loss"]["reason"], "expired");
    assert_eq!(ada.locks().len(), 1);
    daemon.tells_in_the_end("renewed", "hero.psd");
}

#[test]
fn what_is_committed_and_not_pushed_is_worked_on() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let ada = clone(&sandbox, "ada");
    let out = ada.worktree("out");
    out.git(&["push", "-q", "-u", "origin", "out"]);
    // On this machine alone: a lease may be short then.
    out.git(&["config", "--unset", "latch.remote"]);
    quiet(&out);
    out.write("hero.psd", "two\n");
    out.git(&["commit", "-qam", "two"]);
    quiet(&out);
    let mut daemon = daemon(&out, &[]);
    out.ok(&["lock", "hero.psd", "--ttl", "3s"]);
    for _ in 0..3 {
        daemon.tells_in_the_end("renewed", "hero.psd");
    }
    out.git(&["push", "-q", "origin", "out"]);
    daemon.tells_in_the_end("ending", "hero.psd");
    daemon.tells_in_the_end("expired", "hero.psd");
}

#[test]
fn a_directory_lives_while_anything_below_it_is_worked_on() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    quiet(&ada);
    let mut daemon = daemon(&ada, &[]);
    ada.ok(&["lock", "scenes/", "--ttl", "3s"]);
    ada.write("scenes/deep/er/new.tscn", "one\n");
    for _ in 0..3 {
        daemon.tells_in_the_end("renewed", "scenes");
    }
    fs::remove_dir_all(ada.path.join("scenes/deep")).unwrap();
    daemon.tells_in_the_end("ending", "scenes");
}

#[test]
fn a_short_lease_is_renewed_in_time_beside_a_long_one_that_nobody_works_on() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    quiet(&ada);
    ada.ok(&["lock", "notes.txt"]);
    let clock = sandbox.clock();
    let mut command = command(&ada, &[]);
    clock.of(&mut command);
    let mut daemon = begun(command);
    // Nine hours: it is due, and asked about again in ten minutes.
    clock.set(32_400);
    daemon.tells_in_the_end("woke", "");
    ada.write("hero.psd", "two\n");
    let mut lock = ada.command(LATCH);
    lock.args(["lock", "hero.psd", "--ttl", "3s"]);
    assert!(clock.of(&mut lock).status().unwrap().success());
    for _ in 0..3 {
        daemon.tells_in_the_end("renewed", "hero.psd");
    }
}

#[test]
fn others_leases_and_those_of_processes_are_not_its_to_renew() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    quiet(&ada);
    let mut run = Stream::start(
        ada.command(LATCH)
            .args([
                "run",
                "notes.txt",
                "--ttl",
                "1h",
                "--",
                "sh",
                "-c",
                "echo; exec cat",
            ])
            .stdin(Stdio::piped()),
    );
    run.next();
    let clock = sandbox.clock();
    ada.write("hero.psd", "two\n");
    ada.by("bob").ok(&["lock", "hero.psd", "--ttl", "1h"]);
    ada.ok(&["lock", "scenes/town.tscn", "--ttl", "1h"]);
    ada.write("scenes/town.tscn", "two\n");
    let mut command = command(&ada, &[]);
    clock.of(&mut command);
    let mut daemon = begun(command);
    clock.set(1800);
    daemon.tells_in_the_end("renewed", "scenes/town.tscn");
    // What it renews it renews together: these two would have come with it.
    let heartbeat = |path: &str| {
        let listed = ada.json(&["list"]);
        let locks = listed["locks"].as_array().unwrap();
        let lock = locks.iter().find(|lock| lock["path"] == path).unwrap();
        (lock["heartbeat_at"].clone(), lock["acquired_at"].clone())
    };
    for path in ["notes.txt", "hero.psd"] {
        let (heartbeat, acquired) = heartbeat(path);
        assert_eq!(heartbeat, acquired, "{path}");
    }
}

#[test]
fn what_has_expired_is_cleaned_up() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    quiet(&ada);
    let mut command = command(&ada, &[]);
    command.env("GIT_LATCH_SWEEP_MS", "50");
    let mut daemon = begun(command);
    ada.by("bob").ok(&["lock", "hero.psd", "--ttl", "1s"]);
    daemon.tells_in_the_end("expired", "hero.psd");
    let file = ada.path.join(".git/latch/locks/hero.psd.lock");
    eventually("the file is gone", || !file.exists());
}

#[test]
fn after_a_sleep_it_learns_what_is_lost_before_it_renews() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let clock = sandbox.clock();
    ada.write("hero.psd", "two\n");
    ada.write("notes.txt", "two\n");
    ada.ok(&["lock", "hero.psd", "notes.txt"]);
    let mut command = command(&ada, &["--sync-every", "1h"]);
    clock.of(&mut command);
    let mut daemon = begun(command);
    bob.ok(&["lock", "--steal", "-m", "you sleep", "hero.psd"]);
    // Ten hours: both are due.
    clock.set(36_000);
    let seconds = daemon.tells_in_the_end("woke", "")["seconds"].as_i64();
    assert_eq!(seconds.map(|seconds| seconds / 1000), Some(35));
    let mut told = Vec::new();
    while told.last().is_none_or(|(event, _)| event != "renewed") {
        told.push(daemon.event());
    }
    let position = |event: &str, path: &str| {
        told.iter()
            .position(|(e, p)| e == event && p == path)
            .unwrap_or_else(|| panic!("{told:?}"))
    };
    assert!(position("lost", "hero.psd") < position("renewed", "notes.txt"));
    assert!(told.iter().all(|(e, p)| e != "renewed" || p == "notes.txt"));
}

#[test]
fn stopped_for_longer_than_a_lease_it_renews_nothing_that_is_lost() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    quiet(&ada);
    ada.write("hero.psd", "two\n");
    let mut daemon = daemon(&ada, &[]);
    ada.ok(&["lock", "hero.psd", "--ttl", "1s"]);
    daemon.tells_in_the_end("locked", "hero.psd");
    daemon.signal(Signal::STOP);
    let bob = ada.by("bob");
    eventually("it is free", || bob.latch(&["lock", "hero.psd"]).code == 0);
    daemon.signal(Signal::CONT);
    let lost = daemon.tells_in_the_end("lost", "hero.psd");
    assert_eq!(lost["loss"]["by"]["owner"]["id"], "bob");
    assert_eq!(ada.locks(), [("hero.psd".to_owned(), "bob".to_owned())]);
}

#[test]
fn a_renewal_that_fails_is_tried_again_and_told_while_the_lease_lives() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    quiet(&ada);
    ada.write("hero.psd", "two\n");
    ada.ok(&["lock", "hero.psd", "--ttl", "40s"]);
    let heartbeat = |tree: &Tree<'_>| tree.json(&["list"])["locks"][0]["heartbeat_at"].clone();
    let before = heartbeat(&ada);
    let clock = sandbox.clock();
    let mut command = command(&ada, &[]);
    command.env("GIT_LATCH_PATIENCE_MS", "50");
    clock.of(&mut command);
    let mut daemon = begun(command);
    // Somebody keeps the guard.
    let mut hog = Stream::start(
        ada.command("flock")
            .args([".git/latch/guard", "sh", "-c", "echo; exec cat"])
            .stdin(Stdio::piped()),
    );
    hog.next();
    clock.set(15);
    let told = daemon.tells_in_the_end("not_renewed", "");
    assert_eq!(told["error"]["code"], "busy");
    assert_eq!(told["paths"][0], "hero.psd");
    assert_eq!(ada.locks().len(), 1);
    drop(hog);
    daemon.tells_in_the_end("renewed_again", "");
    assert_ne!(heartbeat(&ada), before);
}

#[test]
fn write_bits_follow_the_locks_whoever_changes_them() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".gitattributes", "*.psd lockable\n");
    ada.git(&["add", "."]);
    ada.git(&["commit", "-qm", "attributes"]);
    let is_writable = || {
        let meta = fs::metadata(ada.path.join("hero.psd")).unwrap();
        !meta.permissions().readonly()
    };
    assert!(is_writable());
    let mut daemon = daemon(&ada, &[]);
    eventually("read-only from the start", || !is_writable());
    ada.ok(&["lock", "hero.psd"]);
    assert!(is_writable());
    daemon.tells_in_the_end("locked", "hero.psd");
    let elsewhere = ada.worktree("elsewhere").by("bob");
    elsewhere.ok(&["unlock", "--force", "-m", "in need", "hero.psd"]);
    daemon.tells_in_the_end("lost", "hero.psd");
    eventually("read-only after the forced unlock", || !is_writable());
    // No hook runs after a stash, and git writes files as it likes.
    fs::remove_file(ada.path.join("hero.psd")).unwrap();
    ada.write("hero.psd", "two\n");
    ada.git(&["stash", "-q"]);
    eventually("read-only after the stash", || !is_writable());
}

#[test]
fn it_fetches_and_says_when_it_cannot() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let mut daemon = daemon(&bob, &["--sync-every", "1s"]);
    ada.ok(&["lock", "hero.psd"]);
    daemon.tells_in_the_end("locked", "hero.psd");
    let (remote, away) = (
        sandbox.path().join("remote.git"),
        sandbox.path().join("away"),
    );
    fs::rename(&remote, &away).unwrap();
    let told = daemon.tells_in_the_end("out_of_step", "");
    assert_eq!(told["error"]["code"], "unreachable");
    fs::rename(&away, &remote).unwrap();
    daemon.tells_in_the_end("in_step", "");
    ada.ok(&["unlock", "hero.psd"]);
    daemon.tells_in_the_end("unlocked", "hero.psd");
}

#[test]
fn a_remote_that_hangs_holds_up_neither_events_nor_the_end() {
    let sandbox = Sandbox::new();
    let (_, bob) = two(&sandbox);
    let hung = sandbox.path().join("hung");
    bob.write_script(
        "../hang",
        &format!(
            "#!/bin/sh\necho $$ > '{}'\nexec cat > /dev/null\n",
            hung.display()
        ),
    );
    let url = format!("ext::{} %S x", sandbox.path().join("hang").display());
    bob.git(&["config", "remote.origin.url", &url]);
    bob.git(&["config", "protocol.ext.allow", "always"]);
    let mut daemon = daemon(&bob, &[]);
    eventually("it hangs", || hung.exists());
    // Noticed while the fetch is under way.
    bob.write(".latch.toml", "[leas]\n");
    daemon.tells_in_the_end("failed", "");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended(), 0);
    // Nor does it leave anything behind that waits on.
    let pid = fs::read_to_string(&hung).unwrap();
    let process = std::path::Path::new("/proc").join(pid.trim());
    eventually("what hangs has ended", || !process.exists());
}

#[test]
fn a_clock_that_is_wrong_costs_others_nothing() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    bob.ok(&["lock", "hero.psd"]);
    ada.ok(&["lock", "notes.txt"]);
    ada.ok(&["sync"]);
    let clock = sandbox.clock();
    let mut command = command(&ada, &["--sync-every", "1h"]);
    clock.of(&mut command);
    command.env("GIT_LATCH_SWEEP_MS", "50");
    let mut daemon = begun(command);
    clock.set(200_000);
    daemon.tells_in_the_end("expired", "hero.psd");
    // Its own is cleaned up.
    let remote = sandbox.path().join("remote.git");
    eventually("one lock is left", || {
        bob.ok(&["sync"]);
        bob.locks().len() == 1
    });
    assert_eq!(bob.locks()[0].0, "hero.psd", "{}", remote.display());
    bob.ok(&["renew"]);
}

#[test]
fn an_output_that_takes_nothing_does_not_end_it() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let script = "exec \"$0\" daemon > /dev/full";
    let mut command = ada.command("sh");
    let mut daemon = Stream::start(command.args(["-c", script, LATCH]));
    daemon.says("cannot write events");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended(), 0);
}

#[test]
fn who_removes_its_guard_does_not_get_two() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut command = command(&ada, &[]);
    command.env("GIT_LATCH_SWEEP_MS", "50");
    let _first = begun(command);
    fs::rename(ada.path.join(".git/latch"), ada.path.join(".git/aside")).unwrap();
    eventually("its guard is there again", || {
        ada.path.join(".git/latch/daemon").exists()
    });
    ada.latch(&["daemon"])
        .ended(1)
        .said("is already running in this working tree");
}

#[test]
fn while_git_is_at_work_leases_live_on() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    quiet(&ada);
    let mut daemon = daemon(&ada, &[]);
    ada.by("bob").ok(&["lock", "notes.txt"]);
    daemon.tells_in_the_end("locked", "notes.txt");
    ada.ok(&["lock", "hero.psd", "--ttl", "3s"]);
    ada.write("hero.psd", "two\n");
    // As while the editor of a commit message is open.
    let index_lock = ada.path.join(".git/index.lock");
    fs::write(&index_lock, "").unwrap();
    ada.write("notes.txt", "two\n");
    for _ in 0..4 {
        let (event, path) = daemon.event();
        assert!(path == "hero.psd", "{event} {path}");
    }
    fs::remove_file(&index_lock).unwrap();
    daemon.tells_in_the_end("edited", "notes.txt");
}

#[test]
fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    quiet(&ada);
    ada.write(
        ".latch.toml",
        "[lease]\nclock_skew = \"0s\"\n[lease.auto]\npatterns = [\"*.tscn\"]\n",
    );
    ada.write("hero.psd", "two\n");
    ada.by("bob").ok(&["lock", "notes.txt", "--ttl", "1s"]);
    ada.ok(&["lock", "hero.psd", "--ttl", "12s"]);
    let mut command = command(&ada, &["--dry-run"]);
    command.env("GIT_LATCH_SWEEP_MS", "50");
    let mut daemon = begun(command);
    ada.write("scenes/town.tscn", "two\n");
    let mut expected = vec![
        ("would_lock", "scenes/town.tscn"),
        ("would_sweep", ""),
        ("would_renew", "hero.psd"),
    ];
    while !expected.is_empty() {
        let (event, path) = daemon.event();
        expected.retain(|(e, p)| (*e, *p) != (event.as_str(), path.as_str()));
        assert!(event != "renewed" && event != "locked", "{event} {path}");
    }
    assert_eq!(ada.locks().len(), 1);
    assert!(ada.path.join(".git/latch/locks/notes.txt.lock").exists());
}

#[test]
fn whose_end_was_told_hears_of_the_next_one_too() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    quiet(&ada);
    ada.ok(&["lock", "notes.txt", "--ttl", "1h"]);
    let clock = sandbox.clock();
    let mut command = command(&ada, &[]);
    clock.of(&mut command);
    let mut daemon = begun(command);
    for seconds in [2700, 5400] {
        clock.set(seconds);
        daemon.tells_in_the_end("ending", "notes.txt");
        let mut renew = ada.command(LATCH);
        clock.of(renew.arg("renew"));
        assert!(renew.status().unwrap().success());
        daemon.tells_in_the_end("renewed", "notes.txt");
    }
}

#[test]
fn by_its_old_name_it_says_the_new_one() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.latch(&["agent", "--dry-run"])
        .ended(2)
        .said("hint: git latch daemon --dry-run");
}
