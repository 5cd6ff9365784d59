//! The tip of the shared locks, watched: one directory, whatever the number of locks.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::mirror::Events;
use crate::os::watch::{Directories, Identity, Unwatched, identity};
use crate::rules::error::Result;
use crate::rules::path::Place;
use crate::store::SharedStore;

/// What was read last, and where it shows that there is more.
#[derive(Debug)]
pub(super) struct Tip {
    /// The tree that was read last.
    tree: String,
    /// Written anew whenever a later tip was accepted.
    shown: PathBuf,
    watched: Option<PathBuf>,
    /// Which directory that was.
    was: Identity,
}

impl Tip {
    pub(super) fn of(shared: &SharedStore) -> Result<Self> {
        Ok(Tip {
            tree: shared.tree()?,
            shown: shared.shown(),
            watched: None,
            was: None,
        })
    }

    /// Watches where a new tip shows.
    pub(super) fn attach(&mut self, directories: &mut Directories) -> Events {
        self.detach(directories);
        // Where nothing was fetched yet, the first command makes the directory.
        for directory in self.shown.ancestors().skip(1) {
            match directories.add(directory) {
                Ok(()) => {
                    self.was = identity(directory);
                    self.watched = Some(directory.to_owned());
                    return Ok(());
                }
                Err(Unwatched::Gone) => {}
                Err(Unwatched::NoEvents(why)) => return Err(why),
            }
        }
        Ok(())
    }

    /// Whether the watched directory is another one now.
    pub(super) fn is_displaced(&self) -> bool {
        let now = self.watched.as_deref().and_then(identity);
        self.watched.is_some() && now != self.was
    }

    /// Watches nothing any more.
    pub(super) fn detach(&mut self, directories: &mut Directories) {
        if let Some(directory) = self.watched.take() {
            directories.remove(&directory);
        }
    }

    /// Says whether there may be a new tip, and whether the directory where it shows is another one now.
    pub(super) fn touched(&self, paths: &BTreeSet<PathBuf>) -> (bool, bool) {
        let is_new = self
            .shown
            .parent()
            .is_some_and(|directory| paths.contains(directory));
        (is_new || paths.contains(&self.shown), is_new)
    }

    /// Where the tip differs from what was read last.
    pub(super) fn changed(&mut self, shared: &SharedStore) -> Result<BTreeSet<Place>> {
        let now = shared.tree()?;
        let places = shared.places_between(&self.tree, &now)?;
        self.tree = now;
        Ok(places.into_iter().collect())
    }

    /// Everything was read, as of this tree.
    pub(super) fn was_read(&mut self, tree: String) {
        self.tree = tree;
    }
}
