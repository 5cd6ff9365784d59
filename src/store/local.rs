//! The lock directory of one repository on one machine (or a share with working locks).
//!
//! A change holds the guard from reading to publishing. Only the places concerned are read, so a change costs by its
//! request and not by the number of locks. Readers need no guard: every lock file is published whole.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::files;
use super::journal::Journal;
use super::mode::Sharing;
use super::past::Record;
use super::{Decide, LockStore, Scope, mount, place_of, scan};
use crate::error::{Error, Result};
use crate::event::{Author, Event};
use crate::fault;
use crate::guard::Guard;
use crate::lease::Change;
use crate::lock::Owner;
use crate::time::Clock;
use crate::view::{Entry, Terms, View};

/// From how many new locks on they are synced by more than one thread.
const WORTH_A_THREAD: usize = 16;

/// The local tier's store: `<common>/latch/`.
#[derive(Clone, Debug)]
pub struct LocalStore {
    directory: PathBuf,
    terms: Terms,
    sharing: Sharing,
    trust_share: bool,
    who: String,
    author: Option<Author>,
}

impl LocalStore {
    /// The store below a repository's common directory. Touches nothing. `who` is what others are told while they
    /// wait for the guard: host and program.
    #[must_use]
    pub fn new(common_dir: &Path, terms: Terms, who: &str) -> Self {
        LocalStore {
            directory: common_dir.join("latch"),
            terms,
            sharing: Sharing::Umask,
            trust_share: false,
            who: who.to_owned(),
            author: None,
        }
    }

    /// Who its changes are by, for the record.
    #[must_use]
    pub fn with_author(self, owner: Option<Owner>) -> Self {
        let author = owner.map(|owner| Author {
            id: owner.id,
            name: owner.name,
        });
        LocalStore { author, ..self }
    }

    /// The modes of what it creates.
    #[must_use]
    pub fn with_sharing(self, sharing: Sharing) -> Self {
        LocalStore { sharing, ..self }
    }

    /// Whether to trust the locks of a network file system (`latch.trustShare`).
    #[must_use]
    pub fn with_trust_in_shares(self, trust_share: bool) -> Self {
        LocalStore {
            trust_share,
            ..self
        }
    }

    /// The lock directory itself.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.directory.join("locks")
    }

    /// The guard file.
    #[must_use]
    pub fn guard(&self) -> PathBuf {
        self.directory.join("guard")
    }

    /// The journal of a change that is under way, or was when its command was killed.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.directory.join("txn")
    }

    /// Where new lock files are written before they are published.
    #[must_use]
    pub fn tmp(&self) -> PathBuf {
        self.directory.join("tmp")
    }

    /// Whether there is a lock directory.
    ///
    /// # Errors
    /// [`Error::InTheWay`] where something else stands in its place.
    pub fn is_begun(&self) -> Result<bool> {
        files::is_directory(&self.locks())
    }

    /// Creates the directories, and refuses a file system whose locks do not reach everybody.
    pub fn prepare(&self) -> Result<()> {
        for directory in [self.locks(), self.tmp()] {
            files::create_directories(&directory, self.sharing)?;
        }
        if !self.trust_share {
            mount::check(&self.directory)?;
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
                holder: crate::guard::holder(&guard),
                guard,
            }),
        }
    }

    /// What a command that waits for the guard is told.
    fn note(&self, clock: &dyn Clock) -> String {
        format!(
            "{} {} {}\n",
            std::process::id(),
            self.who,
            crate::time::rfc3339(clock.now())
        )
    }

    /// Undoes a change whose command was killed, if nobody is at work. Readers need it only to see the last whole
    /// change instead of half of one.
    fn recover_if_idle(&self, clock: &dyn Clock) -> Result<()> {
        if self.journal().exists() {
            // A read-only repository can still be read.
            if let Ok(Some(_guard)) = Guard::try_take(&self.guard(), &self.note(clock)) {
                self.recover()?;
            }
        }
        Ok(())
    }

    /// Undoes the change of a killed command, under the guard.
    fn recover(&self) -> Result<()> {
        let path = self.journal();
        if let Some(journal) = Journal::read(&path)? {
            tracing::info!(journal = %path.display(), "undoing the change of a command that was killed");
            self.undo(&journal)?;
            files::remove(&path)?;
            files::sync_directory(&self.directory)?;
        }
        Ok(())
    }

    fn undo(&self, journal: &Journal) -> Result<()> {
        journal.undo(&self.locks(), &self.tmp(), self.sharing)
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

    /// What happened, newest first, as far back as it is known.
    pub fn history(&self) -> Result<Vec<Event>> {
        // A change that is under way has its number, but not yet its line. Where there can be no guard nothing changes.
        if self.guard().exists() {
            drop(Guard::take(&self.guard(), ""));
        }
        Record::of(&self.directory).events()
    }

    /// Reads what the scope names.
    fn entries(&self, scope: &Scope) -> Result<Vec<Entry>> {
        let locks = self.locks();
        if !files::is_directory(&locks)? {
            return Ok(Vec::new());
        }
        match scope {
            Scope::All => scan::all(&locks),
            Scope::Claims(claims) => scan::claims(&locks, claims),
            Scope::Places(places) => scan::places(&locks, places),
        }
    }

    /// The number of the last change; 0 where there is none, or none that can be read: then time goes on from there.
    fn seq(&self) -> Result<u64> {
        let path = self.directory.join("seq");
        let mut text = String::new();
        match fs::File::open(&path).and_then(|f| f.take(32).read_to_string(&mut text)) {
            Ok(_) => Ok(text.trim().parse().unwrap_or_default()),
            Err(e) if files::is_absent(&e) || e.kind() == std::io::ErrorKind::InvalidData => Ok(0),
            Err(e) => Err(Error::io("read", path)(e)),
        }
    }

    /// Writes the number of a change, in place: 13 digits in one write are never seen half.
    fn write_seq(&self, seq: u64) -> Result<()> {
        let path = self.directory.join("seq");
        let is_new = !path.exists();
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            file.rewind()?;
            file.write_all(format!("{seq}\n").as_bytes())
        };
        write().map_err(Error::io("write", &path))?;
        if is_new {
            self.sharing
                .adjust_file(&path)
                .map_err(Error::io("set the mode of", &path))?;
        }
        Ok(())
    }

    /// An entry that the file system dates in the future would never age: it counts from now on.
    fn restamp(&self, view: &View) {
        for entry in view.entries().filter(|e| e.stored_at > view.store_now) {
            let path = self.locks().join(entry.place.to_path());
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
                if let Some(Ok(staged)) = again {
                    drop(staged.persist(&path));
                }
            }
        }
    }

    /// Publishes the changes, durably, all or none.
    fn apply(&self, view: &View, changes: &[Change]) -> Result<()> {
        let locks = self.locks();
        let staged = self.stage(changes)?;
        fault::point("change.staged");
        self.write_seq(view.next_seq())?;
        let journal = Journal::of(changes, &locks)?;
        if journal.is_needed() {
            journal.write(&self.journal(), &self.tmp(), self.sharing)?;
            fault::point("change.journaled");
        }
        let published = self.publish(view, changes, staged);
        if let Err(e) = published {
            self.undo(&journal)?;
            files::remove(&self.journal())?;
            return Err(e);
        }
        if journal.is_needed() {
            fault::point("change.published");
            files::remove(&self.journal())?;
            files::sync_directory(&self.directory)?;
        }
        fault::point("change.done");
        let record = Record::of(&self.directory);
        if let Err(error) = record.add(view, changes, self.author.as_ref(), self.sharing) {
            tracing::debug!(%error, "the change is not recorded");
        }
        self.remove_empty_directories(changes);
        Ok(())
    }

    /// Writes the new lock files where nobody looks. Those of new leases are synced; a renewal that is lost in a crash
    /// only makes the lease end sooner.
    fn stage(&self, changes: &[Change]) -> Result<Vec<NamedTempFile>> {
        let tmp = self.tmp();
        let mut staged = Vec::new();
        let mut fresh = Vec::new();
        for change in changes {
            let (Change::Acquire(lock) | Change::Renew(lock)) = change else {
                continue;
            };
            let file = files::stage(&tmp, lock.to_toml().as_bytes(), self.sharing)?;
            if let Change::Acquire(_) = change {
                fresh.push(file.reopen().map_err(Error::io("open", file.path()))?);
            }
            staged.push(file);
        }
        sync_all(&fresh).map_err(Error::io("sync the new locks in", &tmp))?;
        Ok(staged)
    }

    fn publish(&self, view: &View, changes: &[Change], staged: Vec<NamedTempFile>) -> Result<()> {
        let locks = self.locks();
        let mut staged = staged.into_iter();
        let mut touched = BTreeSet::new();
        for change in changes {
            match change {
                Change::Remove { place, .. } => files::remove(&locks.join(place.to_path()))?,
                Change::Acquire(lock) | Change::Renew(lock) => {
                    let file = staged.next().expect("one staged file for each lock");
                    let place = place_of(lock)?;
                    let path = locks.join(place.to_path());
                    let parent = path.parent().unwrap_or(&locks);
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
        touched
            .iter()
            .try_for_each(|directory| files::sync_directory(directory))
    }

    /// Removes mirror directories in which nothing is left. That they stay does no harm.
    fn remove_empty_directories(&self, changes: &[Change]) {
        let locks = self.locks();
        let removed = changes.iter().filter_map(|change| match change {
            Change::Remove { place, .. } => Some(locks.join(place.to_path())),
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

/// Syncs many files; several at once share the disk's commits.
fn sync_all(files: &[fs::File]) -> std::io::Result<()> {
    if files.len() < WORTH_A_THREAD {
        return files.iter().try_for_each(fs::File::sync_all);
    }
    let share = files.len().div_ceil(8);
    std::thread::scope(|scope| {
        let sync = |part: &[fs::File]| part.iter().try_for_each(fs::File::sync_all);
        let workers: Vec<_> = files
            .chunks(share)
            .map(|part| scope.spawn(move || sync(part)))
            .collect();
        workers
            .into_iter()
            .try_for_each(|w| w.join().expect("syncing does not panic"))
    })
}

impl LockStore for LocalStore {
    fn view(&self, scope: &Scope, clock: &dyn Clock) -> Result<View> {
        self.recover_if_idle(clock)?;
        // Asked first: what is read is at least as new as the number says.
        let seq = self.seq()?;
        let entries = self.entries(scope)?;
        Ok(View::new(seq, clock.now(), self.terms, entries))
    }

    fn glance(&self, limit: usize, clock: &dyn Clock) -> Result<(View, bool)> {
        self.recover_if_idle(clock)?;
        let locks = self.locks();
        let (entries, complete) = if files::is_directory(&locks)? {
            scan::some(&locks, limit)?
        } else {
            (Vec::new(), true)
        };
        Ok((View::new(0, clock.now(), self.terms, entries), complete))
    }

    fn transact(&self, scope: &Scope, clock: &dyn Clock, decide: &mut Decide<'_>) -> Result<u64> {
        self.prepare()?;
        let guard = Guard::take(&self.guard(), &self.note(clock))?;
        fault::point("guard.taken");
        self.recover()?;
        self.clean_tmp()?;
        let entries = self.entries(scope)?;
        let mut view = View::new(self.seq()?, clock.now(), self.terms, entries);
        view.store_now = Some(guard.file_system_now()?);
        self.restamp(&view);
        let changes = decide(&view)?.changes;
        if changes.is_empty() {
            return Ok(view.seq);
        }
        fault::point("change.decided");
        self.apply(&view, &changes)?;
        Ok(view.next_seq())
    }
}
