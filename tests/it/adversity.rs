//! The shared tier when the network, the remote, the clocks or the configuration are against it.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::clones::{clone, remote, two};
use crate::support::history::assert_sane;
use crate::support::{LATCH, Run, Sandbox, Tree, http};

fn hook(bare: &Tree<'_>, name: &str, script: &str) {
    let text = format!("#!/bin/sh\n{script}\n");
    bare.write_script(&format!("hooks/{name}"), &text);
}

/// The URL under which the sandbox's repositories are served.
fn serve(sandbox: &Sandbox) -> String {
    http::serve(&sandbox.path(), &sandbox.path().join("gitconfig"))
}

/// What kills the remote's end after it has moved the refs and before it says so.
const KILL_AFTER_UPDATE: &str = "[ $1 = committed ] && kill -9 $PPID; exit 0";

/// Runs `git latch` with the clock off by so many seconds.
fn at(tree: &Tree<'_>, seconds: i64, arguments: &[&str]) -> Run {
    let mut command = tree.command(LATCH);
    command.env("GIT_LATCH_TEST_CLOCK", seconds.to_string());
    Run::of(command.args(arguments))
}

#[test]
fn a_change_whose_answer_was_lost_is_recognised_as_ours() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let bare = sandbox.tree("remote.git");
    // After the update, before the answer.
    hook(&bare, "reference-transaction", KILL_AFTER_UPDATE);
    let locked = ada.json(&["lock", "hero.psd", "scenes"]);
    assert_eq!(locked["locked"][0]["outcome"], "acquired", "{locked}");
    assert_eq!(locked["locked"].as_array().unwrap().len(), 2);
    ada.ok(&["unlock", "scenes"]);
    bob.ok(&["sync"]);
    assert_eq!(bob.locks(), [("hero.psd".into(), "ada@example.com".into())]);
    assert_eq!(
        bare.git(&["rev-list", "--count", "refs/latch/locks"]),
        "2\n"
    );
}

#[test]
fn the_branch_of_a_checkin_whose_answer_was_lost_is_not_pushed_twice() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["checkout", "hero.psd"]);
    ada.write("hero.psd", "two\n");
    hook(
        &sandbox.tree("remote.git"),
        "reference-transaction",
        KILL_AFTER_UPDATE,
    );
    ada.ok(&["checkin", "-m", "two", "hero.psd"]);
    bob.git(&["pull", "-q"]);
    assert_eq!(bob.read("hero.psd"), "two\n");
    bob.ok(&["sync"]);
    assert_eq!(bob.locks(), []);
}

#[test]
fn a_remote_that_does_not_answer_is_given_up_and_the_fate_of_the_change_is_told() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    bob.ok(&["lock", "notes.txt"]);
    let bare = sandbox.tree("remote.git");
    hook(
        &bare,
        "pre-receive",
        "read line; while [ -e stuck ]; do sleep 0.05; done; exit 1",
    );
    bare.write("stuck", "");
    let mut command = ada.command(LATCH);
    command.env("GIT_LATCH_DEADLINE_MS", "700");
    let answer = Run::of(command.args(["--json", "lock", "hero.psd"]));
    std::fs::remove_file(bare.path.join("stuck")).unwrap();
    // The tip is what it was; but the push may still be on its way.
    assert_eq!(answer.code, 4, "{answer:?}");
    assert_eq!(answer.json()["error"]["code"], "unknown");
    let away = sandbox.path().join("away.git");
    std::fs::rename(&bare.path, &away).unwrap();
    ada.latch(&["lock", "hero.psd"])
        .ended(4)
        .said("nothing was changed");
    assert_eq!(ada.locks().len(), 1, "what was seen last is what is shown");
    // It goes away in the middle of an exchange.
    std::fs::rename(&away, &bare.path).unwrap();
    std::fs::remove_file(bare.path.join("hooks/pre-receive")).unwrap();
    let move_away = format!(
        "[ $1 = committed ] || exit 0; mv \"$PWD\" \"{}\"; kill -9 $PPID",
        away.display()
    );
    hook(&bare, "reference-transaction", &move_away);
    let mut command = ada.command(LATCH);
    command.env("GIT_LATCH_DEADLINE_MS", "700");
    Run::of(command.args(["lock", "hero.psd"]))
        .ended(4)
        .said("cannot tell whether the change reached the remote `origin`");
    std::fs::remove_file(away.join("hooks/reference-transaction")).unwrap();
    std::fs::rename(&away, &bare.path).unwrap();
    ada.ok(&["lock", "hero.psd"]);
    bob.ok(&["sync"]);
    assert_eq!(bob.locks().len(), 2);
}

#[test]
fn over_http_with_user_and_password() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let bare = sandbox.tree("remote.git");
    bare.git(&["config", "http.receivepack", "true"]);
    let root = serve(&sandbox);
    let url = format!("{root}/remote.git");
    let with_password = url.replace("http://", "http://ada:secret@");
    let seed = sandbox.tree("repo");
    let trees = ["ada", "bob"].map(|name| {
        let tree = sandbox.tree(name).by(&format!("{name}@example.com"));
        seed.git(&["clone", "-q", &with_password, tree.path.to_str().unwrap()]);
        tree.ok(&["init", "--remote", "origin"]);
        tree
    });
    trees[0].ok(&["lock", "hero.psd", "scenes"]);
    trees[1]
        .latch(&["lock", "hero.psd"])
        .ended(1)
        .said("ada@example.com");
    trees[0].ok(&["unlock", "hero.psd"]);
    trees[1].ok(&["lock", "hero.psd"]);
    // The web server tells the hook who pushes.
    bare.ok(&["init", "--bare"]);
    trees[1]
        .latch(&["lock", "notes.txt"])
        .ended(1)
        .said("but pushed by `ada`");
    // Wrong credentials, none, and nobody to ask.
    for wrong in [url.replace("http://", "http://ada:wrong@"), url] {
        trees[0].git(&["remote", "set-url", "origin", &wrong]);
        let answer = trees[0]
            .latch(&["--json", "lock", "notes.txt"])
            .ended(4)
            .json();
        assert_eq!(answer["error"]["code"], "unreachable", "{answer}");
    }
}

#[test]
fn a_credential_helper_of_the_repository_is_asked() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    sandbox
        .tree("remote.git")
        .git(&["config", "http.receivepack", "true"]);
    let url = format!("{}/remote.git", serve(&sandbox));
    let ada = clone(&sandbox, "ada");
    ada.git(&["remote", "set-url", "origin", &url]);
    ada.git(&[
        "config",
        "credential.helper",
        "!f() { echo username=ada; echo password=secret; }; f",
    ]);
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["sync"]);
}

#[test]
fn a_clock_that_is_off_is_reported_and_nobody_gets_in_within_the_bound() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    // Within the skew of a minute: a lock that is over for its holder still keeps others out.
    at(&ada, -50, &["lock", "--ttl", "10m", "hero.psd"]).ended(0);
    at(&bob, 555, &["lock", "hero.psd"]).ended(1);
    at(&ada, 555, &["renew"]).ended(3);
    at(&bob, 620, &["lock", "hero.psd"]).ended(0);
    bob.ok(&["unlock", "--force", "hero.psd"]);
    // Two hours ahead: it counts from when it was seen.
    at(&ada, 7200, &["lock", "notes.txt"]).ended(0);
    bob.latch(&["lock", "notes.txt"]).ended(1);
    let status = bob.ok(&["status"]);
    assert!(status.stderr.contains("s ahead of this one"), "{status:?}");
    bob.latch(&["doctor"]).ended(1);
    // Two hours behind: the change was not there when bob asked, and claims to be older.
    bob.ok(&["sync"]);
    let carol = clone(&sandbox, "carol");
    at(&carol, -7200, &["lock", "scenes/town.tscn"]).ended(0);
    bob.ok(&["sync"])
        .said("the clock of carol@example.com is at least");
}

#[test]
fn a_judging_remote_refuses_a_clock_that_is_off() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let bare = sandbox.tree("remote.git");
    bare.ok(&["init", "--bare"]);
    // The server has a clock of its own.
    let script = bare.read("hooks/pre-receive");
    hook(
        &bare,
        "pre-receive",
        &format!("unset GIT_LATCH_TEST_CLOCK\n{script}"),
    );
    ada.ok(&["lock", "hero.psd"]);
    for seconds in [-7200, 7200] {
        at(&bob, seconds, &["lock", "notes.txt"])
            .ended(4)
            .said("the server's clock");
    }
    // Two hours ahead the lock of a day has not ended, but one of an hour would have.
    at(&ada, 0, &["lock", "--ttl", "1h", "notes.txt"]).ended(0);
    at(&bob, 7200, &["lock", "notes.txt"]).ended(4);
    bob.ok(&["sync"]);
    assert_eq!(bob.locks().len(), 2);
}

#[test]
fn the_user_s_configuration_publishes_nothing_and_no_ref_of_theirs_moves() {
    let sandbox = Sandbox::new();
    let (ada, _) = two(&sandbox);
    for (key, value) in [
        ("push.followTags", "true"),
        ("push.recurseSubmodules", "on-demand"),
        ("push.default", "matching"),
        ("push.gpgSign", "if-asked"),
        ("push.autoSetupRemote", "true"),
        ("remote.origin.mirror", "true"),
        ("remote.origin.prune", "true"),
        ("remote.origin.tagOpt", "--tags"),
        ("remote.pushDefault", "elsewhere"),
        ("fetch.prune", "true"),
        ("fetch.recurseSubmodules", "true"),
        ("fetch.writeCommitGraph", "true"),
        ("core.hooksPath", "own-hooks"),
        ("core.logAllRefUpdates", "always"),
        ("core.bare", "false"),
        ("gc.auto", "1"),
    ] {
        ada.git(&["config", key, value]);
    }
    let bad = "#!/bin/sh\ntouch \"$(dirname \"$0\")/ran\"\nexit 1\n";
    for name in ["pre-push", "reference-transaction", "post-checkout"] {
        ada.write_script(&format!("own-hooks/{name}"), bad);
    }
    let bare = sandbox.tree("remote.git");
    let theirs = || bare.git(&["for-each-ref", "refs/heads", "refs/tags"]);
    let run =
        Run::of(
            ada.command("git")
                .args(["-c", "core.hooksPath=", "tag", "-a", "-m", "x", "mine"]),
        );
    assert_eq!(run.code, 0, "{run:?}");
    let run = Run::of(ada.command("git").args([
        "-c",
        "core.hooksPath=",
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "mine",
    ]));
    assert_eq!(run.code, 0, "{run:?}");
    let (before, mine) = (theirs(), ada.git(&["for-each-ref"]));
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["renew"]);
    ada.ok(&["sync"]);
    ada.ok(&["unlock", "--force", "hero.psd"]);
    assert_eq!(theirs(), before);
    assert_eq!(ada.git(&["for-each-ref"]), mine);
    assert!(!ada.path.join("own-hooks/ran").exists());
    assert_eq!(
        bare.git(&["rev-list", "--count", "refs/latch/locks"]),
        "3\n"
    );
}

#[test]
fn what_the_user_mirrors_or_prunes_leaves_the_locks_alone() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    let other = sandbox.path().join("other.git");
    ada.git(&["init", "-q", "--bare", other.to_str().unwrap()]);
    ada.git(&[
        "push",
        "-q",
        "--no-verify",
        "--mirror",
        other.to_str().unwrap(),
    ]);
    let refs = sandbox.tree("other.git").git(&["for-each-ref"]);
    assert!(!refs.contains("latch"), "{refs}");
    ada.git(&["fetch", "-q", "--prune", "origin", "+refs/*:refs/pruned/*"]);
    ada.git(&["gc", "-q", "--prune=now"]);
    assert_eq!(ada.locks().len(), 1);
    ada.ok(&["unlock", "hero.psd"]);
    bob.ok(&["lock", "hero.psd"]);
}

#[test]
fn inside_another_repository_s_hook_the_right_one_is_locked() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let outer = sandbox.init("outer");
    let script = format!(
        "#!/bin/sh\nexec \"{LATCH}\" -C \"{}\" lock hero.psd\n",
        ada.path.display()
    );
    outer.write_script(".git/hooks/post-commit", &script);
    outer.write("a", "1");
    outer.git(&["add", "a"]);
    let mut commit = outer.by("ada@example.com").command("git");
    // The library's `-C` means the repository of that directory only where git is not told another.
    let run = Run::of(
        commit
            .args(["commit", "-q", "-m", "x"])
            .env_remove("GIT_DIR"),
    );
    assert_eq!(run.code, 0, "{run:?}");
    assert!(!outer.path.join(".git/latch/store.git").exists());
    bob.ok(&["sync"]);
    // Where git names the outer repository, nothing of the inner one is touched by mistake.
    let locked = bob.locks();
    assert!(locked.is_empty() || locked == [("hero.psd".into(), "ada@example.com".into())]);
    // A hook of the repository itself: git's own variables do not reach our store.
    let hook = format!("#!/bin/sh\nexec \"{LATCH}\" lock notes.txt\n");
    ada.write_script(".git/hooks/post-commit", &hook);
    ada.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
    bob.ok(&["sync"]);
    assert!(bob.locks().iter().any(|(path, _)| path == "notes.txt"));
    assert_eq!(ada.git(&["for-each-ref", "refs/latch"]), "");
}

#[test]
fn two_clones_turn_sharing_on_at_once_and_both_end_well() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let bare = sandbox.path().join("remote.git");
    let seed = sandbox.tree("repo");
    let trees = ["ada", "bob"].map(|name| {
        let tree = sandbox.tree(name).by(&format!("{name}@example.com"));
        seed.git(&[
            "clone",
            "-q",
            bare.to_str().unwrap(),
            tree.path.to_str().unwrap(),
        ]);
        tree.ok(&["lock", "--new", name]);
        tree
    });
    let start = |tree: &Tree<'_>| {
        let mut command = tree.command(LATCH);
        command
            .args(["init", "--remote", "origin"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let children = [start(&trees[0]), start(&trees[1])];
    for child in children {
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(run.code, 0, "{run:?}");
    }
    for tree in &trees {
        tree.ok(&["sync"]);
        assert_eq!(tree.locks().len(), 2);
    }
}

#[test]
fn locks_on_a_branch_where_the_host_takes_no_other_refs() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let bare = sandbox.tree("remote.git");
    hook(
        &bare,
        "update",
        "case $1 in refs/heads/*) exit 0;; *) echo 'deny updating a hidden ref'; exit 1;; esac",
    );
    let ada = clone(&sandbox, "ada");
    ada.latch(&["lock", "hero.psd"])
        .ended(4)
        .said("ref = \"refs/heads/latch\"");
    ada.write(
        ".latch.toml",
        "[share]\nremote = \"origin\"\nref = \"refs/heads/latch\"\n",
    );
    ada.git(&["config", "--unset", "latch.ref"]);
    ada.git(&["config", "--unset", "latch.remote"]);
    ada.ok(&["lock", "hero.psd"]);
    assert!(
        bare.git(&["for-each-ref", "refs/heads"])
            .contains("refs/heads/latch")
    );
    ada.ok(&["checkout", "notes.txt"]);
    ada.write("notes.txt", "two\n");
    ada.ok(&["checkin", "-m", "two", "notes.txt"]);
    bare.ok(&["init", "--bare"]);
    std::fs::remove_file(bare.path.join("hooks/update")).unwrap();
    ada.git(&["add", ".latch.toml"]);
    ada.git(&["commit", "-q", "-m", "policy"]);
    ada.git(&["push", "-q", "origin", "main"]);
    ada.ok(&["unlock", "hero.psd"]);
}

#[test]
fn a_hostile_remote_touches_nothing_outside_and_still_blocks() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    ada.ok(&["lock", "hero.psd"]);
    let bare = sandbox.path().join("remote.git");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hostile-remote.sh");
    let run = Run::of(sandbox.command("sh").arg(script).arg(&bare).args([
        "9000000000000",
        "2000",
        "300000",
    ]));
    assert_eq!(run.code, 0, "{run:?}");
    let before = tree_of(&bob.path, ".git/latch");
    bob.ok(&["sync"]);
    assert_eq!(tree_of(&bob.path, ".git/latch"), before);
    assert!(!bob.path.join("escaped.lock").exists() && !bob.path.join(".git/x.lock").exists());
    let shown = tree_of(&bob.path.join(".git/latch/locks"), "none");
    assert!(
        shown.iter().all(|(path, _)| path.starts_with("many")
            || path == "folded.lock"
            || path == "torn.lock"),
        "{:?}",
        shown.last()
    );
    for path in [
        "link",
        "module",
        "upper/x",
        "folded",
        "torn",
        "large",
        "many/many-0000007",
    ] {
        bob.latch(&["lock", "--new", path]).ended(1);
    }
    let listed = bob.json(&["list"]);
    let unreadable = listed["locks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|l| l["state"] == "unreadable")
        .count();
    assert!(unreadable > 2000, "{unreadable}");
    bob.ok(&["unlock", "--force", "link", "upper/x", "large"]);
    bob.ok(&["lock", "--new", "link", "large"]);
}

/// Every path below a directory with what it is, but for those below `left_out`.
fn tree_of(directory: &Path, left_out: &str) -> Vec<(String, String)> {
    let output = Command::new("find")
        .args([".", "-path", &format!("./{left_out}"), "-prune", "-o"])
        .args(["-printf", "%P\\t%y %s %l\\n"])
        .current_dir(directory)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut all: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(path, kind)| !path.is_empty() && !kind.starts_with('d'))
        .map(|(path, kind)| (path.to_owned(), kind.to_owned()))
        .collect();
    all.sort();
    all
}

#[test]
fn no_state_of_the_history_ever_had_two_holders() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let clones: Vec<Tree<'_>> = (0..4).map(|n| clone(&sandbox, &format!("c{n}"))).collect();
    let work = "for n in 1 2 3; do \
        \"$0\" -q lock --new a/b/c; \"$0\" -q lock --new a; \"$0\" -q lock --new a/; \
        \"$0\" -q lock --new x/y z --partial; \"$0\" -q renew; \
        \"$0\" -q lock --new --steal -m race a/b/c; \"$0\" -q unlock --all; done; true";
    let children: Vec<_> = clones
        .iter()
        .map(|tree| {
            let mut command = tree.command("sh");
            command
                .args(["-c", work, LATCH])
                .stderr(Stdio::null())
                .stdout(Stdio::null());
            command.spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let states = assert_sane(&sandbox.tree("remote.git"));
    assert!(states > 10, "{states}");
    let log: Value = clones[0].json(&["log", "--all"]);
    assert!(log["events"].as_array().unwrap().len() > 10);
}

#[test]
fn of_several_push_urls_one_that_refuses_is_a_no() {
    let sandbox = Sandbox::new();
    let (ada, bob) = two(&sandbox);
    let mirror = sandbox.path().join("mirror.git");
    let bare = sandbox.path().join("remote.git");
    ada.git(&["init", "-q", "--bare", mirror.to_str().unwrap()]);
    for url in [&mirror, &bare] {
        bob.git(&[
            "remote",
            "set-url",
            "--add",
            "--push",
            "origin",
            url.to_str().unwrap(),
        ]);
    }
    ada.ok(&["lock", "hero.psd"]);
    bob.latch(&["lock", "hero.psd"]).ended(1);
}
