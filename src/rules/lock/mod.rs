//! What a lock is: the record in a lock file, its owner, its life. Pure.
//!
//! The bytes are the same everywhere: TOML of `format = 1`, UTF-8, at most 16 KiB. Whatever does not parse as exactly
//! that is *unreadable*, and an unreadable lock still blocks.

mod canonical;
mod owner;

use std::fmt::{self, Write as _};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub use owner::{Owner, is_or_below, is_same_id};
pub(crate) use owner::{id_key, show_person};

use crate::rules::path::{Claim, Kind, RepoPath};
use crate::rules::time::{DurationSpec, Ttl, rfc3339};

/// The largest lock file, in bytes.
pub(crate) const MAX_BYTES: usize = 16 * 1024;
/// The longest reason, in characters.
pub(crate) const MAX_REASON: usize = 500;
/// The longest owner id, name or host, in characters.
const MAX_WORD: usize = 256;
/// The largest number that every JSON reader keeps exactly; a change number is milliseconds since 1970.
pub(crate) const MAX_SEQ: u64 = (1 << 53) - 1;
/// The format this version reads and writes.
const FORMAT: u32 = 1;

/// One acquisition of a path: a `UUIDv7` as 32 hexadecimal digits. Renewals keep it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct LeaseId(String);

impl LeaseId {
    /// A new id, ordered by `now`.
    #[must_use]
    pub fn generate(now: DateTime<Utc>) -> Self {
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        let moment =
            uuid::Timestamp::from_unix(uuid::NoContext, seconds, now.timestamp_subsec_nanos());
        LeaseId(uuid::Uuid::new_v7(moment).simple().to_string())
    }

    /// When it was chosen, by the clock of whoever did: the first 48 bits of a `UUIDv7` are milliseconds since 1970.
    #[must_use]
    pub(crate) fn chosen_at(&self) -> DateTime<Utc> {
        let millis = i64::from_str_radix(&self.0[..12], 16).unwrap_or_default();
        DateTime::from_timestamp_millis(millis).unwrap_or_default()
    }

    /// The 32 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LeaseId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 32 && text.bytes().all(is_hex) {
            Ok(LeaseId(text))
        } else {
            Err(format!(
                "invalid lease id `{}`: expected 32 hexadecimal digits",
                crate::rules::spelling::escaped(text.as_bytes())
            ))
        }
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The process a lease is bound to. A pid alone proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The process id, in its own namespace.
    pub pid: u32,
    /// The kernel's start time, in clock ticks since boot.
    pub started: u64,
    /// The boot id.
    pub boot: String,
    /// The pid namespace.
    pub pidns: u64,
}

/// What is known of the process a lease is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// The lease is bound to no process.
    Unbound,
    /// It runs, on this host, and is the same process.
    Alive,
    /// It is gone: no such process, another one under its number, or a zombie. Or the workspace is, with whoever could
    /// give back what was locked there.
    Dead,
    /// It cannot be told from here; time decides.
    Unknown,
}

/// The record of one lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The path, in the index's spelling.
    pub path: RepoPath,
    /// A file, or a directory with everything below it.
    pub kind: Kind,
    /// The acquisition.
    pub lease: LeaseId,
    /// The number of the change in which it was acquired: the fencing number.
    pub seq: u64,
    /// Why, in the holder's words.
    pub reason: Option<String>,
    /// When it was acquired.
    pub acquired_at: DateTime<Utc>,
    /// When its holder last said it is alive.
    pub heartbeat_at: DateTime<Utc>,
    /// How long it lives after a heartbeat.
    pub ttl: Ttl,
    /// Who holds it.
    pub owner: Owner,
    /// The process whose end is its end.
    pub process: Option<Process>,
}

impl Lock {
    /// What it occupies.
    #[must_use]
    pub fn claim(&self) -> Claim {
        Claim::new(&self.path, self.kind)
    }

    /// When its owner stops trusting it, as written; `None` for never.
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.ttl.end_from(self.heartbeat_at)
    }

    /// The bytes of the lock file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::with_capacity(512);
        self.write_toml(&mut text)
            .expect("writing to a string cannot fail");
        text
    }

    fn write_toml(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "format = {FORMAT}")?;
        writeln!(text, "path = {}", quote(self.path.as_str()))?;
        writeln!(text, "kind = \"{}\"", self.kind.as_str())?;
        writeln!(text, "lease = \"{}\"", self.lease)?;
        writeln!(text, "seq = {}", self.seq)?;
        if let Some(reason) = &self.reason {
            writeln!(text, "reason = {}", quote(reason))?;
        }
        writeln!(text, "acquired_at = {}", rfc3339(self.acquired_at))?;
        writeln!(text, "heartbeat_at = {}", rfc3339(self.heartbeat_at))?;
        writeln!(text, "ttl = \"{}\"", self.ttl)?;
        writeln!(text, "\n[owner]\nid = {}", quote(&self.owner.id))?;
        writeln!(
            text,
            "name = {}\nhost = {}",
            quote(&self.owner.name),
            quote(&self.owner.host)
        )?;
        if let Some(workspace) = &self.owner.workspace {
            writeln!(text, "workspace = {}", quote(workspace))?;
        }
        if let Some(process) = &self.process {
            writeln!(
                text,
                "\n[process]\npid = {}\nstarted = {}",
                process.pid, process.started
            )?;
            writeln!(
                text,
                "boot = {}\npidns = {}",
                quote(&process.boot),
                process.pidns
            )?;
        }
        Ok(())
    }

    /// Reads a lock file.
    ///
    /// # Errors
    /// What is wrong with it, as a half sentence for people.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_BYTES {
            return Err(format!("it is larger than {MAX_BYTES} bytes"));
        }
        if bytes.is_empty() {
            return Err("it is empty".into());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_string())?;
        if let Some(record) = canonical::read(text) {
            return record.check();
        }
        let record: Record = toml::from_str(text)
            .map_err(|e| format!("it does not parse: {}", one_line(e.message())))?;
        record.check()
    }
}

/// How long others honour a lease past its end: the larger of `skew` and a hundredth of `ttl`.
#[must_use]
pub(crate) fn grace(ttl: Ttl, skew: DurationSpec) -> TimeDelta {
    let hundredth = TimeDelta::milliseconds(
        ttl.as_secs()
            .map_or(0, |s| i64::try_from(s * 10).unwrap_or(i64::MAX)),
    );
    skew.as_delta().max(hundredth)
}

/// A string as TOML's basic string. JSON's escapes are a subset of TOML's where there is no DEL, and none of the
/// fields may have control characters.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An error text of several lines as one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lock file as it is read, before its fields are checked.
#[derive(Deserialize)]
struct Record {
    format: u32,
    path: String,
    kind: Kind,
    lease: LeaseId,
    seq: u64,
    reason: Option<String>,
    #[serde(deserialize_with = "moment")]
    acquired_at: DateTime<Utc>,
    #[serde(deserialize_with = "moment")]
    heartbeat_at: DateTime<Utc>,
    ttl: Ttl,
    owner: Owner,
    process: Option<Process>,
}

impl Record {
    fn check(self) -> Result<Lock, String> {
        if self.format != FORMAT {
            return Err(format!(
                "its format {} is unknown to this version",
                self.format
            ));
        }
        let path = RepoPath::new(self.path).map_err(|e| e.to_string())?;
        if path.is_root() && self.kind == Kind::File {
            return Err("the whole repository cannot be a file".into());
        }
        if self.seq > MAX_SEQ {
            return Err("its seq is not a number of milliseconds".into());
        }
        check_reason(self.reason.as_deref().unwrap_or_default())?;
        check_word("owner.id", &self.owner.id)?;
        if self.owner.id.is_empty() {
            return Err("owner.id is empty".into());
        }
        check_word("owner.name", &self.owner.name)?;
        check_word("owner.host", &self.owner.host)?;
        if self.owner.workspace.as_deref() == Some("") {
            return Err("owner.workspace is empty".into());
        }
        check_word(
            "owner.workspace",
            self.owner.workspace.as_deref().unwrap_or_default(),
        )?;
        check_word(
            "process.boot",
            self.process.as_ref().map_or("", |p| &p.boot),
        )?;
        Ok(Lock {
            path,
            kind: self.kind,
            lease: self.lease,
            seq: self.seq,
            reason: self.reason,
            acquired_at: self.acquired_at,
            heartbeat_at: self.heartbeat_at,
            ttl: self.ttl,
            owner: self.owner,
            process: self.process,
        })
    }
}

/// A time stamp of a TOML file.
pub(crate) fn moment<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<DateTime<Utc>, D::Error> {
    let text = toml::value::Datetime::deserialize(deserializer)?.to_string();
    DateTime::parse_from_rfc3339(&text)
        .map(|moment| crate::rules::time::to_millis(moment.with_timezone(&Utc)))
        .map_err(|_| serde::de::Error::custom(format!("`{text}` is not a time in UTC")))
}

/// Checks a reason: at most 500 characters, no control characters.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_reason(reason: &str) -> Result<(), String> {
    if reason.chars().count() > MAX_REASON {
        return Err(format!("the reason is longer than {MAX_REASON} characters"));
    }
    if reason.chars().any(char::is_control) {
        return Err("the reason has control characters".into());
    }
    Ok(())
}

/// Checks an id, a name or a host: at most 256 characters, no control characters.
pub(crate) fn check_word(what: &str, word: &str) -> Result<(), String> {
    if word.chars().count() > MAX_WORD {
        return Err(format!("{what} is longer than {MAX_WORD} characters"));
    }
    if word.chars().any(char::is_control) {
        return Err(format!("{what} has control characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"format = 1
path = "Assets/Hero \"1\".psd"
kind = "file"
lease = "0193a7c2f5e87d2aa1b3c4d5e6f70812"
seq = 1795214512345
reason = "retopology"
acquired_at = 2026-11-20T22:42:00.000Z
heartbeat_at = 2026-11-20T22:57:00.120Z
ttl = "24h"

[owner]
id = "ada@example.com"
name = "Ada"
host = "ws-12"
workspace = "b1946ac92492d234"

[process]
pid = 4242
started = 81234567
boot = "6f0c"
pidns = 4026531836
"#;

    #[test]
    fn a_moment_that_another_program_wrote_counts_to_the_millisecond() {
        let finer = SAMPLE.replace("42:00.000Z", "42:00.000999Z");
        assert_eq!(
            Lock::parse(finer.as_bytes()),
            Lock::parse(SAMPLE.as_bytes())
        );
    }

    #[test]
    fn a_lock_file_is_written_as_it_was_read() {
        assert_eq!(Lock::parse(SAMPLE.as_bytes()).unwrap().to_toml(), SAMPLE);
    }

    #[test]
    fn the_fixtures_are_locks_or_broken_as_their_names_say() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/locks");
        let mut seen = 0;
        for file in std::fs::read_dir(directory).unwrap() {
            let path = file.unwrap().path();
            let parsed = Lock::parse(&std::fs::read(&path).unwrap());
            let is_broken = path
                .file_name()
                .unwrap()
                .as_encoded_bytes()
                .starts_with(b"broken-");
            assert_eq!(parsed.is_err(), is_broken, "{}: {parsed:?}", path.display());
            if let Ok(lock) = parsed {
                assert_eq!(Lock::parse(lock.to_toml().as_bytes()), Ok(lock));
            }
            seen += 1;
        }
        assert!(seen > 10);
    }

    #[test]
    fn grace_is_the_larger_of_skew_and_a_hundredth() {
        let minute = DurationSpec::from_secs(60);
        assert_eq!(grace("1h".parse().unwrap(), minute), TimeDelta::seconds(60));
        assert_eq!(
            grace("10d".parse().unwrap(), minute),
            TimeDelta::seconds(8640)
        );
        assert_eq!(
            grace("1s".parse().unwrap(), DurationSpec::from_secs(0)),
            TimeDelta::milliseconds(10)
        );
        assert_eq!(grace(Ttl::Never, minute), TimeDelta::seconds(60));
    }

    #[test]
    fn what_is_no_valid_lock_is_told_apart() {
        let broken =
            |from: &str, to: &str| Lock::parse(SAMPLE.replace(from, to).as_bytes()).unwrap_err();
        assert_eq!(Lock::parse(b"").unwrap_err(), "it is empty");
        assert_eq!(Lock::parse(b"\xff").unwrap_err(), "it is not UTF-8");
        assert!(
            Lock::parse(&vec![b' '; MAX_BYTES + 1])
                .unwrap_err()
                .contains("larger")
        );
        assert!(
            Lock::parse(&SAMPLE.as_bytes()[..200])
                .unwrap_err()
                .contains("does not parse")
        );
        assert!(broken("format = 1", "format = 2").contains("format 2"));
        assert!(broken("Assets/", "../").contains("`..`"));
        assert!(broken("0193a7c2", "0193A7C2").contains("lease id"));
        assert!(broken("1795214512345", "9223372036854775807").contains("seq"));
        assert!(broken("retopology", "a\\u001bb").contains("control"));
        assert!(broken("24h", "0s").contains("at once"));
        assert!(broken("22:42:00.000Z", "22:42:00").contains("not a time"));
        assert!(broken("ada@example.com", "").contains("empty"));
        assert!(broken("Ada", &"a".repeat(300)).contains("longer"));
    }
}
