//! After an edit: commit, push as the user's own `git push` would, and unlock, so that nobody can take a file before its
//! new version is there to take.
//!
//! What goes into the commit is what is named and mine: changed under a lock of mine, or new, so that nobody else can have
//! a lock on it. What is named by a directory or a pattern and is neither stays as it is. The locks stand until the branch
//! has landed; checking in again goes on where it stopped.

mod commit;
mod push;

use std::collections::HashSet;

use super::Latch;
use super::release::{PushState, Unlocked};
use super::selection::{Part, Selection};
use super::{What, done};
use crate::git::edits::{self, Changed, State};
use crate::latch::held::Held;
use crate::rules::error::{Error, Result};
use crate::rules::lease::{Force, Released};
use crate::rules::path::{Claim, Kind, RepoPath};
use crate::rules::time::Clock;
use crate::rules::view::{Entry, Me, Standing, View};

/// What to check in.
#[derive(Clone, Copy, Debug)]
pub struct Checkin<'a> {
    /// What is named.
    pub selection: &'a Selection,
    /// The commit's message; without one git asks for it in the user's editor.
    pub message: Option<&'a str>,
    /// What becomes of the locks.
    pub afterwards: Afterwards,
}

/// What becomes of locks whose work is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// They are given back.
    Unlock,
    /// They stay.
    Keep,
}

/// What checking in came to.
#[derive(Clone, Debug, Default)]
pub struct CheckedIn {
    /// The new commit; `None` where nothing was changed since the last one.
    pub commit: Option<String>,
    /// Where it was pushed: remote and branch.
    pub pushed: Option<(String, String)>,
    /// Files that git did not know before, and that the commit has taken.
    pub new: Vec<Vec<u8>>,
    /// Changed files that are named by a directory or a pattern, and not locked by me, or new and not known to git yet.
    pub left_out: Vec<Vec<u8>>,
    /// What became of the locks.
    pub locks: Unlocked,
}

/// What is to be done.
#[derive(Default)]
struct Plan {
    /// The locks, or what is named without being mine.
    locks: Vec<RepoPath>,
    /// What the commit takes.
    files: Vec<Vec<u8>>,
    /// Those of them that git does not know yet.
    unknown: Vec<Vec<u8>>,
    left_out: Vec<Vec<u8>>,
}

impl Latch {
    /// Commits what is named, pushes the branch and gives the locks back.
    ///
    /// What is named and not locked by me is refused before anything is done, unless it is new.
    ///
    /// # Errors
    /// [`Error::NotCommitted`] where git, or a hook of the user's, does not commit: nothing is changed.
    /// [`Error::NotPushed`] where the branch does not land: the commit is there, and the locks stay.
    pub fn checkin(&self, checkin: &Checkin<'_>, clock: &dyn Clock) -> Result<CheckedIn> {
        let me = self.me()?;
        self.turn_sharing_on(&me, clock)?;
        // What was lost meanwhile is not pushed.
        self.sync(None, clock)?;
        let view = self.view(&checkin.selection.scope(), clock)?;
        let plan = self.plan(checkin.selection, &view, &me)?;
        let mut answer = CheckedIn::default();
        let (_, released) = self.release_all(&view, &me, &plan.locks, Force::No);
        if released.iter().any(|r| !matches!(r, Released::Free(_))) {
            self.tell_refused(plan.locks, released, &me, &mut answer.locks)?;
            return Ok(answer);
        }
        let branch = self.branch_to_push()?;
        answer.left_out = plan.left_out;
        answer.commit = self.commit(&plan.files, &plan.unknown, checkin.message)?;
        answer.new = plan.unknown;
        let mut known = PushState::AsFetched;
        if let Some(branch) = branch
            && (answer.commit.is_some() || self.is_to_push(&plan.locks)?)
        {
            let pushed = self.push(&branch)?;
            known = pushed.known;
            answer.pushed = Some((pushed.remote, pushed.branch));
        }
        if checkin.afterwards == Afterwards::Unlock && !plan.locks.is_empty() {
            // A change of its own: what others do to the locks meanwhile does not make the push start over.
            let locks = What::Paths(&plan.locks);
            answer.locks = self.give_back(locks, Force::No, None, known, clock)?;
        }
        Ok(answer)
    }

    /// What is named: whose it is decides what becomes of it.
    fn plan(&self, selection: &Selection, view: &View, me: &Me) -> Result<Plan> {
        let held = self.held.read()?;
        let mine: Vec<&Claim> = view
            .entries()
            .filter(|e| me.has(e) && view.standing(e) == Standing::Live)
            .map(|e| &e.claim)
            .collect();
        let changed = edits::changed(&self.repo)?;
        let mut plan = Plan::default();
        let mut seen = HashSet::new();
        for part in selection.parts() {
            let locks = locks_of(part, view, me, &held, &changed)?;
            let fresh = locks.into_iter().filter(|path| seen.insert(path.key()));
            plan.locks.extend(fresh);
        }
        for change in changed {
            let mut parts = selection.parts().iter();
            let is_named = parts.clone().any(|part| names(part, &change));
            let is_included = is_named || parts.any(|part| part.includes(&change.key));
            let is_mine = mine.iter().any(|claim| claim.covers(&change.key));
            let is_new = match change.state {
                State::Untracked => is_named,
                State::Added => true,
                State::Other => false,
            };
            if !is_included {
                continue;
            }
            if is_mine || is_new && holder(view, me, &change).is_none() {
                if change.state == State::Untracked {
                    plan.unknown.push(change.path.clone());
                }
                plan.files.push(change.path);
            } else {
                plan.left_out.push(change.path);
            }
        }
        Ok(plan)
    }

    /// Whether there is work on these paths that the remote of the branch does not have.
    fn is_to_push(&self, locks: &[RepoPath]) -> Result<bool> {
        let Some(remote) = self.remote_of_branches()? else {
            return Ok(false);
        };
        let work = done::Work::unpushed(&self.repo, &remote)?;
        let is_left = |path: &RepoPath| {
            let below = Claim::new(path, Kind::Directory);
            work.left_on(&below).is_some()
        };
        Ok(locks.is_empty() || locks.iter().any(is_left))
    }

    /// Nothing is given back: what stands against it.
    fn tell_refused(
        &self,
        paths: Vec<RepoPath>,
        released: Vec<Released>,
        me: &Me,
        answer: &mut Unlocked,
    ) -> Result<()> {
        let both = paths.into_iter().zip(released);
        let (paths, released) = both
            .filter(|(_, came_to)| !matches!(came_to, Released::Free(_)))
            .unzip();
        self.tell_released(paths, released, me, answer)
    }

    /// The branch that is checked out, where there is anywhere to push it to.
    fn branch_to_push(&self) -> Result<Option<String>> {
        if self.remote_of_branches()?.is_none() {
            return Ok(None);
        }
        let head = self.repo.head_ref()?;
        let branch = head
            .as_deref()
            .and_then(|name| name.strip_prefix("refs/heads/"));
        let branch = branch.ok_or_else(|| Error::Unsupported {
            problem: "no branch is checked out here: there is nothing to push to".into(),
            hint: Some("git switch -c NAME".into()),
        })?;
        // On this machine alone the commit is what others need; it is pushed where the branch has a place to go to.
        let is_pushed = self.shared().is_some() || self.upstream()?.is_some();
        Ok(is_pushed.then(|| branch.to_owned()))
    }
}

/// The locks that a part of the selection means: mine; none where it lies under a lock of mine, or names what is new.
/// Else what stands against it.
fn locks_of(
    part: &Part,
    view: &View,
    me: &Me,
    held: &[Held],
    changed: &[Changed],
) -> Result<Vec<RepoPath>> {
    let (mine, _) = part.locks(view, me, held);
    if !mine.is_empty() {
        return Ok(mine);
    }
    let mut above = view.live().filter(|e| part.is_held_by(&e.claim));
    if above.any(|e| me.has(e)) {
        return Ok(Vec::new());
    }
    let is_new = |change: &&Changed| match change.state {
        State::Added => part.includes(&change.key),
        State::Untracked => names(part, change),
        State::Other => false,
    };
    let mut new = changed.iter().filter(is_new).peekable();
    if new.peek().is_some() && new.all(|change| holder(view, me, change).is_none()) {
        return Ok(Vec::new());
    }
    part.stands_against(view, me, held)
}

/// Whether a part names this very file.
fn names(part: &Part, change: &Changed) -> bool {
    let mut targets = part.targets().iter();
    !part.is_pattern() && targets.any(|t| t.kind == Kind::File && t.path.key() == change.key)
}

/// Whose lock stands on a changed file, if it is not mine.
fn holder<'v>(view: &'v View, me: &Me, change: &Changed) -> Option<&'v Entry> {
    let mut covering = view.covering(&change.key);
    covering.find(|e| !me.has(e) && view.standing(e) != Standing::Expired)
}
