//! Processes that we have started, and becoming another program.

use std::process::{Child, Command, ExitStatus};

/// Asks a child to end; says whether the system has a word for that.
#[expect(clippy::must_use_candidate, reason = "who only asks need not know")]
pub fn ask_to_end(child: &Child) -> bool {
    send(child.id(), super::signals::TERMINATE)
}

/// Sends a signal to a process; says whether the system has such a thing.
#[expect(clippy::must_use_candidate, reason = "who only asks need not know")]
pub fn send(pid: u32, signal: i32) -> bool {
    system::send(pid, signal)
}

/// Waits for the end of a child without reaping it, so that its number stays its own.
pub fn wait_without_reaping(child: &Child) {
    system::wait_without_reaping(child);
}

/// The exit code of a process: 128 + n for signal n.
#[must_use]
pub fn exit_code(status: ExitStatus) -> u8 {
    u8::try_from(system::exit_code(status)).unwrap_or(u8::MAX)
}

/// Becomes another program. Returns where that fails.
pub fn become_command(command: &mut Command) -> std::io::Error {
    system::become_command(command)
}

/// Ties this process to its parent, so that it ends with it; says whether the parent still lives. Survives becoming
/// another program.
#[must_use]
pub fn end_with(parent: u32) -> bool {
    system::end_with(parent)
}

/// Whether an error means that the system did not know how to run a file (`ENOEXEC`).
#[must_use]
pub fn is_no_program(error: &std::io::Error) -> bool {
    cfg!(unix) && error.raw_os_error() == Some(8)
}

#[cfg(unix)]
mod system {
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::{Child, Command, ExitStatus};

    use rustix::io::Errno;
    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

    pub(super) fn send(pid: u32, signal: i32) -> bool {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal))
            && let Err(error) = kill_process(pid, signal)
        {
            // It may have ended meanwhile.
            tracing::debug!(%error, "the signal is not sent");
        }
        true
    }

    pub(super) fn wait_without_reaping(child: &Child) {
        let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
            return;
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
    }

    pub(super) fn exit_code(status: ExitStatus) -> i32 {
        match status.signal() {
            Some(signal) => 128 + signal,
            None => status.code().unwrap_or(1),
        }
    }

    pub(super) fn become_command(command: &mut Command) -> std::io::Error {
        command.exec()
    }

    /// By prctl(2).
    #[cfg(target_os = "linux")]
    pub(super) fn end_with(parent: u32) -> bool {
        use rustix::process::{getppid, set_parent_process_death_signal};
        if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
            tracing::warn!(%error, "the command would outlive a killed `git latch run`");
        }
        // The parent may have died before the kernel was asked.
        getppid().is_some_and(|pid| u32::try_from(pid.as_raw_nonzero().get()) == Ok(parent))
    }

    /// Elsewhere there is no such word to the kernel.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn end_with(_parent: u32) -> bool {
        true
    }
}

#[cfg(not(unix))]
mod system {
    use std::process::{Child, Command, ExitStatus};

    pub(super) fn send(_pid: u32, _signal: i32) -> bool {
        false
    }

    pub(super) fn wait_without_reaping(_child: &Child) {}

    pub(super) fn exit_code(status: ExitStatus) -> i32 {
        status.code().unwrap_or(1)
    }

    pub(super) fn become_command(command: &mut Command) -> std::io::Error {
        match command.status() {
            #[expect(clippy::exit, reason = "what stands for exec where there is none")]
            Ok(status) => std::process::exit(status.code().unwrap_or(1)),
            Err(error) => error,
        }
    }

    pub(super) fn end_with(_parent: u32) -> bool {
        true
    }
}
