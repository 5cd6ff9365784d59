//! The terminal, and what is at the other end of standard output.

use std::io;

/// The columns of the terminal that standard output leads to; `None` where it leads elsewhere.
#[must_use]
pub fn columns() -> Option<usize> {
    system::columns()
}

/// Whether nobody can read standard output any more: it is a pipe whose other end is closed.
#[must_use]
pub fn is_deserted(stdout: &io::Stdout) -> bool {
    system::is_deserted(stdout)
}

pub use system::Hidden;

#[cfg(unix)]
mod system {
    use std::io;
    use std::thread;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::termios::{
        LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr,
    };
    use signal_hook::iterator::Handle;

    use crate::os::signals;

    pub(super) fn columns() -> Option<usize> {
        let size = tcgetwinsize(io::stdout()).ok()?;
        (size.ws_col > 0).then(|| usize::from(size.ws_col))
    }

    pub(super) fn is_deserted(stdout: &io::Stdout) -> bool {
        let mut watched = [PollFd::new(stdout, PollFlags::empty())];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // Of a pipe only its end; a terminal that hangs up sends a signal as well.
        poll(&mut watched, Some(&at_once)).is_ok() && watched[0].revents().contains(PollFlags::ERR)
    }

    /// A terminal that does not show what is typed, until this is dropped or a signal ends the program.
    #[must_use = "the terminal shows again what is typed when this is dropped"]
    pub struct Hidden {
        before: Option<Termios>,
        signals: Option<Handle>,
    }

    impl Hidden {
        /// Hides what is typed at standard input, if that is a terminal that can.
        pub fn begin() -> Self {
            let before = tcgetattr(io::stdin()).ok();
            let signals = before.as_ref().and_then(restore_on_signal);
            let hidden = before.filter(hide);
            Hidden {
                before: hidden,
                signals,
            }
        }

        /// Whether it is hidden.
        #[must_use]
        pub fn is_hidden(&self) -> bool {
            self.before.is_some()
        }
    }

    impl Drop for Hidden {
        fn drop(&mut self) {
            if let Some(before) = &self.before {
                restore(before);
            }
            if let Some(signals) = &self.signals {
                signals.close();
            }
        }
    }

    fn hide(before: &Termios) -> bool {
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).is_ok()
    }

    fn restore(before: &Termios) {
        // A terminal that has gone away needs no mending.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
    }

    /// Ctrl-C must not leave a terminal behind that shows nothing.
    fn restore_on_signal(before: &Termios) -> Option<Handle> {
        let mut signals = signals::handled().ok()?;
        let handle = signals.handle();
        let before = before.clone();
        thread::spawn(move || {
            for signal in signals.forever() {
                restore(&before);
                signals::emulate_default(signal);
            }
        });
        Some(handle)
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;

    pub(super) fn columns() -> Option<usize> {
        None
    }

    pub(super) fn is_deserted(_stdout: &io::Stdout) -> bool {
        false
    }

    /// Nothing is hidden here.
    pub struct Hidden;

    impl Hidden {
        /// Hides nothing.
        pub fn begin() -> Self {
            Hidden
        }

        /// Whether what is typed is hidden.
        #[must_use]
        pub fn is_hidden(&self) -> bool {
            false
        }
    }
}
