//! One repository as a server serves it: every lock in memory, changes grouped, events told as they are published.
//!
//! The truth is the lock ref, here or on a remote; what is in memory follows it, whoever moves it. Nothing here knows of
//! HTTP: [`crate::server`] does, and the test of this module is that it could be something else.
//!
//! `table` is what is in memory, and `following` keeps it so; `changing` has changes made, by `group`; `visits` and
//! `sessions` are for clients that may vanish; `tending` is what is done now and then; `ask` what can be asked for. `backend`
//! reads where the locks lie: `hosted` or `remote`, and a third kind would be one more file like those.
//!
//! - [`RepoService::submit`] has a change made, together with all others that wait; [`RepoService::drain`] is the work itself.
//! - [`RepoService::tend`] is what has to be done now and then: follow the ref, end silent sessions, renew those that live,
//!   remove what has expired, look after the disk.

mod ask;
mod backend;
mod changing;
mod following;
mod group;
mod hosted;
mod query;
mod remote;
mod sessions;
mod table;
mod tending;
mod visits;

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use parking_lot::{Mutex, RwLock};

pub(crate) use ask::{AcquireRequest, Command};
pub(crate) use group::Turn;
pub(crate) use query::Query;
#[cfg(test)]
pub(crate) use query::mentions;
pub(crate) use sessions::{heartbeat, is_session};
pub(crate) use table::{Below, Listed};

use backend::Backend;
use group::Queue;
use hosted::Hosted;
use remote::Remote;
use sessions::Sessions;
use table::Table;

use crate::latch::policy::Policy;
use crate::os::files::Stamp;
use crate::rules::error::Result;
use crate::rules::event::{Author, Event};
use crate::rules::lease::Renewal;
use crate::rules::lock::Owner;
use crate::rules::loss::Loss;
use crate::rules::path::{Claim, Key, Kind, RepoPath};
use crate::rules::time::Clock;
use crate::rules::view::{Content, Entry, LeaseLimits, Me};
use crate::store::shared::history;

pub(crate) use history::Page;

/// How many changes and events are kept for those who were away for a moment.
const RECENT: usize = 4_000;
/// How often a repository is looked after.
const TEND: Duration = Duration::from_millis(200);
/// Room for trees as deep as a path can be.
const STACK: usize = 16 << 20;
/// How many commits are read for those who were away for longer.
const REPLAYED: usize = 2_000;

/// One change of the locks, as it is told.
#[derive(Debug)]
pub(crate) struct Published {
    /// Its number.
    pub seq: u64,
    /// The number of the change before.
    pub after: u64,
    /// What it did; `None` where that is not known, and everything has to be looked at again.
    pub events: Option<Vec<Event>>,
    /// The terms that held then.
    pub terms: LeaseLimits,
}

/// Whom changes are told, in their order.
pub(crate) type Publish = Box<dyn Fn(&Arc<Published>) + Send + Sync>;

/// A repository that is served.
pub(crate) struct RepoService {
    name: String,
    backend: Backend,
    server: Author,
    rules: RwLock<Arc<Policy>>,
    table: RwLock<Table>,
    /// Held while the table follows the ref.
    following: Mutex<()>,
    /// What the ref's file looked like before it was followed last.
    seen: Mutex<Option<Stamp>>,
    confirmed_at: Mutex<DateTime<Utc>>,
    recent: Mutex<VecDeque<Arc<Published>>>,
    queue: Queue,
    sessions: Sessions,
    tending: tending::Tending,
    is_open: AtomicBool,
    tell: Publish,
}

impl std::fmt::Debug for RepoService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RepoService")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a heartbeat of a session finds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// What the session has.
    pub renewed: Vec<Entry>,
    /// What it has lost.
    pub lost: Vec<Loss>,
}

impl RepoService {
    /// Serves a bare repository; `server` is who makes changes that nobody asked for.
    ///
    /// # Errors
    /// Where it is no bare repository that libgit2 reads, or its policy does not parse.
    pub(crate) fn open(
        name: &str,
        directory: &Path,
        server: Author,
        clock: &dyn Clock,
        tell: Publish,
    ) -> Result<Self> {
        let (site, policy) = Hosted::open(directory, &server)?;
        Self::new(name, (Backend::new(site), policy), server, clock, tell)
    }

    /// Serves the locks of a git remote, with a repository of our own below `cache` to work in.
    ///
    /// # Errors
    /// Where the remote does not answer.
    pub(crate) fn open_remote(
        name: &str,
        url: &str,
        cache: &Path,
        server: Author,
        clock: &dyn Clock,
        tell: Publish,
    ) -> Result<Self> {
        let (site, policy) = Remote::open(url, cache, &server, clock)?;
        Self::new(name, (Backend::new(site), policy), server, clock, tell)
    }

    fn new(
        name: &str,
        (backend, policy): (Backend, Policy),
        server: Author,
        clock: &dyn Clock,
        tell: Publish,
    ) -> Result<Self> {
        let opened = RepoService {
            name: name.to_owned(),
            table: RwLock::new(Table::new(policy.terms)),
            rules: RwLock::new(Arc::new(policy)),
            backend,
            server,
            following: Mutex::default(),
            seen: Mutex::default(),
            confirmed_at: Mutex::new(clock.now()),
            recent: Mutex::default(),
            queue: Queue::default(),
            sessions: Sessions::default(),
            tending: tending::Tending::default(),
            is_open: AtomicBool::new(false),
            tell,
        };
        opened.follow(clock)?;
        let now = Instant::now();
        opened.table(|table| {
            let locks = table.all().filter_map(Entry::lock);
            locks.for_each(|lock| opened.sessions.read_back(lock, now));
        });
        opened.is_open.store(true, Ordering::Release);
        Ok(opened)
    }

    /// Its name in addresses.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The team's rules, by the commit that `HEAD` names.
    #[must_use]
    pub(crate) fn policy(&self) -> Arc<Policy> {
        let rules = self.rules.read();
        rules.clone()
    }

    fn table<T>(&self, read: impl FnOnce(&Table) -> T) -> T {
        read(&self.table.read())
    }

    /// What of the policy bears on expiry.
    #[must_use]
    pub(crate) fn terms(&self) -> LeaseLimits {
        self.policy().terms
    }

    /// When the locks were last seen to be those of the ref.
    #[must_use]
    pub(crate) fn as_of(&self) -> DateTime<Utc> {
        *self.confirmed_at.lock()
    }

    /// The number of the last change.
    #[must_use]
    pub(crate) fn seq(&self) -> u64 {
        self.table(Table::seq)
    }

    /// What answers to equal questions have in common at a moment: a number for the state, and until when they hold if
    /// nothing changes.
    #[must_use]
    pub(crate) fn state_at(&self, now: DateTime<Utc>) -> (u64, Option<DateTime<Utc>>) {
        self.table(|table| table.state_at(now))
    }

    /// The number of the last change, and the last end by time of a lock that nobody has removed yet.
    #[must_use]
    pub(crate) fn tag_at(&self, now: DateTime<Utc>) -> (u64, Option<DateTime<Utc>>) {
        self.table(|table| (table.seq(), table.last_end(now)))
    }

    /// The live locks that a question is about.
    #[must_use]
    pub(crate) fn list(&self, query: &Query, now: DateTime<Utc>) -> Listed {
        self.table(|table| table.list(query, now))
    }

    /// How many live locks a question is about, whatever its cursor and limit say.
    #[must_use]
    pub(crate) fn count(&self, query: &Query, now: DateTime<Utc>) -> usize {
        self.table(|table| table.count(query, now))
    }

    /// The live lock of a lease.
    #[must_use]
    pub(crate) fn lease(&self, lease: &str, now: DateTime<Utc>) -> Option<Entry> {
        self.table(|table| table.lease(lease, now).cloned())
    }

    /// What a person and their agents have locked.
    #[must_use]
    pub(crate) fn keys_of(&self, person: &str, now: DateTime<Utc>) -> BTreeSet<Key> {
        let query = Query {
            person: Some(person.to_owned()),
            ..Query::default()
        };
        let listed = self.list(&query, now).entries.into_iter();
        listed.map(|entry| entry.claim.key).collect()
    }

    /// How many locks a person and their agents have, those included that are over and not removed yet.
    #[must_use]
    pub(crate) fn count_of(&self, person: &str) -> usize {
        self.table(|table| table.count_of(person))
    }

    /// How many locks, sessions and waiting requests there are.
    #[must_use]
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let locks = self.table(Table::len);
        (locks, self.sessions.count(), self.queue.len())
    }

    /// What is locked on and below each name in a directory.
    #[must_use]
    pub(crate) fn below(
        &self,
        directory: &Key,
        now: DateTime<Utc>,
    ) -> std::collections::BTreeMap<Vec<u8>, Below> {
        self.table(|table| table.below(directory, now))
    }

    /// The names in a directory of the commit that `HEAD` names: files, and directories.
    ///
    /// # Errors
    /// Where the repository cannot be read.
    pub(crate) fn names_in(&self, directory: &RepoPath) -> Result<Vec<(String, Kind)>> {
        self.backend.names_in(directory)
    }

    /// Whether a path is a directory of the commit that `HEAD` names.
    ///
    /// # Errors
    /// Where the repository cannot be read.
    pub(crate) fn is_directory(&self, path: &RepoPath) -> Result<bool> {
        self.backend.is_directory(path)
    }

    /// The tracked files that a lock covers, by the commit that `HEAD` names.
    ///
    /// # Errors
    /// Where the repository cannot be read.
    pub(crate) fn files_below(&self, claim: &Claim) -> Result<Vec<String>> {
        self.backend.files_below(claim)
    }

    /// The locks without workspace that an owner has had renewed for more than a third of their life.
    #[must_use]
    pub(crate) fn due_of(&self, id: &str, now: DateTime<Utc>) -> Vec<Renewal> {
        self.table(|table| {
            let locks = table.of_owner(id, now).filter_map(Entry::lock);
            locks
                .filter(|lock| lock.owner.workspace.is_none() && tending::is_due(lock, now))
                .map(Renewal::of)
                .collect()
        })
    }
}

/// Somebody without a process here.
pub(crate) fn me(owner: Owner) -> Me {
    Me {
        owner,
        inside: Vec::new(),
    }
}

/// Whether a lock counts from when it was first seen: its heartbeat lies in the future, or it has none.
fn counts_from_arrival(entry: &Entry, now: DateTime<Utc>) -> bool {
    match &entry.content {
        Content::Lock { lock, .. } => lock.heartbeat_at > now,
        Content::Unreadable { .. } => true,
    }
}

#[cfg(test)]
mod tests;
