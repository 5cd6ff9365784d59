//! Edits against locks: which of them break a rule. Pure.
//!
//! An edit is held against whoever makes it if somebody else's lock covers its path, live or in its grace, readable or
//! not; and if the path may only be edited under one's own lock and there is none that lives. Commits are judged more
//! mildly: whose they are counts, not only who brings them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::rules::edit::{Commit, Edit};
use crate::rules::error::Code;
use crate::rules::lock::is_or_below;
use crate::rules::path::{Claim, Key, Kind};
use crate::rules::view::{Entry, Me, Standing, View};

/// An edit that breaks a rule.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The edited path, in git's bytes.
    pub path: Vec<u8>,
    /// [`Code::Held`] by somebody else, or [`Code::Required`]: only to be edited under a lock of one's own.
    pub code: Code,
    /// What stands against it, where it is held.
    pub holder: Option<Entry>,
    /// The first commit that breaks the rule; `None` for what is staged, and where refs are judged.
    pub commit: Option<Arc<Commit>>,
    /// The ref on which the path is edited, where refs are judged.
    pub reference: Option<String>,
}

/// Who answers for a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answerable {
    /// I do, who push it; what the holder wrote themselves I may push for them, and of what others wrote I need not
    /// hold the required locks.
    Me,
    /// Its author does, in whatever workspace.
    Author,
}

/// Judges edits: one violation a path, that of its first edit at fault, sorted by path.
///
/// Staged edits are always mine. A `me` without workspace is the person everywhere, as on a server. `required` says
/// whether a path may only be edited under a lock of one's own; it is asked only where that matters.
#[must_use]
pub(crate) fn judge(
    view: &View,
    me: &Me,
    edits: &[Edit],
    required: &dyn Fn(&[u8]) -> bool,
    answerable: Answerable,
) -> Vec<Violation> {
    let mut found: BTreeMap<&[u8], Violation> = BTreeMap::new();
    for edit in edits {
        let editor = match (&edit.commit, answerable) {
            (None, _) => Editor::Me(me),
            (Some(commit), Answerable::Me) => Editor::Pusher(me, &commit.author),
            (Some(commit), Answerable::Author) => Editor::Author(&commit.author),
        };
        let Some((code, holder)) = offence(view, editor, &edit.path, required) else {
            continue;
        };
        found.entry(&edit.path).or_insert_with(|| Violation {
            path: edit.path.clone(),
            code,
            holder: holder.cloned(),
            commit: edit.commit.clone(),
            reference: None,
        });
    }
    found.into_values().collect()
}

/// What to ask a store for, to judge these edits: each path's key once.
#[must_use]
pub(crate) fn claims(edits: &[Edit]) -> Vec<Claim> {
    claims_of(edits.iter().map(|edit| edit.path.as_slice()))
}

/// The same of their paths.
pub(crate) fn claims_of<'a>(paths: impl Iterator<Item = &'a [u8]>) -> Vec<Claim> {
    let keys: BTreeSet<Key> = paths.map(Key::of).collect();
    let claim = |key| Claim {
        key,
        kind: Kind::File,
    };
    keys.into_iter().map(claim).collect()
}

/// Whose edit it is.
#[derive(Clone, Copy)]
enum Editor<'a> {
    /// Mine.
    Me(&'a Me),
    /// That of an author, brought by me.
    Pusher(&'a Me, &'a str),
    /// That of an author.
    Author(&'a str),
}

impl Editor<'_> {
    /// Whether an entry is the editor's own lock.
    fn has(self, entry: &Entry) -> bool {
        match self {
            Editor::Me(me) | Editor::Pusher(me, _) => {
                let is_everywhere = me.owner.workspace.is_none();
                me.has(entry) || (is_everywhere && is_owned_by(entry, &me.owner.id))
            }
            Editor::Author(author) => is_owned_by(entry, author),
        }
    }

    /// Whether the holder wrote the commit and somebody else brings it. If the author's mail is mine as well, it does
    /// not tell which of us wrote it (a person in two workspaces, two agents under one git identity): the workspace
    /// counts, and an entry that is not my own stands against me.
    fn is_excused(self, entry: &Entry) -> bool {
        match self {
            Editor::Pusher(me, author) => {
                is_owned_by(entry, author) && !is_or_below(&me.owner.id, author)
            }
            Editor::Me(_) | Editor::Author(_) => false,
        }
    }

    /// Whether a lock that the path requires has to be the editor's.
    fn must_hold(self) -> bool {
        match self {
            Editor::Me(_) | Editor::Author(_) => true,
            Editor::Pusher(me, author) => is_or_below(&me.owner.id, author),
        }
    }
}

/// Whether an entry is a lock of this person or of an agent of theirs, in any workspace.
fn is_owned_by(entry: &Entry, person: &str) -> bool {
    entry
        .lock()
        .is_some_and(|lock| is_or_below(&lock.owner.id, person))
}

/// What stands against an edit of mine: one that is [`Code::Held`] has its holder.
pub(crate) fn on_mine<'v>(
    view: &'v View,
    me: &Me,
    path: &[u8],
    required: &dyn Fn(&[u8]) -> bool,
) -> Option<(Code, Option<&'v Entry>)> {
    offence(view, Editor::Me(me), path, required)
}

/// What is wrong with an edit of a path.
fn offence<'v>(
    view: &'v View,
    editor: Editor<'_>,
    path: &[u8],
    required: &dyn Fn(&[u8]) -> bool,
) -> Option<(Code, Option<&'v Entry>)> {
    let mut is_mine = false;
    for entry in view.covering(&Key::of(path)) {
        match view.standing(entry) {
            Standing::Expired => {}
            // In its grace only others still trust it.
            standing if editor.has(entry) => is_mine |= standing == Standing::Live,
            _ if editor.is_excused(entry) => {}
            _ => return Some((Code::Held, Some(entry))),
        }
    }
    let lacks = editor.must_hold() && !is_mine && required(path);
    lacks.then_some((Code::Required, None))
}

#[cfg(test)]
mod tests;
