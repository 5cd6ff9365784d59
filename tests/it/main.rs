//! Stories with the real binary on real git repositories: a file per command, and the races, crashes and hostile files.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(unix)]

mod arguments;
mod list;
mod lock;
mod renew;
mod run;
mod status;
mod support;
mod sweep;
mod unlock;
mod wait;
