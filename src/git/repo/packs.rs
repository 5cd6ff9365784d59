//! Writing for good: objects as one pack that is on the disk, then the ref that names them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use git2::{ConfigLevel, ErrorCode, Indexer, Oid};

use super::{Objects, Writer};
use crate::rules::error::{Error, Result};

/// What a pack consists of.
const PARTS: [&str; 3] = ["pack", "rev", "idx"];

/// What we write into the file that tells git to keep a pack.
const MARK: &str = "git-latch\n";

/// The packs of one bare repository, and a directory of ours on the same file system to make new ones in.
#[derive(Clone, Debug)]
pub(crate) struct PackDirectory {
    repository: PathBuf,
    scratch: PathBuf,
}

/// Ids of objects.
#[derive(Debug, Default)]
pub(crate) struct ObjectIds(HashSet<Oid>);

impl ObjectIds {
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Whether an id that git prints is among them.
    pub(crate) fn has(&self, printed: &[u8]) -> bool {
        let id = str::from_utf8(printed).ok().and_then(|id| id.parse().ok());
        id.is_some_and(|id: Oid| self.0.contains(&id))
    }
}

impl PackDirectory {
    /// Of a repository; `scratch` must exist.
    pub(crate) fn new(repository: &Path, scratch: &Path) -> Self {
        PackDirectory {
            repository: repository.to_owned(),
            scratch: scratch.to_owned(),
        }
    }

    /// The repository.
    pub(crate) fn repository(&self) -> &Path {
        &self.repository
    }

    /// Where new packs are made.
    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// The file of a pack.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.part(name, "pack")
    }

    fn part(&self, name: &str, part: &str) -> PathBuf {
        self.packs().join(format!("{name}.{part}"))
    }

    fn packs(&self) -> PathBuf {
        self.repository.join("objects").join("pack")
    }

    /// Writes objects as one synced pack; gives its name. What exists is read from `objects`.
    pub(crate) fn write<T>(
        &self,
        objects: &Objects,
        write: impl FnOnce(&Writer<'_>) -> Result<T>,
    ) -> Result<(T, String)> {
        let wrong = |e: git2::Error| objects.corrupt(&e);
        let (written, pack) = objects.packed(write)?;
        let in_scratch = |e| Error::io("write a pack in", &self.scratch)(e);
        let mut indexer = Indexer::new(None, &self.scratch, 0o444, false).map_err(wrong)?;
        indexer.write_all(&pack).map_err(in_scratch)?;
        let name = format!("pack-{}", indexer.commit().map_err(wrong)?);
        // Nothing leads to these objects yet: a `git repack` that runs now must not take them for garbage.
        let keep = self.part(&name, "keep");
        fs::write(&keep, MARK).map_err(Error::io("write", &keep))?;
        self.publish(&name)?;
        Ok((written, name))
    }

    /// Syncs a pack in the scratch directory and moves it to the others; the index, by which it is found, last.
    pub(crate) fn publish(&self, name: &str) -> Result<()> {
        for part in PARTS {
            let made = self.scratch.join(format!("{name}.{part}"));
            let place = self.part(name, part);
            // Two servers that make the same change in the same millisecond write the same pack, by the same name: the
            // other one has synced it, and was faster.
            let is_gone = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
            let file = match File::open(&made) {
                Err(e) if is_gone(&e) && (part == "rev" || place.exists()) => continue,
                file => file.map_err(Error::io("open", &made))?,
            };
            file.sync_all().map_err(Error::io("sync", &made))?;
            match fs::rename(&made, &place) {
                Err(e) if is_gone(&e) && place.exists() => {}
                moved => moved.map_err(Error::io("write", &place))?,
            }
        }
        let directory = self.packs();
        File::open(&directory)
            .and_then(|directory| directory.sync_all())
            .map_err(Error::io("sync", &directory))
    }

    /// Lets git do with a pack what it does with all others: a ref leads to it now, or never will.
    pub(crate) fn unkeep(&self, name: &str) -> Result<()> {
        remove(&self.part(name, "keep"))
    }

    /// Whether a pack can be read: its index comes last, and goes first.
    pub(crate) fn is_whole(&self, name: &str) -> bool {
        self.part(name, "idx").exists()
    }

    /// Whether git is told to leave a pack alone.
    pub(crate) fn is_kept(&self, name: &str) -> bool {
        self.part(name, "keep").exists()
    }

    /// The objects in a pack.
    pub(crate) fn objects_in(&self, name: &str) -> Result<ObjectIds> {
        let index = self.part(name, "idx");
        let bytes = fs::read(&index).map_err(Error::io("read", &index))?;
        let ids = ids_in(&bytes).map(|ids| ObjectIds(ids.into_iter().collect()));
        ids.ok_or_else(|| Error::Corrupt {
            path: index,
            problem: "it is not a pack index".into(),
        })
    }

    /// Removes what a process that died has left: marks of ours that tell git to keep a pack, and halves of packs.
    pub(crate) fn tidy_up(&self) -> Result<()> {
        for file in files_in(&self.packs())? {
            let is_mark = file.extension().is_some_and(|e| e == "keep");
            if is_mark && fs::read(&file).is_ok_and(|text| text == MARK.as_bytes()) {
                fs::remove_file(&file).map_err(Error::io("remove", &file))?;
            }
        }
        for file in files_in(&self.scratch)? {
            fs::remove_file(&file).map_err(Error::io("remove", &file))?;
        }
        Ok(())
    }

    /// Whether an index over several packs names what we would remove.
    pub(crate) fn is_indexed_together(&self) -> bool {
        let directory = self.packs();
        ["multi-pack-index", "multi-pack-index.d"]
            .iter()
            .any(|name| directory.join(name).exists())
    }

    /// Removes a pack; the index first, so that nobody looks for what goes.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        for part in PARTS.iter().rev() {
            remove(&self.part(name, part))?;
        }
        Ok(())
    }
}

/// Removes a file, if it is there.
fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", file)(e)),
        _ => Ok(()),
    }
}

/// The files in a directory.
fn files_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let inside = fs::read_dir(directory).map_err(Error::io("read", directory))?;
    let files = inside.flatten().map(|file| file.path());
    Ok(files.filter(|path| path.is_file()).collect())
}

/// The ids in an index, version 2 (gitformat-pack(5)): a mark, the version, 256 counts of which the last is the number of
/// all, then the ids.
fn ids_in(index: &[u8]) -> Option<Vec<Oid>> {
    const COUNTS: usize = 8;
    const IDS: usize = COUNTS + 256 * 4;
    const ID: usize = 20;
    if !index.starts_with(b"\xfftOc\0\0\0\x02") {
        return None;
    }
    let count = u32::from_be_bytes(index.get(IDS - 4..IDS)?.try_into().ok()?);
    let ids = index.get(IDS..IDS + usize::try_from(count).ok()? * ID)?;
    ids.chunks(ID).map(|id| Oid::from_bytes(id).ok()).collect()
}

impl Objects {
    /// Has refs written on the disk before they count, whatever the repository's own configuration says; `file` is where
    /// libgit2 reads that from.
    pub(crate) fn with_synced_refs(self, file: &Path) -> Result<Self> {
        let text = "[core]\n\tfsyncObjectFiles = true\n";
        if fs::read_to_string(file).ok().as_deref() != Some(text) {
            fs::write(file, text).map_err(Error::io("write", file))?;
        }
        let config = self.repository.config();
        let added = config.and_then(|mut config| config.add_file(file, ConfigLevel::App, true));
        added.map_err(|e| self.corrupt(&e))?;
        Ok(self)
    }

    /// Makes a ref name `new`, if it names `old` (or, for `None`, does not exist).
    pub(crate) fn exchange(&self, reference: &str, old: Option<&str>, new: &str) -> Result<Moved> {
        let zero = Oid::ZERO_SHA1;
        let old = old.map_or(Ok(zero), |old| self.oid(old))?;
        let new = self.oid(new)?;
        let moved = self
            .repository
            .reference_matching(reference, new, true, old, "git-latch");
        match moved.map_err(|e| (e.code(), e)) {
            Ok(_) => Ok(Moved::Yes),
            Err((ErrorCode::Locked, _)) => Ok(Moved::Locked),
            Err((ErrorCode::Modified | ErrorCode::Exists | ErrorCode::NotFound, _)) => {
                Ok(Moved::No)
            }
            Err((_, e)) => Err(self.corrupt(&e)),
        }
    }
}

/// What became of moving a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// It names the new commit.
    Yes,
    /// It named something else.
    No,
    /// Somebody else has it locked.
    Locked,
}
