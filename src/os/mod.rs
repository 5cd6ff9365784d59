//! The operating system: what differs between systems, and what is asked of them. The only wing that asks which system
//! it runs on.

pub mod child;
pub mod clock;
pub(crate) mod fault;
pub(crate) mod files;
pub(crate) mod guard;
pub(crate) mod links;
pub(crate) mod marks;
pub(crate) mod mode;
pub(crate) mod mount;
#[cfg(feature = "server")]
pub(crate) mod network;
pub mod paths;
pub(crate) mod permissions;
pub(crate) mod process;
pub mod signals;
pub mod terminal;
pub mod watch;
