//! Events on stdout, for people or as JSON lines: what `watch` and `daemon` have in common.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use chrono::{DateTime, Local, Utc};
use serde::Serialize;

use super::output::{Output, dim, styled};
use super::{messages, output};
use git_latch::os::clock::SystemClock;
use git_latch::rules::event::{Event, Happening};
use git_latch::rules::report::Viewpoint;
use git_latch::rules::time::{Clock as _, rfc3339};
use git_latch::rules::view::Entry;

/// How much is kept for a reader that does not read, in bytes; then lines are dropped, and counted.
const KEPT: usize = 16 << 20;
/// How long what was said last may take to be written.
const FAREWELL: Duration = Duration::from_millis(200);

/// Collects what is to be told, and has it written by a thread of its own: a reader that does not read holds up neither
/// the watching nor the end.
#[derive(Debug)]
pub(super) struct Told {
    output: Output,
    text: String,
    dropped: usize,
    pieces: Sender<String>,
    shared: Arc<Shared>,
    ended: Receiver<()>,
}

/// What the writing thread and the other one know of each other.
#[derive(Debug, Default)]
struct Shared {
    /// How much is not written yet, in bytes.
    pending: AtomicUsize,
    /// Whether nobody reads any more.
    is_gone: AtomicBool,
}

impl Told {
    pub(super) fn to(output: Output) -> Self {
        let (pieces, queue) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let writers = Arc::clone(&shared);
        std::thread::spawn(move || {
            write_all(&queue, &writers);
            // Nobody waits any more: then nobody needs to know.
            let _ = end.send(());
        });
        Told {
            output,
            text: String::new(),
            dropped: 0,
            pieces,
            shared,
            ended,
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

    /// Has it written; says whether anybody listens.
    pub(super) fn flush(&mut self) -> bool {
        if !self.text.is_empty() {
            if self.shared.pending.load(Ordering::Relaxed) > KEPT {
                self.dropped += self.text.lines().count();
                self.text.clear();
            } else {
                self.note_dropped();
                let text = std::mem::take(&mut self.text);
                self.shared.pending.fetch_add(text.len(), Ordering::Relaxed);
                // Nobody writes any more where nobody reads.
                let _ = self.pieces.send(text);
            }
        }
        !self.shared.is_gone.load(Ordering::Relaxed)
            && !git_latch::os::terminal::is_deserted(&io::stdout())
    }

    /// Says first that something was not said.
    fn note_dropped(&mut self) {
        if self.dropped == 0 {
            return;
        }
        let (count, rest) = (self.dropped, std::mem::take(&mut self.text));
        self.dropped = 0;
        if self.output.json {
            let at = rfc3339(SystemClock.now());
            self.object(&serde_json::json!({
                "seq": null, "event": "dropped", "at": at, "path": null, "lock": null, "count": count,
            }));
        } else {
            let sentence = format!("{count} lines that were not read");
            self.line(SystemClock.now(), "dropped", output::ALERT, &sentence);
        }
        self.text.push_str(&rest);
    }

    /// Ends: what was said last is written, unless that takes too long.
    pub(super) fn end(mut self) {
        self.flush();
        drop(self.pieces);
        let _ = self.ended.recv_timeout(FAREWELL);
    }
}

/// Writes what comes, until nobody reads any more. Whatever else goes wrong with the output is said, and goes by.
fn write_all(queue: &Receiver<String>, shared: &Shared) {
    let mut was_well = true;
    for piece in queue {
        let mut stdout = anstream::stdout().lock();
        let written = stdout
            .write_all(piece.as_bytes())
            .and_then(|()| stdout.flush());
        shared.pending.fetch_sub(piece.len(), Ordering::Relaxed);
        match written {
            Ok(()) => was_well = true,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                shared.is_gone.store(true, Ordering::Relaxed);
                return;
            }
            Err(error) => {
                if std::mem::replace(&mut was_well, false) {
                    output::eprint(&format!("note: cannot write events: {error}"));
                }
            }
        }
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
fn sentence(viewpoint: &Viewpoint<'_>, event: &Event) -> String {
    let path = match event.happening {
        Happening::Edited => output::path(viewpoint.here, event.path.as_bytes()),
        _ => messages::path_of_entry(viewpoint.here, &event.lock),
    };
    let holder = messages::holder(viewpoint, &event.lock);
    let terms = || messages::until_and_why(viewpoint, &event.lock);
    let all_terms = || messages::terms(viewpoint, &event.lock);
    match event.happening {
        Happening::Locked | Happening::Renewed => format!("{path} by {holder}, {}", terms()),
        Happening::Stolen => {
            let from = event.previous.as_ref().and_then(Entry::lock);
            let from = from.map_or_else(String::new, |lock| {
                if viewpoint.me.owns(lock) {
                    " from you".to_owned()
                } else {
                    format!(" from {}", lock.owner)
                }
            });
            format!("{path} by {holder}{from}, {}", terms())
        }
        Happening::Unlocked | Happening::Expired => {
            let by = event.by.as_ref().filter(|_| event.bereaved().is_some());
            let by = by.map(|by| format!(", taken away by {by}"));
            let words = event.said().map(|words| format!(", \"{words}\""));
            format!(
                "{path}, held by {holder} until now{}{}",
                by.unwrap_or_default(),
                words.unwrap_or_default()
            )
        }
        Happening::Edited => format!("{path}, which is locked by {holder}, {}", all_terms()),
    }
}
