//! The command of `--exec`: once for each event, one after the other, beside the watching.

use std::io::{self, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cli::output::Output;
use git_latch::rules::event::Event;
use git_latch::rules::report::Viewpoint;
use git_latch::rules::time::rfc3339;
use git_latch::rules::view::Entry;

/// How many events wait for the command at most.
const QUEUED: usize = 10_000;
/// The pauses between two looks whether the command has ended: it may be short, or go on for hours.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];
/// How long a command that was told to end may take; then it goes on without us.
const PATIENCE: Duration = Duration::from_millis(500);

/// What one run is given.
struct Call {
    json: String,
    variables: Vec<(&'static str, String)>,
}

/// Runs a shell command for events.
#[derive(Debug)]
pub(super) struct Runner {
    calls: SyncSender<Call>,
    output: Output,
    has_dropped: bool,
    is_over: Arc<AtomicBool>,
    worker: JoinHandle<()>,
}

impl Runner {
    pub(super) fn new(command: &str, output: Output) -> Self {
        let (calls, queue) = mpsc::sync_channel(QUEUED);
        let is_over = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            command: command.to_owned(),
            output,
            is_over: Arc::clone(&is_over),
        };
        Runner {
            calls,
            output,
            has_dropped: false,
            is_over,
            worker: std::thread::spawn(move || worker.work(&queue)),
        }
    }

    /// Has the command run for an event, after those before it.
    pub(super) fn run(&mut self, viewpoint: &Viewpoint<'_>, event: &Event) {
        let report = serde_json::to_string(&viewpoint.event(event));
        let call = Call {
            json: report.expect("strings and numbers are JSON") + "\n",
            variables: variables(viewpoint, event),
        };
        let is_dropped = self.calls.try_send(call).is_err();
        if is_dropped && !std::mem::replace(&mut self.has_dropped, true) {
            self.output
                .note("the --exec command is too slow: it is not run for every event");
        }
    }

    /// Ends the run that is under way, and begins no other.
    pub(super) fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        drop(self.calls);
        if self.worker.join().is_err() {
            tracing::debug!("the command's thread has panicked");
        }
    }
}

struct Worker {
    command: String,
    output: Output,
    is_over: Arc<AtomicBool>,
}

impl Worker {
    fn work(&self, queue: &Receiver<Call>) {
        for call in queue {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            match self.call(&call) {
                Ok(Some(code)) => self
                    .output
                    .note(format!("the --exec command ended with {code}")),
                Ok(None) => {}
                Err(error) => self
                    .output
                    .note(format!("the --exec command does not run: {error}")),
            }
        }
    }

    /// Runs the command; gives its exit code if it is another than 0.
    fn call(&self, call: &Call) -> io::Result<Option<i32>> {
        let mut command = Command::new("sh");
        command
            .args(["-c", &self.command])
            .envs(call.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped());
        if self.output.json {
            // Standard output is for our lines alone.
            command.stdout(io::stderr());
        }
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // It need not read it.
            let _ = stdin.write_all(call.json.as_bytes());
        }
        let Some(status) = self.wait(&mut child)? else {
            return Ok(None);
        };
        Ok(match status.code() {
            _ if self.is_over.load(Ordering::Relaxed) => None,
            Some(0) => None,
            code => Some(code.unwrap_or(128)),
        })
    }

    /// Waits for its end; `None` where it is to end and does not.
    fn wait(&self, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        let (mut left, mut pause, mut is_told) = (PATIENCE, PAUSES[0], false);
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if self.is_over.load(Ordering::Relaxed) {
                if !std::mem::replace(&mut is_told, true) {
                    end(child);
                }
                left = left.saturating_sub(pause);
                if left.is_zero() {
                    return Ok(None);
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSES[1]);
        }
    }
}

/// `SIGTERM`; what does not heed that goes on without us.
fn end(child: &mut Child) {
    if !git_latch::os::child::ask_to_end(child) {
        drop(child.kill());
    }
}

/// The event as environment variables. None of them is one that git-latch itself obeys.
fn variables(viewpoint: &Viewpoint<'_>, event: &Event) -> Vec<(&'static str, String)> {
    let until = event.lock.ends_at(viewpoint.now, viewpoint.terms);
    let lock = event.lock.lock();
    let owner = lock.map(|lock| &lock.owner);
    let previous = event.previous.as_ref().and_then(Entry::lock);
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    vec![
        ("GIT_LATCH_EVENT", event.happening.as_str().to_owned()),
        ("GIT_LATCH_SEQ", event.seq.to_string()),
        ("GIT_LATCH_AT", rfc3339(event.at)),
        ("GIT_LATCH_PATH", event.path.clone()),
        ("GIT_LATCH_HOLDER", text(owner.map(|o| o.id.as_str()))),
        (
            "GIT_LATCH_HOLDER_NAME",
            text(owner.map(|o| o.name.as_str())),
        ),
        (
            "GIT_LATCH_HOLDER_HOST",
            text(owner.map(|o| o.host.as_str())),
        ),
        ("GIT_LATCH_UNTIL", until.map(rfc3339).unwrap_or_default()),
        (
            "GIT_LATCH_REASON",
            text(lock.and_then(|l| l.reason.as_deref())),
        ),
        (
            "GIT_LATCH_MINE",
            u8::from(viewpoint.me.has(&event.lock)).to_string(),
        ),
        (
            "GIT_LATCH_PREVIOUS_HOLDER",
            text(previous.map(|l| l.owner.id.as_str())),
        ),
    ]
}
