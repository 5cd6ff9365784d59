//! `git latch log`

use std::ffi::OsString;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::output::{Cell, ago, table};
use super::{Answer, messages};
use git_latch::rules::error::Result;
use git_latch::rules::event::{Event, Happening};
use git_latch::rules::report::Viewpoint;
use git_latch::rules::time::Clock as _;

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
            context.output.note(format!(
                "{}; showing what was fetched {asked}",
                messages::said(context.here(latch.repo()), &error)
            ));
        }
        let history = latch.history()?;
        // In a bare repository there is nothing that paths would be relative to.
        let selection = match self.paths.as_slice() {
            [] => None,
            paths => Some(latch.select_past(&context.directory, paths)?),
        };
        let wanted = |event: &Event| {
            let own = &event.lock.claim;
            let is_named = selection.as_ref().is_none_or(|selection| {
                let mut parts = selection.parts().iter();
                parts.any(|part| part.is_held_by(own))
            });
            is_named && (self.all || event.happening != Happening::Renewed)
        };
        let events: Vec<Event> = history.into_iter().filter(wanted).collect();
        let me = latch.reader()?;
        let viewpoint = context.viewpoint(&latch, &me);
        let rows: Vec<Vec<Cell>> = events.iter().map(|e| row(&viewpoint, e)).collect();
        context.output.paged(&latch.repo().git(), &table(&rows));
        let events: Vec<_> = events.iter().map(|e| viewpoint.event(e)).collect();
        Ok(Answer::done(json!({ "events": events })))
    }
}

fn row(viewpoint: &Viewpoint<'_>, event: &Event) -> Vec<Cell> {
    let by = event
        .by
        .as_ref()
        .filter(|_| event.happening != Happening::Expired);
    let by = by.map(|by| format!("by {by}"));
    let from = match (event.happening, event.bereaved()) {
        (_, Some(owner)) => format!("from {owner}"),
        // Whoever found it to be over has not ended it.
        (Happening::Expired, None) => {
            let owner = event.lock.lock().map(|lock| format!("of {}", lock.owner));
            owner.unwrap_or_default()
        }
        _ => String::new(),
    };
    let reason = event.said().map(|r| format!("\"{r}\""));
    vec![
        Cell::dim(ago(event.at, viewpoint.now)),
        Cell::plain(event.happening.as_str()),
        Cell::path(
            viewpoint
                .here
                .named(event.path.as_bytes(), event.lock.claim.kind),
        ),
        Cell::plain(by.unwrap_or_default()),
        Cell::plain(from),
        Cell::dim(reason.unwrap_or_default()),
    ]
}
