//! The step between `run` and its command: asks the kernel to end the command with `run`, then becomes the command.

use std::ffi::OsString;
use std::process::Command;

use clap::Args;

use crate::cli::Answer;
use crate::cli::exit::{self, Failure};
use git_latch::error::Code;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The process to end with
    #[arg(long)]
    parent: u32,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Arguments {
    pub(in crate::cli) fn run(&self) -> Answer {
        if !end_with(self.parent) {
            return Answer::silent(exit::NOT_STARTED);
        }
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        let error = become_command(&mut command);
        let name = self.command[0].to_string_lossy();
        let failure = Failure::new(
            Code::BadUsage,
            format!("cannot start the command `{name}`: {error}"),
            None,
        );
        Answer {
            keys: None,
            failure: Some(failure),
            exit: exit::NOT_STARTED,
        }
    }
}

/// Ties this process to its parent; says whether the parent still lives. Survives becoming another program (prctl(2)).
#[cfg(target_os = "linux")]
fn end_with(parent: u32) -> bool {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        tracing::warn!(%error, "the command would outlive a killed `git latch run`");
    }
    // The parent may have died before the kernel was asked.
    getppid().is_some_and(|pid| u32::try_from(pid.as_raw_nonzero().get()) == Ok(parent))
}

/// Elsewhere there is no such word to the kernel.
#[cfg(not(target_os = "linux"))]
fn end_with(_parent: u32) -> bool {
    true
}

#[cfg(unix)]
fn become_command(command: &mut Command) -> std::io::Error {
    std::os::unix::process::CommandExt::exec(command)
}

#[cfg(not(unix))]
fn become_command(command: &mut Command) -> std::io::Error {
    match command.status() {
        #[expect(clippy::exit, reason = "what stands for exec where there is none")]
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}
