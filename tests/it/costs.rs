//! What a command looks at: nothing twice, and no git where the answer needs none. Seen by `strace`, where it is there.

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::{LATCH, Run, Sandbox, Tree};

/// How often each file that tells of locks was opened for reading, and how many programs ran.
#[derive(Debug, Default)]
struct Trace {
    files: BTreeMap<String, usize>,
    programs: usize,
}

impl Trace {
    /// Of `git latch` with these arguments; `None` where nobody can trace here.
    fn of(tree: &Tree<'_>, arguments: &[&str]) -> Option<(Self, Run)> {
        Self::fed(tree, arguments, "")
    }

    /// The same, with this on standard input.
    fn fed(tree: &Tree<'_>, arguments: &[&str], input: &str) -> Option<(Self, Run)> {
        let file = tree.sandbox.path().join("trace");
        let can_trace = Command::new("strace")
            .args(["-o", "/dev/null", "true"])
            .output();
        if !can_trace.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: strace is not there, or may not trace");
            return None;
        }
        let mut strace = tree.command("strace");
        strace.args(["-f", "-qq", "-e", "trace=openat,execve", "-o"]);
        let strace = strace.arg(&file).arg(LATCH).args(arguments);
        let run = Run::fed(strace, input.as_bytes());
        let text = std::fs::read_to_string(file).unwrap();
        let mut trace = Trace::default();
        for line in text.lines().filter(|line| !line.contains(" = -1 ")) {
            // A call that another process interrupts is told in two lines, of which the second has its end.
            let has_run = line.contains("execve") && line.ends_with(" = 0");
            trace.programs += usize::from(has_run);
            let path = line.split('"').nth(1).unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            let is_told = [".latch.toml", "held.toml", "workspace.toml", "attributes"];
            let is_lock = path.contains("/latch/locks/") && name.contains(".lock");
            if line.contains("O_RDONLY") && (is_told.contains(&name) || is_lock) {
                *trace.files.entry(name.to_owned()).or_default() += 1;
            }
        }
        Some((trace, run))
    }

    fn opened(&self, name: &str) -> usize {
        self.files.get(name).copied().unwrap_or_default()
    }
}

fn prepared(sandbox: &Sandbox) -> Tree<'_> {
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "-m", "policy"]);
    ada.ok(&["lock", "hero.psd"]);
    ada.write("hero.psd", "two\n");
    ada.git(&["add", "."]);
    ada
}

#[test]
fn a_hook_that_has_nothing_to_say_runs_no_git_and_reads_each_file_once() {
    let sandbox = Sandbox::new();
    let ada = prepared(&sandbox);
    for hook in ["pre-commit", "post-checkout", "post-merge"] {
        let Some((trace, run)) = Trace::of(&ada, &["hook", hook, "a", "b", "1"]) else {
            return;
        };
        assert_eq!((run.code, trace.programs), (0, 1), "{run:?}");
        assert!(trace.files.values().all(|times| *times == 1), "{trace:?}");
    }
}

#[test]
fn a_rejected_commit_reads_policy_locks_and_record_once() {
    let sandbox = Sandbox::new();
    let ada = prepared(&sandbox);
    ada.by("bob@example.com").ok(&["lock", "notes.txt"]);
    ada.write("notes.txt", "two\n");
    ada.git(&["add", "."]);
    let Some((trace, run)) = Trace::of(&ada, &["hook", "pre-commit"]) else {
        return;
    };
    assert_eq!(run.code, 1, "{run:?}");
    for file in [
        ".latch.toml",
        "held.toml",
        "workspace.toml",
        "hero.psd.lock",
        "notes.txt.lock",
    ] {
        assert_eq!(trace.opened(file), 1, "{file}: {trace:?}");
    }
    // Ours, git's configuration, the index against HEAD, and against the upstream.
    assert_eq!(trace.programs, 4, "{trace:?}");
}

#[test]
fn a_lock_reads_the_policy_once_and_asks_git_once() {
    let sandbox = Sandbox::new();
    let ada = prepared(&sandbox);
    let Some((trace, run)) = Trace::of(&ada, &["lock", "notes.txt"]) else {
        return;
    };
    assert_eq!((run.code, trace.opened(".latch.toml")), (0, 1), "{trace:?}");
}

/// The push of the last commit, traced.
fn pushing(ada: &Tree<'_>) -> Option<(Trace, Run)> {
    let (new, old) = (
        ada.git(&["rev-parse", "HEAD"]),
        ada.git(&["rev-parse", "HEAD~"]),
    );
    let (new, old) = (new.trim(), old.trim());
    let line = format!("refs/heads/main {new} refs/heads/main {old}\n");
    Trace::fed(ada, &["hook", "pre-push", "origin", "/nowhere"], &line)
}

#[test]
fn a_push_of_what_nobody_else_has_locked_runs_no_git() {
    let sandbox = Sandbox::new();
    let ada = prepared(&sandbox);
    ada.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    ada.git(&["commit", "-q", "-m", "mine"]);
    let bob = ada.by("bob@example.com");
    bob.ok(&["lock", "scenes"]);
    let Some((trace, run)) = pushing(&ada) else {
        return;
    };
    assert_eq!((run.code, trace.programs), (0, 1), "{run:?}");
    assert!(trace.files.values().all(|times| *times == 1), "{trace:?}");
    // More than are looked at first.
    let names: Vec<String> = (0..20).map(|n| format!("other/{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    bob.ok(&[&["lock", "--new"], &names[..]].concat());
    ada.by("bob@example.com").ok(&["lock", "--new", "later"]);
    let Some((trace, run)) = pushing(&ada) else {
        return;
    };
    assert_eq!((run.code, trace.programs), (0, 1), "{run:?}");
}

#[test]
fn a_push_of_what_another_has_locked_is_rejected_by_what_was_read_once() {
    let sandbox = Sandbox::new();
    let ada = prepared(&sandbox);
    ada.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    ada.by("bob@example.com").ok(&["lock", "notes.txt"]);
    ada.write("notes.txt", "two\n");
    ada.git(&["commit", "-q", "--no-verify", "-a", "-m", "slipped"]);
    let Some((trace, run)) = pushing(&ada) else {
        return;
    };
    assert_eq!(run.code, 1, "{run:?}");
    assert!(trace.files.values().all(|times| *times == 1), "{trace:?}");
    // Ours, git's configuration, and what is unchanged at the tip: the commits, and their difference.
    assert_eq!(trace.programs, 4, "{trace:?}");
}
