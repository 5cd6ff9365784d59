//! `git latch init`

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::output::{GOOD, dim, styled};
use super::{Answer, words};
use git_latch::error::{Error, Result};
use git_latch::hooks::{Global, Hooks, Outcome};
use git_latch::latch::Latch;
use git_latch::{lockable, policy};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Install into a hooks directory that all of your repositories use
    #[arg(long)]
    force: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open()?;
        context.tell_news(&latch)?;
        let root = latch.repo().root()?;
        let hooks = Hooks::of(latch.repo())?;
        let global = if self.force {
            Global::Accept
        } else {
            Global::Refuse
        };
        let binary = std::env::current_exe().map_err(Error::io("find", "git-latch"))?;
        let installed = hooks.install(&binary, global, latch.sharing())?;
        latch.prepare()?;
        let is_new = write_policy(&latch)?;
        if latch.notice_lockable_files()? {
            let paths = lockable::all(latch.repo())?;
            latch.settle(&paths, &latch.reader()?, &context.clock)?;
        }
        let output = context.output;
        let policy_file = root.join(policy::FILE);
        let shown = words::shell_word(policy::FILE);
        if is_new {
            output.done(format!(
                "{} {shown}: the team's rules, all commented out",
                styled(GOOD, "wrote")
            ));
        }
        tell_hooks(context, &hooks, &installed);
        output.done(format!(
            "{} this repository is protected",
            styled(GOOD, "ready:")
        ));
        if is_new {
            output.done(dim(&format!(
                "next: git add {shown} && git commit -m \"Use git-latch\" {shown}"
            )));
        }
        let report: Vec<_> = installed
            .iter()
            .map(|(name, outcome)| match outcome {
                Outcome::AddLine(line) => {
                    json!({"name": name, "outcome": outcome.as_str(), "line": line})
                }
                _ => json!({"name": name, "outcome": outcome.as_str()}),
            })
            .collect();
        Ok(Answer::done(json!({
            "policy": {"path": policy_file, "outcome": if is_new { "created" } else { "kept" }},
            "link": root.join(git_latch::link::NAME),
            "hooks": report,
        })))
    }
}

/// Writes the policy, every line of it commented out; says whether there was none.
fn write_policy(latch: &Latch) -> Result<bool> {
    if latch
        .policy()
        .source
        .as_deref()
        .is_some_and(|path| path.ends_with(policy::FILE))
    {
        return Ok(false);
    }
    let path = latch.repo().root()?.join(policy::FILE);
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    match file.and_then(|mut file| file.write_all(policy::TEMPLATE.as_bytes())) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(Error::io("write", path)(e)),
    }
}

fn tell_hooks(context: &Context, hooks: &Hooks, installed: &[(&str, Outcome)]) {
    let directory = hooks.directory().display();
    let named = |wanted: fn(&Outcome) -> bool| {
        let names = installed.iter().filter(|(_, outcome)| wanted(outcome));
        names.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    let is_done = |outcome: &Outcome| {
        matches!(
            outcome,
            Outcome::Installed | Outcome::Upgraded | Outcome::Chained
        )
    };
    let done = named(is_done);
    if !done.is_empty() {
        context
            .output
            .done(format!("{} in {directory}: {done}", styled(GOOD, "hooks")));
    }
    for (name, outcome) in installed {
        match outcome {
            Outcome::Chained => context.output.note(format!(
                "the {name} hook that was there is kept as {name}.legacy, and runs first"
            )),
            Outcome::AddLine(line) => context.output.note(format!(
                "{directory} is tracked by git: add this line to {directory}/{name}: {line}"
            )),
            _ => {}
        }
    }
}
