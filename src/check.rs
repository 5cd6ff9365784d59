//! Would these edits be rejected? The judgement of hooks and of `git latch check`, with as little looking as will do.
//!
//! Most of the time nobody else holds anything and nothing requires a lock: then no difference is computed at all.

use std::collections::BTreeSet;

use crate::edits::{self, Edit, RefUpdate, Staged};
use crate::error::Result;
use crate::judge::{self, As, Violation};
use crate::latch::Latch;
use crate::lockable;
use crate::path::Key;
use crate::store::{LockStore as _, Scope};
use crate::time::Clock;
use crate::view::{Me, Standing, View};

/// How many locks a hook looks at before it asks for those of the edited paths only.
const GLANCE: usize = 64;

/// Judges what is staged. `merging` are the other parents that git names to pre-merge-commit.
pub fn staged(latch: &Latch, merging: Vec<String>, clock: &dyn Clock) -> Result<Vec<Violation>> {
    let judgement = Judgement::begin(latch, As::Me, clock)?;
    if !judgement.could_forbid() {
        return Ok(Vec::new());
    }
    let edits = Staged::start(latch.repo(), merging)?.finish()?;
    let mut violations = judgement.of(&edits, clock)?;
    if !violations.is_empty()
        && let Some(unlike) = edits::unlike_upstream(latch.repo())?
    {
        violations.retain(|violation| unlike.contains(&violation.path));
    }
    Ok(violations)
}

/// Judges the commits that a push brings to `remote`, a name or a URL.
pub fn pushed(
    latch: &Latch,
    remote: &str,
    url: &str,
    updates: &[RefUpdate],
    clock: &dyn Clock,
) -> Result<Vec<Violation>> {
    let judgement = Judgement::begin(latch, As::Me, clock)?;
    if !judgement.could_forbid() {
        return Ok(Vec::new());
    }
    judgement.of(&edits::pushed(latch.repo(), remote, url, updates)?, clock)
}

/// Judges the commits of a range such as `main..topic`, each as its author.
pub fn range(latch: &Latch, range: &str, clock: &dyn Clock) -> Result<Vec<Violation>> {
    let edits = edits::range(latch.repo(), range)?;
    Judgement::begin(latch, As::Author, clock)?.of(&edits, clock)
}

/// Judges paths as if they were edited now.
pub fn paths(latch: &Latch, paths: &[Vec<u8>], clock: &dyn Clock) -> Result<Vec<Violation>> {
    let edits: Vec<Edit> = paths
        .iter()
        .map(|path| Edit {
            path: path.clone(),
            commit: None,
        })
        .collect();
    Judgement::begin(latch, As::Me, clock)?.of(&edits, clock)
}

/// What is known before the edits are.
struct Judgement<'a> {
    latch: &'a Latch,
    who: As,
    me: Me,
    /// The first locks, all of them if `is_complete`.
    view: View,
    is_complete: bool,
    attribute_in_use: bool,
}

impl<'a> Judgement<'a> {
    fn begin(latch: &'a Latch, who: As, clock: &dyn Clock) -> Result<Self> {
        let (view, is_complete) = latch.store().glance(GLANCE, clock)?;
        Ok(Judgement {
            me: latch.reader()?,
            attribute_in_use: latch.has_lockable_files()?,
            latch,
            who,
            view,
            is_complete,
        })
    }

    /// Whether any edit at all could be forbidden.
    fn could_forbid(&self) -> bool {
        let is_others = |e| !self.me.has(e) && self.view.standing(e) != Standing::Expired;
        !self.is_complete
            || self.attribute_in_use
            || !self.latch.policy().require.is_empty()
            || self.view.entries().any(is_others)
    }

    fn of(&self, edits: &[Edit], clock: &dyn Clock) -> Result<Vec<Violation>> {
        let lockable = if self.attribute_in_use {
            let distinct: BTreeSet<&[u8]> = edits.iter().map(|e| e.path.as_slice()).collect();
            let distinct: Vec<&[u8]> = distinct.into_iter().collect();
            lockable::among(self.latch.repo(), &distinct)?
        } else {
            BTreeSet::new()
        };
        let require = &self.latch.policy().require;
        let is_required = |path: &[u8]| lockable.contains(path) || require.matches(&Key::of(path));
        let wider;
        let view = if self.is_complete {
            &self.view
        } else {
            wider = self
                .latch
                .view(&Scope::Claims(judge::claims(edits)), clock)?;
            &wider
        };
        Ok(judge::judge(view, &self.me, self.who, edits, &is_required))
    }
}
