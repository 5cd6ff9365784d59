//! Where a served repository's locks lie, and what is read there: [`Site`] is what each kind of place has to do.
//!
//! The kinds are files of their own: `hosted` is the repository itself, `remote` a git remote. Nothing here knows which it is.

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use crate::git::command::split_nul;
use crate::git::repo::{Differing, Node, Objects, Repo, Revision};
use crate::latch::policy::Policy;
use crate::os::files::Stamp;
use crate::rules::error::{Error, Result};
use crate::rules::path::{Claim, Key, Kind, Place, RepoPath};
use crate::rules::time::Clock;
use crate::rules::view::Entry;
use crate::store::shared::tree::{self, SeenBefore};
use crate::store::shared::{Doubts, Record};
use crate::store::{LockStore, Scope};

/// From how many locks on a second thread pays for itself.
const WORTH_A_THREAD: usize = 5_000;
/// Of how many paths it is remembered whether they are directories.
const KNOWN: usize = 10_000;
/// The objects of the lock ref, opened.
pub(super) type Opened = Box<dyn Deref<Target = Objects> + Send>;

/// One kind of place where locks lie. What is only right for some of them does nothing by default.
pub(super) trait Site: Send + Sync {
    /// The repository whose objects are read.
    fn repo(&self) -> &Repo;

    /// What the commit is called there that `HEAD` names.
    fn head_name(&self) -> &'static str;

    /// The commit that `HEAD` names, cheaply; as it was fetched last, where it has to be.
    fn head(&self) -> Result<Option<String>>;

    /// What changes the locks.
    fn store(&self) -> Arc<dyn LockStore + Send>;

    /// Judges by another policy from now on.
    fn set_policy(&self, policy: &Policy);

    /// What is not believed of what others have put there.
    fn doubts(&self) -> Doubts;

    /// The objects, and the tip; `None` where there are no objects yet.
    fn tip(&self) -> Result<Option<(Opened, Option<Revision>)>>;

    /// When the locks were last known to be those of the ref, if what is here has just been read.
    fn confirmed_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>>;

    /// What the lock ref's file looks like, where there is one to look at.
    fn stamp(&self) -> Option<Stamp> {
        None
    }

    /// Notes since when a lock counts whose own heartbeat cannot say; `None`: it is none of those.
    fn note_ahead(&self, _place: &Place, _from: Option<DateTime<Utc>>) {}

    /// Asks elsewhere what is new.
    fn fetch(&self, _clock: &dyn Clock) -> Result<()> {
        Ok(())
    }

    /// Fetches the commit that `HEAD` names elsewhere.
    fn fetch_head(&self) -> Result<()> {
        Ok(())
    }

    /// Whether nobody else serves the repository, as far as can be known.
    fn is_sole(&self) -> bool {
        false
    }

    /// Whether looking after the disk is this server's duty.
    fn is_on_duty(&self) -> bool {
        false
    }

    /// Takes the duty over, if the server that had it has ended.
    fn take_duty(&self) -> Result<()> {
        Ok(())
    }

    /// Looks after the disk.
    fn maintain(&self, _clock: &dyn Clock) -> Result<()> {
        Ok(())
    }
}

/// Where the locks lie, and what was read there.
pub(super) struct Backend {
    pub(super) site: Box<dyn Site>,
    /// The files that there are.
    listed: Mutex<Listed>,
    /// What was looked up in the tree of `HEAD`.
    looked_up: Mutex<Option<LookedUp>>,
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

impl Backend {
    pub(super) fn new(site: impl Site + 'static) -> Self {
        Backend {
            site: Box::new(site),
            listed: Mutex::default(),
            looked_up: Mutex::default(),
            is_blocked: AtomicBool::default(),
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
            let Some((others, _)) = self.site.tip()? else {
                return Err(Error::Corrupt {
                    path: self.site.repo().common_dir().to_owned(),
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
        let doubts = self.site.doubts().remembered();
        news.extend(doubted(objects, new, &doubts, &news, now)?);
        let entries = news.iter_mut().filter_map(|(_, entry)| entry.as_mut());
        let blocking = doubts.disbelieve(entries);
        news.extend(self.blocking(objects, tip, blocking, now)?);
        for (place, entry) in &news {
            let from = entry
                .as_ref()
                .filter(|e| super::counts_from_arrival(e, now));
            self.site.note_ahead(place, from.map(|_| now));
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
        let head = self.site.repo().common_dir().join("HEAD");
        std::fs::symlink_metadata(&head)
            .map(drop)
            .map_err(Error::io("find", &head))
    }

    /// The policy of the commit that `HEAD` names.
    pub(super) fn policy(&self) -> Result<Policy> {
        Policy::in_commit(self.site.repo(), self.site.head_name())
    }

    pub(super) fn names_in(&self, directory: &RepoPath) -> Result<Vec<(String, Kind)>> {
        if self.site.head()?.is_none() {
            return Ok(Vec::new());
        }
        let below = if directory.is_root() {
            String::new()
        } else {
            directory.to_string()
        };
        let what = format!("{}:{below}", self.site.head_name());
        let output = self.site.repo().git().run(&["ls-tree", "-z", &what])?;
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
        let Some(head) = self.site.head()? else {
            return Ok(false);
        };
        let mut looked_up = self.looked_up.lock();
        if looked_up.as_ref().is_none_or(|before| before.head != head) {
            *looked_up = Some(LookedUp {
                objects: Objects::open(self.site.repo().common_dir())?,
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
        let Some(head) = self.site.head()? else {
            return Ok(Arc::default());
        };
        let mut listed = self.listed.lock();
        if listed.0 != head {
            let git = self.site.repo().git();
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
    doubts: &Record,
    news: &[(Place, Option<Entry>)],
    now: DateTime<Utc>,
) -> Result<Vec<(Place, Option<Entry>)>> {
    let mut places = doubts.places();
    if !places.is_empty() {
        let known: BTreeSet<&Place> = news.iter().map(|(place, _)| place).collect();
        places.retain(|place| !known.contains(place));
    }
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
