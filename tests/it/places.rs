//! Kinds of repositories: they share what they should, and all of them work.

use crate::support::{Run, Sandbox, Tree};

/// Locks, refuses another, rejects a commit, gives back.
fn works(tree: &Tree<'_>) {
    let bob = tree.by("bob@example.com");
    tree.ok(&["init"]);
    bob.ok(&["lock", "hero.psd"]);
    tree.latch(&["lock", "hero.psd"]).ended(1);
    tree.write("hero.psd", "mine\n");
    tree.git(&["add", "hero.psd"]);
    let commit = tree.try_git(&["commit", "-q", "-m", "mine"]);
    assert_ne!(commit.code, 0);
    assert!(
        commit
            .stderr
            .contains("hero.psd: locked by bob@example.com"),
        "{commit:?}"
    );
    bob.ok(&["unlock", "--force", "-m", "in need", "hero.psd"]);
    tree.git(&["commit", "-q", "-m", "mine"]);
    assert_eq!(tree.locks(), []);
}

fn commit_one(tree: &Tree<'_>) {
    tree.write("hero.psd", "one\n");
    tree.git(&["add", "."]);
    tree.git(&["commit", "-q", "-m", "one"]);
}

#[test]
fn linked_working_trees_share_locks_and_are_different_workspaces() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let linked = ada.worktree("linked");
    ada.ok(&["lock", "hero.psd"]);
    linked.latch(&["lock", "hero.psd"]).ended(1);
    assert_eq!(linked.locks().len(), 1);
    assert!(linked.json(&["list"])["locks"][0]["mine"] == false);
    assert!(linked.path.join(".locks/hero.psd.lock").exists());
    ada.ok(&["unlock", "hero.psd"]);
    works(&linked);
}

#[test]
fn an_unborn_branch_works() {
    let sandbox = Sandbox::new();
    let ada = sandbox.init("unborn");
    ada.write("hero.psd", "one\n");
    works(&ada);
}

#[test]
fn a_separate_git_dir_works() {
    let sandbox = Sandbox::new();
    let ada = sandbox.tree("tree");
    std::fs::create_dir(&ada.path).unwrap();
    let git_dir = sandbox.path().join("git dir");
    ada.git(&[
        "init",
        "-q",
        "--separate-git-dir",
        git_dir.to_str().unwrap(),
    ]);
    commit_one(&ada);
    works(&ada);
    assert!(git_dir.join("latch/locks").is_dir());
}

#[test]
fn a_submodule_works_for_itself() {
    let sandbox = Sandbox::new();
    let part = sandbox.init("part");
    commit_one(&part);
    let whole = sandbox.repo();
    whole.git(&[
        "submodule",
        "add",
        "-q",
        part.path.to_str().unwrap(),
        "part",
    ]);
    let inside = whole.inside("part");
    works(&inside);
    whole.by("bob@example.com").ok(&["lock", "part"]);
    whole.git(&["add", "part"]);
    whole.latch(&["check"]).ended(1).said("rejected");
}

#[test]
fn a_reftable_repository_works() {
    let sandbox = Sandbox::new();
    let ada = sandbox.tree("reftable");
    std::fs::create_dir(&ada.path).unwrap();
    if ada.try_git(&["init", "-q", "--ref-format=reftable"]).code != 0 {
        eprintln!("skipped: this git knows no reftable");
        return;
    }
    commit_one(&ada);
    works(&ada);
}

#[test]
fn a_sha256_repository_works() {
    let sandbox = Sandbox::new();
    let ada = sandbox.tree("sha256");
    std::fs::create_dir(&ada.path).unwrap();
    ada.git(&["init", "-q", "--object-format=sha256"]);
    commit_one(&ada);
    works(&ada);
}

#[test]
fn sparse_and_split_indexes_work() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.git(&["sparse-checkout", "set", "--cone", "--sparse-index"]);
    works(&ada);
    let split = sandbox.init("split");
    commit_one(&split);
    split.git(&["update-index", "--split-index"]);
    works(&split);
}

#[test]
fn shallow_and_partial_clones_work() {
    let sandbox = Sandbox::new();
    let origin = sandbox.repo();
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", origin.path.display());
    for kind in ["--depth=1", "--filter=blob:none"] {
        let clone = sandbox.tree(kind);
        origin.git(&["clone", "-q", kind, &url, clone.path.to_str().unwrap()]);
        works(&clone);
    }
}

#[test]
fn git_dir_in_the_environment_is_honoured() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    let nowhere = sandbox.tree("nowhere");
    std::fs::create_dir(&nowhere.path).unwrap();
    let mut list = nowhere.command(crate::support::LATCH);
    list.env("GIT_DIR", ada.path.join(".git"))
        .env("GIT_WORK_TREE", &ada.path)
        .arg("list");
    let listed = Run::of(&mut list).ended(0);
    assert!(listed.stdout.contains("hero.psd"), "{listed:?}");
}

#[test]
fn git_finds_it_as_a_command_of_its_own() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.git(&["latch", "lock", "hero.psd"]);
    assert!(
        ada.git(&["-C", "scenes", "latch", "list"])
            .contains("hero.psd")
    );
}

#[test]
fn modes_follow_shared_repository() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let mode = |path: &str| {
        let meta = std::fs::metadata(ada.path.join(path)).unwrap();
        meta.permissions().mode() & 0o777
    };
    ada.ok(&["lock", "hero.psd"]);
    assert_eq!(mode(".git/latch/locks/hero.psd.lock") & 0o600, 0o600);
    assert_ne!(mode(".git/latch/locks/hero.psd.lock"), 0o600);
    ada.git(&["config", "core.sharedRepository", "group"]);
    ada.ok(&["lock", "scenes/town.tscn"]);
    assert_eq!(
        mode(".git/latch/locks/scenes/town.tscn.lock") & 0o660,
        0o660
    );
    assert_eq!(mode(".git/latch/locks/scenes") & 0o770, 0o770);
}

#[test]
fn a_copied_clone_is_another_workspace_and_says_so_until_it_takes_a_lock() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    let copy = sandbox.tree("copy");
    let copied = sandbox
        .command("cp")
        .arg("-r")
        .arg(&ada.path)
        .arg(&copy.path)
        .status();
    assert!(copied.unwrap().success());
    // Reading leaves no note of having said it.
    for _ in 0..2 {
        let told = copy.ok(&["status"]).said("was copied from workspace");
        assert_eq!(told.stderr.lines().count(), 1, "{told:?}");
    }
    let told = copy.ok(&["lock", "notes.txt"]);
    assert!(
        told.stderr.contains("was copied from workspace"),
        "{told:?}"
    );
    assert!(copy.ok(&["status"]).stderr.is_empty());
    assert_eq!(copy.json(&["list"])["locks"][0]["mine"], false);
    assert_eq!(ada.json(&["list"])["locks"][0]["mine"], true);
}

/// A history that lies beside somebody's own files: git is told of both.
fn beside(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let home = sandbox.path().join("own");
    let mut command = sandbox.command("git");
    command
        .arg(format!("--git-dir={}", home.join(".dots").display()))
        .arg(format!("--work-tree={}", home.display()))
        .args(arguments)
        .current_dir(&home);
    Run::of(&mut command)
}

#[test]
fn a_working_tree_that_git_is_told_of_is_one_though_its_repository_is_bare() {
    let sandbox = Sandbox::new();
    let own = sandbox.tree("own");
    own.write(".vimrc", "one\n");
    own.write("sub/rc", "one\n");
    own.git(&["init", "-q", "--bare", ".dots"]);
    beside(&sandbox, &["add", ".vimrc", "sub/rc"]).ended(0);
    beside(&sandbox, &["commit", "-q", "-m", "one"]).ended(0);
    beside(&sandbox, &["latch", "init"]).ended(0);
    assert!(own.path.join(".locks").is_symlink());
    beside(
        &sandbox,
        &["latch", "--as", "bob@example.com", "lock", ".vimrc"],
    )
    .ended(0);
    own.write(".vimrc", "two\n");
    let commit = beside(&sandbox, &["commit", "-q", "-a", "-m", "two"]).ended(1);
    assert!(
        commit.stderr.contains(".vimrc: locked by bob@example.com"),
        "{commit:?}"
    );
    // From below, by names that are relative to there.
    let mut below = own.inside("sub").command("git");
    below.args([
        "--git-dir=../.dots",
        "--work-tree=..",
        "latch",
        "lock",
        "rc",
    ]);
    Run::of(&mut below).ended(0);
    let listed = beside(&sandbox, &["latch", "--json", "list"]).json();
    let paths = |n: usize| listed["locks"][n]["path"].clone();
    assert_eq!((paths(0), paths(1)), (".vimrc".into(), "sub/rc".into()));
    assert_eq!(listed["locks"][1]["mine"], true);
    // Nobody who looks from the history alone is told that nothing is locked.
    assert_eq!(own.inside(".dots").locks().len(), 2);
    let status = beside(&sandbox, &["status", "--porcelain"]).ended(0);
    assert!(!status.stdout.contains(".locks"), "{status:?}");
}

#[test]
fn a_work_tree_of_the_configuration_is_found_from_anywhere() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let apart = sandbox.path().join("apart.git");
    std::fs::rename(ada.path.join(".git"), &apart).unwrap();
    let nowhere = sandbox.init("nowhere");
    let named = format!("--git-dir={}", apart.display());
    let (there, here) = (ada.path.to_str().unwrap(), ada.path.join("scenes"));
    nowhere.git(&[&named, "config", "core.worktree", there]);
    nowhere.git(&[
        &named,
        "latch",
        "lock",
        "--new",
        &format!("{there}/hero.psd"),
    ]);
    assert!(ada.path.join(".locks").is_symlink() && !nowhere.path.join(".locks").exists());
    // Told of no other, git takes the directory it stands in.
    nowhere.git(&[&named, "config", "--unset", "core.worktree"]);
    let mut from_here = ada.command("git");
    from_here
        .args([&named, "latch", "check", "hero.psd"])
        .current_dir(&ada.path);
    Run::of(&mut from_here).ended(0);
    assert!(!here.join(".locks").exists());
}
