//! What a remote that judges no pushes brings, and neither clients take for a fact nor a server on the repository itself.

use std::fmt::Write as _;

use crate::support::clones::{clone, two};
use crate::support::server::{Server, again, served};
use crate::support::{Run, Sandbox, Tree, eventually};

/// Puts a commit of somebody's on the lock ref: with the tree that a script makes in an index of its own.
fn forge(bare: &Tree<'_>, signed: &str, message: &str, index: &str) {
    let script = format!(
        "set -e; export GIT_INDEX_FILE=$PWD/forged; rm -f forged; git read-tree refs/latch/locks; {index}\n\
         tree=$(git write-tree); commit=$(printf '%s' \"$MESSAGE\" | {signed} git commit-tree $tree -p refs/latch/locks)\n\
         git update-ref refs/latch/locks $commit"
    );
    let mut command = bare.command("sh");
    command.env("MESSAGE", message);
    Run::of(command.args(["-c", &script])).ended(0);
}

/// Who signs as of now.
const BOB: &str = "env -u GIT_AUTHOR_DATE -u GIT_COMMITTER_DATE GIT_AUTHOR_EMAIL=bob@example.com GIT_COMMITTER_EMAIL=bob@example.com";

fn message(seq: u64) -> String {
    format!("x\n\nLatch-Seq: {seq}\nLatch-Depth: 1\n")
}

/// The next change's number, and a lock of bob's as he would write it.
fn lock_of_bobs(bob: &Tree<'_>) -> (u64, String) {
    bob.ok(&["lock", "notes.txt"]);
    let text = bob.read(".locks/notes.txt.lock");
    bob.ok(&["unlock", "notes.txt"]);
    let seq = bob.json(&["list"])["seq"].as_u64().unwrap();
    (seq + 1, text)
}

/// Puts a lock's text there as `notes.txt.lock`.
fn put(bare: &Tree<'_>, text: &str) -> String {
    bare.write("forged.txt", text);
    "git update-index --add --cacheinfo 100644,$(git hash-object -w forged.txt),notes.txt.lock"
        .to_owned()
}

/// What nobody honest writes: who signs it, a line of a lock of bob's and what stands there instead, and what is told.
const FORGED: [(&str, &str, &str, &str); 4] = [
    (
        BOB,
        "acquired_at",
        "acquired_at = 2099-01-01T00:00:00.000Z",
        "its `acquired_at`",
    ),
    (
        BOB,
        "heartbeat_at",
        "heartbeat_at = 2026-01-01T00:00:00.000Z",
        "its heartbeat",
    ),
    (
        BOB,
        "id",
        "id = \"ada@example.com\"",
        "in the name of `ada@example.com`",
    ),
    (
        "env GIT_AUTHOR_EMAIL=bob@example.com GIT_COMMITTER_EMAIL=eve@example.com",
        "format",
        "format = 1",
        "its committer `eve@example.com`",
    ),
];

/// Puts such a lock on `notes.txt` there.
fn forge_lock(bare: &Tree<'_>, bob: &Tree<'_>, (sign, old, new): (&str, &str, &str)) {
    let (seq, text) = lock_of_bobs(bob);
    let line = text.lines().find(|line| line.starts_with(old)).unwrap();
    let index = put(bare, &text.replace(line, new));
    forge(bare, sign, &message(seq), &index);
}

#[test]
fn what_no_honest_program_writes_blocks_and_is_told() {
    for (sign, old, new, problem) in FORGED {
        let sandbox = Sandbox::new();
        let (ada, bob) = two(&sandbox);
        forge_lock(&sandbox.tree("remote.git"), &bob, (sign, old, new));
        let refused = ada.latch(&["--json", "lock", "notes.txt"]).ended(1).json();
        let holder = &refused["refused"][0]["holder"];
        assert_eq!(holder["state"], "unreadable", "{refused}");
        let told = holder["problem"].as_str().unwrap();
        assert!(
            told.contains("is not believed") && told.contains(problem),
            "{told}"
        );
        ada.ok(&["lock", "hero.psd"]);
        ada.ok(&["unlock", "--force", "-m", "forged", "notes.txt"]);
        ada.ok(&["lock", "notes.txt"]);
        assert!(!ada.path.join(".git/latch/doubts.toml").exists());
    }
}

/// The one lock that a server lists is not believed, for this reason; and it blocks its path only.
fn server_doubts(server: &Server, problem: &str) {
    let ada = server.by("ada");
    let is_told = || {
        let listed = ada.get("locks").is(200);
        listed["locks"][0]["state"] == "unreadable"
    };
    eventually("the server has seen it", is_told);
    let listed = ada.get("locks").is(200);
    let lock = &listed["locks"][0];
    assert_eq!(lock["path"], "notes.txt", "{listed}");
    let told = lock["problem"].as_str().unwrap();
    assert!(told.contains(problem), "{listed}");
    ada.lock(&["notes.txt"]).is_problem(409, "held");
    let lease = ada.takes("hero.psd");
    ada.delete(&format!("locks/{lease}")).is(200);
}

#[test]
fn a_server_on_the_repository_itself_takes_no_forged_lock_for_a_fact() {
    for (sign, old, new, problem) in FORGED {
        let sandbox = Sandbox::new();
        let server = served(&sandbox);
        let bob = clone(&sandbox, "bob");
        let bare = sandbox.tree("remote.git");
        forge_lock(&bare, &bob, (sign, old, new));
        server_doubts(&server, problem);
        // Also after it has ended, by what it has written down.
        assert_eq!(server.end(), 0);
        server_doubts(&again(&sandbox, |_| {}), problem);
        bob.ok(&["unlock", "--force", "-m", "forged", "notes.txt"]);
        let server = again(&sandbox, |_| {});
        server.by("ada").takes("notes.txt");
    }
}

#[test]
fn a_server_that_starts_later_looks_at_what_was_pushed_before() {
    let (sign, old, new, problem) = FORGED[0];
    let sandbox = Sandbox::new();
    drop(served(&sandbox));
    let bob = clone(&sandbox, "bob");
    forge_lock(&sandbox.tree("remote.git"), &bob, (sign, old, new));
    server_doubts(&again(&sandbox, |_| {}), problem);
}

#[test]
fn a_server_accepts_no_message_that_is_longer_than_any_change_s() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let bob = clone(&sandbox, "bob");
    let (seq, _) = lock_of_bobs(&bob);
    let bare = sandbox.tree("remote.git");
    let long = format!("{}\n\n{}", "x".repeat(70_000), message(seq));
    forge(&bare, BOB, &long, ":");
    let ada = server.by("ada");
    let refused = ada.lock(&["hero.psd"]).is_problem(503, "refused");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("message longer"), "{detail}");
    bare.git(&["update-ref", "refs/latch/locks", "refs/latch/locks~1"]);
    ada.takes("hero.psd");
}

#[test]
fn a_change_too_large_to_be_read_blocks_everything_on_a_server_too() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let bob = clone(&sandbox, "bob");
    forge_many(&sandbox.tree("remote.git"), &bob);
    let ada = server.by("ada");
    let refused = ada.lock(&["hero.psd"]).is_problem(409, "held");
    assert!(
        refused.to_string().contains("the view is incomplete"),
        "{refused}"
    );
    let told = ada.get("locks?covers=hero.psd").is(200).to_string();
    assert!(told.contains("the view is incomplete"), "{told}");
}

#[test]
fn a_lease_id_that_two_locks_have_is_nobodys() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    bob.ok(&["lock", "hero.psd"]);
    let text = bob
        .read(".locks/hero.psd.lock")
        .replace("hero.psd", "notes.txt");
    let seq = bob.json(&["list"])["seq"].as_u64().unwrap() + 1;
    let bare = sandbox.tree("remote.git");
    let index = put(&bare, &text);
    forge(&bare, BOB, &message(seq), &index);
    ada.ok(&["sync"]);
    let listed = ada.json(&["list"]);
    let states: Vec<_> = listed["locks"].as_array().unwrap().iter().collect();
    assert!(
        states.iter().any(|lock| lock["state"] == "unreadable"),
        "{listed}"
    );
}

#[test]
fn a_message_longer_than_any_change_s_is_not_accepted() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let (seq, _) = lock_of_bobs(&bob);
    let bare = sandbox.tree("remote.git");
    let long = format!("{}\n\n{}", "x".repeat(70_000), message(seq));
    forge(&bare, BOB, &long, ":");
    ada.latch(&["sync"]).ended(4).said("message longer");
    bare.git(&["update-ref", "refs/latch/locks", "refs/latch/locks~1"]);
    ada.ok(&["sync"]);
}

#[test]
fn a_change_too_large_to_be_read_blocks_everything_and_says_so() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let bare = sandbox.tree("remote.git");
    forge_many(&bare, &bob);
    ada.latch(&["lock", "hero.psd"])
        .ended(1)
        .said("the view is incomplete");
    ada.ok(&["sync"]);
    assert!(!ada.path.join(".git/latch/locks/many").exists());
    bare.git(&["update-ref", "refs/latch/locks", "refs/latch/locks~1"]);
    ada.ok(&["sync", "--reset"]);
    ada.ok(&["lock", "hero.psd"]);
}

/// Puts a change there that touches more entries than anybody reads.
fn forge_many(bare: &Tree<'_>, bob: &Tree<'_>) {
    let (seq, _) = lock_of_bobs(bob);
    let mut many = String::new();
    for n in 0..100_001 {
        let empty = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        writeln!(many, "100644 {empty} 0\tmany/{}/{n}.lock", n % 300).unwrap();
    }
    bare.write("many", &many);
    let index =
        "git hash-object -w --stdin </dev/null >/dev/null; git update-index --index-info <many";
    forge(bare, BOB, &message(seq), index);
}

#[test]
fn what_a_lock_says_of_a_process_counts_for_this_repository_and_never_beyond_its_end() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    // The other clone is on this machine, too: its word on a process is nobody's proof here.
    let script = "kill -9 $PPID; sleep 0.1";
    let _ = Run::of(
        bob.command(crate::support::LATCH)
            .args(["run", "hero.psd", "--", "sh", "-c", script]),
    );
    ada.latch(&["lock", "hero.psd"]).ended(1);
    bob.ok(&["lock", "hero.psd"]);
}
