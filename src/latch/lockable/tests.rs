use std::fs;

use super::*;
use crate::git::config::Config;
use crate::git::scratch::Scratch;
use crate::latch::identity::Home;

/// Paths as text, sorted, separated by blanks.
fn told(paths: impl IntoIterator<Item = Vec<u8>>) -> String {
    let mut words: Vec<String> = paths
        .into_iter()
        .map(|p| String::from_utf8(p).unwrap())
        .collect();
    words.sort();
    words.join(" ")
}

/// A repository in which `*.psd` is lockable, with a commit of three files.
fn artists() -> Scratch {
    let scratch = Scratch::new();
    scratch.commit(&[".gitattributes"], "*.psd lockable\n");
    scratch.commit(&["a.psd", "d/b.psd", "c.txt"], "1");
    scratch
}

fn in_use(scratch: &Scratch, config: &str, home: &Home) -> bool {
    if !config.is_empty() {
        scratch.git(&["config", "core.attributesFile", config]);
    }
    let repo = scratch.repo();
    let config = Config::read(&repo.git()).unwrap();
    Attributes::look(&repo, &config, home).unwrap().is_in_use()
}

#[test]
fn any_source_of_attributes_may_bring_it_into_use() {
    let home = Home {
        home: Some(tempfile::tempdir().unwrap().path().to_owned()),
        xdg_config_home: None,
    };
    for source in [".gitattributes", ".git/info/attributes", "mine"] {
        let scratch = Scratch::new();
        let own = scratch.root().join("mine").to_str().unwrap().to_owned();
        assert!(!in_use(&scratch, &own, &home), "{source}");
        scratch.write(source.as_bytes(), "*.psd lockable");
        assert!(in_use(&scratch, &own, &home), "{source}");
    }
}

#[test]
fn a_person_s_attributes_are_found_where_git_looks_for_them() {
    let scratch = Scratch::new();
    let at = scratch.root().join("home");
    let home = Home {
        home: Some(at.clone()),
        xdg_config_home: None,
    };
    let xdg = Home {
        xdg_config_home: Some(at.join(".config")),
        home: None,
    };
    assert!(!in_use(&scratch, "", &home) && !in_use(&scratch, "", &xdg));
    scratch.write(b"home/.config/git/attributes", "* lockable");
    assert!(in_use(&scratch, "", &home) && in_use(&scratch, "", &xdg));
    assert!(!in_use(&scratch, "", &Home::default()));
    assert!(!in_use(&scratch, "~/other", &home));
    scratch.write(b"home/other", "* lockable");
    assert!(in_use(&scratch, "~/other", &home));
    assert!(in_use(&scratch, "~ada/other", &home), "only git can tell");
}

#[test]
fn attributes_below_the_top_count_once_the_index_names_them() {
    let scratch = Scratch::new();
    let home = Home::default();
    scratch.commit(&["art/.gitattributes"], "* -text");
    assert!(!in_use(&scratch, "", &home));
    scratch.write(b"art/.gitattributes", "*.psd lockable");
    assert!(in_use(&scratch, "", &home), "as it is in the working tree");
    scratch.git(&["rm", "--quiet", "--cached", "art/.gitattributes"]);
    assert!(!in_use(&scratch, "", &home));
}

#[test]
fn a_look_notices_whatever_was_written_since_all_bits_were_set() {
    let scratch = artists();
    let repo = scratch.repo();
    let look = || Attributes::look(&repo, &Config::default(), &Home::default()).unwrap();
    assert!(!look().are_settled() && look().has_index_moved());
    look().note_settled(Sharing::Umask);
    assert!(look().is_in_use() && look().are_settled() && !look().has_index_moved());
    scratch.commit(&["new.psd"], "1");
    assert!(look().are_settled() && look().has_index_moved());
    scratch.commit(&["d/.gitattributes"], "* -lockable\n");
    assert!(!look().are_settled());
    look().note_settled(Sharing::Umask);
    scratch.write(b".git/info/attributes", "* text\n");
    assert!(!look().are_settled());
    look().note_settled(Sharing::Umask);
    scratch.git(&["rm", "--quiet", ".gitattributes", "d/.gitattributes"]);
    assert!(!look().are_settled() && !look().is_in_use());
}

#[test]
fn set_and_true_are_lockable_and_nothing_else_is() {
    let scratch = Scratch::new();
    let attributes = "a lockable\nb lockable=true\nc -lockable\nd lockable=\ne !lockable\n";
    scratch.commit(&[".gitattributes"], attributes);
    let paths: [&[u8]; 7] = [b"a", b"b", b"c", b"d", b"e", b"f", b"new\n\"x\""];
    scratch.write(b".gitattributes", &format!("{attributes}new* lockable"));
    let found = among(&scratch.repo(), &paths).unwrap();
    assert_eq!(told(found), "a b new\n\"x\"");
    assert!(among(&scratch.repo(), &[]).unwrap().is_empty());
    scratch.commit(&["a", "b", "c", "d", "e"], "1");
    assert_eq!(told(all(&scratch.repo()).unwrap()), "a b");
}

#[test]
fn sparse_and_reftable_repositories_name_all_their_lockable_files() {
    if !crate::git::scratch::knows_ref_formats() {
        // Older gits do not look for attributes in directories that are not checked out.
        return;
    }
    let scratch = Scratch::with(&["--ref-format=reftable"]);
    scratch.commit(&["out/.gitattributes"], "*.psd lockable\n");
    scratch.commit(&["in/a.psd", "out/b.psd"], "1");
    scratch.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "in"]);
    let repo = scratch.repo();
    assert_eq!(told(all(&repo).unwrap()), "out/b.psd");
    assert_eq!(
        told(among(&repo, &[b"out/b.psd", b"in/a.psd"]).unwrap()),
        "out/b.psd"
    );
    set(scratch.root(), b"out/b.psd", Bits::ReadOnly).unwrap();
}

#[test]
fn a_checkout_or_a_commit_names_the_lockable_files_that_changed() {
    let scratch = artists();
    let repo = scratch.repo();
    let old = scratch.git(&["rev-parse", "HEAD"]);
    scratch.git(&["rm", "--quiet", "d/b.psd"]);
    let new = scratch.commit(&["a.psd", "c.txt"], "2");
    assert_eq!(told(changed_between(&repo, &old, &new).unwrap()), "a.psd");
    assert_eq!(
        told(changed_between(&repo, &new, &old).unwrap()),
        "a.psd d/b.psd"
    );
    assert_eq!(told(changed_between(&repo, &new, &new).unwrap()), "");
    assert_eq!(told(changed_by_commit(&repo).unwrap()), "a.psd");
    scratch.commit(&["d/b.psd"], "3");
    assert_eq!(
        told(changed_between(&repo, &"0".repeat(40), &new).unwrap()),
        "a.psd d/b.psd"
    );
    scratch.git(&["switch", "--quiet", "--orphan", "fresh"]);
    scratch.stage(&[".gitattributes"], "*.psd lockable");
    scratch.commit(&["first.psd"], "1");
    assert_eq!(told(changed_by_commit(&repo).unwrap()), "first.psd");
}

#[test]
fn a_merge_names_the_lockable_files_that_it_brought() {
    let scratch = artists();
    let repo = scratch.repo();
    assert_eq!(
        told(changed_by_merge(&repo, Merge::Moved).unwrap()),
        "a.psd d/b.psd"
    );
    scratch.git(&["switch", "--quiet", "--create=side"]);
    scratch.commit(&["d/b.psd", "c.txt"], "2");
    scratch.git(&["switch", "--quiet", "main"]);
    scratch.commit(&["a.psd"], "2");
    scratch.git(&["merge", "--quiet", "--squash", "side"]);
    assert_eq!(
        told(changed_by_merge(&repo, Merge::Squashed).unwrap()),
        "d/b.psd"
    );
    scratch.git(&["reset", "--quiet", "--hard"]);
    scratch.git(&["merge", "--quiet", "side"]);
    assert_eq!(
        told(changed_by_merge(&repo, Merge::Moved).unwrap()),
        "d/b.psd"
    );
}

#[cfg(unix)]
mod on_unix {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_was_taken_is_given_back_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a");
        fs::write(&file, "").unwrap();
        let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        let odd = |bits, before| {
            let odd = bits::Looker::at(home.path())
                .odd(b"a", bits, before)
                .unwrap();
            odd.map(|odd| {
                let taken = odd.taken;
                odd.mend().unwrap();
                taken
            })
        };
        fs::set_permissions(&file, fs::Permissions::from_mode(0o775)).unwrap();
        assert_eq!((odd(Bits::Writable, Some(0o222)), mode()), (None, 0o775));
        assert_eq!((odd(Bits::ReadOnly, None), mode()), (Some(0o220), 0o555));
        assert_eq!((odd(Bits::ReadOnly, None), mode()), (None, 0o555));
        assert_eq!((odd(Bits::Writable, Some(0o220)), mode()), (Some(0), 0o775));
        odd(Bits::ReadOnly, None);
        assert_eq!((odd(Bits::Writable, None), mode()), (Some(0), 0o755));
    }

    #[test]
    fn nothing_is_changed_through_a_link_and_what_is_absent_is_fine() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("work");
        fs::create_dir_all(root.join("directory")).unwrap();
        fs::write(home.path().join("outside"), "").unwrap();
        symlink(home.path(), root.join("up")).unwrap();
        symlink("../outside", root.join("link")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        let paths: [&[u8]; 7] = [
            b"up/outside",
            b"link",
            b"dangling",
            b"directory",
            b"absent",
            b"absent/a",
            b"link/a",
        ];
        for path in paths {
            set(&root, path, Bits::ReadOnly).unwrap();
        }
        // Also right after a file in a directory that is one.
        fs::write(root.join("directory/a"), "").unwrap();
        let mut looker = bits::Looker::at(&root);
        let mut odd = |path| looker.odd(path, Bits::ReadOnly, None).unwrap();
        assert!(odd(b"directory/a").is_some() && odd(b"up/outside").is_none());
        let mode = |name| {
            fs::metadata(home.path().join(name))
                .unwrap()
                .permissions()
                .mode()
        };
        assert_ne!(mode("outside") & 0o200, 0);
        assert_ne!(mode("work/directory") & 0o200, 0);
    }
}
