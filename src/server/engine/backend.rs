//! Where a served repository's locks lie: in the repository itself, or on a git remote.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::{Mutex, RwLock};

use crate::git::command::split_nul;
use crate::git::repo::{Differing, Node, Objects, Repo, Revision};
use crate::latch::policy::Policy;
use crate::os::files::{self, Stamp};
use crate::os::guard::{Guard, Presence};
use crate::os::mode::Sharing;
use crate::rules::error::{Error, Result};
use crate::rules::event::Author;
use crate::rules::lock::Owner;
use crate::rules::path::{Claim, Key, Kind, Place, RepoPath};
use crate::rules::time::Clock;
use crate::rules::view::Entry;
use crate::store::shared::tree::{self, SeenBefore};
use crate::store::shared::{Doubts, Pooled};
use crate::store::{HostedStore, LatchDir, LockStore, Scope, SharedStore};

/// Where a remote's `HEAD` lies in our repository: its policy, and the names of its files.
const REMOTE_HEAD: &str = "refs/latch/head";
/// From how many locks on a second thread pays for itself.
const WORTH_A_THREAD: usize = 5_000;
/// Of how many paths it is remembered whether they are directories.
const KNOWN: usize = 10_000;
/// How long fetching a remote's `HEAD` may take.
const LONGEST_FETCH: Duration = Duration::from_secs(60);

/// Where the locks lie.
pub(super) struct Backend {
    repo: Repo,
    locks: Locks,
    /// The files that there are.
    listed: Mutex<Listed>,
    /// What was looked up in the tree of `HEAD`.
    looked_up: Mutex<Option<LookedUp>>,
    /// Held by the one server that looks after the disk.
    duty: Mutex<Option<Guard>>,
    /// Whether other servers serve the repository, as far as this machine can tell.
    presence: Option<Mutex<Presence>>,
    /// Whether a change was not read, so that everything is blocked.
    is_blocked: AtomicBool,
}

/// A commit, and which paths are directories in it, as far as somebody asked.
struct LookedUp {
    head: String,
    objects: Objects,
    known: HashMap<RepoPath, bool>,
}

/// A commit, and its files.
type Listed = (String, Arc<Vec<String>>);

enum Locks {
    Here(Arc<HostedStore>),
    There(Box<RwLock<SharedStore>>),
}

/// The objects of the lock ref, opened.
pub(super) enum Opened {
    Here(Pooled),
    There(Objects),
}

impl std::ops::Deref for Opened {
    type Target = Objects;

    fn deref(&self) -> &Objects {
        match self {
            Opened::Here(objects) => objects,
            Opened::There(objects) => objects,
        }
    }
}

impl Backend {
    /// A bare repository, and its policy.
    pub(super) fn hosted(directory: &Path, server: &Author) -> Result<(Self, Policy)> {
        let repo = Repo::discover(directory)?;
        let is_itself = directory
            .canonicalize()
            .is_ok_and(|path| path == repo.common_dir());
        if !repo.is_bare() || !is_itself {
            return Err(Error::Unsupported {
                problem: format!("`{}` has a working tree", directory.display()),
                hint: Some(
                    "serve a bare repository (`git clone --bare`), or the remote: git latch serve --remote URL"
                        .into(),
                ),
            });
        }
        let policy = Policy::in_commit(&repo, "HEAD")?;
        let store = HostedStore::open(&repo, &policy.share_ref, policy.terms, server.clone())?;
        store.set_trusted(&policy.trusted);
        let presence = Presence::begin(&LatchDir::of(repo.common_dir()).servers())?;
        let duty = take_duty(&repo)?;
        if presence.is_alone() {
            store.tidy_up()?;
        } else {
            tracing::info!(repo = %directory.display(), "another server serves this repository");
        }
        let backend = Backend {
            repo,
            locks: Locks::Here(Arc::new(store)),
            listed: Mutex::default(),
            looked_up: Mutex::default(),
            duty: Mutex::new(duty),
            presence: Some(Mutex::new(presence)),
            is_blocked: AtomicBool::default(),
        };
        Ok((backend, policy))
    }

    /// A remote, worked on from a repository of ours below `cache`.
    pub(super) fn remote(
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
        let backend = Backend {
            repo,
            locks: Locks::There(Box::new(RwLock::new(store))),
            listed: Mutex::default(),
            looked_up: Mutex::default(),
            duty: Mutex::default(),
            presence: None,
            is_blocked: AtomicBool::default(),
        };
        Ok((backend, policy))
    }

    /// Whether nobody else serves the repository, as far as can be known.
    pub(super) fn is_sole(&self) -> bool {
        let presence = self.presence.as_ref();
        presence.is_some_and(|presence| presence.lock().is_alone())
    }

    /// Whether looking after the disk is this server's duty.
    pub(super) fn is_on_duty(&self) -> bool {
        self.duty.lock().is_some()
    }

    /// Takes the duty over, if the server that had it has ended.
    pub(super) fn take_duty(&self) -> Result<()> {
        let mut duty = self.duty.lock();
        if duty.is_none() && !self.is_remote() {
            *duty = take_duty(&self.repo)?;
        }
        Ok(())
    }

    /// Whether others' changes have to be fetched.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.locks, Locks::There(_))
    }

    pub(super) fn store(&self) -> Arc<dyn LockStore + Send> {
        match &self.locks {
            Locks::Here(store) => store.clone(),
            Locks::There(store) => {
                let store = store.read();
                Arc::new(store.clone())
            }
        }
    }

    /// Judges by another policy from now on.
    pub(super) fn set_policy(&self, policy: &Policy) {
        match &self.locks {
            Locks::Here(store) => {
                store.set_terms(policy.terms);
                store.set_trusted(&policy.trusted);
            }
            Locks::There(store) => {
                let mut store = store.write();
                let anew = store.clone().with_terms(policy.terms);
                *store = anew.with_trust_in(&policy.trusted);
            }
        }
    }

    /// What is not believed of what others have put there.
    fn doubts(&self) -> Doubts {
        match &self.locks {
            Locks::Here(store) => store.doubts(),
            Locks::There(store) => store.read().doubts(),
        }
    }

    /// Asks a remote what is new; nothing to do where the locks lie here.
    pub(super) fn fetch(&self, clock: &dyn Clock) -> Result<()> {
        if let Locks::There(store) = &self.locks {
            let store = store.read().clone();
            store.sync(None, clock)?;
        }
        Ok(())
    }

    /// Looks after the disk.
    pub(super) fn maintain(&self, clock: &dyn Clock) -> Result<()> {
        match &self.locks {
            Locks::Here(store) => store.maintain(clock),
            Locks::There(_) => Ok(()),
        }
    }

    /// When the locks were last known to be those of the ref, if what is here has just been read.
    pub(super) fn confirmed_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.locks {
            Locks::Here(_) => Some(now),
            Locks::There(store) => {
                let store = store.read();
                store.synced_at()
            }
        }
    }

    /// What the lock ref's file looks like, where it lies here.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        match &self.locks {
            Locks::Here(store) => store.stamp(),
            Locks::There(_) => None,
        }
    }

    /// The objects, and the tip; `None` where there are no objects yet.
    pub(super) fn tip(&self) -> Result<Option<(Opened, Option<Revision>)>> {
        match &self.locks {
            Locks::Here(store) => {
                let objects = store.objects()?;
                let tip = store.tip(&objects)?;
                Ok(Some((Opened::Here(objects), tip)))
            }
            Locks::There(store) => {
                let store = store.read();
                let seen = store.seen_tip()?;
                Ok(seen.map(|(objects, tip)| (Opened::There(objects), tip)))
            }
        }
    }

    /// What differs between what is known and a tip: the places, and what lies there now.
    pub(super) fn news(
        &self,
        objects: &Objects,
        known: Option<&(String, String)>,
        tip: Option<&Revision>,
        now: DateTime<Utc>,
    ) -> Result<Vec<(Place, Option<Entry>)>> {
        let old = known.map_or("", |(_, tree)| tree);
        let new = tip.map_or("", |tip| &tip.tree);
        let mut differing = objects.differing_from(old, new)?;
        differing.retain(|difference| tree::is_lock(&difference.path));
        let mut news = if differing.len() < WORTH_A_THREAD {
            read(objects, differing, now)?
        } else {
            let rest = differing.split_off(differing.len() / 2);
            let Some((others, _)) = self.tip()? else {
                return Err(Error::Corrupt {
                    path: self.repo.common_dir().to_owned(),
                    problem: "its objects are gone".into(),
                });
            };
            std::thread::scope(|scope| {
                let second = scope.spawn(move || read(&others, rest, now));
                let mut news = read(objects, differing, now)?;
                news.extend(second.join().expect("reading objects does not panic")?);
                Ok::<_, Error>(news)
            })?
        };
        let doubts = self.doubts();
        news.extend(doubted(objects, new, &doubts, &news, now)?);
        let entries = news.iter_mut().filter_map(|(_, entry)| entry.as_mut());
        let blocking = doubts.disbelieve(entries);
        news.extend(self.blocking(objects, tip, blocking, now)?);
        if let Locks::Here(store) = &self.locks {
            for (place, entry) in &news {
                let from = entry
                    .as_ref()
                    .filter(|e| super::counts_from_arrival(e, now));
                store.note_ahead(place, from.map(|_| now));
            }
        }
        Ok(news)
    }

    /// What lies in the place of the lock on everything, where something blocks everything, or did until now.
    fn blocking(
        &self,
        objects: &Objects,
        tip: Option<&Revision>,
        blocking: Option<Entry>,
        now: DateTime<Utc>,
    ) -> Result<Option<(Place, Option<Entry>)>> {
        let did_block = self.is_blocked.swap(blocking.is_some(), Ordering::Relaxed);
        if let Some(entry) = blocking {
            return Ok(Some((entry.place.clone(), Some(entry))));
        }
        let claim = Claim::new(&RepoPath::root(), Kind::Directory);
        let Some(place) = claim.place().filter(|_| did_block) else {
            return Ok(None);
        };
        let tree = tip.map_or("", |tip| &tip.tree);
        let places = std::iter::once(place.clone()).collect();
        let known = SeenBefore::Since(&|_| Some(now));
        let entries = tree::entries(objects, tree, &Scope::Places(places), known)?;
        Ok(Some((place, entries.into_iter().next())))
    }

    /// Whether the repository is still where it was.
    pub(super) fn is_there(&self) -> Result<()> {
        let head = self.repo.common_dir().join("HEAD");
        std::fs::symlink_metadata(&head)
            .map(drop)
            .map_err(Error::io("find", &head))
    }

    /// The commit that `HEAD` names, cheaply; on a remote as it was fetched last.
    pub(super) fn head(&self) -> Result<Option<String>> {
        match &self.locks {
            Locks::Here(store) => Ok(store.objects()?.head()),
            Locks::There(_) => self.repo.commit_of(REMOTE_HEAD),
        }
    }

    /// Fetches a remote's `HEAD`.
    pub(super) fn fetch_head(&self) -> Result<()> {
        match &self.locks {
            Locks::Here(_) => Ok(()),
            Locks::There(_) => fetch_head(&self.repo),
        }
    }

    /// The policy of that commit.
    pub(super) fn policy(&self) -> Result<Policy> {
        Policy::in_commit(&self.repo, self.head_name())
    }

    fn head_name(&self) -> &'static str {
        match &self.locks {
            Locks::Here(_) => "HEAD",
            Locks::There(_) => REMOTE_HEAD,
        }
    }

    pub(super) fn names_in(&self, directory: &RepoPath) -> Result<Vec<(String, Kind)>> {
        if self.head()?.is_none() {
            return Ok(Vec::new());
        }
        let below = if directory.is_root() {
            String::new()
        } else {
            directory.to_string()
        };
        let what = format!("{}:{below}", self.head_name());
        let output = self.repo.git().run(&["ls-tree", "-z", &what])?;
        let named = split_nul(&output.stdout).filter_map(|line| {
            let at = line.iter().position(|b| *b == b'\t')?;
            let (facts, name) = line.split_at(at);
            let is_tree = facts.windows(6).any(|word| word == b" tree ");
            let kind = if is_tree { Kind::Directory } else { Kind::File };
            Some((String::from_utf8(name[1..].to_vec()).ok()?, kind))
        });
        Ok(named.collect())
    }

    /// Whether a path is a directory.
    pub(super) fn is_directory(&self, path: &RepoPath) -> Result<bool> {
        let Some(head) = self.head()? else {
            return Ok(false);
        };
        let mut looked_up = self.looked_up.lock();
        if looked_up.as_ref().is_none_or(|before| before.head != head) {
            *looked_up = Some(LookedUp {
                objects: Objects::open(self.repo.common_dir())?,
                known: HashMap::new(),
                head,
            });
        }
        let Some(tree) = &mut *looked_up else {
            return Ok(false);
        };
        if let Some(known) = tree.known.get(path) {
            return Ok(*known);
        }
        let is_directory = tree.objects.is_directory(&tree.head, path)?;
        if tree.known.len() < KNOWN {
            tree.known.insert(path.clone(), is_directory);
        }
        Ok(is_directory)
    }

    /// The files that a lock covers: by key, as locks do.
    pub(super) fn files_below(&self, claim: &Claim) -> Result<Vec<String>> {
        let files = self.files()?;
        let covered = files
            .iter()
            .filter(|name| claim.covers(&Key::of(name.as_bytes())));
        Ok(covered.cloned().collect())
    }

    /// Every file, listed once for each `HEAD`.
    fn files(&self) -> Result<Arc<Vec<String>>> {
        let Some(head) = self.head()? else {
            return Ok(Arc::default());
        };
        let mut listed = self.listed.lock();
        if listed.0 != head {
            let git = self.repo.git();
            let output = git.output(&["ls-tree", "-r", "-z", "--name-only", &head])?;
            let names = split_nul(&output).filter_map(|name| str::from_utf8(name).ok());
            *listed = (head, Arc::new(names.map(str::to_owned).collect()));
        }
        Ok(listed.1.clone())
    }
}

/// What lies where something is not believed, as far as it is no news: between two trees that are the same somebody may
/// have put back a lock that its owner gave back.
fn doubted(
    objects: &Objects,
    tree: &str,
    doubts: &Doubts,
    news: &[(Place, Option<Entry>)],
    now: DateTime<Utc>,
) -> Result<Vec<(Place, Option<Entry>)>> {
    let mut places = doubts.places();
    places.retain(|place| news.iter().all(|(known, _)| known != place));
    if places.is_empty() || tree.is_empty() {
        return Ok(Vec::new());
    }
    let seen = |_: &Place| Some(now);
    let entries = tree::entries(
        objects,
        tree,
        &Scope::Places(places),
        SeenBefore::Since(&seen),
    )?;
    Ok(entries
        .into_iter()
        .map(|entry| (entry.place.clone(), Some(entry)))
        .collect())
}

/// What lies in these places now.
fn read(
    objects: &Objects,
    differing: Vec<Differing>,
    now: DateTime<Utc>,
) -> Result<Vec<(Place, Option<Entry>)>> {
    let mut news = Vec::with_capacity(differing.len());
    for Differing { path, new, .. } in differing {
        let place = Place::from_bytes(path.clone());
        let node = new.map(|(oid, kind)| Node { path, oid, kind });
        let entry = node.map(|node| tree::entry(objects, node, SeenBefore::Since(&|_| Some(now))));
        news.push((place, entry.transpose()?));
    }
    Ok(news)
}

/// Takes the guard of the one server that looks after the disk.
fn take_duty(repo: &Repo) -> Result<Option<Guard>> {
    let guard = LatchDir::of(repo.common_dir()).server_guard();
    Guard::try_take(&guard, &format!("{} serve\n", std::process::id()))
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
        let git = crate::git::command::Git::new(cache, false);
        let shown = path.to_string_lossy().into_owned();
        git.output(&["init", "--quiet", "--bare", "--template=", &shown])?;
    }
    let git = crate::git::command::Git::new(&path, false);
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
