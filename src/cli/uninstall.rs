//! `git latch uninstall`

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::exit::Failure;
use super::output::{GOOD, styled};
use super::{Answer, messages};
use git_latch::git::command::split_nul;
use git_latch::git::repo::Repo;
use git_latch::hooks::{Hooks, Outcome};
use git_latch::latch::lockable::Settler;
use git_latch::latch::{Latch, link, policy};
use git_latch::os::paths::bytes_to_path;
use git_latch::rules::error::{Code, Error, Result};
use git_latch::rules::view::Entry;
use git_latch::store::{Scope, TreeDir};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Even while there are locks
    #[arg(long)]
    force: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let latch = context.open_to_set_up()?;
        if latch.repo().is_bare() {
            let hooks = Hooks::of(latch.repo())?.uninstall()?;
            let output = context.output;
            output.done(format!(
                "{} pushes are no longer checked",
                styled(GOOD, "uninstalled:")
            ));
            return Ok(Answer::done(json!({ "hooks": report(&hooks) })));
        }
        let root = latch.repo().root()?;
        // Nobody takes a lock that goes with the rest.
        let retirement = latch.local().retire(&context.clock)?;
        let shared = match latch.shared() {
            Some(_) => Some(latch.view(&Scope::All, &context.clock)?),
            None => None,
        };
        let view = shared.as_ref().unwrap_or(retirement.view());
        let me = latch.reader()?;
        let viewpoint = context.viewpoint(&latch, &me);
        let held = |entry: &Entry| {
            format!(
                "{} is held by {}",
                messages::path_of_entry(viewpoint.here, entry),
                messages::holder(&viewpoint, entry)
            )
        };
        let there: Vec<String> = view.live().map(held).collect();
        if let Some(first) = there.first().filter(|_| !self.force) {
            let message = format!("there are locks: {first}");
            let message = anstream::adapter::strip_str(&message).to_string();
            let hint = "unlock yours with `git latch unlock --all`, or drop them all: git latch uninstall --force";
            let failure = Failure::new(Code::Held, message, Some(hint.into()));
            return Ok(Answer::with(super::empty("uninstall"), Some(failure)));
        }
        let found = Hooks::of(latch.repo())?;
        let hooks = found.uninstall()?;
        for tree in working_trees(&latch)? {
            give_bits_back(&latch, &tree)?;
            link::remove(&tree, latch.repo().common_dir(), &latch.local().locks())?;
        }
        remove_records(&latch)?;
        retirement.remove()?;
        context.output.done(format!(
            "{} hooks, link and recorded state are gone",
            styled(GOOD, "uninstalled:")
        ));
        // What is shared stays where it is shared.
        if shared.is_none() && !there.is_empty() {
            let lines = messages::first_lines(&there, Clone::clone);
            context.output.note(format!("locks went with it:\n{lines}"));
        }
        for script in found.lines_left() {
            context.output.note(format!(
                "{} still calls git-latch and belongs to the team; remove the line once nobody uses git-latch any more",
                script.display()
            ));
        }
        if root.join(policy::FILE).exists() {
            let shown = context.here(latch.repo()).path(policy::FILE.as_bytes());
            context.output.note(format!(
                "{shown} stays: it belongs to the team; git rm {shown} removes it"
            ));
        }
        Ok(Answer::done(json!({ "hooks": report(&hooks) })))
    }
}

fn report(hooks: &[(&str, Outcome)]) -> Vec<serde_json::Value> {
    let one =
        |(name, outcome): &(&str, Outcome)| json!({"name": name, "outcome": outcome.as_str()});
    hooks.iter().map(one).collect()
}

/// The tops of all working trees of the repository.
fn working_trees(latch: &Latch) -> Result<Vec<PathBuf>> {
    let output = latch
        .repo()
        .git()
        .output(&["worktree", "list", "--porcelain", "-z"])?;
    let tops = split_nul(&output).filter_map(|line| line.strip_prefix(b"worktree "));
    let mut trees: Vec<PathBuf> = tops.map(bytes_to_path).collect();
    // A separate git dir or a submodule is listed by its git dir.
    trees.extend(latch.repo().root().map(PathBuf::from));
    trees.retain(|tree| tree.is_dir());
    Ok(trees)
}

/// The files of one working tree get back the write bits that were taken from them.
fn give_bits_back(latch: &Latch, tree: &Path) -> Result<()> {
    let repo = match Repo::discover(tree) {
        Ok(repo) if !repo.is_bare() && repo.common_dir() == latch.repo().common_dir() => repo,
        // Something else stands there now.
        _ => return Ok(()),
    };
    let mut settler = Settler::of(&repo)?;
    settler.give_back_all_but(&[])?;
    settler.finish(latch.sharing())
}

/// Removes what was recorded for each linked working tree.
fn remove_records(latch: &Latch) -> Result<()> {
    let common = latch.repo().common_dir();
    let linked = std::fs::read_dir(common.join("worktrees"));
    let directories: Vec<PathBuf> = linked
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    for directory in directories.iter().map(|d| TreeDir::of(d)) {
        match std::fs::remove_dir_all(directory.path()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", directory.path())(e));
            }
            _ => {}
        }
    }
    Ok(())
}
