//! `git latch unlock`

use serde_json::json;

use crate::support::Sandbox;

#[test]
fn a_lock_is_given_back_and_its_directories_with_it() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "scenes/town.tscn"]);
    let unlocked = ada.json(&["unlock", "scenes/town.tscn"]);
    assert_eq!(unlocked["unlocked"][0]["path"], "scenes/town.tscn");
    assert_eq!(unlocked["refused"], json!([]));
    assert_eq!(ada.locks(), []);
    assert!(!ada.path.join(".git/latch/locks/scenes").exists());
}

#[test]
fn what_is_free_is_not_held_and_what_is_anothers_is_held() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let free = ada.json(&["unlock", "hero.psd"]);
    assert_eq!(free["refused"][0]["code"], "not_held");
    ada.latch(&["unlock", "hero.psd"]).ended(3);
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    ada.latch(&["unlock", "hero.psd"])
        .ended(1)
        .said("locked by bob@example.com")
        .said("git latch unlock --force -m WHY hero.psd");
    ada.ok(&["unlock", "--force", "-m", "in need", "hero.psd"]);
    assert_eq!(ada.locks(), []);
}

#[test]
fn one_that_was_removed_by_force_is_lost_for_its_holder() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bob = ada.by("bob@example.com");
    bob.ok(&["lock", "hero.psd"]);
    ada.ok(&["unlock", "--force", "-m", "in need", "hero.psd"]);
    let lost = bob.json(&["unlock", "hero.psd"]);
    assert_eq!(lost["refused"][0]["code"], "lost");
    bob.latch(&["unlock", "hero.psd"])
        .ended(3)
        .said("is not locked");
}

#[test]
fn uncommitted_changes_keep_the_lock() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd", "scenes"]);
    ada.write("hero.psd", "two\n");
    ada.write("scenes/new.tscn", "new\n");
    let refused = ada.json(&["unlock", "hero.psd", "scenes/"]);
    let codes: Vec<&str> = refused["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["unpushed", "unpushed"]);
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "-m", "two"]);
    ada.ok(&["unlock", "hero.psd", "scenes/"]);
}

#[test]
fn force_gives_back_what_has_changes() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    ada.write("hero.psd", "two\n");
    ada.latch(&["unlock", "hero.psd"])
        .ended(1)
        .said("not committed");
    ada.ok(&["unlock", "--force", "hero.psd"]);
    assert_eq!(ada.locks(), []);
}

#[test]
fn all_means_all_of_mine_here() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd", "scenes"]);
    ada.by("bob@example.com").ok(&["lock", "notes.txt"]);
    ada.worktree("elsewhere").ok(&["lock", "--new", "other"]);
    ada.ok(&["unlock", "--all"]);
    let left: Vec<String> = ada.locks().into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, ["notes.txt", "other"]);
    assert!(
        ada.ok(&["unlock", "--all"])
            .stdout
            .contains("you have no locks")
    );
}

#[test]
fn a_lease_is_given_back_by_its_id() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let locked = ada.json(&["lock", "hero.psd"]);
    let lease = locked["locked"][0]["lease"].as_str().unwrap().to_owned();
    ada.ok(&["unlock", "--id", &lease]);
    assert_eq!(ada.locks(), []);
    let unknown = ada.json(&["unlock", "--id", &lease]);
    assert_eq!(unknown["error"]["code"], "not_held");
}

#[test]
fn a_pattern_means_the_locked_ones() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "scenes/town.tscn", "notes.txt"]);
    let unlocked = ada.json(&["unlock", "*.tscn"]);
    assert_eq!(unlocked["unlocked"].as_array().unwrap().len(), 1);
    assert_eq!(unlocked["refused"], json!([]));
    ada.latch(&["unlock", "*.tscn"])
        .ended(3)
        .said("no locks match `*.tscn`");
}

#[test]
fn each_path_is_given_back_for_itself_and_the_worst_decides() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    ada.by("bob@example.com").ok(&["lock", "notes.txt"]);
    let answer = ada
        .latch(&["--json", "unlock", "hero.psd", "notes.txt", "scenes/"])
        .ended(3);
    assert_eq!(answer.json()["unlocked"].as_array().unwrap().len(), 1);
    assert_eq!(answer.json()["refused"].as_array().unwrap().len(), 2);
}

#[test]
fn a_path_inside_a_locked_directory_is_not_given_back_alone() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "scenes"]);
    ada.latch(&["unlock", "scenes/town.tscn"])
        .ended(3)
        .said("your lock on scenes/ covers it")
        .said("git latch unlock scenes");
}

#[test]
fn the_next_step_names_every_path_that_it_is_for() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bob = ada.by("bob@example.com");
    bob.ok(&["lock", "notes.txt", "scenes/town.tscn"]);
    ada.ok(&["lock", "hero.psd"]);
    ada.write("hero.psd", "two\n");
    let paths = ["hero.psd", "notes.txt", "scenes/town.tscn"];
    for command in [&["unlock"][..], &["lock"]] {
        let others = [command, &["notes.txt", "scenes/town.tscn"]].concat();
        ada.latch(&others)
            .ended(1)
            .said(" notes.txt scenes/town.tscn");
    }
    // Another step is not for the same command.
    let mixed = ada.latch(&[&["unlock"][..], &paths].concat()).ended(1);
    let hint = mixed.stderr.lines().last().unwrap();
    assert!(
        hint.ends_with("git latch unlock --force hero.psd"),
        "{mixed:?}"
    );
    ada.write("scenes/cave.tscn", "two\n");
    ada.latch(&["renew", "scenes/town.tscn", "notes.txt"])
        .ended(3)
        .said("--wait scenes/town.tscn notes.txt");
}

#[test]
fn twenty_paths_are_enough_for_one_next_step() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let names: Vec<String> = (10..40).map(|n| format!("file{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bob = ada.by("bob@example.com");
    bob.ok(&[&["lock", "--new"][..], &names].concat());
    let refused = ada.latch(&[&["unlock"][..], &names].concat()).ended(1);
    let hint = refused.stderr.lines().last().unwrap();
    assert!(hint.ends_with(" file28 file29"), "{refused:?}");
}
