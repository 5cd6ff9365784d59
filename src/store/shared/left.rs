//! The lock file of a ref that a git has left which died: nobody can move the ref while it is there.
//!
//! A git that only sleeps, in a hook or because somebody has stopped it, renames it to the ref when it wakes up, whatever
//! file it is by then. So it is removed only where its maker cannot be alive, as far as this machine can tell: it has been
//! the same file for ten minutes of this process's own time, and no git on this machine works in the repository.

use std::path::Path;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::fault;
use crate::store::files::Stamp;

/// How long it has to be there.
const LEFT: Duration = Duration::from_secs(600);

/// A lock file that was met.
#[derive(Debug, Default)]
pub(super) struct Left(Mutex<Option<(Stamp, Instant)>>);

impl Left {
    /// Looks at the lock file of a ref in a repository, and removes it if it is left.
    pub(super) fn look(&self, lock: &Path, repository: &Path) {
        let mut met = self.0.lock();
        let Some(stamp) = Stamp::at(lock) else {
            *met = None;
            return;
        };
        let since = match *met {
            Some((before, since)) if before == stamp => since,
            _ => Instant::now(),
        };
        *met = Some((stamp, since));
        if since.elapsed() < fault::limit("GIT_LATCH_LEFT_MS", LEFT) || is_worked_in(repository) {
            return;
        }
        // Once more: it may have been moved meanwhile, and another one made.
        if Stamp::at(lock) == Some(stamp) {
            let removed = std::fs::remove_file(lock);
            tracing::warn!(lock = %lock.display(), ?removed, "a lock file that a dead git has left");
            *met = None;
        }
    }
}

/// Whether a git of this machine may be at work in a repository: by its directory, its open files, its arguments or its
/// environment. One that cannot be looked at may be.
#[cfg(target_os = "linux")]
fn is_worked_in(repository: &Path) -> bool {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;

    let own = std::process::id().to_string();
    let name = repository.as_os_str().as_bytes();
    let names_it = |text: &[u8]| text.windows(name.len()).any(|part| part == name);
    let works = |process: &Path| {
        let is_gone = |e: &std::io::Error| {
            // Of a process that ends there is nothing to read; `ESRCH` has no kind of its own.
            e.kind() == std::io::ErrorKind::NotFound || e.raw_os_error() == Some(3)
        };
        let leads_in = |link: &Path| match fs::read_link(link) {
            Ok(target) => target.starts_with(repository),
            Err(e) => !is_gone(&e),
        };
        let says = |file: &str| match fs::read(process.join(file)) {
            Ok(text) => names_it(&text),
            Err(e) => !is_gone(&e),
        };
        let has_open = || match fs::read_dir(process.join("fd")) {
            Ok(open) => open.flatten().any(|file| leads_in(&file.path())),
            Err(e) => !is_gone(&e),
        };
        leads_in(&process.join("cwd")) || says("cmdline") || says("environ") || has_open()
    };
    let Ok(processes) = fs::read_dir("/proc") else {
        return true;
    };
    processes.flatten().any(|process| {
        let path = process.path();
        // `/proc/self` is ours, too.
        let is_other = process
            .file_name()
            .to_str()
            .is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()) && name != own);
        let is_git = || fs::read(path.join("comm")).is_ok_and(|comm| comm.starts_with(b"git"));
        is_other && is_git() && works(&path)
    })
}

/// Nobody can tell: whoever knows removes it by hand.
#[cfg(not(target_os = "linux"))]
fn is_worked_in(_repository: &Path) -> bool {
    true
}
