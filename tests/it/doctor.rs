//! `git latch doctor`

use crate::support::Sandbox;

#[test]
fn a_set_up_repository_is_well() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    let answer = ada.json(&["doctor"]);
    assert_eq!(answer["ok"], true, "{answer}");
    assert!(answer.get("error").is_none());
}

#[test]
fn each_thing_that_is_wrong_is_named_with_its_remedy() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    std::fs::remove_file(ada.path.join(".git/hooks/pre-push")).unwrap();
    ada.write(".git/latch/locks/hero.psd.lock", "torn");
    let answer = ada.latch(&["--json", "doctor"]).ended(1).json();
    let wrong: Vec<&str> = answer["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["ok"] == false)
        .map(|check| check["detail"].as_str().unwrap())
        .collect();
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong[0].contains("pre-push"), "{wrong:?}");
    assert!(wrong[1].starts_with("hero.psd is unreadable"), "{wrong:?}");
    assert_eq!(answer["ok"], false);
}

#[test]
fn a_broken_policy_does_not_stop_it() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".latch.toml", "nonsense");
    let answer = ada.latch(&["--json", "doctor"]).ended(1).json();
    assert_eq!(answer["error"]["code"], "bad_policy");
}
