//! `git latch init`

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::Failure;
use super::output::{GOOD, dim, styled};
use super::problems::{self, Problem};
use super::{Answer, messages};
use git_latch::hooks::{Global, Hooks, Outcome};
use git_latch::latch::{Latch, policy};
use git_latch::rules::error::{Code, Error, Result};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Share locks with other clones through this remote
    #[arg(long, value_name = "R")]
    remote: Option<String>,
    /// Check pushes into this bare repository: install the pre-receive hook
    #[arg(long, conflicts_with = "remote")]
    bare: bool,
    /// Install into a hooks directory that all of your repositories use
    #[arg(long)]
    force: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open_to_set_up()?;
        if self.bare {
            return self.run_bare(context, &latch);
        }
        context.tell_news(&latch)?;
        let root = latch.repo().root()?;
        let hooks = Hooks::of(latch.repo())?;
        let installed = self.install(&latch, &hooks)?;
        if self.remote.is_none() {
            latch.prepare()?;
        }
        let is_new = write_policy(&latch)?;
        let shares = match &self.remote {
            Some(remote) => share_through(&latch, remote)?,
            None => false,
        };
        // With the remote in the policy.
        let latch = context.open_to_set_up()?;
        latch.prepare()?;
        latch.sync(None, &context.clock)?;
        latch.settle_all(&latch.reader()?, &context.clock)?;
        let shown = context.here(latch.repo()).path(policy::FILE.as_bytes());
        self.tell_policy(context, &shown, is_new, shares);
        tell_hooks(context, &hooks, &installed);
        let keys = json!({
            "policy": {
                "path": root.join(policy::FILE),
                "outcome": if is_new { "created" } else { "kept" },
            },
            "link": root.join(git_latch::latch::link::NAME),
            "hooks": report(&hooks, &installed),
        });
        let problems = problems::of(context, &latch, &hooks)?;
        if !problems.is_empty() {
            return Ok(unprotected(context, keys, &problems));
        }
        context.output.done(format!(
            "{} this repository is protected",
            styled(GOOD, "ready:")
        ));
        if is_new {
            context.output.done(dim(&format!(
                "next: git add {shown} && git commit -m \"Use git-latch\" {shown}"
            )));
        }
        tell_nobody(context, &latch)?;
        Ok(Answer::done(keys))
    }

    fn tell_policy(&self, context: &Context, shown: &str, is_new: bool, shares: bool) {
        if is_new {
            context.output.done(format!(
                "{} {shown}: the team's rules, all commented out",
                styled(GOOD, "wrote")
            ));
        }
        if shares {
            let remote = self.remote.as_deref().unwrap_or_default();
            context.output.done(format!(
                "{} locks through {remote}, with every clone that has this policy",
                styled(GOOD, "sharing")
            ));
        }
    }

    /// Has pushes into a bare repository judged.
    fn run_bare(&self, context: &Context, latch: &Latch) -> Result<Answer> {
        if !latch.repo().is_bare() {
            return Err(Error::BadUsage {
                problem: "this is not a bare repository".into(),
                hint: Some(
                    "run `git latch init` here; --bare is for repositories that receive pushes"
                        .into(),
                ),
            });
        }
        let hooks = Hooks::of(latch.repo())?;
        let installed = self.install(latch, &hooks)?;
        tell_hooks(context, &hooks, &installed);
        if !latch.repo().has_head()? {
            context.output.note(
                "HEAD names no commit yet: until it does, no policy applies (git symbolic-ref HEAD refs/heads/NAME)",
            );
        }
        context.output.done(format!(
            "{} pushes into this repository are checked by the policy in the branch that HEAD names",
            styled(GOOD, "ready:")
        ));
        Ok(Answer::done(json!({
            "policy": null,
            "link": null,
            "hooks": report(&hooks, &installed),
        })))
    }

    fn install(&self, latch: &Latch, hooks: &Hooks) -> Result<Vec<(&'static str, Outcome)>> {
        let global = if self.force {
            Global::Accept
        } else {
            Global::Refuse
        };
        hooks.install(&binary()?, global, latch.sharing())
    }
}

/// Sets up a new clone of a repository that has a policy: what `init` does, but for what belongs to the team.
pub(super) fn set_up_clone(context: &Context, latch: &Latch) -> Result<()> {
    let hooks = Hooks::of(latch.repo())?;
    hooks.install(&binary()?, Global::Refuse, latch.sharing())?;
    latch.prepare()?;
    latch.settle_all(&latch.reader()?, &context.clock)?;
    let problems = problems::of(context, latch, &hooks)?;
    context.output.note(match problems.first() {
        None => "this clone has a policy for locks: git-latch has set it up",
        Some(_) => "this clone has a policy for locks and is not protected yet: git latch init",
    });
    context.tell_never_fetched(latch);
    Ok(())
}

/// Edits are judged without a name as well, but nobody without one takes a lock.
fn tell_nobody(context: &Context, latch: &Latch) -> Result<()> {
    if latch.reader()?.owner.id.is_empty() {
        let missing = Error::NoIdentity;
        let step = missing.advice(context.here(latch.repo()));
        context.output.hint(format!(
            "{missing}; before the first lock: {}",
            step.unwrap_or_default()
        ));
    }
    Ok(())
}

fn binary() -> Result<PathBuf> {
    std::env::current_exe().map_err(Error::io("find", "git-latch"))
}

/// What is left to the user is said, and that it is missing.
fn unprotected(context: &Context, keys: Value, problems: &[Problem]) -> Answer {
    for Problem { detail, mend } in problems {
        context.output.note(format!("{detail}\n      {mend}"));
    }
    let message = match problems.len() {
        1 => "this repository is not protected yet: 1 thing is left to do".to_owned(),
        n => format!("this repository is not protected yet: {n} things are left to do"),
    };
    let hint = "follow the steps above, then: git latch doctor";
    let failure = Failure::new(Code::Unsupported, message, Some(hint.into())).with_exit(1);
    Answer::with(keys, Some(failure))
}

fn report(hooks: &Hooks, installed: &[(&str, Outcome)]) -> Vec<Value> {
    let one = |(name, outcome): &(&str, Outcome)| match outcome {
        Outcome::AddLine(line) => {
            let file = hooks.line(name).map(|(file, _)| file);
            json!({"name": name, "outcome": outcome.as_str(), "line": line, "file": file})
        }
        _ => json!({"name": name, "outcome": outcome.as_str()}),
    };
    installed.iter().map(one).collect()
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

/// Puts the remote into the policy; says whether it was not there.
fn share_through(latch: &Latch, remote: &str) -> Result<bool> {
    let is_remote = |name: &str| -> Result<bool> {
        let asked = latch.repo().git().run(&["remote", "get-url", "--", name])?;
        Ok(asked.status.success())
    };
    if !is_remote(remote)? {
        return Err(Error::BadUsage {
            problem: format!("there is no remote `{remote}` here"),
            hint: Some(format!(
                "git remote add {} URL",
                messages::shell_word(remote)
            )),
        });
    }
    match latch.policy().share_remote.as_deref() {
        Some(there) if there == remote => return Ok(false),
        // This clone calls it something else.
        Some(there) if !is_remote(there)? => {
            latch
                .repo()
                .git()
                .output(&["config", "latch.remote", remote])?;
            return Ok(false);
        }
        Some(there) => {
            return Err(Error::BadUsage {
                problem: format!("the policy shares locks through `{there}`"),
                hint: Some(
                    "change `[share] remote` in .latch.toml by hand, for the whole team".into(),
                ),
            });
        }
        None => {}
    }
    let path = latch.repo().root()?.join(policy::FILE);
    let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let line = format!("remote = {}\n", serde_json::Value::from(remote));
    let text = match text.lines().position(|line| line.trim() == "[share]") {
        Some(at) => {
            let (before, after): (Vec<_>, Vec<_>) = text
                .split_inclusive('\n')
                .enumerate()
                .partition(|(n, _)| *n <= at);
            let part =
                |lines: Vec<(usize, &str)>| lines.into_iter().map(|(_, l)| l).collect::<String>();
            format!("{}{line}{}", part(before), part(after))
        }
        None => format!("{}\n[share]\n{line}", text.trim_end().to_owned() + "\n"),
    };
    std::fs::write(&path, text).map_err(Error::io("write", &path))?;
    Ok(true)
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
    let chained = named(|outcome| *outcome == Outcome::Chained);
    if !chained.is_empty() {
        context.output.note(format!(
            "existing hooks keep running, with git-latch: {chained}"
        ));
    }
}
