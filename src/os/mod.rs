//! The operating system: what differs between systems, and what is asked of them.

pub mod clock;
pub mod paths;
