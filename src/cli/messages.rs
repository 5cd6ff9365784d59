//! How locks, refusals and losses are told to people.

use chrono::{DateTime, Utc};
use git_latch::rules::error::{Code, Error};
use git_latch::rules::event::Event;
use git_latch::rules::lease::{Refusal, Why};
use git_latch::rules::lock::{Lock, is_same_id};
use git_latch::rules::loss::{Cause, Loss};
use git_latch::rules::report::Viewpoint;
use git_latch::rules::spelling::{self, Here};
use git_latch::rules::view::{Content, Entry};
use git_latch::store::shared::{ClockDifference, Pending, PushOutcome};

use super::exit::{self, Failure};
use super::output::{self, Cell, ago, path, until, wall};

/// How many paths a refusal lists before it only counts.
pub(crate) const LISTED: usize = 20;

/// A lock's path, a directory's with a slash.
pub(crate) fn path_of(here: &Here, lock: &Lock) -> String {
    output::name(&here.named(lock.path.as_str().as_bytes(), lock.kind))
}

/// An entry's path.
pub(crate) fn path_of_entry(here: &Here, entry: &Entry) -> String {
    output::name(&here.named(entry.path(), entry.claim.kind))
}

/// Whose lock it is, and where: "you", "Ada <ada@example.com> on ws-12", "you, in another working tree (/home/ada/b)".
pub(crate) fn holder(viewpoint: &Viewpoint<'_>, entry: &Entry) -> String {
    let Some(lock) = entry.lock() else {
        return "unknown holder".into();
    };
    let mine = viewpoint.me.holds(entry);
    if mine && entry.may_be_running() {
        let process = lock.process.as_ref().map_or(0, |p| p.pid);
        let unseen = if entry.is_bound_to_living() {
            ""
        } else {
            ", which cannot be seen from here"
        };
        return format!("you, in process {process}{unseen}");
    }
    if mine {
        return "you".into();
    }
    if viewpoint.me.owns(lock) {
        return format!("{}, below you", lock.owner);
    }
    let workspace = lock.owner.workspace.as_deref();
    let elsewhere = workspace.filter(|id| viewpoint.me.owner.workspace.as_deref() != Some(id));
    let tree = elsewhere.and_then(|id| viewpoint.trees.path_of(id));
    let tree = tree.map(|path| output::file(&path));
    let host = &lock.owner.host;
    match (is_same_id(&lock.owner.id, &viewpoint.me.owner.id), tree) {
        (true, Some(path)) => format!("you, in another working tree ({path})"),
        (true, None) => format!("you, in another working tree on {host}"),
        (false, Some(path)) => format!("{} on {host} ({path})", lock.owner),
        (false, None) => format!("{} on {host}", lock.owner),
    }
}

/// How long ago it was locked, until when, why: to go on from its holder.
pub(crate) fn terms(viewpoint: &Viewpoint<'_>, entry: &Entry) -> String {
    let rest = until_and_why(viewpoint, entry);
    match entry.lock() {
        Some(lock) => format!("{}, {rest}", ago(lock.acquired_at, viewpoint.now)),
        None => rest,
    }
}

/// Until when, why.
pub(crate) fn until_and_why(viewpoint: &Viewpoint<'_>, entry: &Entry) -> String {
    let end = entry.ends_at(viewpoint.now, viewpoint.terms);
    let end_text = match end {
        Some(end) => format!("until {} ({})", wall(end), until(Some(end), viewpoint.now)),
        None => "until it is unlocked".into(),
    };
    match &entry.content {
        Content::Lock { lock, .. } => {
            let reason = lock.reason.as_ref().map(|r| format!(", \"{r}\""));
            format!("{end_text}{}", reason.unwrap_or_default())
        }
        Content::Unreadable { problem } => format!("{problem}; {end_text}"),
    }
}

/// A row of a table of locks: path, holder, since, until, reason.
pub(crate) fn row(viewpoint: &Viewpoint<'_>, entry: &Entry) -> Vec<Cell> {
    let end = entry.ends_at(viewpoint.now, viewpoint.terms);
    let (since, reason) = match &entry.content {
        Content::Lock { lock, .. } => (
            ago(lock.acquired_at, viewpoint.now),
            lock.reason.as_ref().map(|r| format!("\"{r}\"")),
        ),
        Content::Unreadable { problem } => (String::new(), Some(format!("unreadable: {problem}"))),
    };
    vec![
        Cell::path(viewpoint.here.named(entry.path(), entry.claim.kind)),
        Cell::plain(holder(viewpoint, entry)),
        Cell::dim(since),
        Cell::plain(format!("ends {}", until(end, viewpoint.now))),
        Cell::dim(reason.unwrap_or_default()),
    ]
}

/// What one refusal says: who, why, since, until.
pub(crate) fn refusal(viewpoint: &Viewpoint<'_>, refusal: &Refusal) -> String {
    let name = path(viewpoint.here, refusal.path.as_str().as_bytes());
    let Some(entry) = &refusal.holder else {
        return match refusal.code {
            Code::Lost => format!("{name} was yours, but the lock is lost"),
            _ => format!("{name} is not locked"),
        };
    };
    let (holder, terms) = (holder(viewpoint, entry), terms(viewpoint, entry));
    match refusal.code {
        Code::Unpushed if refusal.why == Why::Unpushed => {
            format!("{name} has commits that are not pushed")
        }
        Code::Unpushed => format!("{name} has changes that are not committed"),
        Code::Lost => format!("{name} was yours; now it is locked by {holder}, {terms}"),
        Code::NotHeld if viewpoint.me.has(entry) => format!(
            "{name} has no lock of its own; your lock on {} covers it",
            path_of_entry(viewpoint.here, entry)
        ),
        Code::NotHeld => format!("{name} is not locked by you but by {holder}, {terms}"),
        Code::Forbidden => {
            format!("the policy does not allow you to take {name} from {holder}, {terms}")
        }
        _ if refusal.why == Why::InProgress => {
            format!("{name} is in progress here: held by {holder}, {terms}")
        }
        _ if entry.lock().is_none() => format!("{name} is blocked by an unreadable lock: {terms}"),
        _ => format!(
            "{} by {holder}, {terms}",
            which_is_locked(viewpoint.here, refusal, entry, &name)
        ),
    }
}

/// The path itself, what it lies in, or what lies in it is locked.
fn which_is_locked(here: &Here, refusal: &Refusal, entry: &Entry, name: &str) -> String {
    let key = refusal.path.key();
    let other = path_of_entry(here, entry);
    if entry.claim.key == key {
        format!("{name} is locked")
    } else if entry.claim.key.is_above(&key) {
        format!("{name} lies in {other}, which is locked")
    } else {
        format!("{name} contains {other}, which is locked")
    }
}

/// A line for each of the first twenty, indented, and a count of the rest.
pub(crate) fn first_lines<T>(items: &[T], line: impl Fn(&T) -> String) -> String {
    let first = items.iter().take(LISTED);
    let mut lines: Vec<String> = first.map(|item| format!("  {}", line(item))).collect();
    let rest = items.len().saturating_sub(LISTED);
    if rest > 0 {
        lines.push(format!("  … and {rest} more"));
    }
    lines.join("\n")
}

/// The beginning of a commit's id, as people are shown it.
pub(crate) fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

/// The first twenty paths as arguments of one command; the rest is met when it is run again.
pub(crate) fn arguments<'p>(here: &Here, paths: impl Iterator<Item = &'p [u8]>) -> String {
    let words: Vec<String> = paths.take(LISTED).map(|path| here.path(path)).collect();
    words.join(" ")
}

/// One failure for all refusals of a command; `hint` gives the next step for one, with the paths to name in it: those of
/// all for which it is the same.
pub(crate) fn refused(
    viewpoint: &Viewpoint<'_>,
    refusals: &[Refusal],
    hint: impl Fn(&Refusal, &str) -> String,
) -> Option<Failure> {
    let first = refusals.first()?;
    let message = if refusals.len() == 1 {
        refusal(viewpoint, first)
    } else {
        let lines = first_lines(refusals, |r| refusal(viewpoint, r));
        format!("{} paths were refused\n{lines}", refusals.len())
    };
    let largest = refusals.iter().map(|r| exit::of(r.code)).max();
    let step = hint(first, "");
    let alike = refusals.iter().filter(|r| hint(r, "") == step);
    let paths = arguments(viewpoint.here, alike.map(|r| r.path.as_str().as_bytes()));
    let hint = hint(first, &paths);
    let failure = Failure::new(first.code, plain(&message), Some(hint));
    Some(failure.with_exit(largest.unwrap_or_default()))
}

/// Text without colours: it goes into JSON as well.
pub(crate) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// What became of a lease that was mine.
pub(crate) fn loss(viewpoint: &Viewpoint<'_>, loss: &Loss) -> String {
    let name = path(viewpoint.here, loss.path.as_bytes());
    let when = ago(loss.at, viewpoint.now);
    if let Some(event) = &loss.ended {
        return ended(viewpoint, loss, event, &name, &when);
    }
    let by = loss.by.as_ref().and_then(|entry| {
        let reason = entry.lock()?.reason.as_ref();
        let reason = reason.map(|r| format!(", \"{r}\"")).unwrap_or_default();
        Some(format!("{}{reason}", holder(viewpoint, entry)))
    });
    match (loss.cause, by) {
        (Cause::Stolen, Some(by)) => format!("{name} was taken over {when} by {by}"),
        (Cause::Expired, Some(by)) => {
            format!("your lock on {name} expired {when}; now it is locked by {by}")
        }
        (Cause::Expired, None) => format!("your lock on {name} expired {when}; nobody has it now"),
        (Cause::Stolen, None) => format!("{name} was taken over {when}; nobody has it now"),
        (Cause::Removed, Some(by)) => {
            format!("your lock on {name} is gone, noticed {when}; now it is locked by {by}")
        }
        (Cause::Removed, None) => {
            format!(
                "your lock on {name} is gone, noticed {when}; as far as known here, nobody has it"
            )
        }
    }
}

/// The same, where the history tells who ended it.
fn ended(viewpoint: &Viewpoint<'_>, loss: &Loss, event: &Event, name: &str, when: &str) -> String {
    let by = match &event.by {
        Some(by) if git_latch::rules::lock::is_same_id(&by.id, &viewpoint.me.owner.id) => {
            " by you, elsewhere".to_owned()
        }
        Some(by) => format!(" by {by}"),
        None => String::new(),
    };
    let words = event.said().map(|words| format!(", \"{words}\""));
    let words = words.unwrap_or_default();
    let what = match loss.cause {
        Cause::Stolen => format!("{name} was taken over {when}{by}{words}"),
        _ => format!("your lock on {name} was removed {when}{by}{words}"),
    };
    let is_theirs =
        |entry: &Entry| loss.cause == Cause::Stolen && entry.lock() == event.lock.lock();
    match &loss.by {
        Some(entry) if is_theirs(entry) => what,
        Some(entry) => format!("{what}; now it is locked by {}", holder(viewpoint, entry)),
        None => format!("{what}; nobody has it now"),
    }
}

/// So many locks.
pub(crate) fn locks(count: usize) -> String {
    match count {
        1 => "1 lock".to_owned(),
        n => format!("{n} locks"),
    }
}

/// What went wrong, with its cause.
pub(crate) fn said(here: &Here, error: &Error) -> String {
    let first = std::error::Error::source(error);
    let cause = first.map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{}{cause}", error.told(here))
}

/// How changes are noticed, where that has changed: by looking, for want of events, or by events again.
pub(crate) fn polling(why: Option<&str>) -> String {
    match why {
        Some(why) => {
            format!("polling every second, because change events are not available: {why}")
        }
        None => "using change events again".to_owned(),
    }
}

/// Whose clock is off, by how much.
pub(crate) fn clocks(off: &ClockDifference) -> String {
    let seconds = off.ahead.num_seconds();
    let direction = if seconds > 0 { "ahead of" } else { "behind" };
    format!(
        "the clock of {} is at least {} s {direction} this one, or this one is wrong: leases end at a different time there",
        git_latch::rules::spelling::escaped(off.by.as_bytes()),
        seconds.abs()
    )
}

/// A name, which is no path, as an argument that can be copied into a shell.
pub(crate) fn shell_word(text: &str) -> String {
    spelling::argument(text.as_bytes())
}

/// What became of a change of which nothing was known when its command ended.
pub(crate) fn settled(here: &Here, pending: &Pending, now: DateTime<Utc>) -> String {
    let listed = |paths: &[String]| {
        let paths: Vec<_> = paths.iter().map(|p| path(here, p.as_bytes())).collect();
        paths.join(", ")
    };
    let what = match (pending.taken.as_slice(), pending.released.as_slice()) {
        (taken, []) => format!("the change that takes {}", listed(taken)),
        ([], released) => format!("the change that releases {}", listed(released)),
        (taken, released) => format!(
            "the change that takes {} and releases {}",
            listed(taken),
            listed(released)
        ),
    };
    let when = pending
        .at()
        .map_or(String::new(), |at| format!(", made {},", ago(at, now)));
    match pending.fate {
        Some(PushOutcome::Arrived) if pending.released.is_empty() => {
            format!("{what}{when} has arrived after all: unlock what you no longer need")
        }
        Some(PushOutcome::Arrived) => format!("{what}{when} has arrived after all"),
        Some(PushOutcome::Missed) | None => {
            format!("{what}{when} has not arrived: repeat it if you still want it")
        }
    }
}
