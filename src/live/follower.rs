//! The locks as they change: what is known of them is compared with a fresh reading, and the difference is told.
//!
//! That a file was touched is only the reason to read. So events that were lost, merged or out of order, a lock in a
//! directory made a moment ago, a queue that ran over, the lock directory replaced and a machine that slept all end in
//! the right state. What ends by time, or with a process, is told when it ends.
//!
//! Of the lock directory each directory that holds locks is watched, so that the number of watches follows the locks and
//! not the tree. Shared locks are read from the tip that was seen last; there one directory is watched.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::known::{Item, KnownLocks};
use super::mirror::{self, Mirror};
use super::tip::Tip;
use crate::latch::Latch;
use crate::os::watch::{Directories, Touched};
use crate::rules::error::Result;
use crate::rules::event::{Event, Happening};
use crate::rules::path::{Key, Place};
use crate::rules::time::Clock;
use crate::rules::view::{Entry, Standing, View};
use crate::store::{Scope, SharedStore, workspaces};

/// How often to read again, while changes come in between.
const TRIES: u32 = 5;

/// What is known of the locks of one repository.
#[derive(Debug)]
pub struct Follower {
    source: Source,
    known: KnownLocks,
    seq: u64,
    begun: DateTime<Utc>,
    polling: Option<String>,
    /// What could not be read is read again.
    missed: bool,
    /// What was read while a change of several paths was under way: read again when its journal is gone.
    unsettled: BTreeSet<Place>,
}

/// Where changes show.
#[derive(Debug)]
enum Source {
    /// In the lock directory.
    Directory(Mirror),
    /// In the tip of the shared locks.
    Tip(Tip),
}

impl Follower {
    /// Reads the locks as they are, and watches them from now on.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub(super) fn start(
        latch: &Latch,
        directories: &mut Directories,
        clock: &dyn Clock,
    ) -> Result<Self> {
        // First the watches, then the reading: what changes in between is read twice.
        let mut follower = Follower {
            source: Source::of(latch)?,
            known: KnownLocks::default(),
            seq: 0,
            begun: clock.now(),
            polling: None,
            missed: false,
            unsettled: BTreeSet::new(),
        };
        follower.attach(latch, directories);
        follower.missed = follower.is_changing(latch);
        let mut view = latch.view(&Scope::All, clock)?;
        // What is gone by now may have had its number before: then it is in neither, and nobody would be told.
        for _ in 0..TRIES {
            let after = latch.view(&Scope::Places(Vec::new()), clock)?;
            if after.seq == view.seq {
                break;
            }
            view = latch.view(&Scope::All, clock)?;
        }
        follower.seq = view.seq;
        for entry in view.take_entries() {
            let is_over = view.standing(&entry) == Standing::Expired;
            follower.known.remember(entry, is_over, &view);
        }
        Ok(follower)
    }

    /// The number of the last change that was read.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Why it looks every now and then instead of being told; `None` where it is told.
    #[must_use]
    pub fn polling(&self) -> Option<&str> {
        self.polling.as_deref()
    }

    /// Whether another directory has come in the place of a watched one, without an event that would show it.
    #[must_use]
    pub(super) fn is_displaced(&self) -> bool {
        match &self.source {
            Source::Directory(mirror) => mirror.is_displaced(),
            Source::Tip(tip) => tip.is_displaced(),
        }
    }

    /// Something could not be read.
    pub(super) fn note_missed(&mut self) {
        self.missed = true;
    }

    /// Whether something could not be read, and is to be read again.
    #[must_use]
    pub(super) fn has_missed(&self) -> bool {
        self.missed
    }

    /// Every lock that counts for others.
    pub fn live(&self) -> impl Iterator<Item = &Entry> {
        let live = self.known.items().filter(|item| !item.is_over);
        live.map(|item| &item.entry)
    }

    /// The lock that counts for a path: its own, or a directory's above it.
    #[must_use]
    pub(crate) fn holder_of(&self, key: &Key) -> Option<&Entry> {
        self.known.holder_of(key)
    }

    /// The locks that have ended and that nobody has removed yet.
    pub(crate) fn remains(&self) -> impl Iterator<Item = &Entry> {
        let over = self.known.items().filter(|item| item.is_over);
        over.map(|item| &item.entry)
    }

    /// What can be seen to have happened since a change without a record of it: locks that were taken, and what has ended
    /// and was not removed.
    #[must_use]
    pub fn still(&self, since: u64) -> Vec<Event> {
        let is_new = |item: &&Item| {
            let lock = item.entry.lock();
            item.is_over || lock.is_none_or(|lock| lock.seq > since)
        };
        let told = self.known.items().filter(is_new).map(|item| {
            let happening = if item.is_over {
                Happening::Expired
            } else {
                Happening::Locked
            };
            let at = item.end.unwrap_or(self.begun);
            self.event(happening, at, &item.entry, None)
        });
        told.collect()
    }

    /// When the next lock is over by time.
    #[must_use]
    pub(crate) fn next_end(&self) -> Option<DateTime<Utc>> {
        self.known.next_end()
    }

    /// What has happened in the places that were touched.
    ///
    /// # Errors
    /// Where they cannot be read: the next look reads everything again.
    pub(super) fn look(
        &mut self,
        latch: &Latch,
        directories: &mut Directories,
        touched: &Touched,
        clock: &dyn Clock,
    ) -> Result<Vec<Event>> {
        if touched.everything {
            return self.look_everywhere(latch, directories, clock);
        }
        let places = match &mut self.source {
            Source::Directory(mirror) => {
                let (places, events) = mirror.touched(directories, &touched.paths);
                self.note_means(events);
                let mut places = self.with_known(places);
                // All of a change is told together: also where the word that it is through is still to come.
                if touched.paths.contains(&latch.local().journal()) || !self.is_changing(latch) {
                    places.append(&mut self.unsettled);
                }
                places
            }
            Source::Tip(tip) => match tip.touched(&touched.paths) {
                (false, _) => BTreeSet::new(),
                (true, is_elsewhere) => {
                    if is_elsewhere {
                        let events = tip.attach(directories);
                        self.note_means(events);
                    }
                    self.places_of_tip(latch)?
                }
            },
        };
        self.read_or_miss(latch, &places, clock)
    }

    /// What has happened, wherever it was: after a system without events, a queue that ran over, a sleep.
    ///
    /// # Errors
    /// As [`Follower::look`].
    pub(super) fn look_everywhere(
        &mut self,
        latch: &Latch,
        directories: &mut Directories,
        clock: &dyn Clock,
    ) -> Result<Vec<Event>> {
        self.attach(latch, directories);
        let is_changing = self.is_changing(latch);
        self.missed = true;
        // Asked before: what changes while it is read is read again.
        let tree = latch.shared().map(SharedStore::tree).transpose()?;
        let view = latch.view(&Scope::All, clock)?;
        if let (Source::Tip(tip), Some(tree)) = (&mut self.source, tree) {
            tip.was_read(tree);
        }
        self.missed = is_changing;
        let seen = view.entries().map(|entry| entry.place.clone());
        let places: BTreeSet<Place> = seen.chain(self.known.places().cloned()).collect();
        Ok(self.compare(&places, view))
    }

    /// What has happened, asked cheaply for want of events.
    ///
    /// # Errors
    /// As [`Follower::look`].
    pub(super) fn poll(
        &mut self,
        latch: &Latch,
        directories: &mut Directories,
        clock: &dyn Clock,
    ) -> Result<Vec<Event>> {
        let mut places = match &mut self.source {
            Source::Directory(mirror) => match mirror.changed()? {
                Some(places) => places,
                None => return self.look_everywhere(latch, directories, clock),
            },
            Source::Tip(_) => self.places_of_tip(latch)?,
        };
        places.append(&mut self.unsettled);
        self.read_or_miss(latch, &places, clock)
    }

    /// What has ended by now. Read again before it is told: who was stopped for a while may have missed a renewal.
    ///
    /// # Errors
    /// As [`Follower::look`].
    pub(super) fn ended(&mut self, latch: &Latch, clock: &dyn Clock) -> Result<Vec<Event>> {
        let now = clock.now();
        let view = View::new(self.seq, now, *latch.terms(), Vec::new());
        let gone = workspaces::gone(latch.repo().common_dir());
        let over = self.known.seem_over(&view, &gone);
        let mut events = self.read_or_miss(latch, &over, clock)?;
        for place in over {
            let Some(item) = self.known.forget(&place) else {
                continue;
            };
            let is_over = view.standing(&item.entry) == Standing::Expired;
            if is_over && !item.is_over {
                let at = item.end.filter(|end| *end <= now).unwrap_or(now);
                events.push(self.event(Happening::Expired, at, &item.entry, None));
            }
            // Or its end has moved: a heartbeat ahead of this clock counts as soon as it is not ahead any more.
            self.known.remember(item.entry, is_over, &view);
        }
        Ok(events)
    }

    /// Whether a change is under way that a reading does not show yet, though its files are touched already.
    fn is_changing(&self, latch: &Latch) -> bool {
        matches!(self.source, Source::Directory(_)) && latch.local().is_changing()
    }

    fn attach(&mut self, latch: &Latch, directories: &mut Directories) {
        if let (Source::Directory(_), Some(_)) | (Source::Tip(_), None) =
            (&self.source, latch.shared())
            && let Ok(source) = Source::of(latch)
        {
            // Sharing was turned on or off.
            self.source.detach(directories);
            self.source = source;
        }
        let events = match &mut self.source {
            Source::Directory(mirror) => mirror.attach(directories),
            Source::Tip(tip) => tip.attach(directories),
        };
        self.note_means(events);
    }

    fn note_means(&mut self, events: Result<(), String>) {
        self.polling = events.err();
    }

    /// The places, and those known below the directories among them.
    fn with_known(&self, found: mirror::Found) -> BTreeSet<Place> {
        let mut places = found.places;
        for directory in &found.directories {
            places.extend(self.known.places_below(directory).cloned());
        }
        places
    }

    fn places_of_tip(&mut self, latch: &Latch) -> Result<BTreeSet<Place>> {
        self.missed = true;
        let places = match (&mut self.source, latch.shared()) {
            (Source::Tip(tip), Some(shared)) => tip.changed(shared)?,
            _ => BTreeSet::new(),
        };
        self.missed = false;
        Ok(places)
    }

    fn read_or_miss(
        &mut self,
        latch: &Latch,
        places: &BTreeSet<Place>,
        clock: &dyn Clock,
    ) -> Result<Vec<Event>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        if self.is_changing(latch) {
            self.unsettled.extend(places.iter().cloned());
        }
        self.missed = true;
        let scope = Scope::Places(places.iter().cloned().collect());
        let view = latch.view(&scope, clock)?;
        self.missed = false;
        Ok(self.compare(places, view))
    }

    /// What a fresh view of these places differs in from what is known.
    fn compare(&mut self, places: &BTreeSet<Place>, mut view: View) -> Vec<Event> {
        self.seq = self.seq.max(view.seq);
        let fresh = view.take_entries();
        let mut fresh: BTreeMap<Place, Entry> = fresh.map(|e| (e.place.clone(), e)).collect();
        let mut events = Vec::new();
        for place in places {
            let old = self.known.forget(place).filter(|item| !item.is_over);
            let before = old.as_ref().map(|item| &item.entry);
            let new = fresh.remove(place);
            let is_over = |entry: &Entry| view.standing(entry) == Standing::Expired;
            let is_expired = new.as_ref().is_some_and(is_over);
            let after = new.as_ref().filter(|_| !is_expired || before.is_some());
            let happening = Happening::between(before, after, is_over);
            let (lock, previous) = match after {
                Some(after) => (Some(after), before),
                None => (before, None),
            };
            if let (Some(happening), Some(lock)) = (happening, lock) {
                events.push(self.event(happening, view.now, lock, previous));
            }
            if let Some(entry) = new {
                // Its end is told by the next look at the clock, unless it was told or never was seen alive.
                let is_told = is_expired && before.is_none();
                self.known.remember(entry, is_told, &view);
            }
        }
        events.sort_by_key(|event| event.seq);
        events
    }

    fn event(
        &self,
        happening: Happening,
        noticed: DateTime<Utc>,
        entry: &Entry,
        previous: Option<&Entry>,
    ) -> Event {
        let lock = entry.lock();
        let (seq, at) = match (happening, lock) {
            (Happening::Locked | Happening::Stolen, Some(lock)) => (lock.seq, lock.acquired_at),
            (Happening::Renewed, Some(lock)) => (self.seq, lock.heartbeat_at),
            _ => (self.seq, noticed),
        };
        Event {
            seq,
            happening,
            at,
            path: entry.shown_path(),
            lock: entry.clone(),
            previous: previous.cloned(),
            by: None,
            note: None,
        }
        .signed()
    }
}

impl Source {
    fn of(latch: &Latch) -> Result<Self> {
        Ok(match latch.shared() {
            Some(shared) => Source::Tip(Tip::of(shared)?),
            None => Source::Directory(Mirror::of(latch.repo().common_dir(), latch.local())),
        })
    }

    fn detach(&mut self, directories: &mut Directories) {
        match self {
            Source::Directory(mirror) => mirror.detach(directories),
            Source::Tip(tip) => tip.detach(directories),
        }
    }
}
