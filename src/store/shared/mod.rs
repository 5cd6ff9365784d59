//! Locks shared through one ref of an ordinary git remote.
//!
//! The tip of the ref is a commit whose tree is a lock directory. A change is one commit on top, pushed with the tip it
//! was decided on as its condition: the remote's own compare-and-swap. So any number of paths is one push, and a yes is
//! proven by the push. A no is only given on a view that was fetched by the same call.
//!
//! Objects and the tips seen lie in a bare repository of our own, `<common>/latch/store.git`: nothing of ours enters the
//! user's refs, log or garbage collection. The files in the lock directory are a copy, for people, editors and watchers.

mod change;
mod clocks;
mod commit;
mod copy;
mod crowd;
mod deadline;
mod doubts;
mod fetching;
pub(crate) mod history;
mod hosted;
mod left;
pub(crate) mod limits;
mod packs;
mod pending;
mod received;
mod rejection;
mod remote;
mod settings;
mod succession;
mod tips;
pub(crate) mod tree;

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use chrono::{DateTime, Utc};

pub use self::clocks::ClockDifference;
pub(crate) use self::commit::{LONG, is_for_others, seq_of};
pub(crate) use self::doubts::{Doubts, Record};
pub(crate) use self::hosted::HostedStore;
use self::pending::PendingFile;
pub use self::pending::{Pending, PushOutcome};
pub(crate) use self::received::ReceivedStore;
pub(crate) use self::rejection::{verdict, words};
use self::remote::Remote;
use self::tips::Tips;
use self::tree::SeenBefore;

use super::{Decide, LockStore, Scope, workspaces};
use crate::git::command::Git;
use crate::git::repo::{Objects, Repo, Revision};
use crate::os::mode::Sharing;
use crate::os::paths::place_path;
use crate::rules::error::{Error, Result};
use crate::rules::event::Event;
use crate::rules::lock::{LeaseId, Owner};
use crate::rules::path::Place;
use crate::rules::time::Clock;
use crate::rules::view::{LeaseLimits, View};
use crate::store::LatchDir;

/// How many changes are looked at for how a lease ended.
const LOOKED_BACK: usize = 2_000;

/// The shared tier's store.
#[derive(Clone, Debug)]
pub struct SharedStore {
    git: Git,
    directory: LatchDir,
    remote: Remote,
    tips: Tips,
    pending: PendingFile,
    doubts: Doubts,
    terms: LeaseLimits,
    author: Option<Owner>,
    sharing: Sharing,
    shows: bool,
}

/// What bringing the view up to date came to.
#[derive(Clone, Copy, Debug)]
pub struct Synced {
    /// The number of the last change.
    pub seq: u64,
    /// How many locks came, went or changed.
    pub changes: usize,
}

impl SharedStore {
    /// The store of a repository's locks on `remote`. Touches nothing.
    #[must_use]
    pub(crate) fn new(
        repo: &Repo,
        remote: &str,
        reference: &str,
        terms: LeaseLimits,
        sharing: Sharing,
    ) -> Self {
        let directory = LatchDir::of(repo.common_dir());
        let git = repo.git_apart();
        SharedStore {
            remote: Remote::new(git.clone(), directory.store(), remote, reference),
            tips: Tips::new(&directory.store(), sharing),
            pending: PendingFile::new(directory.pending(), sharing),
            doubts: Doubts::new(repo.common_dir(), sharing),
            git,
            directory,
            terms,
            author: None,
            sharing,
            shows: true,
        }
    }

    /// Without the copy in the lock directory: for a repository in which nobody works.
    #[must_use]
    pub(crate) fn without_copy(self) -> Self {
        SharedStore {
            shows: false,
            ..self
        }
    }

    /// Without a word to git about the remote: this repository has none of that name.
    #[must_use]
    pub(crate) fn with_unknown_remote(self) -> Self {
        SharedStore {
            remote: self.remote.unknown(),
            ..self
        }
    }

    /// Whose word is taken for changes made for others: servers', by the policy.
    #[must_use]
    pub(crate) fn with_trust_in(self, trusted: &[String]) -> Self {
        SharedStore {
            doubts: self.doubts.with_trust_in(trusted),
            ..self
        }
    }

    /// Asks the user's repository, too, how the remote is reached: its configuration depends on where it is read.
    #[must_use]
    pub(crate) fn with_settings_of(self, repo: &Repo) -> Self {
        SharedStore {
            remote: self.remote.with_settings_of(repo.git()),
            ..self
        }
    }

    /// Judges by other terms from now on.
    #[must_use]
    pub(crate) fn with_terms(self, terms: LeaseLimits) -> Self {
        SharedStore { terms, ..self }
    }

    /// What is not believed of entries of the ref.
    pub(crate) fn doubts(&self) -> Doubts {
        self.doubts.clone()
    }

    /// The tip seen last, and our objects.
    pub(crate) fn seen_tip(&self) -> Result<Option<(Objects, Option<Revision>)>> {
        let Some(objects) = self.objects()? else {
            return Ok(None);
        };
        let tip = self.tips.seen(&objects)?;
        Ok(Some((objects, tip)))
    }

    /// Who the commits are by.
    #[must_use]
    pub(crate) fn with_author(self, author: Option<Owner>) -> Self {
        SharedStore { author, ..self }
    }

    /// The remote's name.
    #[must_use]
    pub fn remote(&self) -> &str {
        &self.remote.name
    }

    /// The next step where this clone has no remote of the name that the policy says.
    #[must_use]
    pub fn under_another_name(&self) -> Option<String> {
        self.remote.under_another_name()
    }

    fn store(&self) -> PathBuf {
        self.directory.store()
    }

    /// Creates our own repository: bare, with the user's configuration of remotes, credentials and the like.
    fn prepare(&self) -> Result<Objects> {
        let store = self.store();
        if !store.join("HEAD").exists() {
            self.check_format()?;
            self.directory.create(self.sharing)?;
            let path = store.to_string_lossy().into_owned();
            // In whatever format the user's refs are: ours are read by libgit2.
            let git = self
                .git
                .clone()
                .with_variable("GIT_DEFAULT_REF_FORMAT", "files");
            git.output(&[
                "init",
                "--quiet",
                "--bare",
                "--template=",
                "--object-format=sha1",
                &path,
            ])?;
            // Ours after theirs: `core.bare`, say, is ours to say.
            let config = store.join("config");
            let own = fs::read_to_string(&config).map_err(Error::io("read", &config))?;
            fs::write(&config, format!("[include]\n\tpath = ../../config\n{own}"))
                .map_err(Error::io("write", &config))?;
        }
        Objects::open(&store)
    }

    /// A remote of another hash than ours would refuse every object.
    fn check_format(&self) -> Result<()> {
        let format = self.git.output(&["rev-parse", "--show-object-format"])?;
        match String::from_utf8_lossy(&format).trim() {
            "sha1" => Ok(()),
            other => Err(Error::Unsupported {
                problem: format!(
                    "locks cannot be shared through repositories of object format {other} yet"
                ),
                hint: Some(
                    "without `[share] remote` in the policy, locks apply to this machine only"
                        .into(),
                ),
            }),
        }
    }

    /// Our repository, if it was made: reading makes nothing.
    fn objects(&self) -> Result<Option<Objects>> {
        if self.store().join("HEAD").exists() {
            Objects::open(&self.store()).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Changes of which nothing was known when their commands ended, and what became of them: each is told once.
    ///
    /// # Errors
    /// Where the record cannot be written.
    pub fn take_settled(&self) -> Result<Vec<Pending>> {
        self.pending.take_settled(&self.tips)
    }

    /// The clock that is off by the evidence of the locks' history, where one was met lately.
    #[must_use]
    pub fn clock_difference(&self, clock: &dyn Clock) -> Option<ClockDifference> {
        clocks::noted(&self.directory, clock.now())
    }

    /// Keeps a push of the user's own from moving the lock ref: what it names is nobody's to push by hand.
    ///
    /// # Errors
    /// [`Error::BadUsage`] where one of these refs of that remote is it.
    pub(crate) fn keep_from<'a>(
        &self,
        remote: &str,
        mut refs: impl Iterator<Item = &'a str>,
    ) -> Result<()> {
        let reference = self.remote.reference();
        if remote != self.remote.name || !refs.any(|name| name == reference) {
            return Ok(());
        }
        Err(Error::BadUsage {
            problem: format!(
                "this push moves or deletes `{reference}` on `{remote}`: the locks of all clones"
            ),
            hint: Some(format!(
                "name what you want to push: git push {remote} --all"
            )),
        })
    }

    /// Every change in the ref's history, newest first, as far as it was fetched.
    pub(crate) fn history(&self) -> Result<Vec<Event>> {
        let Some(objects) = self.objects()? else {
            return Ok(Vec::new());
        };
        match self.tips.seen(&objects)? {
            Some(tip) => history::of(&objects, &tip, &self.terms),
            None => Ok(Vec::new()),
        }
    }

    /// How leases ended, as far as the latest changes tell; each with the place it lay in.
    pub(crate) fn endings(&self, wanted: &[(LeaseId, Place)]) -> Result<Vec<Event>> {
        let tip = match self.objects()? {
            Some(objects) => self.tips.seen(&objects)?.map(|tip| (objects, tip)),
            None => None,
        };
        match tip {
            Some((objects, tip)) => {
                history::endings(&objects, &tip, wanted, LOOKED_BACK, &self.terms)
            }
            None => Ok(Vec::new()),
        }
    }

    /// The tree of the tip seen last; empty where none was seen.
    pub(crate) fn tree(&self) -> Result<String> {
        let tip = self.objects()?.map(|objects| self.tips.seen(&objects));
        let tip = tip.transpose()?.flatten();
        Ok(tip.map_or_else(String::new, |tip| tip.tree))
    }

    /// The places in which two trees of the ref differ.
    pub(crate) fn places_between(&self, old: &str, new: &str) -> Result<Vec<Place>> {
        let Some(objects) = self.objects()? else {
            return Ok(Vec::new());
        };
        let differing = objects.differing_from(old, new)?;
        let locks = differing.into_iter().filter(|d| tree::is_lock(&d.path));
        Ok(locks.map(|d| Place::from_bytes(d.path)).collect())
    }

    /// What is written anew whenever the copy in the lock directory has been.
    pub(crate) fn shown(&self) -> PathBuf {
        self.directory.shown()
    }

    /// Whether shared locks were ever asked for here.
    pub(crate) fn is_begun(&self) -> bool {
        self.store().join("HEAD").exists()
    }

    /// Whether the lock directory holds a copy of shared locks already.
    pub(crate) fn has_copy(&self) -> bool {
        self.shown().exists()
    }

    /// When the remote was asked last.
    #[must_use]
    pub fn synced_at(&self) -> Option<DateTime<Utc>> {
        let noted = fs::read_to_string(self.directory.synced()).ok()?;
        DateTime::from_timestamp_millis(noted.trim().parse().ok()?)
    }

    fn view_of(
        &self,
        objects: &Objects,
        tip: Option<&Revision>,
        scope: &Scope,
        clock: &dyn Clock,
    ) -> Result<View> {
        let seen = |place: &Place| self.seen(place);
        let when = (self.terms, clock.now());
        let view = tree::view(objects, tip, scope, SeenBefore::Here(&seen), when)?;
        Ok(self.believed(view, scope, tip))
    }

    /// A view without what is not believed of it, and what was in working trees that are gone.
    fn believed(&self, mut view: View, scope: &Scope, tip: Option<&Revision>) -> View {
        self.doubts.apply(&mut view, scope, tip);
        view.without_gone(&self.gone())
    }

    /// The workspaces of this very clone that are proven gone: of others' nobody here knows.
    fn gone(&self) -> HashSet<String> {
        workspaces::gone(self.directory.common_dir())
    }

    /// When a lock was first seen here: what a heartbeat in the future counts from.
    fn seen(&self, place: &Place) -> Option<DateTime<Utc>> {
        let copy = self.directory.locks().join(place_path(place));
        let meta = fs::symlink_metadata(copy).ok()?;
        crate::os::clock::of_file(&meta)
    }

    /// Brings the files in the lock directory up to date; gives how many changed.
    fn show(&self, objects: &Objects) -> Result<usize> {
        if !self.shows || self.doubts.is_incomplete() {
            return Ok(0);
        }
        let wanted = || {
            Ok(self
                .tips
                .seen(objects)?
                .map_or_else(String::new, |tip| tip.tree))
        };
        copy::show(&self.directory, objects, &wanted, self.sharing)
    }

    fn show_if_possible(&self, objects: &Objects) {
        if let Err(error) = self.show(objects) {
            tracing::warn!(%error, "the lock directory is not brought up to date");
        }
    }

    /// Moves the tip seen to a commit that is on the remote, unless another command of this clone has seen a later one.
    fn advance(&self, objects: &Objects, commit: &str) -> Result<()> {
        let new = objects.commit(commit)?;
        loop {
            let seen = self.tips.seen(objects)?;
            if seen
                .as_ref()
                .is_some_and(|seen| seq_of(seen) >= seq_of(&new))
            {
                return Ok(());
            }
            let old = seen.as_ref().map(|seen| seen.commit.as_str());
            if self.tips.exchange(objects, old, Some(commit))? {
                return Ok(());
            }
        }
    }

    /// The same after a change. It is done: where the tip cannot be moved the next fetch brings it.
    fn advance_if_possible(&self, objects: &Objects, commit: &str) {
        if let Err(error) = self.advance(objects, commit) {
            tracing::warn!(%error, "the change is done; it shows here after the next fetch");
        }
    }
}

impl LockStore for SharedStore {
    fn view(&self, scope: &Scope, clock: &dyn Clock) -> Result<View> {
        match self.objects()? {
            Some(objects) => {
                let tip = self.tips.seen(&objects)?;
                self.view_of(&objects, tip.as_ref(), scope, clock)
            }
            None => Ok(View::new(0, clock.now(), self.terms, Vec::new())),
        }
    }

    fn peek(&self, limit: usize, clock: &dyn Clock) -> Result<(View, bool)> {
        let mut nodes = Vec::new();
        let mut complete = true;
        let objects = self.objects()?;
        let tip = objects
            .as_ref()
            .map(|o| self.tips.seen(o))
            .transpose()?
            .flatten();
        if let (Some(objects), Some(tip)) = (&objects, &tip) {
            complete = objects.walk(&tip.tree, b"", &mut |node| {
                if tree::is_lock(&node.path) {
                    nodes.push(node);
                }
                nodes.len() < limit
            })?;
        }
        let entries = match &objects {
            Some(objects) => nodes
                .into_iter()
                .map(|node| tree::entry(objects, node, SeenBefore::Here(&|place| self.seen(place))))
                .collect::<Result<_>>()?,
            None => Vec::new(),
        };
        let seq = tip.as_ref().map_or(0, seq_of);
        let view = View::new(seq, clock.now(), self.terms, entries);
        Ok((self.believed(view, &Scope::All, tip.as_ref()), complete))
    }

    fn transact(&self, scope: &Scope, clock: &dyn Clock, decide: &mut Decide<'_>) -> Result<u64> {
        self.change(scope, clock, decide)
    }
}
