//! The paths in which trees differ, streamed: one git for any number of pairs, which opens no directory that is the same
//! on both sides.
//!
//! Never asked for single paths: git then trusts that trees are sorted, which those of an attacker are not.

use std::io::{self, BufRead};

use crate::git::command::Git;
use crate::rules::error::{Error, Result};

/// A path in which the trees of a pair differ.
pub(super) struct Differing<'a> {
    /// Which pair.
    pub(super) pair: usize,
    /// The path, in git's bytes.
    pub(super) path: &'a [u8],
    /// `:MODE MODE OID OID STATUS`.
    line: &'a [u8],
}

impl Differing<'_> {
    /// What the first tree has there, mode and object; zeros where it has nothing.
    pub(super) fn before(&self) -> Vec<u8> {
        let mut words = self.line.split(|b| *b == b' ');
        let (mode, oid) = (words.next(), words.nth(1));
        [mode.unwrap_or_default(), oid.unwrap_or_default()].join(&b' ')
    }
}

/// Tells every path in which the two trees of each pair differ.
pub(super) fn each(
    git: &Git,
    pairs: &[(String, String)],
    tell: &mut dyn FnMut(Differing<'_>) -> Result<()>,
) -> Result<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    let arguments = [
        "diff-tree",
        "--stdin",
        "-r",
        "--raw",
        "--no-abbrev",
        "--no-renames",
        "--ignore-submodules=none",
        "-z",
    ];
    let lines = pairs.iter().map(|(one, other)| format!("{one} {other}\n"));
    let input: String = lines.collect();
    git.read(&arguments, input.into_bytes(), &mut |output| {
        let mut reading = Reading::default();
        let failed = |e| Error::io("read", "git diff-tree")(e);
        while let Some(differing) = reading.next(output).map_err(failed)? {
            tell(differing)?;
        }
        Ok(())
    })
}

/// Where the reading of git's answer stands.
#[derive(Default)]
struct Reading {
    headers: usize,
    line: Vec<u8>,
    path: Vec<u8>,
}

impl Reading {
    /// The next difference: after a line that repeats the pair come `:MODE MODE OID OID STATUS NUL PATH NUL`.
    fn next(&mut self, output: &mut dyn BufRead) -> io::Result<Option<Differing<'_>>> {
        loop {
            self.line.clear();
            self.path.clear();
            match output.fill_buf()?.first() {
                None => return Ok(None),
                Some(b':') => break,
                Some(_) => {
                    output.read_until(b'\n', &mut self.line)?;
                    self.headers += 1;
                }
            }
        }
        output.read_until(0, &mut self.line)?;
        output.read_until(0, &mut self.path)?;
        let odd = || io::Error::new(io::ErrorKind::InvalidData, "git's answer is cut off");
        let pair = self.headers.checked_sub(1).ok_or_else(odd)?;
        let path = self.path.strip_suffix(b"\0").ok_or_else(odd)?;
        Ok(Some(Differing {
            pair,
            path,
            line: &self.line,
        }))
    }
}

/// The objects that such names stand for; `None` where there is none of that type.
pub(super) fn resolve(git: &Git, names: &[String]) -> Result<Vec<Option<String>>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let arguments = ["cat-file", "--batch-check=%(objectname)", "--buffer"];
    let output = git.output_with_input(&arguments, (names.join("\n") + "\n").into_bytes())?;
    let text = String::from_utf8_lossy(&output);
    let is_oid = |line: &&str| line.bytes().all(|b| b.is_ascii_hexdigit());
    let found = text
        .lines()
        .map(|line| Some(line).filter(is_oid).map(str::to_owned));
    let mut found: Vec<_> = found.collect();
    found.resize(names.len(), None);
    Ok(found)
}
