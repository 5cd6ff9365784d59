//! The rules, as pure decisions: no disk, no clock, no environment, no process.
//!
//! [`path`] says what a path is, which spellings are one, and where its lock lies; [`lock`] what a lock is; [`view`] what a
//! store shows and which of it counts; [`lease`] what may be taken, renewed, given back; [`judge`] which edits are against
//! somebody's lock; [`event`] what two readings of one place differ in; [`error`] what can go wrong.

pub(crate) mod edit;
pub mod error;
pub mod event;
pub mod judge;
pub(crate) mod kind;
pub mod lease;
pub mod lock;
pub mod loss;
pub mod path;
pub(crate) mod pattern;
pub mod report;
pub mod spelling;
pub mod time;
pub mod view;
