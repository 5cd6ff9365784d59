//! After an edit: commit, push and unlock, so that nobody can take the file before the new version is there to take.

use super::Latch;
use super::release::Unlocked;
use super::renew::scope_of;
use crate::edits;
use crate::error::{Error, Result};
use crate::lease::{Insist, Released};
use crate::path::{Claim, Kind, RepoPath};
use crate::target::Target;
use crate::time::Clock;
use crate::view::Me;

/// What to check in.
#[derive(Clone, Debug)]
pub struct Checkin<'a> {
    /// The locked files and directories.
    pub targets: &'a [Target],
    /// The commit's message; without one git asks for it in the user's editor.
    pub message: Option<&'a str>,
}

/// What checking in came to.
#[derive(Clone, Debug, Default)]
pub struct CheckedIn {
    /// The new commit; `None` where nothing was changed since the last one.
    pub commit: Option<String>,
    /// Where it was pushed: remote and branch.
    pub pushed: Option<(String, String)>,
    /// What became of the locks.
    pub locks: Unlocked,
}

/// Where a branch is pushed.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    pub(super) remote: String,
    /// The full name of the branch there.
    pub(super) reference: String,
}

impl Latch {
    /// Commits the targets, pushes the branch and gives the locks back; with shared locks in one push, all or nothing.
    ///
    /// What is not locked by me is refused before anything is done.
    ///
    /// # Errors
    /// [`Error::NotPushed`] where the remote does not take the branch: the commit is there, and the locks stay.
    /// [`Error::Git`] where nothing can be committed.
    pub fn checkin(&self, checkin: &Checkin<'_>, clock: &dyn Clock) -> Result<CheckedIn> {
        let me = self.me()?;
        self.turn_sharing_on(&me, clock)?;
        let paths: Vec<RepoPath> = checkin.targets.iter().map(|t| t.path.clone()).collect();
        let mut answer = CheckedIn::default();
        // What was lost meanwhile is not pushed.
        self.sync(None, clock)?;
        let view = self.view(&scope_of(claims(&paths), &[]), clock)?;
        let (_, released) = self.release_all(&view, &me, &paths, Insist::No);
        if !are_free(&released) {
            self.tell_refused(paths, released, &me, &mut answer.locks)?;
            return Ok(answer);
        }
        let branch = self.branch()?;
        let upstream = self.upstream()?;
        answer.commit = self.commit(checkin)?;
        let upstream = upstream.or_else(|| {
            Some(Upstream {
                remote: self.shared()?.remote().to_owned(),
                reference: format!("refs/heads/{branch}"),
            })
        });
        if let Some(upstream) = upstream {
            self.push_branch(&branch, &upstream)?;
            answer.pushed = Some((upstream.remote, short(&upstream.reference)));
        }
        // A change of its own: what others do to the locks meanwhile does not make the push start over.
        let selection = super::Selection::of(checkin.targets);
        answer.locks = self.unlock(super::What::Selected(&selection), Insist::No, None, clock)?;
        Ok(answer)
    }

    /// Nothing is given back: what stands against it.
    fn tell_refused(
        &self,
        paths: Vec<RepoPath>,
        released: Vec<Released>,
        me: &Me,
        answer: &mut Unlocked,
    ) -> Result<()> {
        let both = paths.into_iter().zip(released);
        let (paths, released) = both
            .filter(|(_, came_to)| !matches!(came_to, Released::Free(_)))
            .unzip();
        self.tell_released(paths, released, me, answer)
    }

    /// Commits what has changed on the targets; gives the commit.
    fn commit(&self, checkin: &Checkin<'_>) -> Result<Option<String>> {
        let git = self.repo.git();
        let changed = edits::changed_files(&self.repo)?;
        let is_meant = |key| checkin.targets.iter().any(|t| t.claim().covers(key));
        if !changed.iter().any(|(key, _)| is_meant(key)) {
            return Ok(None);
        }
        let specs: Vec<String> = checkin
            .targets
            .iter()
            .map(|target| edits::pathspec(&target.path))
            .collect();
        let specs = || specs.iter().map(String::as_str);
        git.output(
            &["add", "--all", "--"]
                .into_iter()
                .chain(specs())
                .collect::<Vec<_>>(),
        )?;
        let mut commit = vec!["commit", "--quiet"];
        if let Some(message) = checkin.message {
            commit.extend(["-m", message]);
        }
        commit.push("--");
        commit.extend(specs());
        git.run_for_user(&commit)?;
        self.repo.commit_of("HEAD")
    }

    fn push_branch(&self, branch: &str, upstream: &Upstream) -> Result<()> {
        let refspec = format!("refs/heads/{branch}:{}", upstream.reference);
        let push = ["push", "--quiet", &upstream.remote, &refspec];
        let git = self.repo.git();
        let pushed = git.run_for_user(&push);
        // Its answer may have been lost: what the branch is there decides.
        let head = self.repo.commit_of(&format!("refs/heads/{branch}"))?;
        let has_arrived = || {
            let ask = [
                "ls-remote",
                "--quiet",
                &upstream.remote,
                &upstream.reference,
            ];
            let there = git.output(&ask).unwrap_or_default();
            head.is_some_and(|head| there.starts_with(head.as_bytes()))
        };
        if pushed.is_ok() {
            return Ok(());
        }
        if has_arrived() {
            // What git does after a push that it knows to have arrived.
            return self.fetch_branches(&upstream.remote);
        }
        Err(Error::NotPushed {
            remote: upstream.remote.clone(),
            branch: branch.to_owned(),
            problem: "git says why above".into(),
        })
    }

    /// The branch that is checked out.
    fn branch(&self) -> Result<String> {
        let head = self.repo.head_ref()?;
        head.as_deref()
            .and_then(|name| name.strip_prefix("refs/heads/"))
            .map(str::to_owned)
            .ok_or_else(|| Error::Unsupported {
                problem: "no branch is checked out here: there is nothing to push to".into(),
                hint: Some("git switch -c NAME".into()),
            })
    }

    /// Where the branch that is checked out is pushed, as configured.
    pub(super) fn upstream(&self) -> Result<Option<Upstream>> {
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

fn claims(paths: &[RepoPath]) -> impl Iterator<Item = Claim> {
    paths.iter().map(|path| Claim::new(path, Kind::File))
}

fn are_free(released: &[Released]) -> bool {
    released.iter().all(|r| matches!(r, Released::Free(_)))
}

fn short(reference: &str) -> String {
    reference
        .strip_prefix("refs/heads/")
        .unwrap_or(reference)
        .to_owned()
}
