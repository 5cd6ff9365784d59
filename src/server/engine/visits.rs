//! Sessions, as their clients see them.

use std::time::Instant;

use chrono::{DateTime, Utc};

use super::{Heard, RepoService, me, sessions};
use crate::rules::lease::Renewal;
use crate::rules::lock::{Lock, Owner};
use crate::rules::loss::{Cause, Loss};
use crate::rules::view::Me;

impl RepoService {
    /// Begins a session of an owner; gives its id. `None` where they have too many.
    #[must_use]
    pub(crate) fn begin_session(&self, owner: Owner, at_most: usize) -> Option<String> {
        (self.sessions.count_of(&owner.id) < at_most)
            .then(|| self.sessions.begin(owner, Instant::now()))
    }

    /// Who a session's locks belong to, if it is `owner`'s and lives.
    #[must_use]
    pub(crate) fn session(&self, id: &str, owner: &str) -> Option<Owner> {
        self.sessions.owner(id, owner)
    }

    /// Hears of a session: what it has and has lost. `None` where it has ended, or is another's.
    #[must_use]
    pub(crate) fn hear(&self, id: &str, owner: &str, now: DateTime<Utc>) -> Option<Heard> {
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
                    ended: None,
                }),
                _ => heard.renewed.push(entry),
            }
        }
        Some(heard)
    }

    /// A stream of events begins that keeps a session alive; `false` where there is no such session.
    #[must_use]
    pub(crate) fn join(&self, id: &str, owner: &str) -> bool {
        self.sessions.join(id, owner)
    }

    /// Such a stream has ended.
    pub(crate) fn leave(&self, id: &str) {
        self.sessions.leave(id, Instant::now());
    }

    /// What a session holds, and as whom: for [`super::Command::release_all`].
    #[must_use]
    pub(crate) fn leases_of(&self, id: &str, owner: &str) -> Option<(Me, Vec<Renewal>)> {
        let standing = self.sessions.hear(id, owner, Instant::now())?;
        Some((me(standing.owner), standing.leases))
    }

    /// Forgets a session.
    pub(crate) fn end_session(&self, id: &str, owner: &str) {
        self.sessions.end(id, owner);
    }
}
