//! What arguments mean where something is locked already: directories and patterns mean what they cover, in every
//! command; a link means what it leads to as well; what is nowhere is said to be nowhere.

use serde_json::{Value, json};

use crate::support::{Sandbox, Tree};

/// A repository in which Bob holds `scenes/town.tscn`, and a new file in it; Ada nothing.
fn held_by_bob(sandbox: &Sandbox) -> Tree<'_> {
    let ada = sandbox.repo();
    ada.by("bob@example.com")
        .ok(&["lock", "--new", "scenes/town.tscn", "scenes/new.tscn"]);
    ada
}

fn paths(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap();
    list.iter().map(|v| v["path"].as_str().unwrap()).collect()
}

#[test]
fn check_judges_everything_that_directories_and_patterns_cover() {
    let sandbox = Sandbox::new();
    let ada = held_by_bob(&sandbox);
    let both = ["scenes/new.tscn", "scenes/town.tscn"];
    for argument in ["scenes", "scenes/", ".", "scenes/*", "*.tscn", "*"] {
        let answer = ada.latch(&["--json", "check", argument]).ended(1).json();
        assert_eq!(paths(&answer["violations"]), both, "{argument}");
        assert_eq!(answer["error"]["code"], "held");
    }
    let inside = ada.inside("scenes");
    for argument in [".", "*.tscn", "../scenes", "t*"] {
        inside.latch(&["check", argument]).ended(1);
    }
    ada.ok(&["check", "hero.psd", "*.psd", "scenes/c*"]);
    // Locked from above, the directory itself is what is held.
    ada.by("bob@example.com")
        .ok(&["unlock", "--all", "--force"]);
    ada.by("bob@example.com").ok(&["lock", "scenes"]);
    assert_eq!(
        paths(&ada.json(&["check", "scenes"])["violations"]),
        ["scenes"]
    );
    assert_eq!(paths(&ada.json(&["check", "."])["violations"]), ["scenes"]);
}

#[test]
fn check_of_a_directory_names_the_files_in_it_that_require_a_lock() {
    let sandbox = Sandbox::new();
    let ada = held_by_bob(&sandbox);
    ada.write(".latch.toml", "[require]\npatterns = [\"*.tscn\"]\n");
    let answer = ada.json(&["check", "scenes"]);
    let violations = answer["violations"].as_array().unwrap();
    let codes: Vec<_> = violations
        .iter()
        .map(|v| (v["path"].clone(), v["code"].clone()))
        .collect();
    assert_eq!(
        codes,
        [
            (json!("scenes/cave.tscn"), json!("required")),
            (json!("scenes/new.tscn"), json!("held")),
            (json!("scenes/town.tscn"), json!("held")),
        ]
    );
    ada.ok(&["lock", "scenes/cave.tscn"]);
    assert_eq!(
        ada.json(&["check", "."])["violations"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn status_of_directories_and_patterns_shows_who_holds_what_in_them() {
    let sandbox = Sandbox::new();
    let ada = held_by_bob(&sandbox);
    for argument in ["scenes", ".", "scenes/*", "*.tscn"] {
        let status = ada.json(&["status", argument]);
        let held = ["scenes/new.tscn", "scenes/town.tscn"];
        assert_eq!(paths(&status["blocking"]), held, "{argument}");
    }
    let text = ada.inside("scenes").ok(&["status", "*"]).stdout;
    assert!(text.contains("bob@example.com"), "{text}");
    let free = ada.ok(&["status", "*.psd"]).stdout;
    assert!(
        free.contains("*.psd") && free.contains("not locked"),
        "{free}"
    );
    // Two files under one lock are two answers.
    ada.by("bob@example.com").ok(&["lock", "scenes"]);
    let status = ada.json(&["status", "scenes/cave.tscn", "scenes/town.tscn"]);
    let held = ["scenes/cave.tscn", "scenes/town.tscn", "scenes/town.tscn"];
    assert_eq!(paths(&status["blocking"]), held);
}

#[test]
fn what_is_neither_there_nor_tracked_nor_locked_is_said_to_be_so() {
    let sandbox = Sandbox::new();
    let ada = held_by_bob(&sandbox);
    let inside = ada.inside("scenes");
    for command in ["status", "check", "unlock", "renew", "checkin"] {
        for argument in ["scenes/town.tscn", "nowhere", "nowhere/"] {
            let said = inside.latch(&[command, argument]).ended(2);
            said.said("no such file or directory, and it is neither tracked nor locked");
        }
        let answer = inside.json(&[command, "nothing*"]);
        assert_eq!(answer["error"]["code"], "bad_path", "{command}");
    }
    // Locked, it is known: on it, above it, below it.
    inside.latch(&["check", "new.tscn"]).ended(1);
    ada.by("bob@example.com")
        .ok(&["lock", "--new", "to come/", "more/to/come.psd"]);
    for argument in ["to come/x.psd", "to come", "more", "more/to/"] {
        ada.latch(&["check", argument]).ended(1);
    }
    // There or tracked, it is known without a lock: deleted, untracked, ignored.
    std::fs::remove_file(ada.path.join("hero.psd")).unwrap();
    ada.write(".git/info/exclude", "ignored\n");
    ada.write("ignored", "one\n");
    ada.write("untracked", "one\n");
    for argument in ["hero.psd", "ignored", "untracked"] {
        ada.ok(&["check", argument]);
        ada.latch(&["unlock", argument]).ended(3);
    }
}

#[test]
fn unlock_and_renew_find_my_locks_in_directories_and_patterns() {
    let sandbox = Sandbox::new();
    for argument in ["scenes", "scenes/", ".", "scenes/*", "*.tscn"] {
        let ada = sandbox.init(&format!("for {}", argument.replace('/', "-")));
        for file in ["scenes/town.tscn", "scenes/cave.tscn", "hero.psd"] {
            ada.write(file, "one\n");
        }
        ada.git(&["add", "."]);
        ada.git(&["commit", "-q", "-m", "one"]);
        ada.by("bob@example.com").ok(&["lock", "scenes/cave.tscn"]);
        let mine = ["scenes/new.tscn", "scenes/town.tscn"];
        ada.ok(&["lock", "--new", "scenes/new.tscn", "scenes/town.tscn"]);
        let renewed = ada.latch(&["--json", "renew", argument]).ended(0).json();
        assert_eq!(paths(&renewed["renewed"]), mine, "{argument}");
        let unlocked = ada.latch(&["--json", "unlock", argument]).ended(0).json();
        assert_eq!(paths(&unlocked["unlocked"]), mine, "{argument}");
        // Nothing of mine is left: whose it is instead.
        ada.latch(&["unlock", argument])
            .ended(1)
            .said("locked by bob@example.com");
        assert_eq!(ada.locks().len(), 1);
        ada.ok(&["unlock", "--force", "-m", "in need", argument]);
        assert_eq!(ada.locks(), [], "{argument}");
        ada.latch(&["unlock", argument]).ended(3);
        ada.latch(&["renew", argument]).ended(3);
    }
}

#[test]
fn a_directory_held_with_files_in_it_is_given_back_whole() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "scenes", "scenes/town.tscn", "hero.psd"]);
    ada.ok(&["unlock", "scenes"]);
    assert_eq!(ada.locks().len(), 1);
    // What was lost in it is forgotten by that, too.
    ada.ok(&["lock", "scenes/town.tscn"]);
    ada.by("bob@example.com")
        .ok(&["lock", "--steal", "-m", "due", "scenes/town.tscn"]);
    ada.latch(&["renew", "scenes"]).ended(3);
    let lost = ada.latch(&["--json", "unlock", "scenes"]).ended(3).json();
    assert_eq!(lost["refused"][0]["code"], "lost");
    assert_eq!(ada.json(&["status"])["lost"], json!([]));
}

#[test]
fn a_link_means_itself_and_what_it_leads_to_in_every_command() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    std::os::unix::fs::symlink("../hero.psd", ada.path.join("scenes/link")).unwrap();
    std::os::unix::fs::symlink("scenes/link", ada.path.join("again")).unwrap();
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "-m", "links"]);
    let bob = ada.by("bob@example.com");
    bob.ok(&["lock", "hero.psd"]);
    for link in ["scenes/link", "again"] {
        ada.latch(&["lock", link])
            .ended(1)
            .said("hero.psd is locked by bob@example.com");
        ada.latch(&["check", link]).ended(1);
        assert_eq!(
            paths(&ada.json(&["status", link])["blocking"]),
            ["hero.psd"]
        );
        ada.latch(&["unlock", link]).ended(1);
    }
    bob.ok(&["unlock", "hero.psd"]);
    let locked = ada.json(&["lock", "again"]);
    assert_eq!(paths(&locked["locked"]), ["hero.psd", "again"]);
    bob.latch(&["lock", "hero.psd"]).ended(1);
    ada.ok(&["renew", "again"]);
    ada.ok(&["unlock", "again"]);
    assert_eq!(ada.locks(), []);
    // One that leads nowhere, or out of the tree, is a path like any other.
    for (name, target) in [("dangling", "nowhere"), ("outside", "/etc/passwd")] {
        std::os::unix::fs::symlink(target, ada.path.join(name)).unwrap();
        assert_eq!(paths(&ada.json(&["lock", name])["locked"]), [name]);
    }
}

#[test]
fn log_knows_what_was_locked_in_directories_and_patterns_however_long_gone() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "--new", "old/part.step", "hero.psd"]);
    ada.ok(&["unlock", "--all"]);
    for argument in ["old", "old/", "old/*", "old/part.step", "*.step"] {
        let told = ada.json(&["log", argument]);
        let events = paths(&told["events"]);
        assert_eq!(events, ["old/part.step", "old/part.step"], "{argument}");
    }
    assert_eq!(paths(&ada.json(&["log", "never"])["events"]).len(), 0);
}
