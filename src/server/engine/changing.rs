//! Changes: asked for by anybody, made together, by threads of the repository's own.

use std::sync::Arc;

use parking_lot::Mutex;

use super::group::{self, Job};
use super::{Command, RepoService, STACK, TEND, Turn};
use crate::rules::error::{Error, Result};
use crate::rules::time::Clock;

impl RepoService {
    /// Asks for a change. `done` is called once, from whatever thread makes it.
    pub(crate) fn submit<T: Send + 'static>(
        &self,
        ask: Command<T>,
        done: impl FnOnce(Result<(u64, T), Arc<Error>>) + Send + 'static,
    ) -> Turn {
        let answer = Arc::new(Mutex::new(None));
        let told = answer.clone();
        let mut decide = ask.decide;
        self.queue.push(Job {
            claims: ask.claims,
            by: ask.by,
            decide: Box::new(move |view| {
                let (changes, verdict, answered) = decide(view)?;
                *answer.lock() = Some(answered);
                Ok((changes, verdict))
            }),
            done: Box::new(move |result| {
                let answered = told.lock().take();
                done(result.map(|seq| {
                    let answered = answered.expect("what is done was decided");
                    (seq, answered)
                }));
            }),
        })
    }

    /// Makes the changes that wait, until none does.
    pub(crate) fn drain(&self, clock: &dyn Clock) {
        let _ending = self.queue.at_work();
        while let Some(jobs) = self.queue.next() {
            let published = || self.follow_if_possible(clock);
            let store = self.backend.site.store();
            group::commit(&self.queue, &*store, clock, jobs, published);
        }
    }

    /// Has the changes that wait made by a thread of its own.
    pub(crate) fn start(self: &Arc<Self>, clock: &'static dyn Clock) {
        let service = self.clone();
        let thread = std::thread::Builder::new().stack_size(STACK);
        if let Err(error) = thread.spawn(move || service.drain(clock)) {
            // Out of threads: then the one who asks does it.
            tracing::warn!(%error, "no thread for a change");
            self.drain(clock);
        }
    }

    /// Looks after the repository a few times a second, in a thread of its own, until nobody else has it any more.
    ///
    /// # Errors
    /// Where the system has no thread for it.
    pub(crate) fn keep_tending(self: &Arc<Self>, clock: &'static dyn Clock) -> std::io::Result<()> {
        let service = Arc::downgrade(self);
        let thread = std::thread::Builder::new().stack_size(STACK);
        let tending = move || {
            while let Some(service) = service.upgrade() {
                service.tend(clock);
                drop(service);
                std::thread::sleep(TEND);
            }
        };
        thread.spawn(tending).map(drop)
    }

    /// Looks at the ref, whether or not it is time to.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn refresh(&self, clock: &dyn Clock) -> Result<()> {
        self.backend.site.fetch(clock)?;
        self.follow(clock)
    }

    /// Asks for a change and waits for it.
    ///
    /// # Errors
    /// Whatever keeps the store from changing; nothing is changed then.
    pub(crate) fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        ask: Command<T>,
        clock: &'static dyn Clock,
    ) -> Result<(u64, T), Arc<Error>> {
        self.ask_all(vec![ask], clock).remove(0)
    }

    /// Asks for changes and waits for them: they are one, where that can be.
    pub(crate) fn ask_all<T: Send + 'static>(
        self: &Arc<Self>,
        asks: Vec<Command<T>>,
        clock: &'static dyn Clock,
    ) -> Vec<Result<(u64, T), Arc<Error>>> {
        let mut is_mine = false;
        let answers: Vec<_> = asks
            .into_iter()
            .map(|ask| {
                let (sender, answer) = std::sync::mpsc::sync_channel(1);
                let turn = self.submit(ask, move |result| drop(sender.send(result)));
                is_mine |= turn == Turn::Mine;
                answer
            })
            .collect();
        if is_mine {
            self.start(clock);
        }
        let unmade = || {
            Arc::new(Error::Contended {
                remote: self.name.clone(),
            })
        };
        let answers = answers.into_iter().map(|answer| answer.recv());
        answers
            .map(|a| a.unwrap_or_else(|_| Err(unmade())))
            .collect()
    }
}
