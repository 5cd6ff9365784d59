//! The heartbeat, and what has lost the right to one.

use super::Change;
use crate::rules::lock::{LeaseId, Lock, Owner, is_same_id};
use crate::rules::path::Claim;
use crate::rules::time::Ttl;
use crate::rules::view::{Entry, Me, Standing, View};

/// A lease to renew: the claim it was taken on, and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Renewal {
    /// What it occupies.
    pub claim: Claim,
    /// The acquisition.
    pub lease: LeaseId,
}

impl Renewal {
    /// The lease of a lock.
    #[must_use]
    pub(crate) fn of(lock: &Lock) -> Self {
        Renewal {
            claim: lock.claim(),
            lease: lock.lease.clone(),
        }
    }
}

/// What becomes of leases that should go on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Renewed {
    /// They live on.
    pub renewed: Vec<Lock>,
    /// They are lost: expired, gone, another lease, or in conflict with a live lock. With whoever has the path now.
    pub lost: Vec<(Renewal, Option<Entry>)>,
}

/// Gives leases a new heartbeat. A renewal is a decision too: what is expired for its owner, gone, another's or in
/// conflict with another's live lock is lost.
#[must_use]
pub(crate) fn renew(
    view: &View,
    me: &Me,
    leases: &[Renewal],
    ttl: Option<Ttl>,
) -> (Vec<Change>, Renewed) {
    let mut answer = Renewed::default();
    let mut changes = Vec::new();
    for renewal in leases {
        let still = view.covering(&renewal.claim.key).find(|e| {
            e.claim == renewal.claim
                && e.lock()
                    .is_some_and(|l| l.lease == renewal.lease && me.owns(l))
        });
        // A lease is in conflict with what its own holder does not hold, whoever renews it.
        let holder = still.and_then(Entry::lock).map_or(&me.owner, |l| &l.owner);
        let rival = rival(view, holder, &renewal.claim);
        match still
            .filter(|e| rival.is_none() && view.standing(e) == Standing::Live)
            .and_then(Entry::lock)
        {
            Some(held) => {
                let lock = renewed(view, held, ttl);
                changes.push(Change::Renew(Box::new(lock.clone())));
                answer.renewed.push(lock);
            }
            None => answer.lost.push((renewal.clone(), rival.cloned())),
        }
    }
    (changes, answer)
}

/// A live lock of somebody else that cannot stand beside one of `holder`'s on this claim.
///
/// An unreadable lock is no rival: while the holder's lived nobody could take the path, so it is damage, not a successor.
#[must_use]
pub(crate) fn rival<'a>(view: &'a View, holder: &Owner, claim: &'a Claim) -> Option<&'a Entry> {
    // What is held in no workspace is held in all of them: a workspace of the holder's may have locked something in it.
    let mut on_it = view.covering(&claim.key).filter(|e| e.claim == *claim);
    let is_everywhere = on_it.any(|e| {
        e.lock()
            .is_some_and(|l| holder.is(&l.owner) && l.owner.workspace.is_none())
    });
    view.overlapping(claim).find(|e| {
        let is_own = |lock: &Lock| {
            holder.is(&lock.owner) || is_everywhere && is_same_id(&lock.owner.id, &holder.id)
        };
        e.lock().is_some_and(|lock| !is_own(lock)) && view.standing(e) != Standing::Expired
    })
}

/// The lock with a new heartbeat, and never with a shorter life than it had.
pub(super) fn renewed(view: &View, held: &Lock, ttl: Option<Ttl>) -> Lock {
    let now = crate::rules::time::to_millis(view.now);
    let longer = ttl.filter(|ttl| match (ttl.end_from(now), held.expires_at()) {
        (Some(new), Some(old)) => new >= old,
        (new, _) => new.is_none(),
    });
    Lock {
        heartbeat_at: now,
        ttl: longer.unwrap_or(held.ttl),
        ..held.clone()
    }
}
