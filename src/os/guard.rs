//! The guard: our own short mutual exclusion, an OS file lock. The only file that names `fs2`.
//!
//! A guard is held from reading to publishing and never while anything is spawned, awaited or sent. Users never see it,
//! except in the error that says who keeps it. The kernel releases it when its holder dies.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::rules::error::{Error, Result};

/// How long a command waits for the guard before it says who keeps it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The length of the note in the guard, in characters; a longer one is seen with the end of an older one after it.
const NOTE: usize = 120;
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// The right to change what the guard protects, until it is dropped.
#[must_use = "the guard is released as soon as it is dropped"]
#[derive(Debug)]
pub(crate) struct Guard {
    file: File,
    path: PathBuf,
}

impl Guard {
    /// Takes the guard, waiting up to ten seconds.
    ///
    /// # Errors
    /// [`Error::Busy`] with what its holder wrote, [`Error::Unsupported`] where the file system has no locks.
    pub(crate) fn take(path: &Path, note: &str) -> Result<Self> {
        let patience = crate::os::fault::limit("GIT_LATCH_PATIENCE_MS", PATIENCE);
        Self::take_within(path, note, patience)
    }

    /// Takes the guard, waiting no longer than that.
    ///
    /// # Errors
    /// As [`Guard::take`].
    pub(crate) fn take_within(path: &Path, note: &str, patience: Duration) -> Result<Self> {
        let since = Instant::now();
        let mut pause = Duration::from_micros(200);
        loop {
            if let Some(guard) = Self::try_take(path, note)? {
                return Ok(guard);
            }
            if since.elapsed() >= patience {
                return Err(Error::Busy {
                    holder: holder(path),
                    guard: path.to_owned(),
                });
            }
            // So that those started together do not march in step.
            let jitter = Duration::from_micros(fastrand::u64(..=300));
            thread::sleep(pause + jitter);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Takes the guard if nobody has it.
    pub(crate) fn try_take(path: &Path, note: &str) -> Result<Option<Self>> {
        let file = open(path)?;
        crate::os::fault::point("guard.opened");
        match fs2::FileExt::try_lock_exclusive(&file) {
            Ok(()) => {}
            Err(e) if e.raw_os_error() == fs2::lock_contended_error().raw_os_error() => {
                return Ok(None);
            }
            Err(e) => return Err(no_locks(path, e)),
        }
        // Somebody may have replaced the file between open and lock: then this lock protects nothing.
        if !is_same_file(&file, path) {
            return Ok(None);
        }
        let mut guard = Guard {
            file,
            path: path.to_owned(),
        };
        guard.write_note(note)?;
        Ok(Some(guard))
    }

    /// Whether it is still the file that others would take: somebody may have removed it.
    pub(crate) fn is_current(&self) -> bool {
        is_same_file(&self.file, &self.path)
    }

    /// Says who holds it, for those who wait.
    fn write_note(&mut self, note: &str) -> Result<()> {
        if note.is_empty() {
            return Ok(());
        }
        // Always the same length: to truncate the file first takes longer than all the rest of a change.
        let padded = format!("{:<NOTE$}\n", note.trim_end());
        let written = self
            .file
            .rewind()
            .and_then(|()| self.file.write_all(padded.as_bytes()));
        written.map_err(Error::io("write to the guard", &self.path))
    }

    /// The moment by the file system's own clock: when the note was written into the guard.
    pub(crate) fn file_system_now(&self) -> Result<DateTime<Utc>> {
        let meta = self.file.metadata();
        let meta = meta.map_err(Error::io("read the time of", &self.path))?;
        crate::os::clock::of_file(&meta).ok_or_else(|| Error::Corrupt {
            path: self.path.clone(),
            problem: "its time lies outside of the calendar".into(),
        })
    }
}

/// The sign that somebody is there, until it is dropped: any number may be at the same time, and each can tell whether it
/// is alone.
#[must_use = "the sign goes as soon as it is dropped"]
#[derive(Debug)]
pub(crate) struct Presence(File);

impl Presence {
    /// Is there from now on.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the file system has no locks.
    pub(crate) fn begin(path: &Path) -> Result<Self> {
        let file = open(path)?;
        fs2::FileExt::lock_shared(&file).map_err(|e| no_locks(path, e))?;
        Ok(Presence(file))
    }

    /// Whether nobody else is there at this moment. Whoever comes at this moment waits for the answer.
    pub(crate) fn is_alone(&self) -> bool {
        let is_alone = fs2::FileExt::try_lock_exclusive(&self.0).is_ok();
        // Also after a no: the system may have taken the sign away to try.
        let is_back = fs2::FileExt::lock_shared(&self.0).is_ok();
        is_alone && is_back
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, crate::os::files::NO_FOLLOW);
    options
        .open(path)
        .map_err(Error::io("open the guard", path))
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same_file(_file: &File, path: &Path) -> bool {
    // An open file cannot be replaced there.
    path.exists()
}

fn no_locks(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::Interrupted {
        return Error::Io {
            action: "lock the guard",
            path: path.to_owned(),
            source: error,
        };
    }
    Error::Unsupported {
        problem: format!(
            "the file system of `{}` has no file locks: {error}",
            path.display()
        ),
        hint: Some("keep the repository on a local disk".into()),
    }
}

/// Who holds it, as a sentence goes on.
pub(crate) fn holder(path: &Path) -> String {
    match noted(path) {
        Some(note) => format!("held by process {note}"),
        None => NAMELESS.into(),
    }
}

/// What is said of a holder that wrote nothing.
pub(crate) const NAMELESS: &str = "its holder left no name";

/// What the guard's holder wrote into it.
pub(crate) fn noted(path: &Path) -> Option<String> {
    let mut note = String::new();
    let read = File::open(path).and_then(|f| f.take(400).read_to_string(&mut note));
    let first = read.ok().and_then(|_| note.trim().lines().next())?.trim();
    (!first.is_empty()).then(|| crate::rules::spelling::escaped(first.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_is_not_alone_until_the_others_have_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("servers");
        let first = Presence::begin(&path).unwrap();
        assert!(first.is_alone() && first.is_alone());
        let second = Presence::begin(&path).unwrap();
        assert!(!first.is_alone() && !second.is_alone() && !first.is_alone());
        drop(second);
        assert!(first.is_alone());
    }
}
