//! What the next commit would record, compared with every parent it will have.

use std::collections::{BTreeSet, HashSet};
use std::fs;

use super::{NAMES, differing_trees, is_oid, lines, paths};
use crate::git::command::{Git, Running};
use crate::git::repo::Repo;
use crate::os::files;
use crate::rules::edit::Edit;
use crate::rules::error::{Error, Result};

/// The commits that git says it is merging, by the names of its `GITHEAD_<oid>` variables.
///
/// They are meant for pre-merge-commit, where `MERGE_HEAD` does not exist yet. In other hooks they may be left over from
/// a git further out, and must not be used.
pub fn heads_in_environment(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut heads: Vec<String> = names
        .into_iter()
        .filter_map(|name| name.strip_prefix("GITHEAD_").map(str::to_owned))
        .filter(|oid| is_oid(oid))
        .collect();
    heads.sort();
    heads
}

/// The question of what is staged, asked of a git that runs while something else is done.
#[derive(Debug)]
#[must_use = "a question whose answer nobody fetches was asked in vain"]
pub struct StagedQuery {
    git: Git,
    against_head: Running,
    merged: Vec<String>,
}

impl StagedQuery {
    /// Starts to compare the index that git names with `HEAD`; `merged` are further parents besides those of
    /// `MERGE_HEAD` (see [`heads_in_environment`]).
    pub fn start(repo: &Repo, merged: &[String]) -> Result<Self> {
        let git = repo.git();
        let against_head = git.start(&index_against("HEAD"))?;
        let mut heads = merge_heads(repo)?;
        for oid in merged.iter().filter(|oid| is_oid(oid)) {
            if !heads.contains(oid) {
                heads.push(oid.clone());
            }
        }
        Ok(StagedQuery {
            git,
            against_head,
            merged: heads,
        })
    }

    /// Waits for the answer: the edited paths, sorted.
    ///
    /// Where there is no commit yet, everything in the index is edited. In a merge, what differs from every parent is,
    /// and so is what throws a parent's change away.
    pub(crate) fn finish(self) -> Result<Vec<Edit>> {
        let edited = match self.against_head.finish() {
            Ok(output) => merge_edits(&self.git, paths(&output), self.merged)?,
            Err(_) if is_unborn(&self.git)? => differing(&self.git, &empty_tree(&self.git)?)?,
            Err(e) => return Err(e),
        };
        let edit = |path| Edit { path, commit: None };
        Ok(edited.into_iter().map(edit).collect())
    }
}

/// Those of the paths that are staged exactly as the branch's upstream has them, also by being absent in both: to put
/// back the team's version is no edit. None where the branch has no upstream.
pub(crate) fn as_upstream(repo: &Repo, among: &[&[u8]]) -> Result<HashSet<Vec<u8>>> {
    if among.is_empty() {
        return Ok(HashSet::new());
    }
    let differs = match differing(&repo.git(), "@{upstream}") {
        Ok(differs) => differs,
        // A broken repository was met before, by the question that found these paths.
        Err(error @ Error::Git { .. }) => {
            tracing::debug!(%error, "there is no upstream to compare with");
            return Ok(HashSet::new());
        }
        Err(e) => return Err(e),
    };
    let same = among.iter().filter(|path| !differs.contains(**path));
    Ok(same.map(|path| path.to_vec()).collect())
}

/// The question for the paths in which the index differs from a tree. What is only intended to be added
/// (`git add --intent-to-add`) is not going to be recorded.
fn index_against(tree: &str) -> Vec<&str> {
    // `-r`: of a sparse index git would else name a changed directory instead of the files in it.
    let mut arguments = vec!["diff-index", "-r", "--cached", "--ita-invisible-in-index"];
    arguments.extend(NAMES);
    arguments.extend([tree, "--"]);
    arguments
}

/// The paths in which the index differs from a tree.
fn differing(git: &Git, tree: &str) -> Result<BTreeSet<Vec<u8>>> {
    Ok(paths(&git.output(&index_against(tree))?))
}

/// The other parents of the merge that the next commit concludes, if any.
fn merge_heads(repo: &Repo) -> Result<Vec<String>> {
    let path = repo.git_dir().join("MERGE_HEAD");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text
            .lines()
            .filter(|line| is_oid(line))
            .map(str::to_owned)
            .collect()),
        Err(e) if files::is_absent(&e) => Ok(Vec::new()),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

fn is_unborn(git: &Git) -> Result<bool> {
    let asked = git.run(&["rev-parse", "--verify", "--quiet", "HEAD"])?;
    Ok(asked.status.code() == Some(1))
}

/// The id of the tree without entries, in the repository's hash. It need not be stored.
fn empty_tree(git: &Git) -> Result<String> {
    let id = git.output(&["hash-object", "-t", "tree", "--stdin"])?;
    Ok(String::from_utf8_lossy(&id).trim().to_owned())
}

/// The edits of a merge, given what differs from `HEAD`.
fn merge_edits(
    git: &Git,
    against_head: BTreeSet<Vec<u8>>,
    merged: Vec<String>,
) -> Result<BTreeSet<Vec<u8>>> {
    let mut edited = against_head;
    if merged.is_empty() {
        return Ok(edited);
    }
    for parent in &merged {
        let differs = differing(git, parent)?;
        edited.retain(|path| differs.contains(path));
    }
    let mut parents = merged;
    parents.insert(0, "HEAD".into());
    for _ in 0..parents.len() {
        edited.extend(thrown_away(git, &parents)?);
        parents.rotate_left(1);
    }
    Ok(edited)
}

/// What the first parent changed since it parted from the others, and the index has as it was before.
///
/// After a criss-cross merge there are several bases, of which some have older contents than others: then a change is
/// what no base has, and thrown away what is as in one of them. Without common history nothing was changed in common.
fn thrown_away(git: &Git, parents: &[String]) -> Result<BTreeSet<Vec<u8>>> {
    let bases = merge_bases(git, parents)?;
    let changed = bases
        .iter()
        .map(|base| differing_trees(git, base, &parents[0]));
    let changed = common(changed)?;
    if changed.is_empty() {
        return Ok(changed);
    }
    let kept = common(bases.iter().map(|base| differing(git, base)))?;
    Ok(&changed - &kept)
}

/// What all of the sets have.
fn common(sets: impl Iterator<Item = Result<BTreeSet<Vec<u8>>>>) -> Result<BTreeSet<Vec<u8>>> {
    let mut all: Option<BTreeSet<Vec<u8>>> = None;
    for set in sets {
        let set = set?;
        all = Some(all.map_or_else(|| set.clone(), |before| &before & &set));
    }
    Ok(all.unwrap_or_default())
}

/// The best common ancestors of the first commit and a merge of the others.
fn merge_bases(git: &Git, commits: &[String]) -> Result<Vec<String>> {
    let mut arguments = vec!["merge-base", "--all"];
    arguments.extend(commits.iter().map(String::as_str));
    match git.output(&arguments) {
        Ok(output) => Ok(lines(&output)),
        // Exit status 1 without a word: no common ancestor.
        Err(Error::Git { problem, .. }) if problem.starts_with("exit status") => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests;
