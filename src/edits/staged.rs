//! What the next commit would edit.

use std::collections::HashSet;
use std::fs;

use super::Edit;
use crate::error::{Error, Result};
use crate::git::{Git, Running, split_nul};
use crate::repo::Repo;
use crate::store::files;

type Paths = HashSet<Vec<u8>>;

/// A look at the index that is under way: other work can be done meanwhile.
#[derive(Debug)]
pub struct Staged {
    git: Git,
    /// The parents of the commit to come, besides `HEAD`.
    others: Vec<String>,
    difference: Running,
}

impl Staged {
    /// Begins to look. `merging` are the other parents that git names in the environment of pre-merge-commit
    /// (`GITHEAD_<oid>`); those of a merge that is being concluded are found in the repository.
    pub fn start(repo: &Repo, merging: Vec<String>) -> Result<Self> {
        let others = if merging.is_empty() {
            merge_heads(repo)?
        } else {
            merging
        };
        let git = repo.git();
        let difference = git.start(&against("HEAD"))?;
        Ok(Staged {
            git,
            others,
            difference,
        })
    }

    /// The edits, by path.
    pub fn finish(self) -> Result<Vec<Edit>> {
        let paths = match self.difference.finish() {
            Ok(output) if self.others.is_empty() => {
                // The usual case: no set is needed.
                return Ok(edits(split_nul(&output).map(<[u8]>::to_vec)));
            }
            Ok(output) => of_merge(&self.git, set(&output), &self.others)?,
            Err(error) if is_born(&self.git) => return Err(error),
            Err(_) => set(&self.git.output(&["ls-files", "-z"])?),
        };
        let mut paths: Vec<Vec<u8>> = paths.into_iter().collect();
        paths.sort_unstable();
        Ok(edits(paths.into_iter()))
    }
}

fn edits(paths: impl Iterator<Item = Vec<u8>>) -> Vec<Edit> {
    paths.map(|path| Edit { path, commit: None }).collect()
}

/// The arguments that compare the index with a commit.
fn against(commit: &str) -> [&str; 8] {
    [
        "diff-index",
        "--cached",
        "--no-renames",
        "--ignore-submodules=none",
        "--name-only",
        "-z",
        commit,
        "--",
    ]
}

fn set(output: &[u8]) -> Paths {
    split_nul(output).map(<[u8]>::to_vec).collect()
}

fn differing(git: &Git, commit: &str) -> Result<Paths> {
    Ok(set(&git.output(&against(commit))?))
}

/// Whether the branch has a commit.
fn is_born(git: &Git) -> bool {
    git.output(&["rev-parse", "--quiet", "--verify", "HEAD^{commit}"])
        .is_ok()
}

/// The other parents of a merge that is to be concluded by `git commit`.
fn merge_heads(repo: &Repo) -> Result<Vec<String>> {
    let path = repo.git_dir().join("MERGE_HEAD");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(e) if files::is_absent(&e) => Ok(Vec::new()),
        Err(e) => Err(Error::io("read", &path)(e)),
    }
}

/// What a merge edits itself: what differs from every parent, and what equals the merge base although a parent changed
/// it, a change thrown away.
fn of_merge(git: &Git, ours: Paths, others: &[String]) -> Result<Paths> {
    let mut sides = vec![ours];
    for other in others {
        sides.push(differing(git, other)?);
    }
    let in_all = |path: &&Vec<u8>| sides[1..].iter().all(|side| side.contains(*path));
    let mut edited: Paths = sides[0].iter().filter(in_all).cloned().collect();
    let bases = merge_bases(git, others)?;
    if !bases.is_empty() {
        let changed: Paths = sides.into_iter().flatten().collect();
        let mut thrown_away = changed;
        for base in bases {
            let unlike_base = differing(git, &base)?;
            thrown_away.retain(|path| !unlike_base.contains(path));
        }
        edited.extend(thrown_away);
    }
    Ok(edited)
}

/// The best common ancestors of `HEAD` and each of the others; none for unrelated histories.
fn merge_bases(git: &Git, others: &[String]) -> Result<Vec<String>> {
    let mut bases = Vec::new();
    for other in others {
        let output = git.run(&["merge-base", "--all", "HEAD", other])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        bases.extend(text.lines().map(str::to_owned));
    }
    bases.sort_unstable();
    bases.dedup();
    Ok(bases)
}

/// The staged paths that differ from the branch's upstream; `None` where it has none.
///
/// A path staged exactly as the upstream has it is no edit: putting back the team's version is always allowed.
pub fn unlike_upstream(repo: &Repo) -> Result<Option<HashSet<Vec<u8>>>> {
    let git = repo.git();
    let upstream = ["rev-parse", "--quiet", "--verify", "@{upstream}^{commit}"];
    let Ok(oid) = git.output(&upstream) else {
        return Ok(None);
    };
    let oid = String::from_utf8_lossy(&oid).trim().to_owned();
    differing(&git, &oid).map(Some)
}
