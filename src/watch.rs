//! Being woken when something changes in a directory. The only file that names `notify`.
//!
//! An event is only a nudge: whoever is woken reads afresh. So lost, merged and reordered events do no harm, and where
//! the system gives no events at all (inotify out of watches, network shares), looking every now and then does as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// How often to look where there are no events.
const POLL: Duration = Duration::from_millis(200);

/// Wakes a waiting thread when something changes in the directories watched.
#[derive(Debug)]
pub struct Nudge {
    events: Receiver<()>,
    sender: Sender<()>,
    watcher: Option<RecommendedWatcher>,
}

/// Wakes a [`Nudge`] by hand.
#[derive(Clone, Debug)]
pub struct Waker(Sender<()>);

impl Waker {
    /// Ends the wait that is under way, or the next one.
    pub fn wake(&self) {
        // Nobody waits any more: then nobody needs to be woken.
        let _ = self.0.send(());
    }
}

impl Nudge {
    /// Watches directories, not what lies deeper. One that is not there (any more) nudges at once.
    #[must_use]
    pub fn on(directories: &BTreeSet<PathBuf>) -> Self {
        let (sender, events) = mpsc::channel();
        let watcher = match watch(directories, &sender) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::debug!(%error, "no events to be had, polling");
                None
            }
        };
        Nudge {
            events,
            sender,
            watcher,
        }
    }

    /// Whether it has to look every now and then, for want of events.
    #[must_use]
    pub fn is_polling(&self) -> bool {
        self.watcher.is_none()
    }

    /// What wakes it by hand.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker(self.sender.clone())
    }

    /// Waits until something changes, or that long. Says whether there is reason to look.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> bool {
        let patience = if self.is_polling() {
            at_most.min(POLL)
        } else {
            at_most
        };
        match self.events.recv_timeout(patience) {
            Ok(()) => {
                // One look answers all that has come in meanwhile.
                while self.events.try_recv().is_ok() {}
                true
            }
            Err(RecvTimeoutError::Timeout) => self.is_polling(),
            Err(RecvTimeoutError::Disconnected) => true,
        }
    }
}

fn watch(
    directories: &BTreeSet<PathBuf>,
    sender: &Sender<()>,
) -> notify::Result<RecommendedWatcher> {
    let to = sender.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading makes access events.
        if !event.is_ok_and(|e| matches!(e.kind, EventKind::Access(_))) {
            let _ = to.send(());
        }
    })?;
    for directory in directories {
        match watcher.watch(directory, RecursiveMode::NonRecursive) {
            Err(e) if is_gone(&e, directory) => {
                let _ = sender.send(());
            }
            other => other?,
        }
    }
    Ok(watcher)
}

fn is_gone(error: &notify::Error, directory: &Path) -> bool {
    matches!(error.kind, notify::ErrorKind::PathNotFound) || !directory.exists()
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
}
