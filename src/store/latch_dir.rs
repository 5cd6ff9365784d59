//! Where git-latch keeps things in a repository: the only place that knows the names.
//!
//! [`LatchDir`] is `<common>/latch/`, one for a repository with all its working trees; [`TreeDir`] is `latch/` in the git
//! directory of one working tree. In the main working tree both are the same directory, so no name is in use twice.

use std::path::{Path, PathBuf};

use crate::os::files;
use crate::os::mode::Sharing;
use crate::rules::error::Result;

/// What both are called in their git directory.
const NAME: &str = "latch";

/// `<common>/latch/`: what all working trees of a repository have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatchDir(PathBuf);

impl LatchDir {
    /// Of a repository, by its common directory. Touches nothing.
    #[must_use]
    pub fn of(common_dir: &Path) -> Self {
        LatchDir(common_dir.join(NAME))
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The common directory that it lies in.
    #[must_use]
    pub(crate) fn common_dir(&self) -> &Path {
        self.0.parent().expect("it was joined to one")
    }

    /// Makes it, where it is missing.
    pub(crate) fn create(&self, sharing: Sharing) -> Result<()> {
        files::create_directories(&self.0, sharing).map(drop)
    }

    /// The lock directory.
    #[must_use]
    pub(crate) fn locks(&self) -> PathBuf {
        self.0.join("locks")
    }

    /// The guard of every change of the lock directory.
    #[must_use]
    pub(crate) fn guard(&self) -> PathBuf {
        self.0.join("guard")
    }

    /// The journal of a change that is under way, or was when its command was killed.
    #[must_use]
    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("txn")
    }

    /// Files that are not published yet.
    #[must_use]
    pub(crate) fn tmp(&self) -> PathBuf {
        self.0.join("tmp")
    }

    /// Our own repository, for shared locks.
    #[must_use]
    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store.git")
    }

    /// The number of the last change of the lock directory.
    pub(super) fn seq(&self) -> PathBuf {
        self.0.join("seq")
    }

    /// What happened to locks in the lock directory; the second is the older part.
    pub(super) fn log(&self) -> (PathBuf, PathBuf) {
        (self.0.join("log"), self.0.join("log.old"))
    }

    /// The tree of shared locks that the lock directory shows.
    pub(super) fn shown(&self) -> PathBuf {
        self.0.join("shown")
    }

    /// When the lock ref was fetched last.
    pub(super) fn synced(&self) -> PathBuf {
        self.0.join("synced")
    }

    /// Changes whose outcome is not known.
    pub(super) fn pending(&self) -> PathBuf {
        self.0.join("pending.toml")
    }

    /// How others' clocks differ.
    pub(super) fn clocks(&self) -> PathBuf {
        self.0.join("clocks")
    }

    /// How long pushes took.
    pub(super) fn pace(&self) -> PathBuf {
        self.0.join("push")
    }

    /// Our packs in a repository that is served, and those that git may collect; each a list of names.
    pub(super) fn packs(&self) -> (PathBuf, PathBuf) {
        (self.0.join("packs"), self.0.join("packs.dropped"))
    }

    /// Configuration that has git sync refs.
    pub(super) fn sync_config(&self) -> PathBuf {
        self.0.join("sync.config")
    }

    /// What is held against tips of the lock ref.
    pub(crate) fn doubts(&self) -> PathBuf {
        self.0.join("doubts.toml")
    }

    /// The guard of the same where a server writes it.
    pub(super) fn doubts_guard(&self) -> PathBuf {
        self.0.join("doubts.guard")
    }

    /// The register of linked working trees.
    pub(crate) fn workspaces(&self) -> PathBuf {
        self.0.join("workspaces")
    }

    /// The last policy that was seen, for branches without one.
    pub(crate) fn policy(&self) -> PathBuf {
        self.0.join("policy.toml")
    }

    /// The directories besides git's own into which hooks of ours were installed.
    pub(crate) fn hooks(&self) -> PathBuf {
        self.0.join("hooks")
    }

    /// The note that the attribute `lockable` was met.
    pub(crate) fn lockable(&self) -> PathBuf {
        self.0.join("lockable")
    }

    /// Which servers serve the repository.
    pub(crate) fn servers(&self) -> PathBuf {
        self.0.join("servers")
    }

    /// The guard of the one server that looks after the disk.
    pub(crate) fn server_guard(&self) -> PathBuf {
        self.0.join("server")
    }
}

/// `latch/` in the git directory of one working tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeDir(PathBuf);

impl TreeDir {
    /// Of a working tree, by its git directory. Touches nothing.
    #[must_use]
    pub fn of(git_dir: &Path) -> Self {
        TreeDir(git_dir.join(NAME))
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it, where it is missing.
    pub(crate) fn create(&self, sharing: Sharing) -> Result<()> {
        files::create_directories(&self.0, sharing).map(drop)
    }

    /// Who this working tree is.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.0.join("workspace.toml")
    }

    /// The leases that were taken here.
    pub(crate) fn held(&self) -> PathBuf {
        self.0.join("held.toml")
    }

    /// Which files had their write bit taken away.
    pub(crate) fn write_bits(&self) -> PathBuf {
        self.0.join("bits")
    }

    /// What the sources of git's attributes looked like.
    pub(crate) fn attributes(&self) -> PathBuf {
        self.0.join("attributes")
    }

    /// The locks that were taken on a first edit.
    pub(crate) fn first_edits(&self) -> PathBuf {
        self.0.join("auto")
    }

    /// The guard of the daemon.
    pub(crate) fn daemon(&self) -> PathBuf {
        self.0.join("daemon")
    }
}
