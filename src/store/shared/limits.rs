//! What a change of the lock ref may bring. Pure; asked where a push arrives, and by clients of what a remote has.
//!
//! A remote that judges no pushes can bring anything. What is beyond these limits was made by no honest program: where a
//! push arrives it is refused; a client does not take it for a fact.

use chrono::{DateTime, TimeDelta, Utc};

use crate::git::repo::Revision;
use crate::rules::error::Code;
use crate::rules::lock::{LeaseId, Lock, is_or_below};
use crate::rules::time::DurationSpec;

/// The longest message of a commit, in bytes.
pub(crate) const MAX_MESSAGE: usize = 64 * 1024;
/// How many entries of the tree one change may touch.
pub(crate) const MAX_CHANGED: usize = 100_000;
/// Commits have whole seconds, locks have milliseconds.
const ROUNDING: TimeDelta = TimeDelta::seconds(1);

/// A change, as far as it says who made it and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made<'a> {
    /// The author's mail address: an owner's id.
    pub(crate) author: &'a str,
    /// When the author says to have made it.
    pub(crate) authored_at: DateTime<Utc>,
    /// The committer's mail address.
    pub(crate) committer: &'a str,
    /// When the committer says to have made it.
    pub(crate) committed_at: DateTime<Utc>,
    /// The length of the message, in bytes.
    pub(crate) message: usize,
}

impl<'a> From<&'a Revision> for Made<'a> {
    fn from(revision: &'a Revision) -> Self {
        Made {
            author: &revision.author,
            authored_at: revision.authored_at,
            committer: &revision.committer,
            committed_at: revision.at,
            message: revision.message.len(),
        }
    }
}

/// By what the limits are drawn.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'a> {
    /// How far the clocks of two machines may differ.
    pub(crate) skew: DurationSpec,
    /// Whether somebody may write for others: the policy's `[server] trusted`.
    pub(crate) is_trusted: &'a dyn Fn(&str) -> bool,
}

/// What is beyond the limits: the word for programs, and half a sentence.
pub(crate) type Beyond = (Code, String);

impl Limits<'_> {
    /// What is beyond the limits in a change as a whole, which touches `changed` entries.
    pub(crate) fn on_change(&self, made: &Made<'_>, changed: usize) -> Result<(), Beyond> {
        if made.message > MAX_MESSAGE {
            return Err(too_long(made.message));
        }
        if changed > MAX_CHANGED {
            let problem = format!("it changes {changed} entries; at most {MAX_CHANGED} are read");
            return Err((Code::BadUsage, problem));
        }
        if made.author != made.committer && !(self.is_trusted)(made.committer) {
            let problem = format!(
                "its author is `{}`, but its committer `{}`",
                made.author, made.committer
            );
            return Err((Code::Forbidden, problem));
        }
        self.agrees(made.authored_at, made, "its author's date")
    }

    /// What is beyond the limits in a lock that a change brings, taken (`was` is none) or renewed.
    pub(crate) fn on_lock(
        &self,
        made: &Made<'_>,
        was: Option<&Lock>,
        lock: &Lock,
        is_known: &dyn Fn(&LeaseId) -> bool,
    ) -> Result<(), Beyond> {
        if !is_or_below(&signed(&lock.owner.id), made.committer)
            && !(self.is_trusted)(made.committer)
        {
            let problem = format!(
                "it is in the name of `{}`, but the change was made by `{}`",
                lock.owner.id, made.committer
            );
            return Err((Code::Forbidden, problem));
        }
        self.agrees(lock.heartbeat_at, made, "its heartbeat")?;
        if was.is_some() {
            return Ok(());
        }
        if is_known(&lock.lease) {
            let problem = format!("its lease id `{}` is that of another lock", lock.lease);
            return Err((Code::BadUsage, problem));
        }
        self.agrees(lock.acquired_at, made, "its `acquired_at`")
    }

    /// Whether a moment is that of the commit.
    fn agrees(&self, moment: DateTime<Utc>, made: &Made<'_>, what: &str) -> Result<(), Beyond> {
        let difference = moment - made.committed_at;
        if difference.abs() <= self.skew.as_delta() + ROUNDING {
            return Ok(());
        }
        let direction = if difference > TimeDelta::zero() {
            "after"
        } else {
            "before"
        };
        let problem = format!(
            "{what} is {} s {direction} the date of the commit; the policy allows a clock_skew of {}",
            difference.num_seconds().abs(),
            self.skew
        );
        Err((Code::Refused, problem))
    }
}

/// That a message is too long.
pub(crate) fn too_long(message: usize) -> Beyond {
    let problem =
        format!("the commit's message has {message} bytes; at most {MAX_MESSAGE} are read");
    (Code::BadUsage, problem)
}

/// An owner's id as it is signed with: an id's angle brackets do not get into a commit.
pub(crate) fn signed(id: &str) -> String {
    id.replace(['<', '>', '\n'], "").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::lock::Owner;
    use crate::rules::path::{Kind, RepoPath};

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_176_000, 0).unwrap()
    }

    fn made() -> Made<'static> {
        Made {
            author: "ada",
            authored_at: noon(),
            committer: "ada",
            committed_at: noon(),
            message: 100,
        }
    }

    fn lock() -> Lock {
        Lock {
            path: RepoPath::new("a").unwrap(),
            kind: Kind::File,
            lease: LeaseId::generate(noon()),
            seq: 1,
            reason: None,
            acquired_at: noon(),
            heartbeat_at: noon(),
            ttl: "1h".parse().unwrap(),
            owner: Owner {
                id: "ada/agent".into(),
                name: "Ada".into(),
                host: "ws".into(),
                workspace: None,
            },
            process: None,
        }
    }

    fn limits() -> Limits<'static> {
        Limits {
            skew: DurationSpec::from_secs(60),
            is_trusted: &|id| id == "server",
        }
    }

    fn minutes(minutes: i64) -> DateTime<Utc> {
        noon() + TimeDelta::minutes(minutes)
    }

    #[test]
    fn a_change_is_signed_by_one_person_at_one_moment_in_few_words() {
        let told = |made: Made<'_>, changed| limits().on_change(&made, changed).unwrap_err().1;
        assert_eq!(limits().on_change(&made(), MAX_CHANGED), Ok(()));
        assert!(told(made(), MAX_CHANGED + 1).contains("100001 entries"));
        let message = MAX_MESSAGE + 1;
        assert!(told(Made { message, ..made() }, 1).contains("65537 bytes"));
        let forged = Made {
            author: "bob",
            ..made()
        };
        assert!(told(forged, 1).contains("author is `bob`"));
        let served = Made {
            committer: "server",
            ..forged
        };
        assert_eq!(limits().on_change(&served, 1), Ok(()));
        for (at, is_fine) in [(1, true), (-1, true), (2, false), (-2, false)] {
            let authored_at = minutes(at);
            let made = Made {
                authored_at,
                ..made()
            };
            assert_eq!(limits().on_change(&made, 1).is_ok(), is_fine, "{at}");
        }
    }

    #[test]
    fn a_lock_is_its_makers_and_of_the_moment_of_its_change() {
        let on = |was: Option<&Lock>, lock: Lock| {
            limits().on_lock(&made(), was, &lock, &|lease| {
                lease.as_str().starts_with("dead")
            })
        };
        assert_eq!(on(None, lock()), Ok(()));
        let mut others = lock();
        others.owner.id = "bob".into();
        assert!(on(None, others).unwrap_err().1.contains("name of `bob`"));
        let acquired_at = minutes(40_000_000);
        let late = Lock {
            acquired_at,
            ..lock()
        };
        assert!(
            on(None, late.clone())
                .unwrap_err()
                .1
                .contains("acquired_at")
        );
        assert_eq!(on(Some(&late), late.clone()), Ok(()), "a renewal keeps it");
        let heartbeat_at = minutes(-5);
        let stale = Lock {
            heartbeat_at,
            ..lock()
        };
        for was in [None, Some(&late)] {
            let told = on(was, stale.clone()).unwrap_err().1;
            assert!(told.contains("300 s before"), "{told}");
        }
        let lease = LeaseId::try_from("dead".repeat(8)).unwrap();
        let copied = Lock { lease, ..lock() };
        assert!(on(None, copied).unwrap_err().1.contains("another lock"));
    }
}
