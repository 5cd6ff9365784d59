//! `git latch sweep`

use serde_json::json;

use crate::support::{Sandbox, eventually};

#[test]
fn only_what_has_expired_is_removed() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".latch.toml", "[lease]\nclock_skew = \"0s\"\n");
    ada.ok(&["lock", "hero.psd", "--ttl", "1s"]);
    ada.ok(&["lock", "notes.txt"]);
    eventually("the lock expires", || ada.locks().len() == 1);
    assert!(ada.path.join(".locks/hero.psd.lock").exists());
    eventually("it is swept", || {
        ada.json(&["sweep"])["swept"] != json!([])
            || !ada.path.join(".locks/hero.psd.lock").exists()
    });
    assert!(!ada.path.join(".locks/hero.psd.lock").exists());
    assert_eq!(
        ada.locks(),
        [("notes.txt".into(), "ada@example.com".into())]
    );
}

#[test]
fn nothing_to_sweep_leaves_no_trace() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    assert_eq!(ada.json(&["sweep"]), json!({"swept": []}));
    assert!(!ada.path.join(".git/latch").exists());
}
