//! Following the remote: what it has is fetched, judged against what was seen last, and accepted only where it can follow
//! on that. Putting back what was seen here, and giving it up, are the two ways out where it cannot.

use std::fs;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::deadline::Deadline;
use super::remote::{Presence, Pushed};
use super::succession::{self, Accepted, Broken, Succession};
use super::tips::Tips;
use super::{SharedStore, Synced, clocks, commit, seq_of};
use crate::git::repo::{Objects, Revision};
use crate::rules::error::{Error, Result};
use crate::rules::time::Clock;

/// After how many changes our repository is looked after.
const TIDIED: u64 = 500;

impl SharedStore {
    /// Fetches what the remote has, accepts it as the state, and brings the copy up to date.
    pub(crate) fn sync(&self, limit: Option<Duration>, clock: &dyn Clock) -> Result<Synced> {
        let objects = self.prepare()?;
        let tip = self.fetch(&objects, &Deadline::new(limit), clock)?;
        self.synced(&objects, tip.as_ref())
    }

    /// Brings the copy up to date, and says what came.
    pub(super) fn synced(&self, objects: &Objects, tip: Option<&Revision>) -> Result<Synced> {
        let changes = self.show(objects)?;
        let seq = tip.map_or(0, seq_of);
        Ok(Synced { seq, changes })
    }

    /// Fetches, and accepts a tip with a larger number only.
    ///
    /// Other commands of this clone may accept another one meanwhile: theirs stays in force where it is later.
    pub(super) fn fetch(
        &self,
        objects: &Objects,
        limit: &Deadline,
        clock: &dyn Clock,
    ) -> Result<Option<Revision>> {
        let before = self.tips.seen(objects)?;
        let fetched = self.fetched(objects, limit)?;
        loop {
            let seen = self.tips.seen(objects)?;
            let accepted = seen.as_ref().map(Accepted::from);
            match succession::judge(objects, accepted.as_ref(), fetched.as_ref())? {
                Succession::Same => {
                    self.after_fetch(objects, None, seen.as_ref(), clock);
                    return Ok(seen);
                }
                Succession::Later(tip) => {
                    let old = seen.as_ref().map(|seen| seen.commit.as_str());
                    if self.tips.exchange(objects, old, Some(&tip.commit))? {
                        self.after_fetch(objects, seen.as_ref(), Some(tip), clock);
                        return Ok(fetched);
                    }
                }
                Succession::Broken(broken) if same(seen.as_ref(), before.as_ref()) => {
                    return Err(self.went_back(broken));
                }
                // Another command of this clone has come to a later one since this fetch began.
                Succession::Broken(_) => return Ok(seen),
            }
        }
    }

    /// What follows a fetch whose tip was accepted, in place of another one or as the one that was known. It is done: what
    /// fails here is told in the log only.
    fn after_fetch(
        &self,
        objects: &Objects,
        replaced: Option<&Revision>,
        tip: Option<&Revision>,
        clock: &dyn Clock,
    ) {
        let now = clock.now();
        let asked = self.note_asking(now);
        if let Err(error) = self.pending.settle(&self.tips, objects, tip, now) {
            tracing::warn!(%error, "what became of earlier changes is not noted");
        }
        let Some(tip) = tip.filter(|tip| !same(Some(tip), replaced)) else {
            return;
        };
        self.tidy(replaced, tip);
        let skew = self.terms.clock_skew;
        let since = replaced.map(|tip| tip.commit.as_str());
        let hold = || self.tips.hold();
        if let Err(error) = self.doubts.note(&hold, objects, since, tip, skew) {
            tracing::warn!(%error, "what has come is not held against the limits");
        }
        match clocks::difference(objects, replaced, tip, asked, now, skew) {
            Ok(Some(difference)) => clocks::note(&self.directory, &difference),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the clocks are not compared"),
        }
    }

    /// Has git pack what has come together in our repository, every few hundred changes, if git finds it worth while.
    pub(super) fn tidy(&self, before: Option<&Revision>, after: &Revision) {
        let stretch = |tip: &Revision| commit::depth_of(tip) / TIDIED;
        if before.map_or(0, stretch) == stretch(after) {
            return;
        }
        self.tips.tidy();
        let store = format!("--git-dir={}", self.store().display());
        // Refs are ours alone to write. What a command has just written, nothing leads to yet.
        let keep = [
            "gc.packRefs=false",
            "gc.reflogExpire=never",
            "gc.reflogExpireUnreachable=never",
            "gc.pruneExpire=2.weeks.ago",
        ];
        let keep = keep.iter().flat_map(|option| ["-c", option]);
        let all: Vec<&str> = [store.as_str()]
            .into_iter()
            .chain(keep)
            .chain(["gc", "--auto", "--quiet"])
            .collect();
        if let Err(error) = self.git.run(&all) {
            tracing::debug!(%error, "our repository is not packed");
        }
    }

    /// What the remote has.
    pub(super) fn fetched(&self, objects: &Objects, limit: &Deadline) -> Result<Option<Revision>> {
        let into = Tips::for_a_fetch();
        match self.remote.fetch(&into, limit)? {
            Presence::Absent => Ok(None),
            Presence::Present => self.tips.take_fetched(objects, &into).map(Some),
        }
    }

    /// Notes that the remote was asked, and its answer accepted; gives when that was before.
    fn note_asking(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let before = self.synced_at();
        let text = now.timestamp_millis().to_string();
        // What cannot be noted counts as older than it is.
        if let Err(error) = fs::write(self.directory.synced(), text) {
            tracing::debug!(%error, "when the locks were fetched is not noted");
        }
        before
    }

    fn went_back(&self, broken: Broken) -> Error {
        Error::Refused {
            remote: self.remote.name.clone(),
            problem: format!(
                "its lock ref {}; what was last seen still applies here",
                broken.words()
            ),
            hint: Some(
                "ask who changed it; to restore what was seen here: git latch sync --restore (to accept the remote's: --reset)"
                    .into(),
            ),
        }
    }

    /// Pushes the last seen tip again, where the ref has vanished from the remote, or has gone back to a state before it.
    ///
    /// # Errors
    /// [`Error::Refused`] where others have changed locks since it went back: those would be lost.
    pub fn restore(&self) -> Result<()> {
        let objects = self.prepare()?;
        let Some(tip) = self.tips.seen(&objects)? else {
            return Err(Error::BadUsage {
                problem: "no shared locks were ever seen here: there is nothing to restore".into(),
                hint: None,
            });
        };
        let limit = Deadline::new(None);
        let there = self.fetched(&objects, &limit)?;
        if let Some(there) = &there {
            if seq_of(there) >= seq_of(&tip) && objects.contains(&there.commit, &tip.commit)? {
                return Ok(());
            }
            if !objects.contains(&tip.commit, &there.commit)? {
                return Err(Error::Refused {
                    remote: self.remote.name.clone(),
                    problem: "its lock ref went back, and locks were changed there since: restoring it would undo that".into(),
                    hint: Some("git latch sync --reset".into()),
                });
            }
        }
        let old = there.as_ref().map(|there| there.commit.as_str());
        match self
            .remote
            .push(old, &tip.commit, limit.for_a_push(false))?
        {
            Pushed::Accepted => Ok(()),
            Pushed::Rejected(no) => Err(no.into_error(&self.remote.name)),
            Pushed::Unsent(no) | Pushed::Unclear(no) => {
                Err(self.remote.unreachable(&no.into_words()))
            }
        }
    }

    /// Forgets what was seen here, and accepts what the remote has.
    pub fn reset(&self) -> Result<Synced> {
        let objects = self.prepare()?;
        let tip = self.fetched(&objects, &Deadline::new(None))?;
        let new = tip.as_ref().map(|tip| tip.commit.as_str());
        loop {
            let seen = self.tips.seen(&objects)?;
            let old = seen.as_ref().map(|seen| seen.commit.as_str());
            if self.tips.exchange(&objects, old, new)? {
                self.doubts.forget()?;
                return self.synced(&objects, tip.as_ref());
            }
        }
    }
}

pub(super) fn same(one: Option<&Revision>, other: Option<&Revision>) -> bool {
    one.map(|tip| &tip.commit) == other.map(|tip| &tip.commit)
}

/// Whether a tip is, or has below it, a commit; also where the history was dropped right above that.
pub(super) fn has_below(objects: &Objects, tip: &Revision, commit: &str) -> bool {
    let contains = |tip: &Revision, commit: &str| objects.contains(&tip.commit, commit);
    let parent = objects
        .commit(commit)
        .ok()
        .and_then(|c| c.parents.into_iter().next());
    // Where what it follows on is there, the history is whole.
    let is_whole = parent.is_some_and(|parent| contains(tip, &parent).unwrap_or(false));
    if is_whole {
        return contains(tip, commit).unwrap_or(false);
    }
    let mut above = tip.clone();
    loop {
        if contains(&above, commit).unwrap_or(false) {
            return true;
        }
        let history = objects.history(&above, usize::MAX).unwrap_or_default();
        let dropped = history.last().map(|root| root.message.as_str());
        let Some(before) = dropped.and_then(commit::compacted_by) else {
            return false;
        };
        if before == commit {
            return true;
        }
        match objects.commit(before) {
            Ok(before) if before.commit != above.commit => above = before,
            _ => return false,
        }
    }
}
