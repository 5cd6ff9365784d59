//! The push of a checkin: the user's own `git push`, whose configuration, hooks and remote decide what goes where.

use super::super::Latch;
use super::super::release::PushState;
use crate::rules::error::{By, Error, Result};
use crate::store::shared;

/// Where a branch is pushed.
#[derive(Clone, Debug)]
pub(in crate::latch) struct Upstream {
    pub(in crate::latch) remote: String,
    /// The full name of the branch there.
    pub(in crate::latch) reference: String,
}

/// What a push came to.
pub(super) struct Pushed {
    pub(super) remote: String,
    pub(super) branch: String,
    /// Whether the remote that shares the locks is known to have the branch, whatever was fetched.
    pub(super) known: PushState,
}

/// What the remote says about a branch that git does not say to be pushed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum There {
    Unasked,
    Arrived,
    Not,
    /// The remote does not answer.
    Silent,
}

impl Latch {
    /// Runs `git push`.
    ///
    /// # Errors
    /// [`Error::NotPushed`] where git, a hook, or the remote says no.
    pub(super) fn push(&self, branch: &str) -> Result<Pushed> {
        let git = self.repo.git();
        let mut push = vec!["push", "--porcelain"];
        if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
            push.push("--progress");
        }
        let output = git.without_prompt().run_aloud(&push)?;
        let remote = self.push_remote(branch)?;
        let told = String::from_utf8_lossy(&output.stdout);
        let own = format!("refs/heads/{branch}");
        let lines: Vec<(char, &str, &str)> = told.lines().filter_map(parse).collect();
        let of_branch = || {
            lines
                .iter()
                .filter(|(_, from_to, _)| is_from(from_to, &own))
        };
        let refused = of_branch().find(|(flag, ..)| *flag == '!');
        let there = match refused {
            None if !output.status.success() => self.ask(branch, &remote)?,
            _ => There::Unasked,
        };
        if output.status.success() || there == There::Arrived {
            let to = of_branch().find_map(|(_, from_to, _)| from_to.split_once(':'));
            let to = to.map_or(own.as_str(), |(_, to)| to);
            let is_shared = self.shared().is_some_and(|s| s.remote() == remote);
            let landed = is_shared && of_branch().next().is_some();
            return Ok(Pushed {
                branch: short(to),
                known: if landed {
                    PushState::Landed
                } else {
                    PushState::AsFetched
                },
                remote,
            });
        }
        let by = match (refused, shared::verdict(&output.stderr)) {
            (_, Some((code, ..))) => By::Policy(code),
            (Some(_), None) => By::Remote,
            (None, None) if there == There::Silent => By::Nobody,
            (None, None) => By::Git,
        };
        let problem = match refused {
            Some((_, _, reason)) => (*reason).to_owned(),
            None => crate::git::command::first_words(&output.stderr),
        };
        Err(Error::NotPushed {
            remote,
            branch: branch.to_owned(),
            problem,
            by,
        })
    }

    /// What the remote has of a branch where git heard of no success: an answer may be lost.
    fn ask(&self, branch: &str, remote: &str) -> Result<There> {
        let reference = match self.upstream()? {
            Some(upstream) if upstream.remote == remote => upstream.reference,
            _ => format!("refs/heads/{branch}"),
        };
        let git = self.repo.git().without_prompt();
        let Ok(there) = git.output(&["ls-remote", "--quiet", remote, &reference]) else {
            let is_known = git.run(&["remote", "get-url", remote])?.status.success();
            return Ok(if is_known { There::Silent } else { There::Not });
        };
        let head = self.repo.commit_of("HEAD")?.unwrap_or_default();
        if head.is_empty() || !there.starts_with(head.as_bytes()) {
            return Ok(There::Not);
        }
        // What git does after a push that it knows to have arrived.
        self.fetch_branches(remote)?;
        Ok(There::Arrived)
    }

    /// The remote that git pushes a branch to.
    fn push_remote(&self, branch: &str) -> Result<String> {
        let head = format!("refs/heads/{branch}");
        let ask = ["for-each-ref", "--format=%(push:remotename)", &head];
        let told = self.repo.git().output(&ask)?;
        let name = String::from_utf8_lossy(&told).trim().to_owned();
        Ok(if name.is_empty() {
            "origin".into()
        } else {
            name
        })
    }

    /// Where the branch that is checked out is pushed, as configured.
    pub(in crate::latch) fn upstream(&self) -> Result<Option<Upstream>> {
        let Some(head) = self.repo.head_ref()? else {
            return Ok(None);
        };
        let format = "--format=%(push:remotename)%00%(push:remoteref)%00%(upstream:remotename)%00%(upstream:remoteref)";
        let output = self.repo.git().output(&["for-each-ref", format, &head])?;
        let text = String::from_utf8_lossy(&output).trim_end().to_owned();
        let words: Vec<&str> = text.split('\0').collect();
        let upstream = |remote: &str, reference: &str| {
            // A remote named `.` is this repository itself.
            let is_set = !remote.is_empty() && remote != "." && !reference.is_empty();
            is_set.then(|| Upstream {
                remote: remote.to_owned(),
                reference: reference.to_owned(),
            })
        };
        Ok(match words.as_slice() {
            [push, push_ref, up, up_ref] => {
                upstream(push, push_ref).or_else(|| upstream(up, up_ref))
            }
            _ => None,
        })
    }
}

/// What `push --porcelain` tells of a ref: flag, `from:to`, summary.
fn parse(line: &str) -> Option<(char, &str, &str)> {
    let mut parts = line.split('\t');
    let flag = parts.next()?.chars().next()?;
    Some((flag, parts.next()?, parts.next().unwrap_or_default()))
}

fn is_from(from_to: &str, branch: &str) -> bool {
    let from = from_to.split(':').next().unwrap_or_default();
    from == branch || from == "HEAD"
}

fn short(reference: &str) -> String {
    reference
        .strip_prefix("refs/heads/")
        .unwrap_or(reference)
        .to_owned()
}
