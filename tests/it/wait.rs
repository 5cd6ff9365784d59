//! `git latch lock --wait`

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use crate::support::{LATCH, Run, Sandbox, Tree};

/// A command that waits for `hero.psd`, after it has said for whom.
fn waiting(tree: &Tree<'_>, arguments: &[&str]) -> (Child, String) {
    let mut child = tree
        .command(LATCH)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    (child, line)
}

#[test]
fn it_says_for_whom_and_takes_the_lock_when_it_is_free() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bob = ada.by("bob@example.com");
    bob.ok(&["lock", "hero.psd", "-m", "nearly done"]);
    let (child, told) = waiting(&ada, &["lock", "--wait", "hero.psd"]);
    assert!(
        told.contains("waiting: hero.psd is locked by bob@example.com"),
        "{told}"
    );
    assert!(told.contains("nearly done"), "{told}");
    bob.ok(&["unlock", "hero.psd"]);
    Run::from(child.wait_with_output().unwrap()).ended(0);
    assert_eq!(ada.locks(), [("hero.psd".into(), "ada@example.com".into())]);
}

#[test]
fn where_the_system_gives_no_events_it_looks_every_now_and_then() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bob = ada.by("bob@example.com");
    bob.ok(&["lock", "hero.psd"]);
    let script = "echo 0 > /proc/sys/user/max_inotify_instances || exit 99; exec \"$0\" -vv lock --wait hero.psd";
    let mut waiter = ada
        .command("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", script, LATCH])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    let mut lines = BufReader::new(waiter.stderr.as_mut().unwrap()).lines();
    while let Some(Ok(line)) = lines.next() {
        told.push_str(&line);
        if line.contains("polling") {
            bob.ok(&["unlock", "hero.psd"]);
            break;
        }
    }
    let ended = waiter.wait().unwrap().code();
    if !told.contains("polling") {
        eprintln!("skipped: no user namespaces here: {told}");
        return;
    }
    assert_eq!(ended, Some(0), "{told}");
    assert_eq!(ada.locks()[0].1, "ada@example.com");
}

#[test]
fn it_waits_for_a_process_that_dies() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut run = ada
        .by("bob@example.com")
        .command(LATCH)
        .args(["run", "hero.psd", "--", "sh", "-c", "echo; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    BufReader::new(run.stdout.as_mut().unwrap())
        .read_line(&mut String::new())
        .unwrap();
    let (child, _) = waiting(&ada, &["lock", "--wait", "hero.psd"]);
    run.kill().unwrap();
    run.wait().unwrap();
    Run::from(child.wait_with_output().unwrap()).ended(0);
}

#[test]
fn it_waits_for_the_end_of_a_lease() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".latch.toml", "[lease]\nclock_skew = \"0s\"\n");
    ada.by("bob@example.com")
        .ok(&["lock", "hero.psd", "--ttl", "1s"]);
    let (child, _) = waiting(&ada, &["lock", "--wait=50s", "hero.psd"]);
    Run::from(child.wait_with_output().unwrap()).ended(0);
}

#[test]
fn it_ends_when_the_time_is_up() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    let refused = ada
        .latch(&["--json", "lock", "--wait=1s", "hero.psd"])
        .ended(1);
    assert_eq!(refused.json()["error"]["code"], "held");
}

#[test]
fn an_interrupt_ends_it_with_130_and_nothing_locked() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bob = ada.by("bob@example.com");
    bob.ok(&["lock", "hero.psd"]);
    for arguments in [
        &["lock", "--wait", "hero.psd"][..],
        &["run", "--wait", "hero.psd", "--", "true"],
    ] {
        let (mut child, _) = waiting(&ada, arguments);
        let pid = i32::try_from(child.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
    }
    assert_eq!(ada.locks(), [("hero.psd".into(), "bob@example.com".into())]);
}

#[test]
fn two_waiters_get_it_one_after_the_other() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    let run = [
        "run",
        "--wait",
        "hero.psd",
        "--",
        "sh",
        "-c",
        "mkdir alone && sleep 0.1 && rmdir alone",
    ];
    let waiters: Vec<(Child, String)> = ["bob@example.com", "carol@example.com", "dan@example.com"]
        .iter()
        .map(|owner| waiting(&ada.by(owner), &run))
        .collect();
    ada.ok(&["unlock", "hero.psd"]);
    for (child, _) in waiters {
        Run::from(child.wait_with_output().unwrap()).ended(0);
    }
    assert_eq!(ada.locks(), []);
}
