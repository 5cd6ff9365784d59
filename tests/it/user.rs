//! `git latch user`

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use serde_json::{Value, json};

use crate::support::{LATCH, Run, Sandbox, Tree, eventually};

/// A directory that is no repository.
fn outside(sandbox: &Sandbox) -> Tree<'_> {
    let tree = sandbox.tree("outside");
    std::fs::create_dir(&tree.path).unwrap();
    tree
}

/// Runs `git latch user` with these words and this on standard input; with `""` where it must not be read.
fn user(tree: &Tree<'_>, words: &str, input: &str) -> Run {
    let mut command = tree.command(LATCH);
    command.arg("user").args(words.split(' '));
    Run::fed(command.args(["--users", "users.toml"]), input.as_bytes())
}

fn listed(tree: &Tree<'_>) -> Value {
    user(tree, "list --json", "").ended(0).json()["users"].clone()
}

/// The value that follows a key in the file.
fn stored(tree: &Tree<'_>, key: &str) -> String {
    let text = tree.read("users.toml");
    let (_, value) = text.split_once(&format!("{key} = \"")).unwrap();
    value.split_once('"').unwrap().0.to_owned()
}

#[test]
fn a_user_is_added_to_a_file_that_only_its_owner_reads() {
    let sandbox = Sandbox::new();
    let tree = outside(&sandbox);
    let add = "add ada --role editor --id ada@example.com --name Ada";
    let added = user(&tree, add, "correct horse\nnot this\n").ended(0);
    assert_eq!(added.stdout, "added ada\n");
    let ada = json!({
        "name": "ada", "id": "ada@example.com", "shown": "Ada", "role": "editor",
        "repos": {}, "has_password": true, "tokens": [],
    });
    assert_eq!(listed(&tree), json!([ada]));
    let meta = std::fs::metadata(tree.path.join("users.toml")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    assert!(stored(&tree, "password").starts_with("$argon2id$"));
    assert!(!tree.read("users.toml").contains("horse"));
}

#[test]
fn a_user_is_changed_in_what_is_named_only() {
    let sandbox = Sandbox::new();
    let tree = outside(&sandbox);
    user(&tree, "add ada --role editor --id ada@x", "correct horse").ended(0);
    let before = tree.read("users.toml");
    let changed = user(&tree, "add ada --role viewer --keep-password", "").ended(0);
    assert_eq!(changed.stdout, "changed ada\n");
    assert_eq!(tree.read("users.toml"), before.replace("editor", "viewer"));
    for grant in [
        "--role admin --repo team/game",
        "--role none --repo team/it",
    ] {
        user(&tree, &format!("add ada {grant} --keep-password"), "").ended(0);
    }
    let ada = &listed(&tree)[0];
    assert_eq!(ada["role"], "viewer");
    assert_eq!(ada["id"], "ada@x");
    assert_eq!(
        ada["repos"],
        json!({"team/game": "admin", "team/it": "none"})
    );
}

#[test]
fn a_password_is_changed_or_taken_away() {
    let sandbox = Sandbox::new();
    let tree = outside(&sandbox);
    user(&tree, "add ada --role editor", "correct horse").ended(0);
    let before = stored(&tree, "password");
    user(&tree, "add ada --role editor", "battery staple\r\n").ended(0);
    assert_ne!(stored(&tree, "password"), before);
    user(&tree, "add ada --role editor --no-password", "").ended(0);
    assert_eq!(listed(&tree)[0]["has_password"], json!(false));
}

#[test]
fn what_cannot_be_is_refused_and_no_file_is_made() {
    let sandbox = Sandbox::new();
    let tree = outside(&sandbox);
    for (words, input, told) in [
        ("add ada --role editor", "", "the password is empty"),
        (
            "add ada --role editor",
            "\ncorrect horse\n",
            "the password is empty",
        ),
        ("add ada --role editor", "1234567\n", "fewer than 8"),
        ("add a:b --role editor", "", "`a:b` cannot be"),
        (
            "add ada --role editor --id=",
            "",
            "the id of `ada` is empty",
        ),
        (
            "add ada --role editor --repo a.git",
            "",
            "invalid repository name",
        ),
        ("add ada --role editor --keep-password", "", "no user `ada`"),
        ("add ada --role none", "", "--repo"),
        ("add ada --role boss", "", "boss"),
        ("add ada", "", "--role"),
    ] {
        user(&tree, words, input).ended(2).said(told);
    }
    user(&tree, "list", "").ended(5).said("users.toml");
    assert_eq!(std::fs::read_dir(&tree.path).unwrap().count(), 0);
}

#[test]
fn no_two_users_own_each_others_locks() {
    let sandbox = Sandbox::new();
    let tree = outside(&sandbox);
    user(&tree, "add ada --role editor --no-password", "").ended(0);
    let before = tree.read("users.toml");
    user(&tree, "add bob --role editor --id ada/agent", "")
        .ended(2)
        .said("`ada`")
        .said("`bob`");
    assert_eq!(tree.read("users.toml"), before);
    tree.write("users.toml", "[users.ada]\n\n[users.bob]\nid = \"ada\"\n");
    user(&tree, "list", "")
        .ended(2)
        .said("users.toml:3: the users `bob`");
}

#[test]
fn a_broken_file_is_told_with_its_line_and_not_written_over() {
    let sandbox = Sandbox::new();
    let tree = outside(&sandbox);
    let broken = "[users.ada]\nrole = \"boss\"\n";
    tree.write("users.toml", broken);
    let refused = user(&tree, "add bob --role admin --json", "")
        .ended(2)
        .json();
    assert_eq!(refused["error"]["code"], "bad_usage");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("users.toml:2: "), "{message}");
    assert_eq!(refused["users"], json!([]));
    assert_eq!(refused["token"], json!(null));
    assert_eq!(tree.read("users.toml"), broken);
}

#[test]
fn a_token_is_shown_once_and_only_its_digest_is_kept() {
    let sandbox = Sandbox::new();
    let tree = outside(&sandbox);
    user(&tree, "add ada --role editor --no-password", "").ended(0);
    let issued = user(&tree, "token ada --label ci", "").ended(0);
    let secret = issued.stdout.trim_end().strip_prefix("latch_").unwrap();
    assert_eq!(secret.len(), 64);
    assert!(!tree.read("users.toml").contains(secret));
    let digest = stored(&tree, "sha256");
    let listed = listed(&tree);
    assert_eq!(listed[0]["tokens"][0]["label"], "ci");
    assert!(!listed.to_string().contains(&digest), "{listed}");
    user(&tree, "token ada --label ci", "")
        .ended(2)
        .said("already");
    let other = user(&tree, "token ada --label bot --json", "").json();
    assert!(other["token"].as_str().unwrap().starts_with("latch_"));
}

#[test]
fn a_token_is_revoked_once() {
    let sandbox = Sandbox::new();
    let tree = outside(&sandbox);
    user(&tree, "add ada --role editor --no-password", "").ended(0);
    user(&tree, "token ada --label ci", "").ended(0);
    let revoked = user(&tree, "token ada --label ci --revoke", "").ended(0);
    assert_eq!(revoked.stdout, "revoked the token `ci` of ada\n");
    assert_eq!(listed(&tree)[0]["tokens"], json!([]));
    user(&tree, "token ada --label ci --revoke", "")
        .ended(2)
        .said("no token `ci`");
}

#[test]
fn a_user_is_removed() {
    let sandbox = Sandbox::new();
    let tree = outside(&sandbox);
    for name in ["ada", "bob"] {
        user(
            &tree,
            &format!("add {name} --role editor --no-password"),
            "",
        )
        .ended(0);
    }
    let list = user(&tree, "list", "").ended(0);
    let lines = "ada  editor  no password\nbob  editor  no password\n";
    assert_eq!(list.stdout, lines);
    let removed = user(&tree, "remove ada", "").ended(0);
    assert_eq!(removed.stdout, "removed ada\n");
    user(&tree, "remove ada", "").ended(2).said("no user `ada`");
    user(&tree, "token ada --label ci", "").ended(2);
    assert_eq!(listed(&tree)[0]["name"], "bob");
}

/// A terminal: the end that a person sits at, and the end that programs have.
fn terminal() -> (std::fs::File, std::fs::File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let mut options = std::fs::File::options();
    let slave = options.read(true).write(true).open(name.to_str().unwrap());
    (master.into(), slave.unwrap())
}

#[test]
fn a_terminal_shows_no_password_and_again_what_is_typed_after_it() {
    let sandbox = Sandbox::new();
    let tree = outside(&sandbox);
    let (mut person, terminal) = terminal();
    let mut command = tree.command(LATCH);
    command.args(["-q", "user", "add", "ada", "--role", "editor"]);
    command.args(["--users", "users.toml"]);
    command.stdin(terminal.try_clone().unwrap());
    let mut child = command
        .stderr(terminal.try_clone().unwrap())
        .spawn()
        .unwrap();
    let modes = || tcgetattr(&terminal).unwrap().local_modes;
    eventually("the terminal shows nothing", || {
        !modes().contains(LocalModes::ECHO)
    });
    person.write_all(b"correct horse\ncorrect horse\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(modes().contains(LocalModes::ECHO));
    drop((command, terminal));
    let mut seen = Vec::new();
    // Linux ends this with an error once nobody has the other end.
    let _ = person.read_to_end(&mut seen);
    let seen = String::from_utf8_lossy(&seen);
    assert_eq!(seen, "Password for ada: \r\nAgain: \r\n");
    assert_eq!(listed(&tree)[0]["has_password"], json!(true));
}
