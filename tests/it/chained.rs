//! Hooks that were there before ours, or come after them: they run as they were called, and are there again at the end.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Run, Sandbox, Tree};

const HOOKS: &str = ".git/hooks.before-git-latch";

fn commit(tree: &Tree<'_>) -> Run {
    tree.try_git(&["commit", "-q", "--allow-empty", "-m", "x"])
}

/// A repository with a pre-commit hook of somebody's, and then ours.
fn with_hook<'a>(sandbox: &'a Sandbox, text: &str) -> Tree<'a> {
    let ada = sandbox.repo();
    ada.write_script(".git/hooks/pre-commit", text);
    ada.ok(&["init"]);
    ada
}

/// Whether ours runs: an edit of what another holds is rejected.
#[track_caller]
fn protects(tree: &Tree<'_>) {
    tree.by("bob@example.com").ok(&["lock", "hero.psd"]);
    tree.write("hero.psd", "mine\n");
    tree.git(&["add", "hero.psd"]);
    commit(tree).ended(1).said("hero.psd: locked by");
    tree.git(&["reset", "-q", "--hard"]);
    tree.by("bob@example.com").ok(&["unlock", "hero.psd"]);
}

#[test]
fn a_hook_finds_its_own_name_in_what_it_is_called() {
    let sandbox = Sandbox::new();
    let ada = with_hook(
        &sandbox,
        "#!/bin/sh\ncase $(basename \"$0\") in pre-commit) echo CHECKED >> ran;; esac\n",
    );
    commit(&ada).ended(0);
    assert_eq!(ada.read("ran"), "CHECKED\n");
    protects(&ada);
}

#[test]
fn a_hook_finds_around_itself_what_was_there() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".git/hooks/_common", "said=common\n");
    ada.write(".git/hooks/pre-commit.d/10", "echo part >> ran\n");
    ada.write(".git/beside", "beside\n");
    ada.write_script(
        ".git/hooks/pre-commit",
        "#!/bin/sh\nhere=$(dirname \"$0\")\n. \"$here/_common\"\necho $said >> ran\n\
         . \"$0.d/10\"\ncat \"$here/../beside\" >> ran\nls \"$here\" | grep -v sample > seen\n\
         (cd \"$here/../..\" && pwd) >> ran\n",
    );
    ada.ok(&["init"]);
    commit(&ada).ended(0);
    assert_eq!(
        ada.read("ran"),
        format!("common\npart\nbeside\n{}\n", ada.path.display())
    );
    // Nothing of ours among them.
    assert_eq!(ada.read("seen"), "_common\npre-commit\npre-commit.d\n");
    ada.write(".git/hooks/_common", "said=changed\n");
    ada.write(".git/hooks/later", "");
    commit(&ada).ended(0);
    assert!(ada.read("ran").contains("changed"));
    assert!(ada.read("seen").contains("later"));
}

#[test]
fn a_hook_may_write_where_it_stands() {
    let sandbox = Sandbox::new();
    let ada = with_hook(
        &sandbox,
        "#!/bin/sh\nlog=$(dirname \"$0\")/log\necho ran >> \"$log\"\n",
    );
    commit(&ada).ended(0);
    commit(&ada).ended(0);
    ada.ok(&["uninstall"]);
    assert_eq!(ada.read(".git/hooks/log"), "ran\nran\n");
}

#[test]
fn a_hook_that_says_not_what_it_is_written_for_runs_by_the_shell() {
    let sandbox = Sandbox::new();
    let ada = with_hook(&sandbox, "echo plain >> ran\nexit 3\n");
    commit(&ada).ended(1);
    assert_eq!(ada.read("ran"), "plain\n");
}

#[test]
fn a_hook_that_git_left_out_stays_left_out() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".git/hooks/pre-commit", "#!/bin/sh\nexit 1\n");
    ada.ok(&["init"]);
    commit(&ada).ended(0);
    protects(&ada);
    ada.ok(&["uninstall"]);
    let path = ada.path.join(".git/hooks/pre-commit");
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0);
}

#[test]
fn hooks_that_are_a_link_and_a_program_run_and_come_back() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write_script("tools/check", "#!/bin/sh\necho \"$0\" >> ran\n");
    let link = ada.path.join(".git/hooks/pre-commit");
    std::os::unix::fs::symlink("../../tools/check", &link).unwrap();
    std::fs::copy("/bin/true", ada.path.join(".git/hooks/post-commit")).unwrap();
    ada.ok(&["init"]);
    commit(&ada).ended(0);
    assert_eq!(ada.read("ran"), format!("{HOOKS}/pre-commit\n"));
    ada.ok(&["uninstall"]);
    let leads = std::fs::read_link(&link).unwrap();
    assert_eq!(leads.to_str(), Some("../../tools/check"));
    let program = std::fs::read(ada.path.join(".git/hooks/post-commit")).unwrap();
    assert_eq!(program, std::fs::read("/bin/true").unwrap());
}

#[test]
fn hooks_in_the_working_tree_do_not_show_as_new_files() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.git(&["config", "core.hooksPath", "own"]);
    ada.write_script("own/pre-commit", "#!/bin/sh\necho $0 >> .git/ran\n");
    ada.write(".git/info/exclude", "own/\n");
    ada.ok(&["init"]);
    commit(&ada).ended(0);
    assert_eq!(ada.read(".git/ran"), "own.before-git-latch/pre-commit\n");
    assert_eq!(ada.git(&["status", "--porcelain"]), "?? .latch.toml\n");
    protects(&ada);
    // Also after git looks elsewhere.
    ada.git(&["config", "--unset", "core.hooksPath"]);
    ada.ok(&["uninstall"]);
    assert!(!ada.path.join("own.before-git-latch").exists());
    assert!(ada.read("own/pre-commit").contains("ran"));
}

#[test]
fn a_hooks_directory_that_is_a_link_is_used_where_it_leads() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let elsewhere = sandbox.path().join("elsewhere");
    std::fs::rename(ada.path.join(".git/hooks"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, ada.path.join(".git/hooks")).unwrap();
    ada.write_script(".git/hooks/pre-commit", "#!/bin/sh\necho $0 >> ran\n");
    ada.ok(&["init"]);
    commit(&ada).ended(0);
    assert_eq!(ada.read("ran"), format!("{HOOKS}/pre-commit\n"));
    ada.ok(&["uninstall"]);
    assert!(ada.path.join(HOOKS).symlink_metadata().is_err());
    assert!(ada.read(".git/hooks/pre-commit").contains("ran"));
}

#[test]
fn a_link_to_tracked_hooks_is_not_written_through() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write_script("githooks/pre-commit", "#!/bin/sh\n");
    ada.git(&["add", "githooks"]);
    std::fs::remove_dir_all(ada.path.join(".git/hooks")).unwrap();
    std::os::unix::fs::symlink("../githooks", ada.path.join(".git/hooks")).unwrap();
    ada.latch(&["init"])
        .ended(1)
        .said("git-latch hook pre-commit");
    assert_eq!(ada.read("githooks/pre-commit"), "#!/bin/sh\n");
}

/// As the pre-commit framework does it: whatever stands there becomes `.legacy`, and is run.
const FRAMEWORK: &str = "#!/bin/sh\n# File generated by pre-commit: as its own\nhere=$(cd \"$(dirname \"$0\")\" && pwd)\n\
    test -z \"$RUNNING\" || { echo a circle; exit 9; }\nexport RUNNING=1\n\
    test ! -x \"$here/pre-commit.legacy\" || \"$here/pre-commit.legacy\" \"$@\" || exit 1\necho theirs >> ran\n";

#[test]
fn a_tool_that_keeps_its_place_runs_ours_in_either_order() {
    let sandbox = Sandbox::new();
    let ada = with_hook(&sandbox, FRAMEWORK);
    assert_eq!(ada.read(".git/hooks/pre-commit"), FRAMEWORK);
    protects(&ada);
    commit(&ada).ended(0);
    assert_eq!(ada.read("ran"), "theirs\n");
    // It is installed once more, over itself.
    ada.write_script(".git/hooks/pre-commit", FRAMEWORK);
    ada.ok(&["doctor"]);
    ada.ok(&["init"]);
    protects(&ada);
    ada.ok(&["uninstall"]);
    assert_eq!(ada.read(".git/hooks/pre-commit"), FRAMEWORK);
    assert!(!ada.path.join(".git/hooks/pre-commit.legacy").exists());
    commit(&ada).ended(0);
}

#[test]
fn a_tool_that_moves_ours_aside_gets_what_ours_stood_for() {
    let sandbox = Sandbox::new();
    let ada = with_hook(&sandbox, "#!/bin/sh\necho first >> ran\n");
    let hooks = ada.path.join(".git/hooks");
    std::fs::rename(hooks.join("pre-commit"), hooks.join("pre-commit.legacy")).unwrap();
    ada.write_script(".git/hooks/pre-commit", FRAMEWORK);
    ada.ok(&["doctor"]);
    commit(&ada).ended(0);
    assert_eq!(ada.read("ran"), "first\ntheirs\n");
    protects(&ada);
    ada.ok(&["uninstall"]);
    assert!(ada.read(".git/hooks/pre-commit.legacy").contains("first"));
    assert!(!ada.path.join(HOOKS).exists());
}

#[test]
fn uninstall_finds_ours_under_any_name_and_nothing_else() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    let hooks = ada.path.join(".git/hooks");
    for name in [
        "pre-commit.old",
        "pre-push.legacy",
        "pre-commit.legacy.1",
        "post-merge.bak",
    ] {
        let base = name.split('.').next().unwrap();
        std::fs::copy(hooks.join(base), hooks.join(name)).unwrap();
    }
    ada.write_script(
        ".git/hooks/pre-push.old",
        "#!/bin/sh\n# git-latch is not here\n",
    );
    ada.ok(&["uninstall"]);
    let mut left: Vec<_> = std::fs::read_dir(&hooks)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".sample"))
        .collect();
    left.sort();
    assert_eq!(left, ["pre-push.old"]);
}

/// As lefthook does it: what it does not know becomes `.old`, and where that is there, it fails.
const SYNC: &str = "set -e\nif ! grep -q call_lefthook .git/hooks/pre-commit; then\n\
    test ! -e .git/hooks/pre-commit.old || { echo cannot >&2; exit 8; }\n\
    mv .git/hooks/pre-commit .git/hooks/pre-commit.old\nfi\n\
    printf '#!/bin/sh\\ncall_lefthook() { sh ./sync; echo synced >> ran; }\\ncall_lefthook\\n' >.git/hooks/pre-commit\n\
    chmod +x .git/hooks/pre-commit\n";

#[test]
fn a_tool_that_takes_the_place_while_ours_runs_finds_ours_back() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write("sync", SYNC);
    std::fs::write(ada.path.join(".git/hooks/pre-commit"), "").unwrap();
    let sync = || Run::of(ada.command("sh").arg("sync")).ended(0);
    sync();
    std::fs::remove_file(ada.path.join(".git/hooks/pre-commit.old")).unwrap();
    ada.ok(&["init"]);
    for _ in 0..3 {
        commit(&ada).ended(0).said("it is installed again");
        protects(&ada);
        assert!(!ada.path.join(".git/hooks/pre-commit.old").exists());
    }
    // By itself, twice: it fails no more than without ours.
    sync();
    sync();
    let doctor = ada.latch(&["doctor"]);
    assert_ne!(doctor.code, 0);
    ada.ok(&["init"]);
    protects(&ada);
    sync();
    ada.ok(&["uninstall"]);
    assert!(ada.read(".git/hooks/pre-commit").contains("call_lefthook"));
    assert!(!ada.path.join(".git/hooks/pre-commit.old").exists());
}

#[test]
fn what_our_first_version_kept_runs_before_and_after_the_upgrade() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    let first = ada
        .read(".git/hooks/pre-commit")
        .replace("version 2", "version 1");
    ada.write_script(".git/hooks/pre-commit", &first);
    ada.write_script(
        ".git/hooks/pre-commit.legacy",
        "#!/bin/sh\necho theirs >> ran\n",
    );
    commit(&ada).ended(0);
    assert_eq!(ada.read("ran"), "theirs\n");
    ada.ok(&["init"]);
    commit(&ada).ended(0);
    assert_eq!(ada.read("ran"), "theirs\ntheirs\n");
    assert!(!ada.path.join(".git/hooks/pre-commit.legacy").exists());
    ada.ok(&["uninstall"]);
    assert!(ada.read(".git/hooks/pre-commit").contains("theirs"));
}

#[test]
fn a_tool_that_our_first_version_kept_gets_its_place_back() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["init"]);
    let first = ada
        .read(".git/hooks/pre-commit")
        .replace("version 2", "version 1");
    ada.write_script(".git/hooks/pre-commit", &first);
    ada.write_script(".git/hooks/pre-commit.legacy", FRAMEWORK);
    commit(&ada).ended(0);
    ada.ok(&["init"]);
    assert_eq!(ada.read(".git/hooks/pre-commit"), FRAMEWORK);
    commit(&ada).ended(0);
    assert_eq!(ada.read("ran"), "theirs\ntheirs\n");
    assert!(!ada.path.join(".git/hooks/git-latch.called").exists());
    protects(&ada);
}

#[test]
fn lines_of_the_team_are_named_at_the_end() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.git(&["config", "core.hooksPath", ".husky/_"]);
    let line = "git-latch hook pre-commit \"$@\" || exit 1\n";
    ada.write(".husky/pre-commit", line);
    let run = ada.ok(&["uninstall"]).said(".husky/pre-commit still calls");
    assert_eq!(ada.read(".husky/pre-commit"), line, "{run:?}");
}

#[test]
fn the_hook_after_a_checkout_keeps_its_exit_code_and_ours_still_runs() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.write(".gitattributes", "*.psd lockable\n");
    ada.git(&["add", "."]);
    ada.git(&["commit", "-q", "-m", "lockable"]);
    ada.write_script(".git/hooks/post-checkout", "#!/bin/sh\nexit 7\n");
    ada.ok(&["init"]);
    let hero = ada.path.join("hero.psd");
    std::fs::remove_file(&hero).unwrap();
    ada.try_git(&["checkout", "-q", "--", "."]).ended(7);
    assert!(hero.metadata().unwrap().permissions().readonly());
}

#[test]
fn hooks_that_call_each_other_come_to_an_end() {
    let sandbox = Sandbox::new();
    let ada = with_hook(&sandbox, "#!/bin/sh\nexec .git/hooks/pre-commit \"$@\"\n");
    commit(&ada).ended(1).said("in a loop");
}

#[test]
fn a_line_that_is_commented_out_protects_nothing() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.git(&["config", "core.hooksPath", "githooks"]);
    let all = [
        "pre-commit",
        "pre-merge-commit",
        "pre-push",
        "post-checkout",
        "post-merge",
        "post-commit",
    ];
    for name in all {
        ada.write_script(
            &format!("githooks/{name}"),
            &format!("#!/bin/sh\n  # git-latch hook {name} \"$@\"\n"),
        );
    }
    ada.git(&["add", "githooks"]);
    ada.latch(&["init"])
        .ended(1)
        .said("does not call git-latch");
    let told = ada.json(&["init"]);
    for hook in told["hooks"].as_array().unwrap() {
        assert_eq!(hook["outcome"], "add_line", "{told}");
        let line = hook["line"].as_str().unwrap();
        let file = hook["file"].as_str().unwrap();
        std::fs::write(file, format!("#!/bin/sh\n{line}\n")).unwrap();
    }
    ada.git(&["commit", "-qam", "lines"]);
    ada.ok(&["init"]);
    ada.ok(&["doctor"]);
    protects(&ada);
    let pre_push = ada.path.join("githooks/pre-push");
    std::fs::set_permissions(&pre_push, std::fs::Permissions::from_mode(0o644)).unwrap();
    let doctor = ada.latch(&["doctor"]);
    assert!(
        doctor.stdout.contains("chmod +x githooks/pre-push"),
        "{doctor:?}"
    );
}

#[test]
fn hooks_that_are_switched_off_are_said_to_be() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.git(&["config", "core.hooksPath", "/dev/null"]);
    ada.latch(&["init"])
        .ended(2)
        .said("it runs none here")
        .said("git config --unset core.hooksPath");
}
