//! One repository with its locks, as a user of the library opens it: where the decisions of [`crate::lease`], the store,
//! the working tree's record and the policy come together.
//!
//! Reading leaves no trace in a repository that does not use locks. What changes something takes the clock as an
//! argument and says in its answer what was refused; only what could not be done at all is an error.

mod acquire;
mod checkin;
mod checkout;
mod current;
mod done;
mod release;
mod renew;
mod selection;
mod share;
mod wait;

use std::path::Path;
use std::sync::OnceLock;

pub use acquire::{Bound, LockOptions};
pub use checkin::{CheckedIn, Checkin};
pub use checkout::Against;
pub use current::Current;
pub use release::{Unlocked, What, Whose};
pub use renew::Prolonged;
pub use selection::{Part, Selection};
pub use wait::Waiting;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::held::{Held, HeldFile, Loss};
use crate::identity::{self, Environment};
use crate::lease::Change;
use crate::link;
use crate::lock::{Lock, Owner};
use crate::lockable;
use crate::path::{Claim, Key, Kind, RepoPath};
use crate::policy::Policy;
use crate::repo::Repo;
use crate::store::{
    self, LocalStore, LockStore, ReceivedStore, Scope, SharedStore, Sharing, Verdict,
};
use crate::time::Clock;
use crate::view::{Me, Terms, View};
use crate::workspace::Workspace;

/// A repository with its locks.
#[derive(Debug)]
pub struct Latch {
    repo: Repo,
    config: Config,
    policy: Policy,
    environment: Environment,
    sharing: Sharing,
    local: LocalStore,
    shared: Option<SharedStore>,
    received: Option<ReceivedStore>,
    held: HeldFile,
    workspace: OnceLock<Option<Workspace>>,
}

impl Latch {
    /// Opens the repository around a directory, whatever `GIT_DIR` says. Changes nothing.
    ///
    /// # Errors
    /// [`Error::NotARepository`], [`Error::BadPolicy`] with file and line, [`Error::Unsupported`] for what this version
    /// cannot do.
    pub fn open(directory: &Path, environment: &Environment) -> Result<Self> {
        Self::of(Repo::discover(directory)?, environment)
    }

    /// Opens the repository that git itself would use here: `GIT_DIR` and its like are honoured, as in a hook.
    ///
    /// # Errors
    /// As [`Latch::open`].
    pub fn from_environment(directory: &Path, environment: &Environment) -> Result<Self> {
        Self::of(Repo::from_environment(directory)?, environment)
    }

    /// Opens a repository that was found.
    ///
    /// # Errors
    /// As [`Latch::open`].
    pub fn of(repo: Repo, environment: &Environment) -> Result<Self> {
        let config = Config::start(&repo.git())?;
        let policy = match repo.root() {
            Ok(root) => Policy::of(Some(root), repo.common_dir())?,
            Err(_) => Policy::in_commit(&repo, "HEAD")?,
        };
        let config = Config::finish(config)?;
        let sharing = Sharing::from_config(config.get("core.sharedrepository").unwrap_or_default());
        // Without a name nothing is changed, and so nothing is signed.
        let author = identity::owner(environment, &config, None).ok();
        let shared = share::of(&repo, &policy, &config, sharing)
            .map(|store| store.with_author(author.clone()));
        let received = repo
            .is_bare()
            .then(|| ReceivedStore::new(&repo, &policy.share_ref, policy.terms));
        let local = LocalStore::new(
            repo.common_dir(),
            policy.terms,
            &format!("{} git-latch", environment.host),
        )
        .with_sharing(sharing)
        .with_author(author)
        // Of shared locks the directory is only a copy: whose file locks reach whom does not matter.
        .with_trust_in_shares(config.is_true("latch.trustshare") || shared.is_some());
        Ok(Latch {
            held: HeldFile::of(repo.git_dir(), sharing),
            environment: environment.clone(),
            workspace: OnceLock::new(),
            repo,
            config,
            policy,
            sharing,
            local,
            shared,
            received,
        })
    }

    /// Where the repository is.
    #[must_use]
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// The user's configuration, as far as it concerns us.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The team's rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What of the policy bears on the life of a lease.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.policy.terms
    }

    /// The modes of what is created in the repository.
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// Where the locks are kept.
    #[must_use]
    pub fn store(&self) -> &dyn LockStore {
        match (&self.received, &self.shared) {
            (Some(received), _) => received,
            (None, Some(shared)) => shared,
            (None, None) => &self.local,
        }
    }

    /// What happened to the locks, newest first, as far back as it is known here.
    pub fn history(&self) -> Result<Vec<Event>> {
        match (&self.received, &self.shared) {
            (Some(received), _) => received.history(),
            (None, Some(shared)) => shared.history(),
            (None, None) => self.local.history(),
        }
    }

    /// The lock directory of this machine: the locks themselves, or a copy of the shared ones.
    #[must_use]
    pub fn local(&self) -> &LocalStore {
        &self.local
    }

    /// The locks of a remote, where they are shared.
    #[must_use]
    pub fn shared(&self) -> Option<&SharedStore> {
        self.shared.as_ref()
    }

    /// The record of the leases taken in this working tree.
    #[must_use]
    pub fn held(&self) -> &HeldFile {
        &self.held
    }

    /// Who I am. The workspace gets its id now, if it has none.
    ///
    /// # Errors
    /// [`Error::NoIdentity`].
    pub fn me(&self) -> Result<Me> {
        // Asked first: a command that fails for want of a name leaves no trace.
        identity::owner(&self.environment, &self.config, None)?;
        let workspace = match &self.environment.workspace {
            Some(id) => id.clone(),
            None => self.own_workspace(Workspace::of)?.unwrap_or_default(),
        };
        let me = self.me_in(Some(workspace))?;
        if self.environment.leaves_it_to_the_configuration() {
            Workspace::note_owner(self.repo.git_dir(), &me.owner.id, self.sharing);
        }
        Ok(me)
    }

    /// Who I am, for reading: without a name, or in a workspace that never took a lock, nothing is mine.
    ///
    /// # Errors
    /// Only where an id was given that nobody can have, or the workspace's record cannot be read.
    pub fn reader(&self) -> Result<Me> {
        let workspace = match &self.environment.workspace {
            Some(id) => Some(id.clone()),
            // No lock has an empty workspace: nothing is held in one that has no id yet.
            None => Some(self.own_workspace(Workspace::known)?.unwrap_or_default()),
        };
        match self.me_in(workspace.clone()) {
            Err(Error::NoIdentity) => Ok(Me {
                owner: Owner {
                    id: String::new(),
                    name: String::new(),
                    host: self.environment.host.clone(),
                    workspace,
                },
                inside: Vec::new(),
            }),
            other => other,
        }
    }

    fn me_in(&self, workspace: Option<String>) -> Result<Me> {
        Ok(Me {
            owner: identity::owner(&self.environment, &self.config, workspace)?,
            inside: self.environment.inside.clone(),
        })
    }

    fn own_workspace<W: Into<Option<Workspace>>>(
        &self,
        find: impl FnOnce(&Path, &str, Sharing) -> Result<W>,
    ) -> Result<Option<String>> {
        if self.workspace.get().is_none_or(Option::is_none) {
            let found = find(self.repo.git_dir(), &self.environment.host, self.sharing)?.into();
            if let Some(workspace) = &found {
                if workspace.copied_from.is_some() {
                    // The copied record lists the original's leases.
                    self.held.strike(|_| true)?;
                }
                // Set once only, unless a reader came first and found none.
                drop(self.workspace.set(found.clone()));
            }
            return Ok(found.map(|w| w.id));
        }
        Ok(self
            .workspace
            .get()
            .and_then(Option::as_ref)
            .map(|w| w.id.clone()))
    }

    /// The workspace this one turned out to be a copy of, and its own new id: told once.
    #[must_use]
    pub fn copied_workspace(&self) -> Option<(&str, &str)> {
        let workspace = self.workspace.get()?.as_ref()?;
        Some((workspace.copied_from.as_deref()?, &workspace.id))
    }

    /// Reads a view. Expired locks are in it, and count for nobody: ask [`View::live`] or [`View::standing`].
    pub fn view(&self, scope: &Scope, clock: &dyn Clock) -> Result<View> {
        self.store().view(scope, clock)
    }

    /// Makes `.locks` and the lock directory, where they are missing.
    ///
    /// # Errors
    /// [`Error::InTheWay`] where something else stands in their place.
    pub fn prepare(&self) -> Result<()> {
        let root = self.repo.root()?;
        // Before anything is made: what is in the way is not worked around.
        if let link::State::Foreign(_) = link::state(root, &self.local.locks())? {
            return link::ensure(root, self.repo.common_dir(), &self.local.locks());
        }
        self.local.prepare()?;
        link::ensure(root, self.repo.common_dir(), &self.local.locks())
    }

    /// Makes `.locks` where it is missing in a repository with locks. What stands against it is left for [`Latch::prepare`] to say.
    pub fn mend_link(&self) {
        let (Ok(root), locks) = (self.repo.root(), self.local.locks()) else {
            return;
        };
        if locks.is_dir()
            && let Err(error) = link::ensure(root, self.repo.common_dir(), &locks)
        {
            tracing::debug!(%error, "`.locks` is not mended");
        }
    }

    /// [`store::transact`] where the locks are kept. What a change was to give back of which nobody knows whether it has
    /// arrived counts as given back here.
    fn transact<T>(
        &self,
        scope: &Scope,
        clock: &dyn Clock,
        decide: impl FnMut(&View) -> Result<(Vec<Change>, Verdict, T)>,
    ) -> Result<(u64, T)> {
        let changed = store::transact(self.store(), scope, clock, decide);
        if let Err(Error::Unknown { released, .. }) = &changed {
            let is_over = |h: &Held| released.iter().any(|lease| lease == h.lease.as_str());
            if let Err(error) = self.held.strike(is_over) {
                tracing::warn!(%error, "the working tree's record of its leases is not written");
            }
        }
        changed
    }

    /// Notes leases as held here. They are: that the note cannot be written is no reason to say otherwise.
    fn remember<'a>(&self, locks: impl Iterator<Item = &'a Lock>) {
        if let Err(error) = self.held.confirm(&locks.collect::<Vec<_>>()) {
            tracing::warn!(%error, "the working tree's record of its leases is not written");
        }
    }

    /// Gives the `lockable` files among these targets, and below the directories among them, their write bits.
    ///
    /// The change of the locks is done: a bit that cannot be set is told in the log only.
    fn settle_bits(&self, targets: &[(&RepoPath, Kind)], me: &Me, clock: &dyn Clock) {
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

    /// Gives lockable files their write bits.
    ///
    /// # Errors
    /// [`Error::Io`] with the file whose bit cannot be set.
    pub fn settle(&self, paths: &[Vec<u8>], me: &Me, clock: &dyn Clock) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        let claims = paths.iter().map(|path| Claim {
            key: Key::of(path),
            kind: Kind::File,
        });
        let view = self.store().view(&Scope::Claims(claims.collect()), clock)?;
        lockable::settle(self.repo.root()?, &view, me, paths)
    }

    /// Whether files with the attribute `lockable` may exist here.
    pub fn has_lockable_files(&self) -> Result<bool> {
        lockable::is_in_use(&self.repo, &self.config, &self.environment.home)
    }

    /// Looks everywhere for the attribute `lockable`, and remembers having found it.
    pub fn notice_lockable_files(&self) -> Result<bool> {
        lockable::notice(
            &self.repo,
            &self.config,
            &self.environment.home,
            self.sharing,
        )
    }

    /// What follows every change: the copy of the lock directory, where there is one, and the policy for branches that
    /// have none.
    fn after_change(&self) {
        let Ok(root) = self.repo.root() else { return };
        if let Err(error) = link::refresh(root, &self.local.locks()) {
            tracing::warn!(%error, "the copy of the lock directory is not refreshed");
        }
        Policy::remember(root, self.repo.common_dir(), self.sharing);
    }

    /// The leases taken in this working tree that are lost, and to whom.
    pub fn losses(&self, clock: &dyn Clock) -> Result<Vec<Loss>> {
        let held = self.held.read()?;
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let claims = held.iter().filter_map(crate::held::Held::claim).collect();
        let view = self.store().view(&Scope::Claims(claims), clock)?;
        self.held.losses(&view, &self.reader()?)
    }
}
