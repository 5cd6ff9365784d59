//! Hooks that were there before ours, and go on running as they were called.
//!
//! A hook that looks at `$0` finds its own name there; one that looks around finds what stood beside it. So it moves,
//! unchanged, into a directory beside that of the hooks, where everything else of the hooks' directory is linked:
//! `.git/hooks/pre-commit` runs as `.git/hooks.before-git-latch/pre-commit`. `..` leads where it did.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::script;
use crate::os::files;
use crate::os::mode::Sharing;
use crate::os::paths::with_suffix;
use crate::os::permissions::is_executable;
use crate::rules::error::{Error, Result};

/// What the directory of such hooks is called, after the name of the hooks' own.
const SUFFIX: &str = ".before-git-latch";
/// Makes git see nothing of the directory where it lies in a working tree.
const IGNORE: &str = ".gitignore";

/// A directory of hooks, and the one beside it.
#[derive(Debug)]
pub(super) struct Before {
    /// As git names it: may be a link.
    named: PathBuf,
    hooks: PathBuf,
    directory: PathBuf,
    /// What leads from the one to the other.
    back: PathBuf,
}

impl Before {
    /// Of a directory of hooks; where that is a link, of the directory it leads to.
    pub(super) fn of(named: &Path) -> Self {
        let hooks = named.canonicalize().unwrap_or_else(|_| named.to_owned());
        Before {
            named: named.to_owned(),
            directory: beside(&hooks),
            back: Path::new("..").join(hooks.file_name().unwrap_or_default()),
            hooks,
        }
    }

    /// The hook that is kept under a name.
    pub(super) fn kept(&self, name: impl AsRef<OsStr>) -> Option<PathBuf> {
        let path = self.directory.join(name.as_ref());
        (fs::symlink_metadata(&path).is_ok() && !self.is_view(&path)).then_some(path)
    }

    /// Moves a hook there. One that was kept under its name is older: it is gone if it was the same tool's, else it
    /// stays in the hooks' directory under another name, and does not run any more, because the tool that replaced it
    /// knew nothing of it.
    pub(super) fn keep(&self, name: &OsStr, sharing: Sharing) -> Result<()> {
        let from = self.hooks.join(name);
        let old = self.kept(name).filter(|old| !is_same_tool(old, &from));
        if let Some(old) = old {
            self.put_aside(&old, &name.to_string_lossy())?;
        }
        self.adopt(&from, name, sharing)
    }

    /// Makes a file of the hooks' directory the one that is kept under a name.
    pub(super) fn adopt(&self, from: &Path, name: &OsStr, sharing: Sharing) -> Result<()> {
        files::create_directories(&self.directory, sharing)?;
        if !self.is_in_git_dir() {
            files::replace(&self.directory.join(IGNORE), b"*\n", sharing)?;
        }
        // Whoever goes to the directory beside by the name that git uses finds it.
        if fs::symlink_metadata(beside(&self.named)).is_err() {
            link(&self.directory, &beside(&self.named))?;
        }
        let to = self.directory.join(name);
        fs::rename(from, &to).map_err(Error::io("move", from))
    }

    /// Brings a hook back that is kept under a name, to a place that is free.
    pub(super) fn restore(&self, name: &OsStr, to: &Path) -> Result<bool> {
        let Some(kept) = self.kept(name) else {
            return Ok(false);
        };
        fs::rename(&kept, to).map_err(Error::io("restore", to))?;
        Ok(true)
    }

    /// Brings everything back that is kept and has no place any more, and removes the directory.
    pub(super) fn dissolve(&self) -> Result<()> {
        for path in entries(&self.directory) {
            let name = path.file_name().unwrap_or_default();
            if self.is_view(&path) || name == IGNORE {
                files::remove(&path)?;
                continue;
            }
            let place = self.hooks.join(name);
            if fs::symlink_metadata(&place).is_err() {
                fs::rename(&path, &place).map_err(Error::io("restore", &place))?;
            } else if is_same_tool(&path, &place) {
                files::remove(&path)?;
            } else {
                self.put_aside(&path, &name.to_string_lossy())?;
            }
        }
        files::remove(&self.directory)?;
        let named = beside(&self.named);
        if fs::read_link(&named).is_ok_and(|leads| leads == self.directory) {
            files::remove(&named)?;
        }
        Ok(())
    }

    fn put_aside(&self, path: &Path, name: &str) -> Result<()> {
        let free = (1..10_000)
            .map(|n| self.hooks.join(format!("{name}{SUFFIX}.{n}")))
            .find(|path| fs::symlink_metadata(path).is_err())
            .expect("nobody replaces a hook ten thousand times");
        fs::rename(path, &free).map_err(Error::io("move", path))
    }

    /// Links what stands beside the hooks now, and no hook of ours: whoever looks around finds what was there before.
    fn refresh(&self) -> Result<()> {
        for path in entries(&self.directory) {
            let name = path.file_name().unwrap_or_default();
            let source = self.hooks.join(name);
            let is_gone = fs::symlink_metadata(&source).is_err();
            if self.is_view(&path) {
                if is_gone || is_one_of_ours(&source) {
                    files::remove(&path)?;
                }
            } else if is_gone && name != IGNORE {
                // Written by a hook into what it takes for its own directory.
                fs::rename(&path, &source).map_err(Error::io("move", &path))?;
            }
        }
        for source in entries(&self.hooks) {
            let name = source.file_name().unwrap_or_default();
            let path = self.directory.join(name);
            if fs::symlink_metadata(&path).is_err() && !is_one_of_ours(&source) {
                link(&self.back.join(name), &path)?;
            }
        }
        Ok(())
    }

    /// Whether the tool of the hook that is kept under a name has put another one in its place.
    fn is_superseded(&self, name: &str) -> bool {
        let kept = self.directory.join(name);
        is_same_tool(&kept, &self.hooks.join(name))
    }

    /// Whether an entry is only a view of one in the hooks' directory.
    fn is_view(&self, path: &Path) -> bool {
        let leads = self.back.join(path.file_name().unwrap_or_default());
        fs::read_link(path).is_ok_and(|link| link == leads)
    }

    fn is_in_git_dir(&self) -> bool {
        self.hooks
            .ancestors()
            .any(|directory| directory.join("HEAD").is_file() && directory.join("objects").exists())
    }
}

/// The hook that was there before the one of ours that git, or another tool, ran as `script` for the hook `name`; under
/// the path by which it is called: relative where the other was. `None`: there is none, or git would not run it.
pub fn callable(script: &Path, name: &str) -> Result<Option<PathBuf>> {
    let (Some(hooks), Some(file)) = (script.parent(), script.file_name()) else {
        return Ok(None);
    };
    let before = Before::of(hooks);
    let is_kept = |file: &OsStr| before.kept(file).is_some_and(|path| is_program(&path));
    let file = if is_kept(file) {
        file
    } else if file != name && is_kept(name.as_ref()) && !before.is_superseded(name) {
        // Another tool has moved ours aside, and runs it there.
        name.as_ref()
    } else {
        return Ok(legacy(script));
    };
    if let Err(error) = before.refresh() {
        // Whoever may commit here need not be allowed to write there: the hook runs all the same.
        tracing::debug!(%error, "the directory of earlier hooks is as it was");
    }
    Ok(Some(beside(hooks).join(file)))
}

/// The same for a script of our first version, which kept it as `<name>.legacy`.
fn legacy(script: &Path) -> Option<PathBuf> {
    let text = script::text_of(script)?;
    let path = with_suffix(script, ".legacy");
    let is_kept = script::version_of(&text) == Some(script::FIRST)
        && is_program(&path)
        && !script::is_ours(&path);
    if !is_kept || !script::text_of(&path).is_some_and(|text| script::keeps_its_place(&text)) {
        return is_kept.then_some(path);
    }
    // It would find itself in what it runs first.
    let directory = script.with_file_name(script::CALLED_BY_FIRST);
    files::create_directories(&directory, Sharing::Umask).ok()?;
    let called = directory.join(script.file_name()?);
    link(&Path::new("..").join(path.file_name()?), &called).ok()?;
    Some(called)
}

/// Whether git would run it.
fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && is_executable(&meta))
}

/// Whether an entry of a directory of hooks is ours; of the names that ours can have, only.
pub(super) fn is_one_of_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    script::named(&name).is_some() && script::is_ours(path)
}

/// Whether two hooks are the same, or of the same tool: the later one takes the place of the other.
pub(super) fn is_same_tool(one: &Path, other: &Path) -> bool {
    let (Some(one), Some(other)) = (script::text_of(one), script::text_of(other)) else {
        return false;
    };
    one == other || script::tool_of(&one).is_some_and(|tool| script::tool_of(&other) == Some(tool))
}

/// The directory beside one of hooks.
fn beside(hooks: &Path) -> PathBuf {
    with_suffix(hooks, SUFFIX)
}

pub(super) fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

/// Where not everybody may make links, an earlier hook runs under its own name, and without what stood beside it.
fn link(leads: &Path, path: &Path) -> Result<()> {
    match crate::os::links::link(leads, path) {
        // Somebody else commits at this moment.
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Error::io("create", path)(e))
        }
        _ => Ok(()),
    }
}
