//! Pushes of which the answer is lost, and commands that are killed or meet while our own tip moves.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::support::clones::{clone, remote, two};
use crate::support::history::assert_sane;
use crate::support::wire::{Fault, Wire};
use crate::support::{LATCH, Run, Sandbox, Tree, eventually};

/// Lets pushes into the remote wait for a file after they have said so.
fn waits(sandbox: &Sandbox) {
    let script = "#!/bin/sh\ntouch started\nwhile [ ! -e go ]; do sleep 0.02; done\n";
    sandbox
        .tree("remote.git")
        .write_script("hooks/pre-receive", script);
}

fn flag(sandbox: &Sandbox, name: &str) -> std::path::PathBuf {
    sandbox.path().join("remote.git").join(name)
}

fn start(tree: &Tree<'_>, millis: u32, arguments: &[&str]) -> Child {
    let mut command = tree.command(LATCH);
    command
        .env("GIT_LATCH_DEADLINE_MS", millis.to_string())
        .arg("--json")
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn end(child: Child) -> Run {
    Run::from(child.wait_with_output().unwrap())
}

/// Reaches the remote over a wire.
fn through(tree: &Tree<'_>, wire: &Wire) {
    tree.git(&["remote", "set-url", "origin", &wire.url("remote.git")]);
}

#[test]
fn what_a_killed_command_left_in_our_repository_stops_nothing() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    for left in [
        "refs/latch/tip.lock",
        "packed-refs.lock",
        "config.lock",
        "shallow.lock",
        "HEAD.lock",
        "objects/maintenance.lock",
        "gc.pid",
        "refs/latch/fetching/1.lock",
    ] {
        ada.write(&format!(".git/latch/store.git/{left}"), "");
    }
    ada.ok(&["lock", "notes.txt"]);
    bob.ok(&["lock", "scenes"]);
    ada.ok(&["sync"]);
    assert_eq!(ada.locks().len(), 3);
    ada.write("scenes/town.tscn", "two\n");
    ada.git(&["commit", "-qam", "two", "--no-verify"]);
    assert_ne!(ada.try_git(&["push", "-q", "origin", "main"]).code, 0);
    ada.ok(&["sync", "--reset"]);
    ada.ok(&["unlock", "hero.psd"]);
}

#[test]
fn whoever_is_killed_while_the_tip_moves_has_changed_the_locks_and_goes_on() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    for (n, point) in ["push.returned", "tip.moving", "tip.moved"]
        .iter()
        .enumerate()
    {
        let path = format!("new-{n}");
        let mut command = ada.command(LATCH);
        command.env("GIT_LATCH_FAULT", point);
        assert_eq!(Run::of(command.args(["lock", "--new", &path])).code, 137);
        bob.latch(&["lock", "--new", &path]).ended(1);
        ada.ok(&["sync"]);
        assert_eq!(ada.locks().len(), n + 1);
        let again = ada.json(&["lock", "--new", &path]);
        assert_eq!(again["locked"][0]["outcome"], "renewed", "{again}");
    }
    assert_sane(&sandbox.tree("remote.git"));
}

#[test]
fn commands_of_one_clone_that_meet_all_get_their_answer() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let work = "for n in 1 2 3 4; do \"$0\" -q lock --new own-$1 || exit $?; \
        \"$0\" -q sync || exit $?; \"$0\" -q unlock own-$1 || exit $?; done";
    let start = |tree: &Tree<'_>, n: usize| {
        let mut command = tree.command("sh");
        command.args(["-c", work, LATCH, &n.to_string()]);
        command.spawn().unwrap()
    };
    let mut children: Vec<Child> = (0..4).map(|n| start(&ada, n)).collect();
    children.push(start(&bob, 9));
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    ada.ok(&["sync"]);
    assert_eq!(ada.locks(), []);
    assert_sane(&sandbox.tree("remote.git"));
}

#[test]
fn a_push_that_lands_after_its_connection_broke_is_no_refusal() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    waits(&sandbox);
    let started = flag(&sandbox, "started");
    let mut is_first = true;
    let wire = Wire::serve(&sandbox, move |_, is_push| {
        let is_cut = is_push && std::mem::take(&mut is_first);
        is_cut.then(|| Fault::CutWhen(started.clone()))
    });
    through(&ada, &wire);
    let unlock = start(&ada, 60_000, &["unlock", "hero.psd"]);
    eventually("it is pushed again", || wire.pushes() == 2);
    fs::write(flag(&sandbox, "go"), "").unwrap();
    let run = end(unlock).ended(0);
    assert_eq!(run.json()["unlocked"][0]["path"], "hero.psd");
    bob.ok(&["lock", "hero.psd"]);
    assert_eq!(assert_sane(&sandbox.tree("remote.git")), 3);
}

/// A wire on which every push is cut once the remote is at it.
fn cut_when_pushing(sandbox: &Sandbox) -> Wire {
    waits(sandbox);
    let started = flag(sandbox, "started");
    Wire::serve(sandbox, move |_, is_push| {
        is_push.then(|| Fault::CutWhen(started.clone()))
    })
}

#[test]
fn an_unlock_of_which_nobody_knows_counts_as_given_back() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    let wire = cut_when_pushing(&sandbox);
    through(&ada, &wire);
    let run = end(start(&ada, 8000, &["unlock", "hero.psd"])).ended(4);
    assert_eq!(run.json()["error"]["code"], "unknown");
    assert!(!ada.read(".git/latch/held.toml").contains("hero.psd"));
    fs::write(flag(&sandbox, "go"), "").unwrap();
    eventually("it arrives", || {
        bob.ok(&["sync"]).code == 0 && bob.locks().is_empty()
    });
    bob.ok(&["lock", "hero.psd"]);
    ada.ok(&["sync"]).said("releases hero.psd");
    let told = ada.ok(&["sync"]);
    assert!(!told.stderr.contains("hero.psd"), "told once: {told:?}");
    assert_eq!(ada.json(&["status"])["lost"], serde_json::json!([]));
}

#[test]
fn a_lock_of_which_nobody_knows_counts_as_not_taken_and_is_settled_by_the_next_fetch() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let wire = cut_when_pushing(&sandbox);
    through(&ada, &wire);
    let run = end(start(&ada, 8000, &["lock", "hero.psd"])).ended(4);
    let answer = run.json();
    assert_eq!(answer["error"]["code"], "unknown", "{answer}");
    assert_eq!(answer["locked"], serde_json::json!([]));
    // It never comes: the remote's end dies over it, and somebody else goes on from where it was to begin.
    let bare = sandbox.tree("remote.git");
    bare.write_script("hooks/pre-receive", "#!/bin/sh\nexit 1\n");
    fs::write(flag(&sandbox, "go"), "").unwrap();
    fs::remove_file(bare.path.join("hooks/pre-receive")).unwrap();
    let settled = |word: &str| {
        let run = ada.ok(&["sync"]);
        run.stderr.contains(word).then_some(run)
    };
    eventually("it is settled", || {
        let _ = bob.latch(&["lock", "--new", "other"]);
        settled("takes hero.psd").is_some()
    });
    assert_sane(&bare);
}

#[test]
fn what_the_remote_says_no_to_in_so_many_words_is_refused() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    let script = "#!/bin/sh\necho 'not on a Sunday' >&2\nexit 1\n";
    let bare = sandbox.tree("remote.git");
    bare.write_script("hooks/pre-receive", script);
    let answer = ada.latch(&["--json", "lock", "hero.psd"]).ended(4).json();
    assert_eq!(answer["error"]["code"], "refused");
    assert!(!Path::new(&ada.path.join(".git/latch/pending.toml")).exists());
}

#[test]
fn what_follows_a_change_that_landed_is_no_reason_to_fail() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let ada = clone(&sandbox, "ada");
    ada.ok(&["lock", "notes.txt"]);
    // What notes when the locks were fetched, and the copy for people, cannot be written.
    for name in ["synced", "shown", "push"] {
        let file = ada.path.join(".git/latch").join(name);
        let _ = fs::remove_file(&file);
        fs::create_dir_all(file.join("in the way")).unwrap();
    }
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["unlock", "hero.psd"]);
    for name in ["synced", "shown", "push"] {
        fs::remove_dir_all(ada.path.join(".git/latch").join(name)).unwrap();
    }
    ada.ok(&["sync"]);
    assert_eq!(ada.locks().len(), 1);
}
