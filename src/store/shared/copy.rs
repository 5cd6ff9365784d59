//! The files in the lock directory, as a copy of the lock ref's tree.
//!
//! Written under the guard, by the difference from what was shown last. The tree may be anybody's making: only regular
//! files in places that a lock can have are written, never through a link, never outside.

use std::fs;
use std::path::Path;

use super::tree;
use crate::git::repo::{NodeKind, Objects};
use crate::os::files;
use crate::os::guard::Guard;
use crate::os::mode::Sharing;
use crate::os::paths::place_path;
use crate::rules::error::{Error, Result};
use crate::rules::lock::MAX_BYTES;
use crate::rules::path::Place;
use crate::store::LatchDir;

/// Brings the copy up to date with the tree that is `wanted`; gives how many files came, went or changed.
pub(super) fn show(
    directory: &LatchDir,
    objects: &Objects,
    wanted: &dyn Fn() -> Result<String>,
    sharing: Sharing,
) -> Result<usize> {
    let shown_file = directory.shown();
    let shown = || fs::read_to_string(&shown_file).unwrap_or_default();
    if shown().trim() == wanted()? && shown_file.exists() {
        return Ok(0);
    }
    let (locks, tmp) = (directory.locks(), directory.tmp());
    for needed in [&locks, &tmp] {
        files::create_directories(needed, sharing)?;
    }
    let note = format!("{} sync\n", std::process::id());
    let _guard = Guard::take(&directory.guard(), &note)?;
    // Read again: another command may have been at work until now.
    let (shown, wanted) = (shown(), wanted()?);
    let mut changes = 0;
    for difference in objects.differing_from(shown.trim(), &wanted)? {
        if !tree::is_place(&difference.path) {
            continue;
        }
        let path = locks.join(place_path(&Place::from_bytes(difference.path)));
        let bytes = match &difference.new {
            Some((oid, NodeKind::File)) => objects.blob(oid, MAX_BYTES)?.ok(),
            _ => None,
        };
        // What is too large, or no file, is not shown; nor is what lay there before.
        if let Some(bytes) = bytes {
            let parent = path.parent().unwrap_or(&locks);
            files::create_directories(parent, sharing)?;
            let staged = files::stage(&tmp, &bytes, sharing)?;
            staged
                .persist(&path)
                .map_err(|e| Error::io("write", &path)(e.error))?;
        } else {
            files::remove(&path)?;
            remove_empty_above(&locks, &path);
        }
        changes += 1;
    }
    files::replace(&shown_file, wanted.as_bytes(), sharing)?;
    Ok(changes)
}

fn remove_empty_above(locks: &Path, path: &Path) {
    let mut directory = path.parent();
    while let Some(above) = directory.filter(|d| *d != locks && d.starts_with(locks)) {
        if fs::remove_dir(above).is_err() {
            return;
        }
        directory = above.parent();
    }
}
