//! What the working tree's branch and the remote have of each other's versions, as far as was fetched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::pushed::{git_without_replacements, of_commits};
use super::{Edit, lines, paths};
use crate::error::Result;
use crate::git::split_nul;
use crate::path::{Claim, Key, Kind, RepoPath, bytes_to_path};
use crate::repo::Repo;
use crate::target::Target;

/// The files, by their keys, that commits of my branch edit which no branch of the remote has, unless its main branch or
/// mine there has the same contents: squashed, picked.
pub fn unpushed_files(repo: &Repo, remote: &str) -> Result<Vec<Key>> {
    let Some(head) = repo.commit_of("HEAD")? else {
        return Ok(Vec::new());
    };
    let of_remote = format!("--remotes={remote}");
    let edits = of_commits(repo, &[head], &["--not", &of_remote])?;
    let paths: BTreeSet<&[u8]> = edits.iter().map(|edit| edit.path.as_slice()).collect();
    let paths: Vec<&[u8]> = paths.into_iter().collect();
    let mine = contents(repo, "HEAD", &paths)?;
    let mut left = paths.clone();
    for name in [
        "@{upstream}".to_owned(),
        format!("refs/remotes/{remote}/HEAD"),
    ] {
        if repo.commit_of(&name)?.is_some() {
            let theirs = contents(repo, &name, &left)?;
            left.retain(|path| theirs.get(*path) != mine.get(*path));
        }
    }
    Ok(left.into_iter().map(Key::of).collect())
}

/// A version of a file that the remote has and my branch does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newer {
    /// The file, in git's bytes.
    pub path: Vec<u8>,
    /// A branch of the remote that has it, such as `origin/main`.
    pub branch: String,
    /// The commit that made it.
    pub commit: String,
    /// Its author's name.
    pub author: String,
    /// When it was committed.
    pub at: DateTime<Utc>,
}

/// Files among the targets whose newest version on the remote's branches is not in my branch's history, nor the same as
/// mine.
///
/// An older one, on a branch that was left behind, does not count.
pub fn newer(repo: &Repo, remote: &str, targets: &[Target]) -> Result<Vec<Newer>> {
    let of_remote = format!("--remotes={remote}");
    let head = repo.commit_of("HEAD")?;
    let mut question: Vec<String> = head.iter().map(|head| format!("^{head}")).collect();
    question.push("--".into());
    question.extend(targets.iter().map(|target| pathspec(&target.path)));
    let claims: Vec<Claim> = targets.iter().map(Target::claim).collect();
    // The last edit of each path comes last.
    let latest: BTreeMap<Vec<u8>, String> = of_commits(repo, &question, &[&of_remote])?
        .into_iter()
        .filter(|edit| is_among(edit, &claims))
        .filter_map(|edit| Some((edit.path, edit.commit?.oid.clone())))
        .collect();
    let mut found = Vec::new();
    for (path, commit) in latest {
        if is_same(repo, &commit, &path)? || !is_newest(repo, &of_remote, &commit, &path)? {
            continue;
        }
        found.push(described(repo, remote, commit, path)?);
    }
    Ok(found)
}

/// A path as git's own pathspec, which means this path and what lies below it wherever git runs.
pub(super) fn pathspec(path: &RepoPath) -> String {
    if path.is_root() {
        ":/".to_owned()
    } else {
        literal(path.as_str())
    }
}

/// The tracked files below directories.
pub(crate) fn tracked_below(repo: &Repo, directories: &[&Target]) -> Result<BTreeSet<Vec<u8>>> {
    let specs: Vec<String> = directories.iter().map(|d| pathspec(&d.path)).collect();
    let question = ["ls-files", "-z", "--"].into_iter();
    let arguments: Vec<&str> = question.chain(specs.iter().map(String::as_str)).collect();
    let git = repo.git().with_variable("GIT_LITERAL_PATHSPECS", "0");
    Ok(paths(&git.output(&arguments)?))
}

fn literal(path: &str) -> String {
    format!(":(top,literal){path}")
}

fn is_among(edit: &Edit, claims: &[Claim]) -> bool {
    let key = Key::of(&edit.path);
    let covers = |claim: &Claim| match claim.kind {
        Kind::File => claim.key == key,
        Kind::Directory => claim.covers(&key),
    };
    claims.iter().any(covers)
}

/// How many paths git is asked about at once.
const AT_ONCE: usize = 500;

/// What a commit has at paths: mode, kind and id. Nothing where there is no such commit. Trees are read and no contents,
/// which a partial clone would fetch.
pub(crate) fn contents(
    repo: &Repo,
    commit: &str,
    paths: &[&[u8]],
) -> Result<HashMap<Vec<u8>, Vec<u8>>> {
    let mut found = HashMap::new();
    if paths.is_empty() {
        return Ok(found);
    }
    let Some(commit) = repo.commit_of(commit)? else {
        return Ok(found);
    };
    let git = git_without_replacements(repo).with_variable("GIT_LITERAL_PATHSPECS", "1");
    for some in paths.chunks(AT_ONCE) {
        let ask = ["ls-tree", "-z", "--full-tree", &commit, "--"];
        let ask = ask.into_iter().map(PathBuf::from);
        let ask: Vec<PathBuf> = ask.chain(some.iter().map(|p| bytes_to_path(p))).collect();
        for line in split_nul(&git.output(&ask)?) {
            if let Some(tab) = line.iter().position(|b| *b == b'\t') {
                found.insert(line[tab + 1..].to_vec(), line[..tab].to_vec());
            }
        }
    }
    Ok(found)
}

/// When commits were written, by their authors' word: it stays through a rebase.
pub(crate) fn written<'a>(
    repo: &Repo,
    commits: impl Iterator<Item = &'a str>,
) -> Result<HashMap<String, DateTime<Utc>>> {
    let oids: BTreeSet<&str> = commits.collect();
    let ask = ["log", "--no-walk=unsorted", "--format=%H %at", "--stdin"];
    let input: String = oids.iter().flat_map(|oid| [oid, "\n"]).collect();
    let output = git_without_replacements(repo).output_with_input(&ask, input.into_bytes())?;
    let parse = |line: &String| {
        let (oid, seconds) = line.split_once(' ')?;
        let at = DateTime::from_timestamp(seconds.parse().ok()?, 0)?;
        Some((oid.to_owned(), at))
    };
    Ok(lines(&output).iter().filter_map(parse).collect())
}

/// Whether my branch has the same contents, however they came there: rebased, squashed, picked.
fn is_same(repo: &Repo, commit: &str, path: &[u8]) -> Result<bool> {
    Ok(contents(repo, commit, &[path])? == contents(repo, "HEAD", &[path])?)
}

/// Whether no later commit on the remote's branches edits the path.
fn is_newest(repo: &Repo, of_remote: &str, commit: &str, path: &[u8]) -> Result<bool> {
    let path = literal(&String::from_utf8_lossy(path));
    let newest = repo
        .git()
        .output(&["rev-list", "-1", of_remote, "--", &path])?;
    Ok(lines(&newest).first().is_some_and(|oid| oid == commit))
}

fn described(repo: &Repo, remote: &str, commit: String, path: Vec<u8>) -> Result<Newer> {
    let git = repo.git();
    let shown = git.output(&["log", "-1", "--format=%ct%x00%an", &commit, "--"])?;
    let shown = String::from_utf8_lossy(&shown).trim().to_owned();
    let (seconds, author) = shown.split_once('\0').unwrap_or_default();
    let contains = format!("--contains={commit}");
    let below = format!("refs/remotes/{remote}");
    let branches = git.output(&[
        "for-each-ref",
        "--format=%(refname:lstrip=2)",
        &contains,
        &below,
    ])?;
    let alias = format!("{remote}/HEAD");
    let branch = lines(&branches).into_iter().find(|name| *name != alias);
    Ok(Newer {
        path,
        branch: branch.unwrap_or_else(|| remote.to_owned()),
        author: author.to_owned(),
        at: seconds
            .parse()
            .ok()
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .unwrap_or_default(),
        commit,
    })
}
