//! Which edits of paths that require a lock needed none. The rule keeps two people from editing one file; it accuses nobody
//! of edits that no second person could have made, or that were made as it wants.
//!
//! - A new file: what no parent of a commit has, and what a remote does not have yet, nobody else can have edited.
//! - What is older than the rule: commits before the last one, of those that are pushed, that changes the rules.
//! - Where locks are on this machine alone, work is done once it is committed: what I wrote before my last lease on the path
//!   ended was written under it, as far as the record of the locks reaches.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};

use crate::git::edits;
use crate::latch::lockable::is_attributes_file;
use crate::latch::{Latch, policy};
use crate::rules::edit::Edit;
use crate::rules::error::{Code, Result};
use crate::rules::event::{Event, Happening};
use crate::rules::judge::Violation;
use crate::rules::lock::{LeaseId, Lock, is_or_below};
use crate::rules::path::Key;
use crate::rules::view::Entry;

/// The paths of the violations that want a lock.
fn required(violations: &[Violation]) -> HashSet<&[u8]> {
    let required = violations.iter().filter(|v| v.code == Code::Required);
    required.map(|v| v.path.as_slice()).collect()
}

/// The files that the next commit adds: no parent of it has them.
pub(super) fn added(
    latch: &Latch,
    merged: &[String],
    violations: &[Violation],
) -> Result<HashSet<Vec<u8>>> {
    let mut added: Vec<&[u8]> = required(violations).into_iter().collect();
    let merged = merged.iter().map(String::as_str);
    for parent in ["HEAD", "MERGE_HEAD"].into_iter().chain(merged) {
        let there = edits::contents(latch.repo(), parent, &added)?;
        added.retain(|path| !there.contains_key(*path));
    }
    Ok(added.into_iter().map(<[u8]>::to_vec).collect())
}

/// The edits of commits, oldest first, without those that needed no lock.
pub(super) fn without_excused(
    latch: &Latch,
    edits: &[Edit],
    violations: &[Violation],
) -> Result<Vec<Edit>> {
    let required = required(violations);
    let in_question: Vec<&Edit> = edits
        .iter()
        .filter(|edit| required.contains(edit.path.as_slice()))
        .collect();
    let new = new_files(latch, &in_question)?;
    let in_force = edits.iter().rposition(is_of_rules);
    let rules = in_force.and_then(|at| edits[at].commit.as_ref().map(|c| c.oid.as_str()));
    let leases = my_last_leases(latch)?;
    let written = if leases.is_empty() {
        HashMap::new()
    } else {
        let commits = in_question.iter().filter_map(|e| e.commit.as_ref());
        edits::written(latch.repo(), commits.map(|c| c.oid.as_str()))?
    };
    let is_excused = |(at, edit): (usize, &Edit)| {
        let oid = edit.commit.as_ref().map(|commit| commit.oid.as_str());
        let is_older = in_force.is_some_and(|last| at < last || oid == rules);
        let written = oid.and_then(|oid| written.get(oid));
        let key = Key::of(&edit.path);
        let is_under_lease = written.is_some_and(|at| {
            leases
                .iter()
                .any(|(lock, end)| lock.claim().covers(&key) && at <= end)
        });
        new.contains(edit.path.as_slice()) || is_older || is_under_lease
    };
    let left = edits
        .iter()
        .enumerate()
        .filter(|(at, edit)| !required.contains(edit.path.as_slice()) || !is_excused((*at, edit)));
    Ok(left.map(|(_, edit)| edit.clone()).collect())
}

/// Whether an edit may change what requires a lock.
fn is_of_rules(edit: &Edit) -> bool {
    edit.path == policy::FILE.as_bytes() || is_attributes_file(&edit.path)
}

/// The paths whose first edit makes the file: the other side has none of that name.
fn new_files<'e>(latch: &Latch, edits: &[&'e Edit]) -> Result<HashSet<&'e [u8]>> {
    let mut first: BTreeMap<&[u8], &str> = BTreeMap::new();
    for edit in edits {
        if let Some(commit) = &edit.commit {
            first.entry(&edit.path).or_insert(&commit.oid);
        }
    }
    let commits: BTreeSet<&str> = first.values().copied().collect();
    let additions = edits::additions(latch.repo(), &commits)?;
    let is_new =
        |(path, oid): &(&[u8], &str)| additions.contains(&((*oid).to_owned(), path.to_vec()));
    Ok(first
        .into_iter()
        .filter(is_new)
        .map(|(path, _)| path)
        .collect())
}

/// The leases of mine that the record of this machine's locks knows, and when each ended or ends. None where locks are
/// shared: there work is done once it is pushed.
fn my_last_leases(latch: &Latch) -> Result<Vec<(Lock, DateTime<Utc>)>> {
    if latch.shared().is_some() {
        return Ok(Vec::new());
    }
    let me = latch.reader()?.owner.id;
    let mut seen: HashSet<LeaseId> = HashSet::new();
    let mut found = Vec::new();
    // Newest first: of each lease the last that happened to it counts.
    for event in latch.history()? {
        for (lock, end) in ends(&event) {
            if is_or_below(&lock.owner.id, &me) && seen.insert(lock.lease.clone()) {
                found.push((lock.clone(), end));
            }
        }
    }
    Ok(found)
}

/// The leases that an event is about, and when each ended by it or ends by itself.
fn ends(event: &Event) -> impl Iterator<Item = (&Lock, DateTime<Utc>)> {
    let by_time = |lock: &Lock| lock.expires_at().unwrap_or(DateTime::<Utc>::MAX_UTC);
    let own = event.lock.lock().map(|lock| match event.happening {
        Happening::Unlocked => (lock, event.at),
        _ => (lock, by_time(lock)),
    });
    let previous = event.previous.as_ref().and_then(Entry::lock);
    let previous = previous.map(|lock| match event.happening {
        Happening::Stolen => (lock, event.at),
        _ => (lock, by_time(lock)),
    });
    own.into_iter().chain(previous)
}
