//! Stories with the real binary on real git repositories: a file per command, and the races, crashes and hostile files.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#![cfg(unix)]

mod adversity;
mod arguments;
mod chained;
mod check;
mod checkin;
mod checkout;
mod completions;
mod concurrency;
mod costs;
mod crash;
mod daemon;
mod disbelief;
mod doctor;
mod documents;
mod edited;
mod editors;
mod exits;
mod filesystems;
mod fresh;
mod guard;
mod hooks;
mod hostile;
mod identity;
mod init;
#[cfg(feature = "server")]
mod lfs;
mod lfs_hooks;
#[cfg(feature = "server")]
mod lfs_protocol;
mod library;
mod links;
mod list;
mod liveness;
mod lock;
mod lockable;
mod places;
mod power;
mod push;
mod reasons;
mod receive;
mod receive_limits;
mod receive_refs;
mod record;
mod remotes;
mod renew;
mod required;
mod run;
mod selection;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "server")]
mod serve_events;
#[cfg(feature = "server")]
mod serve_faults;
#[cfg(feature = "server")]
mod serve_front;
#[cfg(feature = "server")]
mod serve_list;
#[cfg(feature = "server")]
mod serve_requests;
#[cfg(feature = "server")]
mod serve_sessions;
#[cfg(feature = "server")]
mod serve_upkeep;
#[cfg(feature = "server")]
mod serve_users;
mod setup;
mod shared;
mod shared_checker;
mod standpoint;
mod status;
mod support;
mod sweep;
mod terminal;
mod unclear;
mod unlock;
#[cfg(feature = "server")]
mod user;
mod wait;
mod watch;
mod workspaces;
mod write_bits;
