//! Locks as programs are shown them: the shapes of JSON, the same from the command line and over HTTP.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::rules::event::{Author, Event};
use crate::rules::lease::{Outcome, Refusal, Taken};
use crate::rules::lock::{Lock, Owner, Process};
use crate::rules::loss::Loss;
use crate::rules::path::Kind;
use crate::rules::spelling::Here;
use crate::rules::time::rfc3339;
use crate::rules::view::{Content, Entry, LeaseLimits, Me};

/// What a report is made from: who asks, where, when, under which terms.
#[derive(Clone, Copy, Debug)]
pub struct Viewpoint<'a> {
    /// Who asks.
    pub me: &'a Me,
    /// The moment.
    pub now: DateTime<Utc>,
    /// What of the policy bears on expiry.
    pub terms: &'a LeaseLimits,
    /// Where they stand: what people are shown is called from there. Reports do not depend on it.
    pub here: &'a Here,
    /// The working trees they can tell by their workspaces. Reports do not depend on it either.
    pub trees: &'a dyn Trees,
}

/// Working trees by the ids of their workspaces.
pub trait Trees: std::fmt::Debug {
    /// Where the working tree of a workspace is, if it is one of this repository's.
    fn path_of(&self, workspace: &str) -> Option<PathBuf>;
}

/// No working trees, as a server has none.
#[derive(Clone, Copy, Debug)]
pub struct NoTrees;

impl Trees for NoTrees {
    fn path_of(&self, _workspace: &str) -> Option<PathBuf> {
        None
    }
}

/// One lock.
#[derive(Clone, Debug, Serialize)]
pub struct LockReport {
    /// The path, in the index's spelling.
    pub path: String,
    kind: Option<Kind>,
    lease: Option<String>,
    seq: Option<u64>,
    owner: Option<Owner>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process>,
    reason: Option<String>,
    acquired_at: Option<String>,
    heartbeat_at: Option<String>,
    expires_at: Option<String>,
    ttl_seconds: Option<u64>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    mine: bool,
}

/// A lock that was taken, and how.
#[derive(Clone, Debug, Serialize)]
pub struct TakenReport {
    #[serde(flatten)]
    lock: LockReport,
    outcome: &'static str,
    /// The locks that went for it: also that of a directory around it, or of a file in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    displaced: Vec<LockReport>,
}

/// A path that was refused.
#[derive(Clone, Debug, Serialize)]
pub struct RefusalReport {
    path: String,
    code: &'static str,
    holder: Option<LockReport>,
}

/// Something that happened to a lock.
#[derive(Clone, Debug, Serialize)]
pub struct EventReport {
    seq: u64,
    event: &'static str,
    at: String,
    path: String,
    lock: LockReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<LockReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Author>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// A lease that was lost.
#[derive(Clone, Debug, Serialize)]
pub struct LossReport {
    path: String,
    lease: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<LockReport>,
    at: String,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<Author>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Viewpoint<'_> {
    /// What lies in one place.
    #[must_use]
    pub fn entry(&self, entry: &Entry) -> LockReport {
        match &entry.content {
            Content::Lock { lock, .. } => LockReport {
                expires_at: entry.ends_at(self.now, self.terms).map(rfc3339),
                ..self.lock(lock)
            },
            Content::Unreadable { problem } => LockReport {
                path: entry.shown_path(),
                kind: None,
                lease: None,
                seq: None,
                owner: None,
                process: None,
                reason: None,
                acquired_at: None,
                heartbeat_at: None,
                expires_at: None,
                ttl_seconds: None,
                state: "unreadable",
                problem: Some(problem.clone()),
                mine: false,
            },
        }
    }

    /// A lock as it was just written.
    #[must_use]
    pub fn lock(&self, lock: &Lock) -> LockReport {
        LockReport {
            path: lock.path.to_string(),
            kind: Some(lock.kind),
            lease: Some(lock.lease.to_string()),
            seq: Some(lock.seq),
            owner: Some(lock.owner.clone()),
            process: lock.process.clone(),
            reason: lock.reason.clone(),
            acquired_at: Some(rfc3339(lock.acquired_at)),
            heartbeat_at: Some(rfc3339(lock.heartbeat_at)),
            expires_at: lock.expires_at().map(rfc3339),
            ttl_seconds: lock.ttl.as_secs(),
            state: "held",
            problem: None,
            mine: self.me.owns(lock),
        }
    }

    /// A path that is held now.
    #[must_use]
    pub fn taken(&self, taken: &Taken) -> TakenReport {
        TakenReport {
            lock: self.lock(&taken.lock),
            outcome: Outcome::as_str(taken.outcome),
            displaced: taken.displaced.iter().map(|e| self.entry(e)).collect(),
        }
    }

    /// A path that was refused.
    #[must_use]
    pub fn refusal(&self, refusal: &Refusal) -> RefusalReport {
        RefusalReport {
            path: refusal.path.to_string(),
            code: refusal.code.as_str(),
            holder: refusal.holder.as_ref().map(|entry| self.entry(entry)),
        }
    }

    /// Something that happened.
    #[must_use]
    pub fn event(&self, event: &Event) -> EventReport {
        EventReport {
            seq: event.seq,
            event: event.happening.as_str(),
            at: rfc3339(event.at),
            path: event.path.clone(),
            lock: self.entry(&event.lock),
            previous: event.previous.as_ref().map(|entry| self.entry(entry)),
            by: event.by.clone(),
            note: event.note.clone(),
        }
    }

    /// A lease that is not mine any more.
    #[must_use]
    pub fn loss(&self, loss: &Loss) -> LossReport {
        LossReport {
            path: loss.path.clone(),
            lease: loss.lease.to_string(),
            by: loss.by.as_ref().map(|entry| self.entry(entry)),
            at: rfc3339(loss.at),
            reason: loss.cause.as_str(),
            ended_by: loss.ended.as_ref().and_then(|event| event.by.clone()),
            note: loss
                .ended
                .as_ref()
                .and_then(|event| event.said().map(str::to_owned)),
        }
    }
}
