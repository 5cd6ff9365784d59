//! `git latch serve`: killed, raced, with a full disk, and with others at work in its repository.

use std::path::Path;
use std::sync::{Barrier, Mutex};

use serde_json::json;

use crate::filesystems::{Mount, fill_by};
use crate::support::clones::{clone, remote};
use crate::support::halt::Halt;
use crate::support::history::assert_sane;
use crate::support::server::{Client, Server, again, served, served_with, serving, users};
use crate::support::{Sandbox, Tree, eventually};

const REF: &str = "refs/latch/locks";

/// The served repository.
fn bare(sandbox: &Sandbox) -> Tree<'_> {
    sandbox.tree("remote.git")
}

/// How many packs there are.
fn packs(bare: &Tree<'_>) -> usize {
    let files = std::fs::read_dir(bare.path.join("objects/pack")).unwrap();
    files
        .filter(|f| {
            f.as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|e| e == "pack")
        })
        .count()
}

#[test]
fn a_server_that_is_told_to_end_does_so_though_streams_are_open() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let mut streams = [ada.events("", None), ada.events("", None)];
    let session = ada.session();
    let mut own = ada.events(&format!("session={session}"), None);
    ada.post("locks", &json!({"paths": ["hero.psd"], "session": session}))
        .is(201);
    for stream in streams.iter_mut().chain([&mut own]) {
        stream.tells(&[("locked", "hero.psd")]);
    }
    assert_eq!(server.end(), 0);
    for stream in streams.iter_mut().chain([&mut own]) {
        assert!(stream.next().is_none());
    }
    // A session outlives the server: its client comes back.
    let ada = again(&sandbox, |_| {});
    assert_eq!(ada.by("ada").listed(""), ["hero.psd"]);
}

#[test]
fn killed_before_the_ref_moves_nothing_is_locked() {
    let sandbox = Sandbox::new();
    let server = served_with(&sandbox, |command| {
        command.env("GIT_LATCH_FAULT", "hosted-packed#2");
    });
    let ada = server.by("ada");
    ada.takes("hero.psd");
    ada.try_lock("notes.txt").unwrap_err();
    let server = again(&sandbox, |_| {});
    assert_eq!(server.by("bob").listed(""), ["hero.psd"]);
    server.by("bob").takes("notes.txt");
    bare(&sandbox).git(&["fsck", "--strict"]);
}

#[test]
fn killed_after_the_ref_has_moved_it_is_locked_though_nobody_was_told() {
    let sandbox = Sandbox::new();
    let server = served_with(&sandbox, |command| {
        command.env("GIT_LATCH_FAULT", "hosted-moved#2");
    });
    let ada = server.by("ada");
    ada.takes("hero.psd");
    ada.try_lock("notes.txt").unwrap_err();
    let server = again(&sandbox, |_| {});
    let ada = server.by("ada");
    assert_eq!(ada.listed(""), ["hero.psd", "notes.txt"]);
    // Asked again, as a client does that heard nothing: it is hers.
    ada.lock(&["notes.txt"]).is(200);
    bare(&sandbox).git(&["fsck", "--strict"]);
}

#[test]
fn what_was_promised_before_a_kill_is_there_afterwards() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let promised = Mutex::new(Vec::new());
    let ask = |thread: usize| {
        for n in 0.. {
            let path = format!("{thread}/{n}.psd");
            let Ok(answer) = ada.try_lock(&path) else {
                return;
            };
            let lease = answer.is(201)["locked"][0]["lease"].clone();
            promised.lock().unwrap().push((path, lease));
        }
    };
    std::thread::scope(|scope| {
        (0..8).for_each(|thread| drop(scope.spawn(move || ask(thread))));
        eventually("many are promised", || promised.lock().unwrap().len() > 200);
        server.kill();
    });
    let server = again(&sandbox, |_| {});
    let there = server.by("bob").get("locks?limit=10000").is(200);
    let there = there["locks"].as_array().unwrap();
    for (path, lease) in promised.into_inner().unwrap() {
        let is_there = there
            .iter()
            .any(|l| l["path"] == path.as_str() && l["lease"] == lease);
        assert!(is_there, "{path}");
    }
    bare(&sandbox).git(&["fsck", "--strict"]);
}

#[test]
fn of_many_who_ask_two_servers_at_once_one_is_given_the_path() {
    let sandbox = Sandbox::new();
    let (one, other) = (served(&sandbox), again(&sandbox, |_| {}));
    let clients = [
        one.by("ada"),
        one.by("bob"),
        other.by("ada"),
        other.by("max"),
    ];
    let begin = Barrier::new(16);
    for round in 0..8 {
        let path = format!("{round}.psd");
        let race = |n: usize| {
            begin.wait();
            let answer = clients[n % 4].lock(&[&path]);
            (n % 4, answer.status(), answer.is(answer.status()))
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|n| scope.spawn(move || race(n))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let won: Vec<_> = answers
            .iter()
            .filter(|(_, status, _)| *status == 201)
            .collect();
        let [(winner, _, taken)] = &won[..] else {
            panic!("{won:?}")
        };
        let holder = &taken["locked"][0]["owner"]["id"];
        for (who, status, answer) in &answers {
            let is_hers = who == winner || (who % 2 == 0 && winner % 2 == 0);
            assert!(*status == 409 || is_hers, "{answer}");
            assert!(*status != 409 || answer["refused"][0]["holder"]["owner"]["id"] == *holder);
        }
    }
    assert!(assert_sane(&bare(&sandbox)) >= 8);
}

#[test]
fn two_servers_that_make_the_same_change_at_the_same_moment_both_have_made_it() {
    let sandbox = Sandbox::new();
    let (one, other) = (served(&sandbox), again(&sandbox, |_| {}));
    let renew = format!("locks/{}/renew", one.by("ada").takes("hero.psd"));
    eventually("both know it", || {
        other.by("ada").listed("") == ["hero.psd"]
    });
    let ask = |ada: &Client| (0..150).for_each(|_| drop(ada.post(&renew, &json!({})).is(200)));
    let clients = [one.by("ada"), other.by("ada")];
    std::thread::scope(|scope| {
        for ada in &clients {
            scope.spawn(|| ask(ada));
        }
    });
    bare(&sandbox).git(&["fsck", "--strict"]);
    assert_sane(&bare(&sandbox));
}

#[test]
fn a_push_that_comes_between_is_decided_upon() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    users(&sandbox);
    let clone = clone(&sandbox, "ada");
    let halt = Halt::at(&sandbox, "hosted-packed");
    let server = again(&sandbox, |command| halt.tell(command));
    let bob = server.by("bob");
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| bob.lock(&["hero.psd"]));
        halt.reached();
        clone.ok(&["lock", "hero.psd"]);
        halt.go();
        let refused = asking.join().unwrap().is_problem(409, "held");
        assert_eq!(
            refused["refused"][0]["holder"]["owner"]["id"],
            "ada@example.com"
        );
    });
    assert_eq!(bob.listed("owner=ada@example.com"), ["hero.psd"]);
    assert_sane(&bare(&sandbox));
}

#[test]
fn a_ref_that_vanished_or_went_back_changes_nothing_until_it_is_put_back() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    ada.takes("hero.psd");
    ada.takes("notes.txt");
    let bare = bare(&sandbox);
    let tip = bare.git(&["rev-parse", REF]);
    let before = format!("{}^", tip.trim());
    for (tamper, said) in [
        (vec!["-d", REF], "has vanished"),
        (vec![REF, &before], "went back"),
    ] {
        bare.git(&[&["update-ref"], &tamper[..]].concat());
        let refused = bob.lock(&["other.psd"]).is_problem(503, "refused");
        assert!(
            refused["detail"].as_str().unwrap().contains(said),
            "{refused}"
        );
        bob.lock(&["notes.txt"]).is_problem(503, "refused");
        bob.lfs("POST", "locks", &json!({"path": "x"})).is(503);
        assert_eq!(bob.listed(""), ["hero.psd", "notes.txt"]);
        bare.git(&["update-ref", REF, tip.trim()]);
        bob.lock(&["notes.txt"]).is_problem(409, "held");
    }
    bob.takes("other.psd");
    // Also where somebody who has not seen more went on from there: its number is the largest.
    let tip = bare.git(&["rev-parse", REF]);
    bare.git(&["update-ref", REF, &before]);
    clone(&sandbox, "eve").ok(&["lock", "--new", "elsewhere"]);
    bob.lock(&["notes.txt"]).is_problem(503, "refused");
    assert_eq!(bob.listed("").len(), 3);
    bare.git(&["update-ref", REF, tip.trim()]);
    bob.lock(&["notes.txt"]).is_problem(409, "held");
}

#[test]
fn a_full_disk_is_told_loses_nothing_and_is_over_when_there_is_room() {
    let sandbox = Sandbox::new();
    let Some(_mount) = Mount::small(&sandbox) else {
        return;
    };
    let bare = sandbox.tree("mounted/game.git");
    let made = sandbox
        .command("git")
        .args(["init", "-q", "--bare", "--template="])
        .arg(&bare.path)
        .status();
    assert!(made.unwrap().success());
    users(&sandbox);
    let mut server = Server::start(&mut serving(&sandbox, &["--root", "mounted"]));
    let ada = server.by("ada").of("game");
    ada.takes("hero.psd");
    let filler = fill_by(sandbox.path().join("mounted/filler"));
    let many: Vec<String> = (0..1000).map(|n| format!("some/{n}.psd")).collect();
    for _ in 0..3 {
        ada.lock(&["notes.txt"]).is_problem(503, "io");
        ada.post("locks", &json!({"paths": many}))
            .is_problem(503, "io");
    }
    assert_eq!(ada.listed(""), ["hero.psd"]);
    std::fs::remove_file(filler).unwrap();
    ada.takes("notes.txt");
    assert!(!server.process.has_line());
    server.kill();
    let server = Server::start(&mut serving(&sandbox, &["--root", "mounted"]));
    assert_eq!(
        server.by("bob").of("game").listed(""),
        ["hero.psd", "notes.txt"]
    );
    bare.git(&["fsck", "--strict"]);
}

#[test]
fn many_changes_leave_few_packs_and_a_sound_repository() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let clients = ["ada", "bob"].map(|who| server.by(who));
    let work = |client: &Client, name: &str| {
        for n in 0..60 {
            let lease = client.takes(&format!("{name}/{n}.psd"));
            if n % 2 == 0 {
                client.delete(&format!("locks/{lease}")).is(200);
            }
        }
    };
    std::thread::scope(|scope| {
        for (n, client) in clients.iter().enumerate() {
            scope.spawn(move || work(client, &n.to_string()));
        }
    });
    let bare = bare(&sandbox);
    eventually("they are put together", || packs(&bare) < 70);
    bare.git(&["fsck", "--strict"]);
    assert_eq!(server.by("ada").listed("").len(), 60);
    assert!(assert_sane(&bare) > 60);
    let seen = clone(&sandbox, "ada");
    assert_eq!(seen.locks().len(), 60);
}

#[test]
fn git_that_tidies_up_disturbs_nobody() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let bare = bare(&sandbox);
    for tidy in [
        ["gc", "--prune=now"],
        ["repack", "-ad"],
        ["pack-refs", "--all"],
    ] {
        for n in 0..5 {
            ada.takes(&format!("{}/{n}.psd", tidy[0]));
        }
        bare.git(&tidy);
        let lease = ada.takes("one.psd");
        ada.delete(&format!("locks/{lease}")).is(200);
        assert_eq!(
            ada.get("history?path=one.psd&limit=1").is(200)["events"][0]["event"],
            "unlocked"
        );
    }
    assert_eq!(ada.listed("").len(), 15);
    bare.git(&["fsck", "--strict"]);
}

/// Serves the locks of the bare repository as those of a remote.
fn from_afar(sandbox: &Sandbox) -> Server {
    let remote = sandbox.path().join("remote.git");
    let remote = format!("file://{}", remote.display());
    Server::start(&mut serving(
        sandbox,
        &["--remote", &remote, "--cache", "cache"],
    ))
}

#[test]
fn the_locks_of_a_remote_are_served_and_changed_by_pushes() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    users(&sandbox);
    let clone = clone(&sandbox, "ada");
    clone.ok(&["lock", "hero.psd"]);
    let server = from_afar(&sandbox);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    assert_eq!(bob.listed(""), ["hero.psd"]);
    let mut events = bob.events("", None);
    bob.lock(&["scenes/"]).is(201);
    events.tells(&[("locked", "scenes")]);
    clone
        .latch(&["lock", "scenes/town.tscn"])
        .ended(1)
        .said("bob");
    // What nobody has fetched yet is decided upon all the same.
    clone.ok(&["lock", "notes.txt"]);
    bob.lock(&["notes.txt"]).is_problem(409, "held");
    events.tells(&[("locked", "notes.txt")]);
    clone.ok(&["unlock", "notes.txt"]);
    events.tells(&[("unlocked", "notes.txt")]);
    assert_eq!(
        ada.get("history?path=scenes").is(200)["events"][0]["event"],
        "locked"
    );
    let verified = bob.lfs("POST", "locks/verify", &json!({})).is(200);
    assert_eq!(verified["ours"].as_array().unwrap().len(), 2, "{verified}");
    assert_sane(&bare(&sandbox));
}

#[test]
fn a_remote_that_is_away_is_told_and_the_last_view_stays() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    users(&sandbox);
    let server = from_afar(&sandbox);
    let ada = server.by("ada");
    ada.takes("hero.psd");
    let (here, away) = (
        sandbox.path().join("remote.git"),
        sandbox.path().join("away.git"),
    );
    std::fs::rename(&here, &away).unwrap();
    ada.lock(&["notes.txt"]).is_problem(503, "unreachable");
    assert_eq!(ada.listed(""), ["hero.psd"]);
    ada.lfs("POST", "locks/verify", &json!({})).is(200);
    std::fs::rename(&away, &here).unwrap();
    ada.takes("notes.txt");
    let outside: &Path = &sandbox.path().join("cache");
    assert!(outside.is_dir());
}

#[test]
fn what_cannot_be_served_is_not_ready_and_says_why_until_it_can() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    users(&sandbox);
    let root = sandbox.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let (game, aside) = (root.join("game.git"), root.join(".aside"));
    std::fs::rename(bare(&sandbox).path, &game).unwrap();
    let seed = sandbox.tree("repo");
    let push = |policy: &str| {
        seed.write(".latch.toml", policy);
        seed.git(&["add", "."]);
        seed.git(&["commit", "-qm", "policy"]);
        seed.git(&["push", "-q", game.to_str().unwrap(), "HEAD:main"]);
    };
    push("[force]\nwhat = 1\n");
    let mut command = serving(&sandbox, &["--root", "root"]);
    let server = Server::start(&mut command);
    let ada = server.by("ada").of("game");
    let ready = || ada.ask("GET", "/readyz", &[], b"").status();
    assert_eq!(ready(), 200, "nobody has asked for anything yet");
    let refused = ada.lock(&["hero.psd"]).is_problem(503, "bad_policy");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains(".latch.toml:2: "), "{detail}");
    assert_eq!(ready(), 503);
    push("");
    assert_eq!(ready(), 200);
    ada.takes("hero.psd");
    push("[force]\nwhat = 1\n");
    eventually("the broken policy is seen", || ready() == 503);
    assert_eq!(ada.listed(""), ["hero.psd"]);
    push("");
    eventually("it is mended", || ready() == 200);
    std::fs::rename(&game, &aside).unwrap();
    eventually("it is away", || ready() == 503);
    ada.get("locks").is_problem(503, "unreachable");
    std::fs::rename(&aside, &game).unwrap();
    eventually("it is back", || ready() == 200);
    assert_eq!(ada.listed(""), ["hero.psd"]);
}
