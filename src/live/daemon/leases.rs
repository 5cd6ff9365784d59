//! Which of my leases live on, and which are let go.
//!
//! A lease is renewed a third through its life, while its file is being worked on: it differs from the upstream branch, or
//! was written within a ttl. Of one that nobody works on its holder hears at two thirds, and it ends by itself.

use std::collections::HashSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::git::edits::work_in_progress;
use crate::latch::Latch;
use crate::os::clock::of_file;
use crate::rules::error::Result;
use crate::rules::lock::Lock;
use crate::rules::path::{Key, Kind};
use crate::rules::time::Ttl;

/// How many files of a locked directory are looked at for the time of the last writing.
const LOOKED_AT: usize = 20_000;
/// By how much a file's time may be ahead: of a file system with a clock of its own.
const AHEAD: TimeDelta = TimeDelta::minutes(1);
/// The longest pause between two judgements of what is due.
const LONGEST: Duration = Duration::from_secs(600);

/// When a lease is due: a third of its life, or up to a tenth of that sooner, by a number that differs from daemon to daemon,
/// so that those started together do not push together. `None` for what never ends.
pub(super) fn due_at(lock: &Lock, seed: u64) -> Option<DateTime<Utc>> {
    let jitter = i64::try_from(seed % 100).unwrap_or_default();
    let third = (lock.ttl != Ttl::Never).then(|| part(lock, 1000 - jitter, 3000))?;
    lock.heartbeat_at.checked_add_signed(third)
}

/// What else is renewed in the same change: a push more is dearer than a heartbeat too many.
pub(super) fn is_nearly_due(lock: &Lock, now: DateTime<Utc>) -> bool {
    age(lock, now) >= part(lock, 1, 4)
}

/// Whether its holder should hear that it ends.
pub(super) fn is_ending(lock: &Lock, now: DateTime<Utc>) -> bool {
    age(lock, now) >= part(lock, 2, 3)
}

/// How long after a judgement the next one comes.
pub(super) fn pause_after<'a>(judged: impl Iterator<Item = &'a Lock>) -> Duration {
    let twelfth = |lock: &Lock| part(lock, 1, 12).to_std().unwrap_or(LONGEST);
    judged.map(twelfth).min().map_or(LONGEST, |pause| {
        pause.clamp(Duration::from_millis(100), LONGEST)
    })
}

fn age(lock: &Lock, now: DateTime<Utc>) -> TimeDelta {
    now - lock.heartbeat_at
}

/// A part of a life; what never ends is never due.
fn part(lock: &Lock, numerator: i64, denominator: i64) -> TimeDelta {
    let seconds = lock.ttl.as_secs().and_then(|s| i64::try_from(s).ok());
    seconds.map_or(TimeDelta::MAX, |seconds| {
        TimeDelta::milliseconds(seconds * 1000 * numerator / denominator)
    })
}

/// Those of the locks that are worked on, and those that are not.
pub(super) fn worked_on(
    latch: &Latch,
    locks: Vec<Lock>,
    now: DateTime<Utc>,
) -> Result<(Vec<Lock>, Vec<Lock>)> {
    let remote = latch.shared().map(crate::store::SharedStore::remote);
    let work = work_in_progress(latch.repo(), remote)?;
    let root = latch.repo().root()?;
    Ok(locks
        .into_iter()
        .partition(|lock| differs(lock, &work) || was_written_lately(root, lock, now)))
}

/// Whether there is work on what a lock covers.
fn differs(lock: &Lock, work: &HashSet<Key>) -> bool {
    let claim = lock.claim();
    match claim.kind {
        Kind::File => work.contains(&claim.key),
        Kind::Directory => work.iter().any(|key| claim.covers(key)),
    }
}

/// A time ahead of the clock proves nothing.
fn was_written_lately(root: &Path, lock: &Lock, now: DateTime<Utc>) -> bool {
    let path = if lock.path.is_root() {
        root.to_owned()
    } else {
        root.join(lock.path.as_str())
    };
    let since = now - part(lock, 1, 1).min(TimeDelta::days(36_500));
    let mut left = LOOKED_AT;
    is_within(&path, &(since..=now + AHEAD), &mut left)
}

/// Whether a file, or one below a directory, was written then.
fn is_within(path: &Path, when: &RangeInclusive<DateTime<Utc>>, left: &mut usize) -> bool {
    *left = left.saturating_sub(1);
    let Ok(meta) = fs::symlink_metadata(path) else {
        return false;
    };
    if !meta.is_dir() {
        return of_file(&meta).is_some_and(|at| when.contains(&at));
    }
    let Ok(listing) = fs::read_dir(path) else {
        return false;
    };
    let is_ours = |item: &fs::DirEntry| item.file_name() != ".git";
    listing
        .flatten()
        .filter(is_ours)
        .any(|item| *left > 0 && is_within(&item.path(), when, left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::lock::{LeaseId, Owner};
    use crate::rules::path::RepoPath;

    fn lock(ttl: &str) -> Lock {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Lock {
            path: RepoPath::new("a").unwrap(),
            kind: Kind::File,
            lease: LeaseId::generate(at),
            seq: 1,
            reason: None,
            acquired_at: at,
            heartbeat_at: at,
            ttl: ttl.parse::<Ttl>().unwrap(),
            owner: Owner {
                id: "ada".into(),
                name: String::new(),
                host: "x".into(),
                workspace: None,
            },
            process: None,
        }
    }

    #[test]
    fn a_third_is_due_and_two_thirds_are_told() {
        let lock = lock("24h");
        let after = |minutes| lock.heartbeat_at + TimeDelta::minutes(minutes);
        assert_eq!(due_at(&lock, 0), Some(after(8 * 60)));
        for seed in [1, 99, 12_345] {
            let due = due_at(&lock, seed).unwrap();
            assert!(due < after(8 * 60) && due > after(7 * 60 + 12));
        }
        assert!(is_nearly_due(&lock, after(6 * 60)) && !is_nearly_due(&lock, after(5 * 60)));
        assert!(is_ending(&lock, after(16 * 60)) && !is_ending(&lock, after(15 * 60)));
    }

    #[test]
    fn what_never_ends_is_never_due() {
        let lock = lock("never");
        let later = lock.heartbeat_at + TimeDelta::days(10_000);
        assert!(due_at(&lock, 99).is_none() && !is_ending(&lock, later));
    }

    #[test]
    fn short_lives_are_judged_often_and_long_ones_now_and_then() {
        let (short, long) = (lock("6s"), lock("24h"));
        assert_eq!(
            pause_after([&short, &long].into_iter()),
            Duration::from_millis(500)
        );
        assert_eq!(pause_after([&long].into_iter()), LONGEST);
    }
}
