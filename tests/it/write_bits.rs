//! Write bits of `lockable` files: whatever changes the attribute or the locks changes them, and nothing else does.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Sandbox, Tree};

const TOWN: &str = "scenes/town.tscn";
const CAVE: &str = "scenes/cave.tscn";

fn mode(tree: &Tree<'_>, file: &str) -> u32 {
    let meta = std::fs::metadata(tree.path.join(file)).unwrap();
    meta.permissions().mode() & 0o777
}

fn is_writable(tree: &Tree<'_>, file: &str) -> bool {
    mode(tree, file) & 0o222 != 0
}

fn set_mode(tree: &Tree<'_>, file: &str, mode: u32) {
    std::fs::set_permissions(tree.path.join(file), Permissions::from_mode(mode)).unwrap();
}

fn commit(tree: &Tree<'_>, file: &str, text: &str) {
    tree.write(file, text);
    tree.git(&["add", file]);
    tree.git(&["commit", "-q", "-m", file]);
}

/// Two branches: `main`, and `art` whose only difference is that a file of attributes makes scenes `lockable`.
fn with_branches<'a>(sandbox: &'a Sandbox, attributes: &str) -> Tree<'a> {
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    ada.git(&["switch", "-q", "-c", "art"]);
    commit(&ada, attributes, "*.tscn lockable\n");
    ada
}

#[test]
fn a_commit_that_brings_or_takes_the_attribute_alone_sets_the_bits_of_files_that_were_there() {
    for attributes in [".gitattributes", "scenes/.gitattributes"] {
        let sandbox = Sandbox::new();
        let ada = with_branches(&sandbox, attributes);
        assert!(
            !is_writable(&ada, TOWN) && is_writable(&ada, "hero.psd"),
            "{attributes}"
        );
        commit(&ada, attributes, "*.tscn -text\n");
        assert!(is_writable(&ada, TOWN), "{attributes}");
        commit(&ada, attributes, "town.tscn lockable\n");
        assert!(!is_writable(&ada, TOWN) && is_writable(&ada, CAVE));
        ada.git(&["rm", "-q", attributes]);
        ada.git(&["commit", "-q", "-m", "gone"]);
        assert!(is_writable(&ada, TOWN) && is_writable(&ada, CAVE));
    }
}

#[test]
fn a_switch_a_merge_and_a_pull_do_so_too() {
    let sandbox = Sandbox::new();
    let ada = with_branches(&sandbox, "scenes/.gitattributes");
    let clone = sandbox.tree("clone");
    ada.git(&["switch", "-q", "main"]);
    assert!(is_writable(&ada, TOWN));
    ada.git(&["clone", "-q", ".", clone.path.to_str().unwrap()]);
    clone.ok(&["init"]);
    ada.git(&["switch", "-q", "art"]);
    assert!(!is_writable(&ada, TOWN) && !is_writable(&ada, CAVE));
    ada.git(&["switch", "-q", "main"]);
    ada.git(&["merge", "-q", "art"]);
    assert!(!is_writable(&ada, TOWN));
    clone.git(&["pull", "-q"]);
    assert!(!is_writable(&clone, TOWN) && is_writable(&clone, "hero.psd"));
    ada.git(&["revert", "--no-edit", "HEAD"]);
    assert!(is_writable(&ada, TOWN));
    clone.git(&["pull", "-q", "--rebase"]);
    assert!(is_writable(&clone, TOWN));
}

#[test]
fn what_git_does_without_a_hook_is_met_by_the_next_command() {
    let sandbox = Sandbox::new();
    let ada = with_branches(&sandbox, ".gitattributes");
    ada.git(&["reset", "-q", "--hard", "main"]);
    ada.ok(&["list"]);
    assert!(is_writable(&ada, TOWN));
    ada.git(&["reset", "-q", "--hard", "HEAD@{1}"]);
    ada.ok(&["list"]);
    assert!(!is_writable(&ada, TOWN));
    ada.ok(&["lock", TOWN]);
    ada.write(TOWN, "two\n");
    ada.git(&["stash", "-q"]);
    ada.ok(&["unlock", TOWN]);
    ada.git(&["stash", "pop", "-q"]);
    ada.ok(&["status"]);
    assert!(!is_writable(&ada, TOWN));
}

#[test]
fn what_a_sparse_checkout_adds_is_read_only_after_the_next_command() {
    let sandbox = Sandbox::new();
    let ada = with_branches(&sandbox, "scenes/.gitattributes");
    ada.write("other/a", "a\n");
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "-m", "other"]);
    ada.git(&["sparse-checkout", "set", "other"]);
    ada.ok(&["list"]);
    ada.git(&["sparse-checkout", "add", "scenes"]);
    ada.ok(&["list"]);
    assert!(!is_writable(&ada, TOWN));
}

#[test]
fn attributes_that_are_not_committed_or_not_of_the_repository_count_from_the_next_command_on() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    let mine = sandbox.path().join("mine");
    ada.git(&["config", "core.attributesFile", mine.to_str().unwrap()]);
    for file in [
        ada.path.join(".gitattributes"),
        ada.path.join(".git/info/attributes"),
        mine,
    ] {
        std::fs::write(&file, "*.tscn lockable\n").unwrap();
        ada.ok(&["list"]);
        assert!(!is_writable(&ada, TOWN), "{}", file.display());
        std::fs::remove_file(&file).unwrap();
        ada.git(&["commit", "-q", "--allow-empty", "-m", "by a hook"]);
        assert!(is_writable(&ada, TOWN), "{}", file.display());
    }
}

#[test]
fn only_what_was_taken_is_given_back() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    set_mode(&ada, TOWN, 0o775);
    set_mode(&ada, CAVE, 0o444);
    commit(&ada, ".gitattributes", "*.tscn lockable\n");
    assert_eq!((mode(&ada, TOWN), mode(&ada, CAVE)), (0o555, 0o444));
    ada.ok(&["lock", TOWN]);
    assert_eq!(mode(&ada, TOWN), 0o775);
    ada.ok(&["unlock", "--force", TOWN]);
    assert_eq!(mode(&ada, TOWN), 0o555);
    commit(&ada, ".gitattributes", "\n");
    assert_eq!((mode(&ada, TOWN), mode(&ada, CAVE)), (0o775, 0o444));
}

#[test]
fn uninstall_gives_every_bit_back_in_every_working_tree() {
    let sandbox = Sandbox::new();
    let ada = with_branches(&sandbox, ".gitattributes");
    let linked = ada.worktree("linked");
    linked.ok(&["list"]);
    set_mode(&ada, CAVE, 0o444);
    assert!(!is_writable(&linked, TOWN));
    ada.ok(&["uninstall"]);
    for tree in [&ada, &linked] {
        assert!(is_writable(tree, TOWN) && is_writable(tree, CAVE));
    }
}

#[test]
fn a_lock_that_is_stolen_broken_or_over_leaves_no_file_writable() {
    let sandbox = Sandbox::new();
    let ada = with_branches(&sandbox, ".gitattributes");
    let linked = ada.worktree("linked");
    linked.ok(&["list"]);
    let bob = linked.by("bob@example.com");
    ada.ok(&["lock", TOWN]);
    assert!(is_writable(&ada, TOWN));
    bob.ok(&["lock", "--steal", "-m", "mine", TOWN]);
    ada.latch(&["list"]);
    assert!(!is_writable(&ada, TOWN));
    bob.ok(&["unlock", TOWN]);
    ada.ok(&["lock", CAVE]);
    std::fs::remove_file(ada.path.join(".locks/scenes/cave.tscn.lock")).unwrap();
    ada.latch(&["list"]);
    assert!(!is_writable(&ada, CAVE));
    let clock = sandbox.clock();
    let mut lock = ada.command(crate::support::LATCH);
    crate::support::Run::of(clock.of(lock.args(["lock", "--ttl", "1h", TOWN]))).ended(0);
    assert!(is_writable(&ada, TOWN));
    clock.set(2 * 3600);
    let mut list = ada.command(crate::support::LATCH);
    crate::support::Run::of(clock.of(list.args(["list"])));
    assert!(!is_writable(&ada, TOWN));
}

#[test]
fn agents_of_one_working_tree_leave_each_other_s_files_writable() {
    let sandbox = Sandbox::new();
    let ada = with_branches(&sandbox, ".gitattributes");
    let (one, two) = (ada.by("ada@example.com/one"), ada.by("ada@example.com/two"));
    one.ok(&["lock", TOWN]);
    two.ok(&["lock", CAVE]);
    commit(&two, ".gitattributes", "*.tscn lockable\n*.psd lockable\n");
    assert!(is_writable(&ada, TOWN) && is_writable(&ada, CAVE) && !is_writable(&ada, "hero.psd"));
}

#[test]
fn doctor_sees_bits_that_are_not_as_they_should_be_and_init_cures_them() {
    let sandbox = Sandbox::new();
    let ada = with_branches(&sandbox, ".gitattributes");
    ada.ok(&["doctor"]);
    set_mode(&ada, TOWN, 0o644);
    let told = ada.latch(&["doctor"]);
    assert!(
        told.code != 0 && told.stdout.contains("write bits of scenes/town.tscn"),
        "{told:?}"
    );
    assert!(told.stdout.contains("git latch init"), "{told:?}");
    assert!(is_writable(&ada, TOWN), "it only looks");
    ada.ok(&["init"]);
    assert!(!is_writable(&ada, TOWN));
    ada.ok(&["doctor"]);
}

#[test]
fn post_commit_is_installed_by_the_commit_that_brings_the_attribute() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    let hook = ada.path.join(".git/hooks/post-commit");
    commit(&ada, "notes.txt", "two\n");
    assert!(!hook.exists());
    commit(&ada, ".gitattributes", "*.tscn lockable\n");
    assert!(hook.exists());
    commit(&ada, "scenes/new.tscn", "new\n");
    assert!(
        !is_writable(&ada, "scenes/new.tscn"),
        "committed, and mine by no lock"
    );
}
