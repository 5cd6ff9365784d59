//! The system's clock, and the times of files. The only place that asks the system for the time of day.

use chrono::{DateTime, TimeDelta, Utc};

use crate::rules::time::Clock;

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from(std::time::SystemTime::now()) + crate::os::fault::skew()
    }
}

/// A file's time; `None` where it lies outside of what the calendar knows.
#[must_use]
pub(crate) fn of_file(meta: &std::fs::Metadata) -> Option<DateTime<Utc>> {
    let modified = meta.modified().ok()?;
    let since = match modified.duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => TimeDelta::from_std(after).ok()?,
        Err(before) => -TimeDelta::from_std(before.duration()).ok()?,
    };
    DateTime::UNIX_EPOCH.checked_add_signed(since)
}

/// How long ago a file was written, by the system's clock; `None` where that lies ahead.
#[must_use]
pub(crate) fn age_of(meta: &std::fs::Metadata) -> Option<std::time::Duration> {
    meta.modified().ok()?.elapsed().ok()
}
