//! Locks shared through one ref of an ordinary git remote.
//!
//! The tip of the ref is a commit whose tree is a lock directory. A change is one commit on top, pushed with the tip it
//! was decided on as its condition: the remote's own compare-and-swap. So any number of paths is one push, and a yes is
//! proven by the push. A no is only given on a view that was fetched by the same call.
//!
//! Objects and the tips seen lie in a bare repository of our own, `<common>/latch/store.git`: nothing of ours enters the
//! user's refs, log or garbage collection. The files in the lock directory are a copy, for people, editors and watchers.

mod branch;
mod change;
mod clocks;
mod commit;
mod copy;
mod crowd;
pub(crate) mod history;
mod hosted;
mod left;
pub(crate) mod limits;
mod packs;
mod received;
mod rejection;
mod remote;
pub(crate) mod tree;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

pub use self::branch::Branch;
pub use self::clocks::ClockDifference;
pub(crate) use self::commit::{LONG, is_for_others, seq_of};
pub use self::hosted::HostedStore;
pub(crate) use self::hosted::Pooled;
pub use self::received::ReceivedStore;
pub(crate) use self::rejection::words;
use self::remote::{Presence, Pushed, Remote};
use self::tree::Known;

use super::files;
use super::{Decide, LockStore, Scope, Sharing};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::git::Git;
use crate::lock::{MAX_SEQ, Owner};
use crate::path::Place;
use crate::repo::{Objects, Repo, Revision};
use crate::time::Clock;
use crate::view::{Terms, View};

/// Our own repository, beside the lock directory.
const STORE: &str = "store.git";
/// The last tip that was accepted as the locks' state.
const TIP: &str = "refs/latch/tip";
/// Below this, each command for itself, a fetch puts what the remote has, before it is accepted.
const FETCHED: &str = "refs/latch/fetching";
/// After how many changes our repository is looked after.
const TIDIED: u64 = 500;

/// The shared tier's store.
#[derive(Clone, Debug)]
pub struct SharedStore {
    git: Git,
    directory: PathBuf,
    remote: Remote,
    terms: Terms,
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
    pub fn new(repo: &Repo, remote: &str, reference: &str, terms: Terms, sharing: Sharing) -> Self {
        let directory = repo.common_dir().join("latch");
        let git = repo.git_apart();
        SharedStore {
            remote: Remote::new(git.clone(), directory.join(STORE), remote, reference),
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

    /// Judges by other terms from now on.
    pub(crate) fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// The tip seen last, and our objects.
    pub(crate) fn seen_tip(&self) -> Result<Option<(Objects, Option<Revision>)>> {
        let Some(objects) = self.objects()? else {
            return Ok(None);
        };
        let tip = objects.revision(TIP)?;
        Ok(Some((objects, tip)))
    }

    /// Who the commits are by.
    #[must_use]
    pub fn with_author(self, author: Option<Owner>) -> Self {
        SharedStore { author, ..self }
    }

    /// The remote's name.
    #[must_use]
    pub fn remote(&self) -> &str {
        &self.remote.name
    }

    fn store(&self) -> PathBuf {
        self.directory.join(STORE)
    }

    /// Creates our own repository: bare, with the user's configuration of remotes, credentials and the like.
    fn prepare(&self) -> Result<Objects> {
        let store = self.store();
        if !store.join("HEAD").exists() {
            self.check_format()?;
            files::create_directories(&self.directory, self.sharing)?;
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
                    "without `[share] remote` in the policy they hold on this machine".into(),
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

    /// Fetches what the remote has, accepts it as the state, and brings the copy up to date.
    pub(crate) fn sync(&self, limit: Option<Duration>, clock: &dyn Clock) -> Result<Synced> {
        let objects = self.prepare()?;
        let tip = self.fetch(&objects, limit, clock)?;
        self.synced(&objects, tip.as_ref())
    }

    /// Brings the copy up to date, and says what came.
    fn synced(&self, objects: &Objects, tip: Option<&Revision>) -> Result<Synced> {
        let changes = self.show(objects)?;
        let seq = tip.map_or(0, seq_of);
        Ok(Synced { seq, changes })
    }

    /// Fetches, and accepts a tip with a larger number only.
    fn fetch(
        &self,
        objects: &Objects,
        limit: Option<Duration>,
        clock: &dyn Clock,
    ) -> Result<Option<Revision>> {
        let seen = objects.revision(TIP)?;
        let fetched = self.fetched(objects, limit)?;
        let asked = self.note_asking(clock.now())?;
        match (seen, fetched) {
            (None, None) => Ok(None),
            (_, Some(fetched)) if seq_of(&fetched) >= MAX_SEQ => {
                Err(self.went_back("its lock ref has a number that no change can have"))
            }
            (Some(seen), Some(fetched)) if seen.commit == fetched.commit => Ok(Some(seen)),
            // Put back, and changed since: the number alone does not show it.
            (Some(seen), Some(fetched)) if objects.has_left(&seen.commit, &fetched.commit)? => {
                Err(self.went_back("its lock ref went back"))
            }
            (seen, Some(fetched)) if seq_of(&fetched) > seen.as_ref().map_or(0, seq_of) => {
                Self::advance(objects, &fetched.commit)?;
                self.tidy(seen.as_ref(), &fetched);
                let skew = self.terms.clock_skew;
                let now = clock.now();
                if let Some(difference) =
                    clocks::difference(objects, seen.as_ref(), &fetched, asked, now, skew)?
                {
                    clocks::note(&self.directory, &difference);
                }
                Ok(Some(fetched))
            }
            (Some(_), None) => Err(self.went_back("the lock ref has vanished from it")),
            (_, Some(_)) => Err(self.went_back("its lock ref went back")),
        }
    }

    /// Has git pack what has come together in our repository, every few hundred changes, if git finds it worth while.
    fn tidy(&self, before: Option<&Revision>, after: &Revision) {
        let stretch = |tip: &Revision| commit::depth_of(tip) / TIDIED;
        if before.map_or(0, stretch) == stretch(after) {
            return;
        }
        let store = format!("--git-dir={}", self.store().display());
        if let Err(error) = self.git.run(&[&store, "gc", "--auto", "--quiet"]) {
            tracing::debug!(%error, "our repository is not packed");
        }
    }

    /// What the remote has.
    fn fetched(&self, objects: &Objects, limit: Option<Duration>) -> Result<Option<Revision>> {
        static FETCHES: AtomicU64 = AtomicU64::new(0);
        // Threads of one process fetch at the same time, too.
        let count = FETCHES.fetch_add(1, Ordering::Relaxed);
        let into = format!("{FETCHED}/{}-{count}", std::process::id());
        match self.remote.fetch(&into, limit)? {
            Presence::Absent => Ok(None),
            Presence::Present => {
                let found = objects.revision(&into)?;
                objects.remove(&into)?;
                Ok(found)
            }
        }
    }

    /// Notes that the remote was asked; gives when it was asked before.
    fn note_asking(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
        let before = self.synced_at();
        let path = self.directory.join("synced");
        fs::write(&path, now.timestamp_millis().to_string()).map_err(Error::io("write", &path))?;
        Ok(before)
    }

    /// The clock that is off by the evidence of the locks' history, where one was met lately.
    #[must_use]
    pub fn clock_difference(&self, clock: &dyn Clock) -> Option<ClockDifference> {
        clocks::noted(&self.directory, clock.now())
    }

    fn went_back(&self, problem: &str) -> Error {
        Error::Refused {
            remote: self.remote.name.clone(),
            problem: format!("{problem}; what was seen last stays in force here"),
            hint: Some(
                "ask who changed it; then `git latch sync --restore` puts it back, or `--reset` accepts the remote's"
                    .into(),
            ),
        }
    }

    /// Pushes the last seen tip again, where the ref has vanished from the remote.
    pub fn restore(&self) -> Result<()> {
        let objects = self.prepare()?;
        let Some(tip) = objects.revision(TIP)? else {
            return Err(Error::BadUsage {
                problem: "no shared locks were ever seen here: there is nothing to restore".into(),
                hint: None,
            });
        };
        match self.remote.push(None, &tip.commit, None)? {
            Pushed::Accepted => Ok(()),
            Pushed::Not(rejection) => Err(rejection.into_error(&self.remote.name, None)),
        }
    }

    /// Forgets what was seen here, and accepts what the remote has.
    pub fn reset(&self) -> Result<Synced> {
        let objects = self.prepare()?;
        let tip = self.fetched(&objects, None)?;
        match &tip {
            Some(tip) => objects.set(TIP, &tip.commit)?,
            None => objects.remove(TIP)?,
        }
        self.synced(&objects, tip.as_ref())
    }

    /// Every change in the ref's history, newest first, as far as it was fetched.
    pub fn history(&self) -> Result<Vec<Event>> {
        let Some(objects) = self.objects()? else {
            return Ok(Vec::new());
        };
        match objects.revision(TIP)? {
            Some(tip) => history::of(&objects, &tip, &self.terms),
            None => Ok(Vec::new()),
        }
    }

    /// The tree of the tip seen last; empty where none was seen.
    pub(crate) fn tree(&self) -> Result<String> {
        let tip = self.objects()?.map(|objects| objects.revision(TIP));
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
        self.directory.join("shown")
    }

    /// Whether the lock directory holds a copy of shared locks already.
    pub(crate) fn has_copy(&self) -> bool {
        self.shown().exists()
    }

    /// When the remote was asked last.
    #[must_use]
    pub fn synced_at(&self) -> Option<DateTime<Utc>> {
        let noted = fs::read_to_string(self.directory.join("synced")).ok()?;
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
        tree::view(objects, tip, scope, Known::Here(&seen), when)
    }

    /// When a lock was first seen here: what a heartbeat in the future counts from.
    fn seen(&self, place: &Place) -> Option<DateTime<Utc>> {
        let copy = self.directory.join("locks").join(place.to_path());
        let meta = fs::symlink_metadata(copy).ok()?;
        crate::time::of_file(&meta)
    }

    /// Brings the files in the lock directory up to date; gives how many changed.
    fn show(&self, objects: &Objects) -> Result<usize> {
        if !self.shows {
            return Ok(0);
        }
        copy::show(&self.directory, objects, TIP, self.sharing)
    }

    fn show_if_possible(&self, objects: &Objects) {
        if let Err(error) = self.show(objects) {
            tracing::warn!(%error, "the lock directory is not brought up to date");
        }
    }

    /// Moves the tip seen to a commit, unless another command of this clone has seen a later one meanwhile.
    fn advance(objects: &Objects, commit: &str) -> Result<()> {
        let seen = objects.revision(TIP)?;
        let is_later = match &seen {
            Some(seen) => !objects.contains(&seen.commit, commit)?,
            None => true,
        };
        if is_later {
            objects.set(TIP, commit)
        } else {
            Ok(())
        }
    }
}

impl LockStore for SharedStore {
    fn view(&self, scope: &Scope, clock: &dyn Clock) -> Result<View> {
        match self.objects()? {
            Some(objects) => {
                let tip = objects.revision(TIP)?;
                self.view_of(&objects, tip.as_ref(), scope, clock)
            }
            None => Ok(View::new(0, clock.now(), self.terms, Vec::new())),
        }
    }

    fn glance(&self, limit: usize, clock: &dyn Clock) -> Result<(View, bool)> {
        let mut nodes = Vec::new();
        let mut complete = true;
        let objects = self.objects()?;
        let tip = objects
            .as_ref()
            .map(|o| o.revision(TIP))
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
                .map(|node| tree::entry(objects, node, Known::Here(&|place| self.seen(place))))
                .collect::<Result<_>>()?,
            None => Vec::new(),
        };
        let seq = tip.as_ref().map_or(0, seq_of);
        Ok((View::new(seq, clock.now(), self.terms, entries), complete))
    }

    fn transact(&self, scope: &Scope, clock: &dyn Clock, decide: &mut Decide<'_>) -> Result<u64> {
        self.change(scope, clock, decide, None)
    }
}
