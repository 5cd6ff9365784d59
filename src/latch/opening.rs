//! A repository on its way to being opened: what can be known of it without asking git.
//!
//! A hook may say yes by that alone, most of the time. Where it may not, what was read goes on to the [`Latch`], and is
//! not read again.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use super::Latch;
use crate::config::Config;
use crate::error::Result;
use crate::git::Running;
use crate::held::{Held, HeldFile};
use crate::identity::Environment;
use crate::lock::{Lock, is_or_below};
use crate::lockable::Attributes;
use crate::policy::Policy;
use crate::repo::Repo;
use crate::store::{LatchDir, LocalStore, LockStore as _, Sharing};
use crate::time::Clock;
use crate::view::{Entry, View};
use crate::workspace::Workspace;

/// How many locks are looked at before those of the edited paths only are asked for.
const GLANCE: usize = 16;

/// A repository that was found.
#[derive(Debug)]
pub struct Opening {
    repo: Repo,
    environment: Environment,
    policy: OnceLock<Policy>,
    seen: Seen,
}

/// What was read of the local store at first.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The first locks, and whether those were all.
    pub(super) glance: OnceLock<(View, bool)>,
    /// The leases taken in this working tree.
    pub(super) held: OnceLock<Vec<Held>>,
    /// Whether no file is `lockable`, and none need get its bit back.
    pub(super) nothing_lockable: OnceLock<bool>,
    /// Whether they were asked for already.
    pub(super) asked: AtomicBool,
}

impl Opening {
    /// Nothing is read yet.
    #[must_use]
    pub fn of(repo: Repo, environment: &Environment) -> Self {
        Opening {
            repo,
            environment: environment.clone(),
            policy: OnceLock::new(),
            seen: Seen::default(),
        }
    }

    /// The team's rules.
    ///
    /// # Errors
    /// [`crate::Error::BadPolicy`] with file and line.
    pub fn policy(&self) -> Result<&Policy> {
        if let Some(policy) = self.policy.get() {
            return Ok(policy);
        }
        let policy = match self.repo.root() {
            Ok(root) => Policy::of(Some(root), self.repo.common_dir())?,
            Err(_) => Policy::in_commit(&self.repo, "HEAD")?,
        };
        Ok(self.policy.get_or_init(|| policy))
    }

    /// Whether a hook may say yes without asking git anything: nobody but this working tree's usual owner holds a lock,
    /// no path requires one, and there is no loss to tell of. When in doubt, no.
    ///
    /// # Errors
    /// What keeps the policy or the locks from being read.
    pub fn is_quiet(&self, clock: &dyn Clock) -> Result<bool> {
        let policy = self.policy()?;
        let common = self.repo.common_dir();
        // Shared locks are read from the ref, which the configuration may name.
        let is_shared = policy.share_remote.is_some() || LatchDir::of(common).store().exists();
        let is_plain = policy.require.is_empty() && !is_shared;
        if !is_plain || !self.has_nothing_lockable()? {
            return Ok(false);
        }
        let host = &self.environment.host;
        let store = LocalStore::new(common, policy.terms, host);
        let read = store.glance(GLANCE, clock)?;
        let (view, is_complete) = self.seen.glance.get_or_init(|| read);
        let live: Vec<Option<&Lock>> = view.live().map(Entry::lock).collect();
        let read = HeldFile::of(self.repo.git_dir(), Sharing::Umask).read()?;
        let held = self.seen.held.get_or_init(|| read);
        if !is_complete || (live.is_empty() && held.is_empty()) {
            return Ok(*is_complete);
        }
        let is_usual = self.environment.leaves_it_to_the_configuration();
        let usual = Workspace::at_a_glance(self.repo.git_dir(), host)?;
        let Some((workspace, owner)) = usual.filter(|_| is_usual) else {
            return Ok(false);
        };
        let is_mine = |lock: &Lock| {
            is_or_below(&lock.owner.id, &owner)
                && lock.owner.workspace.as_deref() == Some(workspace.as_str())
        };
        let lives = |held: &Held| live.iter().flatten().any(|lock| lock.lease == held.lease);
        Ok(live.iter().all(|lock| lock.is_some_and(is_mine))
            && held.iter().filter(|held| held.can_be_lost()).all(lives))
    }

    /// Whether no file is `lockable`, nor was when write bits were set last: then none need be.
    ///
    /// # Errors
    /// What keeps a file of attributes from being read.
    pub fn has_nothing_lockable(&self) -> Result<bool> {
        if let Some(nothing) = self.seen.nothing_lockable.get() {
            return Ok(*nothing);
        }
        let attributes = Attributes::look(&self.repo, &Config::default(), &self.environment.home)?;
        let nothing = !attributes.is_in_use() && attributes.are_settled();
        Ok(*self.seen.nothing_lockable.get_or_init(|| nothing))
    }

    /// Opens it.
    ///
    /// # Errors
    /// As [`Latch::of`].
    pub fn latch(self) -> Result<Latch> {
        let config = Config::start(&self.repo.git())?;
        self.latch_by(config)
    }

    /// Opens it with a configuration that is being read.
    pub(super) fn latch_by(self, config: Running) -> Result<Latch> {
        self.policy()?;
        let config = Config::finish(config)?;
        let policy = self.policy.into_inner().unwrap_or_default();
        Ok(Latch::with(
            self.repo,
            &self.environment,
            config,
            policy,
            self.seen,
        ))
    }
}

impl Latch {
    /// The first locks, and whether those are all.
    ///
    /// # Errors
    /// What keeps the locks from being read.
    pub fn glance(&self, clock: &dyn Clock) -> Result<(View, bool)> {
        match self.first.glance.get() {
            Some((view, is_complete)) if self.reads_locally() => Ok((view.clone(), *is_complete)),
            _ => self.store().glance(GLANCE, clock),
        }
    }
}
