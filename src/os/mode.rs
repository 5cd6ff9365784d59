//! Modes of what we create: 0666 and 0777 less the umask, widened as `core.sharedRepository` says.

use std::fs;
use std::io;
use std::path::Path;

/// `core.sharedRepository`: who besides its creator may use what is created in the repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// What the umask leaves.
    #[default]
    Umask,
    /// The group may read and write.
    Group,
    /// The group may read and write, everybody may read.
    All,
    /// Exactly these bits for files (an octal number in the configuration).
    Exactly(u32),
}

impl Sharing {
    /// Reads the configuration's value, by git's rules; what git would not understand counts as `umask`.
    #[must_use]
    pub(crate) fn from_config(value: &str) -> Self {
        match value.to_ascii_lowercase().as_str() {
            "group" | "true" | "yes" | "on" | "1" => Sharing::Group,
            "all" | "world" | "everybody" | "2" => Sharing::All,
            octal => match u32::from_str_radix(octal, 8) {
                Ok(mode) if octal.len() > 1 && mode & 0o600 == 0o600 => {
                    Sharing::Exactly(mode & 0o666)
                }
                _ => Sharing::Umask,
            },
        }
    }

    /// The bits of a file that was created with `mode`; `None` where they are right already.
    #[cfg(unix)]
    fn file_mode(self, mode: u32) -> Option<u32> {
        let wanted = match self {
            Sharing::Umask => mode,
            Sharing::Group => mode | 0o660,
            Sharing::All => mode | 0o664,
            Sharing::Exactly(exact) => (mode & !0o777) | exact,
        };
        (wanted != mode).then_some(wanted)
    }

    /// Gives a file the bits it should have.
    pub(crate) fn adjust_file(self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            if self == Sharing::Umask {
                return Ok(());
            }
            let mode = fs::metadata(path)?.permissions().mode();
            if let Some(wanted) = self.file_mode(mode) {
                fs::set_permissions(path, fs::Permissions::from_mode(wanted))?;
            }
        }
        #[cfg(not(unix))]
        let _ = path;
        Ok(())
    }

    /// Gives a directory the bits it should have: who may read may also enter, and new files get the group.
    pub(crate) fn adjust_directory(self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            if self == Sharing::Umask {
                return Ok(());
            }
            let mode = fs::metadata(path)?.permissions().mode();
            let file_mode = self.file_mode(mode).unwrap_or(mode);
            let wanted = file_mode | ((file_mode & 0o444) >> 2) | 0o2000;
            if wanted != mode {
                fs::set_permissions(path, fs::Permissions::from_mode(wanted))?;
            }
        }
        #[cfg(not(unix))]
        let _ = path;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_git_reads_them() {
        assert_eq!(Sharing::from_config("group"), Sharing::Group);
        assert_eq!(Sharing::from_config("true"), Sharing::Group);
        assert_eq!(Sharing::from_config("world"), Sharing::All);
        assert_eq!(Sharing::from_config("0660"), Sharing::Exactly(0o660));
        for value in ["umask", "false", "0", "0440", "nonsense"] {
            assert_eq!(Sharing::from_config(value), Sharing::Umask, "{value}");
        }
    }
}
