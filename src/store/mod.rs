//! Where locks are kept. A store only offers *read a view* and *transact*: every rule about leases is a pure decision
//! in [`crate::rules::lease`], so all stores decide alike.

mod journal;
mod latch_dir;
pub(crate) mod local;
mod past;
mod scan;
pub mod shared;
pub(crate) mod workspaces;

use scan::entry_of;
pub(crate) use scan::stamps;

pub use latch_dir::{LatchDir, TreeDir};
pub(crate) use local::LocalStore;
pub(crate) use shared::{HostedStore, ReceivedStore, SharedStore, Synced};

use crate::rules::error::{Error, Result};
use crate::rules::event::Author;
use crate::rules::lease::Change;
use crate::rules::lock::Lock;
use crate::rules::path::{Claim, Place};
use crate::rules::time::Clock;
use crate::rules::view::View;

/// Where a lock lies.
fn place_of(lock: &Lock) -> Result<Place> {
    lock.claim()
        .place()
        .ok_or_else(|| Error::bad_path(lock.path.as_str(), "a git file cannot be a directory"))
}

/// What of a store to read.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Every lock.
    All,
    /// For each claim what lies on it, above it and, where it is a directory, below it.
    Claims(Vec<Claim>),
    /// What lies in these places, and nothing else.
    Places(Vec<Place>),
}

/// What a decision comes to.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The steps to take, all or none.
    pub changes: Vec<Change>,
    /// Whether something was refused, or found lost.
    pub verdict: Verdict,
    /// Who asked for the step in a place, where a server changes locks for others.
    pub on_behalf: Vec<(Place, Author)>,
}

impl Decision {
    /// Steps of one's own.
    #[must_use]
    pub(crate) fn new(changes: Vec<Change>, verdict: Verdict) -> Self {
        Decision {
            changes,
            verdict,
            on_behalf: Vec::new(),
        }
    }
}

/// Whether a decision says no to anything. A store that decides on a view that may be old looks again before it lets a
/// no stand; a yes is proven by publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything asked for is granted.
    Yes,
    /// Something is not.
    No,
}

impl Verdict {
    /// No, if there are refusals.
    #[must_use]
    pub(crate) fn no_if(has_refusals: bool) -> Self {
        if has_refusals {
            Verdict::No
        } else {
            Verdict::Yes
        }
    }
}

/// A decision: run on a current view, and again if the view turns out to be old.
pub(crate) type Decide<'a> = dyn FnMut(&View) -> Result<Decision> + 'a;

/// A place where locks are kept and changed atomically.
pub trait LockStore: std::fmt::Debug + Sync {
    /// Reads a view. Waits for nobody; each path is read atomically.
    fn view(&self, scope: &Scope, clock: &dyn Clock) -> Result<View>;

    /// Reads until `limit` locks are found or there are no more; says whether that was all.
    ///
    /// This is what a hook asks to learn cheaply that nobody else holds anything.
    fn peek(&self, limit: usize, clock: &dyn Clock) -> Result<(View, bool)>;

    /// Runs `decide` on a current view and applies its changes, all or none, durably before it returns. Gives the
    /// number of the change, or of the last one where nothing was to change.
    fn transact(&self, scope: &Scope, clock: &dyn Clock, decide: &mut Decide<'_>) -> Result<u64>;
}

/// [`LockStore::transact`] with an answer besides the changes.
pub(crate) fn transact<T>(
    store: &dyn LockStore,
    scope: &Scope,
    clock: &dyn Clock,
    mut decide: impl FnMut(&View) -> Result<(Vec<Change>, Verdict, T)>,
) -> Result<(u64, T)> {
    let mut answer = None;
    let seq = store.transact(scope, clock, &mut |view| {
        let (changes, verdict, told) = decide(view)?;
        answer = Some(told);
        Ok(Decision::new(changes, verdict))
    })?;
    Ok((
        seq,
        answer.expect("a store runs the decision at least once"),
    ))
}
