//! The workspace: which working tree a lock was taken in.
//!
//! Its id lies in the working tree's own git directory, beside the marks by which that directory is told from its copies
//! (`marks`). A copy is another workspace: it must not pass for the one that took the locks. Reading changes nothing: a
//! tree gets its id, and a copy its own, when it takes its first lock.

mod trees;

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use trees::WorkingTrees;

use crate::os::files;
use crate::os::marks::Marks;
use crate::os::mode::Sharing;
use crate::rules::error::{Error, Result};
use crate::store::TreeDir;

/// What a working tree's record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Workspace {
    /// It has none: no lock was ever taken here.
    Unknown,
    /// It is this workspace: 16 hexadecimal digits.
    Known(String),
    /// It was copied, record and all, and has no id of its own yet.
    CopyOf(String),
}

/// The workspace of a change, which has an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// 16 hexadecimal digits.
    pub id: String,
    /// The id of the workspace that this one turned out to be a copy of, told once.
    pub copied_from: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    id: String,
    /// Who the configuration said works here, at the last change: what a hook goes by that has no time to ask git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(flatten)]
    marks: Marks,
}

impl Workspace {
    /// The workspace of a working tree, for reading: leaves no trace.
    pub(crate) fn of(git_dir: &Path, host: &str) -> Result<Self> {
        Ok(Self::and_owner(git_dir, host)?.0)
    }

    /// The same, and who the configuration said works in this very tree, where that is known.
    pub(crate) fn and_owner(git_dir: &Path, host: &str) -> Result<(Self, Option<String>)> {
        let Some(record) = read(&TreeDir::of(git_dir).workspace())? else {
            return Ok((Workspace::Unknown, None));
        };
        Ok(if record.is_of(&Marks::of(git_dir, host)) {
            (Workspace::Known(record.id), record.owner)
        } else {
            (Workspace::CopyOf(record.id), None)
        })
    }

    /// The workspace of a working tree, for a change: a first id is written down, a copy's replaced. `owner` is who the
    /// configuration says works here.
    ///
    /// It is durable when this returns: what rests on it is written afterwards. In a repository that cannot be written
    /// to, a workspace without a record gets an id that lasts for this call: nothing there can be its own.
    pub(crate) fn settle(
        git_dir: &Path,
        host: &str,
        owner: Option<&str>,
        sharing: Sharing,
    ) -> Result<Settled> {
        let path = TreeDir::of(git_dir).workspace();
        let Some(old) = read(&path)? else {
            let fresh = || Record::fresh(git_dir, host, owner);
            return Ok(Settled {
                id: create(&path, fresh, sharing)?.id,
                copied_from: None,
            });
        };
        let marks = Marks::of(git_dir, host);
        if !old.is_of(&marks) {
            let fresh = Record::fresh(git_dir, host, owner);
            write(&path, &fresh, sharing)?;
            return Ok(Settled {
                id: fresh.id,
                copied_from: Some(old.id),
            });
        }
        let owner = owner.map(str::to_owned).or_else(|| old.owner.clone());
        let now = Record {
            id: old.id.clone(),
            owner,
            marks,
        };
        if now != old {
            // It was moved, or is seen from another side. It is told apart all the same as long as nothing else changes.
            drop(write(&path, &now, sharing));
        }
        Ok(Settled {
            id: now.id,
            copied_from: None,
        })
    }
}

impl Record {
    /// The record that a working tree without one gets.
    fn fresh(git_dir: &Path, host: &str, owner: Option<&str>) -> Self {
        Record {
            id: uuid::Uuid::new_v4().simple().to_string()[..16].to_owned(),
            owner: owner.map(str::to_owned),
            marks: Marks::of(git_dir, host),
        }
    }

    /// Whether it is the record of the directory that looks like this, and not of one that it was copied from.
    fn is_of(&self, now: &Marks) -> bool {
        self.marks.is_same(now, || self.lives_elsewhere(now))
    }

    /// Whether the directory that the record was written for is still there, with the same record.
    fn lives_elsewhere(&self, now: &Marks) -> bool {
        let old = Path::new(&self.marks.path);
        let is_another = !Marks::of(old, &now.host).is_same_file_on_mount(now);
        let record = read(&TreeDir::of(old).workspace()).ok().flatten();
        is_another && record.is_some_and(|record| record.id == self.id)
    }
}

fn read(path: &Path) -> Result<Option<Record>> {
    match fs::read_to_string(path) {
        // One that does not parse is as good as none: a new id claims nothing that is another's.
        Ok(text) => Ok(toml::from_str(&text).ok()),
        Err(e) if files::is_absent(&e) => Ok(None),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

fn text_of(record: &Record) -> String {
    toml::to_string(record).expect("strings and numbers are TOML")
}

fn write(path: &Path, record: &Record, sharing: Sharing) -> Result<()> {
    files::replace_durably(path, text_of(record).as_bytes(), sharing)
}

/// Writes a first record; where another command was faster, its record counts.
///
/// Synced before any lock is taken under it: without its record the owner of a lock is a stranger to it.
fn create(path: &Path, fresh: impl Fn() -> Record, sharing: Sharing) -> Result<Record> {
    let directory = path.parent().unwrap_or(path);
    let staged = files::create_directories(directory, sharing).and_then(|above| {
        files::sync_directories(&above)?;
        // Only now: on an overlay the git directory is another one from the first writing in it on.
        let record = fresh();
        let staged = files::stage(directory, text_of(&record).as_bytes(), sharing)?;
        files::sync(staged.as_file(), path)?;
        Ok((record, staged))
    });
    let Ok((record, staged)) = staged else {
        return Ok(fresh());
    };
    match staged.persist_noclobber(path) {
        Ok(_) => files::sync_directory(directory).map(|()| record),
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => match read(path)? {
            Some(faster) => Ok(faster),
            // What stands there does not parse.
            None => e
                .file
                .persist(path)
                .map(|_| record)
                .map_err(|e| Error::io("write", path)(e.error)),
        },
        Err(e) => Err(Error::io("write", path)(e.error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(tree: &Path, host: &str) -> Settled {
        Workspace::settle(tree, host, None, Sharing::Umask).unwrap()
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to.join("latch")).unwrap();
        fs::copy(TreeDir::of(from).workspace(), TreeDir::of(to).workspace()).unwrap();
    }

    fn text(tree: &Path) -> String {
        fs::read_to_string(TreeDir::of(tree).workspace()).unwrap()
    }

    #[test]
    fn a_tree_stays_itself_under_other_names_and_a_copy_in_its_place_does_not() {
        let home = tempfile::tempdir().unwrap();
        let tree = home.path().join("a");
        fs::create_dir(&tree).unwrap();
        let first = settle(&tree, "host");
        let moved = home.path().join("b");
        fs::rename(&tree, &moved).unwrap();
        assert_eq!(settle(&moved, "renamed"), first);
        // Where the original was, on a machine that is called the same.
        copy(&moved, &tree);
        assert_eq!(
            Workspace::of(&tree, "renamed").unwrap(),
            Workspace::CopyOf(first.id.clone())
        );
        let copied = settle(&tree, "host");
        assert_ne!(copied.id, first.id);
        assert_eq!(copied.copied_from, Some(first.id.clone()));
        assert_eq!(settle(&tree, "host").copied_from, None);
        assert_eq!(settle(&moved, "host"), first);
    }

    #[test]
    fn reading_writes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let (tree, other) = (home.path().join("a"), home.path().join("b"));
        fs::create_dir(&tree).unwrap();
        assert_eq!(Workspace::of(&tree, "host").unwrap(), Workspace::Unknown);
        assert!(!tree.join("latch").exists());
        let id = settle(&tree, "host").id;
        copy(&tree, &other);
        let before = text(&tree);
        for tree in [&tree, &other] {
            Workspace::of(tree, "box").unwrap();
            Workspace::and_owner(tree, "box").unwrap();
            assert_eq!(text(tree), before);
        }
        assert_eq!(Workspace::of(&tree, "box").unwrap(), Workspace::Known(id));
    }

    #[test]
    #[cfg(unix)]
    fn a_record_of_an_older_version_goes_on_with_more_marks() {
        let home = tempfile::tempdir().unwrap();
        let tree = home.path().join("a");
        fs::create_dir_all(tree.join("latch")).unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&tree).unwrap());
        let old = format!(
            "id = \"0123456789abcdef\"\nhost = \"host\"\npath = \"{}\"\ninode = {inode}\n",
            tree.display()
        );
        fs::write(TreeDir::of(&tree).workspace(), old).unwrap();
        assert_eq!(settle(&tree, "host").id, "0123456789abcdef");
        assert!(text(&tree).contains("device = "), "{}", text(&tree));
        assert_eq!(settle(&tree, "box").id, "0123456789abcdef");
    }
}
