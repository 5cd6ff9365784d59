//! What happened to the shared locks, read from the differences of the ref's trees: nobody's word but the facts.

use super::{commit, tree};
use crate::error::Result;
use crate::event::{Author, Event, Happening};
use crate::lock::MAX_BYTES;
use crate::path::Place;
use crate::repo::{Differing, NodeKind, Objects, Past, Revision};
use crate::store::entry_of;
use crate::view::{Entry, Terms};

/// Every change, newest first.
pub(super) fn of(objects: &Objects, tip: &Revision, terms: &Terms) -> Result<Vec<Event>> {
    let past = objects.history(tip, usize::MAX)?;
    let mut events = Vec::new();
    for (n, now) in past.iter().enumerate() {
        let before = past.get(n + 1).map(|past| past.tree.as_str());
        if before == Some(now.tree.as_str()) {
            continue;
        }
        for difference in objects.differing(before, &now.tree)? {
            let event = event(objects, now, &difference, terms)?;
            // A history that was dropped begins with locks that were taken before.
            let is_new = |e: &Event| e.lock.lock().is_some_and(|lock| lock.seq == e.seq);
            events.extend(event.filter(|e| before.is_some() || is_new(e)));
        }
    }
    Ok(events)
}

fn event(
    objects: &Objects,
    now: &Past,
    difference: &Differing,
    terms: &Terms,
) -> Result<Option<Event>> {
    if !tree::is_lock(&difference.path) {
        return Ok(None);
    }
    let old = lock(objects, difference, difference.old.as_ref())?;
    let new = lock(objects, difference, difference.new.as_ref())?;
    let is_over = |entry: &Entry| {
        let over = entry.over_at(now.at, terms);
        over.is_some_and(|over| now.at >= over)
    };
    let happening = Happening::between(old.as_ref(), new.as_ref(), is_over);
    let (lock, previous) = match (new, old) {
        (Some(new), old) => (new, old),
        (None, Some(old)) => (old, None),
        (None, None) => return Ok(None),
    };
    Ok(happening.map(|happening| Event {
        seq: commit::seq_in(&now.message),
        happening,
        at: now.at,
        path: lock.shown_path(),
        lock,
        previous,
        by: Some(Author {
            id: now.mail.clone(),
            name: now.author.clone(),
        }),
    }))
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
