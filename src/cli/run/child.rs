//! The command under the locks: started, waited for, and told of the signals that are meant for it.
//!
//! A Ctrl-C at the terminal reaches the command by itself; what somebody sends to `run` alone is passed on. `run` itself
//! stays until the command has ended, because it has locks to give back.

use std::ffi::OsString;
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::cli::interrupt::Interrupt;
use git_latch::os::signals::Signal;
use git_latch::os::{child, signals};

/// How long a command that is to end may take before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The command's process, as far as it may be sent signals.
#[derive(Debug, Default)]
struct Recipient {
    /// Its number, from its start until before it is reaped: after that the number may be another's.
    pid: Option<u32>,
    /// What came before it was started.
    pending: Vec<i32>,
}

/// Signals to this process, and where they go.
#[derive(Clone, Debug, Default)]
pub(super) struct Signals {
    interrupt: Interrupt,
    recipient: Arc<(Mutex<Recipient>, Condvar)>,
}

impl Signals {
    /// From now on a signal ends a wait, or goes to the command.
    pub(super) fn catch() -> Self {
        let signals = Signals::default();
        let to = signals.clone();
        if let Err(error) = signals::on_each(move |signal| to.pass_on(signal)) {
            tracing::warn!(%error, "signals are not passed on");
        }
        signals
    }

    /// Passes on what other processes send; what the terminal sends reaches the command by itself.
    fn pass_on(&self, signal: Signal) {
        if signal.is_to_end {
            self.interrupt.set();
        }
        if signal.is_sent {
            self.with(|recipient| recipient.send(signal.number));
        }
    }

    /// Whether somebody asked to stop.
    pub(super) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    fn with<T>(&self, change: impl FnOnce(&mut Recipient) -> T) -> T {
        change(&mut self.recipient.0.lock())
    }

    /// Ends the command: `SIGTERM`, and `SIGKILL` when that does not help within ten seconds.
    pub(super) fn terminate(&self) {
        self.with(|recipient| recipient.send(signals::TERMINATE));
        let signals = self.clone();
        std::thread::spawn(move || {
            let (lock, ended) = &*signals.recipient;
            let mut recipient = lock.lock();
            let _ = ended.wait_while_for(&mut recipient, |r| r.pid.is_some(), PATIENCE);
            recipient.send(signals::KILL);
        });
    }
}

/// A started command.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    signals: Signals,
}

impl Child {
    /// Starts a command that ends with this process. Must be called from the thread that waits for it: the kernel takes
    /// that thread for the parent.
    pub(super) fn start(
        command: &[OsString],
        variables: &[(&'static str, String)],
        signals: &Signals,
    ) -> io::Result<Self> {
        let parent = std::process::id().to_string();
        let process = Command::new(std::env::current_exe()?)
            .args(["__exec", "--parent", &parent, "--"])
            .args(command)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .spawn()?;
        let pid = process.id();
        signals.with(|recipient| {
            recipient.pid = Some(pid);
            for signal in std::mem::take(&mut recipient.pending) {
                recipient.send(signal);
            }
        });
        Ok(Child {
            process,
            signals: signals.clone(),
        })
    }

    /// Waits for its end; gives its exit code, 128 + n for signal n.
    pub(super) fn wait(mut self) -> u8 {
        child::wait_without_reaping(&self.process);
        self.signals.with(|recipient| recipient.pid = None);
        self.signals.recipient.1.notify_all();
        match self.process.wait() {
            Ok(status) => child::exit_code(status),
            Err(error) => {
                tracing::error!(%error, "the command cannot be waited for");
                1
            }
        }
    }
}

impl Recipient {
    /// Sends a signal to the command, or keeps it until the command is there.
    fn send(&mut self, signal: i32) {
        match self.pid {
            Some(pid) if child::send(pid, signal) => {}
            Some(pid) => tracing::warn!(pid, signal, "signals are not passed on here"),
            None => self.pending.push(signal),
        }
    }
}
