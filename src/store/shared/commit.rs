//! The commit of a change: its tree, its words, its trailers.

use super::SharedStore;
use crate::error::{Error, Result};
use crate::lease::Change;
use crate::repo::{Objects, Revision};
use crate::view::{Entry, View};

/// The trailer of every commit: the number of the change.
const SEQ: &str = "Latch-Seq: ";
/// The trailer that counts the commits below: when it is time to drop them, nobody has to walk them all.
const DEPTH: &str = "Latch-Depth: ";

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

fn trailer(message: &str, name: &str) -> u64 {
    let mut lines = message.lines().rev();
    lines
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .unwrap_or(0)
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
        let tree = objects.write_tree(tip.map(|t| t.tree.as_str()), &put, &take)?;
        let depth = tip.map_or(0, |tip| depth_of(tip).saturating_add(1));
        let message = message(&what_happened(view, changes), view.next_seq(), depth);
        let parent = tip.map(|t| t.commit.as_str());
        objects.write_commit(&tree, parent, &message, self.signature(), view.now)
    }

    /// Writes a commit that has a tip's locks and no history.
    pub(super) fn root(&self, objects: &Objects, tip: &Revision, view: &View) -> Result<String> {
        let message = message("compact: the history ends here", view.next_seq(), 0);
        objects.write_commit(&tip.tree, None, &message, self.signature(), view.now)
    }

    fn signature(&self) -> (&str, &str) {
        self.author.as_ref().map_or(("", ""), |o| (&o.name, &o.id))
    }
}

fn message(words: &str, seq: u64, depth: u64) -> String {
    format!("{words}\n\n{SEQ}{seq}\n{DEPTH}{depth}\n")
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
