//! The heartbeat: leases that should go on, and those that turn out to be lost.

use super::Latch;
use super::acquire::LockOptions;
use crate::error::{Code, Result};
use crate::lease::{self, Refusal, Renewal};
use crate::lock::{LeaseId, Lock};
use crate::path::{Claim, Kind, RepoPath};
use crate::store::{self, Scope, Verdict};
use crate::target::Target;
use crate::time::{Clock, Ttl};
use crate::view::{Entry, Me, Standing, View};

/// What renewing came to.
#[derive(Clone, Debug, Default)]
pub struct Prolonged {
    /// They live on.
    pub renewed: Vec<Lock>,
    /// They were mine and are not any more: path, lease, and who has the path now.
    pub lost: Vec<(RepoPath, LeaseId, Option<Entry>)>,
    /// They were not mine.
    pub refused: Vec<Refusal>,
}

impl Latch {
    /// Gives leases a new heartbeat: those on `targets`, or all of mine.
    ///
    /// # Errors
    /// [`crate::Error::BadUsage`] for a ttl that cannot be; whatever keeps the store from changing.
    pub fn renew(
        &self,
        targets: Option<&[Target]>,
        ttl: Option<Ttl>,
        clock: &dyn Clock,
    ) -> Result<Prolonged> {
        self.check(&LockOptions {
            ttl,
            ..LockOptions::default()
        })?;
        let me = self.me()?;
        self.turn_sharing_on(&me, clock)?;
        let scope = match targets {
            Some(targets) => Scope::Claims(targets.iter().map(Target::claim).collect()),
            None => Scope::All,
        };
        let view = self.store().view(&scope, clock)?;
        let (leases, refused) = match targets {
            Some(targets) => self.leases_on(targets, &view, &me)?,
            None => (self.leases_of_mine(&view, &me)?, Vec::new()),
        };
        let renewed = self.renew_leases(&leases, &me, ttl, clock)?;
        Ok(Prolonged { refused, ..renewed })
    }

    /// Gives these leases a new heartbeat.
    pub(crate) fn renew_leases(
        &self,
        leases: &[(RepoPath, Renewal)],
        me: &Me,
        ttl: Option<Ttl>,
        clock: &dyn Clock,
    ) -> Result<Prolonged> {
        if leases.is_empty() {
            return Ok(Prolonged::default());
        }
        let renewals: Vec<Renewal> = leases.iter().map(|(_, r)| r.clone()).collect();
        let scope = Scope::Claims(renewals.iter().map(|r| r.claim.clone()).collect());
        let (_, renewed) = store::transact(self.store(), &scope, clock, |view| {
            let (changes, renewed) = lease::renew(view, me, &renewals, ttl);
            Ok((changes, Verdict::no_if(!renewed.lost.is_empty()), renewed))
        })?;
        self.remember(renewed.renewed.iter());
        self.after_change();
        let path_of = |lost: &Renewal| {
            let of = leases.iter().find(|(_, renewal)| renewal == lost);
            of.map(|(path, _)| path.clone()).expect("it was asked for")
        };
        Ok(Prolonged {
            lost: renewed
                .lost
                .into_iter()
                .map(|(renewal, by)| (path_of(&renewal), renewal.lease, by))
                .collect(),
            renewed: renewed.renewed,
            refused: Vec::new(),
        })
    }

    /// Each target's lease: the one that is there, or the one that was taken here.
    #[expect(clippy::type_complexity, reason = "leases beside refusals")]
    fn leases_on(
        &self,
        targets: &[Target],
        view: &View,
        me: &Me,
    ) -> Result<(Vec<(RepoPath, Renewal)>, Vec<Refusal>)> {
        let held = self.held.read()?;
        let (mut leases, mut refused) = (Vec::new(), Vec::new());
        for Target { path, .. } in targets {
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
                    in_progress: false,
                });
            }
        }
        Ok((leases, refused))
    }

    /// Every lease of mine, and those whose loss is news.
    fn leases_of_mine(&self, view: &View, me: &Me) -> Result<Vec<(RepoPath, Renewal)>> {
        let is_live = |e: &&Entry| me.has(e) && view.standing(e) == Standing::Live;
        let mine = view.entries().filter(is_live).filter_map(Entry::lock);
        let mut leases: Vec<(RepoPath, Renewal)> = mine
            .map(|lock| {
                let (claim, lease) = (lock.claim(), lock.lease.clone());
                (lock.path.clone(), Renewal { claim, lease })
            })
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
