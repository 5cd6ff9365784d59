//! What a push edits, seen from where it arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::pushed::{RefUpdate, commits, git_without_replacements, of_commits};
use super::{Commit, Edit, differing_trees, lines};
use crate::error::Result;
use crate::git::Git;
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

/// The refs that a push moves from one commit to another: both, of each.
fn moved(git: &Git, updates: &[RefUpdate]) -> Result<Vec<(String, String)>> {
    let moves = updates.iter().filter_map(|update| {
        let (old, new) = (update.before()?, update.after()?);
        Some([old, new])
    });
    let asked: Vec<&str> = moves.flatten().collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let found = commits(git, &asked)?;
    let pairs = found.chunks_exact(2).filter_map(|pair| match pair {
        [Some(old), Some(new)] => Some((old.clone(), new.clone())),
        _ => None,
    });
    Ok(pairs.collect())
}

/// The paths that the push changes on a ref though none of its new commits edits them: a merge that throws a change
/// away, a ref that is moved back or elsewhere. As edits of what the ref is to name.
pub fn taken_back(repo: &Repo, updates: &[RefUpdate], edits: &[Edit]) -> Result<Vec<Edit>> {
    let git = git_without_replacements(repo);
    let edited: BTreeSet<&[u8]> = edits.iter().map(|edit| edit.path.as_slice()).collect();
    let mut found = Vec::new();
    for (old, new) in moved(&git, updates)? {
        let mut rest = differing_trees(&git, &old, &new)?;
        rest.retain(|path| !edited.contains(path.as_slice()));
        if rest.is_empty() {
            continue;
        }
        let told = git.output(&["log", "-1", "--format=%ae%n%ce", &new, "--"])?;
        let people = lines(&told);
        let person = |n: usize| people.get(n).cloned().unwrap_or_default();
        let commit = Arc::new(Commit {
            oid: new,
            author: person(0),
            committer: person(1),
        });
        found.extend(rest.into_iter().map(|path| Edit {
            path,
            commit: Some(Arc::clone(&commit)),
        }));
    }
    Ok(found)
}

/// Who has authored the versions that the push brings from elsewhere to the refs it moves: of each path the authors of
/// all commits, merges aside, that edit it between what a ref names and what it is to name.
pub fn authors(repo: &Repo, updates: &[RefUpdate]) -> Result<BTreeMap<Vec<u8>, BTreeSet<String>>> {
    let mut authors: BTreeMap<Vec<u8>, BTreeSet<String>> = BTreeMap::new();
    for (old, new) in moved(&git_without_replacements(repo), updates)? {
        for edit in of_commits(repo, &[new, format!("^{old}")], &["--no-merges"])? {
            let author = edit.commit.map(|commit| commit.author.clone());
            authors.entry(edit.path).or_default().extend(author);
        }
    }
    Ok(authors)
}
