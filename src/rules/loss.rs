//! A lease that its holder no longer has, and how that came.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::rules::event::{Event, Happening};
use crate::rules::lock::LeaseId;
use crate::rules::view::Entry;

/// How a lease came to be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Its time was over.
    Expired,
    /// Somebody took the path while it lived.
    Stolen,
    /// Somebody removed the lock while it lived.
    Removed,
}

impl Cause {
    /// The word of JSON.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Cause::Expired => "expired",
            Cause::Stolen => "stolen",
            Cause::Removed => "removed",
        }
    }
}

/// A lease that is not mine any more.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The path.
    pub path: String,
    /// The lease.
    pub lease: LeaseId,
    /// Who has the path now, if anybody.
    pub by: Option<Entry>,
    /// When it was lost, or, where nobody can tell, when that was noticed.
    pub at: DateTime<Utc>,
    /// How.
    pub cause: Cause,
    /// Whether it is told for the first time.
    pub is_news: bool,
    /// What ended it, where the history tells.
    pub ended: Option<Box<Event>>,
}

impl Loss {
    /// The same, as the history tells it: who ended it, when, in which words. What was noticed later may look otherwise, as
    /// where somebody else has taken the path since.
    #[must_use]
    pub(crate) fn told_by(self, event: Event) -> Self {
        let cause = match event.happening {
            Happening::Unlocked => Cause::Removed,
            Happening::Stolen => Cause::Stolen,
            _ => return self,
        };
        Loss {
            cause,
            at: event.at,
            ended: Some(Box::new(event)),
            ..self
        }
    }
}
