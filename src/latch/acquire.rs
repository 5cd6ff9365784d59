//! Taking paths: the targets become a request, the store decides and publishes, the working tree remembers.

use super::Latch;
use super::renew::{piggyback_renewals, scope_of};
use crate::git::target::Target;
use crate::rules::error::{Error, Result};
use crate::rules::lease::{self, Acquired, Batch, Request, Steal, Wanted};
use crate::rules::lock::{LeaseId, check_reason};
use crate::rules::time::{Clock, Ttl};
use crate::store::Verdict;

/// What to take paths with.
#[derive(Clone, Debug)]
pub struct LockOptions {
    /// Why, in the holder's words: at most 500 characters, no control characters.
    pub reason: Option<String>,
    /// How long; the policy's ttl where it is not said.
    pub ttl: Option<Ttl>,
    /// Whether others' locks may be replaced.
    pub steal: Steal,
    /// What becomes of several paths of which some are not free.
    pub batch: Batch,
    /// What else ends the lease.
    pub lifetime: Lifetime,
}

impl Default for LockOptions {
    fn default() -> Self {
        LockOptions {
            reason: None,
            ttl: None,
            steal: Steal::No,
            batch: Batch::Atomic,
            lifetime: Lifetime::UntilReleased,
        }
    }
}

/// Whether a lease ends with a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It ends by time, or when it is given back.
    UntilReleased,
    /// It ends with this process at the latest.
    ThisProcess,
}

impl Latch {
    /// Takes paths, or renews what is mine already.
    ///
    /// # Errors
    /// [`Error::BadUsage`] for a reason or ttl that cannot be, or a steal without a reason; whatever keeps the store from
    /// changing. Nothing is changed then.
    pub fn lock(
        &self,
        targets: &[Target],
        options: &LockOptions,
        clock: &dyn Clock,
    ) -> Result<Acquired> {
        self.check(options)?;
        let me = self.me()?;
        self.prepare()?;
        self.turn_sharing_on(&me, clock)?;
        let now = clock.now();
        let request = Request {
            wanted: targets
                .iter()
                .map(|target| Wanted {
                    path: target.path.clone(),
                    kind: target.kind,
                    lease: LeaseId::generate(now),
                })
                .collect(),
            me: &me,
            reason: options.reason.clone(),
            ttl: options.ttl.unwrap_or(self.terms().ttl),
            process: match options.lifetime {
                Lifetime::UntilReleased => None,
                Lifetime::ThisProcess => Some(crate::os::process::current()),
            },
            steal: options.steal.clone(),
            batch: options.batch,
            force: &self.policy.force,
        };
        let due = self.due(&me, now)?;
        let scope = scope_of(targets.iter().map(Target::claim), &due);
        let (_, (acquired, renewed)) = self.transact(&me, &scope, clock, |view| {
            let (mut changes, acquired) = lease::acquire(view, &request)?;
            let renewed = piggyback_renewals(view, &me, &due, &mut changes);
            let verdict = Verdict::no_if(!acquired.refused.is_empty());
            Ok((changes, verdict, (acquired, renewed)))
        })?;
        let taken = acquired.locked.iter().map(|taken| &taken.lock);
        self.remember(taken.chain(&renewed));
        self.after_change();
        let held: Vec<_> = acquired
            .locked
            .iter()
            .map(|taken| (&taken.lock.path, taken.lock.kind))
            .collect();
        self.settle_bits(&held, &me, clock);
        Ok(acquired)
    }

    fn check(&self, options: &LockOptions) -> Result<()> {
        if let Some(reason) = &options.reason {
            check_reason(reason)
                .map_err(|problem| Error::bad_usage(problem, "use one short sentence"))?;
        }
        self.check_ttl(options.ttl)
    }
}
