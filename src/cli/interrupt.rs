//! Ctrl-C and `SIGTERM` while something is waited for: noted, so that nothing is left half done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the user has asked to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on signals only set a flag.
    pub(crate) fn catch() -> Self {
        let interrupt = Interrupt::default();
        #[cfg(unix)]
        for signal in [
            signal_hook::consts::SIGINT,
            signal_hook::consts::SIGTERM,
            signal_hook::consts::SIGHUP,
        ] {
            if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&interrupt.0)) {
                tracing::debug!(%error, signal, "the signal is not caught");
            }
        }
        interrupt
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
