//! What the working tree's branch and the remote have of each other's versions, as far as was fetched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::pushed::{git_without_replacements, of_commits};
use super::{is_oid, lines, paths};
use crate::git::command::split_nul;
use crate::git::repo::Repo;
use crate::git::target::Target;
use crate::os::paths::bytes_to_path;
use crate::rules::edit::Edit;
use crate::rules::error::Result;
use crate::rules::path::{Claim, Key, Kind, RepoPath};

/// The files, by their keys, that commits of my branch edit which no branch of the remote has, unless its main branch or
/// mine there has the same contents: squashed, picked.
pub(crate) fn unpushed_files(repo: &Repo, remote: &str) -> Result<Vec<Key>> {
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

/// A version of a file that others have and my branch does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newer {
    /// The file, in git's bytes.
    pub path: Vec<u8>,
    /// Where it is: a branch here, or one of a remote such as `origin/main`; the commit, where no branch has it.
    pub branch: String,
    /// The remote, where it is the branch of one.
    pub remote: Option<String>,
    /// The commit that made it.
    pub commit: String,
    /// Its author's name.
    pub author: String,
    /// When it was committed.
    pub at: DateTime<Utc>,
}

/// Whose versions mine is compared with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Others {
    /// Those on the branches of this remote, as they were fetched.
    pub remote: Option<String>,
    /// Those on the branches and in the linked working trees of this repository.
    pub here: bool,
}

impl Others {
    /// As `rev-list` wants them.
    fn revisions(&self, repo: &Repo) -> Result<Vec<String>> {
        let remote = self.remote.iter();
        let mut revisions: Vec<String> = remote.map(|r| format!("--remotes={r}")).collect();
        if !self.here {
            return Ok(revisions);
        }
        revisions.push("--branches".into());
        if repo.common_dir().join("worktrees").exists() {
            let trees = repo.git().output(&["worktree", "list", "--porcelain"])?;
            let heads = lines(&trees);
            let heads = heads.iter().filter_map(|line| line.strip_prefix("HEAD "));
            let heads = heads.filter(|oid| is_oid(oid) && oid.bytes().any(|b| b != b'0'));
            revisions.extend(heads.map(str::to_owned));
        }
        Ok(revisions)
    }

    /// The refs whose names are told, as `for-each-ref` wants them.
    fn refs(&self) -> Vec<String> {
        let remote = self.remote.iter();
        let mut refs: Vec<String> = remote.map(|r| format!("refs/remotes/{r}/")).collect();
        if self.here {
            refs.push("refs/heads/".into());
        }
        refs
    }
}

/// Whether anything that is known here, on whatever ref, may be newer than my branch's versions: a quick question before
/// [`newer`]. No, where git does not say so within the limit.
pub(crate) fn may_be_newer(repo: &Repo, targets: &[Target], limit: Duration) -> Result<bool> {
    if is_alone(repo) {
        return Ok(false);
    }
    let specs: Vec<String> = targets
        .iter()
        .map(|target| pathspec(&target.path))
        .collect();
    let ask = [
        "rev-list",
        "-1",
        "--exclude=refs/stash",
        "--all",
        "--not",
        "HEAD",
        "--",
    ];
    let ask: Vec<&str> = ask
        .into_iter()
        .chain(specs.iter().map(String::as_str))
        .collect();
    let told = repo.git().run_within(&ask, limit)?;
    Ok(told.is_some_and(|told| !told.stdout.is_empty()))
}

/// Whether the files of the repository show no branch but one, no remote and no other working tree.
fn is_alone(repo: &Repo) -> bool {
    let common = repo.common_dir();
    let others = ["packed-refs", "reftable", "worktrees", "refs/remotes"];
    let mut heads = fs::read_dir(common.join("refs/heads"))
        .into_iter()
        .flatten();
    let is_file = |entry: std::io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
    };
    !others.iter().any(|name| common.join(name).exists())
        && heads.next().is_none_or(is_file)
        && heads.next().is_none()
}

/// Files among the targets whose newest version among the others' is not in my branch's history, nor the same as mine.
///
/// An older one, on a branch that was left behind, does not count.
pub(crate) fn newer(repo: &Repo, others: &Others, targets: &[Target]) -> Result<Vec<Newer>> {
    let head = repo.commit_of("HEAD")?;
    let revisions = others.revisions(repo)?;
    let options: Vec<&str> = revisions.iter().map(String::as_str).collect();
    let mut question: Vec<String> = head.iter().map(|head| format!("^{head}")).collect();
    question.push("--".into());
    question.extend(targets.iter().map(|target| pathspec(&target.path)));
    let claims: Vec<Claim> = targets.iter().map(Target::claim).collect();
    // The last edit of each path comes last.
    let in_order = [&["--date-order"], options.as_slice()].concat();
    let latest: BTreeMap<Vec<u8>, String> = of_commits(repo, &question, &in_order)?
        .into_iter()
        .filter(|edit| is_among(edit, &claims))
        .filter_map(|edit| Some((edit.path, edit.commit?.oid.clone())))
        .collect();
    let mut found = Vec::new();
    for (path, commit) in latest {
        if is_same(repo, &commit, &path)? || !is_newest(repo, &options, &commit, &path)? {
            continue;
        }
        found.push(described(repo, others, commit, path)?);
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

/// Whether no later commit edits the path, mine among them.
fn is_newest(repo: &Repo, others: &[&str], commit: &str, path: &[u8]) -> Result<bool> {
    let path = literal(&String::from_utf8_lossy(path));
    let mut ask = vec!["rev-list", "-1", "--date-order"];
    ask.extend(others);
    ask.extend(["--", &path]);
    let newest = repo.git().output(&ask)?;
    Ok(lines(&newest).first().is_some_and(|oid| oid == commit))
}

fn described(repo: &Repo, others: &Others, commit: String, path: Vec<u8>) -> Result<Newer> {
    let git = repo.git();
    let shown = git.output(&["log", "-1", "--format=%ct%x00%an", &commit, "--"])?;
    let shown = String::from_utf8_lossy(&shown).trim().to_owned();
    let (seconds, author) = shown.split_once('\0').unwrap_or_default();
    let (contains, refs) = (format!("--contains={commit}"), others.refs());
    let mut ask = vec!["for-each-ref", "--format=%(refname)", &contains];
    ask.extend(refs.iter().map(String::as_str));
    let alias = others
        .remote
        .as_ref()
        .map(|r| format!("refs/remotes/{r}/HEAD"));
    let mut names = lines(&git.output(&ask)?);
    names.retain(|name| Some(name) != alias.as_ref());
    let name = names.first().map_or("", String::as_str);
    let of_remote = name.strip_prefix("refs/remotes/");
    let branch = of_remote.or(name.strip_prefix("refs/heads/"));
    Ok(Newer {
        path,
        branch: branch.unwrap_or(&commit).to_owned(),
        remote: others.remote.clone().filter(|_| of_remote.is_some()),
        author: author.to_owned(),
        at: seconds
            .parse()
            .ok()
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .unwrap_or_default(),
        commit,
    })
}
