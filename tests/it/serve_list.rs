//! `git latch serve`: which locks are listed, page by page, and whether anything has changed.

use serde_json::{Value, json};

use crate::support::clones::clone;
use crate::support::server::{Client, paths, served, served_with};
use crate::support::{Sandbox, eventually};

/// Locks some paths of ada's, below `a` and elsewhere, and `b/` as bob.
fn some(ada: &Client, bob: &Client) {
    ada.lock(&["a/one.psd", "a/two.psd", "a!", "Ab.psd", "c/d/e.psd"])
        .is(201);
    bob.lock(&["b/"]).is(201);
}

#[test]
fn what_a_clone_has_locked_is_listed_from_that_moment_on() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let bob = server.by("bob");
    let ada = clone(&sandbox, "ada");
    for n in 0..20 {
        let path = format!("new/{n}");
        ada.ok(&["lock", "--new", &path]);
        assert_eq!(bob.listed(&format!("path={path}")), [path.as_str()]);
        ada.ok(&["unlock", &path]);
        let told = bob.lfs("GET", &format!("locks?path={path}"), &Value::Null);
        assert_eq!(told.is(200)["locks"].as_array().unwrap().len(), 0);
    }
}

#[test]
fn a_list_is_narrowed_by_paths() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    some(&ada, &bob);
    for (query, expected) in [
        ("path=A/ONE.psd", vec!["a/one.psd"]),
        ("path=a", vec![]),
        ("path=b", vec!["b"]),
        ("covers=b/x/y.psd", vec!["b"]),
        ("covers=a/one.psd", vec!["a/one.psd"]),
        ("covers=a", vec![]),
        ("under=a", vec!["a/one.psd", "a/two.psd"]),
        ("under=a/", vec!["a/one.psd", "a/two.psd"]),
        ("under=b/x/", vec!["b"]),
        ("under=a/one.psd&covers=a/one.psd", vec!["a/one.psd"]),
        (
            "under=.",
            vec!["a!", "a/one.psd", "a/two.psd", "Ab.psd", "b", "c/d/e.psd"],
        ),
    ] {
        assert_eq!(bob.listed(query), expected, "{query}");
    }
    for bad in [
        "path=../x",
        "under=/etc",
        "path=",
        "covers=a%00b",
        "which=x",
        "path=a&path=b",
    ] {
        assert_eq!(bob.get(&format!("locks?{bad}")).status(), 422, "{bad}");
    }
}

#[test]
fn a_list_is_narrowed_by_owners() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    some(&ada, &bob);
    assert_eq!(ada.listed("owner=bob@example.com"), ["b"]);
    assert_eq!(bob.listed("mine=true"), ["b"]);
    assert_eq!(bob.listed("mine=false").len(), 6);
    assert_eq!(ada.listed("mine=true&under=a"), ["a/one.psd", "a/two.psd"]);
    assert_eq!(ada.listed("mine=true&path=b"), [""; 0]);
    assert_eq!(ada.listed("owner=bob"), [""; 0]);
    let all = bob.get("locks").is(200);
    let is_mine = all["locks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lock| &lock["mine"]);
    assert_eq!(is_mine.filter(|mine| **mine == true).count(), 1);
    // The clones of hers that a person works in are hers too.
    let clone = clone(&sandbox, "ada");
    clone.ok(&["lock", "hero.psd"]);
    eventually("it is seen", || ada.listed("mine=true").len() == 6);
    assert_eq!(ada.listed("mine=true&path=hero.psd"), ["hero.psd"]);
}

#[test]
fn pages_follow_each_other_and_end_whatever_the_filter() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    some(&ada, &server.by("bob"));
    ada.lock(&["a/deep/er.psd"]).is(201);
    for filter in [
        "",
        "under=a&",
        "mine=true&",
        "owner=ada@example.com&",
        "under=a/deep&",
    ] {
        let whole = ada.listed(filter);
        for limit in 1..=whole.len() {
            let (mut walked, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = ada
                    .get(&format!("locks?{filter}limit={limit}{cursor}"))
                    .is(200);
                assert!(paths(&page["locks"]).len() <= limit);
                walked.extend(paths(&page["locks"]));
                let Some(next) = page.get("next_cursor") else {
                    break;
                };
                cursor = format!("&cursor={}", next.as_str().unwrap());
            }
            assert_eq!(walked, whole, "{filter}{limit}");
        }
    }
    for bad in ["limit=0", "limit=-1", "limit=x", "cursor=%21"] {
        ada.get(&format!("locks?{bad}"))
            .is_problem(422, "bad_usage");
    }
}

#[test]
fn a_cursor_after_the_whole_repository_is_a_cursor() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    ada.lock(&["."]).is(201);
    ada.lock(&["hero.psd"]).is(201);
    assert_eq!(ada.listed(""), [".", "hero.psd"]);
    let page = ada.get("locks?limit=1").is(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_ne!(cursor, "", "an empty one means the end to many clients");
    assert_eq!(
        ada.listed(&format!("limit=1&cursor={cursor}")),
        ["hero.psd"]
    );
}

#[test]
fn a_tag_changes_when_something_is_locked_and_when_a_lock_merely_expires() {
    let sandbox = Sandbox::new();
    let clock = sandbox.clock();
    let server = served_with(&sandbox, |command| {
        clock.of(command);
    });
    let ada = server.by("ada");
    let known = |tag: &str| {
        ada.ask(
            "GET",
            "/api/v1/repos/remote/-/locks",
            &[("if-none-match", tag)],
            b"",
        )
    };
    let empty = ada.get("locks").header("etag").to_owned();
    assert!(empty.starts_with("W/\""), "{empty}");
    assert_eq!(known(&empty).status(), 304);
    ada.post("locks", &json!({"paths": ["hero.psd"], "ttl": "1h"}))
        .is(201);
    let held = known(&empty);
    held.is(200);
    let held = held.header("etag").to_owned();
    assert_eq!(known(&format!("\"x\", {held}")).status(), 304);
    // Nothing is written: only the clock goes on, past the lease and its grace.
    clock.set(3600 + 59);
    assert_eq!(known(&held).status(), 304);
    clock.set(3600 + 61);
    let expired = known(&held);
    assert_eq!(expired.is(200)["locks"], json!([]));
    assert_ne!(expired.header("etag"), held);
}
