//! `git latch renew`

use std::ffi::OsString;

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::{self, Failure};
use super::output::{GOOD, path, styled, until, wall};
use super::{Answer, messages};
use git_latch::latch::RenewOutcome;
use git_latch::rules::error::{Code, Result};
use git_latch::rules::loss::Loss;
use git_latch::rules::report::Viewpoint;
use git_latch::rules::time::{Ttl, rfc3339};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What is locked by me on and below these paths, or matched by these patterns; all of mine where none is named
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
    /// Let the lease end this long from now, unless it lives longer already
    #[arg(long, value_name = "D", value_parser = Ttl::typed)]
    ttl: Option<Ttl>,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open()?;
        let me = latch.me()?;
        let selection = match self.paths.as_slice() {
            [] => None,
            paths => Some(context.select(&latch, paths)?),
        };
        context.tell_copy(&latch)?;
        let answer = latch.renew(selection.as_ref(), self.ttl, &context.clock)?;
        let losses = latch.losses(&context.clock)?;
        let viewpoint = context.viewpoint(&latch, &me);
        for lock in &answer.renewed {
            let end = lock.expires_at();
            let ends = match end {
                Some(at) => format!("until {} ({})", wall(at), until(end, viewpoint.now)),
                None => "until it is unlocked".into(),
            };
            let line = format!(
                "{} {} {ends}",
                styled(GOOD, "renewed"),
                messages::path_of(viewpoint.here, lock)
            );
            context.output.done(line);
        }
        if selection.is_none() && answer.renewed.is_empty() && answer.lost.is_empty() {
            context.output.done("you have no locks");
        }
        Ok(Answer::with(
            report(&viewpoint, &answer, &losses),
            failure(&viewpoint, &answer, &losses),
        ))
    }
}

fn report(viewpoint: &Viewpoint<'_>, answer: &RenewOutcome, losses: &[Loss]) -> Value {
    let renewed: Vec<_> = answer.renewed.iter().map(|l| viewpoint.lock(l)).collect();
    let lost: Vec<Value> = answer
        .lost
        .iter()
        .map(|(path, lease, by)| {
            let known = losses.iter().find(|loss| loss.lease == *lease);
            known.map_or_else(
                || {
                    let by = by.as_ref().map(|entry| viewpoint.entry(entry));
                    let reason = if by.is_some() { "stolen" } else { "expired" };
                    json!({"path": path, "lease": lease, "by": by, "at": rfc3339(viewpoint.now), "reason": reason})
                },
                |loss| json!(viewpoint.loss(loss)),
            )
        })
        .collect();
    let refused: Vec<_> = answer
        .refused
        .iter()
        .map(|r| viewpoint.refusal(r))
        .collect();
    json!({"renewed": renewed, "lost": lost, "refused": refused})
}

fn failure(viewpoint: &Viewpoint<'_>, answer: &RenewOutcome, losses: &[Loss]) -> Option<Failure> {
    let Some((first, _, _)) = answer.lost.first() else {
        return messages::refused(
            viewpoint,
            &answer.refused,
            |refusal, paths| match &refusal.holder {
                Some(_) => format!("wait until it is free: git latch lock --wait {paths}"),
                None => format!("git latch lock {paths}"),
            },
        );
    };
    let lines = answer.lost.iter().take(messages::LISTED);
    let lines: Vec<String> = lines
        .map(|(lost, lease, by)| {
            let known = losses.iter().find(|loss| loss.lease == *lease);
            match (known, by) {
                (Some(loss), _) => messages::loss(viewpoint, loss),
                (None, Some(by)) => format!(
                    "{} is not yours any more; now it is locked by {}",
                    path(viewpoint.here, lost.as_str().as_bytes()),
                    messages::holder(viewpoint, by)
                ),
                (None, None) => format!(
                    "{} is not yours any more",
                    path(viewpoint.here, lost.as_str().as_bytes())
                ),
            }
        })
        .collect();
    let message = anstream::adapter::strip_str(&lines.join("\n       ")).to_string();
    let hint = format!(
        "see what others did with it meanwhile, then: git latch lock {}",
        viewpoint.here.path(first.as_str().as_bytes())
    );
    Some(Failure::new(Code::Lost, message, Some(hint)).with_exit(exit::of(Code::Lost)))
}
