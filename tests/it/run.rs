//! `git latch run`

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};

use crate::support::{LATCH, Run, Sandbox, Tree, eventually};

/// A `run` whose command has begun, and says so.
struct Begun {
    run: Child,
    /// The command's process.
    pid: i32,
    /// Its standard input: `wait` would close it.
    stdin: Option<ChildStdin>,
}

/// Starts `run` with a script that says its pid (`echo $$`) as soon as it is ready.
fn begin(tree: &Tree<'_>, options: &[&str], script: &str) -> Begun {
    let mut run = tree
        .command(LATCH)
        .args(["run", "hero.psd"])
        .args(options)
        .args(["--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = run.stdout.as_mut().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let pid = line.trim().parse().unwrap();
    let stdin = run.stdin.take();
    Begun { run, pid, stdin }
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn pid_of(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

fn is_gone(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn the_lock_lasts_as_long_as_the_command_whatever_its_end() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137)] {
        let script = format!("git latch list --json; {script}");
        let run = ada.latch(&["run", "hero.psd", "--", "sh", "-c", &script]);
        assert_eq!(run.code, code, "{run:?}");
        assert_eq!(run.json()["locks"][0]["path"], "hero.psd");
        assert!(run.json()["locks"][0]["process"]["pid"].is_u64());
        assert!(!ada.path.join(".locks/hero.psd.lock").exists());
    }
}

#[test]
fn the_command_knows_its_lease_and_reads_its_input() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let script = "cat; git latch list --json; echo; echo $GIT_LATCH_LEASE $GIT_LATCH_SEQ";
    let mut run = ada
        .command(LATCH)
        .args(["run", "hero.psd", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    run.stdin.take().unwrap().write_all(b"hello\n").unwrap();
    let run = Run::from(run.wait_with_output().unwrap());
    let lines: Vec<&str> = run.stdout.lines().filter(|l| !l.is_empty()).collect();
    assert_eq!(lines[0], "hello");
    let listed: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
    let lock = &listed["locks"][0];
    let told = format!("{} {}", lock["lease"].as_str().unwrap(), lock["seq"]);
    assert_eq!(lines[2], told);
}

#[test]
fn the_command_may_lock_and_run_on_the_same_path_again() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let script = "git latch lock hero.psd && git latch run hero.psd -- git latch lock hero.psd";
    ada.ok(&["run", "hero.psd", "--", "sh", "-c", script]);
    assert_eq!(ada.locks(), []);
}

#[test]
fn another_command_of_mine_is_refused_as_in_progress() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut begun = begin(&ada, &[], "echo $$; read line");
    ada.latch(&["run", "hero.psd", "--", "true"])
        .ended(125)
        .said("in progress here");
    ada.latch(&["lock", "hero.psd"]).ended(1);
    ada.latch(&["unlock", "hero.psd"]).ended(1);
    drop(begun.stdin.take());
    begun.run.wait().unwrap();
    ada.ok(&["run", "hero.psd", "--", "true"]);
}

#[test]
fn what_was_mine_before_stays_mine() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["run", "hero.psd", "notes.txt", "--", "true"]);
    assert_eq!(ada.locks(), [("hero.psd".into(), "ada@example.com".into())]);
}

#[test]
fn a_command_that_cannot_be_started_is_125() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.latch(&["run", "hero.psd", "--", "no-such-command"])
        .ended(125)
        .said("no-such-command");
    assert_eq!(ada.locks(), []);
}

#[test]
fn a_refused_run_starts_nothing_and_answers_as_lock_does() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    let refused = ada.json(&["run", "hero.psd", "--", "touch", "started"]);
    assert_eq!(refused["refused"][0]["code"], "held");
    assert!(!ada.path.join("started").exists());
}

#[test]
fn a_signal_to_run_goes_to_the_command_and_the_lock_is_given_back() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut begun = begin(&ada, &[], "trap 'exit 3' TERM; echo $$; read line");
    signal(pid_of(&begun.run), rustix::process::Signal::TERM);
    assert_eq!(begun.run.wait().unwrap().code(), Some(3));
    assert_eq!(ada.locks(), []);
}

#[test]
fn a_command_ended_by_a_signal_is_128_and_its_number() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    for (sent, code) in [
        (rustix::process::Signal::TERM, 143),
        (rustix::process::Signal::INT, 130),
    ] {
        let mut begun = begin(&ada, &[], "echo $$; exec cat");
        signal(pid_of(&begun.run), sent);
        assert_eq!(begun.run.wait().unwrap().code(), Some(code));
        assert_eq!(ada.locks(), []);
    }
}

#[test]
fn after_sigkill_the_next_reader_frees_the_lock_and_the_command_ends_too() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut begun = begin(&ada, &[], "echo $$; exec cat");
    begun.run.kill().unwrap();
    begun.run.wait().unwrap();
    assert_eq!(ada.locks(), []);
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    eventually("the command is killed with its parent", || {
        is_gone(begun.pid)
    });
}

#[test]
fn a_zombie_holds_nothing() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut begun = begin(&ada, &[], "echo $$; exec cat");
    begun.run.kill().unwrap();
    eventually("it is a zombie", || is_gone(pid_of(&begun.run)));
    assert_eq!(ada.locks(), []);
    begun.run.wait().unwrap();
}

#[test]
fn a_lease_lost_on_the_way_is_told_and_exits_3() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut begun = begin(&ada, &["--ttl", "1s"], "echo $$; read line; exit 0");
    ada.by("bob@example.com")
        .ok(&["lock", "--steal", "-m", "due", "hero.psd"]);
    let mut lines = BufReader::new(begun.run.stderr.take().unwrap()).lines();
    let told = lines.next().unwrap().unwrap();
    assert!(
        told.contains("is lost: taken over by bob@example.com"),
        "{told}"
    );
    drop(begun.stdin.take());
    assert_eq!(begun.run.wait().unwrap().code(), Some(3));
    assert_eq!(ada.locks()[0].1, "bob@example.com");
}

#[test]
fn on_lost_terminate_ends_the_command_with_124() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut begun = begin(&ada, &["--on-lost", "terminate"], "echo $$; exec cat");
    ada.by("bob@example.com")
        .ok(&["unlock", "--force", "-m", "in need", "hero.psd"]);
    assert_eq!(begun.run.wait().unwrap().code(), Some(124));
    assert!(is_gone(begun.pid));
}

#[test]
fn a_short_lease_lives_as_long_as_it_is_kept() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".latch.toml", "[lease]\nclock_skew = \"0s\"\n");
    let heartbeat = |tree: &Tree<'_>| {
        tree.json(&["list"])["locks"][0]["heartbeat_at"]
            .as_str()
            .map(str::to_owned)
    };
    let mut begun = begin(&ada, &["--ttl", "1s"], "echo $$; read line");
    let first = heartbeat(&ada);
    eventually("it is renewed", || heartbeat(&ada) > first);
    drop(begun.stdin.take());
    begun.run.wait().unwrap();
}
