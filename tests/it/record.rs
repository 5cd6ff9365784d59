//! The record of one's own leases, `held.toml`: what a killed command leaves in it, and who waits for it.

use std::fs::File;
use std::process::Stdio;

use serde_json::json;

use crate::support::halt::Halt;
use crate::support::{LATCH, Run, Sandbox, Tree};

/// Runs `git latch` and kills it at a step.
fn killed_at(step: &str, tree: &Tree<'_>, arguments: &[&str]) {
    let mut command = tree.command(LATCH);
    Run::of(command.env("GIT_LATCH_FAULT", step).args(arguments)).ended(137);
}

fn lost(tree: &Tree<'_>) -> Vec<String> {
    let status = tree.json(&["status"]);
    let lost = status["lost"].as_array().unwrap().iter();
    lost.map(|l| l["path"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_killed_unlock_does_not_report_what_it_gave_back_as_lost() {
    for step in [
        "change.decided",
        "change.step",
        "change.step#2",
        "change.done",
    ] {
        let sandbox = Sandbox::new();
        let ada = sandbox.repo();
        let paths = ["hero.psd", "notes.txt"];
        ada.ok(&[&["lock"], &paths[..]].concat());
        killed_at(step, &ada, &[&["unlock"], &paths[..]].concat());
        assert_eq!(lost(&ada), Vec::<String>::new(), "{step}");
        if step != "change.done" {
            assert_eq!(ada.locks().len(), 2, "{step}");
            ada.ok(&["renew"]);
            ada.ok(&[&["unlock"], &paths[..]].concat());
        }
        assert_eq!(lost(&ada), Vec::<String>::new(), "{step}");
    }
}

#[test]
fn what_was_to_be_given_back_and_was_not_can_be_lost_after_the_next_renewal() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    killed_at("change.decided", &ada, &["unlock", "hero.psd"]);
    ada.ok(&["lock", "hero.psd"]);
    ada.by("bob")
        .ok(&["lock", "--steal", "-m", "due", "hero.psd"]);
    assert_eq!(lost(&ada), ["hero.psd"]);
}

#[test]
fn a_lock_whose_command_was_killed_after_it_is_remembered_all_the_same() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    killed_at("change.done", &ada, &["lock", "hero.psd"]);
    assert_eq!(ada.json(&["status"])["mine"][0]["path"], "hero.psd");
    ada.by("bob")
        .ok(&["lock", "--steal", "-m", "due", "hero.psd"]);
    assert_eq!(lost(&ada), ["hero.psd"]);
}

#[test]
fn a_lock_that_never_was_is_not_lost_and_hides_no_loss() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    let bob = ada.by("bob");
    bob.ok(&["lock", "--steal", "-m", "due", "hero.psd"]);
    bob.ok(&["unlock", "hero.psd"]);
    killed_at("change.decided", &ada, &["lock", "hero.psd", "notes.txt"]);
    assert_eq!(lost(&ada), ["hero.psd"]);
    ada.ok(&["lock", "hero.psd"]);
    assert_eq!(lost(&ada), Vec::<String>::new());
}

#[test]
fn who_keeps_the_record_of_one_tree_delays_nobody_else() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    let other = ada.worktree("other");
    let guard = File::open(ada.path.join(".git/latch/held.guard")).unwrap();
    guard.lock().unwrap();
    let patient = |tree: &Tree<'_>, millis: &str, arguments: &[&str]| {
        let mut command = tree.command(LATCH);
        command
            .env("GIT_LATCH_PATIENCE_MS", millis)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut waiting = patient(&ada, "1500", &["lock", "notes.txt"]);
    let mut rounds = 0;
    while waiting.try_wait().unwrap().is_none() {
        for word in ["lock", "unlock"] {
            let run = patient(&other, "100", &[word, "scenes/town.tscn"]);
            Run::from(run.wait_with_output().unwrap()).ended(0);
        }
        // Who only looks in the same tree does not wait either.
        ada.by("bob").ok(&["check", "scenes/cave.tscn"]);
        rounds += 1;
    }
    assert!(rounds > 0);
    Run::from(waiting.wait_with_output().unwrap())
        .ended(6)
        .said("held.guard");
    assert_eq!(ada.locks().len(), 1);
    // What is done is done, whether it can be noted or not.
    let unlock = patient(&ada, "100", &["unlock", "hero.psd"]);
    Run::from(unlock.wait_with_output().unwrap()).ended(0);
    drop(guard);
    ada.ok(&["lock", "notes.txt"]);
}

#[test]
fn unlock_decides_on_what_is_there_when_its_turn_has_come() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bob = ada.by("bob@example.com");
    ada.ok(&["lock", "hero.psd"]);
    let halt = Halt::at(&sandbox, "change.begin");
    let mut unlock = ada.command(LATCH);
    halt.tell(&mut unlock);
    unlock.args(["unlock", "hero.psd"]).stderr(Stdio::piped());
    let unlock = unlock.spawn().unwrap();
    halt.reached();
    bob.ok(&["lock", "--steal", "-m", "due", "hero.psd"]);
    halt.go();
    Run::from(unlock.wait_with_output().unwrap()).ended(3);
    assert_eq!(
        bob.json(&["list"])["locks"][0]["owner"]["id"],
        json!("bob@example.com")
    );
}
