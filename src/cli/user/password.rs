//! Reading a password: the first line of standard input; at a terminal asked for twice, and not shown.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use crate::cli::output;
use git_latch::error::{Error, Result};

/// The longest line that is read, in bytes.
const LONGEST: u64 = 4096;

/// Reads the password of this user.
pub(super) fn read(name: &str) -> Result<String> {
    if !io::stdin().is_terminal() {
        return line();
    }
    let hidden = Hidden::begin();
    output::ask(&format!("Password for {name}{}: ", hidden.warning()));
    let first = line()?;
    hidden.end_line();
    output::ask("Again: ");
    let second = line()?;
    hidden.end_line();
    if first == second {
        return Ok(first);
    }
    Err(Error::BadUsage {
        problem: "the two passwords differ".into(),
        hint: None,
    })
}

/// A line of standard input, without its end.
fn line() -> Result<String> {
    let mut bytes = Vec::new();
    let read = io::stdin()
        .lock()
        .take(LONGEST)
        .read_until(b'\n', &mut bytes);
    read.map_err(Error::io("read the password from", "-"))?;
    let mut line = bytes.as_slice();
    line = line.strip_suffix(b"\n").unwrap_or(line);
    line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line);
    text.map(str::to_owned).map_err(|_| Error::BadUsage {
        problem: "the password is not UTF-8".into(),
        hint: None,
    })
}

#[cfg(unix)]
use unix::Hidden;

#[cfg(unix)]
mod unix {
    use std::io;
    use std::thread;

    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::{Handle, Signals};

    use crate::cli::interrupt::not_ignored;
    use crate::cli::output;

    /// A terminal that does not show what is typed, until this is dropped or a signal ends the program.
    pub(super) struct Hidden {
        before: Option<Termios>,
        signals: Option<Handle>,
    }

    impl Hidden {
        pub(super) fn begin() -> Self {
            let before = tcgetattr(io::stdin()).ok();
            let signals = before.as_ref().and_then(restore_on_signal);
            let hidden = before.filter(hide);
            Hidden {
                before: hidden,
                signals,
            }
        }

        pub(super) fn warning(&self) -> &'static str {
            match self.before {
                Some(_) => "",
                None => " (it will be seen)",
            }
        }

        /// Ends the line on the terminal, which did not show that it was ended.
        pub(super) fn end_line(&self) {
            if self.before.is_some() {
                output::eprint("");
            }
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
        let mut signals = Signals::new(not_ignored(&[SIGINT, SIGTERM, SIGHUP])).ok()?;
        let handle = signals.handle();
        let before = before.clone();
        thread::spawn(move || {
            for signal in signals.forever() {
                restore(&before);
                // Where that fails, the next signal tries again.
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        });
        Some(handle)
    }
}

#[cfg(not(unix))]
struct Hidden;

#[cfg(not(unix))]
impl Hidden {
    fn begin() -> Self {
        Hidden
    }

    fn warning(&self) -> &'static str {
        " (it will be seen)"
    }

    fn end_line(&self) {}
}
