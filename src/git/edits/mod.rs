//! What was edited: in the index, in the commits of a push, in a range of commits.
//!
//! Edited means added, changed, deleted, renamed from or to, or of another mode or type. All of it is asked of the
//! `git` command, whose answers hold for every kind of index and repository; paths are git's bytes. Whether an edit is
//! against somebody's lock is not decided here but in [`crate::rules::judge`].
//!
//! Not seen before a push: what a forced push takes back, and a change that an already committed merge threw away. Where
//! a push arrives ([`crate::hooks::receive`]) refs are judged by what they say, and it is.

mod pushed;
mod staged;
mod unfinished;
mod upstream;
mod versions;

use std::collections::BTreeSet;

pub use pushed::{Push, parse_received, parse_updates};
pub(crate) use pushed::{RefUpdate, additions, range, unchanged_at_tip};
pub(crate) use staged::as_upstream;
pub use staged::{StagedQuery, heads_in_environment};
pub use unfinished::State;
pub(crate) use unfinished::{
    Changed, Saved, changed, changed_files, is_combining, is_git_at_work, saved,
};
pub(crate) use upstream::work_in_progress;
pub use versions::Newer;
pub(crate) use versions::{Others, may_be_newer, newer, unpushed_files};
pub(crate) use versions::{contents, tracked_below, written};

use crate::git::command::{Git, split_nul};
use crate::rules::error::Result;

/// What every comparison is asked: paths as they are, both names of a rename, and submodules whatever `.gitmodules`
/// says about ignoring them.
const NAMES: [&str; 4] = [
    "--no-renames",
    "--ignore-submodules=none",
    "--name-only",
    "-z",
];

/// The paths of a NUL-separated output.
fn paths(output: &[u8]) -> BTreeSet<Vec<u8>> {
    split_nul(output).map(<[u8]>::to_vec).collect()
}

/// The lines of an output of object ids and names of refs.
fn lines(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    text.lines().map(str::to_owned).collect()
}

/// The paths in which two commits differ.
fn differing_trees(git: &Git, one: &str, other: &str) -> Result<BTreeSet<Vec<u8>>> {
    let mut arguments = vec!["diff-tree", "-r"];
    arguments.extend(NAMES);
    arguments.extend([one, other, "--"]);
    Ok(paths(&git.output(&arguments)?))
}

/// Whether a word is an object id of either hash.
fn is_oid(word: &str) -> bool {
    matches!(word.len(), 40 | 64) && word.bytes().all(|b| b.is_ascii_hexdigit())
}
