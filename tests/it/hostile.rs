//! Hostile and broken state: files that are no locks, directories that are none, file systems that refuse.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::halt::Halt;
use crate::support::{LATCH, Run, Sandbox, Tree};

/// A repository with an empty lock directory.
fn with_lock_directory(sandbox: &Sandbox) -> Tree<'_> {
    let ada = sandbox.repo();
    ada.ok(&["lock", "notes.txt"]);
    ada.ok(&["unlock", "notes.txt"]);
    ada
}

/// A valid lock of Bob's on `hero.psd`, as text.
fn bobs_lock(ada: &Tree<'_>) -> String {
    let bob = ada.by("bob@example.com");
    bob.ok(&["lock", "hero.psd"]);
    let text = ada.read(".locks/hero.psd.lock");
    bob.ok(&["unlock", "hero.psd"]);
    text
}

/// What is in the place of `hero.psd`'s lock blocks, is told, and goes by force only.
#[track_caller]
fn blocks_as_unreadable(ada: &Tree<'_>, problem: &str) {
    let refused = ada.latch(&["--json", "lock", "hero.psd"]).ended(1).json();
    let holder = &refused["refused"][0]["holder"];
    assert_eq!(holder["state"], "unreadable");
    assert_eq!(holder["lease"], json!(null));
    assert!(
        holder["problem"].as_str().unwrap().contains(problem),
        "{holder}"
    );
    ada.latch(&["lock", "--steal", "-m", "due", "hero.psd"])
        .ended(1);
    ada.latch(&["unlock", "hero.psd"]).ended(1);
    ada.latch(&["check", "hero.psd"]).ended(1);
    ada.ok(&["list"]);
    ada.ok(&["unlock", "--force", "hero.psd"]);
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["unlock", "hero.psd"]);
}

#[test]
fn what_is_no_valid_lock_blocks_until_it_is_removed_by_force() {
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    let good = bobs_lock(&ada);
    let torn = good[..good.len() / 2].to_owned();
    let long_name = good.replace("bob@example.com", &"b".repeat(300));
    let escape = good.replace("hero.psd", "../hero.psd");
    let control = good.replace("name = \"bob@example.com\"", "name = \"a\\u001b[31m\"");
    for (text, problem) in [
        (torn.as_str(), "does not parse"),
        ("", "it is empty"),
        (&"x".repeat(17 * 1024), "larger than 16384 bytes"),
        (
            &good.replace("format = 1", "format = 2"),
            "format 2 is unknown",
        ),
        (
            &good.replace("hero.psd", "notes.txt"),
            "it is the lock of `notes.txt`",
        ),
        (
            &good.replace("\"file\"", "\"directory\""),
            "it is the lock of `hero.psd`",
        ),
        (&long_name, "longer than"),
        (&escape, "`..`"),
        (&control, "control characters"),
    ] {
        ada.write(".git/latch/locks/hero.psd.lock", text);
        blocks_as_unreadable(&ada, problem);
    }
}

#[test]
fn what_is_no_file_at_all_blocks_and_is_not_followed_or_waited_for() {
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    let place = ada.path.join(".git/latch/locks/hero.psd.lock");
    fs::create_dir(&place).unwrap();
    blocks_as_unreadable(&ada, "directory");
    symlink("/etc/passwd", &place).unwrap();
    blocks_as_unreadable(&ada, "symbolic link");
    symlink("/nowhere", &place).unwrap();
    blocks_as_unreadable(&ada, "symbolic link");
    assert!(
        Command::new("mkfifo")
            .arg(&place)
            .status()
            .unwrap()
            .success()
    );
    blocks_as_unreadable(&ada, "not a regular file");
}

#[test]
fn an_unreadable_lock_expires_by_the_file_systems_clock() {
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    ada.write(".git/latch/locks/hero.psd.lock", "torn");
    ada.latch(&["lock", "hero.psd"]).ended(1);
    let file = fs::File::options()
        .write(true)
        .open(ada.path.join(".git/latch/locks/hero.psd.lock"))
        .unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(25 * 3600))
        .unwrap();
    assert_eq!(ada.locks(), []);
    ada.ok(&["lock", "hero.psd"]);
}

#[test]
fn a_heartbeat_in_the_future_does_not_squat_and_is_reported() {
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    let text = bobs_lock(&ada);
    let year = |line: &str| {
        if line.contains("_at = ") {
            line.replace("_at = 20", "_at = 29")
        } else {
            line.to_owned()
        }
    };
    let future: String = text.lines().map(|l| year(l) + "\n").collect();
    ada.write(".git/latch/locks/hero.psd.lock", &future);
    let held = ada.json(&["list"]);
    let expires = held["locks"][0]["expires_at"].as_str().unwrap();
    assert!(expires.starts_with("20"), "{held}");
    ada.latch(&["doctor"]).ended(1);
    assert!(ada.ok(&["status"]).stderr.contains("ahead of this one"));
    let file = fs::File::options()
        .write(true)
        .open(ada.path.join(".git/latch/locks/hero.psd.lock"))
        .unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(25 * 3600))
        .unwrap();
    ada.ok(&["lock", "hero.psd"]);
}

#[test]
fn a_takeover_by_time_wants_the_file_systems_word_too() {
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    let text = bobs_lock(&ada);
    let past: String = text
        .lines()
        .map(|l| if l.contains("_at = ") { l.replace("_at = 20", "_at = 19") } else { l.to_owned() } + "\n")
        .collect();
    // Written just now, whatever its writer's clock said.
    ada.write(".git/latch/locks/hero.psd.lock", &past);
    ada.latch(&["lock", "hero.psd"]).ended(1);
}

#[test]
fn files_that_are_nobodys_locks_are_left_alone() {
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    for name in ["README", "a.lock.tmp", "UPPER.lock", "deep/er/.lock"] {
        ada.write(&format!(".git/latch/locks/{name}"), "not a lock");
    }
    ada.ok(&["lock", "hero.psd", "scenes/town.tscn"]);
    ada.ok(&["unlock", "--all"]);
    ada.ok(&["sweep"]);
    for name in ["README", "a.lock.tmp", "UPPER.lock"] {
        assert!(
            ada.path.join(".git/latch/locks").join(name).exists(),
            "{name}"
        );
    }
}

#[test]
fn a_lock_directory_that_is_none_is_an_error_and_never_no_lock() {
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    ada.ok(&["init"]);
    let locks = ada.path.join(".git/latch/locks");
    fs::remove_dir_all(&locks).unwrap();
    for kind in ["file", "link"] {
        if kind == "file" {
            fs::write(&locks, "not a directory").unwrap();
        } else {
            symlink(sandbox.path(), &locks).unwrap();
        }
        for command in [
            &["lock", "hero.psd"][..],
            &["list"],
            &["check", "hero.psd"],
            &["sweep"],
        ] {
            let run = ada.latch(command);
            assert_ne!(run.code, 0, "{kind} {command:?}: {run:?}");
            assert!(
                run.stderr.contains("instead of a directory"),
                "{kind} {command:?}: {run:?}"
            );
        }
        ada.write("hero.psd", kind);
        assert_ne!(ada.try_git(&["commit", "-qam", "two"]).code, 0);
        fs::remove_file(&locks).unwrap();
    }
}

#[test]
fn a_guard_held_for_ever_is_busy_for_writers_and_nothing_for_readers() {
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    let guard = fs::File::options()
        .write(true)
        .open(ada.path.join(".git/latch/guard"))
        .unwrap();
    guard.lock().unwrap();
    let mut lock = ada.command(LATCH);
    lock.env("GIT_LATCH_PATIENCE_MS", "200")
        .args(["--json", "lock", "notes.txt"]);
    let busy = Run::of(&mut lock).ended(6).json();
    assert_eq!(busy["error"]["code"], "busy");
    assert!(
        busy["error"]["message"]
            .as_str()
            .unwrap()
            .contains("held by process"),
        "{busy}"
    );
    assert_eq!(ada.locks().len(), 1);
    ada.ok(&["check", "notes.txt"]);
    ada.ok(&["status"]);
}

#[test]
fn a_guard_that_is_replaced_while_it_is_held_admits_nobody_by_the_old_one() {
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    let halt = Halt::at(&sandbox, "change.decided");
    let mut first = ada.by("bob@example.com").command(LATCH);
    halt.tell(&mut first);
    let mut first = first.args(["lock", "hero.psd"]).spawn().unwrap();
    halt.reached();
    fs::remove_file(ada.path.join(".git/latch/guard")).unwrap();
    ada.ok(&["lock", "hero.psd"]);
    halt.go();
    assert!(!first.wait().unwrap().success());
    assert_eq!(ada.locks(), [("hero.psd".into(), "ada@example.com".into())]);
}

#[test]
fn a_journal_of_somebody_elses_making_touches_nothing_outside() {
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    let outside = sandbox.path().join("outside.lock");
    fs::write(&outside, "precious").unwrap();
    let up = format!("{}/outside.lock", "../".repeat(4));
    for text in [
        "garbage".to_owned(),
        json!({"step": [{"place": up, "lease": null, "before": "overwritten"}]}).to_string(),
        json!({"step": [{"place": outside, "lease": null, "before": "overwritten"}]}).to_string(),
    ] {
        ada.write(".git/latch/txn", &text);
        ada.ok(&["lock", "notes.txt"]);
        ada.ok(&["unlock", "notes.txt"]);
        assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
        assert!(!ada.path.join(".git/latch/txn").exists());
    }
    assert_eq!(ada.locks().len(), 1);
}

#[test]
fn broken_records_of_ours_do_not_stand_in_the_way() {
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    for file in ["seq", "held.toml", "workspace.toml"] {
        ada.write(&format!(".git/latch/{file}"), "\u{0}garbage");
        ada.ok(&["lock", "hero.psd"]);
        ada.latch(&["unlock", "--force", "hero.psd"]);
        assert_eq!(ada.locks(), [], "{file}");
    }
}

#[test]
fn seq_only_grows_even_from_a_future_one() {
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    ada.write(".git/latch/seq", "4000000000000\n");
    let locked = ada.json(&["lock", "hero.psd"]);
    assert_eq!(locked["locked"][0]["seq"], 4_000_000_000_001_u64);
}

#[test]
fn a_process_of_another_boot_or_start_is_told_apart() {
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    let bob = ada.by("bob@example.com");
    let run = bob.ok(&["run", "hero.psd", "--", "cat", ".locks/hero.psd.lock"]);
    let started = run
        .stdout
        .lines()
        .find(|l| l.starts_with("started"))
        .unwrap();
    let me = std::process::id();
    let pid = run.stdout.lines().find(|l| l.starts_with("pid =")).unwrap();
    // This test's own pid lives, but started at another time: reused.
    let reused = run
        .stdout
        .replace(pid, &format!("pid = {me}"))
        .replace(started, "started = 1");
    ada.write(".git/latch/locks/hero.psd.lock", &reused);
    assert_eq!(ada.locks(), []);
    let boot = run.stdout.lines().find(|l| l.starts_with("boot")).unwrap();
    ada.write(
        ".git/latch/locks/hero.psd.lock",
        &run.stdout.replace(boot, "boot = \"another\""),
    );
    assert_eq!(ada.locks().len(), 1);
}

/// Whether this system lets us make namespaces of our own.
fn can_unshare(kind: &str) -> bool {
    let tried = Command::new("unshare").args([kind, "-f", "true"]).output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: `unshare {kind}` is not permitted here");
    }
    can
}

#[test]
fn a_living_holder_in_another_pid_namespace_is_never_declared_dead() {
    if !can_unshare("--pid") {
        return;
    }
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    let mut inside = ada
        .by("bob@example.com")
        .command("unshare")
        .args([
            "--pid",
            "--fork",
            "--mount-proc",
            LATCH,
            "run",
            "hero.psd",
            "--",
            "sh",
            "-c",
            "echo; exec cat",
        ])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(inside.stdout.as_mut().unwrap()),
        &mut String::new(),
    )
    .unwrap();
    assert_eq!(ada.locks().len(), 1);
    ada.latch(&["lock", "hero.psd"]).ended(1);
    let mut other = ada.command("unshare");
    other.args(["--pid", "--fork", "--mount-proc", LATCH, "lock", "hero.psd"]);
    Run::of(&mut other).ended(1);
    drop(inside.stdin.take());
    inside.wait().unwrap();
    assert_eq!(ada.locks(), []);
}

/// Runs a script in a mount namespace of its own, with `git-latch` as `$LATCH`.
fn in_own_mounts(tree: &Tree<'_>, script: &str) -> Run {
    let mut command = tree.command("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-ec", script])
        .env("LATCH", LATCH);
    Run::of(&mut command)
}

#[test]
fn a_full_file_system_changes_nothing() {
    if !can_unshare("--mount") {
        return;
    }
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    ada.ok(&["lock", "notes.txt"]);
    let script = "cp -r .git/latch ../saved; mount -t tmpfs -o size=200k tmpfs .git/latch; cp -r ../saved/. .git/latch/; \
        dd if=/dev/zero of=.git/latch/fill bs=1k 2>/dev/null || true; \
        code=0; $LATCH --json lock hero.psd || code=$?; test $code -eq 5; $LATCH list >&2; rm .git/latch/fill; \
        $LATCH lock hero.psd >&2";
    let run = in_own_mounts(&ada, script).ended(0);
    assert_eq!(run.json()["error"]["code"], "io");
    assert!(
        run.json()["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("free some space"),
        "{run:?}"
    );
    assert!(run.stderr.contains("notes.txt  you"), "{run:?}");
}

#[test]
fn a_read_only_file_system_can_be_read_and_says_why_it_cannot_be_changed() {
    if !can_unshare("--mount") {
        return;
    }
    let sandbox = Sandbox::new();
    let ada = with_lock_directory(&sandbox);
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    let script = "mount --bind . . && mount -o remount,ro,bind . && cd . && cd \"$PWD\"; \
        code=0; $LATCH --json lock notes.txt || code=$?; test $code -eq 5; \
        $LATCH list >&2; code=0; $LATCH check hero.psd >/dev/null 2>&1 || code=$?; test $code -eq 1";
    let run = in_own_mounts(&ada, script).ended(0);
    assert_eq!(run.json()["error"]["code"], "io");
    assert!(
        run.json()["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("read-only"),
        "{run:?}"
    );
    assert!(run.stderr.contains("hero.psd  bob@example.com"), "{run:?}");
}

#[test]
fn a_file_system_whose_locks_may_not_reach_everybody_is_refused() {
    if !can_unshare("--mount") || Command::new("bindfs").arg("--version").output().is_err() {
        eprintln!("skipped: no FUSE file system to be had here");
        return;
    }
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let script = "git clone -q --bare . ../remote.git; git remote add origin ../remote.git; \
        mkdir ../fuse && bindfs . ../fuse && cd ../fuse; \
        code=0; $LATCH --json lock hero.psd || code=$?; \
        $LATCH init --remote origin >&2; $LATCH lock hero.psd >&2; rm .latch.toml; git config --unset latch.remote; \
        git config latch.trustShare true; $LATCH lock notes.txt >&2; cd ..; umount fuse; exit $code";
    let run = in_own_mounts(&ada, script).ended(2);
    assert_eq!(run.json()["error"]["code"], "unsupported");
}

#[test]
fn a_pipe_where_a_lock_or_the_policy_should_be_keeps_nobody_waiting() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "notes.txt"]);
    for pipe in [".git/latch/locks/hero.psd.lock", "pipe"] {
        assert!(ada.command("mkfifo").arg(pipe).status().unwrap().success());
    }
    // Dated ahead: it would be given the present time.
    let dated = ada
        .command("touch")
        .args(["-d", "+1 day", ".git/latch/locks/hero.psd.lock"])
        .status();
    assert!(dated.unwrap().success());
    ada.ok(&["sweep"]);
    ada.ok(&["renew"]);
    std::os::unix::fs::symlink("pipe", ada.path.join(".latch.toml")).unwrap();
    ada.latch(&["list"]).ended(5).said("not a regular file");
}
