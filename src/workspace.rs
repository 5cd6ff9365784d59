//! The workspace: which working tree, on which host, a lock was taken in.
//!
//! Its id lies in the working tree's own git directory, beside host, path and inode of that directory. One of the three
//! may change (the tree was moved, the host renamed); where two do, the directory was copied, and a copy is another
//! workspace: it must not pass for the one that took the locks.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::store::{Sharing, files};

/// The identity of a working tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// 16 hexadecimal digits (or what `GIT_LATCH_WORKSPACE` says).
    pub id: String,
    /// The id of the workspace that this one turned out to be a copy of, told once.
    pub copied_from: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    id: String,
    host: String,
    path: String,
    inode: u64,
    /// Who the configuration said works here, at the last change: what a hook goes by that has no time to ask git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
}

impl Record {
    fn is_of_same_place(&self, other: &Record) -> bool {
        (&self.host, &self.path, self.inode) == (&other.host, &other.path, other.inode)
    }
}

impl Workspace {
    /// The workspace of a working tree, if it has got an id already: one that has not holds nothing, and reading must
    /// not leave a trace where nobody uses locks. A copy's id is replaced.
    pub fn known(git_dir: &Path, host: &str, sharing: Sharing) -> Result<Option<Self>> {
        if Self::file(git_dir).exists() {
            Self::of(git_dir, host, sharing).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The workspace of a working tree; a first id is written down, a copy's replaced.
    ///
    /// In a repository that cannot be written to, a workspace without a record gets an id that lasts for this call:
    /// nothing there can be its own.
    pub fn of(git_dir: &Path, host: &str, sharing: Sharing) -> Result<Self> {
        let path = Self::file(git_dir);
        let now = here(git_dir, host);
        let Some(old) = read(&path)? else {
            let id = create(&path, &now, sharing)?.unwrap_or(now).id;
            return Ok(Workspace {
                id,
                copied_from: None,
            });
        };
        let changed = [
            old.host != now.host,
            old.path != now.path,
            old.inode != now.inode,
        ];
        match changed.into_iter().filter(|c| *c).count() {
            0 => Ok(Workspace {
                id: old.id,
                copied_from: None,
            }),
            1 => {
                let moved = Record {
                    id: old.id,
                    owner: old.owner,
                    ..now
                };
                // It is told apart all the same as long as nothing else changes.
                drop(write(&path, &moved, sharing));
                Ok(Workspace {
                    id: moved.id,
                    copied_from: None,
                })
            }
            _ => {
                write(&path, &now, sharing)?;
                Ok(Workspace {
                    id: now.id,
                    copied_from: Some(old.id),
                })
            }
        }
    }

    /// The id of this very working tree and who the configuration said works here; `None` where either is not known, or
    /// the tree may have been moved or copied.
    pub fn at_a_glance(git_dir: &Path, host: &str) -> Result<Option<(String, String)>> {
        let known = read(&Self::file(git_dir))?;
        let here = here(git_dir, host);
        Ok(known
            .filter(|record| record.is_of_same_place(&here))
            .and_then(|record| Some((record.id, record.owner?))))
    }

    /// Notes who the configuration says works here. That it cannot be noted costs a hook a millisecond.
    pub fn note_owner(git_dir: &Path, owner: &str, sharing: Sharing) {
        let path = Self::file(git_dir);
        let known = read(&path).ok().flatten();
        if let Some(record) = known.filter(|record| record.owner.as_deref() != Some(owner)) {
            let noted = Record {
                owner: Some(owner.to_owned()),
                ..record
            };
            drop(write(&path, &noted, sharing));
        }
    }

    /// Where the record lies.
    #[must_use]
    pub fn file(git_dir: &Path) -> PathBuf {
        git_dir.join("latch").join("workspace.toml")
    }
}

/// The record that a working tree without one gets.
fn here(git_dir: &Path, host: &str) -> Record {
    Record {
        id: uuid::Uuid::new_v4().simple().to_string()[..16].to_owned(),
        host: host.to_owned(),
        path: git_dir.to_string_lossy().into_owned(),
        inode: inode(git_dir),
        owner: None,
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
    toml::to_string(record).expect("strings and a number are TOML")
}

fn write(path: &Path, record: &Record, sharing: Sharing) -> Result<()> {
    files::replace_durably(path, text_of(record).as_bytes(), sharing)
}

/// Writes the first record; where another command was faster, its record counts.
fn create(path: &Path, record: &Record, sharing: Sharing) -> Result<Option<Record>> {
    let directory = path.parent().unwrap_or(path);
    // Synced before any lock is taken under it: without its record the owner of a lock is a stranger to it.
    let staged = files::create_directories(directory, sharing).and_then(|above| {
        files::sync_directories(&above)?;
        let staged = files::stage(directory, text_of(record).as_bytes(), sharing)?;
        files::sync(staged.as_file(), path)?;
        Ok(staged)
    });
    let Ok(staged) = staged else { return Ok(None) };
    match staged.persist_noclobber(path) {
        Ok(_) => files::sync_directory(directory).map(|()| None),
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => match read(path)? {
            Some(faster) => Ok(Some(faster)),
            // What stands there does not parse.
            None => e
                .file
                .persist(path)
                .map(|_| None)
                .map_err(|e| Error::io("write", path)(e.error)),
        },
        Err(e) => Err(Error::io("write", path)(e.error)),
    }
}

#[cfg(unix)]
fn inode(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    // TOML has no numbers over 63 bits.
    fs::metadata(directory).map_or(0, |m| m.ino() & u64::MAX >> 1)
}

#[cfg(not(unix))]
fn inode(_directory: &Path) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_when_one_of_three_changes_and_not_when_two_do() {
        let home = tempfile::tempdir().unwrap();
        let tree = home.path().join("a");
        fs::create_dir(&tree).unwrap();
        let first = Workspace::of(&tree, "host", Sharing::Umask).unwrap();
        assert_eq!(
            Workspace::of(&tree, "renamed", Sharing::Umask).unwrap(),
            first
        );
        let moved = home.path().join("b");
        fs::rename(&tree, &moved).unwrap();
        assert_eq!(
            Workspace::of(&moved, "renamed", Sharing::Umask).unwrap(),
            first
        );
        fs::create_dir_all(tree.join("latch")).unwrap();
        fs::copy(Workspace::file(&moved), Workspace::file(&tree)).unwrap();
        let copy = Workspace::of(&tree, "renamed", Sharing::Umask).unwrap();
        assert_ne!(copy.id, first.id);
        assert_eq!(copy.copied_from, Some(first.id.clone()));
        assert_eq!(
            Workspace::of(&tree, "renamed", Sharing::Umask)
                .unwrap()
                .copied_from,
            None
        );
        assert_eq!(
            Workspace::of(&moved, "renamed", Sharing::Umask).unwrap(),
            first
        );
    }
}
