//! Locks that lie on a git remote, worked on from a repository of ours.
//!
//! Others' changes have to be fetched. The remote looks after its own disk.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::RwLock;

use super::backend::{Opened, Site};
use crate::git::command::Git;
use crate::git::repo::{Repo, Revision};
use crate::latch::policy::Policy;
use crate::os::files;
use crate::os::mode::Sharing;
use crate::rules::error::{Error, Result};
use crate::rules::event::Author;
use crate::rules::lock::Owner;
use crate::rules::time::Clock;
use crate::store::shared::Doubts;
use crate::store::{LockStore, SharedStore};

/// Where a remote's `HEAD` lies in our repository: its policy, and the names of its files.
const REMOTE_HEAD: &str = "refs/latch/head";
/// How long fetching a remote's `HEAD` may take.
const LONGEST_FETCH: Duration = Duration::from_secs(60);

/// A git remote with its locks.
pub(super) struct Remote {
    repo: Repo,
    store: RwLock<SharedStore>,
}

impl Remote {
    /// A remote and its policy, worked on from a repository of ours below `cache`.
    pub(super) fn open(
        url: &str,
        cache: &Path,
        server: &Author,
        clock: &dyn Clock,
    ) -> Result<(Self, Policy)> {
        let repo = cached(url, cache)?;
        fetch_head(&repo)?;
        let policy = Policy::in_commit(&repo, REMOTE_HEAD)?;
        let author = Owner {
            id: server.id.clone(),
            name: server.name.clone(),
            host: String::new(),
            workspace: None,
        };
        let store = SharedStore::new(
            &repo,
            "origin",
            &policy.share_ref,
            policy.terms,
            Sharing::default(),
        );
        let store = store
            .with_author(Some(author))
            .with_trust_in(&policy.trusted)
            .without_copy();
        store.sync(None, clock)?;
        let store = RwLock::new(store);
        Ok((Remote { repo, store }, policy))
    }
}

impl Site for Remote {
    fn repo(&self) -> &Repo {
        &self.repo
    }

    fn head_name(&self) -> &'static str {
        REMOTE_HEAD
    }

    fn head(&self) -> Result<Option<String>> {
        self.repo.commit_of(REMOTE_HEAD)
    }

    fn store(&self) -> Arc<dyn LockStore + Send> {
        let store = self.store.read();
        Arc::new(store.clone())
    }

    fn set_policy(&self, policy: &Policy) {
        let mut store = self.store.write();
        let anew = store.clone().with_terms(policy.terms);
        *store = anew.with_trust_in(&policy.trusted);
    }

    fn doubts(&self) -> Doubts {
        self.store.read().doubts()
    }

    fn tip(&self) -> Result<Option<(Opened, Option<Revision>)>> {
        let seen = self.store.read().seen_tip()?;
        Ok(seen.map(|(objects, tip)| (Box::new(Box::new(objects)) as Opened, tip)))
    }

    fn confirmed_at(&self, _now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.store.read().synced_at()
    }

    fn fetch(&self, clock: &dyn Clock) -> Result<()> {
        // A copy: whoever reads meanwhile does not wait for the network.
        let store = self.store.read().clone();
        store.sync(None, clock).map(drop)
    }

    fn fetch_head(&self) -> Result<()> {
        fetch_head(&self.repo)
    }
}

/// Our repository for a remote: made where there is none.
fn cached(url: &str, cache: &Path) -> Result<Repo> {
    let name: String = url
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .rev()
        .take(64)
        .collect();
    let name: String = name.chars().rev().collect();
    // Two URLs may look alike so.
    let mut hasher = DefaultHasher::new();
    url.hash(&mut hasher);
    let path = cache.join(format!("{name}-{:016x}.git", hasher.finish()));
    if !path.join("HEAD").exists() {
        files::create_directories(cache, Sharing::default())?;
        let git = Git::new(cache, false);
        let shown = path.to_string_lossy().into_owned();
        git.output(&["init", "--quiet", "--bare", "--template=", &shown])?;
    }
    let git = Git::new(&path, false);
    for (key, value) in [
        ("remote.origin.url", url),
        ("remote.origin.promisor", "true"),
        ("remote.origin.partialCloneFilter", "blob:none"),
    ] {
        git.output(&["config", key, value])?;
    }
    Repo::discover(&path)
}

/// Fetches the commit that a remote's `HEAD` names, with the names of its files; without their contents, where the
/// remote can do that.
fn fetch_head(repo: &Repo) -> Result<()> {
    let git = repo.git_apart().without_prompt();
    let words = [
        "-c",
        "core.hooksPath=/dev/null",
        "fetch",
        "--quiet",
        "--depth=1",
        "--filter=blob:none",
        "--no-tags",
        "--no-write-fetch-head",
        "--no-auto-maintenance",
        "--refmap=",
        "origin",
    ];
    let refspec = format!("+HEAD:{REMOTE_HEAD}");
    let output = git.run_within(&[&words[..], &[&refspec]].concat(), LONGEST_FETCH)?;
    match output {
        Some(output) if output.status.success() => Ok(()),
        // A remote without a branch has no policy.
        Some(output)
            if String::from_utf8_lossy(&output.stderr).contains("couldn't find remote ref") =>
        {
            Ok(())
        }
        Some(output) => Err(unreachable(&crate::store::shared::words(&output.stderr))),
        None => Err(unreachable("it does not answer")),
    }
}

fn unreachable(problem: &str) -> Error {
    Error::Unreachable {
        remote: "origin".into(),
        problem: problem.to_owned(),
        hint: None,
    }
}
