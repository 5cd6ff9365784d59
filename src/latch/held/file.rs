//! The file itself: adding to it, writing it anew, reading what a loss of power has left of it.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Held;
use crate::os::files;
use crate::os::guard::Guard;
use crate::os::mode::Sharing;
use crate::rules::error::{Error, Result};
use crate::rules::lock::{LeaseId, Lock, id_key};
use crate::rules::path::Key;
use crate::store::TreeDir;

/// From how many bytes on the record is written anew instead of being added to.
pub(super) const WORTH_REWRITING: u64 = 16 * 1024;
/// The largest record that is read.
const LARGEST: u64 = 64 << 20;
/// How long who only reads waits to note what was told.
const A_MOMENT: Duration = Duration::from_millis(100);

/// The record of one working tree.
#[derive(Clone, Debug)]
pub(crate) struct HeldFile {
    pub(super) path: PathBuf,
    sharing: Sharing,
}

/// How long to wait for others who write the same record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as for any guard: what is written must not get lost.
    Long,
    /// A moment: who only reads has something to say, and no time to lose.
    Short,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    #[serde(default)]
    lease: Vec<Held>,
}

impl HeldFile {
    /// The record in a working tree's git directory.
    #[must_use]
    pub(crate) fn of(git_dir: &Path, sharing: Sharing) -> Self {
        HeldFile {
            path: TreeDir::of(git_dir).held(),
            sharing,
        }
    }

    /// The leases listed. A record that is damaged must not stand in the way of locking: what of it can be read counts.
    pub(crate) fn read(&self) -> Result<Vec<Held>> {
        let bytes = files::read_small(&self.path, LARGEST)?.unwrap_or_default();
        let listed = match toml::from_slice::<Content>(&bytes) {
            Ok(content) => content.lease,
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "the record of leases is damaged");
                salvaged(&bytes)
            }
        };
        Ok(latest(listed))
    }

    /// Enters leases that are about to be published.
    pub(crate) fn enter(&self, locks: &[&Lock]) -> Result<()> {
        self.put(locks, false)
    }

    /// Confirms leases that are published, or renewed.
    pub(crate) fn confirm(&self, locks: &[&Lock]) -> Result<()> {
        self.put(locks, true)
    }

    /// Notes that these leases are about to be given back, as far as they are listed. `is_over` says which.
    pub(crate) fn announce_release(
        &self,
        is_meant: impl Fn(&Held) -> bool,
    ) -> Result<Vec<LeaseId>> {
        self.announce(true, |held| !held.giving_back && is_meant(held))
    }

    /// Takes the note back: they were not given back.
    pub(crate) fn withdraw_release(&self, leases: &[LeaseId]) -> Result<()> {
        let is_meant = |held: &Held| held.giving_back && leases.contains(&held.lease);
        self.announce(false, is_meant).map(drop)
    }

    fn announce(
        &self,
        giving_back: bool,
        is_meant: impl Fn(&Held) -> bool,
    ) -> Result<Vec<LeaseId>> {
        let mut noted = self.read()?;
        noted.retain(|held| held.confirmed && is_meant(held));
        for held in &mut noted {
            held.giving_back = giving_back;
        }
        let leases = noted.iter().map(|held| held.lease.clone()).collect();
        self.add(noted)?;
        Ok(leases)
    }

    fn put(&self, locks: &[&Lock], confirmed: bool) -> Result<()> {
        // A lease bound to a process has its process to notice the loss, and ends with it without anybody's doing.
        let locks: Vec<&Lock> = locks
            .iter()
            .copied()
            .filter(|lock| lock.process.is_none())
            .collect();
        self.add(locks.iter().map(|lock| Held::of(lock, confirmed)).collect())
    }

    fn add(&self, fresh: Vec<Held>) -> Result<()> {
        if fresh.is_empty() {
            return Ok(());
        }
        let fresh = Content { lease: fresh };
        let _guard = self.guard(Patience::Long)?;
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
    pub(crate) fn strike(&self, is_over: impl Fn(&Held) -> bool) -> Result<()> {
        if self.read()?.iter().any(&is_over) {
            self.update(Patience::Long, |held| held.retain(|h| !is_over(h)))?;
        }
        Ok(())
    }

    pub(super) fn update(
        &self,
        patience: Patience,
        change: impl FnOnce(&mut Vec<Held>),
    ) -> Result<()> {
        let _guard = self.guard(patience)?;
        let mut lease = self.read()?;
        change(&mut lease);
        self.write(lease)
    }

    /// Never waited for under the repository's guard: who keeps it delays this working tree and nobody else.
    fn guard(&self, patience: Patience) -> Result<Guard> {
        let directory = self.path.parent().unwrap_or(&self.path);
        files::create_directories(directory, self.sharing)?;
        let guard = directory.join("held.guard");
        match patience {
            Patience::Long => Guard::take(&guard, ""),
            Patience::Short => Guard::take_within(&guard, "", A_MOMENT),
        }
    }

    fn write(&self, lease: Vec<Held>) -> Result<()> {
        let text = to_toml(&Content { lease });
        match files::replace(&self.path, text.as_bytes(), self.sharing) {
            // Where there is no room for a second one, the first may have some.
            Err(Error::Io { source, .. }) if files::is_full(&source) => self.overwrite(&text),
            other => other,
        }
    }

    /// Writes the record in place. Who reads it at this moment may miss an entry or see an old one.
    fn overwrite(&self, text: &str) -> Result<()> {
        let write = || {
            let mut file = OpenOptions::new().write(true).open(&self.path)?;
            if file.metadata()?.len() < text.len() as u64 {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            file.write_all(text.as_bytes())?;
            file.set_len(text.len() as u64)
        };
        write().map_err(Error::io("write", &self.path))
    }
}

fn to_toml(content: &Content) -> String {
    if content.lease.is_empty() {
        // An empty list could not be added to.
        return String::new();
    }
    toml::to_string(content).expect("strings and words are TOML")
}

/// Of several entries of one owner for one path, the last. One that is not confirmed says that a command has begun: it
/// takes nothing away from what is held.
fn latest(all: Vec<Held>) -> Vec<Held> {
    let mut confirmed: HashSet<(Key, String, String)> = HashSet::new();
    let mut leases: HashSet<LeaseId> = HashSet::new();
    let mut kept: Vec<Held> = all
        .into_iter()
        .rev()
        .filter(|h| {
            let Some(claim) = h.claim() else {
                return false;
            };
            let whose = (
                claim.key,
                id_key(&h.owner).into_owned(),
                h.workspace.clone(),
            );
            let is_last = !confirmed.contains(&whose) && leases.insert(h.lease.clone());
            if h.confirmed {
                confirmed.insert(whose);
            }
            is_last
        })
        .collect();
    kept.reverse();
    kept
}

/// What can be read of a damaged record: each entry stands for itself. Power that went while one was added leaves zeros.
fn salvaged(bytes: &[u8]) -> Vec<Held> {
    let text = String::from_utf8_lossy(bytes).replace('\0', "\n");
    let entries = text.split("[[lease]]").skip(1);
    let parsed = entries.map(toml::from_str::<Held>);
    parsed.filter_map(std::result::Result::ok).collect()
}
