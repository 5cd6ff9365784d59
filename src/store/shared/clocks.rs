//! What the ref's history proves about others' clocks.
//!
//! A change dated later than now was made by a clock ahead of this one. A change that was not there when this clone asked
//! last, and is dated before that moment, by one behind. Leases are promises in time: whoever's clock is off by more than
//! the policy's `clock_skew` may believe to hold what others believe to be free.

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};

use crate::git::repo::{Objects, Revision};
use crate::rules::error::Result;
use crate::rules::time::DurationSpec;
use crate::store::LatchDir;

/// How many of the new changes are looked at.
const LOOKED_AT: usize = 64;
/// How long a difference is told after it was met.
const REMEMBERED: TimeDelta = TimeDelta::days(1);

/// A clock that is off, by the evidence of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockDifference {
    /// Who made the change.
    pub by: String,
    /// By how much, at least, their clock is ahead of this one; negative where it is behind.
    pub ahead: TimeDelta,
}

/// The difference that changes since `seen` prove, if it is more than `skew`. `asked` is when this clone asked before.
pub(super) fn difference(
    objects: &Objects,
    seen: Option<&Revision>,
    tip: &Revision,
    asked: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    skew: DurationSpec,
) -> Result<Option<ClockDifference>> {
    // Commits have whole seconds.
    let skew = skew.as_delta() + TimeDelta::seconds(1);
    let known = seen.map(|seen| seen.commit.as_str());
    let fresh = objects.history(tip, LOOKED_AT)?.into_iter();
    let fresh = fresh.take_while(|past| Some(past.commit.as_str()) != known);
    let asked = asked.filter(|_| seen.is_some());
    let off = fresh.filter_map(|past| {
        let ahead = Some(past.at - now).filter(|ahead| *ahead > skew);
        let behind = || asked.map(|asked| past.at - asked).filter(|b| -*b > skew);
        Some(ClockDifference {
            ahead: ahead.or_else(behind)?,
            by: past.mail,
        })
    });
    Ok(off.max_by_key(|difference| difference.ahead.abs()))
}

/// Notes a difference, for the commands to come.
pub(super) fn note(directory: &LatchDir, difference: &ClockDifference) {
    let text = format!("{} {}\n", difference.ahead.num_seconds(), difference.by);
    // What cannot be noted is not told.
    let _ = fs::write(directory.clocks(), text);
}

/// The difference that was met within the last day.
pub(super) fn noted(directory: &LatchDir, now: DateTime<Utc>) -> Option<ClockDifference> {
    let path = directory.clocks();
    let at = crate::os::clock::of_file(&fs::metadata(&path).ok()?)?;
    let text = fs::read_to_string(path).ok()?;
    let (seconds, by) = text.trim().split_once(' ')?;
    (now - at < REMEMBERED).then_some(ClockDifference {
        by: by.to_owned(),
        ahead: TimeDelta::seconds(seconds.parse().ok()?),
    })
}
