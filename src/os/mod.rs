//! The operating system: what differs between systems, and what is asked of them.

pub mod child;
pub mod clock;
pub mod links;
#[cfg(feature = "server")]
pub mod network;
pub mod paths;
pub mod permissions;
pub mod signals;
pub mod terminal;
