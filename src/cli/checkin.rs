//! `git latch checkin`

use std::ffi::OsString;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::exit::Failure;
use super::output::{GOOD, path, styled};
use super::{Answer, check as words_of_check, messages, unlock};
use git_latch::latch::{Afterwards, CheckedIn, Checkin, Latch, check};
use git_latch::rules::error::{By, Code, Error, Result};
use git_latch::rules::lease::Refusal;
use git_latch::rules::report::Viewpoint;
use git_latch::rules::spelling::Here;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What is locked by me; of directories and patterns what I hold in them; what is new goes along where it is staged, or lies below a directory I hold and is not ignored
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<OsString>,
    /// The commit's message; without one, your editor asks for it
    #[arg(short, long, value_name = "MSG")]
    message: Option<String>,
    /// Keep the locks
    #[arg(long)]
    keep: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open()?;
        let selection = context.select(&latch, &self.paths)?;
        context.tell_news(&latch)?;
        let checkin = Checkin {
            selection: &selection,
            message: self.message.as_deref(),
            afterwards: if self.keep {
                Afterwards::Keep
            } else {
                Afterwards::Unlock
            },
        };
        let done = match latch.checkin(&checkin, &context.clock) {
            Err(error) => return refused(context, &latch, error),
            Ok(done) => done,
        };
        tell(context, context.here(latch.repo()), &done);
        let me = latch.me()?;
        let viewpoint = context.viewpoint(&latch, &me);
        let mut keys = unlock::report(&viewpoint, &done.locks);
        keys["commit"] = json!(done.commit);
        let failure = messages::refused(&viewpoint, &done.locks.refused, |refusal, paths| {
            hint(&viewpoint, &done, refusal, paths)
        });
        Ok(Answer::with(keys, failure))
    }
}

/// Why the branch is not pushed, where a hook of ours here said so: with its word for it, and its advice.
fn refused(context: &Context, latch: &Latch, error: Error) -> Result<Answer> {
    let Error::NotPushed {
        remote,
        by: By::Git,
        ..
    } = &error
    else {
        return Err(error);
    };
    let violations = check::branch(latch, remote, &context.clock)?;
    let Some(first) = violations.first() else {
        return Err(error);
    };
    let me = latch.reader()?;
    let viewpoint = context.viewpoint(latch, &me);
    let charge = words_of_check::charge(&viewpoint, &violations);
    let hint = words_of_check::advice_on_push(viewpoint.here, &violations);
    let message = messages::plain(&format!(
        "the branch was not pushed: it {charge}\n       the commit exists here and you keep your locks"
    ));
    let failure = Failure::new(first.code, message, hint);
    let keys = json!({"unlocked": [], "refused": [], "commit": null});
    Ok(Answer::with(keys, Some(failure)))
}

/// The next step where a lock is not given back, or nothing was begun.
fn hint(viewpoint: &Viewpoint<'_>, done: &CheckedIn, refusal: &Refusal, paths: &str) -> String {
    match (refusal.code, &done.pushed) {
        (Code::Unpushed, Some((remote, _))) => format!(
            "it went to {remote}; the lock stays until the remote that shares the locks has it, then: git latch unlock {paths}"
        ),
        (Code::NotHeld, _) if refusal.holder.is_none() => {
            format!("nothing was committed; lock it first: git latch lock {paths}")
        }
        _ => unlock::hint(viewpoint, refusal, paths),
    }
}

fn tell(context: &Context, here: &Here, done: &CheckedIn) {
    if !done.left_out.is_empty() {
        let names = messages::first_lines(&done.left_out, |name| path(here, name));
        context.output.note(format!(
            "changed but left out, because not locked by you, or new and not staged:\n{names}"
        ));
    }
    if !done.new.is_empty() {
        let names = messages::first_lines(&done.new, |name| path(here, name));
        context.output.note(format!("new in this commit:\n{names}"));
    }
    if let Some(commit) = &done.commit {
        let commit = messages::short(commit);
        context
            .output
            .done(format!("{} {commit}", styled(GOOD, "committed")));
    }
    if let Some((remote, branch)) = &done.pushed {
        context
            .output
            .done(format!("{} to {remote}/{branch}", styled(GOOD, "pushed")));
    }
    for entry in &done.locks.unlocked {
        let path = messages::path_of_entry(here, entry);
        context
            .output
            .done(format!("{} {path}", styled(GOOD, "unlocked")));
    }
}
