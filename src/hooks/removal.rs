//! Removing ours again, under whatever name other tools have given to them.

use std::fs;
use std::path::{Path, PathBuf};

use super::before::{self, Before};
use super::place::{self, Way};
use super::script::{self, Shipped};
use super::{Hooks, Outcome};
use crate::os::files;
use crate::os::mode::Sharing;
use crate::os::paths::with_suffix;
use crate::rules::error::{Error, Result};
use crate::store::LatchDir;

impl Hooks {
    /// Every directory into which ours were ever installed here, and where they are scripts.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        let noted = fs::read_to_string(self.note()).unwrap_or_default();
        let is_own = self.way == Way::Scripts || place::husky(&self.directory).is_some();
        let current = is_own.then(|| self.directory.clone());
        let own = [self.common_dir.join("hooks")];
        let all = current
            .into_iter()
            .chain(own)
            .chain(noted.lines().map(PathBuf::from));
        let mut directories: Vec<PathBuf> = Vec::new();
        for directory in all {
            let is_teams = match &self.way {
                Way::Lines(scripts) => place::is_same(scripts, &directory),
                Way::Scripts => false,
            };
            if directory.is_dir()
                && !is_teams
                && !directories.iter().any(|d| place::is_same(d, &directory))
            {
                directories.push(directory);
            }
        }
        directories
    }

    fn note(&self) -> PathBuf {
        LatchDir::of(&self.common_dir).hooks()
    }

    /// Remembers a directory that is not git's own: whoever changes `core.hooksPath` later leaves ours behind there.
    pub(super) fn note_directory(&self, sharing: Sharing) -> Result<()> {
        let noted = fs::read_to_string(self.note()).unwrap_or_default();
        let own = self.common_dir.join("hooks");
        let Some(directory) = self.directory.to_str() else {
            return Ok(());
        };
        if place::is_same(&own, &self.directory) || noted.lines().any(|line| line == directory) {
            return Ok(());
        }
        LatchDir::of(&self.common_dir).create(sharing)?;
        files::replace(
            &self.note(),
            format!("{noted}{directory}\n").as_bytes(),
            sharing,
        )
    }

    /// Removes ours of some names from a directory, and brings back what they stand for.
    pub(super) fn clear(
        directory: &Path,
        is_meant: impl Fn(&str) -> bool,
    ) -> Result<Vec<(&'static str, Outcome)>> {
        let mut outcomes = Vec::new();
        let inside = directory.join("pre-receive.d");
        for directory in [directory, &inside] {
            let before = Before::of(directory);
            let mut paths = before::entries(directory);
            paths.retain(|path| before::is_one_of_ours(path));
            paths.sort();
            for path in &paths {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                let Some(name) = script::named(&file).filter(|name| is_meant(name)) else {
                    continue;
                };
                let outcome = take_out(&before, path, name)?;
                let name = if name == script::IN_DIRECTORY {
                    script::BARE.name
                } else {
                    name
                };
                if !outcomes.iter().any(|(seen, _)| *seen == name) {
                    outcomes.push((name, outcome));
                }
            }
            if !before::entries(directory)
                .iter()
                .any(|path| before::is_one_of_ours(path))
            {
                before.dissolve()?;
            }
        }
        Ok(outcomes)
    }
}

/// Removes a hook of ours, and gives its place to what it stands for.
fn take_out(before: &Before, path: &Path, name: &'static str) -> Result<Outcome> {
    let is_first =
        script::text_of(path).is_some_and(|text| script::version_of(&text) == Some(script::FIRST));
    files::remove(path)?;
    let file = path.file_name().unwrap_or_default();
    if before.restore(file, path)? {
        return Ok(Outcome::Restored);
    }
    let legacy = with_suffix(path, ".legacy");
    if is_first && fs::symlink_metadata(&legacy).is_ok() && !script::is_ours(&legacy) {
        fs::rename(&legacy, path).map_err(Error::io("restore", path))?;
        return Ok(Outcome::Restored);
    }
    // Another tool has moved ours aside: what ours stood for takes that place, as if ours had never been.
    let place = path.with_file_name(name);
    let moved = before.kept(name).filter(|_| file != name);
    if let Some(kept) = moved {
        let is_free = fs::symlink_metadata(&place).is_err();
        if is_free || !before::is_same_tool(&kept, &place) {
            before.restore(name.as_ref(), if is_free { &place } else { path })?;
        }
    }
    Ok(Outcome::Removed)
}

/// Removes those of ours that another tool has moved aside and does not run, before it stumbles over them.
pub(super) fn remove_strays(hook: &Shipped, slot: &Path) -> Result<()> {
    let directory = slot.parent().unwrap_or(slot);
    let is_stray = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        path != slot && script::named(&file) == Some(hook.name) && script::is_ours(path)
    };
    for path in before::entries(directory)
        .iter()
        .filter(|path| is_stray(path))
    {
        files::remove(path)?;
    }
    Ok(())
}
