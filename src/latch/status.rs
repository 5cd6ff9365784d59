//! What concerns me now: my locks, others' locks on files I have changed, what I have changed without the lock that it
//! requires, leases I have lost.

use crate::git::edits;
use crate::latch::Latch;
use crate::latch::check::Rule;
use crate::rules::error::Result;
use crate::rules::loss::Loss;
use crate::rules::time::Clock;
use crate::rules::view::{Entry, Standing, View};
use crate::store::Scope;

/// The answer of `git latch status`.
#[derive(Clone, Debug)]
pub struct Status {
    /// My live locks, by path.
    pub mine: Vec<Entry>,
    /// Changed files that somebody else has locked, with the lock; by path.
    pub blocking: Vec<(Vec<u8>, Entry)>,
    /// Changed files that may only be edited under a lock of mine, and that nobody has locked; by path.
    pub unlocked: Vec<Vec<u8>>,
    /// Leases that are lost.
    pub lost: Vec<Loss>,
    /// What was looked at.
    pub view: View,
}

/// Looks at everything that concerns this working tree.
pub fn status(latch: &Latch, clock: &dyn Clock) -> Result<Status> {
    let me = latch.reader()?;
    let view = latch.view(&Scope::All, clock)?;
    let mine = view.live().filter(|e| me.has(e)).cloned().collect();
    // Looking for changes costs more than all the rest: only where they could matter.
    let rule = Rule::of(latch)?;
    let could_matter = rule.is_any() || view.live().any(|e| !me.has(e));
    let changed = if could_matter && !latch.repo().is_bare() {
        edits::changed(latch.repo())?
    } else {
        Vec::new()
    };
    let unlocked = if rule.is_any() {
        rule.unlocked(&view, &me, &changed)?
    } else {
        Vec::new()
    };
    let blocking = changed
        .into_iter()
        .filter_map(|change| {
            let mut covering = view.covering(&change.key);
            let holder = covering.find(|e| !me.has(e) && view.standing(e) != Standing::Expired)?;
            Some((change.path, holder.clone()))
        })
        .collect();
    Ok(Status {
        mine,
        blocking,
        unlocked,
        lost: latch.explained(latch.losses(clock)?),
        view,
    })
}
