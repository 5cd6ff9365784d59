//! Leases on paths for any git repository: locking for files that cannot be merged.
//!
//! # Limitations
//!
//! - Without a remote, locks hold for one repository with its linked working trees, on one machine or a share with working
//!   file locks. With one ([`store::SharedStore`]) they hold for every clone; the remote enforces them only where it is a
//!   repository of one's own with our hook ([`receive`]).
//! - Nothing proves who somebody is: locks keep honest people and agents apart, they are no access control.
//! - A lease is a promise in time. Its holder must stop trusting it when it ends; others honour it for a grace on top.
//!   Where clocks differ by more than the policy's `clock_skew`, two may believe to hold a path.
//! - Whether a process lives is known on Linux only; elsewhere a lease bound to one ends by time.
//!
//! # How to use it
//!
//! [`Latch`] is a repository with its locks. [`with_lock`] runs a closure under locks:
//!
//! ```
//! use git_latch::{Latch, LockOptions, SystemClock, Target, WithLock, with_lock};
//! # let tree = tempfile::tempdir()?;
//! # for args in [&["init", "-q"][..], &["config", "user.email", "ada@example.com"]] {
//! #     assert!(std::process::Command::new("git").args(args).current_dir(&tree).status()?.success());
//! # }
//! # let directory = tree.path();
//!
//! let latch = Latch::open(directory, &Default::default())?;
//! let options = LockOptions { reason: Some("baking the lights".into()), ..LockOptions::default() };
//! match with_lock(&latch, &[Target::file("scenes/town.tscn")?], &options, &SystemClock, || 42)? {
//!     WithLock::Done(value) => assert_eq!(value, 42),
//!     WithLock::Lost { leases, .. } => println!("done, but {} leases were lost", leases.len()),
//!     WithLock::InProgress(_) => println!("another process of mine is at it"),
//!     WithLock::Held(refused) => println!("{} paths are locked by others", refused.len()),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Locks that outlive the call are taken with [`Latch::lock`], and given back with [`Latch::unlock`]:
//!
//! ```
//! use git_latch::{Environment, Insist, Latch, LockOptions, Selection, SystemClock, Target, What};
//! # let tree = tempfile::tempdir()?;
//! # assert!(std::process::Command::new("git").args(["init", "-q"]).current_dir(&tree).status()?.success());
//! # let directory = tree.path();
//!
//! let as_ada = Environment { owner: Some("ada@example.com".into()), ..Environment::default() };
//! let as_bob = Environment { owner: Some("bob@example.com".into()), ..Environment::default() };
//! let (ada, bob) = (Latch::open(directory, &as_ada)?, Latch::open(directory, &as_bob)?);
//! let hero = [Target::file("hero.psd")?];
//!
//! assert_eq!(ada.lock(&hero, &LockOptions::default(), &SystemClock)?.locked.len(), 1);
//! let refused = bob.lock(&hero, &LockOptions::default(), &SystemClock)?.refused;
//! let holder = refused[0].holder.as_ref().and_then(|entry| entry.lock());
//! assert_eq!(holder.map(|lock| lock.owner.id.as_str()), Some("ada@example.com"));
//! ada.unlock(What::Selected(&Selection::of(&hero)), Insist::No, None, &SystemClock)?;
//! assert!(bob.lock(&hero, &LockOptions::default(), &SystemClock)?.refused.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The library never prints, ends the process or asks for the time: a [`Clock`] and an [`Environment`] are arguments.
//!
//! # The map of the house
//!
//! Pure, without disk, clock or environment:
//! [`path`] (repository paths, their keys, the places of their locks), [`lock`] (the record, its file), [`view`] (what a
//! store shows, and which of it counts), [`lease`] (acquire, renew, release, steal, sweep as decisions over a view),
//! [`judge`] (edits against locks), [`event`] (what two readings of one place differ in), [`time`].
//!
//! What a change goes through: [`target`] turns arguments into paths, [`latch`] makes a request of them, [`lease`] decides
//! on a [`view`] of the [`store`], the store publishes what was decided (under its guard, or by a conditional push), [`held`] remembers what was taken
//! in this working tree. [`keep`] renews meanwhile.
//!
//! What goes on for hours: [`live`] follows the locks and tells each [`event`], by comparing what is known with a fresh
//! reading; [`agent`] acts on it, and keeps in [`first_edits`] which locks are its own to give back. Nothing depends on
//! either.
//!
//! Where locks are served to others: [`served`] holds one repository's locks in memory as they follow the lock ref, and
//! makes one change of all requests that wait; [`server`] is HTTP around it, the only one to name tokio and axum.
//!
//! What a hook goes through: [`edits`] asks git what was edited, [`check`] looks no further than necessary, [`judge`]
//! compares, [`lockable`] knows the attribute of that name. Where pushes arrive [`receive`] judges them, and the lock ref.
//!
//! One door each: [`git`] spawns the `git` command, [`repo`] is the only one to name libgit2, [`watch`] the only one to
//! name notify, `guard` the only one to name fs2. Set-up: [`hooks`], [`link`], [`policy`], [`config`], [`identity`],
//! [`workspace`]. [`process`] tells the living from the dead, [`status`] what concerns one working tree, [`report`] shows
//! locks to programs, [`error`] says what went wrong.
//!
//! Nothing imports from above itself: the binary uses the library, `latch` the stores, a store `lease`, `lease` the rest.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")
)]

pub mod agent;
pub mod check;
pub mod config;
pub mod edits;
pub mod error;
pub mod event;
mod fault;
pub mod first_edits;
pub mod git;
mod guard;
pub mod held;
pub mod hooks;
pub mod identity;
pub mod judge;
pub mod keep;
pub mod latch;
pub mod lease;
pub mod link;
pub mod live;
pub mod lock;
pub mod lockable;
mod marks;
pub mod os;
pub mod path;
mod pattern;
pub mod policy;
pub mod process;
pub mod receive;
pub mod repo;
pub mod report;
pub mod rules;
#[cfg(test)]
mod scratch;
pub mod served;
#[cfg(feature = "server")]
pub mod server;
pub mod status;
pub mod store;
pub mod target;
pub mod time;
pub mod view;
pub mod watch;
pub mod workspace;

pub use error::{Code, Error, Result};
pub use identity::Environment;
pub use keep::{WithLock, with_lock};
pub use latch::{Latch, LockOptions, Selection, What};
pub use lease::{Insist, Several, Steal};
pub use os::clock::SystemClock;
pub use store::LockStore;
pub use target::Target;
pub use time::{Clock, Ttl};
