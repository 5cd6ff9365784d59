//! `git latch log`

use std::ffi::OsString;

use clap::Args;
use serde_json::{Value, json};

use super::Answer;
use super::context::Context;
use super::output::{Cell, ago, table};
use git_latch::error::{Error, Result};
use git_latch::path::Claim;
use git_latch::report::Viewpoint;
use git_latch::store::shared::{Event, Happening};
use git_latch::target::{Target, Unknown};
use git_latch::time::{Clock as _, rfc3339};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only what happened to these paths and what lies below them
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
    /// Also heartbeats
    #[arg(long)]
    all: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open()?;
        if let (Some(shared), Err(error)) = (latch.shared(), latch.sync(None, &context.clock)) {
            let asked = shared
                .synced_at()
                .map_or("never".into(), |at| ago(at, context.clock.now()));
            context
                .output
                .note(format!("{error}; this is what was fetched {asked}"));
        }
        let Some(history) = latch.history()? else {
            return Err(Error::BadUsage {
                problem: "only shared locks have a history, and locks are not shared here".into(),
                hint: Some("git latch init --remote origin".into()),
            });
        };
        // In a bare repository there is nothing that paths would be relative to.
        let targets = match self.paths.as_slice() {
            [] => Vec::new(),
            paths => context.targets(&latch, paths, Unknown::Accept)?,
        };
        let claims: Vec<Claim> = targets.iter().map(Target::claim).collect();
        let wanted = |event: &Event| {
            let own = event.lock.claim();
            let is_named = claims.is_empty()
                || claims
                    .iter()
                    .any(|c| c.overlaps(&own) || c.key.is_above(&own.key));
            is_named && (self.all || event.happening != Happening::Renewed)
        };
        let events: Vec<Event> = history.into_iter().filter(wanted).collect();
        let me = latch.reader()?;
        let viewpoint = context.viewpoint(&latch, &me);
        let rows: Vec<Vec<Cell>> = events.iter().map(|e| row(&viewpoint, e)).collect();
        context.output.lines(&table(&rows));
        let events: Vec<Value> = events.iter().map(|e| report(&viewpoint, e)).collect();
        Ok(Answer::done(json!({ "events": events })))
    }
}

fn row(viewpoint: &Viewpoint<'_>, event: &Event) -> Vec<Cell> {
    let (name, id) = &event.by;
    let by = if name == id {
        id.clone()
    } else {
        format!("{name} <{id}>")
    };
    let from = match (&event.previous, event.happening) {
        (Some(previous), Happening::Stolen) => format!("from {}", previous.owner),
        _ => String::new(),
    };
    let reason = event.lock.reason.as_ref().map(|r| format!("\"{r}\""));
    vec![
        Cell::dim(ago(event.at, viewpoint.now)),
        Cell::plain(event.happening.as_str()),
        Cell::path(event.lock.path.as_str().as_bytes()),
        Cell::plain(format!("by {by}")),
        Cell::plain(from),
        Cell::dim(reason.unwrap_or_default()),
    ]
}

fn report(viewpoint: &Viewpoint<'_>, event: &Event) -> Value {
    let (name, id) = &event.by;
    let mut object = json!({
        "seq": event.seq,
        "event": event.happening.as_str(),
        "at": rfc3339(event.at),
        "path": event.lock.path,
        "lock": viewpoint.lock(&event.lock),
        "by": {"id": id, "name": name},
    });
    if let Some(previous) = &event.previous {
        object["previous"] = json!(viewpoint.lock(previous));
    }
    object
}
