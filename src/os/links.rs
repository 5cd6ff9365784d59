//! Symbolic links, and what stands for them.

use std::io;
use std::path::Path;

/// Makes a link to a file or directory, where the system has such links for everybody. Says whether it has.
///
/// # Errors
/// What the system says; also where something is there already.
pub(crate) fn link(leads: &Path, path: &Path) -> io::Result<bool> {
    system::link(leads, path)
}

/// Makes a link to a directory.
///
/// # Errors
/// What the system says; also where something is there already.
pub(crate) fn link_directory(leads: &Path, path: &Path) -> io::Result<()> {
    system::link_directory(leads, path)
}

#[cfg(unix)]
mod system {
    use std::io;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    pub(super) fn link(leads: &Path, path: &Path) -> io::Result<bool> {
        symlink(leads, path).map(|()| true)
    }

    pub(super) fn link_directory(leads: &Path, path: &Path) -> io::Result<()> {
        symlink(leads, path)
    }
}

#[cfg(windows)]
mod system {
    use std::io;
    use std::path::Path;

    pub(super) fn link(_leads: &Path, _path: &Path) -> io::Result<bool> {
        // Not everybody may make links to files there.
        Ok(false)
    }

    pub(super) fn link_directory(leads: &Path, path: &Path) -> io::Result<()> {
        std::os::windows::fs::symlink_dir(leads, path)
    }
}
