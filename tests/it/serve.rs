//! `git latch serve`: locks over HTTP. Taking, renewing, giving back.

use serde_json::{Value, json};

use crate::support::clones::clone;
use crate::support::server::{Client, paths, served, served_with};
use crate::support::{Sandbox, eventually};

/// The moments of a lock as it is listed.
fn at<'a>(lock: &'a Value, field: &str) -> &'a str {
    lock[field].as_str().unwrap()
}

#[test]
fn a_lock_is_taken_listed_renewed_and_given_back() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let asked = json!({"paths": ["hero.psd"], "reason": "hat", "ttl": "1h"});
    let taken = ada.post("locks", &asked).is(201)["locked"][0].clone();
    assert_eq!(taken["outcome"], "acquired");
    assert_eq!(
        taken["owner"],
        json!({
            "id": "ada@example.com", "name": "ada", "host": "web", "workspace": null,
        })
    );
    assert_eq!(
        (&taken["reason"], &taken["ttl_seconds"]),
        (&json!("hat"), &json!(3600))
    );
    let lease = at(&taken, "lease");
    let mut listed = ada.get("locks").is(200)["locks"][0].clone();
    assert_eq!(ada.get(&format!("locks/{lease}")).is(200), listed);
    listed["outcome"] = json!("acquired");
    assert_eq!(listed, taken);
    let renewed = ada
        .post(&format!("locks/{lease}/renew"), &json!({}))
        .is(200);
    assert_eq!(renewed["lease"], lease);
    assert!(at(&renewed, "heartbeat_at") > at(&taken, "heartbeat_at"));
    let gone = ada.delete(&format!("locks/{lease}")).is(200);
    assert_eq!(gone["path"], "hero.psd");
    ada.get(&format!("locks/{lease}")).is_problem(404, "lost");
    assert_eq!(ada.listed(""), [""; 0]);
}

#[test]
fn locking_again_is_renewing_and_never_shortens() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let first = ada.lock(&["hero.psd"]).is(201)["locked"][0].clone();
    let again = ada
        .post("locks", &json!({"paths": ["HERO.psd"], "ttl": "1m"}))
        .is(200);
    let again = &again["locked"][0];
    assert_eq!(
        (&again["outcome"], &again["lease"]),
        (&json!("renewed"), &first["lease"])
    );
    assert!(at(again, "expires_at") >= at(&first, "expires_at"));
    let both = ada.lock(&["hero.psd", "notes.txt"]).is(201);
    assert_eq!(both["locked"][0]["outcome"], "renewed");
    assert_eq!(both["locked"][1]["outcome"], "acquired");
}

#[test]
fn what_another_holds_is_refused_with_the_holder_and_nothing_is_taken() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    ada.post("locks", &json!({"paths": ["hero.psd"], "reason": "hat"}))
        .is(201);
    let refused = bob.lock(&["notes.txt", "Hero.PSD"]).is_problem(409, "held");
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("`Hero.PSD` is locked by ada <ada@example.com>, since "),
        "{detail}"
    );
    assert!(detail.ends_with(" UTC, \"hat\""), "{detail}");
    let refusals = refused["refused"].as_array().unwrap();
    assert_eq!(refusals.len(), 1);
    assert_eq!(
        (&refusals[0]["path"], &refusals[0]["code"]),
        (&json!("Hero.PSD"), &json!("held"))
    );
    assert_eq!(refusals[0]["holder"]["owner"]["id"], "ada@example.com");
    assert_eq!(refusals[0]["holder"]["mine"], false);
    assert_eq!(bob.listed("mine=true"), [""; 0]);
    let partly = json!({"paths": ["notes.txt", "hero.psd"], "partial": true});
    let partly = bob.post("locks", &partly).is(201);
    assert_eq!(paths(&partly["locked"]), ["notes.txt"]);
    assert_eq!(paths(&partly["refused"]), ["hero.psd"]);
    let none = json!({"paths": ["hero.psd"], "partial": true});
    bob.post("locks", &none).is_problem(409, "held");
}

#[test]
fn a_directory_of_the_branch_is_meant_with_all_that_is_below_it() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    let taken = ada.lock(&["scenes", "hero.psd"]).is(201);
    assert_eq!(taken["locked"][0]["kind"], "directory");
    assert_eq!(taken["locked"][1]["kind"], "file");
    bob.lock(&["scenes/town.tscn"]).is_problem(409, "held");
    ada.delete(&format!(
        "locks/{}",
        taken["locked"][0]["lease"].as_str().unwrap()
    ))
    .is(200);
    bob.lfs("POST", "locks", &json!({"path": "scenes"})).is(201);
    ada.lock(&["scenes/cave.tscn"]).is_problem(409, "held");
    // It becomes one with a push.
    let seed = sandbox.tree("repo");
    seed.write("hero/of/the/day", "");
    seed.git(&["add", "."]);
    seed.git(&["commit", "-qm", "hero"]);
    let remote = sandbox.path().join("remote.git");
    seed.git(&["push", "-q", remote.to_str().unwrap(), "main"]);
    let taken = ada.lock(&["hero/of"]).is(201);
    assert_eq!(taken["locked"][0]["kind"], "directory");
}

#[test]
fn directories_and_spellings_conflict_as_everywhere() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    ada.lock(&["Scenes/", "art/stra\u{df}e.psd", "n/\u{e9}.psd"])
        .is(201);
    for path in [
        "scenes/town.tscn",
        "scenes/",
        "SCENES",
        ".",
        "art/",
        "N/e\u{301}.PSD",
    ] {
        bob.lock(&[path]).is_problem(409, "held");
    }
    let refused = bob.lock(&["scenes/town.tscn"]).is(409);
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("`scenes/town.tscn` is locked (through `Scenes`) by ada"),
        "{detail}"
    );
    // Her own may nest; one key has one lock.
    ada.lock(&["scenes/town.tscn"]).is(201);
    ada.lock(&["Scenes"]).is_problem(409, "held");
    bob.lock(&["art/strasse.psd"]).is(201);
}

#[test]
fn paths_that_cannot_be_are_named() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let long = "x".repeat(256);
    for path in [
        "",
        "/",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "./a",
        "a\nb",
        "a\0b",
        ".git/config",
        "a/.GIT/x",
        ".locks/x",
        &long,
    ] {
        let refused = ada.lock(&["fine.psd", path]);
        refused.is_problem(422, "bad_path");
    }
    assert_eq!(ada.listed(""), [""; 0]);
    ada.lock(&[]).is_problem(422, "bad_usage");
    ada.lock(&["a", "a/"]).is_problem(422, "bad_usage");
    let twice = ada.lock(&["a.psd", "A.psd"]).is(201);
    assert_eq!(paths(&twice["locked"]), ["a.psd"]);
}

#[test]
fn what_is_too_much_is_refused() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let ask = |more: Value| {
        let mut body = json!({"paths": ["hero.psd"]});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        ada.post("locks", &body)
    };
    for ttl in [
        "15d",
        "never",
        "0s",
        "1w",
        "-1s",
        "1",
        "99999999999999999999d",
    ] {
        ask(json!({"ttl": ttl})).is_problem(422, "bad_usage");
    }
    ask(json!({"reason": "x".repeat(501)})).is_problem(422, "bad_usage");
    ask(json!({"reason": "a\u{7}"})).is_problem(422, "bad_usage");
    ask(json!({"reason": " \r"})).is_problem(422, "bad_usage");
    let many: Vec<String> = (0..1001).map(|n| format!("{n}.psd")).collect();
    ask(json!({"paths": many})).is_problem(413, "bad_usage");
    assert_eq!(ada.listed(""), [""; 0]);
    ask(json!({"paths": many[..1000], "ttl": "14d", "reason": "x".repeat(500)})).is(201);
}

#[test]
fn a_person_has_so_many_locks_and_may_renew_them_all() {
    let sandbox = Sandbox::new();
    let clock = sandbox.clock();
    let server = served_with(&sandbox, |command| {
        clock.of(command).args(["--max-locks", "2"]);
    });
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    ada.lock(&["1", "2", "3"]).is_problem(429, "refused");
    let short = json!({"paths": ["1", "2"], "ttl": "1h"});
    ada.post("locks", &short).is(201);
    ada.lock(&["3"]).is_problem(429, "refused");
    bob.lock(&["3"]).is(201);
    // What she has is not one more.
    ada.post("locks", &short).is(200);
    let held = ada.lfs("POST", "locks", &json!({"path": "1"})).is(409);
    assert_eq!(
        held["message"].as_str().unwrap().split(';').next(),
        Some("`1` is already locked by you")
    );
    ada.lfs("POST", "locks", &json!({"path": "4"})).is(429);
    // Nor is what is over: the other client has made the life of `1` longer, not that of `2`.
    clock.set(3600 + 61);
    ada.lock(&["4", "5"]).is_problem(429, "refused");
    ada.lock(&["4"]).is(201);
}

#[test]
fn only_the_holder_renews_and_only_what_lives() {
    let sandbox = Sandbox::new();
    let clock = sandbox.clock();
    let server = served_with(&sandbox, |command| {
        clock.of(command);
    });
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    let asked = json!({"paths": ["hero.psd"], "ttl": "1h"});
    let taken = ada.post("locks", &asked).is(201)["locked"][0].clone();
    let renew = format!("locks/{}/renew", at(&taken, "lease"));
    bob.post(&renew, &json!({})).is_problem(403, "forbidden");
    server
        .by("eve")
        .post(&renew, &json!({}))
        .is_problem(403, "forbidden");
    clock.set(1800);
    let longer = ada.post(&renew, &json!({"ttl": "2h"})).is(200);
    assert_eq!(longer["ttl_seconds"], 7200);
    ada.post(&renew, &json!({"ttl": "15d"}))
        .is_problem(422, "bad_usage");
    ada.post(&renew, &json!({"ttl": "1s", "x": 1}))
        .is_problem(422, "bad_usage");
    // Expired is expired for its owner too, though others still see it.
    clock.set(1800 + 7200 + 1);
    bob.lock(&["hero.psd"]).is_problem(409, "held");
    ada.post(&renew, &json!({})).is_problem(404, "lost");
    clock.set(1800 + 7200 + 80);
    bob.lock(&["hero.psd"]).is(201);
    ada.post(&renew, &json!({})).is_problem(404, "lost");
    ada.post("locks/nothing/renew", &json!({}))
        .is_problem(404, "lost");
}

#[test]
fn only_the_holder_gives_back_and_an_admin_by_force_with_a_reason() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob, max) = (server.by("ada"), server.by("bob"), server.by("max"));
    let lock = format!("locks/{}", ada.takes("hero.psd"));
    for who in [&bob, &max] {
        who.delete(&lock).is_problem(403, "forbidden");
    }
    bob.delete(&format!("{lock}?force=true&reason=now"))
        .is_problem(403, "forbidden");
    server.by("eve").delete(&lock).is_problem(403, "forbidden");
    max.delete(&format!("{lock}?force=true"))
        .is_problem(422, "bad_usage");
    assert_eq!(ada.listed(""), ["hero.psd"]);
    let gone = max
        .delete(&format!("{lock}?force=true&reason=she+is+ill"))
        .is(200);
    assert_eq!(gone["owner"]["id"], "ada@example.com");
    ada.delete(&lock).is_problem(404, "lost");
    max.delete(&format!("{lock}?force=true&reason=x"))
        .is_problem(404, "lost");
    let told = sandbox
        .tree("remote.git")
        .git(&["log", "-1", "--format=%B", "refs/latch/locks"]);
    assert!(told.contains("she is ill"), "{told}");
}

#[test]
fn a_lock_is_stolen_by_an_admin_with_a_reason_in_one_step() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, max) = (server.by("ada"), server.by("max"));
    let lease = ada.takes("hero.psd");
    let steal = |who: &Client, reason: Value| {
        who.post(
            "locks",
            &json!({"paths": ["hero.psd"], "steal": true, "reason": reason}),
        )
    };
    let refused = steal(&server.by("bob"), json!("now")).is_problem(403, "forbidden");
    assert_eq!(refused["refused"][0]["code"], "forbidden");
    steal(&max, Value::Null).is_problem(422, "bad_usage");
    steal(&max, json!("  ")).is_problem(422, "bad_usage");
    let stolen = steal(&max, json!("fire")).is(201)["locked"][0].clone();
    assert_eq!(stolen["outcome"], "stolen");
    assert_ne!(stolen["lease"], lease.as_str());
    assert_eq!(stolen["owner"]["id"], "max@example.com");
    ada.post(&format!("locks/{lease}/renew"), &json!({}))
        .is_problem(404, "lost");
    ada.lock(&["hero.psd"]).is_problem(409, "held");
    assert_eq!(paths(&stolen["displaced"]), ["hero.psd"]);
    // What lies around it goes as well, and that is said.
    ada.takes("scenes/");
    let body = json!({"paths": ["scenes/town.tscn"], "steal": true, "reason": "fire"});
    let stolen = max.post("locks", &body).is(201)["locked"][0].clone();
    assert_eq!(paths(&stolen["displaced"]), ["scenes"]);
    assert_eq!(ada.listed("owner=ada@example.com"), [""; 0]);
}

#[test]
fn the_policy_of_the_served_branch_says_who_may_force() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, max) = (server.by("ada"), server.by("max"));
    let force = format!("locks/{}?force=true&reason=now", ada.takes("hero.psd"));
    let seed = sandbox.tree("repo");
    let remote = sandbox.path().join("remote.git");
    let becomes = |text: &str| {
        seed.write(".latch.toml", text);
        seed.git(&["add", "."]);
        seed.git(&["commit", "-qm", "policy"]);
        seed.git(&["push", "-q", remote.to_str().unwrap(), "main"]);
    };
    becomes("[force]\nwho = [\"ada@example.com\"]\n[lease]\nmax_ttl = \"36h\"\n");
    let long = json!({"paths": ["notes.txt"], "ttl": "2d"});
    eventually("the new policy", || {
        ada.post("locks", &long).status() == 422
    });
    max.delete(&force).is_problem(403, "forbidden");
    // A broken one changes nothing.
    becomes("[force]\nwhat = 1\n");
    max.delete(&force).is_problem(403, "forbidden");
    becomes("[force]\nwho = \"anyone\"\n");
    eventually("the next policy", || max.delete(&force).status() == 200);
}

#[test]
fn what_one_takes_over_from_oneself_is_not_lost() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let clone = clone(&sandbox, "ada");
    clone.ok(&["lock", "hero.psd", "notes.txt"]);
    let take = json!({"paths": ["hero.psd"], "steal": true});
    let taken = server.by("ada").post("locks", &take).is(201);
    assert_eq!(paths(&taken["locked"][0]["displaced"]), ["hero.psd"]);
    let by_bob = json!({"paths": ["notes.txt"], "steal": true, "reason": "due"});
    server.by("max").post("locks", &by_bob).is(201);
    clone.ok(&["sync"]);
    let status = clone.latch(&["status"]);
    let told = format!("{}{}", status.stdout, status.stderr);
    assert!(told.contains("notes.txt was taken over"), "{told}");
    assert_eq!(told.matches("hero.psd").count(), 1, "{told}");
}

#[test]
fn a_lock_of_a_clone_is_its_owners_to_take_away_by_force_without_a_role() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let clone = clone(&sandbox, "ada");
    clone.ok(&["lock", "hero.psd"]);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    eventually("it is seen", || ada.listed("") == ["hero.psd"]);
    let held = ada.get("locks").is(200)["locks"][0].clone();
    assert_eq!(held["mine"], false);
    let lock = format!("locks/{}", at(&held, "lease"));
    ada.lock(&["hero.psd"]).is_problem(409, "held");
    ada.post(&format!("{lock}/renew"), &json!({}))
        .is_problem(403, "forbidden");
    let refused = ada.delete(&lock).is_problem(403, "forbidden");
    assert!(
        refused["hint"]
            .as_str()
            .unwrap()
            .contains("another working tree"),
        "{refused}"
    );
    bob.delete(&format!("{lock}?force=true&reason=x"))
        .is_problem(403, "forbidden");
    ada.delete(&format!("{lock}?force=true")).is(200);
    clone.latch(&["unlock", "hero.psd"]).ended(3);
}
