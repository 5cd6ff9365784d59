use super::*;
use crate::git::scratch::Scratch;
use crate::rules::spelling::escaped;

fn staged(repo: &Repo, merged: &[String]) -> Result<Vec<Edit>> {
    StagedQuery::start(repo, merged)?.finish()
}

/// The staged edits, escaped, separated by blanks.
fn edited(scratch: &Scratch) -> String {
    edited_merging(scratch, &[])
}

fn edited_merging(scratch: &Scratch, heads: &[String]) -> String {
    let edits = staged(&scratch.repo(), heads).unwrap();
    let words: Vec<String> = edits.iter().map(|e| escaped(&e.path)).collect();
    words.join(" ")
}

/// A repository in which `theirs` changed `a` and `main` changed `b`, both made of `base`.
fn parted() -> Scratch {
    let scratch = Scratch::new();
    scratch.commit(&["a", "b", "c"], "base");
    scratch.git(&["switch", "--quiet", "--create=theirs"]);
    scratch.commit(&["a"], "theirs");
    scratch.git(&["switch", "--quiet", "main"]);
    scratch.commit(&["b"], "ours");
    scratch
}

#[test]
fn added_changed_deleted_and_both_names_of_a_rename_are_edits() {
    let scratch = Scratch::new();
    scratch.commit(&["changed", "deleted", "from", "mode", "same", "type"], "1");
    scratch.stage(&["added", "changed"], "2");
    scratch.git(&["rm", "--quiet", "deleted"]);
    scratch.git(&["mv", "from", "to"]);
    scratch.git(&["update-index", "--chmod=+x", "mode"]);
    let blob = scratch.git(&["rev-parse", "HEAD:type"]);
    scratch.git(&[
        "update-index",
        "--cacheinfo",
        &format!("120000,{blob},type"),
    ]);
    scratch.write(b"same", "not staged");
    assert_eq!(edited(&scratch), "added changed deleted from mode to type");
}

#[cfg(unix)]
#[test]
fn any_bytes_are_a_name() {
    let scratch = Scratch::new();
    scratch.commit(&[], "");
    let odd: [&[u8]; 4] = [b"a b", b"\nline\nfeed", b"quo\"te\\", b"latin-\xe9"];
    for name in odd {
        scratch.write(name, "1");
    }
    scratch.git(&["add", "--all"]);
    let mut names: Vec<Vec<u8>> = odd.iter().map(|n| n.to_vec()).collect();
    names.sort();
    let edits = staged(&scratch.repo(), &[]).unwrap();
    assert_eq!(edits.into_iter().map(|e| e.path).collect::<Vec<_>>(), names);
}

#[test]
fn before_the_first_commit_everything_staged_is_an_edit() {
    for options in [
        &[][..],
        &["--ref-format=reftable"],
        &["--object-format=sha256"],
    ] {
        let scratch = Scratch::with(options);
        assert_eq!(edited(&scratch), "");
        scratch.stage(&["a", "d/b"], "1");
        scratch.write(b"intended", "");
        scratch.git(&["add", "--intent-to-add", "intended"]);
        assert_eq!(edited(&scratch), "a d/b", "{options:?}");
        scratch.commit(&[], "");
        assert_eq!(edited(&scratch), "", "{options:?}");
    }
}

#[test]
fn a_broken_repository_is_an_error_and_not_without_edits() {
    let scratch = Scratch::new();
    scratch.commit(&["a"], "1");
    scratch.write(b".git/index", "no index at all, but long enough to be one");
    assert!(matches!(
        staged(&scratch.repo(), &[]),
        Err(Error::Git { .. })
    ));
}

#[test]
fn submodules_count_whatever_gitmodules_says() {
    let scratch = Scratch::new();
    let first = scratch.commit(&[], "");
    let second = scratch.commit(&[], "");
    let link = |oid: &str| {
        let entry = format!("160000,{oid},sub");
        scratch.git(&["update-index", "--add", "--cacheinfo", &entry]);
    };
    link(&first);
    let modules = "[submodule \"sub\"]\npath = sub\nurl = ./sub\nignore = all\n";
    scratch.commit(&[".gitmodules"], modules);
    link(&second);
    assert_eq!(edited(&scratch), "sub");
}

#[test]
fn split_and_sparse_indexes_are_read() {
    let scratch = Scratch::new();
    scratch.commit(&["in/a", "out/b", "out/deep/c"], "1");
    scratch.git(&["update-index", "--split-index"]);
    scratch.stage(&["in/a"], "2");
    assert_eq!(edited(&scratch), "in/a");
    scratch.git(&["update-index", "--no-split-index"]);
    scratch.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "in"]);
    assert_eq!(edited(&scratch), "in/a");
    scratch.git(&["rm", "--quiet", "--sparse", "--cached", "out/deep/c"]);
    assert_eq!(edited(&scratch), "in/a out/deep/c");
}

#[test]
fn a_clean_merge_edits_nothing() {
    let scratch = parted();
    scratch.git(&["merge", "--quiet", "--no-commit", "theirs"]);
    assert_eq!(edited(&scratch), "");
    scratch.stage(&["c"], "on the side");
    assert_eq!(edited(&scratch), "c");
}

#[test]
fn a_merge_in_a_linked_worktree_is_a_merge() {
    let scratch = parted();
    let tree = scratch.root().join("../linked");
    let tree = tree.to_str().unwrap();
    scratch.git(&["worktree", "add", "--quiet", "-b", "side", tree, "main"]);
    scratch.git(&["-C", tree, "merge", "--quiet", "--no-commit", "theirs"]);
    let linked = Repo::discover(std::path::Path::new(tree)).unwrap();
    assert_eq!(staged(&linked, &[]).unwrap(), []);
    scratch.stage(&["b"], "elsewhere");
    assert_eq!(edited(&scratch), "b");
}

#[test]
fn resolving_a_conflict_by_new_contents_edits_and_by_one_side_does_not() {
    let scratch = parted();
    scratch.commit(&["a"], "ours");
    let (merged, _) = scratch.try_git(&["merge", "--quiet", "theirs"]);
    assert!(!merged);
    scratch.stage(&["a"], "both");
    assert_eq!(edited(&scratch), "a");
    scratch.stage(&["a"], "theirs");
    assert_eq!(edited(&scratch), "");
    scratch.git(&["rm", "--quiet", "--force", "a"]);
    assert_eq!(edited(&scratch), "a");
}

#[test]
fn a_merge_that_throws_a_change_away_edits_what_it_was_made_to() {
    let scratch = parted();
    scratch.git(&[
        "merge",
        "--quiet",
        "--no-commit",
        "--strategy=ours",
        "theirs",
    ]);
    assert_eq!(edited(&scratch), "a");
    // Ours, too: to take the other side's tree is to throw away what this side did.
    scratch.git(&["read-tree", "theirs"]);
    assert_eq!(edited(&scratch), "b");
}

#[test]
fn a_merge_of_unrelated_histories_throws_nothing_away() {
    let scratch = parted();
    scratch.git(&["switch", "--quiet", "--orphan", "lib"]);
    scratch.commit(&["lib.c"], "1");
    scratch.git(&["switch", "--quiet", "main"]);
    let unrelated = "--allow-unrelated-histories";
    scratch.git(&[
        "merge",
        "--quiet",
        "--no-commit",
        "--strategy=ours",
        unrelated,
        "lib",
    ]);
    assert_eq!(edited(&scratch), "");
}

/// `main` and `theirs` have merged each other crosswise: of the two merge bases one has the old `a`, one the new.
fn crossed() -> Scratch {
    let scratch = parted();
    scratch.git(&["branch", "old-main"]);
    scratch.git(&["merge", "--quiet", "theirs"]);
    scratch.git(&["switch", "--quiet", "theirs"]);
    scratch.git(&["merge", "--quiet", "old-main"]);
    scratch.commit(&["c"], "theirs");
    scratch.git(&["switch", "--quiet", "main"]);
    scratch
}

#[test]
fn after_a_criss_cross_an_old_state_in_one_base_is_no_change() {
    let scratch = crossed();
    scratch.commit(&["a"], "base");
    scratch.git(&["merge", "--quiet", "--no-commit", "theirs"]);
    assert_eq!(scratch.git(&["show", ":a"]), "base");
    assert_eq!(edited(&scratch), "");
    scratch.stage(&["c"], "base");
    assert_eq!(edited(&scratch), "c");
}

#[test]
fn after_a_criss_cross_a_change_since_can_still_be_thrown_away() {
    let scratch = crossed();
    scratch.commit(&["a"], "newer");
    scratch.git(&["switch", "--quiet", "theirs"]);
    scratch.git(&["merge", "--quiet", "--no-commit", "main"]);
    assert_eq!(edited(&scratch), "");
    scratch.stage(&["a"], "theirs");
    assert_eq!(edited(&scratch), "a");
}

#[test]
fn an_octopus_is_compared_with_every_parent() {
    let scratch = parted();
    scratch.git(&["switch", "--quiet", "--create=third", "main~1"]);
    scratch.commit(&["c"], "third");
    scratch.git(&["switch", "--quiet", "main"]);
    scratch.git(&["merge", "--quiet", "--no-commit", "theirs", "third"]);
    assert_eq!(edited(&scratch), "");
    scratch.stage(&["a"], "base");
    scratch.stage(&["new"], "1");
    assert_eq!(edited(&scratch), "a new");
    scratch.stage(&["a"], "theirs");
    scratch.stage(&["c"], "base");
    assert_eq!(edited(&scratch), "c new");
}

#[test]
fn pre_merge_commit_finds_the_other_parent_in_the_environment() {
    let scratch = parted();
    let theirs = scratch.git(&["rev-parse", "theirs"]);
    scratch.git(&["merge", "--quiet", "--no-commit", "theirs"]);
    std::fs::remove_file(scratch.root().join(".git/MERGE_HEAD")).unwrap();
    assert_eq!(edited(&scratch), "a");
    let names = [
        format!("GITHEAD_{theirs}"),
        "GITHEAD_--all".into(),
        "HOME".into(),
    ];
    let heads = heads_in_environment(names);
    assert_eq!(heads, [theirs]);
    assert_eq!(edited_merging(&scratch, &heads), "");
}

#[test]
fn what_is_staged_as_the_upstream_has_it_is_told_apart() {
    let scratch = parted();
    let paths: [&[u8]; 4] = [b"a", b"b", b"c", b"gone"];
    let same = || {
        let mut same: Vec<_> = as_upstream(&scratch.repo(), &paths)
            .unwrap()
            .into_iter()
            .collect();
        same.sort();
        same
    };
    assert!(same().is_empty(), "there is no upstream");
    scratch.git(&["branch", "--quiet", "--set-upstream-to=theirs"]);
    scratch.stage(&["a"], "theirs");
    assert_eq!(same(), [&b"a"[..], b"c", b"gone"]);
    scratch.stage(&["gone"], "here again");
    assert_eq!(same(), [&b"a"[..], b"c"]);
}
