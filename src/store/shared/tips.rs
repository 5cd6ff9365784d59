//! The tip of our own repository: what was accepted last as the locks' state.
//!
//! It moves by comparison with what it was, under a guard of its own, and its file is replaced whole. Git's lock file of
//! the ref has no part in that: whatever a killed command has left there is in nobody's way. No git that we start writes
//! this ref: a fetch writes one of its own, and a `gc` of ours leaves refs alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::git::repo::{Objects, Revision};
use crate::os::guard::Guard;
use crate::os::mode::Sharing;
use crate::os::{fault, files};
use crate::rules::error::{Error, Result};

/// The last tip that was accepted as the locks' state.
const TIP: &str = "refs/latch/tip";
/// Below this, each by itself, a fetch puts what the remote has, before it is accepted.
const FETCHED: &str = "refs/latch/fetching";
/// How old what a killed fetch has left is when it is removed.
const LEFT: Duration = Duration::from_secs(24 * 60 * 60);

/// The refs of our own repository.
#[derive(Clone, Debug)]
pub(super) struct Tips {
    store: PathBuf,
    guard: PathBuf,
    sharing: Sharing,
}

impl Tips {
    /// Those of the repository `store`, guarded by a file beside it.
    pub(super) fn new(store: &Path, sharing: Sharing) -> Self {
        Tips {
            store: store.to_owned(),
            guard: store.with_extension("guard"),
            sharing,
        }
    }

    /// The tip; `None` where there is none, or where the system has lost what it says, as it may when the power fails:
    /// it is fetched again.
    pub(super) fn seen(&self, objects: &Objects) -> Result<Option<Revision>> {
        match objects.revision(TIP) {
            Err(error) if self.is_torn() => {
                tracing::warn!(%error, "the tip that was seen last is torn");
                Ok(None)
            }
            seen => seen,
        }
    }

    /// Whether the ref's file holds no object's name.
    fn is_torn(&self) -> bool {
        let text = fs::read(self.store.join(TIP)).unwrap_or_default();
        let text = text.trim_ascii_end();
        !(text.len() == 40 && text.iter().all(u8::is_ascii_hexdigit))
    }

    /// Moves the tip from `old` to `new`; says whether it still was there.
    pub(super) fn exchange(
        &self,
        objects: &Objects,
        old: Option<&str>,
        new: Option<&str>,
    ) -> Result<bool> {
        let _guard = self.hold()?;
        let seen = self.seen(objects)?;
        if seen.as_ref().map(|tip| tip.commit.as_str()) != old {
            return Ok(false);
        }
        fault::point("tip.moving");
        match new {
            Some(new) => self.write(new)?,
            None => self.remove(objects)?,
        }
        fault::point("tip.moved");
        Ok(true)
    }

    /// Keeps others of this clone from moving the tip, and from what else is written under the same guard.
    pub(super) fn hold(&self) -> Result<Guard> {
        let note = format!(
            "{} git-latch: the tip of the shared locks\n",
            std::process::id()
        );
        Guard::take(&self.guard, &note)
    }

    fn write(&self, commit: &str) -> Result<()> {
        let file = self.store.join(TIP);
        let directory = file.parent().unwrap_or(&self.store);
        files::create_directories(directory, self.sharing)?;
        // Not among the refs: git would take what a killed command leaves for a broken one.
        let staged = files::stage(&self.store, format!("{commit}\n").as_bytes(), self.sharing)?;
        staged
            .persist(&file)
            .map(drop)
            .map_err(|e| Error::io("write", &file)(e.error))
    }

    /// Removes the tip, wherever git has put it. Under the guard nobody else writes there: a lock file is left over.
    fn remove(&self, objects: &Objects) -> Result<()> {
        for left in [format!("{TIP}.lock"), "packed-refs.lock".to_owned()] {
            files::remove(&self.store.join(left))?;
        }
        if self.is_torn() {
            files::remove(&self.store.join(TIP))?;
        }
        objects.remove(TIP)
    }

    /// A ref for one fetch: nobody else ever has the same, so that what a killed one leaves stands in nobody's way.
    pub(super) fn for_a_fetch() -> String {
        format!("{FETCHED}/{}", uuid::Uuid::new_v4().simple())
    }

    /// What was fetched into such a ref, which goes.
    pub(super) fn take_fetched(&self, objects: &Objects, into: &str) -> Result<Revision> {
        let found = objects.revision(into)?;
        // Git writes it as a file, and packs no refs here.
        if let Err(error) = files::remove(&self.store.join(into)) {
            tracing::debug!(%error, "what was fetched keeps its ref");
        }
        found.ok_or_else(|| Error::Corrupt {
            path: self.store.join(into),
            problem: "what was fetched is not there".into(),
        })
    }

    /// Removes what killed fetches have left.
    pub(super) fn tidy(&self) {
        let Ok(listing) = fs::read_dir(self.store.join(FETCHED)) else {
            return;
        };
        let is_left = |at: SystemTime| at.elapsed().is_ok_and(|age| age > LEFT);
        for file in listing.flatten() {
            let modified = file.metadata().and_then(|meta| meta.modified());
            if modified.is_ok_and(is_left) {
                // Somebody else tidies up, too.
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::scratch::Scratch;

    /// A bare repository with two commits, and its refs.
    fn tips(scratch: &Scratch) -> (Tips, Objects, [String; 2]) {
        let bare = PathBuf::from(scratch.with_origin());
        let commits = [scratch.commit(&["a"], "1"), scratch.commit(&["a"], "2")];
        scratch.git(&["push", "--quiet", "origin", "HEAD:refs/heads/main"]);
        let objects = Objects::open(&bare).unwrap();
        (Tips::new(&bare, Sharing::Umask), objects, commits)
    }

    #[test]
    fn the_tip_moves_by_comparison_whatever_lock_files_lie_there() {
        let scratch = Scratch::new();
        let (tips, objects, [first, second]) = tips(&scratch);
        let seen = || tips.seen(&objects).unwrap().map(|tip| tip.commit);
        fs::create_dir_all(tips.store.join("refs/latch")).unwrap();
        for left in ["refs/latch/tip.lock", "packed-refs.lock"] {
            fs::write(tips.store.join(left), "").unwrap();
        }
        assert!(tips.exchange(&objects, None, Some(&first)).unwrap());
        assert!(!tips.exchange(&objects, None, Some(&second)).unwrap());
        assert_eq!(seen(), Some(first.clone()));
        assert!(
            tips.exchange(&objects, Some(&first), Some(&second))
                .unwrap()
        );
        assert!(tips.exchange(&objects, Some(&second), None).unwrap());
        assert_eq!(seen(), None);
    }

    #[test]
    fn a_tip_that_the_system_has_lost_is_none_and_is_written_again() {
        let scratch = Scratch::new();
        let (tips, objects, [first, _]) = tips(&scratch);
        assert!(tips.exchange(&objects, None, Some(&first)).unwrap());
        for torn in [&b""[..], &[0; 41]] {
            fs::write(tips.store.join(TIP), torn).unwrap();
            assert!(tips.seen(&objects).unwrap().is_none());
            assert!(tips.exchange(&objects, None, Some(&first)).unwrap());
            assert_eq!(tips.seen(&objects).unwrap().unwrap().commit, first);
            assert!(tips.exchange(&objects, Some(&first), None).unwrap());
            assert!(tips.exchange(&objects, None, Some(&first)).unwrap());
        }
    }
}
