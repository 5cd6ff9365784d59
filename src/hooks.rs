//! Installing, upgrading and removing the git hooks of a repository: those of whoever works in it, or the one that judges
//! pushes where it is bare.
//!
//! The scripts in `hooks/` are shipped as they are; only the path of the binary is filled in. Ours are known by the
//! marker on their second line and replaced in place. A hook that is not ours is kept beside it as `<name>.legacy`, and
//! runs first; nothing of anybody else's is ever overwritten.

mod legacy;
mod needed;

use std::fs;
use std::path::{Path, PathBuf};

pub use legacy::{callable, legacy};

use crate::error::{Error, Result};
use crate::git::split_nul;
use crate::path::{bytes_to_path, quoted};
use crate::repo::Repo;
use crate::store::{Sharing, files};

/// A hook as it is shipped.
#[derive(Clone, Copy, Debug)]
struct Shipped {
    /// Its name for git.
    name: &'static str,
    /// Its path in the directory of hooks.
    file: &'static str,
    script: &'static str,
}

macro_rules! shipped {
    ($name:literal) => {
        shipped!($name, $name)
    };
    ($name:literal, $file:literal) => {
        Shipped {
            name: $name,
            file: $file,
            script: include_str!(concat!("../hooks/", $name)),
        }
    };
}

/// The hooks of a repository somebody works in.
const WORKING: [Shipped; 6] = [
    shipped!("pre-commit"),
    shipped!("pre-merge-commit"),
    shipped!("pre-push"),
    shipped!("post-checkout"),
    shipped!("post-merge"),
    shipped!("post-commit"),
];
/// The hook of a bare repository.
const BARE: [Shipped; 1] = [shipped!("pre-receive")];
/// The same where the host's own `pre-receive` runs everything in a directory (Gitea, Forgejo, GitLab), and is written
/// anew by each upgrade of the host.
const BARE_IN_DIRECTORY: [Shipped; 1] = [shipped!("pre-receive", "pre-receive.d/git-latch")];
/// How the second line of every hook of ours begins.
const MARKER: &str = "# git-latch hook, version ";
/// What stands in the shipped scripts for the path of the binary.
const BINARY: &str = "@GIT_LATCH@";

/// Whether hooks may be installed where all of the user's repositories look for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    /// No.
    Refuse,
    /// Yes (`--force`).
    Accept,
}

/// What became of one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there now.
    Installed,
    /// An older one of ours, or one for a binary elsewhere, is replaced.
    Upgraded,
    /// It was there.
    Unchanged,
    /// It is there now, and the one that was there runs from `<name>.legacy`.
    Chained,
    /// It is for the user to add this line to a hook that the repository tracks.
    AddLine(String),
    /// It is gone.
    Removed,
    /// It is gone, and the one that was there before is back.
    Restored,
    /// It is not ours, and stays.
    Foreign,
    /// There was none.
    Absent,
}

impl Outcome {
    /// The word of JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Outcome::Installed => "installed",
            Outcome::Upgraded => "upgraded",
            Outcome::Unchanged => "unchanged",
            Outcome::Chained => "chained",
            Outcome::AddLine(_) => "add_line",
            Outcome::Removed => "removed",
            Outcome::Restored => "restored",
            Outcome::Foreign => "foreign",
            Outcome::Absent => "absent",
        }
    }
}

/// How one hook stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Ours, as this version ships it.
    Right,
    /// Ours, from another version.
    Outdated,
    /// Ours, but not executable: git leaves it out.
    NotExecutable,
    /// Somebody else's, which calls us.
    Called,
    /// There is none.
    Missing,
    /// Somebody else's; ours was there once if there is a `.legacy` beside it.
    Foreign,
}

/// The directory in which git looks for hooks.
#[derive(Clone, Debug)]
pub struct Hooks {
    directory: PathBuf,
    /// Set by `core.hooksPath` of the user or the system: for all repositories.
    is_global: bool,
    /// Holds files that the repository tracks.
    is_tracked: bool,
    /// Those that have something to do here.
    needed: Vec<&'static Shipped>,
    /// Those that have not.
    idle: Vec<&'static Shipped>,
}

impl Hooks {
    /// Finds it.
    pub fn of(repo: &Repo) -> Result<Self> {
        let root = repo.root().unwrap_or(repo.git_dir());
        let git = repo.git();
        let output = git.output(&["rev-parse", "--git-path", "hooks"])?;
        let path = bytes_to_path(output.strip_suffix(b"\n").unwrap_or(&output));
        let directory = root.join(path);
        let scope = git.run(&["config", "--show-scope", "--get", "core.hooksPath"])?;
        let is_global =
            scope.stdout.starts_with(b"global\t") || scope.stdout.starts_with(b"system\t");
        let (needed, idle) = match (repo.is_bare(), directory.join("pre-receive.d").is_dir()) {
            (false, _) => by_need(repo)?,
            (true, false) => (BARE.iter().collect(), Vec::new()),
            (true, true) => (BARE_IN_DIRECTORY.iter().collect(), Vec::new()),
        };
        Ok(Hooks {
            is_tracked: !repo.is_bare() && is_tracked(repo, root, &directory)?,
            needed,
            idle,
            directory,
            is_global,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Installs every hook that has something to do, to run `binary` where none is on the `PATH`, and removes those of
    /// ours that have nothing to do any more. Safe to repeat.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the directory is that of all repositories and `global` does not accept it.
    pub fn install(
        &self,
        binary: &Path,
        global: Global,
        sharing: Sharing,
    ) -> Result<Vec<(&'static str, Outcome)>> {
        if self.is_global && global == Global::Refuse {
            return Err(Error::Unsupported {
                problem: format!(
                    "`core.hooksPath` in your global configuration sends every repository to {}",
                    self.shown()
                ),
                hint: Some(
                    "give this one its own, `git config core.hooksPath .git/hooks`, or install for all of them: git latch init --force".into(),
                ),
            });
        }
        let install = |hook: &Shipped| Ok((hook.name, self.install_one(hook, binary, sharing)?));
        if !self.is_tracked {
            files::create_directories(&self.directory, sharing)?;
        }
        let installed: Result<Vec<_>> = self.needed.iter().copied().map(install).collect();
        let mut outcomes = installed?;
        for hook in &self.idle {
            let outcome = self.remove_one(hook)?;
            if matches!(outcome, Outcome::Removed | Outcome::Restored) {
                outcomes.push((hook.name, outcome));
            }
        }
        Ok(outcomes)
    }

    fn install_one(&self, hook: &Shipped, binary: &Path, sharing: Sharing) -> Result<Outcome> {
        let path = self.directory.join(hook.file);
        let state = self.state_of(hook)?;
        if self.is_tracked {
            return Ok(match state {
                State::Called => Outcome::Unchanged,
                _ => Outcome::AddLine(line_for(hook.name)),
            });
        }
        let text = hook.script.replace(BINARY, &shell_quoted(binary));
        let outcome = match state {
            State::Called => return Ok(Outcome::Unchanged),
            State::Missing => Outcome::Installed,
            State::Foreign => {
                self.keep(hook.file)?;
                Outcome::Chained
            }
            State::Right if fs::read(&path).is_ok_and(|old| old == text.as_bytes()) => {
                return Ok(Outcome::Unchanged);
            }
            State::Right | State::Outdated | State::NotExecutable => Outcome::Upgraded,
        };
        write(&path, &text, sharing)?;
        Ok(outcome)
    }

    /// Moves a foreign hook aside. One that was moved aside before is older: it is numbered, and does not run any more,
    /// because the tool that replaced it knew nothing of it.
    fn keep(&self, file: &str) -> Result<()> {
        let path = self.directory.join(file);
        let legacy = self.directory.join(format!("{file}.legacy"));
        if fs::symlink_metadata(&legacy).is_ok() {
            let free = (1..10_000)
                .map(|n| self.directory.join(format!("{file}.legacy.{n}")))
                .find(|path| fs::symlink_metadata(path).is_err())
                .expect("nobody replaces a hook ten thousand times");
            fs::rename(&legacy, &free).map_err(Error::io("move", &legacy))?;
        }
        fs::rename(&path, &legacy).map_err(Error::io("move", &path))
    }

    /// Removes ours, and brings back what was there before. What is not ours stays.
    pub fn uninstall(&self) -> Result<Vec<(&'static str, Outcome)>> {
        let all = self.needed.iter().chain(&self.idle);
        let outcomes = all
            .map(|hook| Ok((hook.name, self.remove_one(hook)?)))
            .collect();
        let called = self.directory.join(legacy::CALLED);
        match fs::remove_dir_all(&called) {
            Err(e) if !files::is_absent(&e) => Err(Error::io("remove", called)(e)),
            _ => outcomes,
        }
    }

    fn remove_one(&self, hook: &Shipped) -> Result<Outcome> {
        let path = self.directory.join(hook.file);
        let legacy = self.directory.join(format!("{}.legacy", hook.file));
        Ok(match self.state_of(hook)? {
            State::Missing => Outcome::Absent,
            State::Foreign | State::Called => Outcome::Foreign,
            State::Right | State::Outdated | State::NotExecutable
                if fs::symlink_metadata(&legacy).is_ok() =>
            {
                fs::rename(&legacy, &path).map_err(Error::io("restore", &path))?;
                Outcome::Restored
            }
            State::Right | State::Outdated | State::NotExecutable => {
                files::remove(&path)?;
                Outcome::Removed
            }
        })
    }

    /// How every hook stands that has something to do.
    pub fn states(&self) -> Result<Vec<(&'static str, State)>> {
        let state = |hook: &&Shipped| Ok((hook.name, self.state_of(hook)?));
        self.needed.iter().map(state).collect()
    }

    /// Whether a hook that was there before runs from `<name>.legacy`.
    #[must_use]
    pub fn has_legacy(&self, name: &str) -> bool {
        legacy(&self.directory.join(name)).is_some()
    }

    fn state_of(&self, hook: &Shipped) -> Result<State> {
        let name = hook.name;
        let path = self.directory.join(hook.file);
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(e) if files::is_absent(&e) => return Ok(State::Missing),
            Err(e) => return Err(Error::io("read", &path)(e)),
        };
        // A link leads to somebody's file: never written through.
        if meta.is_symlink() || meta.is_dir() {
            return Ok(State::Foreign);
        }
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let text = String::from_utf8_lossy(&bytes);
        if version_of(&text).is_none() {
            let calls = text.contains(&format!("git-latch hook {name}")) || self.is_kept(name);
            return Ok(if calls { State::Called } else { State::Foreign });
        }
        Ok(if !is_executable(&meta) {
            State::NotExecutable
        } else if version_of(&text) == version_of(hook.script) {
            State::Right
        } else {
            State::Outdated
        })
    }

    /// Whether another tool has moved ours aside as we do with theirs, and so runs it (the pre-commit framework does).
    fn is_kept(&self, name: &str) -> bool {
        legacy(&self.directory.join(name))
            .and_then(|path| fs::read_to_string(path).ok())
            .is_some_and(|text| version_of(&text).is_some())
    }

    fn shown(&self) -> String {
        quoted(self.directory.as_os_str().as_encoded_bytes())
    }
}

/// The hooks of a repository that somebody works in: those that have something to do, and the others.
fn by_need(repo: &Repo) -> Result<(Vec<&'static Shipped>, Vec<&'static Shipped>)> {
    let (mut needed, mut idle) = (Vec::new(), Vec::new());
    for hook in &WORKING {
        let group = if needed::is_needed(hook.name, repo)? {
            &mut needed
        } else {
            &mut idle
        };
        group.push(hook);
    }
    Ok((needed, idle))
}

#[cfg(unix)]
fn is_executable(meta: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_meta: &fs::Metadata) -> bool {
    // Git for Windows runs hooks by their first line.
    true
}

/// Whoever may read it may run it.
#[cfg(unix)]
fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(mode | (mode & 0o444) >> 2))
}

#[cfg(not(unix))]
fn make_executable(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

/// The version a hook of ours says it is of.
fn version_of(text: &str) -> Option<&str> {
    text.lines().nth(1)?.strip_prefix(MARKER)
}

/// What a tracked hook should say.
fn line_for(name: &str) -> String {
    format!("git-latch hook {name} \"$@\" || exit 1")
}

/// Whether the repository tracks files in its hooks directory.
fn is_tracked(repo: &Repo, root: &Path, directory: &Path) -> Result<bool> {
    let Ok(inside) = directory.strip_prefix(root) else {
        return Ok(false);
    };
    if directory.starts_with(repo.git_dir()) || directory.starts_with(repo.common_dir()) {
        return Ok(false);
    }
    let Some(inside) = inside.to_str().filter(|path| !path.is_empty()) else {
        return Ok(false);
    };
    let listed = repo
        .git()
        .output(&["--literal-pathspecs", "ls-files", "-z", "--", inside])?;
    Ok(split_nul(&listed).next().is_some())
}

/// A path as one word of the shell.
fn shell_quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
}

fn write(path: &Path, text: &str, sharing: Sharing) -> Result<()> {
    let staged = files::stage(path.parent().unwrap_or(path), text.as_bytes(), sharing)?;
    make_executable(staged.path()).map_err(Error::io("set the mode of", path))?;
    staged
        .persist(path)
        .map(drop)
        .map_err(|e| Error::io("write", path)(e.error))
}
