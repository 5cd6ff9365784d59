//! `git latch status`

use std::ffi::OsString;

use clap::Args;
use serde_json::json;

use super::context::{Cached, Context};
use super::output::{ALERT, Cell, dim, path, styled, table};
use super::{Answer, messages};
use git_latch::latch::status::{Status, status};
use git_latch::latch::{Latch, Part, Selection};
use git_latch::rules::error::Result;
use git_latch::rules::path::Key;
use git_latch::rules::report::Viewpoint;
use git_latch::rules::spelling::{Here, argument};
use git_latch::rules::view::Entry;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Show who holds these files, directories or patterns, or anything in them, instead
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
    #[command(flatten)]
    cached: Cached,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open()?;
        context.tell_copy(&latch)?;
        if self.paths.is_empty() {
            context.tell_age(&latch);
            whole(context, &latch)
        } else {
            let selection = context.select(&latch, &self.paths)?;
            context.freshen(&latch, self.cached.asked());
            of_paths(context, &latch, &selection)
        }
    }
}

fn whole(context: &Context, latch: &Latch) -> Result<Answer> {
    let status = status(latch, &context.clock)?;
    let me = latch.reader()?;
    let viewpoint = context.viewpoint(latch, &me);
    show(context, &viewpoint, &status);
    for entry in status.view.live() {
        if let Some(ahead) = entry.clock_difference(viewpoint.now, viewpoint.terms) {
            context.output.note(format!(
                "the clock of {}'s holder is {} s ahead of this one",
                messages::path_of_entry(viewpoint.here, entry),
                ahead.num_seconds()
            ));
        }
    }
    let mine: Vec<_> = status.mine.iter().map(|e| viewpoint.entry(e)).collect();
    let lost: Vec<_> = status.lost.iter().map(|l| viewpoint.loss(l)).collect();
    let blocking: Vec<_> = status
        .blocking
        .iter()
        .map(|(path, e)| json!({"path": String::from_utf8_lossy(path), "holder": viewpoint.entry(e)}))
        .collect();
    Ok(Answer::done(
        json!({"mine": mine, "blocking": blocking, "lost": lost}),
    ))
}

fn show(context: &Context, viewpoint: &Viewpoint<'_>, status: &Status) {
    let output = context.output;
    let mut is_first = true;
    let mut section = |title: &str, hint: &str, lines: Vec<String>| {
        if lines.is_empty() {
            return;
        }
        if !is_first {
            output.result("");
        }
        is_first = false;
        output.result(title);
        output.result(dim(&format!("  ({hint})")));
        for line in lines {
            output.result(format!("    {line}"));
        }
    };
    let rows = |rows: Vec<Vec<Cell>>| table(&rows).lines().map(str::to_owned).collect();
    let mine = status
        .mine
        .iter()
        .map(|e| without_holder(messages::row(viewpoint, e)));
    section(
        "Locked by you:",
        "use \"git latch unlock <path>...\" to give them back",
        rows(mine.collect()),
    );
    let blocking = status.blocking.iter().map(|(file, entry)| {
        let mut row = messages::row(viewpoint, entry);
        row[0] = Cell::path(viewpoint.here.path(file));
        row
    });
    section(
        &styled(ALERT, "Changed by you, locked by others:"),
        "committing them is rejected; use \"git latch lock --wait <path>\", or undo the change",
        rows(blocking.collect()),
    );
    let unlocked = status.unlocked.iter();
    section(
        &styled(ALERT, "Changed by you, not locked:"),
        "they may only be edited under your lock; use \"git latch lock <path>...\"",
        unlocked.map(|file| path(viewpoint.here, file)).collect(),
    );
    let lost = status.lost.iter().map(|l| messages::loss(viewpoint, l));
    section(
        &styled(ALERT, "Lost:"),
        "see what others did meanwhile, then use \"git latch lock <path>...\", or \"unlock\" to forget",
        lost.collect(),
    );
    let others = status.view.live().filter(|e| !viewpoint.me.has(e)).count();
    if is_first {
        output.result("you have no locks, and nothing you have changed is locked by others");
    }
    if others > 0 {
        let locks = if others == 1 { "lock" } else { "locks" };
        output.result(dim(&format!(
            "{others} {locks} of others in all: git latch list"
        )));
    }
}

/// A row of one's own locks: who holds them is clear, unless a process does.
fn without_holder(mut row: Vec<Cell>) -> Vec<Cell> {
    if row[1].is("you") {
        row[1] = Cell::plain("");
    }
    row
}

/// A part of a selection as it is shown: the path that it names, else the argument.
fn named(here: &Here, part: &Part) -> String {
    part.named().map_or_else(
        || argument(part.argument.as_bytes()),
        |target| here.named(target.path.as_str().as_bytes(), target.kind),
    )
}

fn of_paths(context: &Context, latch: &Latch, selection: &Selection) -> Result<Answer> {
    let view = latch.view(&selection.scope(), &context.clock)?;
    let me = latch.reader()?;
    let viewpoint = context.viewpoint(latch, &me);
    let here = viewpoint.here;
    let (mut mine, mut blocking, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for part in selection.parts() {
        let holders: Vec<&Entry> = view.live().filter(|e| part.is_held_by(&e.claim)).collect();
        if holders.is_empty() {
            rows.push(vec![Cell::path(named(here, part)), Cell::dim("not locked")]);
        }
        for entry in holders {
            let mut row = messages::row(&viewpoint, entry);
            let from_above = part.covered(entry);
            if let Some(target) = from_above {
                let over = format!(
                    "by the lock on {}",
                    here.named(entry.path(), entry.claim.kind)
                );
                row[0] = Cell::path(here.named(target.path.as_str().as_bytes(), target.kind));
                row.push(Cell::dim(over));
            }
            rows.push(row);
            if me.has(entry) {
                mine.push(viewpoint.entry(entry));
            } else {
                let own = || entry.shown_path();
                let path = from_above.map_or_else(own, |target| target.path.to_string());
                blocking.push(json!({"path": path, "holder": viewpoint.entry(entry)}));
            }
        }
    }
    context.output.lines(&table(&rows));
    let is_named = |path: &str| selection.includes(&Key::of(path.as_bytes()));
    let lost = latch.explained(latch.losses(&context.clock)?);
    let lost: Vec<_> = lost.iter().filter(|l| is_named(&l.path)).collect();
    for loss in &lost {
        context.output.note(messages::loss(&viewpoint, loss));
    }
    let lost: Vec<_> = lost.into_iter().map(|l| viewpoint.loss(l)).collect();
    Ok(Answer::done(
        json!({"mine": mine, "blocking": blocking, "lost": lost}),
    ))
}
