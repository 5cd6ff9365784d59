//! What happened to the shared locks, read from the differences of the ref's trees: nobody's word but the facts.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{commit, tree};
use crate::git::repo::{Differing, Node, NodeKind, Objects, Past, Revision};
use crate::rules::error::{Error, Result};
use crate::rules::event::{Author, Event, Happening};
use crate::rules::lock::{LeaseId, Lock, MAX_BYTES};
use crate::rules::path::Place;
use crate::rules::view::{Entry, LeaseLimits};
use crate::store::entry_of;

/// Every change, newest first.
pub(super) fn of(objects: &Objects, tip: &Revision, terms: &LeaseLimits) -> Result<Vec<Event>> {
    let past = objects.history(tip, usize::MAX)?;
    let mut all = Vec::new();
    for (n, now) in past.iter().enumerate() {
        all.extend(made_by(objects, now, past.get(n + 1), None, terms)?);
    }
    Ok(all)
}

/// What a commit did, by path; only in these places, where some are given.
fn made_by(
    objects: &Objects,
    now: &Past,
    before: Option<&Past>,
    places: Option<&BTreeSet<Vec<u8>>>,
    terms: &LeaseLimits,
) -> Result<Vec<Event>> {
    let before = before.map(|past| past.tree.as_str());
    if before == Some(now.tree.as_str()) {
        return Ok(Vec::new());
    }
    let differing = match places {
        Some(places) => differing_in(objects, before, &now.tree, places)?,
        None => objects.differing(before, &now.tree)?,
    };
    // A history that was dropped begins with locks that were taken before.
    let is_new = |e: &Event| e.lock.lock().is_some_and(|lock| lock.seq == e.seq);
    let mut events = Vec::new();
    for difference in differing {
        let event = event(objects, now, &difference, terms)?;
        events.extend(event.filter(|e| before.is_some() || is_new(e)));
    }
    Ok(events)
}

/// The differences in a few places, without looking at the rest of the trees.
fn differing_in(
    objects: &Objects,
    before: Option<&str>,
    now: &str,
    places: &BTreeSet<Vec<u8>>,
) -> Result<Vec<Differing>> {
    let old = match before {
        Some(tree) => objects.nodes(tree, places, &|_| false)?,
        None => Vec::new(),
    };
    let new = objects.nodes(now, places, &|_| false)?;
    let side = |nodes: &[Node], path: &[u8]| {
        let found = nodes.iter().find(|node| node.path == path);
        found.map(|node| (node.oid.clone(), node.kind))
    };
    let all = places.iter().map(|path| Differing {
        path: path.clone(),
        old: side(&old, path),
        new: side(&new, path),
    });
    Ok(all.filter(|d| d.old != d.new).collect())
}

/// What happened after a commit, oldest first; `None` where `known` is not among the last `limit` commits.
pub(crate) fn since(
    objects: &Objects,
    known: &str,
    tip: &Revision,
    limit: usize,
    terms: &LeaseLimits,
) -> Result<Option<Vec<Event>>> {
    let is_known = |past: &Past| past.commit == known;
    let mut past = objects.history_to(tip, limit + 1, is_known)?;
    // Where the history was dropped meanwhile it goes on below, as long as that is still there.
    let dropped = past.last().filter(|past| !is_known(past));
    let dropped = dropped.and_then(|past| commit::compacted_by(&past.message));
    if let Some(Ok(before)) = dropped.map(|oid| objects.commit(oid)) {
        past.extend(objects.history_to(&before, limit + 1, is_known)?);
    }
    let Some(at) = past.iter().position(is_known) else {
        return Ok(None);
    };
    let mut all = Vec::new();
    for n in (0..at).rev() {
        all.extend(made_by(objects, &past[n], past.get(n + 1), None, terms)?);
    }
    Ok(Some(all))
}

/// Everything that happened, oldest first; `None` where that is more than `limit` commits.
pub(crate) fn all(
    objects: &Objects,
    tip: &Revision,
    limit: usize,
    terms: &LeaseLimits,
) -> Result<Option<Vec<Event>>> {
    if objects.history(tip, limit + 1)?.len() > limit {
        return Ok(None);
    }
    let mut all = of(objects, tip, terms)?;
    all.reverse();
    Ok(Some(all))
}

/// What happened after the change of a number, oldest first; `None` where history does not reach back to it, or
/// further than `limit` commits.
pub(crate) fn since_seq(
    objects: &Objects,
    seq: u64,
    tip: &Revision,
    limit: usize,
    terms: &LeaseLimits,
) -> Result<Option<Vec<Event>>> {
    let is_known = |past: &Past| commit::seq_in(&past.message) <= seq;
    let past = objects.history_to(tip, limit + 1, is_known)?;
    match past.iter().position(is_known) {
        Some(at) => since(objects, &past[at].commit, tip, limit, terms),
        None => Ok(None),
    }
}

/// A part of the history, newest first.
#[derive(Debug)]
pub(crate) struct Page {
    /// What happened.
    pub events: Vec<Event>,
    /// Where the next part begins: a commit, and how many of its events are told.
    pub next: Option<(String, usize)>,
}

/// How many commits are looked at for one page: one path's history must not keep a server busy for long.
const LOOKED_AT: usize = 20_000;

/// At least `limit` events where there are that many, but not many more; from where another page ended.
pub(crate) fn page(
    objects: &Objects,
    tip: &Revision,
    places: Option<&BTreeSet<Vec<u8>>>,
    from: Option<&(String, usize)>,
    limit: usize,
    terms: &LeaseLimits,
) -> Result<Page> {
    let past = objects.history(tip, LOOKED_AT)?;
    let (begin, skip) = match from {
        Some((commit, told)) => {
            let at = past.iter().position(|past| past.commit == *commit);
            let gone = || {
                let hint = "start again without a cursor";
                Error::bad_usage("the history no longer contains that place", hint)
            };
            (at.ok_or_else(gone)?, *told)
        }
        None => (0, 0),
    };
    let mut events = Vec::new();
    for n in begin..past.len() {
        let made = made_by(objects, &past[n], past.get(n + 1), places, terms)?;
        let told = if n == begin { skip } else { 0 };
        let room = limit - events.len();
        let count = made.len();
        events.extend(made.into_iter().skip(told).take(room));
        if events.len() == limit {
            let next = if told + room < count {
                Some((past[n].commit.clone(), told + room))
            } else {
                past.get(n + 1).map(|next| (next.commit.clone(), 0))
            };
            return Ok(Page { events, next });
        }
    }
    Ok(Page { events, next: None })
}

/// How leases ended, for those of them that did in one of these places; looked for from the newest change on, among so
/// many of them.
pub(super) fn endings(
    objects: &Objects,
    tip: &Revision,
    wanted: &[(LeaseId, Place)],
    limit: usize,
    terms: &LeaseLimits,
) -> Result<Vec<Event>> {
    let places: BTreeSet<Vec<u8>> = wanted.iter().map(|(_, p)| p.as_bytes().to_vec()).collect();
    let past = objects.history(tip, limit)?;
    let mut found = Vec::new();
    for pair in past.windows(2) {
        let made = made_by(objects, &pair[0], Some(&pair[1]), Some(&places), terms)?;
        let is_wanted = |event: &Event| wanted.iter().any(|(lease, _)| event.ends(lease));
        found.extend(made.into_iter().filter(is_wanted));
        if found.len() == wanted.len() {
            break;
        }
    }
    Ok(found)
}

fn event(
    objects: &Objects,
    now: &Past,
    difference: &Differing,
    terms: &LeaseLimits,
) -> Result<Option<Event>> {
    if !tree::is_lock(&difference.path) {
        return Ok(None);
    }
    let old = lock(objects, difference, difference.old.as_ref())?;
    let new = lock(objects, difference, difference.new.as_ref())?;
    let at = moment(now, new.as_ref().and_then(Entry::lock));
    let is_over = |entry: &Entry| entry.over_at(at, terms).is_some_and(|over| at >= over);
    let happening = Happening::between(old.as_ref(), new.as_ref(), is_over);
    let (lock, previous) = match (new, old) {
        (Some(new), old) => (new, old),
        (None, Some(old)) => (old, None),
        (None, None) => return Ok(None),
    };
    Ok(happening.map(|happening| {
        let mut event = Event {
            seq: commit::seq_in(&now.message),
            happening,
            at: now.at,
            path: lock.shown_path(),
            lock,
            previous,
            by: None,
            note: None,
        };
        let author = || Author {
            id: now.mail.clone(),
            name: now.author.clone(),
        };
        event.by = Some(commit::asked_by(&now.message, &event).unwrap_or_else(author));
        if let (Happening::Unlocked, Some(lock)) = (happening, event.lock.lock()) {
            event.note = commit::why(&now.message, &lock.lease);
        }
        event
    }))
}

/// When a change was decided, to the millisecond: a commit's date has whole seconds, and a lock that was over by then must
/// not look like one that lived. A lock that was taken in it tells, else the change's number.
fn moment(now: &Past, taken: Option<&Lock>) -> DateTime<Utc> {
    let numbered = i64::try_from(commit::seq_in(&now.message)).ok();
    let numbered = numbered.and_then(DateTime::from_timestamp_millis);
    let is_then =
        |at: &DateTime<Utc>| (TimeDelta::zero()..TimeDelta::seconds(1)).contains(&(*at - now.at));
    let taken = taken.map(|lock| lock.acquired_at).filter(is_then);
    taken.or(numbered.filter(is_then)).unwrap_or(now.at)
}

/// The lock on one side of a difference; what is no lock has no history.
fn lock(
    objects: &Objects,
    difference: &Differing,
    side: Option<&(String, NodeKind)>,
) -> Result<Option<Entry>> {
    let Some((blob, NodeKind::File)) = side else {
        return Ok(None);
    };
    let Ok(bytes) = objects.blob(blob, MAX_BYTES)? else {
        return Ok(None);
    };
    let entry = entry_of(Place::from_bytes(difference.path.clone()), Ok(bytes), None);
    Ok(entry.lock().is_some().then_some(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_takeover_in_the_second_in_which_the_lock_was_over_is_one() {
        let second = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let numbered = |millis: i64| Past {
            commit: String::new(),
            tree: String::new(),
            message: format!(
                "lock a\n\nLatch-Seq: {}\n",
                second.timestamp_millis() + millis
            ),
            author: String::new(),
            mail: String::new(),
            at: second,
        };
        let millis = |past: &Past| (moment(past, None) - second).num_milliseconds();
        assert_eq!(millis(&numbered(700)), 700);
        // A number that has run ahead of the clock tells no time.
        assert_eq!(millis(&numbered(1_700)), 0);
        assert_eq!(millis(&numbered(-1)), 0);
    }
}
