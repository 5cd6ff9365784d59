//! How a tip of the lock ref follows on the one that was accepted before: asked by whoever reads the ref, a clone of what
//! it has fetched, a server of what was pushed beside it.

use super::{commit, limits, seq_of};
use crate::git::repo::{Objects, Revision};
use crate::rules::error::Result;
use crate::rules::lock::MAX_SEQ;

/// A tip that was accepted, and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) commit: String,
    pub(super) seq: u64,
}

impl From<&Revision> for Accepted {
    fn from(tip: &Revision) -> Self {
        Accepted {
            commit: tip.commit.clone(),
            seq: seq_of(tip),
        }
    }
}

/// How a tip follows on the accepted one.
#[derive(Debug)]
pub(super) enum Succession<'a> {
    /// It is the same.
    Same,
    /// It is a later one.
    Later(&'a Revision),
    /// It is none that can follow.
    Broken(Broken),
}

/// Why a tip cannot follow on the accepted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Vanished,
    WentBack,
    BegunAnew,
    Number,
    Message,
}

impl Broken {
    /// What is to be said of the lock ref.
    pub(super) fn words(self) -> &'static str {
        match self {
            Broken::Vanished => "has vanished",
            Broken::WentBack => "went back",
            Broken::BegunAnew => "had vanished and was created again",
            Broken::Number => "has a number that no change can have",
            Broken::Message => "has a message longer than any change's",
        }
    }

    /// Whether no honest program makes such a tip, whatever was there before.
    pub(super) fn is_beyond_limits(self) -> bool {
        matches!(self, Broken::Number | Broken::Message)
    }
}

/// How `tip` follows on what was accepted last.
pub(super) fn judge<'a>(
    objects: &Objects,
    accepted: Option<&Accepted>,
    tip: Option<&'a Revision>,
) -> Result<Succession<'a>> {
    let Some(tip) = tip else {
        return Ok(accepted.map_or(Succession::Same, |_| Succession::Broken(Broken::Vanished)));
    };
    let seq = seq_of(tip);
    if seq == 0 || seq >= MAX_SEQ {
        return Ok(Succession::Broken(Broken::Number));
    }
    if tip.message.len() > limits::MAX_MESSAGE {
        return Ok(Succession::Broken(Broken::Message));
    }
    let Some(accepted) = accepted else {
        return Ok(Succession::Later(tip));
    };
    if accepted.commit == tip.commit {
        return Ok(Succession::Same);
    }
    if was_begun_anew(objects, accepted, tip)? {
        return Ok(Succession::Broken(Broken::BegunAnew));
    }
    // Put back, and changed since: the number alone does not show it.
    let is_later = seq > accepted.seq && !objects.has_left(&accepted.commit, &tip.commit)?;
    Ok(if is_later {
        Succession::Later(tip)
    } else {
        Succession::Broken(Broken::WentBack)
    })
}

/// Whether a tip has nothing to do with what was accepted: its history neither has that in it nor says that it dropped an
/// earlier one. The locks that were there were never given back in it.
fn was_begun_anew(objects: &Objects, accepted: &Accepted, tip: &Revision) -> Result<bool> {
    if objects.have_a_common_base(&accepted.commit, &tip.commit)? {
        return Ok(false);
    }
    let history = objects.history(tip, usize::MAX)?;
    let root = history.last().map(|root| root.message.as_str());
    Ok(root.and_then(commit::compacted_by).is_none())
}
