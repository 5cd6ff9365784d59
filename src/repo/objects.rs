//! Reading and writing the objects of a bare repository of our own: trees of locks, and commits on top of each other.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Once;

use chrono::{DateTime, Utc};
use git2::build::TreeUpdateBuilder;
use git2::{
    Buf, Commit, FileMode, ObjectType, Odb, Oid, Repository, Signature, Time, Tree, TreeEntry,
};

use crate::error::{Error, Result};

/// The deepest tree that is read: deeper than any path that can be locked.
const DEEPEST: usize = 2048;

/// The objects of one bare repository.
pub(crate) struct Objects {
    repository: Repository,
    path: PathBuf,
}

/// A commit of the lock ref.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    /// The commit's id.
    pub(crate) commit: String,
    /// Its tree's id.
    pub(crate) tree: String,
    /// Its message.
    pub(crate) message: String,
    /// When it was made, by its maker's clock.
    pub(crate) at: DateTime<Utc>,
    /// Its parents' ids.
    pub(crate) parents: Vec<String>,
    /// Its committer's mail address.
    pub(crate) committer: String,
}

/// A commit of the past.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    /// Its id.
    pub(crate) commit: String,
    /// Its tree's id.
    pub(crate) tree: String,
    /// Its message.
    pub(crate) message: String,
    /// Its author's name.
    pub(crate) author: String,
    /// Its author's mail address: an owner's id.
    pub(crate) mail: String,
    /// When it was made.
    pub(crate) at: DateTime<Utc>,
}

/// A file in which two trees differ.
#[derive(Clone, Debug)]
pub(crate) struct Differing {
    /// Its path.
    pub(crate) path: Vec<u8>,
    /// What the older tree has there.
    pub(crate) old: Option<(String, NodeKind)>,
    /// What the newer tree has there.
    pub(crate) new: Option<(String, NodeKind)>,
}

/// What lies at a path of a tree.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The path, components separated by `/`.
    pub(crate) path: Vec<u8>,
    /// The object's id.
    pub(crate) oid: String,
    /// What it is.
    pub(crate) kind: NodeKind,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// A regular file.
    File,
    /// A link, a submodule, or something else that no lock is.
    Odd,
}

impl Objects {
    /// Opens a bare repository.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        trust_the_disk();
        let repository = Repository::open_bare(path).map_err(|e| corrupt(path, &e))?;
        Ok(Objects {
            repository,
            path: path.to_owned(),
        })
    }

    /// Objects in these directories, whatever kind of refs and configuration a repository around them has.
    pub(crate) fn at(directories: &[PathBuf]) -> Result<Self> {
        trust_the_disk();
        let path = directories.first().cloned().unwrap_or_default();
        let repository = Odb::new().and_then(|odb| {
            for directory in directories {
                let directory = directory.to_string_lossy();
                odb.add_disk_alternate(&directory)?;
            }
            Repository::from_odb(odb)
        });
        Ok(Objects {
            repository: repository.map_err(|e| corrupt(&path, &e))?,
            path,
        })
    }

    /// Writes many objects as one pack, instead of a file for each.
    pub(crate) fn in_bulk<T>(path: &Path, write: impl FnOnce(&Objects) -> Result<T>) -> Result<T> {
        let objects = Objects::open(path)?;
        let wrong = |e: git2::Error| objects.corrupt(&e);
        let odb = objects.repository.odb().map_err(wrong)?;
        // Before all others: what is written is kept in memory.
        let memory = odb.add_new_mempack_backend(1000).map_err(wrong)?;
        let written = write(&objects)?;
        let mut pack = Buf::new();
        memory.dump(&objects.repository, &mut pack).map_err(wrong)?;
        let mut writer = odb.packwriter().map_err(wrong)?;
        writer
            .write_all(&pack)
            .map_err(Error::io("write a pack in", path))?;
        writer.commit().map_err(wrong)?;
        Ok(written)
    }

    fn corrupt(&self, error: &git2::Error) -> Error {
        corrupt(&self.path, error)
    }

    fn oid(&self, hex: &str) -> Result<Oid> {
        Oid::from_str(hex).map_err(|e| self.corrupt(&e))
    }

    /// The commit that a ref names; `None` where there is no such ref.
    pub(crate) fn revision(&self, reference: &str) -> Result<Option<Revision>> {
        match self.repository.find_reference(reference) {
            Ok(found) => {
                let commit = found.peel_to_commit().map_err(|e| self.corrupt(&e))?;
                Ok(Some(revision(&commit)))
            }
            Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(e) => Err(self.corrupt(&e)),
        }
    }

    /// The commit of an id.
    pub(crate) fn commit(&self, oid: &str) -> Result<Revision> {
        let found = self.repository.find_commit(self.oid(oid)?);
        found
            .map(|commit| revision(&commit))
            .map_err(|e| self.corrupt(&e))
    }

    /// Whether a commit is, or has below it, another.
    pub(crate) fn contains(&self, commit: &str, other: &str) -> Result<bool> {
        let (commit, other) = (self.oid(commit)?, self.oid(other)?);
        let below = self.repository.graph_descendant_of(commit, other);
        Ok(commit == other || below.map_err(|e| self.corrupt(&e))?)
    }

    /// The commits of a history, newest first along the first parents, at most `limit`.
    pub(crate) fn history(&self, tip: &Revision, limit: usize) -> Result<Vec<Past>> {
        let mut all = Vec::new();
        let mut next = Some(self.oid(&tip.commit)?);
        while let Some(oid) = next.filter(|_| all.len() < limit) {
            let commit = self
                .repository
                .find_commit(oid)
                .map_err(|e| self.corrupt(&e))?;
            let author = commit.author();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            all.push(Past {
                commit: oid.to_string(),
                tree: commit.tree_id().to_string(),
                message: text(commit.message_bytes()),
                author: text(author.name_bytes()),
                mail: text(author.email_bytes()),
                at: DateTime::from_timestamp(author.when().seconds(), 0).unwrap_or_default(),
            });
            next = commit.parent_id(0).ok();
        }
        Ok(all)
    }

    /// The files in which two trees differ, by path: what each has there.
    pub(crate) fn differing(&self, old: Option<&str>, new: &str) -> Result<Vec<Differing>> {
        let old = old.map(|tree| self.tree(tree)).transpose()?;
        let new = self.tree(new)?;
        let diff = self
            .repository
            .diff_tree_to_tree(old.as_ref(), Some(&new), None)
            .map_err(|e| self.corrupt(&e))?;
        let side = |file: &git2::DiffFile<'_>| {
            let is_there = file.exists() && file.mode() != FileMode::Unreadable;
            (is_there && !file.id().is_zero()).then(|| {
                let kind = match file.mode() {
                    FileMode::Blob | FileMode::BlobExecutable => NodeKind::File,
                    _ => NodeKind::Odd,
                };
                (file.id().to_string(), kind)
            })
        };
        Ok(diff
            .deltas()
            .filter_map(|delta| {
                let path = delta
                    .new_file()
                    .path_bytes()
                    .or(delta.old_file().path_bytes())?;
                Some(Differing {
                    path: path.to_vec(),
                    old: side(&delta.old_file()),
                    new: side(&delta.new_file()),
                })
            })
            .collect())
    }

    /// The same; an empty id is the tree without entries.
    pub(crate) fn differing_from(&self, old: &str, new: &str) -> Result<Vec<Differing>> {
        let is_some = |tree: &str| !tree.is_empty();
        if is_some(new) {
            return self.differing(Some(old).filter(|tree| is_some(tree)), new);
        }
        if !is_some(old) {
            return Ok(Vec::new());
        }
        let turn = |difference: Differing| Differing {
            old: difference.new,
            new: difference.old,
            ..difference
        };
        let all = self.differing(None, old)?;
        Ok(all.into_iter().map(turn).collect())
    }

    /// Makes a ref name a commit.
    pub(crate) fn set(&self, reference: &str, commit: &str) -> Result<()> {
        let oid = self.oid(commit)?;
        self.repository
            .reference(reference, oid, true, "git-latch")
            .map(drop)
            .map_err(|e| self.corrupt(&e))
    }

    /// Removes a ref.
    pub(crate) fn remove(&self, reference: &str) -> Result<()> {
        match self.repository.find_reference(reference) {
            Ok(mut found) => found.delete().map_err(|e| self.corrupt(&e)),
            Err(_) => Ok(()),
        }
    }

    fn tree(&self, tree: &str) -> Result<Tree<'_>> {
        let oid = self.oid(tree)?;
        self.repository.find_tree(oid).map_err(|e| self.corrupt(&e))
    }

    /// What lies at these paths; nothing for those where there is none, or a directory. Each directory is opened once.
    ///
    /// Besides whatever in these directories has a name that is `stray`, and everything below it.
    pub(crate) fn nodes(
        &self,
        tree: &str,
        paths: &BTreeSet<Vec<u8>>,
        is_stray: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Vec<Node>> {
        let paths: Vec<&[u8]> = paths.iter().map(Vec::as_slice).collect();
        let mut found = Vec::new();
        self.nodes_in(&self.tree(tree)?, &paths, 0, is_stray, &mut found)?;
        Ok(found)
    }

    /// The same in a directory whose path is the first `length` bytes of all `paths`.
    fn nodes_in(
        &self,
        tree: &Tree<'_>,
        mut paths: &[&[u8]],
        length: usize,
        is_stray: &dyn Fn(&[u8]) -> bool,
        found: &mut Vec<Node>,
    ) -> Result<()> {
        if let Some(first) = paths.first() {
            for entry in tree.iter().filter(|e| is_stray(e.name_bytes())) {
                let mut path = [&first[..length], entry.name_bytes()].concat();
                self.walk_entry(&entry, &mut path, 0, &mut |node| {
                    found.push(node);
                    true
                })?;
            }
        }
        while let Some(first) = paths.first() {
            let rest = &first[length..];
            let end = rest.iter().position(|b| *b == b'/');
            let entry = tree.get_name_bytes(&rest[..end.unwrap_or(rest.len())]);
            let mut count = 1;
            if let Some(end) = end {
                let below = &first[..=length + end];
                count = paths.partition_point(|path| path.starts_with(below));
                if let Some(entry) = entry.filter(|e| e.kind() == Some(ObjectType::Tree)) {
                    let inner = self.repository.find_tree(entry.id());
                    let inner = inner.map_err(|e| self.corrupt(&e))?;
                    self.nodes_in(&inner, &paths[..count], below.len(), is_stray, found)?;
                }
            } else if let Some(entry) = entry.filter(|e| e.kind() != Some(ObjectType::Tree)) {
                found.push(Node {
                    path: first.to_vec(),
                    oid: entry.id().to_string(),
                    kind: kind_of(entry.filemode()),
                });
            }
            paths = &paths[count..];
        }
        Ok(())
    }

    /// Everything below a directory of a tree; an empty path means all. `visit` says whether to go on.
    pub(crate) fn walk(
        &self,
        tree: &str,
        below: &[u8],
        visit: &mut dyn FnMut(Node) -> bool,
    ) -> Result<bool> {
        let mut tree = self.tree(tree)?;
        for component in below.split(|b| *b == b'/').filter(|c| !c.is_empty()) {
            let found = tree.get_name_bytes(component);
            let Some(oid) = found
                .filter(|e| e.kind() == Some(ObjectType::Tree))
                .map(|e| e.id())
            else {
                return Ok(true);
            };
            tree = self
                .repository
                .find_tree(oid)
                .map_err(|e| self.corrupt(&e))?;
        }
        let mut path = below.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        self.walk_tree(&tree, &mut path, 0, visit)
    }

    fn walk_tree(
        &self,
        tree: &Tree<'_>,
        path: &mut Vec<u8>,
        depth: usize,
        visit: &mut dyn FnMut(Node) -> bool,
    ) -> Result<bool> {
        for entry in tree {
            let length = path.len();
            path.extend_from_slice(entry.name_bytes());
            let goes_on = self.walk_entry(&entry, path, depth, visit)?;
            path.truncate(length);
            if !goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// An entry whose path is `path`: itself, or everything below it.
    fn walk_entry(
        &self,
        entry: &TreeEntry<'_>,
        path: &mut Vec<u8>,
        depth: usize,
        visit: &mut dyn FnMut(Node) -> bool,
    ) -> Result<bool> {
        if entry.kind() == Some(ObjectType::Tree) && depth < DEEPEST {
            let inner = self.repository.find_tree(entry.id());
            let inner = inner.map_err(|e| self.corrupt(&e))?;
            path.push(b'/');
            self.walk_tree(&inner, path, depth + 1, visit)
        } else {
            Ok(visit(Node {
                path: path.clone(),
                oid: entry.id().to_string(),
                kind: kind_of(entry.filemode()),
            }))
        }
    }

    /// The bytes of a blob of at most `limit` bytes; its size where it is larger.
    pub(crate) fn blob(&self, oid: &str, limit: usize) -> Result<Result<Vec<u8>, usize>> {
        let odb = self.repository.odb().map_err(|e| self.corrupt(&e))?;
        let oid = self.oid(oid)?;
        let (size, _) = odb.read_header(oid).map_err(|e| self.corrupt(&e))?;
        if size > limit {
            return Ok(Err(size));
        }
        let object = odb.read(oid).map_err(|e| self.corrupt(&e))?;
        Ok(Ok(object.data().to_vec()))
    }

    /// Writes a tree: `base` with these files put in, and these taken out.
    pub(crate) fn write_tree(
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

    /// Writes a commit on top of another.
    pub(crate) fn write_commit(
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
        // Angle brackets would end the name for whoever parses the commit.
        let plain = |text: &str| text.replace(['<', '>', '\n'], "").trim().to_owned();
        let (name, mail) = (plain(author.0), plain(author.1));
        let name = if name.is_empty() {
            "git-latch".to_owned()
        } else {
            name
        };
        let mail = if mail.is_empty() {
            "git-latch".to_owned()
        } else {
            mail
        };
        let who = Signature::new(&name, &mail, &Time::new(now.timestamp(), 0))
            .map_err(|e| self.corrupt(&e))?;
        self.repository
            .commit(None, &who, &who, message, &tree, &parents)
            .map(|oid| oid.to_string())
            .map_err(|e| self.corrupt(&e))
    }
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Objects are not hashed again each time they are read, as git does not do it either: git has checked them when they came.
fn trust_the_disk() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| git2::opts::strict_hash_verification(false));
}

fn revision(commit: &Commit<'_>) -> Revision {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Revision {
        commit: commit.id().to_string(),
        tree: commit.tree_id().to_string(),
        message: text(commit.message_bytes()),
        at: DateTime::from_timestamp(commit.time().seconds(), 0).unwrap_or_default(),
        parents: commit.parent_ids().map(|oid| oid.to_string()).collect(),
        committer: text(commit.committer().email_bytes()),
    }
}

fn kind_of(mode: i32) -> NodeKind {
    if mode == i32::from(FileMode::Blob) || mode == i32::from(FileMode::BlobExecutable) {
        NodeKind::File
    } else {
        NodeKind::Odd
    }
}

fn corrupt(path: &Path, error: &git2::Error) -> Error {
    Error::Corrupt {
        path: path.to_owned(),
        problem: error.message().to_owned(),
    }
}
