//! Where locks are kept. A store only offers *read a view* and *transact*: every rule about leases is a pure decision
//! in [`crate::lease`], so that all stores judge alike.

pub(crate) mod files;
mod journal;
pub mod local;
mod mode;
mod mount;
mod scan;

pub use local::LocalStore;
pub use mode::Sharing;

use crate::error::Result;
use crate::lease::Change;
use crate::path::Claim;
use crate::time::Clock;
use crate::view::View;

/// What of a store to read.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Every lock.
    All,
    /// For each claim what lies on it, above it and, where it is a directory, below it.
    Claims(Vec<Claim>),
}

/// A decision: run on a current view, and again if the view turns out to be old.
pub type Decide<'a> = dyn FnMut(&View) -> Result<Vec<Change>> + 'a;

/// A place where locks are kept and changed atomically.
pub trait LockStore: Sync {
    /// Reads a view. Waits for nobody; each path is read atomically.
    fn view(&self, scope: &Scope, clock: &dyn Clock) -> Result<View>;

    /// Reads until `limit` locks are found or there are no more; says whether that was all.
    ///
    /// This is what a hook asks to learn cheaply that nobody else holds anything.
    fn glance(&self, limit: usize, clock: &dyn Clock) -> Result<(View, bool)>;

    /// Runs `decide` on a current view and applies its changes, all or none, durably before it returns. Gives the
    /// number of the change, or of the last one where nothing was to change.
    fn transact(&self, scope: &Scope, clock: &dyn Clock, decide: &mut Decide<'_>) -> Result<u64>;
}

/// [`LockStore::transact`] with an answer besides the changes.
pub fn transact<T>(
    store: &dyn LockStore,
    scope: &Scope,
    clock: &dyn Clock,
    mut decide: impl FnMut(&View) -> Result<(Vec<Change>, T)>,
) -> Result<(u64, T)> {
    let mut answer = None;
    let seq = store.transact(scope, clock, &mut |view| {
        let (changes, told) = decide(view)?;
        answer = Some(told);
        Ok(changes)
    })?;
    Ok((
        seq,
        answer.expect("a store runs the decision at least once"),
    ))
}
