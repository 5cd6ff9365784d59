//! What a remote has brought that no honest program makes: it is not taken for a fact.
//!
//! Each change is held against the limits once, when a clone fetches it, or when a server meets what was pushed beside it
//! and no hook has judged. A lock beyond them blocks its path as an unreadable one
//! does, with the reason. A change that is too large to be looked at blocks everything: the view is incomplete, and says so.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::commit::{self, is_for_others};
use super::limits::{Limits, MAX_CHANGED, Made};
use super::tree::{self, SeenBefore};
use crate::git::repo::{Differing, Node, NodeKind, Objects, Revision};
use crate::os::files;
use crate::os::guard::Guard;
use crate::os::mode::Sharing;
use crate::rules::error::Result;
use crate::rules::lock::{LeaseId, Liveness, Lock};
use crate::rules::path::{Claim, Key, Kind, Place, RepoPath};
use crate::rules::time::DurationSpec;
use crate::rules::view::{Content, Entry, View};
use crate::store::{LatchDir, Scope, TreeDir};

/// How many of the new changes are looked at.
const LOOKED_AT: usize = 256;

/// A lock that is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Doubt {
    path: String,
    lease: String,
    problem: String,
}

impl Doubt {
    /// Which lock it is about.
    fn about(&self) -> (&str, &str) {
        (&self.path, &self.lease)
    }
}

/// How doubts name a lock.
fn name_of(lock: &Lock) -> (&str, &str) {
    (lock.path.as_str(), lock.lease.as_str())
}

/// A change that was not looked at: nobody knows what the locks are since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Unread {
    commit: String,
    problem: String,
}

/// All that is not believed, as it was read once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    unread: Option<Unread>,
    #[serde(default)]
    lock: Vec<Doubt>,
}

impl Record {
    /// The locks that are not believed, and why.
    fn problems(&self) -> HashMap<(&str, &str), &str> {
        let doubts = self.lock.iter();
        doubts.map(|d| (d.about(), d.problem.as_str())).collect()
    }

    /// Where what is not believed lies.
    pub(crate) fn places(&self) -> Vec<Place> {
        let paths = self
            .lock
            .iter()
            .filter_map(|d| RepoPath::new(d.path.as_str()).ok());
        paths
            .flat_map(|path| [Kind::File, Kind::Directory].map(|kind| Claim::new(&path, kind)))
            .filter_map(|claim| claim.place())
            .collect()
    }

    /// Takes for no locks those of the entries that are not believed, which are read one by one as a server follows the
    /// ref. Gives what blocks everything, if something does. Whether two locks have one lease id only a whole view shows.
    pub(crate) fn disbelieve<'e>(
        &self,
        entries: impl Iterator<Item = &'e mut Entry>,
    ) -> Option<Entry> {
        let problems = self.problems();
        for entry in entries.filter(|_| !problems.is_empty()) {
            let problem = entry.lock().and_then(|lock| problems.get(&name_of(lock)));
            if let Some(problem) = problem.map(|problem| (*problem).to_owned()) {
                entry.content = Content::Unreadable { problem };
            }
        }
        self.unread.as_ref().and_then(everything)
    }
}

/// Where it is remembered, and by what it is judged.
#[derive(Clone, Debug)]
pub(crate) struct Doubts {
    common_dir: PathBuf,
    path: PathBuf,
    sharing: Sharing,
    /// Who may write for others, by the policy; where nobody is named, whoever says to do so.
    trusted: Vec<String>,
}

impl Doubts {
    pub(super) fn new(common_dir: &Path, sharing: Sharing) -> Self {
        Doubts {
            path: LatchDir::of(common_dir).doubts(),
            common_dir: common_dir.to_owned(),
            sharing,
            trusted: Vec::new(),
        }
    }

    /// Judges by another policy.
    pub(super) fn with_trust_in(self, trusted: &[String]) -> Self {
        Doubts {
            trusted: trusted.to_vec(),
            ..self
        }
    }

    fn read(&self) -> Record {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        toml::from_str(&text).unwrap_or_default()
    }

    /// What is remembered; nothing where there is nothing to doubt, as there hardly ever is.
    pub(crate) fn remembered(&self) -> Record {
        if self.path.exists() {
            self.read()
        } else {
            Record::default()
        }
    }

    /// Whether there is a change that was not looked at.
    pub(super) fn is_incomplete(&self) -> bool {
        self.remembered().unread.is_some()
    }

    /// Looks at what has come since a tip that was accepted, and remembers what is not believed of it. `hold` keeps others
    /// from writing that down at the same time.
    pub(super) fn note(
        &self,
        hold: &dyn Fn() -> Result<Guard>,
        objects: &Objects,
        seen: Option<&str>,
        tip: &Revision,
        skew: DurationSpec,
    ) -> Result<()> {
        let fresh = self.look(objects, seen, tip, skew)?;
        if fresh == Record::default() && !self.path.exists() {
            return Ok(());
        }
        let _guard = hold()?;
        let mut all = self.read();
        all.unread = fresh.unread.or(all.unread.filter(|unread| {
            objects
                .contains(&tip.commit, &unread.commit)
                .unwrap_or(false)
        }));
        all.lock.extend(fresh.lock);
        retain_present(&mut all.lock, objects, tip)?;
        if all == Record::default() {
            return files::remove(&self.path);
        }
        let text = toml::to_string(&all).expect("strings and lists are TOML");
        files::replace(&self.path, text.as_bytes(), self.sharing)
    }

    /// Nothing is in doubt any more: what the remote has is accepted on purpose.
    pub(super) fn forget(&self) -> Result<()> {
        files::remove(&self.path)
    }

    fn look(
        &self,
        objects: &Objects,
        seen: Option<&str>,
        tip: &Revision,
        skew: DurationSpec,
    ) -> Result<Record> {
        let mut record = Record::default();
        let mut next = Some(tip.clone());
        for _ in 0..LOOKED_AT {
            let Some(change) = next.filter(|change| seen != Some(change.commit.as_str())) else {
                break;
            };
            let parent = change.parents.first().map(|parent| objects.commit(parent));
            let parent = parent.transpose()?;
            // A history that was dropped begins with what others took.
            if parent.is_some() || commit::compacted_by(&change.message).is_none() {
                self.look_at(objects, parent.as_ref(), &change, skew, &mut record)?;
            }
            next = parent;
        }
        Ok(record)
    }

    fn look_at(
        &self,
        objects: &Objects,
        before: Option<&Revision>,
        change: &Revision,
        skew: DurationSpec,
        record: &mut Record,
    ) -> Result<()> {
        let made = Made::from(change);
        let says_so = is_for_others(&change.message) && self.trusted.is_empty();
        let is_trusted = |id: &str| {
            let mut trusted = self.trusted.iter();
            says_so || trusted.any(|t| crate::rules::lock::is_or_below(id, t))
        };
        let limits = Limits {
            skew,
            is_trusted: &is_trusted,
        };
        let old = before.map(|before| before.tree.as_str());
        let Some(differing) = objects.differing_up_to(old, &change.tree, MAX_CHANGED)? else {
            record.unread = Some(Unread {
                commit: change.commit.clone(),
                problem: format!(
                    "a change of `{}` touches more than {MAX_CHANGED} entries, and is not read",
                    change.author
                ),
            });
            return Ok(());
        };
        let whole = limits.on_change(&made, differing.len());
        let mut leases: HashSet<LeaseId> = HashSet::new();
        for difference in differing {
            let (was, is) = sides(objects, difference)?;
            let Some(lock) = is else { continue };
            let was = was.filter(|was| was.lease == lock.lease);
            let is_known = |lease: &LeaseId| leases.contains(lease);
            let judged = whole
                .clone()
                .and_then(|()| limits.on_lock(&made, was.as_ref(), &lock, &is_known));
            if let Err((_, problem)) = judged {
                record.lock.push(Doubt {
                    path: lock.path.to_string(),
                    lease: lock.lease.to_string(),
                    problem: format!("it is not believed: {problem}"),
                });
            }
            leases.insert(lock.lease);
        }
        Ok(())
    }

    /// Takes for no lock what is not believed, and for no proof what a lock of another machine says of a process here.
    pub(super) fn apply(&self, view: &mut View, scope: &Scope, tip: Option<&Revision>) {
        if tip.is_none() {
            return;
        }
        let record = self.remembered();
        let problems = record.problems();
        let twice = match scope {
            Scope::All => leases_used_twice(view),
            Scope::Claims(_) | Scope::Places(_) => HashSet::new(),
        };
        let problem = |lock: &Lock| {
            let is_twice = twice.contains(&lock.lease);
            let told = is_twice.then_some("its lease id is that of another lock");
            problems.get(&name_of(lock)).copied().or(told)
        };
        let mut changed: Vec<Entry> = Vec::new();
        for entry in view.entries() {
            let Content::Lock { lock, life } = &entry.content else {
                continue;
            };
            let content = match problem(lock) {
                Some(problem) => Content::Unreadable {
                    problem: problem.to_owned(),
                },
                None => Content::Lock {
                    life: match self.believed(*life, lock, view.now) {
                        same if same == *life => continue,
                        other => other,
                    },
                    lock: lock.clone(),
                },
            };
            changed.push(Entry {
                content,
                ..entry.clone()
            });
        }
        changed.extend(record.unread.as_ref().and_then(everything));
        for entry in changed {
            view.put(entry);
        }
    }

    /// What a lock of the remote proves of a process: the death of one of this very repository, and nothing beyond the end
    /// that is written in it.
    fn believed(&self, life: Liveness, lock: &Lock, now: DateTime<Utc>) -> Liveness {
        match life {
            Liveness::Dead if !self.is_of_here(lock) => Liveness::Unknown,
            Liveness::Alive if lock.expires_at().is_some_and(|end| now >= end) => Liveness::Unknown,
            other => other,
        }
    }

    /// Whether a lock was taken in a working tree of this repository.
    fn is_of_here(&self, lock: &Lock) -> bool {
        let linked = fs::read_dir(self.common_dir.join("worktrees"));
        let linked = linked.into_iter().flatten().flatten();
        let mut trees = linked
            .map(|tree| tree.path())
            .chain([self.common_dir.clone()]);
        lock.owner.workspace.as_deref().is_some_and(|workspace| {
            trees.any(|tree| {
                let text = fs::read_to_string(TreeDir::of(&tree).workspace()).unwrap_or_default();
                let record: toml::Table = text.parse().unwrap_or_default();
                record.get("id").and_then(toml::Value::as_str) == Some(workspace)
            })
        })
    }
}

/// The two locks of a difference.
fn sides(objects: &Objects, difference: Differing) -> Result<(Option<Lock>, Option<Lock>)> {
    let Differing { path, old, new } = difference;
    let read = |side: Option<(String, NodeKind)>| -> Result<Option<Lock>> {
        let Some((oid, kind)) = side.filter(|_| tree::is_lock(&path)) else {
            return Ok(None);
        };
        let node = Node {
            path: path.clone(),
            oid,
            kind,
        };
        Ok(tree::entry(objects, node, SeenBefore::Nothing)?
            .lock()
            .cloned())
    };
    Ok((read(old)?, read(new)?))
}

/// Drops doubts about what is gone.
fn retain_present(doubts: &mut Vec<Doubt>, objects: &Objects, tip: &Revision) -> Result<()> {
    let place = |doubt: &Doubt, kind| {
        let path = crate::rules::path::RepoPath::new(doubt.path.as_str()).ok()?;
        Claim::new(&path, kind).place()
    };
    let places: BTreeSet<Vec<u8>> = doubts
        .iter()
        .flat_map(|doubt| [Kind::File, Kind::Directory].map(|kind| place(doubt, kind)))
        .flatten()
        .map(|place| place.as_bytes().to_vec())
        .collect();
    let places = places.into_iter().map(Place::from_bytes).collect();
    let there = tree::entries(
        objects,
        &tip.tree,
        &Scope::Places(places),
        SeenBefore::Nothing,
    )?;
    let there: HashSet<_> = there.iter().filter_map(Entry::lock).map(name_of).collect();
    let mut seen = HashSet::new();
    doubts.retain(|doubt| {
        let is_first = seen.insert((doubt.path.clone(), doubt.lease.clone()));
        is_first && there.contains(&doubt.about())
    });
    Ok(())
}

/// The lease ids that more than one lock has: one of them is a copy, and nobody can tell which.
fn leases_used_twice(view: &View) -> HashSet<LeaseId> {
    let mut seen = HashSet::new();
    let leases = view
        .entries()
        .filter_map(|entry| entry.lock())
        .map(|lock| &lock.lease);
    let twice = leases.filter(|lease| !seen.insert((*lease).clone()));
    twice.cloned().collect()
}

/// What blocks everything.
fn everything(unread: &Unread) -> Option<Entry> {
    let claim = Claim {
        key: Key::root(),
        kind: Kind::Directory,
    };
    Some(Entry {
        place: claim.place()?,
        claim,
        stored_at: None,
        content: Content::Unreadable {
            problem: format!("the view is incomplete: {}", unread.problem),
        },
    })
}
