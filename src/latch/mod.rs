//! One repository with its locks, as a user of the library opens it: where the decisions of [`crate::rules::lease`], the store,
//! the working tree's record and the policy come together.
//!
//! Reading leaves no trace in a repository that does not use locks. Operations that change something take the clock as
//! an argument. A refusal is part of their answer; an error means that the operation could not be done at all.

mod acquire;
mod bits;
mod changing;
pub mod check;
mod checkin;
mod checkout;
mod current;
mod done;
pub(crate) mod held;
pub mod identity;
pub mod keep;
pub mod link;
pub mod lockable;
mod me;
mod opening;
pub mod policy;
mod release;
mod renew;
mod selection;
mod share;
pub mod status;
mod wait;
pub(crate) mod workspace;

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

pub(crate) use acquire::Lifetime;
pub use acquire::LockOptions;
pub use checkin::{Afterwards, CheckedIn, Checkin};
pub use checkout::Against;
pub(crate) use current::Current;
pub use opening::Opening;
pub use release::{Unlocked, What, Whose};
pub use renew::RenewOutcome;
pub use selection::{Part, Selection};
pub use wait::Waiting;

use crate::git::config::Config;
use crate::git::repo::Repo;
use crate::latch::held::HeldFile;
use crate::latch::identity::Environment;
use crate::latch::policy::Policy;
use crate::latch::workspace::{Settled, WorkingTrees, Workspace};
use crate::os::mode::Sharing;
use crate::rules::error::Result;
use crate::rules::event::{Event, Happening};
use crate::rules::lock::{LeaseId, Lock};
use crate::rules::loss::Loss;
use crate::rules::path::{Claim, Kind, Place, RepoPath};
use crate::rules::time::Clock;
use crate::rules::view::{LeaseLimits, View};
use crate::store::{LatchDir, LocalStore, LockStore, ReceivedStore, Scope, SharedStore};
use opening::Seen;

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
    /// What was read before it was opened.
    first: Seen,
    /// The workspace as it was read, and as it is from the first change on.
    seen: OnceLock<Workspace>,
    settled: OnceLock<Settled>,
    trees: WorkingTrees,
}

impl Latch {
    /// Opens the repository around a directory, whatever `GIT_DIR` says. Changes nothing.
    ///
    /// # Errors
    /// [`crate::Error::NotARepository`], [`crate::Error::BadPolicy`] with file and line, [`crate::Error::Unsupported`] for what this version
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
        Opening::of(repo, environment).latch_by(config)
    }

    fn with(
        repo: Repo,
        environment: &Environment,
        config: Config,
        policy: Policy,
        first: Seen,
    ) -> Self {
        let sharing = Sharing::from_config(config.get("core.sharedrepository").unwrap_or_default());
        // Without a name nothing is changed, and so nothing is signed.
        let author = identity::owner(environment, &config, None).ok();
        let shared = share::of(&repo, &policy, &config, sharing).map(|store| {
            store
                .with_author(author.clone())
                .with_trust_in(&policy.trusted)
        });
        // Local locks in it are those of linked working trees, or of one that git is told of in the environment.
        let is_received = repo.is_bare() && !LatchDir::of(repo.common_dir()).locks().is_dir();
        let received =
            is_received.then(|| ReceivedStore::new(&repo, &policy.share_ref, policy.terms));
        let local = LocalStore::new(
            repo.common_dir(),
            policy.terms,
            &format!("{} git-latch", environment.host),
        )
        .with_sharing(sharing)
        .with_author(author)
        // Of shared locks the directory is only a copy: whose file locks reach whom does not matter.
        .with_trust_in_shares(config.is_true("latch.trustshare") || shared.is_some());
        Latch {
            held: HeldFile::of(repo.git_dir(), sharing),
            environment: environment.clone(),
            seen: first.known_workspace(),
            first,
            settled: OnceLock::new(),
            trees: WorkingTrees::of(repo.common_dir()),
            repo,
            config,
            policy,
            sharing,
            local,
            shared,
            received,
        }
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
    pub fn terms(&self) -> &LeaseLimits {
        &self.policy.terms
    }

    /// The modes of what is created in the repository.
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// Where the locks are kept.
    #[must_use]
    pub(crate) fn store(&self) -> &dyn LockStore {
        match (&self.received, &self.shared) {
            (Some(received), _) => received,
            (None, Some(shared)) => shared,
            (None, None) => &self.local,
        }
    }

    /// Whether the lock directory is where the locks are.
    fn reads_locally(&self) -> bool {
        self.received.is_none() && self.shared.is_none()
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

    /// Reads a view. Expired locks are in it, and count for nobody: ask [`View::live`] or `View::standing`.
    pub fn view(&self, scope: &Scope, clock: &dyn Clock) -> Result<View> {
        self.store().view(scope, clock)
    }

    /// Makes `.locks` and the lock directory, where they are missing.
    ///
    /// # Errors
    /// [`crate::Error::InTheWay`] where something else stands in their place.
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

    /// Notes leases as held here. They are: that the note cannot be written is no reason to say otherwise.
    fn remember<'a>(&self, locks: impl Iterator<Item = &'a Lock>) {
        if let Err(error) = self.held.confirm(&locks.collect::<Vec<_>>()) {
            tracing::warn!(%error, "the working tree's record of its leases is not written");
        }
    }

    /// What follows every change: the copy of the lock directory, where there is one, and the policy for branches that
    /// have none.
    fn after_change(&self) {
        let Ok(root) = self.repo.root() else { return };
        if let Err(error) = link::refresh(root, &self.local.locks()) {
            tracing::warn!(%error, "the copy of the lock directory is not refreshed");
        }
        self.policy.remember(self.repo.common_dir(), self.sharing);
    }

    /// The leases taken in this working tree that are lost, and to whom.
    pub fn losses(&self, clock: &dyn Clock) -> Result<Vec<Loss>> {
        // What was read at first is told once: whoever asks again wants to know what has changed.
        let is_first = !self.first.asked.swap(true, Ordering::Relaxed);
        let held = match self.first.held.get() {
            Some(held) if is_first => held.clone(),
            _ => self.held.read()?,
        };
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let view = match self.first.peek.get() {
            Some((all, true)) if is_first && self.reads_locally() => all.clone(),
            _ => {
                let claims = held
                    .iter()
                    .filter_map(crate::latch::held::Held::claim)
                    .collect();
                self.store().view(&Scope::Claims(claims), clock)?
            }
        };
        let losses = self.held.losses_among(&held, &view, &self.reader()?);
        let (news, known) = losses.into_iter().partition(|loss| loss.is_news);
        let mut told = self.explained(news);
        told.extend(known);
        told.sort_by(|a: &Loss, b: &Loss| a.path.cmp(&b.path));
        Ok(told)
    }

    /// The losses as the history tells them, where it does: who ended the lease, and in which words. News come so already.
    #[must_use]
    pub fn explained(&self, losses: Vec<Loss>) -> Vec<Loss> {
        let wanted: Vec<(LeaseId, Place)> = losses
            .iter()
            .filter(|loss| loss.ended.is_none())
            .flat_map(|loss| places_of(&loss.path).map(|place| (loss.lease.clone(), place)))
            .collect();
        let mut events = self.endings(&wanted);
        let of = |loss: &Loss, events: &mut Vec<Event>| {
            let at = events.iter().position(|event| event.ends(&loss.lease))?;
            Some(events.swap_remove(at))
        };
        let told = losses.into_iter().map(|loss| match of(&loss, &mut events) {
            Some(event) => loss.told_by(event),
            None => loss,
        });
        told.collect()
    }

    /// Events as the history tells them: who took a lock away, and why.
    #[must_use]
    pub(crate) fn attributed(&self, events: Vec<Event>) -> Vec<Event> {
        let is_open = |event: &Event| event.happening == Happening::Unlocked && event.by.is_none();
        let open = events.iter().filter(|event| is_open(event));
        let wanted: Vec<(LeaseId, Place)> = open
            .filter_map(|event| Some((event.lock.lock()?.lease.clone(), event.lock.place.clone())))
            .collect();
        let found = self.endings(&wanted);
        let told = events.into_iter().map(|event| {
            let lease = event.lock.lock().map(|lock| &lock.lease);
            let known = lease.and_then(|lease| found.iter().find(|found| found.ends(lease)));
            match known.filter(|_| is_open(&event)) {
                Some(known) => Event {
                    by: known.by.clone(),
                    note: known.note.clone(),
                    ..event
                },
                None => event,
            }
        });
        told.collect()
    }

    /// How leases ended. It only adds to what is known anyhow: that it cannot be read is no reason to fail.
    fn endings(&self, wanted: &[(LeaseId, Place)]) -> Vec<Event> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let found = match self.shared() {
            Some(shared) => shared.endings(wanted),
            None => self.local.endings(wanted),
        };
        found.unwrap_or_else(|error| {
            tracing::debug!(%error, "the history does not tell how leases ended");
            Vec::new()
        })
    }
}

/// Where the lock on a path may lie: a file's, or a directory's.
fn places_of(path: &str) -> impl Iterator<Item = Place> {
    let path = RepoPath::new(path).ok();
    let place = move |kind| {
        path.as_ref()
            .and_then(|path| Claim::new(path, kind).place())
    };
    [Kind::File, Kind::Directory].into_iter().filter_map(place)
}
