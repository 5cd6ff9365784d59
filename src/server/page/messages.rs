//! How locks, people, paths and moments are told on a page.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::Viewer;
use crate::rules::lock::{Owner, is_or_below, is_same_id};
use crate::rules::path::Kind;
use crate::rules::time::rfc3339;
use crate::rules::view::{Content, Entry, LeaseLimits};

/// Text with what could turn the direction of its neighbours, and every control character, written out.
///
/// Isolation alone (`bdi`) keeps the neighbours safe, but not the text itself: `cod.exe` would still read `exe.doc`.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    let has_power =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(has_power) {
        return Cow::Borrowed(text);
    }
    let written = |c: char| {
        if has_power(c) {
            format!("\\u{{{:x}}}", u32::from(c))
        } else {
            c.to_string()
        }
    };
    Cow::Owned(text.chars().map(written).collect())
}

/// A folder's path with a slash, so that it cannot be taken for a file's.
fn with_slash(path: &str, kind: Kind) -> Cow<'_, str> {
    if kind == Kind::Directory && !path.ends_with('/') {
        Cow::Owned(format!("{path}/"))
    } else {
        Cow::Borrowed(path)
    }
}

/// The path of an entry, made visible.
pub(super) fn path_of(entry: &Entry) -> String {
    shown(&entry.shown_path(), entry.claim.kind)
}

/// A path as people are shown it.
pub(super) fn shown(path: &str, kind: Kind) -> String {
    if path == "." {
        return "whole repository".to_owned();
    }
    visible(&with_slash(path, kind)).into_owned()
}

/// A path with its last component told apart.
pub(super) fn path(shown: &str) -> Markup {
    let stem = shown.strip_suffix('/').unwrap_or(shown);
    let (above, own) = shown.split_at(stem.rfind('/').map_or(0, |at| at + 1));
    html! { bdi.name { span.above { (above) } wbr; span.own { (own) } } }
}

/// What people are called: their name, or the id where that is all there is.
pub(super) fn name_of(owner: &Owner) -> Cow<'_, str> {
    visible(if owner.name.is_empty() {
        &owner.id
    } else {
        &owner.name
    })
}

/// A moment, in words that need no script.
pub(super) fn moment(class: &str, at: DateTime<Utc>) -> Markup {
    html! { time class=(class) datetime=(rfc3339(at)) { (utc(at)) } }
}

/// Who holds it since when, as one line.
pub(super) fn locked_by(entry: &Entry) -> String {
    match entry.lock() {
        Some(lock) => format!(
            "locked by {} since {}",
            visible(&lock.owner.to_string()),
            utc(lock.acquired_at)
        ),
        None => "blocked by an unreadable lock".to_owned(),
    }
}

fn utc(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// What is remarkable about a lock's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Badge {
    /// It ends soon, unless it is renewed.
    Soon,
    /// It has ended for its owner; others still honour it.
    Ending,
    /// Nobody can tell.
    Unreadable,
}

impl Badge {
    /// The badge of an entry, if it has one.
    ///
    /// Soon is less than a fifth of its ttl, or less than ten minutes. A lock bound to a process ends with it and is
    /// renewed until then: that its ttl is short says nothing.
    pub(super) fn of(entry: &Entry, now: DateTime<Utc>, terms: &LeaseLimits) -> Option<Self> {
        let Content::Lock { lock, .. } = &entry.content else {
            return Some(Badge::Unreadable);
        };
        if entry.is_bound_to_living() {
            return None;
        }
        let left = entry.ends_at(now, terms)? - now;
        let fifth = TimeDelta::seconds(i64::try_from(lock.ttl.as_secs()?).ok()?) / 5;
        if left <= TimeDelta::zero() {
            Some(Badge::Ending)
        } else if lock.process.is_none() && left < fifth.max(TimeDelta::minutes(10)) {
            Some(Badge::Soon)
        } else {
            None
        }
    }

    /// The word of the style sheet and the script.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Badge::Soon => "soon",
            Badge::Ending => "ending",
            Badge::Unreadable => "unreadable",
        }
    }

    /// The word for people.
    pub(super) fn label(self) -> &'static str {
        match self {
            Badge::Soon => "expires soon",
            Badge::Ending => "ending",
            Badge::Unreadable => "unreadable",
        }
    }
}

/// Whose lock it is, seen by the viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The viewer's, in no workspace: what a browser takes.
    Mine,
    /// The viewer's in a workspace, or an agent's of theirs.
    Elsewhere,
    /// Another person's.
    Other,
    /// It is unreadable.
    Nobody,
}

impl Whose {
    /// Whose lock an entry is.
    pub(super) fn of(entry: &Entry, viewer: &Viewer<'_>) -> Self {
        match entry.lock().map(|lock| &lock.owner) {
            None => Whose::Nobody,
            Some(owner) if is_same_id(&owner.id, viewer.id) && owner.workspace.is_none() => {
                Whose::Mine
            }
            Some(owner) if is_or_below(&owner.id, viewer.id) => Whose::Elsewhere,
            Some(_) => Whose::Other,
        }
    }

    /// The word of the style sheet and the script.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Whose::Mine => "mine",
            Whose::Elsewhere => "elsewhere",
            Whose::Other => "other",
            Whose::Nobody => "nobody",
        }
    }
}
