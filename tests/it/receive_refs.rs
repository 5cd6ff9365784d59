//! Refs judged by what they say, where pushes arrive: whoever wrote which commit.

use std::fmt::Write as _;

use crate::support::judged::{commit, judged, latch};
use crate::support::{Run, Sandbox, Tree};

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";

/// A server whose people are known, where nobody may use force.
struct Team<'a> {
    ada: Tree<'a>,
    bob: Tree<'a>,
    bare: Tree<'a>,
}

impl<'a> Team<'a> {
    /// One in which Ada has `a` locked, and her work on it on the branch `idea`; `main` is as it was.
    fn with_idea(sandbox: &'a Sandbox) -> Self {
        let team = Team::new(sandbox, "");
        latch(&team.ada, ADA, &["lock", "a"]).ended(0);
        team.ada.git(&["switch", "-q", "-c", "idea"]);
        commit(&team.ada, "a", "draft\n");
        team.pushes(ADA, &["idea"]).ended(0);
        team.bob.git(&["fetch", "-q"]);
        team
    }

    /// One in which `main` has the files `a` and `notes`, and nobody has a lock.
    fn new(sandbox: &'a Sandbox, policy: &str) -> Self {
        let (ada, bob, bare) = judged(sandbox, &format!("[force]\nwho = []\n{policy}"));
        commit(&ada, "a", "first\n");
        commit(&ada, "notes", "first\n");
        let team = Team { ada, bob, bare };
        team.pushes(ADA, &["main"]).ended(0);
        team.bob.git(&["pull", "-q"]);
        team
    }

    /// What comes of a push that somebody makes from their clone, past the hooks there.
    fn pushes(&self, who: &str, refspecs: &[&str]) -> Run {
        let tree = if who == ADA { &self.ada } else { &self.bob };
        let mut command = tree.command("git");
        command.args(["push", "--no-verify", "--porcelain", "origin"]);
        Run::of(command.args(refspecs).env("GIT_LATCH_PUSHER", who))
    }

    /// Bob's push is refused for `a`, and every ref is as it was.
    fn refuses(&self, refspecs: &[&str]) -> Run {
        let refs = self.refs();
        let pushed = self.pushes(BOB, refspecs);
        assert!(
            pushed.stderr.contains("git-latch: held a"),
            "{refspecs:?}: {pushed:?}"
        );
        assert_ne!(pushed.code, 0, "{refspecs:?}");
        assert_eq!(self.refs(), refs, "{refspecs:?}");
        pushed
    }

    /// Bob's push is accepted.
    fn accepts(&self, refspecs: &[&str]) {
        let pushed = self.pushes(BOB, refspecs);
        assert_eq!(pushed.code, 0, "{refspecs:?}: {pushed:?}");
    }

    fn refs(&self) -> String {
        self.bare
            .git(&["for-each-ref", "--format=%(refname) %(objectname)"])
    }

    /// Bob commits a version of `a` and takes it back.
    fn bob_edits_and_reverts(&self) {
        self.bob.write("a", "evil\n");
        let author = format!("--author=Ada <{ADA}>");
        let edit = ["commit", "-q", "--no-verify", "-am", "evil", &author];
        self.bob.git(&edit);
        self.bob.git(&["revert", "--no-edit", "HEAD"]);
    }
}

#[test]
fn the_holders_draft_is_not_put_over_the_final_version() {
    let sandbox = Sandbox::new();
    let team = Team::with_idea(&sandbox);
    team.ada.git(&["switch", "-q", "main"]);
    commit(&team.ada, "a", "final\n");
    team.pushes(ADA, &["main"]).ended(0);
    team.bob.git(&["fetch", "-q"]);
    team.refuses(&["+origin/idea:main"])
        .said("a (on main): locked by Ada");
    // Nor by a merge with its tree, in either order of the parents.
    for (one, other) in [
        ("origin/main", "origin/idea"),
        ("origin/idea", "origin/main"),
    ] {
        let merge = [
            "commit-tree",
            "origin/idea^{tree}",
            "-p",
            one,
            "-p",
            other,
            "-m",
            "merge",
        ];
        let merge = team.bob.git(&merge);
        team.refuses(&[&format!("+{}:main", merge.trim())]);
    }
}

#[test]
fn a_version_that_was_reverted_is_on_no_ref() {
    let sandbox = Sandbox::new();
    let team = Team::new(&sandbox, "");
    team.bob.git(&["switch", "-q", "-c", "x"]);
    commit(&team.bob, "notes", "x\n");
    team.accepts(&["x"]);
    latch(&team.ada, ADA, &["lock", "a"]).ended(0);
    team.bob_edits_and_reverts();
    // The ref says of `a` what it said before.
    team.accepts(&["x"]);
    for refspec in [
        "HEAD~1:main",
        "+HEAD~1:x",
        "HEAD~1:refs/heads/evil",
        "HEAD~1:refs/tags/evil",
        "HEAD~1:refs/notes/evil",
        "HEAD~1:refs/pull/1/head",
        "HEAD~1:refs/for/main",
    ] {
        team.refuses(&[refspec]);
    }
    team.bob.git(&["tag", "-a", "-m", "x", "evil", "HEAD~1"]);
    team.bob.git(&["tag", "-a", "-m", "x", "evil-tag", "evil"]);
    team.refuses(&["refs/tags/evil-tag"]);
    team.refuses(&["HEAD~1^{tree}:refs/tags/evil"]);
    let blob = team.bob.git(&["rev-parse", "HEAD~1:a"]);
    team.accepts(&[&format!("{}:refs/tags/blob", blob.trim())]);
}

#[test]
fn a_branch_with_its_own_version_neither_goes_nor_comes_back_otherwise() {
    let sandbox = Sandbox::new();
    let team = Team::with_idea(&sandbox);
    commit(&team.ada, "a", "draft 2\n");
    team.pushes(ADA, &["idea"]).ended(0);
    team.bob.git(&["fetch", "-q"]);
    for refspec in [
        ":idea",
        "+origin/idea~1:idea",
        "+origin/main:idea",
        "origin/idea~1:refs/heads/older",
    ] {
        team.refuses(&[refspec]);
    }
    // A copy is no edit, and other work on top of it is none of `a`.
    team.accepts(&["origin/idea:refs/heads/copy", "origin/idea:refs/tags/copy"]);
    team.bob.git(&["switch", "-q", "-c", "mine", "origin/idea"]);
    commit(&team.bob, "notes", "mine\n");
    team.accepts(&["mine", "mine:idea"]);
    team.refuses(&[":refs/heads/copy"]);
    team.refuses(&["mine:main"]);
    team.pushes(ADA, &[":refs/heads/copy"]).ended(0);
}

#[test]
fn two_pushes_do_not_do_what_one_may_not() {
    let sandbox = Sandbox::new();
    let team = Team::with_idea(&sandbox);
    // To call the draft merged without taking it, so that it may go.
    let swallow = |one: &str, other: &str| {
        let merge = [
            "commit-tree",
            "origin/main^{tree}",
            "-p",
            one,
            "-p",
            other,
            "-m",
            "m",
        ];
        team.bob.git(&merge).trim().to_owned()
    };
    for merge in [
        swallow("origin/main", "origin/idea"),
        swallow("origin/idea", "origin/main"),
    ] {
        team.refuses(&[&format!("{merge}:main")])
            .said("a (on idea): locked by Ada");
        team.refuses(&[&format!("{merge}:main"), "+origin/main:idea"]);
        team.refuses(&[&format!("{merge}:main"), "origin/idea:refs/heads/copy"]);
    }
    // Onto the branch itself, with other work beside.
    let merge = swallow("origin/idea", "origin/main");
    team.refuses(&[&format!("{merge}:idea")]);
    // The holder may.
    team.ada
        .git(&["fetch", "-q", team.bob.path.to_str().unwrap(), &merge]);
    team.pushes(ADA, &[&format!("{merge}:main")]).ended(0);
}

#[test]
fn what_the_team_has_is_merged_rebased_on_and_caught_up_with() {
    let sandbox = Sandbox::new();
    let team = Team::new(&sandbox, "");
    team.bob.git(&["switch", "-q", "-c", "work"]);
    commit(&team.bob, "notes", "work\n");
    team.accepts(&[
        "work",
        "origin/main:refs/heads/stale",
        "origin/main:refs/tags/v1",
    ]);
    latch(&team.ada, ADA, &["lock", "a"]).ended(0);
    for text in ["second\n", "third\n"] {
        commit(&team.ada, "a", text);
        team.pushes(ADA, &["main"]).ended(0);
    }
    team.bob.git(&["fetch", "-q"]);
    team.accepts(&["origin/main:stale"]);
    // Back to an older one of the team's, elsewhere than on its branch.
    team.accepts(&[
        "+origin/main~1:stale",
        "origin/main~2:refs/heads/maintained",
    ]);
    team.accepts(&["+origin/main:refs/tags/v1", ":stale"]);
    team.bob
        .git(&["merge", "-q", "--no-verify", "-m", "merge", "origin/main~1"]);
    team.accepts(&["work"]);
    team.bob.git(&["rebase", "-q", "origin/main"]);
    team.accepts(&["+work"]);
    team.accepts(&["work:main"]);
    // To keep the older version in a merge is an edit; on a branch that is there, too.
    team.bob
        .git(&["switch", "-q", "-c", "back", "origin/main~2"]);
    commit(&team.bob, "other", "x\n");
    team.accepts(&["back"]);
    team.bob.git(&[
        "merge",
        "-q",
        "--no-verify",
        "-s",
        "ours",
        "-m",
        "ours",
        "origin/main",
    ]);
    team.refuses(&["back"]);
}

#[test]
fn the_main_branch_counts_as_it_was_before_the_push() {
    let sandbox = Sandbox::new();
    let team = Team::with_idea(&sandbox);
    team.bob.git(&["switch", "-q", "-c", "work", "origin/main"]);
    commit(&team.bob, "notes", "two\n");
    team.accepts(&["work:main", "work:refs/heads/work", "work:refs/tags/v1"]);
    // What a push brings to `main` only to take it back is nobody's version yet.
    team.bob.git(&["switch", "-q", "-C", "work", "origin/main"]);
    team.bob.git(&["pull", "-q", "origin", "main"]);
    team.bob_edits_and_reverts();
    team.refuses(&["work:main", "work~1:refs/heads/evil"]);
    team.accepts(&["work:main"]);
}

#[test]
fn the_branch_that_head_names_is_neither_removed_nor_replaced() {
    let sandbox = Sandbox::new();
    let team = Team::with_idea(&sandbox);
    team.bare
        .git(&["config", "receive.denyDeleteCurrent", "ignore"]);
    team.bob.git(&["switch", "-q", "--orphan", "fresh"]);
    commit(&team.bob, "a", "evil\n");
    team.refuses(&[":main"]);
    team.refuses(&["+fresh:main"]);
    team.refuses(&["fresh"]);
    // Another name of it on the server is it.
    team.bare
        .git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    team.refuses(&["+origin/idea:alias"]);
    team.refuses(&["+fresh:alias"]);
    team.refuses(&["+origin/main~2:alias"]);
    // The same of a branch that HEAD names and that is not there yet: what others have locked does not come by a copy.
    team.bare.git(&["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    team.refuses(&["origin/idea:refs/heads/trunk"]);
    team.refuses(&["+fresh:main"]);
    team.pushes(ADA, &["idea:refs/heads/trunk"]).ended(0);
    team.refuses(&["+fresh:trunk"]);
}

#[test]
fn every_kind_of_entry_and_spelling_is_one_path() {
    let sandbox = Sandbox::new();
    let team = Team::new(&sandbox, "");
    std::fs::create_dir(team.ada.path.join("d")).unwrap();
    commit(&team.ada, "d/e", "x\n");
    team.pushes(ADA, &["main"]).ended(0);
    latch(&team.ada, ADA, &["lock", "a", "d"]).ended(0);
    team.bob.git(&["pull", "-q"]);
    let start = team.bob.git(&["rev-parse", "HEAD"]);
    for (script, path) in [
        ("chmod +x a", "a"),
        ("rm a; ln -s notes a", "a"),
        ("rm a; mkdir a; echo x > a/b", "a"),
        (
            "git rm -q --cached a; git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),a; rm a",
            "a",
        ),
        ("echo x > A", "A"),
        ("git mv a b", "a"),
        ("git rm -q a", "a"),
        ("rm -r d; echo x > d", "d"),
        ("echo x > d/new", "d/new"),
        ("rm -r d; ln -s /tmp d", "d"),
    ] {
        let mut editing = team.bob.command("sh");
        let script = format!(
            "{script}; git add -A -- . ':!a' 2>/dev/null; git add a 2>/dev/null; git commit -q --no-verify -m x"
        );
        Run::of(editing.args(["-c", &script])).ended(0);
        let pushed = team.pushes(BOB, &["HEAD:main"]);
        assert!(
            pushed.stderr.contains(&format!("git-latch: held {path}")),
            "{script}: {pushed:?}"
        );
        let pushed = team.pushes(BOB, &["HEAD:refs/heads/x"]);
        assert!(
            pushed.stderr.contains(&format!("git-latch: held {path}")),
            "{script}: {pushed:?}"
        );
        team.bob.git(&["reset", "-q", "--hard", start.trim()]);
        team.bob.git(&["clean", "-qfd"]);
    }
    latch(&team.ada, ADA, &["lock", "."]).ended(0);
    commit(&team.bob, "notes", "two\n");
    team.pushes(BOB, &["HEAD:main"])
        .said("git-latch: held notes");
}

#[test]
fn a_directory_beside_the_locked_file_of_its_name_is_refused() {
    let sandbox = Sandbox::new();
    let team = Team::with_idea(&sandbox);
    let script = r#"
        put() { printf "%s %s\\0" "$1" "$2"; printf "$(echo "$3" | sed 's/../\\x&/g')"; }
        blob=$(echo x | git hash-object -w --stdin)
        below=$(put 100644 b $blob | git hash-object -t tree -w --stdin --literally)
        { git cat-file tree origin/main; put 40000 a $below; } > entries
        tree=$(git hash-object -t tree -w --literally entries)
        git commit-tree $tree -p origin/main -m x"#;
    let mut writing = team.bob.command("bash");
    let written = Run::of(writing.args(["-c", script])).ended(0);
    let pushed = team.pushes(BOB, &[&format!("{}:main", written.stdout.trim())]);
    assert!(pushed.stderr.contains("git-latch: held a/b"), "{pushed:?}");
}

#[test]
fn integrators_move_what_others_have_locked_and_agents_are_their_persons() {
    let sandbox = Sandbox::new();
    let team = Team::new(&sandbox, "[hooks]\nintegrators = [\"lead@example.com\"]\n");
    let agent = team.ada.by("ada@example.com/agent-7");
    latch(&agent, ADA, &["lock", "a"]).ended(0);
    commit(&team.ada, "a", "two\n");
    team.pushes(ADA, &["main:refs/heads/idea"]).ended(0);
    team.bob.git(&["fetch", "-q"]);
    team.refuses(&["origin/idea:main"]);
    team.pushes("lead@example.com", &["origin/idea:main", ":idea"])
        .ended(0);
    let nobody = team.pushes("ada@example.com/agent-8", &[":main"]);
    assert_ne!(nobody.code, 0);
}

#[test]
fn what_needs_a_lock_needs_the_pushers() {
    let sandbox = Sandbox::new();
    let team = Team::new(&sandbox, "[require]\npatterns = [\"*.psd\"]\n");
    // Nobody else can have edited what is new.
    commit(&team.bob, "new.psd", "w\n");
    team.accepts(&["main"]);
    commit(&team.bob, "new.psd", "x\n");
    team.pushes(BOB, &["main"])
        .said("git-latch: required new.psd");
    latch(&team.bob, BOB, &["lock", "new.psd"]).ended(0);
    team.accepts(&["main"]);
    latch(&team.bob, BOB, &["unlock", "new.psd"]).ended(0);
    // Catching up needs none.
    team.accepts(&["main~1:refs/heads/stale"]);
    team.accepts(&["main:stale"]);
    // Nor does it need one that a branch goes, whose work is nobody's any more.
    latch(&team.bob, BOB, &["lock", "new.psd"]).ended(0);
    team.bob.git(&["switch", "-q", "-c", "gone"]);
    commit(&team.bob, "new.psd", "gone\n");
    team.accepts(&["gone"]);
    latch(&team.bob, BOB, &["unlock", "new.psd"]).ended(0);
    team.accepts(&[":gone"]);
    team.bob.git(&["switch", "-q", "-c", "x", "main"]);
    commit(&team.bob, "new.psd", "y\n");
    team.pushes(BOB, &["x"]).said("git-latch: required new.psd");
}

#[test]
fn refs_that_lie_on_each_other_are_each_judged() {
    let sandbox = Sandbox::new();
    let team = Team::with_idea(&sandbox);
    let bob = &team.bob;
    let step = |branch: &str, path: &str, text: &str| {
        bob.git(&["switch", "-q", "-c", branch]);
        commit(bob, path, text);
    };
    step("one", "notes", "1\n");
    step("two", "a", "evil\n");
    step("three", "notes", "3\n");
    // As main has it: no edit.
    step("four", "a", "first\n");
    for refspecs in [
        &["one", "two"][..],
        &["two", "four"],
        &["one", "three", "four"],
        &["one", "two:refs/tags/two"],
    ] {
        team.refuses(refspecs);
    }
    team.refuses(&["one", "three", "four"])
        .said("a (on three): locked by Ada");
    team.accepts(&["one", "four"]);
    // All of one commit, and all of them gone.
    let names: Vec<String> = (0..100).map(|n| format!("three:refs/tags/{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    team.refuses(&names);
    team.pushes(
        ADA,
        &[
            "refs/remotes/origin/idea:refs/heads/x",
            "refs/remotes/origin/idea~1:refs/heads/y",
        ],
    )
    .ended(0);
    team.refuses(&[":x", ":y"]);
    team.accepts(&[":one", ":four", ":y"]);
}

#[test]
fn a_push_over_the_limit_is_refused_with_the_number() {
    let sandbox = Sandbox::new();
    let team = Team::new(&sandbox, "[hooks]\nmax_paths = 20\n");
    latch(&team.ada, ADA, &["lock", "a"]).ended(0);
    for n in 0..21 {
        team.bob.write(&format!("many/{n}"), "x\n");
    }
    team.bob.git(&["add", "many"]);
    team.bob.git(&["commit", "-q", "--no-verify", "-m", "many"]);
    team.pushes(BOB, &["main"])
        .said("changes more than 20 paths")
        .said("`[hooks] max_paths`")
        .said("git-latch: bad_usage .");
    team.bob.git(&["rm", "-q", "many/0"]);
    team.bob
        .git(&["commit", "-q", "--no-verify", "--amend", "-m", "many"]);
    team.accepts(&["main"]);
}

#[test]
fn what_is_not_here_cannot_be_judged_and_is_refused() {
    let sandbox = Sandbox::new();
    let team = Team::with_idea(&sandbox);
    commit(&team.bob, "notes", "two\n");
    let old = team.bare.git(&["rev-parse", "idea^{tree}"]);
    let (directory, rest) = old.trim().split_at(2);
    let object = team.bare.path.join("objects").join(directory).join(rest);
    let aside = team.bare.path.join("aside");
    std::fs::rename(&object, &aside).unwrap();
    let null = "0".repeat(40);
    let line = format!(
        "{} {null} refs/heads/idea\n",
        team.bare.git(&["rev-parse", "idea"]).trim()
    );
    let mut judging = team.bare.command(crate::support::LATCH);
    judging
        .args(["hook", "pre-receive"])
        .env("GIT_LATCH_PUSHER", BOB);
    let judged = Run::fed(&mut judging, line.as_bytes());
    assert_ne!(judged.code, 0);
    let told = "is not in this repository: the push cannot be checked";
    assert!(judged.stderr.contains(told), "{judged:?}");
    assert!(judged.stderr.contains("git-latch: io ."), "{judged:?}");
    std::fs::rename(&aside, &object).unwrap();
    team.refuses(&[":idea"]);
}

#[test]
fn many_refs_are_judged_together() {
    let sandbox = Sandbox::new();
    let team = Team::with_idea(&sandbox);
    let mut input = String::new();
    for n in 0..200 {
        let name = if n == 150 { "a" } else { "notes" };
        write!(
            input,
            "commit refs/heads/many/{n}\ncommitter Bob <{BOB}> 1700000000 +0000\ndata 1\nx\n"
        )
        .unwrap();
        write!(
            input,
            "from refs/remotes/origin/main^0\nM 100644 inline {name}\ndata 3\n{n:03}\n"
        )
        .unwrap();
    }
    let mut importing = team.bob.command("git");
    Run::fed(importing.args(["fast-import", "--quiet"]), input.as_bytes()).ended(0);
    let all = "refs/heads/many/*:refs/heads/many/*";
    team.refuses(&[all]).said("a (on many/150): locked by Ada");
    team.bob.git(&["branch", "-q", "-D", "many/150"]);
    team.accepts(&[all]);
}
