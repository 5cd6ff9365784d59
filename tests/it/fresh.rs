//! Who asks who holds what gets a fresh answer, and an older one says its age.

use std::time::Instant;

use crate::support::clones::two;
use crate::support::{LATCH, Run, Sandbox, Tree};

/// What a command says, so many seconds from now.
fn later(tree: &Tree<'_>, seconds: i64, arguments: &[&str]) -> Run {
    let clock = tree.sandbox.clock();
    clock.set(seconds);
    Run::of(clock.of(tree.command(LATCH).args(arguments)))
}

const QUESTIONS: [&[&str]; 3] = [&["list"], &["status", "hero.psd"], &["check", "hero.psd"]];

fn knows_of_bob(run: &Run) -> bool {
    [&run.stdout, &run.stderr]
        .iter()
        .any(|text| text.contains("bob@example.com"))
}

#[test]
fn a_question_half_a_minute_later_asks_the_remote() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    for (n, question) in (1i64..).zip(QUESTIONS) {
        later(&ada, n * 1000, &["sync"]).ended(0);
        later(&bob, n * 1000, &["lock", "hero.psd"]).ended(0);
        // Within half a minute what was fetched is good enough, and no word is lost about it.
        let soon = later(&ada, n * 1000 + 20, question);
        assert!(
            !knows_of_bob(&soon) && !soon.stderr.contains("fetched"),
            "{soon:?}"
        );
        let cached = later(&ada, n * 1000 + 45, &[question, &["--cached"]].concat());
        assert!(!knows_of_bob(&cached), "{cached:?}");
        cached.said("the locks of `origin` were last fetched 4");
        let fresh = later(&ada, n * 1000 + 45, question);
        assert!(
            knows_of_bob(&fresh) && !fresh.stderr.contains("were last fetched"),
            "{fresh:?}"
        );
        later(&bob, n * 1000 + 50, &["unlock", "hero.psd"]).ended(0);
    }
}

#[test]
fn an_old_answer_says_its_age_wherever_it_is_given() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    bob.ok(&["lock", "hero.psd"]);
    ada.ok(&["sync"]);
    std::fs::rename(
        sandbox.path().join("remote.git"),
        sandbox.path().join("gone"),
    )
    .unwrap();
    for question in QUESTIONS {
        let run = later(&ada, 100, question);
        assert!(knows_of_bob(&run), "{run:?}");
        run.said("the remote `origin` cannot be reached")
            .said("were last fetched 2 min ago");
    }
    for question in [&["status"][..], &["check"]] {
        later(&ada, 100, question).said("were last fetched 2 min ago");
    }
    ada.write("hero.psd", "two\n");
    ada.git(&["add", "hero.psd"]);
    let clock = sandbox.clock();
    clock.set(100);
    let commit = Run::of(clock.of(ada.command("git").args(["commit", "-q", "-m", "two"])));
    commit.ended(1).said("were last fetched 2 min ago");
}

#[test]
fn a_program_is_told_as_of_when_the_locks_are_so() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    let synced = ada.json(&["sync"])["as_of"].clone();
    let listed = later(&ada, 100, &["--json", "list", "--cached"]).json();
    let (synced, listed) = (synced.as_str().unwrap(), listed["as_of"].as_str().unwrap());
    assert_eq!(synced[..16], listed[..16]);
}

#[test]
fn a_commit_and_a_look_at_ones_own_ask_nobody() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    bob.ok(&["lock", "hero.psd"]);
    let before = later(&ada, 1000, &["status"]);
    assert!(!knows_of_bob(&before));
    ada.write("hero.psd", "two\n");
    ada.git(&["add", "hero.psd"]);
    let clock = sandbox.clock();
    clock.set(1000);
    Run::of(clock.of(ada.command("git").args(["commit", "-q", "-m", "two"]))).ended(0);
}

#[test]
fn a_remote_that_does_not_answer_costs_a_question_two_seconds() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    ada.write_script("deaf", "#!/bin/sh\nexec sleep 600\n");
    ada.git(&["remote", "set-url", "origin", "ssh://host/repo"]);
    ada.git(&[
        "config",
        "core.sshCommand",
        ada.path.join("deaf").to_str().unwrap(),
    ]);
    let began = Instant::now();
    later(&ada, 100, &["list"])
        .ended(0)
        .said("were last fetched");
    // The limit itself, and not the ten minutes; a busy machine may take its time.
    assert!(began.elapsed().as_secs() < 60);
}
