//! What keeps a repository's hooks from running, and how to mend it: for `init` and `doctor`.

use std::path::Path;

use super::context::Context;
use super::messages;
use git_latch::hooks::{Hooks, State};
use git_latch::latch::Latch;
use git_latch::os::paths::path_to_bytes;
use git_latch::rules::error::Result;

/// Something that keeps a hook from running.
pub(super) struct Problem {
    /// What is wrong.
    pub(super) detail: String,
    /// What mends it.
    pub(super) mend: String,
}

/// What is wrong with the hooks of a repository.
pub(super) fn of(context: &Context, latch: &Latch, hooks: &Hooks) -> Result<Vec<Problem>> {
    let mend = if latch.repo().is_bare() {
        "git latch init --bare"
    } else {
        "git latch init"
    };
    let states = hooks.states()?;
    let missing: Vec<&str> = states
        .iter()
        .filter(|(_, state)| *state == State::Missing)
        .map(|(name, _)| *name)
        .collect();
    let here = context.here(latch.repo());
    let shown = |path: &Path| match latch.repo().root().map(|root| path.strip_prefix(root)) {
        Ok(Ok(inside)) => here.path(&path_to_bytes(inside)),
        _ => messages::shell_word(&path.to_string_lossy()),
    };
    let mut problems: Vec<Problem> = states
        .iter()
        .filter_map(|(name, state)| problem(hooks, name, *state, mend, &shown))
        .collect();
    if !missing.is_empty() {
        problems.push(Problem {
            detail: format!("not installed: {}", missing.join(", ")),
            mend: mend.into(),
        });
    }
    let by_line = states
        .iter()
        .any(|(name, state)| *state == State::Called && hooks.line(name).is_some());
    if by_line && !is_on_path() {
        problems.push(Problem {
            detail: "the hooks of this repository call git-latch, which is not on your PATH".into(),
            mend: "add the directory that has it to your PATH".into(),
        });
    }
    Ok(problems)
}

fn problem(
    hooks: &Hooks,
    name: &str,
    state: State,
    mend: &str,
    shown: &dyn Fn(&Path) -> String,
) -> Option<Problem> {
    let line = hooks.line(name);
    let (detail, mend) = match (state, line) {
        (State::Right | State::Called | State::Missing, _) => return None,
        (State::Outdated, _) => (
            format!("{name} is of another version of git-latch"),
            mend.to_owned(),
        ),
        (State::NotExecutable, Some((file, _))) => (
            format!("{} is not executable: git ignores it", shown(&file)),
            format!("chmod +x {}", shown(&file)),
        ),
        (State::NotExecutable, None) => (
            format!("{name} is not executable: git ignores it"),
            mend.to_owned(),
        ),
        (State::LineTooLate, Some((file, line))) => (
            format!(
                "{} runs Git LFS before git-latch, which then finds nothing to read",
                shown(&file)
            ),
            format!("move this line to its beginning: {line}"),
        ),
        (_, Some((file, line))) if file.exists() => (
            format!("{} does not call git-latch", shown(&file)),
            format!("add this line at its beginning, after the line that starts with #!: {line}"),
        ),
        (_, Some((file, line))) => {
            let file = shown(&file);
            (
                format!("{file} is missing: it must call git-latch"),
                format!("printf '#!/bin/sh\\n%s\\n' '{line}' >{file} && chmod +x {file}"),
            )
        }
        (_, None) => (
            format!("{name} was replaced by another tool: it does not call git-latch"),
            mend.to_owned(),
        ),
    };
    Some(Problem { detail, mend })
}

fn is_on_path() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| {
        let program = directory.join(format!("git-latch{}", std::env::consts::EXE_SUFFIX));
        program.is_file()
    })
}
