//! A git that speaks with a network: it ends in time, whatever the other side does, and whatever git has started.
//!
//! Git's helpers (ssh, a credential daemon) inherit its pipes and may outlive it. So the pipes are read aside, and what
//! counts as the end is the end of git itself.

use std::io;
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::Cancel;
use crate::os::process;

/// The longest pause between two looks at a git that says nothing.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the pipes of a git that has ended may be quiet before they count as read.
const QUIET: Duration = Duration::from_millis(200);
/// How long they are read at most.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// How long git may take to end its own helpers when it is told to end.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What was heard of a git that speaks with a network.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// How it ended; `None` where its time was up.
    pub(crate) status: Option<ExitStatus>,
    /// What it wrote to standard output until then.
    pub(crate) stdout: Vec<u8>,
    /// What it wrote to standard error until then.
    pub(crate) stderr: Vec<u8>,
}

impl Exchange {
    /// Its output, if it ended by itself.
    pub(crate) fn ended(self) -> Option<Output> {
        Some(Output {
            status: self.status?,
            stdout: self.stdout,
            stderr: self.stderr,
        })
    }
}

/// One of the two pipes.
#[derive(Clone, Copy)]
enum Pipe {
    Out,
    Err,
}

type Chunk = (Pipe, Vec<u8>);

/// What has come out of the pipes.
#[derive(Default)]
struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Heard {
    fn add(&mut self, (pipe, bytes): Chunk) {
        match pipe {
            Pipe::Out => self.stdout.extend(bytes),
            Pipe::Err => self.stderr.extend(bytes),
        }
    }

    /// Takes what is left in the pipes of a git that has ended. A helper may keep them open, and go on writing.
    fn rest(&mut self, pipes: &Receiver<Chunk>) {
        let end = Instant::now() + AFTERWARDS;
        while Instant::now() < end {
            match pipes.recv_timeout(QUIET) {
                Ok(chunk) => self.add(chunk),
                Err(_) => return,
            }
        }
    }

    fn into_exchange(self, status: Option<ExitStatus>) -> Exchange {
        Exchange {
            status,
            stdout: self.stdout,
            stderr: self.stderr,
        }
    }
}

/// Runs a command whose two outputs are pipes, and ends it and all it has started when its time is up.
pub(super) fn run(command: &mut Command, limit: Duration, cancel: &Cancel) -> io::Result<Exchange> {
    let end = Instant::now() + limit;
    let mut child = command.spawn()?;
    let (tell, pipes) = channel();
    pump(child.stdout.take(), Pipe::Out, tell.clone());
    pump(child.stderr.take(), Pipe::Err, tell);
    let mut heard = Heard::default();
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait()? {
            heard.rest(&pipes);
            return Ok(heard.into_exchange(Some(status)));
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || cancel.is_cancelled() {
            end_all(&mut child);
            heard.rest(&pipes);
            return Ok(heard.into_exchange(None));
        }
        match pipes.recv_timeout(pause.min(left)) {
            Ok(chunk) => heard.add(chunk),
            Err(RecvTimeoutError::Timeout) => pause = (pause * 2).min(PAUSE),
            // It has closed both pipes, and is about to end.
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(pause.min(left));
                pause = (pause * 2).min(PAUSE);
            }
        }
    }
}

/// Reads a pipe to its end, aside: nobody waits for that end.
fn pump<R: io::Read + Send + 'static>(pipe: Option<R>, which: Pipe, tell: Sender<Chunk>) {
    let Some(mut pipe) = pipe else { return };
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        loop {
            match pipe.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) if tell.send((which, buffer[..n].to_vec())).is_err() => return,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
}

/// Ends git and what it has started and not let go of: a helper that waits for a dead network would wait for ever.
fn end_all(child: &mut Child) {
    let helpers = process::below(child.id());
    super::end_git(child, LAST_WORDS);
    for helper in helpers {
        helper.end();
    }
}
