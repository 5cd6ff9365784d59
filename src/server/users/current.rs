//! The users as their file says at the moment: it is looked at no more often than once a second, and read when it has
//! changed.
//!
//! A file that becomes broken leaves those users in force that were read last; one that cannot be read lets nobody in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::Users;
use crate::os::files::Stamp;
use crate::rules::error::{Error, Result};

/// A file of users that others change meanwhile.
#[derive(Debug)]
pub(in crate::server) struct Current {
    file: PathBuf,
    every: Duration,
    known: Mutex<CachedUsers>,
}

#[derive(Debug)]
struct CachedUsers {
    /// Those read last.
    users: Arc<Users>,
    /// Why they are not to be trusted any more.
    unreadable: Option<Arc<Error>>,
    stamp: Option<Stamp>,
    looked: Instant,
}

impl Current {
    /// Reads the file, and looks at it again no sooner than after `every`.
    ///
    /// # Errors
    /// What [`Users::read`] says: nothing was in force before.
    pub(in crate::server) fn open(file: PathBuf, every: Duration) -> Result<Self> {
        // Before it is read: a change in between is seen at the next look.
        let stamp = Stamp::at(&file);
        let known = CachedUsers {
            users: Arc::new(Users::read(&file)?),
            unreadable: None,
            stamp,
            looked: Instant::now(),
        };
        Ok(Current {
            file,
            every,
            known: Mutex::new(known),
        })
    }

    /// The users now, or why nobody can tell.
    pub(in crate::server) async fn users(self: &Arc<Self>) -> Result<Arc<Users>, Arc<Error>> {
        if self.is_due() {
            let this = Arc::clone(self);
            // Where that panics, what is known stays known.
            let _ = tokio::task::spawn_blocking(move || this.look()).await;
        }
        let known = self.known();
        match &known.unreadable {
            None => Ok(Arc::clone(&known.users)),
            Some(error) => Err(Arc::clone(error)),
        }
    }

    /// Whether it is time to look; then it is this caller's turn, and others go on with what is known.
    fn is_due(&self) -> bool {
        let now = Instant::now();
        let mut known = self.known();
        if now.saturating_duration_since(known.looked) < self.every {
            return false;
        }
        known.looked = now;
        true
    }

    /// Reads the file if it has changed.
    fn look(&self) {
        let stamp = Stamp::at(&self.file);
        {
            let known = self.known();
            // Whether a file can be read is not in its stamp.
            if known.unreadable.is_none() && known.stamp == stamp {
                return;
            }
        }
        let read = Users::read(&self.file);
        self.known().take(stamp, read);
    }

    fn known(&self) -> MutexGuard<'_, CachedUsers> {
        self.known.lock()
    }
}

impl CachedUsers {
    fn take(&mut self, stamp: Option<Stamp>, read: Result<Users>) {
        let told = self.unreadable.take().map(|error| words(&error));
        let is_news = told.is_some() || self.stamp != stamp;
        self.stamp = stamp;
        match read {
            Ok(users) => {
                self.users = Arc::new(users);
                tracing::info!("users reloaded");
            }
            Err(error @ Error::BadUsers { .. }) => {
                if is_news {
                    tracing::error!(%error, "keeping the users read before");
                }
            }
            Err(error) => {
                if told.is_none_or(|told| told != words(&error)) {
                    tracing::error!(error = words(&error), "rejecting all logins");
                }
                self.unreadable = Some(Arc::new(error));
            }
        }
    }
}

fn words(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(users: &Users) -> Vec<&str> {
        users.iter().map(|(name, _)| name).collect()
    }

    fn opened(every: Duration) -> (tempfile::TempDir, PathBuf, Arc<Current>) {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("users.toml");
        fs::write(&file, "[users.ada]\n").unwrap();
        let current = Current::open(file.clone(), every).unwrap();
        (home, file, Arc::new(current))
    }

    #[tokio::test]
    async fn a_change_of_the_file_is_seen() {
        let (_home, file, current) = opened(Duration::ZERO);
        assert_eq!(names(&current.users().await.unwrap()), ["ada"]);
        fs::write(&file, "[users.ada]\n[users.bob]\n").unwrap();
        assert_eq!(names(&current.users().await.unwrap()), ["ada", "bob"]);
    }

    #[tokio::test]
    async fn the_file_is_left_alone_between_two_looks() {
        let (_home, file, current) = opened(Duration::from_secs(3600));
        fs::write(&file, "[users.bob]\n[users.cy]\n").unwrap();
        assert_eq!(names(&current.users().await.unwrap()), ["ada"]);
    }

    #[tokio::test]
    async fn broken_leaves_the_last_users_and_unreadable_lets_nobody_in() {
        let (_home, file, current) = opened(Duration::ZERO);
        fs::write(&file, "[users.ada]\nrole = \"bo").unwrap();
        assert_eq!(names(&current.users().await.unwrap()), ["ada"]);
        fs::remove_file(&file).unwrap();
        for _ in 0..2 {
            let error = current.users().await.unwrap_err();
            assert!(matches!(*error, Error::Io { .. }), "{error}");
        }
        fs::write(&file, "[users.bob]\n").unwrap();
        assert_eq!(names(&current.users().await.unwrap()), ["bob"]);
    }

    #[tokio::test]
    async fn a_file_that_can_be_read_again_is_read_though_nothing_else_has_changed() {
        let (_home, _file, current) = opened(Duration::ZERO);
        current.known().unreadable = Some(Arc::new(Error::NoIdentity));
        assert_eq!(names(&current.users().await.unwrap()), ["ada"]);
    }

    #[test]
    fn a_file_that_is_broken_or_missing_at_first_opens_nothing() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("users.toml");
        assert!(Current::open(file.clone(), Duration::ZERO).is_err());
        fs::write(&file, "[users.ada").unwrap();
        assert!(Current::open(file, Duration::ZERO).is_err());
    }
}
