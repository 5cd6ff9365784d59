//! A branch that goes with a change of the locks.

use super::rejection::told_of;
use crate::git::Git;
use crate::repo::Repo;

/// A branch that is pushed together with a change of the locks.
#[derive(Clone, Debug)]
pub struct Branch {
    git: Git,
    name: String,
    there: String,
}

impl Branch {
    /// The branch that is checked out, under a ref's full name on the remote.
    #[must_use]
    pub fn new(repo: &Repo, name: &str, there: &str) -> Self {
        Branch {
            git: repo.git(),
            name: name.to_owned(),
            there: there.to_owned(),
        }
    }

    /// The user's git in the user's repository.
    pub(super) fn git(&self) -> &Git {
        &self.git
    }

    /// The branch's name here.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What to push where.
    pub(super) fn refspec(&self) -> String {
        format!("refs/heads/{}:{}", self.name, self.there)
    }

    /// Why the remote, or git, does not let the branch move, if that is what stands against the push.
    pub(super) fn refusal<'a>(&self, told: &'a str) -> Option<&'a str> {
        let (flag, reason) = told_of(told, &self.there).next()?;
        (flag == '!' && !reason.contains("atomic")).then_some(reason)
    }
}
