//! `git latch watch`

mod command;

use std::collections::HashSet;

use clap::Args;

use self::command::Runner;
use super::Answer;
use super::context::Context;
use super::events::Told;
use super::interrupt::Interrupt;
use super::messages;
use git_latch::git::repo::Repo;
use git_latch::latch::Latch;
use git_latch::live::{Live, TICK};
use git_latch::os::watch::Means;
use git_latch::rules::error::Result;
use git_latch::rules::event::{Event, Happening};
use git_latch::rules::lock::LeaseId;
use git_latch::rules::view::Entry;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Also run this shell command for each event: the event on its standard input, and in `GIT_LATCH_*`
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    /// First report what has happened since the change of this number
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
    /// Also report heartbeats
    #[arg(long)]
    all: bool,
    /// Poll every second instead of using file system events
    #[arg(long)]
    poll: bool,
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let interrupt = Interrupt::catch();
        let repo = Repo::from_environment(&context.directory)?;
        let means = if self.poll {
            Means::Polling
        } else {
            Means::Events
        };
        let mut live = Live::start(repo, &context.environment, means, &context.clock)?;
        Interrupt::wake_on_signals(live.waker());
        context.tell_copy(live.latch())?;
        let mut told = Told::to(context.output);
        let mut runner = self.exec.as_deref().map(|c| Runner::new(c, context.output));
        let mut tell = |latch: &Latch, events: &[Event]| -> Result<bool> {
            let me = latch.reader()?;
            let viewpoint = context.viewpoint(latch, &me);
            for event in events.iter().filter(|event| self.wants(event)) {
                told.event(&viewpoint, event);
                if let Some(runner) = &mut runner {
                    runner.run(&viewpoint, event);
                }
            }
            // A reader that has gone away has seen enough.
            Ok(told.flush())
        };
        let result = self.follow(context, &mut live, &interrupt, &mut tell);
        told.end();
        if let Some(runner) = runner {
            runner.stop();
        }
        result.map(|()| Answer::silent(0))
    }

    /// Tells what was missed, and then what happens, until somebody wants it to end or nobody listens.
    fn follow(
        &self,
        context: &Context,
        live: &mut Live,
        interrupt: &Interrupt,
        tell: &mut dyn FnMut(&Latch, &[Event]) -> Result<bool>,
    ) -> Result<()> {
        let missed = match self.since {
            Some(seq) => missed(live, seq)?,
            None => Vec::new(),
        };
        let mut goes_on = tell(live.latch(), &missed)?;
        greet(context, live);
        let mut polling = live.follower().polling().map(str::to_owned);
        while goes_on && !interrupt.is_set() {
            let round = live.round(TICK, &context.clock)?;
            for problem in &round.problems {
                context.tell_problem(problem);
            }
            goes_on = tell(live.latch(), &round.events)?;
            let now = live.follower().polling();
            if now != polling.as_deref() {
                polling = now.map(str::to_owned);
                context.tell_polling(polling.as_deref());
            }
        }
        Ok(())
    }

    fn wants(&self, event: &Event) -> bool {
        self.all || event.happening != Happening::Renewed
    }
}

/// Says that it has begun.
fn greet(context: &Context, live: &Live) {
    let locks = messages::locks(live.follower().live().count());
    let greeting = format!("watching {locks}; Ctrl-C ends it");
    context.output.progress(greeting);
    context.tell_unprotected(live.latch());
    if let Some(why) = live.follower().polling() {
        context.tell_polling(Some(why));
    }
    if let Some(shared) = live.latch().shared() {
        context.output.note(format!(
            "the locks of `{}` are reported as they are fetched: git latch daemon fetches every 30 s, git latch sync once",
            shared.remote()
        ));
    }
}

/// What has happened since a change: as it was recorded, and what can still be seen where the record does not reach.
fn missed(live: &Live, since: u64) -> Result<Vec<Event>> {
    let (latch, follower) = (live.latch(), live.follower());
    let until = follower.seq();
    let mut events: Vec<Event> = latch
        .history()?
        .into_iter()
        .filter(|event| event.seq > since && event.seq <= until)
        .collect();
    events.reverse();
    let recorded: HashSet<LeaseId> = events.iter().filter_map(|e| lease(&e.lock)).collect();
    let is_recorded = |e: &Event| lease(&e.lock).is_some_and(|lease| recorded.contains(&lease));
    let still = follower.still(since);
    // An end by time is no change, and recorded by whoever cleans up.
    events.extend(
        still
            .into_iter()
            .filter(|e| e.happening == Happening::Expired || !is_recorded(e)),
    );
    events.sort_by_cached_key(|event| (event.seq, event.path.clone()));
    Ok(events)
}

fn lease(entry: &Entry) -> Option<LeaseId> {
    entry.lock().map(|lock| lock.lease.clone())
}
