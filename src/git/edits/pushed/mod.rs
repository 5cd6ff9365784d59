//! What commits edited: those a push brings to a remote, or those of a range.
//!
//! A few plain commits are read at a glance. Else one `rev-list | diff-tree --cc` reads them all, whatever their number.
//! Of a merge only what it changed itself counts, as `--cc` has it: who merges others' work does not edit it.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::sync::Arc;

use super::{NAMES, differing_trees, is_oid, lines};
use crate::git::command::Git;
use crate::git::repo::{Fresh, Repo};
use crate::os::files;
use crate::rules::edit::{Commit, Edit};
use crate::rules::error::{Error, Result};

/// One line of what git tells pre-push on standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUpdate {
    /// What is pushed, in the words of whoever pushes.
    pub local_ref: String,
    /// Its object id; zeros where the remote's ref is deleted.
    pub local_oid: String,
    /// The ref that changes on the remote.
    pub remote_ref: String,
    /// What it names there now; zeros where it is new.
    pub remote_oid: String,
}

impl RefUpdate {
    /// What the ref is to name; `None` where it is deleted.
    #[must_use]
    pub(crate) fn after(&self) -> Option<&str> {
        (!is_null(&self.local_oid)).then_some(self.local_oid.as_str())
    }

    /// What the ref names on the remote now; `None` where it does not exist.
    #[must_use]
    pub(crate) fn before(&self) -> Option<&str> {
        (!is_null(&self.remote_oid)).then_some(self.remote_oid.as_str())
    }

    /// Whether it brings commits whose edits count: neither a deletion, nor locks of ours, nor notes.
    fn is_judged(&self) -> bool {
        let is_aside = ["refs/latch/", "refs/notes/"]
            .iter()
            .any(|prefix| self.remote_ref.starts_with(prefix));
        !is_null(&self.local_oid) && !is_aside
    }
}

/// Reads what git tells pre-push: `<local ref> SP <local oid> SP <remote ref> SP <remote oid>` in each line.
///
/// # Errors
/// [`Error::BadUsage`] for anything else: whoever calls is no git.
pub fn parse_updates(input: &str) -> Result<Vec<RefUpdate>> {
    input.lines().map(parse_update).collect()
}

fn parse_update(line: &str) -> Result<RefUpdate> {
    // From the right: `HEAD^{/fix it}` is a fine local ref.
    let words: Vec<&str> = line.rsplitn(4, ' ').collect();
    match words.as_slice() {
        [remote_oid, remote_ref, local_oid, local_ref]
            if is_oid(remote_oid) && is_oid(local_oid) =>
        {
            Ok(RefUpdate {
                local_ref: (*local_ref).to_owned(),
                local_oid: (*local_oid).to_owned(),
                remote_ref: (*remote_ref).to_owned(),
                remote_oid: (*remote_oid).to_owned(),
            })
        }
        _ => Err(Error::bad_usage(
            format!("invalid pre-push line `{}`", line.escape_debug()),
            "`git push` runs this hook, with what is pushed on standard input",
        )),
    }
}

/// Reads what git tells pre-receive: `<old oid> SP <new oid> SP <ref>` in each line.
///
/// # Errors
/// [`Error::BadUsage`] for anything else: whoever calls is no git.
pub fn parse_received(input: &str) -> Result<Vec<RefUpdate>> {
    let parse = |line: &str| match line.splitn(3, ' ').collect::<Vec<_>>().as_slice() {
        [old, new, name] if is_oid(old) && is_oid(new) => Ok(RefUpdate {
            local_ref: (*name).to_owned(),
            local_oid: (*new).to_owned(),
            remote_ref: (*name).to_owned(),
            remote_oid: (*old).to_owned(),
        }),
        _ => Err(Error::bad_usage(
            format!("invalid pre-receive line `{}`", line.escape_debug()),
            "git runs this hook when a push arrives, with what changes on standard input",
        )),
    };
    input.lines().map(parse).collect()
}

/// A push that is under way, as git tells pre-push of it.
#[derive(Debug)]
pub struct Push {
    repo: Repo,
    /// The remote's name; its URL where it has none.
    pub remote: String,
    url: String,
    /// What changes there.
    pub updates: Vec<RefUpdate>,
    glimpsed: OnceCell<Option<Vec<Edit>>>,
}

impl Push {
    /// Nothing is read yet.
    #[must_use]
    pub fn of(repo: &Repo, remote: &str, url: &str, updates: Vec<RefUpdate>) -> Self {
        Push {
            repo: repo.clone(),
            remote: remote.to_owned(),
            url: url.to_owned(),
            updates,
            glimpsed: OnceCell::new(),
        }
    }

    /// The updates that bring commits whose edits count: not locks of ours, not notes.
    #[must_use]
    pub(crate) fn judged(&self) -> Vec<RefUpdate> {
        let judged = self.updates.iter().filter(|update| update.is_judged());
        judged.cloned().collect()
    }

    /// The edits of the commits that it brings.
    ///
    /// A commit is new to the remote if neither its tracking refs reach it nor what its refs are said to name. Where
    /// there are no tracking refs (a push by URL, a remote never fetched from) the remote is asked; if it does not
    /// answer, more commits count as new. The boundary of a shallow clone, which looks as if it added every file, edits
    /// nothing.
    pub(crate) fn edits(&self) -> Result<Vec<Edit>> {
        match self.edits_at_a_glance() {
            Some(edits) => Ok(edits.to_vec()),
            None => pushed_by_git(&self.repo, &self.remote, &self.url, &self.judged()),
        }
    }

    /// The same without a process of git; `None` where only git can tell.
    #[must_use]
    pub(crate) fn edits_at_a_glance(&self) -> Option<&[Edit]> {
        let glimpse = || pushed_at_a_glance(&self.repo, &self.remote, &self.judged());
        self.glimpsed.get_or_init(glimpse).as_deref()
    }
}

fn pushed_at_a_glance(repo: &Repo, remote: &str, updates: &[RefUpdate]) -> Option<Vec<Edit>> {
    let tips: Vec<&str> = updates.iter().filter_map(RefUpdate::after).collect();
    if tips.is_empty() {
        return Some(Vec::new());
    }
    let known: Vec<&str> = updates.iter().filter_map(RefUpdate::before).collect();
    let fresh = repo.fresh(&tips, &known, &tracking_prefix(remote))?;
    Some(fresh.into_iter().flat_map(edits_of).collect())
}

fn edits_of(fresh: Fresh) -> impl Iterator<Item = Edit> {
    let commit = Arc::new(Commit {
        oid: fresh.oid,
        author: fresh.author,
    });
    let edit = move |path| Edit {
        path,
        commit: Some(Arc::clone(&commit)),
    };
    fresh.paths.into_iter().map(edit)
}

fn pushed_by_git(repo: &Repo, remote: &str, url: &str, updates: &[RefUpdate]) -> Result<Vec<Edit>> {
    let judged: Vec<&str> = updates.iter().filter_map(RefUpdate::after).collect();
    let git = git_without_replacements(repo);
    let tracking = tracking_refs(repo, &git, remote)?;
    let beyond: Vec<&str> = match &tracking {
        Some(option) => vec!["--not", option],
        None => Vec::new(),
    };
    let mut there: Vec<String> = updates.iter().map(|u| u.remote_oid.clone()).collect();
    if tracking.is_none() {
        there.extend(remote_tips(&git, url));
    }
    there.retain(|oid| !is_null(oid));
    let asked: Vec<&str> = judged
        .iter()
        .copied()
        .chain(there.iter().map(String::as_str))
        .collect();
    let mut tips = match repo.commits_of(&asked) {
        Some(tips) => tips,
        None => commits(&git, &asked)?,
    };
    let known = tips.split_off(judged.len());
    let tips: Vec<String> = tips.into_iter().flatten().collect();
    if tips.is_empty() {
        return Ok(Vec::new());
    }
    let known = known.into_iter().flatten().map(|oid| format!("^{oid}"));
    let revisions: Vec<String> = tips.into_iter().chain(known).collect();
    of_commits(repo, &revisions, &beyond)
}

/// Those of the paths that the push leaves as they are on the remote: edited and put back before it was pushed.
///
/// None where a ref is new to the remote, or what it names there is not known here.
pub(crate) fn unchanged_at_tip(
    repo: &Repo,
    updates: &[RefUpdate],
    among: &[&[u8]],
) -> Result<HashSet<Vec<u8>>> {
    let git = git_without_replacements(repo);
    let mut same: HashSet<Vec<u8>> = among.iter().map(|path| path.to_vec()).collect();
    for update in updates.iter().filter(|update| update.after().is_some()) {
        if same.is_empty() {
            break;
        }
        match commits(&git, &[&update.local_oid, &update.remote_oid])?.as_slice() {
            [Some(new), Some(old)] => {
                let differs = differing_trees(&git, old, new)?;
                same.retain(|path| !differs.contains(path));
            }
            // Not a commit: nothing of it was judged.
            [None, _] => {}
            _ => same.clear(),
        }
    }
    Ok(same)
}

/// The edits of the commits of a range, such as `main..topic`.
///
/// # Errors
/// [`Error::BadUsage`] if it is none.
pub(crate) fn range(repo: &Repo, range: &str) -> Result<Vec<Edit>> {
    let bad = |problem: &str| {
        Error::bad_usage(
            format!("invalid commit range `{}`: {problem}", range.escape_debug()),
            "name two commits, such as `origin/main..HEAD`",
        )
    };
    if range.starts_with('-') || !range.contains("..") {
        return Err(bad("it is not of the form `A..B`"));
    }
    let revisions = match repo.git().output(&["rev-parse", range, "--"]) {
        Ok(output) => lines(&output),
        Err(Error::Git { problem, .. }) => return Err(bad(&problem)),
        Err(e) => return Err(e),
    };
    let revisions: Vec<String> = revisions
        .into_iter()
        .filter(|revision| is_oid(revision.trim_start_matches('^')))
        .collect();
    of_commits(repo, &revisions, &[])
}

/// Git without replacements (`git replace`): what they show is not what is pushed.
pub(super) fn git_without_replacements(repo: &Repo) -> Git {
    repo.git().with_variable("GIT_NO_REPLACE_OBJECTS", "1")
}

fn is_null(oid: &str) -> bool {
    oid.bytes().all(|b| b == b'0')
}

/// Where the remote's tracking refs are.
fn tracking_prefix(remote: &str) -> String {
    format!("refs/remotes/{remote}/")
}

/// The option that names the remote's tracking refs, if it has any. A push by URL has the URL for a name, and none.
fn tracking_refs(repo: &Repo, git: &Git, remote: &str) -> Result<Option<String>> {
    let below = tracking_prefix(remote);
    let option = format!("--remotes={remote}");
    if let Some(has_any) = repo.has_refs_below(&below) {
        return Ok(has_any.then_some(option));
    }
    let first = git.output(&[
        "for-each-ref",
        "--count=1",
        "--format=%(objectname)",
        &below,
    ])?;
    Ok((!first.is_empty()).then_some(option))
}

/// What the remote's refs name, as far as it tells.
fn remote_tips(git: &Git, url: &str) -> Vec<String> {
    let git = git.clone().with_variable("GIT_TERMINAL_PROMPT", "0");
    match git.output(&["ls-remote", "--quiet", "--", url]) {
        Ok(output) => lines(&output)
            .iter()
            .filter_map(|line| line.split('\t').next())
            .filter(|oid| is_oid(oid))
            .map(str::to_owned)
            .collect(),
        Err(error) => {
            tracing::debug!(%error, "the remote does not list its refs");
            Vec::new()
        }
    }
}

/// For each object the commit it is, or that it is a tag of; `None` for what is no commit or not here.
pub(super) fn commits(git: &Git, oids: &[&str]) -> Result<Vec<Option<String>>> {
    // A partial clone would fetch what is asked for, one by one.
    let git = git.clone().with_variable("GIT_NO_LAZY_FETCH", "1");
    let asked: Vec<u8> = oids
        .iter()
        .flat_map(|oid| [oid.as_bytes(), b"^{commit}\n"].concat())
        .collect();
    let arguments = ["cat-file", "--batch-check=%(objectname)", "--buffer"];
    let answers = lines(&git.output_with_input(&arguments, asked)?);
    let mut found: Vec<Option<String>> = answers
        .into_iter()
        .map(|answer| is_oid(&answer).then_some(answer))
        .collect();
    found.resize(oids.len(), None);
    Ok(found)
}

/// What [`parse_header`] reads, after an empty part.
const FORMAT: &str = "--format=%x00%H %ae";

/// The edits of the commits that the lines `revisions` name (`^` excludes; after `--` come pathspecs), with further
/// `options` of `rev-list`, oldest first.
pub(super) fn of_commits(repo: &Repo, revisions: &[String], options: &[&str]) -> Result<Vec<Edit>> {
    let mut list = vec!["rev-list", "--reverse", "--stdin"];
    list.extend(options);
    let mut compare = vec!["diff-tree", "--stdin"];
    compare.extend(["--cc", "-r", "--root", "--encoding=UTF-8"]);
    compare.extend([FORMAT]);
    compare.extend(NAMES);
    let input = revisions.join("\n") + "\n";
    let output = git_without_replacements(repo).pipeline(&list, input.into_bytes(), &compare)?;
    Ok(parse_commits(&output, &shallow_boundary(repo)?))
}

/// The files that commits add, by commit and path. A merge adds none.
pub(crate) fn additions(
    repo: &Repo,
    commits: &BTreeSet<&str>,
) -> Result<HashSet<(String, Vec<u8>)>> {
    let mut compare = vec!["diff-tree", "--stdin", "-r", "--root", "--diff-filter=A"];
    compare.extend(["--encoding=UTF-8", FORMAT]);
    compare.extend(NAMES);
    let input: String = commits.iter().flat_map(|oid| [oid, "\n"]).collect();
    let output = git_without_replacements(repo).output_with_input(&compare, input.into_bytes())?;
    let edits = parse_commits(&output, &BTreeSet::new());
    let named = |edit: Edit| Some((edit.commit?.oid.clone(), edit.path));
    Ok(edits.into_iter().filter_map(named).collect())
}

/// The commits whose parents are missing because the clone is shallow.
fn shallow_boundary(repo: &Repo) -> Result<BTreeSet<String>> {
    let path = repo.common_dir().join("shallow");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(e) if files::is_absent(&e) => Ok(BTreeSet::new()),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

/// Reads what `diff-tree --stdin -z` tells of commits: an empty part announces a header. Between it and the first path
/// git puts a line feed, or for a merge another empty part; a path is never empty, but may begin with a line feed.
fn parse_commits(output: &[u8], boundary: &BTreeSet<String>) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut commit: Option<Arc<Commit>> = None;
    let mut parts = output.split(|b| *b == 0).peekable();
    while let Some(part) = parts.next() {
        if part.is_empty() {
            let Some(header) = parts.next() else { break };
            commit = parse_header(header).filter(|c| !boundary.contains(&c.oid));
            match parts.peek_mut() {
                Some([]) => drop(parts.next()),
                Some(first) => *first = first.strip_prefix(b"\n").unwrap_or(first),
                None => {}
            }
        } else if let Some(commit) = &commit {
            edits.push(Edit {
                path: part.to_vec(),
                commit: Some(Arc::clone(commit)),
            });
        }
    }
    edits
}

fn parse_header(header: &[u8]) -> Option<Arc<Commit>> {
    let text = String::from_utf8_lossy(header);
    let (oid, author) = text.split_once(' ')?;
    Some(Arc::new(Commit {
        oid: oid.to_owned(),
        author: author.to_owned(),
    }))
}

#[cfg(test)]
mod tests;
