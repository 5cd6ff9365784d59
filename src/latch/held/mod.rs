//! `held.toml`: the leases taken in this working tree, so that their loss is noticed.
//!
//! A lease is entered before it is published and confirmed after: an entry that is not confirmed and has no lock belongs
//! to a command that was killed and never said "locked", and is dropped without a word. In the same way it is noted
//! before a lease is given back. A confirmed one whose lock is gone or another's is *lost*: its holder hears of it, and
//! it stays listed until they lock or unlock the path, or for a week.
//!
//! After a loss of power the newest entries may be missing. Their locks stand all the same, and are entered again by the
//! next `lock` or `renew`; until then nobody is told if somebody takes them.

mod file;

pub(crate) use file::HeldFile;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::rules::error::Result;
use crate::rules::lease::rival;
use crate::rules::lock::{LeaseId, Lock, is_same_id};
use crate::rules::loss::{Cause, Loss};
use crate::rules::path::{Claim, Kind, RepoPath};
use crate::rules::time::rfc3339;
use crate::rules::view::{Entry, Me, Standing, View};

/// How long a loss stays listed.
const REMEMBERED: TimeDelta = TimeDelta::days(7);
/// How long a command may take from choosing a lease to publishing it: so long an entry without a lock is left alone.
const UNDER_WAY: TimeDelta = TimeDelta::minutes(10);

/// One lease that was taken here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The path, as it was locked.
    pub path: String,
    /// A file or a directory.
    pub kind: Kind,
    /// The acquisition.
    pub lease: LeaseId,
    /// The owner id it was taken under.
    pub owner: String,
    /// The workspace it was taken in.
    pub workspace: String,
    /// When it ends if it is not renewed again; absent for never.
    pub expires_at: Option<String>,
    /// When a third of its life is over: from then on it is renewed on the way; absent for never.
    pub renew_at: Option<String>,
    /// Whether its command has said "locked".
    pub confirmed: bool,
    /// Whether a command of its owner has begun to give it back: then it may be gone without being lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub giving_back: bool,
    /// When it was lost, as far as that was known when it was noticed.
    pub lost_at: Option<String>,
    /// How it was lost.
    pub cause: Option<Cause>,
}

impl Held {
    fn of(lock: &Lock, confirmed: bool) -> Self {
        Held {
            path: lock.path.to_string(),
            kind: lock.kind,
            lease: lock.lease.clone(),
            owner: lock.owner.id.clone(),
            workspace: lock.owner.workspace.clone().unwrap_or_default(),
            expires_at: lock.expires_at().map(rfc3339),
            renew_at: lock.ttl.as_secs().map(|seconds| {
                let third = i64::try_from(seconds / 3).unwrap_or(i64::MAX / 1000);
                rfc3339(lock.heartbeat_at + TimeDelta::seconds(third))
            }),
            confirmed,
            giving_back: false,
            lost_at: None,
            cause: None,
        }
    }

    /// Whether I took it, here. Several owners may work in one tree: two agents, say.
    #[must_use]
    pub(crate) fn is_of(&self, me: &Me) -> bool {
        is_same_id(&self.owner, &me.owner.id)
            && Some(&self.workspace) == me.owner.workspace.as_ref()
    }

    /// Whether its owner is to hear of it where its lock is gone.
    #[must_use]
    pub(crate) fn can_be_lost(&self) -> bool {
        self.confirmed && !self.giving_back
    }

    /// Whether a third of its life is over.
    #[must_use]
    pub(crate) fn is_due(&self, now: DateTime<Utc>) -> bool {
        let at = self.renew_at.as_deref();
        at.and_then(|at| at.parse::<DateTime<Utc>>().ok())
            .is_some_and(|at| now >= at)
    }

    /// What it occupies; `None` where somebody has written nonsense into the file.
    #[must_use]
    pub(crate) fn claim(&self) -> Option<Claim> {
        RepoPath::new(self.path.as_str())
            .ok()
            .map(|path| Claim::new(&path, self.kind))
    }
}

impl HeldFile {
    /// What was lost of the leases listed, judged against a view of their claims. Marks news as told.
    pub(crate) fn losses(&self, view: &View, me: &Me) -> Result<Vec<Loss>> {
        Ok(self.losses_among(&self.read()?, view, me))
    }

    /// The same of leases that were just read.
    pub(crate) fn losses_among(&self, held: &[Held], view: &View, me: &Me) -> Vec<Loss> {
        let judged: Vec<(&Held, LeaseFate)> = held.iter().map(|h| (h, fate(h, view, me))).collect();
        let changed = judged.iter().any(|(h, fate)| match fate {
            LeaseFate::NotAsked | LeaseFate::NotYet => false,
            LeaseFate::Lives => !h.confirmed || h.lost_at.is_some(),
            LeaseFate::Never => true,
            LeaseFate::Lost(loss) => loss.is_news || view.now - loss.at > REMEMBERED,
        });
        if changed {
            let now = rfc3339(view.now);
            let fates: std::collections::HashMap<LeaseId, &LeaseFate> =
                judged.iter().map(|(h, f)| (h.lease.clone(), f)).collect();
            let updated = self.update(file::Patience::Short, |held| {
                held.retain_mut(|h| match fates.get(&h.lease) {
                    // Confirmed since it was judged: its command was at work, not killed.
                    Some(LeaseFate::Never) => h.can_be_lost(),
                    Some(LeaseFate::Lost(loss)) if view.now - loss.at > REMEMBERED => false,
                    Some(LeaseFate::Lost(loss)) => {
                        h.lost_at.get_or_insert_with(|| match loss.cause {
                            Cause::Removed => now.clone(),
                            Cause::Expired | Cause::Stolen => rfc3339(loss.at),
                        });
                        h.cause.get_or_insert(loss.cause);
                        true
                    }
                    Some(LeaseFate::Lives) => {
                        h.confirmed = true;
                        h.lost_at = None;
                        h.cause = None;
                        true
                    }
                    Some(LeaseFate::NotAsked | LeaseFate::NotYet) | None => true,
                });
            });
            // In a repository that cannot be written to, the same news is told again.
            if let Err(error) = updated {
                tracing::debug!(%error, "what was told is not recorded");
            }
        }
        judged
            .into_iter()
            .filter_map(|(_, fate)| match fate {
                // Whoever was away for longer hears of it once.
                LeaseFate::Lost(loss) if loss.is_news || view.now - loss.at <= REMEMBERED => {
                    Some(*loss)
                }
                _ => None,
            })
            .collect()
    }
}

/// What became of a lease.
enum LeaseFate {
    /// It is another's who works in this tree, and theirs to ask about.
    NotAsked,
    /// It is there.
    Lives,
    /// Its command may be at work: it is to be published, or never was.
    NotYet,
    /// Its command was killed before it published, or after it gave back: there is nothing to tell.
    Never,
    /// It is gone.
    Lost(Box<Loss>),
}

fn fate(held: &Held, view: &View, me: &Me) -> LeaseFate {
    let Some(claim) = held.claim() else {
        return LeaseFate::Never;
    };
    if !held.is_of(me) {
        return LeaseFate::NotAsked;
    }
    let own = view
        .covering(&claim.key)
        .find(|e| e.lock().is_some_and(|l| l.lease == held.lease));
    if own.is_some_and(|e| view.standing(e) == Standing::Live) {
        return LeaseFate::Lives;
    }
    if !held.can_be_lost() && own.is_none() {
        let is_under_way = !held.giving_back && view.now - held.lease.chosen_at() < UNDER_WAY;
        return if is_under_way {
            LeaseFate::NotYet
        } else {
            LeaseFate::Never
        };
    }
    // Taken over by oneself, in no workspace, as over HTTP: it is not lost.
    let is_mine_everywhere = |e: &&Entry| {
        e.claim == claim
            && me.holds(e)
            && e.lock().is_some_and(|lock| lock.owner.workspace.is_none())
            && view.standing(e) == Standing::Live
    };
    if own.is_none() && view.covering(&claim.key).any(|e| is_mine_everywhere(&e)) {
        return LeaseFate::Never;
    }
    let by = rival(view, &me.owner, &claim).cloned();
    let parse = |text: &String| {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|at| at.with_timezone(&Utc))
    };
    let ended = held.expires_at.as_ref().and_then(parse);
    let taken = by
        .as_ref()
        .and_then(Entry::lock)
        .map(|lock| lock.acquired_at);
    let noticed = held.lost_at.as_ref().and_then(parse);
    let (cause, at) = match (taken, ended) {
        // What was noticed stays so, whatever became of the path since.
        _ if held.cause.is_some() && noticed.is_some() => (
            held.cause.unwrap_or(Cause::Removed),
            noticed.unwrap_or(view.now),
        ),
        (Some(taken), Some(ended)) if ended <= taken => (Cause::Expired, ended),
        (Some(taken), _) => (Cause::Stolen, taken),
        (None, Some(ended)) if own.is_some() || ended <= noticed.unwrap_or(view.now) => {
            (Cause::Expired, ended)
        }
        (None, _) => (Cause::Removed, noticed.unwrap_or(view.now)),
    };
    let at = at.min(view.now);
    let loss = Loss {
        path: held.path.clone(),
        lease: held.lease.clone(),
        by,
        at,
        cause,
        is_news: held.lost_at.is_none(),
        ended: None,
    };
    LeaseFate::Lost(Box::new(loss))
}

#[cfg(test)]
mod tests;
