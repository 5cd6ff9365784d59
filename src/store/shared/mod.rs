//! Locks shared through one ref of an ordinary git remote.
//!
//! The tip of the ref is a commit whose tree is a lock directory. A change is one commit on top, pushed with the tip it
//! was decided on as its condition: the remote's own compare-and-swap. So any number of paths is one push, and a yes is
//! proven by the push. A no is only given on a view that was fetched by the same call.
//!
//! Objects and the tips seen lie in a bare repository of our own, `<common>/latch/store.git`: nothing of ours enters the
//! user's refs, log or garbage collection. The files in the lock directory are a copy, for people, editors and watchers.

mod copy;
mod history;
mod remote;
pub(crate) mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

pub use self::history::{Event, Happening};
use self::remote::{Presence, Pushed, Remote};
use super::files;
use super::{Decide, Decision, LockStore, Scope, Sharing, Verdict};
use crate::error::{Error, Result};
use crate::git::Git;
use crate::lease::Change;
use crate::lock::{MAX_SEQ, Owner};
use crate::path::Place;
use crate::repo::{Objects, Repo, Revision};
use crate::time::Clock;
use crate::view::{Entry, Terms, View};

/// The last tip that was accepted as the locks' state.
const TIP: &str = "refs/latch/tip";
/// Where a fetch puts what the remote has, before it is accepted.
const FETCHED: &str = "refs/latch/fetched";
/// How long a change is tried again after others were faster.
const PATIENCE: Duration = Duration::from_secs(30);
/// How young others' changes are where there is a crowd.
const CROWDED: chrono::TimeDelta = chrono::TimeDelta::seconds(5);
/// The trailer of every commit.
const TRAILER: &str = "Latch-Seq: ";

/// The shared tier's store.
#[derive(Clone, Debug)]
pub struct SharedStore {
    git: Git,
    directory: PathBuf,
    remote: Remote,
    terms: Terms,
    author: Option<Owner>,
    sharing: Sharing,
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
        let store = directory.join("store.git");
        let git = repo.git_apart();
        SharedStore {
            remote: Remote::new(git.clone(), store, remote, reference),
            git,
            directory,
            terms,
            author: None,
            sharing,
        }
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
        self.directory.join("store.git")
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
    pub(crate) fn sync(&self, limit: Option<Duration>) -> Result<Synced> {
        let objects = self.prepare()?;
        let tip = self.fetch(&objects, limit)?;
        let changes = self.show(&objects)?;
        Ok(Synced {
            seq: tip.as_ref().map_or(0, seq_of),
            changes,
        })
    }

    /// Fetches, and accepts a tip with a larger number only.
    fn fetch(&self, objects: &Objects, limit: Option<Duration>) -> Result<Option<Revision>> {
        let seen = objects.revision(TIP)?;
        let presence = self.remote.fetch(FETCHED, limit)?;
        fs::write(self.directory.join("synced"), "")
            .map_err(Error::io("write", self.directory.join("synced")))?;
        let fetched = match presence {
            Presence::Present => objects.revision(FETCHED)?,
            Presence::Absent => None,
        };
        match (seen, fetched) {
            (None, None) => Ok(None),
            (_, Some(fetched)) if seq_of(&fetched) >= MAX_SEQ => {
                Err(self.went_back("its lock ref has a number that no change can have"))
            }
            (Some(seen), Some(fetched)) if seen.commit == fetched.commit => Ok(Some(seen)),
            (seen, Some(fetched)) if seq_of(&fetched) > seen.as_ref().map_or(0, seq_of) => {
                Self::advance(objects, &fetched.commit)?;
                Ok(Some(fetched))
            }
            (Some(_), None) => Err(self.went_back("the lock ref has vanished from it")),
            (_, Some(_)) => Err(self.went_back("its lock ref went back")),
        }
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
        match self.remote.push(None, &tip.commit)? {
            Pushed::Accepted => Ok(()),
            Pushed::Not(rejection) => Err(self.remote.refused(rejection)),
        }
    }

    /// Forgets what was seen here, and accepts what the remote has.
    pub fn reset(&self) -> Result<Synced> {
        let objects = self.prepare()?;
        let tip = match self.remote.fetch(FETCHED, None)? {
            Presence::Present => objects.revision(FETCHED)?,
            Presence::Absent => None,
        };
        match &tip {
            Some(tip) => objects.set(TIP, &tip.commit)?,
            None => objects.remove(TIP)?,
        }
        let changes = self.show(&objects)?;
        Ok(Synced {
            seq: tip.as_ref().map_or(0, seq_of),
            changes,
        })
    }

    /// Every change in the ref's history, newest first: fetched first, where the remote answers.
    pub fn history(&self) -> Result<Vec<Event>> {
        let Some(objects) = self.objects()? else {
            return Ok(Vec::new());
        };
        match objects.revision(TIP)? {
            Some(tip) => history::of(&objects, &tip, &self.terms),
            None => Ok(Vec::new()),
        }
    }

    /// Whether the lock directory holds a copy of shared locks already.
    pub(crate) fn has_copy(&self) -> bool {
        self.directory.join("shown").exists()
    }

    /// When the remote was asked last.
    #[must_use]
    pub fn synced_at(&self) -> Option<DateTime<Utc>> {
        let meta = fs::metadata(self.directory.join("synced")).ok()?;
        meta.modified().ok().map(DateTime::from)
    }

    fn view_of(
        &self,
        objects: &Objects,
        tip: Option<&Revision>,
        scope: &Scope,
        clock: &dyn Clock,
    ) -> Result<View> {
        let entries = match tip {
            Some(tip) => tree::entries(objects, &tip.tree, scope, &|place| self.seen(place))?,
            None => Vec::new(),
        };
        Ok(View::new(
            tip.map_or(0, seq_of),
            clock.now(),
            self.terms,
            entries,
        ))
    }

    /// When a lock was first seen here: what a heartbeat in the future counts from.
    fn seen(&self, place: &Place) -> Option<DateTime<Utc>> {
        let copy = self.directory.join("locks").join(place.to_path());
        let meta = fs::symlink_metadata(copy).ok()?;
        meta.modified().ok().map(DateTime::from)
    }

    /// Writes the commit of a change; gives its id.
    fn commit(
        &self,
        objects: &Objects,
        tip: Option<&Revision>,
        view: &View,
        changes: &[Change],
    ) -> Result<String> {
        let mut put = Vec::new();
        let mut take = Vec::new();
        for change in changes {
            match change {
                Change::Acquire(lock) | Change::Renew(lock) => {
                    let place = lock.claim().place().ok_or_else(|| {
                        Error::bad_path(lock.path.as_str(), "its lock's name would be too long")
                    })?;
                    put.push((place.as_bytes().to_vec(), lock.to_toml().into_bytes()));
                }
                Change::Remove { place, .. } => take.push(place.as_bytes().to_vec()),
            }
        }
        let tree = objects.write_tree(tip.map(|t| t.tree.as_str()), &put, &take)?;
        let message = format!(
            "{}\n\n{TRAILER}{}\n",
            what_happened(view, changes),
            view.next_seq()
        );
        let author = self.author.as_ref().map_or(("", ""), |o| (&o.name, &o.id));
        objects.write_commit(
            &tree,
            tip.map(|t| t.commit.as_str()),
            &message,
            author,
            view.now,
        )
    }

    /// Brings the files in the lock directory up to date; gives how many changed.
    fn show(&self, objects: &Objects) -> Result<usize> {
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

    /// Whether somebody else made the last change, only just now.
    fn is_anothers_of_late(&self, tip: &Revision, now: DateTime<Utc>) -> bool {
        let own = fs::read_to_string(self.directory.join("pushed")).unwrap_or_default();
        own.trim() != tip.commit && (now - tip.at).abs() < CROWDED
    }

    /// Notes that others want to change locks at this very time, and how long a push takes.
    fn note_the_crowd(&self, push: Duration) {
        // Only politeness depends on it.
        let _ = fs::write(self.directory.join("crowd"), push.as_millis().to_string());
    }

    /// Who has just won a race knows the new tip before all others do and would win the next one, too: where there is a
    /// crowd, it waits for about one push.
    fn let_others_go_first(&self) {
        let note = self.directory.join("crowd");
        let age = fs::metadata(&note)
            .and_then(|meta| meta.modified())
            .ok()
            .and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age.as_millis() < 2000) {
            let push = fs::read_to_string(&note)
                .ok()
                .and_then(|text| text.parse().ok());
            let push = Duration::from_millis(push.unwrap_or(0)).min(Duration::from_secs(1));
            std::thread::sleep(push.mul_f64(0.5 + noise() / 2.0));
        }
        if age.is_some() {
            let _ = fs::remove_file(&note);
        }
    }

    /// Waits at most as long as a push takes, and less with every round: who has lost most often comes first, so that
    /// nobody starves.
    fn pause(round: u32, push: Duration) {
        let longest = push.max(Duration::from_millis(10)) / round.saturating_mul(round).max(1);
        std::thread::sleep(longest.mul_f64(noise()));
    }
}

/// Something between 0 and 1.
fn noise() -> f64 {
    let (bits, _) = uuid::Uuid::new_v4().as_u64_pair();
    f64::from(u32::try_from(bits >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

/// The number in a tip's trailer; 0 where it has none.
pub(crate) fn seq_of(tip: &Revision) -> u64 {
    history::seq_of(&tip.message)
}

/// A change in words, for whoever reads the ref's history.
fn what_happened(view: &View, changes: &[Change]) -> String {
    let first = changes.iter().find_map(|change| match change {
        Change::Acquire(lock) => Some(("lock", lock.path.to_string())),
        Change::Renew(lock) => Some(("renew", lock.path.to_string())),
        Change::Remove { .. } => None,
    });
    let removed = changes.iter().find_map(|change| match change {
        Change::Remove { place, .. } => {
            let mut entries = view.entries();
            let entry = entries.find(|e| e.place == *place);
            Some(("unlock", entry.map_or_else(String::new, Entry::shown_path)))
        }
        _ => None,
    });
    let (verb, path) = first.or(removed).unwrap_or(("change", String::new()));
    match changes.len() {
        0 | 1 => format!("{verb} {path}"),
        n => format!("{verb} {path} and {} more", n - 1),
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
                .map(|node| tree::entry(objects, node, &|place| self.seen(place)))
                .collect::<Result<_>>()?,
            None => Vec::new(),
        };
        let seq = tip.as_ref().map_or(0, seq_of);
        Ok((View::new(seq, clock.now(), self.terms, entries), complete))
    }

    fn transact(&self, scope: &Scope, clock: &dyn Clock, decide: &mut Decide<'_>) -> Result<u64> {
        let objects = self.prepare()?;
        self.let_others_go_first();
        let began = Instant::now();
        let mut tip = objects.revision(TIP)?;
        let mut is_fresh = false;
        for round in 1.. {
            let view = self.view_of(&objects, tip.as_ref(), scope, clock)?;
            let Decision { changes, verdict } = decide(&view)?;
            if !is_fresh && (verdict == Verdict::No || changes.is_empty()) {
                tip = self.fetch(&objects, None)?;
                is_fresh = true;
                continue;
            }
            if changes.is_empty() {
                self.show(&objects)?;
                return Ok(view.seq);
            }
            let commit = self.commit(&objects, tip.as_ref(), &view, &changes)?;
            let pushing = Instant::now();
            let pushed = self
                .remote
                .push(tip.as_ref().map(|t| t.commit.as_str()), &commit)?;
            let took = pushing.elapsed();
            if let Pushed::Not(rejection) = pushed {
                let now = self.fetch(&objects, None)?;
                let name = |tip: &Option<Revision>| tip.as_ref().map(|t| t.commit.clone());
                // Accepted after all, though the answer was lost; somebody may have built on it already.
                let is_there = match &now {
                    Some(now) => objects.contains(&now.commit, &commit)?,
                    None => false,
                };
                if is_there {
                    self.show_if_possible(&objects);
                    return Ok(view.next_seq());
                }
                if name(&now) == name(&tip) {
                    return Err(self.remote.refused(rejection));
                }
                if began.elapsed() > PATIENCE {
                    return Err(Error::Contended {
                        remote: self.remote.name.clone(),
                    });
                }
                tip = now;
                is_fresh = true;
                Self::pause(round, took);
                continue;
            }
            Self::advance(&objects, &commit)?;
            if round > 1
                || tip
                    .as_ref()
                    .is_some_and(|tip| self.is_anothers_of_late(tip, view.now))
            {
                self.note_the_crowd(took);
            }
            // The push is the truth: what is noted here besides only makes things prompt.
            let _ = fs::write(self.directory.join("pushed"), &commit);
            self.show_if_possible(&objects);
            return Ok(view.next_seq());
        }
        unreachable!("the loop ends by returning")
    }
}

/// The directory of our own repository, for tests and `doctor`.
#[must_use]
pub fn store_directory(common_dir: &Path) -> PathBuf {
    common_dir.join("latch").join("store.git")
}
