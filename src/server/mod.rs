//! The HTTP server: who may use it ([`users`]).

pub mod users;
