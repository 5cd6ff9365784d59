//! The journal: what makes a change of several lock files all or nothing.
//!
//! Before the first file of such a change is published, the journal is written and synced; when the last one is, it is
//! removed. Whoever finds it under the guard undoes the change first: the command that wrote it never said "done".

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files;
use super::mode::Sharing;
use crate::error::{Error, Result};
use crate::lease::Change;
use crate::lock::{LeaseId, Lock};
use crate::path::Place;

/// How to take a change back.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Journal {
    #[serde(default)]
    step: Vec<Step>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    /// Where the lock lies.
    place: String,
    /// The lease that the change puts there; none where it only removes.
    lease: Option<LeaseId>,
    /// The lock file that lay there before and was live.
    before: Option<String>,
}

impl Journal {
    /// How to take these changes back, read before any of them is made. Renewals and removals of what is over are not
    /// taken back: they harm nobody.
    pub(super) fn of(changes: &[Change], locks: &Path) -> Result<Self> {
        let mut step = Vec::new();
        for change in changes {
            let (place, lease) = match change {
                Change::Acquire(lock) => (lock.claim().place(), Some(lock.lease.clone())),
                Change::Remove {
                    place,
                    was_live: true,
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
            let before = read(locks, &place)?;
            step.push(Step {
                place,
                lease,
                before,
            });
        }
        Ok(Journal { step })
    }

    /// Whether stopping half way would leave something that must be taken back.
    pub(super) fn is_needed(&self) -> bool {
        self.step.len() > 1
    }

    /// Writes it, durably.
    pub(super) fn write(&self, path: &Path, tmp: &Path, sharing: Sharing) -> Result<()> {
        let text = serde_json::to_vec(self).expect("a journal has only strings");
        let staged = files::stage(tmp, &text, sharing)?;
        staged
            .as_file()
            .sync_all()
            .map_err(Error::io("sync", path))?;
        staged
            .persist(path)
            .map_err(|e| Error::io("write", path)(e.error))?;
        files::sync_directory(path.parent().unwrap_or(path))
    }

    /// Reads one that was left behind. A torn one was never synced, so nothing of its change was published.
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

    /// Takes the change back, as far as it was made. May be interrupted and run again.
    pub(super) fn undo(&self, locks: &Path, tmp: &Path, sharing: Sharing) -> Result<()> {
        for step in self.step.iter().rev() {
            let path = locks.join(Place::from_bytes(step.place.clone().into_bytes()).to_path());
            let now = read(locks, &step.place)?;
            let is_ours = match &step.lease {
                Some(lease) => now
                    .as_deref()
                    .is_some_and(|text| lease_of(text).as_ref() == Some(lease)),
                None => now.is_none(),
            };
            match (&step.before, is_ours) {
                (_, false) => {}
                (Some(before), true) => {
                    if let Some(parent) = path.parent() {
                        files::create_directories(parent, sharing)?;
                    }
                    let staged = files::stage(tmp, before.as_bytes(), sharing)?;
                    staged
                        .as_file()
                        .sync_all()
                        .map_err(Error::io("sync", &path))?;
                    staged
                        .persist(&path)
                        .map_err(|e| Error::io("restore", &path)(e.error))?;
                }
                (None, true) => files::remove(&path)?,
            }
            crate::fault::point("undo.step");
        }
        Ok(())
    }
}

fn read(locks: &Path, place: &str) -> Result<Option<String>> {
    let path = locks.join(Place::from_bytes(place.as_bytes().to_vec()).to_path());
    let bytes = files::read(&path)?.and_then(|found| found.bytes.ok());
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

/// Whether a place stays below the lock directory.
fn is_inside(place: &str) -> bool {
    place.split('/').all(|c| !matches!(c, "" | "." | ".."))
}

fn lease_of(text: &str) -> Option<LeaseId> {
    Lock::parse(text.as_bytes()).ok().map(|lock| lock.lease)
}
