//! The objects of a bare repository of our own: its commits and refs.

use std::path::{Path, PathBuf};
use std::sync::Once;

use chrono::{DateTime, Utc};
use git2::{Commit, Odb, Oid, Repository};

use crate::rules::error::{Error, Result};
use crate::rules::path::RepoPath;

/// The objects of one bare repository.
pub(crate) struct Objects {
    pub(super) repository: Repository,
    pub(super) path: PathBuf,
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
    /// Its author's mail address.
    pub(crate) author: String,
    /// When it was made, by its author's clock.
    pub(crate) authored_at: DateTime<Utc>,
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

    /// Those of a repository that is open.
    pub(super) fn of(repository: Repository, path: &Path) -> Self {
        trust_the_disk();
        Objects {
            repository,
            path: path.to_owned(),
        }
    }

    pub(super) fn corrupt(&self, error: &git2::Error) -> Error {
        corrupt(&self.path, error)
    }

    pub(super) fn oid(&self, hex: &str) -> Result<Oid> {
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

    /// The commit that `HEAD` names; `None` where there is none yet.
    pub(crate) fn head(&self) -> Option<String> {
        let head = self.repository.refname_to_id("HEAD").ok()?;
        Some(head.to_string())
    }

    /// Whether a path is a directory in a commit.
    pub(crate) fn is_directory(&self, commit: &str, path: &RepoPath) -> Result<bool> {
        if path.is_root() {
            return Ok(true);
        }
        let commit = self.repository.find_commit(self.oid(commit)?);
        let tree = commit.and_then(|commit| commit.tree());
        let tree = tree.map_err(|e| self.corrupt(&e))?;
        match tree.get_path(Path::new(path.as_str())) {
            Ok(entry) => Ok(entry.kind() == Some(git2::ObjectType::Tree)),
            Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(false),
            Err(e) => Err(self.corrupt(&e)),
        }
    }

    /// How many bytes an object has, without reading it.
    pub(crate) fn size(&self, oid: &str) -> Result<usize> {
        let odb = self.repository.odb().map_err(|e| self.corrupt(&e))?;
        let header = odb.read_header(self.oid(oid)?);
        header.map(|(size, _)| size).map_err(|e| self.corrupt(&e))
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

    /// Whether a commit goes on from somewhere before another one: they have a history in common, and the other one is
    /// not in it. Of a history that was dropped nobody can tell.
    pub(crate) fn has_left(&self, other: &str, commit: &str) -> Result<bool> {
        let base = self.merge_base(other, commit)?;
        let other = self.oid(other)?;
        Ok(base.is_some_and(|base| base != other))
    }

    /// Whether the histories of two commits meet.
    pub(crate) fn have_a_common_base(&self, one: &str, other: &str) -> Result<bool> {
        Ok(self.merge_base(one, other)?.is_some())
    }

    /// Where the histories of two commits meet.
    fn merge_base(&self, one: &str, other: &str) -> Result<Option<git2::Oid>> {
        let (one, other) = (self.oid(one)?, self.oid(other)?);
        match self.repository.merge_base(one, other) {
            Ok(base) => Ok(Some(base)),
            Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(e) => Err(self.corrupt(&e)),
        }
    }

    /// The commits of a history, newest first along the first parents, at most `limit`.
    pub(crate) fn history(&self, tip: &Revision, limit: usize) -> Result<Vec<Past>> {
        self.history_to(tip, limit, |_| false)
    }

    /// The same, no further than to the first commit that is `known`.
    pub(crate) fn history_to(
        &self,
        tip: &Revision,
        limit: usize,
        is_known: impl Fn(&Past) -> bool,
    ) -> Result<Vec<Past>> {
        let mut all: Vec<Past> = Vec::new();
        let mut next = Some(self.oid(&tip.commit)?);
        while let Some(oid) =
            next.filter(|_| all.len() < limit && !all.last().is_some_and(&is_known))
        {
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

    /// Removes a ref.
    pub(crate) fn remove(&self, reference: &str) -> Result<()> {
        match self.repository.find_reference(reference) {
            Ok(mut found) => found.delete().map_err(|e| self.corrupt(&e)),
            Err(_) => Ok(()),
        }
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
        at: moment(commit.time()),
        parents: commit.parent_ids().map(|oid| oid.to_string()).collect(),
        committer: text(commit.committer().email_bytes()),
        author: text(commit.author().email_bytes()),
        authored_at: moment(commit.author().when()),
    }
}

fn moment(time: git2::Time) -> DateTime<Utc> {
    DateTime::from_timestamp(time.seconds(), 0).unwrap_or_default()
}

fn corrupt(path: &Path, error: &git2::Error) -> Error {
    Error::Corrupt {
        path: path.to_owned(),
        problem: error.message().to_owned(),
    }
}
