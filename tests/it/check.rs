//! `git latch check`

use serde_json::json;

use crate::support::Sandbox;

#[test]
fn it_judges_the_index_as_the_hook_would() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    assert_eq!(ada.json(&["check"]), json!({"ok": true, "violations": []}));
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    ada.write("hero.psd", "two\n");
    ada.ok(&["check", "--staged"]);
    ada.git(&["add", "."]);
    let answer = ada.latch(&["--json", "check"]).ended(1).json();
    assert_eq!(answer["ok"], false);
    assert_eq!(answer["violations"][0]["path"], "hero.psd");
    assert_eq!(answer["violations"][0]["code"], "held");
    assert_eq!(
        answer["violations"][0]["holder"]["owner"]["id"],
        "bob@example.com"
    );
    assert_eq!(answer["error"]["code"], "held");
}

#[test]
fn it_judges_paths_as_if_they_were_edited() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".latch.toml", "[require]\npatterns = [\"*.psd\"]\n");
    ada.by("bob@example.com").ok(&["lock", "scenes"]);
    let answer = ada.json(&["check", "hero.psd", "notes.txt", "scenes/not yet"]);
    let found: Vec<_> = answer["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (v["path"].as_str().unwrap(), v["code"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [("hero.psd", "required"), ("scenes/not yet", "held")]
    );
}

#[test]
fn in_a_range_each_commit_is_judged_as_its_author() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let commit = |author: &str, file: &str| {
        ada.write(file, &format!("by {author}\n"));
        ada.git(&["add", "."]);
        let author = format!("Somebody <{author}>");
        ada.git(&["commit", "-q", "--author", &author, "-m", "edit"]);
    };
    ada.by("bob@example.com").ok(&["lock", "hero.psd"]);
    commit("bob@example.com", "hero.psd");
    ada.ok(&["check", "--range", "HEAD~1..HEAD"]);
    commit("carol@example.com", "hero.psd");
    let answer = ada
        .latch(&["--json", "check", "--range", "HEAD~2..HEAD"])
        .ended(1)
        .json();
    let head = ada.git(&["rev-parse", "HEAD"]);
    assert_eq!(answer["violations"][0]["commit"], head.trim());
    ada.latch(&["check", "--range", "nonsense..HEAD"])
        .ended(2)
        .said("invalid commit range");
}

#[test]
fn on_a_build_server_a_range_is_judged_without_a_name_by_locks_fetched_now() {
    let sandbox = Sandbox::new();
    let (ada, bob) = crate::support::clones::two(&sandbox);
    ada.git(&["add", ".latch.toml"]);
    ada.git(&["commit", "-q", "-m", "policy"]);
    ada.git(&["push", "-q", "origin", "main"]);
    std::fs::remove_file(bob.path.join(".latch.toml")).unwrap();
    bob.git(&["pull", "-q"]);
    bob.git(&["switch", "-q", "-c", "topic"]);
    bob.write("hero.psd", "two\n");
    bob.git(&["commit", "-qam", "two", "--author", "Bob <bob@example.com>"]);
    bob.git(&["push", "-q", "origin", "topic"]);
    ada.ok(&["lock", "hero.psd"]);
    let bare = sandbox.path().join("remote.git");
    let server = sandbox.tree("server");
    ada.git(&[
        "clone",
        "-q",
        "-b",
        "topic",
        bare.to_str().unwrap(),
        server.path.to_str().unwrap(),
    ]);
    let mut command = server.command(crate::support::LATCH);
    command.args(["check", "--range", "origin/main..HEAD"]);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null");
    let run = crate::support::Run::of(&mut command).ended(1);
    assert!(run.stdout.contains("locked by Ada"), "{run:?}");
    ada.ok(&["unlock", "hero.psd"]);
    crate::support::Run::of(&mut command).ended(0);
}
