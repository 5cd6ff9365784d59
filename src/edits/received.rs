//! What a push edits, seen from where it arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::pushed::{RefUpdate, commits, git_without_replacements, of_commits};
use super::{Commit, Edit, differing_trees, lines};
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

/// Who has authored the versions that the push brings from elsewhere to the refs it moves: of each path the authors of
/// all commits, merges aside, that edit it between what a ref names and what it is to name.
pub fn authors(repo: &Repo, updates: &[RefUpdate]) -> Result<BTreeMap<Vec<u8>, BTreeSet<String>>> {
    let git = git_without_replacements(repo);
    let mut authors: BTreeMap<Vec<u8>, BTreeSet<String>> = BTreeMap::new();
    for update in updates {
        let (Some(old), Some(new)) = (update.before(), update.after()) else {
            continue;
        };
        let [Some(old), Some(new)] = &commits(&git, &[old, new])?[..] else {
            continue;
        };
        let revisions = [new.clone(), format!("^{old}")];
        for edit in of_commits(repo, &revisions, &["--no-merges"])? {
            let author = edit.commit.map(|commit| commit.author.clone());
            authors.entry(edit.path).or_default().extend(author);
        }
    }
    Ok(authors)
}
