//! `git latch daemon`

use std::sync::Arc;
use std::time::Duration;

use anstyle::Style;
use clap::Args;
use serde_json::{Value, json};

use super::Answer;
use super::context::Context;
use super::events::Told;
use super::exit::Failure;
use super::interrupt::Interrupt;
use super::messages;
use super::output::{ALERT, GOOD, until, wall};
use git_latch::git::repo::Repo;
use git_latch::latch::Latch;
use git_latch::live::daemon::{Action, Actions, Daemon, Notice, Options};
use git_latch::os::clock::SystemClock;
use git_latch::os::watch::Means;
use git_latch::rules::error::{Error, Result};
use git_latch::rules::event::Happening;
use git_latch::rules::lock::Lock;
use git_latch::rules::report::Viewpoint;
use git_latch::rules::spelling::Here;
use git_latch::rules::time::{Clock as _, DurationSpec, rfc3339};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Poll locks every second and files every 30 s instead of using file system events
    #[arg(long)]
    poll: bool,
    /// How often to fetch shared locks, a second at least
    #[arg(long, value_name = "D", default_value = "30s", value_parser = DurationSpec::typed)]
    sync_every: DurationSpec,
}

/// The command by its old name.
#[derive(Debug, Args)]
pub(super) struct Renamed {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<String>,
}

impl Renamed {
    pub(super) fn run(&self) -> Result<Answer> {
        let command = ["git latch daemon", &self.arguments.join(" ")].join(" ");
        Err(Error::BadUsage {
            problem: "`git latch agent` is now `git latch daemon`".into(),
            hint: Some(command.trim_end().to_owned()),
        })
    }
}

impl Arguments {
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let interrupt = Interrupt::catch();
        let repo = Repo::from_environment(&context.directory)?;
        let options = Options {
            actions: if self.dry_run {
                Actions::Said
            } else {
                Actions::Done
            },
            means: if self.poll {
                Means::Polling
            } else {
                Means::Events
            },
            sync: Duration::from_secs(self.sync_every.as_secs().max(1)),
        };
        let mut daemon = Daemon::start(repo, &context.environment, options, Arc::new(SystemClock))?;
        Interrupt::wake_on_signals(daemon.waker());
        daemon.latch().mend_link();
        context.tell_copy(daemon.latch())?;
        context.tell_unprotected(daemon.latch());
        let mut teller = Teller {
            context,
            told: Told::to(context.output),
        };
        let mut follow = || -> Result<()> {
            let mut goes_on = teller.begin(&mut daemon)?;
            while goes_on && !interrupt.is_set() {
                daemon.round(&mut |latch, notice| teller.tell(latch, &notice))?;
                // Who started it and listened is gone: nobody would know what it keeps alive.
                goes_on = teller.flush();
            }
            Ok(())
        };
        let result = follow();
        daemon.stop();
        teller.end();
        result.map(|()| Answer::silent(0))
    }
}

/// Tells what the daemon has to tell.
struct Teller<'a> {
    context: &'a Context,
    told: Told,
}

/// A line of the daemon's own: a word, a sentence for people, and what a program is told besides.
struct Line {
    word: &'static str,
    style: Style,
    sentence: String,
    more: Value,
}

impl Line {
    fn plain(word: &'static str, sentence: impl Into<String>, more: Value) -> Self {
        Line {
            word,
            style: Style::new(),
            sentence: sentence.into(),
            more,
        }
    }

    fn alert(word: &'static str, sentence: impl Into<String>, more: Value) -> Self {
        let style = ALERT;
        Line {
            style,
            ..Self::plain(word, sentence, more)
        }
    }

    fn good(word: &'static str, sentence: impl Into<String>, more: Value) -> Self {
        let style = GOOD;
        Line {
            style,
            ..Self::plain(word, sentence, more)
        }
    }
}

impl Teller<'_> {
    fn begin(&mut self, daemon: &mut Daemon) -> Result<bool> {
        let latch = Arc::clone(daemon.latch());
        let me = latch.reader()?;
        let live = daemon.live().follower().live();
        let (mine, others): (Vec<_>, Vec<_>) = live.partition(|entry| me.has(entry));
        let (mine, others) = (mine.len(), others.len());
        let watches = daemon.watches();
        let sentence = format!(
            "daemon of {} for {}: {} of yours, {others} of others; watching {watches} directories",
            latch.repo().root()?.display(),
            me.owner,
            messages::locks(mine)
        );
        let pid = std::process::id();
        let more = json!({"pid": pid, "mine": mine, "others": others, "watches": watches});
        if !self.is_quiet() {
            self.say(&Line::good("started", sentence, more));
        }
        Ok(self.flush())
    }

    /// Whether a person wants to hear of what asks for attention only.
    fn is_quiet(&self) -> bool {
        self.context.output.quiet && !self.context.output.json
    }

    fn end(mut self) {
        let sentence = "you keep your locks until they end";
        if !self.is_quiet() {
            self.say(&Line::plain("stopped", sentence, json!({})));
        }
        self.told.end();
    }

    fn flush(&mut self) -> bool {
        self.told.flush()
    }

    fn say(&mut self, line: &Line) {
        let at = self.context.clock.now();
        if !self.context.output.json {
            let word = line.word.replace('_', " ");
            self.told.line(at, &word, line.style, &line.sentence);
            return;
        }
        let mut object = json!({
            "seq": null,
            "event": line.word,
            "at": rfc3339(at),
            "path": null,
            "lock": null,
        });
        for (key, value) in line.more.as_object().into_iter().flatten() {
            object[key] = value.clone();
        }
        self.told.object(&object);
    }

    fn tell(&mut self, latch: &Latch, notice: &Notice) {
        // Without a name nothing is mine; the daemon itself ends then.
        let Ok(me) = latch.reader() else { return };
        let viewpoint = self.context.viewpoint(latch, &me);
        if let Notice::Event(event) = notice {
            let is_others = !viewpoint.me.has(&event.lock);
            let is_heartbeat = event.happening == Happening::Renewed;
            if !is_heartbeat || !(is_others || self.is_quiet()) {
                self.told.event(&viewpoint, event);
            }
        } else if let Some(line) =
            of_leases(&viewpoint, notice).or_else(|| of_the_rest(viewpoint.here, notice))
        {
            self.say(&line);
        }
    }
}

/// What is told of my leases.
fn of_leases(viewpoint: &Viewpoint<'_>, notice: &Notice) -> Option<Line> {
    Some(match notice {
        Notice::Lost(loss) => {
            let more = json!({"path": loss.path, "loss": viewpoint.loss(loss)});
            Line::alert("lost", messages::loss(viewpoint, loss), more)
        }
        Notice::Ending(lock, end) => {
            let here = viewpoint.here;
            let word = here.named(lock.path.as_str().as_bytes(), lock.kind);
            let sentence = format!(
                "{} ends {} and is not renewed because nothing in it changed recently; to keep it: git latch renew {word}",
                messages::path_of(here, lock),
                until(*end, viewpoint.now)
            );
            let lock_report = viewpoint.lock(lock);
            let until = end.map(rfc3339);
            let more = json!({"path": lock.path, "lock": lock_report, "until": until});
            Line::alert("ending", sentence, more)
        }
        Notice::NotRenewed(error, locks, first) => {
            let when = first.map_or("never".to_owned(), |end| {
                format!("{} ({})", wall(end), until(Some(end), viewpoint.now))
            });
            let sentence = format!(
                "{}; {} {when}",
                messages::said(viewpoint.here, error),
                ending_first(viewpoint.here, locks)
            );
            let paths: Vec<_> = locks.iter().map(|lock| &lock.path).collect();
            let failure = Failure::of(error, viewpoint.here);
            let until = first.map(rfc3339);
            let more = json!({"error": failure, "paths": paths, "until": until});
            Line::alert("not_renewed", sentence, more)
        }
        Notice::RenewedAgain => Line::good(
            "renewed_again",
            "your locks are being renewed again",
            json!({}),
        ),
        Notice::Would(action) => of_deed(viewpoint, action),
        _ => return None,
    })
}

/// What would be done.
fn of_deed(viewpoint: &Viewpoint<'_>, action: &Action) -> Line {
    let here = viewpoint.here;
    match action {
        Action::Renew(lock) => {
            let more = json!({"path": lock.path, "lock": viewpoint.lock(lock)});
            Line::plain("would_renew", messages::path_of(here, lock), more)
        }
        Action::Lock(path) => {
            let sentence = format!("{}, on its first edit", here.path(path.as_str().as_bytes()));
            Line::plain("would_lock", sentence, json!({"path": path}))
        }
        Action::Unlock(path) => {
            let sentence = format!(
                "{}, whose change is out",
                here.path(path.as_str().as_bytes())
            );
            Line::plain("would_unlock", sentence, json!({"path": path}))
        }
        Action::Sweep(count) => {
            let sentence = format!("{count} that have expired");
            Line::plain("would_sweep", sentence, json!({"count": count}))
        }
    }
}

/// What is told of the remote, the system and the clock.
fn of_the_rest(here: &Here, notice: &Notice) -> Option<Line> {
    Some(match notice {
        Notice::OutOfStep(error, pause) => {
            let sentence = format!(
                "{}; trying again in {} s, and less often while it fails",
                messages::said(here, error),
                pause.as_secs()
            );
            Line::alert(
                "out_of_step",
                sentence,
                json!({"error": Failure::of(error, here)}),
            )
        }
        Notice::InStep => Line::good(
            "in_step",
            "the shared locks are being fetched again",
            json!({}),
        ),
        Notice::Failed(what, error) => {
            let sentence = format!("{what}: {}", messages::said(here, error));
            Line::alert(
                "failed",
                sentence,
                json!({"error": Failure::of(error, here)}),
            )
        }
        Notice::Jumped(jump) => {
            let seconds = jump.num_seconds();
            let sentence = format!(
                "the clock jumped by {seconds} s; checking for lost locks before renewing any"
            );
            Line::plain("woke", sentence, json!({"seconds": seconds}))
        }
        Notice::NotWatched(why, count) => {
            let sentence =
                format!("{count} of the folders that matter are only polled, every 30 s: {why}");
            Line::alert(
                "not_watched",
                sentence,
                json!({"folders": count, "why": why}),
            )
        }
        Notice::Polling(why) => Line::plain(
            "polling",
            messages::polling(why.as_deref()),
            json!({"why": why}),
        ),
        _ => return None,
    })
}

/// Which locks end first.
fn ending_first(here: &Here, locks: &[Lock]) -> String {
    match locks {
        [lock] => format!("your lock on {} ends", messages::path_of(here, lock)),
        locks => format!("the first of your {} locks ends", locks.len()),
    }
}
