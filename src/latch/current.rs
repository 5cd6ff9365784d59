//! A repository that is looked at for hours: opened again when its policy or configuration changes.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::Latch;
use crate::git::repo::Repo;
use crate::latch::identity::Environment;
use crate::latch::policy;
use crate::rules::error::{Code, Result};
use crate::store::LatchDir;

/// A repository as its policy and configuration say now.
#[derive(Debug)]
pub(crate) struct Current {
    environment: Environment,
    latch: Arc<Latch>,
    stamps: Vec<Option<(SystemTime, u64)>>,
}

impl Current {
    /// Opens a repository that was found.
    ///
    /// # Errors
    /// As [`Latch::of`].
    pub(crate) fn open(repo: Repo, environment: &Environment) -> Result<Self> {
        let stamps = stamps(&repo);
        Ok(Current {
            environment: environment.clone(),
            latch: Arc::new(Latch::of(repo, environment)?),
            stamps,
        })
    }

    /// The repository.
    #[must_use]
    pub(crate) fn latch(&self) -> &Arc<Latch> {
        &self.latch
    }

    /// Opens it again where something was written since; says whether it was.
    ///
    /// # Errors
    /// As [`Latch::of`], once for each writing: what was read before stays in force.
    pub(crate) fn refresh(&mut self) -> Result<bool> {
        let stamps = stamps(self.latch.repo());
        if stamps == self.stamps {
            return Ok(false);
        }
        match Latch::of(self.latch.repo().clone(), &self.environment) {
            Ok(latch) => {
                self.stamps = stamps;
                self.latch = Arc::new(latch);
                Ok(true)
            }
            Err(error) => {
                // What is written there is wrong, and stays so; anything else is tried again.
                if matches!(error.code(), Code::BadPolicy | Code::BadUsage) {
                    self.stamps = stamps;
                    return Err(error);
                }
                tracing::debug!(%error, "the repository is not opened again yet");
                Ok(false)
            }
        }
    }
}

/// What the files that a repository is opened by look like.
fn stamps(repo: &Repo) -> Vec<Option<(SystemTime, u64)>> {
    let (common, own) = (repo.common_dir(), repo.git_dir());
    let policy = repo.root().ok().map(|root| root.join(policy::FILE));
    let others = [
        LatchDir::of(common).policy(),
        common.join("config"),
        own.join("config.worktree"),
    ];
    let stamp = |path: PathBuf| {
        let meta = fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    policy.into_iter().chain(others).map(stamp).collect()
}
