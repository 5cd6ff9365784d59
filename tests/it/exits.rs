//! Exit codes, the keys of a command that failed, and what wrong use is told.

use serde_json::json;

use crate::support::Sandbox;

#[test]
fn outside_a_repository_the_keys_are_those_of_the_command_that_was_asked() {
    let sandbox = Sandbox::new();
    let nowhere = sandbox.tree("lock");
    std::fs::create_dir_all(nowhere.path.join("status")).unwrap();
    let nowhere = sandbox.tree("");
    for (arguments, keys) in [
        (
            &["--json", "-C", "lock", "list"][..],
            &["locks", "seq", "as_of"][..],
        ),
        (
            &["-C", "lock", "--json", "status", "lock"],
            &["mine", "blocking", "lost"],
        ),
        (
            &["--as", "check", "unlock", "list", "--json"],
            &["unlocked", "refused"],
        ),
        (
            &["--color", "never", "--as=log", "--json", "renew"],
            &["renewed", "lost", "refused"],
        ),
        (&["--json", "check", "sync"], &["ok", "violations"]),
        (
            &["--json", "run", "list", "--", "lock"],
            &["locked", "refused"],
        ),
    ] {
        let object = nowhere.latch(arguments).json();
        for key in keys {
            assert!(object.get(key).is_some(), "{key}: {arguments:?}: {object}");
        }
        assert_eq!(object["error"]["code"], "not_a_repository", "{arguments:?}");
        assert_eq!(
            object.as_object().unwrap().len(),
            keys.len() + 1,
            "{arguments:?}: {object}"
        );
    }
    let wrong = nowhere
        .latch(&["--json", "-C", "lock", "list", "--bogus"])
        .ended(2)
        .json();
    assert_eq!(wrong["locks"], json!([]));
    assert_eq!(wrong["error"]["hint"], "see `git latch help list`");
}

#[test]
fn run_that_does_not_start_its_command_ends_with_125() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    let touch = ["--", "touch", "done"];
    for arguments in [
        &["run", "hero.psd"][..],
        &["run", "nowhere"],
        &["run", "--ttl", "soon", "notes.txt"],
        &["run", "--wait=1s", "hero.psd"],
        &["run"],
    ] {
        ada.latch(&[arguments, &touch].concat()).ended(125);
    }
    ada.latch(&["run", "notes.txt", "--", "./nowhere"])
        .ended(125);
    ada.latch(&["run", "notes.txt"]).ended(125);
    ada.write(".latch.toml", "nonsense\n");
    ada.latch(&[&["run", "notes.txt"], &touch[..]].concat())
        .ended(125);
    sandbox
        .tree("")
        .latch(&[&["run", "x"], &touch[..]].concat())
        .ended(125);
    assert!(!ada.path.join("done").exists());
    let refused = ada.by("carol@example.com");
    std::fs::remove_file(ada.path.join(".latch.toml")).unwrap();
    let refused = refused.json(&["run", "hero.psd", "--", "true"]);
    assert_eq!(refused["refused"][0]["code"], "held");
    // Its own code is its own.
    ada.latch(&["run", "notes.txt", "--", "sh", "-c", "exit 5"])
        .ended(5);
}

#[test]
fn doctor_ends_with_1_where_something_is_wrong() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    ada.ok(&["doctor"]);
    std::fs::remove_file(ada.path.join(".locks")).unwrap();
    std::fs::write(ada.path.join(".locks"), "mine\n").unwrap();
    let wrong = ada.latch(&["--json", "doctor"]).ended(1).json();
    assert_eq!(wrong["ok"], false);
    ada.latch(&["doctor", "--bogus"]).ended(2);
    sandbox.tree("").latch(&["doctor"]).ended(2);
}

#[test]
fn without_a_command_it_helps_as_git_does() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let help = ada.latch::<&str>(&[]).ended(1);
    assert!(help.stdout.contains("Usage: git latch"), "{help:?}");
    assert_eq!(help.stderr, "");
    assert_eq!(ada.json(&[])["error"]["code"], "bad_usage");
}

#[test]
fn unlock_of_nothing_names_all() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.latch(&["unlock"])
        .ended(2)
        .said("hint: name paths, or")
        .said("git latch unlock --all");
    let json = ada.json(&["unlock"]);
    assert_eq!(json["error"]["code"], "bad_usage");
}

#[test]
fn a_length_that_is_not_joined_to_wait_is_no_path() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    for more in [&[][..], &["--new"]] {
        let lock = [&["lock", "--wait", "2s", "hero.psd"][..], more].concat();
        ada.latch(&lock)
            .ended(2)
            .said("hint: attach the duration to the flag: --wait=2s");
    }
    assert_eq!(ada.locks(), []);
    ada.write("2s", "a file\n");
    ada.ok(&["lock", "--wait", "2s", "hero.psd"]);
}

#[test]
fn lengths_are_typed_as_people_do() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    for (typed, seconds) in [("1h30m", 5400), ("1w", 604_800), ("2w", 1_209_600)] {
        let path = format!("{typed}.psd");
        let locked = ada.json(&["lock", "--new", "--ttl", typed, &path]);
        assert_eq!(locked["locked"][0]["ttl_seconds"], seconds, "{typed}");
        ada.ok(&["renew", "--ttl", typed, &path]);
    }
    ada.latch(&["lock", "--ttl", "30m1h", "hero.psd"])
        .ended(2)
        .said("`1h30m` or `2w`");
}
