//! Locks across clones, through an ordinary git remote.

use serde_json::json;

use crate::support::clones::{clone, remote, two};
use crate::support::{LATCH, Run, Sandbox, Tree, eventually};

#[test]
fn a_lock_in_one_clone_holds_in_the_other() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd", "scenes", "-m", "retopology"]);
    bob.latch(&["lock", "hero.psd"])
        .ended(1)
        .said("locked by Ada <ada@example.com>");
    bob.latch(&["lock", "scenes/town.tscn"]).ended(1);
    assert_eq!(bob.locks().len(), 2, "a refusal brings the view up to date");
    assert!(bob.read(".locks/hero.psd.lock").contains("retopology"));
    bob.write("hero.psd", "two\n");
    assert_ne!(bob.try_git(&["commit", "-qam", "two"]).code, 0);
    ada.ok(&["unlock", "hero.psd"]);
    bob.ok(&["lock", "hero.psd"]);
    assert!(bob.path.join(".locks/hero.psd.lock").exists());
}

#[test]
fn sync_brings_what_is_new_and_counts_it() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let locked = ada.json(&["lock", "hero.psd", "notes.txt"]);
    assert_eq!(bob.locks(), []);
    let synced = bob.json(&["sync"]);
    assert_eq!(synced["changes"], 2);
    assert_eq!(synced["seq"], locked["locked"][0]["seq"]);
    assert_eq!(bob.locks().len(), 2);
    assert_eq!(bob.json(&["sync"])["changes"], 0);
    ada.ok(&["unlock", "--all"]);
    assert_eq!(bob.json(&["sync"])["changes"], 2);
    assert_eq!(
        std::fs::read_dir(bob.path.join(".locks")).unwrap().count(),
        0
    );
}

#[test]
fn stealing_and_losing_work_across_clones() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    bob.ok(&["lock", "--steal", "-m", "due", "hero.psd"]);
    ada.latch(&["renew"])
        .ended(3)
        .said("hero.psd was taken over");
    ada.latch(&["unlock", "hero.psd"]).ended(3);
    assert_eq!(ada.locks(), [("hero.psd".into(), "bob@example.com".into())]);
}

#[test]
fn nothing_of_ours_enters_the_users_refs_or_log() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    let before = ada.git(&["for-each-ref"]);
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["sync"]);
    assert_eq!(ada.git(&["for-each-ref"]), before);
    assert!(!ada.path.join(".git/FETCH_HEAD").exists());
    let refs = ada.git(&["ls-remote", "origin"]);
    assert!(refs.contains("refs/latch/locks"), "{refs}");
}

#[test]
fn turning_it_on_moves_my_locks_and_refuses_while_others_hold_some() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let first = clone(&sandbox, "ada");
    let bare = sandbox.path().join("remote.git");
    let late = sandbox.tree("late");
    first.git(&[
        "clone",
        "-q",
        bare.to_str().unwrap(),
        late.path.to_str().unwrap(),
    ]);
    let late = late.by("late@example.com");
    let carol = late.by("carol@example.com");
    late.ok(&["lock", "hero.psd"]);
    carol.ok(&["lock", "notes.txt"]);
    late.latch(&["init", "--remote", "origin"])
        .ended(2)
        .said("another holder still has a local lock on notes.txt");
    carol.ok(&["--as", "carol@example.com", "list"]);
    std::fs::remove_file(late.path.join(".latch.toml")).unwrap();
    carol.ok(&["unlock", "notes.txt"]);
    late.ok(&["init", "--remote", "origin"]);
    first.ok(&["sync"]);
    assert_eq!(
        first.locks(),
        [("hero.psd".into(), "late@example.com".into())]
    );
    assert_eq!(late.json(&["list"])["locks"][0]["mine"], true);
}

#[test]
fn a_branch_without_the_policy_shares_all_the_same() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    bob.ok(&["lock", "hero.psd"]);
    ada.ok(&["renew"]);
    std::fs::remove_file(ada.path.join(".latch.toml")).unwrap();
    ada.latch(&["lock", "hero.psd"]).ended(1);
    assert_eq!(ada.git(&["config", "latch.remote"]).trim(), "origin");
}

#[test]
fn a_remote_that_is_gone_or_refuses_is_exit_4_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    let bare = sandbox.path().join("remote.git");
    let away = sandbox.path().join("away.git");
    std::fs::rename(&bare, &away).unwrap();
    let answer = bob.latch(&["--json", "lock", "notes.txt"]).ended(4).json();
    assert_eq!(answer["error"]["code"], "unreachable");
    assert_eq!(answer["locked"], json!([]));
    assert_eq!(ada.locks().len(), 1, "what was seen last stays in force");
    std::fs::rename(&away, &bare).unwrap();
    let refuse = "#!/bin/sh\necho no custom refs >&2\nexit 1\n";
    sandbox
        .tree("remote.git")
        .write_script("hooks/pre-receive", refuse);
    let answer = bob.latch(&["--json", "lock", "notes.txt"]).ended(4).json();
    assert_eq!(answer["error"]["code"], "refused");
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("no custom refs")
    );
    assert_eq!(bob.locks(), [("hero.psd".into(), "ada@example.com".into())]);
}

#[test]
fn a_ref_that_vanishes_or_goes_back_leaves_the_old_view_in_force() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["lock", "notes.txt"]);
    bob.ok(&["sync"]);
    let bare = sandbox.tree("remote.git");
    bare.git(&["update-ref", "refs/latch/locks", "refs/latch/locks~1"]);
    bob.latch(&["sync"]).ended(4).said("went back");
    bob.latch(&["lock", "notes.txt"]).ended(4);
    // Also where somebody who has not seen more went on from there: its number is the largest.
    clone(&sandbox, "eve").ok(&["lock", "--new", "elsewhere"]);
    bob.latch(&["sync"]).ended(4).said("went back");
    bob.latch(&["lock", "--new", "other"]).ended(4);
    assert_eq!(bob.locks().len(), 2);
    bare.git(&["update-ref", "-d", "refs/latch/locks"]);
    bob.latch(&["sync"]).ended(4).said("vanished");
    assert_eq!(bob.locks().len(), 2);
    bob.ok(&["sync", "--restore"]);
    ada.ok(&["unlock", "notes.txt"]);
    bare.git(&["update-ref", "refs/latch/locks", "refs/latch/locks~2"]);
    ada.latch(&["sync"]).ended(4);
    for tree in [&ada, &bob] {
        tree.ok(&["sync", "--reset"]);
        assert_eq!(
            tree.locks(),
            [("hero.psd".into(), "ada@example.com".into())]
        );
        assert_eq!(
            std::fs::read_dir(tree.path.join(".locks")).unwrap().count(),
            1
        );
    }
}

#[test]
fn a_ref_that_vanished_and_was_begun_anew_takes_nobodys_lock_away() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    let bare = sandbox.tree("remote.git");
    bare.git(&["update-ref", "-d", "refs/latch/locks"]);
    // Eve has never seen the ref: to her nothing is locked.
    clone(&sandbox, "eve").ok(&["lock", "hero.psd"]);
    for arguments in [&["sync"][..], &["renew"], &["lock", "notes.txt"]] {
        ada.latch(arguments).ended(4).said("was created again");
    }
    assert_eq!(ada.locks(), [("hero.psd".into(), "ada@example.com".into())]);
    // What is there now is another's: it is not overwritten.
    ada.latch(&["sync", "--restore"])
        .ended(4)
        .said("git latch sync --reset");
    ada.ok(&["sync", "--reset"]);
    bob.ok(&["sync"]);
    for tree in [&ada, &bob] {
        assert_eq!(
            tree.locks(),
            [("hero.psd".into(), "eve@example.com".into())]
        );
    }
}

#[test]
fn the_log_tells_who_did_what_when_and_why() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd", "notes.txt", "-m", "retopology"]);
    ada.ok(&["renew"]);
    bob.ok(&["lock", "--steal", "-m", "due", "hero.psd"]);
    ada.ok(&["unlock", "notes.txt"]);
    let log = bob.json(&["log"]);
    let told: Vec<String> = log["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            format!(
                "{} {} {}",
                e["event"].as_str().unwrap(),
                e["path"].as_str().unwrap(),
                e["by"]["id"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "unlocked notes.txt ada@example.com",
            "stolen hero.psd bob@example.com",
            "locked hero.psd ada@example.com",
            "locked notes.txt ada@example.com",
        ]
    );
    assert_eq!(
        log["events"][1]["previous"]["owner"]["id"],
        "ada@example.com"
    );
    assert_eq!(log["events"][1]["lock"]["reason"], "due");
    assert!(log["events"][0]["seq"].as_u64() > log["events"][1]["seq"].as_u64());
    assert_eq!(
        bob.json(&["log", "--all", "hero.psd"])["events"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert!(
        ada.ok(&["log"])
            .stdout
            .contains("stolen    hero.psd   by bob@example.com")
    );
}

#[test]
fn a_hostile_tree_writes_nothing_outside_and_still_blocks() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    let bare = sandbox.tree("remote.git");
    let text = Run::of(bare.command("git").args(["hash-object", "-w", "--stdin"])).stdout;
    let head = bare.git(&["rev-parse", "main"]);
    let (text, head) = (text.trim(), head.trim());
    let inner = format!("100644 blob {text}\tx.lock\n");
    let up = make_tree(&bare, &inner);
    let tree = make_tree(
        &bare,
        &format!(
            "120000 blob {text}\tlink.lock\n160000 commit {head}\tmodule.lock\n040000 tree {up}\tUPPER\n100644 blob {text}\ttorn.lock\n100644 blob {text}\tREADME\n"
        ),
    );
    let tip = bare.git(&["rev-parse", "refs/latch/locks"]);
    let message = "hostile\n\nLatch-Seq: 9000000000000\n";
    let commit = bare.git(&["commit-tree", &tree, "-p", tip.trim(), "-m", message]);
    bare.git(&["update-ref", "refs/latch/locks", commit.trim()]);
    bob.ok(&["sync"]);
    let mut shown: Vec<String> = std::fs::read_dir(bob.path.join(".git/latch/locks"))
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .collect();
    shown.sort();
    assert_eq!(shown, ["torn.lock"]);
    for path in ["torn", "link", "module", "upper/x"] {
        bob.latch(&["lock", "--new", path]).ended(1);
    }
}

#[test]
fn a_number_that_no_change_can_have_is_refused() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    bob.ok(&["sync"]);
    let bare = sandbox.tree("remote.git");
    let tip = bare.git(&["rev-parse", "refs/latch/locks"]);
    let tree = bare.git(&["rev-parse", "refs/latch/locks^{tree}"]);
    let message = "hostile\n\nLatch-Seq: 18446744073709551615\n";
    let commit = bare.git(&["commit-tree", tree.trim(), "-p", tip.trim(), "-m", message]);
    bare.git(&["update-ref", "refs/latch/locks", commit.trim()]);
    bob.latch(&["sync"]).ended(4).said("no change can have");
    bob.latch(&["lock", "notes.txt"]).ended(4);
    assert_eq!(bob.locks().len(), 1);
}

/// A tree of these `ls-tree` lines.
fn make_tree(bare: &Tree<'_>, lines: &str) -> String {
    let mut making = bare.command("git");
    making.args(["mktree", "--missing"]);
    Run::fed(&mut making, lines.as_bytes())
        .stdout
        .trim()
        .to_owned()
}

#[test]
fn of_sixteen_clones_one_gets_the_path_and_all_get_different_ones() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let clones: Vec<Tree<'_>> = (0..8).map(|n| clone(&sandbox, &format!("c{n}"))).collect();
    for _ in 0..2 {
        let start = |(n, tree): (usize, &Tree<'_>)| {
            let own = format!("own-{n}");
            let script = format!(
                "\"$0\" lock hero.psd; code=$?; \"$0\" lock --new {own} || exit 99; exit $code"
            );
            tree.command("sh")
                .args(["-c", &script, LATCH])
                .spawn()
                .unwrap()
        };
        let children: Vec<_> = clones.iter().enumerate().map(start).collect();
        let codes: Vec<_> = children
            .into_iter()
            .map(|mut child| child.wait().unwrap().code())
            .collect();
        assert_eq!(
            codes.iter().filter(|c| **c == Some(0)).count(),
            1,
            "{codes:?}"
        );
        assert_eq!(
            codes.iter().filter(|c| **c == Some(1)).count(),
            7,
            "{codes:?}"
        );
        for tree in &clones {
            tree.ok(&["unlock", "--all"]);
        }
    }
    clones[0].ok(&["sync"]);
    assert_eq!(clones[0].locks(), []);
}

#[test]
fn waiting_ends_when_another_clone_gives_back() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    let mut waiter = bob
        .command(LATCH)
        .args(["lock", "--wait=50s", "hero.psd"])
        .spawn()
        .unwrap();
    eventually("the waiter has seen the lock", || {
        bob.path.join(".locks/hero.psd.lock").exists()
    });
    ada.ok(&["unlock", "hero.psd"]);
    assert!(waiter.wait().unwrap().success());
}

#[test]
fn worktrees_shallow_partial_and_reftable_clones_share_too() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let ada = clone(&sandbox, "ada");
    ada.ok(&["lock", "hero.psd"]);
    let url = format!("file://{}", sandbox.path().join("remote.git").display());
    for kind in ["--depth=1", "--filter=blob:none", "--ref-format=reftable"] {
        let tree = sandbox.tree(&format!("clone{kind}"));
        if ada
            .try_git(&["clone", "-q", kind, &url, tree.path.to_str().unwrap()])
            .code
            != 0
        {
            eprintln!("skipped: this git knows no {kind}");
            continue;
        }
        let tree = tree.by("bob@example.com");
        tree.ok(&["init", "--remote", "origin"]);
        tree.latch(&["lock", "hero.psd"]).ended(1);
        tree.ok(&["lock", "notes.txt"]);
        tree.ok(&["unlock", "notes.txt"]);
    }
    let linked = ada.worktree("linked");
    assert_eq!(linked.locks().len(), 1);
    linked
        .latch(&["lock", "hero.psd"])
        .ended(1)
        .said("another working tree");
}

#[test]
fn the_push_hook_asks_the_remote_first() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    bob.write("hero.psd", "two\n");
    bob.git(&["commit", "-qam", "two", "--author", "Bob <bob@example.com>"]);
    ada.ok(&["lock", "hero.psd"]);
    let push = bob.try_git(&["push", "-q", "origin", "main"]);
    assert_ne!(push.code, 0);
    assert!(push.stderr.contains("hero.psd (commit"), "{push:?}");
}

#[test]
fn commits_that_nobody_has_keep_the_lock() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd", "scenes"]);
    ada.write("hero.psd", "two\n");
    ada.git(&["commit", "-qam", "two"]);
    let refused = ada
        .latch(&["--json", "unlock", "hero.psd", "scenes"])
        .ended(1)
        .json();
    assert_eq!(refused["refused"][0]["code"], "unpushed");
    assert_eq!(refused["unlocked"][0]["path"], "scenes");
    assert!(
        refused["error"]["hint"]
            .as_str()
            .unwrap()
            .starts_with("git push")
    );
    ada.git(&["push", "-q", "origin", "main"]);
    ada.ok(&["unlock", "hero.psd"]);
    bob.ok(&["lock", "hero.psd"]);
}

#[test]
fn whatever_is_pushed_renews_what_is_due_on_the_way_and_raises_nobody() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let heartbeats = || {
        let listed = ada.json(&["list"]);
        let mut locks = listed["locks"].as_array().unwrap().clone();
        locks.retain(|lock| lock["path"] != "notes.txt");
        locks
            .iter()
            .map(|l| l["heartbeat_at"].to_string())
            .collect::<Vec<_>>()
    };
    ada.ok(&["lock", "hero.psd", "scenes/town.tscn", "scenes/cave.tscn"]);
    let first = heartbeats();
    ada.ok(&["lock", "notes.txt"]);
    assert_eq!(heartbeats(), first, "they are not due");
    // Eight hours and a half of a day's lease later.
    let later = |arguments: &[&str]| {
        Run::of(
            ada.command(LATCH)
                .env("GIT_LATCH_TEST_CLOCK", "+30600")
                .args(arguments),
        )
        .ended(0)
    };
    later(&["unlock", "notes.txt"]);
    let second = heartbeats();
    assert_eq!(second.len(), 3);
    assert!(second.iter().all(|at| !first.contains(at)), "{second:?}");
    bob.ok(&["lock", "--steal", "-m", "due", "hero.psd"]);
    let later = |arguments: &[&str]| {
        Run::of(
            ada.command(LATCH)
                .env("GIT_LATCH_TEST_CLOCK", "+63000")
                .args(arguments),
        )
        .ended(0)
    };
    later(&["lock", "notes.txt"]);
    let holders = ada.locks();
    assert!(holders.contains(&("hero.psd".into(), "bob@example.com".into())));
    assert_eq!(holders.len(), 4);
}

#[test]
fn a_long_history_is_dropped_and_the_locks_stay() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    let bare = sandbox.tree("remote.git");
    let (tip, tree) = (
        bare.git(&["rev-parse", "refs/latch/locks"]),
        bare.git(&["rev-parse", "refs/latch/locks^{tree}"]),
    );
    let seq = ada.json(&["list"])["seq"].as_u64().unwrap() + 1;
    let message = format!("long\n\nLatch-Seq: {seq}\nLatch-Depth: 9999\n");
    let commit = bare.git(&["commit-tree", tree.trim(), "-p", tip.trim(), "-m", &message]);
    bare.git(&["update-ref", "refs/latch/locks", commit.trim()]);
    bob.ok(&["lock", "notes.txt"]);
    assert_eq!(
        bare.git(&["rev-list", "--count", "refs/latch/locks"]),
        "1\n"
    );
    ada.ok(&["sync"]);
    assert_eq!(ada.locks().len(), 2);
    ada.ok(&["unlock", "hero.psd"]);
    assert_eq!(bob.json(&["log"])["events"].as_array().unwrap().len(), 1);
    // Where it is refused it stays long, and the change is done all the same.
    bare.git(&["config", "receive.denyNonFastForwards", "true"]);
    bob.ok(&["lock", "hero.psd"]);
}

#[test]
fn what_comes_together_in_our_repository_is_packed_in_time() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    bob.ok(&["sync"]);
    let store = sandbox.tree("bob/.git/latch/store.git");
    store.git(&["config", "gc.auto", "1"]);
    // git looks at a sample of the loose objects only.
    let names: Vec<String> = (0..1000).map(|n| format!("many/{n}")).collect();
    for name in &names {
        bob.write(name, name);
    }
    let mut hash = bob.command("git");
    hash.args([
        "--git-dir",
        store.path.to_str().unwrap(),
        "hash-object",
        "-w",
    ]);
    Run::of(hash.args(&names)).ended(0);
    store.git(&["config", "gc.autoDetach", "false"]);
    let bare = sandbox.tree("remote.git");
    let tip = bare.git(&["rev-parse", "refs/latch/locks"]);
    let tree = bare.git(&["rev-parse", "refs/latch/locks^{tree}"]);
    let seq = ada.json(&["list"])["seq"].as_u64().unwrap() + 1;
    let message = format!("x\n\nLatch-Seq: {seq}\nLatch-Depth: 499\n");
    let commit = bare.git(&["commit-tree", tree.trim(), "-p", tip.trim(), "-m", &message]);
    bare.git(&["update-ref", "refs/latch/locks", commit.trim()]);
    let packs = || !store.git(&["count-objects", "-v"]).contains("packs: 0");
    bob.ok(&["sync"]);
    assert!(!packs());
    bob.ok(&["lock", "notes.txt"]);
    assert!(packs());
    bob.ok(&["unlock", "notes.txt"]);
    assert_eq!(bob.locks().len(), 1);
}
