//! Paths of git and of this system: bytes on one side, [`std::path`] on the other.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::rules::path::Place;
use crate::rules::spelling::Here;

/// A place as a path relative to the lock directory.
#[must_use]
pub fn place_path(place: &Place) -> PathBuf {
    bytes_to_path(place.as_bytes())
}

/// Where a person stands, in a directory of the file system; both are absolute, without links and without `..`.
#[must_use]
pub fn here_in(root: &Path, directory: &Path) -> Here {
    Here::of(&path_to_bytes(root), &path_to_bytes(directory))
}

/// The bytes that git prints as a path of this system.
#[must_use]
pub fn bytes_to_path(bytes: &[u8]) -> PathBuf {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
    }
    #[cfg(not(unix))]
    {
        PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// A path of this system as the bytes that git would print, `/` between components.
#[must_use]
pub fn path_to_bytes(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_encoded_bytes().to_vec();
    if cfg!(windows) {
        return bytes
            .into_iter()
            .map(|b| if b == b'\\' { b'/' } else { b })
            .collect();
    }
    bytes
}

/// A path whose last component has more behind it: `a/b` and `.old` are `a/b.old`.
#[must_use]
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push(suffix);
    path.with_file_name(name)
}
