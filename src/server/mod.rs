//! The HTTP server: who may use it ([`users`]), and who asks ([`auth`]).

pub mod auth;
pub mod users;
