//! Ctrl-C and `SIGTERM` while something is waited for: noted, so that nothing is left half done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use git_latch::os::signals;
use git_latch::os::watch::Waker;

/// Whether the user has asked to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on signals only set a flag.
    pub(crate) fn catch() -> Self {
        let interrupt = Interrupt::default();
        signals::set_on_end(&interrupt.0);
        interrupt
    }

    /// From now on signals that are caught end a wait as well.
    pub(crate) fn wake_on_signals(waker: Waker) {
        // The flag is set before: handlers run in the order in which they were registered.
        if let Err(error) = signals::on_end(move || waker.wake()) {
            tracing::debug!(%error, "signals do not end a wait");
        }
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
