//! Killed at every step: no torn lock, no lost lock, all or nothing, and nothing that blocks the next command.

use serde_json::Value;

use crate::support::halt::Halt;
use crate::support::{LATCH, Run, Sandbox, Tree};

/// The steps of a change at which a test build can be killed; the second pass of a step where it has several.
const STEPS: [&str; 8] = [
    "guard.taken",
    "change.decided",
    "change.staged",
    "change.journaled",
    "change.step",
    "change.step#2",
    "change.published",
    "change.done",
];

/// Runs `git latch` and kills it at a step; says whether it came that far.
fn killed_at(step: &str, tree: &Tree<'_>, arguments: &[&str]) -> bool {
    let mut command = tree.command(LATCH);
    let run = Run::of(command.env("GIT_LATCH_FAULT", step).args(arguments));
    assert!(run.code == 137 || run.code == 0, "{step}: {run:?}");
    run.code == 137
}

/// Everything that `list` says of the locks, which fails if one of them is torn.
fn state(tree: &Tree<'_>) -> Vec<(String, String, String)> {
    let listed = tree.json(&["list"]);
    let text = |value: &Value| {
        value
            .as_str()
            .unwrap_or_else(|| panic!("{listed}"))
            .to_owned()
    };
    let locks = listed["locks"].as_array().unwrap();
    locks
        .iter()
        .map(|l| (text(&l["path"]), text(&l["owner"]["id"]), text(&l["lease"])))
        .collect()
}

/// Nothing is left over: the guard is free, no journal, no temporary file outlives the next change.
fn next_command_works(tree: &Tree<'_>) {
    tree.by("next@example.com").ok(&["lock", "--new", "next"]);
    tree.by("next@example.com").ok(&["unlock", "next"]);
    assert!(!tree.path.join(".git/latch/txn").exists());
    assert_eq!(
        std::fs::read_dir(tree.path.join(".git/latch/tmp"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn acquiring_one_path_happens_or_does_not() {
    for step in STEPS {
        let sandbox = Sandbox::new();
        let ada = sandbox.repo();
        let was_killed = killed_at(step, &ada, &["lock", "hero.psd"]);
        let after = state(&ada);
        assert!(after.len() <= 1, "{step}: {after:?}");
        assert!(was_killed || after.len() == 1, "{step}: {after:?}");
        next_command_works(&ada);
        assert_eq!(state(&ada), after, "{step}");
        ada.ok(&["lock", "hero.psd"]);
        assert_eq!(
            ada.json(&["status"])["lost"],
            serde_json::json!([]),
            "{step}"
        );
    }
}

#[test]
fn acquiring_a_set_happens_wholly_or_not_at_all() {
    for step in STEPS {
        let sandbox = Sandbox::new();
        let ada = sandbox.repo();
        killed_at(
            step,
            &ada,
            &["lock", "hero.psd", "notes.txt", "scenes/town.tscn"],
        );
        let after = state(&ada);
        assert!([0, 3].contains(&after.len()), "{step}: {after:?}");
        next_command_works(&ada);
        assert_eq!(state(&ada), after, "{step}");
        assert_eq!(
            ada.json(&["status"])["lost"],
            serde_json::json!([]),
            "{step}"
        );
        ada.ok(&["lock", "hero.psd", "notes.txt", "scenes/town.tscn"]);
    }
}

#[test]
fn stealing_leaves_the_old_holder_or_the_new_one() {
    for step in STEPS {
        let sandbox = Sandbox::new();
        let ada = sandbox.repo();
        let bob = ada.by("bob@example.com");
        ada.ok(&["lock", "hero.psd", "scenes/town.tscn", "scenes/cave.tscn"]);
        let before = state(&ada);
        killed_at(
            step,
            &bob,
            &["lock", "--steal", "-m", "due", "hero.psd", "scenes"],
        );
        let after = state(&ada);
        let owners: Vec<&str> = after.iter().map(|(_, owner, _)| owner.as_str()).collect();
        assert!(
            after == before || owners == ["bob@example.com"; 2],
            "{step}: {after:?}"
        );
        next_command_works(&ada);
        assert_eq!(state(&ada), after, "{step}");
    }
}

#[test]
fn releasing_a_set_loses_nothing_that_was_not_given_back() {
    for step in STEPS {
        let sandbox = Sandbox::new();
        let ada = sandbox.repo();
        ada.by("bob@example.com").ok(&["lock", "notes.txt"]);
        ada.ok(&["lock", "hero.psd", "scenes/town.tscn"]);
        let before = state(&ada);
        killed_at(step, &ada, &["unlock", "hero.psd", "scenes/town.tscn"]);
        let after = state(&ada);
        assert!(after == before || after.len() == 1, "{step}: {after:?}");
        next_command_works(&ada);
        assert_eq!(state(&ada), after, "{step}");
        ada.latch(&["unlock", "hero.psd", "scenes/town.tscn"]);
        assert_eq!(state(&ada).len(), 1, "{step}");
    }
}

#[test]
fn renewing_keeps_every_lease() {
    for step in STEPS {
        let sandbox = Sandbox::new();
        let ada = sandbox.repo();
        ada.ok(&["lock", "hero.psd", "scenes/town.tscn"]);
        let before = state(&ada);
        killed_at(step, &ada, &["renew"]);
        assert_eq!(state(&ada), before, "{step}");
        next_command_works(&ada);
        assert_eq!(state(&ada), before, "{step}");
        ada.ok(&["renew"]);
    }
}

#[test]
fn after_a_half_done_change_the_next_one_works() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    assert!(killed_at(
        "change.step",
        &ada,
        &["lock", "hero.psd", "notes.txt"]
    ));
    assert!(ada.path.join(".git/latch/txn").exists());
    ada.by("bob@example.com")
        .ok(&["lock", "hero.psd", "notes.txt"]);
    assert_eq!(state(&ada).len(), 2);
}

#[test]
fn undoing_may_be_killed_as_well() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.by("bob@example.com").ok(&["lock", "notes.txt"]);
    let before = state(&ada);
    assert!(killed_at(
        "change.step#2",
        &ada,
        &[
            "lock",
            "--steal",
            "-m",
            "due",
            "hero.psd",
            "notes.txt",
            "scenes"
        ]
    ));
    assert!(killed_at("undo.step", &ada, &["list"]));
    assert!(killed_at(
        "undo.step#2",
        &ada,
        &["lock", "scenes/cave.tscn"]
    ));
    assert_eq!(state(&ada), before);
    next_command_works(&ada);
}

#[test]
fn every_step_is_really_reached() {
    let sandbox = Sandbox::new();
    for step in STEPS {
        let ada = sandbox.init(step);
        ada.write("a", "");
        ada.write("b", "");
        assert!(killed_at(step, &ada, &["lock", "a", "b"]), "{step}");
    }
}

#[test]
fn a_killed_thief_was_never_there_for_anybody() {
    for step in ["change.journaled", "change.step", "change.published"] {
        let sandbox = Sandbox::new();
        let ada = sandbox.repo();
        ada.ok(&["lock", "hero.psd", "scenes/town.tscn", "scenes/cave.tscn"]);
        let before = state(&ada);
        let halt = Halt::at(&sandbox, step);
        let mut steal = ada.by("bob@example.com").command(LATCH);
        halt.tell(&mut steal);
        let mut thief = steal
            .args(["lock", "--steal", "-m", "due", "hero.psd", "scenes"])
            .spawn()
            .unwrap();
        halt.reached();
        for path in ["hero.psd", "scenes/town.tscn", "scenes/cave.tscn"] {
            ada.by("carol").latch(&["check", path]).ended(1);
        }
        assert_eq!(state(&ada), before, "{step}");
        // It waits for its turn, and has seen what there is by then.
        let renew = ada.command(LATCH).arg("renew").spawn().unwrap();
        thief.kill().unwrap();
        thief.wait().unwrap();
        Run::from(renew.wait_with_output().unwrap()).ended(0);
        assert_eq!(state(&ada), before, "{step}");
        let lost = &ada.json(&["status"])["lost"];
        assert_eq!(lost, &serde_json::json!([]), "{step}");
    }
}

#[test]
fn a_lock_that_is_over_comes_back_as_old_as_it_was() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".latch.toml", "[lease]\nclock_skew = \"0s\"\n");
    ada.ok(&["lock", "hero.psd", "--ttl", "5s"]);
    let file = ada.path.join(".git/latch/locks/hero.psd.lock");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    std::fs::File::open(&file)
        .unwrap()
        .set_modified(old)
        .unwrap();
    let later = |tree: &Tree<'_>, fault: &str, arguments: &[&str]| {
        let mut command = tree.command(LATCH);
        command.env("GIT_LATCH_TEST_CLOCK", "60");
        Run::of(command.env("GIT_LATCH_FAULT", fault).args(arguments))
    };
    let bob = ada.by("bob@example.com");
    later(&bob, "change.step", &["lock", "hero.psd", "notes.txt"]).ended(137);
    assert!(later(&bob, "", &["list"]).stdout.is_empty());
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), old);
    later(&bob, "", &["lock", "hero.psd"]).ended(0);
}

#[test]
fn a_reader_meanwhile_sees_locks_whole() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let halt = sandbox.path().join("halt");
    std::fs::create_dir(&halt).unwrap();
    let mut change = ada
        .command(LATCH)
        .env("GIT_LATCH_FAULT", format!("change.step={}", halt.display()))
        .args(["lock", "hero.psd", "notes.txt"])
        .spawn()
        .unwrap();
    crate::support::eventually("it halts", || halt.join("reached").exists());
    assert!(state(&ada).len() <= 2);
    ada.by("bob@example.com").ok(&["check", "scenes/town.tscn"]);
    std::fs::write(halt.join("go"), "").unwrap();
    assert!(change.wait().unwrap().success());
    assert_eq!(state(&ada).len(), 2);
}

#[test]
fn what_changes_hands_is_never_free_for_who_reads_the_files() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.by("bob@example.com").ok(&["lock", "scenes/town.tscn"]);
    let steal = ["lock", "--steal", "-m", "due", "scenes"];
    assert!(killed_at("change.step", &ada, &steal));
    let is_there = |file| ada.path.join(".git/latch/locks/scenes").join(file).exists();
    assert!(is_there(".lock") && is_there("town.tscn.lock"));
}
