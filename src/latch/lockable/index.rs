//! Which attribute files the index names, read from its bytes.
//!
//! A hook wants to know on every commit whether the attributes may have changed. To ask git, `ls-files` with a pathspec,
//! costs a process and a reading of every entry: 13 ms at 100,000 files, a seventh of the whole commit. To look for one
//! name in the bytes costs 1 ms. Only names are taken from here, and each is looked at in the working tree: one too many
//! does no harm.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use memchr::memmem::Finder;

use super::ATTRIBUTES_FILE;
use crate::os::files;
use crate::os::paths::path_to_bytes;
use crate::rules::error::{Error, Result};

/// What is read at once.
const CHUNK: usize = 1 << 17;
/// The longest path that an entry names by its length; longer ones say only that they are longer.
const LONGEST: usize = 0xfff;
/// The bit by which an entry says that two more bytes of flags follow.
const EXTENDED: u16 = 0x4000;

/// The paths of attribute files in the index of a working tree, and in what it is shared with.
pub(super) fn attribute_files(git_dir: &Path) -> Result<BTreeSet<Vec<u8>>> {
    let mut found = BTreeSet::new();
    for index in parts(git_dir)? {
        match File::open(&index) {
            Ok(mut file) => names(&mut file, &mut found).map_err(Error::io("read", &index))?,
            Err(e) if files::is_absent(&e) => {}
            Err(e) => return Err(Error::io("read", index)(e)),
        }
    }
    Ok(found)
}

/// The index, and those that a split index may be based on.
fn parts(git_dir: &Path) -> Result<Vec<PathBuf>> {
    let mut parts = vec![git_dir.join("index")];
    let listing = fs::read_dir(git_dir).map_err(Error::io("read", git_dir))?;
    for entry in listing.flatten() {
        let name = entry.file_name();
        if path_to_bytes(Path::new(&name)).starts_with(b"sharedindex.") {
            parts.push(entry.path());
        }
    }
    Ok(parts)
}

fn names(index: &mut impl Read, found: &mut BTreeSet<Vec<u8>>) -> std::io::Result<()> {
    let mut header = [0; 12];
    if index.read(&mut header)? < header.len() || !header.starts_with(b"DIRC") {
        return Ok(());
    }
    if header[7] >= 4 {
        let mut rest = Vec::new();
        index.read_to_end(&mut rest)?;
        let count = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        compressed(&rest, count, found);
        return Ok(());
    }
    let finder = Finder::new(ENDING);
    // What was read before stays in front: a name must not be cut in two.
    let mut bytes = vec![0; LONGEST + CHUNK];
    let mut kept = 0;
    loop {
        let more = index.read(&mut bytes[kept..])?;
        if more == 0 {
            return Ok(());
        }
        let read = &bytes[..kept + more];
        for at in finder.find_iter(read) {
            found.extend(names_before(read, at + ENDING.len() - 1));
        }
        let from = read.len().saturating_sub(LONGEST);
        let end = read.len();
        bytes.copy_within(from..end, 0);
        kept = end - from;
    }
}

/// The name with the zero that ends it.
const ENDING: &[u8] = b".gitattributes\0";

/// The names that may end at `end`: as long as the flags before them say. There may be one too many, for bytes of a name
/// can look like flags.
fn names_before(read: &[u8], end: usize) -> Vec<Vec<u8>> {
    let first = end - ATTRIBUTES_FILE.len();
    let flags = |at: usize| Some(u16::from_be_bytes([*read.get(at)?, *read.get(at + 1)?]));
    let is_start = |start: usize| {
        let says = |flags: &u16| usize::from(*flags) & LONGEST == end - start;
        let plain = || flags(start.checked_sub(2)?).filter(|f| f & EXTENDED == 0 && says(f));
        let extended = || flags(start.checked_sub(4)?).filter(|f| f & EXTENDED != 0 && says(f));
        plain().or_else(extended).is_some()
    };
    let is_whole = |start: &usize| *start == first || read[first - 1] == b'/';
    // There is no zero in a name.
    let zero = memchr::memrchr(0, &read[..first]).map_or(0, |at| at + 1);
    let starts = zero.max(end.saturating_sub(LONGEST))..=first;
    let starts = starts.filter(|start| is_whole(start) && is_start(*start));
    starts.map(|start| read[start..end].to_vec()).collect()
}

/// The names of a version 4 index, each told by what it does not share with the one before.
fn compressed(entries: &[u8], count: u32, found: &mut BTreeSet<Vec<u8>>) {
    for id in [20, 32] {
        let mut seen = BTreeSet::new();
        if walk(entries, count, id, &mut seen).is_some() {
            found.extend(seen);
            return;
        }
    }
}

/// Goes through a version 4 index whose object ids have that many bytes; `None` where they have not.
fn walk(mut rest: &[u8], count: u32, id: usize, found: &mut BTreeSet<Vec<u8>>) -> Option<()> {
    let mut name: Vec<u8> = Vec::new();
    for _ in 0..count {
        let flags = u16::from_be_bytes([*rest.get(40 + id)?, *rest.get(41 + id)?]);
        let more = if flags & EXTENDED == 0 { 0 } else { 2 };
        rest = rest.get(42 + id + more..)?;
        let (dropped, after) = offset(rest)?;
        name.truncate(name.len().checked_sub(dropped)?);
        let end = memchr::memchr(0, after)?;
        name.extend_from_slice(&after[..end]);
        if usize::from(flags) & LONGEST != name.len().min(LONGEST) {
            return None;
        }
        rest = &after[end + 1..];
        if super::is_attributes_file(&name) {
            found.insert(name.clone());
        }
    }
    Some(())
}

/// A number as pack files write offsets: seven bits a byte, one more for each byte that follows.
fn offset(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value = (value << 7) | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
        value += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::scratch::Scratch;

    fn told(scratch: &Scratch) -> String {
        let found = attribute_files(scratch.repo().git_dir()).unwrap();
        let names = found
            .into_iter()
            .map(|name| String::from_utf8(name).unwrap());
        names.collect::<Vec<_>>().join(" ")
    }

    /// Files around attribute files, near in name and many.
    fn tree(options: &[&str]) -> Scratch {
        let scratch = Scratch::with(options);
        let deep = format!("{}/.gitattributes", vec!["d".repeat(100); 9].join("/"));
        let names = [
            ".gitattributes",
            "a/.gita",
            "a/.gitattributes",
            "a/x.gitattributes",
            &deep,
        ];
        scratch.stage(&names, "* -text\n");
        for n in 0..3000 {
            scratch.write(format!("many/{n:0100}").as_bytes(), "");
        }
        scratch.git(&["add", "many"]);
        scratch.stage(&["z/.gitattributes"], "* -text\n");
        scratch
    }

    #[test]
    fn every_kind_of_index_names_its_attribute_files() {
        for options in [&[][..], &["--object-format=sha256"]] {
            let scratch = tree(options);
            for version in ["2", "3", "4"] {
                scratch.git(&[
                    "update-index",
                    "--index-version",
                    version,
                    "--skip-worktree",
                    "a/.gita",
                ]);
                let told = told(&scratch);
                let names: Vec<&str> = told.split(' ').collect();
                assert_eq!(names.len(), 4, "{version}: {told}");
                assert_eq!(
                    [names[0], names[1], names[3]],
                    [".gitattributes", "a/.gitattributes", "z/.gitattributes"]
                );
            }
        }
    }

    #[test]
    fn a_split_index_is_read_with_what_it_is_based_on() {
        let scratch = tree(&[]);
        scratch.git(&["update-index", "--split-index"]);
        scratch.stage(&["new/.gitattributes"], "x\n");
        assert_eq!(told(&scratch).split(' ').count(), 5);
    }

    #[test]
    fn no_index_and_no_sense_in_it_are_no_names() {
        let scratch = Scratch::new();
        assert_eq!(told(&scratch), "");
        for bytes in [
            &b"DIRC"[..],
            b"DIRC\0\0\0\x04\0\0\xff\xff.gitattributes\0",
            b"DIRC\0\0\0\x02\0\0\0\x01.gitattributes\0",
        ] {
            fs::write(scratch.repo().git_dir().join("index"), bytes).unwrap();
            assert_eq!(told(&scratch), "");
        }
    }
}
