//! `git latch setup`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Answer;
use super::context::Context;
use super::output::{GOOD, styled};
use git_latch::hooks::{Outcome, Template};
use git_latch::rules::error::{Error, Result};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Undo it: later clones need `git latch init` again
    #[arg(long)]
    undo: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let data = data(context).ok_or_else(|| Error::Unsupported {
            problem: "there is no home directory to keep the template in".into(),
            hint: Some("set HOME".into()),
        })?;
        let template = Template::find(&context.directory, &data)?;
        let directory = template.directory().display().to_string();
        let outcome = if self.undo {
            template.undo()?
        } else {
            let binary = std::env::current_exe().map_err(Error::io("find", "git-latch"))?;
            template.set_up(&binary)?
        };
        let output = context.output;
        match &outcome {
            Outcome::Absent => output.done("there was nothing to undo"),
            Outcome::Removed => output.done(format!(
                "{} later clones are set up by `git latch init` again",
                styled(GOOD, "undone:")
            )),
            _ => output.done(format!(
                "{} every later clone that has a policy is protected from the start ({directory})",
                styled(GOOD, "set up:")
            )),
        }
        if !self.undo {
            tell_limits(context, &template)?;
        }
        Ok(Answer::done(json!({
            "template": template.directory(),
            "outcome": outcome.as_str(),
        })))
    }
}

/// Where programs keep data of their own.
fn data(context: &Context) -> Option<PathBuf> {
    let set = std::env::var_os("XDG_DATA_HOME").filter(|path| !path.is_empty());
    let usual = || Some(context.environment.home.home.as_ref()?.join(".local/share"));
    set.map(PathBuf::from).or_else(usual)
}

fn tell_limits(context: &Context, template: &Template) -> Result<()> {
    if let Some(hooks) = template.hidden_by()? {
        context.output.note(format!(
            "`core.hooksPath` in your configuration sends every repository to {}: git runs no hooks from the template",
            hooks.display()
        ));
    }
    if std::env::var_os("GIT_TEMPLATE_DIR").is_some() {
        context
            .output
            .note("GIT_TEMPLATE_DIR is set: git uses that template instead");
    }
    Ok(())
}
