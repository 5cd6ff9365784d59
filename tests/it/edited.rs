//! What the daemon notices of the files themselves: edits of what others have locked, and locking on the first edit.

use std::fs;

use rustix::process::Signal;

use crate::daemon::{begun, daemon};
use crate::support::clones::two;
use crate::support::stream::Stream;
use crate::support::{LATCH, Sandbox, Tree, eventually};

/// Bob has locked a path, and Ada's daemon knows.
fn locked_by_bob(ada: &Tree<'_>, daemon: &mut Stream, path: &str) {
    ada.by("bob").ok(&["lock", "-m", "hat", path]);
    daemon.tells_in_the_end("locked", path.trim_end_matches('/'));
}

/// Asserts that nothing was told until now but what was told before: the next thing is a lock that is taken for it.
#[track_caller]
fn says_nothing_more(ada: &Tree<'_>, daemon: &mut Stream) {
    ada.by("carol").ok(&["lock", "--new", "the end"]);
    let (event, path) = daemon.event();
    assert_eq!((event.as_str(), path.as_str()), ("locked", "the end"));
    ada.by("carol").ok(&["unlock", "the end"]);
    daemon.tells(&[("unlocked", "the end")]);
}

/// The policy that locks scenes on their first edit, committed.
fn locks_scenes(tree: &Tree<'_>) {
    tree.write(".latch.toml", "[lease.auto]\npatterns = [\"*.tscn\"]\n");
    tree.git(&["add", ".latch.toml"]);
    tree.git(&["commit", "-qm", "policy"]);
}

#[test]
fn a_save_of_what_another_has_locked_is_told_once_in_a_burst() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut daemon = daemon(&ada, &[]);
    locked_by_bob(&ada, &mut daemon, "hero.psd");
    for n in 0..5 {
        ada.write("hero.psd", &format!("{n}\n"));
    }
    let edited = daemon.json();
    assert_eq!(
        (&edited["event"], &edited["path"]),
        (&"edited".into(), &"hero.psd".into())
    );
    assert_eq!(edited["lock"]["owner"]["id"], "bob");
    assert_eq!(edited["lock"]["reason"], "hat");
    assert!(edited["lock"]["expires_at"].is_string());
    ada.write("hero.psd", "more\n");
    says_nothing_more(&ada, &mut daemon);
}

#[test]
fn the_next_burst_is_told_again() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut daemon = daemon(&ada, &[]);
    locked_by_bob(&ada, &mut daemon, "hero.psd");
    for _ in 0..2 {
        saved_in_a_new_burst(&ada, &mut daemon, "hero.psd");
    }
}

/// Saves until it is told: a new burst begins two seconds after the last save, and until then saves are swallowed.
#[track_caller]
fn saved_in_a_new_burst(ada: &Tree<'_>, daemon: &mut Stream, path: &str) {
    let mut looks = 0;
    eventually("it is told", || {
        looks += 1;
        if looks % 600 == 1 {
            ada.write(path, &format!("{path} {looks}\n"));
        }
        daemon.has_line()
    });
    daemon.tells(&[("edited", path)]);
}

#[test]
fn renaming_editors_deletions_and_new_files_are_edits_too() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut daemon = daemon(&ada, &[]);
    locked_by_bob(&ada, &mut daemon, "hero.psd");
    locked_by_bob(&ada, &mut daemon, "notes.txt");
    locked_by_bob(&ada, &mut daemon, "scenes/");
    ada.write(".hero.psd.tmp", "two\n");
    fs::rename(ada.path.join(".hero.psd.tmp"), ada.path.join("hero.psd")).unwrap();
    daemon.tells(&[("edited", "hero.psd")]);
    fs::remove_file(ada.path.join("notes.txt")).unwrap();
    daemon.tells(&[("edited", "notes.txt")]);
    ada.write("scenes/deep/er/new.tscn", "one\n");
    daemon.tells(&[("edited", "scenes/deep/er/new.tscn")]);
    // The new directories are watched from now on.
    ada.write("scenes/deep/er/other.tscn", "one\n");
    daemon.tells(&[("edited", "scenes/deep/er/other.tscn")]);
}

#[test]
fn what_git_writes_and_what_stays_the_same_is_no_edit() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.git(&["branch", "old"]);
    ada.write("hero.psd", "two\n");
    ada.git(&["commit", "-qam", "two"]);
    let mut daemon = daemon(&ada, &[]);
    locked_by_bob(&ada, &mut daemon, "hero.psd");
    for branch in ["old", "main"] {
        ada.git(&["checkout", "-q", branch]);
        ada.git(&["reset", "-q", "--hard", "HEAD"]);
    }
    ada.git(&["merge", "-q", "--ff-only", "main"]);
    ada.write("hero.psd", "two\n");
    // Bursts are over when nothing was written for two seconds, and git is asked once more then.
    ada.write("notes.txt", "two\n");
    locked_by_bob(&ada, &mut daemon, "notes.txt");
    daemon.tells(&[("edited", "notes.txt")]);
    ada.write("notes.txt", "one\n");
    saved_in_a_new_burst(&ada, &mut daemon, "notes.txt");
}

#[test]
fn who_has_edited_a_file_hears_when_it_is_locked_and_when_the_agent_begins() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write("hero.psd", "two\n");
    let mut first = daemon(&ada, &[]);
    locked_by_bob(&ada, &mut first, "hero.psd");
    first.tells(&[("edited", "hero.psd")]);
    first.signal(Signal::TERM);
    assert_eq!(first.ended(), 0);
    daemon(&ada, &[]).tells(&[("edited", "hero.psd")]);
}

#[test]
fn only_folders_of_what_others_have_locked_are_watched() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    for n in 0..50 {
        ada.write(&format!("many/{n}/file"), "");
    }
    ada.ok(&["lock", "notes.txt"]);
    let bare = watches(&ada);
    ada.by("bob").ok(&[
        "lock",
        "--new",
        "many/7/file",
        "many/8/file",
        "many/8/other",
    ]);
    // Two of the tree, and three of the lock directory.
    assert_eq!(watches(&ada), bare + 5);
}

/// How many directories a daemon watches once it knows which.
fn watches(tree: &Tree<'_>) -> u64 {
    let mut daemon = daemon(tree, &[]);
    let pid = daemon.pid().as_raw_nonzero();
    let count = || {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
        let infos = descriptors
            .flatten()
            .map(|d| fs::read_to_string(d.path()).unwrap_or_default());
        let lines = infos.map(|info| info.lines().filter(|l| l.starts_with("inotify")).count());
        lines.sum::<usize>() as u64
    };
    // An edit that is told shows that its folder is watched.
    let folder = tree.path.join("many/7/file");
    if tree.locks().iter().any(|(_, owner)| owner == "bob") {
        fs::write(folder, "edit").unwrap();
        daemon.tells_in_the_end("edited", "many/7/file");
    }
    let mut last = count();
    eventually("as many as before", || {
        let now = count();
        std::mem::replace(&mut last, now) == now
    });
    last
}

#[test]
fn the_first_edit_takes_the_lock_and_taking_it_back_gives_it_back() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    locks_scenes(&ada);
    let mut daemon = daemon(&ada, &[]);
    ready(&ada, &mut daemon);
    ada.write("scenes/town.tscn", "two\n");
    let locked = daemon.json();
    assert_eq!(
        (&locked["event"], &locked["path"]),
        (&"locked".into(), &"scenes/town.tscn".into())
    );
    assert_eq!(locked["lock"]["mine"], true);
    assert_eq!(locked["lock"]["reason"], "first edit");
    ada.write("scenes/town.tscn", "one\n");
    daemon.tells(&[("unlocked", "scenes/town.tscn")]);
    ada.write("scenes/town.tscn", "three\n");
    daemon.tells(&[("locked", "scenes/town.tscn")]);
    ada.git(&["stash", "-q"]);
    daemon.tells(&[("unlocked", "scenes/town.tscn")]);
    // What I locked myself is mine to give back.
    ada.ok(&["lock", "scenes/cave.tscn"]);
    daemon.tells(&[("locked", "scenes/cave.tscn")]);
    ada.git(&["stash", "pop", "-q"]);
    daemon.tells(&[("locked", "scenes/town.tscn")]);
    ada.git(&["commit", "-qam", "two"]);
    daemon.tells(&[("unlocked", "scenes/town.tscn")]);
    assert_eq!(ada.locks()[0].0, "scenes/cave.tscn");
}

/// Waits until the daemon watches the folder of the scenes.
fn ready(tree: &Tree<'_>, daemon: &mut Stream) {
    is_watched(tree, daemon, "scenes");
}

/// Waits until the daemon watches a folder.
fn is_watched(tree: &Tree<'_>, daemon: &Stream, folder: &str) {
    let pid = daemon.pid().as_raw_nonzero();
    let inode = {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(tree.path.join(folder)).unwrap().ino()
    };
    let watched = format!("ino:{inode:x} ");
    eventually("the folder is watched", || {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
        let mut infos = descriptors.flatten().map(|d| fs::read_to_string(d.path()));
        infos.any(|info| info.is_ok_and(|info| info.contains(&watched)))
    });
}

#[test]
fn a_lock_of_the_first_edit_is_given_back_after_a_restart_too() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    locks_scenes(&ada);
    ada.write("scenes/town.tscn", "two\n");
    let mut first = daemon(&ada, &[]);
    // Edited while no daemon ran.
    first.tells(&[("locked", "scenes/town.tscn")]);
    first.signal(Signal::KILL);
    first.ended();
    ada.git(&["checkout", "-q", "."]);
    let mut second = daemon(&ada, &[]);
    second.tells(&[("unlocked", "scenes/town.tscn")]);
}

#[test]
fn with_a_remote_the_lock_stays_until_the_change_is_pushed() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    locks_scenes(&ada);
    ada.git(&["push", "-q", "origin", "main"]);
    let mut daemon = daemon(&ada, &["--sync-every", "1h"]);
    ready(&ada, &mut daemon);
    ada.write("scenes/town.tscn", "two\n");
    daemon.tells(&[("locked", "scenes/town.tscn")]);
    ada.git(&["commit", "-qam", "two"]);
    ada.write("scenes/cave.tscn", "two\n");
    daemon.tells(&[("locked", "scenes/cave.tscn")]);
    ada.git(&["checkout", "-q", "scenes/cave.tscn"]);
    // The one that is reverted, not the one that is only committed.
    daemon.tells(&[("unlocked", "scenes/cave.tscn")]);
    ada.git(&["push", "-q", "origin", "main"]);
    daemon.tells(&[("unlocked", "scenes/town.tscn")]);
}

#[test]
fn a_first_edit_of_what_another_has_taken_meanwhile_is_told() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    locks_scenes(&ada);
    ada.git(&["push", "-q", "origin", "main"]);
    let mut daemon = daemon(&ada, &["--sync-every", "1h"]);
    ready(&ada, &mut daemon);
    // Here nobody knows yet.
    bob.ok(&["lock", "scenes/town.tscn", "-m", "mine"]);
    ada.write("scenes/town.tscn", "two\n");
    let edited = daemon.tells_in_the_end("edited", "scenes/town.tscn");
    assert_eq!(edited["lock"]["owner"]["id"], "bob@example.com");
    assert_eq!(
        ada.locks(),
        [("scenes/town.tscn".to_owned(), "bob@example.com".to_owned())]
    );
}

#[test]
fn a_policy_that_begins_to_lock_on_first_edits_counts_at_once() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write("scenes/town.tscn", "two\n");
    let mut daemon = daemon(&ada, &[]);
    locks_scenes(&ada);
    daemon.tells(&[("locked", "scenes/town.tscn")]);
}

#[test]
fn a_system_out_of_watches_looks_at_the_files_now_and_then() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.by("bob").ok(&["lock", "hero.psd", "scenes/town.tscn"]);
    // Enough for the lock directory and git's own, not for the tree.
    let script =
        "echo 5 > /proc/sys/user/max_inotify_watches || exit 99; exec \"$0\" --json daemon";
    let mut command = ada.command("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", script, LATCH]);
    command.env("GIT_LATCH_SWEEP_MS", "50");
    if ada
        .command("unshare")
        .args(["--user", "true"])
        .status()
        .is_ok_and(|s| !s.success())
    {
        eprintln!("skipped: no user namespaces here");
        return;
    }
    let mut daemon = begun(command);
    let told = daemon.tells_in_the_end("not_watched", "");
    assert!(
        told["why"].as_str().unwrap().contains("max_user_watches"),
        "{told}"
    );
    ada.write("scenes/town.tscn", "two\n");
    daemon.tells_in_the_end("edited", "scenes/town.tscn");
}

#[test]
fn a_lock_of_the_first_edit_stays_while_another_branch_is_checked_out() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    locks_scenes(&ada);
    ada.git(&["push", "-q", "origin", "main"]);
    let mut daemon = daemon(&ada, &["--sync-every", "1h"]);
    ready(&ada, &mut daemon);
    ada.write("scenes/town.tscn", "two\n");
    daemon.tells(&[("locked", "scenes/town.tscn")]);
    ada.git(&["commit", "-qam", "two"]);
    ada.git(&["checkout", "-q", "-b", "other", "origin/main"]);
    // What is given back on this branch shows that it was looked.
    ada.write("scenes/cave.tscn", "two\n");
    daemon.tells(&[("locked", "scenes/cave.tscn")]);
    ada.git(&["checkout", "-q", "."]);
    daemon.tells(&[("unlocked", "scenes/cave.tscn")]);
    assert_eq!(ada.locks()[0].0, "scenes/town.tscn");
    ada.git(&["checkout", "-q", "main"]);
    ada.git(&["push", "-q", "origin", "main"]);
    daemon.tells(&[("unlocked", "scenes/town.tscn")]);
}

#[test]
fn what_a_merge_brings_is_no_edit_of_mine() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    locks_scenes(&ada);
    ada.git(&["checkout", "-q", "-b", "theirs"]);
    ada.write("scenes/town.tscn", "two\n");
    ada.write("hero.psd", "two\n");
    ada.git(&["commit", "-qam", "two"]);
    ada.git(&["checkout", "-q", "main"]);
    let mut daemon = daemon(&ada, &[]);
    ready(&ada, &mut daemon);
    locked_by_bob(&ada, &mut daemon, "hero.psd");
    locked_by_bob(&ada, &mut daemon, "notes.txt");
    ada.git(&["merge", "-q", "--no-ff", "--no-commit", "theirs"]);
    // Two bursts of another file: those of the merge are over, and git was asked about them.
    for _ in 0..2 {
        saved_in_a_new_burst(&ada, &mut daemon, "notes.txt");
    }
    assert!(ada.locks().iter().all(|(_, owner)| owner == "bob"));
}

#[test]
fn what_git_has_staged_is_no_edit_before_it_has_moved_the_branch() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.git(&["checkout", "-q", "-b", "theirs"]);
    ada.write("hero.psd", "two\n");
    ada.git(&["commit", "-qam", "two"]);
    ada.git(&["checkout", "-q", "main"]);
    let mut daemon = daemon(&ada, &[]);
    locked_by_bob(&ada, &mut daemon, "hero.psd");
    locked_by_bob(&ada, &mut daemon, "notes.txt");
    // As a pull does it, step by step: files and index first.
    ada.git(&["read-tree", "-m", "-u", "HEAD", "theirs"]);
    ada.write("notes.txt", "two\n");
    daemon.tells(&[("edited", "notes.txt")]);
    ada.git(&["update-ref", "refs/heads/main", "theirs"]);
    saved_in_a_new_burst(&ada, &mut daemon, "notes.txt");
}

/// A `git` that halts in `git status` while `halt` exists: then it makes `reached`, and goes on when that is gone.
fn slow_git(ada: &Tree<'_>) -> (std::path::PathBuf, std::path::PathBuf) {
    let (halt, reached) = (
        ada.sandbox.path().join("halt"),
        ada.sandbox.path().join("reached"),
    );
    let script = format!(
        "#!/bin/sh\nPATH=${{PATH#*:}}\nif [ \"$1\" = status ] && [ -e '{0}' ]; then\n\
         : > '{1}'\nwhile [ -e '{0}' ]; do sleep 0.01; done\nfi\nexec git \"$@\"\n",
        halt.display(),
        reached.display()
    );
    ada.write_script("../slow/git", &script);
    (halt, reached)
}

/// A daemon whose `git` is slow when it is told to be.
fn agent_with_slow_git(ada: &Tree<'_>) -> Stream {
    let mut command = ada.command(LATCH);
    let path = command
        .get_envs()
        .find_map(|(name, value)| (name == "PATH").then(|| value.unwrap().to_owned()))
        .unwrap();
    let slow = ada.sandbox.path().join("slow");
    let paths = std::iter::once(slow).chain(std::env::split_paths(&path));
    command.env(
        "PATH",
        std::env::join_paths(paths.collect::<Vec<_>>()).unwrap(),
    );
    command.args(["--json", "daemon"]);
    begun(command)
}

/// A daemon that has locked `scenes/town.tscn` on its first edit, and asks git whether to give it back: until the file that
/// comes with it is removed.
fn about_to_give_back(ada: &Tree<'_>) -> (Stream, std::path::PathBuf) {
    locks_scenes(ada);
    let (halt, reached) = slow_git(ada);
    ada.write("scenes/town.tscn", "two\n");
    let mut daemon = agent_with_slow_git(ada);
    daemon.tells(&[("locked", "scenes/town.tscn")]);
    fs::write(&halt, "").unwrap();
    ada.git(&["checkout", "-q", "."]);
    eventually("the daemon asks git", || reached.exists());
    (daemon, halt)
}

#[test]
fn a_lock_that_was_taken_by_hand_meanwhile_is_not_given_back() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let (mut daemon, halt) = about_to_give_back(&ada);
    ada.ok(&["unlock", "scenes/town.tscn"]);
    ada.ok(&["lock", "scenes/town.tscn", "-m", "by hand"]);
    fs::remove_file(&halt).unwrap();
    daemon.tells_in_the_end("locked", "scenes/town.tscn");
    // A lock that is given back later shows that it was looked.
    ada.write("scenes/cave.tscn", "two\n");
    daemon.tells(&[("locked", "scenes/cave.tscn")]);
    ada.git(&["checkout", "-q", "."]);
    daemon.tells(&[("unlocked", "scenes/cave.tscn")]);
    assert_eq!(ada.json(&["list"])["locks"][0]["reason"], "by hand");
}

#[test]
fn what_is_locked_by_hand_after_the_first_edit_stays() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    locks_scenes(&ada);
    let mut daemon = daemon(&ada, &[]);
    ready(&ada, &mut daemon);
    ada.write("scenes/town.tscn", "two\n");
    daemon.tells(&[("locked", "scenes/town.tscn")]);
    ada.ok(&["lock", "scenes/town.tscn"]);
    daemon.tells(&[("renewed", "scenes/town.tscn")]);
    ada.write("scenes/cave.tscn", "two\n");
    daemon.tells(&[("locked", "scenes/cave.tscn")]);
    ada.git(&["checkout", "-q", "."]);
    daemon.tells(&[("unlocked", "scenes/cave.tscn")]);
    assert_eq!(ada.locks()[0].0, "scenes/town.tscn");
}

#[test]
fn an_edit_after_the_lock_was_given_back_takes_it_again() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let (mut daemon, halt) = about_to_give_back(&ada);
    fs::remove_file(&halt).unwrap();
    daemon.tells(&[("unlocked", "scenes/town.tscn")]);
    ada.write("scenes/town.tscn", "three\n");
    daemon.tells(&[("locked", "scenes/town.tscn")]);
}

#[test]
fn a_folder_that_was_replaced_from_above_is_watched_again() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write("deep/er/file", "one\n");
    ada.git(&["add", "."]);
    ada.git(&["commit", "-qm", "deep"]);
    let mut command = ada.command(LATCH);
    command
        .args(["--json", "daemon"])
        .env("GIT_LATCH_SWEEP_MS", "50");
    let mut daemon = begun(command);
    locked_by_bob(&ada, &mut daemon, "deep/er/file");
    let (deep, aside) = (ada.path.join("deep"), ada.path.join("aside"));
    fs::rename(&deep, &aside).unwrap();
    let copied = ada.command("cp").arg("-a").args([&aside, &deep]).status();
    assert!(copied.unwrap().success());
    ada.write("deep/er/file", "two\n");
    daemon.tells(&[("edited", "deep/er/file")]);
}

#[test]
fn a_rebase_that_stops_gives_nothing_back() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    locks_scenes(&ada);
    ada.git(&["push", "-q", "origin", "main"]);
    fs::remove_file(bob.path.join(".latch.toml")).unwrap();
    bob.git(&["pull", "-q", "--rebase"]);
    bob.write("notes.txt", "bob\n");
    bob.git(&["commit", "-qam", "notes"]);
    bob.git(&["push", "-q", "origin", "HEAD:main"]);
    let mut daemon = daemon(&ada, &["--sync-every", "1h"]);
    ready(&ada, &mut daemon);
    ada.write("scenes/town.tscn", "two\n");
    daemon.tells(&[("locked", "scenes/town.tscn")]);
    ada.git(&["commit", "-qam", "town"]);
    ada.write("notes.txt", "ada\n");
    ada.git(&["commit", "-qam", "notes"]);
    assert_ne!(ada.try_git(&["pull", "-q", "--rebase"]).code, 0);
    // The first edit of another scene, taken back: nothing is given back before the rebase is over.
    ada.write("scenes/cave.tscn", "two\n");
    daemon.tells(&[("locked", "scenes/cave.tscn")]);
    ada.git(&["checkout", "-q", "scenes/cave.tscn"]);
    ada.git(&["checkout", "-q", "--ours", "notes.txt"]);
    ada.git(&["add", "notes.txt"]);
    ada.git(&["rebase", "--skip"]);
    daemon.tells(&[("unlocked", "scenes/cave.tscn")]);
    assert_eq!(ada.locks()[0].0, "scenes/town.tscn");
    ada.git(&["push", "-q", "origin", "main"]);
    daemon.tells(&[("unlocked", "scenes/town.tscn")]);
}

#[test]
fn a_lock_that_was_confirmed_by_hand_meanwhile_is_not_given_back() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let (mut daemon, halt) = about_to_give_back(&ada);
    ada.ok(&["lock", "scenes/town.tscn"]);
    fs::remove_file(&halt).unwrap();
    daemon.tells_in_the_end("renewed", "scenes/town.tscn");
    ada.write("scenes/cave.tscn", "two\n");
    daemon.tells(&[("locked", "scenes/cave.tscn")]);
    ada.git(&["checkout", "-q", "."]);
    daemon.tells(&[("unlocked", "scenes/cave.tscn")]);
    assert_eq!(ada.locks()[0].0, "scenes/town.tscn");
}

#[test]
fn a_file_that_is_only_staged_is_a_first_edit_and_git_is_asked_twice() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    locks_scenes(&ada);
    ada.write("scenes/town.tscn", "two\n");
    ada.git(&["add", "."]);
    let counted = sandbox.path().join("counted");
    let script = format!(
        "#!/bin/sh\nPATH=${{PATH#*:}}\n[ \"$1\" != status ] || echo >> '{}'\nexec git \"$@\"\n",
        counted.display()
    );
    ada.write_script("../slow/git", &script);
    let mut daemon = agent_with_slow_git(&ada);
    daemon.tells(&[("locked", "scenes/town.tscn")]);
    let asked = fs::read_to_string(&counted).unwrap().lines().count();
    assert!(asked < 10, "{asked}");
}

#[test]
fn a_folder_that_is_made_may_hold_first_edits_too() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    locks_scenes(&ada);
    let mut daemon = daemon(&ada, &[]);
    ready(&ada, &mut daemon);
    fs::create_dir(ada.path.join("made")).unwrap();
    is_watched(&ada, &daemon, "made");
    ada.write("made/new.tscn", "one\n");
    daemon.tells(&[("locked", "made/new.tscn")]);
}
