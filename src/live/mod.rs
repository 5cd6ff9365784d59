//! What happens to the locks of a repository, as it happens: for `watch`, the daemon, and servers.
//!
//! [`Live`] waits for whichever comes first: a nudge from the file system, the end of a lease, a changed policy, a clock
//! that was set, or a second. Timers stand still while a machine sleeps; so the clock on the wall is looked at every
//! second, and a jump of it means that everything is read and judged anew.

pub mod daemon;
pub mod first_edits;
mod follower;
mod known;
mod mirror;
mod tip;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

pub(crate) use follower::Follower;

use crate::git::repo::Repo;
use crate::latch::identity::Environment;
use crate::latch::{Current, Latch};
use crate::os::watch::{Directories, Means, Touched, Waker};
use crate::rules::error::{Error, Result};
use crate::rules::event::Event;
use crate::rules::time::Clock;

/// The longest wait between two looks at the clock on the wall.
pub const TICK: Duration = Duration::from_secs(1);
/// By how much the clock on the wall and the one that never jumps may part between two looks.
const JUMP: TimeDelta = TimeDelta::seconds(2);
/// The longest pause between two tries to read what cannot be read.
const LONGEST: Duration = Duration::from_secs(30);
/// Looking, where no event says what to look at, takes at most one part in so many of the time.
pub(crate) const SHARE: u32 = 50;
/// How often to ask again for events where the system had none.
const REGAIN: Duration = Duration::from_secs(60);

/// A repository whose locks are followed.
#[derive(Debug)]
pub struct Live {
    current: Current,
    directories: Directories,
    follower: Follower,
    seen: Seen,
    polled: Instant,
    pause: Duration,
    regained: Instant,
    /// After a reading that failed: when to try again, and how long after that.
    failing: Option<(Instant, Duration)>,
}

/// What one wait came to.
#[derive(Debug, Default)]
pub struct Round {
    /// What happened to locks, in the order of the changes.
    pub events: Vec<Event>,
    /// What was touched, of locks and besides.
    pub touched: Touched,
    /// By how much the clock jumped: a machine that slept, or a clock that was set.
    pub jump: Option<TimeDelta>,
    /// Whether policy or configuration were read anew.
    pub is_reopened: bool,
    /// Why the locks, or policy or configuration, could not be read: each told once until they can.
    pub problems: Vec<Error>,
}

/// Two clocks at the same moment.
#[derive(Clone, Copy, Debug)]
struct Seen {
    wall: DateTime<Utc>,
    steady: Instant,
}

impl Seen {
    /// By how much the clock on the wall jumped since.
    fn jump_until(self, now: Seen) -> Option<TimeDelta> {
        let passed = TimeDelta::from_std(now.steady - self.steady).unwrap_or(TimeDelta::MAX);
        let jump = (now.wall - self.wall) - passed;
        (jump.abs() > JUMP).then_some(jump)
    }
}

impl Live {
    /// Begins to follow: what happens from now on is told by [`Live::round`].
    ///
    /// # Errors
    /// As [`Latch::of`]; where the locks cannot be read.
    pub fn start(
        repo: Repo,
        environment: &Environment,
        means: Means,
        clock: &dyn Clock,
    ) -> Result<Self> {
        repo.root()?;
        let current = Current::open(repo, environment)?;
        let mut directories = Directories::new(means);
        let follower = Follower::start(current.latch(), &mut directories, clock)?;
        let steady = Instant::now();
        Ok(Live {
            current,
            directories,
            follower,
            seen: Seen {
                wall: clock.now(),
                steady,
            },
            polled: steady,
            pause: TICK,
            regained: steady,
            failing: None,
        })
    }

    /// The repository, as policy and configuration say now.
    #[must_use]
    pub fn latch(&self) -> &Arc<Latch> {
        self.current.latch()
    }

    /// What is known of the locks.
    #[must_use]
    pub fn follower(&self) -> &Follower {
        &self.follower
    }

    /// What else to be woken by.
    pub(crate) fn directories(&mut self) -> &mut Directories {
        &mut self.directories
    }

    /// What ends a wait by hand.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.directories.waker()
    }

    /// Waits until something happens, at most that long and never longer than a second; tells what it was.
    ///
    /// # Errors
    /// [`Error::NotARepository`] where the repository is gone.
    pub fn round(&mut self, at_most: Duration, clock: &dyn Clock) -> Result<Round> {
        let touched = self.directories.wait(self.patience(at_most, clock.now()));
        let mut round = Round {
            touched: touched.unwrap_or_default(),
            ..Round::default()
        };
        let now = Seen {
            wall: clock.now(),
            steady: Instant::now(),
        };
        round.jump = self.seen.jump_until(now);
        self.seen = now;
        match self.current.refresh() {
            Ok(is_reopened) => round.is_reopened = is_reopened,
            Err(error) => round.problems.push(error),
        }
        self.check_repository()?;
        if self.failing.is_none_or(|(again, _)| now.steady >= again) {
            match self.read(&round, clock) {
                Ok(events) => {
                    round.events = self.current.latch().attributed(events);
                    self.failing = None;
                }
                Err(error) => {
                    self.follower.note_missed();
                    let pause = self
                        .failing
                        .map_or(TICK, |(_, pause)| (pause * 2).min(LONGEST));
                    if self.failing.replace((now.steady + pause, pause)).is_none() {
                        round.problems.push(error);
                    }
                }
            }
        }
        Ok(round)
    }

    fn patience(&self, at_most: Duration, now: DateTime<Utc>) -> Duration {
        if self.failing.is_some() {
            // What has ended by now cannot be told before the locks can be read.
            return at_most.min(TICK);
        }
        let until_end = self.follower.next_end().map_or(TICK, |end| {
            // At the end itself it is not over yet, and a wait counts whole milliseconds.
            (end - now).to_std().unwrap_or(Duration::ZERO) + Duration::from_millis(1)
        });
        at_most.min(TICK).min(until_end)
    }

    /// Reads what there is reason to read, and then looks what has ended.
    fn read(&mut self, round: &Round, clock: &dyn Clock) -> Result<Vec<Event>> {
        let mut events = self.read_changes(round, clock)?;
        events.extend(self.follower.ended(self.current.latch(), clock)?);
        Ok(events)
    }

    fn read_changes(&mut self, round: &Round, clock: &dyn Clock) -> Result<Vec<Event>> {
        let latch = self.current.latch();
        let directories = &mut self.directories;
        let is_all_new = round.jump.is_some()
            || round.is_reopened
            || self.follower.has_missed()
            || self.follower.is_displaced();
        if is_all_new {
            return self.follower.look_everywhere(latch, directories, clock);
        }
        if self.follower.polling().is_none() {
            return self
                .follower
                .look(latch, directories, &round.touched, clock);
        }
        if self.regained.elapsed() > REGAIN {
            self.regained = Instant::now();
            return self.follower.look_everywhere(latch, directories, clock);
        }
        if self.polled.elapsed() < self.pause {
            return Ok(Vec::new());
        }
        let begun = Instant::now();
        let events = self.follower.poll(latch, directories, clock);
        self.polled = Instant::now();
        self.pause = TICK.max(begun.elapsed() * SHARE);
        events
    }

    fn check_repository(&self) -> Result<()> {
        let repo = self.current.latch().repo();
        if repo.git_dir().is_dir() && repo.root()?.is_dir() {
            return Ok(());
        }
        Err(Error::NotARepository {
            path: PathBuf::from(repo.root()?),
            detail: "it was removed".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_what_the_two_clocks_part_by() {
        let begin = Seen {
            wall: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            steady: Instant::now(),
        };
        let later = |wall, steady| Seen {
            wall: begin.wall + TimeDelta::seconds(wall),
            steady: begin.steady + Duration::from_secs(steady),
        };
        assert_eq!(begin.jump_until(later(3600, 3600)), None);
        assert_eq!(begin.jump_until(later(2, 1)), None);
        let slept = begin.jump_until(later(3600, 1));
        assert_eq!(slept, Some(TimeDelta::seconds(3599)));
        let set_back = begin.jump_until(later(-3600, 1));
        assert_eq!(set_back, Some(TimeDelta::seconds(-3601)));
    }
}
