//! Edits in the working tree: of what others have locked, and first edits of what is locked by them.
//!
//! A file system's word that a file was written is only the reason to ask git whether it differs: a pull, a checkout and
//! an editor that saves what was there write files, too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bursts::Bursts;
use super::folders::{self, Folders};
use super::{Daemon, Done, Notice, SETTLING, auto, sweep_pause};
use crate::git::edits::{Saved, is_git_at_work, saved};
use crate::live::{Live, Round, SHARE};
use crate::os::paths::path_to_bytes;
use crate::os::watch::identity;
use crate::rules::error::Result;
use crate::rules::event::{Event, Happening};
use crate::rules::lock::LeaseId;
use crate::rules::path::{Key, Kind, RepoPath};
use crate::rules::spelling::escaped;
use crate::rules::view::Entry;

/// The pause between two looks at which folders matter, while locks come and go.
const REFRESH: Duration = Duration::from_millis(200);
/// How many folders that were made are watched: a build makes thousands.
const MOST_MADE: usize = 256;
/// The pause after a question that git did not answer.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(5);
/// The pause between two looks whether git is still at work.
const GIT_AT_WORK: Duration = Duration::from_millis(100);

/// Why git is asked about files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// They were written.
    ForWriting,
    /// They were written, and are not any more.
    AfterBurst,
    /// Somebody locked them: they may have been edited before.
    ForLocks,
}

/// What is known of edits.
#[derive(Debug)]
pub(super) struct Edits {
    bursts: Bursts,
    folders: Folders,
    for_patterns: BTreeSet<PathBuf>,
    /// Folders that were made while they could hold such files.
    made: BTreeSet<PathBuf>,
    /// Whether other folders may matter than those that are watched.
    pub(super) is_outdated: bool,
    refreshed: Instant,
    pause: Duration,
    /// Folders of git's own by which it shows that work may be out.
    git: BTreeSet<PathBuf>,
    index: PathBuf,
    /// When to look after the write bits of the files that git has written, without a hook that would do so.
    pub(super) settle_at: Option<Instant>,
    /// Paths whose locks have changed: their write bits may have to.
    pub(super) to_settle: Vec<(RepoPath, Kind)>,
    /// What git is to be asked as soon as it has answered what it was asked before.
    questions: BTreeMap<Asked, BTreeSet<Vec<u8>>>,
    /// Whether other folders may hold files that are locked on their first edit.
    pub(super) are_folders_outdated: bool,
    /// The edits that were told, and against which lease.
    told: HashMap<Vec<u8>, Option<LeaseId>>,
    /// After a question that git did not answer: when to ask again.
    ask_again_at: Option<Instant>,
    left_out: Option<String>,
    looked: Instant,
}

impl Edits {
    pub(super) fn new(now: Instant) -> Self {
        Edits {
            bursts: Bursts::default(),
            folders: Folders::default(),
            for_patterns: BTreeSet::new(),
            made: BTreeSet::new(),
            is_outdated: true,
            refreshed: now.checked_sub(REFRESH).unwrap_or(now),
            pause: REFRESH,
            git: BTreeSet::new(),
            index: PathBuf::new(),
            settle_at: Some(now),
            to_settle: Vec::new(),
            questions: BTreeMap::new(),
            are_folders_outdated: true,
            told: HashMap::new(),
            ask_again_at: None,
            left_out: None,
            looked: now,
        }
    }

    /// Watches what git writes when a commit, a stash or a push is over.
    pub(super) fn watch_git(&mut self, live: &mut Live) {
        let repo = live.latch().repo().clone();
        self.index = repo.git_dir().join("index");
        let mut wanted = BTreeSet::from([repo.git_dir().to_owned(), repo.common_dir().to_owned()]);
        let remotes = repo.common_dir().join("refs").join("remotes");
        let listing = std::fs::read_dir(&remotes).into_iter().flatten().flatten();
        wanted.extend(listing.map(|item| item.path()).filter(|path| path.is_dir()));
        wanted.insert(remotes);
        for directory in wanted {
            // Without them it is looked every half minute.
            if live.directories().add(&directory).is_ok() {
                self.git.insert(directory);
            }
        }
    }

    /// Git did not answer: it is asked again a little later.
    pub(super) fn ask_for_folders_again(&mut self) {
        self.are_folders_outdated = true;
        self.ask_again_at = Some(Instant::now() + ASK_AGAIN);
    }

    /// The folders of files that are locked on their first edit.
    pub(super) fn of_patterns(&mut self, folders: BTreeSet<PathBuf>) {
        self.is_outdated |= folders != self.for_patterns;
        self.for_patterns = folders;
    }

    /// Has git asked about files, soon.
    pub(super) fn ask(&mut self, asked: Asked, paths: Vec<Vec<u8>>) {
        if !paths.is_empty() {
            self.questions.entry(asked).or_default().extend(paths);
        }
    }

    /// Whether an edit was told since the file has this lock.
    fn was_told(&self, path: &[u8], holder: &Entry) -> bool {
        self.told.get(path) == Some(&holder.lock().map(|lock| lock.lease.clone()))
    }

    /// A file is free: its next save is a first edit, or somebody else's business.
    pub(super) fn end_burst(&mut self, path: &[u8], was: &Entry) {
        self.bursts.end(path);
        let lease = was.lock().map(|lock| lock.lease.clone());
        self.told.retain(|_, told| *told != lease);
    }

    /// When there is something to do.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let refresh = self.is_outdated.then(|| self.refreshed + self.pause);
        // What is due and not begun waits for a job that is under way, whose end wakes.
        let settle = self.settle_at.filter(|at| *at > now);
        let question = (!self.questions.is_empty()).then(|| now + GIT_AT_WORK);
        let question = question.map(|at| self.ask_again_at.map_or(at, |again| at.max(again)));
        let others = refresh.into_iter().chain(settle).chain(question);
        self.bursts.next_end().into_iter().chain(others).min()
    }
}

impl Daemon {
    /// What was touched in the working tree, bursts that are over, folders that matter now.
    pub(super) fn tend_edits(&mut self, round: &Round, now: Instant, notices: &mut Vec<Notice>) {
        for path in &round.touched.paths {
            self.touch(path, now);
        }
        if round.touched.everything || self.has_to_look(now) {
            self.edits.looked = now;
            self.edits.is_outdated = true;
            self.look_at_all_edits();
        }
        let written = self.edits.bursts.unjudged();
        self.edits.ask(Asked::ForWriting, written);
        let over = self.edits.bursts.over(now);
        self.edits.ask(Asked::AfterBurst, over);
        self.settle(now);
        let pause = if self.edits.is_outdated {
            self.edits.pause
        } else {
            sweep_pause()
        };
        if now >= self.edits.refreshed + pause {
            self.edits.is_outdated = false;
            self.edits.refreshed = now;
            self.refresh_folders(notices);
            self.edits.pause = REFRESH.max(now.elapsed() * SHARE);
        }
        self.ask_git(now);
    }

    /// Without events for some folders, all is looked at every now and then.
    fn has_to_look(&self, now: Instant) -> bool {
        self.edits.left_out.is_some() && now.duration_since(self.edits.looked) >= sweep_pause()
    }

    fn touch(&mut self, path: &Path, now: Instant) {
        let latch = Arc::clone(self.live.latch());
        let is_git = path
            .parent()
            .is_some_and(|parent| self.edits.git.contains(parent));
        if is_git {
            self.auto_locks.give_back_at = self.auto_locks.give_back_at.min(now + SETTLING);
            if path == self.edits.index {
                self.edits.settle_at = Some(now + SETTLING);
                self.edits.are_folders_outdated = true;
            }
        }
        let Ok(root) = latch.repo().root() else {
            return;
        };
        let Ok(relative) = path.strip_prefix(root) else {
            return;
        };
        if relative.starts_with(".git") {
            return;
        }
        let is_directory = identity(path).is_some();
        if is_directory || self.edits.folders.contains(path) {
            // It came, went, or another came in its place.
            let directories = self.live.directories();
            self.edits.folders.forget(directories, path);
            self.edits.is_outdated = true;
            if path == root {
                return;
            }
            let has_patterns = !latch.policy().auto_lock.is_empty();
            if has_patterns && is_directory && self.edits.made.len() < MOST_MADE {
                self.edits.made.insert(path.to_owned());
            }
        }
        let bytes = path_to_bytes(relative);
        let key = Key::of(&bytes);
        let holder = self.live.follower().holder_of(&key);
        let is_foreign = holder.is_some_and(|entry| self.is_foreign(entry));
        if is_foreign || auto::wants(&latch, &bytes, holder).is_some() {
            self.edits.bursts.touch(bytes, now);
        } else if holder.is_some() {
            // Put back what it was, perhaps.
            self.auto_locks.give_back_at = self.auto_locks.give_back_at.min(now + SETTLING);
        }
    }

    /// Asks git one thing after the other: however often a file is written, one question is under way.
    fn ask_git(&mut self, now: Instant) {
        if self.edits.ask_again_at.is_some_and(|at| now < at) {
            return;
        }
        self.edits.ask_again_at = None;
        if !self.busy.asking
            && !is_git_at_work(self.live.latch().repo().git_dir())
            && let Some((asked, paths)) = self.edits.questions.pop_first()
        {
            self.busy.asking = true;
            let latch = Arc::clone(self.live.latch());
            let paths: Vec<Vec<u8>> = paths.into_iter().collect();
            self.tree.give(move || {
                let result = saved(latch.repo(), &paths);
                Done::Saved(asked, paths, result)
            });
        }
        let has_patterns = !self.live.latch().policy().auto_lock.is_empty();
        if self.edits.are_folders_outdated && has_patterns && !self.busy.asking_for_folders {
            self.edits.are_folders_outdated = false;
            self.busy.asking_for_folders = true;
            let latch = Arc::clone(self.live.latch());
            self.tree.give(move || {
                let patterns = &latch.policy().auto_lock;
                let is_wanted = |key: &Key| patterns.matches(key);
                Done::Folders(folders::of_tracked(latch.repo(), is_wanted))
            });
        }
    }

    /// Has git asked about everything that others have locked, or that is locked on its first edit.
    pub(super) fn look_at_all_edits(&mut self) {
        let follower = self.live.follower();
        let foreign = follower.live().filter(|entry| self.is_foreign(entry));
        let mut paths: Vec<Vec<u8>> = foreign
            .filter_map(|entry| entry.lock())
            .map(|lock| lock.path.as_str().as_bytes().to_vec())
            .collect();
        if !self.live.latch().policy().auto_lock.is_empty() {
            paths.push(b".".to_vec());
        }
        self.edits.ask(Asked::ForLocks, paths);
    }

    pub(super) fn on_saved(
        &mut self,
        asked: Asked,
        paths: Vec<Vec<u8>>,
        result: Result<Vec<(Vec<u8>, Saved)>>,
        notices: &mut Vec<Notice>,
    ) {
        self.busy.asking = false;
        let found = match result {
            Ok(found) => found,
            Err(error) => {
                self.edits.ask(asked, paths);
                self.edits.ask_again_at = Some(Instant::now() + ASK_AGAIN);
                return self.note_failure("asking git what was edited", Err(error), notices);
            }
        };
        self.note_failure("asking git what was edited", Ok(()), notices);
        let mut first = Vec::new();
        for (path, saved) in found {
            let holder = self.live.follower().holder_of(&Key::of(&path)).cloned();
            let wanted = auto::wants(self.live.latch(), &path, holder.as_ref());
            let foreign = holder.filter(|entry| self.is_foreign(entry));
            if wanted.is_none() && foreign.is_none() {
                continue;
            }
            // What is only staged may be git's own doing: a pull before it moves `HEAD`. In two seconds that is settled.
            if asked != Asked::AfterBurst && saved == Saved::Staged {
                self.edits.bursts.ask_at_end(path, Instant::now());
                continue;
            }
            first.extend(wanted);
            if let Some(holder) = foreign
                && !(asked == Asked::ForLocks && self.edits.was_told(&path, &holder))
            {
                self.tell_edited(&path, holder, notices);
            }
        }
        self.lock_first_edits(first, notices);
    }

    /// Tells of an edit, once in a burst.
    pub(super) fn tell_edited(&mut self, path: &[u8], holder: Entry, notices: &mut Vec<Notice>) {
        if !self.edits.bursts.is_news(path, Instant::now()) {
            return;
        }
        let lease = holder.lock().map(|lock| lock.lease.clone());
        self.edits.told.insert(path.to_vec(), lease);
        notices.push(Notice::Event(Box::new(Event {
            seq: self.live.follower().seq(),
            happening: Happening::Edited,
            at: self.clock.now(),
            path: escaped(path),
            lock: holder,
            previous: None,
            by: None,
            note: None,
        })));
    }

    fn refresh_folders(&mut self, notices: &mut Vec<Notice>) {
        let latch = Arc::clone(self.live.latch());
        let Ok(root) = latch.repo().root() else {
            return;
        };
        let me = &self.me;
        let foreign = self.live.follower().live().filter(|entry| !me.has(entry));
        let mut wanted = folders::of_locks(root, foreign.filter_map(Entry::lock));
        wanted
            .folders
            .extend(self.edits.for_patterns.iter().cloned());
        self.edits.made.retain(|folder| identity(folder).is_some());
        wanted.folders.extend(self.edits.made.iter().cloned());
        if !latch.policy().auto_lock.is_empty() {
            wanted.folders.insert(root.to_owned());
        }
        let directories = self.live.directories();
        let (new, watched) = self.edits.folders.watch(directories, &wanted.folders);
        // What was written before the watch was set is found by looking.
        let new = new
            .iter()
            .filter_map(|folder| folder.strip_prefix(root).ok());
        let new = new.map(|folder| match path_to_bytes(folder) {
            top if top.is_empty() => b".".to_vec(),
            folder => folder,
        });
        let new = new.collect();
        self.edits.ask(Asked::ForLocks, new);
        let too_large = (wanted.too_large > 0).then(|| {
            let why = "somebody has locked a directory with thousands of folders";
            (why.to_owned(), wanted.too_large)
        });
        let left_out = watched.err().or(too_large);
        let why = left_out.as_ref().map(|(why, _)| why.clone());
        if let Some((why, count)) =
            left_out.filter(|(why, _)| self.edits.left_out.as_ref() != Some(why))
        {
            notices.push(Notice::NotWatched(why, count));
        }
        self.edits.left_out = why;
    }
}
