//! Would these edits be rejected? The judgement of hooks and of `git latch check`, with as little looking as will do.
//!
//! Most of the time nobody else holds anything and nothing requires a lock: then no difference is computed at all.

mod required;
mod rule;

use std::collections::{BTreeSet, HashSet};

pub(crate) use rule::Rule;

use crate::git::edits::{self, Push, RefUpdate, StagedQuery};
use crate::git::target::Target;
use crate::latch::{Latch, Opening, Selection};
use crate::rules::edit::Edit;
use crate::rules::error::{Code, Result};
use crate::rules::judge::{self, Answerable, Violation};
use crate::rules::path::Kind;
use crate::rules::time::Clock;
use crate::rules::view::{Me, Standing, View};
use crate::store::Scope;

/// Judges what is staged. `merged` are the other parents that git names to pre-merge-commit.
pub fn staged(latch: &Latch, merged: &[String], clock: &dyn Clock) -> Result<Vec<Violation>> {
    staged_by(latch, None, merged, clock)
}

/// The same, where what is staged was asked already.
pub fn staged_by(
    latch: &Latch,
    asked: Option<StagedQuery>,
    merged: &[String],
    clock: &dyn Clock,
) -> Result<Vec<Violation>> {
    let judgement = Judgement::begin(latch, Answerable::Me, clock)?;
    if !judgement.could_forbid() {
        return Ok(Vec::new());
    }
    let asked = asked.map_or_else(|| StagedQuery::start(latch.repo(), merged), Ok)?;
    let edits = asked.finish()?;
    let violations = judgement.of(&edits, clock)?;
    let allowed = required::added(latch, merged, &violations)?;
    let violations = without(violations, &allowed);
    let allowed = edits::as_upstream(latch.repo(), &paths_of(&violations))?;
    Ok(without(violations, &allowed))
}

/// Judges the commits that a push brings.
///
/// # Errors
/// [`crate::Error::BadUsage`] where it would move or remove the lock ref itself. What `git push --mirror` deletes is not
/// among what git tells.
pub fn pushed(latch: &Latch, push: &Push, clock: &dyn Clock) -> Result<Vec<Violation>> {
    if let Some(shared) = latch.shared() {
        let refs = push.updates.iter().map(|update| update.remote_ref.as_str());
        shared.keep_from(&push.remote, refs)?;
    }
    let judgement = Judgement::begin(latch, Answerable::Me, clock)?;
    if !judgement.could_forbid() {
        return Ok(Vec::new());
    }
    let violations = judgement.of_commits(&push.edits()?, clock)?;
    let allowed = edits::unchanged_at_tip(latch.repo(), &push.judged(), &paths_of(&violations))?;
    Ok(without(violations, &allowed))
}

/// Whether a push is let through for sure, without asking git anything: nobody but this working tree's usual owner has
/// locked what it edits. When in doubt, no.
///
/// # Errors
/// As [`Opening::is_quiet`].
pub fn is_quiet_push(opening: &Opening, push: &Push, clock: &dyn Clock) -> Result<bool> {
    let claims = || push.edits_at_a_glance().map(judge::claims);
    opening.is_quiet_about(claims, clock)
}

/// Judges what a push of the branch that is checked out would bring to a remote.
///
/// # Errors
/// As [`pushed`].
pub fn branch(latch: &Latch, remote: &str, clock: &dyn Clock) -> Result<Vec<Violation>> {
    let Some(head) = latch.repo().commit_of("HEAD")? else {
        return Ok(Vec::new());
    };
    let branch = latch.repo().head_ref()?.unwrap_or_else(|| "HEAD".into());
    let update = RefUpdate {
        local_ref: branch.clone(),
        remote_oid: "0".repeat(head.len()),
        local_oid: head,
        remote_ref: branch,
    };
    let push = Push::of(latch.repo(), remote, remote, vec![update]);
    pushed(latch, &push, clock)
}

fn paths_of(violations: &[Violation]) -> Vec<&[u8]> {
    violations.iter().map(|v| v.path.as_slice()).collect()
}

fn without(mut violations: Vec<Violation>, allowed: &HashSet<Vec<u8>>) -> Vec<Violation> {
    violations.retain(|violation| !allowed.contains(&violation.path));
    violations
}

/// Judges the commits of a range such as `main..topic`, each as its author.
pub fn range(latch: &Latch, range: &str, clock: &dyn Clock) -> Result<Vec<Violation>> {
    let edits = edits::range(latch.repo(), range)?;
    Judgement::begin(latch, Answerable::Author, clock)?.of_commits(&edits, clock)
}

/// Judges everything in a selection as if it were edited now: files as they are named, of a directory what is locked in it
/// and the files in it that require a lock, lock for lock and file for file.
pub fn selected(latch: &Latch, selection: &Selection, clock: &dyn Clock) -> Result<Vec<Violation>> {
    let judgement = Judgement::begin(latch, Answerable::Me, clock)?;
    let (directories, files): (Vec<&Target>, Vec<&Target>) = selection
        .targets()
        .partition(|target| target.kind == Kind::Directory);
    let bytes = |target: &&Target| target.path.as_str().as_bytes().to_vec();
    let mut paths: BTreeSet<Vec<u8>> = files.iter().map(bytes).collect();
    let view = latch.view(&selection.scope(), clock)?;
    let is_held = |target: &&Target| view.covering(&target.path.key()).next().is_some();
    paths.extend(
        directories
            .iter()
            .copied()
            .filter(is_held)
            .map(|d| bytes(&d)),
    );
    let locked = view.live().filter(|e| selection.includes(&e.claim.key));
    paths.extend(locked.map(|entry| entry.path().to_vec()));
    let mut violations = judgement.of(&staged_edits(paths), clock)?;
    if judgement.rule.is_any() && !directories.is_empty() {
        let below = edits::tracked_below(latch.repo(), &directories)?;
        let required = judgement.of(&staged_edits(below), clock)?;
        // What is held there is told by its lock.
        violations.extend(required.into_iter().filter(|v| v.code == Code::Required));
        violations.sort_by(|a, b| a.path.cmp(&b.path));
        violations.dedup_by(|a, b| a.path == b.path);
    }
    let allowed = required::added(latch, &[], &violations)?;
    Ok(without(violations, &allowed))
}

fn staged_edits(paths: BTreeSet<Vec<u8>>) -> Vec<Edit> {
    let edit = |path| Edit { path, commit: None };
    paths.into_iter().map(edit).collect()
}

/// What is known before the edits are.
struct Judgement<'a> {
    latch: &'a Latch,
    who: Answerable,
    me: Me,
    /// The first locks, all of them if `is_complete`.
    view: View,
    is_complete: bool,
    rule: Rule<'a>,
}

impl<'a> Judgement<'a> {
    fn begin(latch: &'a Latch, who: Answerable, clock: &dyn Clock) -> Result<Self> {
        let (view, is_complete) = latch.peek(clock)?;
        Ok(Judgement {
            me: latch.reader()?,
            rule: Rule::of(latch)?,
            latch,
            who,
            view,
            is_complete,
        })
    }

    /// Whether any edit at all could be forbidden.
    fn could_forbid(&self) -> bool {
        let is_others = |e| !self.me.has(e) && self.view.standing(e) != Standing::Expired;
        !self.is_complete || self.rule.is_any() || self.view.entries().any(is_others)
    }

    /// Judges commits, oldest first: some need no lock where one is required.
    fn of_commits(&self, edits: &[Edit], clock: &dyn Clock) -> Result<Vec<Violation>> {
        let violations = self.of(edits, clock)?;
        if violations.iter().all(|v| v.code != Code::Required) {
            return Ok(violations);
        }
        let left = required::without_excused(self.latch, edits, &violations)?;
        self.of(&left, clock)
    }

    fn of(&self, edits: &[Edit], clock: &dyn Clock) -> Result<Vec<Violation>> {
        let wider;
        let view = if self.is_complete {
            &self.view
        } else {
            wider = self
                .latch
                .view(&Scope::Claims(judge::claims(edits)), clock)?;
            &wider
        };
        let is_required = self.rule.on(edits)?;
        Ok(judge::judge(view, &self.me, edits, &is_required, self.who))
    }
}
