//! `git latch checkin`

use std::ffi::OsString;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::output::{GOOD, styled};
use super::{Answer, unlock, words};
use git_latch::error::Result;
use git_latch::latch::{CheckedIn, Checkin};
use git_latch::path::Here;
use git_latch::target::Unknown;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Locked files or directories
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<OsString>,
    /// The commit's message; without one, your editor asks for it
    #[arg(short, long, value_name = "MSG")]
    message: Option<String>,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open()?;
        let targets = context.targets(&latch, &self.paths, Unknown::Accept)?;
        context.tell_news(&latch)?;
        let checkin = Checkin {
            targets: &targets,
            message: self.message.as_deref(),
        };
        let done = latch.checkin(&checkin, &context.clock)?;
        tell(context, context.here(latch.repo()), &done);
        let me = latch.me()?;
        let viewpoint = context.viewpoint(&latch, &me);
        let mut keys = unlock::report(&viewpoint, &done.locks);
        keys["commit"] = json!(done.commit);
        Ok(Answer::with(keys, unlock::failure(&viewpoint, &done.locks)))
    }
}

fn tell(context: &Context, here: &Here, done: &CheckedIn) {
    if let Some(commit) = &done.commit {
        let commit = words::short(commit);
        context
            .output
            .done(format!("{} {commit}", styled(GOOD, "committed")));
    }
    if let (Some((remote, branch)), true) = (&done.pushed, done.locks.refused.is_empty()) {
        context
            .output
            .done(format!("{} to {remote}/{branch}", styled(GOOD, "pushed")));
    }
    for entry in &done.locks.unlocked {
        let path = words::path_of_entry(here, entry);
        context
            .output
            .done(format!("{} {path}", styled(GOOD, "unlocked")));
    }
}
