//! Git: what is asked of its command, what is read and written through libgit2, what was edited, what arguments mean.

pub mod command;
pub mod config;
pub mod edits;
pub mod repo;
#[cfg(test)]
pub(crate) mod scratch;
pub mod target;
