//! Which of the locks somebody wants to see.

use crate::rules::lock::{is_or_below, is_same_id};
use crate::rules::path::{Claim, Key, Kind};
use crate::rules::view::{Entry, Standing, View};

/// Which locks are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// Those on exactly this path.
    pub path: Option<Key>,
    /// Those that hold this path: on it, or on a directory above it.
    pub covers: Option<Key>,
    /// Those below this directory, on it or above it.
    pub under: Option<Key>,
    /// Those of this owner id.
    pub owner: Option<String>,
    /// Those of this person and their agents.
    pub person: Option<String>,
    /// Those whose path, owner or reason contains this, in any case.
    pub search: Option<String>,
    /// Those after this key.
    pub after: Option<Key>,
    /// At most so many; for `None` all.
    pub limit: Option<usize>,
}

impl Query {
    /// Whether an entry is one of them, and lives.
    pub(super) fn is_about(&self, entry: &Entry, view: &View) -> bool {
        let owner = entry.lock().map(|lock| lock.owner.id.as_str());
        let is = |wanted: &Option<String>, how: fn(&str, &str) -> bool| {
            let wanted = wanted.as_deref();
            wanted.is_none_or(|wanted| owner.is_some_and(|id| how(id, wanted)))
        };
        self.holds(&entry.claim)
            && is(&self.owner, is_same_id)
            && is(&self.person, is_or_below)
            && self
                .search
                .as_deref()
                .is_none_or(|text| mentions(entry, text))
            && view.standing(entry) != Standing::Expired
    }

    /// Whether what a lock occupies is asked for.
    fn holds(&self, claim: &Claim) -> bool {
        let is_on = self.path.as_ref().is_none_or(|path| claim.key == *path);
        let covers = self.covers.as_ref().is_none_or(|path| claim.covers(path));
        let is_under = self.under.as_ref().is_none_or(|directory| {
            let all = Claim {
                key: directory.clone(),
                kind: Kind::Directory,
            };
            all.overlaps(claim)
        });
        is_on && covers && is_under
    }
}

/// Whether what people see of a lock contains a text, in any case and spelling.
#[must_use]
pub(crate) fn mentions(entry: &Entry, text: &str) -> bool {
    let sought = Key::of(text.trim().as_bytes());
    let path = entry.shown_path();
    let words = entry.lock().map_or([path.as_str(), "", "", ""], |lock| {
        let reason = lock.reason.as_deref().unwrap_or_default();
        [&path, &lock.owner.name, &lock.owner.id, reason]
    });
    let all = Key::of(words.join("\n").as_bytes());
    let (all, sought) = (all.as_bytes(), sought.as_bytes());
    sought.is_empty() || all.windows(sought.len()).any(|part| part == sought)
}
