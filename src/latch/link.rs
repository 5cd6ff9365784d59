//! `.locks` at the top of a working tree: where people, editors and watchers look. Nobody decides by it.
//!
//! It is a symbolic link to the lock directory, so that `git clean -x` and `git stash -a` take no lock along. Where links
//! cannot be made it is a copy with a marker in it, refreshed after every change. Whatever else is called `.locks` is
//! somebody else's: refused, and never written through.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::os::files;
use crate::os::links::link_directory;
use crate::rules::error::{Error, Result};

/// The link's name.
pub const NAME: &str = ".locks";
/// The line of `info/exclude`; with a slash at its end it would match no link.
const EXCLUDE: &str = "/.locks";
/// What tells our copy from somebody's directory.
const MARKER: &str = ".copy-made-by-git-latch";

/// What stands where the link belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The link, leading where it should.
    Right,
    /// Our copy, where no link can be made.
    Copy,
    /// Nothing.
    Missing,
    /// A link to a lock directory that is gone or another repository's.
    Astray,
    /// Something that is not ours; what it is.
    Foreign(&'static str),
}

/// What stands at the top of a working tree.
pub fn state(root: &Path, locks: &Path) -> Result<State> {
    let link = root.join(NAME);
    let meta = match fs::symlink_metadata(&link) {
        Ok(meta) => meta,
        Err(e) if files::is_absent(&e) => return Ok(State::Missing),
        Err(e) => return Err(Error::io("read", link)(e)),
    };
    if meta.is_symlink() {
        let leads = fs::read_link(&link).map_err(Error::io("read", &link))?;
        return Ok(if leads == aim(root, locks) || is_same(&link, locks) {
            State::Right
        } else if leads.ends_with("latch/locks") {
            State::Astray
        } else {
            State::Foreign("a link to somewhere else")
        });
    }
    Ok(match meta.is_dir() {
        true if link.join(MARKER).is_file() => State::Copy,
        true => State::Foreign("a directory that git-latch did not make"),
        false => State::Foreign("a file that git-latch did not make"),
    })
}

/// Makes the link, or the copy where there can be none, and keeps it out of `git status`.
///
/// # Errors
/// [`Error::InTheWay`] where something else has the name.
pub(crate) fn ensure(root: &Path, common_dir: &Path, locks: &Path) -> Result<()> {
    match state(root, locks)? {
        State::Right => return Ok(()),
        State::Copy => return refresh(root, locks),
        State::Missing => {}
        State::Astray => files::remove(&root.join(NAME))?,
        State::Foreign(what) => {
            return Err(Error::InTheWay {
                path: root.join(NAME),
                problem: format!("it is {what}"),
            });
        }
    }
    exclude(common_dir)?;
    let link = root.join(NAME);
    match link_directory(&aim(root, locks), &link) {
        Ok(()) => Ok(()),
        // Two commands at once.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => {
            tracing::debug!(error = %e, "no link can be made here, making a copy");
            fs::create_dir(&link).map_err(Error::io("create", &link))?;
            fs::write(link.join(MARKER), "").map_err(Error::io("create", link.join(MARKER)))?;
            refresh(root, locks)
        }
    }
}

/// Brings a copy up to date; does nothing to a link.
pub(crate) fn refresh(root: &Path, locks: &Path) -> Result<()> {
    if state(root, locks)? != State::Copy {
        return Ok(());
    }
    let copy = root.join(NAME);
    let wanted = files_below(locks)?;
    for gone in files_below(&copy)?.difference(&wanted) {
        if gone != Path::new(MARKER) {
            files::remove(&copy.join(gone))?;
        }
    }
    for path in wanted {
        let (from, to) = (locks.join(&path), copy.join(&path));
        // What was removed since the listing is gone from the copy at the next refresh.
        let Some(files::Found {
            bytes: Ok(bytes), ..
        }) = files::read(&from)?
        else {
            continue;
        };
        if fs::read(&to).is_ok_and(|old| old == bytes) {
            continue;
        }
        let parent = to.parent().unwrap_or(&copy);
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        fs::write(&to, bytes).map_err(Error::io("write", &to))?;
    }
    Ok(())
}

/// Takes the link or the copy away, and its line out of `info/exclude`. What is not ours stays.
pub fn remove(root: &Path, common_dir: &Path, locks: &Path) -> Result<()> {
    let link = root.join(NAME);
    match state(root, locks)? {
        State::Right | State::Astray => files::remove(&link)?,
        State::Copy => fs::remove_dir_all(&link).map_err(Error::io("remove", &link))?,
        State::Missing | State::Foreign(_) => {}
    }
    let path = common_dir.join("info").join("exclude");
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(());
    };
    if text.lines().any(|line| line == EXCLUDE) {
        let kept: String = text
            .split_inclusive('\n')
            .filter(|line| line.trim_end() != EXCLUDE)
            .collect();
        fs::write(&path, kept).map_err(Error::io("write", &path))?;
    }
    Ok(())
}

/// Where the link should lead: relative where the repository lies in the working tree, so that both can be moved.
fn aim(root: &Path, locks: &Path) -> PathBuf {
    locks.strip_prefix(root).unwrap_or(locks).to_owned()
}

fn is_same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Adds our line to `info/exclude`, which all working trees share.
fn exclude(common_dir: &Path) -> Result<()> {
    let directory = common_dir.join("info");
    let path = directory.join("exclude");
    let text = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if files::is_absent(&e) => Vec::new(),
        Err(e) => return Err(Error::io("read", &path)(e)),
    };
    if text
        .split(|b| *b == b'\n')
        .any(|line| line == EXCLUDE.as_bytes())
    {
        return Ok(());
    }
    fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
    let newline = if text.last().is_some_and(|b| *b != b'\n') {
        "\n"
    } else {
        ""
    };
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{newline}{EXCLUDE}\n").as_bytes()))
        .map_err(Error::io("write", &path))
}

/// The files below a directory, relative to it; links are not followed.
fn files_below(directory: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        let listing = match fs::read_dir(&next) {
            Ok(listing) => listing,
            Err(e) if files::is_absent(&e) => continue,
            Err(e) => return Err(Error::io("read", &next)(e)),
        };
        for item in listing.flatten() {
            match item.file_type() {
                Ok(kind) if kind.is_dir() => left.push(item.path()),
                Ok(_) => {
                    let path = item.path();
                    found.insert(path.strip_prefix(directory).unwrap_or(&path).to_owned());
                }
                Err(e) => return Err(Error::io("read", item.path())(e)),
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, PathBuf, PathBuf, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().canonicalize().unwrap();
        let common = root.join(".git");
        let locks = common.join("latch/locks");
        fs::create_dir_all(&locks).unwrap();
        (home, root, common, locks)
    }

    #[test]
    fn the_link_is_made_once_and_taken_away_with_its_line() {
        let (_home, root, common, locks) = tree();
        ensure(&root, &common, &locks).unwrap();
        ensure(&root, &common, &locks).unwrap();
        assert_eq!(
            fs::read_link(root.join(NAME)).unwrap(),
            Path::new(".git/latch/locks")
        );
        assert_eq!(
            fs::read_to_string(common.join("info/exclude")).unwrap(),
            "/.locks\n"
        );
        remove(&root, &common, &locks).unwrap();
        assert_eq!(state(&root, &locks).unwrap(), State::Missing);
        assert_eq!(fs::read_to_string(common.join("info/exclude")).unwrap(), "");
    }

    #[test]
    fn a_link_astray_is_mended_and_anything_else_is_left_alone() {
        let (_home, root, common, locks) = tree();
        std::os::unix::fs::symlink("/gone/latch/locks", root.join(NAME)).unwrap();
        ensure(&root, &common, &locks).unwrap();
        assert_eq!(state(&root, &locks).unwrap(), State::Right);
        fs::remove_file(root.join(NAME)).unwrap();
        for foreign in ["file", "directory", "link"] {
            match foreign {
                "file" => fs::write(root.join(NAME), "mine").unwrap(),
                "directory" => fs::create_dir(root.join(NAME)).unwrap(),
                _ => std::os::unix::fs::symlink("/tmp", root.join(NAME)).unwrap(),
            }
            let error = ensure(&root, &common, &locks).unwrap_err();
            assert!(error.to_string().contains("is in the way"), "{foreign}");
            remove(&root, &common, &locks).unwrap();
            files::remove(&root.join(NAME)).unwrap();
        }
    }

    #[test]
    fn a_copy_follows_the_lock_directory() {
        let (_home, root, _common, locks) = tree();
        fs::create_dir(root.join(NAME)).unwrap();
        fs::write(root.join(NAME).join(MARKER), "").unwrap();
        fs::create_dir(locks.join("a")).unwrap();
        fs::write(locks.join("a/b.lock"), "x").unwrap();
        refresh(&root, &locks).unwrap();
        assert_eq!(fs::read(root.join(".locks/a/b.lock")).unwrap(), b"x");
        fs::remove_file(locks.join("a/b.lock")).unwrap();
        refresh(&root, &locks).unwrap();
        assert!(!root.join(".locks/a/b.lock").exists());
        assert_eq!(state(&root, &locks).unwrap(), State::Copy);
    }
}
