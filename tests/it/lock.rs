//! `git latch lock`

use serde_json::json;

use crate::support::{Sandbox, eventually};

#[test]
fn the_second_one_is_told_who_why_since_and_until_when() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd", "-m", "retopology"]);
    let bob = ada.by("bob@example.com");
    bob.latch(&["lock", "hero.psd"])
        .ended(1)
        .said("hero.psd is locked by Ada <ada@example.com>")
        .said(", just now, until")
        .said("in 24 h")
        .said("\"retopology\"")
        .said("--wait hero.psd");
    let refused = bob.json(&["lock", "hero.psd"]);
    assert_eq!(refused["locked"], json!([]));
    assert_eq!(
        refused["refused"][0]["holder"]["owner"]["id"],
        "ada@example.com"
    );
    assert_eq!(refused["error"]["code"], "held");
}

#[test]
fn json_has_every_key_of_a_lock() {
    let sandbox = Sandbox::new();
    let locked = sandbox.repo().json(&["lock", "hero.psd", "--ttl", "2h"]);
    let lock = locked["locked"][0].as_object().unwrap();
    let keys: Vec<&str> = lock.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "path",
            "kind",
            "lease",
            "seq",
            "owner",
            "reason",
            "acquired_at",
            "heartbeat_at",
            "expires_at",
            "ttl_seconds",
            "state",
            "mine",
            "outcome"
        ]
    );
    assert_eq!(lock["ttl_seconds"], 7200);
    assert_eq!(lock["outcome"], "acquired");
    assert_eq!(locked["refused"], json!([]));
    assert!(locked.get("error").is_none());
}

#[test]
fn the_lock_file_is_what_the_format_says() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "scenes/town.tscn", "-m", "lights"]);
    let text = ada.read(".locks/scenes/town.tscn.lock");
    let lines: Vec<&str> = text
        .lines()
        .map(|l| l.split(" = ").next().unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            "format",
            "path",
            "kind",
            "lease",
            "seq",
            "reason",
            "acquired_at",
            "heartbeat_at",
            "ttl",
            "",
            "[owner]",
            "id",
            "name",
            "host",
            "workspace"
        ]
    );
    assert!(text.starts_with("format = 1\npath = \"scenes/town.tscn\"\nkind = \"file\"\n"));
}

#[test]
fn locking_again_renews_the_same_lease_and_never_shortens_it() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let first = ada.json(&["lock", "hero.psd", "--ttl", "3h"]);
    let again = ada.json(&["lock", "hero.psd", "--ttl", "1h"]);
    let (first, again) = (&first["locked"][0], &again["locked"][0]);
    assert_eq!(again["outcome"], "renewed");
    assert_eq!(again["lease"], first["lease"]);
    assert_eq!(again["ttl_seconds"], 10_800);
    assert!(again["expires_at"].as_str() >= first["expires_at"].as_str());
}

#[test]
fn several_paths_are_all_or_nothing_unless_partial() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bob = ada.by("bob@example.com");
    bob.ok(&["lock", "notes.txt"]);
    ada.latch(&["lock", "hero.psd", "notes.txt"]).ended(1);
    assert_eq!(
        ada.locks(),
        [("notes.txt".into(), "bob@example.com".into())]
    );
    let partial = ada.json(&["lock", "--partial", "hero.psd", "notes.txt"]);
    assert_eq!(partial["locked"][0]["path"], "hero.psd");
    assert_eq!(partial["refused"][0]["path"], "notes.txt");
    assert_eq!(partial["error"]["code"], "held");
}

#[test]
fn a_directory_holds_everything_below_it() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bob = ada.by("bob@example.com");
    ada.ok(&["lock", "scenes"]);
    bob.latch(&["lock", "scenes/town.tscn"])
        .ended(1)
        .said("scenes/town.tscn lies in scenes/, which is locked by Ada");
    ada.ok(&["lock", "scenes/town.tscn"]);
    bob.ok(&["lock", "hero.psd"]);
    ada.latch(&["lock", "."])
        .ended(1)
        .said(". contains hero.psd, which is locked by bob@example.com");
    assert_eq!(
        ada.read(".locks/scenes/.lock").lines().nth(2),
        Some("kind = \"directory\"")
    );
}

#[test]
fn stealing_wants_a_reason_and_the_robbed_one_hears_of_it() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bob = ada.by("bob@example.com");
    ada.ok(&["lock", "hero.psd"]);
    bob.latch(&["lock", "--steal", "hero.psd"])
        .ended(2)
        .said("needs a reason");
    let stolen = bob.json(&["lock", "--steal", "-m", "release is due", "hero.psd"]);
    assert_eq!(stolen["locked"][0]["outcome"], "stolen");
    ada.ok(&["lock", "notes.txt"])
        .said("hero.psd was taken over")
        .said("release is due");
    let told_once = ada.ok(&["list"]);
    assert!(!told_once.stderr.contains("taken over"), "{told_once:?}");
}

#[test]
fn my_own_lock_elsewhere_is_stolen_without_a_reason() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let elsewhere = ada.worktree("elsewhere");
    ada.ok(&["lock", "hero.psd"]);
    elsewhere
        .latch(&["lock", "hero.psd"])
        .ended(1)
        .said("locked by you, in another working tree (")
        .said(&format!("({})", ada.path.display()))
        .said("git latch lock --steal hero.psd");
    let stolen = elsewhere.json(&["lock", "--steal", "hero.psd"]);
    assert_eq!(stolen["locked"][0]["outcome"], "stolen");
}

#[test]
fn the_policy_says_who_may_steal() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".latch.toml", "[force]\nwho = [\"carol@example.com\"]\n");
    ada.ok(&["lock", "hero.psd"]);
    let steal = ["lock", "--steal", "-m", "now", "hero.psd"];
    let refused = ada.by("bob@example.com").json(&steal);
    assert_eq!(refused["error"]["code"], "forbidden");
    ada.by("carol@example.com/agent-7").ok(&steal);
}

#[test]
fn an_agent_is_another_holder_whom_its_person_may_replace() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mut agent = ada.command(crate::support::LATCH);
    agent
        .env("GIT_LATCH_AGENT", "agent-7")
        .args(["lock", "hero.psd"]);
    assert!(agent.status().unwrap().success());
    assert_eq!(ada.locks()[0].1, "ada@example.com/agent-7");
    ada.latch(&["lock", "hero.psd"]).ended(1);
    ada.ok(&["lock", "--steal", "hero.psd"]);
}

#[test]
fn an_expired_lock_is_free_for_everybody_and_lost_for_its_holder() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".latch.toml", "[lease]\nclock_skew = \"0s\"\n");
    ada.ok(&["lock", "hero.psd", "--ttl", "1s"]);
    let bob = ada.by("bob@example.com");
    eventually("the lock expires", || {
        bob.latch(&["lock", "hero.psd"]).code == 0
    });
    ada.latch(&["renew", "hero.psd"])
        .ended(3)
        .said("expired")
        .said("now it is locked by bob@example.com");
    ada.latch(&["unlock", "hero.psd"]).ended(3);
    assert_eq!(ada.locks(), [("hero.psd".into(), "bob@example.com".into())]);
}

#[test]
fn quiet_says_nothing_but_errors() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let run = ada.ok(&["-q", "lock", "hero.psd"]);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    ada.by("bob@example.com")
        .latch(&["-q", "lock", "hero.psd"])
        .ended(1)
        .said("error: ");
}
