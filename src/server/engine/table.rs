//! What a server knows of the locks of one repository: all of them, in memory, so that reading costs no disk.
//!
//! It follows the lock ref by the differences of its trees, whoever made them. It may hold expired locks: whoever reads
//! says at what moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use chrono::{DateTime, Utc};

use super::query::Query;
use crate::rules::lock::{LeaseId, id_key, is_or_below, is_same_id};
use crate::rules::path::{Claim, Key, Place};
use crate::rules::view::{Entry, LeaseLimits, Standing, View};

/// A part of the locks.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// Sorted by key.
    pub entries: Vec<Entry>,
    /// The last key, where there are more.
    pub next: Option<Key>,
}

/// All locks of one repository.
#[derive(Debug)]
pub(super) struct Table {
    /// The commit and the tree that this is.
    tip: Option<(String, String)>,
    seq: u64,
    /// Larger after every change of what is in here.
    version: u64,
    terms: LeaseLimits,
    entries: BTreeMap<Key, Vec<Entry>>,
    leases: HashMap<LeaseId, Key>,
    owners: HashMap<String, BTreeSet<Key>>,
    /// When each is over for everybody, by time.
    ends: BTreeSet<(DateTime<Utc>, Place)>,
}

impl Table {
    pub(super) fn new(terms: LeaseLimits) -> Self {
        Table {
            tip: None,
            seq: 0,
            version: 0,
            terms,
            entries: BTreeMap::new(),
            leases: HashMap::new(),
            owners: HashMap::new(),
            ends: BTreeSet::new(),
        }
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    pub(super) fn tip(&self) -> Option<&(String, String)> {
        self.tip.as_ref()
    }

    /// What answers to equal questions have in common: the state, and how many locks have ended by now.
    pub(super) fn state_at(&self, now: DateTime<Utc>) -> (u64, Option<DateTime<Utc>>) {
        let next = (now, Place::from_bytes(Vec::new()));
        let next = self.ends.range(next..).next().map(|(at, _)| *at);
        (self.version, next)
    }

    /// The last end by time before a moment, of those that are in here.
    pub(super) fn last_end(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let until = (now, Place::from_bytes(vec![0xff]));
        self.ends.range(..=until).next_back().map(|(at, _)| *at)
    }

    /// What is over and still in here.
    pub(super) fn over(&self, now: DateTime<Utc>) -> Vec<Claim> {
        let view = self.judge(now);
        let ended = self.ends.iter().take_while(|(at, _)| *at <= now);
        ended
            .filter_map(|(_, place)| self.at(place))
            .filter(|entry| view.standing(entry) == Standing::Expired)
            .map(|entry| entry.claim.clone())
            .collect()
    }

    fn at(&self, place: &Place) -> Option<&Entry> {
        let entries = self.entries.get(&place.occupied().key)?;
        entries.iter().find(|entry| entry.place == *place)
    }

    /// Judges by other terms from now on.
    pub(super) fn set_terms(&mut self, terms: LeaseLimits) {
        self.terms = terms;
        self.version += 1;
        let ends = self.entries.values().flatten();
        self.ends = ends
            .filter_map(|entry| Some((over_at(entry, &terms)?, entry.place.clone())))
            .collect();
    }

    /// Becomes what a tip is.
    pub(super) fn advance(
        &mut self,
        tip: Option<(String, String)>,
        seq: u64,
        differences: Vec<(Place, Option<Entry>)>,
    ) {
        self.tip = tip;
        self.seq = seq;
        self.version += 1;
        for (place, entry) in differences {
            self.take(&place);
            if let Some(entry) = entry {
                self.put(entry);
            }
        }
    }

    fn take(&mut self, place: &Place) {
        let key = place.occupied().key;
        let Some(entries) = self.entries.get_mut(&key) else {
            return;
        };
        let Some(at) = entries.iter().position(|entry| entry.place == *place) else {
            return;
        };
        let entry = entries.swap_remove(at);
        let others_owner = |id: &str| {
            entries
                .iter()
                .filter_map(Entry::lock)
                .any(|lock| is_same_id(&lock.owner.id, id))
        };
        if let Some(lock) = entry.lock() {
            if self.leases.get(&lock.lease) == Some(&key) {
                self.leases.remove(&lock.lease);
            }
            if !others_owner(&lock.owner.id)
                && let Some(keys) = self.owners.get_mut(&*id_key(&lock.owner.id))
            {
                keys.remove(&key);
                if keys.is_empty() {
                    self.owners.remove(&*id_key(&lock.owner.id));
                }
            }
        }
        if entries.is_empty() {
            self.entries.remove(&key);
        }
        if let Some(at) = over_at(&entry, &self.terms) {
            self.ends.remove(&(at, entry.place));
        }
    }

    fn put(&mut self, entry: Entry) {
        let key = entry.claim.key.clone();
        if let Some(lock) = entry.lock() {
            // Whoever copies a lease's id does not get in its way.
            self.leases
                .entry(lock.lease.clone())
                .or_insert_with(|| key.clone());
            let owner = self
                .owners
                .entry(id_key(&lock.owner.id).into_owned())
                .or_default();
            owner.insert(key.clone());
        }
        if let Some(at) = over_at(&entry, &self.terms) {
            self.ends.insert((at, entry.place.clone()));
        }
        match self.entries.get_mut(&key) {
            Some(entries) => entries.push(entry),
            // Room for one: there is hardly ever another.
            None => drop(self.entries.insert(key, vec![entry])),
        }
    }

    /// Something to judge by: the view of nothing at this moment.
    fn judge(&self, now: DateTime<Utc>) -> View {
        View::new(self.seq, now, self.terms, Vec::new())
    }

    /// The live lock of a lease.
    pub(super) fn lease(&self, lease: &str, now: DateTime<Utc>) -> Option<&Entry> {
        let lease = LeaseId::try_from(lease.to_owned()).ok()?;
        let view = self.judge(now);
        self.had(&lease)
            .filter(|entry| view.standing(entry) != Standing::Expired)
    }

    /// The lock of a lease, also where it is over.
    pub(super) fn had(&self, lease: &LeaseId) -> Option<&Entry> {
        let entries = self.entries.get(self.leases.get(lease)?)?;
        let is_it = |entry: &&Entry| entry.lock().is_some_and(|lock| lock.lease == *lease);
        entries.iter().find(is_it)
    }

    /// How many locks there are, expired ones too.
    pub(super) fn len(&self) -> usize {
        self.entries.values().map(Vec::len).sum()
    }

    /// How many paths a person and their agents have locked; those that are over count.
    pub(super) fn count_of(&self, person: &str) -> usize {
        let owners = self.owners.iter();
        owners
            .filter(|(id, _)| is_or_below(id, person))
            .map(|(_, keys)| keys.len())
            .sum()
    }

    /// The live locks of one owner id.
    pub(super) fn of_owner<'a>(
        &'a self,
        id: &str,
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let keys = self.owners.get(&*id_key(id)).into_iter().flatten();
        let id = id.to_owned();
        let view = self.judge(now);
        keys.filter_map(|key| self.entries.get(key))
            .flatten()
            .filter(move |entry| {
                entry
                    .lock()
                    .is_some_and(|lock| is_same_id(&lock.owner.id, &id))
            })
            .filter(move |entry| view.standing(entry) != Standing::Expired)
    }

    /// Every entry, expired ones too.
    pub(super) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().flatten()
    }

    /// How many live locks a question is about, whatever its cursor and limit say.
    pub(super) fn count(&self, query: &Query, now: DateTime<Utc>) -> usize {
        let all = Query {
            after: None,
            ..query.clone()
        };
        let view = self.judge(now);
        let keys = self.keys(&all);
        let entries = keys.filter_map(|key| self.entries.get(key)).flatten();
        entries.filter(|entry| all.is_about(entry, &view)).count()
    }

    /// The live locks that a question is about, by key.
    pub(super) fn list(&self, query: &Query, now: DateTime<Utc>) -> Listed {
        let view = self.judge(now);
        let limit = query.limit.unwrap_or(usize::MAX).max(1);
        let mut entries = Vec::new();
        let mut keys = self.keys(query);
        for key in keys.by_ref() {
            let found = self.entries.get(key).into_iter().flatten();
            let found: Vec<&Entry> = found.filter(|entry| query.is_about(entry, &view)).collect();
            // One more than wanted: there is a next page then.
            if !found.is_empty() && entries.len() >= limit {
                let last: Option<&Entry> = entries.last();
                let next = last.map(|entry| entry.claim.key.clone());
                return Listed { entries, next };
            }
            entries.extend(found.into_iter().cloned());
        }
        Listed {
            entries,
            next: None,
        }
    }

    /// The keys to look at, in order: as few as the question allows.
    fn keys<'a>(&'a self, query: &'a Query) -> Box<dyn Iterator<Item = &'a Key> + 'a> {
        let is_after = |key: &Key| query.after.as_ref().is_none_or(|after| key > after);
        if let Some(path) = &query.path {
            let found = self.entries.get_key_value(path).map(|(key, _)| key);
            return Box::new(found.into_iter().filter(move |key| is_after(key)));
        }
        if let Some(path) = &query.covers {
            let found = above(path).chain([path.clone()]);
            let found: Vec<&Key> = found
                .filter_map(|key| self.entries.get_key_value(&key).map(|(key, _)| key))
                .collect();
            return Box::new(found.into_iter().filter(move |key| is_after(key)));
        }
        let from = query
            .after
            .as_ref()
            .map_or(Bound::Unbounded, Bound::Excluded);
        if let Some(directory) = &query.under {
            let above: Vec<&Key> = above(directory)
                .filter_map(|key| self.entries.get_key_value(&key).map(|(key, _)| key))
                .filter(|key| is_after(key))
                .collect();
            let begin = match &query.after {
                Some(after) if after > directory => Bound::Excluded(after),
                Some(after) if after == directory => Bound::Excluded(after),
                _ => Bound::Included(directory),
            };
            let below = self.entries.range::<Key, _>((begin, Bound::Unbounded));
            let below = below
                .map(|(key, _)| key)
                .take_while(move |key| key.as_bytes().starts_with(directory.as_bytes()));
            return Box::new(above.into_iter().chain(below));
        }
        if let Some(keys) = query.owner.as_ref().map(|id| self.owners.get(&*id_key(id))) {
            let keys = keys.into_iter().flatten();
            return Box::new(keys.filter(move |key| is_after(key)));
        }
        Box::new(
            self.entries
                .range::<Key, _>((from, Bound::Unbounded))
                .map(|(key, _)| key),
        )
    }

    /// For each name directly below a directory: how many live locks there are, and which lies on it.
    pub(super) fn below(&self, directory: &Key, now: DateTime<Utc>) -> BTreeMap<Vec<u8>, Below> {
        let view = self.judge(now);
        let prefix = match directory.as_bytes() {
            b"" => Vec::new(),
            bytes => [bytes, b"/"].concat(),
        };
        let mut below: BTreeMap<Vec<u8>, Below> = BTreeMap::new();
        let range = self
            .entries
            .range::<Key, _>((Bound::Excluded(directory), Bound::Unbounded));
        let inside = range.take_while(|(key, _)| {
            // `a!` sorts between `a` and `a/`.
            key.as_bytes().starts_with(directory.as_bytes())
        });
        for (key, entries) in inside {
            let Some(rest) = key.as_bytes().strip_prefix(prefix.as_slice()) else {
                continue;
            };
            let name = rest.split(|b| *b == b'/').next().unwrap_or(rest);
            let is_on_it = name.len() == rest.len();
            for entry in entries {
                if view.standing(entry) == Standing::Expired {
                    continue;
                }
                let found = below.entry(name.to_vec()).or_default();
                found.shown = entry.shown_path();
                if is_on_it {
                    found.lock = Some(entry.clone());
                } else {
                    found.count += 1;
                }
            }
        }
        below
    }
}

/// The directories above, the root first.
fn above(key: &Key) -> impl Iterator<Item = Key> {
    let all: Vec<Key> = key.ancestors().collect();
    all.into_iter().rev()
}

/// What is locked on and below one name in a directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Below {
    /// The path of one of these locks, as people write it.
    pub shown: String,
    /// The lock on it.
    pub lock: Option<Entry>,
    /// How many there are below it.
    pub count: usize,
}

/// When an entry is over. One that came with a heartbeat in the future counts from when it came.
fn over_at(entry: &Entry, terms: &LeaseLimits) -> Option<DateTime<Utc>> {
    let now = entry.stored_at.unwrap_or(DateTime::<Utc>::MAX_UTC);
    entry.over_at(now, terms)
}
