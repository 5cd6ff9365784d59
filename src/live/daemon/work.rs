//! What takes time is done beside the daemon's own thread: a remote may hang, `git status` of a large tree takes a while,
//! and neither must hold up an event or the end.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use crate::os::watch::Waker;

/// What to do, and what to tell of it.
type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// What a job came to, or how it panicked.
pub(super) type Outcome<T> = Result<T, Box<dyn Any + Send>>;

/// A thread that does one job after the other.
#[derive(Debug)]
pub(super) struct Worker<T> {
    jobs: Sender<Job<T>>,
    ended: Receiver<()>,
}

impl<T: Send + 'static> Worker<T> {
    pub(super) fn start(results: Sender<Outcome<T>>, waker: Waker) -> Self {
        let (jobs, queue) = mpsc::channel::<Job<T>>();
        let (end, ended) = mpsc::channel();
        std::thread::spawn(move || {
            for job in queue {
                let outcome = std::panic::catch_unwind(AssertUnwindSafe(job));
                if results.send(outcome).is_err() {
                    break;
                }
                waker.wake();
            }
            // Nobody waits any more: then nobody needs to know.
            let _ = end.send(());
        });
        Worker { jobs, ended }
    }

    pub(super) fn give(&self, job: impl FnOnce() -> T + Send + 'static) {
        // The thread ends only after this end of the queue.
        let _ = self.jobs.send(Box::new(job));
    }

    /// Takes no more jobs, and waits for those it has, not longer than that. What is under way then ends with the
    /// process, like any command that is killed: nothing is left half done by that.
    pub(super) fn end(self, at_most: Duration) {
        drop(self.jobs);
        let _ = self.ended.recv_timeout(at_most);
    }
}
