//! `git latch sweep`

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::{Answer, messages};
use git_latch::latch::Whose;
use git_latch::rules::error::Result;

#[derive(Debug, Args)]
pub(super) struct Arguments {}

impl Arguments {
    #[expect(clippy::unused_self, reason = "every command is called alike")]
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open()?;
        context.tell_news(&latch)?;
        let swept = latch.sweep(Whose::Everybodys, &context.clock)?;
        let me = latch.reader()?;
        let viewpoint = context.viewpoint(&latch, &me);
        for entry in &swept {
            let whose = match entry.lock() {
                Some(lock) => format!("the expired lock of {}", lock.owner),
                None => "an unreadable lock that has expired".into(),
            };
            let path = messages::path_of_entry(viewpoint.here, entry);
            context.output.done(format!("removed {whose} on {path}"));
        }
        if swept.is_empty() {
            context.output.done("nothing has expired");
        }
        let swept: Vec<_> = swept.iter().map(|e| viewpoint.entry(e)).collect();
        Ok(Answer::done(json!({ "swept": swept })))
    }
}
