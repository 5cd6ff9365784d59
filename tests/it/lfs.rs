//! Stock `git lfs` clients at `git latch serve`: what they do, and what they say.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::server::{Client, Server, again, paths, served_with};
use crate::support::{LATCH, Run, Sandbox, Tree, eventually};

/// Whether there is a client.
fn is_there(sandbox: &Sandbox) -> bool {
    let found = Run::of(sandbox.command("git").args(["lfs", "version"]));
    if found.code != 0 {
        eprintln!("skipped: there is no git lfs here");
    }
    found.code == 0
}

/// A clone of somebody's whose lockable files are `*.psd`, with the hooks of git lfs.
fn clone<'a>(sandbox: &'a Sandbox, server: &Server, name: &str) -> Tree<'a> {
    let tree = sandbox.tree(name);
    let bare = sandbox.path().join("remote.git");
    let words = [
        "clone",
        "-q",
        bare.to_str().unwrap(),
        tree.path.to_str().unwrap(),
    ];
    assert_eq!(Run::of(sandbox.command("git").args(words)).code, 0);
    let helper = format!("!f() {{ echo username={name}; echo password=secret-{name}; }}; f");
    let url = format!("http://{}/remote.git/info/lfs", server.address);
    for (key, value) in [
        ("credential.helper", helper.as_str()),
        ("lfs.url", &url),
        ("lfs.locksverify", "true"),
        ("lfs.setlockablereadonly", "false"),
        ("user.email", &format!("{name}@example.com")),
    ] {
        tree.git(&["config", key, value]);
    }
    tree.git(&["lfs", "install", "--local"]);
    tree.write(
        ".git/info/attributes",
        "*.psd lockable\n*.kra filter=lfs lockable\n",
    );
    tree
}

/// Serves locks, and leads to a server of contents that has everything already.
fn serve(sandbox: &Sandbox) -> Server {
    serve_with(sandbox, |_| {})
}

fn serve_with(sandbox: &Sandbox, complete: impl FnOnce(&mut Command)) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("http://{}/contents", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that goes away, or a test that is over, ends the exchange.
            let _ = has_everything(stream.unwrap());
        }
    });
    served_with(sandbox, |command| {
        command.args(["--lfs-upstream", &upstream]);
        complete(command);
    })
}

/// Answers one request for a batch: nothing has to be sent.
fn has_everything(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while stream.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let asked: Value = serde_json::from_slice(&body)?;
    let body = json!({"transfer": "basic", "objects": asked["objects"]}).to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.git-lfs+json\r\nconnection: close";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.get_mut().write_all(answer.as_bytes())
}

/// Asserts that a push was rejected for these files and holders.
#[track_caller]
fn is_rejected(run: &Run, held: &str) {
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stdout.contains(held), "{held}: {run:?}");
}

/// Runs `git lfs`, whatever its end.
fn lfs(tree: &Tree<'_>, words: &[&str]) -> Run {
    tree.try_git(&[&["lfs"], words].concat())
}

/// Commits a change of a file, and pushes.
fn push(tree: &Tree<'_>, file: &str) -> Run {
    tree.write(file, &format!("{file} by {}\n", tree.path.display()));
    tree.git(&["add", file]);
    tree.git(&["commit", "-qm", "edit"]);
    tree.try_git(&["push", "-q", "origin", "HEAD:main"])
}

fn lock_of(client: &Client, path: &str) -> Value {
    client.get(&format!("locks?path={path}")).is(200)["locks"][0].clone()
}

#[test]
fn a_file_is_locked_and_unlocked_by_path_and_by_id() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let server = serve(&sandbox);
    let (ada, tree) = (server.by("ada"), clone(&sandbox, &server, "ada"));
    let locked = lfs(&tree, &["lock", "hero.psd"]).ended(0);
    assert_eq!(locked.stdout.trim(), "Locked hero.psd");
    let lock = lock_of(&ada, "hero.psd");
    assert_eq!(
        lock["owner"],
        json!({
            "id": "ada@example.com", "name": "ada", "host": "git-lfs", "workspace": null,
        })
    );
    assert_eq!(
        (&lock["ttl_seconds"], &lock["mine"]),
        (&json!(7 * 86400), &json!(true))
    );
    lfs(&tree, &["unlock", "hero.psd"]).ended(0);
    assert_eq!(ada.listed(""), [""; 0]);
    lfs(&tree, &["lock", "scenes/town.tscn"]).ended(0);
    let lease = lock_of(&ada, "scenes/town.tscn")["lease"].clone();
    lfs(&tree, &["unlock", "--id", lease.as_str().unwrap()]).ended(0);
    assert_eq!(ada.listed(""), [""; 0]);
    assert_ne!(lfs(&tree, &["unlock", "hero.psd"]).code, 0);
}

#[test]
fn a_held_file_is_refused_with_holder_since_and_until() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let server = serve(&sandbox);
    let tree = clone(&sandbox, &server, "bob");
    server
        .by("ada")
        .post("locks", &json!({"paths": ["hero.psd"], "reason": "hat"}))
        .is(201);
    let refused = lfs(&tree, &["lock", "hero.psd"]).ended(2);
    let refused = refused.said("`hero.psd` is locked by ada <ada@example.com>, since 20");
    refused.said(", until 20").said("\"hat\"");
    assert_eq!(server.by("bob").listed("mine=true"), [""; 0]);
    // What one holds oneself: said, and renewed.
    lfs(&tree, &["lock", "notes.txt"]).ended(0);
    let before = lock_of(&server.by("bob"), "notes.txt");
    lfs(&tree, &["lock", "notes.txt"]).said("already locked by you; renewed until 20");
    let after = lock_of(&server.by("bob"), "notes.txt");
    assert_eq!(after["lease"], before["lease"]);
    assert!(after["heartbeat_at"].as_str() > before["heartbeat_at"].as_str());
}

#[test]
fn an_admin_unlocks_by_force_and_an_editor_does_not() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let server = serve(&sandbox);
    let (bob, max) = (
        clone(&sandbox, &server, "bob"),
        clone(&sandbox, &server, "max"),
    );
    let ada = server.by("ada");
    ada.takes("hero.psd");
    for words in [
        &["unlock", "hero.psd"][..],
        &["unlock", "--force", "hero.psd"],
    ] {
        let refused = lfs(&bob, words);
        assert_ne!(refused.code, 0, "{refused:?}");
        assert!(
            format!("{refused:?}").contains("is locked by ada"),
            "{refused:?}"
        );
    }
    assert_ne!(lfs(&max, &["unlock", "hero.psd"]).code, 0);
    assert_eq!(ada.listed(""), ["hero.psd"]);
    lfs(&max, &["unlock", "--force", "hero.psd"]).ended(0);
    assert_eq!(ada.listed(""), [""; 0]);
}

#[test]
fn locks_are_listed_by_every_option_of_the_client() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let server = serve(&sandbox);
    let tree = clone(&sandbox, &server, "ada");
    lfs(&tree, &["lock", "hero.psd"]).ended(0);
    server.by("bob").lock(&["notes.txt", "scenes/"]).is(201);
    let list = |words: &[&str]| {
        lfs(&tree, &[&["locks", "--json"], words].concat())
            .ended(0)
            .json()
    };
    assert_eq!(paths(&list(&["--local"])), ["hero.psd"]);
    assert_eq!(paths(&list(&[])), ["hero.psd", "notes.txt", "scenes/"]);
    assert_eq!(paths(&list(&["--path", "notes.txt"])), ["notes.txt"]);
    assert_eq!(paths(&list(&["--limit", "2"])), ["hero.psd", "notes.txt"]);
    let held = lock_of(&server.by("bob"), "notes.txt");
    assert_eq!(
        paths(&list(&["--id", held["lease"].as_str().unwrap()])),
        ["notes.txt"]
    );
    assert_eq!(list(&["--path", "scenes/town.tscn"]), json!([]));
    let verified = list(&["--verify"]);
    assert_eq!(paths(&verified["ours"]), ["hero.psd"]);
    assert_eq!(
        paths(&verified["theirs"]),
        ["notes.txt", "scenes/cave.tscn", "scenes/town.tscn"]
    );
    assert_eq!(list(&["--cached"]), list(&[]));
    assert_eq!(
        paths(&list(&["--verify", "--cached"])["ours"]),
        ["hero.psd"]
    );
    let shown = lfs(&tree, &["locks", "--verify"]).stdout;
    let ours = shown.lines().filter(|line| line.starts_with('O')).count();
    assert_eq!((ours, shown.lines().count()), (1, 4), "{shown}");
}

#[test]
fn a_push_of_what_another_has_locked_is_rejected() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let server = serve(&sandbox);
    let (ada, bob) = (server.by("ada"), clone(&sandbox, &server, "bob"));
    let lease = ada.takes("Hero.kra");
    push(&bob, "notes.txt").ended(0);
    push(&bob, "art/cave.kra").ended(0);
    ada.delete(&format!("locks/{lease}")).is(200);
    // The client compares paths byte by byte.
    let lock = ada.takes("hero.kra");
    is_rejected(&push(&bob, "hero.kra"), "hero.kra - ada");
    ada.delete(&format!("locks/{lock}")).is(200);
    bob.git(&["push", "-q", "origin", "HEAD:main"]);
    // A lock on the directory is one on each file in it.
    ada.lock(&["art/"]).is(201);
    bob.write("art/cave.kra", "two\n");
    bob.git(&["commit", "-qam", "two"]);
    is_rejected(&push(&bob, "other.txt"), "art/cave.kra - ada");
}

#[test]
fn deletions_and_renames_are_not_looked_at_by_the_client() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let server = serve(&sandbox);
    let (ada, bob) = (server.by("ada"), clone(&sandbox, &server, "bob"));
    push(&bob, "gone.kra").ended(0);
    push(&bob, "moved.kra").ended(0);
    ada.lock(&["gone.kra", "moved.kra"]).is(201);
    // Both were asked for in vain for years (git-lfs #5060): here our own hooks are needed.
    bob.git(&["rm", "-q", "gone.kra"]);
    push(&bob, "other.txt").ended(0);
    bob.git(&["mv", "moved.kra", "renamed.kra"]);
    push(&bob, "other.txt").ended(0);
    // What is pushed under the locked name is.
    bob.write("moved.kra", "other contents\n");
    bob.git(&["add", "moved.kra"]);
    is_rejected(&push(&bob, "third.txt"), "moved.kra - ada");
}

#[test]
fn the_client_verifies_page_after_page() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let server = serve(&sandbox);
    let (ada, bob) = (server.by("ada"), clone(&sandbox, &server, "bob"));
    let many: Vec<String> = (0..2_500).map(|n| format!("many/{n}.psd")).collect();
    for some in many.chunks(1_000) {
        ada.post("locks", &json!({"paths": some})).is(201);
    }
    ada.takes("zebra.kra");
    let verified = lfs(&bob, &["locks", "--verify", "--json"]).ended(0).json();
    let mut theirs = paths(&verified["theirs"]);
    theirs.sort();
    theirs.dedup();
    assert_eq!(theirs.len(), 2_501);
    assert_eq!(verified["ours"], json!([]));
    is_rejected(&push(&bob, "zebra.kra"), "zebra.kra - ada");
    assert_eq!(paths(&lfs(&bob, &["locks", "--json"]).json()).len(), 2_501);
}

#[test]
fn a_lock_lives_while_its_owner_is_at_work_and_ends_without() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let clock = sandbox.clock();
    let server = serve_with(&sandbox, |command| {
        clock.of(command);
    });
    let (ada, bob) = (clone(&sandbox, &server, "ada"), server.by("bob"));
    lfs(&ada, &["lock", "hero.psd"]).ended(0);
    let until = || {
        lock_of(&bob, "hero.psd")["expires_at"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let (day, first) = (86_400, until());
    clock.set(2 * day);
    push(&ada, "notes.txt").ended(0);
    assert_eq!(until(), first);
    // A third of its life is over: the next push is a sign of life.
    clock.set(3 * day);
    push(&ada, "other.txt").ended(0);
    eventually("it is renewed", || until() > first);
    clock.set(9 * day);
    assert_eq!(bob.listed(""), ["hero.psd"]);
    clock.set(10 * day + 7200);
    assert_eq!(bob.listed(""), [""; 0]);
    lfs(&ada, &["unlock", "hero.psd"]).said("no matching locks");
    bob.lock(&["hero.psd", "hero.kra"]).is(201);
    is_rejected(&push(&ada, "hero.kra"), "hero.kra - bob");
}

#[test]
fn a_server_that_was_away_or_unknown_switches_nothing_off() {
    let sandbox = Sandbox::new();
    if !is_there(&sandbox) {
        return;
    }
    let server = serve(&sandbox);
    let bob = clone(&sandbox, &server, "bob");
    bob.git(&["config", "--unset", "lfs.locksverify"]);
    push(&bob, "one.txt").ended(0);
    let address = server.address.clone();
    let url = bob.git(&["config", "lfs.url"]);
    bob.git(&[
        "config",
        "lfs.url",
        &url.trim().replace("remote.git", "unknown.git"),
    ]);
    drop(push(&bob, "two.txt"));
    bob.git(&["config", "lfs.url", url.trim()]);
    server.kill();
    drop(push(&bob, "three.txt"));
    let switches = || {
        bob.try_git(&["config", "--get-regexp", "locksverify"])
            .stdout
    };
    assert!(!switches().contains("false"), "{}", switches());
    let mut command = sandbox.command(LATCH);
    command.args([
        "serve",
        "--repo",
        "remote.git",
        "--users",
        "users.toml",
        "--listen",
        &address,
    ]);
    command.args(["--lfs-upstream", "http://127.0.0.1:1"]);
    let server = Server::start(command.current_dir(sandbox.path()));
    server.by("ada").takes("hero.kra");
    bob.git(&["config", &format!("lfs.{}.locksverify", url.trim()), "true"]);
    is_rejected(&push(&bob, "hero.kra"), "hero.kra - ada");
}

#[test]
fn contents_are_asked_for_elsewhere() {
    let sandbox = Sandbox::new();
    let upstream = "https://git.example/{repo}.git/info/lfs/";
    let server = served_with(&sandbox, |command| {
        command.args(["--lfs-upstream", upstream]);
    });
    let ada = server.by("ada");
    for (what, leads_to) in [
        ("objects/batch", "remote.git/info/lfs/objects/batch"),
        (
            "objects/batch?a=b%20c",
            "remote.git/info/lfs/objects/batch?a=b%20c",
        ),
        (
            "objects/x%2F..%0d%0aSet-Cookie/verify",
            "remote.git/info/lfs/objects/x/..%0D%0ASet-Cookie/verify",
        ),
    ] {
        let led = ada.lfs("POST", what, &json!({"operation": "upload"}));
        led.is(307);
        assert_eq!(
            led.header("location"),
            format!("https://git.example/{leads_to}")
        );
        assert_eq!(led.header("set-cookie"), "");
    }
    let refused = served_without(&sandbox)
        .by("ada")
        .lfs("POST", "objects/batch", &json!({}));
    let refused = refused.is(404);
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("--lfs-upstream"),
        "{refused}"
    );
}

/// A second server, which knows of no contents.
fn served_without(sandbox: &Sandbox) -> Server {
    again(sandbox, |_| {})
}
