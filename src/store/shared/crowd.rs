//! Many who change the one ref at once: who waits for how long, so that everybody's turn comes.
//!
//! Nobody knows who is waiting, but everybody sees in the ref's history who has had their turn lately. Whoever wants a
//! change lets about as many changes of others go by as there are others, and only looks meanwhile; then it pushes
//! against the few whose turn has come as well. Only politeness depends on this: the push alone decides.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::commit::workspace_in;
use crate::git::repo::{Objects, Revision};
use crate::rules::error::Result;
use crate::store::LatchDir;

/// How young the last change is where there is a crowd.
const RECENT: TimeDelta = TimeDelta::seconds(3);
/// How long before the last change somebody is remembered.
const REMEMBERED: TimeDelta = TimeDelta::seconds(20);
/// How many changes are looked at.
const LOOKED_AT: usize = 64;
/// How many may push at once: the next one begins as soon as one of them has lost.
const ABREAST: i64 = 6;
/// The longest wait between two looks.
const LONGEST: Duration = Duration::from_secs(2);

/// One change's turn among those of others.
#[derive(Debug)]
pub(super) struct Turn {
    /// Where the length of a push is noted.
    note: PathBuf,
    /// The tip when the change was asked for.
    began: Option<String>,
    /// The tip when it was looked at last, and waited for another.
    waited_at: Option<String>,
    /// How many races were lost.
    lost: u32,
}

impl Turn {
    /// A change that is asked for now.
    pub(super) fn new(directory: &LatchDir, tip: Option<&Revision>) -> Self {
        Turn {
            note: directory.pace(),
            began: tip.map(|tip| tip.commit.clone()),
            waited_at: None,
            lost: 0,
        }
    }

    /// How long to wait before the next look, if it is not my turn yet.
    pub(super) fn wait(
        &mut self,
        objects: &Objects,
        tip: Option<&Revision>,
        now: DateTime<Utc>,
    ) -> Result<Option<Duration>> {
        let name = tip.map(|tip| tip.commit.clone());
        // Nobody is at it any more.
        if name.is_some() && name == self.waited_at {
            return Ok(None);
        }
        let ahead = self.ahead(objects, tip, now)?;
        self.waited_at = name.filter(|_| ahead > 0);
        // Hardly longer than a change takes: where none comes in that time, those ahead have gone away.
        let wait = self
            .push()
            .mul_f64(if ahead > 2 { 1.1 } else { 0.5 } + fastrand::f64() * 0.2);
        Ok((ahead > 0).then(|| wait.min(LONGEST)))
    }

    /// How many changes of others come before mine; below 0 once it is my turn.
    fn ahead(&self, objects: &Objects, tip: Option<&Revision>, now: DateTime<Utc>) -> Result<i64> {
        let Some(tip) = tip.filter(|tip| (now - tip.at).abs() < RECENT) else {
            return Ok(0);
        };
        let mut others = BTreeSet::new();
        let mut gone_by = None;
        let mut looked_at = 0;
        let count = |others: &BTreeSet<_>| i64::try_from(others.len()).unwrap_or(i64::MAX);
        for past in objects.history(tip, LOOKED_AT)? {
            // Who has not had a turn for longer than a round takes is not waiting for one.
            let is_long_ago = looked_at > count(&others) * 3 / 2 + ABREAST;
            if is_long_ago || (tip.at - past.at).abs() > REMEMBERED {
                break;
            }
            if Some(&past.commit) == self.began.as_ref() {
                gone_by = Some(looked_at);
            }
            others.insert((workspace_in(&past.message), past.mail));
            looked_at += 1;
        }
        let gone_by = gone_by.unwrap_or(looked_at);
        let ahead = count(&others) - gone_by - ABREAST;
        // Who comes anew knows the last tip as early as anybody, and would win again and again.
        let is_new = gone_by == 0 && others.len() > 1;
        Ok(if is_new { ahead.max(1) } else { ahead })
    }

    /// How long to wait after a lost race: longest after the first one, which is lost to a crowd of unknown size; later
    /// the longer the sooner after others one has come, so that nobody starves.
    pub(super) fn pause(
        &mut self,
        push: Duration,
        objects: &Objects,
        tip: Option<&Revision>,
        now: DateTime<Utc>,
    ) -> Result<Duration> {
        let push = push.max(Duration::from_millis(10));
        self.lost += 1;
        if self.lost == 1 {
            return Ok(push.mul_f64(fastrand::f64()));
        }
        let early = self.ahead(objects, tip, now)? + ABREAST;
        let early = u32::try_from(early.max(0)).unwrap_or(0);
        Ok(push / 10 * early + (push / 40).mul_f64(fastrand::f64()))
    }

    /// Notes how long a push took, where that is known.
    pub(super) fn note(&self, push: Option<Duration>) {
        if let Some(push) = push {
            let _ = fs::write(&self.note, push.as_millis().to_string());
        }
    }

    fn push(&self) -> Duration {
        let noted = fs::read_to_string(&self.note).ok();
        let millis = noted.and_then(|text| text.parse().ok()).unwrap_or(100);
        Duration::from_millis(millis)
    }
}
