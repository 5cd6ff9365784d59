//! Processes in other pid namespaces: what cannot be seen is not dead, and what is seen there is not believed blindly.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::{LATCH, Run, Sandbox, Tree};

/// Whether this system lets us make pid namespaces; says so where it does not.
fn can_unshare(tree: &Tree<'_>) -> bool {
    let mut command = tree.command("unshare");
    let made = Run::of(command.args(["--pid", "--mount", "--fork", "true"]));
    if made.code != 0 {
        eprintln!("skipped: no pid namespaces can be made here: {made:?}");
    }
    made.code == 0
}

/// Starts `git latch run hero.psd` in a pid namespace of its own, whose `/proc` is still that of the outer one.
fn run_apart(tree: &Tree<'_>, script: &str) -> (Child, String) {
    let mut run = tree
        .command("unshare")
        .args(["--pid", "--fork", "--kill-child", LATCH])
        .args(["run", "hero.psd", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let stdout = run.stdout.as_mut().unwrap();
    BufReader::new(stdout).read_line(&mut said).unwrap();
    (run, said)
}

#[test]
fn a_run_of_mine_in_another_pid_namespace_is_in_progress_and_keeps_its_lock() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    if !can_unshare(&ada) {
        return;
    }
    let (mut run, _) = run_apart(&ada, "echo begun; read line; exit 0");
    let before = ada.json(&["list"])["locks"].clone();
    for (arguments, code) in [
        (&["run", "hero.psd", "--", "true"][..], 125),
        (&["lock", "hero.psd"], 1),
        (&["unlock", "hero.psd"], 1),
    ] {
        ada.latch(arguments)
            .ended(code)
            .said("in progress here: held by you, in process 1, which cannot be seen from here");
    }
    ada.ok(&["unlock", "--all"]);
    ada.ok(&["renew"]);
    assert_eq!(ada.json(&["list"])["locks"], before);
    drop(run.stdin.take());
    Run::from(run.wait_with_output().unwrap()).ended(0);
    ada.ok(&["run", "hero.psd", "--", "true"]);
}

#[test]
fn a_run_that_saw_a_foreign_proc_is_not_taken_for_dead_by_who_sees_its_own() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    if !can_unshare(&ada) {
        return;
    }
    // In the run's namespace, with its own `/proc`: there the numbers are right.
    let look = format!(
        "unshare --mount sh -c 'mount -t proc proc /proc && \"{LATCH}\" --json list'; read line"
    );
    let (mut run, said) = run_apart(&ada, &look);
    let listed: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(listed["locks"][0]["path"], "hero.psd", "{listed}");
    drop(run.stdin.take());
    run.wait().unwrap();
}
