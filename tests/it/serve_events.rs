//! `git latch serve`: events as they happen, what was missed, and the history.

use serde_json::json;

use crate::support::clones::clone;
use crate::support::server::{again, paths, served, served_with};
use crate::support::{Sandbox, eventually};

#[test]
fn what_happens_is_told_with_the_lock_and_the_number() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob, max) = (server.by("ada"), server.by("bob"), server.by("max"));
    let mut events = bob.events("", None);
    let mut own = ada.events("", None);
    let lease = ada.takes("hero.psd");
    let locked = events.tells(&[("locked", "hero.psd")]);
    let listed = bob.get("locks").is(200);
    assert_eq!(locked.data["lock"], listed["locks"][0]);
    assert_eq!(
        (&locked.data["event"], &locked.data["seq"]),
        (&json!("locked"), &listed["seq"])
    );
    assert_eq!(locked.id, listed["seq"].as_u64());
    assert!(locked.data.get("previous").is_none());
    assert_eq!(
        own.tells(&[("locked", "hero.psd")]).data["lock"]["mine"],
        true
    );
    ada.post(&format!("locks/{lease}/renew"), &json!({}))
        .is(200);
    let renewed = events.tells(&[("renewed", "hero.psd")]);
    assert!(renewed.id > locked.id);
    let steal = json!({"paths": ["hero.psd"], "steal": true, "reason": "fire"});
    max.post("locks", &steal).is(201);
    let stolen = events.tells(&[("stolen", "hero.psd")]);
    assert_eq!(stolen.data["lock"]["owner"]["id"], "max@example.com");
    assert_eq!(stolen.data["previous"]["lease"], lease.as_str());
    let lease = stolen.data["lock"]["lease"].as_str().unwrap();
    max.delete(&format!("locks/{lease}")).is(200);
    assert_eq!(
        events.tells(&[("unlocked", "hero.psd")]).data["lock"]["lease"],
        lease
    );
}

#[test]
fn paths_of_one_change_share_its_number_and_the_id_comes_with_the_last() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let mut events = server.by("bob").events("", None);
    server.by("ada").lock(&["b.psd", "a.psd", "c/"]).is(201);
    let mut told: Vec<_> = (0..3).map(|_| events.next().unwrap()).collect();
    let seq = told[0].data["seq"].as_u64();
    assert!(told.iter().all(|sent| sent.data["seq"].as_u64() == seq));
    assert_eq!(
        told.iter().map(|sent| sent.id).collect::<Vec<_>>(),
        [None, None, seq]
    );
    told.sort_by_key(|sent| sent.data["path"].to_string());
    let paths: Vec<_> = told
        .iter()
        .map(|sent| sent.data["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["a.psd", "b.psd", "c"]);
}

#[test]
fn an_end_by_time_is_swept_and_told() {
    let sandbox = Sandbox::new();
    let clock = sandbox.clock();
    let server = served_with(&sandbox, |command| {
        clock.of(command).env("GIT_LATCH_SWEEP_MS", "20");
    });
    let mut events = server.by("bob").events("", None);
    let ada = server.by("ada");
    ada.post("locks", &json!({"paths": ["hero.psd"], "ttl": "1h"}))
        .is(201);
    let locked = events.tells(&[("locked", "hero.psd")]);
    clock.set(3600 + 61);
    let expired = events.tells(&[("expired", "hero.psd")]);
    assert_eq!(expired.data["lock"]["lease"], locked.data["lock"]["lease"]);
    let tree = sandbox
        .tree("remote.git")
        .git(&["ls-tree", "-r", "refs/latch/locks"]);
    assert_eq!(tree, "");
}

#[test]
fn no_reader_is_shown_what_is_over_though_nobody_has_swept() {
    let sandbox = Sandbox::new();
    let clock = sandbox.clock();
    let server = served_with(&sandbox, |command| {
        clock.of(command).env("GIT_LATCH_SWEEP_MS", "1000000");
    });
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    let asked = json!({"paths": ["hero.psd", "art/"], "ttl": "1h"});
    let lease = ada.post("locks", &asked).is(201)["locked"][0]["lease"].clone();
    let lock = format!("locks/{}", lease.as_str().unwrap());
    let mut events = bob.events("", None);
    clock.set(3600 + 61);
    for query in [
        "",
        "path=hero.psd",
        "covers=art/x",
        "under=art",
        "owner=ada@example.com",
    ] {
        assert_eq!(bob.listed(query), [""; 0], "{query}");
    }
    bob.get(&lock).is_problem(404, "lost");
    let verified = ada.lfs("POST", "locks/verify", &json!({})).is(200);
    assert_eq!(verified, json!({"ours": [], "theirs": []}));
    assert_eq!(
        ada.lfs("GET", "locks", &json!(null)).is(200),
        json!({"locks": []})
    );
    ada.delete(&lock).is_problem(404, "lost");
    // Whoever writes next removes it, with what lies above.
    bob.lock(&["art/x.psd"]).is(201);
    events.tells(&[("expired", "art"), ("locked", "art/x.psd")]);
}

#[test]
fn who_comes_back_is_told_what_was_missed() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    let mut events = bob.events("", None);
    ada.takes("one.psd");
    let last = events.tells(&[("locked", "one.psd")]).id;
    events.close();
    ada.takes("two.psd");
    ada.lock(&["three.psd"]).is(201);
    let missed = [("locked", "two.psd"), ("locked", "three.psd")];
    let mut events = bob.events("", last);
    events.tells(&missed);
    ada.takes("four.psd");
    events.tells(&[("locked", "four.psd")]);
    // A server that starts again has only the history.
    server.kill();
    let server = again(&sandbox, |_| {});
    let (ada, mut events) = (server.by("ada"), server.by("bob").events("", last));
    events.tells(&missed);
    events.tells(&[("locked", "four.psd")]);
    ada.takes("five.psd");
    events.tells(&[("locked", "five.psd")]);
}

#[test]
fn who_was_told_nothing_yet_can_come_back_as_well() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    ada.takes("one.psd");
    let seq = bob.get("locks").is(200)["seq"].as_u64();
    let mut events = bob.events("", None);
    // As browsers read it: an id without data is remembered, and no event.
    assert_eq!(events.first_id(), seq);
    ada.takes("two.psd");
    let mut events = bob.events("", seq);
    events.tells(&[("locked", "two.psd")]);
}

#[test]
fn what_nobody_remembers_is_a_reset() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    ada.takes("one.psd");
    ada.takes("two.psd");
    let seq = ada.get("locks").is(200)["seq"].as_u64().unwrap();
    server.kill();
    // The history is dropped, as it is when it has become long.
    let bare = sandbox.tree("remote.git");
    let message = format!("one\n\nLatch-Seq: {}\n", seq + 1);
    let root = bare.git(&["commit-tree", "refs/latch/locks^{tree}", "-m", &message]);
    bare.git(&["update-ref", "refs/latch/locks", root.trim()]);
    let server = again(&sandbox, |_| {});
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    // Before all that is known, and of another history than this one.
    for last in [seq - 1, seq + 1_000_000_000] {
        let mut events = bob.events("", Some(last));
        let reset = events.next().unwrap();
        assert_eq!(reset.event, "reset");
        assert_eq!(reset.id, ada.get("locks").is(200)["seq"].as_u64(), "{last}");
        let lease = ada.takes("three.psd");
        ada.delete(&format!("locks/{lease}")).is(200);
        events.tells(&[("locked", "three.psd"), ("unlocked", "three.psd")]);
    }
}

#[test]
fn nobody_waits_for_a_reader_who_does_not_read() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    let _deaf: Vec<_> = (0..4).map(|_| bob.deaf()).collect();
    let mut events = bob.events("", None);
    let many: Vec<String> = (0..1000).map(|n| format!("some/{n:0>200}.psd")).collect();
    let asked = json!({"paths": many, "reason": "x".repeat(500)});
    // Several times more bytes than a socket takes.
    for status in [201, 200, 200, 200, 200] {
        ada.post("locks", &asked).is(status);
        (0..1000).for_each(|_| drop(events.next().unwrap()));
    }
    assert_eq!(ada.listed("").len(), 1000);
}

#[test]
fn pushes_of_clones_are_told_within_moments() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let clone = clone(&sandbox, "ada");
    let mut events = server.by("bob").events("", None);
    clone.ok(&["lock", "hero.psd", "-m", "hat"]);
    let locked = events.tells(&[("locked", "hero.psd")]);
    assert_eq!(locked.data["lock"]["reason"], "hat");
    assert_eq!(server.by("ada").listed(""), ["hero.psd"]);
    clone.ok(&["unlock", "hero.psd"]);
    events.tells(&[("unlocked", "hero.psd")]);
    // And the other way round.
    server.by("bob").lock(&["notes.txt", "scenes/"]).is(201);
    clone.latch(&["lock", "notes.txt"]).ended(1).said("bob");
    clone.latch(&["lock", "scenes/town.tscn"]).ended(1);
    clone.ok(&["sync"]);
    let held = [
        ("notes.txt", "bob@example.com"),
        ("scenes", "bob@example.com"),
    ];
    assert_eq!(
        clone.locks(),
        held.map(|(path, id)| (path.to_owned(), id.to_owned()))
    );
    clone.write("notes.txt", "two\n");
    clone.git(&["add", "."]);
    clone.try_git(&["commit", "-m", "two"]).ended(1).said("bob");
}

#[test]
fn the_history_is_told_newest_first_by_path_and_page() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let lease = ada.takes("hero.psd");
    ada.lock(&["a.psd", "b.psd", "c/"]).is(201);
    ada.delete(&format!("locks/{lease}")).is(200);
    let all = ada.get("history").is(200)["events"].clone();
    assert_eq!(all[0]["event"], "unlocked");
    assert_eq!(all[4]["event"], "locked");
    assert_eq!(paths(&all).len(), 5);
    assert_eq!(all[0]["lock"]["lease"], lease.as_str());
    let hero = ada.get("history?path=Hero.psd").is(200)["events"].clone();
    assert_eq!(hero, json!([all[0], all[4]]));
    assert_eq!(paths(&ada.get("history?path=c/").is(200)["events"]), ["c"]);
    for limit in 1..=5 {
        let (mut walked, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = ada.get(&format!("history?limit={limit}{cursor}")).is(200);
            assert!(paths(&page["events"]).len() <= limit);
            walked.extend(page["events"].as_array().unwrap().clone());
            let Some(next) = page.get("next_cursor") else {
                break;
            };
            cursor = format!("&cursor={}", next.as_str().unwrap());
        }
        assert_eq!(json!(walked), all, "{limit}");
    }
    for bad in ["limit=0", "cursor=x", "cursor=0.0", "path=../x", "what=1"] {
        assert_eq!(ada.get(&format!("history?{bad}")).status(), 422, "{bad}");
    }
}

#[test]
fn a_repository_without_locks_is_no_error() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let eve = server.by("eve");
    let empty = eve.get("locks").is(200);
    assert_eq!((&empty["locks"], &empty["seq"]), (&json!([]), &json!(0)));
    assert_eq!(eve.get("history").is(200), json!({"events": []}));
    let mut events = eve.events("", None);
    server.by("ada").takes("hero.psd");
    events.tells(&[("locked", "hero.psd")]);
    eventually("it is confirmed", || {
        eve.get("locks").is(200)["as_of"].as_str() > empty["as_of"].as_str()
    });
}
