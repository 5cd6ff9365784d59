//! A push as it arrives in a bare repository: judged where nobody can skip it.
//!
//! Two judgements. Changes of the lock ref are authorised: everybody writes in their own name only, and
//! nobody takes what is another's. All other refs are judged by what they say before and after, against the locks as they
//! were before the push: names in commits prove nothing. The rules come from the policy of the commit that `HEAD` named before the push, so that no push changes
//! the rules it is judged by.
//!
//! New objects lie in the push's quarantine until it is accepted: they are read where the environment says.

mod above;
mod authorise;
mod beside;
mod branches;
mod difference;
mod graph;
mod movers;
mod once;
mod pusher;
mod refs;
mod rule;

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use crate::git::command::Git;
use crate::git::edits::{self, RefUpdate};
use crate::git::repo::{Differing, Node, NodeKind, Objects, Repo, Revision};
use crate::latch::lockable;
use crate::latch::policy::{self, Policy};
use crate::rules::error::{Code, Error, Result};
use crate::rules::judge::{self, Violation};
use crate::rules::lock::{LeaseId, Owner, is_or_below};
use crate::rules::path::{Key, Kind, Place};
use crate::rules::time::Clock;
use crate::rules::view::{Entry, Me, View};
use crate::store::Scope;
use crate::store::shared::tree::{self, SeenBefore};
use crate::store::shared::{self, limits};

use above::directories;
pub use authorise::Objection;
use authorise::{Rules, Step};
use branches::{Branches, Judging};
pub use pusher::Origin;
pub(crate) use pusher::{Pusher, pusher};
use refs::Listed;

/// A bare repository that receives a push.
#[derive(Debug)]
pub struct Receiver {
    repo: Repo,
    git: Git,
    policy: Policy,
    objects: Objects,
    pusher: Option<Pusher>,
}

/// What is wrong with a push.
#[derive(Debug, Default)]
pub struct Judged {
    /// Of the lock ref's change.
    pub objections: Vec<Objection>,
    /// Of what other refs say.
    pub violations: Vec<Violation>,
}

impl Receiver {
    /// The repository around the hook. `variable` reads the environment.
    ///
    /// # Errors
    /// [`Error::BadPolicy`] where the policy of `HEAD` does not parse, unless the push mends it, and where the push brings
    /// one that does not: every later push would be refused. Whatever keeps the repository from being read.
    pub fn new(
        repo: Repo,
        updates: &[RefUpdate],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let head = repo.head_ref()?;
        let of_head = |update: &&RefUpdate| Some(&update.remote_ref) == head.as_ref();
        let coming = updates.iter().find(of_head).and_then(RefUpdate::after);
        let mends = coming
            .map(|oid| checked(Policy::in_commit(&repo, oid)?, head.as_deref()))
            .transpose()?;
        let ours = Policy::in_commit(&repo, "HEAD").and_then(|p| checked(p, head.as_deref()));
        let policy = match (ours, mends) {
            (Err(Error::BadPolicy { .. }), Some(_)) => Policy::default(),
            (policy, _) => policy?,
        };
        Ok(Receiver {
            objects: Objects::at(&object_directories(&repo, variable))?,
            pusher: pusher(variable, &policy.pushers),
            policy,
            // Replacements and histories cut short show what is not so; what a partial clone lacks it would fetch.
            git: repo
                .git()
                .with_variable("GIT_NO_REPLACE_OBJECTS", "1")
                .with_variable("GIT_NO_LAZY_FETCH", "1"),
            repo,
        })
    }

    /// The rules, as they were before the push.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Who pushes, where the host says it.
    #[must_use]
    pub fn pusher(&self) -> Option<&Pusher> {
        self.pusher.as_ref()
    }

    /// Who pushes, as somebody who could hold locks: wherever they work.
    #[must_use]
    pub fn me(&self) -> Me {
        self.me_called(self.pusher.as_ref().map_or("", |pusher| &pusher.id))
    }

    #[expect(clippy::unused_self, reason = "who is me is asked of the receiver")]
    fn me_called(&self, id: &str) -> Me {
        Me {
            owner: Owner {
                id: id.to_owned(),
                name: id.to_owned(),
                host: String::new(),
                workspace: None,
            },
            inside: Vec::new(),
        }
    }

    /// Judges everything that the push changes.
    pub fn judge(&self, updates: &[RefUpdate], clock: &dyn Clock) -> Result<Judged> {
        let listed = Listed::of(&self.git)?;
        let updates = &listed.resolved(updates);
        if let Some(objection) = self.on_names(updates) {
            return Ok(Judged {
                objections: vec![objection],
                violations: Vec::new(),
            });
        }
        let (locks, others): (Vec<_>, Vec<_>) = updates
            .iter()
            .cloned()
            .partition(|update| update.remote_ref == self.policy.share_ref);
        let objections = match locks.first() {
            Some(update) => self.objections(update, clock)?,
            None => Vec::new(),
        };
        Ok(Judged {
            objections,
            violations: self.violations(&listed, &others, clock)?,
        })
    }

    /// Git does what a push says of one ref twice in turn, and lets refs stand in the lock ref's way.
    fn on_names(&self, updates: &[RefUpdate]) -> Option<Objection> {
        let lock_ref = self.policy.share_ref.as_str();
        let mut seen = HashSet::new();
        for RefUpdate { remote_ref, .. } in updates {
            if !seen.insert(remote_ref) {
                let problem = format!("the push names `{remote_ref}` twice");
                return Some(Objection::of_all(Code::BadUsage, problem));
            }
            let is_below = |name: &str, above: &str| {
                name.strip_prefix(above)
                    .is_some_and(|rest| rest.starts_with('/'))
            };
            let is_alike = remote_ref != lock_ref && remote_ref.eq_ignore_ascii_case(lock_ref);
            if is_alike || is_below(remote_ref, lock_ref) || is_below(lock_ref, remote_ref) {
                let problem = format!("`{remote_ref}` would conflict with the lock ref");
                return Some(Objection::of_all(Code::Forbidden, problem));
            }
        }
        None
    }

    fn objections(&self, update: &RefUpdate, clock: &dyn Clock) -> Result<Vec<Objection>> {
        let Some(new) = update.after() else {
            let problem = "a push may not delete the lock ref";
            return Ok(vec![Objection::of_all(Code::Forbidden, problem)]);
        };
        if !self.repo.is_commit(new)? {
            let problem = "the lock ref must name a commit";
            return Ok(vec![Objection::of_all(Code::BadUsage, problem)]);
        }
        // Not read into memory only to be refused.
        let size = self.objects.size(new)?;
        if size > 2 * limits::MAX_MESSAGE {
            let (code, problem) = limits::too_long(size);
            return Ok(vec![Objection::of_all(code, problem)]);
        }
        let new = self.objects.commit(new)?;
        let old = update.before().map(|oid| self.objects.commit(oid));
        let old = old.transpose()?;
        let rules = Rules {
            policy: &self.policy,
            pusher: match &self.pusher {
                Some(pusher) => &pusher.id,
                None => &new.committer,
            },
            seq: shared::seq_of(&new),
            now: clock.now(),
        };
        let dropped = old.as_ref().filter(|_| new.parents.is_empty());
        if let Some(old) = dropped.filter(|_| !rules.is_trusted()) {
            let length = self.repo.count(&old.commit)?;
            if length < shared::LONG {
                let problem = format!("a history of {length} changes is too short to be dropped");
                return Ok(vec![Objection::of_all(Code::Forbidden, problem)]);
            }
        }
        let last = old.as_ref().map_or(0, shared::seq_of);
        if let Some(objection) = rules
            .on_succession(old.as_ref(), &new)
            .or_else(|| rules.on_number(last))
        {
            return Ok(vec![objection]);
        }
        let before = old.as_ref().map(|old| old.tree.as_str());
        if before == Some(&new.tree) {
            let signature = rules.on_signature(&new).into_iter();
            return Ok(signature.chain(rules.on_extent(&new, 0)).take(1).collect());
        }
        if !self.objects.is_in_order(before, &new.tree)? {
            let problem = "the lock tree has duplicate or unsorted entries";
            return Ok(vec![Objection::of_all(Code::BadUsage, problem)]);
        }
        let differing = self.objects.differing(before, &new.tree)?;
        if let Some(objection) = rules.on_extent(&new, differing.len()) {
            return Ok(vec![objection]);
        }
        let steps = differing
            .into_iter()
            .map(|difference| self.step(difference));
        let steps: Vec<Step> = steps.collect::<Result<_>>()?;
        let claims = steps.iter().filter_map(|step| step.new.as_ref());
        let scope = Scope::Claims(claims.map(|entry| entry.claim.clone()).collect());
        let when = (self.policy.terms, rules.now);
        let after = tree::view(&self.objects, Some(&new), &scope, SeenBefore::Nothing, when)?;
        let mut objections = rules.on_steps(&steps, &after);
        if objections.is_empty() {
            objections.extend(rules.on_signature(&new));
        }
        if objections.is_empty() {
            let leases = self.leases_beside(&steps, &new)?;
            objections.extend(rules.on_locks(&new, &steps, &|lease| leases.contains(lease)));
        }
        Ok(objections)
    }

    /// The lease ids of everything else in the ref, where a change brings new ones; and those that it brings twice.
    fn leases_beside(&self, steps: &[Step], new: &Revision) -> Result<HashSet<LeaseId>> {
        let lease = |entry: Option<&Entry>| entry?.lock().map(|lock| lock.lease.clone());
        let (mut fresh, mut others) = (HashSet::new(), HashSet::new());
        for step in steps {
            let (was, is) = (lease(step.old.as_ref()), lease(step.new.as_ref()));
            if was != is {
                // A lease that moves to another path is known, too.
                others.extend(was);
                others.extend(is.filter(|is| !fresh.insert(is.clone())));
            }
        }
        if fresh.is_empty() {
            return Ok(others);
        }
        let changed: HashSet<&Place> = steps.iter().map(|step| &step.place).collect();
        for entry in tree::entries(&self.objects, &new.tree, &Scope::All, SeenBefore::Nothing)? {
            if !changed.contains(&entry.place) {
                others.extend(lease(Some(&entry)));
            }
        }
        Ok(others)
    }

    /// One path's change, with what lay there and what lies there.
    fn step(&self, difference: Differing) -> Result<Step> {
        let Differing { path, old, new } = difference;
        let entry = |side: Option<(String, NodeKind)>| {
            let node = side.map(|(oid, kind)| Node {
                path: path.clone(),
                oid,
                kind,
            });
            node.map(|node| tree::entry(&self.objects, node, SeenBefore::Nothing))
                .transpose()
        };
        Ok(Step {
            old: entry(old)?,
            new: entry(new)?,
            is_place: tree::is_place(&path),
            place: Place::from_bytes(path),
        })
    }

    /// What the push does to all other refs against the locks as they were before it.
    fn violations(
        &self,
        listed: &Listed,
        updates: &[RefUpdate],
        clock: &dyn Clock,
    ) -> Result<Vec<Violation>> {
        let is_mine = |pusher: &Pusher| self.is_integrator(&self.me_called(&pusher.id));
        if updates.is_empty() || self.pusher.as_ref().is_some_and(is_mine) {
            return Ok(Vec::new());
        }
        let is_locked = self.repo.commit_of(&self.policy.share_ref)?.is_some();
        let attribute = lockable::InCommit::of(&self.repo, "HEAD")?;
        if !is_locked && self.policy.require.is_empty() && attribute.is_none() {
            return Ok(Vec::new());
        }
        let branches = Branches::new(self, &self.git, listed)?;
        let mut moves = branches.moves(updates)?;
        if is_locked {
            moves.extend(branches.beside(&moves)?);
        }
        let paths = branches.paths(&moves)?;
        let distinct: Vec<&[u8]> = paths.iter().map(Vec::as_slice).collect();
        // Read as late as can be: what is locked meanwhile is locked.
        let view = self.view_of(distinct.iter().copied(), clock)?;
        let lockable = match attribute {
            Some(attribute) => attribute.among(&self.repo, &distinct)?,
            None => HashSet::new(),
        };
        let require = &self.policy.require;
        let is_required = |path: &[u8]| lockable.contains(path) || require.matches(&Key::of(path));
        let judging = Judging {
            view: &view,
            is_required: &is_required,
        };
        let suspects = branches.suspects(&moves, &paths, judging)?;
        let found = branches.candidates(&moves, &suspects)?;
        let offences = branches.offences(&moves, found, judging)?;
        let touched = branches.touched(&moves, offences)?;
        self.without_new(branches::violations(&moves, touched))
    }

    /// Those that stand. What the team's branch does not have yet nobody else can have edited: it needs no lock.
    fn without_new(&self, mut violations: Vec<Violation>) -> Result<Vec<Violation>> {
        let required = violations.iter().filter(|v| v.code == Code::Required);
        let required: Vec<&[u8]> = required.map(|v| v.path.as_slice()).collect();
        let there = edits::contents(&self.repo, "HEAD", &required)?;
        violations.retain(|v| v.code != Code::Required || there.contains_key(&v.path));
        Ok(violations)
    }

    /// The locks that bear on these paths.
    fn view_of<'a>(
        &self,
        paths: impl Iterator<Item = &'a [u8]> + Clone,
        clock: &dyn Clock,
    ) -> Result<View> {
        let tip = self.repo.commit_of(&self.policy.share_ref)?;
        let tip: Option<Revision> = tip.map(|oid| self.objects.commit(&oid)).transpose()?;
        let above: BTreeSet<&[u8]> = paths.clone().flat_map(directories).collect();
        let scope = Scope::Claims(judge::claims_of(paths.chain(above)));
        let when = (self.policy.terms, clock.now());
        tree::view(
            &self.objects,
            tip.as_ref(),
            &scope,
            SeenBefore::Nothing,
            when,
        )
    }

    /// Whether they may push what others have locked.
    fn is_integrator(&self, me: &Me) -> bool {
        let mut all = self.policy.integrators.iter();
        all.any(|id| is_or_below(&me.owner.id, id))
    }

    fn is_lock_ref(&self, name: &str) -> bool {
        name == self.policy.share_ref
    }

    /// Whether a name is that of a ref, where the file system tells upper case from lower, or does not.
    fn is_named(&self, name: &str, reference: Option<&str>) -> bool {
        let ignores_case = || {
            let asked = self.git.run(&["config", "--type=bool", "core.ignorecase"]);
            asked.is_ok_and(|output| output.stdout == b"true\n")
        };
        reference.is_some_and(|reference| {
            name == reference || (name.eq_ignore_ascii_case(reference) && ignores_case())
        })
    }
}

/// The policy that a push brings to the branch that `HEAD` names must not make a lock ref of that branch: nobody could
/// push to it any more.
fn checked(policy: Policy, head: Option<&str>) -> Result<Policy> {
    if head == Some(&policy.share_ref) {
        return Err(Error::BadPolicy {
            file: policy::FILE.into(),
            line: 1,
            problem: "`[share] ref` names the branch that the remote's HEAD names".into(),
        });
    }
    Ok(policy)
}

/// Where objects lie: the repository's own, and the quarantine of the push.
fn object_directories(repo: &Repo, variable: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let quarantine = variable("GIT_OBJECT_DIRECTORY").map(PathBuf::from);
    let alternates = variable("GIT_ALTERNATE_OBJECT_DIRECTORIES").unwrap_or_default();
    let mut all: Vec<PathBuf> = quarantine.into_iter().collect();
    all.push(repo.common_dir().join("objects"));
    all.extend(std::env::split_paths(&alternates).filter(|path| path.is_absolute()));
    all
}

/// The path that an entry is about, for a refusal's last line.
fn shown(entry: Option<&Entry>, place: &Place) -> String {
    entry.map_or_else(
        || {
            let claim = place.claim().filter(|claim| claim.kind == Kind::File);
            let key = claim.map_or(Key::of(place.as_bytes()), |claim| claim.key);
            crate::rules::spelling::escaped(key.as_bytes())
        },
        Entry::shown_path,
    )
}
