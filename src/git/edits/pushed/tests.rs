use super::*;
use crate::git::scratch::Scratch;
use crate::rules::spelling::escaped;

const NULL: &str = "0000000000000000000000000000000000000000";

fn update(local_oid: &str, remote_ref: &str, remote_oid: &str) -> RefUpdate {
    let line = format!("HEAD {local_oid} {remote_ref} {remote_oid}\n");
    parse_updates(&line).unwrap().remove(0)
}

/// Edits as `path:author`, in the order found.
fn told(edits: &[Edit]) -> String {
    let word = |edit: &Edit| {
        let author = edit.commit.as_ref().map_or("", |c| &c.author);
        format!("{}:{author}", escaped(&edit.path))
    };
    edits.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The edits of pushing `HEAD` to a branch of the remote that is new.
fn pushing(scratch: &Scratch, remote: &str, url: &str) -> String {
    let head = scratch.git(&["rev-parse", "HEAD"]);
    let updates = [update(&head, "refs/heads/new", NULL)];
    told(&brought_by(scratch, remote, url, &updates))
}

/// The edits of a push, which are the same at a glance as git tells them.
fn brought_by(scratch: &Scratch, remote: &str, url: &str, updates: &[RefUpdate]) -> Vec<Edit> {
    let push = Push::of(&scratch.repo(), remote, url, updates.to_vec());
    let by_git = pushed_by_git(&push.repo, remote, url, &push.judged()).unwrap();
    if let Some(glimpsed) = push.edits_at_a_glance() {
        assert_eq!(glimpsed, by_git);
    }
    by_git
}

/// A repository with one commit, pushed to `origin`; gives its URL, too.
fn published() -> (Scratch, String) {
    let scratch = Scratch::new();
    let url = scratch.with_origin();
    scratch.commit(&["old"], "1");
    scratch.git(&["push", "--quiet", "origin", "main"]);
    (scratch, url)
}

#[test]
fn the_hook_s_lines_are_read_from_the_right() {
    let oid = "1".repeat(40);
    let updates = parse_updates(&format!("HEAD^{{/fix it}} {oid} refs/heads/x {NULL}\n")).unwrap();
    assert_eq!(updates[0].local_ref, "HEAD^{/fix it}");
    assert_eq!(updates[0].local_oid, oid);
    assert_eq!(updates[0].remote_ref, "refs/heads/x");
    assert_eq!(updates[0].remote_oid, NULL);
    assert_eq!(parse_updates("").unwrap(), []);
    assert!(matches!(
        parse_updates("a b c d\n"),
        Err(Error::BadUsage { .. })
    ));
}

#[cfg(unix)]
#[test]
fn each_commit_names_its_author_and_any_bytes_are_a_path() {
    let (scratch, url) = published();
    for (name, author) in [
        (&b"\n\nx"[..], "ada@x"),
        (b"a \"b\"", "bob@x"),
        (b"\xe9", "ada@x"),
    ] {
        scratch.author(author);
        scratch.write(name, "1");
        scratch.git(&["add", "--all"]);
        scratch.commit(&[], "");
    }
    scratch.git(&["mv", "old", "moved"]);
    scratch.commit(&[], "");
    assert_eq!(
        pushing(&scratch, "origin", &url),
        "\\n\\nx:ada@x a \"b\":bob@x \\351:ada@x moved:ada@x old:ada@x"
    );
}

#[test]
fn a_merge_carries_others_files_without_editing_them() {
    let (scratch, url) = published();
    scratch.author("bob@x");
    scratch.git(&["switch", "--quiet", "--create=bobs"]);
    scratch.commit(&["b", "both"], "bob");
    scratch.author("ada@x");
    scratch.git(&["switch", "--quiet", "main"]);
    scratch.commit(&["a"], "ada");
    scratch.git(&["merge", "--quiet", "bobs"]);
    assert_eq!(
        pushing(&scratch, "origin", &url),
        "b:bob@x both:bob@x a:ada@x"
    );
    scratch.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    scratch.commit(&["both"], "ada");
    assert!(!scratch.try_git(&["merge", "--quiet", "bobs"]).0);
    scratch.commit(&["both"], "resolved");
    let found = pushing(&scratch, "origin", &url);
    assert!(found.ends_with(" both:ada@x both:ada@x"), "{found}");
}

#[test]
fn what_the_remote_has_is_not_pushed_again() {
    let (scratch, url) = published();
    let old = scratch.git(&["rev-parse", "HEAD"]);
    assert_eq!(pushing(&scratch, "origin", &url), "");
    let new = scratch.commit(&["a"], "1");
    assert_eq!(pushing(&scratch, "origin", &url), "a:ada@x");
    // Without tracking refs, the remote's old tip says it.
    scratch.git(&["update-ref", "-d", "refs/remotes/origin/main"]);
    let updates = [update(&new, "refs/heads/main", &old)];
    let found = brought_by(&scratch, "origin", "/nowhere", &updates);
    assert_eq!(told(&found), "a:ada@x");
}

#[test]
fn without_tracking_refs_the_remote_is_asked() {
    let (scratch, url) = published();
    scratch.commit(&["a"], "1");
    scratch.git(&["push", "--quiet", &url, "HEAD:refs/heads/side"]);
    scratch.commit(&["b"], "1");
    assert_eq!(pushing(&scratch, &url, &url), "b:ada@x");
    assert_eq!(pushing(&scratch, "never-fetched", &url), "b:ada@x");
    assert_eq!(
        pushing(&scratch, "/nowhere", "/nowhere"),
        "old:ada@x a:ada@x b:ada@x"
    );
}

#[test]
fn tips_of_the_remote_that_are_not_here_are_passed_over() {
    let (scratch, url) = published();
    let other = scratch.clone_of(&[]);
    other.commit(&["elsewhere"], "1");
    other.git(&["push", "--quiet", &url, "HEAD:main"]);
    let unknown = other.git(&["rev-parse", "HEAD"]);
    let head = scratch.commit(&["a"], "1");
    let updates = [update(&head, "refs/heads/main", &unknown)];
    let found = brought_by(&scratch, &url, &url, &updates);
    assert_eq!(told(&found), "old:ada@x a:ada@x");
    let same = unchanged_at_tip(&scratch.repo(), &updates, &[b"a"]).unwrap();
    assert!(same.is_empty());
}

#[test]
fn tags_are_peeled_and_what_is_no_branch_of_work_is_left_out() {
    let (scratch, url) = published();
    let head = scratch.commit(&["a"], "1");
    scratch.git(&["tag", "--annotate", "--message=x", "v1"]);
    scratch.git(&["tag", "--annotate", "--message=x", "v2", "v1"]);
    scratch.git(&["tag", "--annotate", "--message=x", "blob", "HEAD:a"]);
    let pushing = |oid: &str, remote_ref: &str| {
        let updates = [update(oid, remote_ref, NULL)];
        told(&brought_by(&scratch, "origin", &url, &updates))
    };
    assert_eq!(
        pushing(&scratch.git(&["rev-parse", "v2"]), "refs/tags/v2"),
        "a:ada@x"
    );
    assert_eq!(
        pushing(&scratch.git(&["rev-parse", "blob"]), "refs/tags/blob"),
        ""
    );
    assert_eq!(pushing(&head, "refs/latch/locks"), "");
    assert_eq!(pushing(&head, "refs/notes/commits"), "");
    assert_eq!(pushing(NULL, "refs/heads/gone"), "");
}

#[test]
fn a_shallow_boundary_accuses_nobody() {
    let (scratch, url) = published();
    scratch.commit(&["a", "b"], "1");
    let shallow = scratch.clone_of(&["--depth=1"]);
    shallow.commit(&["c"], "1");
    assert_eq!(
        pushing(&shallow, "elsewhere", &format!("{url}.none")),
        "c:ada@x"
    );
}

#[test]
fn what_was_put_back_before_the_push_is_unchanged_at_the_tip() {
    let (scratch, _) = published();
    let old = scratch.git(&["rev-parse", "HEAD"]);
    scratch.commit(&["old", "new", "kept"], "2");
    scratch.git(&["rm", "--quiet", "new"]);
    let head = scratch.commit(&["old"], "1");
    let paths: [&[u8]; 3] = [b"old", b"new", b"kept"];
    let same = |updates: &[RefUpdate]| {
        let same = unchanged_at_tip(&scratch.repo(), updates, &paths).unwrap();
        paths.map(|path| same.contains(path))
    };
    let main = update(&head, "refs/heads/main", &old);
    scratch.git(&["tag", "--annotate", "--message=x", "blob", "HEAD:kept"]);
    let blob = update(&scratch.git(&["rev-parse", "blob"]), "refs/tags/blob", NULL);
    assert_eq!(same(&[main.clone(), blob]), [true, true, false]);
    assert_eq!(
        same(&[main, update(&head, "refs/heads/new", NULL)]),
        [false; 3]
    );
}

#[test]
fn a_range_is_judged_commit_by_commit_and_nonsense_is_wrong_use() {
    for options in [
        &[][..],
        &["--ref-format=reftable"],
        &["--object-format=sha256"],
    ] {
        let scratch = Scratch::with(options);
        scratch.commit(&["a"], "1");
        scratch.commit(&["a", "b"], "2");
        let head = scratch.commit(&["c"], "3");
        let edits = range(&scratch.repo(), "HEAD~2..").unwrap();
        assert_eq!(told(&edits), "a:ada@x b:ada@x c:ada@x", "{options:?}");
        assert_eq!(edits[2].commit.as_ref().unwrap().oid, head);
        assert_eq!(range(&scratch.repo(), "HEAD..HEAD").unwrap(), []);
        for nonsense in ["nosuch..HEAD", "HEAD", "--all..", "", "a b..c"] {
            let found = range(&scratch.repo(), nonsense);
            assert!(matches!(found, Err(Error::BadUsage { .. })), "{nonsense}");
        }
    }
}

#[test]
fn a_replacement_does_not_hide_what_is_pushed() {
    let (scratch, url) = published();
    let old = scratch.git(&["rev-parse", "HEAD"]);
    scratch.commit(&["a"], "1");
    scratch.git(&["rm", "--quiet", "a"]);
    let head = scratch.commit(&["b"], "1");
    scratch.git(&["replace", "--graft", &head, &old]);
    let updates = [update(&head, "refs/heads/new", NULL)];
    let found = brought_by(&scratch, "origin", &url, &updates);
    assert_eq!(told(&found), "a:ada@x a:ada@x b:ada@x");
}

/// Whether a push of `HEAD` to the branch `main` of `origin` is read at a glance, as git tells it.
fn is_glimpsed(scratch: &Scratch) -> bool {
    let (head, old) = (scratch.git(&["rev-parse", "HEAD"]), NULL);
    let updates = [update(
        &head,
        "refs/heads/main",
        &old[..1].repeat(head.len()),
    )];
    brought_by(scratch, "origin", "/nowhere", &updates);
    let push = Push::of(&scratch.repo(), "origin", "/nowhere", updates.to_vec());
    push.edits_at_a_glance().is_some()
}

#[test]
fn a_few_plain_commits_are_read_at_a_glance() {
    let (scratch, _) = published();
    scratch.commit(&["a", "dir/b"], "1");
    scratch.git(&["rm", "--quiet", "-r", "dir"]);
    scratch.commit(&["dir"], "a file now");
    scratch.git(&["update-index", "--chmod=+x", "a"]);
    scratch.commit(&[], "");
    assert!(is_glimpsed(&scratch));
    // Its history ends where git says so.
    let graft = scratch.root().join(".git/info/grafts");
    fs::create_dir_all(graft.parent().unwrap()).unwrap();
    fs::write(&graft, scratch.git(&["rev-parse", "HEAD"])).unwrap();
    assert!(!is_glimpsed(&scratch));
    fs::remove_file(graft).unwrap();
    assert!(is_glimpsed(&scratch));
    let old = scratch.git(&["rev-parse", "origin/main"]);
    let many = (0..100).map(|n| format!("{old} refs/remotes/origin/{n:02}\n"));
    fs::write(
        scratch.root().join(".git/packed-refs"),
        many.collect::<String>(),
    )
    .unwrap();
    assert!(!is_glimpsed(&scratch));
}

#[test]
fn what_libgit2_cannot_read_is_left_to_git() {
    for options in [&["--ref-format=reftable"][..], &["--object-format=sha256"]] {
        let scratch = Scratch::with(options);
        let old = scratch.commit(&["old"], "1");
        scratch.git(&["update-ref", "refs/remotes/origin/main", &old]);
        scratch.commit(&["a"], "1");
        is_glimpsed(&scratch);
    }
    let (scratch, _) = published();
    scratch.git(&["config", "uploadpack.allowFilter", "true"]);
    for (option, may_be_glimpsed) in [("--depth=1", false), ("--filter=blob:none", true)] {
        let clone = scratch.clone_of(&[option]);
        clone.commit(&["a"], "1");
        assert!(may_be_glimpsed || !is_glimpsed(&clone), "{option}");
        is_glimpsed(&clone);
    }
    // As where a partial clone has left it out.
    let head = scratch.commit(&["a"], "1");
    let tree = scratch.git(&["rev-parse", "HEAD~^{tree}"]);
    let (directory, file) = tree.split_at(2);
    let objects = scratch.root().join(".git/objects");
    fs::remove_file(objects.join(directory).join(file)).unwrap();
    let updates = vec![update(&head, "refs/heads/main", NULL)];
    let push = Push::of(&scratch.repo(), "origin", "/nowhere", updates);
    assert_eq!(push.edits_at_a_glance(), None);
}

#[test]
fn a_mail_that_git_translates_is_left_to_git() {
    let (scratch, _) = published();
    scratch.git(&["config", "i18n.commitEncoding", "ISO-8859-1"]);
    scratch.commit(&["a"], "1");
    assert!(!is_glimpsed(&scratch));
}

#[test]
fn a_commit_that_the_remote_has_is_known_by_whatever_ref() {
    let (scratch, _) = published();
    let a = scratch.commit(&["a"], "1");
    scratch.commit(&["b"], "1");
    scratch.git(&["update-ref", "refs/remotes/origin/side", "HEAD"]);
    scratch.git(&["reset", "--quiet", "--hard", &a]);
    // Of the same second, and so git's to tell.
    assert!(!is_glimpsed(&scratch));
    assert_eq!(pushing(&scratch, "origin", "/nowhere"), "");
    scratch.commit(&["c"], "1");
    assert!(is_glimpsed(&scratch));
    assert_eq!(pushing(&scratch, "origin", "/nowhere"), "c:ada@x");
}
