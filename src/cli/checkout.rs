//! `git latch checkout`

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::Failure;
use super::interrupt::Interrupt;
use super::{Answer, lock, newer};
use git_latch::git::edits::Newer;
use git_latch::git::target::Target;
use git_latch::latch::{Against, Latch, LockOptions};
use git_latch::rules::error::{Code, Error, Result};
use git_latch::rules::lease::Acquired;
use git_latch::rules::report::Viewpoint;
use git_latch::rules::spelling::Here;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    taking: lock::LockArguments,
    /// Accept a working copy that is older than the newest version elsewhere
    #[arg(long)]
    stale_ok: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open()?;
        let targets = self.taking.targets(context, &latch)?;
        context.tell_news(&latch)?;
        // What is known to be stale is not even locked for a moment.
        if !self.stale_ok {
            let newer = latch.newer(&targets, Against::WhatIsKnown)?;
            if !newer.is_empty() {
                return Ok(stale(context, context.here(latch.repo()), &newer));
            }
        }
        let interrupt = match self.taking.wait {
            Some(_) => Interrupt::catch(),
            None => Interrupt::default(),
        };
        let options = LockOptions {
            reason: self.taking.message.clone(),
            ttl: self.taking.ttl,
            ..LockOptions::default()
        };
        let acquired = self
            .taking
            .take(context, &latch, &targets, &options, &interrupt)?;
        if interrupt.is_set() {
            return lock::interrupted(context, &latch, &acquired);
        }
        if acquired.refused.is_empty() && !self.stale_ok {
            // Under the lock: from here on nobody makes a newer one.
            let newer = newer_than(context, &latch, &targets, &acquired)?;
            if !newer.is_empty() {
                return Ok(stale(context, context.here(latch.repo()), &newer));
            }
        }
        if acquired.refused.is_empty() {
            latch.make_writable(&targets)?;
        }
        lock::note_by_hand(context, &latch, &acquired);
        let me = latch.me()?;
        let viewpoint = context.viewpoint(&latch, &me);
        Ok(told(context, &viewpoint, &acquired))
    }
}

/// What the remote has newer. Unless the answer is nothing, the locks are given back.
fn newer_than(
    context: &Context,
    latch: &Latch,
    targets: &[Target],
    acquired: &Acquired,
) -> Result<Vec<Newer>> {
    let newer = latch.newer(targets, Against::TheRemote);
    if !newer.as_ref().is_ok_and(Vec::is_empty) {
        latch.give_up(acquired, &context.clock)?;
    }
    newer.map_err(|error| match error {
        Error::Unreachable {
            remote, problem, ..
        } => Error::Unreachable {
            remote,
            problem: format!("{problem}; cannot tell whether the copy here is the newest, so nothing was locked (--stale-ok locks anyway)"),
            hint: None,
        },
        other => other,
    })
}

fn told(context: &Context, viewpoint: &Viewpoint<'_>, acquired: &Acquired) -> Answer {
    for taken in &acquired.locked {
        context.output.done(lock::line(viewpoint, taken));
    }
    let mut keys = lock::report(viewpoint, acquired);
    keys["stale"] = json!([]);
    Answer::with(keys, lock::failure(viewpoint, &acquired.refused))
}

/// The refusal of copies that are too old.
fn stale(context: &Context, here: &Here, newer: &[Newer]) -> Answer {
    let (message, hint) = (newer::sentence(context, here, newer), newer::advice(newer));
    let listed: Vec<Value> = newer
        .iter()
        .map(|n| {
            json!({
                "path": String::from_utf8_lossy(&n.path),
                "branch": n.branch,
                "commit": n.commit,
                "author": n.author,
                "at": git_latch::rules::time::rfc3339(n.at),
            })
        })
        .collect();
    let failure = Failure::new(Code::Stale, message, Some(hint));
    Answer::with(
        json!({"locked": [], "refused": [], "stale": listed}),
        Some(failure),
    )
}
