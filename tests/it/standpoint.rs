//! What is printed can be used as input: paths and hints are called from where the user stands.

use crate::support::{Run, Sandbox, Tree};

/// A repository in whose folder `art/props` Ada stands, while Bob has locks elsewhere.
fn studio(sandbox: &Sandbox) -> Tree<'_> {
    let repo = sandbox.repo();
    for file in [
        "art/hero.psd",
        "art/my file.psd",
        "art/-x",
        "art/props/cup.psd",
        "d/f",
    ] {
        repo.write(file, "one\n");
    }
    repo.ok(&["init", "-q"]);
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "two"]);
    repo
}

/// The last command that a hint names.
fn command_of(run: &Run) -> String {
    let hint = run.stderr.lines().find(|line| line.starts_with("hint:"));
    let hint = hint.unwrap_or_else(|| panic!("no hint: {run:?}"));
    let at = hint.rfind("git latch ").unwrap_or_else(|| panic!("{hint}"));
    hint[at..].trim_end_matches([')', '`']).to_owned()
}

/// Runs a line as the user would who copies it.
fn copied(tree: &Tree<'_>, line: &str) -> Run {
    Run::of(tree.command("sh").args(["-c", line]))
}

#[test]
fn what_is_listed_is_called_from_where_one_stands_and_can_be_given_back() {
    let sandbox = Sandbox::new();
    let repo = studio(&sandbox);
    let props = repo.inside("art/props");
    props.ok(&[
        "lock",
        "../hero.psd",
        "../my file.psd",
        "../-x",
        "cup.psd",
        "../../d",
        "../../notes.txt",
    ]);
    let listed = props.ok(&["list"]).stdout;
    let names: Vec<&str> = listed
        .lines()
        .filter_map(|l| l.split("  ").next())
        .collect();
    let expected = [
        "../-x",
        "../hero.psd",
        "'../my file.psd'",
        "cup.psd",
        "../../d/",
        "../../notes.txt",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        copied(&props, &format!("git latch unlock {}", names.join(" "))).code,
        0
    );
    assert_eq!(repo.locks(), []);
}

#[test]
fn programs_are_told_paths_from_the_root() {
    let sandbox = Sandbox::new();
    let repo = studio(&sandbox);
    let props = repo.inside("art/props");
    props.ok(&["lock", "cup.psd"]);
    assert_eq!(
        props.json(&["list"])["locks"][0]["path"],
        "art/props/cup.psd"
    );
    assert_eq!(
        props.json(&["status", "cup.psd"])["mine"][0]["path"],
        "art/props/cup.psd"
    );
    let refused = props.by("bob@example.com").json(&["lock", "cup.psd"]);
    assert_eq!(refused["refused"][0]["path"], "art/props/cup.psd");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("cup.psd is locked"), "{message}");
}

#[test]
fn the_hint_of_a_refusal_works_where_it_was_given() {
    let sandbox = Sandbox::new();
    let repo = studio(&sandbox);
    let props = repo.inside("art/props");
    let bob = props.by("bob@example.com");
    bob.ok(&["lock", "../my file.psd", "../-x", "../../d"]);
    for path in ["../my file.psd", "../-x", "../../d"] {
        let refused = props.latch(&["lock", path]).ended(1);
        assert_eq!(copied(&props, &command_of(&refused)).code, 0, "{refused:?}");
    }
    props.write("../my file.psd", "two\n");
    let refused = props.latch(&["unlock", "../my file.psd"]).ended(1);
    assert_eq!(copied(&props, &command_of(&refused)).code, 0, "{refused:?}");
    let free = props.latch(&["renew", "../my file.psd"]).ended(3);
    assert_eq!(copied(&props, &command_of(&free)).code, 0, "{free:?}");
}

#[test]
fn a_hook_tells_who_commits_in_a_sub_folder() {
    let sandbox = Sandbox::new();
    let repo = studio(&sandbox);
    repo.write(".latch.toml", "[require]\npatterns = [\"*.psd\"]\n");
    let props = repo.inside("art/props");
    props.write("../my file.psd", "two\n");
    props.git(&["add", "-u", "."]);
    props.git(&["add", "-u", ".."]);
    let rejected = props.try_git(&["commit", "-q", "-m", "three"]).ended(1);
    let rejected = rejected.said("  '../my file.psd': may only be edited under your lock");
    assert_eq!(
        copied(&props, &command_of(&rejected)).code,
        0,
        "{rejected:?}"
    );
    props.git(&["commit", "-q", "-m", "three"]);

    props.by("bob@example.com").ok(&["lock", "../../d"]);
    props.write("../../d/f", "two\n");
    props.git(&["add", "../../d/f"]);
    let rejected = props.try_git(&["commit", "-q", "-m", "four"]).ended(1);
    let rejected = rejected.said("  ../../d/f: locked with ../../d/ by bob@example.com");
    rejected.said("git restore --staged ../../d/f");
    assert_eq!(copied(&props, "git restore --staged ../../d/f").code, 0);
    props.git(&["commit", "-q", "--allow-empty", "-m", "four"]);
}

#[test]
fn a_push_is_rejected_in_the_words_of_where_one_stands() {
    let sandbox = Sandbox::new();
    let repo = studio(&sandbox);
    sandbox
        .init("remote.git")
        .git(&["config", "core.bare", "true"]);
    let remote = sandbox.path().join("remote.git");
    repo.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
    repo.git(&["push", "-q", "origin", "main:base"]);
    let props = repo.inside("art/props");
    props.write("../hero.psd", "two\n");
    props.git(&["commit", "-qam", "three"]);
    props.by("bob@example.com").ok(&["lock", "../hero.psd"]);
    let rejected = props.try_git(&["push", "origin", "main"]).ended(1);
    rejected
        .said("  ../hero.psd (commit")
        .said("git latch lock --wait ../hero.psd");
}

#[test]
fn a_repository_within_is_named_from_where_one_stands() {
    let sandbox = Sandbox::new();
    let repo = studio(&sandbox);
    repo.git(&["init", "-q", "the tools"]);
    let props = repo.inside("art/props");
    let refused = props.latch(&["lock", "../../the tools/x"]).ended(2);
    refused.said("`git -C '../../the tools' latch …`");
}

#[test]
fn the_next_step_of_init_works_in_a_sub_folder() {
    let sandbox = Sandbox::new();
    let scenes = sandbox.repo().inside("scenes");
    let run = scenes.ok(&["init"]);
    let next = run
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("next: "));
    assert_eq!(copied(&scenes, next.unwrap()).code, 0, "{run:?}");
}
