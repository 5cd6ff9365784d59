//! `git latch completions`

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::context::Context;
use super::{Answer, Cli};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell to print for
    shell: Shell,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Answer {
        // The binary's own name: what a shell completes.
        let mut command = Cli::command().bin_name("git-latch");
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "git-latch", &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        context.output.result(script.trim_end());
        Answer::done(serde_json::json!({ "script": script }))
    }
}
