//! `git latch lock`

use serde_json::json;

use crate::support::Sandbox;

#[test]
fn the_second_one_is_told_who_why_since_and_until_when() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd", "-m", "retopology"]);
    let bob = ada.by("bob@example.com");
    let refused = bob.latch(&["lock", "hero.psd"]).ended(1);
    for word in [
        "hero.psd is locked by Ada <ada@example.com>",
        "since just now",
        "in 24 h",
        "\"retopology\"",
        "--wait hero.psd",
    ] {
        assert!(refused.stderr.contains(word), "{word}: {refused:?}");
    }
    let refused = bob.json(&["lock", "hero.psd"]);
    assert_eq!(refused["locked"], json!([]));
    assert_eq!(
        refused["refused"][0]["holder"]["owner"]["id"],
        "ada@example.com"
    );
    assert_eq!(refused["error"]["code"], "held");
}
