//! How long a command may speak with the remote, all in all.

use std::time::{Duration, Instant};

use crate::os::fault;

/// How long a command may speak with the remote; an exchange that is cut short leaves the last part for a last look.
const ALL_IN_ALL: Duration = Duration::from_secs(55);
/// How much longer than that the look may take that tells what became of a push.
const LAST_LOOK: u32 = 11;
/// The share of a first push: what became of it can then still be found out.
const FIRST_PUSH: u32 = 2;
/// The share of another push of the same commit: it only asks.
const NEXT_PUSH: u32 = 5;
/// The share in which the fate of a push is looked for.
const IN_DOUBT: u32 = 2;

/// The end of a command's patience with the remote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    whole: Duration,
    end: Instant,
}

impl Deadline {
    /// A deadline from now on; the usual one where none is asked for.
    pub(super) fn new(whole: Option<Duration>) -> Self {
        let usual = || fault::limit("GIT_LATCH_DEADLINE_MS", ALL_IN_ALL);
        let whole = whole.unwrap_or_else(usual);
        Deadline {
            whole,
            end: Instant::now() + whole,
        }
    }

    /// What an exchange may take.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// What a look may take that tells what became of a push.
    pub(super) fn for_a_look(&self) -> Duration {
        self.left().max(self.whole / LAST_LOOK)
    }

    /// What a push may take.
    pub(super) fn for_a_push(&self, is_in_doubt: bool) -> Duration {
        let share = if is_in_doubt { NEXT_PUSH } else { FIRST_PUSH };
        self.left().min(self.whole / share)
    }

    /// Until when the fate of a push is looked for that is in doubt from now on.
    pub(super) fn of_doubt(&self) -> Instant {
        (Instant::now() + self.whole / IN_DOUBT).min(self.end)
    }

    /// For messages: how long it was.
    pub(super) fn seconds(&self) -> u64 {
        self.whole.as_secs().max(1)
    }
}
