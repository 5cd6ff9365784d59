//! Changes of which nobody knows whether the remote has them: remembered until a fetch shows it, then told once.
//!
//! A change was decided on a tip, and can only follow on it. Once the tip is another one the change is below it, or can
//! never come any more.

use std::fs;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::tips::Tips;
use crate::git::repo::{Objects, Revision};
use crate::os::files;
use crate::os::mode::Sharing;
use crate::rules::error::Result;
use crate::rules::lease::Change;
use crate::rules::time::rfc3339;
use crate::rules::view::{Entry, View};

/// How long a push may be on its way: what has not come by then does not come.
const ON_ITS_WAY: TimeDelta = TimeDelta::hours(1);
/// How many are remembered.
const MANY: usize = 100;
/// How many paths of one are told.
const PATHS: usize = 20;

/// What became of a change of which nothing was known at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushOutcome {
    /// It has arrived.
    Arrived,
    /// It has not, and never will.
    Missed,
}

/// A change of which nothing was known when its command ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pending {
    commit: String,
    /// The tip it can follow on.
    on: Option<String>,
    at: String,
    /// The paths it was to take, or to renew.
    pub taken: Vec<String>,
    /// The paths it was to give back.
    pub released: Vec<String>,
    /// What became of it, once that is known.
    pub fate: Option<PushOutcome>,
}

impl Pending {
    /// A change that follows on a tip.
    pub(super) fn new(
        commit: &str,
        on: Option<&str>,
        changes: &[Change],
        view: &View,
        now: DateTime<Utc>,
    ) -> Self {
        let (mut taken, mut released) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Acquire(lock) | Change::Renew(lock) => taken.push(lock.path.to_string()),
                Change::Remove { place, .. } => {
                    released.extend(view.at(place).map(Entry::shown_path));
                }
            }
        }
        // What is taken over is not given back.
        released.retain(|path| !taken.contains(path));
        taken.truncate(PATHS);
        released.truncate(PATHS);
        Pending {
            commit: commit.to_owned(),
            on: on.map(str::to_owned),
            at: rfc3339(now),
            taken,
            released,
            fate: None,
        }
    }

    /// When it was made.
    #[must_use]
    pub fn at(&self) -> Option<DateTime<Utc>> {
        self.at.parse().ok()
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    #[serde(default)]
    change: Vec<Pending>,
}

/// The record of them.
#[derive(Clone, Debug)]
pub(super) struct PendingFile {
    path: PathBuf,
    sharing: Sharing,
}

impl PendingFile {
    pub(super) fn new(path: PathBuf, sharing: Sharing) -> Self {
        PendingFile { path, sharing }
    }

    /// Those remembered. A record that does not parse is none: all it could do is to tell more.
    fn read(&self) -> Vec<Pending> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        toml::from_str::<Content>(&text).unwrap_or_default().change
    }

    fn write(&self, change: Vec<Pending>) -> Result<()> {
        if change.is_empty() {
            return files::remove(&self.path);
        }
        let text = toml::to_string(&Content { change }).expect("strings and lists are TOML");
        files::replace(&self.path, text.as_bytes(), self.sharing)
    }

    /// Remembers a change.
    pub(super) fn note(&self, tips: &Tips, pending: Pending) -> Result<()> {
        let _guard = tips.hold()?;
        let mut all = self.read();
        all.push(pending);
        let surplus = all.len().saturating_sub(MANY);
        self.write(all.split_off(surplus))
    }

    /// Notes what a tip that was fetched shows of them.
    pub(super) fn settle(
        &self,
        tips: &Tips,
        objects: &Objects,
        tip: Option<&Revision>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        let _guard = tips.hold()?;
        let mut all = self.read();
        for pending in all.iter_mut().filter(|pending| pending.fate.is_none()) {
            pending.fate = fate(pending, objects, tip, now);
        }
        self.write(all)
    }

    /// Takes out what has become known and was not told yet.
    pub(super) fn take_settled(&self, tips: &Tips) -> Result<Vec<Pending>> {
        let is_settled = |pending: &Pending| pending.fate.is_some();
        if !self.read().iter().any(is_settled) {
            return Ok(Vec::new());
        }
        let _guard = tips.hold()?;
        let (settled, open) = self.read().into_iter().partition(is_settled);
        self.write(open)?;
        Ok(settled)
    }
}

fn fate(
    pending: &Pending,
    objects: &Objects,
    tip: Option<&Revision>,
    now: DateTime<Utc>,
) -> Option<PushOutcome> {
    let is_below = tip.is_some_and(|tip| super::fetching::has_below(objects, tip, &pending.commit));
    if is_below {
        return Some(PushOutcome::Arrived);
    }
    let has_moved = tip.map(|tip| &tip.commit) != pending.on.as_ref();
    let is_late = pending.at().is_none_or(|at| now - at > ON_ITS_WAY);
    (has_moved || is_late).then_some(PushOutcome::Missed)
}
