//! Reading without the guard: all of a change or nothing of it.
//!
//! A change writes its journal, then its number, then lock files, and is made when the journal is gone. So what was read
//! while number and journal stayed the same is one state: the one before the change that the journal tells of, if there
//! is one. A reader repairs what a killed command left, if it can; it needs nobody's leave and no room on the disk to
//! give the right answer.

use super::LocalStore;
use crate::os::files;
use crate::os::guard::Guard;
use crate::rules::error::Result;
use crate::rules::path::Place;
use crate::rules::time::Clock;
use crate::rules::view::Entry;
use crate::store::journal::Journal;
use crate::store::{Scope, scan};

/// How often to read again what was changed meanwhile.
const TRIES: usize = 16;
/// From how many locks on reading takes so long that it is not begun again.
const MANY: usize = 2000;

impl LocalStore {
    /// Whether a change of several paths is under way, or was when its command was killed: readers see it as not made,
    /// and are to look again when the journal is gone.
    #[must_use]
    pub(crate) fn is_changing(&self) -> bool {
        self.journal().exists()
    }

    /// Reads what the scope names.
    pub(super) fn entries(&self, scope: &Scope) -> Result<Vec<Entry>> {
        let locks = self.locks();
        if !files::is_directory(&locks)? {
            return Ok(Vec::new());
        }
        match scope {
            Scope::All => scan::all(&locks),
            Scope::Claims(claims) => scan::claims(&locks, claims),
            Scope::Places(places) => scan::places(&locks, places),
        }
    }

    /// Reads locks, and the number of the change after which they were so. `scope` is what `look` looks at.
    pub(super) fn read<T>(
        &self,
        scope: &Scope,
        clock: &dyn Clock,
        look: impl Fn() -> Result<(Vec<Entry>, T)>,
    ) -> Result<(u64, Vec<Entry>, T)> {
        let mut tries = TRIES;
        loop {
            let seq = self.seq()?;
            let before = Journal::read(&self.journal())?;
            if before.is_some() && tries == TRIES {
                self.recover_if_idle(clock);
            }
            let (mut entries, rest) = look()?;
            let after = Journal::read(&self.journal())?;
            let is_one_state = before == after && self.seq()? == seq;
            tries -= 1;
            if is_one_state || tries == 0 || entries.len() > MANY {
                let mut seq = seq;
                for journal in [before, after].iter().flatten() {
                    journal.undo_in(&mut entries, |place| is_asked(scope, place));
                    seq = seq.min(journal.comes_after());
                }
                return Ok((seq, entries, rest));
            }
        }
    }

    /// Undoes a change whose command was killed, if nobody is at work. That it cannot is no reason not to answer: a disk
    /// may be full, or read-only.
    fn recover_if_idle(&self, clock: &dyn Clock) {
        let recovered = Guard::try_take(&self.guard(), &self.note(clock))
            .and_then(|guard| guard.map_or(Ok(()), |_guard| self.recover()));
        if let Err(error) = recovered {
            tracing::debug!(%error, "the change of a command that was killed is not undone yet");
        }
    }
}

/// Whether a scope names a place, so that what lies there was read.
fn is_asked(scope: &Scope, place: &Place) -> bool {
    match scope {
        Scope::All => true,
        Scope::Places(places) => places.contains(place),
        Scope::Claims(claims) => {
            let occupied = place.occupied();
            claims
                .iter()
                .any(|claim| claim.key == occupied.key || claim.overlaps(&occupied))
        }
    }
}
