//! `git latch unlock`

use std::ffi::OsString;

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::Failure;
use super::output::{GOOD, styled};
use super::{Answer, messages};
use git_latch::latch::{Unlocked, What};
use git_latch::rules::error::{Code, Error, Result};
use git_latch::rules::lease::{Force, Refusal, Why};
use git_latch::rules::report::Viewpoint;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Locked files; directories and patterns mean my locks on what they cover
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
    /// Give back every lock of mine in this working tree
    #[arg(long, conflicts_with_all = ["paths", "id"])]
    all: bool,
    /// Give back the lock with this lease id
    #[arg(long, value_name = "LEASE", conflicts_with = "paths")]
    id: Option<String>,
    /// Also release others' locks, unreadable locks, and paths with uncommitted or unpushed changes
    #[arg(long)]
    force: bool,
    /// Say why, for the holder to read; required for another person's lock
    #[arg(short, long, value_name = "WHY", requires = "force")]
    message: Option<String>,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open()?;
        if self.paths.is_empty() && !self.all && self.id.is_none() {
            return Err(Error::BadUsage {
                problem: "no paths to unlock are named".into(),
                hint: Some("name paths, or unlock everything of yours in this working tree: git latch unlock --all".into()),
            });
        }
        let selection = context.select(&latch, &self.paths)?;
        let what = match &self.id {
            Some(id) => What::Lease(id),
            None if self.all => What::Mine,
            None => What::Selected(&selection),
        };
        let force = if self.force { Force::Yes } else { Force::No };
        let me = latch.me()?;
        let answer = latch.unlock(what, force, self.message.as_deref(), &context.clock)?;
        context.tell_news(&latch)?;
        let viewpoint = context.viewpoint(&latch, &me);
        for entry in &answer.unlocked {
            let path = messages::path_of_entry(viewpoint.here, entry);
            let from = if me.holds(entry) {
                String::new()
            } else {
                format!(
                    ", which was locked by {}",
                    messages::holder(&viewpoint, entry)
                )
            };
            context
                .output
                .done(format!("{} {path}{from}", styled(GOOD, "unlocked")));
        }
        if self.all && answer.unlocked.is_empty() && answer.refused.is_empty() {
            context.output.done("you have no locks");
        }
        Ok(Answer::with(
            report(&viewpoint, &answer),
            failure(&viewpoint, &answer),
        ))
    }
}

/// The JSON of `unlock`.
pub(super) fn report(viewpoint: &Viewpoint<'_>, answer: &Unlocked) -> Value {
    let unlocked: Vec<_> = answer.unlocked.iter().map(|e| viewpoint.entry(e)).collect();
    let refused = answer.refused.iter().map(|r| viewpoint.refusal(r));
    let refused: Vec<_> = refused.collect();
    json!({"unlocked": unlocked, "refused": refused})
}

/// What was refused, and what to do about it.
pub(super) fn failure(viewpoint: &Viewpoint<'_>, answer: &Unlocked) -> Option<Failure> {
    messages::refused(viewpoint, &answer.refused, |refusal, paths| {
        hint(viewpoint, refusal, paths)
    })
}

/// The next step for a refusal, naming these paths.
pub(super) fn hint(viewpoint: &Viewpoint<'_>, refusal: &Refusal, paths: &str) -> String {
    let here = viewpoint.here;
    let lock = refusal.holder.as_ref().and_then(|entry| entry.lock());
    match refusal.code {
        Code::Unpushed if refusal.why == Why::Unpushed => {
            format!("git push, or unlock anyway: git latch unlock --force {paths}")
        }
        Code::Unpushed => format!(
            "commit or revert them first, or unlock anyway: git latch unlock --force {paths}"
        ),
        Code::Lost if refusal.holder.is_some() => format!("git latch lock --wait {paths}"),
        Code::Lost => format!("git latch lock {paths}"),
        Code::NotHeld if lock.is_some() => format!(
            "git latch unlock {}",
            lock.map_or_else(String::new, |l| here
                .named(l.path.as_str().as_bytes(), l.kind))
        ),
        Code::NotHeld => "`git latch list --mine` shows what is yours".into(),
        Code::Forbidden => {
            "the policy's `[force] who` lists who may do this; ask one of them".into()
        }
        _ if refusal.why == Why::InProgress => {
            format!("it ends with that process; to remove it now: git latch unlock --force {paths}")
        }
        _ if lock.is_some_and(|lock| viewpoint.me.owner.is_person_of(&lock.owner)) => {
            format!("it is your own lock, taken elsewhere: git latch unlock --force {paths}")
        }
        _ => format!("ask the holder; to remove it: git latch unlock --force -m WHY {paths}"),
    }
}
