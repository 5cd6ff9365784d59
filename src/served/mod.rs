//! One repository as a server serves it: every lock in memory, changes grouped, events told as they are published.
//!
//! The truth is the lock ref, here or on a remote; what is in memory follows it, whoever moves it. Nothing here knows of
//! HTTP: [`crate::server`] does, and the test of this module is that it could be something else.
//!
//! - [`Served::submit`] has a change made, together with all others that wait; [`Served::drain`] is the work itself.
//! - [`Served::tend`] is what has to be done now and then: follow the ref, end silent sessions, renew those that live,
//!   remove what has expired, look after the disk.

mod ask;
mod backend;
mod group;
mod sessions;
mod table;
mod tending;

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

pub use ask::{Ask, Taking, code_of};
pub use group::Turn;
pub use sessions::{HEARTBEAT, heartbeat, is_session};
pub use table::{Below, Listed, Query, mentions};

use backend::Backend;
use group::{Job, Queue};
use sessions::Sessions;
use table::Table;

use crate::error::{Error, Result};
use crate::event::{Author, Event};
use crate::held::{Cause, Loss};
use crate::lease::Renewal;
use crate::lock::{Lock, Owner};
use crate::path::{Claim, Key, Kind, RepoPath};
use crate::policy::Policy;
use crate::repo::{Objects, Revision};
use crate::store::shared::history;
use crate::time::Clock;
use crate::view::{Content, Entry, Me, Terms};

pub use history::Page;

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
pub struct Told {
    /// Its number.
    pub seq: u64,
    /// The number of the change before.
    pub after: u64,
    /// What it did; `None` where that is not known, and everything has to be looked at again.
    pub events: Option<Vec<Event>>,
    /// The terms that held then.
    pub terms: Terms,
}

/// Whom changes are told, in their order.
pub type Tell = Box<dyn Fn(&Arc<Told>) + Send + Sync>;

/// A repository that is served.
pub struct Served {
    name: String,
    backend: Backend,
    server: Author,
    rules: RwLock<Arc<Policy>>,
    table: RwLock<Table>,
    /// Held while the table follows the ref.
    following: Mutex<()>,
    confirmed_at: Mutex<DateTime<Utc>>,
    recent: Mutex<VecDeque<Arc<Told>>>,
    queue: Queue,
    sessions: Sessions,
    tending: tending::Tending,
    is_open: AtomicBool,
    tell: Tell,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a heartbeat of a session finds.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// What the session has.
    pub renewed: Vec<Entry>,
    /// What it has lost.
    pub lost: Vec<Loss>,
}

impl Served {
    /// Serves a bare repository; `server` is who makes changes that nobody asked for.
    ///
    /// # Errors
    /// Where it is no bare repository that libgit2 reads, or its policy does not parse.
    pub fn open(
        name: &str,
        directory: &Path,
        server: Author,
        clock: &dyn Clock,
        tell: Tell,
    ) -> Result<Self> {
        let (backend, policy) = Backend::hosted(directory, &server)?;
        Self::new(name, (backend, policy), server, clock, tell)
    }

    /// Serves the locks of a git remote, with a repository of our own below `cache` to work in.
    ///
    /// # Errors
    /// Where the remote does not answer.
    pub fn open_remote(
        name: &str,
        url: &str,
        cache: &Path,
        server: Author,
        clock: &dyn Clock,
        tell: Tell,
    ) -> Result<Self> {
        let (backend, policy) = Backend::remote(url, cache, &server, clock)?;
        Self::new(name, (backend, policy), server, clock, tell)
    }

    fn new(
        name: &str,
        (backend, policy): (Backend, Policy),
        server: Author,
        clock: &dyn Clock,
        tell: Tell,
    ) -> Result<Self> {
        let opened = Served {
            name: name.to_owned(),
            table: RwLock::new(Table::new(policy.terms)),
            rules: RwLock::new(Arc::new(policy)),
            backend,
            server,
            following: Mutex::default(),
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
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The team's rules, by the commit that `HEAD` names.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.clone()
    }

    fn table<T>(&self, read: impl FnOnce(&Table) -> T) -> T {
        read(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What of the policy bears on expiry.
    #[must_use]
    pub fn terms(&self) -> Terms {
        self.policy().terms
    }

    /// When the locks were last seen to be those of the ref.
    #[must_use]
    pub fn as_of(&self) -> DateTime<Utc> {
        *guard(&self.confirmed_at)
    }

    /// The number of the last change.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.table(Table::seq)
    }

    /// What answers to equal questions have in common at a moment: a number for the state, and until when they hold if
    /// nothing changes.
    #[must_use]
    pub fn state_at(&self, now: DateTime<Utc>) -> (u64, Option<DateTime<Utc>>) {
        self.table(|table| table.state_at(now))
    }

    /// The number of the last change, and the last end by time of a lock that nobody has removed yet.
    #[must_use]
    pub fn tag_at(&self, now: DateTime<Utc>) -> (u64, Option<DateTime<Utc>>) {
        self.table(|table| (table.seq(), table.last_end(now)))
    }

    /// The live locks that a question is about.
    #[must_use]
    pub fn list(&self, query: &Query, now: DateTime<Utc>) -> Listed {
        self.table(|table| table.list(query, now))
    }

    /// How many live locks a question is about, whatever its cursor and limit say.
    #[must_use]
    pub fn count(&self, query: &Query, now: DateTime<Utc>) -> usize {
        self.table(|table| table.count(query, now))
    }

    /// The live lock of a lease.
    #[must_use]
    pub fn lease(&self, lease: &str, now: DateTime<Utc>) -> Option<Entry> {
        self.table(|table| table.lease(lease, now).cloned())
    }

    /// What a person and their agents have locked.
    #[must_use]
    pub fn keys_of(&self, person: &str, now: DateTime<Utc>) -> BTreeSet<Key> {
        let query = Query {
            person: Some(person.to_owned()),
            ..Query::default()
        };
        let listed = self.list(&query, now).entries.into_iter();
        listed.map(|entry| entry.claim.key).collect()
    }

    /// How many locks a person and their agents have, those included that are over and not removed yet.
    #[must_use]
    pub fn count_of(&self, person: &str) -> usize {
        self.table(|table| table.count_of(person))
    }

    /// How many locks, sessions and waiting requests there are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let locks = self.table(Table::len);
        (locks, self.sessions.count(), self.queue.len())
    }

    /// What is locked on and below each name in a directory.
    #[must_use]
    pub fn below(
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
    pub fn names_in(&self, directory: &RepoPath) -> Result<Vec<(String, Kind)>> {
        self.backend.names_in(directory)
    }

    /// The tracked files that a lock covers, by the commit that `HEAD` names.
    ///
    /// # Errors
    /// Where the repository cannot be read.
    pub fn files_below(&self, claim: &Claim) -> Result<Vec<String>> {
        self.backend.files_below(claim)
    }

    /// The locks without workspace that an owner has had renewed for more than a third of their life.
    #[must_use]
    pub fn due_of(&self, id: &str, now: DateTime<Utc>) -> Vec<Renewal> {
        self.table(|table| {
            let locks = table.of_owner(id, now).filter_map(Entry::lock);
            locks
                .filter(|lock| lock.owner.workspace.is_none() && tending::is_due(lock, now))
                .map(Renewal::of)
                .collect()
        })
    }

    /// Asks for a change. `done` is called once, from whatever thread makes it.
    pub fn submit<T: Send + 'static>(
        &self,
        ask: Ask<T>,
        done: impl FnOnce(Result<(u64, T), Arc<Error>>) + Send + 'static,
    ) -> Turn {
        let answer = Arc::new(Mutex::new(None));
        let told = answer.clone();
        let mut decide = ask.decide;
        self.queue.push(Job {
            claims: ask.claims,
            by: ask.by,
            note: ask.note,
            decide: Box::new(move |view| {
                let (changes, verdict, answered) = decide(view)?;
                *guard(&answer) = Some(answered);
                Ok((changes, verdict))
            }),
            done: Box::new(move |result| {
                let answered = guard(&told).take();
                done(result.map(|seq| {
                    let answered = answered.expect("what is done was decided");
                    (seq, answered)
                }));
            }),
        })
    }

    /// Makes the changes that wait, until none does.
    pub fn drain(&self, clock: &dyn Clock) {
        let _ending = self.queue.at_work();
        while let Some(jobs) = self.queue.next() {
            let published = || self.follow_if_possible(clock);
            let store = self.backend.store();
            group::commit(&self.queue, &*store, clock, jobs, published);
        }
    }

    /// Has the changes that wait made by a thread of its own.
    pub(crate) fn start(self: &Arc<Self>, clock: &'static dyn Clock) {
        let served = self.clone();
        let thread = std::thread::Builder::new().stack_size(STACK);
        if let Err(error) = thread.spawn(move || served.drain(clock)) {
            // Out of threads: then the one who asks does it.
            tracing::warn!(%error, "no thread for a change");
            self.drain(clock);
        }
    }

    /// Looks after the repository a few times a second, in a thread of its own, until nobody else has it any more.
    pub(crate) fn keep_tending(self: &Arc<Self>, clock: &'static dyn Clock) -> std::io::Result<()> {
        let served = Arc::downgrade(self);
        let thread = std::thread::Builder::new().stack_size(STACK);
        let tending = move || {
            while let Some(served) = served.upgrade() {
                served.tend(clock);
                drop(served);
                std::thread::sleep(TEND);
            }
        };
        thread.spawn(tending).map(drop)
    }

    /// Looks at the ref, whether or not it is time to.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn refresh(&self, clock: &dyn Clock) -> Result<()> {
        self.backend.fetch(clock)?;
        self.follow(clock)
    }

    /// Asks for a change and waits for it.
    ///
    /// # Errors
    /// Whatever keeps the store from changing; nothing is changed then.
    pub fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        ask: Ask<T>,
        clock: &'static dyn Clock,
    ) -> Result<(u64, T), Arc<Error>> {
        self.ask_all(vec![ask], clock).remove(0)
    }

    /// Asks for changes and waits for them: they are one, where that can be.
    pub(crate) fn ask_all<T: Send + 'static>(
        self: &Arc<Self>,
        asks: Vec<Ask<T>>,
        clock: &'static dyn Clock,
    ) -> Vec<Result<(u64, T), Arc<Error>>> {
        let mut is_mine = false;
        let answers: Vec<_> = asks
            .into_iter()
            .map(|ask| {
                let (sender, answer) = std::sync::mpsc::sync_channel(1);
                let turn = self.submit(ask, move |result| drop(sender.send(result)));
                is_mine |= turn == Turn::Mine;
                answer
            })
            .collect();
        if is_mine {
            self.start(clock);
        }
        let unmade = || {
            Arc::new(Error::Contended {
                remote: self.name.clone(),
            })
        };
        let answers = answers.into_iter().map(|answer| answer.recv());
        answers
            .map(|a| a.unwrap_or_else(|_| Err(unmade())))
            .collect()
    }

    fn follow_if_possible(&self, clock: &dyn Clock) {
        if let Err(error) = self.follow(clock) {
            tracing::warn!(repo = self.name, %error, "the lock ref cannot be followed");
        }
    }

    /// Brings what is in memory up to date with the ref, as far as this machine has it, and tells what happened.
    pub(crate) fn follow(&self, clock: &dyn Clock) -> Result<()> {
        let _following = guard(&self.following);
        let now = clock.now();
        let known = self.table(|table| table.tip().cloned());
        let seen = self.backend.tip()?;
        if let Some(at) = self.backend.confirmed_at(now) {
            *guard(&self.confirmed_at) = at;
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
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
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
            vec![Told {
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
    fn remember(&self, told: &Arc<Told>) {
        let mut recent = guard(&self.recent);
        recent.push_back(told.clone());
        let size = |told: &Arc<Told>| 1 + told.events.as_ref().map_or(0, Vec::len);
        let mut sum: usize = recent.iter().map(size).sum();
        while sum > RECENT && recent.len() > 1 {
            sum -= recent.pop_front().as_ref().map_or(0, size);
        }
    }

    /// Events, oldest first, as the changes that they were.
    fn parts(&self, mut after: u64, events: Vec<Event>) -> Vec<Told> {
        let terms = self.terms();
        let mut parts: Vec<Told> = Vec::new();
        for event in events {
            match parts.last_mut() {
                Some(told) if told.seq == event.seq => {
                    told.events.get_or_insert_default().push(event);
                }
                _ => {
                    let seq = event.seq;
                    parts.push(Told {
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
    pub fn since(&self, seq: u64) -> Result<Option<Vec<Arc<Told>>>> {
        let recent: Vec<Arc<Told>> = guard(&self.recent).iter().cloned().collect();
        if recent.first().is_some_and(|told| told.after <= seq) {
            return Ok(Some(recent.into_iter().filter(|t| t.seq > seq).collect()));
        }
        if seq == self.seq() {
            return Ok(Some(Vec::new()));
        }
        let Some((objects, Some(tip))) = self.backend.tip()? else {
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
    pub fn history(
        &self,
        path: Option<&RepoPath>,
        from: Option<&(String, usize)>,
        limit: usize,
    ) -> Result<Page> {
        let Some((objects, Some(tip))) = self.backend.tip()? else {
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

    /// Begins a session of an owner; gives its id. `None` where they have too many.
    #[must_use]
    pub fn begin_session(&self, owner: Owner, at_most: usize) -> Option<String> {
        (self.sessions.count_of(&owner.id) < at_most)
            .then(|| self.sessions.begin(owner, Instant::now()))
    }

    /// Who a session's locks belong to, if it is `owner`'s and lives.
    #[must_use]
    pub fn session(&self, id: &str, owner: &str) -> Option<Owner> {
        self.sessions.owner(id, owner)
    }

    /// Hears of a session: what it has and has lost. `None` where it has ended, or is another's.
    #[must_use]
    pub fn hear(&self, id: &str, owner: &str, now: DateTime<Utc>) -> Option<Heard> {
        let standing = self.sessions.hear(id, owner, Instant::now())?;
        let mut heard = Heard {
            renewed: Vec::new(),
            lost: standing.lost,
        };
        for renewal in &standing.leases {
            let Some(entry) = self.table(|table| table.had(&renewal.lease).cloned()) else {
                heard.lost.push(sessions::removed(renewal, now));
                continue;
            };
            // For its holder it is over with its life: there is no grace for them.
            let end = entry.lock().and_then(Lock::expires_at);
            match (end.filter(|end| *end <= now), entry.lock()) {
                (Some(at), Some(lock)) => heard.lost.push(Loss {
                    path: lock.path.to_string(),
                    lease: lock.lease.clone(),
                    by: None,
                    at,
                    cause: Cause::Expired,
                    is_news: true,
                }),
                _ => heard.renewed.push(entry),
            }
        }
        Some(heard)
    }

    /// A stream of events begins that keeps a session alive; `false` where there is no such session.
    #[must_use]
    pub fn join(&self, id: &str, owner: &str) -> bool {
        self.sessions.join(id, owner)
    }

    /// Such a stream has ended.
    pub fn leave(&self, id: &str) {
        self.sessions.leave(id, Instant::now());
    }

    /// What a session holds, and as whom: for [`Ask::release_all`].
    #[must_use]
    pub fn leases_of(&self, id: &str, owner: &str) -> Option<(Me, Vec<Renewal>)> {
        let standing = self.sessions.hear(id, owner, Instant::now())?;
        Some((me(standing.owner), standing.leases))
    }

    /// Forgets a session.
    pub fn end_session(&self, id: &str, owner: &str) {
        self.sessions.end(id, owner);
    }
}

/// What happened between what is known and a tip; `None` where nobody can tell.
fn events_between(
    objects: &Objects,
    known: Option<&(String, String)>,
    tip: &Revision,
    terms: &Terms,
) -> Result<Option<Vec<Event>>> {
    let Some((commit, tree)) = known else {
        return history::all(objects, tip, REPLAYED, terms);
    };
    let since = history::since(objects, commit, tip, REPLAYED, terms)?;
    // A history that was dropped changes nothing.
    Ok(since.or_else(|| (*tree == tip.tree).then(Vec::new)))
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

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
