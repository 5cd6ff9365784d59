//! Giving back, by hand and by time.

use super::{Change, ForcePolicy};
use crate::rules::path::RepoPath;
use crate::rules::view::{Entry, Me, Standing, View};

/// What to give back.
#[derive(Clone, Debug)]
pub(crate) enum Release<'a> {
    /// The lock on this path, whatever its kind.
    Path(&'a RepoPath),
    /// This lease, wherever it lies.
    Lease(&'a str),
}

/// Whether others' locks, and locks in the hands of a living process, may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// No.
    No,
    /// Yes (`--force`).
    Yes,
}

/// What becomes of one thing to give back.
#[derive(Clone, Debug)]
pub(crate) enum Released {
    /// It is free now; this was it.
    Free(Entry),
    /// It was mine, but its time was over already.
    Lost,
    /// It is not mine; whose it is, if it is anybody's.
    NotMine(Option<Entry>),
    /// It is mine, in the hands of another process, which lives or cannot be seen from here.
    InProgress(Entry),
    /// The policy does not let me remove it.
    Forbidden(Entry),
}

/// Gives one lock back. A late owner never removes a successor's lock: only what is mine, or what `force` says.
#[must_use]
pub(crate) fn release(
    view: &View,
    me: &Me,
    what: &Release<'_>,
    force: Force,
    policy: &ForcePolicy,
) -> (Vec<Change>, Released) {
    let (found, covering) = find(view, me, what);
    let Some(entry) = found.filter(|e| view.standing(e) != Standing::Expired || me.has(e)) else {
        return (Vec::new(), Released::NotMine(covering.cloned()));
    };
    let removal = |was_live| {
        vec![Change::Remove {
            place: entry.place.clone(),
            was_live,
            note: None,
        }]
    };
    if me.has(entry) {
        let standing = view.standing(entry);
        let counts = standing != Standing::Expired;
        if counts && me.is_in_progress(entry) && force == Force::No {
            return (Vec::new(), Released::InProgress(entry.clone()));
        }
        return match standing {
            Standing::Live => (removal(true), Released::Free(entry.clone())),
            Standing::Grace | Standing::Expired => (removal(false), Released::Lost),
        };
    }
    let is_mine_elsewhere = entry
        .lock()
        .is_some_and(|lock| me.owner.is_person_of(&lock.owner));
    match force {
        Force::No => (Vec::new(), Released::NotMine(Some(entry.clone()))),
        Force::Yes if is_mine_elsewhere || policy.allows(&me.owner.id) => {
            (removal(true), Released::Free(entry.clone()))
        }
        Force::Yes => (Vec::new(), Released::Forbidden(entry.clone())),
    }
}

/// The entry meant, and the live lock that covers the path instead, if it is another.
fn find<'a>(view: &'a View, me: &Me, what: &Release<'_>) -> (Option<&'a Entry>, Option<&'a Entry>) {
    let counts = |e: &Entry| view.standing(e) != Standing::Expired;
    match what {
        Release::Path(path) => {
            let key = path.key();
            let (own, above): (Vec<&Entry>, Vec<&Entry>) =
                view.covering(&key).partition(|e| e.claim.key == key);
            let found = own.into_iter().max_by_key(|e| (me.has(e), counts(e)));
            (found, above.into_iter().find(|e| counts(e)))
        }
        Release::Lease(id) => (
            view.entries()
                .find(|e| e.lock().is_some_and(|l| l.lease.as_str() == *id)),
            None,
        ),
    }
}

/// Removes what has expired.
#[must_use]
pub(crate) fn sweep(view: &View, is_meant: impl Fn(&Entry) -> bool) -> (Vec<Change>, Vec<Entry>) {
    let over: Vec<Entry> = view
        .entries()
        .filter(|e| view.standing(e) == Standing::Expired && is_meant(e))
        .cloned()
        .collect();
    let changes = over
        .iter()
        .map(|e| Change::Remove {
            place: e.place.clone(),
            was_live: false,
            note: None,
        })
        .collect();
    (changes, over)
}
