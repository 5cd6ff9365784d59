//! `git latch status`

use serde_json::json;

use crate::support::Sandbox;

#[test]
fn it_shows_mine_what_blocks_me_and_what_i_lost() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bob = ada.by("bob@example.com");
    ada.ok(&["lock", "hero.psd", "scenes/cave.tscn"]);
    bob.ok(&["lock", "notes.txt", "-m", "minutes"]);
    bob.ok(&["lock", "--steal", "-m", "mine now", "scenes/cave.tscn"]);
    ada.write("notes.txt", "two\n");
    let status = ada.json(&["status"]);
    assert_eq!(status["mine"][0]["path"], "hero.psd");
    assert_eq!(status["blocking"][0]["path"], "notes.txt");
    assert_eq!(status["blocking"][0]["holder"]["reason"], "minutes");
    assert_eq!(status["lost"][0]["path"], "scenes/cave.tscn");
    assert_eq!(status["lost"][0]["reason"], "stolen");
    let text = ada.ok(&["status"]).stdout;
    for line in [
        "Locked by you:",
        "Changed by you, locked by others:",
        "Lost:",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn a_lost_lease_stays_listed_until_it_is_locked_or_unlocked() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bob = ada.by("bob@example.com");
    ada.ok(&["lock", "hero.psd", "notes.txt"]);
    bob.ok(&[
        "unlock",
        "--force",
        "-m",
        "in need",
        "hero.psd",
        "notes.txt",
    ]);
    for _ in 0..2 {
        assert_eq!(ada.json(&["status"])["lost"].as_array().unwrap().len(), 2);
    }
    ada.ok(&["lock", "hero.psd"]);
    ada.latch(&["unlock", "notes.txt"]).ended(3);
    assert_eq!(ada.json(&["status"])["lost"], json!([]));
}

#[test]
fn a_path_is_told_with_its_holder_and_untouched_repositories_stay_untouched() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    assert!(
        ada.ok(&["status", "hero.psd"])
            .stdout
            .contains("not locked")
    );
    ada.ok(&["status"]);
    ada.ok(&["list"]);
    assert!(!ada.path.join(".git/latch").exists());
    assert!(!ada.path.join(".locks").exists());
    ada.by("bob@example.com").ok(&["lock", "scenes"]);
    let status = ada.json(&["status", "scenes/town.tscn"]);
    assert_eq!(status["blocking"][0]["holder"]["path"], "scenes");
}

#[test]
fn an_untracked_file_in_anothers_directory_blocks_too() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.by("bob@example.com").ok(&["lock", "scenes"]);
    ada.write("scenes/new file.tscn", "new\n");
    let status = ada.json(&["status"]);
    assert_eq!(status["blocking"][0]["path"], "scenes/new file.tscn");
}

#[test]
fn two_owners_in_one_tree_hear_each_of_their_own_losses() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bob = ada.by("bob@example.com");
    bob.ok(&["lock", "hero.psd"]);
    ada.ok(&["lock", "--steal", "-m", "due", "hero.psd"]);
    assert_eq!(ada.json(&["status"])["lost"], json!([]));
    assert_eq!(bob.json(&["status"])["lost"][0]["path"], "hero.psd");
}

#[test]
fn what_was_edited_without_the_lock_it_requires_is_named_with_the_next_step() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".latch.toml", "[require]\npatterns = [\"*.psd\"]\n");
    ada.write(".gitattributes", "*.tscn lockable\n");
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "-m", "rules"]);
    assert!(!ada.ok(&["status"]).stdout.contains("not locked:"));
    ada.ok(&["lock", "scenes/cave.tscn"]);
    for file in ["hero.psd", "scenes/cave.tscn", "notes.txt", "new.psd"] {
        ada.write(file, "two\n");
    }
    std::fs::remove_file(ada.path.join("scenes/town.tscn")).unwrap();
    ada.git(&["add", "new.psd", "hero.psd"]);
    let text = ada.ok(&["status"]).stdout;
    let (_, told) = text.split_once("Changed by you, not locked:\n").unwrap();
    let lines: Vec<&str> = told.lines().map(str::trim).collect();
    assert!(lines[0].contains("git latch lock <path>..."), "{text}");
    assert_eq!(lines[1..], ["hero.psd", "scenes/town.tscn"]);
    // What another holds is told once.
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    ada.ok(&["lock", "scenes/town.tscn"]);
    assert!(!ada.ok(&["status"]).stdout.contains("not locked:"));
    let keys = ada.json(&["status"]);
    assert_eq!(keys.as_object().unwrap().len(), 3, "{keys}");
}

#[test]
fn what_git_has_staged_of_a_merge_or_as_the_team_has_it_wants_no_lock() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".latch.toml", "[require]\npatterns = [\"*.psd\"]\n");
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "-m", "rules"]);
    ada.git(&["switch", "-q", "-c", "topic"]);
    ada.write("hero.psd", "two\n");
    ada.git(&["commit", "-q", "--no-verify", "-am", "two"]);
    ada.git(&["switch", "-q", "main"]);
    ada.git(&["merge", "-q", "--no-commit", "--no-ff", "topic"]);
    assert!(!ada.ok(&["status"]).stdout.contains("not locked:"));
    ada.write("hero.psd", "by hand\n");
    assert!(ada.ok(&["status"]).stdout.contains("not locked:"));
    ada.git(&["reset", "-q", "--hard"]);
    ada.git(&["branch", "-q", "--set-upstream-to=topic"]);
    ada.git(&["restore", "-s", "topic", "-SW", "hero.psd"]);
    assert!(!ada.ok(&["status"]).stdout.contains("not locked:"));
    ada.write("hero.psd", "by hand\n");
    assert!(ada.ok(&["status"]).stdout.contains("not locked:"));
}
