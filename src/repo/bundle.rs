//! Objects that become one pack: kept in memory until they are all there.
//!
//! They are written into an object database of their own, beside that of the repository: libgit2 looks for each new object
//! in all packs there are, and lists their directory again for each that it does not find, which costs by the repository's
//! size and not by the change's.

use std::cell::RefCell;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use git2::{Buf, FileMode, ObjectType, Odb, Oid, Repository, Tree};

use super::writing::plain;
use super::{Objects, Write};
use crate::error::Result;

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

/// Where the objects of one pack are written to.
struct Bundle<'a> {
    on_disk: &'a Objects,
    odb: &'a Odb<'a>,
    /// What was written.
    all: RefCell<Vec<Oid>>,
}

/// Has objects written; gives them as the bytes of a pack.
pub(super) fn written<T>(
    on_disk: &Objects,
    write: impl FnOnce(&dyn Write) -> Result<T>,
) -> Result<(T, Buf)> {
    let wrong = |e: git2::Error| on_disk.corrupt(&e);
    let around = Odb::new().and_then(Repository::from_odb).map_err(wrong)?;
    let odb = around.odb().map_err(wrong)?;
    // The odb keeps it.
    odb.add_new_mempack_backend(1).map_err(wrong)?;
    let bundle = Bundle {
        on_disk,
        odb: &odb,
        all: RefCell::default(),
    };
    let written = write(&bundle)?;
    let mut builder = around.packbuilder().map_err(wrong)?;
    for oid in bundle.all.into_inner() {
        builder.insert_object(oid, None).map_err(wrong)?;
    }
    let mut pack = Buf::new();
    builder.write_buf(&mut pack).map_err(wrong)?;
    Ok((written, pack))
}

impl Bundle<'_> {
    fn write(&self, kind: ObjectType, bytes: &[u8]) -> Result<Oid> {
        let written = self.odb.write(kind, bytes);
        let oid = written.map_err(|e| self.on_disk.corrupt(&e))?;
        self.all.borrow_mut().push(oid);
        Ok(oid)
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

impl Write for Bundle<'_> {
    fn write_tree(
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

    fn write_commit(
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
}
