//! Write bits of `lockable` files: a function of the attribute and the locks of this working tree, set again wherever one
//! of the two may have changed.
//!
//! Hooks set them after most of what git does. What git does without a hook (`reset --hard`, `stash`,
//! `sparse-checkout`), what was written into a file of attributes by hand, and locks that were lost, is met by the next
//! command: it compares what attributes and index look like with what they looked like, and the files that were left
//! writable with the locks.

use super::Latch;
use crate::latch::lockable::{self, Attributes, Settler};
use crate::rules::error::Result;
use crate::rules::path::{Claim, Key, Kind, RepoPath};
use crate::rules::time::Clock;
use crate::rules::view::{Me, View};
use crate::store::Scope;

/// Whether the attribute was met here before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// There is nothing new about it.
    AsBefore,
    /// It is in use from now on.
    ForTheFirstTime,
}

impl Latch {
    /// Sets all write bits where attributes or index have changed since that was done, and those of files whose lock is
    /// lost. Nothing is touched where nobody uses locks.
    ///
    /// # Errors
    /// What keeps bits from being set; the others are.
    pub fn keep_bits(&self, clock: &dyn Clock) -> Result<Met> {
        if self.is_used() {
            self.mind_bits(clock)
        } else {
            Ok(Met::AsBefore)
        }
    }

    /// The same, for whoever wants it although nobody has used locks here yet.
    ///
    /// # Errors
    /// As [`Latch::keep_bits`].
    pub(crate) fn mind_bits(&self, clock: &dyn Clock) -> Result<Met> {
        if self.repo.is_bare() {
            return Ok(Met::AsBefore);
        }
        let attributes = self.attributes()?;
        if !attributes.are_settled() || attributes.has_index_moved() {
            return self.settle_by(attributes, &self.reader()?, clock);
        }
        if attributes.is_in_use() {
            self.take_back_lost(clock)?;
        }
        Ok(Met::AsBefore)
    }

    /// Whether anybody uses locks here: there is a policy, or there were locks.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.policy.source.is_some() || self.local.locks().is_dir()
    }

    /// Sets the bits of all files.
    ///
    /// # Errors
    /// What keeps bits from being set; the others are.
    pub fn settle_all(&self, me: &Me, clock: &dyn Clock) -> Result<Met> {
        self.settle_by(self.attributes()?, me, clock)
    }

    fn settle_by(&self, mut attributes: Attributes, me: &Me, clock: &dyn Clock) -> Result<Met> {
        let settler = self.settler_of_all(&attributes, me, clock)?;
        settler.finish(self.sharing)?;
        let is_new = attributes.is_in_use() && lockable::note_met(&self.repo, self.sharing)?;
        attributes.note_settled(self.sharing);
        Ok(if is_new {
            Met::ForTheFirstTime
        } else {
            Met::AsBefore
        })
    }

    /// What there is to set, not done yet.
    ///
    /// # Errors
    /// What keeps files or locks from being looked at.
    pub fn settler_of_all(
        &self,
        attributes: &Attributes,
        me: &Me,
        clock: &dyn Clock,
    ) -> Result<Settler<'_>> {
        let mut settler = Settler::of(&self.repo)?;
        let files = if attributes.is_in_use() {
            lockable::all(&self.repo)?
        } else {
            Vec::new()
        };
        settler.settle(&files, &self.view_of(&files, clock)?, me)?;
        settler.give_back_all_but(&files)?;
        Ok(settler)
    }

    /// What git has changed gets its bits; all files, where the attributes are not those of the last time.
    ///
    /// # Errors
    /// As [`Latch::settle_all`].
    pub fn settle_changed(
        &self,
        changed: impl FnOnce() -> Result<Vec<Vec<u8>>>,
        clock: &dyn Clock,
    ) -> Result<Met> {
        if self.first.nothing_lockable.get() == Some(&true) {
            return Ok(Met::AsBefore);
        }
        let attributes = self.attributes()?;
        let me = self.reader()?;
        if !attributes.are_settled() {
            return self.settle_by(attributes, &me, clock);
        }
        if attributes.is_in_use() {
            self.settle(&changed()?, &me, clock)?;
        }
        Ok(Met::AsBefore)
    }

    /// Gives `lockable` files their write bits.
    ///
    /// # Errors
    /// [`crate::Error::Io`] with the file whose bit cannot be set.
    pub(crate) fn settle(&self, paths: &[Vec<u8>], me: &Me, clock: &dyn Clock) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        let mut settler = Settler::of(&self.repo)?;
        settler.settle(paths, &self.view_of(paths, clock)?, me)?;
        settler.finish(self.sharing)
    }

    /// Files that were left writable for a lock that is not there any more are read-only again.
    ///
    /// # Errors
    /// As [`Latch::settle`].
    pub(crate) fn take_back_lost(&self, clock: &dyn Clock) -> Result<()> {
        let mut settler = Settler::of(&self.repo)?;
        let left = settler.left();
        if left.is_empty() {
            return Ok(());
        }
        settler.settle(&left, &self.view_of(&left, clock)?, &self.reader()?)?;
        settler.finish(self.sharing)
    }

    fn view_of(&self, paths: &[Vec<u8>], clock: &dyn Clock) -> Result<View> {
        let claims = paths.iter().map(|path| Claim {
            key: Key::of(path),
            kind: Kind::File,
        });
        self.store().view(&Scope::Claims(claims.collect()), clock)
    }

    /// Gives the `lockable` files among these targets, and below the directories among them, their write bits.
    ///
    /// The change of the locks is done: a bit that cannot be set is told in the log only.
    pub(super) fn settle_bits(&self, targets: &[(&RepoPath, Kind)], me: &Me, clock: &dyn Clock) {
        if let Err(error) = self.try_settle_bits(targets, me, clock) {
            tracing::warn!(%error, "write bits are not set");
        }
    }

    pub(crate) fn try_settle_bits(
        &self,
        targets: &[(&RepoPath, Kind)],
        me: &Me,
        clock: &dyn Clock,
    ) -> Result<()> {
        if targets.is_empty() || !self.has_lockable_files()? {
            return Ok(());
        }
        let (directories, files): (Vec<_>, Vec<_>) = targets
            .iter()
            .partition(|(_, kind)| *kind == Kind::Directory);
        let files: Vec<&[u8]> = files
            .iter()
            .map(|(path, _)| path.as_str().as_bytes())
            .collect();
        let mut paths: Vec<Vec<u8>> = lockable::among(&self.repo, &files)?.into_iter().collect();
        if !directories.is_empty() {
            let above: Vec<Key> = directories.iter().map(|(path, _)| path.key()).collect();
            let is_below = |path: &Vec<u8>| above.iter().any(|k| k.is_above(&Key::of(path)));
            paths.extend(lockable::all(&self.repo)?.into_iter().filter(is_below));
        }
        self.settle(&paths, me, clock)
    }

    /// How the attributes stand.
    ///
    /// # Errors
    /// [`crate::Error::Io`] with the file that cannot be read.
    pub fn attributes(&self) -> Result<Attributes> {
        Attributes::look(&self.repo, &self.config, &self.environment.home)
    }

    /// Whether files with the attribute `lockable` may exist here.
    pub(crate) fn has_lockable_files(&self) -> Result<bool> {
        // Seen a moment ago, by a hook.
        if self.first.nothing_lockable.get() == Some(&true) {
            return Ok(false);
        }
        Ok(self.attributes()?.is_in_use())
    }
}
