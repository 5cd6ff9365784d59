//! Write bits of files in the working tree.

use std::fs::{self, Permissions};
use std::path::{Path, PathBuf};

use crate::os::paths::bytes_to_path;
use crate::os::{files, permissions};
use crate::rules::error::{Error, Result};

/// Whether a file may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bits {
    /// Whoever could write before it was made read-only can again; at least its owner.
    Writable,
    /// Nobody may write.
    ReadOnly,
}

/// A file of the working tree whose bits are not as they should be.
#[derive(Debug)]
pub(super) struct Odd {
    file: PathBuf,
    wanted: Permissions,
    /// The bits that it loses.
    pub(super) taken: u32,
}

impl Odd {
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Sets them.
    ///
    /// # Errors
    /// [`Error::Io`], as when the file belongs to another account.
    pub(super) fn mend(self) -> Result<()> {
        match fs::set_permissions(&self.file, self.wanted) {
            Err(e) if !files::is_absent(&e) => Err(Error::io("set the mode of", self.file)(e)),
            _ => Ok(()),
        }
    }
}

/// Looks at the files of one working tree, sorted paths best: a directory is looked at once as long as files in it follow
/// each other.
#[derive(Debug)]
pub(super) struct Looker<'a> {
    root: &'a Path,
    /// A directory that is one, all the way from the root.
    directory: Vec<u8>,
}

impl<'a> Looker<'a> {
    pub(super) fn at(root: &'a Path) -> Self {
        Looker {
            root,
            directory: Vec::new(),
        }
    }

    /// A file whose bits are not so. `before` are the write bits that were taken from it, where that is known.
    ///
    /// A path that is not there, not a regular file, or reached through a symbolic link is left alone.
    pub(super) fn odd(
        &mut self,
        path: &[u8],
        bits: Bits,
        before: Option<u32>,
    ) -> Result<Option<Odd>> {
        let file = self.root.join(bytes_to_path(path));
        let cut = path.iter().rposition(|b| *b == b'/').unwrap_or(0);
        if !self.is_inside(&path[..cut])? {
            return Ok(None);
        }
        let meta = match fs::symlink_metadata(&file) {
            Ok(meta) if meta.is_file() => meta,
            Ok(_) => return Ok(None),
            Err(e) if files::is_absent(&e) => return Ok(None),
            Err(e) => return Err(Error::io("read", file)(e)),
        };
        let odd = match bits {
            Bits::Writable => permissions::writable(&meta.permissions(), before),
            Bits::ReadOnly => permissions::read_only(&meta.permissions()),
        };
        Ok(odd.map(|(wanted, taken)| Odd {
            file,
            wanted,
            taken,
        }))
    }

    /// Whether there are nothing but directories down to this one.
    fn is_inside(&mut self, directory: &[u8]) -> Result<bool> {
        if directory.is_empty() || directory == self.directory {
            return Ok(true);
        }
        let ends = directory.iter().enumerate().filter(|(_, b)| **b == b'/');
        let ends = ends.map(|(at, _)| at).chain([directory.len()]);
        for end in ends.collect::<Vec<_>>() {
            let place = self.root.join(bytes_to_path(&directory[..end]));
            match fs::symlink_metadata(&place) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return Ok(false),
                Err(e) if files::is_absent(&e) => return Ok(false),
                Err(e) => return Err(Error::io("read", place)(e)),
            }
        }
        directory.clone_into(&mut self.directory);
        Ok(true)
    }
}

/// Makes one file writable or read-only, whatever is known about it; only where that differs: a file whose bits change
/// is read again by git.
///
/// # Errors
/// [`Error::Io`], as when the file belongs to another account.
pub(crate) fn set(root: &Path, path: &[u8], bits: Bits) -> Result<()> {
    match Looker::at(root).odd(path, bits, None)? {
        Some(odd) => odd.mend(),
        None => Ok(()),
    }
}
