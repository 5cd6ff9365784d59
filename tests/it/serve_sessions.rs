//! `git latch serve`: sessions. What they hold lives as long as somebody is heard of.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::server::{Client, again, paths, served, served_with};
use crate::support::{Sandbox, eventually};

/// Time that passes quickly: a session is silent after 300 ms, or 100 ms after its stream.
fn quick(command: &mut Command) {
    command
        .env("GIT_LATCH_HEARTBEAT_MS", "100")
        .env("GIT_LATCH_AFTER_STREAM_MS", "100")
        .env("GIT_LATCH_SWEEP_MS", "20");
}

fn lock(client: &Client, session: &str, paths: &[&str]) -> Value {
    let body = json!({"paths": paths, "session": session});
    client.post("locks", &body).is(201)["locked"].clone()
}

fn heartbeat(client: &Client, session: &str) -> Value {
    client
        .post(&format!("sessions/{session}/heartbeat"), &json!({}))
        .is(200)
}

/// What the ref itself has.
fn written(sandbox: &Sandbox) -> String {
    sandbox
        .tree("remote.git")
        .git(&["ls-tree", "-r", "--name-only", "refs/latch/locks"])
}

#[test]
fn a_session_holds_locks_apart_from_its_person_until_it_ends() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let begun = ada.post("sessions", &json!({"label": "editor"})).is(201);
    assert_eq!(begun["heartbeat_seconds"], 30);
    let session = begun["session"].as_str().unwrap();
    let held = lock(&ada, session, &["hero.psd", "scenes/"])[0].clone();
    assert_eq!(
        (&held["owner"]["workspace"], &held["owner"]["host"]),
        (&begun["session"], &json!("editor"))
    );
    assert_eq!(
        (&held["ttl_seconds"], &held["mine"]),
        (&json!(900), &json!(true))
    );
    // The same person elsewhere is another holder.
    ada.lock(&["hero.psd"]).is_problem(409, "held");
    let other = ada.session();
    let asked = json!({"paths": ["hero.psd"], "session": other});
    ada.post("locks", &asked).is_problem(409, "held");
    ada.lock(&["notes.txt"]).is(201);
    let beat = heartbeat(&ada, session);
    assert_eq!(
        (paths(&beat["renewed"]), &beat["lost"]),
        (vec!["hero.psd".into(), "scenes".into()], &json!([]))
    );
    let ended = ada.delete(&format!("sessions/{session}")).is(200);
    assert_eq!(paths(&ended["released"]), ["hero.psd", "scenes"]);
    assert_eq!(written(&sandbox), "notes.txt.lock\n");
    for gone in [
        ada.delete(&format!("sessions/{session}")),
        ada.post("locks", &json!({"paths": ["x"], "session": session})),
    ] {
        gone.is_problem(404, "lost");
    }
}

#[test]
fn a_silent_session_ends_and_gives_back_what_it_has_in_writing() {
    let sandbox = Sandbox::new();
    let server = served_with(&sandbox, quick);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    let mut events = bob.events("", None);
    let session = ada.session();
    lock(&ada, &session, &["hero.psd"]);
    events.tells(&[("locked", "hero.psd"), ("unlocked", "hero.psd")]);
    assert_eq!(written(&sandbox), "");
    ada.post(&format!("sessions/{session}/heartbeat"), &json!({}))
        .is_problem(404, "lost");
    bob.lock(&["hero.psd"]).is(201);
}

#[test]
fn heartbeats_keep_a_session() {
    let sandbox = Sandbox::new();
    let server = served_with(&sandbox, quick);
    let ada = server.by("ada");
    let (kept, silent) = (ada.session(), ada.session());
    lock(&ada, &kept, &["hero.psd"]);
    lock(&ada, &silent, &["notes.txt"]);
    eventually("the other one has ended", || {
        assert_eq!(paths(&heartbeat(&ada, &kept)["renewed"]), ["hero.psd"]);
        written(&sandbox) == "hero.psd.lock\n"
    });
}

#[test]
fn a_stream_keeps_a_session_and_its_end_ends_it() {
    let sandbox = Sandbox::new();
    let server = served_with(&sandbox, quick);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    let (session, other) = (ada.session(), ada.session());
    let mut own = ada.events(&format!("session={session}"), None);
    lock(&ada, &other, &["notes.txt"]);
    lock(&ada, &session, &["hero.psd"]);
    own.tells(&[("locked", "notes.txt")]);
    assert_eq!(
        own.tells(&[("locked", "hero.psd")]).data["lock"]["mine"],
        true
    );
    // The one without a stream ends.
    own.tells(&[("unlocked", "notes.txt")]);
    assert_eq!(written(&sandbox), "hero.psd.lock\n");
    let mut events = bob.events("", None);
    own.close();
    events.tells(&[("unlocked", "hero.psd")]);
    bob.get(&format!("events?session={session}"))
        .is_problem(404, "lost");
}

#[test]
fn a_session_is_nobody_elses() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, max) = (server.by("ada"), server.by("max"));
    let session = ada.session();
    lock(&ada, &session, &["hero.psd"]);
    max.post("locks", &json!({"paths": ["x"], "session": session}))
        .is_problem(404, "lost");
    max.post(&format!("sessions/{session}/heartbeat"), &json!({}))
        .is_problem(404, "lost");
    max.delete(&format!("sessions/{session}"))
        .is_problem(404, "lost");
    max.get(&format!("events?session={session}"))
        .is_problem(404, "lost");
    server
        .by("eve")
        .post("sessions", &json!({}))
        .is_problem(403, "forbidden");
    for invented in ["5e55100000000000", "x", "..%2f..", "b1946ac92492d234"] {
        let asked = json!({"paths": ["x"], "session": invented});
        ada.post("locks", &asked).is_problem(404, "lost");
    }
    assert_eq!(paths(&heartbeat(&ada, &session)["renewed"]), ["hero.psd"]);
    for label in ["x".repeat(65), " ".repeat(65), "a\nb".into(), "a\r".into()] {
        ada.post("sessions", &json!({"label": label}))
            .is_problem(422, "bad_usage");
    }
}

#[test]
fn what_a_session_has_lost_is_told_with_its_heartbeats() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, max) = (server.by("ada"), server.by("max"));
    let session = ada.session();
    let held = lock(&ada, &session, &["hero.psd", "notes.txt", "own.psd"]);
    let lease = |n: usize| held[n]["lease"].as_str().unwrap();
    let steal = json!({"paths": ["hero.psd"], "steal": true, "reason": "fire"});
    max.post("locks", &steal).is(201);
    max.delete(&format!("locks/{}?force=true&reason=x", lease(1)))
        .is(200);
    ada.delete(&format!("locks/{}", lease(2))).is(200);
    let beat = heartbeat(&ada, &session);
    assert_eq!(beat["renewed"], json!([]));
    let lost = &beat["lost"];
    assert_eq!(paths(lost), ["hero.psd", "notes.txt"]);
    assert_eq!(
        (&lost[0]["lease"], &lost[0]["reason"]),
        (&held[0]["lease"], &json!("stolen"))
    );
    assert_eq!(lost[0]["by"]["owner"]["id"], "max@example.com");
    assert_eq!(lost[1]["reason"], "removed");
    // Until it has them again.
    ada.post(
        "locks",
        &json!({"paths": ["notes.txt"], "session": session}),
    )
    .is(201);
    assert_eq!(paths(&heartbeat(&ada, &session)["lost"]), ["hero.psd"]);
}

#[test]
fn a_lease_that_ended_by_time_is_lost_before_anybody_has_swept() {
    let sandbox = Sandbox::new();
    let clock = sandbox.clock();
    let server = served_with(&sandbox, |command| {
        clock.of(command).env("GIT_LATCH_SWEEP_MS", "1000000");
    });
    let ada = server.by("ada");
    let session = ada.session();
    let held = lock(&ada, &session, &["hero.psd"]);
    // As a machine that slept: nobody could renew it.
    clock.set(900 + 61);
    let beat = heartbeat(&ada, &session);
    assert_eq!(beat["renewed"], json!([]), "{beat}");
    assert_eq!(beat["lost"][0]["lease"], held[0]["lease"], "{beat}");
    assert_eq!(beat["lost"][0]["reason"], "expired");
}

#[test]
fn the_server_renews_what_a_living_session_holds() {
    let sandbox = Sandbox::new();
    let clock = sandbox.clock();
    let server = served_with(&sandbox, |command| {
        clock.of(command).env("GIT_LATCH_SWEEP_MS", "20");
    });
    let ada = server.by("ada");
    let session = ada.session();
    let held = lock(&ada, &session, &["hero.psd"])[0].clone();
    ada.lock(&["notes.txt"]).is(201);
    let mut events = ada.events("", None);
    // A third of its life later; the person's own locks live longer, and are theirs to renew.
    clock.set(301);
    let renewed = events.tells(&[("renewed", "hero.psd")]);
    let lock = &renewed.data["lock"];
    assert!(lock["expires_at"].as_str() > held["expires_at"].as_str());
    assert_eq!(
        ada.get("locks?path=hero.psd").is(200)["locks"][0]["expires_at"],
        lock["expires_at"]
    );
    clock.set(602);
    events.tells(&[("renewed", "hero.psd")]);
}

#[test]
fn a_server_that_starts_again_knows_its_sessions_by_their_locks() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let (session, silent) = (ada.session(), ada.session());
    lock(&ada, &session, &["hero.psd"]);
    lock(&ada, &silent, &["notes.txt"]);
    server.kill();
    // Not as quick as in other tests: under load this one must not seem silent between two heartbeats.
    let server = again(&sandbox, |command| {
        quick(command);
        command.env("GIT_LATCH_HEARTBEAT_MS", "1000");
    });
    let ada = server.by("ada");
    eventually("the other one is silent", || {
        assert_eq!(paths(&heartbeat(&ada, &session)["renewed"]), ["hero.psd"]);
        written(&sandbox) == "hero.psd.lock\n"
    });
    server
        .by("bob")
        .post(&format!("sessions/{session}/heartbeat"), &json!({}))
        .is_problem(404, "lost");
    let ended = ada.delete(&format!("sessions/{session}")).is(200);
    assert_eq!(paths(&ended["released"]), ["hero.psd"]);
}

#[test]
fn the_end_of_a_session_is_written_even_if_that_was_not_possible_at_once() {
    let sandbox = Sandbox::new();
    let mut server = served_with(&sandbox, |command| {
        quick(command);
        command.env("GIT_LATCH_LOG", "git_latch=warn");
    });
    let ada = server.by("ada");
    let session = ada.session();
    let mut stream = ada.events(&format!("session={session}"), None);
    lock(&ada, &session, &["hero.psd"]);
    stream.tells(&[("locked", "hero.psd")]);
    let bare = sandbox.tree("remote.git");
    let tip = bare.git(&["rev-parse", "refs/latch/locks"]);
    bare.git(&["update-ref", "-d", "refs/latch/locks"]);
    stream.close();
    server.process.says("its locks are not released");
    bare.git(&["update-ref", "refs/latch/locks", tip.trim()]);
    eventually("it is written", || written(&sandbox).is_empty());
}
