//! What arguments mean, and what wrong ones get.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::json;

use crate::support::{Sandbox, Tree};

/// The spelling under which an argument is locked.
fn locked_as(tree: &Tree<'_>, argument: &str) -> String {
    let locked = tree.json(&["lock", argument]);
    locked["locked"][0]["path"]
        .as_str()
        .unwrap_or_else(|| panic!("{locked}"))
        .to_owned()
}

#[test]
fn bad_paths_are_refused_with_exit_2_and_nothing_is_made() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    std::os::unix::fs::symlink("scenes", ada.path.join("link")).unwrap();
    let long = "x".repeat(256);
    for (argument, why) in [
        ("../outside", "outside the working tree"),
        ("/etc/passwd", "outside the working tree"),
        (".git/config", "git directory"),
        (".locks", "`.locks` is the lock directory"),
        (".locks/a", "`.locks` is the lock directory"),
        ("link/town.tscn", "link is a symbolic link"),
        ("", "it is empty"),
        ("no\nsuch", "control characters"),
        (long.as_str(), "too long"),
        ("hero.psd/", "not a directory"),
        ("nowhere", "no such file"),
        ("*.blend", "matches no tracked file"),
    ] {
        let refused = ada.latch(&["lock", argument]).ended(2);
        assert!(refused.stderr.contains(why), "{argument}: {refused:?}");
        let json = ada.json(&["lock", argument]);
        assert_eq!(json["error"]["code"], "bad_path", "{argument}");
        assert_eq!(json["locked"], json!([]));
    }
    let bytes = OsStr::from_bytes(b"caf\xe9");
    ada.latch(&[OsStr::new("lock"), bytes])
        .ended(2)
        .said("not UTF-8");
    assert!(!ada.path.join(".git/latch/locks").exists());
}

#[test]
fn a_path_in_a_submodule_belongs_to_the_submodule() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let part = sandbox.init("part");
    part.write("gear.step", "one\n");
    part.git(&["add", "."]);
    part.git(&["commit", "-q", "-m", "one"]);
    ada.git(&[
        "submodule",
        "add",
        "-q",
        part.path.to_str().unwrap(),
        "part",
    ]);
    ada.latch(&["lock", "part/gear.step"])
        .ended(2)
        .said("belongs to the repository in part");
    ada.ok(&["-C", "part", "lock", "gear.step"]);
    assert!(
        ada.path
            .join(".git/modules/part/latch/locks/gear.step.lock")
            .exists()
    );
}

#[test]
fn patterns_are_gits_and_relative_to_where_one_stands() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let locked = ada.json(&["-C", "scenes", "lock", "*.tscn"]);
    assert_eq!(locked["locked"].as_array().unwrap().len(), 2);
    ada.ok(&["unlock", "--all"]);
    ada.write("odd[1].psd", "one\n");
    assert_eq!(locked_as(&ada, "odd[1].psd"), "odd[1].psd");
    assert_eq!(ada.locks().len(), 1);
}

#[test]
fn relative_and_absolute_arguments_name_the_same_path() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let absolute = ada.path.join("hero.psd");
    ada.ok(&["-C", "scenes", "lock", "../hero.psd"]);
    assert_eq!(
        ada.json(&["lock", absolute.to_str().unwrap()])["locked"][0]["outcome"],
        "renewed"
    );
    assert_eq!(locked_as(&ada, "./scenes/../notes.txt"), "notes.txt");
    assert_eq!(locked_as(&ada, "."), ".");
}

#[test]
fn what_is_tracked_needs_no_new_and_what_is_nowhere_does() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    std::fs::remove_file(ada.path.join("hero.psd")).unwrap();
    std::fs::remove_dir_all(ada.path.join("scenes")).unwrap();
    assert_eq!(locked_as(&ada, "hero.psd"), "hero.psd");
    let directory = ada.json(&["lock", "scenes"]);
    assert_eq!(directory["locked"][0]["kind"], "directory");
    ada.latch(&["lock", "to come.psd"]).ended(2).said("--new");
    ada.ok(&["lock", "--new", "to come.psd", "more/to come/"]);
    assert_eq!(ada.locks().len(), 4);
}

#[test]
fn files_left_out_of_a_sparse_checkout_are_tracked_all_the_same() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.git(&["sparse-checkout", "set", "--cone", "--sparse-index"]);
    assert!(!ada.path.join("scenes").exists());
    assert_eq!(locked_as(&ada, "scenes/town.tscn"), "scenes/town.tscn");
}

#[test]
fn spellings_of_one_path_are_one_lock() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let (composed, decomposed) = ("Caf\u{e9}.xls", "Cafe\u{301}.xls");
    ada.write(composed, "one\n");
    ada.git(&["add", "."]);
    assert_eq!(locked_as(&ada, decomposed), composed);
    assert_eq!(locked_as(&ada, "HERO.psd"), "hero.psd");
    let bob = ada.by("bob@example.com");
    bob.latch(&["lock", "--new", "hErO.PSD"]).ended(1);
    bob.latch(&["lock", "--new", "SCENES/../Hero.psd"]).ended(1);
}

#[test]
fn odd_names_are_locked_shown_and_given_back() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let names = [
        "with space.psd",
        "with \"quotes\".psd",
        "it's.psd",
        "100%.psd",
        "a.lock",
        "Gemfile",
        "Gemfile.lock",
        "b.lock%",
        "back\\slash",
    ];
    for name in names {
        ada.write(name, "one\n");
        assert_eq!(locked_as(&ada, name), name);
    }
    assert_eq!(ada.locks().len(), names.len());
    for name in names {
        ada.ok(&["unlock", "--force", name]);
    }
    assert_eq!(ada.locks(), []);
}

#[test]
fn a_file_beside_a_directory_named_like_its_lock() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write("a", "one\n");
    ada.write("a.lock/inner", "one\n");
    ada.ok(&["lock", "a", "a.lock/inner"]);
    ada.ok(&["lock", "a.lock"]);
    assert_eq!(ada.locks().len(), 3);
    ada.ok(&["unlock", "--force", "a", "a.lock/inner", "a.lock"]);
    assert_eq!(ada.locks(), []);
}

#[test]
fn lengths_of_time_that_cannot_be_are_refused() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    for ttl in ["0s", "-5m", "24", "1y", "99999999999d", "15d", "never", ""] {
        let refused = ada.json(&["lock", "hero.psd", &format!("--ttl={ttl}")]);
        assert_eq!(refused["error"]["code"], "bad_usage", "{ttl}: {refused}");
    }
    ada.latch(&["lock", "hero.psd", "--ttl", "15d"])
        .ended(2)
        .said("max_ttl of `14d`");
    assert_eq!(ada.locks(), []);
}

#[test]
fn reasons_that_cannot_be_are_refused() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.latch(&["lock", "hero.psd", "-m", "two\nlines"])
        .ended(2)
        .said("control characters");
    ada.latch(&["lock", "hero.psd", "-m", &"x".repeat(501)])
        .ended(2)
        .said("500");
    ada.ok(&["lock", "hero.psd", "-m", &"é".repeat(500)]);
}

#[test]
fn a_broken_policy_is_told_with_its_line() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".latch.toml", "[lease]\n\nttl = \"soon\"\n");
    ada.latch(&["lock", "hero.psd"])
        .ended(2)
        .said(".latch.toml:3: invalid duration `soon`");
    assert_eq!(ada.json(&["list"])["error"]["code"], "bad_policy");
}

#[test]
fn without_a_name_nothing_is_locked_and_nothing_is_made() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    std::fs::write(sandbox.path().join("gitconfig"), "").unwrap();
    ada.latch(&["lock", "hero.psd"])
        .ended(2)
        .said("git config --global user.email");
    assert_eq!(
        ada.json(&["lock", "hero.psd"])["error"]["code"],
        "no_identity"
    );
    assert!(!ada.path.join(".git/latch").exists());
    ada.ok(&["list"]);
    ada.ok(&["--as", "ada@example.com", "lock", "hero.psd"]);
}

#[test]
fn outside_a_repository_and_in_a_bare_one_it_says_so() {
    let sandbox = Sandbox::new();
    let nowhere = sandbox.tree("nowhere");
    std::fs::create_dir(&nowhere.path).unwrap();
    let refused = nowhere.json(&["list"]);
    assert_eq!(refused["error"]["code"], "not_a_repository");
    assert_eq!(refused["locks"], json!([]));
    nowhere
        .latch(&["list"])
        .ended(2)
        .said("not in a git repository");
    let bare = sandbox.tree("bare");
    std::fs::create_dir(&bare.path).unwrap();
    bare.git(&["init", "-q", "--bare"]);
    bare.latch(&["lock", "a"])
        .ended(2)
        .said("is a bare repository");
    bare.ok(&["list"]);
}

#[test]
fn wrong_use_is_one_json_object_with_every_key() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    for (arguments, key) in [
        (&["lock"][..], "locked"),
        (&["unlock"], "unlocked"),
        (&["renew", "--ttl", "x"], "renewed"),
        (&["list", "--nonsense"], "locks"),
        (&["status", "--nonsense"], "blocking"),
        (&["check", "--staged", "a"], "violations"),
    ] {
        let run = ada.latch(&[&["--json"], arguments].concat()).ended(2);
        assert_eq!(run.json()["error"]["code"], "bad_usage", "{arguments:?}");
        assert!(run.json().get(key).is_some(), "{arguments:?}");
    }
    ada.latch(&["frobnicate"]).ended(2).said("git latch help");
    let help = ada.ok(&["help", "lock"]);
    assert!(help.stdout.contains("--steal"), "{help:?}");
}

#[test]
fn completions_and_the_manual_are_printed() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    assert!(
        ada.ok(&["completions", "bash"])
            .stdout
            .contains("_git_latch()")
    );
    assert!(ada.ok(&["man"]).stdout.contains(".TH git-latch 1"));
    ada.ok(&["man", "--directory", "pages"]);
    let page = ada.read("pages/git-latch-lock.1");
    for part in [
        "steal",
        ".TH git-latch-lock 1 \"\" \"git-latch 0.1.0\" \"Git Latch Manual\"\n",
        ".SH SYNOPSIS\ngit latch lock [OPTIONS] <PATH>...\n",
        ".SH \"EXAMPLES\"",
        "One hour where no time is given",
        ".SH \"EXIT STATUS\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let page = ada.read("pages/git-latch-user-add.1");
    assert!(
        page.contains("git latch user add [OPTIONS] \\-\\-role"),
        "{page}"
    );
}
