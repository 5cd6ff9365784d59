//! `git latch completions`

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

use super::context::Context;
use super::{Answer, Cli};

/// What bash needs besides for `git latch`: git's own completion calls it.
const GIT_BASH: &str = include_str!("completions/git-latch.bash");
/// What fish needs besides: the same answers behind `git latch` as behind `git-latch`.
const GIT_FISH: &str = include_str!("completions/git-latch.fish");

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell to print for
    shell: Shell,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Answer {
        let script = match self.shell {
            // The generator takes the hyphen of a name for the blank before a subcommand.
            Shell::Bash => {
                let script = generated(Shell::Bash, "gitlatch");
                script.replace(" gitlatch\n", " git-latch\n") + GIT_BASH
            }
            Shell::Fish => generated(Shell::Fish, "git-latch") + GIT_FISH,
            // That of zsh for git finds `_git-latch` by its name.
            other => generated(other, "git-latch"),
        };
        context.output.result(script.trim_end());
        Answer::done(serde_json::json!({ "script": script }))
    }
}

fn generated(shell: Shell, name: &str) -> String {
    // The binary's own name: what a shell completes.
    let mut command = offered(&Cli::command())
        .name(name.to_owned())
        .version(env!("CARGO_PKG_VERSION"));
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The command without what nobody types: what is hidden, and what only the installed hooks call. Built anew, as the
/// generators offer whatever there is, and as names that were built for `git latch` are wrong for `git-latch`.
fn offered(command: &Command) -> Command {
    let is_typed = |c: &&Command| !c.is_hide_set() && c.get_name() != "hook";
    let below = command.get_subcommands().filter(is_typed).map(offered);
    let about = command.get_about().cloned().unwrap_or_default();
    Command::new(command.get_name().to_owned())
        .about(about)
        .args(command.get_arguments().cloned())
        .subcommands(below)
}
