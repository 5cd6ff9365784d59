//! Leases on paths for any git repository: locking for files that cannot be merged.
//!
//! # Limitations
//!
//! - Without a remote, locks hold for one repository with its linked working trees, on one machine or a share with working
//!   file locks. With one ([`store::SharedStore`]) they hold for every clone; the remote enforces them only where it is a
//!   repository of one's own with our hook ([`hooks::receive`]).
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
//! use git_latch::{Environment, Force, Latch, LockOptions, Selection, SystemClock, Target, What};
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
//! ada.unlock(What::Selected(&Selection::of(&hero)), Force::No, None, &SystemClock)?;
//! assert!(bob.lock(&hero, &LockOptions::default(), &SystemClock)?.refused.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The library never prints, ends the process or asks for the time: a [`Clock`] and an [`Environment`] are arguments.
//!
//! # The map of the house
//!
//! Nine wings, each importing only those before it in this list; [`hooks`], [`live`] and [`server`] do not import each
//! other. `tests/house.rs` holds that, and that each foreign crate has one door.
//!
//! | wing | what is in it |
//! |---|---|
//! | [`rules`] | pure decisions: what a path, a lock, a lease is, who may take what, which edit is against which lock |
//! | [`os`] | the operating system: files, the guard (fs2), watching (notify), processes, signals, the clock |
//! | [`git`] | the `git` command, libgit2 (git2), what was edited, what an argument means |
//! | [`store`] | where locks are kept: `store::LocalStore`, [`store::SharedStore`], `store::HostedStore` |
//! | [`latch`] | one repository at work: who I am, the policy, what I hold; lock, unlock, renew, check, checkout, checkin |
//! | [`hooks`] | installing hooks and living with those of others; [`hooks::receive`] judges a push as it arrives |
//! | [`live`] | following the locks; [`live::daemon`] acts on what it sees |
//! | `server` | one repository as it is served (`engine`), HTTP, users, the API, Git LFS, the page |
//! | `cli` | the binary's own: one file for each command |
//!
//! # Three walks through it
//!
//! **`git latch lock a.psd`.** `cli::lock` turns arguments into [`LockOptions`]. [`Latch::open`] reads configuration, policy and
//! what this working tree holds. [`git::target`] finds the path that the argument means. [`Latch::lock`] asks
//! [`rules::lease`] for a decision on a fresh [`rules::view`]; [`LockStore::transact`] makes it so: under the guard in the
//! lock directory, or by a push that the remote accepts only while nobody else was faster. `latch::held` notes the lease
//! before it is published and confirms it after. `cli::lock` says what happened.
//!
//! **A commit that is rejected.** The hook's script starts `cli::hook`. Where nothing can be locked it ends after a look at
//! a few files. Otherwise [`git::edits`] asks git what is staged, [`latch::check`] reads the locks on and around those
//! paths, [`rules::judge`] compares, and `cli::problems` says who holds what, until when, and the next step. Other tools'
//! hooks run before that (`hooks::before`).
//!
//! **`POST locks`.** `server::safety` and `server::app` let the request in and find out who asks. `server::api::locks` reads it
//! into what is wanted. `server::engine` puts it into the queue; one change of the lock ref is made of all that wait, by the
//! same [`rules::lease`]. The answer and the events come from what was published; `server::render` gives a refusal its form.
//!
//! # Where to change what
//!
//! The grace of a lease: `rules::lock::grace`. The text of a refusal: `cli::words` and `cli::problems`. The limit of a request's
//! body: `server::BODY`. How husky is detected: `hooks::place`. The names below `.git/latch`: [`store::LatchDir`].
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")
)]
#![cfg_attr(
    not(feature = "server"),
    allow(
        dead_code,
        unused_imports,
        reason = "what only the server uses; the build with it finds what nobody uses"
    )
)]

pub mod git;
pub mod hooks;
pub mod latch;
pub mod live;
pub mod os;
pub mod rules;
#[cfg(feature = "server")]
pub mod server;
pub mod store;

pub use git::target::Target;
pub use latch::identity::Environment;
pub use latch::keep::{WithLock, with_lock};
pub use latch::{Latch, LockOptions, Selection, What};
pub use os::clock::SystemClock;
pub use rules::error::{Code, Error, Result};
pub use rules::lease::{Batch, Force, Steal};
pub use rules::time::{Clock, Ttl};
pub use store::LockStore;
