//! The access log: one line of JSON for each request, written by a thread of its own, so that nobody waits for a disk.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use serde_json::Value;

use crate::rules::error::{Error, Result};

/// How many lines may wait; more are dropped, and counted.
const WAITING: usize = 8_192;

/// Where lines are sent.
#[derive(Clone, Debug)]
pub(super) struct AccessLog(SyncSender<Word>);

#[derive(Debug)]
enum Word {
    Line(Value),
    /// The file was moved away, as `logrotate` does.
    Reopen,
}

/// Who asks, once that is known: put into a request by whoever logs it.
#[derive(Clone, Debug, Default)]
pub(super) struct Principal(Arc<OnceLock<String>>);

impl Principal {
    pub(super) fn is(&self, name: &str) {
        // A request has one.
        let _ = self.0.set(name.to_owned());
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

impl AccessLog {
    /// To a file, at its end; `-` is standard error.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (file, mut out): (_, Box<dyn Write + Send>) = if path == Path::new("-") {
            (None, Box::new(std::io::stderr()))
        } else {
            let opened = at_end(path).map_err(Error::io("open", path))?;
            (Some(path.to_owned()), Box::new(opened))
        };
        let (sender, words) = sync_channel(WAITING);
        thread::spawn(move || write(&words, file.as_deref(), &mut out));
        Ok(AccessLog(sender))
    }

    pub(super) fn say(&self, line: Value) {
        // A log that cannot keep up loses lines, not requests.
        let _ = self.0.try_send(Word::Line(line));
    }

    /// Goes on in a new file of the same name.
    pub(super) fn reopen(&self) {
        let _ = self.0.try_send(Word::Reopen);
    }
}

fn at_end(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn write(words: &Receiver<Word>, file: Option<&Path>, out: &mut Box<dyn Write + Send>) {
    while let Ok(word) = words.recv() {
        let mut text = Vec::new();
        let mut is_moved = false;
        for word in std::iter::once(word).chain(words.try_iter()).take(1_000) {
            match word {
                Word::Line(line) => {
                    text.extend_from_slice(line.to_string().as_bytes());
                    text.push(b'\n');
                }
                Word::Reopen => is_moved = true,
            }
        }
        if out.write_all(&text).and_then(|()| out.flush()).is_err() {
            // A full disk must not end the server; nor must it be told for each line.
            thread::sleep(std::time::Duration::from_secs(1));
        }
        if let Some(file) = file.filter(|_| is_moved) {
            match at_end(file) {
                Ok(opened) => *out = Box::new(opened),
                Err(error) => {
                    tracing::warn!(file = %file.display(), %error, "the access log is not opened again");
                }
            }
        }
    }
}
