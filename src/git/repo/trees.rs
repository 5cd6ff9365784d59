//! Reading trees and blobs: whole ones, single paths, differences.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use git2::{FileMode, ObjectType, Oid, Tree, TreeEntry};

use super::Objects;
use crate::rules::error::Result;

/// The deepest tree that is read: deeper than any path that can be locked.
const DEEPEST: usize = 2048;

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

/// What was found different.
struct Found {
    all: Vec<Differing>,
    /// How many are wanted at most.
    limit: usize,
}

impl Found {
    /// Whether there are more.
    fn is_full(&self) -> bool {
        self.all.len() > self.limit
    }
}

impl Objects {
    /// The files in which two trees differ, by path: what each has there. Costs by what differs: directories that are the
    /// same in both are not opened, which libgit2's own comparison does.
    pub(crate) fn differing(&self, old: Option<&str>, new: &str) -> Result<Vec<Differing>> {
        let all = self.differing_up_to(old, new, usize::MAX)?;
        Ok(all.unwrap_or_default())
    }

    /// The same; `None` where it is more than `limit` files, of which no more are looked at.
    pub(crate) fn differing_up_to(
        &self,
        old: Option<&str>,
        new: &str,
        limit: usize,
    ) -> Result<Option<Vec<Differing>>> {
        let old = old.map(|tree| self.tree(tree)).transpose()?;
        let new = self.tree(new)?;
        let mut found = Found {
            all: Vec::new(),
            limit,
        };
        self.compare(old.as_ref(), Some(&new), &mut Vec::new(), 0, &mut found)?;
        if found.is_full() {
            return Ok(None);
        }
        found.all.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Some(found.all))
    }

    /// The same of two directories whose path is `path`.
    fn compare(
        &self,
        old: Option<&Tree<'_>>,
        new: Option<&Tree<'_>>,
        path: &mut Vec<u8>,
        depth: usize,
        found: &mut Found,
    ) -> Result<()> {
        let (before, after) = (sides(old), sides(new));
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        for name in after.keys().chain(gone) {
            let (old, new) = (before.get(name), after.get(name));
            if old == new {
                continue;
            }
            if found.is_full() {
                return Ok(());
            }
            let length = path.len();
            path.extend_from_slice(name);
            let file = |side: Option<&Side>| {
                let side = side.filter(|side| !side.is_tree || depth >= DEEPEST);
                side.map(|side| (side.oid.to_string(), kind_of(side.mode)))
            };
            let tree = |side: Option<&Side>| {
                let side = side.filter(|side| side.is_tree && depth < DEEPEST);
                let tree = side.map(|side| self.repository.find_tree(side.oid));
                tree.transpose().map_err(|e| self.corrupt(&e))
            };
            let (was, is) = (file(old), file(new));
            if was.is_some() || is.is_some() {
                found.all.push(Differing {
                    path: path.clone(),
                    old: was,
                    new: is,
                });
            }
            let (old, new) = (tree(old)?, tree(new)?);
            if old.is_some() || new.is_some() {
                path.push(b'/');
                self.compare(old.as_ref(), new.as_ref(), path, depth + 1, found)?;
            }
            path.truncate(length);
        }
        Ok(())
    }

    /// Whether the directories of `new` that `old` does not have are as git writes them: sorted, each name once,
    /// no directory empty. What
    /// is not would be read in one way here and in another elsewhere.
    pub(crate) fn is_in_order(&self, old: Option<&str>, new: &str) -> Result<bool> {
        let old = old.map(|tree| self.tree(tree)).transpose()?;
        self.is_tree_in_order(old.as_ref(), &self.tree(new)?, 0)
    }

    fn is_tree_in_order(
        &self,
        old: Option<&Tree<'_>>,
        new: &Tree<'_>,
        depth: usize,
    ) -> Result<bool> {
        let mut last: Option<Vec<u8>> = None;
        let mut names = HashSet::new();
        for entry in new {
            let is_tree = entry.kind() == Some(ObjectType::Tree);
            // As git sorts: a directory as if its name ended in a slash.
            let mut key = entry.name_bytes().to_vec();
            let is_odd = key.is_empty() || key.contains(&b'/');
            let is_twice = !names.insert(key.clone());
            if is_tree {
                key.push(b'/');
            }
            if is_odd
                || is_twice
                || last.as_ref().is_some_and(|last| *last >= key)
                || depth >= DEEPEST
            {
                return Ok(false);
            }
            last = Some(key);
            let before = old.and_then(|old| old.get_name_bytes(entry.name_bytes()));
            let before = before.map(|before| before.id());
            if !is_tree || before == Some(entry.id()) {
                continue;
            }
            let find = |oid| self.repository.find_tree(oid).map_err(|e| self.corrupt(&e));
            // What was no directory before is all new.
            let before = before.and_then(|oid| find(oid).ok());
            let inner = find(entry.id())?;
            // An empty one is a lock that nobody has, and in everybody's way.
            if inner.is_empty() || !self.is_tree_in_order(before.as_ref(), &inner, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The files in which two trees differ; an empty id is the tree without entries.
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

    pub(super) fn tree(&self, tree: &str) -> Result<Tree<'_>> {
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
}

/// What one of two directories has under a name.
#[derive(PartialEq, Eq)]
struct Side {
    oid: Oid,
    mode: i32,
    is_tree: bool,
}

/// What a directory has, by name.
fn sides(tree: Option<&Tree<'_>>) -> BTreeMap<Vec<u8>, Side> {
    let entries = tree.into_iter().flatten();
    let side = |entry: TreeEntry<'_>| {
        let side = Side {
            oid: entry.id(),
            mode: entry.filemode(),
            is_tree: entry.kind() == Some(ObjectType::Tree),
        };
        (entry.name_bytes().to_vec(), side)
    };
    entries.map(side).collect()
}

fn kind_of(mode: i32) -> NodeKind {
    if mode == i32::from(FileMode::Blob) || mode == i32::from(FileMode::BlobExecutable) {
        NodeKind::File
    } else {
        NodeKind::Odd
    }
}
