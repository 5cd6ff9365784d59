//! Write bits of files in the working tree.

use std::fs::{self, Permissions};
use std::path::Path;

use crate::error::{Error, Result};
use crate::path::bytes_to_path;
use crate::store::files;

/// Whether a file may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// Its owner may write. Group and others get no bit: what they had before is not known, and git itself goes by the
    /// umask in a working tree, not by `core.sharedRepository`.
    Writable,
    /// Nobody may write.
    ReadOnly,
}

/// Whether a file had to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It has other bits now.
    Yes,
    /// It had them already, or is no regular file that could have them.
    No,
}

/// Sets the write bits of a file of the working tree, only where they differ: a file whose bits change is read again by
/// git.
///
/// A path that is not there, no regular file, or reached through a symbolic link is left alone.
///
/// # Errors
/// [`Error::Io`], as when the file belongs to another account.
pub fn set(root: &Path, path: &[u8], bits: Bits) -> Result<Changed> {
    let Some(permissions) = permissions_of_regular(root, path)? else {
        return Ok(Changed::No);
    };
    let Some(wanted) = wanted(&permissions, bits) else {
        return Ok(Changed::No);
    };
    let file = root.join(bytes_to_path(path));
    match fs::set_permissions(&file, wanted) {
        Ok(()) => Ok(Changed::Yes),
        Err(e) if files::is_absent(&e) => Ok(Changed::No),
        Err(e) => Err(Error::io("set the mode of", file)(e)),
    }
}

/// The permissions of a regular file with nothing but directories above it.
fn permissions_of_regular(root: &Path, path: &[u8]) -> Result<Option<Permissions>> {
    let mut place = root.to_owned();
    let mut components = path.split(|b| *b == b'/').peekable();
    while let Some(component) = components.next() {
        place.push(bytes_to_path(component));
        let meta = match fs::symlink_metadata(&place) {
            Ok(meta) => meta,
            Err(e) if files::is_absent(&e) => return Ok(None),
            Err(e) => return Err(Error::io("read", place)(e)),
        };
        match components.peek() {
            Some(_) if meta.is_dir() => {}
            None if meta.is_file() => return Ok(Some(meta.permissions())),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// The permissions with the bits as they should be; `None` where they are.
#[cfg(unix)]
fn wanted(permissions: &Permissions, bits: Bits) -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = permissions.mode();
    let wanted = match bits {
        Bits::Writable => mode | 0o200,
        Bits::ReadOnly => mode & !0o222,
    };
    (wanted != mode).then(|| Permissions::from_mode(wanted))
}

/// The permissions with the attribute as it should be; `None` where it is.
#[cfg(not(unix))]
fn wanted(permissions: &Permissions, bits: Bits) -> Option<Permissions> {
    let mut permissions = permissions.clone();
    let readonly = bits == Bits::ReadOnly;
    let differs = permissions.readonly() != readonly;
    permissions.set_readonly(readonly);
    differs.then_some(permissions)
}
