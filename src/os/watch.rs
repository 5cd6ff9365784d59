//! Being told what changes in directories. The only file that names `notify`.
//!
//! An event is only a nudge: whoever is woken reads afresh. So lost, merged and reordered events do no harm, and where
//! the system gives no events at all (inotify out of watches, network shares), looking every now and then does as well.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::os::mount::mount_of;

use notify::event::{AccessKind, AccessMode};
use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// How often to look where there are no events.
const POLL: Duration = Duration::from_millis(200);

/// What was touched since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Entries of watched directories, or such directories themselves.
    pub paths: BTreeSet<PathBuf>,
    /// Whether more was touched than is known: the system's queue ran over.
    pub everything: bool,
}

impl Touched {
    /// Whether there is nothing to look at.
    #[must_use]
    pub(crate) fn is_nothing(&self) -> bool {
        self.paths.is_empty() && !self.everything
    }
}

/// Why a directory is not watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwatched {
    /// It is not there (any more).
    Gone,
    /// The system gives no events: why, as half a sentence.
    NoEvents(String),
}

#[derive(Debug)]
enum Touch {
    Path(PathBuf),
    Everything,
    Hand,
}

/// What tells one directory from another that comes in its place: device and inode, where there are such.
pub(crate) type Identity = Option<(u64, u64)>;

/// Which directory lies at a path now; `None` where there is none.
#[must_use]
pub(crate) fn identity(directory: &Path) -> Identity {
    let meta = std::fs::symlink_metadata(directory).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        meta.is_dir().then(|| (meta.dev(), meta.ino()))
    }
    #[cfg(not(unix))]
    meta.is_dir().then_some((0, 0))
}

/// Directories that are watched one by one, not what lies deeper.
#[derive(Debug)]
pub struct Directories {
    touches: Receiver<Touch>,
    sender: Sender<Touch>,
    watcher: Result<RecommendedWatcher, String>,
    /// How many times each was added.
    watched: HashMap<PathBuf, usize>,
}

/// Whether to ask the system for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// Yes, where it has some.
    Events,
    /// No: look every now and then.
    Polling,
}

/// Ends a wait by hand.
#[derive(Clone, Debug)]
pub struct Waker(Sender<Touch>);

impl Waker {
    /// Ends the wait that is under way, or the next one.
    pub fn wake(&self) {
        // Nobody waits any more: then nobody needs to be woken.
        let _ = self.0.send(Touch::Hand);
    }
}

impl Directories {
    /// None yet.
    #[must_use]
    pub fn new(means: Means) -> Self {
        let (sender, touches) = mpsc::channel();
        let watcher = match means {
            Means::Events => watcher(&sender).map_err(|error| words(&error)),
            Means::Polling => Err("it was told to".into()),
        };
        Directories {
            touches,
            sender,
            watcher,
            watched: HashMap::new(),
        }
    }

    /// Watches one more directory, until it is removed as often as it was added. One that is watched already is watched
    /// anew: another may have come in its place.
    ///
    /// # Errors
    /// [`Unwatched`]; what is not watched must be looked at every now and then.
    pub fn add(&mut self, directory: &Path) -> Result<(), Unwatched> {
        let watcher = match &mut self.watcher {
            Ok(watcher) => watcher,
            Err(why) => return Err(Unwatched::NoEvents(why.clone())),
        };
        if identity(directory).is_none() {
            // Not through a link either: the system knows a directory once, and would tell of it under one name only.
            return Err(Unwatched::Gone);
        }
        if let Some(kind) = mount_of(directory) {
            // What other machines write makes no event here.
            let why = format!("{} lies on {kind}", directory.display());
            return Err(Unwatched::NoEvents(why));
        }
        if self.watched.contains_key(directory) {
            // The system has dropped the watch of a directory that is gone.
            let _ = watcher.unwatch(directory);
        }
        match watcher.watch(directory, RecursiveMode::NonRecursive) {
            Ok(()) => {
                *self.watched.entry(directory.to_owned()).or_default() += 1;
                Ok(())
            }
            Err(e) => {
                // What was watched before is not any more, however often it was added.
                self.watched.remove(directory);
                let is_gone = matches!(e.kind, ErrorKind::PathNotFound) || !directory.is_dir();
                Err(if is_gone {
                    Unwatched::Gone
                } else {
                    Unwatched::NoEvents(words(&e))
                })
            }
        }
    }

    /// Takes one adding of a directory back.
    pub(crate) fn remove(&mut self, directory: &Path) {
        let Some(count) = self.watched.get_mut(directory) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.watched.remove(directory);
            if let Ok(watcher) = &mut self.watcher {
                let _ = watcher.unwatch(directory);
            }
        }
    }

    /// How many are watched: what the system's limit counts.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.watched.len()
    }

    /// What ends a wait by hand.
    #[must_use]
    pub(crate) fn waker(&self) -> Waker {
        Waker(self.sender.clone())
    }

    /// Waits until something is touched, a hand ends the wait, or that long; `None` where nothing happened.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> Option<Touched> {
        let first = match self.touches.recv_timeout(at_most) {
            Ok(touch) => touch,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => return Some(Touched::default()),
        };
        let mut touched = Touched::default();
        // One look answers all that has come in meanwhile.
        for touch in std::iter::once(first).chain(self.touches.try_iter()) {
            match touch {
                Touch::Path(path) => drop(touched.paths.insert(path)),
                Touch::Everything => touched.everything = true,
                Touch::Hand => {}
            }
        }
        Some(touched)
    }
}

fn watcher(sender: &Sender<Touch>) -> notify::Result<RecommendedWatcher> {
    let to = sender.clone();
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let touches = match event {
            // Our own reading makes access events; the end of somebody's writing is one, too.
            Ok(event) if is_reading(event.kind) => return,
            Ok(event) if !event.need_rescan() => event.paths.into_iter().map(Touch::Path).collect(),
            _ => vec![Touch::Everything],
        };
        for touch in touches {
            let _ = to.send(touch);
        }
    })
}

fn is_reading(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access != AccessKind::Close(AccessMode::Write),
        _ => false,
    }
}

/// Why there are no events, for people.
fn words(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "the system's limit of watches is reached (fs.inotify.max_user_watches)".into()
        }
        // EMFILE, inotify_init(2).
        ErrorKind::Io(e) if e.raw_os_error() == Some(24) => {
            "the system's limit of watchers is reached (fs.inotify.max_user_instances)".into()
        }
        ErrorKind::Io(e) => e.to_string(),
        _ => error.to_string(),
    }
}

/// Wakes a waiting thread when something changes in a few directories.
#[derive(Debug)]
pub(crate) struct Nudge {
    directories: Directories,
    is_polling: bool,
}

impl Nudge {
    /// Watches directories, not what lies deeper. One that is not there (any more) nudges at once.
    #[must_use]
    pub(crate) fn on(wanted: &BTreeSet<PathBuf>) -> Self {
        let mut directories = Directories::new(Means::Events);
        let mut is_polling = false;
        for directory in wanted {
            match directories.add(directory) {
                Ok(()) => {}
                Err(Unwatched::Gone) => directories.waker().wake(),
                Err(Unwatched::NoEvents(why)) => {
                    tracing::debug!(why, "no events to be had, polling");
                    is_polling = true;
                }
            }
        }
        Nudge {
            directories,
            is_polling,
        }
    }

    /// What wakes it by hand.
    #[must_use]
    pub(crate) fn waker(&self) -> Waker {
        self.directories.waker()
    }

    /// Waits until something changes, or that long. Says whether there is reason to look.
    #[must_use]
    pub(crate) fn wait(&self, at_most: Duration) -> bool {
        let patience = if self.is_polling {
            at_most.min(POLL)
        } else {
            at_most
        };
        self.directories.wait(patience).is_some() || self.is_polling
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any machine needs: it is reached only when the test fails.
    const FOR_EVER: Duration = Duration::from_secs(60);

    #[test]
    fn a_change_in_the_directory_wakes_and_so_does_a_hand() {
        let home = tempfile::tempdir().unwrap();
        let nudge = Nudge::on(&BTreeSet::from([home.path().to_owned()]));
        std::fs::write(home.path().join("a"), "").unwrap();
        assert!(nudge.wait(FOR_EVER));
        nudge.waker().wake();
        assert!(nudge.wait(FOR_EVER));
    }

    #[test]
    fn a_directory_that_is_not_there_wakes_at_once() {
        let nudge = Nudge::on(&BTreeSet::from([PathBuf::from("/nowhere/at/all")]));
        assert!(nudge.wait(FOR_EVER));
    }

    #[test]
    fn what_was_touched_is_named_and_reading_touches_nothing() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let (read, written) = (home.join("read"), home.join("written"));
        std::fs::write(&read, "").unwrap();
        let mut directories = Directories::new(Means::Events);
        directories.add(&home).unwrap();
        std::fs::read(&read).unwrap();
        std::fs::write(&written, "").unwrap();
        let touched = directories.wait(FOR_EVER).unwrap();
        assert_eq!(touched.paths, BTreeSet::from([written]));
        assert!(!touched.everything);
    }

    #[test]
    fn a_directory_that_came_in_anothers_place_can_be_watched_again() {
        let home = tempfile::tempdir().unwrap();
        let inner = home.path().canonicalize().unwrap().join("inner");
        let mut directories = Directories::new(Means::Events);
        assert_eq!(directories.add(&inner), Err(Unwatched::Gone));
        for _ in 0..2 {
            std::fs::create_dir(&inner).unwrap();
            directories.add(&inner).unwrap();
            assert_eq!(directories.len(), 1);
            std::fs::write(inner.join("a"), "").unwrap();
            while !directories
                .wait(FOR_EVER)
                .unwrap()
                .paths
                .contains(&inner.join("a"))
            {}
            std::fs::remove_dir_all(&inner).unwrap();
        }
        // Added twice, and so removed twice.
        directories.remove(&inner);
        assert!(directories.watched.contains_key(&inner));
        directories.remove(&inner);
        assert!(directories.watched.is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_directory_is_not_watched_and_takes_nothing_from_it() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let (inner, link) = (home.join("inner"), home.join("link"));
        std::fs::create_dir(&inner).unwrap();
        std::os::unix::fs::symlink("inner", &link).unwrap();
        let mut directories = Directories::new(Means::Events);
        directories.add(&inner).unwrap();
        assert_eq!(directories.add(&link), Err(Unwatched::Gone));
        std::fs::write(inner.join("a"), "").unwrap();
        let touched = directories.wait(FOR_EVER).unwrap();
        assert_eq!(touched.paths, BTreeSet::from([inner.join("a")]));
    }

    #[test]
    fn without_events_nothing_can_be_watched() {
        let home = tempfile::tempdir().unwrap();
        let mut directories = Directories::new(Means::Polling);
        let refused = directories.add(home.path());
        assert!(
            matches!(refused, Err(Unwatched::NoEvents(_))),
            "{refused:?}"
        );
        assert!(directories.watched.is_empty());
    }
}
