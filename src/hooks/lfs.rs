//! Git LFS, which installs its hooks when it is first used, and gives up without a word where one stands. Then ours call
//! it: a push without it leaves the contents behind.

use std::fs;
use std::path::Path;

use super::place::{self, Way};
use super::script;
use crate::git::repo::Repo;
use crate::rules::error::Result;

/// The hooks that Git LFS has.
const HOOKS: [&str; 4] = ["pre-push", "post-checkout", "post-merge", "post-commit"];

/// Whether a hook of ours is to run Git LFS: the repository uses it, and neither the hook that was there before nor the
/// one that called us does.
///
/// `called` is our script as git, or another tool, called it; `None` where a line in a script of the team's did. `kept`
/// is the hook that was there before, where it runs.
pub fn is_left_to_us(
    repo: &Repo,
    name: &str,
    called: Option<&Path>,
    kept: Option<&Path>,
) -> Result<bool> {
    if !HOOKS.contains(&name) || !is_used(repo.common_dir()) {
        return Ok(false);
    }
    if kept.is_some_and(runs_it) {
        return Ok(false);
    }
    match called {
        Some(script) => Ok(!runs_it(&script.with_file_name(name))),
        None => is_left_to_a_line(repo, name),
    }
}

/// Git LFS keeps its objects in the repository, or notes where they are in the repository's configuration.
pub(super) fn is_used(common_dir: &Path) -> bool {
    common_dir.join("lfs").exists()
        || fs::read_to_string(common_dir.join("config")).is_ok_and(|text| {
            text.lines()
                .any(|line| line.trim_start().starts_with("[lfs"))
        })
}

fn runs_it(path: &Path) -> bool {
    // A link leads to the team's script.
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    script::version_of(&text).is_none() && script::runs_lfs(&text)
}

/// Where a line of a script runs us, the line that runs Git LFS finds nothing on standard input when ours was before it.
fn is_left_to_a_line(repo: &Repo, name: &str) -> Result<bool> {
    let directory = place::directory(repo)?;
    let path = match place::way(repo, &directory)? {
        Way::Lines(scripts) => scripts.join(name),
        Way::Scripts => directory.join(name),
    };
    let text = fs::read(&path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let is_starved = name == "pre-push"
        && script::calls_us(&text, name)
        && !script::lfs_is_first(&text, name)
        && !text.contains("lefthook");
    Ok(is_starved || !script::runs_lfs(&text))
}
