//! A branch that goes with a change of the locks.

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
    pub(super) fn refusal(&self, told: &str) -> Option<String> {
        let of_ours = |line: &&str| {
            let names = line.split('\t').nth(1);
            names.is_some_and(|names| names.ends_with(&format!(":{}", self.there)))
        };
        let line = told.lines().find(of_ours)?;
        let reason = line.strip_prefix('!')?.split('\t').nth(2)?;
        (!reason.contains("atomic")).then(|| reason.to_owned())
    }
}
