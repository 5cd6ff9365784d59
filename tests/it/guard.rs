//! The guard removed, replaced or kept, while commands are inside or wait for it.

use std::fs::{self, File};
use std::process::{Child, Stdio};

use crate::support::halt::Halt;
use crate::support::{LATCH, Run, Sandbox, Tree, eventually};

fn spawn(tree: &Tree<'_>, halt: Option<&Halt>, arguments: &[&str]) -> Child {
    let mut command = tree.command(LATCH);
    if let Some(halt) = halt {
        halt.tell(&mut command);
    }
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn ended(child: Child, code: i32) -> Run {
    Run::from(child.wait_with_output().unwrap()).ended(code)
}

#[test]
fn a_guard_removed_while_somebody_is_inside_makes_no_second_holder() {
    // Before the first step, between look and step, and when all is published.
    for step in ["change.decided", "change.checked", "change.published"] {
        let sandbox = Sandbox::new();
        let ada = sandbox.repo();
        let bob = ada.by("bob@example.com");
        let halt = Halt::at(&sandbox, step);
        let inside = spawn(&ada, Some(&halt), &["lock", "scenes/town.tscn", "hero.psd"]);
        halt.reached();
        fs::remove_file(ada.path.join(".git/latch/guard")).unwrap();
        let late = bob.latch(&["lock", "scenes"]);
        assert!(matches!(late.code, 0 | 1), "{step}: {late:?}");
        halt.go();
        let first = Run::from(inside.wait_with_output().unwrap());
        assert_eq!(first.code + late.code, 1, "{step}: {first:?} {late:?}");
        let holder = if first.code == 0 { "ada" } else { "bob" };
        let locks = ada.locks();
        assert!(
            !locks.is_empty() && locks.iter().all(|(_, owner)| owner.starts_with(holder)),
            "{step}: {locks:?}"
        );
    }
}

#[test]
fn a_guard_replaced_while_somebody_takes_it_admits_nobody_by_the_old_one() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "notes.txt"]);
    let halt = Halt::at(&sandbox, "guard.opened");
    // Bound to its process: of the guards, it takes this one only.
    let run = ["run", "hero.psd", "--", "true"];
    let late = spawn(&ada, Some(&halt), &run);
    halt.reached();
    let guard = ada.path.join(".git/latch/guard");
    fs::remove_file(&guard).unwrap();
    // Somebody is inside by the new one until this is dropped.
    let inside = File::create(&guard).unwrap();
    inside.lock().unwrap();
    let theirs = ada.path.join(".git/latch/tmp/new-theirs.tmp");
    fs::write(&theirs, "").unwrap();
    halt.go();
    let told = format!("{}", late.id());
    // It waits for the new one: nothing is published.
    let mut late = late;
    for _ in 0..20 {
        assert!(late.try_wait().unwrap().is_none());
        assert!(!ada.path.join(".git/latch/locks/hero.psd.lock").exists());
        ada.ok(&["check", "hero.psd"]);
        assert!(theirs.exists(), "what is inside is not cleaned away");
    }
    assert!(!fs::read_to_string(&guard).unwrap().contains(&told));
    drop(inside);
    ended(late, 0);
}

#[test]
fn who_waits_for_a_lock_waits_for_the_guard_as_well_and_not_longer() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "notes.txt"]);
    let guard = File::open(ada.path.join(".git/latch/guard")).unwrap();
    guard.lock().unwrap();
    let patient = |limit: &str| {
        let mut command = ada.command(LATCH);
        command
            .env("GIT_LATCH_PATIENCE_MS", "50")
            .args(["lock", limit, "hero.psd"])
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut waiting = patient("--wait=60s");
    // Much longer than a command that does not wait would.
    ended(patient("--wait=1s"), 6).said("guard");
    assert!(waiting.try_wait().unwrap().is_none());
    drop(guard);
    ended(waiting, 0);
    assert_eq!(ada.locks().len(), 2);
}

#[test]
fn an_interrupted_wait_for_the_guard_ends_at_once() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "notes.txt"]);
    let guard = File::open(ada.path.join(".git/latch/guard")).unwrap();
    guard.lock().unwrap();
    let waiting = spawn(&ada, None, &["lock", "--wait=1h", "hero.psd"]);
    let pid = rustix::process::Pid::from_child(&waiting);
    let caught = |status: &str| {
        let mask = status.lines().find_map(|l| l.strip_prefix("SigCgt:"));
        mask.is_some_and(|m| u64::from_str_radix(m.trim(), 16).unwrap() & 2 != 0)
    };
    let status = format!("/proc/{}/status", waiting.id());
    eventually("it catches signals", || {
        caught(&fs::read_to_string(&status).unwrap_or_default())
    });
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    ended(waiting, 130);
}

#[test]
fn uninstall_lets_nobody_take_a_lock_that_goes_with_the_rest() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bob = ada.by("bob@example.com");
    ada.ok(&["init"]);
    ada.ok(&["lock", "notes.txt"]);
    ada.ok(&["unlock", "notes.txt"]);
    let halt = Halt::at(&sandbox, "change.decided");
    let inside = spawn(&bob, Some(&halt), &["lock", "hero.psd"]);
    halt.reached();
    let uninstall = spawn(&ada, None, &["uninstall"]);
    halt.go();
    ended(inside, 0);
    // It was there first: uninstall sees it.
    ended(uninstall, 1).said("hero.psd is held by");
    assert_eq!(bob.locks().len(), 1);
    bob.ok(&["unlock", "hero.psd"]);
    ada.ok(&["uninstall"]);
    assert!(!ada.path.join(".git/latch").exists());
    // Who comes later begins anew.
    bob.ok(&["lock", "hero.psd"]);
    assert_eq!(bob.locks().len(), 1);
}

#[test]
fn who_waits_while_uninstall_removes_everything_takes_a_lock_that_stays() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    ada.ok(&["lock", "notes.txt"]);
    ada.ok(&["unlock", "notes.txt"]);
    let halt = Halt::at(&sandbox, "store.retired");
    let uninstall = spawn(&ada, Some(&halt), &["uninstall"]);
    halt.reached();
    let late = spawn(&ada, None, &["lock", "hero.psd"]);
    let note = ada.path.join(".git/latch/held.toml");
    eventually("the late one has begun", || {
        fs::read_to_string(&note).is_ok_and(|text| text.contains("hero.psd"))
    });
    halt.go();
    ended(uninstall, 0);
    ended(late, 0);
    assert_eq!(ada.locks(), [("hero.psd".into(), "ada@example.com".into())]);
}
