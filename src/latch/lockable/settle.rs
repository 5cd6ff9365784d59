//! Setting the write bits of one working tree, and giving back what was taken.

use std::collections::HashSet;

use super::bits::{Bits, Looker, Odd};
use super::record::{Done, Record};
use crate::git::repo::Repo;
use crate::os::mode::Sharing;
use crate::rules::error::Result;
use crate::rules::path::Key;
use crate::rules::view::{Me, Standing, View};

/// Sets write bits: first all of it is looked at and noted, then done.
#[derive(Debug)]
#[must_use = "nothing is done before `finish`"]
pub struct Settler<'a> {
    looker: Looker<'a>,
    record: Record,
    odd: Vec<Odd>,
}

impl<'a> Settler<'a> {
    /// For the files of one working tree.
    ///
    /// # Errors
    /// Where there is none, or what was done in it cannot be read.
    pub fn of(repo: &'a Repo) -> Result<Self> {
        Ok(Settler {
            looker: Looker::at(repo.root()?),
            record: Record::read(repo.git_dir())?,
            odd: Vec::new(),
        })
    }

    /// The files that were left writable for a lock.
    #[must_use]
    pub(crate) fn left(&self) -> Vec<Vec<u8>> {
        self.record.left()
    }

    /// These files are `lockable`: writable where they are locked in this working tree, read-only where not.
    ///
    /// # Errors
    /// As of all that looks at a file.
    pub(crate) fn settle(&mut self, paths: &[Vec<u8>], view: &View, me: &Me) -> Result<()> {
        for path in paths {
            if is_locked_here(path, view, me) {
                self.make_writable(path)?;
                self.record.enter(path, Done::Left);
            } else if let Some(odd) = self.looker.odd(path, Bits::ReadOnly, None)? {
                self.record.enter(path, Done::Taken(odd.taken));
                self.odd.push(odd);
            } else if self.record.of(path) == Done::Left {
                // Its user was faster, and meant it.
                self.record.enter(path, Done::Nothing);
            }
        }
        Ok(())
    }

    fn make_writable(&mut self, path: &[u8]) -> Result<()> {
        let before = match self.record.of(path) {
            Done::Taken(bits) => Some(bits),
            Done::Left | Done::Nothing => None,
        };
        let odd = self.looker.odd(path, Bits::Writable, before)?;
        self.odd.extend(odd);
        Ok(())
    }

    /// No other files than these are `lockable` any more: the others get back what was taken from them.
    ///
    /// # Errors
    /// As of all that looks at a file.
    pub fn give_back_all_but(&mut self, lockable: &[Vec<u8>]) -> Result<()> {
        let lockable: HashSet<&[u8]> = lockable.iter().map(Vec::as_slice).collect();
        for path in self.record.paths() {
            if lockable.contains(path.as_slice()) {
                continue;
            }
            if let Done::Taken(_) = self.record.of(&path) {
                self.make_writable(&path)?;
            }
            self.record.enter(&path, Done::Nothing);
        }
        Ok(())
    }

    /// How many files have other bits than they should; the first of them.
    #[must_use]
    pub fn odd(&self) -> (usize, Option<&std::path::Path>) {
        (self.odd.len(), self.odd.first().map(Odd::file))
    }

    /// Does it. One file that cannot be changed does not keep the others from it.
    ///
    /// # Errors
    /// The first of what went wrong.
    pub fn finish(mut self, sharing: Sharing) -> Result<()> {
        self.record.save(sharing)?;
        let outcomes: Vec<Result<()>> = self.odd.into_iter().map(Odd::mend).collect();
        outcomes.into_iter().collect()
    }
}

/// Whether a live lock covers the file that was taken in this working tree, by whomever, or is mine everywhere. Several
/// agents work in one tree: what one of them has locked the others must not make read-only.
fn is_locked_here(path: &[u8], view: &View, me: &Me) -> bool {
    let is_here = |e| {
        let place = me.owner.workspace.as_deref().filter(|id| !id.is_empty());
        let taken_in = |lock: &crate::rules::lock::Lock| lock.owner.workspace.as_deref() == place;
        me.has(e) || (place.is_some() && e.lock().is_some_and(taken_in))
    };
    let key = Key::of(path);
    view.covering(&key)
        .any(|e| is_here(e) && view.standing(e) == Standing::Live)
}
