//! The heartbeat: leases that should go on, and those that turn out to be lost.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::Latch;
use super::selection::{Among, Selection};
use crate::rules::error::{Code, Result};
use crate::rules::lease::{self, Change, Refusal, Renewal, Why};
use crate::rules::lock::{LeaseId, Lock};
use crate::rules::path::{Claim, Kind, Place, RepoPath};
use crate::rules::time::{Clock, Ttl};
use crate::rules::view::{Entry, Me, Standing, View};
use crate::store::{Scope, Verdict};

/// What renewing came to.
#[derive(Clone, Debug, Default)]
pub struct RenewOutcome {
    /// They live on.
    pub renewed: Vec<Lock>,
    /// They were mine and are not any more: path, lease, and who has the path now.
    pub lost: Vec<(RepoPath, LeaseId, Option<Entry>)>,
    /// They were not mine.
    pub refused: Vec<Refusal>,
}

/// Adds renewals to a change that is made anyway: of those that live, and that the change does not touch.
pub(super) fn piggyback_renewals(
    view: &View,
    me: &Me,
    due: &[Renewal],
    changes: &mut Vec<Change>,
) -> Vec<Lock> {
    if changes.is_empty() {
        return Vec::new();
    }
    let touched: BTreeSet<Place> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Remove { place, .. } => Some(place.clone()),
            other => other.fills(),
        })
        .collect();
    let is_apart = |r: &&Renewal| {
        r.claim
            .place()
            .is_some_and(|place| !touched.contains(&place))
    };
    let due: Vec<Renewal> = due.iter().filter(is_apart).cloned().collect();
    let (steps, renewed) = lease::renew(view, me, &due, None);
    changes.extend(steps);
    renewed.renewed
}

/// The claims of what is asked for and of what is renewed on the way.
pub(super) fn scope_of(claims: impl Iterator<Item = Claim>, due: &[Renewal]) -> Scope {
    Scope::Claims(claims.chain(due.iter().map(|r| r.claim.clone())).collect())
}

impl Latch {
    /// Gives leases a new heartbeat: those of mine in the selection, or all.
    ///
    /// # Errors
    /// [`crate::Error::BadUsage`] for a ttl that cannot be; whatever keeps the store from changing.
    pub fn renew(
        &self,
        selection: Option<&Selection>,
        ttl: Option<Ttl>,
        clock: &dyn Clock,
    ) -> Result<RenewOutcome> {
        // Without one each keeps its own.
        if ttl.is_some() {
            self.check_ttl(ttl)?;
        }
        let me = self.me()?;
        self.turn_sharing_on(&me, clock)?;
        let scope = selection.map_or(Scope::All, Selection::scope);
        let view = self.store().view(&scope, clock)?;
        let (leases, refused) = match selection {
            Some(selection) => self.leases_on(selection, &view, &me)?,
            None => (self.leases_of_mine(&view, &me)?, Vec::new()),
        };
        let renewed = self.renew_leases(&leases, &me, ttl, clock)?;
        Ok(RenewOutcome { refused, ..renewed })
    }

    /// Gives these leases a new heartbeat.
    pub(crate) fn renew_leases(
        &self,
        leases: &[(RepoPath, Renewal)],
        me: &Me,
        ttl: Option<Ttl>,
        clock: &dyn Clock,
    ) -> Result<RenewOutcome> {
        if leases.is_empty() {
            return Ok(RenewOutcome::default());
        }
        let renewals: Vec<Renewal> = leases.iter().map(|(_, r)| r.clone()).collect();
        let scope = Scope::Claims(renewals.iter().map(|r| r.claim.clone()).collect());
        let (_, renewed) = self.transact(me, &scope, clock, |view| {
            let (changes, renewed) = lease::renew(view, me, &renewals, ttl);
            Ok((changes, Verdict::no_if(!renewed.lost.is_empty()), renewed))
        })?;
        self.remember(renewed.renewed.iter());
        self.after_change();
        let path_of = |lost: &Renewal| {
            let of = leases.iter().find(|(_, renewal)| renewal == lost);
            of.map(|(path, _)| path.clone()).expect("it was asked for")
        };
        Ok(RenewOutcome {
            lost: renewed
                .lost
                .into_iter()
                .map(|(renewal, by)| (path_of(&renewal), renewal.lease, by))
                .collect(),
            renewed: renewed.renewed,
            refused: Vec::new(),
        })
    }

    /// My leases of this workspace that are due for a renewal, where every change is a push anyway.
    pub(super) fn due(&self, me: &Me, now: DateTime<Utc>) -> Result<Vec<Renewal>> {
        if self.shared().is_none() {
            return Ok(Vec::new());
        }
        let held = self.held.read()?;
        let due = held
            .into_iter()
            .filter(|h| h.confirmed && h.lost_at.is_none() && h.is_of(me) && h.is_due(now));
        Ok(due
            .filter_map(|h| {
                Some(Renewal {
                    claim: h.claim()?,
                    lease: h.lease,
                })
            })
            .collect())
    }

    /// The leases of mine that are meant: those that are there, and those that were taken here.
    #[expect(clippy::type_complexity, reason = "leases beside refusals")]
    fn leases_on(
        &self,
        selection: &Selection,
        view: &View,
        me: &Me,
    ) -> Result<(Vec<(RepoPath, Renewal)>, Vec<Refusal>)> {
        let held = self.held.read()?;
        let (mut leases, mut refused) = (Vec::new(), Vec::new());
        for path in selection.locked(view, me, &held, Among::Mine)? {
            let key = path.key();
            let own = view
                .covering(&key)
                .find(|e| e.claim.key == key && me.has(e))
                .and_then(Entry::lock)
                .map(|lock| (lock.claim(), lock.lease.clone()));
            let lost = || {
                held.iter().find_map(|h| {
                    let claim = h.claim().filter(|c| c.key == key)?;
                    (h.confirmed && h.is_of(me)).then(|| (claim, h.lease.clone()))
                })
            };
            if let Some((claim, lease)) = own.or_else(lost) {
                leases.push((path.clone(), Renewal { claim, lease }));
            } else {
                let mut live = view.covering(&key);
                let holder = live.find(|e| view.standing(e) != Standing::Expired);
                refused.push(Refusal {
                    path: path.clone(),
                    code: Code::NotHeld,
                    holder: holder.cloned(),
                    why: Why::Rule,
                });
            }
        }
        Ok((leases, refused))
    }

    /// Every lease of mine, and those whose loss is news.
    fn leases_of_mine(&self, view: &View, me: &Me) -> Result<Vec<(RepoPath, Renewal)>> {
        // A process renews its own: whether it still does is all that tells others that it lives.
        let is_live =
            |e: &&Entry| me.has(e) && view.standing(e) == Standing::Live && !me.is_in_progress(e);
        let mine = view.entries().filter(is_live).filter_map(Entry::lock);
        let mut leases: Vec<(RepoPath, Renewal)> = mine
            .map(|lock| (lock.path.clone(), Renewal::of(lock)))
            .collect();
        for loss in self
            .held
            .losses(view, me)?
            .into_iter()
            .filter(|l| l.is_news)
        {
            let Ok(path) = RepoPath::new(loss.path) else {
                continue;
            };
            if leases.iter().all(|(_, r)| r.lease != loss.lease) {
                let claim = Claim::new(&path, Kind::File);
                leases.push((
                    path,
                    Renewal {
                        claim,
                        lease: loss.lease,
                    },
                ));
            }
        }
        Ok(leases)
    }
}
