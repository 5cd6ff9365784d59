//! Reading the lock directory: single places, or everything below one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::thread;

use chrono::{DateTime, Utc};

use crate::os::files::{self, Stamp};
use crate::os::paths::{path_to_bytes, place_path};
use crate::rules::error::{Error, Result};
use crate::rules::lock::Lock;
use crate::rules::path::{Claim, Key, Kind, Place};
use crate::rules::view::{Content, Entry};

/// From how many lock files on a second thread pays for itself.
const WORTH_A_THREAD: usize = 2000;

/// What lies in one place; `None` where nothing does.
pub(super) fn entry(locks: &Path, place: Place) -> Result<Option<Entry>> {
    let path = locks.join(place_path(&place));
    let Some(found) = files::read(&path)? else {
        return Ok(None);
    };
    Ok(Some(entry_of(place, found.bytes, found.modified)))
}

/// What stands in a place, given its bytes or why there are none, and when the store had them.
pub(super) fn entry_of(
    place: Place,
    bytes: Result<Vec<u8>, String>,
    stored_at: Option<DateTime<Utc>>,
) -> Entry {
    let content = match bytes.and_then(|bytes| Lock::parse(&bytes)) {
        Ok(lock) if lock.claim().place().as_ref() == Some(&place) => {
            let life = crate::os::process::liveness(lock.process.as_ref());
            Content::Lock {
                lock: Box::new(lock),
                life,
            }
        }
        Ok(lock) => Content::Unreadable {
            problem: format!("it is the lock of `{}`, not of this path", lock.path),
        },
        Err(problem) => Content::Unreadable { problem },
    };
    let claim = place.occupied();
    Entry {
        place,
        claim,
        stored_at,
        content,
    }
}

/// Everything that bears on these claims. Costs by the claims, not by the number of locks: a mirror directory that is
/// not there is asked for once.
pub(super) fn claims(locks: &Path, claims: &[Claim]) -> Result<Vec<Entry>> {
    let mut scan = Scan {
        locks,
        directories: HashMap::new(),
        seen: BTreeSet::new(),
        entries: Vec::new(),
    };
    for claim in claims {
        let parent = claim.key.ancestors().next().unwrap_or_else(Key::root);
        if scan.enter(&parent)? {
            for kind in [Kind::File, Kind::Directory] {
                scan.look(&Claim {
                    key: claim.key.clone(),
                    kind,
                })?;
            }
        }
        if claim.kind == Kind::Directory {
            scan.look_below(&claim.key)?;
        }
    }
    Ok(scan.entries)
}

struct Scan<'a> {
    locks: &'a Path,
    /// Mirror directories that were asked for, and whether they are there.
    directories: HashMap<Key, bool>,
    seen: BTreeSet<Place>,
    entries: Vec<Entry>,
}

impl Scan<'_> {
    /// Reads the directory locks from the root down to `key`; says whether its mirror directory is there.
    fn enter(&mut self, key: &Key) -> Result<bool> {
        if let Some(known) = self.directories.get(key) {
            return Ok(*known);
        }
        let above = match key.ancestors().next() {
            Some(parent) => self.enter(&parent)?,
            None => true,
        };
        let claim = Claim {
            key: key.clone(),
            kind: Kind::Directory,
        };
        let there = above && mirror(self.locks, &claim).is_some_and(|d| d.is_dir());
        if there {
            self.look(&claim)?;
        }
        self.directories.insert(key.clone(), there);
        Ok(there)
    }

    fn look(&mut self, claim: &Claim) -> Result<()> {
        let Some(place) = claim.place() else {
            return Ok(());
        };
        if *claim
            == (Claim {
                key: Key::root(),
                kind: Kind::File,
            })
        {
            return Ok(());
        }
        if self.seen.insert(place.clone()) {
            self.entries.extend(entry(self.locks, place)?);
        }
        Ok(())
    }

    fn look_below(&mut self, key: &Key) -> Result<()> {
        let Some(directory) = mirror(
            self.locks,
            &Claim {
                key: key.clone(),
                kind: Kind::Directory,
            },
        ) else {
            return Ok(());
        };
        let mut places = Vec::new();
        walk(self.locks, &directory, &mut |place| {
            places.push(place);
            true
        })?;
        places.retain(|p| self.seen.insert(p.clone()));
        self.entries.extend(read_all(self.locks, &places)?);
        Ok(())
    }
}

/// The mirror directory of a directory's claim.
fn mirror(locks: &Path, claim: &Claim) -> Option<std::path::PathBuf> {
    Some(locks.join(place_path(&claim.place()?).parent()?))
}

/// What lies in these places.
pub(super) fn places(locks: &Path, places: &[Place]) -> Result<Vec<Entry>> {
    read_all(locks, places)
}

/// Every place of the lock directory, with what the file there looks like.
pub(crate) fn stamps(locks: &Path) -> Result<BTreeMap<Place, Stamp>> {
    let mut found = BTreeMap::new();
    walk(locks, locks, &mut |place| {
        if let Ok(meta) = fs::symlink_metadata(locks.join(place_path(&place))) {
            found.insert(place, Stamp::of(&meta));
        }
        true
    })?;
    Ok(found)
}

/// Every entry of the lock directory.
pub(super) fn all(locks: &Path) -> Result<Vec<Entry>> {
    let mut places = Vec::new();
    walk(locks, locks, &mut |place| {
        places.push(place);
        true
    })?;
    read_all(locks, &places)
}

/// Up to `limit` entries, and whether those were all.
pub(super) fn some(locks: &Path, limit: usize) -> Result<(Vec<Entry>, bool)> {
    let mut places = Vec::new();
    let complete = walk(locks, locks, &mut |place| {
        places.push(place);
        places.len() < limit
    })?;
    Ok((read_all(locks, &places)?, complete))
}

fn read_all(locks: &Path, places: &[Place]) -> Result<Vec<Entry>> {
    let read = |places: &[Place]| -> Result<Vec<Entry>> {
        // What was removed between walk and reading is not there.
        places
            .iter()
            .filter_map(|place| entry(locks, place.clone()).transpose())
            .collect()
    };
    if places.len() < WORTH_A_THREAD {
        return read(places);
    }
    let threads = thread::available_parallelism()
        .map_or(2, std::num::NonZero::get)
        .min(8);
    let share = places.len().div_ceil(threads);
    let parts: Vec<Result<Vec<Entry>>> = thread::scope(|scope| {
        let workers: Vec<_> = places
            .chunks(share)
            .map(|part| scope.spawn(move || read(part)))
            .collect();
        workers
            .into_iter()
            .map(|w| w.join().expect("reading does not panic"))
            .collect()
    });
    let mut entries = Vec::with_capacity(places.len());
    for part in parts {
        entries.extend(part?);
    }
    Ok(entries)
}

/// Hands every place of a lock below `directory` to `visit` until it says no; says whether it went to the end. Never
/// follows a link. A directory that stands in a lock's place is handed over too, after what lies in it.
fn walk(locks: &Path, directory: &Path, visit: &mut dyn FnMut(Place) -> bool) -> Result<bool> {
    let listing = match fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(e) if files::is_absent(&e) => return Ok(true),
        Err(e) => return Err(Error::io("read", directory)(e)),
    };
    for item in listing {
        let item = item.map_err(Error::io("read", directory))?;
        let kind = item.file_type().map_err(Error::io("read", item.path()))?;
        let path = item.path();
        if kind.is_dir() && !walk(locks, &path, visit)? {
            return Ok(false);
        }
        if item.file_name().as_encoded_bytes().ends_with(b".lock") {
            let relative = path.strip_prefix(locks).unwrap_or(&path);
            if !visit(Place::from_bytes(path_to_bytes(relative))) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
