//! Many who change the one ref at once: who waits for how long, so that everybody's turn comes.
//!
//! Only politeness depends on what is noted here; the push alone decides.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::repo::Revision;

/// How young others' changes are where there is a crowd.
const RECENT: TimeDelta = TimeDelta::seconds(5);

/// The others, as far as this clone has met them.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    directory: PathBuf,
}

impl Crowd {
    /// The notes of a clone.
    pub(super) fn of(directory: &Path) -> Self {
        Crowd {
            directory: directory.to_owned(),
        }
    }

    /// Notes a change of ours, which took so many rounds, on top of `tip`, with pushes of about this length.
    pub(super) fn note(
        &self,
        commit: &str,
        tip: Option<&Revision>,
        rounds: u32,
        push: Duration,
        now: DateTime<Utc>,
    ) {
        if rounds > 1 || tip.is_some_and(|tip| self.is_anothers_of_late(tip, now)) {
            let _ = fs::write(self.directory.join("crowd"), push.as_millis().to_string());
        }
        let _ = fs::write(self.directory.join("pushed"), commit);
    }

    /// Whether somebody else made the last change, only just now.
    fn is_anothers_of_late(&self, tip: &Revision, now: DateTime<Utc>) -> bool {
        let own = fs::read_to_string(self.directory.join("pushed")).unwrap_or_default();
        own.trim() != tip.commit && (now - tip.at).abs() < RECENT
    }

    /// Who has just won a race knows the new tip before all others do and would win the next one, too: where there is a
    /// crowd, it waits for about one push.
    pub(super) fn let_others_go_first(&self) {
        let note = self.directory.join("crowd");
        let age = fs::metadata(&note)
            .and_then(|meta| meta.modified())
            .ok()
            .and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age.as_millis() < 2000) {
            let push = fs::read_to_string(&note)
                .ok()
                .and_then(|text| text.parse().ok());
            let push = Duration::from_millis(push.unwrap_or(0)).min(Duration::from_secs(1));
            std::thread::sleep(push.mul_f64(0.5 + noise() / 2.0));
        }
        if age.is_some() {
            let _ = fs::remove_file(&note);
        }
    }

    /// After a lost race: waits at most as long as a push takes, and less with every round. Who has lost most often comes
    /// first, so that nobody starves.
    pub(super) fn pause(round: u32, push: Duration) {
        let longest = push.max(Duration::from_millis(10)) / round.saturating_mul(round).max(1);
        std::thread::sleep(longest.mul_f64(noise()));
    }
}

/// Something between 0 and 1.
fn noise() -> f64 {
    let (bits, _) = uuid::Uuid::new_v4().as_u64_pair();
    f64::from(u32::try_from(bits >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
