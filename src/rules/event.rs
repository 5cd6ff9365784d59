//! What happens to locks, as `watch`, `daemon` and `log` tell it. Pure.
//!
//! An event is never somebody's word, nor that of a file system: it is what two readings of one place differ in.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::rules::lock::{LeaseId, Owner, is_same_id};
use crate::rules::view::{Content, Entry};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Happening {
    /// Somebody took a free path.
    Locked,
    /// Its holder said they are alive.
    Renewed,
    /// It was given back, or removed by force.
    Unlocked,
    /// Its time was over, or its process was.
    Expired,
    /// Somebody took it from its holder.
    Stolen,
    /// Somebody edited here what another has locked.
    Edited,
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
            Happening::Edited => "edited",
        }
    }

    /// What happened in one place of the lock directory, by what lies there before and after; `None` where nothing did.
    pub(crate) fn between(
        before: Option<&Entry>,
        after: Option<&Entry>,
        is_over: impl Fn(&Entry) -> bool,
    ) -> Option<Self> {
        match (before, after) {
            (None, None) => None,
            (None, Some(_)) => Some(Happening::Locked),
            (Some(old), None) if is_over(old) => Some(Happening::Expired),
            (Some(_), None) => Some(Happening::Unlocked),
            (Some(old), Some(new)) => Self::replaced(old, new, is_over(old)),
        }
    }

    fn replaced(old: &Entry, new: &Entry, was_over: bool) -> Option<Self> {
        let (before, after) = match (&old.content, &new.content) {
            (Content::Lock { lock: before, .. }, Content::Lock { lock: after, .. }) => {
                (before, after)
            }
            // Still damage, whatever kind of it.
            (Content::Unreadable { .. }, Content::Unreadable { .. }) => return None,
            _ => return Some(Happening::Locked),
        };
        if before == after {
            None
        } else if before.lease == after.lease {
            Some(Happening::Renewed)
        } else if was_over || is_same(&before.owner, &after.owner) {
            Some(Happening::Locked)
        } else {
            Some(Happening::Stolen)
        }
    }
}

fn is_same(a: &Owner, b: &Owner) -> bool {
    is_same_id(&a.id, &b.id) && a.workspace == b.workspace
}

/// One thing that happened to one lock.
#[derive(Clone, Debug)]
pub struct Event {
    /// The number of the change, or of the last one before it was noticed where it was none: an end by time, an edit.
    pub seq: u64,
    /// What happened.
    pub happening: Happening,
    /// When.
    pub at: DateTime<Utc>,
    /// Where: the lock's own path, or the file that was edited.
    pub path: String,
    /// The lock as it is after, or was before it went.
    pub lock: Entry,
    /// The lock that it replaced.
    pub previous: Option<Entry>,
    /// Who did it, where that is recorded.
    pub by: Option<Author>,
    /// Why a lock was taken away, in the words of who did it; never those of the lock itself.
    pub note: Option<String>,
}

impl Event {
    /// The same, with who did it where the lock itself tells: whoever takes a path or renews signs the lock.
    #[must_use]
    pub(crate) fn signed(self) -> Self {
        let owner = match self.happening {
            Happening::Locked | Happening::Renewed | Happening::Stolen => self.lock.lock(),
            _ => None,
        };
        let by = self
            .by
            .or_else(|| owner.map(|lock| Author::from(&lock.owner)));
        Event { by, ..self }
    }

    /// What who did it said about it: to take and to renew gives the lock its reason, to take away has words of its own.
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        match self.happening {
            Happening::Locked | Happening::Renewed | Happening::Stolen => {
                self.lock.lock()?.reason.as_deref()
            }
            Happening::Unlocked | Happening::Expired | Happening::Edited => self.note.as_deref(),
        }
    }

    /// Whose lock it was that somebody else took or took away.
    #[must_use]
    pub fn bereaved(&self) -> Option<&Owner> {
        let (entry, by) = match self.happening {
            Happening::Stolen => (self.previous.as_ref()?, None),
            Happening::Unlocked => (&self.lock, Some(self.by.as_ref()?)),
            _ => return None,
        };
        let owner = &entry.lock()?.owner;
        by.is_none_or(|by| !is_same_id(&by.id, &owner.id))
            .then_some(owner)
    }

    /// Whether a lease ended by it: given back, taken away, taken over, or found to be over.
    #[must_use]
    pub(crate) fn ends(&self, lease: &LeaseId) -> bool {
        let is_it = |entry: &Entry| entry.lock().is_some_and(|lock| lock.lease == *lease);
        match self.happening {
            Happening::Unlocked | Happening::Expired => is_it(&self.lock),
            _ => self.previous.as_ref().is_some_and(is_it) && !is_it(&self.lock),
        }
    }
}

/// Who made a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// The owner id.
    pub id: String,
    /// What people are shown.
    pub name: String,
}

impl From<&Owner> for Author {
    fn from(owner: &Owner) -> Self {
        Author {
            id: owner.id.clone(),
            name: owner.name.clone(),
        }
    }
}

impl std::fmt::Display for Author {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        crate::rules::lock::show_person(f, &self.name, &self.id)
    }
}
