//! `git latch serve` beside git's own upkeep, other servers, and what the dead leave behind.

use std::fmt::Write as _;
use std::fs;

use serde_json::json;

use crate::support::halt::Halt;
use crate::support::server::{again, served, served_with};
use crate::support::{Sandbox, Tree, eventually};

fn bare(sandbox: &Sandbox) -> Tree<'_> {
    sandbox.tree("remote.git")
}

#[test]
fn a_repack_while_a_change_is_written_takes_nothing_away() {
    let sandbox = Sandbox::new();
    let halt = Halt::at(&sandbox, "hosted-packed");
    let server = served_with(&sandbox, |command| halt.tell(command));
    let ada = server.by("ada");
    std::thread::scope(|scope| {
        let locking = scope.spawn(|| ada.lock(&["hero.psd"]).is(201));
        halt.reached();
        bare(&sandbox).git(&["repack", "-q", "-a", "-d"]);
        halt.go();
        locking.join().unwrap();
    });
    bare(&sandbox).git(&["fsck", "--strict"]);
    assert_eq!(ada.listed(""), ["hero.psd"]);
    let kept = fs::read_dir(bare(&sandbox).path.join("objects/pack")).unwrap();
    let is_kept = |file: &fs::DirEntry| file.path().extension().is_some_and(|e| e == "keep");
    assert_eq!(kept.flatten().filter(is_kept).count(), 0);
}

#[test]
fn a_lock_file_that_a_dead_git_has_left_stops_nobody_for_long() {
    let sandbox = Sandbox::new();
    let server = served_with(&sandbox, |command| {
        command.env("GIT_LATCH_LEFT_MS", "300");
        command.env("GIT_LATCH_PATIENCE_MS", "1000");
    });
    server.by("ada").takes("hero.psd");
    let left = bare(&sandbox).path.join("refs/latch/locks.lock");
    fs::write(&left, "").unwrap();
    // While a git is at work there it may be that one's, however long it sleeps.
    let mut working = bare(&sandbox).command("git");
    let mut working = working
        .args(["cat-file", "--batch"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let refused = server.by("ada").lock(&["notes.txt"]);
    let refused = refused.is_problem(503, "busy");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("a git that died"), "{detail}");
    assert!(left.exists());
    drop(working.stdin.take());
    working.wait().unwrap();
    server.by("ada").takes("notes.txt");
    assert!(!left.exists());
}

#[test]
fn a_server_that_starts_again_spares_what_another_one_serves() {
    let sandbox = Sandbox::new();
    let first = served(&sandbox);
    let beats = |command: &mut std::process::Command| {
        command.env("GIT_LATCH_HEARTBEAT_MS", "200");
    };
    let other = again(&sandbox, |_| {});
    let bob = other.by("bob");
    let session = bob.session();
    bob.post("locks", &json!({"paths": ["hero.psd"], "session": session}))
        .is(201);
    first.kill();
    // It does not hear of the session, and has others end after 0.6 s.
    let third = again(&sandbox, beats);
    let own = third.by("ada").session();
    third
        .by("ada")
        .post("locks", &json!({"paths": ["notes.txt"], "session": own}))
        .is(201);
    eventually("the third one's own session ends", || {
        third.by("ada").listed("") == ["hero.psd"]
    });
    let beat = bob
        .post(&format!("sessions/{session}/heartbeat"), &json!({}))
        .is(200);
    assert_eq!(beat["renewed"].as_array().unwrap().len(), 1);
}

#[test]
fn a_lock_that_comes_after_its_session_has_ended_is_given_back() {
    let sandbox = Sandbox::new();
    let halt = Halt::at(&sandbox, "hosted-packed");
    let server = served_with(&sandbox, |command| halt.tell(command));
    let ada = server.by("ada");
    let session = ada.session();
    let body = json!({"paths": ["hero.psd"], "session": session});
    std::thread::scope(|scope| {
        let locking = scope.spawn(|| ada.post("locks", &body).is(201));
        halt.reached();
        ada.delete(&format!("sessions/{session}")).is(200);
        halt.go();
        locking.join().unwrap();
    });
    eventually("it is free", || ada.listed("").is_empty());
}

#[test]
fn a_copied_lease_disables_nobody() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let lease = ada.takes("hero.psd");
    let clone = crate::support::clones::clone(&sandbox, "mallory");
    clone.ok(&["lock", "--new", "aaa"]);
    let file = clone.path.join(".git/latch/locks/aaa.lock");
    let text = fs::read_to_string(file).unwrap();
    let own = text
        .lines()
        .find_map(|line| line.strip_prefix("lease = "))
        .unwrap();
    let forged = text.replace(own, &format!("\"{lease}\""));
    push_forged(&sandbox, &forged);
    eventually("the server has seen it", || {
        ada.get("locks?path=aaa").is(200)["locks"][0]["lease"] == lease.as_str()
    });
    ada.delete(&format!("locks/{lease}")).is(200);
    assert_eq!(ada.listed(""), ["aaa"]);
}

#[test]
fn who_is_blocked_by_what_nobody_can_read_is_told_until_when_and_what_to_do() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    ada.takes("notes.txt");
    push_forged(&sandbox, "this is no lock\n");
    eventually("the server has seen it", || ada.listed("").len() == 2);
    let refused = ada.lock(&["aaa"]).is_problem(409, "held");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.starts_with("`aaa` is blocked until 20"), "{detail}");
    assert!(detail.contains("`git latch unlock --force`"), "{detail}");
    let refused = ada.lfs("POST", "locks", &json!({"path": "aaa"})).is(409);
    assert_eq!(refused["message"], detail);
    let max = crate::support::clones::clone(&sandbox, "max");
    max.ok(&["unlock", "--force", "aaa"]);
    eventually("it is free", || ada.listed("") == ["notes.txt"]);
    ada.takes("aaa");
}

#[test]
fn numbers_that_go_up_and_down_in_one_push_make_nobody_deaf() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    ada.takes("notes.txt");
    let mut events = ada.events("", None);
    let far = 9_000_000_000_000_000;
    let lock = bare(&sandbox).git(&["show", "refs/latch/locks:notes.txt.lock"]);
    let lock = lock.replace("notes.txt", "aaa");
    push_numbered(&sandbox, &[(far, &lock), (seq_of(&sandbox) + 1, &lock)]);
    assert_eq!(events.next().unwrap().event, "reset");
    ada.takes("hero.psd");
    assert_eq!(events.next().unwrap().data["path"], "hero.psd");
}

/// The number of the lock ref's tip.
fn seq_of(sandbox: &Sandbox) -> u64 {
    let tip = bare(sandbox).git(&["cat-file", "-p", "refs/latch/locks"]);
    let seq = tip
        .lines()
        .find_map(|line| line.strip_prefix("Latch-Seq: "));
    seq.unwrap().parse().unwrap()
}

/// Writes the lock of `aaa` into the lock ref, as whoever may push can.
fn push_forged(sandbox: &Sandbox, text: &str) {
    push_numbered(sandbox, &[(seq_of(sandbox) + 1, text)]);
}

/// Writes it several times, in one push, as mallory would now.
fn push_numbered(sandbox: &Sandbox, changes: &[(u64, &str)]) {
    let bare = bare(sandbox);
    let now = chrono::Utc::now().timestamp();
    let mut input = String::new();
    for (n, (seq, text)) in changes.iter().enumerate() {
        let message = format!("forged\n\nLatch-Seq: {seq}\n");
        let from = if n == 0 {
            "from refs/latch/locks^0\n"
        } else {
            ""
        };
        write!(
            input,
            "commit refs/latch/locks\ncommitter M <mallory@example.com> {now} +0000\ndata {}\n{message}\n{from}M 100644 inline aaa.lock\ndata {}\n{text}\n",
            message.len(),
            text.len()
        )
        .unwrap();
    }
    let mut import = bare.command("git");
    import.args(["fast-import", "--quiet"]);
    crate::support::Run::fed(&mut import, input.as_bytes()).ended(0);
}
