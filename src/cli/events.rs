//! Events on stdout, for people or as JSON lines: what `watch` and `agent` have in common.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use chrono::{DateTime, Local, Utc};
use serde::Serialize;

use super::output::{Output, dim, styled};
use super::{output, words};
use git_latch::event::{Event, Happening};
use git_latch::report::Viewpoint;
use git_latch::view::Entry;

/// Collects what is to be told, and tells it in one piece.
#[derive(Debug)]
pub(super) struct Told {
    output: Output,
    text: String,
}

impl Told {
    pub(super) fn to(output: Output) -> Self {
        Told {
            output,
            text: String::new(),
        }
    }

    /// An event.
    pub(super) fn event(&mut self, viewpoint: &Viewpoint<'_>, event: &Event) {
        if self.output.json {
            self.object(&viewpoint.event(event));
        } else {
            let (word, rest) = (event.happening, sentence(viewpoint, event));
            self.line(event.at, word.as_str(), style_of(word), &rest);
        }
    }

    /// A line of JSON.
    pub(super) fn object(&mut self, object: &impl Serialize) {
        let line = serde_json::to_string(object).expect("strings and numbers are JSON");
        self.text.push_str(&line);
        self.text.push('\n');
    }

    /// A line for people: when, a word, and the rest.
    pub(super) fn line(
        &mut self,
        at: DateTime<Utc>,
        word: &str,
        style: anstyle::Style,
        rest: &str,
    ) {
        let time = at.with_timezone(&Local).format("%H:%M:%S").to_string();
        let word = styled(style, &format!("{word:<8}"));
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{}  {word}  {rest}", dim(&time));
    }

    /// Writes it out.
    ///
    /// # Errors
    /// Where nobody reads any more.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.text);
        let mut stdout = anstream::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}

fn style_of(happening: Happening) -> anstyle::Style {
    match happening {
        Happening::Stolen | Happening::Edited => output::ALERT,
        Happening::Unlocked | Happening::Expired => output::GOOD,
        Happening::Locked | Happening::Renewed => anstyle::Style::new(),
    }
}

/// What happened, without the word for it.
pub(super) fn sentence(viewpoint: &Viewpoint<'_>, event: &Event) -> String {
    let path = match event.happening {
        Happening::Edited => output::path(event.path.as_bytes()),
        _ => words::path_of_entry(&event.lock),
    };
    let holder = words::holder(viewpoint, &event.lock);
    let terms = || words::until_and_why(viewpoint, &event.lock);
    match event.happening {
        Happening::Locked | Happening::Renewed => format!("{path} by {holder}, {}", terms()),
        Happening::Stolen => {
            let from = event.previous.as_ref().and_then(Entry::lock);
            let from = from.map_or_else(String::new, |lock| format!(" from {}", lock.owner));
            format!("{path} by {holder}{from}, {}", terms())
        }
        Happening::Unlocked | Happening::Expired => format!("{path}, held by {holder} until now"),
        Happening::Edited => format!("{path}, which is locked by {holder}, {}", terms()),
    }
}

/// Whether nobody can read stdout any more: a pipe whose other end is closed. A program that listens to us and died is
/// noticed without an event to tell it.
pub(super) fn is_deserted() -> bool {
    #[cfg(unix)]
    {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let stdout = io::stdout();
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // Of a pipe only its end; a terminal that hangs up sends a signal as well.
        poll(&mut watched, Some(&at_once)).is_ok() && watched[0].revents().contains(PollFlags::ERR)
    }
    #[cfg(not(unix))]
    false
}
