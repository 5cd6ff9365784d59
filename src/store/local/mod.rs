//! The lock directory of one repository on one machine (or a share with working locks).
//!
//! A change holds the guard from reading to publishing. Only the places concerned are read, so a change costs by its
//! request and not by the number of locks. Readers need no guard: every lock file is published whole, and a set of them
//! counts from the moment its journal is gone.

mod change;
mod reading;
mod retire;
mod seq;

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::journal::Journal;
use super::past::Record;
use super::{Decide, LockStore, Scope, scan, workspaces};
use crate::os::files;
use crate::os::guard::Guard;
use crate::os::mode::Sharing;
use crate::os::{fault, mount};
use crate::rules::error::{Error, Result};
use crate::rules::event::{Author, Event};
use crate::rules::lock::{LeaseId, Owner};
use crate::rules::path::Place;
use crate::rules::time::Clock;
use crate::rules::view::{LeaseLimits, View};
use crate::store::LatchDir;

/// How often a change begins again because its guard was removed.
const TRIES: usize = 4;

/// How long a reader waits for a change that is under way.
const MOMENT: Duration = Duration::from_millis(200);

/// The local tier's store: `<common>/latch/`.
#[derive(Clone, Debug)]
pub struct LocalStore {
    directory: LatchDir,
    terms: LeaseLimits,
    sharing: Sharing,
    trust_share: bool,
    who: String,
    author: Option<Author>,
}

impl LocalStore {
    /// The store below a repository's common directory. Touches nothing. `who` is what others are told while they
    /// wait for the guard: host and program.
    #[must_use]
    pub(crate) fn new(common_dir: &Path, terms: LeaseLimits, who: &str) -> Self {
        LocalStore {
            directory: LatchDir::of(common_dir),
            terms,
            sharing: Sharing::Umask,
            trust_share: false,
            who: who.to_owned(),
            author: None,
        }
    }

    /// Who its changes are by, for the record.
    #[must_use]
    pub(crate) fn with_author(self, owner: Option<Owner>) -> Self {
        let author = owner.map(|owner| Author {
            id: owner.id,
            name: owner.name,
        });
        LocalStore { author, ..self }
    }

    /// The modes of what it creates.
    #[must_use]
    pub(crate) fn with_sharing(self, sharing: Sharing) -> Self {
        LocalStore { sharing, ..self }
    }

    /// Whether to trust the locks of a network file system (`latch.trustShare`).
    #[must_use]
    pub(crate) fn with_trust_in_shares(self, trust_share: bool) -> Self {
        LocalStore {
            trust_share,
            ..self
        }
    }

    /// The workspaces of this repository that are proven gone.
    fn gone(&self) -> HashSet<String> {
        workspaces::gone(self.directory.common_dir())
    }

    /// The lock directory itself.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.directory.locks()
    }

    /// The guard file.
    #[must_use]
    pub(crate) fn guard(&self) -> PathBuf {
        self.directory.guard()
    }

    /// The journal of a change that is under way, or was when its command was killed.
    #[must_use]
    pub(crate) fn journal(&self) -> PathBuf {
        self.directory.journal()
    }

    /// Where new lock files are written before they are published.
    #[must_use]
    pub(crate) fn tmp(&self) -> PathBuf {
        self.directory.tmp()
    }

    /// Whether there is a lock directory.
    ///
    /// # Errors
    /// [`Error::InTheWay`] where something else stands in its place.
    pub(crate) fn is_begun(&self) -> Result<bool> {
        files::is_directory(&self.locks())
    }

    /// Creates the directories, and refuses a file system whose locks do not reach everybody.
    pub(crate) fn prepare(&self) -> Result<()> {
        for directory in [self.locks(), self.tmp()] {
            // What is synced in a directory is only as durable as the directory is.
            let changed = files::create_directories(&directory, self.sharing)?;
            files::sync_directories(&changed)?;
        }
        if !self.trust_share {
            mount::check(self.directory.path())?;
        }
        let guard = self.guard();
        if self.sharing != Sharing::Umask && !guard.exists() {
            OpenOptions::new()
                .append(true)
                .create(true)
                .open(&guard)
                .map_err(Error::io("create", &guard))?;
            self.sharing
                .adjust_file(&guard)
                .map_err(Error::io("set the mode of", &guard))?;
        }
        Ok(())
    }

    /// Whether changes are possible: the directories are there, the file system's locks work, nobody keeps the guard.
    ///
    /// # Errors
    /// What stands against it; [`Error::Busy`] with the guard's holder.
    pub fn is_usable(&self) -> Result<()> {
        self.prepare()?;
        let guard = self.guard();
        match Guard::try_take(
            &guard,
            &format!("{} {} doctor\n", std::process::id(), self.who),
        )? {
            Some(_guard) => self.recover(),
            None => Err(Error::Busy {
                holder: crate::os::guard::holder(&guard),
                guard,
            }),
        }
    }

    /// Whether somebody keeps the guard at this moment.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(Guard::try_take(&self.guard(), ""), Ok(None))
    }

    /// What a command that waits for the guard is told.
    fn note(&self, clock: &dyn Clock) -> String {
        format!(
            "{} {} {}\n",
            std::process::id(),
            self.who,
            crate::rules::time::rfc3339(clock.now())
        )
    }

    /// Undoes the change of a killed command, under the guard.
    fn recover(&self) -> Result<()> {
        let path = self.journal();
        if let Some(journal) = Journal::read(&path)? {
            tracing::info!(journal = %path.display(), "undoing the change of a command that was killed");
            journal.undo(&self.locks(), &self.tmp(), self.sharing)?;
            files::remove(&path)?;
            files::sync_directory(self.directory.path())?;
        }
        Ok(())
    }

    /// Removes what killed commands left in `tmp`: under the guard nobody else writes there.
    fn clean_tmp(&self) -> Result<()> {
        let tmp = self.tmp();
        let listing = fs::read_dir(&tmp).map_err(Error::io("read", &tmp))?;
        for item in listing.flatten() {
            files::remove(&item.path())?;
        }
        Ok(())
    }

    /// Takes the guard, waiting as long as a command does. The directories are made where they are missing, also when
    /// they go while it waits.
    fn enter(&self, clock: &dyn Clock) -> Result<Guard> {
        for _ in 1..TRIES {
            self.prepare()?;
            match Guard::take(&self.guard(), &self.note(clock)) {
                Err(Error::Io { source, .. }) if files::is_absent(&source) => {}
                other => return other,
            }
        }
        self.prepare()?;
        Guard::take(&self.guard(), &self.note(clock))
    }

    /// What happened, newest first, as far back as it is known.
    pub(crate) fn history(&self) -> Result<Vec<Event>> {
        // A change that is under way has its number, but not yet its line. Where there can be no guard nothing changes.
        if self.guard().exists() {
            self.let_change_end();
        }
        Record::of(&self.directory).events()
    }

    /// How leases ended, as far as the latest changes tell.
    pub(crate) fn endings(&self, wanted: &[(LeaseId, Place)]) -> Result<Vec<Event>> {
        let record = Record::of(&self.directory);
        let found = record.endings(wanted)?;
        if found.len() == wanted.len() || !self.guard().exists() {
            return Ok(found);
        }
        // A lock goes a moment before its line comes.
        self.let_change_end();
        record.endings(wanted)
    }

    /// Lets a change that is under way come to its end. A reader, and so a hook, waits for nobody longer than a moment:
    /// what is missing then is told the next time.
    fn let_change_end(&self) {
        drop(Guard::take_within(&self.guard(), "", MOMENT));
    }
}

impl LockStore for LocalStore {
    fn view(&self, scope: &Scope, clock: &dyn Clock) -> Result<View> {
        let (seq, entries, ()) = self.read(scope, clock, || Ok((self.entries(scope)?, ())))?;
        let view = View::new(seq, clock.now(), self.terms, entries);
        Ok(view.without_gone(&self.gone()))
    }

    fn peek(&self, limit: usize, clock: &dyn Clock) -> Result<(View, bool)> {
        let locks = self.locks();
        let (_, entries, complete) = self.read(&Scope::All, clock, || {
            if files::is_directory(&locks)? {
                scan::some(&locks, limit)
            } else {
                Ok((Vec::new(), true))
            }
        })?;
        let view = View::new(0, clock.now(), self.terms, entries);
        Ok((view.without_gone(&self.gone()), complete))
    }

    fn transact(&self, scope: &Scope, clock: &dyn Clock, decide: &mut Decide<'_>) -> Result<u64> {
        for _ in 0..TRIES {
            fault::point("change.begin");
            let guard = self.enter(clock)?;
            fault::point("guard.taken");
            self.recover()?;
            self.clean_tmp()?;
            let entries = self.entries(scope)?;
            let view = View::new(self.seq()?, clock.now(), self.terms, entries);
            let mut view = view.without_gone(&self.gone());
            view.store_now = Some(guard.file_system_now()?);
            self.restamp(&view);
            let changes = decide(&view)?.changes;
            if changes.is_empty() {
                return Ok(view.seq);
            }
            fault::point("change.decided");
            if self.apply(&guard, &view, &changes)? {
                return Ok(view.next_seq());
            }
            // Somebody removed the guard, and others may have come in: decided again, under the new one.
            tracing::warn!("the guard was removed while a change was under way; beginning again");
        }
        Err(Error::Busy {
            holder: "it was removed again and again".into(),
            guard: self.guard(),
        })
    }
}

#[cfg(test)]
mod tests;
