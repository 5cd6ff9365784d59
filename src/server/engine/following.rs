//! What is in memory follows the lock ref, whoever moves it; and what happened is told, and remembered for a while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::history::{self, Page};
use super::{Published, RECENT, REPLAYED, RepoService};
use crate::git::repo::{Objects, Revision};
use crate::rules::error::Result;
use crate::rules::event::Event;
use crate::rules::path::{Claim, Kind, RepoPath};
use crate::rules::time::Clock;
use crate::rules::view::{Entry, LeaseLimits};

impl RepoService {
    /// Whether the ref was moved and what is in memory has not followed yet: costs no more than looking at a file.
    #[must_use]
    pub(crate) fn is_behind(&self) -> bool {
        self.backend.site.stamp() != *self.seen.lock()
    }

    /// Brings what is in memory up to date with the ref, as far as this machine has it, and tells what happened.
    pub(crate) fn follow(&self, clock: &dyn Clock) -> Result<()> {
        let _following = self.following.lock();
        let stamp = self.backend.site.stamp();
        let followed = self.catch_up(clock);
        // Also where that failed: it is tried again now and then, and not by everybody who reads.
        *self.seen.lock() = stamp;
        followed
    }

    /// The same; where that fails, what was known stays.
    pub(crate) fn follow_if_possible(&self, clock: &dyn Clock) {
        if let Err(error) = self.follow(clock) {
            tracing::warn!(repo = self.name, %error, "the lock ref cannot be followed");
        }
    }

    fn catch_up(&self, clock: &dyn Clock) -> Result<()> {
        let now = clock.now();
        let known = self.table(|table| table.tip().cloned());
        let seen = self.backend.site.tip()?;
        if let Some(at) = self.backend.site.confirmed_at(now) {
            *self.confirmed_at.lock() = at;
        }
        let Some((objects, tip)) = seen else {
            return Ok(());
        };
        let commit = tip.as_ref().map(|tip| tip.commit.as_str());
        if commit == known.as_ref().map(|(commit, _)| commit.as_str()) {
            return Ok(());
        }
        let terms = self.terms();
        let news = self
            .backend
            .news(&objects, known.as_ref(), tip.as_ref(), now)?;
        // What was there at the start is no news.
        let is_open = self.is_open.load(Ordering::Acquire);
        let events = match tip.as_ref().filter(|_| is_open) {
            Some(tip) => events_between(&objects, known.as_ref(), tip, &terms)?,
            None => None,
        };
        let seq = tip.as_ref().map_or(0, crate::store::shared::seq_of);
        let after = self.seq();
        let tip = tip.map(|tip| (tip.commit, tip.tree));
        let mut table = self.table.write();
        table.advance(tip, seq, news);
        drop(table);
        if is_open {
            self.publish(after, seq, events);
        }
        Ok(())
    }

    /// Tells changes.
    fn publish(&self, after: u64, seq: u64, events: Option<Vec<Event>>) {
        let parts = if let Some(events) = events {
            for event in &events {
                self.sessions.note(event);
            }
            self.parts(after, events)
        } else {
            let now = self.as_of();
            self.table(|table| {
                let there = table.all().filter_map(Entry::lock);
                self.sessions.reconcile(there, now);
            });
            vec![Published {
                seq,
                after,
                events: None,
                terms: self.terms(),
            }]
        };
        for told in parts {
            let told = Arc::new(told);
            self.remember(&told);
            (self.tell)(&told);
        }
    }

    /// Keeps a change for those who were away for a moment, as far as there is room.
    fn remember(&self, told: &Arc<Published>) {
        let mut recent = self.recent.lock();
        recent.push_back(told.clone());
        let size = |told: &Arc<Published>| 1 + told.events.as_ref().map_or(0, Vec::len);
        let mut sum: usize = recent.iter().map(size).sum();
        while sum > RECENT && recent.len() > 1 {
            sum -= recent.pop_front().as_ref().map_or(0, size);
        }
    }

    /// Events, oldest first, as the changes that they were.
    fn parts(&self, mut after: u64, events: Vec<Event>) -> Vec<Published> {
        let terms = self.terms();
        let mut parts: Vec<Published> = Vec::new();
        for event in events {
            match parts.last_mut() {
                Some(told) if told.seq == event.seq => {
                    told.events.get_or_insert_default().push(event);
                }
                _ => {
                    let seq = event.seq;
                    parts.push(Published {
                        seq,
                        after,
                        events: Some(vec![event]),
                        terms,
                    });
                    after = seq;
                }
            }
        }
        parts
    }

    /// The changes after a number, oldest first; `None` where nobody remembers that far back.
    ///
    /// # Errors
    /// Where the history cannot be read.
    pub(crate) fn since(&self, seq: u64) -> Result<Option<Vec<Arc<Published>>>> {
        let recent: Vec<Arc<Published>> = self.recent.lock().iter().cloned().collect();
        if recent.first().is_some_and(|told| told.after <= seq) {
            return Ok(Some(recent.into_iter().filter(|t| t.seq > seq).collect()));
        }
        if seq == self.seq() {
            return Ok(Some(Vec::new()));
        }
        let Some((objects, Some(tip))) = self.backend.site.tip()? else {
            return Ok(None);
        };
        let events = history::since_seq(&objects, seq, &tip, REPLAYED, &self.terms())?;
        Ok(events.map(|events| {
            let told = self.parts(seq, events).into_iter();
            told.map(Arc::new).collect()
        }))
    }

    /// A part of the history, newest first; of one path, if one is given.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn history(
        &self,
        path: Option<&RepoPath>,
        from: Option<&(String, usize)>,
        limit: usize,
    ) -> Result<Page> {
        let Some((objects, Some(tip))) = self.backend.site.tip()? else {
            return Ok(Page {
                events: Vec::new(),
                next: None,
            });
        };
        let places: Option<BTreeSet<Vec<u8>>> = path.map(|path| {
            let claims = [Kind::File, Kind::Directory].map(|kind| Claim::new(path, kind));
            let places = claims.iter().filter_map(Claim::place);
            places.map(|place| place.as_bytes().to_vec()).collect()
        });
        history::page(&objects, &tip, places.as_ref(), from, limit, &self.terms())
    }
}

/// What happened between what is known and a tip; `None` where nobody can tell.
fn events_between(
    objects: &Objects,
    known: Option<&(String, String)>,
    tip: &Revision,
    terms: &LeaseLimits,
) -> Result<Option<Vec<Event>>> {
    let Some((commit, tree)) = known else {
        return history::all(objects, tip, REPLAYED, terms);
    };
    let since = history::since(objects, commit, tip, REPLAYED, terms)?;
    // Who has been told a larger number than there will be for long would hear of nothing any more.
    let last = crate::store::shared::seq_of(tip);
    if since.iter().flatten().any(|event| event.seq > last) {
        return Ok(None);
    }
    // A history that was dropped changes nothing.
    Ok(since.or_else(|| (*tree == tip.tree).then(Vec::new)))
}
