//! Acquire, renew, release, steal, sweep: decisions over a view. Pure.
//!
//! Each function looks at a [`View`] and says what should change and what to tell the caller; a store applies the
//! changes or runs the decision again on a newer view. No function here reads a clock, a disk or the environment.

mod release;
mod renew;

use std::collections::BTreeSet;

pub use release::Force;
pub(crate) use release::{Release, Released, release, sweep};
pub(crate) use renew::{Renewal, Renewed, renew, rival};

use renew::renewed;

use crate::rules::error::{Code, Error, Result};
use crate::rules::lock::{LeaseId, Lock, Process};
use crate::rules::path::{Claim, Kind, Place, RepoPath};
use crate::rules::time::Ttl;
use crate::rules::view::{Entry, Me, Standing, View};

/// One step of a change. A store applies all steps of a change or none.
#[derive(Clone, Debug)]
pub enum Change {
    /// A lock of a new lease appears, in place of whatever lay there.
    Acquire(Box<Lock>),
    /// The same lease gets a new heartbeat, and perhaps another reason.
    Renew(Box<Lock>),
    /// What lies there goes.
    Remove {
        /// Where it lies.
        place: Place,
        /// Whether it was still live: taking it away must be undone if the change stops half way.
        was_live: bool,
        /// What who takes it away says to whom it belonged.
        note: Option<String>,
    },
}

impl Change {
    /// The place that has a lock after this step.
    #[must_use]
    pub(crate) fn fills(&self) -> Option<Place> {
        match self {
            Change::Acquire(lock) | Change::Renew(lock) => lock.claim().place(),
            Change::Remove { .. } => None,
        }
    }

    /// The same step, and what who takes it says about a lock that goes by it.
    #[must_use]
    pub(crate) fn saying(self, words: Option<&str>) -> Self {
        match self {
            Change::Remove {
                place, was_live, ..
            } => Change::Remove {
                place,
                was_live,
                note: words.map(str::to_owned),
            },
            filling => filling,
        }
    }

    /// Makes a view what it is after this step; its number stays.
    pub(crate) fn apply_to(&self, view: &mut View) {
        match self {
            Change::Acquire(lock) | Change::Renew(lock) => {
                if let Some(entry) = Entry::of((**lock).clone()) {
                    view.put(entry);
                }
            }
            Change::Remove { place, .. } => view.take(place),
        }
    }

    /// The place that is changed.
    #[must_use]
    pub(crate) fn place(&self) -> Option<Place> {
        match self {
            Change::Remove { place, .. } => Some(place.clone()),
            filling => filling.fills(),
        }
    }
}

/// Whether another's live lock may be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Steal {
    /// No: refuse.
    No,
    /// Yes. Another person's lock wants the request's reason; one's own in another workspace does not.
    Yes,
}

/// What becomes of several paths of which some are not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// All or nothing.
    Atomic,
    /// Take what is free.
    Partial,
}

/// Who may use force, by the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForcePolicy {
    /// Everybody.
    Anyone,
    /// These owner ids and their agents.
    Only(Vec<String>),
}

impl ForcePolicy {
    /// Whether the owner of this id may use force.
    #[must_use]
    pub(crate) fn allows(&self, owner: &str) -> bool {
        match self {
            ForcePolicy::Anyone => true,
            ForcePolicy::Only(ids) => ids
                .iter()
                .any(|id| crate::rules::lock::is_or_below(owner, id)),
        }
    }
}

/// One path to take.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The path, in the index's spelling.
    pub path: RepoPath,
    /// A file, or a directory with everything below it.
    pub kind: Kind,
    /// The lease it gets if it is acquired: chosen once per invocation, so that a decision that runs again is the same.
    pub lease: LeaseId,
}

/// A request for paths.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// The paths, no key twice.
    pub wanted: Vec<Wanted>,
    /// Who asks.
    pub me: &'a Me,
    /// Why, in the holder's words.
    pub reason: Option<String>,
    /// How long.
    pub ttl: Ttl,
    /// The process whose end is the lease's end.
    pub process: Option<Process>,
    /// Whether others' locks may be replaced.
    pub steal: Steal,
    /// What becomes of several paths of which some are not free.
    pub batch: Batch,
    /// Who may replace others' locks.
    pub force: &'a ForcePolicy,
}

/// How a path came to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was free.
    Acquired,
    /// It was mine: the same lease, with a new heartbeat.
    Renewed,
    /// It was another's.
    Stolen,
}

impl Outcome {
    /// The word of JSON.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Outcome::Acquired => "acquired",
            Outcome::Renewed => "renewed",
            Outcome::Stolen => "stolen",
        }
    }
}

/// A path that is held now.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The lock.
    pub lock: Lock,
    /// How it came about.
    pub outcome: Outcome,
    /// The live locks it replaced.
    pub displaced: Vec<Entry>,
}

/// What more there is to say about a refusal than its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing.
    Rule,
    /// The holder is another process of mine, which lives or cannot be seen from here.
    InProgress,
    /// My working tree has changes that are not committed.
    Uncommitted,
    /// My branch has commits that the remote does not have.
    Unpushed,
}

/// A path that was refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The path as it was asked for.
    pub path: RepoPath,
    /// Why.
    pub code: Code,
    /// Whose lock stands against it.
    pub holder: Option<Entry>,
    /// What more there is to say.
    pub why: Why,
}

impl Refusal {
    fn by(path: &RepoPath, code: Code, holder: &Entry) -> Self {
        Refusal {
            path: path.clone(),
            code,
            holder: Some(holder.clone()),
            why: Why::Rule,
        }
    }
}

/// What a request comes to.
#[derive(Clone, Debug, Default)]
pub struct Acquired {
    /// What is held now.
    pub locked: Vec<Taken>,
    /// What was refused.
    pub refused: Vec<Refusal>,
}

/// Takes paths: free or expired → take; mine → renew; another's → refuse, or replace by [`Steal::Yes`].
///
/// What an agent below me holds is another's here, though I own it otherwise: while it works, the path has its one
/// holder. I take it by stealing, without reason or permission, or after giving it back.
///
/// # Errors
/// [`Code::BadUsage`] when another person's lock would be stolen without a reason.
pub(crate) fn acquire(view: &View, request: &Request<'_>) -> Result<(Vec<Change>, Acquired)> {
    let mut answer = Acquired::default();
    let mut changes = Changes::default();
    for wanted in &request.wanted {
        match acquire_one(view, request, wanted, &mut changes)? {
            Ok(taken) => answer.locked.push(taken),
            Err(refusal) => answer.refused.push(*refusal),
        }
    }
    if !answer.refused.is_empty() && request.batch == Batch::Atomic {
        answer.locked.clear();
        return Ok((Vec::new(), answer));
    }
    Ok((changes.finish(), answer))
}

/// The steps of a change, each place removed once only.
#[derive(Default)]
struct Changes {
    steps: Vec<Change>,
    removed: BTreeSet<Place>,
}

impl Changes {
    fn remove(&mut self, entry: &Entry, was_live: bool, note: Option<&String>) {
        if self.removed.insert(entry.place.clone()) {
            self.steps.push(Change::Remove {
                place: entry.place.clone(),
                was_live,
                note: note.cloned(),
            });
        }
    }

    /// The steps, without removals from places that get a lock in the same change: replacing leaves no gap, and a
    /// removal after it would take the new lock away.
    fn finish(self) -> Vec<Change> {
        let filled: BTreeSet<Place> = self.steps.iter().filter_map(Change::fills).collect();
        let keeps =
            |step: &Change| !matches!(step, Change::Remove { place, .. } if filled.contains(place));
        self.steps.into_iter().filter(keeps).collect()
    }
}

fn acquire_one(
    view: &View,
    request: &Request<'_>,
    wanted: &Wanted,
    changes: &mut Changes,
) -> Result<Result<Taken, Box<Refusal>>> {
    let claim = Claim::new(&wanted.path, wanted.kind);
    let place = claim.place();
    let mut mine = None;
    let mut in_the_way = Vec::new();
    let mut over = Vec::new();
    for entry in view.overlapping(&claim) {
        match view.standing(entry) {
            Standing::Expired => over.push(entry),
            // Another process of mine is another holder, with a clock of its own: its grace counts too.
            _ if request.me.holds(entry) && request.me.is_in_progress(entry) => {
                let refusal = Refusal {
                    why: Why::InProgress,
                    ..Refusal::by(&wanted.path, Code::Held, entry)
                };
                return Ok(Err(Box::new(refusal)));
            }
            // Expired for its owner: a new lease takes its place.
            Standing::Grace if request.me.holds(entry) => over.push(entry),
            _ if request.me.holds(entry) && entry.claim == claim => mine = Some(entry),
            // My own may nest; a file and a directory of one key may not.
            _ if request.me.holds(entry) && entry.claim.key != claim.key => {}
            _ => in_the_way.push(entry),
        }
    }
    if let Some(refusal) = refuse(request, &wanted.path, &in_the_way)? {
        return Ok(Err(Box::new(refusal)));
    }
    for entry in over {
        changes.remove(entry, false, None);
    }
    let displaced: Vec<Entry> = in_the_way.into_iter().cloned().collect();
    for entry in displaced
        .iter()
        .filter(|e| Some(&e.place) != place.as_ref())
    {
        changes.remove(entry, true, request.reason.as_ref());
    }
    let outcome = match (mine, displaced.is_empty()) {
        (Some(_), true) => Outcome::Renewed,
        (_, true) => Outcome::Acquired,
        (_, false) => Outcome::Stolen,
    };
    let lock = match mine.and_then(Entry::lock) {
        Some(held) => Lock {
            // Who says why again has thought of something new.
            reason: request.reason.clone().or_else(|| held.reason.clone()),
            ..renewed(view, held, Some(request.ttl))
        },
        None => fresh(view, request, wanted),
    };
    let step = Box::new(lock.clone());
    changes.steps.push(if mine.is_some() {
        Change::Renew(step)
    } else {
        Change::Acquire(step)
    });
    Ok(Ok(Taken {
        lock,
        outcome,
        displaced,
    }))
}

/// Whether what stands in the way means a no.
fn refuse(
    request: &Request<'_>,
    path: &RepoPath,
    in_the_way: &[&Entry],
) -> Result<Option<Refusal>> {
    for entry in in_the_way {
        let Some(lock) = entry.lock() else {
            // Nobody can tell whom it would be stolen from: `unlock --force` is the deliberate step.
            return Ok(Some(Refusal::by(path, Code::Held, entry)));
        };
        if request.steal == Steal::No || request.me.holds(entry) {
            return Ok(Some(Refusal::by(path, Code::Held, entry)));
        }
        if request.me.owner.is_person_of(&lock.owner) {
            continue;
        }
        if !request.force.allows(&request.me.owner.id) {
            return Ok(Some(Refusal::by(path, Code::Forbidden, entry)));
        }
        if request
            .reason
            .as_deref()
            .is_none_or(|reason| reason.trim().is_empty())
        {
            return Err(Error::bad_usage(
                format!("stealing `{path}` from {} needs a reason", lock.owner),
                "give a reason for its holder to read: `--steal -m REASON`",
            ));
        }
    }
    Ok(None)
}

fn fresh(view: &View, request: &Request<'_>, wanted: &Wanted) -> Lock {
    let now = crate::rules::time::to_millis(view.now);
    Lock {
        path: wanted.path.clone(),
        kind: wanted.kind,
        lease: wanted.lease.clone(),
        seq: view.next_seq(),
        reason: request.reason.clone(),
        acquired_at: now,
        heartbeat_at: now,
        ttl: request.ttl,
        owner: request.me.owner.clone(),
        process: request.process.clone(),
    }
}

#[cfg(test)]
mod tests;
