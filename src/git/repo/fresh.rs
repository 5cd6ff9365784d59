//! The commits that a push brings, read without a process of git where they are few and plain: most pushes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use git2::{Commit, ErrorCode, ObjectType, Oid, Repository};

use super::{Objects, Repo};

/// How many refs of the remote, and how many commits, are looked at before git is left to it: it has an index of the
/// commits, where there are many.
const REFS: usize = 64;
const COMMITS: usize = 128;
/// How many commits are looked at beyond those that seem to be enough, as git does: somebody's clock may have been wrong.
const BEYOND: usize = 5;

/// What a commit edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fresh {
    /// Its id.
    pub(crate) oid: String,
    /// Its author's mail address.
    pub(crate) author: String,
    /// The paths in which it differs from each of its parents.
    pub(crate) paths: Vec<Vec<u8>>,
}

impl Repo {
    /// What the commits edit that are in the history of `tips`, and neither in that of `known` nor of any ref below
    /// `prefix`; oldest first. Objects that are no commits, or not here, count for nothing.
    ///
    /// `None` where only git can tell: there is no such ref, there is too much to look at, history ends too early (a shallow
    /// clone), or objects are missing (a partial one).
    pub(crate) fn fresh(&self, tips: &[&str], known: &[&str], prefix: &str) -> Option<Vec<Fresh>> {
        if self.history_may_be_cut() || prefix.contains(['*', '?', '[', '\\']) {
            return None;
        }
        let objects = Objects::of(self.by_libgit2()?, &self.git_dir);
        let mut walk = Walk::new(&objects.repository);
        for tip in tips {
            walk.begin_at(tip, false)?;
        }
        for tip in known {
            walk.begin_at(tip, true)?;
        }
        walk.begin_at_refs(prefix)?;
        let fresh = walk.walked()?;
        let told = |commit: &Commit<'_>| {
            Some(Fresh {
                oid: commit.id().to_string(),
                author: author(commit)?,
                paths: edited(&objects, commit)?,
            })
        };
        fresh.iter().rev().map(told).collect()
    }

    /// Whether commits may have other parents than they say, or lack them.
    fn history_may_be_cut(&self) -> bool {
        let files = ["shallow", "info/grafts"];
        let variables = ["GIT_SHALLOW_FILE", "GIT_GRAFT_FILE"];
        files.iter().any(|file| self.common_dir.join(file).exists())
            || variables
                .iter()
                .any(|name| std::env::var_os(name).is_some())
    }
}

/// A walk from commits into their past, newest first.
struct Walk<'r> {
    repository: &'r Repository,
    /// The commits that were met, and whether the remote has them.
    is_known: HashMap<Oid, bool>,
    /// Those to be looked at, by their time; of the same time the first that was met comes first, as with git.
    next: BinaryHeap<(i64, Reverse<usize>, Oid)>,
    /// Those that were looked at and that the remote does not have.
    fresh: Vec<Commit<'r>>,
}

impl<'r> Walk<'r> {
    fn new(repository: &'r Repository) -> Self {
        Walk {
            repository,
            is_known: HashMap::new(),
            next: BinaryHeap::new(),
            fresh: Vec::new(),
        }
    }

    /// Begins at the commit that an object is, or that it is a tag of, if it is here.
    fn begin_at(&mut self, oid: &str, is_known: bool) -> Option<()> {
        let object = match self.repository.find_object(Oid::from_str(oid).ok()?, None) {
            Ok(object) => object,
            Err(e) if e.code() == ErrorCode::NotFound => return Some(()),
            Err(_) => return None,
        };
        match object.peel(ObjectType::Commit) {
            Ok(commit) => self.meet(commit.id(), is_known),
            Err(_) => Some(()),
        }
    }

    /// Begins at the commits of the remote's refs. There must be some, or the remote itself is to be asked.
    fn begin_at_refs(&mut self, prefix: &str) -> Option<()> {
        let refs = self.repository.references_glob(&format!("{prefix}*"));
        let mut has_any = false;
        for (count, found) in refs.ok()?.enumerate() {
            if count == REFS {
                return None;
            }
            let commit = found.and_then(|found| found.peel_to_commit());
            self.meet(commit.ok()?.id(), true)?;
            has_any = true;
        }
        has_any.then_some(())
    }

    /// Notes a commit to look at. `None` where it was taken for fresh already: the times of its children are wrong.
    fn meet(&mut self, oid: Oid, is_known: bool) -> Option<()> {
        if let Some(known) = self.is_known.get_mut(&oid) {
            if is_known && !*known && self.fresh.iter().any(|commit| commit.id() == oid) {
                return None;
            }
            *known |= is_known;
            return Some(());
        }
        if self.is_known.len() == COMMITS {
            return None;
        }
        let commit = self.repository.find_commit(oid).ok()?;
        let order = Reverse(self.is_known.len());
        self.is_known.insert(oid, is_known);
        self.next.push((commit.time().seconds(), order, oid));
        Some(())
    }

    /// The fresh commits, newest first.
    fn walked(mut self) -> Option<Vec<Commit<'r>>> {
        let mut beyond = 0;
        while let Some((_, _, oid)) = self.next.pop() {
            let commit = self.repository.find_commit(oid).ok()?;
            let is_known = self.is_known[&oid];
            for parent in commit.parent_ids() {
                self.meet(parent, is_known)?;
            }
            if !is_known {
                self.fresh.push(commit);
            }
            beyond = if self.is_settled() { beyond + 1 } else { 0 };
            if beyond > BEYOND {
                break;
            }
        }
        Some(self.fresh)
    }

    /// Whether all that is left to look at is known, and older than what is fresh.
    fn is_settled(&self) -> bool {
        let oldest = self.fresh.last().map_or(i64::MAX, |c| c.time().seconds());
        let mut left = self.next.iter();
        left.all(|(time, _, oid)| self.is_known[oid] && *time < oldest)
    }
}

/// Its mail address as git reads it; `None` where git would have to translate it.
fn author(commit: &Commit<'_>) -> Option<String> {
    let mut lines = commit.raw_header_bytes().split(|b| *b == b'\n');
    if lines.clone().any(|line| line.starts_with(b"encoding ")) {
        return None;
    }
    let line = lines.find_map(|line| line.strip_prefix(b"author "))?;
    let rest = line.splitn(2, |b| *b == b'<').nth(1)?;
    let end = rest.iter().position(|b| *b == b'>')?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

/// The paths in which a commit differs from each of its parents, or that are in one without.
fn edited(objects: &Objects, commit: &Commit<'_>) -> Option<Vec<Vec<u8>>> {
    let tree = commit.tree_id().to_string();
    let mut parents = commit.parents();
    let before = parents.next().map(|parent| parent.tree_id().to_string());
    let differing = objects.differing(before.as_deref(), &tree).ok()?;
    let mut paths: Vec<Vec<u8>> = differing.into_iter().map(|d| d.path).collect();
    for parent in parents {
        let differing = objects.differing(Some(&parent.tree_id().to_string()), &tree);
        let differing: HashSet<Vec<u8>> = differing.ok()?.into_iter().map(|d| d.path).collect();
        paths.retain(|path| differing.contains(path));
    }
    Some(paths)
}
