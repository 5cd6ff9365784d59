//! Signals, where the system has them.
//!
//! What whoever started us wants ignored (`nohup`) stays ignored: a handler of ours would end that. Not so with a server,
//! which is started in the background and told by signals to end and to reopen its log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Asks a process to end (`SIGTERM`).
pub const TERMINATE: i32 = 15;
/// Ends a process (`SIGKILL`).
pub const KILL: i32 = 9;

/// One signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// Whether it wants this process to end.
    pub is_to_end: bool,
    /// Whether a process sent it. What a terminal sends reaches its whole foreground group by itself.
    pub is_sent: bool,
}

/// From now on Ctrl-C, `SIGTERM` and `SIGHUP` only set a flag.
pub fn set_on_end(flag: &Arc<AtomicBool>) {
    system::set_on_end(flag);
}

/// From now on `then` is called, on a thread of its own, for each Ctrl-C, `SIGTERM` and `SIGHUP`.
///
/// # Errors
/// What the system says.
pub fn on_end(then: impl FnMut() + Send + 'static) -> io::Result<()> {
    system::on_end(then)
}

/// The same for Ctrl-C and `SIGTERM` alone, also where they were ignored, as a server wants it.
///
/// # Errors
/// What the system says.
pub(crate) fn on_stop(then: impl FnMut() + Send + 'static) -> io::Result<()> {
    system::on_stop(then)
}

/// From now on `then` is called for each `SIGHUP`, also where it was ignored.
///
/// # Errors
/// What the system says.
pub(crate) fn on_hangup(then: impl FnMut() + Send + 'static) -> io::Result<()> {
    system::on_hangup(then)
}

/// From now on `then` is called for every signal that a command under us may be meant to get.
///
/// # Errors
/// What the system says.
pub fn on_each(then: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
    system::on_each(then)
}

#[cfg(unix)]
pub(super) use system::{emulate_default, handled};

#[cfg(unix)]
mod system {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    use signal_hook::iterator::exfiltrator::origin::WithOrigin;
    use signal_hook::iterator::{Signals, SignalsInfo};
    use signal_hook::low_level::siginfo::Cause;

    use super::Signal;

    const END: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

    pub(super) fn set_on_end(flag: &Arc<AtomicBool>) {
        for signal in not_ignored(&END) {
            if let Err(error) = signal_hook::flag::register(signal, Arc::clone(flag)) {
                tracing::debug!(%error, signal, "the signal is not caught");
            }
        }
    }

    pub(super) fn on_end(then: impl FnMut() + Send + 'static) -> io::Result<()> {
        on(&not_ignored(&END), then)
    }

    pub(super) fn on_stop(then: impl FnMut() + Send + 'static) -> io::Result<()> {
        on(&[SIGINT, SIGTERM], then)
    }

    pub(super) fn on_hangup(then: impl FnMut() + Send + 'static) -> io::Result<()> {
        on(&[SIGHUP], then)
    }

    fn on(signals: &[i32], mut then: impl FnMut() + Send + 'static) -> io::Result<()> {
        let mut signals = Signals::new(signals)?;
        std::thread::spawn(move || signals.forever().for_each(|_| then()));
        Ok(())
    }

    pub(super) fn on_each(mut then: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
        let all = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];
        let mut incoming = SignalsInfo::<WithOrigin>::new(not_ignored(&all))?;
        std::thread::spawn(move || {
            for origin in incoming.forever() {
                then(Signal {
                    number: origin.signal,
                    is_to_end: ![SIGUSR1, SIGUSR2].contains(&origin.signal),
                    is_sent: matches!(origin.cause, Cause::Sent(_)),
                });
            }
        });
        Ok(())
    }

    /// The signals that end this process, as they come, and what closes them.
    pub(in crate::os) fn handled() -> io::Result<Signals> {
        Signals::new(not_ignored(&END))
    }

    /// What the system would have done.
    pub(in crate::os) fn emulate_default(signal: i32) {
        // Where that fails, the next signal tries again.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }

    /// Those of the signals that whoever started us does not want ignored, by proc(5).
    fn not_ignored(signals: &[i32]) -> Vec<i32> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        let mask = mask.unwrap_or_default();
        let kept = signals.iter().filter(|s| mask >> (**s - 1) & 1 == 0);
        kept.copied().collect()
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::Signal;

    pub(super) fn set_on_end(_flag: &Arc<AtomicBool>) {}

    pub(super) fn on_end(_then: impl FnMut() + Send + 'static) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn on_stop(_then: impl FnMut() + Send + 'static) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn on_hangup(_then: impl FnMut() + Send + 'static) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn on_each(_then: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
