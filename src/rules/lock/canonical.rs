//! Reading a lock file that is written as this program writes it, without the cost of a TOML parser.
//!
//! Listing many locks is mostly parsing. What differs in the least from the form of [`super::Lock::to_toml`] is left to
//! the TOML parser, which has the last word on what is valid.

use chrono::{DateTime, NaiveDate, Utc};

use super::{LeaseId, Owner, Process, Record};
use crate::rules::path::Kind;

/// Reads a record; `None` for whatever is not in the form this program writes.
pub(super) fn read(text: &str) -> Option<Record> {
    let mut lines = Lines {
        rest: text.strip_suffix('\n')?.split('\n').peekable(),
    };
    let record = Record {
        format: lines.value("format")?.parse().ok()?,
        path: lines.string("path")?.to_owned(),
        kind: match lines.string("kind")? {
            "file" => Kind::File,
            "directory" => Kind::Directory,
            _ => return None,
        },
        lease: LeaseId::try_from(lines.string("lease")?.to_owned()).ok()?,
        seq: number(lines.value("seq")?)?,
        reason: lines.optional("reason").map(str::to_owned),
        acquired_at: moment(lines.value("acquired_at")?)?,
        heartbeat_at: moment(lines.value("heartbeat_at")?)?,
        ttl: lines.string("ttl")?.parse().ok()?,
        owner: lines.table("[owner]")?.owner()?,
        process: match lines.rest.peek() {
            None => None,
            Some(_) => Some(lines.table("[process]")?.process()?),
        },
    };
    lines.rest.next().is_none().then_some(record)
}

struct Lines<'a> {
    rest: std::iter::Peekable<std::str::Split<'a, char>>,
}

impl<'a> Lines<'a> {
    /// The value of the next line, which must set this key.
    fn value(&mut self, key: &str) -> Option<&'a str> {
        value_of(self.rest.next()?, key)
    }

    /// A string without anything that would have to be unescaped.
    fn string(&mut self, key: &str) -> Option<&'a str> {
        plain_string(self.value(key)?)
    }

    /// A string that may be left out.
    fn optional(&mut self, key: &str) -> Option<&'a str> {
        let value = value_of(self.rest.peek()?, key)?;
        let text = plain_string(value)?;
        self.rest.next();
        Some(text)
    }

    fn table(&mut self, header: &str) -> Option<&mut Self> {
        let is_header = self.rest.next()?.is_empty() && self.rest.next()? == header;
        is_header.then_some(self)
    }

    fn owner(&mut self) -> Option<Owner> {
        Some(Owner {
            id: self.string("id")?.to_owned(),
            name: self.string("name")?.to_owned(),
            host: self.string("host")?.to_owned(),
            workspace: self.optional("workspace").map(str::to_owned),
        })
    }

    fn process(&mut self) -> Option<Process> {
        Some(Process {
            pid: u32::try_from(number(self.value("pid")?)?).ok()?,
            started: number(self.value("started")?)?,
            boot: self.string("boot")?.to_owned(),
            pidns: number(self.value("pidns")?)?,
        })
    }
}

fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix(" = ")
}

fn plain_string(value: &str) -> Option<&str> {
    let text = value.strip_prefix('"')?.strip_suffix('"')?;
    let is_plain = |b: u8| b != b'"' && b != b'\\' && b >= b' ' && b != 0x7f;
    text.bytes().all(is_plain).then_some(text)
}

/// A number without sign, blanks, underscores or leading zeros, within what TOML has.
fn number(value: &str) -> Option<u64> {
    let is_plain =
        value.bytes().all(|b| b.is_ascii_digit()) && (value == "0" || !value.starts_with('0'));
    let number = value.parse().ok().filter(|_| is_plain)?;
    i64::try_from(number).is_ok().then_some(number)
}

/// `2026-11-20T22:42:00.000Z`, exactly.
fn moment(value: &str) -> Option<DateTime<Utc>> {
    let bytes = value.as_bytes();
    let separators = [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (19, b'.'),
        (23, b'Z'),
    ];
    if bytes.len() != 24 || separators.iter().any(|(at, b)| bytes[*at] != *b) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| {
        let digits = value.get(range)?;
        let is_plain = digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u32>().ok().filter(|_| is_plain)
    };
    let year = i32::try_from(part(0..4)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, part(5..7)?, part(8..10)?)?;
    let seconds = part(17..19)?;
    let time = date.and_hms_milli_opt(part(11..13)?, part(14..16)?, seconds, part(20..23)?)?;
    Some(time.and_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Lock;
    use super::*;

    const SAMPLE: &str = include_str!("../../../fixtures/locks/process.lock");

    #[test]
    fn what_this_program_writes_is_read_here() {
        assert!(read(SAMPLE).is_some());
        for leave_out in ["reason = ", "workspace = "] {
            let shorter: String = SAMPLE
                .split_inclusive('\n')
                .filter(|line| !line.starts_with(leave_out))
                .collect();
            assert!(read(&shorter).is_some(), "{leave_out}");
        }
        let (without_process, _) = SAMPLE.split_once("\n[process]").unwrap();
        assert!(read(without_process).is_some());
    }

    #[test]
    fn a_moment_has_one_spelling() {
        let at = moment("2026-11-20T22:42:00.120Z").unwrap();
        assert_eq!(crate::rules::time::rfc3339(at), "2026-11-20T22:42:00.120Z");
        for text in [
            "2026-11-20T22:42:00.120z",
            "2026-11-20T22:42:00.12Z",
            "2026-11-20T22:42:+1.120Z",
            "2026-11-20 22:42:00.120Z",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_never_reads_what_the_toml_parser_reads_otherwise(at in 0..SAMPLE.len(), with in "[\\x00-\\x7f]{0,3}", cut in 0..3_usize) {
            prop_assume!(SAMPLE.is_char_boundary(at) && SAMPLE.is_char_boundary((at + cut).min(SAMPLE.len())));
            let end = (at + cut).min(SAMPLE.len());
            let text = format!("{}{with}{}", &SAMPLE[..at], &SAMPLE[end..]);
            if let Some(record) = read(&text) {
                let by_toml = toml::from_str::<Record>(&text).map_err(|e| e.to_string());
                let lock = |record: Result<Record, String>| -> Result<Lock, String> { record?.check() };
                prop_assert_eq!(lock(Ok(record)), lock(by_toml));
            }
        }
    }
}
