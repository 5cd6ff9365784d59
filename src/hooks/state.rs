//! How a hook stands: ours, somebody else's that calls us, or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use super::script::{self, Shipped};
use crate::os::files;
use crate::os::paths::with_suffix;
use crate::os::permissions::is_executable;
use crate::rules::error::{Error, Result};

/// How one hook stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Ours, as this version ships it.
    Right,
    /// Ours, from another version.
    Outdated,
    /// Not executable: git leaves it out.
    NotExecutable,
    /// Somebody else's, which calls us.
    Called,
    /// There is none.
    Missing,
    /// Somebody else's, which does not call us.
    Foreign,
    /// The team's, whose line for us is missing.
    LineMissing,
    /// The team's, which runs Git LFS before us: what git says on standard input is read by then.
    LineTooLate,
}

impl State {
    /// Whether ours runs.
    #[must_use]
    pub(crate) fn is_well(self) -> bool {
        matches!(self, State::Right | State::Called)
    }
}

/// Where a hook of ours stands, or is to stand: beside the hook of a tool that keeps the place and runs ours.
pub(super) fn slot(place: &Path) -> PathBuf {
    let keeps =
        |text: String| script::version_of(&text).is_none() && script::keeps_its_place(&text);
    let is_run = fs::metadata(place).is_ok_and(|meta| is_executable(&meta));
    if is_run && script::text_of(place).is_some_and(keeps) {
        with_suffix(place, ".legacy")
    } else {
        place.to_owned()
    }
}

/// How a hook stands in a directory of scripts.
pub(super) fn state_in(directory: &Path, hook: &Shipped) -> Result<State> {
    let place = directory.join(hook.file);
    let meta = match fs::symlink_metadata(&place) {
        Ok(meta) => meta,
        Err(e) if files::is_absent(&e) => return Ok(State::Missing),
        Err(e) => return Err(Error::io("read", &place)(e)),
    };
    // A link leads to somebody's file: never written through.
    let Some(text) = script::text_of(&place) else {
        return Ok(State::Foreign);
    };
    if script::version_of(&text).is_some() {
        return Ok(state_of_ours(hook, &text, &meta));
    }
    if !is_executable(&meta) {
        return Ok(State::Foreign);
    }
    if script::calls_us(&text, hook.name) {
        return Ok(State::Called);
    }
    let legacy = with_suffix(&place, ".legacy");
    let ours = script::text_of(&legacy).filter(|_| script::runs_legacy(&text));
    Ok(match (ours, fs::symlink_metadata(&legacy)) {
        (Some(ours), Ok(meta)) if script::version_of(&ours).is_some() => {
            match state_of_ours(hook, &ours, &meta) {
                State::Right => State::Called,
                other => other,
            }
        }
        (Some(theirs), Ok(_)) if script::calls_us(&theirs, hook.name) => State::Called,
        _ => State::Foreign,
    })
}

fn state_of_ours(hook: &Shipped, text: &str, meta: &fs::Metadata) -> State {
    if !is_executable(meta) {
        State::NotExecutable
    } else if script::version_of(text) == hook.version() {
        State::Right
    } else {
        State::Outdated
    }
}

/// How a script of the team's stands.
pub(super) fn state_of_line(scripts: &Path, directory: &Path, hook: &Shipped) -> State {
    let path = scripts.join(hook.name);
    let Some(text) = fs::read(&path).ok() else {
        return State::LineMissing;
    };
    let text = String::from_utf8_lossy(&text);
    // Husky runs them by `sh`.
    let is_run = scripts != directory || fs::metadata(&path).is_ok_and(|m| is_executable(&m));
    if !script::calls_us(&text, hook.name) && script::version_of(&text).is_none() {
        State::LineMissing
    } else if !is_run {
        State::NotExecutable
    } else if hook.name == "pre-push" && script::lfs_is_first(&text, hook.name) {
        State::LineTooLate
    } else {
        State::Called
    }
}
