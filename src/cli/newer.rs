//! How it is said that somebody has a newer version of a file than the copy here.

use super::context::Context;
use super::messages;
use super::output::{ago, path};
use git_latch::git::edits::Newer;
use git_latch::rules::spelling::Here;
use git_latch::rules::time::Clock as _;

/// What is newer than the copies here.
pub(super) fn sentence(context: &Context, here: &Here, newer: &[Newer]) -> String {
    let now = context.clock.now();
    let line = |newer: &Newer| {
        format!(
            "{} is newer on {}: commit {} by {}, {}",
            path(here, &newer.path),
            newer.branch,
            messages::short(&newer.commit),
            newer.author,
            ago(newer.at, now)
        )
    };
    let message = match newer {
        [one] => line(one),
        many => format!(
            "{} files are newer elsewhere\n{}",
            many.len(),
            messages::first_lines(many, line)
        ),
    };
    messages::plain(&message)
}

/// How to get what is newer.
pub(super) fn advice(newer: &[Newer]) -> String {
    let first = &newer[0];
    let is_one = newer.iter().all(|n| n.branch == first.branch);
    let own = |remote: &str| {
        let name = first.branch.strip_prefix(remote);
        name.and_then(|name| name.strip_prefix('/'))
            .map(str::to_owned)
    };
    match &first.remote {
        Some(remote) if !is_one => format!("git fetch {remote}, and merge what is missing"),
        Some(remote) => format!(
            "git pull {} {}",
            messages::shell_word(remote),
            messages::shell_word(&own(remote).unwrap_or_default())
        ),
        None if !is_one => "merge what is missing".into(),
        None => format!("git merge {}", messages::shell_word(&first.branch)),
    }
}
