//! The lock directory, watched: each directory that holds locks, and what stands above them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::os::files::Stamp;
use crate::os::paths::path_to_bytes;
use crate::os::watch::{Directories, Identity, Unwatched, identity};
use crate::rules::error::Result;
use crate::rules::path::Place;
use crate::store::{LocalStore, stamps};

/// The watched directories of one lock directory.
#[derive(Debug)]
pub(super) struct Mirror {
    common: PathBuf,
    latch: PathBuf,
    locks: PathBuf,
    watched: BTreeSet<PathBuf>,
    /// Which directories these three were when they were watched.
    above: [Identity; 3],
    /// What every lock file looked like at the last poll, if there was one.
    stamps: Option<BTreeMap<Place, Stamp>>,
}

/// Where to read again.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Places that were touched, or lie in a directory that was.
    pub(super) places: BTreeSet<Place>,
    /// Directories that were touched, with a `/` at their end: what is known to lie there may be gone.
    pub(super) directories: Vec<Vec<u8>>,
}

/// The system's word on whether it tells of changes; why, where it does not.
pub(super) type Events = Result<(), String>;

impl Mirror {
    pub(super) fn of(common_dir: &Path, store: &LocalStore) -> Self {
        let locks = store.locks();
        Mirror {
            common: common_dir.to_owned(),
            latch: locks.parent().unwrap_or(&locks).to_owned(),
            locks,
            watched: BTreeSet::new(),
            above: [None; 3],
            stamps: None,
        }
    }

    /// Watches everything anew.
    pub(super) fn attach(&mut self, directories: &mut Directories) -> Events {
        self.attach_and_find(directories, &mut Found::default())
    }

    /// Whether one of the directories that everything hangs on is another one now.
    pub(super) fn is_displaced(&self) -> bool {
        !self.watched.is_empty() && self.above != self.identities()
    }

    fn identities(&self) -> [Identity; 3] {
        [&self.common, &self.latch, &self.locks].map(|directory| identity(directory))
    }

    /// Watches nothing any more.
    pub(super) fn detach(&self, directories: &mut Directories) {
        for directory in &self.watched {
            directories.remove(directory);
        }
    }

    fn attach_and_find(&mut self, directories: &mut Directories, found: &mut Found) -> Events {
        self.detach(directories);
        self.watched.clear();
        found.directories.push(Vec::new());
        self.above = self.identities();
        let attached = self.attach_from_above(directories, found);
        if attached.is_err() {
            self.detach(directories);
            self.watched.clear();
        }
        attached
    }

    fn attach_from_above(&mut self, directories: &mut Directories, found: &mut Found) -> Events {
        // Where there are no locks yet, the first command makes the directory.
        if !self.add(directories, &self.latch.clone())? {
            self.add(directories, &self.common.clone())?;
            // Made in between, and missed by the watch above it.
            self.add(directories, &self.latch.clone())?;
        }
        self.enter(directories, &self.locks.clone(), found)
    }

    /// Says whether the directory is there, and so is watched now.
    fn add(&mut self, directories: &mut Directories, directory: &Path) -> Result<bool, String> {
        match directories.add(directory) {
            Ok(()) => {
                self.watched.insert(directory.to_owned());
                Ok(true)
            }
            Err(Unwatched::Gone) => Ok(false),
            Err(Unwatched::NoEvents(why)) => Err(why),
        }
    }

    /// Watches a mirror directory and those below it, and finds what lies there. The watch comes first: what appears
    /// while the directory is read is told besides.
    fn enter(
        &mut self,
        directories: &mut Directories,
        directory: &Path,
        found: &mut Found,
    ) -> Events {
        if !self.add(directories, directory)? {
            return Ok(());
        }
        let Ok(listing) = fs::read_dir(directory) else {
            // Gone again, which its parent's watch tells; what may not be read is an error of the reading.
            return Ok(());
        };
        for item in listing.flatten() {
            let path = item.path();
            if item.file_name().as_encoded_bytes().ends_with(b".lock") {
                found.places.insert(self.place(&path));
            }
            if item.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.enter(directories, &path, found)?;
            }
        }
        Ok(())
    }

    fn place(&self, path: &Path) -> Place {
        let relative = path.strip_prefix(&self.locks).unwrap_or(path);
        Place::from_bytes(path_to_bytes(relative))
    }

    /// Where to read again after these paths were touched.
    pub(super) fn touched(
        &mut self,
        directories: &mut Directories,
        paths: &BTreeSet<PathBuf>,
    ) -> (Found, Events) {
        let mut found = Found::default();
        let above = [&self.common, &self.latch, &self.locks];
        if above.iter().any(|directory| paths.contains(*directory)) {
            let events = self.attach_and_find(directories, &mut found);
            return (found, events);
        }
        let mut events = Ok(());
        let touched: Vec<&PathBuf> = paths
            .iter()
            .filter(|p| p.starts_with(&self.locks))
            .collect();
        let mut entered = Vec::new();
        // First all leaves: a directory that was renamed is one to the system, under both names.
        for path in touched {
            let place = self.place(path);
            let is_directory = identity(path).is_some();
            if is_directory || self.watched.contains(path) {
                found.directories.push([place.as_bytes(), b"/"].concat());
                self.leave(directories, path);
                entered.push(path);
            }
            if place.is_lock() {
                found.places.insert(place);
            }
        }
        for path in entered {
            // Its parent may have been entered, and this with it.
            self.leave(directories, path);
            events = events.and(self.enter(directories, path, &mut found));
        }
        if events.is_err() {
            self.detach(directories);
            self.watched.clear();
        }
        (found, events)
    }

    fn leave(&mut self, directories: &mut Directories, directory: &Path) {
        let below = self.watched.range(directory.to_owned()..);
        let below = below.take_while(|path| path.starts_with(directory));
        for path in below.cloned().collect::<Vec<_>>() {
            directories.remove(&path);
            self.watched.remove(&path);
        }
    }

    /// Where files have changed since it was asked last; `None` at the first time.
    pub(super) fn changed(&mut self) -> Result<Option<BTreeSet<Place>>> {
        let now = stamps(&self.locks)?;
        let before = self.stamps.replace(now);
        let (Some(before), Some(now)) = (before, &self.stamps) else {
            return Ok(None);
        };
        let differs = |(place, stamp): &(&Place, &Stamp)| before.get(*place) != Some(*stamp);
        let new = now.iter().filter(differs).map(|(place, _)| place);
        let gone = before.keys().filter(|place| !now.contains_key(*place));
        Ok(Some(new.chain(gone).cloned().collect()))
    }
}
