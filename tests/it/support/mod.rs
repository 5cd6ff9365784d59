//! A home of its own for each test: git configuration, repositories, people.

pub(crate) mod clones;
#[cfg(feature = "server")]
pub(crate) mod events;
pub(crate) mod halt;
pub(crate) mod history;
pub(crate) mod http;
pub(crate) mod judged;
#[cfg(feature = "server")]
pub(crate) mod server;
pub(crate) mod stream;
pub(crate) mod wire;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub(crate) const LATCH: &str = env!("CARGO_BIN_EXE_git-latch");

/// How long [`eventually`] tries: it is reached only when a test fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// A directory with nothing of the surrounding system in it.
pub(crate) struct Sandbox {
    home: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(
            home.path().join("gitconfig"),
            "[user]\n\tname = Ada\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main\n\
             [protocol \"file\"]\n\tallow = always\n[advice]\n\tdetachedHead = false\n",
        )
        .unwrap();
        Sandbox { home }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.home.path().canonicalize().unwrap()
    }

    /// An empty repository.
    pub(crate) fn init(&self, name: &str) -> Tree<'_> {
        let tree = self.tree(name);
        std::fs::create_dir_all(&tree.path).unwrap();
        tree.git(&["init", "-q"]);
        tree
    }

    /// A repository with one commit of some files: `hero.psd`, `notes.txt`, `scenes/town.tscn`, `scenes/cave.tscn`.
    pub(crate) fn repo(&self) -> Tree<'_> {
        let tree = self.init("repo");
        for file in [
            "hero.psd",
            "notes.txt",
            "scenes/town.tscn",
            "scenes/cave.tscn",
        ] {
            tree.write(file, "one\n");
        }
        tree.git(&["add", "."]);
        tree.git(&["commit", "-q", "-m", "one"]);
        tree
    }

    /// A directory of this sandbox, which need not exist.
    pub(crate) fn tree(&self, name: &str) -> Tree<'_> {
        Tree {
            sandbox: self,
            path: self.path().join(name),
            owner: None,
        }
    }

    /// A clock that is right, until it is set.
    pub(crate) fn clock(&self) -> TestClock {
        let clock = TestClock(self.path().join("clock"));
        clock.set(0);
        clock
    }

    /// A command with this sandbox's environment and nothing else of git's.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                command.env_remove(name);
            }
        }
        let binaries = Path::new(LATCH).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(binaries.to_owned()).chain(std::env::split_paths(&path));
        command
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("HOME", self.path())
            .env_remove("XDG_CONFIG_HOME")
            .env("GIT_CONFIG_GLOBAL", self.path().join("gitconfig"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z")
            .env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }
}

/// A clock that a test sets while programs run by it.
pub(crate) struct TestClock(PathBuf);

impl TestClock {
    /// By how many seconds it is ahead from now on.
    pub(crate) fn set(&self, seconds: i64) {
        std::fs::write(&self.0, seconds.to_string()).unwrap();
    }

    /// Has a program run by it.
    pub(crate) fn of<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("GIT_LATCH_TEST_CLOCK", format!("@{}", self.0.display()))
    }
}

/// A working tree (or a bare repository), and who works in it.
#[derive(Clone)]
pub(crate) struct Tree<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) path: PathBuf,
    owner: Option<String>,
}

impl Tree<'_> {
    /// The same tree, used by somebody else.
    pub(crate) fn by(&self, owner: &str) -> Self {
        Tree {
            owner: Some(owner.to_owned()),
            ..self.clone()
        }
    }

    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.sandbox.command(program);
        command.current_dir(&self.path);
        if let Some(owner) = &self.owner {
            command.env("GIT_LATCH_OWNER", owner);
        }
        command
    }

    /// Runs git, which must succeed; gives its standard output.
    pub(crate) fn git<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let run = self.try_git(arguments);
        assert_eq!(run.code, 0, "{run:?}");
        run.stdout
    }

    /// Runs git, whatever its end.
    pub(crate) fn try_git<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Run {
        Run::of(self.command("git").args(arguments))
    }

    /// Runs `git latch`, whatever its end.
    pub(crate) fn latch<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Run {
        Run::of(self.command(LATCH).args(arguments))
    }

    /// Runs `git latch`, which must succeed.
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Run {
        let run = self.latch(arguments);
        assert_eq!(run.code, 0, "{run:?}");
        run
    }

    /// Runs `git latch --json`, whatever its end.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let run = self.latch(&[&["--json"], arguments].concat());
        run.json()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.path.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes a program.
    pub(crate) fn write_script(&self, file: &str, text: &str) {
        self.write(file, text);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(self.path.join(file), mode).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path.join(file)).unwrap()
    }

    /// The tree below this one.
    pub(crate) fn inside(&self, directory: &str) -> Self {
        Tree {
            path: self.path.join(directory),
            ..self.clone()
        }
    }

    /// A linked working tree beside this one, on a branch of its own.
    pub(crate) fn worktree(&self, name: &str) -> Self {
        let path = self.sandbox.path().join(name);
        self.git(&["worktree", "add", "-q", "-b", name, path.to_str().unwrap()]);
        Tree {
            path,
            ..self.clone()
        }
    }

    /// The paths that `list` shows, with their owners' ids.
    pub(crate) fn locks(&self) -> Vec<(String, String)> {
        let listed = self.json(&["list"]);
        let locks = listed["locks"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        locks
            .iter()
            .map(|lock| (text(&lock["path"]), text(&lock["owner"]["id"])))
            .collect()
    }
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code, 128 + n where signal n ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        Run::from(command.output().unwrap())
    }

    /// The same, with this on standard input.
    pub(crate) fn fed(command: &mut Command, input: &[u8]) -> Self {
        use std::io::Write as _;
        command.stdin(Stdio::piped());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Run::from(child.wait_with_output().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// Asserts that stderr says something.
    #[track_caller]
    pub(crate) fn said(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "{words}: {self:?}");
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let status = output.status;
        Run {
            code: status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Looks again and again until something is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "it never came to this: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
