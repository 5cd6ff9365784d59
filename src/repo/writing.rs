//! Writing objects: trees of locks, and commits on top of each other.

use std::io::Write as _;

use chrono::{DateTime, Utc};
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Signature, Time};

use super::Objects;
use crate::error::{Error, Result};

/// Where the objects of a change are written to.
pub(crate) trait Write {
    /// Writes a tree: `base` with these files put in, and these taken out.
    fn write_tree(
        &self,
        base: Option<&str>,
        put: &[(Vec<u8>, Vec<u8>)],
        take: &[Vec<u8>],
    ) -> Result<String>;

    /// Writes a commit on top of another.
    fn write_commit(
        &self,
        tree: &str,
        parent: Option<&str>,
        message: &str,
        author: (&str, &str),
        now: DateTime<Utc>,
    ) -> Result<String>;
}

/// A name and a mail address as a commit can have them: angle brackets would end the name for whoever parses it.
pub(super) fn plain((name, mail): (&str, &str)) -> (String, String) {
    let plain = |text: &str| {
        let text = text.replace(['<', '>', '\n', '\0'], "").trim().to_owned();
        if text.is_empty() {
            "git-latch".to_owned()
        } else {
            text
        }
    };
    (plain(name), plain(mail))
}

impl Objects {
    /// Writes many objects as one pack, instead of a file for each.
    pub(crate) fn in_bulk<T>(&self, write: impl FnOnce(&dyn Write) -> Result<T>) -> Result<T> {
        let wrong = |e: git2::Error| self.corrupt(&e);
        let (written, pack) = super::bundle::written(self, write)?;
        let odb = self.repository.odb().map_err(wrong)?;
        let mut writer = odb.packwriter().map_err(wrong)?;
        writer
            .write_all(&pack)
            .map_err(Error::io("write a pack in", &self.path))?;
        writer.commit().map_err(wrong)?;
        Ok(written)
    }
}

impl Write for Objects {
    fn write_tree(
        &self,
        base: Option<&str>,
        put: &[(Vec<u8>, Vec<u8>)],
        take: &[Vec<u8>],
    ) -> Result<String> {
        let base = if let Some(tree) = base {
            self.tree(tree)?
        } else {
            let empty = self.repository.treebuilder(None).and_then(|b| b.write());
            let empty = empty.map_err(|e| self.corrupt(&e))?;
            self.repository
                .find_tree(empty)
                .map_err(|e| self.corrupt(&e))?
        };
        let mut update = TreeUpdateBuilder::new();
        for path in take {
            update.remove(path.as_slice());
        }
        for (path, bytes) in put {
            let blob = self.repository.blob(bytes).map_err(|e| self.corrupt(&e))?;
            update.upsert(path.as_slice(), blob, FileMode::Blob);
        }
        update
            .create_updated(&self.repository, &base)
            .map(|oid| oid.to_string())
            .map_err(|e| self.corrupt(&e))
    }

    fn write_commit(
        &self,
        tree: &str,
        parent: Option<&str>,
        message: &str,
        author: (&str, &str),
        now: DateTime<Utc>,
    ) -> Result<String> {
        let tree = self.tree(tree)?;
        let parent = match parent {
            Some(commit) => {
                let oid = self.oid(commit)?;
                Some(
                    self.repository
                        .find_commit(oid)
                        .map_err(|e| self.corrupt(&e))?,
                )
            }
            None => None,
        };
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        let (name, mail) = plain(author);
        let who = Signature::new(&name, &mail, &Time::new(now.timestamp(), 0))
            .map_err(|e| self.corrupt(&e))?;
        self.repository
            .commit(None, &who, &who, message, &tree, &parents)
            .map(|oid| oid.to_string())
            .map_err(|e| self.corrupt(&e))
    }
}
