//! What follows from what happens to locks, and from what was done about it.

use std::time::Instant;

use super::{Action, Daemon, Done, Notice, PATIENCE, SETTLING, SWEEP, edits};
use crate::live::Round;
use crate::rules::error::Result;
use crate::rules::event::{Event, Happening};
use crate::rules::path::{Kind, RepoPath};

impl Daemon {
    pub(super) fn note_round(
        &mut self,
        round: &Round,
        now: Instant,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        if let Some(jump) = round.jump {
            notices.push(Notice::Jumped(jump));
            self.leases.is_held_back = self.does();
            self.leases.judge_at = now;
            self.leases.look_for_losses_at = Some(now);
            self.sync.hurry(now);
            self.look_at_all_edits();
        }
        if round.is_reopened {
            self.me = self.live.latch().me()?;
            self.edits.is_outdated = true;
            self.edits.are_folders_outdated = true;
            self.look_at_all_edits();
        }
        if round.is_reopened || round.jump.is_some() || !round.events.is_empty() {
            self.note_due(now);
        }
        let polling = self.live.follower().polling().map(str::to_owned);
        if polling != self.polling {
            self.polling.clone_from(&polling);
            notices.push(Notice::Polling(polling));
        }
        Ok(())
    }

    /// What follows from what happened to locks.
    pub(super) fn on_events(&mut self, round: &Round, now: Instant) {
        if round.events.is_empty() {
            return;
        }
        let concerns_me = |event: &Event| {
            let gone = matches!(event.happening, Happening::Unlocked | Happening::Expired);
            (gone && self.me.has(&event.lock))
                || event
                    .previous
                    .as_ref()
                    .is_some_and(|entry| self.me.has(entry))
        };
        if round.events.iter().any(concerns_me) {
            // Whose command it was strikes its own record off: that is waited for, but not for ever.
            let latest = *self.leases.losses_since.get_or_insert(now) + PATIENCE;
            self.leases.look_for_losses_at = Some(latest.min(now + SETTLING));
        }
        let renewed = round
            .events
            .iter()
            .filter(|e| e.happening == Happening::Renewed);
        for lock in renewed.filter_map(|event| event.lock.lock()) {
            self.leases.was_renewed(&lock.lease);
        }
        let locks = round.events.iter().filter_map(|event| event.lock.lock());
        self.auto_locks.seen(locks.map(|lock| &lock.path));
        let is_other = |event: &&Event| event.happening != Happening::Renewed;
        let changed: Vec<(RepoPath, Kind)> = round
            .events
            .iter()
            .filter(is_other)
            .filter_map(|event| event.lock.lock())
            .map(|lock| (lock.path.clone(), lock.kind))
            .collect();
        if changed.is_empty() {
            return;
        }
        self.edits.is_outdated = true;
        let free = round
            .events
            .iter()
            .filter(|event| matches!(event.happening, Happening::Unlocked | Happening::Expired));
        for event in free {
            self.edits.end_burst(event.path.as_bytes(), &event.lock);
        }
        self.edits.to_settle.extend(changed);
        self.strike_first_edits();
        let foreign = |event: &&Event| {
            let taken = matches!(event.happening, Happening::Locked | Happening::Stolen);
            taken && !self.me.has(&event.lock)
        };
        let taken: Vec<Vec<u8>> = round
            .events
            .iter()
            .filter(foreign)
            .map(|event| event.path.clone().into_bytes())
            .collect();
        self.edits.ask(edits::Asked::ForLocks, taken);
    }

    /// What follows from what was done.
    pub(super) fn on_done(&mut self, done: Done, now: Instant, notices: &mut Vec<Notice>) {
        match done {
            Done::Synced(result) => self.hear_synced(result, now, notices),
            Done::Judged(result) => self.hear_judged(result, now, notices),
            Done::Renewed(locks, result) => self.hear_renewed(locks, result, now, notices),
            Done::Losses(result) => self.hear_losses(result, notices),
            Done::Saved(asked, paths, result) => self.on_saved(asked, paths, result, notices),
            Done::Folders(Ok(folders)) => {
                self.busy.asking_for_folders = false;
                self.note_failure("asking git for its files", Ok(()), notices);
                self.edits.of_patterns(folders);
            }
            Done::Locked(paths, result) => self.hear_locked(&paths, result, notices),
            Done::Struck(result) => self.hear_list(result, notices),
            Done::Finished(Ok(paths)) => {
                self.busy.giving_back = false;
                self.note_failure("asking git what is out", Ok(()), notices);
                let would = |path: RepoPath| Action::Unlock(path);
                self.say(paths.into_iter().map(would), notices);
            }
            Done::Swept(result) => {
                self.busy.sweeping = false;
                self.note_failure("removing expired locks", result, notices);
            }
            Done::GivenBack(result) => {
                self.busy.giving_back = false;
                // Edited again while it was given back: that is a first edit, too.
                let free = result.map(|paths| {
                    let paths = paths.iter().map(|path| path.as_str().as_bytes().to_vec());
                    self.edits.ask(edits::Asked::ForLocks, paths.collect());
                });
                self.note_failure("giving back", free, notices);
            }
            Done::Settled(result) => {
                self.busy.settling = false;
                if result.is_err() {
                    self.edits.settle_at = Some(now + SWEEP);
                }
                self.note_failure("setting write bits", result, notices);
            }
            Done::Folders(Err(error)) => {
                self.busy.asking_for_folders = false;
                self.edits.ask_for_folders_again();
                self.note_failure("asking git for its files", Err(error), notices);
            }
            Done::Finished(Err(error)) => {
                self.busy.giving_back = false;
                self.note_failure("asking git what is out", Err(error), notices);
            }
        }
    }

    /// A failure is told once, until it succeeds or fails in another way.
    pub(super) fn note_failure(
        &mut self,
        what: &'static str,
        result: Result<()>,
        notices: &mut Vec<Notice>,
    ) {
        match result {
            Ok(()) => drop(self.failures.remove(what)),
            Err(error) => {
                let is_known = self.failures.insert(what, error.code()) == Some(error.code());
                if !is_known {
                    notices.push(Notice::Failed(what, error));
                }
            }
        }
    }

    /// Says what would be done, each thing once.
    pub(super) fn say(&mut self, actions: impl Iterator<Item = Action>, notices: &mut Vec<Notice>) {
        for action in actions {
            if self.said.insert(action.name()) {
                notices.push(Notice::Would(action));
            }
        }
    }
}
