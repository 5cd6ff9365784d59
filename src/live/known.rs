//! What is known of the locks, and when each of them ends.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Utc};

use crate::rules::path::{Claim, Key, Kind, Place};
use crate::rules::view::{Content, Entry, Standing, View};

/// The locks as they were read last.
#[derive(Debug, Default)]
pub(super) struct KnownLocks {
    items: BTreeMap<Place, Item>,
    /// When the locks that count are over by time.
    ends: BTreeSet<(DateTime<Utc>, Place)>,
    /// The locks that end with a process.
    bound: BTreeSet<Place>,
}

/// What is known of one place.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) entry: Entry,
    /// When it is over by time, or was; as it stands among the ends while it counts.
    pub(super) end: Option<DateTime<Utc>>,
    /// Its end was told: it counts for nobody any more.
    pub(super) is_over: bool,
}

impl KnownLocks {
    /// Everything, what is over too.
    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    /// Every place.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.items.keys()
    }

    /// The places below a directory that ends in `/`, or all for an empty one.
    pub(super) fn places_below<'a>(
        &'a self,
        directory: &'a [u8],
    ) -> impl Iterator<Item = &'a Place> {
        let from = Place::from_bytes(directory.to_vec());
        let below = self.items.range(from..).map(|(place, _)| place);
        below.take_while(move |place| place.as_bytes().starts_with(directory))
    }

    /// The lock that counts for a path: its own, or a directory's above it.
    pub(super) fn holder_of(&self, key: &Key) -> Option<&Entry> {
        let own = [Kind::File, Kind::Directory].map(|kind| Claim {
            key: key.clone(),
            kind,
        });
        let above = key.ancestors().map(|key| Claim {
            key,
            kind: Kind::Directory,
        });
        let mut places = own.into_iter().chain(above).filter_map(|c| c.place());
        places.find_map(|place| {
            let item = self.items.get(&place).filter(|item| !item.is_over)?;
            Some(&item.entry)
        })
    }

    /// When the next lock is over by time.
    pub(super) fn next_end(&self) -> Option<DateTime<Utc>> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// The places whose time, or whose process, seems to be over.
    pub(super) fn seem_over(&mut self, view: &View, gone: &HashSet<String>) -> BTreeSet<Place> {
        let timely = self.ends.iter().take_while(|(at, _)| *at <= view.now);
        let mut over: BTreeSet<Place> = timely.map(|(_, place)| place.clone()).collect();
        for place in &self.bound {
            if let Some(item) = self.items.get_mut(place)
                && let Content::Lock { lock, life } = &mut item.entry.content
            {
                *life = crate::os::process::liveness(lock.process.as_ref());
                if view.standing(&item.entry) == Standing::Expired {
                    over.insert(place.clone());
                }
            }
        }
        if !gone.is_empty() {
            for (place, item) in self.items.iter_mut().filter(|(_, item)| !item.is_over) {
                item.entry.end_if_gone(gone);
                if view.standing(&item.entry) == Standing::Expired {
                    over.insert(place.clone());
                }
            }
        }
        over
    }

    /// Notes what lies in a place, as it was read for this view.
    pub(super) fn remember(&mut self, entry: Entry, is_over: bool, view: &View) {
        let place = entry.place.clone();
        // What ends with a process that lives does not end by time.
        let ends_by_time = !entry.is_bound_to_living();
        let end = entry.over_at(view.now, &view.terms);
        let end = end.filter(|_| ends_by_time);
        if !is_over {
            self.ends.extend(end.map(|at| (at, place.clone())));
            if entry.lock().is_some_and(|lock| lock.process.is_some()) {
                self.bound.insert(place.clone());
            }
        }
        let item = Item {
            entry,
            end,
            is_over,
        };
        self.items.insert(place, item);
    }

    /// Forgets a place, and gives what was known of it.
    pub(super) fn forget(&mut self, place: &Place) -> Option<Item> {
        let item = self.items.remove(place)?;
        self.bound.remove(place);
        if let Some(end) = item.end {
            self.ends.remove(&(end, place.clone()));
        }
        Some(item)
    }
}
