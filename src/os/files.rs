//! The few ways in which the lock directory is read and written.
//!
//! Reading never follows a link, never blocks on a pipe and never reads more than a lock file may have. Writing goes
//! through a temporary file and one `link` or `rename`, so that readers never see half a file.

use std::fs::{self, File, OpenOptions};
use std::hash::{Hash as _, Hasher};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::{DateTime, Utc};
#[cfg(unix)]
use rustix::fs::OFlags;
use tempfile::NamedTempFile;

use super::mode::Sharing;
use crate::rules::error::{Error, Result};
use crate::rules::lock::MAX_BYTES;

/// Open flags that refuse a symbolic link at the end of the path and do not wait for a pipe's other end.
#[cfg(unix)]
pub(crate) const NO_FOLLOW: i32 = bits(OFlags::NOFOLLOW.union(OFlags::NONBLOCK));
/// Open flags that do not wait for a pipe's other end.
#[cfg(unix)]
const NO_WAIT: i32 = bits(OFlags::NONBLOCK);

/// Whether a directory can be renamed while files in it are open: not on Windows.
pub(crate) const RENAMES_WHAT_IS_OPEN: bool = cfg!(not(windows));

/// From how many files on they are synced by more than one thread.
const WORTH_A_THREAD: usize = 16;

/// Flags as the standard library takes them.
#[cfg(unix)]
#[expect(
    clippy::cast_possible_wrap,
    reason = "open flags are small positive numbers in every ABI"
)]
const fn bits(flags: OFlags) -> i32 {
    flags.bits() as i32
}

/// What was found where a lock may lie.
pub(crate) struct Found {
    /// Its bytes, or why it is no lock file at all.
    pub(crate) bytes: Result<Vec<u8>, String>,
    /// When it was last written, by the file system's clock.
    pub(crate) modified: Option<DateTime<Utc>>,
}

/// Reads a lock file. `None`: nothing is there, and nothing can be.
pub(crate) fn read(path: &Path) -> Result<Option<Found>> {
    let file = match open(path) {
        Ok(file) => file,
        Err(e) if is_absent(&e) => return Ok(None),
        Err(e) => return odd(path, e),
    };
    let meta = file.metadata().map_err(Error::io("read", path))?;
    let modified = crate::os::clock::of_file(&meta);
    if !meta.is_file() {
        let what = if meta.is_dir() {
            "it is a directory"
        } else {
            "it is not a regular file"
        };
        return Ok(Some(Found {
            bytes: Err(what.into()),
            modified,
        }));
    }
    let bytes = read_whole(file, meta.len()).map_err(Error::io("read", path))?;
    Ok(Some(Found {
        bytes: Ok(bytes),
        modified,
    }))
}

/// Reads a file of that many bytes, and not more than shows that it is too large. Published files do not grow: the one
/// call that would only say "the end" is saved.
fn read_whole(mut file: File, length: u64) -> io::Result<Vec<u8>> {
    let expected = usize::try_from(length)
        .unwrap_or(usize::MAX)
        .min(MAX_BYTES + 1);
    let mut bytes = vec![0; expected];
    let mut filled = 0;
    while filled < expected {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Reads a small file of ours or of the team's: never waits for a pipe, never reads a device or more than `limit` bytes.
/// `None`: nothing is there.
pub(crate) fn read_small(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    match read_at_most(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if is_absent(&e) => Ok(None),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    options.read(true);
    // Through links, as git and editors do; but to no pipe.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, NO_WAIT);
    let file = options.open(path)?;
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if meta.len() > limit {
        return Err(io::Error::other(format!("it is larger than {limit} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file, never through a link and without waiting for a pipe's other end.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, NO_FOLLOW);
    options.open(path)
}

/// Opens a file to write at its end, or makes it; not through a link.
pub(crate) fn open_to_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, NO_FOLLOW);
    options.open(path)
}

/// What changes with a file: its size, its times, and which file it is.
pub(crate) fn hash_state(meta: &fs::Metadata, hasher: &mut impl Hasher) {
    (meta.len(), meta.modified().ok()).hash(hasher);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        (meta.ino(), meta.ctime(), meta.ctime_nsec()).hash(hasher);
    }
}

/// A path that cannot be opened: a link or a socket is no lock, anything else is an error and never "not there".
fn odd(path: &Path, error: io::Error) -> Result<Option<Found>> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(e) if is_absent(&e) => return Ok(None),
        Err(_) => return Err(Error::io("read", path)(error)),
    };
    let what = match meta.file_type() {
        kind if kind.is_symlink() => "it is a symbolic link",
        kind if !kind.is_file() && !kind.is_dir() => "it is not a regular file",
        _ => return Err(Error::io("read", path)(error)),
    };
    Ok(Some(Found {
        bytes: Err(what.into()),
        modified: crate::os::clock::of_file(&meta),
    }))
}

/// What a file looks like from outside. A file that was published, or replaced, is a new one, with another stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Stamp {
    pub(crate) fn of(meta: &fs::Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(meta);
        #[cfg(not(unix))]
        let inode = 0;
        Stamp {
            modified: meta.modified().ok(),
            length: meta.len(),
            inode,
        }
    }

    /// Of the file that a path leads to; `None` where it cannot be looked at: reading it tells why.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|meta| Stamp::of(&meta))
    }
}

/// Whether an error means that nothing is there: the three by which a missing mirror directory, a file in its place
/// or a name longer than the file system takes show themselves.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename
    )
}

/// Whether an error means that there is no room left.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Whether a directory is there; anything else in its place is an error.
pub(crate) fn is_directory(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(true),
        Ok(meta) => {
            let what = if meta.is_symlink() {
                "a symbolic link"
            } else {
                "a file"
            };
            Err(Error::InTheWay {
                path: path.to_owned(),
                problem: format!("it is {what} instead of a directory"),
            })
        }
        Err(e) if is_absent(&e) => Ok(false),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

/// Creates a directory and those above it that are missing; gives the directories whose entries changed.
pub(crate) fn create_directories(path: &Path, sharing: Sharing) -> Result<Vec<PathBuf>> {
    if is_directory(path)? {
        return Ok(Vec::new());
    }
    let Some(parent) = path.parent() else {
        return Ok(Vec::new());
    };
    let mut changed = create_directories(parent, sharing)?;
    match fs::create_dir(path) {
        Ok(()) => sharing
            .adjust_directory(path)
            .map_err(Error::io("set the mode of", path))?,
        // Two first commands at once.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(Error::io("create", path)(e)),
    }
    changed.push(parent.to_owned());
    Ok(changed)
}

/// A temporary file with these bytes, of the mode that a plain file would have.
pub(crate) fn stage(directory: &Path, bytes: &[u8], sharing: Sharing) -> Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("new-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder
        .tempfile_in(directory)
        .map_err(Error::io("create a file in", directory))?;
    file.write_all(bytes)
        .map_err(Error::io("write to", file.path()))?;
    sharing
        .adjust_file(file.path())
        .map_err(Error::io("set the mode of", file.path()))?;
    Ok(file)
}

/// Replaces a small file of ours, not synced: after a loss of power it may be the old one, or empty (xfs).
pub(crate) fn replace(path: &Path, bytes: &[u8], sharing: Sharing) -> Result<()> {
    let staged = stage(path.parent().unwrap_or(path), bytes, sharing)?;
    publish(staged, path)
}

/// Replaces a small file of ours on which later decisions rest: after a loss of power it is the old one or the new one,
/// and once this has returned the new one.
pub(crate) fn replace_durably(path: &Path, bytes: &[u8], sharing: Sharing) -> Result<()> {
    let directory = path.parent().unwrap_or(path);
    let staged = stage(directory, bytes, sharing)?;
    sync(staged.as_file(), path)?;
    publish(staged, path)?;
    sync_directory(directory)
}

fn publish(staged: NamedTempFile, path: &Path) -> Result<()> {
    staged
        .persist(path)
        .map(drop)
        .map_err(|e| Error::io("write", path)(e.error))
}

/// Makes a file's bytes durable; `path` is what it is called, or will be.
pub(crate) fn sync(file: &File, path: &Path) -> Result<()> {
    file.sync_all().map_err(Error::io("sync", path))
}

/// Makes a directory's entries durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    // Windows has no way to sync a directory, and orders its metadata itself.
    if cfg!(windows) {
        return Ok(());
    }
    File::open(path)
        .and_then(|d| d.sync_all())
        .map_err(Error::io("sync", path))
}

/// Makes the entries of these directories durable. One that is gone has none.
pub(crate) fn sync_directories<'a>(
    directories: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<()> {
    let directories: Vec<&PathBuf> = directories.into_iter().collect();
    each(&directories, |directory| match sync_directory(directory) {
        Err(Error::Io { source, .. }) if is_absent(&source) => Ok(()),
        other => other,
    })
}

/// Does something that waits for the disk with each: several at once share the disk's commits.
pub(crate) fn each<T: Sync>(all: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    if all.len() < WORTH_A_THREAD {
        return all.iter().try_for_each(work);
    }
    let share = all.len().div_ceil(8);
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = all
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().try_for_each(work)))
            .collect();
        workers
            .into_iter()
            .try_for_each(|w| w.join().expect("syncing does not panic"))
    })
}

/// Removes a file, or a directory that stands in its place and is empty. Not being there is no error.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let outcome = match fs::remove_file(path) {
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::IsADirectory | io::ErrorKind::PermissionDenied
            ) =>
        {
            fs::remove_dir(path).map_err(|_| e)
        }
        other => other,
    };
    match outcome {
        Err(e) if !is_absent(&e) => Err(Error::io("remove", path)(e)),
        _ => Ok(()),
    }
}
