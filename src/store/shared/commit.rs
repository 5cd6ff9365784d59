//! The commit of a change: its tree, its words, its trailers.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::str::FromStr;

use super::SharedStore;
use crate::git::repo::{Objects, Revision, Writer};
use crate::rules::error::Result;
use crate::rules::event::{Author, Event, Happening};
use crate::rules::lease::Change;
use crate::rules::lock::{LeaseId, check_reason};
use crate::rules::path::Place;
use crate::rules::view::{Entry, View};
use crate::store::{Decision, place_of};

/// The trailer of every commit: the number of the change.
const SEQ: &str = "Latch-Seq: ";
/// The trailer that counts the commits below: when it is time to drop them, nobody has to walk them all.
const DEPTH: &str = "Latch-Depth: ";
/// The trailer that tells whose turn it was.
const WORKSPACE: &str = "Latch-Workspace: ";
/// The trailer of a change that a server made for several people: each did what was done to their own locks, but for ...
const SERVED: &str = "Latch-Served: several";
/// ... what this trailer names: a lease that somebody else removed, with their id and name.
const BY: &str = "Latch-By: ";

/// The trailer that tells why a lease was removed, in the words of who did it.
const WHY: &str = "Latch-Why: ";
/// How much of a message such words may take: nobody takes in a message of any length.
const MOST_WORDS: usize = 32 << 10;

/// The trailer of a commit that drops the history: where that ended.
const COMPACTS: &str = "Latch-Compacts: ";

/// The commit whose history a message says to have dropped.
pub(super) fn compacted_by(message: &str) -> Option<&str> {
    message.lines().find_map(|line| line.strip_prefix(COMPACTS))
}

/// From how many commits on the history is dropped.
pub(crate) const LONG: u64 = 10_000;
/// After how many more commits that is tried again.
pub(super) const TRIED_AGAIN: u64 = 1_000;
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

/// A change to write down.
pub(super) struct Draft<'a> {
    /// What it follows on.
    pub(super) tip: Option<&'a Revision>,
    /// What was there before.
    pub(super) view: &'a View,
    /// The steps.
    pub(super) changes: &'a [Change],
    /// Who makes it.
    pub(super) author: Author,
    /// Who asked for which of the steps, where that is somebody else.
    pub(super) on_behalf: &'a [(Place, Author)],
}

impl Draft<'_> {
    /// Writes tree and commit; gives the commit's id.
    pub(super) fn write(&self, to: &Writer<'_>) -> Result<String> {
        let mut put = Vec::new();
        let mut take = Vec::new();
        for change in self.changes {
            match change {
                Change::Acquire(lock) | Change::Renew(lock) => {
                    let place = place_of(lock)?;
                    put.push((place.as_bytes().to_vec(), lock.to_toml().into_bytes()));
                }
                Change::Remove { place, .. } => take.push(place.as_bytes().to_vec()),
            }
        }
        let base = self.tip.map(|tip| tip.tree.as_str());
        let parent = self.tip.map(|tip| tip.commit.as_str());
        let tree = to.write_tree(base, &put, &take)?;
        let (author, text) = self.signed();
        let signature = (author.name.as_str(), author.id.as_str());
        to.write_commit(&tree, parent, &text, signature, self.view.now)
    }

    /// The commit's author and message.
    fn signed(&self) -> (&Author, String) {
        let depth = self.tip.map_or(0, |tip| depth_of(tip).saturating_add(1));
        let workspace = workspace_of(self.view, self.changes);
        let words = what_happened(self.view, self.changes);
        let mut text = message(&words, self.view.next_seq(), depth, workspace);
        text.push_str(&notes(self.view, self.changes));
        let mut authors = self.on_behalf.iter().map(|(_, author)| author);
        let first = authors.next();
        match first {
            Some(one) if authors.all(|other| other == one) => return (one, text),
            None => return (&self.author, text),
            Some(_) => {}
        }
        text.push_str(SERVED);
        text.push('\n');
        // Who removed a lock that was not theirs; of everything else the lock itself tells who it was.
        let filled: BTreeSet<Place> = self.changes.iter().filter_map(Change::fills).collect();
        let removed = self.on_behalf.iter().filter(|(p, _)| !filled.contains(p));
        for (place, by) in removed {
            let lock = self.view.at(place).and_then(Entry::lock);
            if let Some(lock) = lock.filter(|lock| lock.owner.id != by.id) {
                let _ = writeln!(text, "{BY}{} {}\t{}", lock.lease, by.id, by.name);
            }
        }
        (&self.author, text)
    }
}

/// A trailer for each lock that was removed with words about it.
fn notes(view: &View, changes: &[Change]) -> String {
    let mut text = String::new();
    for change in changes {
        let Change::Remove {
            place,
            note: Some(note),
            ..
        } = change
        else {
            continue;
        };
        if let Some(lock) = view.at(place).and_then(Entry::lock)
            && text.len() + note.len() < MOST_WORDS
            && !note.chars().any(char::is_control)
        {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{WHY}{} {note}", lock.lease);
        }
    }
    text
}

/// Why a lease was removed, by the message of the change.
pub(super) fn why(message: &str, lease: &LeaseId) -> Option<String> {
    message.lines().find_map(|line| {
        let (named, words) = line.strip_prefix(WHY)?.split_once(' ')?;
        let is_sentence = check_reason(words).is_ok();
        (named == lease.as_str() && is_sentence).then(|| words.to_owned())
    })
}

/// Whether a message says that the change was made for several people.
pub(crate) fn is_for_others(message: &str) -> bool {
    message.lines().any(|line| line == SERVED)
}

/// Who made what happened to a lock, by the message of the change; `None` where that is its author.
pub(super) fn asked_by(message: &str, event: &Event) -> Option<Author> {
    if !is_for_others(message) {
        return None;
    }
    let lock = event.lock.lock()?;
    let told = message.lines().find_map(|line| {
        let (lease, who) = line.strip_prefix(BY)?.split_once(' ')?;
        let (id, name) = who.split_once('\t')?;
        (lease == lock.lease.as_str()).then(|| Author {
            id: id.to_owned(),
            name: name.to_owned(),
        })
    });
    let is_owners = event.happening != Happening::Expired;
    told.or_else(|| is_owners.then(|| Author::from(&lock.owner)))
}

impl SharedStore {
    /// Writes the commit of a change; gives its id.
    pub(super) fn commit(
        &self,
        objects: &Objects,
        tip: Option<&Revision>,
        view: &View,
        decision: &Decision,
    ) -> Result<String> {
        let draft = Draft {
            tip,
            view,
            changes: &decision.changes,
            author: self.signature(),
            on_behalf: &decision.on_behalf,
        };
        if decision.changes.len() > MANY {
            objects.in_bulk(|to| draft.write(to))
        } else {
            draft.write(&objects.writer()?)
        }
    }

    /// Writes a commit that has a tip's locks and no history.
    pub(super) fn root(&self, objects: &Objects, tip: &Revision, view: &View) -> Result<String> {
        root(&objects.writer()?, tip, view, &self.signature())
    }

    fn signature(&self) -> Author {
        self.author
            .as_ref()
            .map_or_else(Author::default, Author::from)
    }
}

/// Writes a commit that has a tip's locks and no history.
pub(super) fn root(
    to: &Writer<'_>,
    tip: &Revision,
    view: &View,
    author: &Author,
) -> Result<String> {
    let mut message = message("compact: the history ends here", view.next_seq(), 0, None);
    let _ = writeln!(message, "{COMPACTS}{}", tip.commit);
    to.write_commit(
        &tip.tree,
        None,
        &message,
        (&author.name, &author.id),
        view.now,
    )
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
            let lock = view.at(place)?.lock()?;
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
