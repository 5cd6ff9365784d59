//! Sessions: workspaces without a working tree, for whoever speaks to a server.
//!
//! A session lives in memory, by heartbeats or by an open stream of events; what it has locked is in the ref, under its id
//! as the workspace. So a server that starts again knows its sessions by their locks. What a session has lost is told
//! with every heartbeat until it ends.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use parking_lot::{Mutex, MutexGuard};

use crate::os::fault;
use crate::rules::event::{Event, Happening};
use crate::rules::lease::Renewal;
use crate::rules::lock::{LeaseId, Lock, Owner, is_same_id};
use crate::rules::loss::{Cause, Loss};
use crate::rules::view::Entry;

/// How often a session's client should say that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How many heartbeats may be missed.
const MISSED: u32 = 3;
/// How long a session lives after its last stream of events has ended, if nothing else is heard of it.
const AFTER_STREAM: Duration = Duration::from_secs(10);
/// What the id of every session begins with: a working tree's id is 16 random digits.
const MARK: &str = "5e5510";
/// How long a request of a session may be under way.
const UNDER_WAY: Duration = Duration::from_secs(600);
/// How many losses a session remembers.
const LOSSES: usize = 1_000;

/// Whether a workspace is a session of some server.
#[must_use]
pub(crate) fn is_session(workspace: &str) -> bool {
    workspace.len() == 16
        && workspace.starts_with(MARK)
        && workspace.bytes().all(|b| b.is_ascii_hexdigit())
}

/// How often a client should be heard.
#[must_use]
pub(crate) fn heartbeat() -> Duration {
    fault::limit("GIT_LATCH_HEARTBEAT_MS", HEARTBEAT)
}

/// A session that lives.
#[derive(Clone, Debug)]
struct Session {
    owner: Owner,
    heard_at: Instant,
    streams: usize,
    /// Whether it began here, or was heard of since this server runs: nobody else serves it.
    is_ours: bool,
    /// When the last of several streams ended, if nothing was heard since.
    left_at: Option<Instant>,
    /// Whether it has ended before, and its locks could not be given back; if nothing was heard since.
    is_over: bool,
    leases: BTreeMap<LeaseId, Renewal>,
    lost: Vec<Loss>,
}

impl Session {
    fn new(owner: Owner, is_ours: bool, now: Instant) -> Self {
        Session {
            owner,
            heard_at: now,
            streams: 0,
            is_ours,
            left_at: None,
            is_over: false,
            leases: BTreeMap::new(),
            lost: Vec::new(),
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        if self.streams > 0 {
            return false;
        }
        let after_stream = fault::limit("GIT_LATCH_AFTER_STREAM_MS", AFTER_STREAM);
        match self.left_at {
            _ if self.is_over => true,
            Some(left) => now.duration_since(left) >= after_stream,
            None => now.duration_since(self.heard_at) >= heartbeat() * MISSED,
        }
    }
}

/// The sessions of one repository.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    inner: Mutex<HashMap<String, Session>>,
    /// Those that have ended lately: a request of theirs may still be under way.
    ended: Mutex<HashMap<String, Instant>>,
}

/// What a session has, and has lost.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) owner: Owner,
    pub(super) leases: Vec<Renewal>,
    pub(super) lost: Vec<Loss>,
    /// Whether no other server may be serving it.
    pub(super) is_ours: bool,
}

impl From<Session> for Standing {
    fn from(session: Session) -> Self {
        let mut leases: Vec<Renewal> = session.leases.into_values().collect();
        leases.sort_by(|a, b| a.claim.key.cmp(&b.claim.key));
        Standing {
            owner: session.owner,
            leases,
            lost: session.lost,
            is_ours: session.is_ours,
        }
    }
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.inner.lock()
    }

    /// Begins a session of an owner; gives its id.
    pub(super) fn begin(&self, owner: Owner, now: Instant) -> String {
        let mut all = self.lock();
        loop {
            let random = uuid::Uuid::new_v4().simple().to_string();
            let id = format!("{MARK}{}", &random[..10]);
            if all.contains_key(&id) {
                continue;
            }
            let owner = Owner {
                workspace: Some(id.clone()),
                ..owner
            };
            all.insert(id.clone(), Session::new(owner, true, now));
            return id;
        }
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// How many sessions an owner has.
    pub(super) fn count_of(&self, owner: &str) -> usize {
        let all = self.lock();
        all.values()
            .filter(|s| is_same_id(&s.owner.id, owner))
            .count()
    }

    /// The session of an id, if it is this owner's and lives.
    pub(super) fn owner(&self, id: &str, owner: &str) -> Option<Owner> {
        let all = self.lock();
        let is_meant =
            |session: &&Session| is_same_id(&session.owner.id, owner) && !session.is_over;
        let session = all.get(id).filter(is_meant)?;
        Some(session.owner.clone())
    }

    /// Hears of a session's client; gives what it has.
    pub(super) fn hear(&self, id: &str, owner: &str, now: Instant) -> Option<Standing> {
        let mut all = self.lock();
        let session = all.get_mut(id).filter(|s| is_same_id(&s.owner.id, owner))?;
        session.heard_at = now;
        session.left_at = None;
        session.is_over = false;
        session.is_ours = true;
        Some(Standing::from(session.clone()))
    }

    /// A stream of events begins for a session: as long as it lasts, the session does.
    pub(super) fn join(&self, id: &str, owner: &str) -> bool {
        let mut all = self.lock();
        match all.get_mut(id).filter(|s| is_same_id(&s.owner.id, owner)) {
            Some(session) => {
                session.streams += 1;
                session.is_ours = true;
                session.is_over = false;
                session.left_at = None;
                true
            }
            None => false,
        }
    }

    /// A stream of a session has ended.
    pub(super) fn leave(&self, id: &str, now: Instant) {
        if let Some(session) = self.lock().get_mut(id) {
            session.streams = session.streams.saturating_sub(1);
            if session.streams == 0 {
                session.left_at = Some(now);
            }
        }
    }

    /// Forgets a session that has given back what it had. What it was given meanwhile is given back, too, before long.
    pub(super) fn end(&self, id: &str, owner: &str) {
        self.note_end(id);
        let mut all = self.lock();
        let Some(session) = all.get_mut(id).filter(|s| is_same_id(&s.owner.id, owner)) else {
            return;
        };
        session.is_over = true;
        session.streams = 0;
        if session.leases.is_empty() {
            all.remove(id);
        }
    }

    fn note_end(&self, id: &str) {
        let now = Instant::now();
        let mut ended = self.ended.lock();
        ended.retain(|_, at| now.duration_since(*at) < UNDER_WAY);
        ended.insert(id.to_owned(), now);
    }

    fn has_ended(&self, id: &str) -> bool {
        let ended = self.ended.lock();
        ended.contains_key(id)
    }

    /// Takes what is there for what the sessions have, where nobody can tell what became of it on the way.
    pub(super) fn reconcile<'a>(&self, there: impl Iterator<Item = &'a Lock>, now: DateTime<Utc>) {
        let mut all = self.lock();
        let mut before: HashMap<String, BTreeMap<LeaseId, Renewal>> = HashMap::new();
        for (id, session) in all.iter_mut() {
            before.insert(id.clone(), std::mem::take(&mut session.leases));
        }
        for lock in there {
            let id = lock.owner.workspace.as_deref();
            let session = id.and_then(|id| all.get_mut(id));
            if let Some(session) = session.filter(|s| is_same_id(&s.owner.id, &lock.owner.id)) {
                session.leases.insert(lock.lease.clone(), Renewal::of(lock));
            }
        }
        for (id, leases) in before {
            let Some(session) = all.get_mut(&id) else {
                continue;
            };
            let gone = leases
                .into_values()
                .filter(|r| !session.leases.contains_key(&r.lease));
            let gone: Vec<Loss> = gone.map(|renewal| removed(&renewal, now)).collect();
            session.lost.extend(gone.into_iter().take(LOSSES));
        }
    }

    /// Ends those that were not heard of for too long; gives what they had.
    pub(super) fn end_silent(&self, now: Instant) -> Vec<Standing> {
        let mut all = self.lock();
        let over: Vec<String> = all
            .iter()
            .filter(|(_, session)| session.is_over(now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &over {
            self.note_end(id);
        }
        over.iter()
            .filter_map(|id| all.remove(id))
            .map(Standing::from)
            .collect()
    }

    /// Takes back one that has ended and whose locks could not be given back: it ends again, unless its client comes back
    /// before.
    pub(super) fn put_back(&self, owner: Owner, leases: Vec<Renewal>) {
        let id = owner.workspace.clone().unwrap_or_default();
        let mut session = Session::new(owner, true, Instant::now());
        session.is_over = true;
        session.leases = leases
            .into_iter()
            .map(|renewal| (renewal.lease.clone(), renewal))
            .collect();
        let mut all = self.lock();
        match all.get_mut(&id) {
            Some(known) => known.leases.extend(session.leases),
            None => drop(all.insert(id, session)),
        }
    }

    /// What all living sessions hold.
    pub(super) fn held(&self) -> Vec<(Owner, Vec<Renewal>)> {
        let all = self.lock();
        all.values()
            .filter(|session| !session.leases.is_empty() && !session.is_over)
            .map(|s| (s.owner.clone(), s.leases.values().cloned().collect()))
            .collect()
    }

    /// Finds the session of a lock that was there when the server started.
    pub(super) fn read_back(&self, lock: &Lock, now: Instant) {
        let Some(id) = lock.owner.workspace.as_deref().filter(|id| is_session(id)) else {
            return;
        };
        let mut all = self.lock();
        let fresh = || Session::new(lock.owner.clone(), false, now);
        let session = all.entry(id.to_owned()).or_insert_with(fresh);
        if !is_same_id(&session.owner.id, &lock.owner.id) {
            return;
        }
        session.leases.insert(lock.lease.clone(), Renewal::of(lock));
    }

    /// Notes what an event gives to a session, or takes from one.
    pub(super) fn note(&self, event: &Event) {
        let (came, went) = match event.happening {
            Happening::Locked | Happening::Stolen => (Some(&event.lock), event.previous.as_ref()),
            Happening::Unlocked | Happening::Expired => (None, Some(&event.lock)),
            Happening::Renewed | Happening::Edited => return,
        };
        let mut all = self.lock();
        if let Some((session, lock)) = of(&mut all, went)
            && session.leases.remove(&lock.lease).is_some()
            && !is_own_doing(event, &lock.owner)
            && session.lost.len() < LOSSES
        {
            session.lost.push(loss(event, lock));
        }
        if let Some(lock) = came.and_then(Entry::lock)
            && let Some(id) = lock.owner.workspace.as_deref()
            && !all.contains_key(id)
            && self.has_ended(id)
        {
            let mut session = Session::new(lock.owner.clone(), true, Instant::now());
            session.is_over = true;
            all.insert(id.to_owned(), session);
        }
        if let Some((session, lock)) = of(&mut all, came) {
            session.leases.insert(lock.lease.clone(), Renewal::of(lock));
            session.lost.retain(|loss| loss.path != lock.path.as_str());
        }
    }
}

fn of<'a, 'b>(
    all: &'a mut HashMap<String, Session>,
    entry: Option<&'b Entry>,
) -> Option<(&'a mut Session, &'b Lock)> {
    let lock = entry?.lock()?;
    let session = all.get_mut(lock.owner.workspace.as_deref()?)?;
    // Whoever copies a session's id has nothing of it.
    is_same_id(&session.owner.id, &lock.owner.id).then_some((session, lock))
}

/// Whether its holder gave it back, or took it anew.
fn is_own_doing(event: &Event, owner: &Owner) -> bool {
    match event.happening {
        Happening::Unlocked => event
            .by
            .as_ref()
            .is_some_and(|by| is_same_id(&by.id, &owner.id)),
        Happening::Locked | Happening::Stolen => {
            let now = event.lock.lock();
            now.is_some_and(|lock| lock.owner.workspace == owner.workspace)
        }
        _ => false,
    }
}

/// A lease that is gone, and nobody knows how.
pub(super) fn removed(renewal: &Renewal, now: DateTime<Utc>) -> Loss {
    Loss {
        path: crate::rules::spelling::escaped(renewal.claim.key.as_bytes()),
        lease: renewal.lease.clone(),
        by: None,
        at: now,
        cause: Cause::Removed,
        is_news: true,
        ended: None,
    }
}

fn loss(event: &Event, lock: &Lock) -> Loss {
    Loss {
        path: lock.path.to_string(),
        lease: lock.lease.clone(),
        by: (event.happening == Happening::Stolen).then(|| event.lock.clone()),
        at: event.at,
        cause: match event.happening {
            Happening::Stolen => Cause::Stolen,
            Happening::Unlocked => Cause::Removed,
            _ => Cause::Expired,
        },
        is_news: true,
        ended: Some(Box::new(event.clone())),
    }
}
