//! Ctrl-C and `SIGTERM` while something is waited for: noted, so that nothing is left half done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use git_latch::watch::Waker;

/// Whether the user has asked to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on signals only set a flag.
    pub(crate) fn catch() -> Self {
        let interrupt = Interrupt::default();
        #[cfg(unix)]
        for signal in not_ignored(&unix::SIGNALS) {
            if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&interrupt.0)) {
                tracing::debug!(%error, signal, "the signal is not caught");
            }
        }
        interrupt
    }

    /// From now on signals that are caught end a wait as well.
    pub(crate) fn wake_on_signals(waker: Waker) {
        #[cfg(unix)]
        if let Err(error) = unix::wake_on_signals(waker) {
            tracing::debug!(%error, "signals end no wait");
        }
        #[cfg(not(unix))]
        drop(waker);
    }

    /// Notes that one came.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether one came.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Those of the signals that whoever started us does not want ignored (`nohup`), by proc(5).
#[cfg(unix)]
pub(crate) fn not_ignored(signals: &[i32]) -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let mask = mask.unwrap_or_default();
    let kept = signals.iter().filter(|s| mask >> (**s - 1) & 1 == 0);
    kept.copied().collect()
}

#[cfg(unix)]
mod unix {
    use std::io;

    use git_latch::watch::Waker;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    pub(super) const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

    /// The flag is set before: handlers run in the order in which they were registered.
    pub(super) fn wake_on_signals(waker: Waker) -> io::Result<()> {
        let mut signals = Signals::new(super::not_ignored(&SIGNALS))?;
        std::thread::spawn(move || {
            for _ in signals.forever() {
                waker.wake();
            }
        });
        Ok(())
    }
}
