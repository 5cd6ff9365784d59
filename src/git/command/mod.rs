//! The `git` command: the only file that spawns it.
//!
//! Index, differences, attributes and configuration are read through `git` itself: it reads every index format and
//! every repository extension, and is several times faster than libgit2 on large indexes.

mod aloud;
mod exchange;

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) use exchange::Exchange;

pub(crate) use aloud::first_words;

use crate::rules::error::{Error, Result};

/// The variables by which git says which repository it is in (`git rev-parse --local-env-vars`).
const LOCAL_VARIABLES: [&str; 11] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_CEILING_DIRECTORIES",
];

/// How to run `git` for one repository.
#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "`git_dir` is git's own term")]
pub struct Git {
    directory: PathBuf,
    /// What the caller's environment says about the repository is passed on, or taken away.
    inherits: bool,
    /// Given where the environment names the repository by a path that may be relative.
    git_dir: Option<PathBuf>,
    work_tree: Option<PathBuf>,
    variables: Vec<(Cow<'static, str>, OsString)>,
    cancel: Cancel,
}

/// The word that what waits for a network is not wanted any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends what waits, now and from now on.
    pub(crate) fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Git {
    /// Runs in `directory`, with the variables of the surrounding git (in a hook, say) if `inherits`.
    #[must_use]
    pub fn new(directory: &Path, inherits: bool) -> Self {
        Git {
            directory: directory.to_owned(),
            inherits,
            git_dir: None,
            work_tree: None,
            variables: Vec::new(),
            cancel: Cancel::default(),
        }
    }

    /// Lets another thread end what [`Git::run_within`] waits for.
    #[must_use]
    pub(crate) fn with_cancel(self, cancel: Cancel) -> Self {
        Git { cancel, ..self }
    }

    /// Sets an environment variable for git.
    #[must_use]
    pub(crate) fn with_variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Adds settings to git's configuration, behind all that it has by itself.
    #[must_use]
    pub(crate) fn with_settings(mut self, settings: &[(String, String)]) -> Self {
        if settings.is_empty() {
            return self;
        }
        // Others may have added some in the same way.
        let count = std::env::var("GIT_CONFIG_COUNT").ok();
        let before: usize = count.and_then(|n| n.parse().ok()).unwrap_or(0);
        for (n, (key, value)) in (before..).zip(settings) {
            let variables = [("KEY", key), ("VALUE", value)];
            for (name, text) in variables {
                let name = format!("GIT_CONFIG_{name}_{n}");
                self.variables.push((name.into(), text.into()));
            }
        }
        let count = (before + settings.len()).to_string();
        self.with_variable("GIT_CONFIG_COUNT", count)
    }

    /// Keeps git from asking for credentials where nobody sits at a terminal.
    #[must_use]
    pub(crate) fn without_prompt(self) -> Self {
        if io::stdin().is_terminal() {
            self
        } else {
            self.with_variable("GIT_TERMINAL_PROMPT", "0")
        }
    }

    /// Names the repository by absolute paths, where the environment names it at all.
    #[must_use]
    pub(crate) fn in_repository(self, git_dir: &Path, work_tree: Option<&Path>) -> Self {
        Git {
            git_dir: Some(git_dir.to_owned()),
            work_tree: work_tree.map(Path::to_owned),
            ..self
        }
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(&self.directory);
        if !self.inherits {
            for variable in LOCAL_VARIABLES {
                command.env_remove(variable);
            }
        } else if let Some(git_dir) = self.git_dir.as_ref().filter(|_| names_a_repository()) {
            command.env("GIT_DIR", git_dir);
            if let Some(work_tree) = &self.work_tree {
                command.env("GIT_WORK_TREE", work_tree);
            }
        }
        // Reading must not take `index.lock` from the user's own git.
        command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0");
        command.envs(
            self.variables
                .iter()
                .map(|(name, value)| (name.as_ref(), value)),
        );
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs git and gives its standard output.
    ///
    /// # Errors
    /// [`Error::Git`] with its own words where it fails.
    pub fn output<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Vec<u8>> {
        let output = self.run(arguments)?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(failure(arguments, &output))
        }
    }

    /// Runs git, whatever its exit status.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output> {
        self.command(arguments)
            .output()
            .map_err(|e| not_started(arguments, &e))
    }

    /// Runs git, and kills it when it takes longer, or is not wanted any more; `None` then. What speaks with a network must end.
    pub(crate) fn run_within<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        limit: Duration,
    ) -> Result<Option<Output>> {
        Ok(self.exchange(arguments, limit)?.ended())
    }

    /// The same; gives what was heard until then, too.
    pub(crate) fn exchange<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        limit: Duration,
    ) -> Result<Exchange> {
        exchange::run(&mut self.command(arguments), limit, &self.cancel)
            .map_err(|e| not_started(arguments, &e))
    }

    /// Starts git; [`Running::finish`] gives its output. Two that do not need each other run side by side.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Running> {
        let child = self
            .command(arguments)
            .spawn()
            .map_err(|e| not_started(arguments, &e))?;
        Ok(Running {
            child,
            arguments: arguments.iter().map(|a| a.as_ref().to_owned()).collect(),
        })
    }

    /// Runs git with `input` on its standard input and gives its standard output.
    pub(crate) fn output_with_input<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        input: Vec<u8>,
    ) -> Result<Vec<u8>> {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| not_started(arguments, &e))?;
        let mut stdin = child.stdin.take().expect("standard input was asked for");
        // Its own thread: git may answer before it has read everything, and both pipes would fill up.
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child
            .wait_with_output()
            .map_err(|e| not_started(arguments, &e))?;
        let written = writer.join().expect("writing to a pipe does not panic");
        if !output.status.success() {
            return Err(failure(arguments, &output));
        }
        match written {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(not_started(arguments, &e)),
            _ => Ok(output.stdout),
        }
    }

    /// Runs git with `input` on its standard input and has its standard output read while it comes.
    ///
    /// # Errors
    /// [`Error::Git`] where git fails; the reader's own, which ends git.
    pub(crate) fn read<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        input: Vec<u8>,
        read: &mut dyn FnMut(&mut dyn io::BufRead) -> Result<()>,
    ) -> Result<()> {
        let failed = |e: io::Error| not_started(arguments, &e);
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut stdin = child.stdin.take().expect("standard input was asked for");
        let stdout = child.stdout.take().expect("standard output was asked for");
        let stderr = collect(child.stderr.take());
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let outcome = read(&mut io::BufReader::with_capacity(1 << 16, stdout));
        if outcome.is_err() {
            end_git(&mut child, Duration::from_millis(200));
        }
        writer.join().expect("writing to a pipe does not panic");
        let output = Output {
            status: child.wait().map_err(failed)?,
            stdout: Vec::new(),
            stderr: stderr.join().unwrap_or_default(),
        };
        // Where git has something to say, that is why its answer was cut off.
        let is_mute = outcome.is_err() && output.stderr.is_empty();
        if !output.status.success() && !is_mute {
            return Err(failure(arguments, &output));
        }
        outcome
    }

    /// Runs `first | second` with `input` on the first one's standard input and gives the second one's output.
    pub(crate) fn pipeline<S: AsRef<OsStr>>(
        &self,
        first: &[S],
        input: Vec<u8>,
        second: &[S],
    ) -> Result<Vec<u8>> {
        let mut source = self
            .command(first)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| not_started(first, &e))?;
        let mut stdin = source.stdin.take().expect("standard input was asked for");
        let between = source.stdout.take().expect("standard output was asked for");
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = self
            .command(second)
            .stdin(between)
            .output()
            .map_err(|e| not_started(second, &e))?;
        let source = source
            .wait_with_output()
            .map_err(|e| not_started(first, &e))?;
        writer.join().expect("writing to a pipe does not panic");
        if !source.status.success() {
            return Err(failure(first, &source));
        }
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(failure(second, &output))
        }
    }
}

/// Ends git: it is asked to, so that it ends its helpers, and then killed.
fn end_git(child: &mut Child, patience: Duration) {
    if crate::os::child::ask_to_end(child) {
        let end = Instant::now() + patience;
        while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    // It may have ended meanwhile: then there is nothing to kill.
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads a pipe to its end, meanwhile.
fn collect<R: io::Read + Send + 'static>(pipe: Option<R>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read until then is what there is.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// A git that was started.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    arguments: Vec<OsString>,
}

impl Running {
    /// Waits for its end and gives its standard output.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        let output = self
            .child
            .wait_with_output()
            .map_err(|e| not_started(&self.arguments, &e))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(failure(&self.arguments, &output))
        }
    }
}

impl Running {
    /// Whether any line of its output is such a one; reads no further than to that.
    pub(crate) fn any_line(mut self, mut is_such: impl FnMut(&[u8]) -> bool) -> Result<bool> {
        use io::BufRead as _;

        let stderr = collect(self.child.stderr.take());
        let stdout = self
            .child
            .stdout
            .take()
            .expect("standard output was asked for");
        let mut lines = io::BufReader::with_capacity(1 << 16, stdout);
        let mut line = Vec::new();
        let failed = |e| not_started(&self.arguments, &e);
        while lines.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            if is_such(line.trim_ascii_end()) {
                end_git(&mut self.child, Duration::from_millis(200));
                return Ok(true);
            }
            line.clear();
        }
        let status = self.child.wait().map_err(failed)?;
        if status.success() {
            return Ok(false);
        }
        let (stdout, stderr) = (Vec::new(), stderr.join().unwrap_or_default());
        let output = Output {
            status,
            stdout,
            stderr,
        };
        Err(failure(&self.arguments, &output))
    }
}

/// Whether the environment names the repository or its working tree, perhaps from another directory than git is run in.
fn names_a_repository() -> bool {
    ["GIT_DIR", "GIT_WORK_TREE"]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
}

/// What git was asked to do, without what goes on for pages.
fn shown<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    let words: Vec<_> = arguments
        .iter()
        .take(4)
        .map(|a| a.as_ref().to_string_lossy().into_owned())
        .collect();
    words.join(" ")
}

fn failure<S: AsRef<OsStr>>(arguments: &[S], output: &Output) -> Error {
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let problem = if words.is_empty() {
        output.status.to_string()
    } else {
        words
    };
    Error::Git {
        command: shown(arguments),
        problem,
    }
}

fn not_started<S: AsRef<OsStr>>(arguments: &[S], error: &io::Error) -> Error {
    let problem = match error.kind() {
        io::ErrorKind::NotFound => "the `git` command is not on the PATH".to_owned(),
        _ => error.to_string(),
    };
    Error::Git {
        command: shown(arguments),
        problem,
    }
}

/// What `git --version` says.
pub fn version() -> Result<String> {
    let output = Git::new(Path::new("."), false).output(&["--version"])?;
    Ok(String::from_utf8_lossy(&output).trim().to_owned())
}

/// The parts of a NUL-separated output, without the empty one after the last.
pub fn split_nul(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split(|b| *b == 0).filter(|part| !part.is_empty())
}
