//! `held.toml`: the leases taken in this working tree, so that their loss is noticed.
//!
//! A lease is entered before it is published and confirmed after: an entry that is not confirmed and has no lock belongs
//! to a command that was killed and never said "locked", and is dropped without a word. A confirmed one whose lock is
//! gone or another's is *lost*: its holder hears of it, and it stays listed until they lock or unlock the path, or for a
//! week.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::event::{Event, Happening};
use crate::guard::Guard;
use crate::lease::rival;
use crate::lock::{LeaseId, Lock, id_key, is_same_id};
use crate::path::{Claim, Key, Kind, RepoPath};
use crate::store::{Sharing, files};
use crate::time::rfc3339;
use crate::view::{Entry, Me, Standing, View};

/// From how many bytes on the record is written anew instead of being added to.
const WORTH_REWRITING: u64 = 16 * 1024;
/// How long a loss stays listed.
const REMEMBERED: TimeDelta = TimeDelta::days(7);

/// One lease that was taken here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
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
            lost_at: None,
            cause: None,
        }
    }

    /// Whether I took it, here. Several owners may work in one tree: two agents, say.
    #[must_use]
    pub fn is_of(&self, me: &Me) -> bool {
        is_same_id(&self.owner, &me.owner.id)
            && Some(&self.workspace) == me.owner.workspace.as_ref()
    }

    /// Whether a third of its life is over.
    #[must_use]
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        let at = self.renew_at.as_deref();
        at.and_then(|at| at.parse::<DateTime<Utc>>().ok())
            .is_some_and(|at| now >= at)
    }

    /// What it occupies; `None` where somebody has written nonsense into the file.
    #[must_use]
    pub fn claim(&self) -> Option<Claim> {
        RepoPath::new(self.path.as_str())
            .ok()
            .map(|path| Claim::new(&path, self.kind))
    }
}

/// How a lease came to be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Its time was over.
    Expired,
    /// Somebody took the path while it lived.
    Stolen,
    /// Somebody removed the lock while it lived.
    Removed,
}

impl Cause {
    /// The word of JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Expired => "expired",
            Cause::Stolen => "stolen",
            Cause::Removed => "removed",
        }
    }
}

/// A lease that is not mine any more.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The path.
    pub path: String,
    /// The lease.
    pub lease: LeaseId,
    /// Who has the path now, if anybody.
    pub by: Option<Entry>,
    /// When it was lost, or, where nobody can tell, when that was noticed.
    pub at: DateTime<Utc>,
    /// How.
    pub cause: Cause,
    /// Whether it is told for the first time.
    pub is_news: bool,
    /// What ended it, where the history tells.
    pub ended: Option<Box<Event>>,
}

impl Loss {
    /// The same, as the history tells it: who ended it, when, in which words. What was noticed later may look otherwise, as
    /// where somebody else has taken the path since.
    #[must_use]
    pub(crate) fn told_by(self, event: Event) -> Self {
        let cause = match event.happening {
            Happening::Unlocked => Cause::Removed,
            Happening::Stolen => Cause::Stolen,
            _ => return self,
        };
        Loss {
            cause,
            at: event.at,
            ended: Some(Box::new(event)),
            ..self
        }
    }
}

/// The record of one working tree.
#[derive(Clone, Debug)]
pub struct HeldFile {
    path: PathBuf,
    sharing: Sharing,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    #[serde(default)]
    lease: Vec<Held>,
}

impl HeldFile {
    /// The record in a working tree's git directory.
    #[must_use]
    pub fn of(git_dir: &Path, sharing: Sharing) -> Self {
        HeldFile {
            path: git_dir.join("latch").join("held.toml"),
            sharing,
        }
    }

    /// The leases listed. A record that does not parse must not stand in the way of locking: it is moved aside, and what
    /// it listed is not noticed any more.
    pub fn read(&self) -> Result<Vec<Held>> {
        match fs::read(&self.path) {
            Ok(bytes) => {
                let parsed = toml::from_slice::<Content>(&bytes);
                Ok(parsed.map_or_else(
                    |error| {
                        let path = self.path.display();
                        tracing::warn!(%path, %error, "the record of leases is damaged");
                        drop(fs::rename(&self.path, self.path.with_extension("damaged")));
                        Vec::new()
                    },
                    |content| latest(content.lease),
                ))
            }
            Err(e) if files::is_absent(&e) => Ok(Vec::new()),
            Err(e) => Err(Error::io("read", &self.path)(e)),
        }
    }

    /// Enters leases that are about to be published.
    pub fn enter(&self, locks: &[&Lock]) -> Result<()> {
        self.put(locks, false)
    }

    /// Confirms leases that are published, or renewed.
    pub fn confirm(&self, locks: &[&Lock]) -> Result<()> {
        self.put(locks, true)
    }

    fn put(&self, locks: &[&Lock], confirmed: bool) -> Result<()> {
        // A lease bound to a process has its process to notice the loss, and ends with it without anybody's doing.
        let locks: Vec<&Lock> = locks
            .iter()
            .copied()
            .filter(|lock| lock.process.is_none())
            .collect();
        if locks.is_empty() {
            return Ok(());
        }
        let fresh = Content {
            lease: locks.iter().map(|lock| Held::of(lock, confirmed)).collect(),
        };
        let directory = self.path.parent().unwrap_or(&self.path);
        files::create_directories(directory, self.sharing)?;
        let _guard = Guard::take(&directory.join("held.guard"), "")?;
        let length = fs::metadata(&self.path).map_or(0, |meta| meta.len());
        if (1..WORTH_REWRITING).contains(&length) {
            return self.append(&fresh, length);
        }
        let mut all = self.read()?;
        all.extend(fresh.lease);
        self.write(latest(all))
    }

    /// Adds entries behind what is there: a tenth of the time that replacing the file takes. Of several entries of one
    /// owner for one path the last one counts.
    fn append(&self, fresh: &Content, length: u64) -> Result<()> {
        let text = to_toml(fresh);
        let mut file = OpenOptions::new()
            .append(true)
            .open(&self.path)
            .map_err(Error::io("open", &self.path))?;
        let written = file.write_all(format!("\n{text}").as_bytes());
        if written.is_err() {
            // Half an entry would spoil the whole file.
            drop(file.set_len(length));
        }
        written.map_err(Error::io("write", &self.path))
    }

    /// Strikes leases off: given back, or their loss is known.
    pub fn strike(&self, is_over: impl Fn(&Held) -> bool) -> Result<()> {
        if self.read()?.iter().any(&is_over) {
            self.update(|held| held.retain(|h| !is_over(h)))?;
        }
        Ok(())
    }

    fn update(&self, change: impl FnOnce(&mut Vec<Held>)) -> Result<()> {
        let directory = self.path.parent().unwrap_or(&self.path);
        files::create_directories(directory, self.sharing)?;
        let _guard = Guard::take(&directory.join("held.guard"), "")?;
        let mut lease = self.read()?;
        change(&mut lease);
        self.write(lease)
    }

    fn write(&self, lease: Vec<Held>) -> Result<()> {
        files::replace(
            &self.path,
            to_toml(&Content { lease }).as_bytes(),
            self.sharing,
        )
    }

    /// What was lost of the leases listed, judged against a view of their claims. Marks news as told.
    pub fn losses(&self, view: &View, me: &Me) -> Result<Vec<Loss>> {
        let held = self.read()?;
        let judged: Vec<(&Held, Fate)> = held.iter().map(|h| (h, fate(h, view, me))).collect();
        let changed = judged.iter().any(|(h, fate)| match fate {
            Fate::NotAsked => false,
            Fate::Lives => !h.confirmed || h.lost_at.is_some(),
            Fate::Never => true,
            Fate::Lost(loss) => loss.is_news || view.now - loss.at > REMEMBERED,
        });
        if changed {
            let now = rfc3339(view.now);
            let fates: std::collections::HashMap<LeaseId, &Fate> =
                judged.iter().map(|(h, f)| (h.lease.clone(), f)).collect();
            let updated = self.update(|held| {
                held.retain_mut(|h| match fates.get(&h.lease) {
                    // Confirmed since it was judged: its command was at work, not killed.
                    Some(Fate::Never) => h.confirmed,
                    Some(Fate::Lost(loss)) if view.now - loss.at > REMEMBERED => false,
                    Some(Fate::Lost(loss)) => {
                        h.lost_at.get_or_insert_with(|| match loss.cause {
                            Cause::Removed => now.clone(),
                            Cause::Expired | Cause::Stolen => rfc3339(loss.at),
                        });
                        h.cause.get_or_insert(loss.cause);
                        true
                    }
                    Some(Fate::Lives) => {
                        h.confirmed = true;
                        h.lost_at = None;
                        h.cause = None;
                        true
                    }
                    Some(Fate::NotAsked) | None => true,
                });
            });
            // In a repository that cannot be written to, the same news is told again.
            if let Err(error) = updated {
                tracing::debug!(%error, "what was told is not recorded");
            }
        }
        Ok(judged
            .into_iter()
            .filter_map(|(_, fate)| match fate {
                // Whoever was away for longer hears of it once.
                Fate::Lost(loss) if loss.is_news || view.now - loss.at <= REMEMBERED => Some(*loss),
                _ => None,
            })
            .collect())
    }
}

fn to_toml(content: &Content) -> String {
    if content.lease.is_empty() {
        // An empty list could not be added to.
        return String::new();
    }
    toml::to_string(content).expect("strings and words are TOML")
}

/// Of several entries of one owner for one path, the last.
fn latest(all: Vec<Held>) -> Vec<Held> {
    let mut seen: HashSet<(Key, String, String)> = HashSet::new();
    let mut kept: Vec<Held> = all
        .into_iter()
        .rev()
        .filter(|h| {
            let known = h.claim().map(|claim| {
                (
                    claim.key,
                    id_key(&h.owner).into_owned(),
                    h.workspace.clone(),
                )
            });
            known.is_some_and(|known| seen.insert(known))
        })
        .collect();
    kept.reverse();
    kept
}

/// What became of a lease.
enum Fate {
    /// It is another's who works in this tree, and theirs to ask about.
    NotAsked,
    /// It is there.
    Lives,
    /// Its command was killed before it published: it never was.
    Never,
    /// It is gone.
    Lost(Box<Loss>),
}

fn fate(held: &Held, view: &View, me: &Me) -> Fate {
    let Some(claim) = held.claim() else {
        return Fate::Never;
    };
    if !held.is_of(me) {
        return Fate::NotAsked;
    }
    let own = view
        .covering(&claim.key)
        .find(|e| e.lock().is_some_and(|l| l.lease == held.lease));
    if own.is_some_and(|e| view.standing(e) == Standing::Live) {
        return Fate::Lives;
    }
    if !held.confirmed && own.is_none() {
        return Fate::Never;
    }
    // Taken over by oneself, in no workspace, as over HTTP: it is not lost.
    let is_mine_everywhere = |e: &&Entry| {
        e.claim == claim
            && me.holds(e)
            && e.lock().is_some_and(|lock| lock.owner.workspace.is_none())
            && view.standing(e) == Standing::Live
    };
    if own.is_none() && view.covering(&claim.key).any(|e| is_mine_everywhere(&e)) {
        return Fate::Never;
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
    Fate::Lost(Box::new(loss))
}

#[cfg(test)]
mod tests;
