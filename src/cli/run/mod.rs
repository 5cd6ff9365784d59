//! `git latch run`

mod child;
pub(super) mod exec;

use std::ffi::OsString;

use clap::{Args, ValueEnum};
use serde_json::json;

use self::child::{Child, Signals};
use super::context::Context;
use super::exit::{self, Failure};
use super::output::path;
use super::{Answer, lock, messages};
use git_latch::latch::keep::{self, LostLease};
use git_latch::latch::{Latch, LockOptions};
use git_latch::rules::error::{Code, Result};
use git_latch::rules::lease::{Acquired, Steal};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    taking: lock::LockArguments,
    /// What to do when a lease is lost while the command runs
    #[arg(long, value_name = "ACTION", default_value = "warn")]
    on_lost: OnLost,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnLost {
    /// Report it; exit 3 unless the command fails itself
    Warn,
    /// End the command (SIGTERM, after 10 s SIGKILL); exit 124
    Terminate,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open()?;
        let targets = self.taking.targets(context, &latch)?;
        let me = latch.me()?;
        context.tell_news(&latch)?;
        let options = LockOptions {
            reason: self.taking.message.clone(),
            ttl: self.taking.ttl,
            steal: Steal::No,
            ..LockOptions::default()
        };
        let options = keep::bound(&latch, &options);
        let signals = Signals::catch();
        let acquired =
            self.taking
                .take(context, &latch, &targets, &options, signals.interrupt())?;
        if !acquired.refused.is_empty() {
            if signals.interrupt().is_set() {
                return Ok(interrupted());
            }
            let viewpoint = context.viewpoint(&latch, &me);
            let failure = lock::failure(&viewpoint, &acquired.refused);
            return Ok(Answer::with(
                lock::report(&viewpoint, &acquired),
                failure.map(|failure| failure.with_exit(exit::NOT_STARTED)),
            ));
        }
        self.hold(context, &latch, &acquired, &signals)
    }

    /// Runs the command under the locks.
    fn hold(
        &self,
        context: &Context,
        latch: &Latch,
        acquired: &Acquired,
        signals: &Signals,
    ) -> Result<Answer> {
        let mut ended = None;
        let on_loss = |lost: &LostLease| {
            tell_loss(context, latch, lost);
            if self.on_lost == OnLost::Terminate {
                signals.terminate();
            }
        };
        let kept = keep::keep(latch, acquired, &context.clock, &on_loss, || {
            ended = Some(if signals.interrupt().is_set() {
                Ok(exit::INTERRUPTED)
            } else {
                Child::start(&self.command, &environment(acquired), signals).map(Child::wait)
            });
        });
        let exit = match ended {
            Some(Ok(exit)) => exit,
            Some(Err(error)) => {
                kept?;
                return Ok(not_started(&error));
            }
            None => exit::NOT_STARTED,
        };
        match kept {
            Err(error) if exit == 0 => Ok(Answer::with(
                json!({"locked": [], "refused": []}),
                Some(context.failure(&error)),
            )),
            Err(error) => {
                super::output::failure(&Failure::of(&error, context.here(latch.repo())));
                Ok(Answer::silent(exit))
            }
            Ok(((), lost)) => Ok(Answer::silent(self.exit_after(exit, &lost))),
        }
    }

    fn exit_after(&self, exit: u8, lost: &[LostLease]) -> u8 {
        match self.on_lost {
            _ if lost.is_empty() => exit,
            OnLost::Terminate => exit::TERMINATED,
            OnLost::Warn if exit == 0 => exit::of(Code::Lost),
            OnLost::Warn => exit,
        }
    }
}

fn not_started(error: &std::io::Error) -> Answer {
    let failure = Failure::new(
        Code::BadUsage,
        format!("cannot start the command: {error}"),
        None,
    );
    Answer::with(
        json!({"locked": [], "refused": []}),
        Some(failure.with_exit(exit::NOT_STARTED)),
    )
}

fn interrupted() -> Answer {
    let failure = Failure::new(
        Code::Held,
        "interrupted while waiting; nothing was locked",
        None,
    );
    Answer::with(
        json!({"locked": [], "refused": []}),
        Some(failure.with_exit(exit::INTERRUPTED)),
    )
}

/// What the command is told about its locks: the leases, separated by commas, and the fencing number.
fn environment(acquired: &Acquired) -> [(&'static str, String); 2] {
    let leases: Vec<&str> = acquired
        .locked
        .iter()
        .map(|taken| taken.lock.lease.as_str())
        .collect();
    // A later holder of any of these paths has a larger number than the largest of them.
    let seq = acquired.locked.iter().map(|taken| taken.lock.seq).max();
    [
        ("GIT_LATCH_LEASE", leases.join(",")),
        ("GIT_LATCH_SEQ", seq.unwrap_or_default().to_string()),
    ]
}

fn tell_loss(context: &Context, latch: &Latch, lost: &LostLease) {
    let name = path(context.here(latch.repo()), lost.path.as_str().as_bytes());
    let by = match (&lost.by, latch.reader()) {
        (Some(entry), Ok(me)) => {
            let holder = messages::holder(&context.viewpoint(latch, &me), entry);
            format!("taken over by {holder}")
        }
        _ => "removed".into(),
    };
    context.output.note(format!(
        "the lock on {name} is lost: {by}, while the command runs"
    ));
}
