//! What the commits edit that a push brings to a remote.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::Arc;

use super::{Commit, Edit};
use crate::error::{Error, Result};
use crate::git::{Git, split_nul};
use crate::repo::Repo;
use crate::store::files;

/// One line of pre-push's standard input: which ref goes where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUpdate {
    /// What is pushed; all zeros for a deletion.
    pub local_oid: String,
    /// The ref on the remote.
    pub remote_ref: String,
    /// What it was there; all zeros for a new one.
    pub remote_oid: String,
}

impl RefUpdate {
    /// Reads `<local ref> <local oid> <remote ref> <remote oid>` lines (githooks(5)).
    ///
    /// # Errors
    /// [`Error::BadUsage`] for a line of another form.
    pub fn parse(input: &str) -> Result<Vec<Self>> {
        let line = |line: &str| {
            // A local ref may be an expression with blanks: the last three words count.
            let mut words = line.rsplit(' ');
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some(remote_oid), Some(remote_ref), Some(local_oid), Some(_)) => Ok(RefUpdate {
                    local_oid: local_oid.to_owned(),
                    remote_ref: remote_ref.to_owned(),
                    remote_oid: remote_oid.to_owned(),
                }),
                _ => Err(Error::BadUsage {
                    problem: format!("`{line}` is no line of pre-push's input"),
                    hint: None,
                }),
            }
        };
        input.lines().filter(|l| !l.is_empty()).map(line).collect()
    }

    /// Whether it brings commits that are to be judged: no deletion, neither ours nor notes.
    fn is_judged(&self) -> bool {
        !is_zero(&self.local_oid)
            && !self.remote_ref.starts_with("refs/latch/")
            && !self.remote_ref.starts_with("refs/notes/")
    }
}

fn is_zero(oid: &str) -> bool {
    oid.bytes().all(|b| b == b'0')
}

/// The edits of the commits that a push brings to `remote`, a name or a URL.
///
/// New is what is reachable neither from the remote's tracking refs, nor from what it has by `updates`, nor (by URL) from
/// the tips it names itself. A path that ends up as the remote has it is no edit. The boundary of a shallow clone accuses
/// nobody: its parents are not known.
pub fn pushed(repo: &Repo, remote: &str, url: &str, updates: &[RefUpdate]) -> Result<Vec<Edit>> {
    let git = repo.git();
    let updates: Vec<&RefUpdate> = updates.iter().filter(|u| u.is_judged()).collect();
    let mut had: Vec<String> = updates.iter().map(|u| u.remote_oid.clone()).collect();
    let tracking = format!("--remotes={remote}");
    let mut arguments = vec!["rev-list", "--stdin"];
    if remote == url {
        had.extend(tips_of(&git, url));
    } else {
        arguments.extend(["--not", &tracking]);
    }
    let new = updates.iter().map(|u| u.local_oid.clone());
    let commits = commits_among(&git, new.chain(had.iter().cloned()).collect())?;
    let tips = || updates.iter().filter_map(|u| commits.get(&u.local_oid));
    let known = had.iter().filter_map(|oid| commits.get(oid));
    let input = lines(tips().cloned().chain(known.map(|oid| format!("^{oid}"))));
    if tips().next().is_none() {
        return Ok(Vec::new());
    }
    let edits = walk(repo, &git, &arguments, input)?;
    without_net_nothing(&git, edits, &updates, &commits)
}

/// The edits of the commits in a range such as `main..topic`.
///
/// # Errors
/// [`Error::BadUsage`] for what is no range of this repository.
pub fn range(repo: &Repo, range: &str) -> Result<Vec<Edit>> {
    let git = repo.git();
    let revisions = git
        .output(&["rev-parse", "--revs-only", "--end-of-options", range])
        .map(|output| String::from_utf8_lossy(&output).into_owned())
        .unwrap_or_default();
    let oids: Vec<&str> = revisions
        .lines()
        .filter(|l| *l != "--end-of-options")
        .collect();
    if oids.is_empty() {
        return Err(Error::BadUsage {
            problem: format!("`{range}` is no range of commits here"),
            hint: Some("name two commits as in `--range origin/main..HEAD`".into()),
        });
    }
    walk(repo, &git, &["rev-list", "--stdin"], oids.join("\n") + "\n")
}

/// What a git command reads line by line.
fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.flat_map(|line| [line, "\n".to_owned()]).collect()
}

/// The commits that these object ids stand for, tags peeled; what is not here, or is no commit, is left out.
fn commits_among(git: &Git, oids: Vec<String>) -> Result<HashMap<String, String>> {
    let asked: Vec<String> = oids.into_iter().filter(|oid| !is_zero(oid)).collect();
    let input = lines(asked.iter().map(|oid| format!("{oid}^{{}}")));
    let format = "--batch-check=%(objecttype) %(objectname)";
    let output = git.output_with_input(&["cat-file", format], input.into_bytes())?;
    let text = String::from_utf8_lossy(&output).into_owned();
    let commit = |(oid, line): (String, &str)| {
        let peeled = line.strip_prefix("commit ")?;
        Some((oid, peeled.to_owned()))
    };
    Ok(asked
        .into_iter()
        .zip(text.lines())
        .filter_map(commit)
        .collect())
}

/// What a remote without tracking refs says it has. Where it does not answer, more commits count as new than are.
fn tips_of(git: &Git, url: &str) -> Vec<String> {
    let Ok(output) = git.output(&["ls-remote", "--quiet", "--", url]) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output).into_owned();
    let oids = text.lines().filter_map(|line| line.split('\t').next());
    oids.map(str::to_owned).collect()
}

/// One streamed `rev-list | diff-tree`: a process per commit would take minutes for a few thousand.
fn walk(repo: &Repo, git: &Git, rev_list: &[&str], input: String) -> Result<Vec<Edit>> {
    let output = git.pipeline(
        rev_list,
        input.into_bytes(),
        // `--raw` and not `--name-only`: what is a path and what a header is never in doubt.
        &[
            "diff-tree",
            "--stdin",
            "--cc",
            "-r",
            "--root",
            "--no-renames",
            "--raw",
            "-z",
            "--format=%H %aE",
        ],
    )?;
    let boundary = shallow_boundary(repo)?;
    let mut edits = parse(&output);
    edits.retain(|edit| {
        edit.commit
            .as_ref()
            .is_none_or(|c| !boundary.contains(&c.oid))
    });
    Ok(edits)
}

/// The commits of a shallow clone whose parents were left out.
fn shallow_boundary(repo: &Repo) -> Result<HashSet<String>> {
    let path = repo.common_dir().join("shallow");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(e) if files::is_absent(&e) => Ok(HashSet::new()),
        Err(e) => Err(Error::io("read", &path)(e)),
    }
}

/// Reads the output of `diff-tree --raw -z`: headers, and after each record that begins with `:` one path.
fn parse(output: &[u8]) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut commit = None;
    let mut tokens = output.split(|b| *b == 0);
    while let Some(token) = tokens.next() {
        let token = token.strip_prefix(b"\n").unwrap_or(token);
        if token.starts_with(b":") {
            edits.extend(tokens.next().map(|path| Edit {
                path: path.to_vec(),
                commit: commit.clone(),
            }));
        } else if let Some((oid, author)) = String::from_utf8_lossy(token).split_once(' ') {
            commit = Some(Arc::new(Commit {
                oid: oid.to_owned(),
                author: author.to_owned(),
            }));
        }
    }
    edits
}

/// Leaves out the paths that every ref ends up with as the remote has them: edited and put back before the push.
fn without_net_nothing(
    git: &Git,
    edits: Vec<Edit>,
    updates: &[&RefUpdate],
    commits: &HashMap<String, String>,
) -> Result<Vec<Edit>> {
    let mut changed: HashSet<Vec<u8>> = HashSet::new();
    for update in updates {
        let Some(new) = commits.get(&update.local_oid) else {
            continue;
        };
        let Some(old) = commits.get(&update.remote_oid) else {
            // A new ref: there is nothing to compare with.
            return Ok(edits);
        };
        let arguments = [
            "diff-tree",
            "-r",
            "--no-renames",
            "--name-only",
            "-z",
            old,
            new,
        ];
        let output = git.output(&arguments)?;
        changed.extend(split_nul(&output).map(<[u8]>::to_vec));
    }
    Ok(edits
        .into_iter()
        .filter(|edit| changed.contains(&edit.path))
        .collect())
}
