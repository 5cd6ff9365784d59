//! What a push edits, seen from where it arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::pushed::{RefUpdate, commits, git_without_replacements, of_commits};
use super::{Commit, Edit, differing_trees, lines, pathspec_of_bytes};
use crate::error::Result;
use crate::repo::Repo;

/// The edits of the commits that a push brings to this repository: those that no ref reaches yet.
///
/// On whatever ref: a commit that came aside of the branches would be no new one any more when a branch comes to it.
pub fn received(repo: &Repo, updates: &[RefUpdate]) -> Result<Vec<Edit>> {
    let tips: Vec<&str> = updates.iter().filter_map(RefUpdate::after).collect();
    if tips.is_empty() {
        return Ok(Vec::new());
    }
    let tips = commits(&git_without_replacements(repo), &tips)?;
    let tips: Vec<String> = tips.into_iter().flatten().collect();
    if tips.is_empty() {
        return Ok(Vec::new());
    }
    of_commits(repo, &tips, &["--not", "--all"])
}

/// The paths that the push changes on a ref though none of its new commits edits them: a merge that throws a change
/// away, a ref that is moved back or elsewhere. As edits of what the ref is to name.
pub fn taken_back(repo: &Repo, updates: &[RefUpdate], edits: &[Edit]) -> Result<Vec<Edit>> {
    let git = git_without_replacements(repo);
    let edited: BTreeSet<&[u8]> = edits.iter().map(|edit| edit.path.as_slice()).collect();
    let mut found = Vec::new();
    for update in updates {
        let (Some(old), Some(new)) = (update.before(), update.after()) else {
            continue;
        };
        let [Some(old), Some(new)] = &commits(&git, &[old, new])?[..] else {
            continue;
        };
        let differing = differing_trees(&git, old, new)?;
        let mut rest = differing
            .into_iter()
            .filter(|path| !edited.contains(path.as_slice()))
            .peekable();
        if rest.peek().is_none() {
            continue;
        }
        let told = git.output(&["log", "-1", "--format=%ae%n%ce", new, "--"])?;
        let people = lines(&told);
        let person = |n: usize| people.get(n).cloned().unwrap_or_default();
        let commit = Arc::new(Commit {
            oid: new.clone(),
            author: person(0),
            committer: person(1),
        });
        found.extend(rest.map(|path| Edit {
            path,
            commit: Some(Arc::clone(&commit)),
        }));
    }
    Ok(found)
}

/// Those of the paths, each with what a ref is to name, that no commit brings there: not even one that is known from
/// elsewhere, whose work is merged.
pub fn without_commit<'a>(
    repo: &Repo,
    updates: &[RefUpdate],
    among: &BTreeMap<&'a [u8], &str>,
) -> Result<BTreeSet<&'a [u8]>> {
    let git = git_without_replacements(repo);
    let mut found = BTreeSet::new();
    for (path, new) in among {
        let mut is_brought = false;
        for old in updates.iter().filter_map(RefUpdate::before) {
            let range = format!("{old}..{new}");
            let spec = pathspec_of_bytes(path);
            let ask = [
                "rev-list",
                "-1",
                "--no-merges",
                "--full-history",
                &range,
                "--",
            ];
            let mut arguments: Vec<&std::ffi::OsStr> =
                ask.iter().map(std::ffi::OsStr::new).collect();
            arguments.push(spec.as_os_str());
            is_brought |= !git.output(&arguments)?.is_empty();
        }
        if !is_brought {
            found.insert(*path);
        }
    }
    Ok(found)
}
