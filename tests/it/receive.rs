//! Pushes judged where they arrive: `init --bare`, `hook pre-receive`.

use crate::support::clones::{clone, remote};
use crate::support::judged::{commit, judged, latch, push};
use crate::support::{Run, Sandbox, Tree};

#[test]
fn a_push_that_edits_what_another_has_locked_is_rejected_and_no_bypass_helps() {
    let sandbox = Sandbox::new();
    let (ada, bob, _) = judged(&sandbox, "");
    latch(
        &ada,
        "ada@example.com",
        &["lock", "hero.psd", "-m", "retopology"],
    )
    .ended(0);
    commit(&bob, "hero.psd", "two\n");
    let pushed = push(&bob, "bob@example.com", &["--no-verify", "origin", "main"]);
    assert_ne!(pushed.code, 0);
    assert!(
        pushed.stderr.contains("locked by Ada <ada@example.com>"),
        "{pushed:?}"
    );
    assert!(pushed.stderr.contains("\"retopology\""), "{pushed:?}");
    assert!(
        pushed.stderr.contains("git-latch: held hero.psd"),
        "{pushed:?}"
    );
    let mut skipping = bob.command("git");
    skipping.args(["push", "--no-verify", "origin", "main"]);
    let skipping = skipping
        .env("GIT_LATCH_SKIP", "1")
        .env("REMOTE_USER", "bob@example.com");
    assert_ne!(Run::of(skipping).code, 0);
    // Put back before it is pushed: nothing of it arrives.
    bob.git(&["revert", "--no-edit", "HEAD"]);
    push(
        &bob,
        "bob@example.com",
        &["--no-verify", "-q", "origin", "main"],
    )
    .ended(0);
    ada.git(&["pull", "-q"]);
    bob.git(&["reset", "-q", "--hard", "HEAD~1"]);
    commit(&ada, "hero.psd", "three\n");
    push(&ada, "ada@example.com", &["origin", "main"]).ended(0);
    latch(&ada, "ada@example.com", &["unlock", "hero.psd"]).ended(0);
    bob.git(&["pull", "-q", "--rebase", "-X", "theirs"]);
    push(&bob, "bob@example.com", &["origin", "main"]).ended(0);
}

#[test]
fn locks_are_taken_in_ones_own_name_only() {
    let sandbox = Sandbox::new();
    let (ada, bob, bare) = judged(&sandbox, "[server.pushers]\nada = \"ada@example.com\"\n");
    latch(&ada, "ada", &["lock", "hero.psd"]).ended(0);
    let agent = ada.by("ada@example.com/agent-7");
    latch(&agent, "ada", &["lock", "notes.txt"]).ended(0);
    let refused = latch(&bob, "ada", &["--json", "lock", "scenes"]).ended(1);
    assert_eq!(refused.json()["error"]["code"], "forbidden");
    let refused = latch(&bob, "mallory", &["lock", "scenes"])
        .ended(1)
        .said("in the name of `bob@example.com`, but pushed by `mallory`");
    refused.said("the server knows you as `mallory`");
    assert_eq!(bob.locks().len(), 2);
    assert!(
        bare.git(&["log", "--oneline", "refs/latch/locks"])
            .lines()
            .count()
            == 2
    );
}

#[test]
fn an_administrator_looks_at_the_locks_where_they_arrive() {
    let sandbox = Sandbox::new();
    let (ada, _, bare) = judged(&sandbox, "");
    latch(&ada, "ada@example.com", &["lock", "hero.psd"]).ended(0);
    assert_eq!(
        bare.locks(),
        [("hero.psd".into(), "ada@example.com".into())]
    );
    assert_eq!(bare.json(&["log"])["events"][0]["event"], "locked");
    bare.ok(&["doctor"]);
    bare.latch(&["unlock", "--force", "--all"])
        .ended(2)
        .said("is a bare repository");
    assert!(!bare.path.join("latch").exists());
}

#[test]
fn force_is_for_those_whom_the_policy_names() {
    let sandbox = Sandbox::new();
    let (ada, bob, _) = judged(&sandbox, "[force]\nwho = [\"lead@example.com\"]\n");
    ada.ok(&["lock", "hero.psd"]);
    // A client that does not ask the policy.
    for tree in [&ada, &bob] {
        tree.write(".latch.toml", "[share]\nremote = \"origin\"\n");
    }
    latch(
        &bob,
        "bob@example.com",
        &["lock", "--steal", "-m", "due", "hero.psd"],
    )
    .ended(1)
    .said("`[force] who` does not name bob@example.com");
    latch(
        &bob,
        "bob@example.com",
        &["unlock", "--force", "-m", "in need", "hero.psd"],
    )
    .ended(1);
    let lead = bob.by("lead@example.com");
    latch(
        &lead,
        "lead@example.com",
        &["lock", "--steal", "-m", "due", "hero.psd"],
    )
    .ended(0);
    latch(&lead, "lead@example.com", &["unlock", "hero.psd"]).ended(0);
}

#[test]
fn without_a_word_from_the_host_the_committer_counts() {
    let sandbox = Sandbox::new();
    let (ada, bob, _) = judged(&sandbox, "[require]\npatterns = [\"*.tscn\"]\n");
    ada.ok(&["lock", "hero.psd"]);
    bob.git(&["config", "user.email", "bob@example.com"]);
    commit(&bob, "notes.txt", "two\n");
    bob.git(&["push", "-q", "--no-verify", "origin", "main"]);
    commit(&bob, "hero.psd", "two\n");
    bob.try_git(&["push", "--no-verify", "origin", "main"])
        .said("git-latch: held hero.psd");
    bob.git(&["reset", "-q", "--hard", "HEAD~1"]);
    commit(&bob, "scenes/town.tscn", "two\n");
    bob.try_git(&["push", "--no-verify", "origin", "main"])
        .said("git-latch: required scenes/town.tscn");
    bob.ok(&["lock", "scenes/town.tscn"]);
    bob.git(&["push", "-q", "--no-verify", "origin", "main"]);
    // What the team does not have yet, nobody else can have edited.
    commit(&bob, "scenes/new.tscn", "one\n");
    bob.git(&["push", "-q", "--no-verify", "origin", "main"]);
    commit(&bob, "scenes/new.tscn", "two\n");
    bob.try_git(&["push", "--no-verify", "origin", "main"])
        .said("git-latch: required scenes/new.tscn");
}

#[test]
fn integrators_push_the_owners_commits_and_others_do_not() {
    let sandbox = Sandbox::new();
    let (ada, bob, _) = judged(&sandbox, "[hooks]\nintegrators = [\"lead@example.com\"]\n");
    latch(&ada, "ada@example.com", &["lock", "hero.psd"]).ended(0);
    bob.write("hero.psd", "two\n");
    bob.git(&[
        "commit",
        "-q",
        "--no-verify",
        "-am",
        "two",
        "--author",
        "Ada <ada@example.com>",
    ]);
    push(&bob, "bob@example.com", &["--no-verify", "origin", "main"])
        .said("git-latch: held hero.psd");
    push(&bob, "lead@example.com", &["--no-verify", "origin", "main"]).ended(0);
}

#[test]
fn the_attribute_lockable_is_that_of_the_branch_before_the_push() {
    let sandbox = Sandbox::new();
    let (ada, bob, _) = judged(&sandbox, "");
    commit(&ada, "scenes/.gitattributes", "*.tscn lockable\n");
    push(&ada, "ada@example.com", &["--no-verify", "origin", "main"]).ended(0);
    bob.git(&["pull", "-q"]);
    std::fs::remove_file(bob.path.join("scenes/town.tscn")).unwrap();
    bob.git(&["commit", "-q", "--no-verify", "-am", "gone"]);
    push(&bob, "bob@example.com", &["--no-verify", "origin", "main"])
        .said("git-latch: required scenes/town.tscn");
}

#[test]
fn the_rules_are_those_of_before_the_push_and_a_broken_policy_does_not_get_in() {
    let sandbox = Sandbox::new();
    let (ada, bob, bare) = judged(&sandbox, "[force]\nwho = []\n");
    latch(&ada, "ada@example.com", &["lock", "hero.psd"]).ended(0);
    commit(
        &bob,
        ".latch.toml",
        "[share]\nremote = \"origin\"\n[hooks]\nintegrators = [\"bob@example.com\"]\n",
    );
    commit(&bob, "hero.psd", "two\n");
    push(&bob, "bob@example.com", &["--no-verify", "origin", "main"])
        .said("git-latch: held hero.psd");
    bob.git(&["reset", "-q", "--hard", "HEAD~2"]);
    commit(&bob, ".latch.toml", "[lease]\nttl = \"soon\"\n");
    push(&bob, "bob@example.com", &["--no-verify", "origin", "main"]).said(".latch.toml:2:");
    // It was there before the hook: only what mends it gets in.
    std::fs::rename(
        bare.path.join("hooks/pre-receive"),
        bare.path.join("hooks/off"),
    )
    .unwrap();
    push(
        &bob,
        "bob@example.com",
        &["--no-verify", "-q", "origin", "main"],
    )
    .ended(0);
    std::fs::rename(
        bare.path.join("hooks/off"),
        bare.path.join("hooks/pre-receive"),
    )
    .unwrap();
    push(
        &bob,
        "bob@example.com",
        &["--no-verify", "origin", "main:side"],
    )
    .said("git-latch: bad_policy");
    commit(&bob, ".latch.toml", "[share]\nremote = \"origin\"\n");
    push(
        &bob,
        "bob@example.com",
        &["--no-verify", "-q", "origin", "main"],
    )
    .ended(0);
}

#[test]
fn the_lock_ref_is_neither_deleted_nor_rewritten() {
    let sandbox = Sandbox::new();
    let (ada, _, bare) = judged(&sandbox, "");
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["lock", "notes.txt"]);
    let tip = bare.git(&["rev-parse", "refs/latch/locks"]);
    let first = format!("{}~1", tip.trim());
    let store = sandbox.tree("ada/.git/latch/store.git");
    let url = bare.path.to_str().unwrap().to_owned();
    for refspec in [
        ":refs/latch/locks".to_owned(),
        format!("+{first}:refs/latch/locks"),
        "+main:refs/latch/locks".to_owned(),
    ] {
        let tree = if refspec.contains("main") {
            &ada
        } else {
            &store
        };
        assert_ne!(
            tree.try_git(&["push", "-q", "--no-verify", &url, &refspec])
                .code,
            0,
            "{refspec}"
        );
    }
    assert_eq!(bare.git(&["rev-parse", "refs/latch/locks"]), tip);
}

#[test]
fn a_hook_that_was_there_still_runs_and_uninstall_brings_it_back() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let bare = sandbox.tree("remote.git");
    bare.write_script("hooks/pre-receive", "#!/bin/sh\ncat > seen\n");
    let installed = bare.json(&["init", "--bare"]);
    assert_eq!(installed["hooks"][0]["outcome"], "chained");
    assert_eq!(
        bare.json(&["init", "--bare"])["hooks"][0]["outcome"],
        "unchanged"
    );
    let ada = clone(&sandbox, "ada");
    commit(&ada, "hero.psd", "two\n");
    ada.git(&["push", "-q", "origin", "main"]);
    assert!(bare.read("seen").contains("refs/heads/main"));
    assert_eq!(bare.json(&["uninstall"])["hooks"][0]["outcome"], "restored");
    assert!(bare.read("hooks/pre-receive").contains("cat > seen"));
    bare.latch(&["init"]).ended(2).said("git latch init --bare");
    ada.latch(&["init", "--bare"])
        .ended(2)
        .said("not a bare repository");
}

#[test]
fn where_the_host_runs_a_directory_of_hooks_ours_is_one_of_them() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let bare = sandbox.tree("remote.git");
    bare.write("hooks/pre-receive.d/gitea", "#!/bin/sh\n");
    bare.ok(&["init", "--bare"]);
    assert!(
        bare.read("hooks/pre-receive.d/git-latch")
            .contains("hook pre-receive")
    );
    assert!(!bare.path.join("hooks/pre-receive").exists());
    bare.ok(&["uninstall"]);
    assert!(!bare.path.join("hooks/pre-receive.d/git-latch").exists());
}

#[test]
fn a_server_that_does_not_use_locks_notices_nothing() {
    let sandbox = Sandbox::new();
    let seed = sandbox.repo();
    for kind in [
        "--ref-format=files",
        "--ref-format=reftable",
        "--object-format=sha256",
    ] {
        let bare = sandbox.tree(&format!("bare{kind}"));
        let work = sandbox.tree(&format!("work{kind}"));
        if seed
            .try_git(&["init", "-q", "--bare", kind, bare.path.to_str().unwrap()])
            .code
            != 0
        {
            continue;
        }
        bare.ok(&["init", "--bare"]);
        seed.git(&["init", "-q", kind, work.path.to_str().unwrap()]);
        work.git(&["remote", "add", "origin", bare.path.to_str().unwrap()]);
        commit(&work, "a", "1");
        let pushed = work.try_git(&["push", "origin", "HEAD:main"]);
        assert_eq!(pushed.code, 0, "{kind}: {pushed:?}");
        assert!(!pushed.stderr.contains("remote:"), "{pushed:?}");
        work.git(&[
            "push",
            "-q",
            "origin",
            "HEAD:refs/tags/t",
            "+HEAD^{tree}:refs/tags/tree",
        ]);
        work.git(&["push", "-q", "origin", ":refs/tags/t"]);
    }
}

#[test]
fn a_detour_over_another_ref_does_not_get_past_it() {
    let sandbox = Sandbox::new();
    let (ada, bob, _) = judged(&sandbox, "");
    latch(&ada, "ada@example.com", &["lock", "hero.psd"]).ended(0);
    commit(&bob, "hero.psd", "two\n");
    for detour in [
        "refs/latch/aside",
        "refs/notes/aside",
        "refs/tags/aside",
        "refs/x/y",
    ] {
        let refspec = format!("main:{detour}");
        let pushed = push(
            &bob,
            "bob@example.com",
            &["--no-verify", "origin", &refspec],
        );
        assert!(
            pushed.stderr.contains("git-latch: held hero.psd"),
            "{detour}: {pushed:?}"
        );
    }
    let two = ["--no-verify", "origin", "main:refs/latch/aside", "main"];
    assert_ne!(push(&bob, "bob@example.com", &two).code, 0);
}

#[test]
fn what_a_merge_throws_away_or_a_forced_push_takes_back_is_an_edit() {
    let sandbox = Sandbox::new();
    let (ada, bob, _) = judged(&sandbox, "");
    commit(&ada, "hero.psd", "two\n");
    push(&ada, "ada@example.com", &["-q", "origin", "main"]).ended(0);
    latch(&ada, "ada@example.com", &["lock", "hero.psd"]).ended(0);
    // A merge of the old version over the new one, which is no commit of its own.
    commit(&bob, "notes.txt", "two\n");
    bob.git(&["fetch", "-q"]);
    bob.git(&[
        "merge",
        "-q",
        "--no-verify",
        "-s",
        "ours",
        "-m",
        "ours",
        "origin/main",
    ]);
    push(&bob, "bob@example.com", &["--no-verify", "origin", "main"])
        .said("git-latch: held hero.psd");
    bob.git(&["reset", "-q", "--hard", "origin/main~1"]);
    push(
        &bob,
        "bob@example.com",
        &["--no-verify", "--force", "origin", "main"],
    )
    .said("git-latch: held hero.psd");
    // Onto the team's branch the holder's work comes by the holder.
    ada.git(&["switch", "-q", "-c", "topic"]);
    commit(&ada, "hero.psd", "three\n");
    push(&ada, "ada@example.com", &["-q", "origin", "topic"]).ended(0);
    bob.git(&["reset", "-q", "--hard", "origin/main"]);
    bob.git(&["fetch", "-q"]);
    let merge = ["merge", "-q", "--no-verify", "--no-ff", "-m", "merge"];
    bob.git(&[&merge[..], &["origin/topic"]].concat());
    push(&bob, "bob@example.com", &["--no-verify", "origin", "main"])
        .said("git-latch: held hero.psd");
    ada.git(&["switch", "-q", "main"]);
    ada.git(&[&merge[..], &["topic"]].concat());
    push(&ada, "ada@example.com", &["-q", "origin", "main"]).ended(0);
}

#[test]
fn replacements_do_not_replace_the_rules() {
    let sandbox = Sandbox::new();
    let (ada, bob, bare) = judged(&sandbox, "[force]\nwho = []\n");
    latch(&ada, "ada@example.com", &["lock", "hero.psd"]).ended(0);
    let policy = bare.git(&["rev-parse", "main:.latch.toml"]);
    bob.write(
        "mine",
        "[server]\ntrusted = [\"bob@example.com\"]\n[hooks]\nintegrators = [\"bob@example.com\"]\n",
    );
    let mine = bob.git(&["hash-object", "-w", "mine"]);
    let refspec = format!("{}:refs/replace/{}", mine.trim(), policy.trim());
    push(
        &bob,
        "bob@example.com",
        &["-q", "--no-verify", "origin", &refspec],
    );
    for tree in [&ada, &bob] {
        tree.write(".latch.toml", "[share]\nremote = \"origin\"\n");
    }
    latch(
        &bob,
        "bob@example.com",
        &["unlock", "--force", "-m", "in need", "hero.psd"],
    )
    .ended(1);
}

#[test]
fn a_tree_that_git_would_not_write_is_refused() {
    let sandbox = Sandbox::new();
    let (ada, bob, bare) = judged(&sandbox, "");
    latch(&ada, "ada@example.com", &["lock", "hero.psd"]).ended(0);
    latch(&bob, "bob@example.com", &["sync"]).ended(0);
    let store = sandbox.tree("bob/.git/latch/store.git");
    let lock = store.git(&["rev-parse", "refs/latch/tip:hero.psd.lock"]);
    let old = bare.git(&["rev-parse", "refs/latch/locks"]);
    let seq = bob.json(&["list"])["seq"].as_u64().unwrap() + 1;
    let script = r#"
        put() { printf "%s %s\\0" "$1" "$2"; printf "$(echo "$3" | sed 's/../\\x&/g')"; }
        blob=$(echo x | git hash-object -w --stdin)
        empty=$(git hash-object -w -t tree /dev/null)
        case $1 in
            twice) { put 100644 hero.psd.lock $0; put 100644 hero.psd.lock $blob; } ;;
            slash) { put 100644 a/b.lock $blob; put 100644 hero.psd.lock $0; } ;;
            empty) { put 40000 a.lock $empty; put 100644 hero.psd.lock $0; } ;;
            order) { put 100644 hero.psd.lock $0; put 100644 a.lock $blob; } ;;
        esac > entries
        tree=$(git hash-object -t tree -w --literally entries)
        printf 'x\n\nLatch-Seq: %s\n' $2 |
            git -c user.name=Bob -c user.email=bob@example.com commit-tree $tree -p $3"#;
    for kind in ["twice", "slash", "empty", "order"] {
        let mut writing = store.command("bash");
        writing.args([
            "-c",
            script,
            lock.trim(),
            kind,
            &seq.to_string(),
            old.trim(),
        ]);
        writing.env_remove("GIT_COMMITTER_DATE");
        let commit = Run::of(&mut writing).ended(0);
        let refspec = format!("{}:refs/latch/locks", commit.stdout.trim());
        let url = bare.path.to_str().unwrap();
        let pushed = push(&store, "bob@example.com", &["--no-verify", url, &refspec]);
        assert!(
            pushed.stderr.contains("has duplicate or unsorted entries"),
            "{kind}: {pushed:?}"
        );
    }
}

/// What receive-pack does with these commands, sent to it as they are: `old new ref`.
fn raw(bare: &Tree<'_>, pusher: &str, commands: &[String]) -> String {
    let mut input = Vec::new();
    for (n, command) in commands.iter().enumerate() {
        let features = if n == 0 { "\0 report-status" } else { "" };
        let length = command.len() + features.len() + 4;
        input.extend(format!("{length:04x}{command}{features}").into_bytes());
    }
    input.extend(b"0000");
    // A pack of nothing: every object is there.
    input.extend(b"PACK\0\0\0\x02\0\0\0\0");
    input.extend(
        b"\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e",
    );
    let mut receiving = bare.command("git");
    receiving
        .args(["receive-pack", "."])
        .env("REMOTE_USER", pusher);
    let run = Run::fed(&mut receiving, &input);
    run.stdout + &run.stderr
}

#[test]
fn a_ref_that_a_push_names_twice_is_refused() {
    let sandbox = Sandbox::new();
    let (ada, _, bare) = judged(&sandbox, "");
    ada.ok(&["lock", "hero.psd"]);
    ada.ok(&["lock", "notes.txt"]);
    let tip = bare.git(&["rev-parse", "refs/latch/locks"]);
    let tip = tip.trim();
    let null = "0".repeat(40);
    let first = format!("{tip} {tip} refs/latch/locks");
    let second = format!("{tip} {null} refs/latch/locks");
    let told = raw(&bare, "bob@example.com", &[first, second]);
    assert!(told.contains("names `refs/latch/locks` twice"), "{told}");
    assert_eq!(bare.git(&["rev-parse", "refs/latch/locks"]).trim(), tip);
}

#[test]
fn work_from_aside_reaches_a_branch_only_if_it_is_the_holders() {
    let sandbox = Sandbox::new();
    let (ada, bob, _) = judged(&sandbox, "");
    bob.git(&["config", "user.email", "bob@example.com"]);
    // Pushed before the lock.
    bob.git(&["switch", "-q", "-c", "side"]);
    commit(&bob, "hero.psd", "two\n");
    push(
        &bob,
        "bob@example.com",
        &["-q", "--no-verify", "origin", "side"],
    )
    .ended(0);
    latch(&ada, "ada@example.com", &["lock", "hero.psd"]).ended(0);
    push(
        &bob,
        "bob@example.com",
        &["--no-verify", "origin", "side:main"],
    )
    .said("git-latch: held hero.psd");
    // Edited and put back on one branch, so that another can be moved into the middle.
    bob.git(&["switch", "-q", "-c", "aside", "origin/main"]);
    commit(&bob, "notes.txt", "two\n");
    push(
        &bob,
        "bob@example.com",
        &["-q", "--no-verify", "origin", "aside"],
    )
    .ended(0);
    commit(&bob, "hero.psd", "three\n");
    bob.git(&["revert", "--no-edit", "HEAD"]);
    push(
        &bob,
        "bob@example.com",
        &["-q", "--no-verify", "origin", "aside"],
    )
    .ended(0);
    push(
        &bob,
        "bob@example.com",
        &["--no-verify", "origin", "aside~1:main"],
    )
    .said("git-latch: held hero.psd");
}

#[test]
fn nothing_stands_in_the_way_of_the_lock_ref_and_no_policy_bricks_the_branch() {
    let sandbox = Sandbox::new();
    let (ada, bob, bare) = judged(&sandbox, "");
    for name in ["refs/latch/locks/x", "refs/latch/LOCKS"] {
        let refspec = format!("main:{name}");
        push(
            &bob,
            "bob@example.com",
            &["--no-verify", "origin", &refspec],
        )
        .said("would conflict with the lock ref");
    }
    for text in ["[share]\nref = \"refs/heads/main\"\n", ""] {
        if text.is_empty() {
            std::fs::remove_file(bob.path.join(".latch.toml")).unwrap();
            bob.write(".latch.toml/inside", "x");
            bob.git(&["add", "-A"]);
            bob.git(&["commit", "-q", "--no-verify", "-m", "x"]);
        } else {
            commit(&bob, ".latch.toml", text);
        }
        push(&bob, "bob@example.com", &["--no-verify", "origin", "main"])
            .said("git-latch: bad_policy");
    }
    ada.ok(&["lock", "hero.psd"]);
    bare.git(&["symbolic-ref", "HEAD", "refs/heads/none"]);
    bare.latch(&["doctor"]).ended(1).said("1 thing is wrong");
}

#[test]
fn a_history_is_not_dropped_before_it_is_long_nor_signed_by_another() {
    let sandbox = Sandbox::new();
    let (ada, bob, bare) = judged(&sandbox, "");
    latch(&ada, "ada@example.com", &["lock", "hero.psd"]).ended(0);
    latch(&bob, "bob@example.com", &["sync"]).ended(0);
    let store = sandbox.tree("bob/.git/latch/store.git");
    let seq = bob.json(&["list"])["seq"].as_u64().unwrap() + 1;
    let tree = bare.git(&["rev-parse", "refs/latch/locks^{tree}"]);
    let tip = bare.git(&["rev-parse", "refs/latch/locks"]);
    let message = format!("x\n\nLatch-Seq: {seq}\n");
    let url = bare.path.to_str().unwrap();
    for (mail, parent, told) in [
        ("bob@example.com", None, "is too short to be dropped"),
        (
            "carol@example.com",
            Some(tip.trim()),
            "is signed `carol@example.com`",
        ),
    ] {
        let mut writing = store.command("git");
        writing.args(["-c", "user.name=X", "-c", &format!("user.email={mail}")]);
        writing.args(["commit-tree", tree.trim(), "-m", &message]);
        if let Some(parent) = parent {
            writing.args(["-p", parent]);
        }
        let written = Run::of(writing.env_remove("GIT_COMMITTER_DATE")).ended(0);
        let refspec = format!("+{}:refs/latch/locks", written.stdout.trim());
        push(&store, "bob@example.com", &["--no-verify", url, &refspec]).said(told);
    }
}
