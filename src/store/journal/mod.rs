//! The journal: what makes a change of several lock files all or nothing.
//!
//! Before the first file of such a change is published, the journal is written and synced; when the last one is, it is
//! removed, and that is the moment of the change. Whoever finds it under the guard undoes the change first: the command
//! that wrote it never said "done". Whoever only reads looks through it, as if the change had been undone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::entry_of;
use crate::os::files;
use crate::os::mode::Sharing;
use crate::os::paths::place_path;
use crate::rules::error::{Error, Result};
use crate::rules::lease::Change;
use crate::rules::lock::{LeaseId, Lock};
use crate::rules::path::Place;
use crate::rules::view::Entry;

/// How to take a change back.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    /// The number of the change: two journals are told apart by it.
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    step: Vec<Step>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    /// Where the lock lies.
    place: String,
    /// The lease that the change puts there; none where it only removes.
    lease: Option<LeaseId>,
    /// The lock file that lay there before.
    before: Option<String>,
    /// When that was written, in nanoseconds since 1970: a lock that comes back is as old as it was.
    #[serde(default)]
    modified: Option<i64>,
}

impl Step {
    fn place(&self) -> Place {
        Place::from_bytes(self.place.clone().into_bytes())
    }

    /// Whether this step is made, given what lies in the place: the lock of a successor is none of its doing.
    fn is_made(&self, now: Option<&LeaseId>, is_empty: bool) -> bool {
        match &self.lease {
            Some(lease) => now == Some(lease),
            None => is_empty,
        }
    }

    fn modified(&self) -> Option<DateTime<Utc>> {
        self.modified.map(DateTime::from_timestamp_nanos)
    }
}

impl Journal {
    /// How to take these changes back, read before any of them is made. Renewals and removals of what is over are not
    /// taken back: they harm nobody.
    pub(super) fn of(changes: &[Change], seq: u64, locks: &Path) -> Result<Self> {
        let mut step = Vec::new();
        for change in changes {
            let (place, lease) = match change {
                Change::Acquire(lock) => (lock.claim().place(), Some(lock.lease.clone())),
                Change::Remove {
                    place,
                    was_live: true,
                    ..
                } => (Some(place.clone()), None),
                Change::Renew(_)
                | Change::Remove {
                    was_live: false, ..
                } => continue,
            };
            // A place that is no UTF-8 belongs to no valid lock: nothing to bring back.
            let Some(place) = place.and_then(|p| String::from_utf8(p.as_bytes().to_vec()).ok())
            else {
                continue;
            };
            let (before, modified) = read(locks, &place)?.unzip();
            step.push(Step {
                place,
                lease,
                before,
                modified: modified.flatten().and_then(|at| at.timestamp_nanos_opt()),
            });
        }
        Ok(Journal { seq, step })
    }

    /// Whether stopping half way would leave something that must be taken back.
    pub(super) fn is_needed(&self) -> bool {
        self.step.len() > 1
    }

    /// The largest number that the change before this one can have.
    pub(super) fn comes_after(&self) -> u64 {
        // A torn one says nothing.
        self.seq.checked_sub(1).unwrap_or(u64::MAX)
    }

    /// Writes it, durably.
    ///
    /// # Errors
    /// [`Error::Io`]; where there is one already, whose it is is not known, and it is left alone.
    pub(super) fn write(&self, path: &Path, tmp: &Path, sharing: Sharing) -> Result<()> {
        let text = serde_json::to_vec(self).expect("a journal has only strings and numbers");
        let staged = files::stage(tmp, &text, sharing)?;
        files::sync(staged.as_file(), path)?;
        staged
            .persist_noclobber(path)
            .map_err(|e| Error::io("write", path)(e.error))?;
        files::sync_directory(path.parent().unwrap_or(path))
    }

    /// Reads one, of a change under way or one that was left behind. A torn one was never synced, so nothing of its
    /// change was published.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => {
                let mut journal: Journal = serde_json::from_slice(&bytes).unwrap_or_default();
                // Whoever may write here may write lock files as well, but nothing outside the lock directory.
                journal.step.retain(|step| is_inside(&step.place));
                Ok(Some(journal))
            }
            Err(e) if files::is_absent(&e) => Ok(None),
            Err(e) => Err(Error::io("read", path)(e)),
        }
    }

    /// Takes the change back, durably, as far as it was made. May be interrupted and run again.
    pub(super) fn undo(&self, locks: &Path, tmp: &Path, sharing: Sharing) -> Result<()> {
        let mut touched = BTreeSet::new();
        for step in self.step.iter().rev() {
            let path = locks.join(place_path(&step.place()));
            let now = files::read(&path)?;
            let lease = now
                .as_ref()
                .and_then(|found| lease_of(found.bytes.as_ref().ok()?));
            if step.is_made(lease.as_ref(), now.is_none()) {
                touched.extend(put_back(step, &path, tmp, sharing)?);
            }
            crate::os::fault::point("undo.step");
        }
        files::sync_directories(&touched)
    }

    /// Makes what was read while the change was under way what it would be without it. `is_asked` says whether a place is
    /// among those that were read.
    pub(super) fn undo_in(&self, entries: &mut Vec<Entry>, is_asked: impl Fn(&Place) -> bool) {
        for step in &self.step {
            let place = step.place();
            let at = entries.iter().position(|entry| entry.place == place);
            let lease = at.and_then(|at| entries[at].lock()).map(|lock| &lock.lease);
            if !step.is_made(lease, at.is_none()) || !is_asked(&place) {
                continue;
            }
            if let Some(at) = at {
                entries.swap_remove(at);
            }
            let before = step.before.clone();
            entries.extend(before.map(|text| entry_of(place, Ok(text.into()), step.modified())));
        }
    }
}

/// Puts back what a step replaced; gives the directories whose entries changed.
fn put_back(step: &Step, path: &Path, tmp: &Path, sharing: Sharing) -> Result<Vec<PathBuf>> {
    let parent = path.parent().unwrap_or(path);
    let mut touched = vec![parent.to_owned()];
    let Some(before) = &step.before else {
        files::remove(path)?;
        return Ok(touched);
    };
    touched.extend(files::create_directories(parent, sharing)?);
    let staged = files::stage(tmp, before.as_bytes(), sharing)?;
    if let Some(modified) = step.modified {
        let set = staged.as_file().set_modified(system_time(modified));
        set.map_err(Error::io("set the time of", path))?;
    }
    files::sync(staged.as_file(), path)?;
    let restored = if step.lease.is_some() {
        staged.persist(path)
    } else {
        staged.persist_noclobber(path)
    };
    restored.map_err(|e| Error::io("restore", path)(e.error))?;
    Ok(touched)
}

fn system_time(nanoseconds: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanoseconds.unsigned_abs());
    if nanoseconds < 0 {
        SystemTime::UNIX_EPOCH - distance
    } else {
        SystemTime::UNIX_EPOCH + distance
    }
}

/// What lies in a place, and when it was written.
fn read(locks: &Path, place: &str) -> Result<Option<(String, Option<DateTime<Utc>>)>> {
    let path = locks.join(place_path(&Place::from_bytes(place.as_bytes().to_vec())));
    let Some(found) = files::read(&path)? else {
        return Ok(None);
    };
    let text = found.bytes.ok().and_then(|b| String::from_utf8(b).ok());
    Ok(text.map(|text| (text, found.modified)))
}

/// Whether a place stays below the lock directory.
fn is_inside(place: &str) -> bool {
    place.split('/').all(|c| !matches!(c, "" | "." | ".."))
}

fn lease_of(bytes: &[u8]) -> Option<LeaseId> {
    Lock::parse(bytes).ok().map(|lock| lock.lease)
}

#[cfg(test)]
mod tests;
