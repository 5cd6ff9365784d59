//! A repository on its way to being opened: what can be known of it without asking git.
//!
//! A hook may say yes by that alone, most of the time. Where it may not, what was read goes on to the [`Latch`], and is
//! not read again.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use super::Latch;
use crate::git::command::Running;
use crate::git::config::Config;
use crate::git::repo::Repo;
use crate::latch::held::{Held, HeldFile};
use crate::latch::identity::Environment;
use crate::latch::lockable::Attributes;
use crate::latch::policy::Policy;
use crate::latch::workspace::Workspace;
use crate::os::mode::Sharing;
use crate::rules::error::Result;
use crate::rules::lock::{Lock, is_or_below};
use crate::rules::path::Claim;
use crate::rules::time::Clock;
use crate::rules::view::{Entry, Standing, View};
use crate::store::{LatchDir, LocalStore, LockStore as _, Scope};

/// How many locks are looked at before those of the edited paths only are asked for.
const PEEKED: usize = 16;

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
    pub(super) peek: OnceLock<(View, bool)>,
    /// The leases taken in this working tree.
    pub(super) held: OnceLock<Vec<Held>>,
    /// Whether no file is `lockable`, and none need get its bit back.
    pub(super) nothing_lockable: OnceLock<bool>,
    /// The workspace, and who the configuration said works in it.
    pub(super) workspace: OnceLock<(Workspace, Option<String>)>,
    /// Whether they were asked for already.
    pub(super) asked: AtomicBool,
}

impl Seen {
    /// The workspace, where it has an id: that it keeps.
    pub(super) fn known_workspace(&self) -> OnceLock<Workspace> {
        let seen = self.workspace.get().map(|(workspace, _)| workspace);
        let known = seen.filter(|workspace| matches!(workspace, Workspace::Known(_)));
        known.map_or_else(OnceLock::new, |known| known.clone().into())
    }
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
        if !self.is_told_by_locks()? {
            return Ok(false);
        }
        let (view, is_complete) = self.peek(clock)?;
        Ok(*is_complete && !self.may_have_lost(view)? && self.are_mine(&mut view.live())?)
    }

    /// The same of edits of these paths alone, which are asked for last: nobody but this working tree's usual owner has
    /// locked one. No, where nobody knows the paths.
    ///
    /// # Errors
    /// As [`Opening::is_quiet`].
    pub(crate) fn is_quiet_about(
        &self,
        claims: impl FnOnce() -> Option<Vec<Claim>>,
        clock: &dyn Clock,
    ) -> Result<bool> {
        if !self.is_told_by_locks()? {
            return Ok(false);
        }
        let Some(claims) = claims() else {
            return Ok(false);
        };
        let (view, is_complete) = self.peek(clock)?;
        let wider;
        let view = if *is_complete {
            view
        } else {
            let held = self.held()?.iter().filter_map(Held::claim);
            let scope = Scope::Claims(claims.iter().cloned().chain(held).collect());
            wider = self.store()?.view(&scope, clock)?;
            &wider
        };
        if self.may_have_lost(view)? {
            return Ok(false);
        }
        let in_the_way = claims.iter().flat_map(|claim| view.covering(&claim.key));
        self.are_mine(&mut in_the_way.filter(|entry| view.standing(entry) != Standing::Expired))
    }

    /// Whether the lock directory has all that counts: no path requires a lock, and none are shared. Shared ones are read
    /// from the ref, which the configuration may name.
    fn is_told_by_locks(&self) -> Result<bool> {
        let policy = self.policy()?;
        let store = LatchDir::of(self.repo.common_dir()).store();
        let is_shared = policy.share_remote.is_some() || store.exists();
        Ok(policy.require.is_empty() && !is_shared && self.has_nothing_lockable()?)
    }

    fn store(&self) -> Result<LocalStore> {
        let terms = self.policy()?.terms;
        let common = self.repo.common_dir();
        Ok(LocalStore::new(common, terms, &self.environment.host))
    }

    /// The first locks, and whether those are all.
    fn peek(&self, clock: &dyn Clock) -> Result<&(View, bool)> {
        if let Some(seen) = self.seen.peek.get() {
            return Ok(seen);
        }
        let read = self.store()?.peek(PEEKED, clock)?;
        Ok(self.seen.peek.get_or_init(|| read))
    }

    /// The leases taken in this working tree.
    fn held(&self) -> Result<&Vec<Held>> {
        if let Some(held) = self.seen.held.get() {
            return Ok(held);
        }
        let read = HeldFile::of(self.repo.git_dir(), Sharing::Umask).read()?;
        Ok(self.seen.held.get_or_init(|| read))
    }

    /// Whether a lease that was taken in this working tree is not among the locks that live.
    fn may_have_lost(&self, view: &View) -> Result<bool> {
        let held = self.held()?;
        let lives = |held: &Held| {
            let is_it = |entry: &Entry| entry.lock().is_some_and(|lock| lock.lease == held.lease);
            let mut entries = view.entries().filter(|entry| is_it(entry));
            entries.any(|entry| view.standing(entry) == Standing::Live)
        };
        Ok(!held.iter().filter(|held| held.can_be_lost()).all(lives))
    }

    /// Whether all of these are locks of this working tree's usual owner, taken in it.
    fn are_mine(&self, entries: &mut dyn Iterator<Item = &Entry>) -> Result<bool> {
        let mut entries = entries.peekable();
        if entries.peek().is_none() {
            return Ok(true);
        }
        if !self.environment.leaves_it_to_the_configuration() {
            return Ok(false);
        }
        let (Workspace::Known(workspace), Some(owner)) = self.workspace()? else {
            return Ok(false);
        };
        let is_mine = |lock: &Lock| {
            is_or_below(&lock.owner.id, owner) && lock.owner.workspace.as_ref() == Some(workspace)
        };
        Ok(entries.all(|entry| entry.lock().is_some_and(is_mine)))
    }

    /// The workspace, and its usual owner.
    fn workspace(&self) -> Result<&(Workspace, Option<String>)> {
        if let Some(workspace) = self.seen.workspace.get() {
            return Ok(workspace);
        }
        let read = Workspace::and_owner(self.repo.git_dir(), &self.environment.host)?;
        Ok(self.seen.workspace.get_or_init(|| read))
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
    pub(crate) fn peek(&self, clock: &dyn Clock) -> Result<(View, bool)> {
        match self.first.peek.get() {
            Some((view, is_complete)) if self.reads_locally() => Ok((view.clone(), *is_complete)),
            _ => self.store().peek(PEEKED, clock),
        }
    }
}
