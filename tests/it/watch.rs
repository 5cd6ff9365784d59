//! `git latch watch`: what happens to locks, as it happens.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::clones::two;
use crate::support::stream::Stream;
use crate::support::{LATCH, Sandbox, Tree, eventually};

/// A watch of JSON lines that has begun.
fn watching(tree: &Tree<'_>, arguments: &[&str]) -> Stream {
    begun(
        tree.command(LATCH)
            .args(["--json", "watch"])
            .args(arguments),
    )
}

fn begun(command: &mut Command) -> Stream {
    let mut watch = Stream::start(command);
    watch.says("watching");
    watch
}

/// Locks live as long as they are given, and nobody is honoured for longer.
fn without_grace(tree: &Tree<'_>) {
    tree.write(".latch.toml", "[lease]\nclock_skew = \"0s\"\n");
}

#[test]
fn what_happens_is_told_as_it_happens_with_the_lock() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut watch = watching(&ada, &[]);
    ada.ok(&["lock", "hero.psd", "-m", "hat"]);
    let locked = watch.json();
    let listed = &ada.json(&["list"])["locks"][0];
    assert_eq!(locked["event"], "locked");
    assert_eq!(locked["path"], "hero.psd");
    assert_eq!(locked["seq"], listed["seq"]);
    assert_eq!(&locked["lock"], listed);
    assert!(locked.get("previous").is_none());
    ada.ok(&["renew"]);
    ada.by("bob")
        .ok(&["lock", "--steal", "-m", "now", "hero.psd"]);
    let stolen = watch.json();
    assert_eq!(stolen["event"], "stolen");
    assert_eq!(stolen["lock"]["owner"]["id"], "bob");
    assert_eq!(stolen["previous"]["owner"]["id"], "ada@example.com");
    assert!(stolen["seq"].as_u64() > locked["seq"].as_u64());
    ada.by("bob").ok(&["unlock", "hero.psd"]);
    let unlocked = watch.json();
    assert_eq!(unlocked["event"], "unlocked");
    assert_eq!(unlocked["lock"]["owner"]["id"], "bob");
}

#[test]
fn heartbeats_are_told_with_all_and_people_get_lines() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut watch = begun(ada.by("bob").command(LATCH).args(["watch", "--all"]));
    ada.ok(&["lock", "hero.psd", "-m", "hat"]);
    ada.ok(&["renew"]);
    ada.ok(&["unlock", "hero.psd"]);
    let line = watch.next();
    assert!(
        line.contains("  locked    hero.psd by Ada <ada@example.com> on "),
        "{line}"
    );
    assert!(line.ends_with("(in 24 h), \"hat\""), "{line}");
    assert!(watch.next().contains("  renewed   hero.psd by Ada"));
    assert!(watch.next().contains("  unlocked  hero.psd, held by Ada"));
}

#[test]
fn an_end_by_time_is_told_when_it_comes_and_once() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    without_grace(&ada);
    let mut watch = watching(&ada, &[]);
    ada.ok(&["lock", "hero.psd", "--ttl", "1s"]);
    // Nothing writes meanwhile: only the clock goes on.
    watch.tells(&[("locked", "hero.psd"), ("expired", "hero.psd")]);
    ada.ok(&["sweep"]);
    ada.ok(&["lock", "notes.txt"]);
    watch.tells(&[("locked", "notes.txt")]);
}

#[test]
fn the_end_of_a_process_is_the_end_of_its_lock() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut watch = watching(&ada, &[]);
    let mut run = Stream::start(
        ada.command(LATCH)
            .args(["run", "hero.psd", "--", "sh", "-c", "echo; exec cat"])
            .stdin(Stdio::piped()),
    );
    run.next();
    watch.tells(&[("locked", "hero.psd")]);
    run.signal(Signal::KILL);
    assert_eq!(run.ended(), 137);
    watch.tells(&[("expired", "hero.psd")]);
}

#[test]
fn locks_in_directories_made_a_moment_ago_are_not_missed() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut watch = watching(&ada, &[]);
    // The directories of the lock directory come and go with their only lock.
    for _ in 0..20 {
        ada.ok(&["lock", "--new", "a/b/c/d/e.psd"]);
        watch.tells(&[("locked", "a/b/c/d/e.psd")]);
        ada.ok(&["unlock", "a/b/c/d/e.psd"]);
        watch.tells(&[("unlocked", "a/b/c/d/e.psd")]);
    }
}

#[test]
fn files_that_others_write_are_read_like_ours() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    let locks = ada.path.join(".git/latch/locks");
    let bytes = fs::read(locks.join("hero.psd.lock")).unwrap();
    let mut watch = watching(&ada, &[]);
    // As editors save: a new file, renamed into place. The same lock is no event.
    fs::write(locks.join("4913"), &bytes).unwrap();
    fs::rename(locks.join("4913"), locks.join("hero.psd.lock")).unwrap();
    fs::write(locks.join("notes.txt.lock"), "torn").unwrap();
    let unreadable = watch.json();
    assert_eq!(unreadable["path"], "notes.txt");
    assert_eq!(unreadable["lock"]["state"], "unreadable");
    fs::remove_file(locks.join("notes.txt.lock")).unwrap();
    watch.tells(&[("unlocked", "notes.txt")]);
}

#[test]
fn the_lock_directory_may_come_go_and_be_replaced() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut watch = watching(&ada, &[]);
    assert!(!ada.path.join(".git/latch").exists());
    ada.ok(&["lock", "hero.psd", "scenes/town.tscn"]);
    watch.tells(&[("locked", "hero.psd"), ("locked", "scenes/town.tscn")]);
    let (latch, aside) = (ada.path.join(".git/latch"), ada.path.join(".git/aside"));
    fs::rename(latch.join("locks"), &aside).unwrap();
    watch.tells(&[("unlocked", "hero.psd"), ("unlocked", "scenes/town.tscn")]);
    fs::rename(&aside, latch.join("locks")).unwrap();
    watch.tells(&[("locked", "hero.psd"), ("locked", "scenes/town.tscn")]);
    fs::remove_dir_all(&latch).unwrap();
    watch.tells_in_the_end("unlocked", "scenes/town.tscn");
    ada.ok(&["lock", "scenes/cave.tscn"]);
    watch.tells_in_the_end("locked", "scenes/cave.tscn");
}

#[test]
fn a_queue_that_ran_over_loses_nothing() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "notes.txt"]);
    let mut watch = watching(&ada, &[]);
    watch.signal(Signal::STOP);
    // Four events each; that many the system keeps for a watcher that does not fetch them.
    let kept = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let kept: usize = kept.trim().parse().unwrap();
    let noise = ada.path.join(".git/latch/locks/noise");
    for _ in 0..kept / 3 {
        fs::write(&noise, "").unwrap();
        fs::remove_file(&noise).unwrap();
    }
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["unlock", "notes.txt"]);
    watch.signal(Signal::CONT);
    watch.tells(&[("locked", "hero.psd"), ("unlocked", "notes.txt")]);
    ada.ok(&["unlock", "hero.psd"]);
    watch.tells(&[("unlocked", "hero.psd")]);
}

#[test]
fn a_command_is_run_for_each_event_with_the_event() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let script = "echo \"$GIT_LATCH_EVENT $GIT_LATCH_PATH $GIT_LATCH_HOLDER '$GIT_LATCH_REASON' $GIT_LATCH_MINE\" >> told; \
                  cat >> told.json; git latch --json status >> status";
    let mut watch = begun(ada.command(LATCH).args(["watch", "--exec", script]));
    ada.by("bob")
        .ok(&["lock", "hero.psd", "-m", "a `hat`; $(rm -rf /)"]);
    ada.by("bob").ok(&["unlock", "hero.psd"]);
    let told = || fs::read_to_string(ada.path.join("told")).unwrap_or_default();
    eventually("two events", || told().lines().count() == 2);
    assert_eq!(
        told(),
        "locked hero.psd bob 'a `hat`; $(rm -rf /)' 0\nunlocked hero.psd bob 'a `hat`; $(rm -rf /)' 0\n"
    );
    eventually("both", || ada.read("told.json").lines().count() == 2);
    let first: serde_json::Value =
        serde_json::from_str(ada.read("told.json").lines().next().unwrap()).unwrap();
    assert_eq!(first["lock"]["owner"]["id"], "bob");
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended(), 0);
}

#[test]
fn a_command_that_hangs_or_fails_holds_nothing_up() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let script = "trap '' TERM; echo begun >&2; exec sleep 1000";
    let mut watch = begun(
        ada.command(LATCH)
            .args(["--json", "watch", "--exec", script]),
    );
    ada.ok(&["lock", "hero.psd", "notes.txt"]);
    watch.says("begun");
    ada.ok(&["unlock", "--all"]);
    watch.tells_in_the_end("unlocked", "notes.txt");
    watch.signal(Signal::INT);
    assert_eq!(watch.ended(), 0);
    let mut watch = begun(ada.command(LATCH).args(["watch", "--exec", "exit 3"]));
    ada.ok(&["lock", "hero.psd"]);
    watch.says("the --exec command ended with 3");
}

#[test]
fn what_was_missed_is_told_first() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    without_grace(&ada);
    ada.ok(&["lock", "hero.psd"]);
    let seq = ada.json(&["list"])["seq"].to_string();
    ada.ok(&["lock", "notes.txt"]);
    ada.ok(&["renew"]);
    ada.ok(&["unlock", "hero.psd"]);
    ada.by("bob")
        .ok(&["lock", "--steal", "-m", "now", "notes.txt"]);
    ada.ok(&["lock", "scenes/town.tscn", "--ttl", "1s"]);
    let mut watch = watching(&ada, &["--since", &seq]);
    let expected = [
        ("locked", "notes.txt"),
        ("unlocked", "hero.psd"),
        ("stolen", "notes.txt"),
        ("locked", "scenes/town.tscn"),
        ("expired", "scenes/town.tscn"),
    ];
    watch.tells(&expected);
    // Over, and not cleaned up: told again, for whoever was not there when it ended.
    let mut late = watching(&ada, &["--since", &seq]);
    late.tells(&expected);
    ada.ok(&["lock", "hero.psd"]);
    late.tells(&[("locked", "hero.psd")]);
}

#[test]
fn what_no_record_tells_is_told_as_far_as_it_can_be_seen() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["lock", "notes.txt"]);
    ada.ok(&["unlock", "hero.psd"]);
    fs::remove_file(ada.path.join(".git/latch/log")).unwrap();
    let mut watch = watching(&ada, &["--since", "0"]);
    watch.tells(&[("locked", "notes.txt")]);
    ada.ok(&["lock", "hero.psd"]);
    watch.tells(&[("locked", "hero.psd")]);
}

#[test]
fn it_ends_with_a_signal_with_its_reader_and_with_its_repository() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut watch = watching(&ada, &[]);
        watch.signal(signal);
        assert_eq!(watch.ended(), 0, "{signal:?}");
    }
    // An editor that is gone, without an event that would show it.
    let mut command = ada.command(LATCH);
    let mut watch = command
        .args(["watch", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(watch.stdout.take());
    assert_eq!(watch.wait().unwrap().code(), Some(0));
    let mut watch = begun(ada.command(LATCH).arg("watch"));
    fs::remove_dir_all(&ada.path).unwrap();
    watch.says("not in a git repository");
    assert_eq!(watch.ended(), 2);
}

#[test]
fn without_events_it_looks_every_second_and_says_so() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    without_grace(&ada);
    let mut watch = watching(&ada, &["--poll"]);
    watch.says("polling every second, because change events are not available: it was told to");
    ada.ok(&["lock", "hero.psd"]);
    watch.tells(&[("locked", "hero.psd")]);
    ada.by("bob")
        .ok(&["lock", "--steal", "-m", "now", "hero.psd"]);
    ada.ok(&["lock", "scenes/town.tscn", "--ttl", "1s"]);
    watch.tells_in_the_end("expired", "scenes/town.tscn");
    ada.by("bob").ok(&["unlock", "hero.psd"]);
    watch.tells(&[("unlocked", "hero.psd")]);
}

#[test]
fn a_system_out_of_watches_is_polled() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "--new", "a/x", "b/x", "c/x"]);
    // Two directories can be watched, and there are more.
    let script = "echo 2 > /proc/sys/user/max_inotify_watches || exit 99; exec \"$0\" --json watch";
    let mut command = ada.command("unshare");
    let mut watch =
        Stream::start(command.args(["--user", "--map-root-user", "sh", "-c", script, LATCH]));
    let Some(line) = watch.says_or_ends("instead of being told") else {
        eprintln!("skipped: no user namespaces here");
        return;
    };
    assert!(line.contains("fs.inotify.max_user_watches"), "{line}");
    ada.ok(&["unlock", "b/x"]);
    watch.tells(&[("unlocked", "b/x")]);
}

#[test]
fn a_clock_that_is_set_ends_in_the_right_state() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let clock = sandbox.clock();
    ada.ok(&["lock", "hero.psd"]);
    let mut command = ada.command(LATCH);
    clock.of(&mut command);
    let mut watch = begun(command.args(["--json", "watch"]));
    // As after a sleep of two days, or a clock that somebody set.
    clock.set(172_800);
    watch.tells(&[("expired", "hero.psd")]);
    clock.set(0);
    watch.tells(&[("locked", "hero.psd")]);
    ada.ok(&["unlock", "hero.psd"]);
    watch.tells(&[("unlocked", "hero.psd")]);
}

#[test]
fn a_policy_that_changes_counts_at_once_and_a_broken_one_is_told() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".latch.toml", "[lease]\nclock_skew = \"1h\"\n");
    let mut watch = watching(&ada, &[]);
    ada.ok(&["lock", "hero.psd", "--ttl", "1s"]);
    watch.tells(&[("locked", "hero.psd")]);
    ada.write(".latch.toml", "[leas]\n");
    watch.says("unknown field `leas`");
    without_grace(&ada);
    watch.tells(&[("expired", "hero.psd")]);
}

#[test]
fn shared_locks_are_told_when_they_are_fetched() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let mut watch = watching(&bob, &[]);
    ada.ok(&["lock", "hero.psd", "notes.txt"]);
    bob.ok(&["sync"]);
    watch.tells(&[("locked", "hero.psd"), ("locked", "notes.txt")]);
    ada.ok(&["unlock", "hero.psd"]);
    ada.ok(&["lock", "scenes/town.tscn"]);
    bob.ok(&["sync"]);
    watch.tells(&[("unlocked", "hero.psd"), ("locked", "scenes/town.tscn")]);
    let mut late = watching(&bob, &["--since", "0"]);
    late.tells(&[
        ("locked", "hero.psd"),
        ("locked", "notes.txt"),
        ("unlocked", "hero.psd"),
        ("locked", "scenes/town.tscn"),
    ]);
}

#[test]
fn a_reader_that_does_not_read_holds_up_neither_the_watching_nor_the_end() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut command = ada.command(LATCH);
    command.args(["watch", "--json", "--since", "0"]);
    let reason = "x".repeat(400);
    // More than a pipe takes.
    let many: Vec<String> = (0..200).map(|n| format!("many/{n}")).collect();
    let lock = ["lock", "--new", "-m", &reason];
    let paths = many.iter().map(String::as_str);
    ada.ok(&lock.into_iter().chain(paths).collect::<Vec<_>>());
    let watch = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut watch = watch.unwrap();
    BufReader::new(watch.stderr.take().unwrap())
        .read_line(&mut String::new())
        .unwrap();
    let pid = rustix::process::Pid::from_raw(watch.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

#[test]
fn a_heartbeat_ahead_of_this_clock_ends_when_its_time_is_over() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    without_grace(&ada);
    let mut watch = watching(&ada, &[]);
    let mut ahead = ada.by("bob").command(LATCH);
    ahead.args(["lock", "hero.psd", "--ttl", "1s"]);
    assert!(
        ahead
            .env("GIT_LATCH_TEST_CLOCK", "2")
            .status()
            .unwrap()
            .success()
    );
    watch.tells(&[("locked", "hero.psd"), ("expired", "hero.psd")]);
}

#[test]
fn a_repository_that_was_replaced_is_followed_on() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "notes.txt"]);
    let mut watch = watching(&ada, &[]);
    let (git, aside) = (ada.path.join(".git"), ada.path.join(".aside"));
    fs::rename(&git, &aside).unwrap();
    // Every time is as it was.
    let copied = ada.command("cp").arg("-a").args([&aside, &git]).status();
    assert!(copied.unwrap().success());
    ada.ok(&["lock", "hero.psd"]);
    watch.tells(&[("locked", "hero.psd")]);
    // A copy is another workspace: what the original locked is not its own.
    ada.ok(&["unlock", "--force", "notes.txt"]);
    watch.tells(&[("unlocked", "notes.txt")]);
}

#[test]
fn stopped_for_a_while_it_tells_no_end_of_what_was_renewed() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    without_grace(&ada);
    ada.ok(&["lock", "hero.psd", "--ttl", "2s"]);
    let mut watch = watching(&ada, &[]);
    watch.signal(Signal::STOP);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(3);
    eventually("more than a life is over", || {
        ada.ok(&["renew"]);
        std::time::Instant::now() > end
    });
    watch.signal(Signal::CONT);
    ada.ok(&["unlock", "hero.psd"]);
    watch.tells(&[("unlocked", "hero.psd")]);
}

#[test]
fn a_change_that_is_under_way_is_told_when_it_is_through() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    let seq = ada.json(&["list"])["seq"].to_string();
    let halt = sandbox.path().join("halt");
    fs::create_dir(&halt).unwrap();
    let mut unlock = ada.command(LATCH);
    unlock.args(["unlock", "hero.psd"]);
    unlock.env("GIT_LATCH_FAULT", format!("change.done={}", halt.display()));
    let mut unlock = unlock.spawn().unwrap();
    eventually("the file is gone, and nothing recorded", || {
        halt.join("reached").exists()
    });
    let mut command = ada.command(LATCH);
    let mut watch = Stream::start(command.args(["--json", "watch", "--since", &seq]));
    fs::write(halt.join("go"), "").unwrap();
    assert!(unlock.wait().unwrap().success());
    watch.tells(&[("unlocked", "hero.psd")]);
}

#[test]
fn what_cannot_be_read_is_told_once_and_read_again() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    without_grace(&ada);
    ada.ok(&["lock", "hero.psd", "--ttl", "1s"]);
    let (seq, aside) = (
        ada.path.join(".git/latch/seq"),
        ada.path.join(".git/latch/aside"),
    );
    let mut watch = watching(&ada, &[]);
    fs::rename(&seq, &aside).unwrap();
    fs::create_dir(&seq).unwrap();
    fs::write(ada.path.join(".git/latch/locks/notes.txt.lock"), "torn").unwrap();
    watch.says("cannot read");
    fs::remove_dir(&seq).unwrap();
    fs::rename(&aside, &seq).unwrap();
    watch.tells_in_the_end("expired", "hero.psd");
}
