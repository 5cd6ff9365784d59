//! Holding locks while something runs: renewed meanwhile, given back in every case.
//!
//! The leases are bound to this process: when it is killed, whoever comes next on this host frees them at once.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::git::target::Target;
use crate::latch::{Latch, Lifetime, LockOptions};
use crate::os::paths::place_path;
use crate::os::watch::{Nudge, Waker};
use crate::rules::error::Result;
use crate::rules::lease::{self, Acquired, Outcome, Refusal, Renewal, Taken, Why};
use crate::rules::lock::Lock;
use crate::rules::path::RepoPath;
use crate::rules::time::{Clock, DurationSpec, Ttl};
use crate::rules::view::{Entry, Me};
use crate::store::Scope;

/// The life of a lease bound to a process, where none is asked for.
pub(crate) const TTL: Ttl = Ttl::For(DurationSpec::from_secs(180));
/// The same where locks are shared: every renewal is a push.
pub(crate) const SHARED_TTL: Ttl = Ttl::For(DurationSpec::from_secs(30 * 60));
/// The longest pause between two looks at the wall clock, which may jump while a timer stands still (standby).
const LONGEST: Duration = Duration::from_secs(1);

/// The pause before looking again, where a change was under way.
const AGAIN: Duration = Duration::from_millis(50);

/// What became of work that wanted locks.
#[derive(Debug)]
pub enum WithLock<T> {
    /// It was done, under its locks from beginning to end.
    Done(T),
    /// It was done, but some of its locks were lost on the way: somebody removed or took them.
    Lost {
        /// What the work returned.
        value: T,
        /// The leases that were lost.
        leases: Vec<LostLease>,
    },
    /// It was not begun: another living process of mine has the path.
    InProgress(Vec<Refusal>),
    /// It was not begun: somebody else has the path.
    Held(Vec<Refusal>),
}

/// A lease that was lost while it was kept.
#[derive(Clone, Debug)]
pub struct LostLease {
    /// The path.
    pub path: RepoPath,
    /// Who has it now, if anybody.
    pub by: Option<Entry>,
}

/// Runs `work` while holding locks on `targets`; they are renewed meanwhile, and given back even when `work` panics.
///
/// The leases are bound to this process and live 3 minutes after a renewal unless `options.ttl` says otherwise. What was
/// mine before stays mine after.
///
/// # Errors
/// As [`Latch::lock`]; `work` has not run then.
///
/// ```
/// use git_latch::{Latch, LockOptions, SystemClock, Target, WithLock, with_lock};
/// # let tree = tempfile::tempdir()?;
/// # for args in [&["init", "-q"][..], &["config", "user.email", "ada@example.com"]] {
/// #     assert!(std::process::Command::new("git").args(args).current_dir(&tree).status()?.success());
/// # }
/// # let directory = tree.path();
/// let latch = Latch::open(directory, &Default::default())?;
/// let scene = [Target::file("scenes/town.tscn")?];
/// match with_lock(&latch, &scene, &LockOptions::default(), &SystemClock, || "baked")? {
///     WithLock::Done(value) => assert_eq!(value, "baked"),
///     WithLock::Lost { .. } => println!("done, but somebody took the lock meanwhile"),
///     WithLock::InProgress(_) => println!("another process of mine is at it"),
///     WithLock::Held(refused) => println!("{} paths are locked by others", refused.len()),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn with_lock<T>(
    latch: &Latch,
    targets: &[Target],
    options: &LockOptions,
    clock: &dyn Clock,
    work: impl FnOnce() -> T,
) -> Result<WithLock<T>> {
    let acquired = latch.lock(targets, &bound(latch, options), clock)?;
    if !acquired.refused.is_empty() {
        let in_progress = acquired.refused.iter().any(|r| r.why == Why::InProgress);
        return Ok(if in_progress {
            WithLock::InProgress(acquired.refused)
        } else {
            WithLock::Held(acquired.refused)
        });
    }
    let (value, leases) = keep(latch, &acquired, clock, &|_| {}, work)?;
    Ok(if leases.is_empty() {
        WithLock::Done(value)
    } else {
        WithLock::Lost { value, leases }
    })
}

/// The options with which a process takes what ends with it.
#[must_use]
pub fn bound(latch: &Latch, options: &LockOptions) -> LockOptions {
    let usual = if latch.shared().is_some() {
        SHARED_TTL
    } else {
        TTL
    };
    LockOptions {
        lifetime: Lifetime::ThisProcess,
        ttl: options.ttl.or(Some(usual.min(latch.terms().max_ttl))),
        ..options.clone()
    }
}

/// Runs `work` while keeping what was acquired, and gives back what was not mine before. `on_loss` is told from another
/// thread, once for each lease.
///
/// # Errors
/// When giving back fails; `work` is done then, and the leases end with this process.
pub fn keep<T>(
    latch: &Latch,
    acquired: &Acquired,
    clock: &dyn Clock,
    on_loss: &(dyn Fn(&LostLease) + Sync),
    work: impl FnOnce() -> T,
) -> Result<(T, Vec<LostLease>)> {
    let me = latch.me()?;
    let locks = || acquired.locked.iter().map(|taken| &taken.lock);
    let nudge = Nudge::on(&directories(latch, locks()));
    let stop = Stop {
        flag: AtomicBool::new(false),
        waker: nudge.waker(),
    };
    std::thread::scope(|scope| {
        let release = Release {
            latch,
            me: &me,
            leases: own(acquired),
            clock,
            is_done: false,
        };
        let heart = Heart {
            latch,
            me: &me,
            clock,
            every: interval(locks()),
            on_loss,
        };
        let leases: Vec<_> = acquired.locked.iter().map(lease_of).collect();
        // Dropped before `release`: a renewal must not come after the release.
        let stopping = Stopping(&stop);
        let beating = scope.spawn({
            let stopped = &stop.flag;
            move || heart.beat(leases, &nudge, stopped)
        });
        let value = work();
        drop(stopping);
        let mut lost = beating.join().expect("renewing does not panic");
        for late in release.now()? {
            // Lost since the last look.
            if lost.iter().all(|known| known.path != late.path) {
                on_loss(&late);
                lost.push(late);
            }
        }
        Ok((value, lost))
    })
}

fn directories<'a>(latch: &Latch, locks: impl Iterator<Item = &'a Lock>) -> BTreeSet<PathBuf> {
    let root = latch.local().locks();
    locks
        .filter_map(|lock| lock.claim().place())
        .filter_map(|place| root.join(place_path(&place)).parent().map(PathBuf::from))
        .collect()
}

fn lease_of(taken: &Taken) -> (RepoPath, Renewal) {
    let lock = &taken.lock;
    (lock.path.clone(), Renewal::of(lock))
}

/// What this process acquired itself: what was mine before is not its to give back.
fn own(acquired: &Acquired) -> Vec<(RepoPath, Renewal)> {
    let fresh = acquired
        .locked
        .iter()
        .filter(|t| t.outcome != Outcome::Renewed);
    fresh.map(lease_of).collect()
}

/// A third of the shortest life; `None` where nothing ends by time.
fn interval<'a>(locks: impl Iterator<Item = &'a Lock>) -> Option<TimeDelta> {
    let seconds = locks.filter_map(|lock| lock.ttl.as_secs()).min()?;
    Some(TimeDelta::milliseconds(
        i64::try_from(seconds).unwrap_or(i64::MAX / 1000) * 1000 / 3,
    ))
}

/// The word to the renewing thread that it is over.
struct Stop {
    flag: AtomicBool,
    waker: Waker,
}

/// Says it however the work ends.
struct Stopping<'a>(&'a Stop);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.flag.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

/// Gives back, at the latest when it is dropped: when the work panics.
struct Release<'a> {
    latch: &'a Latch,
    me: &'a Me,
    leases: Vec<(RepoPath, Renewal)>,
    clock: &'a dyn Clock,
    is_done: bool,
}

impl Release<'_> {
    fn now(mut self) -> Result<Vec<LostLease>> {
        self.is_done = true;
        self.release()
    }

    /// Gives back; gives those that were lost before.
    fn release(&self) -> Result<Vec<LostLease>> {
        if self.leases.is_empty() {
            return Ok(Vec::new());
        }
        let lost = self
            .latch
            .release_leases(&self.leases, self.me, self.clock)?;
        Ok(lost
            .into_iter()
            .map(|(path, by)| LostLease { path, by })
            .collect())
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        if !self.is_done
            && let Err(error) = self.release()
        {
            tracing::error!(%error, "the locks are not given back; they end with this process");
        }
    }
}

/// Renews leases and notices their loss.
struct Heart<'a> {
    latch: &'a Latch,
    me: &'a Me,
    clock: &'a dyn Clock,
    every: Option<TimeDelta>,
    on_loss: &'a (dyn Fn(&LostLease) + Sync),
}

impl Heart<'_> {
    /// Beats until it is told to stop; gives what was lost.
    fn beat(
        &self,
        mut leases: Vec<(RepoPath, Renewal)>,
        nudge: &Nudge,
        stopped: &AtomicBool,
    ) -> Vec<LostLease> {
        let mut lost = Vec::new();
        let mut again = false;
        let mut renewed_at = self.clock.now();
        let pause = self
            .every
            .and_then(|every| (every / 4).to_std().ok())
            .map_or(LONGEST, |quarter| quarter.min(LONGEST));
        loop {
            let nudged = nudge.wait(if again { pause.min(AGAIN) } else { pause }) || again;
            if stopped.load(Ordering::Acquire) {
                return lost;
            }
            let now = self.clock.now();
            let due = self.is_due(renewed_at, now);
            if leases.is_empty() || !(due || nudged) {
                continue;
            }
            // What nudges may be a change of several paths that counts only when it is done.
            again = self.latch.local().is_changing();
            match self.look(&leases, due) {
                // Given back meanwhile, because the work panicked: gone, but not lost.
                Ok(_) if stopped.load(Ordering::Acquire) => return lost,
                Ok(gone) => {
                    leases.retain(|(_, renewal)| gone.iter().all(|(r, _)| r != renewal));
                    for (renewal, path, by) in gone.into_iter().map(|(r, l)| (r, l.path, l.by)) {
                        tracing::debug!(lease = %renewal.lease, "lost");
                        let lease = LostLease { path, by };
                        (self.on_loss)(&lease);
                        lost.push(lease);
                    }
                    if due {
                        renewed_at = now;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the leases are not renewed");
                    // Tried again long before the lease ends, and not every second: a remote may be down.
                    if let Some(every) = self.every {
                        renewed_at = now - every + every / 10;
                    }
                }
            }
        }
    }

    /// A clock that was set back makes it due, too.
    fn is_due(&self, last: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        self.every
            .is_some_and(|every| now - last >= every || now < last)
    }

    /// Renews, or only looks whether the leases are still there; gives those that are not.
    fn look(
        &self,
        leases: &[(RepoPath, Renewal)],
        renew: bool,
    ) -> Result<Vec<(Renewal, LostLease)>> {
        let renewals: Vec<Renewal> = leases.iter().map(|(_, r)| r.clone()).collect();
        let gone: Vec<(Renewal, Option<Entry>)> = if renew {
            let renewed = self.latch.renew_leases(leases, self.me, None, self.clock)?;
            let of = |lease| renewals.iter().find(|r| r.lease == lease).cloned();
            renewed
                .lost
                .into_iter()
                .filter_map(|(_, lease, by)| Some((of(lease)?, by)))
                .collect()
        } else {
            let claims = renewals.iter().map(|r| r.claim.clone()).collect();
            let view = self.latch.view(&Scope::Claims(claims), self.clock)?;
            lease::renew(&view, self.me, &renewals, None).1.lost
        };
        let path_of = |renewal: &Renewal| {
            let mut with_paths = leases.iter();
            with_paths.find_map(|(path, r)| (r == renewal).then(|| path.clone()))
        };
        Ok(gone
            .into_iter()
            .filter_map(|(renewal, by)| {
                let path = path_of(&renewal)?;
                Some((renewal, LostLease { path, by }))
            })
            .collect())
    }
}
