//! Where a command runs: the directory, the environment, the clock, and what is told besides its result.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use chrono::{DateTime, Utc};

use git_latch::git::repo::Repo;
use git_latch::git::target::{Resolver, Target, Unknown};
use git_latch::hooks::Hooks;
use git_latch::latch::identity::Environment;
use git_latch::latch::{Latch, Selection};
use git_latch::os::clock::SystemClock;
use git_latch::os::paths::here_in;
use git_latch::rules::error::{Error, Result};
use git_latch::rules::report::Viewpoint;
use git_latch::rules::spelling::Here;
use git_latch::rules::time::Clock as _;
use git_latch::rules::view::Me;

use super::exit::Failure;
use super::messages;
use super::output::Output;
use super::{Color, Global};

/// How long fetched locks pass for those of the remote without a word.
const FRESH: chrono::TimeDelta = chrono::TimeDelta::seconds(30);

/// How long who asks who holds what waits for a fresh answer.
const QUICK: Duration = Duration::from_secs(2);

/// How long a judgement waits for the shared locks.
const REFRESH: Duration = Duration::from_secs(5);

/// Whom a question about locks goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The remote, unless it was asked a moment ago.
    TheRemote,
    /// What was fetched last.
    WhatIsKnown,
}

/// The flag of those who ask.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Cached {
    /// Answer from what was fetched last, however old, without asking the remote
    #[arg(long)]
    cached: bool,
}

impl Cached {
    /// Whom the question goes to.
    pub(crate) fn asked(self) -> Asked {
        if self.cached {
            Asked::WhatIsKnown
        } else {
            Asked::TheRemote
        }
    }
}

/// Where a command runs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) environment: Environment,
    pub(crate) directory: PathBuf,
    pub(crate) clock: SystemClock,
    here: OnceLock<Here>,
    color: Color,
}

impl Context {
    /// Changes into `-C DIR` and reads the environment.
    pub(super) fn new(global: &Global, output: Output) -> Result<Self> {
        if let Some(directory) = &global.directory {
            std::env::set_current_dir(directory)
                .map_err(Error::io("change into", directory))
                .map_err(|error| Error::BadUsage {
                    problem: match std::error::Error::source(&error) {
                        Some(cause) => format!("{error}: {cause}"),
                        None => error.to_string(),
                    },
                    hint: None,
                })?;
        }
        let directory = std::env::current_dir().map_err(Error::io("find", "."))?;
        Ok(Context {
            output,
            environment: Environment {
                as_id: global.as_id.clone(),
                ..Environment::from_variables(|name| std::env::var(name).ok())
            },
            directory,
            clock: SystemClock,
            here: OnceLock::new(),
            color: global.color,
        })
    }

    /// The repository git would use here, for a command about locks: says where nothing checks them.
    pub(crate) fn open(&self) -> Result<Latch> {
        let latch = self.open_to_set_up()?;
        self.tell_unprotected(&latch);
        Ok(latch)
    }

    /// The repository git would use here.
    pub(crate) fn open_to_set_up(&self) -> Result<Latch> {
        let latch = Latch::from_environment(&self.directory, &self.environment)?;
        latch.mend_link();
        if let Err(error) = latch.keep_bits(&self.clock) {
            tracing::warn!(%error, "write bits are not set");
        }
        // Known from now on also to who tells of a failure.
        self.here(latch.repo());
        self.color.heed(latch.config());
        Ok(latch)
    }

    /// Where the user stands in a repository: what is told is called from there.
    pub(crate) fn here(&self, repo: &Repo) -> &Here {
        self.here.get_or_init(|| match repo.root() {
            Ok(root) if self.directory.starts_with(root) => here_in(root, &self.directory),
            Ok(root) => match self.directory.canonicalize() {
                Ok(directory) => here_in(root, &directory),
                Err(_) => Here::default(),
            },
            Err(_) => Here::default(),
        })
    }

    /// Says where the user of a hook stands: git runs hooks at the top of the tree, and names that directory to them.
    pub(crate) fn stand_in(&self, prefix: &OsStr) {
        // Set once only: before anything is told.
        drop(self.here.set(Here::within(prefix.as_encoded_bytes())));
    }

    /// Says that a clone has the team's policy but not the hooks: its commits and pushes break others' locks unseen.
    pub(crate) fn tell_unprotected(&self, latch: &Latch) {
        let (repo, config) = (latch.repo(), latch.config());
        let asks = latch.policy().source.is_some() && !repo.is_bare();
        match asks.then(|| Hooks::are_missing(repo, config, &self.environment.home)) {
            Some(Ok(true)) => self.output.note(
                "this repository has a policy for locks, but in this clone nothing checks commits and pushes: git latch init",
            ),
            Some(Err(error)) => tracing::debug!(%error, "the hooks are not looked at"),
            _ => {}
        }
    }

    /// What an error says, where the user stands.
    pub(crate) fn failure(&self, error: &Error) -> Failure {
        Failure::of(error, self.here.get().unwrap_or(Here::root()))
    }

    /// Says what the user should know and did not ask for: that this tree was copied, which leases are lost.
    pub(crate) fn tell_news(&self, latch: &Latch) -> Result<()> {
        self.tell_copy(latch)?;
        self.tell_settled(latch);
        self.tell_losses(latch)
    }

    /// Says which leases are lost, once.
    pub(crate) fn tell_losses(&self, latch: &Latch) -> Result<()> {
        let losses = latch.losses(&self.clock)?;
        let me = latch.reader()?;
        let viewpoint = self.viewpoint(latch, &me);
        for loss in losses.iter().filter(|loss| loss.is_news) {
            self.output.note(messages::loss(&viewpoint, loss));
        }
        Ok(())
    }

    /// Says what became of changes of which nothing was known when their commands ended.
    fn tell_settled(&self, latch: &Latch) {
        let Some(shared) = latch.shared() else { return };
        match shared.take_settled() {
            Ok(settled) => {
                let (here, now) = (self.here(latch.repo()), self.clock.now());
                for pending in &settled {
                    self.output.note(messages::settled(here, pending, now));
                }
            }
            Err(error) => self.tell_problem(&error),
        }
    }

    /// Fetches the shared locks where they are not fresh and `asked` allows it, if that is quick; says how old they are if
    /// they stay old.
    pub(crate) fn freshen(&self, latch: &Latch, asked: Asked) {
        let Some(shared) = latch.shared() else { return };
        if asked == Asked::TheRemote
            && !self.is_fresh(shared.synced_at())
            && let Err(error) = latch.look(Some(QUICK), &self.clock)
        {
            self.output
                .note(messages::said(self.here(latch.repo()), &error));
        }
        self.tell_age(latch);
    }

    fn is_fresh(&self, fetched: Option<DateTime<Utc>>) -> bool {
        // A time to come is no proof of anything: a clock was set back.
        let age = fetched.map(|at| self.clock.now() - at);
        age.is_some_and(|age| age < FRESH && age > -FRESH)
    }

    /// Says how old the shared locks are, unless they are fresh.
    pub(crate) fn tell_age(&self, latch: &Latch) {
        let Some(shared) = latch.shared() else { return };
        let now = self.clock.now();
        let at = shared.synced_at();
        match at.filter(|_| !self.is_fresh(at)) {
            Some(at) => self.output.note(format!(
                "the locks of `{}` were last fetched {}: git latch sync",
                shared.remote(),
                super::output::ago(at, now)
            )),
            None => self.tell_never_fetched(latch),
        }
        self.tell_clocks(latch);
    }

    /// Says that nothing is known of the shared locks, if so: then nothing is checked, and no answer means "free".
    pub(crate) fn tell_never_fetched(&self, latch: &Latch) {
        let Some(shared) = latch.shared().filter(|s| s.synced_at().is_none()) else {
            return;
        };
        let never = format!("the locks of `{}` were never fetched here", shared.remote());
        let Some(hint) = shared.under_another_name() else {
            return self.output.note(format!("{never}: git latch sync"));
        };
        self.output
            .note(format!("{never}: nothing is checked in this clone"));
        self.output.hint(hint);
    }

    /// Fetches the shared locks, if that takes no longer than a few seconds; says how old they are if it does.
    pub(crate) fn refresh(&self, latch: &Latch) {
        let Some(shared) = latch.shared() else { return };
        let Err(error) = latch.sync(Some(REFRESH), &self.clock) else {
            return;
        };
        let Some(at) = shared.synced_at() else {
            self.output.note(error.to_string());
            return self.tell_never_fetched(latch);
        };
        let age = super::output::ago(at, self.clock.now());
        self.output
            .note(format!("{error}; using the locks fetched {age}"));
    }

    /// Says what goes wrong while something goes on.
    pub(crate) fn tell_problem(&self, problem: &Error) {
        let failure = self.failure(problem);
        let causes = failure.causes.first().map(|cause| format!(": {cause}"));
        self.output
            .note(failure.message + &causes.unwrap_or_default());
        if let Some(hint) = failure.hint {
            self.output.hint(hint);
        }
    }

    /// Says that the system does not tell of changes, and why; or that it does again.
    pub(crate) fn tell_polling(&self, why: Option<&str>) {
        self.output.note(messages::polling(why));
    }

    /// Says whose clock is off, where the shared locks' history proves it.
    pub(crate) fn tell_clocks(&self, latch: &Latch) {
        let off = latch.shared().and_then(|s| s.clock_difference(&self.clock));
        if let Some(off) = off {
            self.output.note(messages::clocks(&off));
        }
    }

    /// Says that this tree was copied from another, until it has taken a lock: reading leaves no note of having said it.
    pub(crate) fn tell_copy(&self, latch: &Latch) -> Result<()> {
        latch.reader()?;
        let Some((original, id)) = latch.copied_workspace() else {
            return Ok(());
        };
        let now = id.map_or(String::new(), |id| {
            format!("; it is workspace {id} from now on")
        });
        self.output.note(format!(
            "this working tree was copied from workspace {original}; locks taken there do not belong to it{now}"
        ));
        Ok(())
    }

    /// Who asks, when.
    pub(crate) fn viewpoint<'a>(&'a self, latch: &'a Latch, me: &'a Me) -> Viewpoint<'a> {
        Viewpoint {
            me,
            now: self.clock.now(),
            terms: latch.terms(),
            here: self.here(latch.repo()),
            trees: latch.trees(),
        }
    }

    /// What arguments mean among paths and locks.
    pub(crate) fn select<S: AsRef<std::ffi::OsStr>>(
        &self,
        latch: &Latch,
        arguments: &[S],
    ) -> Result<Selection> {
        latch.select(&self.directory, arguments, &self.clock)
    }

    /// The paths that arguments name, to be locked.
    pub(crate) fn targets<S: AsRef<std::ffi::OsStr>>(
        &self,
        latch: &Latch,
        arguments: &[S],
        unknown: Unknown,
    ) -> Result<Vec<Target>> {
        Resolver::new(latch.repo(), latch.config(), &self.directory)?.resolve(arguments, unknown)
    }
}
