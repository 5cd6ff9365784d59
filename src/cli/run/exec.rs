//! The step between `run` and its command: asks the kernel to end the command with `run`, then becomes the command.

use std::ffi::OsString;
use std::process::Command;

use clap::Args;

use crate::cli::Answer;
use crate::cli::exit::{self, Failure};
use git_latch::os::child::{become_command, end_with};
use git_latch::rules::error::Code;

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
