//! Edits against locks: what a hook rejects. Pure.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::edits::{Commit, Edit};
use crate::error::Code;
use crate::lock::{Lock, is_or_below};
use crate::path::{Claim, Key, Kind};
use crate::view::{Entry, Me, Standing, View};

/// An edit that is not allowed.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The path.
    pub path: Vec<u8>,
    /// [`Code::Held`] by another, or [`Code::Required`]: not locked by me.
    pub code: Code,
    /// Whose lock it is, if anybody's.
    pub holder: Option<Entry>,
    /// The commit that edits it; `None` for the one to come.
    pub commit: Option<Arc<Commit>>,
}

/// As whom edits are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// As the one who commits or pushes.
    Me,
    /// Each commit as its author, whose locks count in every workspace of theirs (`check --range`, in CI).
    Author,
}

/// What to ask a store for.
#[must_use]
pub fn claims(edits: &[Edit]) -> Vec<Claim> {
    let mut seen = HashSet::new();
    let keys = edits.iter().map(|edit| Key::of(&edit.path));
    keys.filter(|key| seen.insert(key.clone()))
        .map(|key| Claim {
            key,
            kind: Kind::File,
        })
        .collect()
}

/// The edits that others' locks, or the rule that a lock is required, forbid: one for each path, by path.
///
/// A commit authored by a lock's owner and pushed by somebody else accuses nobody: integrators push the owner's own work.
/// Where pusher and owner are one person, the workspace counts. What is required is asked of one's own commits only.
#[must_use]
pub fn judge(
    view: &View,
    me: &Me,
    who: As,
    edits: &[Edit],
    is_required: &dyn Fn(&[u8]) -> bool,
) -> Vec<Violation> {
    let mut found: BTreeMap<&[u8], Violation> = BTreeMap::new();
    for edit in edits {
        if found.contains_key(edit.path.as_slice()) {
            continue;
        }
        if let Some((code, holder)) = judge_one(view, me, who, edit, is_required) {
            let violation = Violation {
                path: edit.path.clone(),
                code,
                holder: holder.cloned(),
                commit: edit.commit.clone(),
            };
            found.insert(&edit.path, violation);
        }
    }
    found.into_values().collect()
}

fn judge_one<'a>(
    view: &'a View,
    me: &Me,
    who: As,
    edit: &Edit,
    is_required: &dyn Fn(&[u8]) -> bool,
) -> Option<(Code, Option<&'a Entry>)> {
    let key = Key::of(&edit.path);
    let author = edit.commit.as_deref().map(|c| c.author.as_str());
    let mut has_lock = false;
    for entry in view.covering(&key) {
        if view.standing(entry) == Standing::Expired {
            continue;
        }
        let is_own = entry.lock().is_some_and(|lock| match (who, author) {
            (As::Author, Some(author)) => is_same_person(&lock.owner.id, author),
            _ => me.owns(lock),
        });
        has_lock |= is_own;
        if !is_own
            && !entry
                .lock()
                .is_some_and(|lock| is_owners_work(me, lock, author))
        {
            return Some((Code::Held, Some(entry)));
        }
    }
    let is_mine = match (who, author) {
        (As::Me, Some(author)) => is_same_person(&me.owner.id, author),
        _ => true,
    };
    (is_mine && !has_lock && is_required(&edit.path)).then_some((Code::Required, None))
}

/// Whether the ids are one person's, agents or not.
fn is_same_person(a: &str, b: &str) -> bool {
    is_or_below(a, b) || is_or_below(b, a)
}

/// Whether the lock's owner made the commit, and somebody else pushes it.
fn is_owners_work(me: &Me, lock: &Lock, author: Option<&str>) -> bool {
    author.is_some_and(|author| is_same_person(&lock.owner.id, author))
        && !is_same_person(&lock.owner.id, &me.owner.id)
}
