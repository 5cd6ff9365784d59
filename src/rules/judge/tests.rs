use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::rules::lock::{LeaseId, Liveness, Lock, Owner};
use crate::rules::path::RepoPath;
use crate::rules::time::DurationSpec;
use crate::rules::view::{Content, LeaseLimits};

const HERE: &str = "aaaaaaaaaaaaaaaa";
const ELSEWHERE: &str = "bbbbbbbbbbbbbbbb";

fn noon() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn owner(id: &str, workspace: Option<&str>) -> Owner {
    Owner {
        id: id.into(),
        name: id.into(),
        host: "ws".into(),
        workspace: workspace.map(str::to_owned),
    }
}

fn me(id: &str) -> Me {
    Me {
        owner: owner(id, Some(HERE)),
        inside: Vec::new(),
    }
}

/// A lock of one hour; a trailing `/` makes it a directory's.
fn lock(path: &str, id: &str, workspace: &str) -> Entry {
    let kind = if path.ends_with('/') {
        Kind::Directory
    } else {
        Kind::File
    };
    let lock = Lock {
        path: RepoPath::new(path.trim_end_matches('/')).unwrap(),
        kind,
        lease: LeaseId::generate(noon()),
        seq: 1,
        reason: None,
        acquired_at: noon(),
        heartbeat_at: noon(),
        ttl: "1h".parse().unwrap(),
        owner: owner(id, Some(workspace)),
        process: None,
    };
    Entry {
        place: lock.claim().place().unwrap(),
        claim: lock.claim(),
        stored_at: Some(noon()),
        content: Content::Lock {
            lock: Box::new(lock),
            life: Liveness::Unbound,
        },
    }
}

fn view_after(minutes: i64, entries: Vec<Entry>) -> View {
    let terms = LeaseLimits {
        ttl: "1h".parse().unwrap(),
        max_ttl: "14d".parse().unwrap(),
        clock_skew: DurationSpec::from_secs(60),
    };
    View::new(1, noon() + TimeDelta::minutes(minutes), terms, entries)
}

fn view(entries: Vec<Entry>) -> View {
    view_after(0, entries)
}

fn staged(paths: &[&str]) -> Vec<Edit> {
    let edit = |path: &&str| Edit {
        path: path.as_bytes().to_vec(),
        commit: None,
    };
    paths.iter().map(edit).collect()
}

fn committed(path: &str, author: &str, oid: &str) -> Edit {
    Edit {
        path: path.into(),
        commit: Some(Arc::new(Commit {
            oid: oid.into(),
            author: author.into(),
        })),
    }
}

/// The violations as `path:code:commit`.
fn told(found: &[Violation]) -> String {
    let word = |v: &Violation| {
        let commit = v.commit.as_ref().map_or("-", |c| &c.oid);
        let path = String::from_utf8_lossy(&v.path).into_owned();
        format!("{path}:{}:{commit}", v.code.as_str())
    };
    found.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn nothing_required(_: &[u8]) -> bool {
    false
}

fn psd_required(path: &[u8]) -> bool {
    path.ends_with(b".psd")
}

/// What stands against ada, in her workspace, staging these paths.
fn against_ada(view: &View, paths: &[&str]) -> String {
    let edits = staged(paths);
    told(&judge(
        view,
        &me("ada@x"),
        &edits,
        &psd_required,
        Answerable::Me,
    ))
}

/// What stands against `pusher` for a commit of `author` on `a.psd`, held by `holder` in the other workspace.
fn pushing(pusher: &str, author: &str, holder: &str) -> String {
    let view = view(vec![lock("a.psd", holder, ELSEWHERE)]);
    let edits = [committed("a.psd", author, "c1")];
    told(&judge(
        &view,
        &me(pusher),
        &edits,
        &psd_required,
        Answerable::Me,
    ))
}

#[test]
fn others_locks_stand_against_an_edit_and_my_own_do_not() {
    let view = view(vec![
        lock("bobs", "bob@x", ELSEWHERE),
        lock("Art/", "bob@x", ELSEWHERE),
        lock("mine", "ada@x", HERE),
        lock("mine-elsewhere", "ada@x", ELSEWHERE),
        lock("my-agents", "ada@x/agent-7", HERE),
    ]);
    let paths = [
        "mine-elsewhere",
        "mine",
        "my-agents",
        "art/HERO",
        "free",
        "BOBS",
        "artefact",
    ];
    assert_eq!(
        against_ada(&view, &paths),
        "BOBS:held:- art/HERO:held:- mine-elsewhere:held:-"
    );
}

#[test]
fn a_file_where_somebody_holds_a_directory_is_held_and_so_the_other_way_round() {
    let directory = lock("a/", "bob@x", ELSEWHERE);
    let view = view(vec![directory, lock("b", "bob@x", ELSEWHERE)]);
    let edits = staged(&["a", "b/c"]);
    let found = judge(
        &view,
        &me("ada@x"),
        &edits,
        &nothing_required,
        Answerable::Me,
    );
    assert_eq!(told(&found), "a:held:-");
    assert_eq!(found[0].holder.as_ref().unwrap().shown_path(), "a");
}

#[test]
fn an_expired_lock_stands_against_nobody_once_its_grace_is_over() {
    let entries = || {
        vec![
            lock("a.psd", "bob@x", ELSEWHERE),
            lock("b.psd", "ada@x", HERE),
        ]
    };
    let paths = ["a.psd", "b.psd"];
    assert_eq!(
        against_ada(&view_after(59, entries()), &paths),
        "a.psd:held:-"
    );
    // In its grace: still bob's for me, no longer mine for myself.
    assert_eq!(
        against_ada(&view_after(60, entries()), &paths),
        "a.psd:held:- b.psd:required:-"
    );
    assert_eq!(
        against_ada(&view_after(61, entries()), &paths),
        "a.psd:required:- b.psd:required:-"
    );
}

#[test]
fn an_unreadable_lock_stands_against_everybody() {
    let mut entry = lock("a", "ada@x", HERE);
    entry.content = Content::Unreadable {
        problem: "torn".into(),
    };
    let view = view(vec![entry]);
    assert_eq!(against_ada(&view, &["a"]), "a:held:-");
    let edits = [committed("a", "ada@x", "c1")];
    let found = judge(
        &view,
        &me("bob@x"),
        &edits,
        &nothing_required,
        Answerable::Me,
    );
    assert_eq!(told(&found), "a:held:c1");
}

#[test]
fn a_required_lock_may_be_that_of_a_directory_above() {
    let view = view(vec![
        lock("art/", "ada@x", HERE),
        lock("b.psd", "ada@x", HERE),
    ]);
    let paths = ["art/deep/a.psd", "b.psd", "c.psd", "c.txt"];
    assert_eq!(against_ada(&view, &paths), "c.psd:required:-");
}

#[test]
fn what_somebody_below_me_holds_here_is_mine_to_commit_and_not_the_other_way_round() {
    let required: &dyn Fn(&[u8]) -> bool = &|_| true;
    let view = view(vec![
        lock("a", "ada@x/s1", HERE),
        lock("b", "ada@x/s1", ELSEWHERE),
        lock("p", "ada@x", HERE),
    ]);
    let rejected = |who: &str| {
        let found = judge(
            &view,
            &me(who),
            &staged(&["a", "b", "p"]),
            required,
            Answerable::Me,
        );
        let paths = found
            .into_iter()
            .map(|v| (String::from_utf8(v.path).unwrap(), v.code));
        paths.collect::<Vec<_>>()
    };
    let held = |path: &str| (path.to_owned(), Code::Held);
    assert_eq!(rejected("ada@x"), [held("b")]);
    assert_eq!(rejected("Ada@X"), [held("b")]);
    assert_eq!(rejected("ada@x/s1"), [held("b"), held("p")]);
    assert_eq!(rejected("ada@x/s2"), [held("a"), held("b"), held("p")]);
}

#[test]
fn a_lock_in_the_hands_of_my_own_process_is_mine() {
    let mut entry = lock("a.psd", "ada@x", HERE);
    if let Content::Lock { life, .. } = &mut entry.content {
        *life = Liveness::Alive;
    }
    assert_eq!(against_ada(&view(vec![entry]), &["a.psd"]), "");
}

#[test]
fn the_holder_s_own_commits_may_be_pushed_by_others() {
    assert_eq!(pushing("eve@x", "bob@x", "bob@x"), "");
    assert_eq!(pushing("eve@x", "bob@x", "bob@x/agent-7"), "");
    assert_eq!(pushing("eve@x", "carol@x", "bob@x"), "a.psd:held:c1");
    assert_eq!(pushing("eve@x", "bob@x/agent-7", "bob@x"), "a.psd:held:c1");
    assert_eq!(pushing("eve@x", "", "bob@x"), "a.psd:held:c1");
}

#[test]
fn under_one_git_identity_the_workspace_counts() {
    assert_eq!(pushing("bob@x", "bob@x", "bob@x"), "a.psd:held:c1");
    assert_eq!(
        pushing("bob@x/agent-1", "bob@x", "bob@x/agent-2"),
        "a.psd:held:c1"
    );
    assert_eq!(pushing("bob@x/agent-1", "bob@x", "bob@x"), "a.psd:held:c1");
    assert_eq!(pushing("bob@x", "bob@x", "bob@x/agent-2"), "a.psd:held:c1");
    let view = view(vec![lock("a.psd", "bob@x", HERE)]);
    let edits = [committed("a.psd", "bob@x", "c1")];
    let found = judge(&view, &me("bob@x"), &edits, &psd_required, Answerable::Me);
    assert_eq!(told(&found), "");
}

#[test]
fn of_pushed_commits_only_mine_need_the_required_lock() {
    let edits = [
        committed("a.psd", "bob@x", "c1"),
        committed("b.psd", "ada@x", "c2"),
        committed("c.psd", "ada@x/agent-7", "c3"),
    ];
    let pushed_by = |id| {
        judge(
            &view(vec![]),
            &me(id),
            &edits,
            &psd_required,
            Answerable::Me,
        )
    };
    assert_eq!(told(&pushed_by("ada@x")), "b.psd:required:c2");
    assert_eq!(
        told(&pushed_by("ada@x/agent-7")),
        "b.psd:required:c2 c.psd:required:c3"
    );
    assert_eq!(told(&pushed_by("eve@x")), "");
}

#[test]
fn in_a_range_each_commit_is_judged_as_its_author() {
    let view = view(vec![lock("a.psd", "bob@x", ELSEWHERE)]);
    let edits = [
        committed("a.psd", "bob@x", "c1"),
        committed("a.psd", "ada@x", "c2"),
        committed("b.psd", "carol@x", "c3"),
    ];
    let found = judge(
        &view,
        &me("ada@x"),
        &edits,
        &psd_required,
        Answerable::Author,
    );
    assert_eq!(told(&found), "a.psd:held:c2 b.psd:required:c3");
}

#[test]
fn without_a_workspace_i_am_the_person_everywhere() {
    let mut pusher = me("ada@x");
    pusher.owner.workspace = None;
    let view = view(vec![
        lock("a.psd", "ada@x", HERE),
        lock("b.psd", "ada@x/agent-7", ELSEWHERE),
        lock("c.psd", "bob@x", HERE),
    ]);
    let edits = ["a.psd", "b.psd", "c.psd"].map(|path| committed(path, "ada@x", "c1"));
    let found = judge(&view, &pusher, &edits, &psd_required, Answerable::Me);
    assert_eq!(told(&found), "c.psd:held:c1");
}

#[test]
fn a_path_is_named_once_with_its_first_commit_at_fault() {
    let view = view(vec![lock("b", "bob@x", ELSEWHERE)]);
    let edits = [
        committed("b", "bob@x", "c0"),
        committed("b", "ada@x", "c1"),
        committed("b", "ada@x", "c2"),
        committed("a.psd", "ada@x", "c2"),
    ];
    let found = judge(&view, &me("ada@x"), &edits, &psd_required, Answerable::Me);
    assert_eq!(told(&found), "a.psd:required:c2 b:held:c1");
}

#[test]
fn claims_are_file_claims_by_key_each_once() {
    let mut edits = staged(&["B", "b", "a/c"]);
    edits.extend(staged(&[""]).into_iter().map(|e| Edit {
        path: b"\xe9\n".to_vec(),
        ..e
    }));
    let keys: Vec<Vec<u8>> = claims(&edits)
        .into_iter()
        .map(|claim| {
            assert_eq!(claim.kind, Kind::File);
            claim.key.as_bytes().to_vec()
        })
        .collect();
    assert_eq!(keys, [&b"a/c"[..], b"b", b"\xe9\n"]);
}
