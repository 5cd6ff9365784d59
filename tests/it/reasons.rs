//! Who ended somebody's lock, and in whose words: told everywhere, and never in those of the one who lost it.

use serde_json::json;

use crate::support::clones::two;
use crate::support::stream::Stream;
use crate::support::{LATCH, Sandbox, Tree};

/// Ada's lock on `hero.psd`, with her reason, and Bob in the same working tree.
fn locked(sandbox: &Sandbox) -> (Tree<'_>, Tree<'_>) {
    let ada = sandbox.repo();
    ada.ok(&["lock", "-m", "retopology", "hero.psd"]);
    let bob = ada.by("bob@example.com");
    (ada, bob)
}

/// The line of `log` that has a word.
fn logged(tree: &Tree<'_>, word: &str) -> String {
    let log = tree.ok(&["log"]).stdout;
    let line = log.lines().find(|line| line.contains(word));
    let line = line.unwrap_or_else(|| panic!("{word}: {log}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn another_persons_lock_is_not_taken_away_without_a_word() {
    let sandbox = Sandbox::new();
    let (ada, bob) = locked(&sandbox);
    for arguments in [
        &["unlock", "--force", "hero.psd"][..],
        &["unlock", "--force", "-m", " ", "hero.psd"],
    ] {
        let refused = bob.latch(arguments).ended(2);
        refused
            .said("hint: give a reason")
            .said("git latch unlock --force -m WHY hero.psd");
    }
    bob.latch(&["unlock", "-m", "in need", "hero.psd"]).ended(2);
    assert_eq!(ada.locks().len(), 1);
    // One's own needs none, also in another working tree.
    ada.worktree("elsewhere")
        .ok(&["unlock", "--force", "hero.psd"]);
    assert_eq!(ada.locks(), []);
}

#[test]
fn who_took_a_lock_away_and_why_is_told_to_who_had_it() {
    let sandbox = Sandbox::new();
    let (ada, bob) = locked(&sandbox);
    bob.ok(&["unlock", "--force", "-m", "release day", "hero.psd"]);
    let words = "your lock on hero.psd was removed just now by bob@example.com, \"release day\"; nobody has it now";
    ada.ok(&["lock", "notes.txt"]).said(words);
    let status = ada.ok(&["status"]);
    assert!(status.stdout.contains(words), "{status:?}");
    let lost = &ada.json(&["status"])["lost"][0];
    assert_eq!(lost["reason"], "removed");
    assert_eq!(lost["ended_by"]["id"], "bob@example.com");
    assert_eq!(lost["note"], "release day");
    assert_eq!(lost.get("by"), None);
    // Who came in since is not who took it away.
    ada.by("carol@example.com").ok(&["lock", "hero.psd"]);
    let status = ada.ok(&["status"]).stdout;
    assert!(
        status.contains("\"release day\"; now it is locked by carol@example.com"),
        "{status}"
    );
    assert_eq!(
        ada.json(&["status"])["lost"][0]["by"]["owner"]["id"],
        "carol@example.com"
    );
}

#[test]
fn the_log_tells_the_words_of_who_did_it() {
    let sandbox = Sandbox::new();
    let (ada, bob) = locked(&sandbox);
    bob.ok(&["unlock", "--force", "-m", "release day", "hero.psd"]);
    let line = logged(&ada, "unlocked");
    assert!(
        line.contains("by bob@example.com from Ada <ada@example.com> \"release day\""),
        "{line}"
    );
    assert!(!line.contains("retopology"), "{line}");
    let event = &ada.json(&["log"])["events"][0];
    assert_eq!(event["by"]["id"], "bob@example.com");
    assert_eq!(event["note"], "release day");
    assert_eq!(event["lock"]["reason"], "retopology");
}

#[test]
fn a_clone_hears_from_the_history_who_took_its_lock_away() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "-m", "retopology", "hero.psd"]);
    bob.latch(&["unlock", "--force", "hero.psd"]).ended(2);
    bob.ok(&["unlock", "--force", "-m", "release day", "hero.psd"]);
    ada.ok(&["sync"])
        .said("was removed just now by bob@example.com, \"release day\"");
    let line = logged(&ada, "unlocked");
    assert!(
        line.contains("\"release day\"") && !line.contains("retopology"),
        "{line}"
    );
    assert_eq!(ada.json(&["status"])["lost"][0]["note"], "release day");
}

#[test]
fn a_thief_who_has_left_again_is_still_known() {
    let sandbox = Sandbox::new();
    let (ada, bob) = locked(&sandbox);
    bob.ok(&["lock", "--steal", "-m", "release day", "hero.psd"]);
    bob.ok(&["unlock", "hero.psd"]);
    let status = ada.ok(&["status"]).stdout;
    let words =
        "hero.psd was taken over just now by bob@example.com, \"release day\"; nobody has it now";
    assert!(status.contains(words), "{status}");
    assert_eq!(ada.json(&["status"])["lost"][0]["reason"], "stolen");
}

#[test]
fn a_file_that_went_with_its_directory_is_told_with_the_reason() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "-m", "night shift", "scenes/cave.tscn"]);
    ada.by("bob@example.com")
        .ok(&["lock", "--steal", "-m", "release day", "scenes"]);
    let line = logged(&ada, "unlocked");
    assert!(
        line.contains("by bob@example.com") && line.contains("\"release day\""),
        "{line}"
    );
}

#[test]
fn watch_tells_who_took_a_lock_away_and_why() {
    let sandbox = Sandbox::new();
    let (ada, bob) = locked(&sandbox);
    let mut watch = Stream::start(ada.command(LATCH).args(["--json", "watch"]));
    watch.says("watching");
    bob.ok(&["unlock", "--force", "-m", "release day", "hero.psd"]);
    let event = watch.tells_in_the_end("unlocked", "hero.psd");
    assert_eq!(event["by"]["id"], "bob@example.com");
    assert_eq!(event["note"], "release day");
}

#[test]
fn to_lock_again_with_a_reason_gives_the_lock_that_reason() {
    let sandbox = Sandbox::new();
    let (ada, _) = locked(&sandbox);
    let lease = ada.json(&["list"])["locks"][0]["lease"].clone();
    ada.ok(&["lock", "hero.psd"]);
    assert_eq!(ada.json(&["list"])["locks"][0]["reason"], "retopology");
    ada.ok(&["lock", "-m", "rigging", "hero.psd"]);
    let lock = &ada.json(&["list"])["locks"][0];
    assert_eq!(
        (&lock["reason"], &lock["lease"]),
        (&json!("rigging"), &lease)
    );
}
