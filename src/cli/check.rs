//! `git latch check`

use std::ffi::OsString;

use clap::Args;
use serde_json::{Value, json};

use super::context::{Asked, Cached, Context};
use super::exit::Failure;
use super::output::path;
use super::{Answer, messages};
use git_latch::latch::{Latch, check};
use git_latch::rules::error::{Code, Result};
use git_latch::rules::judge::Violation;
use git_latch::rules::report::Viewpoint;
use git_latch::rules::spelling::Here;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Judge these files, directories or patterns as if what they cover were edited
    #[arg(value_name = "PATH", conflicts_with_all = ["staged", "range"])]
    paths: Vec<OsString>,
    /// Judge what is staged (the default)
    #[arg(long, conflicts_with = "range")]
    staged: bool,
    /// Judge commits, each as its author
    #[arg(long, value_name = "A..B")]
    range: Option<String>,
    #[command(flatten)]
    cached: Cached,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open()?;
        let violations = self.violations(context, &latch)?;
        context.tell_news(&latch)?;
        let me = latch.reader()?;
        let viewpoint = context.viewpoint(&latch, &me);
        let listed: Vec<Value> = violations.iter().map(|v| report(&viewpoint, v)).collect();
        let keys = json!({"ok": violations.is_empty(), "violations": listed});
        let Some(first) = violations.first() else {
            context.output.done("nothing here would be rejected");
            return Ok(Answer::done(keys));
        };
        context.output.result(lines(&viewpoint, &violations));
        // Whoever names paths asks beforehand: nothing need be edited yet.
        let edits = if self.paths.is_empty() {
            "the edit"
        } else {
            "an edit"
        };
        let these = match violations.len() {
            1 => "1 path".to_owned(),
            n => format!("{n} paths"),
        };
        let hint = match first.code {
            Code::Held if !self.paths.is_empty() => Some(format!(
                "wait until it is free: git latch lock --wait {}",
                alike(viewpoint.here, &violations, first)
            )),
            _ => advice(&latch, viewpoint.here, &violations),
        };
        let message = format!("{edits} of {these} would be rejected");
        let failure = Failure::new(first.code, message, hint);
        Ok(Answer::with(keys, Some(failure)))
    }

    fn violations(&self, context: &Context, latch: &Latch) -> Result<Vec<Violation>> {
        if let Some(range) = &self.range {
            // Where it runs, on a build server, nobody has fetched the locks.
            match self.cached.asked() {
                Asked::TheRemote => context.refresh(latch),
                Asked::WhatIsKnown => context.tell_age(latch),
            }
            return check::range(latch, range, &context.clock);
        }
        if self.paths.is_empty() {
            context.tell_age(latch);
            return check::staged(latch, &[], &context.clock);
        }
        let selection = context.select(latch, &self.paths)?;
        context.freshen(latch, self.cached.asked());
        check::selected(latch, &selection, &context.clock)
    }
}

fn report(viewpoint: &Viewpoint<'_>, violation: &Violation) -> Value {
    let mut object = json!({
        "path": String::from_utf8_lossy(&violation.path),
        "code": violation.code.as_str(),
    });
    if let Some(holder) = &violation.holder {
        object["holder"] = json!(viewpoint.entry(holder));
    }
    if let Some(commit) = &violation.commit {
        object["commit"] = json!(commit.oid);
    }
    object
}

/// What is wrong with edits: half a sentence, to go on from "this commit" or "this push", and lines.
pub(super) fn charge(viewpoint: &Viewpoint<'_>, violations: &[Violation]) -> String {
    let what = if violations.iter().all(|v| v.code == Code::Required) {
        "edits files that may only be edited under a lock"
    } else {
        "edits files that others have locked"
    };
    format!("{what}\n{}", lines(viewpoint, violations))
}

/// A line for each violation, the first twenty, and a count.
fn lines(viewpoint: &Viewpoint<'_>, violations: &[Violation]) -> String {
    messages::first_lines(violations, |violation| line(viewpoint, violation))
}

fn line(viewpoint: &Viewpoint<'_>, violation: &Violation) -> String {
    let commit = violation
        .commit
        .as_ref()
        .map(|commit| format!(" (commit {})", messages::short(&commit.oid)));
    let on = violation.reference.as_deref().map(|name| {
        let name = name.strip_prefix("refs/heads/").unwrap_or(name);
        format!(
            " (on {})",
            git_latch::rules::spelling::escaped(name.as_bytes())
        )
    });
    let what = match &violation.holder {
        Some(entry) if entry.lock().is_none() => {
            format!(
                "blocked by an unreadable lock: {}",
                messages::terms(viewpoint, entry)
            )
        }
        Some(entry) => {
            let covers = entry.claim.key != git_latch::rules::path::Key::of(&violation.path);
            let with = if covers {
                format!(" with {}", messages::path_of_entry(viewpoint.here, entry))
            } else {
                String::new()
            };
            format!(
                "locked{with} by {}, {}",
                messages::holder(viewpoint, entry),
                messages::terms(viewpoint, entry)
            )
        }
        None => "may only be edited under your lock, and is not locked".into(),
    };
    format!(
        "{}{}: {what}",
        path(viewpoint.here, &violation.path),
        commit.or(on).unwrap_or_default()
    )
}

/// The next step against the first of these violations, and against all that are like it.
pub(super) fn advice(latch: &Latch, here: &Here, violations: &[Violation]) -> Option<String> {
    let first = violations.first()?;
    if first.code != Code::Held || !is_staged(first) {
        return advice_on_push(here, violations);
    }
    let names = alike(here, violations, first);
    // Without a commit there is nothing to restore from.
    let leave_out = match latch.repo().has_head() {
        Ok(false) => "git rm --cached",
        _ => "git restore --staged",
    };
    Some(format!(
        "leave it out ({leave_out} {names}), or wait until it is free (git latch lock --wait {names})"
    ))
}

/// The same where commits break the rules.
pub(super) fn advice_on_push(here: &Here, violations: &[Violation]) -> Option<String> {
    let first = violations.first()?;
    let names = alike(here, violations, first);
    Some(match first.code {
        Code::Required => format!("git latch lock {names}"),
        _ => format!("ask the holder, or wait until it is free: git latch lock --wait {names}"),
    })
}

fn is_staged(violation: &Violation) -> bool {
    violation.commit.is_none() && violation.reference.is_none()
}

/// The paths of those that break the same rule, as arguments.
fn alike(here: &Here, violations: &[Violation], first: &Violation) -> String {
    let alike = violations.iter().filter(|v| v.code == first.code);
    messages::arguments(here, alike.map(|v| v.path.as_slice()))
}
