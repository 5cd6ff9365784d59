//! `git latch renew`

use serde_json::json;

use crate::support::Sandbox;

#[test]
fn all_of_mine_are_renewed_and_nothing_is_fine_too() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    assert_eq!(
        ada.json(&["renew"]),
        json!({"renewed": [], "lost": [], "refused": []})
    );
    let locked = ada.json(&["lock", "hero.psd", "scenes"]);
    let renewed = ada.json(&["renew"]);
    assert_eq!(renewed["renewed"].as_array().unwrap().len(), 2);
    for (before, after) in [(0, 0), (1, 1)] {
        let (before, after) = (&locked["locked"][before], &renewed["renewed"][after]);
        assert_eq!(before["lease"], after["lease"]);
        assert!(before["heartbeat_at"].as_str() <= after["heartbeat_at"].as_str());
    }
}

#[test]
fn a_ttl_makes_it_longer_and_never_shorter() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd", "--ttl", "2h"]);
    let shorter = ada.json(&["renew", "hero.psd", "--ttl", "1h"]);
    assert_eq!(shorter["renewed"][0]["ttl_seconds"], 7200);
    let longer = ada.json(&["renew", "hero.psd", "--ttl", "3h"]);
    assert_eq!(longer["renewed"][0]["ttl_seconds"], 10_800);
}

#[test]
fn what_is_not_mine_is_not_held() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.latch(&["renew", "hero.psd"])
        .ended(3)
        .said("is not locked");
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    let refused = ada.json(&["renew", "hero.psd"]);
    assert_eq!(refused["error"]["code"], "not_held");
    assert_eq!(
        refused["refused"][0]["holder"]["owner"]["id"],
        "bob@example.com"
    );
}

#[test]
fn a_stolen_one_is_lost_and_told_once_by_renewing_all() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    ada.by("bob@example.com")
        .ok(&["lock", "--steal", "-m", "due", "hero.psd"]);
    let lost = ada.latch(&["--json", "renew"]).ended(3).json();
    assert_eq!(lost["lost"][0]["path"], "hero.psd");
    assert_eq!(lost["lost"][0]["reason"], "stolen");
    assert_eq!(lost["lost"][0]["by"]["owner"]["id"], "bob@example.com");
    assert_eq!(lost["error"]["code"], "lost");
    ada.ok(&["renew"]);
    assert_eq!(ada.locks()[0].1, "bob@example.com");
}
