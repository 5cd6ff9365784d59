//! `.locks`, the link at the top of the working tree.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::Sandbox;

#[test]
fn it_is_made_with_the_first_lock_and_git_does_not_see_it() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    let link = std::fs::read_link(ada.path.join(".locks")).unwrap();
    assert_eq!(link, Path::new(".git/latch/locks"));
    assert_eq!(ada.git(&["status", "--porcelain"]), "");
    assert!(
        ada.read(".git/info/exclude")
            .lines()
            .any(|l| l == "/.locks")
    );
}

#[test]
fn any_command_mends_one_that_is_missing_or_leads_astray() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    for command in [&["list"][..], &["status"], &["renew"], &["check"]] {
        std::fs::remove_file(ada.path.join(".locks")).unwrap();
        ada.ok(command);
        assert!(
            ada.path.join(".locks/hero.psd.lock").exists(),
            "{command:?}"
        );
        std::fs::remove_file(ada.path.join(".locks")).unwrap();
        symlink("/elsewhere/latch/locks", ada.path.join(".locks")).unwrap();
        ada.ok(command);
        assert!(
            ada.path.join(".locks/hero.psd.lock").exists(),
            "{command:?}"
        );
    }
}

#[test]
fn anything_else_of_that_name_is_refused_and_not_written_through() {
    let sandbox = Sandbox::new();
    for foreign in ["file", "directory", "link"] {
        let ada = sandbox.init(foreign);
        ada.write("hero.psd", "one\n");
        let outside = sandbox.path().join(format!("{foreign} outside"));
        std::fs::create_dir(&outside).unwrap();
        match foreign {
            "file" => ada.write(".locks", "mine"),
            "directory" => ada.write(".locks/mine", ""),
            _ => symlink(&outside, ada.path.join(".locks")).unwrap(),
        }
        for (command, code) in [
            (&["lock", "hero.psd"][..], 2),
            (&["init"], 2),
            (&["run", "hero.psd", "--", "true"], 125),
        ] {
            ada.latch(command)
                .ended(code)
                .said(".locks` is in the way")
                .said("git latch init");
        }
        assert_eq!(
            ada.json(&["lock", "hero.psd"])["error"]["code"],
            "unsupported"
        );
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        ada.ok(&["list"]);
    }
}

#[test]
fn cleaning_and_stashing_take_no_lock_along() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd", "scenes"]);
    ada.git(&["clean", "-fdxq"]);
    assert_eq!(ada.locks().len(), 2);
    ada.write("notes.txt", "two\n");
    ada.git(&["stash", "-a", "-q"]);
    assert_eq!(ada.locks().len(), 2);
    ada.ok(&["unlock", "hero.psd"]);
    ada.try_git(&["stash", "pop", "-q"]);
    assert_eq!(ada.locks(), [("scenes".into(), "ada@example.com".into())]);
}

#[test]
fn a_lock_cannot_be_added_to_the_index() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd"]);
    ada.git(&["add", "-A"]);
    let added = ada.try_git(&["add", "-f", ".locks/hero.psd.lock"]);
    assert_ne!(added.code, 0);
    assert_eq!(ada.git(&["diff", "--cached", "--name-only"]), "");
}
