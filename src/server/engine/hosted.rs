//! Locks that lie in the served repository itself.
//!
//! Several servers may serve one repository on this machine: one of them looks after the disk.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use super::backend::{Opened, Site};
use crate::git::repo::{Repo, Revision};
use crate::latch::policy::Policy;
use crate::os::files::Stamp;
use crate::os::guard::{Guard, Presence};
use crate::rules::error::{Error, Result};
use crate::rules::event::Author;
use crate::rules::path::Place;
use crate::rules::time::Clock;
use crate::store::shared::Doubts;
use crate::store::{HostedStore, LatchDir, LockStore};

/// A bare repository with its locks.
pub(super) struct Hosted {
    repo: Repo,
    store: Arc<HostedStore>,
    /// Held by the one server that looks after the disk.
    duty: Mutex<Option<Guard>>,
    /// Whether other servers serve the repository, as far as this machine can tell.
    presence: Mutex<Presence>,
}

impl Hosted {
    /// A bare repository, and its policy.
    pub(super) fn open(directory: &Path, server: &Author) -> Result<(Self, Policy)> {
        let repo = bare(directory)?;
        let policy = Policy::in_commit(&repo, "HEAD")?;
        let store = HostedStore::open(&repo, &policy.share_ref, policy.terms, server.clone())?;
        store.set_trusted(&policy.trusted);
        let presence = Presence::begin(&LatchDir::of(repo.common_dir()).servers())?;
        let duty = take_duty(&repo)?;
        if presence.is_alone() {
            store.tidy_up()?;
        } else {
            tracing::info!(repo = %directory.display(), "another server is already serving this repository");
        }
        let hosted = Hosted {
            repo,
            store: Arc::new(store),
            duty: Mutex::new(duty),
            presence: Mutex::new(presence),
        };
        Ok((hosted, policy))
    }
}

impl Site for Hosted {
    fn repo(&self) -> &Repo {
        &self.repo
    }

    fn head_name(&self) -> &'static str {
        "HEAD"
    }

    fn head(&self) -> Result<Option<String>> {
        Ok(self.store.objects()?.head())
    }

    fn store(&self) -> Arc<dyn LockStore + Send> {
        self.store.clone()
    }

    fn set_policy(&self, policy: &Policy) {
        self.store.set_terms(policy.terms);
        self.store.set_trusted(&policy.trusted);
    }

    fn doubts(&self) -> Doubts {
        self.store.doubts()
    }

    fn tip(&self) -> Result<Option<(Opened, Option<Revision>)>> {
        let objects = self.store.objects()?;
        let tip = self.store.tip(&objects)?;
        Ok(Some((Box::new(objects), tip)))
    }

    fn confirmed_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        Some(now)
    }

    fn stamp(&self) -> Option<Stamp> {
        self.store.stamp()
    }

    fn note_ahead(&self, place: &Place, from: Option<DateTime<Utc>>) {
        self.store.note_ahead(place, from);
    }

    fn is_sole(&self) -> bool {
        self.presence.lock().is_alone()
    }

    fn is_on_duty(&self) -> bool {
        self.duty.lock().is_some()
    }

    fn take_duty(&self) -> Result<()> {
        let mut duty = self.duty.lock();
        if duty.is_none() {
            *duty = take_duty(&self.repo)?;
        }
        Ok(())
    }

    fn maintain(&self, clock: &dyn Clock) -> Result<()> {
        self.store.maintain(clock)
    }
}

/// A repository without a working tree, that is this directory and not one above.
fn bare(directory: &Path) -> Result<Repo> {
    let repo = Repo::discover(directory)?;
    let is_itself = directory
        .canonicalize()
        .is_ok_and(|path| path == repo.common_dir());
    if repo.is_bare() && is_itself {
        return Ok(repo);
    }
    Err(Error::Unsupported {
        problem: format!("`{}` has a working tree", directory.display()),
        hint: Some(
            "serve a bare repository (`git clone --bare`), or the remote: git latch serve --remote URL"
                .into(),
        ),
    })
}

/// Takes the guard of the one server that looks after the disk.
fn take_duty(repo: &Repo) -> Result<Option<Guard>> {
    let guard = LatchDir::of(repo.common_dir()).server_guard();
    Guard::try_take(&guard, &format!("{} serve\n", std::process::id()))
}
