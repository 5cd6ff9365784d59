//! What was done with the write bits of a working tree: `latch/bits` in its git directory.
//!
//! A file that is not `lockable` any more gets back what was taken from it, and only that: one that its user made
//! read-only stays so. And whoever has lost a lock finds here which files it left writable. Entries are added before the
//! bits change, so that nothing is taken that is not noted; what a crash or two commands at once lose of the record is
//! harmless, as a file is then left as it is.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::os::files;
use crate::os::mode::Sharing;
use crate::rules::error::{Error, Result};
use crate::store::TreeDir;

/// From how many bytes on the record is written anew when half of it is outdated.
const WORTH_REWRITING: usize = 16 * 1024;

/// What was done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// These write bits were taken.
    Taken(u32),
    /// It was left, or made, writable for a lock.
    Left,
    /// Nothing that counts any more.
    Nothing,
}

/// The record of one working tree.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    entries: BTreeMap<Vec<u8>, Done>,
    /// How long the file is.
    length: usize,
    added: Vec<u8>,
}

impl Record {
    /// Reads it; one that is not there is empty.
    pub(super) fn read(git_dir: &Path) -> Result<Self> {
        let path = TreeDir::of(git_dir).write_bits();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if files::is_absent(&e) => Vec::new(),
            Err(e) => return Err(Error::io("read", path)(e)),
        };
        let mut record = Record {
            length: bytes.len(),
            path,
            entries: BTreeMap::new(),
            added: Vec::new(),
        };
        // What comes after the last zero is half an entry.
        let whole = memchr::memrchr(0, &bytes).map_or(&[][..], |end| &bytes[..end]);
        for (path, done) in whole.split(|b| *b == 0).filter_map(parse) {
            record.put(path.to_vec(), done);
        }
        Ok(record)
    }

    fn put(&mut self, path: Vec<u8>, done: Done) {
        match done {
            Done::Nothing => drop(self.entries.remove(&path)),
            _ => drop(self.entries.insert(path, done)),
        }
    }

    /// What was done with a file.
    pub(super) fn of(&self, path: &[u8]) -> Done {
        self.entries.get(path).copied().unwrap_or(Done::Nothing)
    }

    /// Every file with which something was done, sorted.
    pub(super) fn paths(&self) -> Vec<Vec<u8>> {
        self.entries.keys().cloned().collect()
    }

    /// The files that were left writable, sorted.
    pub(super) fn left(&self) -> Vec<Vec<u8>> {
        let left = self.entries.iter().filter(|(_, done)| **done == Done::Left);
        left.map(|(path, _)| path.clone()).collect()
    }

    /// Enters what is about to be done; [`Record::save`] writes it.
    pub(super) fn enter(&mut self, path: &[u8], done: Done) {
        if self.of(path) == done {
            return;
        }
        self.added.extend(line(path, done));
        self.put(path.to_vec(), done);
    }

    /// Writes what was entered.
    pub(super) fn save(&mut self, sharing: Sharing) -> Result<()> {
        if self.added.is_empty() {
            return Ok(());
        }
        let directory = self.path.parent().unwrap_or(&self.path);
        files::create_directories(directory, sharing)?;
        let kept: usize = self.entries.keys().map(|path| path.len() + 6).sum();
        let added = std::mem::take(&mut self.added);
        self.length += added.len();
        if self.length > WORTH_REWRITING && self.length > 2 * kept {
            let lines = self.entries.iter().map(|(path, done)| line(path, *done));
            let text: Vec<u8> = lines.flatten().collect();
            self.length = text.len();
            return files::replace(&self.path, &text, sharing);
        }
        let is_new = self.length == added.len();
        let written = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.path)
            .and_then(|mut file| file.write_all(&added));
        if is_new && written.is_ok() {
            sharing
                .adjust_file(&self.path)
                .map_err(Error::io("set the mode of", &self.path))?;
        }
        written.map_err(Error::io("write", &self.path))
    }
}

/// One entry as it is written, with the zero that ends it.
fn line(path: &[u8], done: Done) -> Vec<u8> {
    let word = match done {
        Done::Taken(bits) => format!("r{bits:o} "),
        Done::Left => "w ".to_owned(),
        Done::Nothing => "- ".to_owned(),
    };
    [word.as_bytes(), path, b"\0"].concat()
}

fn parse(line: &[u8]) -> Option<(&[u8], Done)> {
    let blank = line.iter().position(|b| *b == b' ')?;
    let (word, path) = (
        std::str::from_utf8(&line[..blank]).ok()?,
        &line[blank + 1..],
    );
    let done = match word.split_at_checked(1)? {
        ("r", bits) => Done::Taken(u32::from_str_radix(bits, 8).ok()?),
        ("w", "") => Done::Left,
        ("-", "") => Done::Nothing,
        _ => return None,
    };
    Some((path, done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entry_of_a_file_counts_and_half_an_entry_does_not() {
        let home = tempfile::tempdir().unwrap();
        let mut record = Record::read(home.path()).unwrap();
        record.enter(b"a b", Done::Taken(0o220));
        record.enter(b"c", Done::Left);
        record.enter(b"d", Done::Left);
        record.save(Sharing::Umask).unwrap();
        record.enter(b"d", Done::Nothing);
        record.save(Sharing::Umask).unwrap();
        let file = home.path().join("latch/bits");
        let mut bytes = fs::read(&file).unwrap();
        bytes.extend(b"nonsense\0\0\0r2");
        fs::write(&file, bytes).unwrap();
        let record = Record::read(home.path()).unwrap();
        assert_eq!(record.of(b"a b"), Done::Taken(0o220));
        assert_eq!(record.left(), [b"c".to_vec()]);
        assert_eq!(record.paths().len(), 2);
    }

    #[test]
    fn a_record_that_is_mostly_outdated_is_written_anew() {
        let home = tempfile::tempdir().unwrap();
        let mut record = Record::read(home.path()).unwrap();
        for n in 0..3000 {
            record.enter(
                b"one",
                if n % 2 == 0 {
                    Done::Left
                } else {
                    Done::Taken(0o200)
                },
            );
            record.save(Sharing::Umask).unwrap();
        }
        let length = fs::metadata(home.path().join("latch/bits")).unwrap().len();
        assert!(length < 17 * 1024, "{length}");
        let record = Record::read(home.path()).unwrap();
        assert_eq!(record.of(b"one"), Done::Taken(0o200));
    }
}
