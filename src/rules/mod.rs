//! The rules, as pure decisions: no disk, no clock, no environment, no process.

pub mod edit;
pub mod kind;
pub mod loss;
pub mod spelling;
