//! The commit of a change: its tree, its words, its trailers.

use std::str::FromStr;

use super::SharedStore;
use crate::error::{Error, Result};
use crate::lease::Change;
use crate::repo::{Objects, Revision};
use crate::view::{Entry, View};

/// The trailer of every commit: the number of the change.
const SEQ: &str = "Latch-Seq: ";
/// The trailer that counts the commits below: when it is time to drop them, nobody has to walk them all.
const DEPTH: &str = "Latch-Depth: ";
/// The trailer that tells whose turn it was.
const WORKSPACE: &str = "Latch-Workspace: ";

/// From how many commits on the history is dropped.
pub(crate) const LONG: u64 = 10_000;
/// From how many locks on a change is written as one pack.
const MANY: usize = 32;

/// The number in a tip's trailer; 0 where it has none.
pub(crate) fn seq_of(tip: &Revision) -> u64 {
    seq_in(&tip.message)
}

/// The number in a message's trailer.
pub(super) fn seq_in(message: &str) -> u64 {
    trailer(message, SEQ)
}

/// How many commits a tip says to have below it.
pub(super) fn depth_of(tip: &Revision) -> u64 {
    trailer(&tip.message, DEPTH)
}

/// The workspace that a message says the change was made in.
pub(super) fn workspace_in(message: &str) -> String {
    trailer(message, WORKSPACE)
}

fn trailer<T: FromStr + Default>(message: &str, name: &str) -> T {
    let mut lines = message.lines().rev();
    lines
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .unwrap_or_default()
}

impl SharedStore {
    /// Writes the commit of a change; gives its id.
    pub(super) fn commit(
        &self,
        objects: &Objects,
        tip: Option<&Revision>,
        view: &View,
        changes: &[Change],
    ) -> Result<String> {
        let mut put = Vec::new();
        let mut take = Vec::new();
        for change in changes {
            match change {
                Change::Acquire(lock) | Change::Renew(lock) => {
                    let place = lock.claim().place().ok_or_else(|| {
                        Error::bad_path(lock.path.as_str(), "its lock's name would be too long")
                    })?;
                    put.push((place.as_bytes().to_vec(), lock.to_toml().into_bytes()));
                }
                Change::Remove { place, .. } => take.push(place.as_bytes().to_vec()),
            }
        }
        let depth = tip.map_or(0, |tip| depth_of(tip).saturating_add(1));
        let workspace = workspace_of(view, changes);
        let words = what_happened(view, changes);
        let message = message(&words, view.next_seq(), depth, workspace);
        let (base, parent) = (tip.map(|t| t.tree.as_str()), tip.map(|t| t.commit.as_str()));
        let write = |objects: &Objects| {
            let tree = objects.write_tree(base, &put, &take)?;
            objects.write_commit(&tree, parent, &message, self.signature(), view.now)
        };
        if changes.len() > MANY {
            Objects::in_bulk(&self.store(), write)
        } else {
            write(objects)
        }
    }

    /// Writes a commit that has a tip's locks and no history.
    pub(super) fn root(&self, objects: &Objects, tip: &Revision, view: &View) -> Result<String> {
        let message = message("compact: the history ends here", view.next_seq(), 0, None);
        objects.write_commit(&tip.tree, None, &message, self.signature(), view.now)
    }

    fn signature(&self) -> (&str, &str) {
        self.author.as_ref().map_or(("", ""), |o| (&o.name, &o.id))
    }
}

fn message(words: &str, seq: u64, depth: u64, workspace: Option<&str>) -> String {
    let workspace = workspace.map_or(String::new(), |id| format!("{WORKSPACE}{id}\n"));
    format!("{words}\n\n{SEQ}{seq}\n{DEPTH}{depth}\n{workspace}")
}

/// The workspace of the locks that a change takes, renews or gives back.
fn workspace_of<'a>(view: &'a View, changes: &'a [Change]) -> Option<&'a str> {
    let of = |change: &'a Change| match change {
        Change::Acquire(lock) | Change::Renew(lock) => lock.owner.workspace.as_deref(),
        Change::Remove { place, .. } => {
            let mut entries = view.entries();
            let lock = entries.find(|e| e.place == *place)?.lock()?;
            lock.owner.workspace.as_deref()
        }
    };
    let (mut taken, mut given) = (changes.iter(), changes.iter());
    taken
        .find_map(|change| change.fills().and_then(|_| of(change)))
        .or_else(|| given.find_map(of))
}

/// A change in words, for whoever reads the ref's history.
fn what_happened(view: &View, changes: &[Change]) -> String {
    let first = changes.iter().find_map(|change| match change {
        Change::Acquire(lock) => Some(("lock", lock.path.to_string())),
        Change::Renew(lock) => Some(("renew", lock.path.to_string())),
        Change::Remove { .. } => None,
    });
    let removed = changes.iter().find_map(|change| match change {
        Change::Remove { place, .. } => {
            let mut entries = view.entries();
            let entry = entries.find(|e| e.place == *place);
            Some(("unlock", entry.map_or_else(String::new, Entry::shown_path)))
        }
        _ => None,
    });
    let (verb, path) = first.or(removed).unwrap_or(("change", String::new()));
    match changes.len() {
        0 | 1 => format!("{verb} {path}"),
        n => format!("{verb} {path} and {} more", n - 1),
    }
}
