//! Exit codes, and how a failure is told: the one place for both.

use std::process::ExitCode;

use git_latch::rules::error::{Code, Error};
use git_latch::rules::spelling::Here;
use serde::Serialize;

/// `run`: ended because the lease was lost.
pub(crate) const TERMINATED: u8 = 124;
/// `run`: the command was not started.
pub(crate) const NOT_STARTED: u8 = 125;
/// Ended by Ctrl-C or `SIGTERM`.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit code of a word for what went wrong.
pub(crate) fn of(code: Code) -> u8 {
    match code {
        Code::Held | Code::Required | Code::Forbidden | Code::Unpushed | Code::Stale => 1,
        Code::BadUsage
        | Code::BadPath
        | Code::BadPolicy
        | Code::NoIdentity
        | Code::NotARepository
        | Code::Unsupported => 2,
        Code::Lost | Code::NotHeld => 3,
        Code::Unreachable | Code::Refused | Code::Unknown => 4,
        Code::Io => 5,
        Code::Busy => 6,
    }
}

/// A failure as it is told: a sentence, the next step, the word for scripts.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Failure {
    code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    #[serde(skip)]
    pub(crate) causes: Vec<String>,
    #[serde(skip)]
    pub(crate) exit: u8,
}

impl Failure {
    /// A failure with a next step.
    pub(crate) fn new(code: Code, message: impl Into<String>, hint: Option<String>) -> Self {
        Failure {
            code: code.as_str(),
            message: message.into(),
            hint,
            causes: Vec::new(),
            exit: of(code),
        }
    }

    /// What an error of the library says where somebody stands.
    pub(crate) fn of(error: &Error, here: &Here) -> Self {
        let first = std::error::Error::source(error);
        let causes = std::iter::successors(first, |e| e.source());
        Failure {
            causes: causes.map(ToString::to_string).collect(),
            ..Failure::new(error.code(), error.told(here), error.advice(here))
        }
    }

    /// The same with another exit code: the largest of several, or one of `run`'s own.
    pub(crate) fn with_exit(self, exit: u8) -> Self {
        Failure { exit, ..self }
    }
}

/// The process's end.
pub(crate) fn code(exit: u8) -> ExitCode {
    ExitCode::from(exit)
}
