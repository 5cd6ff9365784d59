//! Leases on paths for any git repository.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")
)]

pub mod check;
pub mod config;
pub mod edits;
pub mod error;
mod fault;
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
pub mod lock;
pub mod lockable;
pub mod path;
mod pattern;
pub mod policy;
pub mod process;
pub mod repo;
pub mod report;
#[cfg(test)]
mod scratch;
pub mod status;
pub mod store;
pub mod target;
pub mod time;
pub mod view;
pub mod watch;
pub mod workspace;
