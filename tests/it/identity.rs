//! Who is me: spelling, nesting by `/`, and what is mine to do with whose lock.

use crate::support::{Run, Sandbox, Tree};

/// A command as an agent below the configured person.
fn agent(tree: &Tree<'_>, name: &str, arguments: &[&str]) -> Run {
    let mut command = tree.command(crate::support::LATCH);
    Run::of(command.env("GIT_LATCH_AGENT", name).args(arguments))
}

/// Commits a new text as somebody.
fn commit(tree: &Tree<'_>, name: Option<&str>, file: &str) -> Run {
    tree.write(file, &format!("by {name:?}\n"));
    let mut command = tree.command("git");
    if let Some(name) = name {
        command.env("GIT_LATCH_AGENT", name);
    }
    Run::of(command.args(["commit", "-q", "-m", "work", "--", file]))
}

#[test]
fn what_my_agent_holds_is_mine_to_commit_renew_and_unlock() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    agent(&ada, "s1", &["lock", "hero.psd"]).ended(0);
    commit(&ada, None, "hero.psd").ended(0);
    ada.ok(&["renew", "hero.psd"]);
    assert_eq!(ada.json(&["list"])["locks"][0]["mine"], true);
    assert_eq!(ada.json(&["status"])["mine"][0]["path"], "hero.psd");
    ada.ok(&["unlock", "hero.psd"]);
    assert_eq!(ada.locks(), []);
    // Whoever had it hears that it is gone.
    agent(&ada, "s1", &["list"])
        .ended(0)
        .said("your lock on hero.psd was removed");
}

#[test]
fn siblings_are_strangers_and_a_child_does_not_own_what_its_parent_holds() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    agent(&ada, "s1", &["lock", "hero.psd"]).ended(0);
    ada.ok(&["lock", "notes.txt"]);
    commit(&ada, Some("s2"), "hero.psd").ended(1);
    commit(&ada, Some("s1"), "notes.txt").ended(1);
    commit(&ada, Some("s10"), "hero.psd").ended(1);
    for (name, path) in [
        ("s2", "hero.psd"),
        ("s1", "notes.txt"),
        ("s1/x", "hero.psd"),
    ] {
        agent(&ada, name, &["unlock", path]).ended(1);
        agent(&ada, name, &["renew", path]).ended(3);
        agent(&ada, name, &["lock", path]).ended(1);
    }
    assert_eq!(ada.locks().len(), 2);
}

#[test]
fn what_my_agent_holds_is_not_locked_twice_but_taken_over_without_a_reason() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    agent(&ada, "s1", &["lock", "scenes/town.tscn"]).ended(0);
    for path in ["scenes/town.tscn", "scenes"] {
        let refused = ada.latch(&["lock", path]).ended(1);
        assert!(
            refused
                .stderr
                .contains("Ada <ada@example.com/s1>, below you"),
            "{refused:?}"
        );
        assert!(
            refused.stderr.contains("git latch lock --steal"),
            "{refused:?}"
        );
    }
    ada.ok(&["lock", "--steal", "scenes/town.tscn"]);
    assert_eq!(ada.locks()[0].1, "ada@example.com");
    agent(&ada, "s1", &["list"]).ended(0).said("was taken over");
}

#[test]
fn what_my_agent_holds_in_another_working_tree_is_not_mine_to_commit() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    let linked = ada.worktree("linked");
    agent(&linked, "s1", &["lock", "hero.psd"]).ended(0);
    commit(&ada, None, "hero.psd").ended(1);
    ada.latch(&["unlock", "hero.psd"]).ended(1);
    commit(&linked, None, "hero.psd").ended(0);
}

#[test]
fn blanks_and_case_of_a_mail_address_make_nobody_else() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    ada.git(&["config", "user.email", " <ada@example.com> "]);
    ada.ok(&["lock", "hero.psd"]);
    assert_eq!(ada.locks()[0].1, "ada@example.com");
    ada.git(&["config", "user.email", "Ada@Example.COM"]);
    let again = ada.json(&["lock", "hero.psd"]);
    assert_eq!(again["locked"][0]["outcome"], "renewed");
    commit(&ada, None, "hero.psd").ended(0);
    let of = |id: &str| {
        ada.json(&["list", "--owner", id])["locks"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((of("ADA@example.com"), of("bob@example.com")), (1, 0));
    ada.ok(&["unlock", "hero.psd"]);
    // As shown it is as it was given.
    ada.ok(&["lock", "hero.psd"]);
    assert_eq!(ada.locks()[0].1, "Ada@Example.COM");
    let elsewhere = ada.worktree("linked");
    let refused = elsewhere
        .latch(&["--as", "ada@EXAMPLE.com", "lock", "hero.psd"])
        .ended(1);
    assert!(
        refused.stderr.contains("by you, in another working tree"),
        "{refused:?}"
    );
}
