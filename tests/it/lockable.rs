//! Files with the attribute `lockable`: their write bits, and that editing them wants a lock.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Sandbox, Tree};

fn is_writable(tree: &Tree<'_>, file: &str) -> bool {
    let meta = std::fs::metadata(tree.path.join(file)).unwrap();
    meta.permissions().mode() & 0o200 != 0
}

fn with_lockable_scenes(sandbox: &Sandbox) -> Tree<'_> {
    let ada = sandbox.repo();
    ada.write(".gitattributes", "*.tscn lockable\n");
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "-m", "attributes"]);
    ada.ok(&["init"]);
    ada
}

#[test]
fn they_are_read_only_until_they_are_locked() {
    let sandbox = Sandbox::new();
    let ada = with_lockable_scenes(&sandbox);
    let town = "scenes/town.tscn";
    assert!(!is_writable(&ada, town) && is_writable(&ada, "notes.txt"));
    ada.ok(&["lock", town]);
    assert!(is_writable(&ada, town) && !is_writable(&ada, "scenes/cave.tscn"));
    ada.ok(&["unlock", town]);
    assert!(!is_writable(&ada, town));
    ada.ok(&["lock", "scenes"]);
    assert!(is_writable(&ada, town) && is_writable(&ada, "scenes/cave.tscn"));
    ada.ok(&["unlock", "scenes"]);
    assert!(!is_writable(&ada, town) && !is_writable(&ada, "scenes/cave.tscn"));
    ada.ok(&[
        "run",
        town,
        "--",
        "sh",
        "-c",
        "test -w scenes/town.tscn && ls -l scenes/town.tscn | grep -q ^-rw",
    ]);
    assert!(!is_writable(&ada, town));
    assert_eq!(ada.git(&["status", "--porcelain"]), "?? .latch.toml\n");
}

#[test]
fn a_commit_of_them_wants_my_lock() {
    let sandbox = Sandbox::new();
    let ada = with_lockable_scenes(&sandbox);
    std::fs::remove_file(ada.path.join("scenes/town.tscn")).unwrap();
    ada.write("scenes/town.tscn", "two\n");
    let commit = ["commit", "-q", "-am", "two"];
    let run = ada.try_git(&commit).ended(1);
    assert!(
        run.stderr
            .contains("scenes/town.tscn: may only be edited under your lock"),
        "{run:?}"
    );
    ada.ok(&["lock", "scenes/town.tscn"]);
    ada.git(&commit);
}

#[test]
fn checkouts_merges_and_commits_set_the_bits_of_what_they_wrote() {
    let sandbox = Sandbox::new();
    let ada = with_lockable_scenes(&sandbox);
    let town = "scenes/town.tscn";
    ada.git(&["checkout", "-q", "-b", "topic"]);
    ada.ok(&["lock", town, "scenes/new.tscn", "--new"]);
    ada.write(town, "two\n");
    ada.write("scenes/new.tscn", "new\n");
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "-m", "two"]);
    assert!(is_writable(&ada, town));
    ada.ok(&["unlock", "--all"]);
    ada.git(&["checkout", "-q", "main"]);
    assert!(!is_writable(&ada, town));
    ada.git(&["merge", "-q", "topic"]);
    assert!(!is_writable(&ada, town) && !is_writable(&ada, "scenes/new.tscn"));
    std::fs::remove_file(ada.path.join(town)).unwrap();
    ada.git(&["checkout", "-q", "--", town]);
    assert!(!is_writable(&ada, town));
}

#[test]
fn a_fresh_clone_sets_them_with_init_and_a_nested_attribute_file_counts() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write("scenes/.gitattributes", "*.tscn lockable\n");
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "-m", "nested"]);
    let clone = sandbox.tree("clone");
    ada.git(&["clone", "-q", ".", clone.path.to_str().unwrap()]);
    assert!(is_writable(&clone, "scenes/town.tscn"));
    clone.ok(&["init"]);
    assert!(!is_writable(&clone, "scenes/town.tscn"));
    clone.ok(&["uninstall"]);
    assert!(is_writable(&clone, "scenes/town.tscn"));
}

#[test]
fn links_are_never_followed() {
    let sandbox = Sandbox::new();
    let ada = with_lockable_scenes(&sandbox);
    let outside = sandbox.path().join("outside.tscn");
    std::fs::write(&outside, "theirs\n").unwrap();
    std::os::unix::fs::symlink(&outside, ada.path.join("link.tscn")).unwrap();
    ada.git(&["add", "."]);
    ada.ok(&["init"]);
    ada.ok(&["lock", "link.tscn"]);
    ada.ok(&["unlock", "--force", "link.tscn"]);
    assert_eq!(
        std::fs::metadata(&outside).unwrap().permissions().mode() & 0o222,
        0o200 | (std::fs::metadata(&outside).unwrap().permissions().mode() & 0o022)
    );
}
