//! Publishing the steps of a change, durably, all or none.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::LocalStore;
use crate::os::guard::Guard;
use crate::os::paths::place_path;
use crate::os::{fault, files};
use crate::rules::error::{Error, Result};
use crate::rules::lease::Change;
use crate::rules::view::View;
use crate::store::journal::Journal;
use crate::store::past::Record;
use crate::store::place_of;

impl LocalStore {
    /// Publishes the changes; says whether it did. It does not where the guard is not the one that others would take:
    /// then nothing is changed, and what was decided may be old.
    pub(super) fn apply(&self, guard: &Guard, view: &View, changes: &[Change]) -> Result<bool> {
        let staged = self.stage(changes)?;
        fault::point("change.staged");
        if !guard.is_current() {
            return Ok(false);
        }
        let journal = Journal::of(changes, view.next_seq(), &self.locks())?;
        let is_journaled = self.begin(&journal, changes)?;
        fault::point("change.journaled");
        // After the journal: who reads the new number has met the journal, or the whole change.
        let published = self
            .write_seq(view)
            .and_then(|()| self.publish(guard, view, changes, staged));
        if let Ok(true) = published {
            fault::point("change.published");
            self.end(is_journaled)?;
            // Only now it is proven that nobody came in by another guard: whoever comes later sees this change.
            if guard.is_current() {
                fault::point("change.done");
                self.record(view, changes);
                return Ok(true);
            }
        }
        journal.undo(&self.locks(), &self.tmp(), self.sharing)?;
        if !guard.is_current() {
            // The journal that lies there now may be another's; if it is this one, whoever comes next removes it.
            return Ok(false);
        }
        self.end(is_journaled)?;
        published.map(|_| false)
    }

    /// Writes the journal where one is needed; says whether there is one.
    fn begin(&self, journal: &Journal, changes: &[Change]) -> Result<bool> {
        if !journal.is_needed() {
            return Ok(false);
        }
        let written = journal.write(&self.journal(), &self.tmp(), self.sharing);
        match written {
            // What is given back is given back one by one at worst. It must be possible where there is no room left.
            Err(Error::Io { source, .. })
                if files::is_full(&source) && changes.iter().all(is_removal) =>
            {
                Ok(false)
            }
            other => other.map(|()| true),
        }
    }

    /// The change is made, or taken back.
    fn end(&self, is_journaled: bool) -> Result<()> {
        if is_journaled {
            files::remove(&self.journal())?;
            files::sync_directory(self.directory.path())?;
        }
        Ok(())
    }

    /// What follows a change and cannot fail it.
    fn record(&self, view: &View, changes: &[Change]) {
        let record = Record::of(&self.directory);
        if let Err(error) = record.add(view, changes, self.author.as_ref(), self.sharing) {
            tracing::debug!(%error, "the change is not recorded");
        }
        self.remove_empty_directories(changes);
    }

    /// Writes the new lock files where nobody looks, and syncs them. Renewals too: where a file system may show an empty
    /// file after a loss of power (xfs), it would block its own holder for a day.
    fn stage(&self, changes: &[Change]) -> Result<Vec<NamedTempFile>> {
        let tmp = self.tmp();
        let mut staged = Vec::new();
        for change in changes {
            if let Change::Acquire(lock) | Change::Renew(lock) = change {
                staged.push(files::stage(&tmp, lock.to_toml().as_bytes(), self.sharing)?);
            }
        }
        files::each(&staged, |file| files::sync(file.as_file(), file.path()))?;
        Ok(staged)
    }

    /// Takes the steps: first what appears, then what goes, so that at no moment a path is free that never was. Says
    /// whether all were taken; where the guard was removed meanwhile, they are not.
    fn publish(
        &self,
        guard: &Guard,
        view: &View,
        changes: &[Change],
        staged: Vec<NamedTempFile>,
    ) -> Result<bool> {
        let mut staged = staged.into_iter();
        let (going, coming): (Vec<_>, Vec<_>) = changes.iter().partition(|step| is_removal(step));
        let mut touched = BTreeSet::new();
        for change in coming.into_iter().chain(going) {
            if !guard.is_current() {
                return Ok(false);
            }
            fault::point("change.checked");
            match change {
                Change::Remove { place, .. } => {
                    let path = self.locks().join(place_path(place));
                    files::remove(&path)?;
                    touched.extend(path.parent().map(Path::to_owned));
                }
                Change::Acquire(lock) | Change::Renew(lock) => {
                    let file = staged.next().expect("one staged file for each lock");
                    let place = place_of(lock)?;
                    let path = self.locks().join(place_path(&place));
                    let parent = path.parent().unwrap_or(&path);
                    touched.extend(files::create_directories(parent, self.sharing)?);
                    if let Change::Acquire(_) = change {
                        touched.insert(parent.to_owned());
                    }
                    let replaces = view.covering(&lock.claim().key).any(|e| e.place == place);
                    // What nobody saw under the guard must not be overwritten, even if the guard failed.
                    let published = if replaces {
                        file.persist(&path)
                    } else {
                        file.persist_noclobber(&path)
                    };
                    published.map_err(|e| Error::io("publish", &path)(e.error))?;
                }
            }
            fault::point("change.step");
        }
        // Of removals too: a lock that came back would stand beside its successor's.
        files::sync_directories(&touched)?;
        Ok(true)
    }

    /// An entry that the file system dates in the future would never age: it counts from now on.
    pub(super) fn restamp(&self, view: &View) {
        for entry in view.entries().filter(|e| e.stored_at > view.store_now) {
            let path = self.locks().join(place_path(&entry.place));
            let set = files::open(&path).and_then(|file| {
                if file.metadata()?.is_file() {
                    file.set_modified(std::time::SystemTime::from(view.now))
                } else {
                    // No lock, and nothing to wait for under the guard.
                    Ok(())
                }
            });
            if set.is_err() {
                // Not the file's owner: the same bytes in a new file have a new time.
                let again = entry
                    .lock()
                    .map(|lock| files::stage(&self.tmp(), lock.to_toml().as_bytes(), self.sharing));
                if let Some(Ok(staged)) = again
                    && staged.as_file().sync_all().is_ok()
                {
                    drop(staged.persist(&path));
                }
            }
        }
    }

    /// Removes mirror directories in which nothing is left. That they stay does no harm.
    fn remove_empty_directories(&self, changes: &[Change]) {
        let locks = self.locks();
        let removed = changes.iter().filter_map(|change| match change {
            Change::Remove { place, .. } => Some(locks.join(place_path(place))),
            _ => None,
        });
        let parents: BTreeSet<PathBuf> = removed
            .filter_map(|p| p.parent().map(Path::to_owned))
            .collect();
        // Deepest first.
        for parent in parents.into_iter().rev() {
            let mut directory = parent.as_path();
            while directory != locks
                && directory.starts_with(&locks)
                && fs::remove_dir(directory).is_ok()
            {
                let Some(above) = directory.parent() else {
                    break;
                };
                directory = above;
            }
        }
    }
}

fn is_removal(change: &Change) -> bool {
    matches!(change, Change::Remove { .. })
}
