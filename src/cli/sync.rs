//! `git latch sync`

use clap::Args;
use serde_json::json;

use super::Answer;
use super::context::Context;
use super::output::{GOOD, styled};
use git_latch::rules::error::{Error, Result};
use git_latch::rules::time::{Clock as _, rfc3339};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Restore what was last seen on the remote, if its ref vanished or went back
    #[arg(long, conflicts_with = "reset")]
    restore: bool,
    /// Forget what was seen here, and accept what the remote has
    #[arg(long)]
    reset: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open()?;
        let Some(shared) = latch.shared() else {
            return Err(Error::BadUsage {
                problem: "locks are not shared here: the policy names no remote".into(),
                hint: Some("git latch init --remote origin".into()),
            });
        };
        if self.restore {
            shared.restore()?;
        }
        let synced = if self.reset {
            Some(shared.reset()?)
        } else {
            latch.sync(None, &context.clock)?
        };
        let (seq, changes) = synced.map_or((0, 0), |synced| (synced.seq, synced.changes));
        context.tell_news(&latch)?;
        context.tell_clocks(&latch);
        let what = match changes {
            _ if self.restore => "the lock ref is restored to what was last seen here".to_owned(),
            0 => "nothing new".to_owned(),
            1 => "1 lock changed".to_owned(),
            n => format!("{n} locks changed"),
        };
        context.output.done(format!(
            "{} with {}: {what}",
            styled(GOOD, "in step"),
            shared.remote()
        ));
        Ok(Answer::done(json!({
            "seq": seq,
            "changes": changes,
            "as_of": rfc3339(context.clock.now()),
        })))
    }
}
