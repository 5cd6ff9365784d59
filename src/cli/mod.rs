//! The command line: arguments become a checked call of the library, its answer becomes text or one JSON object.
//!
//! Only this part of the program knows the terminal, the environment and the system's clock.

mod chain;
mod check;
mod checkin;
mod checkout;
mod completions;
mod context;
mod daemon;
mod doctor;
mod events;
mod exit;
mod hook;
mod init;
mod interrupt;
mod list;
mod lock;
mod log;
mod man;
mod messages;
mod newer;
mod output;
mod problems;
mod receive;
mod renew;
mod run;
#[cfg(feature = "server")]
mod serve;
mod setup;
mod status;
mod sweep;
mod sync;
mod topics;
mod uninstall;
mod unlock;
#[cfg(feature = "server")]
mod user;
mod watch;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use context::Context;
use exit::Failure;
use git_latch::git::config::Config;
use git_latch::rules::error::{Code, Error};
use git_latch::rules::spelling::Here;
use output::Output;

/// Leases on paths, for files that git cannot merge.
///
/// Locks show everyone who edits what. They end by themselves when their holder vanishes; hooks reject edits of what
/// others have locked.
#[derive(Debug, Parser)]
#[command(
    name = "git-latch",
    bin_name = "git latch",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Print one JSON object instead of text (`watch`, `daemon`: one in each line)
    #[arg(long, global = true)]
    json: bool,
    /// Print results and errors only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Log on stderr what is done; twice for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Run as if started in this directory
    #[arg(short = 'C', global = true, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Act as this owner instead of `user.email`
    #[arg(long = "as", global = true, value_name = "ID")]
    as_id: Option<String>,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

impl Cli {
    /// What a script of a hook asks for.
    fn of_hook(arguments: hook::Arguments) -> Self {
        Cli {
            global: Global {
                json: false,
                quiet: false,
                verbose: 0,
                directory: None,
                as_id: None,
                color: Color::Auto,
            },
            command: Command::Hook(arguments),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set this repository up: policy, hooks, link, write bits. Safe to repeat; each clone runs it once
    Init(init::Arguments),
    /// Remove hooks, link and recorded state again
    Uninstall(uninstall::Arguments),
    /// Protect every later clone of this machine that has a policy, without `init`
    Setup(setup::Arguments),
    /// Take the lock on files or directories
    Lock(lock::Arguments),
    /// Give locks back
    Unlock(unlock::Arguments),
    /// Renew my leases
    Renew(renew::Arguments),
    /// Show my locks, others' locks on files I have changed, and leases I have lost
    Status(status::Arguments),
    /// List every live lock
    List(list::Arguments),
    /// Check whether a commit or push of these edits would be rejected
    Check(check::Arguments),
    /// Lock files of which this working tree has the newest version, and make them writable
    Checkout(checkout::Arguments),
    /// Commit, push and unlock in one step
    Checkin(checkin::Arguments),
    /// Hold locks while a command runs
    Run(run::Arguments),
    /// Report what happens to locks, as it happens
    Watch(watch::Arguments),
    /// Keep my leases alive, notice edits of what others have locked, lock on first edit
    Daemon(daemon::Arguments),
    /// What `daemon` was called before.
    #[command(hide = true)]
    Agent(daemon::Renamed),
    /// Show what happened to locks: who, when, why
    Log(log::Arguments),
    /// Fetch the shared locks
    Sync(sync::Arguments),
    /// Remove locks that have expired
    Sweep(sweep::Arguments),
    /// Find what is wrong with the set-up
    Doctor(doctor::Arguments),
    /// Serve locks over HTTP: for browsers, backends and Git LFS clients
    #[cfg(feature = "server")]
    Serve(Box<serve::Arguments>),
    /// Manage the users of `serve`: who they are, what they may do, their tokens
    #[cfg(feature = "server")]
    User(user::Arguments),
    /// Run one of the git hooks (called by the scripts that `init` installs)
    Hook(hook::Arguments),
    /// Print the completions of a shell
    Completions(completions::Arguments),
    /// Print the manual page
    Man(man::Arguments),
    /// Replaces itself by a command that ends with its parent.
    #[command(name = "__exec", hide = true)]
    Exec(run::exec::Arguments),
}

impl Command {
    /// How much is said on stderr where nothing is asked for: a server says what it did by itself.
    fn verbosity(&self) -> u8 {
        match self {
            #[cfg(feature = "server")]
            Command::Serve(_) => 1,
            _ => 0,
        }
    }

    fn run(&self, context: &Context) -> Result<Answer, Error> {
        match self {
            Command::Init(arguments) => arguments.run(context),
            Command::Uninstall(arguments) => arguments.run(context),
            Command::Setup(arguments) => arguments.run(context),
            Command::Lock(arguments) => arguments.run(context),
            Command::Unlock(arguments) => arguments.run(context),
            Command::Renew(arguments) => arguments.run(context),
            Command::Status(arguments) => arguments.run(context),
            Command::List(arguments) => arguments.run(context),
            Command::Check(arguments) => arguments.run(context),
            Command::Checkout(arguments) => arguments.run(context),
            Command::Checkin(arguments) => arguments.run(context),
            Command::Run(arguments) => arguments.run(context),
            Command::Watch(arguments) => arguments.run(context),
            Command::Daemon(arguments) => arguments.run(context),
            Command::Agent(arguments) => arguments.run(),
            Command::Log(arguments) => arguments.run(context),
            Command::Sync(arguments) => arguments.run(context),
            Command::Sweep(arguments) => arguments.run(context),
            Command::Doctor(arguments) => arguments.run(context),
            #[cfg(feature = "server")]
            Command::Serve(arguments) => arguments.run(context),
            #[cfg(feature = "server")]
            Command::User(arguments) => arguments.run(context),
            Command::Hook(arguments) => arguments.run(context),
            Command::Completions(arguments) => Ok(arguments.run(context)),
            Command::Man(arguments) => arguments.run(context),
            Command::Exec(arguments) => Ok(arguments.run()),
        }
    }
}

/// What a command comes to.
#[derive(Debug)]
struct Answer {
    /// The keys of the JSON object; `None` for a command whose stdout is not ours (`run`, `hook`).
    keys: Option<Value>,
    failure: Option<Failure>,
    exit: u8,
}

impl Answer {
    /// Done.
    fn done(keys: Value) -> Self {
        Answer {
            keys: Some(keys),
            failure: None,
            exit: 0,
        }
    }

    /// Done, but for what `failure` says, if anything.
    fn with(keys: Value, failure: Option<Failure>) -> Self {
        Answer {
            keys: Some(keys),
            exit: failure.as_ref().map_or(0, |f| f.exit),
            failure,
        }
    }

    /// An exit code; stdout was somebody else's.
    fn silent(exit: u8) -> Self {
        Answer {
            keys: None,
            failure: None,
            exit,
        }
    }
}

/// Parses, runs, tells, and gives the exit code.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let cli = match hook::Arguments::of_script(arguments) {
        Some(hook) => Cli::of_hook(hook),
        None => match Cli::try_parse_from(arguments) {
            Ok(cli) => cli,
            Err(error) => return wrong_use(&with_topics(error, arguments), arguments),
        },
    };
    cli.global.color.apply();
    start_log(cli.global.verbose.max(cli.command.verbosity()));
    let output = Output {
        json: cli.global.json,
        quiet: cli.global.quiet,
    };
    let answer = match Context::new(&cli.global, output) {
        Ok(context) => cli.command.run(&context).map_err(|e| context.failure(&e)),
        Err(error) => Err(Failure::of(&error, Here::root())),
    };
    let answer = answer.unwrap_or_else(|failure| {
        let name = name_of(arguments);
        Answer::with(empty(&name), Some(of_command(&name, failure)))
    });
    tell(output, &answer);
    exit::code(answer.exit)
}

fn tell(output: Output, answer: &Answer) {
    match (&answer.keys, &answer.failure) {
        (Some(keys), failure) if output.json => {
            let mut object = keys.as_object().cloned().unwrap_or_default();
            if let Some(failure) = failure {
                object.insert("error".into(), json!(failure));
            }
            output::object(&Value::Object(object));
        }
        (_, Some(failure)) => output::failure(failure),
        _ => {}
    }
}

/// `run` says by its exit code that its command was not started, whatever the reason.
fn of_command(name: &str, failure: Failure) -> Failure {
    match name {
        "run" if failure.exit != exit::INTERRUPTED => failure.with_exit(exit::NOT_STARTED),
        _ => failure,
    }
}

/// The help with examples and the like, where help is the answer: nobody else has to wait for their texts.
fn with_topics(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let is_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if !is_help {
        return error;
    }
    let command = topics::in_help(Cli::command());
    command
        .try_get_matches_from(arguments)
        .err()
        .unwrap_or(error)
}

/// What clap says about arguments it does not understand, or its help.
fn wrong_use(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let json = arguments.iter().any(|a| a == "--json");
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !json {
        // As git does: help, and the exit code of one who has not done anything.
        let _ = write!(anstream::stdout(), "{}", error.render().ansi());
        return exit::code(1);
    }
    if !error.use_stderr() {
        // A reader that has gone away has seen enough.
        let _ = error.print();
        return exit::code(0);
    }
    let text = error.render().to_string();
    // The first paragraph says what is wrong; usage and advice follow.
    let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let words: Vec<&str> = message
        .trim_start_matches("error: ")
        .split_whitespace()
        .collect();
    let message = words.join(" ");
    let name = name_of(arguments);
    if json {
        let message = match error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no command is given".to_owned(),
            _ => message,
        };
        let failure = Failure::new(Code::BadUsage, message, Some(help_for(&name)));
        let output = Output { json, quiet: false };
        tell(output, &Answer::with(empty(&name), Some(failure)));
    } else {
        let rest = rest.replace("try '--help'", &help_for(&name));
        let rest = rest.trim_end();
        let newline = if rest.is_empty() { "" } else { "\n\n" };
        output::eprint(&format!(
            "{}error:{:#} {message}{newline}{rest}",
            output::ALERT,
            output::ALERT
        ));
    }
    let failure = Failure::new(Code::BadUsage, "", None);
    exit::code(of_command(&name, failure).exit)
}

fn help_command(name: &str) -> String {
    format!("git latch help {name}").trim_end().to_owned()
}

fn help_for(name: &str) -> String {
    format!("see `{}`", help_command(name))
}

/// The command that was asked for, or nothing: by the grammar, as a directory or an owner may be called like a command.
fn name_of(arguments: &[OsString]) -> String {
    let lenient = Cli::command().ignore_errors(true);
    let matches = lenient.try_get_matches_from(arguments).ok();
    let name = matches
        .as_ref()
        .and_then(|matches| matches.subcommand_name());
    name.unwrap_or_default().to_owned()
}

/// The JSON keys of a command that did nothing: they are always there.
fn empty(name: &str) -> Value {
    match name {
        "lock" | "run" => json!({"locked": [], "refused": []}),
        "checkout" => json!({"locked": [], "refused": [], "stale": []}),
        "checkin" => json!({"commit": null, "unlocked": [], "refused": []}),
        "unlock" => json!({"unlocked": [], "refused": []}),
        "renew" => json!({"renewed": [], "lost": [], "refused": []}),
        "list" => json!({"locks": [], "seq": null, "as_of": null}),
        "status" => json!({"mine": [], "blocking": [], "lost": []}),
        "check" => json!({"ok": false, "violations": []}),
        "log" => json!({"events": []}),
        "sync" => json!({"seq": null, "changes": 0, "as_of": null}),
        "sweep" => json!({"swept": []}),
        "doctor" => json!({"ok": false, "checks": []}),
        "serve" => json!({"listening": null}),
        "init" => json!({"policy": null, "link": null, "hooks": []}),
        "user" => json!({"users": [], "token": null}),
        "uninstall" => json!({"hooks": []}),
        "setup" => json!({"template": null, "outcome": null}),
        _ => Value::Object(Map::new()),
    }
}

impl Color {
    fn apply(self) {
        match self {
            Color::Auto => {}
            Color::Always => anstream::ColorChoice::Always.write_global(),
            Color::Never => anstream::ColorChoice::Never.write_global(),
        }
    }

    /// Where no flag decides, git's own `color.ui` does.
    fn heed(self, config: &Config) {
        let chosen = config.get("color.ui").map(str::to_ascii_lowercase);
        match (self, chosen.as_deref()) {
            (Color::Auto, Some("always")) => Color::Always.apply(),
            (Color::Auto, Some("never" | "false" | "no" | "off" | "0")) => Color::Never.apply(),
            _ => {}
        }
    }
}

/// Logs to stderr: `-v`, `-vv`, or what `GIT_LATCH_LOG` says.
fn start_log(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let asked = std::env::var("GIT_LATCH_LOG")
        .ok()
        .filter(|d| !d.is_empty());
    let format = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let filter = match (asked, verbose) {
        (Some(directives), _) => EnvFilter::new(directives),
        // No filter to be built: that would take longer than a hook that has nothing to do.
        (None, 0) => {
            let _ = format.with_max_level(tracing::Level::WARN).try_init();
            return;
        }
        (None, 1) => EnvFilter::new("git_latch=info"),
        (None, _) => EnvFilter::new("git_latch=debug"),
    };
    // Once only: a second subscriber in one process is refused, and the first one does.
    let _ = format.with_env_filter(filter).try_init();
}
