//! Refusals in words: who holds what, since when, until when, why.

use chrono::{DateTime, Utc};

use crate::rules::lease::Acquired;
use crate::rules::lock::{Lock, is_same_id};
use crate::rules::path::Key;
use crate::rules::report::Viewpoint;
use crate::rules::view::{Content, Entry};

/// The first refusal, and how many more there are.
pub(super) fn refused(acquired: &Acquired, viewpoint: &Viewpoint<'_>) -> String {
    let Some(first) = acquired.refused.first() else {
        return String::new();
    };
    let words = match (&first.holder, first.code) {
        (Some(entry), _) => held(first.path.as_str(), entry, viewpoint),
        (None, _) => format!("`{}` cannot be locked", first.path),
    };
    match acquired.refused.len() {
        1 => words,
        n => format!("{words}; and {} more", n - 1),
    }
}

/// A moment in words, to the minute.
pub(crate) fn minutes(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// Who holds a path, since when, until when, why.
pub(crate) fn held(path: &str, entry: &Entry, viewpoint: &Viewpoint<'_>) -> String {
    let lock = match &entry.content {
        Content::Lock { lock, .. } => lock,
        Content::Unreadable { problem } => {
            let end = entry.ends_at(viewpoint.now, viewpoint.terms);
            let until = end.map_or(String::new(), |end| format!(" until {}", minutes(end)));
            return format!(
                "`{path}` is blocked{until} by an unreadable lock ({problem}); `git latch unlock --force` in a clone removes it"
            );
        }
    };
    let through = if lock.path.as_str() == path || lock.path.key() == Key::of(path.as_bytes()) {
        String::new()
    } else {
        format!(" (through `{}`)", lock.path)
    };
    let until = lock
        .expires_at()
        .map_or("it is unlocked".to_owned(), minutes);
    let reason = lock
        .reason
        .as_deref()
        .map_or(String::new(), |reason| format!(", \"{reason}\""));
    let holder = if is_same_id(&lock.owner.id, &viewpoint.me.owner.id) {
        format!("you, on {}", lock.owner.host)
    } else {
        lock.owner.to_string()
    };
    format!(
        "`{path}` is locked{through} by {holder}, since {}, until {until}{reason}",
        minutes(lock.acquired_at)
    )
}

/// Who holds a lock, and where.
pub(super) fn held_by(lock: &Lock) -> String {
    let place = match &lock.owner.workspace {
        Some(_) => format!(" on {}", lock.owner.host),
        None => String::new(),
    };
    format!("`{}` is locked by {}{place}", lock.path, lock.owner)
}
