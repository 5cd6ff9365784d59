//! Writing objects: trees of locks, and commits on top of each other; one by one, or many as one pack.
//!
//! What becomes a pack is written into an object database of its own, in memory, beside that of the repository: libgit2
//! looks for each new object in all packs there are, and lists their directory again for each that it does not find, which
//! costs by the repository's size and not by the change's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write as _;

use chrono::{DateTime, Utc};
use git2::{Buf, FileMode, ObjectType, Odb, Oid, Repository, Tree};

use super::Objects;
use crate::rules::error::{Error, Result};

/// A name and a mail address as a commit can have them: angle brackets would end the name for whoever parses it.
fn plain((name, mail): (&str, &str)) -> (String, String) {
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

/// A change of one directory: what becomes of each name in it.
#[derive(Default)]
struct Changes<'a> {
    files: BTreeMap<&'a [u8], Option<Oid>>,
    directories: BTreeMap<&'a [u8], Changes<'a>>,
}

impl<'a> Changes<'a> {
    fn note(&mut self, path: &'a [u8], file: Option<Oid>) {
        match path.iter().position(|b| *b == b'/') {
            Some(at) => {
                let inside = self.directories.entry(&path[..at]).or_default();
                inside.note(&path[at + 1..], file);
            }
            None => drop(self.files.insert(path, file)),
        }
    }
}

/// Where the objects of a change are written to.
pub(crate) struct Writer<'a> {
    /// Where what exists is read from.
    on_disk: &'a Objects,
    odb: Odb<'a>,
    /// What was written.
    all: RefCell<Vec<Oid>>,
}

impl Objects {
    /// Writes objects as files, one for each.
    pub(crate) fn writer(&self) -> Result<Writer<'_>> {
        let odb = self.repository.odb().map_err(|e| self.corrupt(&e))?;
        Ok(Writer::new(self, odb))
    }

    /// Writes many objects as one pack, instead of a file for each.
    pub(crate) fn in_bulk<T>(&self, write: impl FnOnce(&Writer<'_>) -> Result<T>) -> Result<T> {
        let wrong = |e: git2::Error| self.corrupt(&e);
        let (written, pack) = self.packed(write)?;
        let odb = self.repository.odb().map_err(wrong)?;
        let mut writer = odb.packwriter().map_err(wrong)?;
        writer
            .write_all(&pack)
            .map_err(Error::io("write a pack in", &self.path))?;
        writer.commit().map_err(wrong)?;
        Ok(written)
    }

    /// Has objects written; gives them as the bytes of a pack, of which nothing is on the disk yet.
    pub(super) fn packed<T>(
        &self,
        write: impl FnOnce(&Writer<'_>) -> Result<T>,
    ) -> Result<(T, Buf)> {
        let wrong = |e: git2::Error| self.corrupt(&e);
        let around = Odb::new().and_then(Repository::from_odb).map_err(wrong)?;
        let odb = around.odb().map_err(wrong)?;
        // The odb keeps it.
        odb.add_new_mempack_backend(1).map_err(wrong)?;
        let writer = Writer::new(self, odb);
        let written = write(&writer)?;
        let mut builder = around.packbuilder().map_err(wrong)?;
        for oid in writer.all.into_inner() {
            builder.insert_object(oid, None).map_err(wrong)?;
        }
        let mut pack = Buf::new();
        builder.write_buf(&mut pack).map_err(wrong)?;
        Ok((written, pack))
    }
}

impl<'a> Writer<'a> {
    fn new(on_disk: &'a Objects, odb: Odb<'a>) -> Self {
        Writer {
            on_disk,
            odb,
            all: RefCell::default(),
        }
    }

    fn write(&self, kind: ObjectType, bytes: &[u8]) -> Result<Oid> {
        let written = self.odb.write(kind, bytes);
        let oid = written.map_err(|e| self.on_disk.corrupt(&e))?;
        self.all.borrow_mut().push(oid);
        Ok(oid)
    }

    /// Writes a tree: `base` with these files put in, and these taken out.
    pub(crate) fn write_tree(
        &self,
        base: Option<&str>,
        put: &[(Vec<u8>, Vec<u8>)],
        take: &[Vec<u8>],
    ) -> Result<String> {
        let base = base.map(|tree| self.on_disk.tree(tree)).transpose()?;
        let mut changes = Changes::default();
        for path in take {
            changes.note(path, None);
        }
        for (path, bytes) in put {
            changes.note(path, Some(self.write(ObjectType::Blob, bytes)?));
        }
        let tree = self.directory(base.as_ref(), &changes)?;
        let tree = tree.map_or_else(|| self.write(ObjectType::Tree, b""), Ok)?;
        Ok(tree.to_string())
    }

    /// Writes a commit on top of another.
    pub(crate) fn write_commit(
        &self,
        tree: &str,
        parent: Option<&str>,
        message: &str,
        author: (&str, &str),
        now: DateTime<Utc>,
    ) -> Result<String> {
        let (name, mail) = plain(author);
        let who = format!("{name} <{mail}> {} +0000", now.timestamp());
        let parent = parent.map_or(String::new(), |parent| format!("parent {parent}\n"));
        let text = format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n\n{message}");
        let commit = self.write(ObjectType::Commit, text.as_bytes())?;
        Ok(commit.to_string())
    }

    /// A directory after its changes; `None` where nothing is left in it.
    fn directory(&self, base: Option<&Tree<'_>>, changes: &Changes<'_>) -> Result<Option<Oid>> {
        // As git sorts: a directory as if its name ended in a slash.
        let mut entries: BTreeMap<Vec<u8>, (i32, Oid)> = BTreeMap::new();
        for entry in base.into_iter().flatten() {
            let name = entry.name_bytes();
            let is_tree = entry.kind() == Some(ObjectType::Tree);
            let is_changed =
                changes.files.contains_key(name) || changes.directories.contains_key(name);
            if !is_changed {
                entries.insert(sorted_as(name, is_tree), (entry.filemode_raw(), entry.id()));
            }
        }
        for (name, file) in &changes.files {
            if let Some(file) = file {
                entries.insert(sorted_as(name, false), (i32::from(FileMode::Blob), *file));
            }
        }
        for (name, inside) in &changes.directories {
            let before = base.and_then(|base| base.get_name_bytes(name));
            let before = before.filter(|entry| entry.kind() == Some(ObjectType::Tree));
            let before = before.map(|entry| self.on_disk.repository.find_tree(entry.id()));
            let before = before.transpose().map_err(|e| self.on_disk.corrupt(&e))?;
            if let Some(tree) = self.directory(before.as_ref(), inside)? {
                entries.insert(sorted_as(name, true), (i32::from(FileMode::Tree), tree));
            }
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(entries.len() * 64);
        for (name, (mode, oid)) in &entries {
            bytes.extend_from_slice(format!("{mode:o} ").as_bytes());
            bytes.extend_from_slice(name.strip_suffix(b"/").unwrap_or(name));
            bytes.push(0);
            bytes.extend_from_slice(oid.as_bytes());
        }
        self.write(ObjectType::Tree, &bytes).map(Some)
    }
}

fn sorted_as(name: &[u8], is_tree: bool) -> Vec<u8> {
    let slash: &[u8] = if is_tree { b"/" } else { b"" };
    [name, slash].concat()
}
