//! What can be asked of a served repository: the decisions of [`crate::rules::lease`], with what they look at.

use std::collections::BTreeSet;

use crate::rules::error::Result;
use crate::rules::event::Author;
use crate::rules::lease::{
    self, Acquired, Batch, Change, Force, ForcePolicy, Release, Released, Renewal, Renewed,
    Request, Steal, Wanted,
};
use crate::rules::path::Claim;
use crate::rules::time::Ttl;
use crate::rules::view::{Entry, Me, View};
use crate::store::Verdict;

/// A decision that can run again, with its answer.
pub(super) type Decide<T> = dyn FnMut(&View) -> Result<(Vec<Change>, Verdict, T)> + Send;

/// A request for a change.
pub(crate) struct Command<T> {
    pub(super) claims: Vec<Claim>,
    pub(super) by: Author,
    pub(super) decide: Box<Decide<T>>,
}

impl<T> std::fmt::Debug for Command<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Command")
            .field("claims", &self.claims)
            .field("by", &self.by)
            .finish_non_exhaustive()
    }
}

/// How to take paths.
#[derive(Clone, Debug)]
pub(crate) struct AcquireRequest {
    /// The paths, no key twice, each with the lease that it gets if it is acquired.
    pub wanted: Vec<Wanted>,
    /// Why.
    pub reason: Option<String>,
    /// How long.
    pub ttl: Ttl,
    /// Whether others' locks may be replaced.
    pub steal: Steal,
    /// What becomes of several paths of which some are not free.
    pub batch: Batch,
}

/// Who may do what to others' locks.
fn policy_of(is_allowed: bool) -> ForcePolicy {
    if is_allowed {
        ForcePolicy::Anyone
    } else {
        ForcePolicy::Only(Vec::new())
    }
}

impl Command<Acquired> {
    /// Takes paths; `may_force` is whether others' locks may be replaced at all.
    #[must_use]
    pub(crate) fn lock(me: Me, taking: AcquireRequest, may_force: bool) -> Self {
        let claim = |wanted: &Wanted| Claim::new(&wanted.path, wanted.kind);
        let force = policy_of(may_force);
        Command {
            claims: taking.wanted.iter().map(claim).collect(),
            by: Author::from(&me.owner),
            decide: Box::new(move |view| {
                let request = Request {
                    wanted: taking.wanted.clone(),
                    me: &me,
                    reason: taking.reason.clone(),
                    ttl: taking.ttl,
                    process: None,
                    steal: taking.steal.clone(),
                    batch: taking.batch,
                    force: &force,
                };
                let (changes, acquired) = lease::acquire(view, &request)?;
                let verdict = Verdict::no_if(!acquired.refused.is_empty());
                Ok((changes, verdict, acquired))
            }),
        }
    }
}

impl Command<Released> {
    /// Gives a lease back. A reason goes into the record.
    #[must_use]
    pub(crate) fn release(
        me: Me,
        renewal: Renewal,
        force: Force,
        may_force: bool,
        reason: Option<String>,
    ) -> Self {
        let policy = policy_of(may_force);
        Command {
            claims: vec![renewal.claim],
            by: Author::from(&me.owner),
            decide: Box::new(move |view| {
                let what = Release::Lease(renewal.lease.as_str());
                let (changes, released) = lease::release(view, &me, &what, force, &policy);
                let verdict = Verdict::no_if(changes.is_empty());
                let saying = |change: Change| change.saying(reason.as_deref());
                let changes = changes.into_iter().map(saying).collect();
                Ok((changes, verdict, released))
            }),
        }
    }
}

impl Command<Renewed> {
    /// Gives leases a new heartbeat.
    #[must_use]
    pub(crate) fn renew(me: Me, leases: Vec<Renewal>, ttl: Option<Ttl>) -> Self {
        Command {
            claims: leases.iter().map(|renewal| renewal.claim.clone()).collect(),
            by: Author::from(&me.owner),
            decide: Box::new(move |view| {
                let (changes, renewed) = lease::renew(view, &me, &leases, ttl);
                let verdict = Verdict::no_if(!renewed.lost.is_empty());
                Ok((changes, verdict, renewed))
            }),
        }
    }
}

impl Command<Vec<Entry>> {
    /// Gives back what is still mine of these leases; `by` is who does it, if that is not me.
    #[must_use]
    pub(crate) fn release_all(me: Me, leases: Vec<Renewal>, by: Option<Author>) -> Self {
        Command {
            claims: leases.iter().map(|renewal| renewal.claim.clone()).collect(),
            by: by.unwrap_or_else(|| Author::from(&me.owner)),
            decide: Box::new(move |view| {
                let (mut changes, mut gone) = (Vec::new(), Vec::new());
                for renewal in &leases {
                    let what = Release::Lease(renewal.lease.as_str());
                    let force = policy_of(false);
                    let (steps, released) = lease::release(view, &me, &what, Force::No, &force);
                    changes.extend(steps);
                    if let Released::Free(entry) = released {
                        gone.push(entry);
                    }
                }
                Ok((changes, Verdict::Yes, gone))
            }),
        }
    }

    /// Removes what is over of these claims.
    #[must_use]
    pub(crate) fn sweep(by: Author, claims: BTreeSet<Claim>) -> Self {
        Command {
            claims: claims.iter().cloned().collect(),
            by,
            decide: Box::new(move |view| {
                let is_meant = |entry: &Entry| claims.contains(&entry.claim);
                let (changes, over) = lease::sweep(view, is_meant);
                Ok((changes, Verdict::Yes, over))
            }),
        }
    }
}
