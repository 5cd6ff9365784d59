//! What git copies into every new repository of a user: there a hook of ours sets up each clone that has a policy.
//!
//! It is one hook, which git runs when a new clone has its first files. It removes itself: a repository without a policy
//! keeps nothing of ours.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::Outcome;
use super::before::entries;
use super::script::{self, ONCE};
use crate::git::command::Git;
use crate::os::files;
use crate::os::mode::Sharing;
use crate::os::paths::bytes_to_path;
use crate::rules::error::{Error, Result};
use crate::rules::spelling::quoted;

/// The setting by which git finds the template.
const SETTING: &str = "init.templateDir";

/// The template of a user.
#[derive(Clone, Debug)]
pub struct Template {
    git: Git,
    directory: PathBuf,
    /// What is to be in it besides our hook; `None` where it is the user's own.
    base: Option<Base>,
}

/// What a template of ours begins with.
#[derive(Clone, Debug)]
enum Base {
    /// What git gives to repositories where nothing is set.
    Default,
    /// The template of the system.
    System(PathBuf),
}

impl Template {
    /// Finds the template in force, or the place for one of ours below a directory for the user's data.
    pub fn find(directory: &Path, data: &Path) -> Result<Self> {
        let git = Git::new(directory, true);
        let own = data.join("git-latch/template");
        let set = setting(&git, "--global")?;
        let users = set.filter(|path| *path != own);
        let base = match (&users, setting(&git, "--system")?) {
            (Some(_), _) => None,
            (None, Some(path)) => Some(Base::System(path)),
            (None, None) => Some(Base::Default),
        };
        Ok(Template {
            git,
            directory: users.unwrap_or(own),
            base,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where hooks are that all repositories of the user share, if there are such: git runs no others then.
    pub fn hidden_by(&self) -> Result<Option<PathBuf>> {
        let global = read(&self.git, "--global", "core.hooksPath")?;
        Ok(global.or(read(&self.git, "--system", "core.hooksPath")?))
    }

    /// Puts our hook into it, to run `binary` where none is on the `PATH`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the template has such a hook of somebody else's.
    pub fn set_up(&self, binary: &Path) -> Result<Outcome> {
        let path = self.hook();
        let old = script::text_of(&path);
        if fs::symlink_metadata(&path).is_ok() && !script::is_ours(&path) {
            let shown = quoted(path.as_os_str().as_encoded_bytes());
            return Err(Error::Unsupported {
                problem: format!("the template of your repositories has another hook at {shown}"),
                hint: Some("give it another name, or run `git latch init` in each clone".into()),
            });
        }
        if let Some(base) = &self.base {
            self.make(base)?;
        }
        let text = ONCE.text(binary);
        let outcome = match &old {
            Some(old) if *old == text => Outcome::Unchanged,
            Some(_) => Outcome::Upgraded,
            None => Outcome::Installed,
        };
        files::create_directories(&self.directory.join("hooks"), Sharing::Umask)?;
        super::write(&path, &text, Sharing::Umask)?;
        if self.base.is_some() {
            let directory = self.directory.as_os_str();
            self.git.output(&[
                OsStr::new("config"),
                "--global".as_ref(),
                SETTING.as_ref(),
                directory,
            ])?;
        }
        Ok(outcome)
    }

    /// Takes our hook out again, and what we have made for it.
    pub fn undo(&self) -> Result<Outcome> {
        let path = self.hook();
        let was_there = script::is_ours(&path);
        if was_there {
            files::remove(&path)?;
        }
        if self.base.is_some() {
            if setting(&self.git, "--global")?.is_some() {
                self.git
                    .output(&["config", "--global", "--unset-all", SETTING])?;
            }
            match fs::remove_dir_all(&self.directory) {
                Err(e) if !files::is_absent(&e) => {
                    return Err(Error::io("remove", &self.directory)(e));
                }
                _ => {}
            }
            if let Some(parent) = self.directory.parent() {
                // Other data of ours may lie there.
                let _ = fs::remove_dir(parent);
            }
        } else {
            // A directory that is empty says nothing; one that git finds missing is no error either.
            let _ = fs::remove_dir(self.directory.join("hooks"));
        }
        Ok(if was_there {
            Outcome::Removed
        } else {
            Outcome::Absent
        })
    }

    fn hook(&self) -> PathBuf {
        self.directory.join("hooks").join(ONCE.file)
    }

    /// Makes a template of ours with what a new repository would have got without it.
    fn make(&self, base: &Base) -> Result<()> {
        if self.directory.is_dir() {
            return Ok(());
        }
        files::create_directories(&self.directory, Sharing::Umask)?;
        match base {
            Base::System(path) => copy(path, &self.directory),
            Base::Default => {
                // Only git knows where its own lies.
                let scratch = tempfile::tempdir().map_err(Error::io("create", "a directory"))?;
                let fresh = scratch.path().join("new");
                let words = [
                    OsStr::new("init"),
                    "-q".as_ref(),
                    "--bare".as_ref(),
                    fresh.as_os_str(),
                ];
                self.git.output(&words)?;
                for name in ["description", "hooks", "info"] {
                    copy(&fresh.join(name), &self.directory.join(name))?;
                }
                Ok(())
            }
        }
    }
}

fn setting(git: &Git, scope: &str) -> Result<Option<PathBuf>> {
    read(git, scope, SETTING)
}

fn read(git: &Git, scope: &str, key: &str) -> Result<Option<PathBuf>> {
    let output = git
        .run(&["config", scope, "--null", "--type=path", "--get", key])?
        .stdout;
    let value = output.strip_suffix(b"\0").filter(|value| !value.is_empty());
    Ok(value.map(bytes_to_path))
}

/// Copies files, directories and links, with their modes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let Ok(meta) = fs::symlink_metadata(from) else {
        return Ok(());
    };
    if !meta.is_dir() {
        // A link is copied as what it leads to: it may be relative.
        return fs::copy(from, to)
            .map(drop)
            .map_err(Error::io("copy", from));
    }
    files::create_directories(to, Sharing::Umask)?;
    entries(from)
        .iter()
        .try_for_each(|path| copy(path, &to.join(path.file_name().unwrap_or_default())))
}
