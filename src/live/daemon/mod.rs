//! The daemon of one working tree: keeps leases alive while they are worked on, cleans up, fetches shared locks, keeps
//! write bits right, notices edits of what others have locked, and locks on the first edit where the policy says so.
//!
//! Nothing depends on it: every read enforces expiry by itself. It makes things prompt, and keeps what would end.
//!
//! One thread looks at what happens ([`crate::live`]) and decides what to do; others do it, one with the store and two with
//! `git`, so that neither a remote that hangs nor a large tree holds up an event or the end.

mod auto;
mod bursts;
mod chores;
mod edits;
mod folders;
mod instance;
mod leases;
mod notice;
mod pace;
mod reactions;
mod tending;
mod work;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

pub use self::notice::{Action, Notice};

use self::auto::AutoLocks;
use self::edits::Edits;
use self::instance::Instance;
use self::pace::Pace;
use self::tending::Leases;
use self::work::{Outcome, Worker};
use crate::git::command::Cancel;
use crate::git::edits::Saved;
use crate::git::repo::Repo;
use crate::latch::identity::Environment;
use crate::latch::{Latch, RenewOutcome};
use crate::live::first_edits::Branches;
use crate::live::{Live, TICK};
use crate::os::fault;
use crate::os::watch::{Means, Waker};
use crate::rules::error::{Code, Result};
use crate::rules::lease::Acquired;
use crate::rules::lock::Lock;
use crate::rules::loss::Loss;
use crate::rules::path::RepoPath;
use crate::rules::time::Clock;
use crate::rules::view::{Entry, Me};
use crate::store::Synced;

/// How often expired locks are cleaned up, and finished work is looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// How long a command of the user's has to finish what we saw it do.
const SETTLING: Duration = Duration::from_secs(1);
/// How long lost leases are not told while one change follows the other.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause after a round in which only files of the working tree were touched: a log that is written all the time.
const BREATH: Duration = Duration::from_millis(20);
/// How long what is under way may take when the daemon ends.
const FAREWELL: Duration = Duration::from_millis(700);

/// How often that is in a test.
fn sweep_pause() -> Duration {
    fault::limit("GIT_LATCH_SWEEP_MS", SWEEP)
}

/// How a daemon works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether to do anything, or only to say what would be done.
    pub actions: Actions,
    /// Whether to ask the system for events.
    pub means: Means,
    /// How often to fetch shared locks.
    pub sync: Duration,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actions {
    /// Yes.
    Done,
    /// No, only said.
    Said,
}

/// What a job came to.
enum Done {
    Synced(Result<Option<Synced>>),
    Judged(Result<(Vec<Lock>, Vec<Lock>)>),
    Renewed(Vec<Lock>, Result<RenewOutcome>),
    Swept(Result<()>),
    Losses(Result<Vec<Loss>>),
    Settled(Result<()>),
    Saved(edits::Asked, Vec<Vec<u8>>, Result<Vec<(Vec<u8>, Saved)>>),
    Folders(Result<BTreeSet<PathBuf>>),
    Locked(Vec<RepoPath>, Result<(Acquired, Branches)>),
    Struck(Result<Branches>),
    GivenBack(Result<Vec<RepoPath>>),
    Finished(Result<Vec<RepoPath>>),
}

/// The daemon of one working tree.
pub struct Daemon {
    live: Live,
    me: Me,
    options: Options,
    clock: Arc<dyn Clock + Send + Sync>,
    store: Worker<Done>,
    tree: Worker<Done>,
    /// Git, too, but nothing else waits in its queue: a lease may be at stake.
    judge: Worker<Done>,
    results: Receiver<Outcome<Done>>,
    leases: Leases,
    edits: Edits,
    auto_locks: AutoLocks,
    sync: Pace,
    sweep: Pace,
    busy: Busy,
    polling: Option<String>,
    /// Whether much was touched that was no lock.
    is_noisy: bool,
    /// What fails, and how: told already.
    failures: HashMap<&'static str, Code>,
    /// What was said already where nothing is done.
    said: HashSet<String>,
    cancel: Cancel,
    instance: Instance,
    host: String,
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Daemon")
            .field("live", &self.live)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// What is under way.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says whether one job is under way"
)]
struct Busy {
    syncing: bool,
    judging: bool,
    renewing: bool,
    sweeping: bool,
    looking_for_losses: bool,
    giving_back: bool,
    striking: bool,
    asking: bool,
    asking_for_folders: bool,
    settling: bool,
}

impl Daemon {
    /// Begins to be the daemon of a working tree.
    ///
    /// # Errors
    /// [`crate::Error::DaemonRuns`], [`crate::Error::NoIdentity`]; as [`Live::start`].
    pub fn start(
        repo: Repo,
        environment: &Environment,
        options: Options,
        clock: Arc<dyn Clock + Send + Sync>,
    ) -> Result<Self> {
        let cancel = Cancel::default();
        let repo = repo.with_cancel(cancel.clone());
        let live = Live::start(repo, environment, options.means, &*clock)?;
        let latch = Arc::clone(live.latch());
        let me = latch.me()?;
        let instance = Instance::begin(&latch, &environment.host, clock.now())?;
        let (sender, results) = mpsc::channel();
        let now = Instant::now();
        let seed = fastrand::u64(..);
        let mut daemon = Daemon {
            store: Worker::start(sender.clone(), live.waker()),
            tree: Worker::start(sender.clone(), live.waker()),
            judge: Worker::start(sender, live.waker()),
            results,
            leases: Leases::new(seed, now),
            edits: Edits::new(now),
            auto_locks: AutoLocks::of(&latch, now)?,
            cancel,
            sync: Pace::new(options.sync, seed, now),
            sweep: Pace::new(sweep_pause(), seed, now),
            busy: Busy::default(),
            polling: None,
            is_noisy: false,
            failures: HashMap::new(),
            said: HashSet::new(),
            live,
            me,
            options,
            clock,
            instance,
            host: environment.host.clone(),
        };
        daemon.note_due(now);
        daemon.edits.watch_git(&mut daemon.live);
        daemon.look_at_all_edits();
        Ok(daemon)
    }

    /// What ends a wait by hand.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.live.waker()
    }

    /// The repository, as policy and configuration say now.
    #[must_use]
    pub fn latch(&self) -> &Arc<Latch> {
        self.live.latch()
    }

    /// What is known of the locks.
    #[must_use]
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// How many directories the system watches for it.
    #[must_use]
    pub fn watches(&mut self) -> usize {
        self.live.directories().len()
    }

    /// Waits until there is something to do, a second at most, and does it.
    ///
    /// # Errors
    /// [`crate::Error::NotARepository`] where the repository is gone, [`crate::Error::NoIdentity`] where nobody is named any more.
    pub fn round(&mut self, tell: &mut dyn FnMut(&Latch, Notice)) -> Result<()> {
        if self.is_noisy {
            std::thread::sleep(BREATH);
        }
        let round = self.live.round(self.patience(), &*self.clock)?;
        self.is_noisy = round.events.is_empty() && !round.touched.is_nothing();
        let now = Instant::now();
        let (mut first, mut notices) = (Vec::new(), Vec::new());
        let noted = self.note_round(&round, now, &mut first);
        self.on_events(&round, now);
        while let Ok(outcome) = self.results.try_recv() {
            match outcome {
                Ok(done) => self.on_done(done, now, &mut notices),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        let instance = self.check_instance(now);
        self.tend_leases(now, &mut notices);
        self.tend_locks(now, &mut notices);
        self.tend_edits(&round, now, &mut notices);
        let latch = Arc::clone(self.live.latch());
        let problems = round.problems.into_iter().map(|problem| {
            let what = match problem.code() {
                Code::BadPolicy => "reading the policy",
                _ => "reading the locks",
            };
            Notice::Failed(what, problem)
        });
        let events = round
            .events
            .into_iter()
            .map(|event| Notice::Event(Box::new(event)));
        for notice in first
            .into_iter()
            .chain(problems)
            .chain(events)
            .chain(notices)
        {
            tell(&latch, notice);
        }
        noted.and(instance)
    }

    /// Ends: waits for what is under way, but not for long.
    pub fn stop(self) {
        let begun = Instant::now();
        self.cancel.cancel();
        self.store.end(FAREWELL);
        for worker in [self.tree, self.judge] {
            worker.end(FAREWELL.saturating_sub(begun.elapsed()));
        }
    }

    fn patience(&self) -> Duration {
        let now = Instant::now();
        let edits = self.edits.next(now);
        let losses = self.leases.look_for_losses_at;
        let sync = self.live.latch().shared().map(|_| self.sync.next());
        // What is due and not begun waits for a job that is under way, whose end wakes.
        let judging = self.next_judging(now);
        let coming = losses.into_iter().chain(sync).chain(judging);
        let coming = coming.filter(|at| *at > now);
        let next = edits.into_iter().chain(coming).min();
        next.map_or(TICK, |at| at.saturating_duration_since(now).min(TICK))
            .max(Duration::from_millis(1))
    }

    /// Whether anything is done, and not only said.
    fn does(&self) -> bool {
        self.options.actions == Actions::Done
    }

    /// Whoever removes the directory with our guard lets another daemon begin: then this one is again, or gives way.
    fn check_instance(&mut self, now: Instant) -> Result<()> {
        if self.sweep.is_due(now) && !self.instance.is_current() {
            let latch = Arc::clone(self.live.latch());
            self.instance = Instance::begin(&latch, &self.host, self.clock.now())?;
        }
        Ok(())
    }

    /// My locks that end by time.
    fn mine(&self) -> impl Iterator<Item = &Lock> {
        auto::mine(self.live.follower().live(), &self.me)
    }

    fn is_foreign(&self, entry: &Entry) -> bool {
        !self.me.has(entry)
    }
}
