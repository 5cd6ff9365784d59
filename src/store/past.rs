//! What happened to the locks of this machine: a line for each change, for `log` and `watch --since`.
//!
//! A record and nothing more: no decision reads it, and a change whose line cannot be written is a change all the same.
//! Two files of a few megabytes at most; what is older is forgotten.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::entry_of;
use crate::os::files;
use crate::os::mode::Sharing;
use crate::rules::error::{Error, Result};
use crate::rules::event::{Author, Event, Happening};
use crate::rules::lease::Change;
use crate::rules::lock::{LeaseId, Lock};
use crate::rules::path::Place;
use crate::rules::time::rfc3339;
use crate::rules::view::{Entry, Standing, View};
use crate::store::LatchDir;

/// From how many bytes on a new file is begun; the last full one is kept.
const FULL: u64 = 4 << 20;

/// The record below `<common>/latch/`.
pub(super) struct Record {
    now: PathBuf,
    before: PathBuf,
}

/// How many lines are looked at for how a lease ended.
const LATEST: usize = 10_000;

/// One line of it.
#[derive(Serialize, Deserialize)]
struct Line {
    seq: u64,
    event: Happening,
    at: String,
    by: Option<Author>,
    place: String,
    lock: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Record {
    pub(super) fn of(directory: &LatchDir) -> Self {
        let (now, before) = directory.log();
        Record { now, before }
    }

    /// Adds what a change did to a view. Under the guard.
    pub(super) fn add(
        &self,
        view: &View,
        changes: &[Change],
        by: Option<&Author>,
        sharing: Sharing,
    ) -> Result<()> {
        let before: HashMap<&Place, &Entry> = view.entries().map(|e| (&e.place, e)).collect();
        let lines: Vec<u8> = changes
            .iter()
            .filter_map(|change| line(view, &before, change, by))
            .filter_map(|line| serde_json::to_vec(&line).ok())
            .flat_map(|line| [line, b"\n".to_vec()].concat())
            .collect();
        if lines.is_empty() {
            return Ok(());
        }
        let mut length = fs::metadata(&self.now).map_or(0, |meta| meta.len());
        if length > FULL {
            fs::rename(&self.now, &self.before).map_err(Error::io("rename", &self.now))?;
            length = 0;
        }
        let file = files::open_to_append(&self.now);
        let mut file = file.map_err(Error::io("open", &self.now))?;
        let written = file.write_all(&lines);
        if written.is_err() {
            // Half a line would spoil the next one.
            drop(file.set_len(length));
        }
        written.map_err(Error::io("write", &self.now))?;
        if length == 0 {
            let adjusted = sharing.adjust_file(&self.now);
            adjusted.map_err(Error::io("set the mode of", &self.now))?;
        }
        Ok(())
    }

    /// How leases ended, as far as the latest changes tell.
    pub(super) fn endings(&self, wanted: &[(LeaseId, Place)]) -> Result<Vec<Event>> {
        let mut found = Vec::new();
        let bytes = files::read_small(&self.now, 64 * FULL)?.unwrap_or_default();
        for line in bytes.rsplit(|b| *b == b'\n').take(LATEST) {
            if found.len() == wanted.len() {
                break;
            }
            // Most lines are about something else, and to look is cheaper than to parse.
            let text = String::from_utf8_lossy(line);
            if !wanted
                .iter()
                .any(|(lease, _)| text.contains(lease.as_str()))
            {
                continue;
            }
            let told = serde_json::from_slice::<Line>(line).ok().and_then(event);
            found.extend(told.filter(|e| wanted.iter().any(|(lease, _)| e.ends(lease))));
        }
        Ok(found)
    }

    /// Everything that is still known, newest first.
    pub(super) fn events(&self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        for path in [&self.before, &self.now] {
            let Some(bytes) = files::read_small(path, 64 * FULL)? else {
                continue;
            };
            for line in bytes.split(|b| *b == b'\n') {
                // A line that was torn when the machine went down is one less.
                let parsed = serde_json::from_slice::<Line>(line).ok();
                events.extend(parsed.and_then(event));
            }
        }
        events.reverse();
        Ok(events)
    }
}

fn line(
    view: &View,
    before: &HashMap<&Place, &Entry>,
    change: &Change,
    by: Option<&Author>,
) -> Option<Line> {
    let (place, after, note) = match change {
        Change::Acquire(lock) | Change::Renew(lock) => {
            let entry = Entry::of((**lock).clone())?;
            (entry.place.clone(), Some(entry), None)
        }
        Change::Remove { place, note, .. } => (place.clone(), None, note.clone()),
    };
    let before = before.get(&place).copied();
    let is_over = |entry: &Entry| view.standing(entry) == Standing::Expired;
    let event = Happening::between(before, after.as_ref(), is_over)?;
    let text = |entry: &Entry| entry.lock().map(Lock::to_toml);
    let (lock, previous) = match &after {
        // Of a renewal only the heartbeat is new.
        Some(after) if event == Happening::Renewed => (text(after)?, None),
        Some(after) => (text(after)?, before.and_then(text)),
        None => (before.and_then(text)?, None),
    };
    Some(Line {
        seq: view.next_seq(),
        event,
        at: rfc3339(view.now),
        by: by.cloned(),
        place: String::from_utf8(place.as_bytes().to_vec()).ok()?,
        lock,
        previous,
        note,
    })
}

fn event(line: Line) -> Option<Event> {
    let entry = |text: String| {
        let place = Place::from_bytes(line.place.clone().into_bytes());
        let entry = entry_of(place, Ok(text.into_bytes()), None);
        entry.lock().is_some().then_some(entry)
    };
    let lock = entry(line.lock)?;
    Some(Event {
        seq: line.seq,
        happening: line.event,
        at: line.at.parse::<DateTime<Utc>>().ok()?,
        path: lock.shown_path(),
        lock,
        previous: line.previous.and_then(entry),
        by: line.by,
        note: line.note,
    })
}
