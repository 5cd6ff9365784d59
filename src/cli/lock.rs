//! `git latch lock`

use std::collections::HashSet;
use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::exit::{self, Failure};
use super::interrupt::Interrupt;
use super::output::{GOOD, styled, until, wall};
use super::{Answer, messages, newer};
use git_latch::git::target::{Target, Unknown};
use git_latch::latch::{Latch, LockOptions, Waiting};
use git_latch::live::first_edits::FirstEdits;
use git_latch::rules::error::{Code, Error, Result};
use git_latch::rules::lease::{Acquired, Batch, Outcome, Refusal, Steal, Taken, Why};
use git_latch::rules::path::RepoPath;
use git_latch::rules::report::Viewpoint;
use git_latch::rules::time::{DurationSpec, Ttl};

/// The longest wait where none is asked for: every wait ends.
const LONGEST_WAIT: &str = "1h";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    taking: LockArguments,
    /// Take over others' locks; from another person only with a reason
    #[arg(long)]
    steal: bool,
    /// Take what is free instead of all or nothing
    #[arg(long)]
    partial: bool,
}

/// What `lock` and `run` have in common.
#[derive(Debug, Args)]
pub(super) struct LockArguments {
    /// Files, directories or patterns of tracked files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<OsString>,
    /// Say why, for others to read
    #[arg(short, long, value_name = "WHY")]
    pub(super) message: Option<String>,
    /// Let the lease end this long after its last heartbeat, such as 90s, 1h30m, 8h, 3d, 2w
    #[arg(long, value_name = "D", value_parser = Ttl::typed)]
    pub(super) ttl: Option<Ttl>,
    /// Wait until the paths are free, at most this long (`--wait=30m`; one hour by default)
    #[arg(long, value_name = "D", value_parser = DurationSpec::typed, num_args = 0..=1, require_equals = true, default_missing_value = LONGEST_WAIT)]
    pub(super) wait: Option<DurationSpec>,
    /// Accept paths that do not exist yet
    #[arg(long)]
    new: bool,
}

impl LockArguments {
    /// The paths that the arguments name.
    pub(super) fn targets(&self, context: &Context, latch: &Latch) -> Result<Vec<Target>> {
        self.check_wait(context)?;
        let unknown = if self.new {
            Unknown::Accept
        } else {
            Unknown::Refuse
        };
        context.targets(latch, &self.paths, unknown)
    }

    /// Whoever leaves a blank between `--wait` and a length does not mean a file of that name.
    fn check_wait(&self, context: &Context) -> Result<()> {
        let is_length = |path: &&OsString| {
            let text = path.to_str().unwrap_or_default();
            DurationSpec::typed(text).is_ok() && !context.directory.join(path).exists()
        };
        match self.paths.iter().find(is_length) {
            Some(path) if self.wait.is_some() => {
                let length = path.to_string_lossy();
                Err(Error::BadUsage {
                    problem: format!("`{length}` is read as a path, and no such file exists"),
                    hint: Some(format!("attach the duration to the flag: --wait={length}")),
                })
            }
            _ => Ok(()),
        }
    }

    /// Takes the paths, after waiting for them if that was asked for.
    pub(super) fn take(
        &self,
        context: &Context,
        latch: &Latch,
        targets: &[Target],
        options: &LockOptions,
        interrupt: &Interrupt,
    ) -> Result<Acquired> {
        let Some(limit) = self.wait else {
            return latch.lock(targets, options, &context.clock);
        };
        let me = latch.me()?;
        let mut tell = |refused: &[Refusal]| {
            let viewpoint = context.viewpoint(latch, &me);
            for refusal in refused.iter().take(messages::LISTED) {
                let text = messages::refusal(&viewpoint, refusal);
                context.output.progress(format!("waiting: {text}"));
            }
        };
        let mut waiting = Waiting {
            limit: Duration::from_secs(limit.as_secs()),
            is_cancelled: &|| interrupt.is_set(),
            tell: &mut tell,
        };
        latch.lock_when_free(targets, options, &context.clock, &mut waiting)
    }
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open()?;
        let targets = self.taking.targets(context, &latch)?;
        let me = latch.me()?;
        context.tell_news(&latch)?;
        let interrupt = match self.taking.wait {
            Some(_) => Interrupt::catch(),
            None => Interrupt::default(),
        };
        let acquired = self
            .taking
            .take(context, &latch, &targets, &self.options(), &interrupt)?;
        let viewpoint = context.viewpoint(&latch, &me);
        if interrupt.is_set() {
            return interrupted(context, &latch, &acquired);
        }
        note_by_hand(context, &latch, &acquired);
        for taken in &acquired.locked {
            context.output.done(line(&viewpoint, taken));
        }
        tell_older(context, &latch, &acquired);
        Ok(Answer::with(
            report(&viewpoint, &acquired),
            failure(&viewpoint, &acquired.refused),
        ))
    }

    fn options(&self) -> LockOptions {
        LockOptions {
            reason: self.taking.message.clone(),
            ttl: self.taking.ttl,
            steal: if self.steal { Steal::Yes } else { Steal::No },
            batch: if self.partial {
                Batch::Partial
            } else {
                Batch::Atomic
            },
            ..LockOptions::default()
        }
    }
}

/// Says that a copy which is locked now is known to be old.
fn tell_older(context: &Context, latch: &Latch, acquired: &Acquired) {
    let taken = acquired.locked.iter().map(|taken| Target {
        path: taken.lock.path.clone(),
        kind: taken.lock.kind,
    });
    let taken: Vec<Target> = taken.collect();
    let newer = match taken.as_slice() {
        [] => Vec::new(),
        some => latch.known_newer(some),
    };
    if !newer.is_empty() {
        let here = context.here(latch.repo());
        context.output.note(newer::sentence(context, here, &newer));
        context.output.hint(newer::advice(&newer));
    }
}

/// What is locked by hand is not the daemon's to give back, also where it was locked on a first edit before.
pub(super) fn note_by_hand(context: &Context, latch: &Latch, acquired: &Acquired) {
    let taken: HashSet<&RepoPath> = acquired.locked.iter().map(|t| &t.lock.path).collect();
    let struck = FirstEdits::of(latch).strike(|path| taken.contains(path));
    if let Err(error) = struck {
        context.tell_problem(&error);
    }
}

/// Gives back what was taken while the user asked to stop.
pub(super) fn interrupted(context: &Context, latch: &Latch, acquired: &Acquired) -> Result<Answer> {
    latch.give_up(acquired, &context.clock)?;
    let failure = Failure::new(
        Code::Held,
        "interrupted while waiting; nothing was locked",
        None,
    );
    Ok(Answer::with(
        json!({"locked": [], "refused": []}),
        Some(failure.with_exit(exit::INTERRUPTED)),
    ))
}

/// What is said about a path that is held now.
pub(super) fn line(viewpoint: &Viewpoint<'_>, taken: &Taken) -> String {
    let path = messages::path_of(viewpoint.here, &taken.lock);
    let end = taken.lock.expires_at();
    let ends = match end {
        Some(at) => format!("until {} ({})", wall(at), until(end, viewpoint.now)),
        None => "until it is unlocked".into(),
    };
    match taken.outcome {
        Outcome::Acquired => format!("{} {path} {ends}", styled(GOOD, "locked")),
        Outcome::Renewed => {
            let locked = super::output::ago(taken.lock.acquired_at, viewpoint.now);
            format!(
                "{} {path}, locked {locked}, {ends}",
                styled(GOOD, "renewed")
            )
        }
        Outcome::Stolen => {
            let from = taken.displaced.iter().map(|entry| {
                let holder = messages::holder(viewpoint, entry);
                if entry.claim.key == taken.lock.path.key() {
                    return holder;
                }
                format!(
                    "{holder}, whose lock on {} is gone",
                    messages::path_of_entry(viewpoint.here, entry)
                )
            });
            let from: Vec<String> = from.collect();
            format!(
                "{} {path} from {}, {ends}",
                styled(GOOD, "took over"),
                from.join(", ")
            )
        }
    }
}

/// The JSON of `lock`.
pub(super) fn report(viewpoint: &Viewpoint<'_>, acquired: &Acquired) -> serde_json::Value {
    let locked: Vec<_> = acquired.locked.iter().map(|t| viewpoint.taken(t)).collect();
    let refused: Vec<_> = acquired
        .refused
        .iter()
        .map(|r| viewpoint.refusal(r))
        .collect();
    json!({"locked": locked, "refused": refused})
}

/// What was refused, and what to do about it.
pub(super) fn failure(viewpoint: &Viewpoint<'_>, refused: &[Refusal]) -> Option<Failure> {
    messages::refused(viewpoint, refused, |refusal, paths| {
        hint(viewpoint, refusal, paths)
    })
}

fn hint(viewpoint: &Viewpoint<'_>, refusal: &Refusal, paths: &str) -> String {
    let here = viewpoint.here;
    let Some(entry) = &refusal.holder else {
        return "git latch list".into();
    };
    let mine = viewpoint.me.has(entry);
    match entry.lock() {
        _ if refusal.code == Code::Forbidden => {
            "the policy's `[force] who` lists who may do this; ask one of them".into()
        }
        None => format!(
            "if nobody is working on it: git latch unlock --force {}",
            here.named(entry.path(), entry.claim.kind)
        ),
        Some(_) if refusal.why == Why::InProgress => {
            format!("wait until it is done: git latch lock --wait {paths}")
        }
        Some(_) if !viewpoint.me.holds(entry) && mine => format!(
            "one of your agents is working on it; to take it over: git latch lock --steal {paths}"
        ),
        Some(lock) if mine => format!(
            "unlock that one first: git latch unlock {}",
            here.named(lock.path.as_str().as_bytes(), lock.kind)
        ),
        Some(lock) if viewpoint.me.owner.is_person_of(&lock.owner) => {
            format!("it is your own lock, taken elsewhere: git latch lock --steal {paths}")
        }
        Some(_) => format!(
            "wait with `git latch lock --wait {paths}`, or ask the holder; to take it over: git latch lock --steal -m WHY {paths}"
        ),
    }
}
