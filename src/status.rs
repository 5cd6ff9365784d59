//! What concerns me now: my locks, others' locks on files I have changed, leases I have lost.

use crate::edits::changed_files;
use crate::error::Result;
use crate::latch::Latch;
use crate::rules::loss::Loss;
use crate::store::Scope;
use crate::time::Clock;
use crate::view::{Entry, Standing, View};

/// The answer of `git latch status`.
#[derive(Clone, Debug)]
pub struct Status {
    /// My live locks, by path.
    pub mine: Vec<Entry>,
    /// Changed files that somebody else has locked, with the lock; by path.
    pub blocking: Vec<(Vec<u8>, Entry)>,
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
    let changed = if view.live().any(|e| !me.has(e)) && !latch.repo().is_bare() {
        changed_files(latch.repo())?
    } else {
        Vec::new()
    };
    let blocking = changed
        .into_iter()
        .filter_map(|(key, path)| {
            let mut covering = view.covering(&key);
            let holder = covering.find(|e| !me.has(e) && view.standing(e) != Standing::Expired)?;
            Some((path, holder.clone()))
        })
        .collect();
    Ok(Status {
        mine,
        blocking,
        lost: latch.explained(latch.losses(clock)?),
        view,
    })
}
