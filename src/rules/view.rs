//! What a store shows at one moment, and how each lock in it stands. Pure.
//!
//! A view is the only thing the decisions of [`crate::rules::lease`] look at. It may hold expired locks: `View::standing` is
//! the one place that says which of them still count, so every reader enforces expiry in the same way.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use chrono::{DateTime, TimeDelta, Utc};

use crate::rules::lock::{Liveness, Lock, Owner, grace};
use crate::rules::path::{Claim, Key, Kind, Place};
use crate::rules::time::{DurationSpec, Ttl};

/// What of the policy bears on the life of a lease.
#[derive(Clone, Copy, Debug)]
pub struct LeaseLimits {
    /// The life of a lease where none is asked for; unreadable locks live that long too.
    pub ttl: Ttl,
    /// The longest life that may be asked for.
    pub max_ttl: Ttl,
    /// How far the clocks of two machines may differ.
    pub clock_skew: DurationSpec,
}

impl LeaseLimits {
    /// What holds where the policy says nothing.
    pub(crate) const DEFAULT: LeaseLimits = LeaseLimits {
        ttl: Ttl::For(DurationSpec::from_secs(24 * 3600)),
        max_ttl: Ttl::For(DurationSpec::from_secs(14 * 24 * 3600)),
        clock_skew: DurationSpec::from_secs(60),
    };
}

/// How a lock stands at the view's moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It counts for everybody.
    Live,
    /// Its owner has stopped trusting it; others still honour it.
    Grace,
    /// It is over.
    Expired,
}

/// What lies in one place of the lock directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it lies.
    pub place: Place,
    /// What it occupies, by its place.
    pub claim: Claim,
    /// When the store last wrote it, by the store's own clock.
    pub stored_at: Option<DateTime<Utc>>,
    /// The lock, or why it is none.
    pub content: Content,
}

/// A lock, or something that stands where a lock should and blocks all the same.
#[derive(Clone, Debug)]
pub enum Content {
    /// A valid lock.
    Lock {
        /// The record.
        lock: Box<Lock>,
        /// What is known of its process.
        life: Liveness,
    },
    /// Torn, oversized, of another format, or in a place not its own.
    Unreadable {
        /// What is wrong with it.
        problem: String,
    },
}

impl Entry {
    /// A lock that is about to be stored, or was; of its process nothing is known. `None` where it has no place.
    pub(crate) fn of(lock: Lock) -> Option<Self> {
        let claim = lock.claim();
        Some(Entry {
            place: claim.place()?,
            claim,
            stored_at: None,
            content: Content::Lock {
                lock: Box::new(lock),
                life: Liveness::Unknown,
            },
        })
    }

    /// The lock, if it is a valid one.
    #[must_use]
    pub fn lock(&self) -> Option<&Lock> {
        match &self.content {
            Content::Lock { lock, .. } => Some(lock),
            Content::Unreadable { .. } => None,
        }
    }

    /// Takes its life where its workspace is one of those that are gone.
    pub(crate) fn end_if_gone(&mut self, gone: &HashSet<String>) {
        if let Content::Lock { lock, life } = &mut self.content
            && *life != Liveness::Alive
            && lock
                .owner
                .workspace
                .as_ref()
                .is_some_and(|id| gone.contains(id))
        {
            *life = Liveness::Dead;
        }
    }

    /// The path to show: the lock's own, or the one its place stands for, with a `/` only where it is unreadable.
    #[must_use]
    pub fn shown_path(&self) -> String {
        match self.lock() {
            Some(lock) => lock.path.to_string(),
            None if self.claim.key == Key::root() => ".".into(),
            None => crate::rules::spelling::escaped(self.claim.key.as_bytes()),
        }
    }

    /// The path as it is, from the root: the lock's own, or its key where it is unreadable.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        match self.lock() {
            Some(lock) => lock.path.as_str().as_bytes(),
            None => self.claim.key.as_bytes(),
        }
    }

    /// Whether it is bound to a process that is known to run.
    #[must_use]
    pub fn is_bound_to_living(&self) -> bool {
        matches!(
            self.content,
            Content::Lock {
                life: Liveness::Alive,
                ..
            }
        )
    }

    /// Whether it is bound to a process that may still run: one that is known to, or one that cannot be seen from here,
    /// in another container, say. Unknown is not dead.
    #[must_use]
    pub fn may_be_running(&self) -> bool {
        match &self.content {
            Content::Lock { lock, life } => match life {
                Liveness::Alive => true,
                Liveness::Unknown => lock.process.is_some(),
                Liveness::Unbound | Liveness::Dead => false,
            },
            Content::Unreadable { .. } => false,
        }
    }

    /// When it ends by time, for its owner; `None` for never.
    #[must_use]
    pub fn ends_at(&self, now: DateTime<Utc>, terms: &LeaseLimits) -> Option<DateTime<Utc>> {
        self.ttl(terms).end_from(self.last_sign(now))
    }

    /// When it is over for everybody, by time; `None` for never.
    #[must_use]
    pub(crate) fn over_at(&self, now: DateTime<Utc>, terms: &LeaseLimits) -> Option<DateTime<Utc>> {
        Some(self.ends_at(now, terms)? + grace(self.ttl(terms), terms.clock_skew))
    }

    /// How far its heartbeat lies in the future, where that is more than clocks may differ.
    #[must_use]
    pub fn clock_difference(&self, now: DateTime<Utc>, terms: &LeaseLimits) -> Option<TimeDelta> {
        let ahead = self.lock()?.heartbeat_at - now;
        (ahead > terms.clock_skew.as_delta()).then_some(ahead)
    }

    /// The last sign of life that counts, at `now`.
    ///
    /// A heartbeat in the future is not damage: it counts from when the store first had it.
    fn last_sign(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let stored = self.stored_at.map_or(now, |at| at.min(now));
        match self.lock() {
            Some(lock) if lock.heartbeat_at <= now => lock.heartbeat_at,
            _ => stored,
        }
    }

    /// How long it lives after its last sign of life.
    fn ttl(&self, terms: &LeaseLimits) -> Ttl {
        self.lock().map_or(terms.ttl, |lock| lock.ttl)
    }
}

/// What a store shows, with what is needed to judge it.
#[derive(Clone, Debug)]
pub struct View {
    /// The number of the last change.
    pub seq: u64,
    /// The moment of the reading, by this machine's clock.
    pub now: DateTime<Utc>,
    /// The moment by the store's own clock, where it has one and was asked: the second witness of a takeover.
    pub store_now: Option<DateTime<Utc>>,
    /// What of the policy bears on expiry.
    pub terms: LeaseLimits,
    entries: BTreeMap<Key, Vec<Entry>>,
}

impl View {
    /// A view of these entries.
    #[must_use]
    pub(crate) fn new(
        seq: u64,
        now: DateTime<Utc>,
        terms: LeaseLimits,
        entries: Vec<Entry>,
    ) -> Self {
        let mut by_key: BTreeMap<Key, Vec<Entry>> = BTreeMap::new();
        for entry in entries {
            by_key
                .entry(entry.claim.key.clone())
                .or_default()
                .push(entry);
        }
        View {
            seq,
            now,
            store_now: None,
            terms,
            entries: by_key,
        }
    }

    /// The number the next change gets: one more than the last, or the milliseconds since 1970, whichever is larger.
    #[must_use]
    pub(crate) fn next_seq(&self) -> u64 {
        let millis = u64::try_from(self.now.timestamp_millis()).unwrap_or_default();
        millis.max(self.seq.saturating_add(1))
    }

    /// Every entry, expired ones too, by key.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().flatten()
    }

    /// Ends at once what workspaces hold that are proven gone, as the locks of dead processes end. A process that is proven
    /// alive goes on.
    #[must_use]
    pub(crate) fn without_gone(mut self, gone: &HashSet<String>) -> Self {
        if !gone.is_empty() {
            let entries = self.entries.values_mut().flatten();
            entries.for_each(|entry| entry.end_if_gone(gone));
        }
        self
    }

    /// Every entry, taken out: what is left judges them as before.
    pub(crate) fn take_entries(&mut self) -> impl Iterator<Item = Entry> + use<> {
        std::mem::take(&mut self.entries).into_values().flatten()
    }

    /// Puts an entry into the view, in place of what lay there.
    pub(crate) fn put(&mut self, entry: Entry) {
        self.take(&entry.place);
        let key = entry.claim.key.clone();
        self.entries.entry(key).or_default().push(entry);
    }

    /// What lies in a place.
    pub(crate) fn at(&self, place: &Place) -> Option<&Entry> {
        let entries = self.entries.get(&place.occupied().key)?;
        entries.iter().find(|entry| entry.place == *place)
    }

    /// Takes what lies in a place out of the view.
    pub(crate) fn take(&mut self, place: &Place) {
        if let Some(entries) = self.entries.get_mut(&place.occupied().key) {
            entries.retain(|entry| entry.place != *place);
        }
    }

    /// Every entry that still counts for others.
    pub fn live(&self) -> impl Iterator<Item = &Entry> {
        self.entries()
            .filter(|e| self.standing(e) != Standing::Expired)
    }

    /// Every entry, expired ones too, that cannot have another holder than `claim` has.
    pub(crate) fn overlapping<'a>(&'a self, claim: &'a Claim) -> impl Iterator<Item = &'a Entry> {
        let below = (claim.kind == Kind::Directory)
            .then(|| self.below(&claim.key))
            .into_iter()
            .flatten();
        self.covering(&claim.key).chain(below)
    }

    /// Every entry, expired ones too, that holds this key: on it, or a directory's above it.
    pub(crate) fn covering(&self, key: &Key) -> impl Iterator<Item = &Entry> {
        let own = self.entries.get(key).into_iter().flatten();
        let above: Vec<&Entry> = key
            .ancestors()
            .filter_map(|k| self.entries.get(&k))
            .flatten()
            .filter(|e| e.claim.kind == Kind::Directory)
            .collect();
        own.chain(above)
    }

    /// Every entry strictly below a key.
    fn below<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .range::<Key, _>((Bound::Excluded(key), Bound::Unbounded))
            .take_while(move |(k, _)| k.as_bytes().starts_with(key.as_bytes()))
            .filter(move |(k, _)| key.is_above(k))
            .flat_map(|(_, entries)| entries)
    }

    /// How an entry stands.
    ///
    /// A takeover by time wants two witnesses: where the view was read for a change (`store_now`), an entry counts as
    /// expired only if the store's own clock, too, has left its last writing behind by ttl and grace.
    #[must_use]
    pub(crate) fn standing(&self, entry: &Entry) -> Standing {
        match entry.content {
            Content::Lock {
                life: Liveness::Dead,
                ..
            } => return Standing::Expired,
            Content::Lock {
                life: Liveness::Alive,
                ..
            } => return Standing::Live,
            _ => {}
        }
        let ttl = entry.ttl(&self.terms);
        let Some(end) = ttl.end_from(entry.last_sign(self.now)) else {
            return Standing::Live;
        };
        if self.now < end {
            return Standing::Live;
        }
        let grace = grace(ttl, self.terms.clock_skew);
        let store_agrees = match (self.store_now, entry.stored_at) {
            (Some(now), Some(at)) => ttl.end_from(at).is_some_and(|end| now >= end + grace),
            _ => true,
        };
        if self.now >= end + grace && store_agrees {
            Standing::Expired
        } else {
            Standing::Grace
        }
    }
}

/// Who asks: the owner that this invocation's locks get, and the leases it was started under.
#[derive(Clone, Debug)]
pub struct Me {
    /// My id, name, host and workspace.
    pub owner: Owner,
    /// Leases of the `run` this invocation was started by (`GIT_LATCH_LEASE`): bound to a living process, but not
    /// another one's work.
    pub inside: Vec<String>,
}

impl Me {
    /// Whether I may commit, push, renew and unlock what a lock holds: mine, or that of an agent below me, in my workspace
    /// or in none.
    #[must_use]
    pub fn owns(&self, lock: &Lock) -> bool {
        self.owner.answers_for(&lock.owner)
    }

    /// Whether an entry is a lock that I own.
    #[must_use]
    pub fn has(&self, entry: &Entry) -> bool {
        entry.lock().is_some_and(|lock| self.owns(lock))
    }

    /// Whether I am an entry's very holder: what I ask for is mine already then. An agent below me is another holder.
    #[must_use]
    pub fn holds(&self, entry: &Entry) -> bool {
        entry.lock().is_some_and(|lock| self.owner.is(&lock.owner))
    }

    /// Whether a lock that I own and that is not over is in the hands of another process: one that lives, or that nobody
    /// here can prove dead.
    #[must_use]
    pub(crate) fn is_in_progress(&self, entry: &Entry) -> bool {
        let inside = entry
            .lock()
            .is_some_and(|lock| self.inside.iter().any(|l| l == lock.lease.as_str()));
        self.has(entry) && entry.may_be_running() && !inside
    }
}
