//! What happened to the shared locks, read from the differences of the ref's trees: nobody's word but the facts.

use chrono::{DateTime, Utc};

use super::commit;
use crate::error::Result;
use crate::lock::{Lock, MAX_BYTES, Owner, grace};
use crate::repo::{Differing, NodeKind, Objects, Past, Revision};
use crate::view::Terms;

/// What happened to a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Somebody took a free path.
    Locked,
    /// Its holder said they are alive.
    Renewed,
    /// It was given back, or removed by force.
    Unlocked,
    /// Its time was over.
    Expired,
    /// Somebody took it from its holder.
    Stolen,
}

impl Happening {
    /// The word of JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Happening::Locked => "locked",
            Happening::Renewed => "renewed",
            Happening::Unlocked => "unlocked",
            Happening::Expired => "expired",
            Happening::Stolen => "stolen",
        }
    }
}

/// One change of one lock.
#[derive(Clone, Debug)]
pub struct Event {
    /// The number of the change.
    pub seq: u64,
    /// What happened.
    pub happening: Happening,
    /// When.
    pub at: DateTime<Utc>,
    /// Who made the change: name and id.
    pub by: (String, String),
    /// The lock as it is after, or was before it went.
    pub lock: Lock,
    /// The lock that it replaced.
    pub previous: Option<Lock>,
}

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
            events.extend(event.filter(|e| before.is_some() || e.lock.seq == e.seq));
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
    if !difference.path.ends_with(b".lock") {
        return Ok(None);
    }
    let old = lock(objects, difference.old.as_ref())?;
    let new = lock(objects, difference.new.as_ref())?;
    let is_over = |lock: &Lock| {
        let end = lock.expires_at();
        end.is_some_and(|end| now.at >= end + grace(lock.ttl, terms.clock_skew))
    };
    let (happening, lock, previous) = match (old, new) {
        (None, Some(new)) => (Happening::Locked, new, None),
        (Some(old), None) if is_over(&old) => (Happening::Expired, old, None),
        (Some(old), None) => (Happening::Unlocked, old, None),
        (Some(old), Some(new)) if old.lease == new.lease => (Happening::Renewed, new, Some(old)),
        (Some(old), Some(new)) if is_over(&old) || is_same(&old.owner, &new.owner) => {
            (Happening::Locked, new, Some(old))
        }
        (Some(old), Some(new)) => (Happening::Stolen, new, Some(old)),
        (None, None) => return Ok(None),
    };
    Ok(Some(Event {
        seq: commit::seq_in(&now.message),
        happening,
        at: now.at,
        by: (now.author.clone(), now.mail.clone()),
        lock,
        previous,
    }))
}

fn is_same(a: &Owner, b: &Owner) -> bool {
    (&a.id, &a.workspace) == (&b.id, &b.workspace)
}

/// The lock in a blob; what is no lock has no history.
fn lock(objects: &Objects, side: Option<&(String, NodeKind)>) -> Result<Option<Lock>> {
    let Some((blob, NodeKind::File)) = side else {
        return Ok(None);
    };
    let bytes = objects.blob(blob, MAX_BYTES)?;
    Ok(bytes.ok().and_then(|bytes| Lock::parse(&bytes).ok()))
}
