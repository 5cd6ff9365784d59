//! `git latch serve`: who is let in, and to what.

use serde_json::json;

use crate::support::clones::remote;
use crate::support::server::{Client, Server, basic, served, served_with, serving, user, users};
use crate::support::{LATCH, Run, Sandbox, eventually};

/// Bare repositories below `root`: `game`, `team/art`, `team/secret`; served to the users.
fn several(sandbox: &Sandbox) -> Server {
    let seed = sandbox.repo();
    for name in ["game", "team/art", "team/secret"] {
        let bare = sandbox.path().join(format!("root/{name}.git"));
        seed.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    }
    users(sandbox);
    Server::start(&mut serving(sandbox, &["--root", "root"]))
}

#[test]
fn who_says_nothing_or_something_wrong_is_not_let_in() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let nobody = server.anybody();
    let refused = nobody.get("locks");
    refused.is_problem(401, "no_identity");
    assert!(
        refused
            .header("www-authenticate")
            .starts_with("Basic realm=")
    );
    for wrong in [
        "Basic !",
        "Basic YWRh",
        "Bearer x",
        "Negotiate x",
        &basic("ada", "secret-bob"),
        &basic("who", "secret-ada"),
    ] {
        nobody
            .showing(wrong)
            .get("locks")
            .is_problem(401, "no_identity");
    }
    nobody.lfs("POST", "locks/verify", &json!({})).is(401);
    // Nothing is told of repositories to those who are not let in.
    nobody
        .of("nowhere")
        .get("locks")
        .is_problem(401, "no_identity");
    for open in ["/healthz", "/readyz", "/api/openapi.json"] {
        nobody.ask("GET", open, &[], b"").is(200);
    }
    for closed in ["/", "/remote", "/metrics"] {
        nobody.ask("GET", closed, &[], b"").is(401);
    }
}

#[test]
fn who_guesses_has_to_wait_and_who_is_known_does_not() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    ada.get("locks").is(200);
    let guess = ada.showing(&basic("ada", "guess"));
    let statuses: Vec<u16> = (0..12).map(|_| guess.get("locks").status()).collect();
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[10..], [429; 2]);
    let refused = guess.get("locks");
    refused.is_problem(429, "no_identity");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    ada.get("locks").is(200);
}

#[test]
fn a_token_is_as_good_as_a_password_until_it_is_revoked() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let issued = user(&sandbox, "token ada --label ci", "").ended(0);
    let token = issued.stdout.trim();
    let bearer = server.anybody().showing(&format!("Bearer {token}"));
    let basic = server.anybody().showing(&basic("ada", token));
    eventually("the file is read again", || {
        bearer.get("locks").status() == 200
    });
    bearer.lock(&["hero.psd"]).is(201);
    basic.lock(&["hero.psd"]).is(200);
    user(&sandbox, "token ada --label ci --revoke", "").ended(0);
    // Asking again and again with what is wrong is guessing.
    let is_refused = |client: &Client| [401, 429].contains(&client.get("locks").status());
    eventually("it is revoked", || is_refused(&bearer));
    assert!(is_refused(&basic));
}

#[test]
fn changed_users_are_in_force_within_moments_and_a_broken_file_changes_nothing() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, eve) = (server.by("ada"), server.by("eve"));
    eve.lock(&["hero.psd"]).is_problem(403, "forbidden");
    user(&sandbox, "add eve --role editor --keep-password", "").ended(0);
    eventually("she may", || eve.lock(&["hero.psd"]).status() == 201);
    user(&sandbox, "remove ada", "").ended(0);
    eventually("she is gone", || ada.get("locks").status() == 401);
    std::fs::write(sandbox.path().join("users.toml"), "[users.").unwrap();
    eve.lock(&["notes.txt"]).is(201);
    ada.get("locks").is(401);
}

#[test]
fn viewers_look_and_change_nothing() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, eve) = (server.by("ada"), server.by("eve"));
    let lease = ada.takes("hero.psd");
    assert_eq!(eve.listed(""), ["hero.psd"]);
    eve.get(&format!("locks/{lease}")).is(200);
    eve.get("history").is(200);
    eve.lfs("POST", "locks/verify", &json!({})).is(200);
    eve.lock(&["notes.txt"]).is_problem(403, "forbidden");
    eve.post("sessions", &json!({}))
        .is_problem(403, "forbidden");
    eve.delete(&format!("locks/{lease}?force=true&reason=x"))
        .is_problem(403, "forbidden");
    eve.lfs("POST", "locks", &json!({"path": "x"})).is(403);
    eve.lfs(
        "POST",
        &format!("locks/{lease}/unlock"),
        &json!({"force": true}),
    )
    .is(403);
}

#[test]
fn repositories_below_the_root_have_names_with_slashes_and_locks_of_their_own() {
    let sandbox = Sandbox::new();
    let server = several(&sandbox);
    let ada = server.by("ada");
    ada.of("game").lock(&["hero.psd"]).is(201);
    let art = ada.of("team/art");
    art.lock(&["hero.psd", "town.tscn"]).is(201);
    assert_eq!(ada.of("game").listed(""), ["hero.psd"]);
    for name in ["team%2Fart", "team/art.git", "team%2fart.git", "te%61m/art"] {
        assert_eq!(ada.of(name).listed("").len(), 2, "{name}");
    }
    let verified = art.lfs("POST", "locks/verify", &json!({})).is(200);
    assert_eq!(verified["ours"].as_array().unwrap().len(), 2);
    let page = ada.ask("GET", "/", &[], b"");
    page.is(200);
    assert!(page.body.contains("team/art") && page.body.contains("game"));
    for absent in ["nothing", "team", "Game", "game/x"] {
        ada.of(absent)
            .get("locks")
            .is_problem(404, "not_a_repository");
        ada.of(absent)
            .lfs("POST", "locks/verify", &json!({}))
            .is(403);
    }
}

#[test]
fn names_lead_nowhere_else() {
    let sandbox = Sandbox::new();
    let server = several(&sandbox);
    let seed = sandbox.tree("repo");
    let (outside, root) = (
        sandbox.path().join("outside.git"),
        sandbox.path().join("root"),
    );
    for bare in [&outside, &root.join("api.git"), &root.join(".hidden.git")] {
        seed.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    }
    std::os::unix::fs::symlink(&outside, root.join("link.git")).unwrap();
    std::os::unix::fs::symlink(root.join("game.git"), root.join("alias.git")).unwrap();
    let max = server.by("max");
    let absolute = outside.display().to_string();
    for name in [
        "..",
        "../outside",
        "%2e%2e%2foutside",
        "team/%2e%2e/game",
        "team/../game",
        ".",
        "game%00",
        "%00",
        &absolute,
        &format!("/{absolute}"),
        "link",
        "alias",
        "api",
        ".hidden",
        "%2fgame",
        "game/",
        "game.git/refs",
        "%ff",
        "team//art",
        "team\\art",
        "a".repeat(5000).as_str(),
    ] {
        let status = max.of(name).get("locks").status();
        assert!((400..=404).contains(&status), "{name}: {status}");
        let status = max.of(name).lfs("GET", "locks", &json!(null)).status();
        assert!((400..=403).contains(&status), "{name}: {status}");
    }
    let shown = max.ask("GET", "/", &[], b"").body;
    for hidden in ["/link", "/alias", "/.hidden"] {
        assert!(!shown.contains(&format!("\"{hidden}\"")), "{shown}");
    }
}

#[test]
fn roles_are_by_repository_however_it_is_spelled() {
    let sandbox = Sandbox::new();
    let server = several(&sandbox);
    for grant in ["none --repo team/secret", "admin --repo game"] {
        user(
            &sandbox,
            &format!("add bob --role {grant} --keep-password"),
            "",
        )
        .ended(0);
    }
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    eventually("the file is read again", || {
        bob.of("team/secret").get("locks").status() == 403
    });
    ada.of("team/secret").lock(&["plan.odt"]).is(201);
    for name in [
        "team/secret",
        "team/secret.git",
        "team%2Fsecret",
        "team/secret.git.git",
        "team/secret.git%2egit",
        "Team/secret",
    ] {
        let refused = bob.of(name).get("locks");
        assert!(
            [403, 404].contains(&refused.status()),
            "{name}: {refused:?}"
        );
        bob.of(name).lfs("GET", "locks", &json!(null)).is(403);
        let page = bob.ask("GET", &format!("/{name}"), &[], b"");
        assert!([403, 404].contains(&page.status()), "{name}");
    }
    assert!(!bob.ask("GET", "/", &[], b"").body.contains("secret"));
    bob.of("team/art").lock(&["hero.psd"]).is(201);
    let lease = ada.of("game").takes("hero.psd");
    bob.of("game")
        .delete(&format!("locks/{lease}?force=true&reason=x"))
        .is(200);
}

#[test]
fn what_would_let_everybody_in_is_not_served() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let serve = |arguments: &[&str]| {
        let mut command = sandbox.command(LATCH);
        command
            .current_dir(sandbox.path())
            .arg("serve")
            .args(arguments);
        Run::of(&mut command)
    };
    for address in ["0.0.0.0:0", "[::]:0"] {
        serve(&["--repo", "remote.git", "--listen", address])
            .ended(2)
            .said("--users");
    }
    serve(&[
        "--repo",
        "remote.git",
        "--users",
        "nothing.toml",
        "--listen",
        "127.0.0.1:0",
    ])
    .ended(2);
    serve(&["--repo", "nothing.git", "--listen", "127.0.0.1:0"])
        .ended(2)
        .said("nothing.git");
    serve(&["--root", "nothing", "--listen", "127.0.0.1:0"])
        .ended(2)
        .said("nothing");
    serve(&["--repo", "repo", "--listen", "127.0.0.1:0"])
        .ended(2)
        .said("working tree");
    serve(&[]).ended(2);
    let server = served_alone(&sandbox);
    let taken = serve(&["--repo", "remote.git", "--listen", &server.address]);
    taken.ended(2).said("cannot listen on");
}

/// Without users.
fn served_alone(sandbox: &Sandbox) -> Server {
    let mut command = sandbox.command(LATCH);
    let listen = ["serve", "--repo", "remote.git", "--listen", "127.0.0.1:0"];
    Server::start(command.current_dir(sandbox.path()).args(listen))
}

#[test]
fn without_users_whoever_reaches_the_machine_is_who_started_it() {
    let sandbox = Sandbox::new();
    remote(&sandbox);
    let server = served_alone(&sandbox);
    let anybody: Client = server.anybody();
    let taken = anybody.lock(&["hero.psd"]).is(201);
    assert_eq!(taken["locked"][0]["owner"]["id"], "ada@example.com");
    assert_eq!(taken["locked"][0]["owner"]["name"], "Ada");
    assert_eq!(anybody.listed("mine=true"), ["hero.psd"]);
}

#[test]
fn the_access_log_says_who_asked_and_goes_on_in_a_new_file_when_it_was_moved() {
    let sandbox = Sandbox::new();
    let server = served_with(&sandbox, |command| {
        command.args(["--access-log", "access"]);
    });
    let (file, moved) = (
        sandbox.path().join("access"),
        sandbox.path().join("access.1"),
    );
    let lines = |file: &std::path::Path| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect::<Vec<serde_json::Value>>()
    };
    server.by("ada").takes("hero.psd");
    server.anybody().get("locks").is(401);
    eventually("both are written", || lines(&file).len() == 2);
    let users: Vec<_> = lines(&file)
        .iter()
        .map(|line| line["user"].clone())
        .collect();
    assert_eq!(users, [json!("ada@example.com"), json!(null)]);
    std::fs::rename(&file, &moved).unwrap();
    server.process.signal(rustix::process::Signal::HUP);
    eventually("there is a new file", || file.exists());
    server.by("bob").get("locks").is(200);
    eventually("it is written", || lines(&file).len() == 1);
    assert_eq!(lines(&moved).len(), 2);
    assert_eq!(server.end(), 0);
}

#[test]
fn a_refusal_says_what_whoever_asked_can_do() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob, max) = (server.by("ada"), server.by("bob"), server.by("max"));
    let lock = format!("locks/{}", ada.takes("hero.psd"));
    let hint = |refused: serde_json::Value| refused["hint"].as_str().unwrap().to_owned();
    let refused = bob.delete(&lock).is_problem(403, "forbidden");
    assert_eq!(hint(refused), "ask the holder, or an admin");
    let refused = max.delete(&lock).is_problem(403, "forbidden");
    assert!(hint(refused).contains("force=true&reason=WHY"));
    let refused = max.lock(&["hero.psd"]).is_problem(409, "held");
    assert!(hint(refused).contains("\"steal\": true"));
    let session = ada.session();
    ada.post(
        "locks",
        &json!({"paths": ["notes.txt"], "session": session}),
    )
    .is(201);
    let refused = ada.lock(&["notes.txt"]).is_problem(409, "held");
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("`notes.txt` is locked by you, on editor"),
        "{detail}"
    );
    assert!(hint(refused.clone()).contains("you hold it elsewhere"));
}
