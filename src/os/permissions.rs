//! Who may do what with a file.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::path::Path;

/// The bits that let somebody write.
pub(crate) const WRITE: u32 = 0o222;
/// The bit that lets the owner write: what a file gets of which nothing is known. Git itself goes by the umask in a working
/// tree, not by `core.sharedRepository`; a umask that leaves more is rare.
pub(crate) const OWNER_WRITES: u32 = 0o200;

/// Whether the system starts a file as a program.
#[must_use]
pub(crate) fn is_executable(meta: &Metadata) -> bool {
    system::is_executable(meta)
}

/// Lets everybody run a file who may read it.
///
/// # Errors
/// What the system says.
pub(crate) fn make_executable(path: &Path) -> io::Result<()> {
    system::make_executable(path)
}

/// The permissions of a file that its owner may write; `before` has the write bits that it had once. With which bits are
/// taken away, and `None` where nothing is to change.
#[must_use]
pub(crate) fn writable(
    permissions: &Permissions,
    before: Option<u32>,
) -> Option<(Permissions, u32)> {
    system::writable(permissions, before)
}

/// The permissions of a file that nobody may write. As [`writable`].
#[must_use]
pub(crate) fn read_only(permissions: &Permissions) -> Option<(Permissions, u32)> {
    system::read_only(permissions)
}

/// Gives a new file to whom an old one belongs, where the system has owners.
///
/// # Errors
/// What the system says.
pub(crate) fn keep_owner(old: &Path, new: &File) -> io::Result<()> {
    system::keep_owner(old, new)
}

#[cfg(unix)]
mod system {
    use std::fs::{self, File, Metadata, Permissions};
    use std::io;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
    use std::path::Path;

    use super::{OWNER_WRITES, WRITE};

    pub(super) fn is_executable(meta: &Metadata) -> bool {
        meta.permissions().mode() & 0o111 != 0
    }

    pub(super) fn make_executable(path: &Path) -> io::Result<()> {
        let mode = fs::metadata(path)?.permissions().mode();
        fs::set_permissions(path, Permissions::from_mode(mode | (mode & 0o444) >> 2))
    }

    pub(super) fn writable(
        permissions: &Permissions,
        before: Option<u32>,
    ) -> Option<(Permissions, u32)> {
        let mode = permissions.mode();
        if mode & OWNER_WRITES != 0 {
            return None;
        }
        changed(mode, mode | OWNER_WRITES | (before.unwrap_or(0) & WRITE))
    }

    pub(super) fn read_only(permissions: &Permissions) -> Option<(Permissions, u32)> {
        let mode = permissions.mode();
        changed(mode, mode & !WRITE)
    }

    fn changed(mode: u32, wanted: u32) -> Option<(Permissions, u32)> {
        (wanted != mode).then(|| (Permissions::from_mode(wanted), mode & !wanted & WRITE))
    }

    pub(super) fn keep_owner(old: &Path, new: &File) -> io::Result<()> {
        let Ok(old) = fs::metadata(old) else {
            return Ok(());
        };
        let own = new.metadata()?;
        if (old.uid(), old.gid()) == (own.uid(), own.gid()) {
            return Ok(());
        }
        fchown(new, Some(old.uid()), Some(old.gid()))
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::{File, Metadata, Permissions};
    use std::io;
    use std::path::Path;

    use super::OWNER_WRITES;

    pub(super) fn is_executable(_meta: &Metadata) -> bool {
        // Git for Windows runs hooks by their first line.
        true
    }

    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub(super) fn make_executable(_path: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn writable(
        permissions: &Permissions,
        _before: Option<u32>,
    ) -> Option<(Permissions, u32)> {
        changed(permissions, false)
    }

    pub(super) fn read_only(permissions: &Permissions) -> Option<(Permissions, u32)> {
        changed(permissions, true)
    }

    fn changed(permissions: &Permissions, readonly: bool) -> Option<(Permissions, u32)> {
        let mut wanted = permissions.clone();
        wanted.set_readonly(readonly);
        let taken = if readonly { OWNER_WRITES } else { 0 };
        (permissions.readonly() != readonly).then_some((wanted, taken))
    }

    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub(super) fn keep_owner(_old: &Path, _new: &File) -> io::Result<()> {
        Ok(())
    }
}
