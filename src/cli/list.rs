//! `git latch list`

use std::ffi::OsString;

use clap::Args;
use serde::{Serialize, Serializer};

use super::context::{Cached, Context};
use super::{Answer, messages};
use git_latch::rules::error::Result;
use git_latch::rules::lock::is_or_below;
use git_latch::rules::path::{Claim, Kind};
use git_latch::rules::report::Viewpoint;
use git_latch::rules::time::rfc3339;
use git_latch::rules::view::{Entry, Me};
use git_latch::store::Scope;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only locks of mine in this working tree
    #[arg(long)]
    mine: bool,
    /// Only locks of this owner and their agents
    #[arg(long, value_name = "ID")]
    owner: Option<String>,
    /// Only locks in this directory, and those that cover it
    #[arg(long, value_name = "DIR")]
    under: Option<OsString>,
    #[command(flatten)]
    cached: Cached,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open()?;
        context.freshen(&latch, self.cached.asked());
        context.tell_news(&latch)?;
        let me = latch.reader()?;
        let scope = match &self.under {
            Some(directory) => Scope::Claims(
                context
                    .select(&latch, &[directory])?
                    .targets()
                    .map(|target| Claim::new(&target.path, Kind::Directory))
                    .collect(),
            ),
            None => Scope::All,
        };
        let view = latch.view(&scope, &context.clock)?;
        // It is forgotten in the end, as the process ends: to free a hundred thousand locks one by one takes a tenth of the
        // whole.
        let mut entries: Vec<&Entry> = view.live().filter(|e| self.wants(e, &me)).collect();
        entries.sort_by_cached_key(|e| e.shown_path());
        let viewpoint = context.viewpoint(&latch, &me);
        if context.output.json {
            super::output::object(&Listed {
                locks: Locks {
                    viewpoint,
                    entries: &entries,
                },
                seq: view.seq,
                as_of: match latch.shared() {
                    Some(shared) => shared.synced_at().map(rfc3339),
                    None => Some(rfc3339(view.now)),
                },
            });
            std::mem::forget(view);
            return Ok(Answer::silent(0));
        }
        let rows: Vec<_> = entries
            .iter()
            .map(|e| messages::row(&viewpoint, e))
            .collect();
        context
            .output
            .paged(&latch.repo().git(), &super::output::table(&rows));
        if rows.is_empty() {
            context.output.progress("no locks");
        }
        std::mem::forget((rows, view));
        Ok(Answer::silent(0))
    }

    fn wants(&self, entry: &Entry, me: &Me) -> bool {
        let is_owners = |id: &String| {
            entry
                .lock()
                .is_some_and(|lock| is_or_below(&lock.owner.id, id))
        };
        (!self.mine || me.has(entry)) && self.owner.as_ref().is_none_or(is_owners)
    }
}

/// The JSON of `list`.
#[derive(Serialize)]
struct Listed<'a> {
    locks: Locks<'a>,
    seq: u64,
    /// When the locks were so: of shared ones, when they were fetched.
    as_of: Option<String>,
}

/// Locks that are shown one after the other: a hundred thousand of them are never in memory as JSON.
struct Locks<'a> {
    viewpoint: Viewpoint<'a>,
    entries: &'a [&'a Entry],
}

impl Serialize for Locks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.entries.iter().map(|entry| self.viewpoint.entry(entry)))
    }
}
