//! The lock ref of a bare repository, changed in this process: where a server runs.
//!
//! A change is one pack that is on the disk before the ref moves, and the ref moves by comparison with what was decided
//! on: beside pushes into the repository, and beside other servers. The hooks of the repository do not run.
//!
//! What others have put there is held against the limits as a clone holds what it fetches: the hook may not be installed.
//! A tip that cannot follow is not accepted, and a lock that no honest program writes blocks its path as an unreadable one.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use parking_lot::{Mutex, RwLock};

use super::commit::{self, Draft, seq_of};
use super::doubts::Doubts;
use super::left::Left;
use super::packs::{self, Packs};
use super::succession::{self, Accepted, Broken, Succession};
use super::tree::{self, SeenBefore};
use crate::git::repo::{Moved, Objects, Repo, Revision, Writer};
use crate::os::fault;
use crate::os::files::{self, Stamp};
use crate::os::guard::Guard;
use crate::os::mode::Sharing;
use crate::rules::error::{Error, Result};
use crate::rules::event::Author;
use crate::rules::path::Place;
use crate::rules::time::Clock;
use crate::rules::view::{LeaseLimits, View};
use crate::store::{Decide, LatchDir, LockStore, Scope};

/// How long a change is tried again after others were faster.
const PATIENCE: Duration = Duration::from_secs(10);
/// For how long changes may follow each other without a pause.
const WITHOUT_PAUSE: Duration = Duration::from_secs(1);
/// How long a pause is; and where others than this process have changed the ref lately, how long then, and how lately.
const PAUSE: Duration = Duration::from_millis(60);
const LONG_PAUSE: Duration = Duration::from_millis(200);
const LATELY: Duration = Duration::from_secs(600);
/// How many opened repositories are kept.
const IDLE: usize = 4;

/// When the last change ended, and the last pause.
#[derive(Debug)]
struct Pace {
    last: Instant,
    pause: Instant,
    /// What this process writes, or has written last.
    own: Option<String>,
    /// When somebody else was seen to have changed the ref.
    others: Option<Instant>,
}

/// Opened repositories that nobody uses at the moment.
#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Objects>,
    generation: u64,
}

/// The objects of the repository, for as long as they are needed.
#[derive(Debug)]
pub(crate) struct Pooled {
    objects: Option<Objects>,
    generation: u64,
    pool: Arc<Mutex<Pool>>,
}

impl std::ops::Deref for Pooled {
    type Target = Objects;

    fn deref(&self) -> &Objects {
        self.objects
            .as_ref()
            .expect("it is there until it is dropped")
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let mut pool = self.pool.lock();
        if pool.generation == self.generation && pool.idle.len() < IDLE {
            pool.idle.extend(self.objects.take());
        }
    }
}

/// The locks of a bare repository, to look at and to change.
#[derive(Debug)]
pub(crate) struct HostedStore {
    repository: PathBuf,
    directory: LatchDir,
    reference: String,
    terms: RwLock<LeaseLimits>,
    author: Author,
    packs: Packs,
    pool: Arc<Mutex<Pool>>,
    pace: Mutex<Pace>,
    /// Held while this process moves the ref.
    writing: Mutex<()>,
    /// The tip accepted last: its number never goes back.
    accepted: RwLock<Option<Accepted>>,
    /// What is not believed of what others have put there.
    doubts: RwLock<Doubts>,
    left: Left,
    /// When locks with a heartbeat in the future were first seen.
    ahead: RwLock<HashMap<Place, DateTime<Utc>>>,
}

impl HostedStore {
    /// The locks that lie in a ref of a bare repository.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where libgit2 does not read the repository.
    pub(crate) fn open(
        repo: &Repo,
        reference: &str,
        terms: LeaseLimits,
        author: Author,
    ) -> Result<Self> {
        let repository = repo.common_dir().to_owned();
        let directory = LatchDir::of(&repository);
        let scratch = directory.tmp();
        files::create_directories(&scratch, Sharing::default())?;
        Objects::open(&repository).map_err(|error| Error::Unsupported {
            problem: format!("`{}` cannot be served: {error}", repository.display()),
            hint: Some(
                "the server needs a repository with SHA-1 objects and refs in files; `git latch serve --remote` works with any"
                    .into(),
            ),
        })?;
        Ok(HostedStore {
            doubts: RwLock::new(Doubts::new(&repository, Sharing::default())),
            packs: Packs::new(repo, reference, &directory, &scratch),
            pool: Arc::default(),
            writing: Mutex::default(),
            pace: Mutex::new(Pace {
                last: Instant::now(),
                pause: Instant::now(),
                own: None,
                others: None,
            }),
            repository,
            directory,
            reference: reference.to_owned(),
            terms: RwLock::new(terms),
            author,
            accepted: RwLock::default(),
            left: Left::default(),
            ahead: RwLock::default(),
        })
    }

    /// Judges by other terms from now on.
    pub(crate) fn set_terms(&self, terms: LeaseLimits) {
        *self.terms.write() = terms;
    }

    /// Whose word is taken for changes made for others: servers', by the policy. This one's own is where anybody's is.
    pub(crate) fn set_trusted(&self, trusted: &[String]) {
        let mut trusted = trusted.to_vec();
        if !trusted.is_empty() {
            trusted.push(self.author.id.clone());
        }
        let doubts = self.doubts().with_trust_in(&trusted);
        *self.doubts.write() = doubts;
    }

    /// What is not believed of entries of the ref.
    pub(crate) fn doubts(&self) -> Doubts {
        self.doubts.read().clone()
    }

    fn terms(&self) -> LeaseLimits {
        let terms = self.terms.read();
        *terms
    }

    /// The repository's objects: opened once, and used by one after the other.
    pub(crate) fn objects(&self) -> Result<Pooled> {
        let (generation, idle) = {
            let mut pool = self.pool.lock();
            (pool.generation, pool.idle.pop())
        };
        let open =
            || Objects::open(&self.repository)?.with_synced_refs(&self.directory.sync_config());
        let objects = idle.map_or_else(open, Ok)?;
        Ok(Pooled {
            objects: Some(objects),
            generation,
            pool: self.pool.clone(),
        })
    }

    /// Tidies up after a server that died. Only where no other one serves the repository.
    pub(crate) fn tidy_up(&self) -> Result<()> {
        self.packs.tidy_up()
    }

    /// Has everybody open the repository anew: who has an old pack open keeps its bytes on the disk.
    fn reopen(&self) {
        let mut pool = self.pool.lock();
        pool.generation += 1;
        pool.idle.clear();
    }

    /// The tip of the ref. One that cannot follow on the last one is not accepted.
    pub(crate) fn tip(&self, objects: &Objects) -> Result<Option<Revision>> {
        // Before the ref, which others move meanwhile.
        let accepted = self.accepted.read().clone();
        let tip = objects.revision(&self.reference)?;
        let commit = tip.as_ref().map(|tip| &tip.commit);
        if commit.is_some() && commit == accepted.as_ref().map(|accepted| &accepted.commit) {
            return Ok(tip);
        }
        match succession::judge(objects, accepted.as_ref(), tip.as_ref())? {
            Succession::Same => {}
            Succession::Later(later) => {
                if self.pace.lock().own.as_ref() != Some(&later.commit) {
                    self.meet(objects, accepted.as_ref(), later)?;
                }
                self.accept(Accepted::from(later));
            }
            Succession::Broken(broken) => return Err(self.not_accepted(broken)),
        }
        Ok(tip)
    }

    /// Looks at what others have put there, before anybody goes by it.
    fn meet(&self, objects: &Objects, accepted: Option<&Accepted>, tip: &Revision) -> Result<()> {
        let hold = || {
            let note = format!("{} git-latch serve\n", std::process::id());
            Guard::take(&self.directory.doubts_guard(), &note)
        };
        let since = accepted.map(|accepted| accepted.commit.as_str());
        let skew = self.terms().clock_skew;
        self.doubts().note(&hold, objects, since, tip, skew)?;
        if accepted.is_some() {
            self.pace.lock().others = Some(Instant::now());
        }
        Ok(())
    }

    fn accept(&self, tip: Accepted) {
        let mut accepted = self.accepted.write();
        if accepted.as_ref().is_none_or(|last| last.seq < tip.seq) {
            *accepted = Some(tip);
        }
    }

    fn not_accepted(&self, broken: Broken) -> Error {
        let hint = if broken.is_beyond_limits() {
            "git-latch never makes such a change: restore the ref with `git update-ref`"
        } else {
            "restore it with `git update-ref`, or restart the server to accept it"
        };
        Error::Refused {
            remote: self.repository.display().to_string(),
            problem: format!(
                "`{}` {} behind the server's back",
                self.reference,
                broken.words()
            ),
            hint: Some(hint.into()),
        }
    }

    /// What the ref's file looks like, without reading it: it is another one after every move of the ref. `None` where
    /// there is none, as after `git pack-refs`.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        Stamp::at(&self.repository.join(&self.reference))
    }

    /// Notes when a lock whose heartbeat lies in the future was first seen: that is what it counts from.
    pub(crate) fn note_ahead(&self, place: &Place, at: Option<DateTime<Utc>>) {
        let mut ahead = self.ahead.write();
        match at {
            Some(at) => drop(ahead.insert(place.clone(), at)),
            None => drop(ahead.remove(place)),
        }
    }

    fn view_of(
        &self,
        objects: &Objects,
        tip: Option<&Revision>,
        scope: &Scope,
        now: DateTime<Utc>,
    ) -> Result<View> {
        let seen = |place: &Place| self.ahead.read().get(place).copied();
        let when = (self.terms(), now);
        let mut view = tree::view(objects, tip, scope, SeenBefore::Since(&seen), when)?;
        self.doubts().apply(&mut view, scope, tip);
        Ok(view)
    }

    /// Looks after the disk: drops a history that has become long, and puts packs together.
    pub(crate) fn maintain(&self, clock: &dyn Clock) -> Result<()> {
        let objects = self.objects()?;
        let Some(tip) = self.tip(&objects)? else {
            return Ok(());
        };
        let packs = self.packs.all()?;
        let is_long = commit::depth_of(&tip) >= commit::LONG || packs::are_large(&packs);
        if is_long && self.forget(&objects, clock)? || self.packs.roll_up(packs)? {
            self.reopen();
        }
        self.packs.prune()
    }

    /// Drops the history, and its packs after a while; says whether it did.
    fn forget(&self, objects: &Objects, clock: &dyn Clock) -> Result<bool> {
        let older = self.packs.all()?;
        let Some(root) = self.drop_history(objects, clock)? else {
            return Ok(false);
        };
        self.packs.keep_only(&root, &older)?;
        Ok(true)
    }

    /// Puts a root with the same locks in place of the tip; gives it, unless somebody was faster. Changes of this process
    /// wait meanwhile: under load one of them would always be.
    fn drop_history(&self, objects: &Objects, clock: &dyn Clock) -> Result<Option<String>> {
        let _writing = self.writing.lock();
        let Some(tip) = self.tip(objects)? else {
            return Ok(None);
        };
        let view = View::new(seq_of(&tip), clock.now(), self.terms(), Vec::new());
        let write = |to: &Writer<'_>| commit::root(to, &tip, &view, &self.author);
        let (root, pack) = self.packs.write(objects, write)?;
        let moved = self.move_ref(Some(&tip), &root, view.next_seq());
        self.packs.unkeep(&pack);
        Ok((moved? == Moved::Yes).then_some(root))
    }

    /// Git's lock file of the ref.
    fn ref_lock(&self) -> PathBuf {
        self.repository.join(format!("{}.lock", self.reference))
    }

    /// Clones that push need the ref to stay as they saw it for the length of a push. A server that changes it without a
    /// pause would never let one of them by: so it makes one, a moment of each second.
    fn let_others_by(&self) {
        let (last, since, others) = {
            let pace = self.pace.lock();
            (pace.last, pace.pause, pace.others)
        };
        let is_shared = others.is_some_and(|at| at.elapsed() < LATELY);
        let pause = if is_shared { LONG_PAUSE } else { PAUSE };
        if last.elapsed() > pause {
            self.pace.lock().pause = Instant::now();
        } else if since.elapsed() > WITHOUT_PAUSE {
            std::thread::sleep(pause);
            self.pace.lock().pause = Instant::now();
        }
    }

    /// Decides and moves the ref, again where somebody else was faster.
    fn change(&self, scope: &Scope, clock: &dyn Clock, decide: &mut Decide<'_>) -> Result<u64> {
        let began = Instant::now();
        let mut is_anew = false;
        loop {
            let objects = self.objects()?;
            let read = || {
                let tip = self.tip(&objects)?;
                let view = self.view_of(&objects, tip.as_ref(), scope, clock.now())?;
                Ok((tip, view))
            };
            let (tip, view) = match read() {
                // Where git moves objects from pack to pack, who has the old ones open does not find them for a moment.
                Err(Error::Corrupt { .. }) if !is_anew => {
                    is_anew = true;
                    drop(objects);
                    self.reopen();
                    continue;
                }
                read => read?,
            };
            let decision = decide(&view)?;
            if decision.changes.is_empty() {
                return Ok(view.seq);
            }
            let draft = Draft {
                tip: tip.as_ref(),
                view: &view,
                changes: &decision.changes,
                author: self.author.clone(),
                on_behalf: &decision.on_behalf,
            };
            let (commit, pack) = self.packs.write(&objects, |to| draft.write(to))?;
            fault::point("hosted-packed");
            let moved = self.move_ref(tip.as_ref(), &commit, view.next_seq());
            self.packs.unkeep(&pack);
            if let Moved::Yes = moved? {
                fault::point("hosted-moved");
                return Ok(view.next_seq());
            }
            if began.elapsed() > PATIENCE {
                return Err(Error::Contended {
                    remote: self.repository.display().to_string(),
                });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn move_ref(&self, old: Option<&Revision>, new: &str, seq: u64) -> Result<Moved> {
        let began = Instant::now();
        let objects = self.objects()?;
        let old = old.map(|tip| tip.commit.as_str());
        self.pace.lock().own = Some(new.to_owned());
        loop {
            let moved = objects.exchange(&self.reference, old, new)?;
            match moved {
                Moved::Yes => self.accept(Accepted {
                    commit: new.to_owned(),
                    seq,
                }),
                // Whoever has the ref locked is about to move it, or has died.
                Moved::Locked
                    if began.elapsed() < fault::limit("GIT_LATCH_PATIENCE_MS", PATIENCE) =>
                {
                    self.left.look(&self.ref_lock(), &self.repository);
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                }
                Moved::Locked => {
                    return Err(Error::Busy {
                        holder: "git, or a leftover of a git that died (remove it if no git is running there)".into(),
                        guard: self.ref_lock(),
                    });
                }
                Moved::No => {}
            }
            return Ok(moved);
        }
    }
}

impl LockStore for HostedStore {
    fn view(&self, scope: &Scope, clock: &dyn Clock) -> Result<View> {
        let objects = self.objects()?;
        let tip = self.tip(&objects)?;
        self.view_of(&objects, tip.as_ref(), scope, clock.now())
    }

    fn peek(&self, _limit: usize, clock: &dyn Clock) -> Result<(View, bool)> {
        Ok((self.view(&Scope::All, clock)?, true))
    }

    fn transact(&self, scope: &Scope, clock: &dyn Clock, decide: &mut Decide<'_>) -> Result<u64> {
        let _writing = self.writing.lock();
        self.let_others_by();
        let changed = self.change(scope, clock, decide);
        self.pace.lock().last = Instant::now();
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::SystemTime;

    use super::*;
    use crate::git::scratch::Scratch;
    use crate::os::clock::SystemClock;

    const REFERENCE: &str = "refs/latch/locks";

    fn hosted(scratch: &Scratch) -> HostedStore {
        let repo = Repo::discover(Path::new(&scratch.with_origin())).unwrap();
        HostedStore::open(&repo, REFERENCE, LeaseLimits::DEFAULT, Author::default()).unwrap()
    }

    /// Adds a commit with this number, which says to have so many below it.
    fn grow(store: &HostedStore, seq: u64, depth: u64) {
        let objects = store.objects().unwrap();
        let tip = store.tip(&objects).unwrap();
        let parent = tip.as_ref().map(|tip| tip.commit.as_str());
        let put = [(b"a.lock".to_vec(), seq.to_string().into_bytes())];
        let message = format!("lock\n\nLatch-Seq: {seq}\nLatch-Depth: {depth}\n");
        let written = store.packs.write(&objects, |to| {
            let tree = to.write_tree(None, &put, &[])?;
            to.write_commit(&tree, parent, &message, ("", ""), Utc::now())
        });
        let (commit, pack) = written.unwrap();
        let moved = store.move_ref(tip.as_ref(), &commit, seq).unwrap();
        assert_eq!(moved, Moved::Yes);
        store.packs.unkeep(&pack);
    }

    fn tip(store: &HostedStore) -> Revision {
        let objects = store.objects().unwrap();
        store.tip(&objects).unwrap().unwrap()
    }

    fn packs(store: &HostedStore) -> usize {
        store.packs.all().unwrap().len()
    }

    #[test]
    fn a_long_history_is_dropped_and_the_locks_stay() {
        let scratch = Scratch::new();
        let store = hosted(&scratch);
        grow(&store, 1, commit::LONG - 1);
        store.maintain(&SystemClock).unwrap();
        assert_eq!((seq_of(&tip(&store)), packs(&store)), (1, 1));
        grow(&store, 2, commit::LONG);
        let before = tip(&store);
        store.maintain(&SystemClock).unwrap();
        let after = tip(&store);
        assert_eq!(commit::depth_of(&after), 0);
        assert!(seq_of(&after) > 2);
        assert_eq!(after.tree, before.tree);
        assert!(after.parents.is_empty());
        // That of the locks and that of the root's own commit.
        assert_eq!(packs(&store), 2);
    }

    /// Makes it long ago that something was dropped.
    fn age(store: &HostedStore) {
        let list = store.directory.packs().1;
        let list = fs::File::options().append(true).open(list).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        list.set_modified(long_ago).unwrap();
    }

    /// The packs of the repository, listed or not.
    fn all_packs(store: &HostedStore) -> usize {
        let files = fs::read_dir(store.repository.join("objects/pack")).unwrap();
        let is_pack = |file: &fs::DirEntry| file.path().extension().is_some_and(|e| e == "pack");
        files.flatten().filter(is_pack).count()
    }

    #[test]
    fn what_another_ref_leads_to_stays_and_what_none_leads_to_goes() {
        let scratch = Scratch::new();
        let store = hosted(&scratch);
        grow(&store, 1, 0);
        let older = tip(&store);
        for n in 2..40 {
            grow(&store, n, n);
        }
        let copied = tip(&store);
        grow(&store, 40, commit::LONG);
        let point = |name: &str, oid: &str| {
            fs::write(
                store.repository.join("refs/heads").join(name),
                format!("{oid}\n"),
            )
            .unwrap();
        };
        // The middle of the history; and a tag on a tree of it, which no commit of it is in.
        point("copy", &copied.commit);
        fs::write(
            store.repository.join("refs/tags/tree"),
            format!("{}\n", older.tree),
        )
        .unwrap();
        store.maintain(&SystemClock).unwrap();
        assert_eq!(commit::depth_of(&tip(&store)), 0);
        age(&store);
        store.maintain(&SystemClock).unwrap();
        let readable = |oid: &str| {
            let objects = Objects::open(&store.repository).unwrap();
            objects.commit(oid).is_ok()
        };
        assert!(readable(&copied.commit) && readable(&older.commit));
        // What comes after is nobody's.
        let kept = all_packs(&store);
        grow(&store, seq_of(&tip(&store)) + 1, commit::LONG);
        let dropped = tip(&store);
        store.maintain(&SystemClock).unwrap();
        assert!(readable(&dropped.commit), "others may be reading it");
        age(&store);
        store.maintain(&SystemClock).unwrap();
        assert!(!readable(&dropped.commit));
        assert!(readable(&copied.commit));
        assert_eq!(all_packs(&store), kept);
        scratch.git(&["-C", store.repository.to_str().unwrap(), "fsck", "--strict"]);
    }
}
