//! Hooks that were there before ours: where they are kept, and how they are called.

use std::fs;
use std::path::{Path, PathBuf};

use super::is_executable;
use crate::error::{Error, Result};

/// A directory beside the hooks, from which some foreign hooks are called.
pub(super) const CALLED: &str = "git-latch.called";

/// The foreign hook kept beside a hook file, if git would run it.
#[must_use]
pub fn legacy(hook: &Path) -> Option<PathBuf> {
    let mut name = hook.file_name()?.to_owned();
    name.push(".legacy");
    let path = hook.with_file_name(name);
    let meta = fs::metadata(&path).ok()?;
    (meta.is_file() && is_executable(&meta)).then_some(path)
}

/// The foreign hook under a path by which it can be called. Hooks of the pre-commit framework look for another one in
/// `<name>.legacy` beside themselves, and would find themselves there: they are called from a directory of their own.
pub fn callable(legacy: &Path, name: &str) -> Result<PathBuf> {
    let looks_beside = fs::read(legacy).is_ok_and(|text| {
        text.windows(b"hook-impl".len())
            .any(|word| word == b"hook-impl")
    });
    let Some(directory) = legacy.parent().filter(|_| looks_beside) else {
        return Ok(legacy.to_owned());
    };
    let directory = directory.join(CALLED);
    let path = directory.join(name);
    fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
    let leads = Path::new("..").join(legacy.file_name().unwrap_or_default());
    if fs::read_link(&path).is_ok_and(|old| old == leads) {
        return Ok(path);
    }
    #[cfg(unix)]
    match std::os::unix::fs::symlink(&leads, &path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Error::io("create", &path)(e));
        }
        _ => {}
    }
    Ok(path)
}
